/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The registry for tests: the real control thread over a real socket, with instances that are
 * connections of this process. Rings and workers are test doubles.
 */
#ifndef TESTS_REGISTRY_RIG_H
#define TESTS_REGISTRY_RIG_H

#include <arpa/inet.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <rte_arp.h>
#include <rte_ip.h>
#include <rte_tcp.h>

#include "dispatcher/registry.h"
#include "dispatcher/ring.h"
#include "nodes/cksum.h"
#include "nodes/ltran_table.h"
#include "tests/eal.h"
#include "tests/open_files.h"

#define IP(a, b, c, d) RTE_BE32((uint32_t)(a) << 24 | (b) << 16 | (c) << 8 | (d))
#define ADDR IP(198, 18, 4, 7)
#define OTHER IP(198, 18, 4, 8)
#define PEER IP(198, 18, 4, 200)
#define FAR IP(10, 1, 2, 3)
#define GATEWAY IP(198, 18, 4, 1)
#define SLOTS 256
#define WAIT_S 10

static struct ltran_conf conf;
static struct ltran *lt;
static char dir[] = "/tmp/test_registry_XXXXXX";
static char err[256];
static _Atomic int n_rings;
static _Atomic bool ring_breaks;

static pthread_mutex_t walk = PTHREAD_MUTEX_INITIALIZER; /* we are a worker in the middle of it */

/* --- doubles ------------------------------------------------------------------------------------- */

void
workers_kick(struct ltran *l)
{
}

void
workers_synchronize(struct ltran *l)
{
	pthread_mutex_lock(&walk);
	pthread_mutex_unlock(&walk);
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
ring_open(struct ltran *l, struct member *m, char *e, size_t n)
{
	n_rings++;
	return 0;
}

void
ring_close(struct ltran *l, struct member *m)
{
	n_rings--;
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
	snprintf(why, RING_TEXT_MAX, "test");
	return ring_breaks;
}

/* --- instances ----------------------------------------------------------------------------------- */

struct instance {
	int fd, table_fd;
	struct ltran_table_head *head;
	struct ltran_slot *table;
	struct ltran_register q;
	struct ltran_registered a;
};

static const struct ltran_header header = {.magic = LTRAN_MAGIC, .version = LTRAN_VERSION};

static inline size_t
table_bytes(const struct instance *in)
{
	return LTRAN_TABLE_OFFSET + (size_t)in->q.n_queues * SLOTS * sizeof(struct ltran_slot);
}

static inline void
open_table(struct instance *in)
{
	in->table_fd = memfd_create("table", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	CU_ASSERT_EQUAL(fallocate(in->table_fd, 0, 0, table_bytes(in)), 0);
	in->head = mmap(NULL, table_bytes(in), PROT_READ | PROT_WRITE, MAP_SHARED, in->table_fd, 0);
	CU_ASSERT_PTR_NOT_EQUAL_FATAL(in->head, MAP_FAILED);
	*in->head = (struct ltran_table_head){.magic = LTRAN_MAGIC, .version = LTRAN_VERSION,
		.n_tables = in->q.n_queues, .n_slots = SLOTS};
	fcntl(in->table_fd, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL);
	in->table = (struct ltran_slot *)((char *)in->head + LTRAN_TABLE_OFFSET);
}

static inline int
dial(void)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	struct timeval wait = {.tv_sec = WAIT_S};

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/" LTRAN_SOCKET, dir);
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0) {
		close(fd);
		return -1;
	}
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
	return fd;
}

static inline void
begin(struct instance *in, uint32_t addr)
{
	memset(in, 0, sizeof(*in));
	in->q = (struct ltran_register){.header = header, .addr = addr, .mask = IP(255, 255, 255, 0),
		.gateway = GATEWAY, .n_queues = 1, .mtu = 1500, .program = "test"};
	in->q.header.type = LTRAN_REGISTER;
	open_table(in);
	in->fd = dial();
	CU_ASSERT_FATAL(in->fd >= 0);
}

static inline void
send_fds(int to, const void *message, size_t len, const int *fds, unsigned int n)
{
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(8 * sizeof(int))];
	} control = {.head = {.cmsg_len = CMSG_LEN(n * sizeof(int)), .cmsg_level = SOL_SOCKET,
		.cmsg_type = SCM_RIGHTS}};
	struct iovec iov = {.iov_base = (void *)message, .iov_len = len};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control,
		.msg_controllen = CMSG_SPACE(n * sizeof(int))};

	memcpy(CMSG_DATA(&control.head), fds, n * sizeof(int));
	if (n == 0)
		msg.msg_controllen = 0;
	CU_ASSERT_EQUAL(sendmsg(to, &msg, MSG_NOSIGNAL), (ssize_t)len);
}

/* What ltran answers. */
static inline int
enter(struct instance *in)
{
	send_fds(in->fd, &in->q, sizeof(in->q), &in->table_fd, in->table_fd >= 0);
	if (recv(in->fd, &in->a, sizeof(in->a), 0) != sizeof(in->a))
		return -EPIPE;
	CU_ASSERT_EQUAL(in->a.header.type, LTRAN_REGISTER);
	return in->a.header.status;
}

static inline void
end(struct instance *in)
{
	close(in->fd);
	close(in->table_fd);
	munmap(in->head, table_bytes(in));
}

static inline void
count_member(void *arg, const struct member *m)
{
	++*(unsigned int *)arg;
}

static inline unsigned int
n_members(void)
{
	unsigned int n = 0;

	registry_each(lt, count_member, &n);
	return n;
}

/* The address's entry in the map of now. */
static inline struct map_addr
entry_of(uint32_t addr)
{
	struct map_addr a;

	pthread_mutex_lock(&walk);
	a = *map_find(lt->map, addr);
	pthread_mutex_unlock(&walk);
	return a;
}

/* The control thread has done what it had to. */
#define EVENTUALLY(condition)                                                                      \
	do {                                                                                       \
		for (unsigned int tries = 0; tries < WAIT_S * 1000 && !(condition); tries++)       \
			usleep(1000);                                                              \
		CU_ASSERT_TRUE(condition);                                                         \
	} while (0)

static inline bool
is_closed(int fd)
{
	char c;

	return recv(fd, &c, 1, 0) == 0;
}

static inline void
setup(void)
{
	conf = (struct ltran_conf){.dispatch_subnet = IP(198, 18, 4, 0), .dispatch_subnet_length = 8,
		.dispatch_max_clients = 4, .tcp_conn_scan_interval = 10};
	lt = calloc(1, sizeof(*lt));
	lt->conf = &conf;
	lt->n_workers = 2;
	lt->mtu = 1500;
	lt->mac = (struct rte_ether_addr){{2, 0, 0, 0, 0, 1}};
	lt->pool = rte_mempool_lookup("test");
	if (lt->pool == NULL)
		lt->pool = eal_test_pool(8191, 0, 2048);
	lt->control_pool = lt->pool;
	lt->control = rte_ring_create("control", CONTROL_RING, SOCKET_ID_ANY, 0);
	lt->heard = rte_ring_create("heard", 64, SOCKET_ID_ANY, 0);
	ring_breaks = false;
	CU_ASSERT_EQUAL_FATAL(registry_start_in(lt, dir, err, sizeof(err)), 0);
	lt->registry->per_s = UINT32_MAX;
}

static inline void
drain(void)
{
	struct rte_mbuf *m;

	while (rte_ring_dequeue(lt->control, (void **)&m) == 0)
		rte_pktmbuf_free(m);
}

static inline void
teardown(void)
{
	registry_stop(lt);
	drain();
	CU_ASSERT_EQUAL(n_rings, 0);
	CU_ASSERT_EQUAL(rte_mempool_in_use_count(lt->pool), 0);
	map_free((struct map *)atomic_load(&lt->map));
	rte_ring_free(lt->control);
	rte_ring_free(lt->heard);
	free(lt);
}

static inline int
rig_run(const char *suite, const struct cunit_test *tests, size_t n, int argc, char **argv)
{
	char path[64];
	int ret;

	if (mkdtemp(dir) == NULL || eal_test_start() < 0)
		return 2;
	ret = cunit_run(suite, tests, n, setup, teardown, argc > 1 ? argv[1] : "");
	rte_mempool_free(rte_mempool_lookup("test"));
	rte_eal_cleanup();
	snprintf(path, sizeof(path), "%s/" LTRAN_SOCKET ".lock", dir);
	unlink(path);
	rmdir(dir);
	return ret;
}

#define RIG_MAIN(suite, tests)                                                                     \
	int main(int argc, char **argv)                                                            \
	{                                                                                          \
		return rig_run((suite), (tests), RTE_DIM(tests), argc, argv);                      \
	}

#endif
