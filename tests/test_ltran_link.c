/* SPDX-License-Identifier: BSD-3-Clause */
/* An instance's registration, against an ltran that is a thread of this test and does as it is told. */
#include "nodes/instance_ltran_link.h"
#include "tests/cunit_main.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define RING "/run/ring.vhost"
#define WAIT_MS 5000 /* for what must come */

static char dir[] = "/tmp/gazelle-link-XXXXXX", path[100];
static int table_fd;
static sigset_t no_signals, all_signals;

/* The other side: one connection at a time. */
static struct {
	int listen_fd, fd;
	pthread_t thread;
	struct ltran_registered answer;
	struct ltran_register asked;
	bool had_table;
	int awake_fd, kick_fd, call[2][2]; /* doorbells; of `call` the second ends are given away */
	bool has_no_bells;
} ltran;

static void open_bells(void), close_bells(void);

static void
open_ltran(void)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	ltran.listen_fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);
	CU_ASSERT_EQUAL_FATAL(bind(ltran.listen_fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	CU_ASSERT_EQUAL_FATAL(listen(ltran.listen_fd, 8), 0);
	ltran.fd = -1;
}

static void
close_ltran(void)
{
	if (ltran.fd >= 0)
		close(ltran.fd);
	if (ltran.listen_fd >= 0)
		close(ltran.listen_fd);
	ltran.fd = ltran.listen_fd = -1;
	unlink(path);
}

static void
setup(void)
{
	static const char name[] = "t-" LTRAN_SOCKET;

	snprintf(dir, sizeof(dir), "/tmp/gazelle-link-XXXXXX");
	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	table_fd = memfd_create("table", MFD_CLOEXEC);
	sigemptyset(&no_signals);
	sigfillset(&all_signals);
	sigdelset(&all_signals, SIGABRT);
	ltran.listen_fd = ltran.fd = -1;
	ltran.answer = (struct ltran_registered){
		.header = {.magic = LTRAN_MAGIC, .version = LTRAN_VERSION, .type = LTRAN_REGISTER},
		.mac = {2, 0, 0, 0, 0, 9}, .mtu = 1400, .queue_size = 256, .blocks = {5, 0},
		.path = RING};
	ltran.has_no_bells = false;
	open_bells();
	open_ltran();
}

static void
teardown(void)
{
	close_bells();
	close_ltran();
	close(table_fd);
	CU_ASSERT_EQUAL(rmdir(dir), 0);
}

static bool
readable(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	return poll(&p, 1, WAIT_MS) == 1;
}

/* The next registration; its answer is the caller's to send. */
static void
await_register(void)
{
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec iov = {.iov_base = &ltran.asked, .iov_len = sizeof(ltran.asked)};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.room,
		.msg_controllen = sizeof(control.room)};
	int fd;

	if (!readable(ltran.listen_fd))
		return;
	ltran.fd = accept(ltran.listen_fd, NULL, NULL);
	if (recvmsg(ltran.fd, &m, 0) != sizeof(ltran.asked))
		memset(&ltran.asked, 0, sizeof(ltran.asked));
	ltran.had_table = m.msg_controllen > 0 && control.head.cmsg_type == SCM_RIGHTS;
	if (ltran.had_table) {
		memcpy(&fd, CMSG_DATA(&control.head), sizeof(fd));
		close(fd);
	}
}

/* With doorbells for two queues, if it is a good one. */
static void
answer_register(void)
{
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(4 * sizeof(int))];
	} control = {.head = {.cmsg_len = CMSG_LEN(4 * sizeof(int)), .cmsg_level = SOL_SOCKET,
		.cmsg_type = SCM_RIGHTS}};
	struct iovec iov = {.iov_base = &ltran.answer, .iov_len = sizeof(ltran.answer)};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
	int fds[4] = {ltran.awake_fd, ltran.kick_fd, ltran.call[0][1], ltran.call[1][1]};

	memcpy(CMSG_DATA(&control.head), fds, sizeof(fds));
	if (ltran.answer.header.status == 0 && !ltran.has_no_bells) {
		m.msg_control = control.room;
		m.msg_controllen = sizeof(control.room);
	}
	sendmsg(ltran.fd, &m, MSG_NOSIGNAL);
}

static void
open_bells(void)
{
	ltran.awake_fd = memfd_create("awake", MFD_CLOEXEC);
	CU_ASSERT_EQUAL(ftruncate(ltran.awake_fd, sizeof(struct ltran_awake)), 0);
	ltran.kick_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	for (int q = 0; q < 2; q++)
		CU_ASSERT_EQUAL(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ltran.call[q]), 0);
}

static void
close_bells(void)
{
	close(ltran.awake_fd);
	close(ltran.kick_fd);
	for (int i = 0; i < 4; i++)
		close(ltran.call[i / 2][i % 2]);
}

static void *
register_one(void *arg)
{
	await_register();
	answer_register();
	return NULL;
}

static int
open_link(struct ltran_link **l, char *err)
{
	struct ltran_link_params p = {.dir = dir, .prefix = "t-", .addr = htonl(0xc6120a0a),
		.mask = htonl(0xffffff00), .gateway = htonl(0xc6120a01), .n_queues = 2, .mtu = 1500,
		.mac = {1, 2, 3, 4, 5, 6}, .table_fd = table_fd, .signals = &no_signals};
	sigset_t old;
	int ret;

	pthread_sigmask(SIG_SETMASK, &all_signals, &old);
	ret = ltran_link_open(&p, l, err, 256);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return ret;
}

/* A registered link, with `fn` as ltran's thread until it is registered. */
static struct ltran_link *
registered(void)
{
	struct ltran_link *l = NULL;
	char err[256] = "";

	pthread_create(&ltran.thread, NULL, register_one, NULL);
	CU_ASSERT_EQUAL(open_link(&l, err), 0);
	pthread_join(ltran.thread, NULL);
	CU_ASSERT_PTR_NOT_NULL_FATAL(l);
	return l;
}

static void
registers_with_what_it_has_and_takes_what_it_gets(void)
{
	struct ltran_link *l = registered();

	CU_ASSERT_EQUAL(ltran.asked.header.magic, LTRAN_MAGIC);
	CU_ASSERT_EQUAL(ltran.asked.header.version, LTRAN_VERSION);
	CU_ASSERT_EQUAL(ltran.asked.header.type, LTRAN_REGISTER);
	CU_ASSERT_EQUAL(ltran.asked.addr, htonl(0xc6120a0a));
	CU_ASSERT_EQUAL(ltran.asked.mask, htonl(0xffffff00));
	CU_ASSERT_EQUAL(ltran.asked.gateway, htonl(0xc6120a01));
	CU_ASSERT_EQUAL(ltran.asked.n_queues, 2);
	CU_ASSERT_EQUAL(ltran.asked.mtu, 1500);
	CU_ASSERT_EQUAL(ltran.asked.mac[5], 6);
	CU_ASSERT_EQUAL(ltran.asked.resumes, 0);
	CU_ASSERT_EQUAL(ltran.asked.path[0], '\0');
	CU_ASSERT_EQUAL(strncmp(ltran.asked.program, program_invocation_short_name, 15), 0);
	CU_ASSERT(ltran.had_table);
	CU_ASSERT_EQUAL(ltran_link_grant(l)->mtu, 1400);
	CU_ASSERT_STRING_EQUAL(ltran_link_grant(l)->path, RING);
	CU_ASSERT_EQUAL(ltran_link_ports(l)[0], 5);
	ltran_link_close(l);
	CU_ASSERT(readable(ltran.fd)); /* hang-up */
}

static void *
come_late(void *arg)
{
	usleep(2 * LTRAN_RETRY_MS * 1000);
	open_ltran();
	register_one(NULL);
	return NULL;
}

static void
start_waits_until_ltran_is_there(void)
{
	struct ltran_link *l = NULL;
	char err[256] = "";

	close_ltran();
	pthread_create(&ltran.thread, NULL, come_late, NULL);
	CU_ASSERT_EQUAL(open_link(&l, err), 0);
	pthread_join(ltran.thread, NULL);
	ltran_link_close(l);
}

static volatile sig_atomic_t handled;

static void
on_signal(int sig)
{
	handled = sig;
}

static void
request_to_end_ends_the_wait(void)
{
	struct ltran_link *l = NULL;
	char err[256] = "";
	sigset_t old;

	close_ltran();
	signal(SIGTERM, on_signal);
	signal(SIGUSR1, on_signal);
	pthread_sigmask(SIG_SETMASK, &all_signals, &old);
	handled = 0;
	kill(getpid(), SIGTERM);
	CU_ASSERT_EQUAL(open_link(&l, err), -EINTR);
	CU_ASSERT_EQUAL(handled, SIGTERM);
	CU_ASSERT(err[0] != '\0');
	signal(SIGTERM, SIG_DFL);
	/* Any other signal is handled, and the wait goes on. */
	kill(getpid(), SIGUSR1);
	pthread_create(&ltran.thread, NULL, come_late, NULL);
	CU_ASSERT_EQUAL(open_link(&l, err), 0);
	pthread_join(ltran.thread, NULL);
	CU_ASSERT_EQUAL(handled, SIGUSR1);
	signal(SIGUSR1, SIG_DFL);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	ltran_link_close(l);
}

static void
signal_without_handler_ends_the_program(void)
{
	pid_t child = fork();
	int status;

	if (child == 0) {
		struct ltran_link *l;
		char err[256];

		close_ltran();
		pthread_sigmask(SIG_SETMASK, &all_signals, NULL);
		kill(getpid(), SIGTERM);
		open_link(&l, err);
		_exit(0);
	}
	CU_ASSERT_EQUAL(waitpid(child, &status, 0), child);
	CU_ASSERT(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
}

static void
refusal_ends_the_start_with_its_reason(void)
{
	struct ltran_link *l = NULL;
	char err[256] = "";

	ltran.answer.header.status = -EADDRINUSE;
	ltran.answer.path[0] = '\0';
	snprintf(ltran.answer.text, sizeof(ltran.answer.text), "198.18.10.10 is somebody's");
	pthread_create(&ltran.thread, NULL, register_one, NULL);
	CU_ASSERT_EQUAL(open_link(&l, err), -EADDRINUSE);
	pthread_join(ltran.thread, NULL);
	CU_ASSERT_STRING_EQUAL(err, "ltran: 198.18.10.10 is somebody's");
	CU_ASSERT_PTR_NULL(l);
}

static void *
busy_then_good(void *arg)
{
	ltran.answer.header.status = -EBUSY;
	register_one(NULL);
	ltran.answer.header.status = 0;
	register_one(NULL);
	return NULL;
}

static void
start_waits_while_ltran_has_too_much_of_the_user(void)
{
	struct ltran_link *l = NULL;
	char err[256] = "";

	snprintf(ltran.answer.text, sizeof(ltran.answer.text), "user 0 registers too often");
	pthread_create(&ltran.thread, NULL, busy_then_good, NULL);
	CU_ASSERT_EQUAL(open_link(&l, err), 0);
	pthread_join(ltran.thread, NULL);
	ltran_link_close(l);
}

static void
answers_that_are_none_end_the_start(void)
{
	struct ltran_registered good = ltran.answer;
	struct ltran_link *l;
	char err[256];

	for (int i = 0; i < 7; i++) {
		l = NULL;
		ltran.answer = good;
		switch (i) {
		case 0: ltran.answer.header.magic++; break;
		case 1: ltran.answer.header.version++; break;
		case 2: ltran.answer.header.type = LTRAN_LISTEN; break;
		case 3: memset(ltran.answer.path, 'x', sizeof(good.path)); break;
		case 4: memset(ltran.answer.text, 'x', sizeof(good.text)); break;
		case 5: ltran.answer.path[0] = 'r'; break;
		case 6: ltran.answer.mtu = 0; break;
		}
		pthread_create(&ltran.thread, NULL, register_one, NULL);
		CU_ASSERT_EQUAL(open_link(&l, err), -EPROTO);
		pthread_join(ltran.thread, NULL);
		close(ltran.fd);
		CU_ASSERT_PTR_NULL(l);
	}
	ltran.fd = -1;
}

/* Nothing that ltran says does harm: random bytes in the answer. */
static void
mangled_answers_do_no_harm(void)
{
	struct ltran_registered good = ltran.answer;
	uint64_t seed = (uint64_t)time(NULL) << 20 | 1;
	struct ltran_link *l;
	char err[256];

	printf("seed %llu ", (unsigned long long)seed);
	for (int i = 0; i < 200; i++) {
		unsigned char *bytes = (unsigned char *)&ltran.answer;
		int n = 0, ret;

		l = NULL;
		ltran.answer = good;
		do {
			seed ^= seed << 13;
			seed ^= seed >> 7;
			seed ^= seed << 17;
			bytes[16 + (seed >> 20) % (sizeof(good) - 16)] = (unsigned char)(seed >> 50);
		} while (++n < i % 32);
		pthread_create(&ltran.thread, NULL, register_one, NULL);
		ret = open_link(&l, err);
		pthread_join(ltran.thread, NULL);
		CU_ASSERT(ret == 0 || ret == -EPROTO);
		ltran_link_close(l);
		close(ltran.fd);
	}
	ltran.fd = -1;
}

static void
comes_back_with_the_same_ring_and_ports(void)
{
	struct ltran_link *l = registered();
	int before = ltran.fd;

	ltran.answer.blocks[0] = 13;
	close(ltran.fd);
	await_register();
	CU_ASSERT_EQUAL(ltran.asked.resumes, 1);
	CU_ASSERT_STRING_EQUAL(ltran.asked.path, RING);
	CU_ASSERT_EQUAL(ltran.asked.blocks[0], 5);
	CU_ASSERT(ltran.had_table && before >= 0);
	answer_register();
	/* And again, from the start: the file has gone too. */
	close_ltran();
	usleep(3 * LTRAN_RESUME_MS * 1000);
	open_ltran();
	await_register();
	CU_ASSERT_EQUAL(ltran.asked.resumes, 1);
	CU_ASSERT_EQUAL(ltran.asked.blocks[0], 13);
	answer_register();
	ltran_link_close(l);
}

static void
registration_ends_while_ltran_is_away(void)
{
	struct ltran_link *l = registered();

	close_ltran();
	ltran_link_close(l); /* returns */
}

/* --- questions ------------------------------------------------------------------------------------ */

struct script {
	int status;
	uint32_t pid;
	uint64_t blocks;
	unsigned int delay_ms;
	union {
		struct ltran_header header;
		struct ltran_listen listen;
		struct ltran_ports ports;
	} got;
};

static void *
answer_one(void *arg)
{
	struct script *s = arg;

	if (!readable(ltran.fd) || recv(ltran.fd, &s->got, sizeof(s->got), 0) != sizeof(s->got))
		return NULL;
	usleep(s->delay_ms * 1000);
	s->got.header.status = s->status;
	if (s->got.header.type == LTRAN_LISTEN)
		s->got.listen.pid = s->pid;
	else
		s->got.ports.blocks[0] = s->blocks;
	send(ltran.fd, &s->got, sizeof(s->got), MSG_NOSIGNAL);
	return NULL;
}

static int
ask_listen(struct ltran_link *l, struct script *s, uint32_t *pid)
{
	int ret;

	pthread_create(&ltran.thread, NULL, answer_one, s);
	ret = ltran_link_listen(l, IPPROTO_TCP, htons(80), true, 99, pid);
	pthread_join(ltran.thread, NULL);
	return ret;
}

static int
ask_ports(struct ltran_link *l, struct script *s)
{
	int ret;

	pthread_create(&ltran.thread, NULL, answer_one, s);
	ret = ltran_link_more_ports(l);
	pthread_join(ltran.thread, NULL);
	return ret;
}

static void
port_of_another_instance_is_refused(void)
{
	struct ltran_link *l = registered();
	struct script yes = {0}, no = {.status = -EADDRINUSE, .pid = 4711};
	uint32_t pid;

	CU_ASSERT_EQUAL(ask_listen(l, &yes, &pid), 0);
	CU_ASSERT_EQUAL(yes.got.listen.port, htons(80));
	CU_ASSERT_EQUAL(yes.got.listen.protocol, IPPROTO_TCP);
	CU_ASSERT_EQUAL(yes.got.listen.reuseport, 1);
	CU_ASSERT_EQUAL(yes.got.listen.identity, 99);
	CU_ASSERT_EQUAL(ask_listen(l, &no, &pid), -EADDRINUSE);
	CU_ASSERT_EQUAL(pid, 4711);
	ltran_link_close(l);
}

static void
ports_grow_until_there_are_no_more(void)
{
	struct ltran_link *l = registered();
	struct script more = {.blocks = 7}, none = {.status = -ENOSPC};

	CU_ASSERT_EQUAL(ask_ports(l, &more), 0);
	CU_ASSERT_EQUAL(ltran_link_ports(l)[0], 7);
	CU_ASSERT_EQUAL(ask_ports(l, &none), -ENOSPC);
	CU_ASSERT_EQUAL(ltran_link_ports(l)[0], 7);
	ltran_link_close(l);
}

static void
late_answer_is_not_taken_for_the_next_one(void)
{
	struct ltran_link *l = registered();
	struct script late = {.blocks = 1023, .delay_ms = LTRAN_PORTS_MS + 50};
	struct script no = {.status = -EADDRINUSE, .pid = 1}, more = {.blocks = 15};
	uint32_t pid;

	CU_ASSERT_EQUAL(ask_ports(l, &late), -EAGAIN);
	CU_ASSERT_EQUAL(ltran_link_ports(l)[0], 5);
	CU_ASSERT_EQUAL(ask_listen(l, &no, &pid), -EADDRINUSE);
	late.delay_ms = LTRAN_PORTS_MS + 50;
	CU_ASSERT_EQUAL(ask_ports(l, &late), -EAGAIN);
	CU_ASSERT_EQUAL(ask_ports(l, &more), 0);
	CU_ASSERT_EQUAL(ltran_link_ports(l)[0], 15);
	ltran_link_close(l);
}

static void
while_ltran_is_away_listening_goes_on_and_ports_do_not(void)
{
	struct ltran_link *l = registered();
	uint32_t pid;

	close_ltran();
	CU_ASSERT_EQUAL(ltran_link_listen(l, IPPROTO_TCP, htons(80), false, 0, &pid), 0);
	CU_ASSERT_EQUAL(ltran_link_more_ports(l), -EAGAIN);
	/* Back before the question's time is over. */
	open_ltran();
	register_one(NULL);
	struct script more = {.blocks = 31};

	CU_ASSERT_EQUAL(ask_ports(l, &more), 0);
	ltran_link_close(l);
}

static void *
ask_many(void *arg)
{
	uint32_t pid;

	for (int i = 0; i < 100; i++)
		CU_ASSERT_EQUAL(ltran_link_listen(arg, IPPROTO_UDP, htons(i), false, 0, &pid),
			i % 2 ? -EADDRINUSE : 0);
	return NULL;
}

static void *
answer_many(void *arg)
{
	struct script s;

	for (int i = 0; i < 400; i++) {
		if (!readable(ltran.fd) ||
			recv(ltran.fd, &s.got, sizeof(s.got), 0) != sizeof(s.got))
			break;
		s.got.header.status = ntohs(s.got.listen.port) % 2 ? -EADDRINUSE : 0;
		send(ltran.fd, &s.got, sizeof(s.got), MSG_NOSIGNAL);
	}
	return NULL;
}

static void
threads_get_their_own_answers(void)
{
	struct ltran_link *l = registered();
	pthread_t t[4];

	pthread_create(&ltran.thread, NULL, answer_many, NULL);
	for (int i = 0; i < 4; i++)
		pthread_create(&t[i], NULL, ask_many, l);
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	pthread_join(ltran.thread, NULL);
	ltran_link_close(l);
}

static void
child_of_fork_does_not_keep_the_registration(void)
{
	struct ltran_link *l = registered();
	int hold[2], status;
	char c;
	pid_t child;

	CU_ASSERT_EQUAL_FATAL(pipe(hold), 0);
	ltran_link_before_fork(l);
	child = fork();
	ltran_link_after_fork(l, child == 0);
	if (child == 0) {
		close(hold[1]);
		close(ltran.fd);
		_exit(read(hold[0], &c, 1) == 0 ? 0 : 1);
	}
	ltran_link_close(l);
	CU_ASSERT(readable(ltran.fd)); /* at once, though the child lives */
	CU_ASSERT_EQUAL(recv(ltran.fd, &c, 1, 0), 0);
	close(hold[0]);
	close(hold[1]);
	CU_ASSERT_EQUAL(waitpid(child, &status, 0), child);
	CU_ASSERT(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* The library itself lowers the limit once it has its descriptors: the bells of before are above it. */
static void
comes_back_where_the_limit_is_lower_by_then(void)
{
	struct ltran_link *l = registered();
	struct rlimit old, low;

	CU_ASSERT_EQUAL(getrlimit(RLIMIT_NOFILE, &old), 0);
	low = old;
	low.rlim_cur -= 128;
	CU_ASSERT_EQUAL(setrlimit(RLIMIT_NOFILE, &low), 0);
	close(ltran.fd);
	await_register();
	answer_register();
	usleep(3 * LTRAN_RESUME_MS * 1000);
	/* It has taken the answer and the bells, and does not come again. */
	CU_ASSERT_EQUAL(recv(ltran.fd, &(char){0}, 1, MSG_DONTWAIT), -1);
	CU_ASSERT_EQUAL(errno, EAGAIN);
	ltran_link_close(l);
	CU_ASSERT_EQUAL(setrlimit(RLIMIT_NOFILE, &old), 0);
}

static const struct cunit_test tests[] = {
	CUNIT_TEST(registers_with_what_it_has_and_takes_what_it_gets),
	CUNIT_TEST(start_waits_until_ltran_is_there),
	CUNIT_TEST(request_to_end_ends_the_wait),
	CUNIT_TEST(signal_without_handler_ends_the_program),
	CUNIT_TEST(refusal_ends_the_start_with_its_reason),
	CUNIT_TEST(start_waits_while_ltran_has_too_much_of_the_user),
	CUNIT_TEST(answers_that_are_none_end_the_start),
	CUNIT_TEST(mangled_answers_do_no_harm),
	CUNIT_TEST(comes_back_with_the_same_ring_and_ports),
	CUNIT_TEST(comes_back_where_the_limit_is_lower_by_then),
	CUNIT_TEST(registration_ends_while_ltran_is_away),
	CUNIT_TEST(port_of_another_instance_is_refused),
	CUNIT_TEST(ports_grow_until_there_are_no_more),
	CUNIT_TEST(late_answer_is_not_taken_for_the_next_one),
	CUNIT_TEST(while_ltran_is_away_listening_goes_on_and_ports_do_not),
	CUNIT_TEST(threads_get_their_own_answers),
	CUNIT_TEST(child_of_fork_does_not_keep_the_registration),
};
CUNIT_MAIN("ltran_link", tests, setup, teardown)
