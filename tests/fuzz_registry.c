/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Fuzzer of registration: the input is what a few hostile processes do. They connect, send messages
 * with some bytes bent, with and without socket tables, write into their tables, and hang up. The real
 * control thread must live on, give no port twice, and have nothing left when they have gone.
 */
#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "dispatcher/bell.h"
#include "dispatcher/log.h"
#include "dispatcher/registry.h"
#include "dispatcher/ring.h"
#include "nodes/ltran_table.h"
#include "tests/eal.h"

#define FUZZ_RUNS 12000
#include "tests/fuzz_main.h"

#define CLIENTS 4
#define SLOTS 64
#define TABLE_BYTES (LTRAN_TABLE_OFFSET + 2 * SLOTS * sizeof(struct ltran_slot))
#define ADDR RTE_BE32(0xc6120407) /* 198.18.4.7 */
#define PEER RTE_BE32(0xc61204c8)
#define CHECK_RUNS 4000 /* between looks for what is left */
#define ALARM_US 10000

static struct ltran_conf conf = {.dispatch_subnet = RTE_BE32(0xc6120400), .dispatch_subnet_length = 8,
	.dispatch_max_clients = CLIENTS, .tcp_conn_scan_interval = 1};
static struct ltran *lt;
static char dir[] = "/tmp/fuzz_registry_XXXXXX";
static struct rte_mempool *pool;

static struct client {
	int fd, table_fd;
	char *table;
} clients[CLIENTS];

/* --- doubles --------------------------------------------------------------------------------------- */

void
workers_kick(struct ltran *l)
{
}

void
workers_synchronize(struct ltran *l)
{
}

struct policer *
policer_get(struct ltran *l, uint32_t addr)
{
	return NULL;
}

bool
policer_pass(struct policer *p, uint32_t bytes)
{
	return true;
}

int
ring_open(struct ltran *l, struct member *m, char *err, size_t err_len)
{
	return 0;
}

void
ring_close(struct ltran *l, struct member *m)
{
}

int
rings_fd(void)
{
	static int fd = -1;

	return fd < 0 ? fd = epoll_create1(EPOLL_CLOEXEC) : fd;
}

void
rings_serve(uint64_t now_us)
{
}

bool
ring_connect(struct member *m, uint64_t now_us)
{
	return true;
}

bool
ring_is_broken(struct member *m, char why[RING_TEXT_MAX])
{
	return false;
}

/* stderr is the registry's. */
static void
require(bool holds, const char *what)
{
	if (!holds)
		puts(what);
	fflush(stdout);
	fuzz_require(holds, what);
}

/* --- the world ------------------------------------------------------------------------------------- */

/* Without pipes: a sanitizer keeps two to its symbolizer, the registry makes none. */
static unsigned int
open_files(bool says_which)
{
	DIR *d = opendir("/proc/self/fd");
	struct dirent *e;
	char target[128];
	unsigned int n = 0;
	ssize_t len;

	while ((e = readdir(d)) != NULL) {
		len = readlinkat(dirfd(d), e->d_name, target, sizeof(target));
		if (len > 0 && memcmp(target, "pipe:", RTE_MIN(len, 5)) == 0)
			continue;
		if (says_which && len > 0)
			printf("%s %.*s\n", e->d_name, (int)len, target);
		n++;
	}
	closedir(d);
	return n;
}

#ifndef FUZZ_LIBFUZZER /* which does both itself: its watchdog is a SIGALRM, and -close_fd_mask=2 */
static void
on_alarm(int signal)
{
}

/* Calls that wait are interrupted: those on a socket with a timeout never go on by themselves. */
static void
make_noise(void)
{
	const struct itimerval often = {.it_interval.tv_usec = ALARM_US, .it_value.tv_usec = ALARM_US};
	const struct sigaction interrupts = {.sa_handler = on_alarm};

	require(freopen("/dev/null", "w", stderr) != NULL, "no /dev/null");
	require(sigaction(SIGALRM, &interrupts, NULL) == 0 && setitimer(ITIMER_REAL, &often, NULL) == 0,
		"no alarm");
}
#else
#define make_noise() ((void)0)
#endif

static void
make_world(void)
{
	char err[256];

	log_set_level(LOG_LEVEL_ERROR);
	make_noise();
	require(mkdtemp(dir) != NULL && eal_test_start() == 0, "no EAL");
	lt = calloc(1, sizeof(*lt));
	lt->conf = &conf;
	lt->n_workers = 2;
	pool = rte_pktmbuf_pool_create("fuzz", 4095, 0, 0, 256, SOCKET_ID_ANY);
	lt->pool = lt->control_pool = pool;
	lt->control = rte_ring_create("control", CONTROL_RING, SOCKET_ID_ANY, 0);
	lt->heard = rte_ring_create("heard", 64, SOCKET_ID_ANY, 0);
	require(bells_start(lt) == 0, "no bells");
	require(pool != NULL && registry_start_in(lt, dir, err, sizeof(err)) == 0, "no registry");
	lt->registry->per_s = UINT32_MAX; /* it is in a hurry */
}

static int
dial(void)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	struct timeval wait = {.tv_sec = 60}; /* the machine may have other work */
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0), ret;

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/" LTRAN_SOCKET, dir);
	do {
		ret = connect(fd, (struct sockaddr *)&addr, sizeof(addr));
	} while (ret < 0 && errno == EINTR);
	require(ret == 0, "ltran has gone");
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
	return fd;
}

static void
open_client(struct client *c, bool is_sealed)
{
	struct ltran_table_head head = {.magic = LTRAN_MAGIC, .version = LTRAN_VERSION, .n_tables = 2,
		.n_slots = SLOTS};

	if (c->fd >= 0)
		return;
	c->fd = dial();
	c->table_fd = memfd_create("fuzz", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	require(fallocate(c->table_fd, 0, 0, TABLE_BYTES) == 0, "no table");
	c->table = mmap(NULL, TABLE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, c->table_fd, 0);
	require(c->table != MAP_FAILED, "no table");
	memcpy(c->table, &head, sizeof(head));
	if (is_sealed)
		fcntl(c->table_fd, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL);
}

static void
close_client(struct client *c)
{
	if (c->fd < 0)
		return;
	close(c->fd);
	close(c->table_fd);
	munmap(c->table, TABLE_BYTES);
	c->fd = -1;
}

/* Any answer counts, none as well: the connection may have been ended. */
static void
hear(const struct client *c)
{
	char answer[1024];
	ssize_t n;

	do {
		n = recv(c->fd, answer, sizeof(answer), 0);
	} while (n < 0 && errno == EINTR);
	require(n >= 0 || errno == ECONNRESET, "ltran does not answer");
}

static void
say(struct client *c, const void *message, size_t len, unsigned int n_fds)
{
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(3 * sizeof(int))];
	} control = {.head = {.cmsg_len = CMSG_LEN(n_fds * sizeof(int)), .cmsg_level = SOL_SOCKET,
		.cmsg_type = SCM_RIGHTS}};
	int fds[3] = {c->table_fd, c->table_fd, c->table_fd};
	struct iovec iov = {.iov_base = (void *)message, .iov_len = len};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control,
		.msg_controllen = CMSG_SPACE(n_fds * sizeof(int))};

	memcpy(CMSG_DATA(&control.head), fds, n_fds * sizeof(int));
	if (n_fds == 0)
		msg.msg_control = NULL, msg.msg_controllen = 0;
	if (sendmsg(c->fd, &msg, MSG_NOSIGNAL) >= 0 && len > 0)
		hear(c);
}

/* A message of `type` with `n` bytes bent: pairs of place and value. Returns the bytes used. */
static size_t
bend_and_say(struct client *c, uint16_t type, const uint8_t *data, size_t size)
{
	union registry_message q = {.header = {.magic = LTRAN_MAGIC, .version = LTRAN_VERSION,
		.type = type}};
	size_t len = type == LTRAN_REGISTER ? sizeof(q.request) :
		type == LTRAN_LISTEN ? sizeof(q.listen) : sizeof(q.ports);
	size_t n = size > 0 ? data[0] % 8 : 0, i;

	if (type == LTRAN_REGISTER) {
		q.request.addr = ADDR;
		q.request.mask = RTE_BE32(0xffffff00);
		q.request.n_queues = 2;
		q.request.mtu = 1500;
	} else if (type == LTRAN_LISTEN) {
		q.listen.port = RTE_BE16(80);
		q.listen.protocol = 6;
	}
	for (i = 0; i < n && 2 * i + 2 < size; i++)
		((uint8_t *)&q)[data[2 * i + 1] % sizeof(q)] ^= data[2 * i + 2];
	say(c, &q, len, type == LTRAN_REGISTER ? 1 + n / 7 : 0);
	return 1 + 2 * i;
}

/* A slot of its table, or a byte of it. */
static size_t
write_table(struct client *c, const uint8_t *data, size_t size)
{
	struct ltran_slot *table = (struct ltran_slot *)(c->table + LTRAN_TABLE_OFFSET);

	if (size < 3)
		return size;
	if (data[0] % 2 == 0)
		ltran_table_add(table, SLOTS, ltran_slot_key(PEER, data[1], data[2]), 6);
	else
		c->table[(data[1] * 256 + data[2]) % TABLE_BYTES] ^= data[0];
	return 3;
}

struct blocks {
	uint64_t of[256][LTRAN_BLOCK_WORDS]; /* by the last byte of the address */
};

static void
count_blocks(void *arg, const struct member *m)
{
	uint64_t *of = ((struct blocks *)arg)->of[ntohl(m->addr) & 0xff];

	for (unsigned int w = 0; w < LTRAN_BLOCK_WORDS; w++) {
		require((of[w] & m->blocks[w]) == 0, "a port is two instances'");
		of[w] |= m->blocks[w];
	}
}

static void
check_ports(void)
{
	struct blocks blocks = {0};

	registry_each(lt, count_blocks, &blocks);
}

static void
count_member(void *arg, const struct member *m)
{
	++*(unsigned int *)arg;
}

/* Everybody has gone; ltran has seen it within ten seconds. Farewells go on meanwhile, and
 * their frames are taken out: there is a moment without any. */
static void
check_rest(unsigned int files)
{
	unsigned int n = 1, packets = 1;
	struct rte_mbuf *m;

	for (unsigned int i = 0; i < 10000 && (n > 0 || open_files(false) > files || lt->hearing ||
		packets > 0); i++) {
		n = 0;
		registry_each(lt, count_member, &n);
		while (rte_ring_dequeue(lt->control, (void **)&m) == 0)
			rte_pktmbuf_free(m);
		packets = rte_mempool_in_use_count(pool);
		usleep(1000);
	}
	require(n == 0, "an instance is still registered");
	require(open_files(open_files(false) > files) <= files, "descriptors are left");
	require(packets == 0, "packets are left");
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static unsigned int n_runs, files;

	if (lt == NULL) {
		make_world();
		files = open_files(false);
		for (unsigned int i = 0; i < CLIENTS; i++)
			clients[i].fd = -1;
	}
	while (size >= 2) {
		struct client *c = &clients[data[0] % CLIENTS];
		uint8_t what = data[0] / CLIENTS % 8;
		size_t used = 1;

		open_client(c, what != 7);
		if (what < 3)
			used += bend_and_say(c, LTRAN_REGISTER + what, data + 1, size - 1);
		else if (what == 3)
			used += write_table(c, data + 1, size - 1);
		else if (what == 4)
			close_client(c);
		else if (what == 5)
			say(c, data + 1, used = 1 + data[1] % RTE_MIN(size - 1, (size_t)250), 0);
		check_ports();
		used = RTE_MIN(used, size);
		data += used;
		size -= used;
	}
	for (unsigned int i = 0; i < CLIENTS; i++)
		close_client(&clients[i]);
	if (++n_runs % CHECK_RUNS == 0)
		check_rest(files);
	return 0;
}

/* The first byte: client and what it does, then the numbers of bent bytes. */
static const char *const seeds[] = {
	"\x40\x40" "\x44\x40" "\x45\x40" "\x48\x40" "\x4c\x40\x11\x12" "\x50\x40",
	"\x40\x40" "\x41\x40" "\x45\x40" "\x46\x40" "\x42\x41\x10\x01" "\x48\x40" "\x49\x40" "\x50",
	"\x40\x42\x24\x01\x10\x03" "\x41\x40" "\x5cxx" "\x41\x40" "\x55" "abcdefgh",
	"\x40\x41\x27\x01" "\x4d\x41\x10\x01" "\x41\x40" "\x40\x40",
};

FUZZ_MAIN(seeds)
