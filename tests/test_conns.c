/* SPDX-License-Identifier: BSD-3-Clause */
/* Very many connections on two stacks of the simulator: limits, tables, what each of them costs. */
#include "stack/impl.h"
#include "tests/cunit_main.h"
#include "tests/sim.h"

#include <errno.h>

#define PORT 6379

static struct sock *
listen_on_b(void)
{
	struct sockaddr_in at = sim_addr(SIM_B, PORT);
	struct sock *l;

	CU_ASSERT_EQUAL_FATAL(sock_open(sim_group(SIM_B), SOCK_TCP, &l), 0);
	CU_ASSERT_EQUAL_FATAL(sock_bind(l, &at), 0);
	CU_ASSERT_EQUAL_FATAL(sock_listen(l, 65535), 0);
	return l;
}

/* One connection from A, which B closes first. True: it came to be. */
static bool
come_and_go(struct sock *l)
{
	struct sockaddr_in at = sim_addr(SIM_B, PORT);
	struct sock *a, *b;
	bool came;

	sock_open(sim_group(SIM_A), SOCK_TCP, &a);
	sock_connect(a, &at);
	sim_run(1000);
	came = sock_accept(l, &b, NULL) == 0;
	if (came)
		sock_close(b);
	sim_run(1000);
	sock_close(a);
	sim_run(1000);
	return came;
}

static void
at_the_limit_the_oldest_time_wait_gives_way(void)
{
	uint32_t max = sim_group(SIM_B)->params.conn_max;
	struct sock *l = listen_on_b();
	int came = 0;

	sim_group(SIM_B)->params.conn_max = 10;
	for (int i = 0; i < 30; i++)
		came += come_and_go(l);
	CU_ASSERT_EQUAL(came, 30);
	CU_ASSERT_EQUAL(sim_stack(SIM_B)->n_conns, 10);
	CU_ASSERT_EQUAL(sim_stack(SIM_B)->listen_drops, 0);
	/* Live ones never do. */
	sim_group(SIM_B)->params.conn_max = max;
	sock_close(l);
}

/* The sequence numbers of a short connection with much data outrun the clock they start from. */
static void
a_syn_below_time_wait_comes_through_at_its_second_try(void)
{
	struct sockaddr_in at = sim_addr(SIM_B, PORT), from = sim_addr(SIM_A, 4000);
	static char block[60000];
	struct iovec iov = {.iov_base = block, .iov_len = sizeof(block)};
	struct sock *l = listen_on_b(), *a, *b;

	for (int i = 0; i < 2; i++) {
		sock_open(sim_group(SIM_A), SOCK_TCP, &a);
		CU_ASSERT_EQUAL(sock_bind(a, &from), 0);
		CU_ASSERT_EQUAL(sock_connect(a, &at), -EINPROGRESS);
		sim_run(1000);
		CU_ASSERT_EQUAL_FATAL(sock_accept(l, &b, NULL), 0);
		CU_ASSERT_EQUAL(sock_send(a, &iov, 1, 0, NULL), sizeof(block));
		sim_run(100000); /* a delayed ACK may hold up the end */
		CU_ASSERT_EQUAL(sock_recv(b, &iov, 1, 0, NULL, NULL), sizeof(block));
		sock_close(b);
		sim_run(1000);
		sock_close(a);
		sim_run(1000);
	}
	sock_close(l);
}

/* A port that has just been used is the last one to be used again. */
static void
ports_of_connections_go_round(void)
{
	struct sockaddr_in at = sim_addr(SIM_B, PORT), name;
	struct sock *l = listen_on_b(), *held[8], *a, *b;
	static bool used[65536];
	_Atomic uint32_t *counter;
	uint32_t begin;

	for (int i = 0; i < 8; i++) { /* a run of ports in use */
		sock_open(sim_group(SIM_A), SOCK_TCP, &held[i]);
		sock_connect(held[i], &at);
		sim_run(1000);
		sock_accept(l, &b, NULL);
		sock_close(b);
	}
	sock_name(held[0], &name);
	begin = table_port_begin(sim_stack(SIM_A), at.sin_addr.s_addr, at.sin_port, &counter);
	*counter = (uint32_t)(ntohs(name.sin_port) - STACK_PORT_FIRST) - begin;
	for (int i = 0; i < 8; i++) {
		sock_open(sim_group(SIM_A), SOCK_TCP, &a);
		sock_connect(a, &at);
		sock_name(a, &name);
		CU_ASSERT(!used[name.sin_port]);
		used[name.sin_port] = true;
		sim_run(1000);
		CU_ASSERT_EQUAL_FATAL(sock_accept(l, &b, NULL), 0);
		sock_close(b); /* TIME_WAIT is at B, and A's port free again */
		sim_run(1000);
		sock_close(a);
		sim_run(1000);
	}
	for (int i = 0; i < 8; i++)
		sock_close(held[i]);
	sock_close(l);
}

/* Who knows the port of one connection knows nothing about the next one to somebody else. */
static void
ports_of_destinations_tell_nothing_of_each_other(void)
{
	enum { N = 500 };
	unsigned int next = 0, own = 0;
	uint16_t last = 0;

	for (uint32_t i = 0; i < N; i++) {
		uint16_t p = ntohs(table_ephemeral(sim_stack(SIM_A), htonl(0xc6130000 + i), htons(443)));
		uint16_t q = ntohs(table_ephemeral(sim_stack(SIM_A), htonl(0xc6130000 + i), htons(443)));

		next += (uint16_t)(p - last) < 8;
		own += q == p + 1;
		last = q;
	}
	CU_ASSERT_TRUE(next < 8);
	CU_ASSERT_TRUE(own > N - 8); /* the same destination: the next one, but for the end of the range */
}

/* The port that is asked is not the one that asks, where both are of one address. */
static void
nobody_connects_with_himself(void)
{
	struct stack *st = sim_stack(SIM_A);
	uint32_t own = sim_addr(SIM_A, 0).sin_addr.s_addr;
	uint16_t port = htons(40000);
	bool seen = false;

	for (unsigned int i = 0; i < 0x8000; i++) { /* each one once, or twice */
		CU_ASSERT_NOT_EQUAL(table_ephemeral(st, own, port), port);
		seen = seen || table_ephemeral(st, own, htons(40001)) == port;
	}
	CU_ASSERT_TRUE(seen);
}

/* All ports of one address, or many addresses in a row: no chain is longer than chance makes it. */
static void
nobody_can_aim_at_a_bucket(void)
{
	enum { N = 65536 };
	static uint8_t chain[2][N];
	const struct stack *st = sim_stack(SIM_B);
	unsigned int worst = 0;

	for (uint32_t i = 0; i < N; i++) {
		chain[0][table_hash(st, 0x630012c6, (uint16_t)i, htons(PORT)) % N]++;
		chain[1][table_hash(st, htonl(0xc6120000 + i), htons(4000), htons(PORT)) % N]++;
	}
	for (uint32_t i = 0; i < 2 * N; i++)
		worst = chain[i / N][i % N] > worst ? chain[i / N][i % N] : worst;
	CU_ASSERT_TRUE(worst <= 12); /* 8 is likely; 13 or more: less than 1 in 10^5 */
}

/* Its ACK is delayed; until then lwIP's copy is enough. */
static void
a_small_message_holds_no_packet_until_its_ack(void)
{
	struct sock *a, *b, *l;
	char message[64] = {0};
	struct iovec iov = {.iov_base = message, .iov_len = sizeof(message)};
	unsigned int before;

	sim_connect(PORT, &a, &b, &l);
	sim_run(100000);
	before = sim_packets_out();
	CU_ASSERT_EQUAL(sock_send(a, &iov, 1, 0, NULL), sizeof(message));
	sim_run(1000);
	CU_ASSERT_EQUAL(sock_recv(b, &iov, 1, 0, NULL, NULL), sizeof(message));
	CU_ASSERT_EQUAL(a->tx_bytes_acked, 0);
	CU_ASSERT_EQUAL(sim_packets_out(), before);
	CU_ASSERT_EQUAL(a->tx_charge_acked, a->tx_charge_in);
	sock_close(a);
	sock_close(b);
	sock_close(l);
}

/* A burst of SYNs without a walk in between; those that found no room are sent again. */
static void
what_waits_for_the_port_leaves_packets_for_receiving(void)
{
	enum { N = 6000 };
	struct sockaddr_in at = sim_addr(SIM_B, PORT);
	static struct sock *a[N];
	struct sock *l = listen_on_b(), *b;
	unsigned int before = sim_packets_out(), came = 0;
	uint32_t max = sim_group(SIM_A)->params.conn_max;

	sim_group(SIM_A)->params.conn_max = sim_group(SIM_B)->params.conn_max = 2 * N;
	for (int i = 0; i < N; i++) {
		sock_open(sim_group(SIM_A), SOCK_TCP, &a[i]);
		CU_ASSERT_EQUAL_FATAL(sock_connect(a[i], &at), -EINPROGRESS);
	}
	CU_ASSERT(sim_packets_out() - before <= SIM_PACKETS / 4);
	for (int round = 0; round < 40 && came < N; round++) {
		sim_run(100000);
		while (sock_accept(l, &b, NULL) == 0) {
			came++;
			sock_close(b);
		}
	}
	CU_ASSERT_EQUAL(came, N);
	for (int i = 0; i < N; i++)
		sock_close(a[i]);
	sock_close(l);
	sim_group(SIM_A)->params.conn_max = sim_group(SIM_B)->params.conn_max = max;
}

/* Every connection is found at every step of the growth, and the rest is gone when it is removed. */
static void
the_table_grows_bit_by_bit(void)
{
	enum { N = 40000 };
	struct stack *st = sim_stack(SIM_A);
	static struct sock *s[N];
	uint32_t before = st->n_conns, mask = st->bucket_mask, worst = 0;
	unsigned int missing = 0, n_growing = 0;

	for (uint32_t i = 0; i < N; i++) {
		uint32_t moved = st->moved;

		s[i] = sock_alloc(sim_group(SIM_A), SOCK_TCP);
		s[i]->raddr = i * 2654435761u;
		s[i]->rport = (uint16_t)i;
		s[i]->lport = 80;
		table_insert(st, s[i]);
		n_growing += st->old_buckets != NULL;
		if (st->moved > moved && st->moved - moved > worst)
			worst = st->moved - moved;
		for (uint32_t k = i % 977; k <= i; k += 977)
			missing += table_find(st, table_hash(st, s[k]->raddr, s[k]->rport, 80),
					   s[k]->raddr, s[k]->rport, 80) != s[k];
		if (i % 3 == 0) { /* also from a table that is growing */
			table_remove(st, s[i / 2]);
			table_insert(st, s[i / 2]);
		}
	}
	CU_ASSERT_EQUAL(missing, 0);
	CU_ASSERT(st->bucket_mask > mask && n_growing > 0);
	CU_ASSERT(worst <= 64);
	for (uint32_t i = 0; i < N; i++) {
		table_remove(st, s[i]);
		missing += table_find(st, table_hash(st, s[i]->raddr, s[i]->rport, 80), s[i]->raddr,
				   s[i]->rport, 80) != NULL;
		sock_free(s[i]);
	}
	CU_ASSERT_EQUAL(missing, 0);
	CU_ASSERT_EQUAL(st->n_conns, before);
}

/* What a connection costs, lwIP's and the descriptor's part aside; see the target of conns-idle. */
static void
a_socket_takes_no_more_than_eleven_lines(void)
{
	CU_ASSERT(sizeof(struct sock) <= 11 * CACHE_LINE);
	CU_ASSERT_EQUAL(offsetof(struct sock, rx_in) / CACHE_LINE, offsetof(struct sock, rx_mem_out) / CACHE_LINE);
	CU_ASSERT_EQUAL(offsetof(struct sock, tx_lock) / CACHE_LINE, offsetof(struct sock, tx_pushed) / CACHE_LINE);
	CU_ASSERT_EQUAL(offsetof(struct sock, tx_head) / CACHE_LINE, offsetof(struct sock, rx_recved) / CACHE_LINE);
}

static const struct cunit_test tests[] = {
	CUNIT_TEST(at_the_limit_the_oldest_time_wait_gives_way),
	CUNIT_TEST(a_syn_below_time_wait_comes_through_at_its_second_try),
	CUNIT_TEST(ports_of_connections_go_round),
	CUNIT_TEST(ports_of_destinations_tell_nothing_of_each_other),
	CUNIT_TEST(nobody_connects_with_himself),
	CUNIT_TEST(nobody_can_aim_at_a_bucket),
	CUNIT_TEST(a_small_message_holds_no_packet_until_its_ack),
	CUNIT_TEST(what_waits_for_the_port_leaves_packets_for_receiving),
	CUNIT_TEST(the_table_grows_bit_by_bit),
	CUNIT_TEST(a_socket_takes_no_more_than_eleven_lines),
};
CUNIT_MAIN("conns", tests, sim_setup, sim_teardown)
