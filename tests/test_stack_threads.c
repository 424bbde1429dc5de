/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Many threads in one stack, both modes: servers and clients talk through the stack's own address,
 * on a wire that hands every packet back. Run under the thread sanitizer as well.
 */
#include "tests/cunit_main.h"
#include "tests/eal.h"

#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <rte_ether.h>
#include <rte_ip.h>
#include <rte_mbuf.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "stack/edge.h"
#include "stack/ready.h"
#include "stack/sock.h"
#include "stack/stack.h"

#define CLIENTS 4
#define CONNECTIONS 20 /* one after the other, per client */
#define ROUNDS 30
#define PORT 7
#define LATE_NS 15000000 /* nobody was woken: a timer of TCP's (40 ms), or of the waiter (20 ms) */

static struct rte_mempool *pool, *bulk;
static struct stack_group *group;
static _Atomic bool stop;
static bool thinks;
static _Atomic unsigned int echoed, errors, sleeps, late;

/* --- a wire that ends where it begins --------------------------------------------------------------- */

static void
walk(void *arg)
{
	struct stack *st = arg;
	uint64_t counts[STACK_VERDICTS] = {0};
	struct rte_mbuf *m, *c;

	/* What is answered to these goes out in the next walk. */
	for (int n = 0; n < 64 && stack_tx(st, &m, 1) == 1; n++) {
		c = rte_pktmbuf_copy(m, pool, 0, UINT32_MAX);
		rte_pktmbuf_free(m);
		if (c == NULL)
			continue;
		rte_pktmbuf_prepend(c, RTE_ETHER_HDR_LEN);
		c->l2_len = RTE_ETHER_HDR_LEN;
		c->l3_len = sizeof(struct rte_ipv4_hdr);
		stack_rx_tcp(st, &c, 1, counts, NULL, NULL);
	}
}

/* Nothing but kicks and timers wakes this wire: one that is lost leaves everybody asleep. */
static int
arm(void *arg, int *fds, uint64_t *until_us)
{
	atomic_fetch_add(&sleeps, 1);
	return 0;
}

static void
start(enum stack_mode mode, bool low_power)
{
	struct stack_params p = {.n_stacks = 1,
		.mode = mode,
		.addr = inet_addr("198.18.0.1"),
		.mask = htonl(0xffffff00),
		.mtu = 1500,
		.low_power = low_power,
		.conn_max = 1000};
	struct stack_wiring w = {.walk = walk, .pool = pool, .bulk = bulk, .arm = arm};

	CU_ASSERT_EQUAL_FATAL(stack_group_create(&p, &group), 0);
	w.walk_arg = stack_group_get(group, 0);
	stack_wire(stack_group_get(group, 0), &w);
	CU_ASSERT_EQUAL_FATAL(stack_group_start(group), 0);
	stop = false;
	echoed = errors = sleeps = late = 0;
}

/* --- a program ------------------------------------------------------------------------------------------ */

static int
wait_one(struct ready_set *set, struct ready_event *e, int max)
{
	struct ready_sleep s;

	for (int i = 0; i < 200000; i++) {
		int n = ready_collect(set, e, max);

		if (n > 0 || atomic_load(&stop))
			return n;
		if (ready_spins(set)) {
			ready_run(set);
		} else if (ready_sleep_begin(set, &s)) {
			struct pollfd p[2] = {{.fd = ready_fd(set), .events = POLLIN},
				{.fd = s.fd, .events = POLLIN}};

			struct timespec ts = {.tv_nsec = 20000000}; /* `stop` wakes nobody */

			if (s.us < 20000)
				ts.tv_nsec = (long)s.us * 1000;
			ppoll(p, 2, &ts, NULL);
			ready_sleep_end(set, &s);
		}
	}
	return 0;
}

static void
echo_one(struct sock *s, struct ready_watch **w)
{
	char buf[4096];
	struct iovec iov = {.iov_base = buf, .iov_len = sizeof(buf)};
	ssize_t n = sock_recv(s, &iov, 1, 0, NULL, NULL);

	if (n > 0) {
		iov.iov_len = n;
		if (sock_send(s, &iov, 1, 0, NULL) != n)
			atomic_fetch_add(&errors, 1);
	} else if (n != -EAGAIN) {
		ready_del(*w);
		*w = NULL;
		sock_close(s);
	}
}

static void *
server(void *arg)
{
	static struct sock *socks[CLIENTS * CONNECTIONS + 1];
	static struct ready_watch *watches[CLIENTS * CONNECTIONS + 1];
	struct sock *l = arg;
	struct ready_watch *lw;
	struct ready_event ev[16];
	struct ready_set *set;
	uint64_t n_socks = 1;

	memset(watches, 0, sizeof(watches));
	ready_create(group, &set);
	ready_add(set, l, EPOLLIN, 0, &lw);
	while (!atomic_load(&stop)) {
		int n = wait_one(set, ev, 16);

		for (int i = 0; i < n; i++) {
			uint64_t k = ev[i].data;

			if (k != 0) {
				echo_one(socks[k], &watches[k]);
				continue;
			}
			while (n_socks <= CLIENTS * CONNECTIONS &&
				sock_accept(l, &socks[n_socks], NULL) == 0) {
				ready_add(set, socks[n_socks], EPOLLIN, n_socks,
					&watches[n_socks]);
				n_socks++;
			}
		}
	}
	for (uint64_t k = 1; k < n_socks; k++) {
		if (watches[k] != NULL) {
			ready_del(watches[k]);
			sock_close(socks[k]);
		}
	}
	ready_destroy(set); /* with the listener's watch */
	return NULL;
}

/* Hit the moment at which an idle stack falls asleep, from before it to behind it. */
static void
think(uint32_t number)
{
	usleep(number * 7919 % 150);
}

static bool
ping_pong(struct sock *s, struct ready_set *set, struct ready_watch *w, uint32_t tag)
{
	uint32_t out[64], in[64];
	struct ready_event e;

	for (int i = 0; i < 64; i++)
		out[i] = tag + i;
	struct iovec iov = {.iov_base = out, .iov_len = sizeof(out)};

	if (sock_send(s, &iov, 1, 0, NULL) != sizeof(out))
		return false;
	ready_mod(w, EPOLLIN, 0);
	for (size_t have = 0; have < sizeof(in);) {
		ssize_t n;

		iov.iov_base = (char *)in + have;
		iov.iov_len = sizeof(in) - have;
		n = sock_recv(s, &iov, 1, 0, NULL, NULL);
		if (n > 0)
			have += n;
		else if (n != -EAGAIN || wait_one(set, &e, 1) == 0)
			return false;
	}
	return memcmp(in, out, sizeof(in)) == 0;
}

static void *
client(void *arg)
{
	struct sockaddr_in at = {.sin_family = AF_INET,
		.sin_port = htons(PORT),
		.sin_addr.s_addr = inet_addr("198.18.0.1")};
	struct ready_event e;
	struct ready_set *set;

	ready_create(group, &set);
	for (int c = 0; c < CONNECTIONS; c++) {
		struct ready_watch *w;
		struct sock *s;

		sock_open(group, SOCK_TCP, &s);
		if (sock_connect(s, &at) != -EINPROGRESS)
			atomic_fetch_add(&errors, 1);
		ready_add(set, s, EPOLLOUT, 0, &w);
		while ((sock_events(s) & EPOLLOUT) == 0 && wait_one(set, &e, 1) > 0)
			;
		for (uint32_t r = 0; r < ROUNDS; r++) {
			struct timespec from, to;

			if (thinks)
				think(r);
			clock_gettime(CLOCK_MONOTONIC, &from);
			if (ping_pong(s, set, w, r << 8 | c))
				atomic_fetch_add(&echoed, 1);
			else
				atomic_fetch_add(&errors, 1);
			clock_gettime(CLOCK_MONOTONIC, &to);
			if (to.tv_nsec - from.tv_nsec + (to.tv_sec - from.tv_sec) * 1000000000L > LATE_NS)
				atomic_fetch_add(&late, 1);
		}
		ready_del(w);
		sock_close(s);
	}
	ready_destroy(set);
	return NULL;
}

/* A third party looks on: posts operations all the time. */
static void *
onlooker(void *arg)
{
	struct stack_conn_info i[8];
	struct stack_counters c;

	while (!atomic_load(&stop)) {
		stack_conns(stack_group_get(group, 0), i, 8);
		stack_counters_read(stack_group_get(group, 0), &c);
		usleep(500);
	}
	return NULL;
}

/* True: few rounds were late. */
static bool
play_once(enum stack_mode mode, bool low_power)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(PORT)};
	int n_clients = low_power ? 1 : CLIENTS; /* one leaves pauses */
	pthread_t s, o, c[CLIENTS];
	struct sock *l;

	start(mode, low_power);
	thinks = low_power;
	sock_open(group, SOCK_TCP, &l);
	CU_ASSERT_EQUAL(sock_bind(l, &at), 0);
	CU_ASSERT_EQUAL(sock_listen(l, 64), 0);
	pthread_create(&s, NULL, server, l);
	if (!low_power) /* it would wake whoever sleeps */
		pthread_create(&o, NULL, onlooker, NULL);
	for (int i = 0; i < n_clients; i++)
		pthread_create(&c[i], NULL, client, NULL);
	for (int i = 0; i < n_clients; i++)
		pthread_join(c[i], NULL);
	atomic_store(&stop, true);
	pthread_join(s, NULL);
	if (!low_power)
		pthread_join(o, NULL);
	sock_close(l);
	CU_ASSERT_EQUAL(echoed, (unsigned int)n_clients * CONNECTIONS * ROUNDS);
	CU_ASSERT_EQUAL(errors, 0);
	return late < (unsigned int)(n_clients * CONNECTIONS * ROUNDS) / 4; /* a busy machine */
}

/* Wake-ups that are lost are lost each time; a machine is not as busy each time. */
static void
play(enum stack_mode mode, bool low_power)
{
	bool in_time = play_once(mode, low_power);

	for (int tries = 1; tries < 3 && !in_time; tries++) {
		stack_group_stop(group);
		in_time = play_once(mode, low_power);
	}
	CU_ASSERT_TRUE(in_time);
}

static void
threads_share_a_stack_in_run_to_completion(void)
{
	play(STACK_RUN_TO_COMPLETION, false);
	CU_ASSERT_EQUAL(sleeps, 0);
	stack_group_stop(group);
}

static void
threads_share_a_stack_in_run_to_wakeup(void)
{
	play(STACK_RUN_TO_WAKEUP, false);
	CU_ASSERT_EQUAL(sleeps, 0);
	stack_group_stop(group);
}

/* A program may forbid itself descriptors: then poll() takes none. */
static void
sleeps_where_no_descriptor_is_allowed(void)
{
	struct rlimit old, none;
	unsigned int before;
	struct sock *s;

	CU_ASSERT_EQUAL(getrlimit(RLIMIT_NOFILE, &old), 0);
	none = old;
	none.rlim_cur = 0;
	CU_ASSERT_EQUAL(setrlimit(RLIMIT_NOFILE, &none), 0);
	for (int i = 0; i < 3; i++) {
		before = sleeps;
		sock_open(group, SOCK_UDP, &s);
		CU_ASSERT_EQUAL(sock_bind(s, &(struct sockaddr_in){.sin_family = AF_INET}), 0);
		sock_close(s);
		usleep(100000);
		CU_ASSERT(sleeps - before > 0 && sleeps - before < 100);
	}
	CU_ASSERT_EQUAL(setrlimit(RLIMIT_NOFILE, &old), 0);
}

/* A thread that hands work to a stack that falls asleep at this moment is heard. */
static void
no_wake_up_is_lost_in_run_to_completion(void)
{
	play(STACK_RUN_TO_COMPLETION, true);
	CU_ASSERT_TRUE(sleeps > 0);
	stack_group_stop(group);
}

static void
no_wake_up_is_lost_in_run_to_wakeup(void)
{
	play(STACK_RUN_TO_WAKEUP, true);
	CU_ASSERT_TRUE(sleeps > 0);
	sleeps_where_no_descriptor_is_allowed();
	stack_group_stop(group);
}

static void
setup(void)
{
	cpu_set_t all;

	if (pool != NULL)
		return;
	/* The environment has pinned us: threads shall really meet. */
	memset(&all, 0xff, sizeof(all));
	sched_setaffinity(0, sizeof(all), &all);
	pool = rte_pktmbuf_pool_create("threads", 8191, 0, stack_priv_size(),
		RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
	bulk = rte_pktmbuf_pool_create("threads-bulk", 511, 0, stack_priv_size(),
		16384 + RTE_PKTMBUF_HEADROOM, SOCKET_ID_ANY);
	CU_ASSERT_PTR_NOT_NULL_FATAL(bulk);
}

static const struct cunit_test tests[] = {
	CUNIT_TEST(threads_share_a_stack_in_run_to_completion),
	CUNIT_TEST(threads_share_a_stack_in_run_to_wakeup),
	CUNIT_TEST(no_wake_up_is_lost_in_run_to_completion),
	CUNIT_TEST(no_wake_up_is_lost_in_run_to_wakeup),
};
EAL_TEST_MAIN("stack_threads", tests, setup, NULL)
