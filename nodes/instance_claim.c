/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The claim to a kernel device.
 *
 * Two stacks with one address on one device answer each other's peers with resets, and the drivers of kernel
 * devices let any number of processes open one. (DPDK's own devices and virtio-user refuse by themselves.) So
 * a process without ltran claims what it opens: a listening UNIX socket whose abstract name has the device and
 * the address. Such names belong to the network namespace, as devices do, and end with the process, however it
 * ends; exec() closes the socket, and a child of fork() leaves it to its parent. The claim is taken before DPDK
 * touches the device, and stays while the device is gone: when it comes back it is this process's.
 *
 * Whoever finds the name taken connects and is told by the kernel who listens (SO_PEERCRED):
 *   - the same user or root: refused after CLAIM_WAIT_MS, for a killed process may be on its way out
 *   - another user: anybody could keep a program from starting by taking the name, so that does not count
 *   - a forked worker finds another one of its master: it waits until that one has gone, be it for ever, as the
 *     new worker of nginx does during a reload, and the second worker that has no device of its own
 * A connection that nobody accepts stays in the queue of the listener, so a thread accepts and closes them.
 *
 * A claim that cannot be made (no descriptor, a filter of system calls) is no reason not to start.
 */
#include "nodes/instance_claim.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "common/say.h"
#include "nodes/instance_wait.h"

#define CLAIMS_MAX 16
#define BACKLOG 128
#define RETRY_MS 20
#define STACK_BYTES (256 * 1024)

struct claims {
	unsigned int n;
	struct pollfd fds[CLAIMS_MAX]; /* listening */
	pthread_t thread;
	bool has_thread;
	_Atomic bool stop;
};

/* The process that has called fork() last. In a child that is its parent, if the child has not forked
 * itself; a daemon has another parent by then. */
static _Atomic pid_t forker;

/* --- names and verdicts -------------------------------------------------------------------------- */

bool
claim_find_device(const char *arg, char name[IF_NAMESIZE])
{
	static const char *const drivers[] = {"net_af_packet", "eth_af_packet", "net_af_xdp", "net_tap",
		"eth_tap"};
	const char *iface;
	size_t len;

	if (strncmp(arg, "--vdev", strlen("--vdev")) == 0 && arg[strlen("--vdev")] != '\0')
		arg += strlen("--vdev") + 1;
	for (size_t i = 0; i < sizeof(drivers) / sizeof(drivers[0]); i++) {
		if (strncmp(arg, drivers[i], strlen(drivers[i])) != 0)
			continue;
		iface = strstr(arg, ",iface=");
		if (iface == NULL)
			return false; /* a tap whose name the kernel chooses */
		iface += strlen(",iface=");
		len = strcspn(iface, ",");
		if (len == 0 || len >= IF_NAMESIZE)
			return false;
		memcpy(name, iface, len);
		name[len] = '\0';
		return true;
	}
	return false;
}

socklen_t
claim_address(struct sockaddr_un *to, const char *device, uint32_t addr)
{
	const struct in_addr in = {.s_addr = addr};
	char text[INET_ADDRSTRLEN];

	memset(to, 0, sizeof(*to));
	to->sun_family = AF_UNIX;
	inet_ntop(AF_INET, &in, text, sizeof(text));
	return offsetof(struct sockaddr_un, sun_path) + 1 +
		snprintf(to->sun_path + 1, sizeof(to->sun_path) - 1, "gazelle/device/%s/%s", device, text);
}

enum claim_verdict
claim_judge(const struct ucred *holder, pid_t parent, bool is_dead, const struct claim_self *self)
{
	if (holder->pid == self->pid)
		return CLAIM_OURS;
	if (holder->uid != self->uid && holder->uid != 0)
		return CLAIM_SQUATTED;
	if (is_dead)
		return CLAIM_ABANDONED;
	if (self->master > 0 && parent == self->master)
		return CLAIM_IN_LINE;
	return CLAIM_REFUSED;
}

/* --- the holder ---------------------------------------------------------------------------------- */

/* The beginning of a file in /proc/PID; "" where there is none. */
static void
read_proc(pid_t pid, const char *file, char *text, size_t size)
{
	char path[64];
	ssize_t n = -1;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, file);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		n = read(fd, text, size - 1);
		close(fd);
	}
	text[n > 0 ? n : 0] = '\0';
	text[strcspn(text, "\n")] = '\0';
}

static pid_t
parent_of(pid_t pid)
{
	char text[256];
	const char *end;
	int parent;

	read_proc(pid, "stat", text, sizeof(text));
	end = strrchr(text, ')'); /* of the name, which may have any byte; then the state */
	return end != NULL && sscanf(end, ") %*c %d", &parent) == 1 ? parent : 0;
}

/* "process 12 (redis-server)" */
static void
describe(const struct ucred *holder, char *text, size_t len)
{
	char comm[32];

	if (holder->pid <= 0) {
		snprintf(text, len, "a process of another PID namespace");
		return;
	}
	read_proc(holder->pid, "comm", comm, sizeof(comm));
	snprintf(text, len, "process %d (%s)", (int)holder->pid, comm[0] != '\0' ? comm : "?");
}

static enum claim_verdict
ask_holder(const struct sockaddr_un *at, socklen_t at_len, struct ucred *holder)
{
	const pid_t master = getppid() == atomic_load(&forker) ? getppid() : 0;
	const struct claim_self self = {.pid = getpid(), .master = master, .uid = geteuid()};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	socklen_t len = sizeof(*holder);
	bool known;

	if (fd < 0)
		return CLAIM_UNKNOWN;
	known = connect(fd, (const struct sockaddr *)at, at_len) == 0 &&
		getsockopt(fd, SOL_SOCKET, SO_PEERCRED, holder, &len) == 0;
	close(fd);
	if (!known)
		return CLAIM_UNKNOWN;
	return claim_judge(holder, holder->pid > 0 ? parent_of(holder->pid) : 0,
		holder->pid > 0 && kill(holder->pid, 0) < 0 && errno == ESRCH, &self);
}

/* --- taking -------------------------------------------------------------------------------------- */

static uint64_t
now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static int
refuse(const struct ucred *holder, const char *device, const char *addr, char *err, size_t err_len)
{
	char who[64];

	describe(holder, who, sizeof(who));
	snprintf(err, err_len, "%s has device %s with address %s, which serves one program at a time: stop that "
		"one, take another address, or run both behind ltran (use_ltran)", who, device, addr);
	return -EBUSY;
}

/* The name is taken. 1: try again; 0: start without the claim; -errno. */
static int
wait_for_holder(const struct claim_params *p, const struct sockaddr_un *at, socklen_t at_len,
	const char *device, bool is_late, bool *said, char *err, size_t err_len)
{
	const struct timespec pause = {.tv_nsec = RETRY_MS * 1000000};
	const char *addr = strrchr(at->sun_path + 1, '/') + 1;
	struct ucred holder = {.pid = 0};
	enum claim_verdict v = ask_holder(at, at_len, &holder);
	char who[64];

	describe(&holder, who, sizeof(who));
	if (v == CLAIM_OURS)
		return 0;
	if (v == CLAIM_REFUSED && is_late)
		return refuse(&holder, device, addr, err, err_len);
	if (v == CLAIM_SQUATTED) {
		say("%s of user %u claims device %s with address %s; that of another user does not count",
			who, (unsigned int)holder.uid, device, addr);
		return 0;
	}
	if ((v == CLAIM_ABANDONED || v == CLAIM_UNKNOWN) && is_late) {
		say("device %s with address %s: the claim of a process that does not answer does not count",
			device, addr);
		return 0;
	}
	if (v == CLAIM_IN_LINE && is_late && !*said) {
		say("waiting for %s, which has device %s with address %s; without ltran it serves one process "
			"at a time", who, device, addr);
		*said = true;
	}
	nanosleep(&pause, NULL);
	if (!instance_signal_ends_wait(p->signals))
		return 1;
	snprintf(err, err_len, "a signal came while waiting for %s, which has device %s", who, device);
	return -EINTR;
}

/* 0 also where the start goes on without the claim. */
static int
take(struct claims *c, const struct claim_params *p, const char *device, char *err, size_t err_len)
{
	struct sockaddr_un at;
	socklen_t len = claim_address(&at, device, p->addr);
	uint64_t until = now_ms() + p->wait_ms;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), ret = 1;
	bool said = false;

	while (fd >= 0 && ret > 0) {
		if (bind(fd, (struct sockaddr *)&at, len) == 0 && listen(fd, BACKLOG) == 0) {
			c->fds[c->n++] = (struct pollfd){.fd = fd, .events = POLLIN};
			return 0;
		}
		if (errno != EADDRINUSE)
			break;
		ret = wait_for_holder(p, &at, len, device, now_ms() >= until, &said, err, err_len);
	}
	if (ret > 0)
		say("device %s cannot be claimed (%s): another program may open it", device, strerror(errno));
	if (fd >= 0)
		close(fd);
	return ret < 0 ? ret : 0;
}

/* --- life ---------------------------------------------------------------------------------------- */

static void *
answer(void *arg)
{
	struct claims *c = arg;

	while (!atomic_load(&c->stop)) {
		if (poll(c->fds, c->n, -1) < 0) {
			if (errno != EINTR) /* fewer descriptors allowed than we have */
				poll(NULL, 0, RETRY_MS);
			continue;
		}
		for (unsigned int i = 0; i < c->n; i++) {
			int fd = c->fds[i].revents != 0 ?
				accept4(c->fds[i].fd, NULL, NULL, SOCK_CLOEXEC) : -1;

			if (fd >= 0)
				close(fd);
			else if (c->fds[i].revents != 0 && !atomic_load(&c->stop))
				poll(NULL, 0, RETRY_MS); /* no descriptor, perhaps */
		}
	}
	return NULL;
}

/* Without it the queue of those who ask becomes full, no more. */
static void
start_thread(struct claims *c)
{
	pthread_attr_t attr;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_BYTES);
	c->has_thread = pthread_create(&c->thread, &attr, answer, c) == 0;
	pthread_attr_destroy(&attr);
	if (c->has_thread)
		pthread_setname_np(c->thread, "gazelle-claim");
}

int
claims_take(const struct claim_params *p, struct claims **out, char *err, size_t err_len)
{
	struct claims *c = calloc(1, sizeof(*c));
	char device[IF_NAMESIZE];
	int ret = 0;

	if (c == NULL) {
		snprintf(err, err_len, "no memory");
		return -ENOMEM;
	}
	*out = c;
	for (unsigned int i = 0; i < p->n_args && c->n < CLAIMS_MAX && ret == 0; i++)
		if (claim_find_device(p->args[i], device))
			ret = take(c, p, device, err, err_len);
	if (c->n > 0)
		start_thread(c);
	return ret;
}

void
claims_note_fork(void)
{
	atomic_store(&forker, getpid());
}

/* The handlers of fork() hold locks of the program's side: past the intercepted calls. */
void
claims_leave_to_parent(struct claims *c)
{
	for (unsigned int i = 0; c != NULL && i < c->n; i++)
		syscall(SYS_close, c->fds[i].fd);
}

void
claims_release(struct claims *c)
{
	if (c == NULL)
		return;
	atomic_store(&c->stop, true);
	for (unsigned int i = 0; i < c->n; i++)
		shutdown(c->fds[i].fd, SHUT_RDWR); /* wakes the thread */
	if (c->has_thread)
		pthread_join(c->thread, NULL);
	for (unsigned int i = 0; i < c->n; i++)
		close(c->fds[i].fd);
	free(c);
}
