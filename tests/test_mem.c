/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What peers can take of a stack's packet memory, on the simulator. B is under attack; that every
 * byte charged is given back, sim_teardown() checks after each test.
 */
#include "stack/edge.h"
#include "stack/impl.h"
#include "stack/lwip_image.h"
#include "tests/cunit_main.h"
#include "tests/sim.h"

#include <errno.h>
#include <rte_ether.h>
#include <rte_ip.h>
#include <rte_mbuf.h>
#include <rte_tcp.h>
#include <stdlib.h>

/* Behind the headers of DPDK, whose arguments share names with it. */
#include "tests/mem_rig.h"

#define MANY 60

static struct mem *
mem_of(int side)
{
	return &sim_stack(side)->mem;
}

/* --- small segments -------------------------------------------------------------------------------- */

static void
small_unread_segments_share_packets(void)
{
	enum { N = 6000 };
	uint64_t sent = 0, got;
	struct sock *a, *b;
	unsigned int before;

	start();
	join(&a, &b);
	nodelay(a);
	before = sim_packets_free(SIM_B);
	for (int i = 0; i < N; i++) {
		sent = send_stream(a, 1, sent, 1);
		sim_run(100);
	}
	sim_run(100000);
	CU_ASSERT_EQUAL(sent, N);
	CU_ASSERT_EQUAL(sock_inq(b), N);
	CU_ASSERT(before - sim_packets_free(SIM_B) <= 2 + N / 1000);
	got = recv_stream(b, 1, 0);
	CU_ASSERT_EQUAL(got, N);
	CU_ASSERT_EQUAL(before, sim_packets_free(SIM_B));
	sock_close(a);
	sock_close(b);
	sock_close(listener);
}

/* The program reads a byte now and then: what it has begun to read is joined to as well. */
static void
a_slow_reader_of_small_segments_gets_them_in_order(void)
{
	struct sock *a, *b;
	uint64_t sent = 0, got = 0;

	start();
	join(&a, &b);
	nodelay(a);
	for (uint32_t i = 0; i < 3000; i++) {
		sent = send_stream(a, 2, sent, 1 + i * 37 % 600);
		sim_run(100);
		if (i % 3 == 0) {
			struct iovec iov = {buf, 1 + i % 700};
			ssize_t n = sock_recv(b, &iov, 1, 0, NULL, NULL);

			for (ssize_t k = 0; k < n; k++)
				CU_ASSERT_EQUAL(buf[k], pattern(2, got + (uint64_t)k));
			got += n > 0 ? (uint64_t)n : 0;
		}
	}
	sim_run(300000);
	CU_ASSERT_EQUAL(recv_stream(b, 2, got), sent);
	sock_close(a);
	sock_close(b);
	sock_close(listener);
}

/* --- many that do not read --------------------------------------------------------------------------- */

struct stream {
	struct sock *a, *b;
	uint64_t sent, got;
	uint32_t edge; /* right edge of B's window */
};

static struct stream streams[MANY];

static uint32_t
edge_of(struct sock *s)
{
	struct stack_conn_info i = {0};

	tcp_fill_info(s->stack, s, &i);
	return i.rcv_nxt + i.rcv_wnd;
}

/* RFC 9293 3.8.6.2.1 */
static void
check_edges(void)
{
	for (int i = 0; i < MANY; i++) {
		uint32_t edge = edge_of(streams[i].b);

		CU_ASSERT((int32_t)(edge - streams[i].edge) >= 0);
		streams[i].edge = edge;
	}
}

static void
open_streams(void)
{
	for (uint32_t i = 0; i < MANY; i++) {
		streams[i] = (struct stream){0};
		join(&streams[i].a, &streams[i].b);
		streams[i].edge = edge_of(streams[i].b);
	}
}

static void
close_streams(void)
{
	for (int i = 0; i < MANY; i++) {
		sock_close(streams[i].a);
		sock_close(streams[i].b);
	}
	sock_close(listener);
}

static void
send_all_streams(void)
{
	for (uint32_t i = 0; i < MANY; i++)
		streams[i].sent = send_stream(streams[i].a, i, streams[i].sent, 100000);
}

static void
unread_data_leaves_memory_for_others(void)
{
	const struct mem *m = mem_of(SIM_B);
	unsigned int least = SIM_PACKETS;
	struct sock *a, *b;
	bool done = false;

	start();
	join(&a, &b);
	nodelay(a);
	nodelay(b);
	open_streams();
	for (int round = 0; round < 150; round++) {
		send_all_streams();
		sim_run(4000);
		check_edges();
		if (round % 10 == 0)
			ping(a, b, 60000);
		if (sim_packets_free(SIM_B) < least)
			least = sim_packets_free(SIM_B);
	}
	CU_ASSERT(m->n_pressure > 0);
	CU_ASSERT(m->n_rx_drops > 0);
	CU_ASSERT(mem_used(m) <= m->high + m->high / 10);
	CU_ASSERT(least >= m->reserve);
	/* Nothing of what was dropped is lost. */
	for (int round = 0; round < 3000 && !done; round++) {
		done = true;
		for (uint32_t i = 0; i < MANY; i++) {
			streams[i].got = recv_stream(streams[i].b, i, streams[i].got);
			done = done && streams[i].got == streams[i].sent;
		}
		sim_run(10000);
		check_edges();
	}
	CU_ASSERT(done);
	CU_ASSERT_FALSE(mem_pressure(m));
	sock_close(a);
	sock_close(b);
	close_streams();
}

/* Data for peers that do not read: their programs are told to wait, others are not. */
static void
unacknowledged_data_leaves_memory_for_others(void)
{
	const struct mem *m = mem_of(SIM_B);
	unsigned int least = SIM_PACKETS;
	struct sock *a, *b;
	bool done = false;

	start();
	join(&a, &b);
	nodelay(a);
	nodelay(b);
	open_streams();
	for (int round = 0; round < 100; round++) {
		for (uint32_t i = 0; i < MANY; i++)
			streams[i].sent = send_stream(streams[i].b, i, streams[i].sent, 100000);
		sim_run(4000);
		if (round % 10 == 0)
			ping(a, b, 60000);
		if (sim_packets_free(SIM_B) < least)
			least = sim_packets_free(SIM_B);
	}
	CU_ASSERT(m->n_pressure > 0);
	CU_ASSERT(least >= m->reserve);
	for (int round = 0; round < 3000 && !done; round++) {
		done = true;
		for (uint32_t i = 0; i < MANY; i++) {
			streams[i].got = recv_stream(streams[i].a, i, streams[i].got);
			done = done && streams[i].got == streams[i].sent;
		}
		sim_run(10000);
	}
	CU_ASSERT(done);
	sock_close(a);
	sock_close(b);
	close_streams();
}

/* --- those who read at once ---------------------------------------------------------------------------- */

#define RATE_BYTES 20000 /* that somebody sends in each millisecond */

/* What arrives in 300 ms of one who sends that from `from` to `to`; `n` is its stream. */
static uint64_t
flow(struct sock *from, struct sock *to, uint32_t n, uint64_t *sent, uint64_t *got)
{
	uint64_t before = *got, end = sim_now_us + 300000;
	size_t due = 0;

	while (sim_now_us < end) {
		uint64_t had = *sent;

		due = due + RATE_BYTES > sizeof(buf) ? sizeof(buf) : due + RATE_BYTES;
		*sent = send_stream(from, n, *sent, due);
		due -= *sent - had;
		sim_run(500);
		*got = recv_stream(to, n, *got);
		sim_run(500);
		*got = recv_stream(to, n, *got);
	}
	return *got - before;
}

/* Streams from A to B and from B to A go on in the same way, also those that begin only now. */
static void
check_flows(void (*hold)(void))
{
	uint64_t sent[4] = {0}, got[4] = {0}, before[2], now;
	struct sock *a[2], *b[2];

	sim_wire.delay_us = 200;
	start();
	join(&a[0], &b[0]);
	before[0] = flow(a[0], b[0], 100, &sent[0], &got[0]);
	before[1] = flow(b[0], a[0], 101, &sent[1], &got[1]);
	open_streams();
	hold();
	CU_ASSERT(mem_pressure(mem_of(SIM_B)));
	join(&a[1], &b[1]);
	for (int i = 0; i < 4; i++) {
		now = i % 2 == 0 ? flow(a[i / 2], b[i / 2], 100 + i, &sent[i], &got[i]) :
				   flow(b[i / 2], a[i / 2], 100 + i, &sent[i], &got[i]);
		if (now < before[i % 2] * 9 / 10)
			printf("flow %d: %lu bytes, %lu before\n", i, now, before[i % 2]);
		CU_ASSERT(now >= before[i % 2] * 9 / 10);
	}
	for (int i = 0; i < 2; i++) {
		sock_close(a[i]);
		sock_close(b[i]);
	}
	close_streams();
}

static void
programs_do_not_read(void)
{
	for (int round = 0; round < 150; round++) {
		send_all_streams();
		sim_run(4000);
	}
	CU_ASSERT(mem_of(SIM_B)->n_rx_drops > 0);
}

static void
unread_data_leaves_others_their_rate(void)
{
	check_flows(programs_do_not_read);
}

static void
peers_do_not_read(void)
{
	for (int round = 0; round < 150; round++) {
		for (uint32_t i = 0; i < MANY; i++)
			streams[i].sent = send_stream(streams[i].b, i, streams[i].sent, 100000);
		sim_run(4000);
	}
}

static void
unacknowledged_data_leaves_others_their_rate(void)
{
	check_flows(peers_do_not_read);
}

static void
nobody_reads(void)
{
	for (int round = 0; round < 150; round++) {
		send_all_streams();
		for (uint32_t i = 0; i < MANY; i++)
			send_stream(streams[i].b, i, 0, 100000);
		sim_run(4000);
	}
}

static void
data_unread_on_both_sides_leaves_others_their_rate(void)
{
	check_flows(nobody_reads);
}

/* A peer sends what its window lets it, the program reads every 4 ms; from the round `from` on nothing
 * of what is sent may be dropped. */
static void
check_window(struct sock *a, struct sock *b, uint32_t n, uint64_t *sent, uint64_t *got, int from)
{
	struct mem *m = mem_of(SIM_B);
	uint64_t drops = m->n_rx_drops;

	for (int round = 0; round < 200; round++) {
		uint64_t before = *got;

		if (round == from)
			drops = m->n_rx_drops;
		for (int i = 0; i < 10; i++) {
			*sent = send_stream(a, n, *sent, sizeof(buf));
			sim_run(400);
		}
		*got = recv_stream(b, n, *got);
		CU_ASSERT(round < from || *got - before >= 10000);
	}
	CU_ASSERT_EQUAL(m->n_rx_drops, drops);
	sock_close(a);
	sock_close(b);
}

/* A connection that B begins. */
static void
join_from_b(struct sock **a, struct sock **b)
{
	struct sockaddr_in at = sim_addr(SIM_A, PORT);
	struct sock *l;

	CU_ASSERT_EQUAL_FATAL(sock_open(sim_group(SIM_A), SOCK_TCP, &l), 0);
	CU_ASSERT_EQUAL_FATAL(sock_bind(l, &at), 0);
	CU_ASSERT_EQUAL_FATAL(sock_listen(l, 1), 0);
	CU_ASSERT_EQUAL_FATAL(sock_open(sim_group(SIM_B), SOCK_TCP, b), 0);
	CU_ASSERT_EQUAL_FATAL(sock_connect(*b, &at), -EINPROGRESS);
	sim_run(1000);
	CU_ASSERT_EQUAL_FATAL(sock_accept(l, a, NULL), 0);
	sock_close(l);
}

/* Under pressure the window tells no more than there is room for beside what waits to be read, also of
 * a connection whose window was wide before, and of new ones. */
static void
the_window_leaves_room_for_what_is_unread(void)
{
	uint64_t sent = 0, got = 0;
	struct sock *a, *b;

	sim_wire.delay_us = 20;
	start();
	join(&a, &b);
	flow(a, b, 100, &sent, &got);
	open_streams();
	peers_do_not_read();
	CU_ASSERT(mem_pressure(mem_of(SIM_B)));
	/* What was on its way as the pressure began is sent again. */
	check_window(a, b, 100, &sent, &got, 50);
	join(&a, &b);
	sent = got = 0;
	check_window(a, b, 101, &sent, &got, 0);
	join_from_b(&a, &b);
	sent = got = 0;
	check_window(a, b, 102, &sent, &got, 0);
	close_streams();
}

/* --- the first packet of a connection ------------------------------------------------------------------- */

#define CROWD 1500
#define SMALL_POOL 1500 /* packets that the budget is made of */

static struct rte_mbuf *away[SIM_PACKETS];
static struct sock *crowd[CROWD][2];

/* Leave B a pool of SMALL_POOL packets, and let it find its marks anew. */
static unsigned int
shrink_pool(void)
{
	unsigned int n = 0;

	while (sim_packets_free(SIM_B) > SMALL_POOL) {
		away[n] = rte_pktmbuf_alloc(sim_stack(SIM_B)->wiring.pool);
		CU_ASSERT_PTR_NOT_NULL_FATAL(away[n]);
		n++;
	}
	mem_of(SIM_B)->high = 0;
	return n;
}

static void
restore_pool(unsigned int n)
{
	rte_pktmbuf_free_bulk(away, n);
	mem_of(SIM_B)->high = 0;
}

/* The program leaves one segment of each unread, more than the pool has packets: those who read still
 * get all, and so do new ones. */
static void
a_segment_of_everybody_does_not_take_the_pool(void)
{
	struct mem *m = mem_of(SIM_B);
	uint64_t sent = 0, got = 0;
	struct sock *a, *b, *c, *d;
	unsigned int n = shrink_pool();

	start();
	join(&a, &b);
	nodelay(a);
	nodelay(b);
	ping(a, b, 60000);
	for (uint32_t i = 0; i < CROWD; i++) {
		join(&crowd[i][0], &crowd[i][1]);
		CU_ASSERT_EQUAL(send_stream(crowd[i][0], i, 0, 1400), 1400);
		sim_run(1000);
		if (i % 10 == 0)
			ping(a, b, 10000);
	}
	CU_ASSERT(m->n_pressure > 0);
	CU_ASSERT(m->copied > 0);
	CU_ASSERT(m->copied <= m->copied_max);
	CU_ASSERT(sim_packets_free(SIM_B) >= m->reserve);
	join(&c, &d);
	nodelay(c);
	nodelay(d);
	ping(c, d, 10000);
	flow(a, b, 7, &sent, &got);
	CU_ASSERT(got >= 300 * RATE_BYTES / 2);
	for (uint32_t i = 0; i < CROWD; i++) {
		CU_ASSERT_EQUAL(recv_stream(crowd[i][1], i, 0), 1400);
		sock_close(crowd[i][0]);
		sock_close(crowd[i][1]);
		sim_run(200);
	}
	CU_ASSERT_EQUAL(m->copied, 0);
	sock_close(a);
	sock_close(b);
	sock_close(c);
	sock_close(d);
	sock_close(listener);
	sim_run(100000);
	restore_pool(n);
}

static void
what_nobody_has_accepted_is_bounded_by_listener(void)
{
	const struct mem *m = mem_of(SIM_B);
	uint64_t sent[MANY] = {0}, held = 0;
	struct sock *a[MANY], *b;

	start();
	for (int i = 0; i < MANY; i++)
		join(&a[i], NULL);
	for (int round = 0; round < 100; round++) {
		for (uint32_t i = 0; i < MANY; i++)
			sent[i] = send_stream(a[i], i, sent[i], 100000);
		sim_run(4000);
	}
	for (const struct sock *s = sim_stack(SIM_B)->all; s != NULL; s = s->all_next)
		held += s->kind == SOCK_TCP ? mem_rx_held(s) : 0;
	CU_ASSERT(m->n_pressure > 0);
	CU_ASSERT(held <= m->high);
	for (uint32_t i = 0; i < MANY; i++) {
		CU_ASSERT_EQUAL(sock_accept(listener, &b, NULL), 0);
		sock_close(b); /* unread data: reset */
		sock_close(a[i]);
	}
	sock_close(listener);
}

/* --- segments before their turn ------------------------------------------------------------------------ */

/* A segment of one byte as a peer would make it who keeps to no rules: `at` bytes into the stream. */
static struct rte_mbuf *
segment(const struct stream *x, uint32_t n, uint32_t at)
{
	struct stack *st = sim_stack(SIM_B);
	struct rte_mbuf *m = rte_pktmbuf_alloc(st->wiring.pool);
	struct stack_conn_info i = {0};
	struct rte_ipv4_hdr *ip;
	struct rte_tcp_hdr *tcp;

	CU_ASSERT_PTR_NOT_NULL_FATAL(m);
	tcp_fill_info(st, x->b, &i);
	m->l2_len = RTE_ETHER_HDR_LEN;
	m->l3_len = sizeof(*ip);
	rte_pktmbuf_append(m, m->l2_len + sizeof(*ip) + sizeof(*tcp) + 1);
	ip = rte_pktmbuf_mtod_offset(m, struct rte_ipv4_hdr *, m->l2_len);
	memset(ip, 0, sizeof(*ip) + sizeof(*tcp));
	ip->version_ihl = 0x45;
	ip->total_length = rte_cpu_to_be_16(sizeof(*ip) + sizeof(*tcp) + 1);
	ip->next_proto_id = IPPROTO_TCP;
	ip->src_addr = x->b->raddr;
	ip->dst_addr = x->b->laddr;
	tcp = (struct rte_tcp_hdr *)(ip + 1);
	tcp->src_port = x->b->rport;
	tcp->dst_port = x->b->lport;
	tcp->sent_seq = rte_cpu_to_be_32(i.rcv_nxt + at);
	tcp->recv_ack = rte_cpu_to_be_32(i.snd_nxt);
	tcp->data_off = sizeof(*tcp) / 4 << 4;
	tcp->tcp_flags = RTE_TCP_ACK_FLAG;
	tcp->rx_win = 0xffff;
	*(uint8_t *)(tcp + 1) = pattern(n, at);
	return m;
}

static void
inject(const struct stream *x, uint32_t n, uint32_t at)
{
	struct rte_mbuf *m = segment(x, n, at);
	uint64_t counts[STACK_VERDICTS] = {0};

	stack_rx_tcp(sim_stack(SIM_B), &m, 1, counts, NULL, NULL);
	CU_ASSERT_EQUAL(counts[STACK_ACCEPTED], 1);
}

/* The first ones are answered each, as a sender's recovery needs it. */
static void
early_segments_of_one_vector_are_acknowledged_together(void)
{
	struct stack *st = sim_stack(SIM_B);
	uint64_t counts[STACK_VERDICTS] = {0};
	struct rte_mbuf *m[64];
	struct stream x;
	uint32_t before;

	start();
	join(&x.a, &x.b);
	for (uint32_t i = 0; i < 64; i++)
		m[i] = segment(&x, 0, 2 + 2 * i);
	before = st->txq_tail;
	stack_rx_tcp(st, m, 64, counts, NULL, NULL);
	CU_ASSERT_EQUAL(st->txq_tail - before, 4 + 1);
	inject(&x, 0, 2 + 2 * 64);
	CU_ASSERT_EQUAL(st->txq_tail - before, 4 + 1 + 1);
	sock_close(x.a);
	sock_close(x.b);
	sock_close(listener);
}

static void
early_segments_of_many_are_bounded(void)
{
	const struct mem *m = mem_of(SIM_B);
	uint64_t drops = m->n_ooo_drops;
	struct sock *a, *b;

	start();
	join(&a, &b);
	open_streams();
	for (uint32_t k = 0; k < 250; k++) {
		for (uint32_t i = 0; i < MANY; i++)
			inject(&streams[i], i, 2 + 2 * k);
		sim_run(100);
		CU_ASSERT(m->ooo <= m->ooo_max);
	}
	CU_ASSERT(m->n_ooo_drops > drops);
	CU_ASSERT_EQUAL(m->n_ooo, MANY); /* each has its part */
	CU_ASSERT(m->ooo >= m->ooo_max / 2);
	ping(a, b, 60000);
	/* The honest sender fills the gaps, whatever is there of the rest. */
	for (uint32_t i = 0; i < MANY; i++) {
		streams[i].sent = send_stream(streams[i].a, i, 0, 1000);
		sim_run(1000);
		streams[i].got = recv_stream(streams[i].b, i, 0);
		CU_ASSERT_EQUAL(streams[i].sent, 1000);
		CU_ASSERT_EQUAL(streams[i].got, 1000);
	}
	CU_ASSERT_EQUAL(m->n_ooo, 0);
	sock_close(a);
	sock_close(b);
	close_streams();
}

/* One connection cannot push out those of others, and what it holds goes with it. */
static void
the_largest_holder_of_early_segments_gives_way(void)
{
	const struct mem *m = mem_of(SIM_B);
	uint32_t packet = edge_packet_bytes(sim_stack(SIM_B));

	start();
	open_streams();
	for (int i = 1; i < MANY; i++) /* others have one each */
		inject(&streams[i], (uint32_t)i, 2);
	((struct mem *)m)->ooo_max = 200 * packet;
	for (uint32_t k = 0; k < 256; k++)
		inject(&streams[0], 0, 2 + 2 * k);
	CU_ASSERT_EQUAL(m->n_ooo, MANY);
	CU_ASSERT(m->ooo <= m->ooo_max);
	sock_close(streams[0].b); /* data comes for it: reset */
	sim_run(1000);
	inject(&streams[1], 1, 4);
	for (uint32_t k = 0; k < 256; k++)
		inject(&streams[2], 2, 4 + 2 * k);
	CU_ASSERT(m->ooo <= m->ooo_max);
	((struct mem *)m)->high = 0; /* find the marks anew */
	close_streams();
}

/* --- datagrams ------------------------------------------------------------------------------------------- */

static void
unread_datagrams_are_bounded_by_memory(void)
{
	struct sockaddr_in at = sim_addr(SIM_B, PORT + 1);
	struct iovec iov = {buf, 1};
	unsigned int before, taken, n = 0;
	struct sock *a, *b;

	CU_ASSERT_EQUAL_FATAL(sock_open(sim_group(SIM_A), SOCK_UDP, &a), 0);
	CU_ASSERT_EQUAL_FATAL(sock_open(sim_group(SIM_B), SOCK_UDP, &b), 0);
	CU_ASSERT_EQUAL_FATAL(sock_bind(b, &at), 0);
	sim_run(1000);
	before = sim_packets_free(SIM_B);
	for (int i = 0; i < 8000; i++) {
		CU_ASSERT_EQUAL(sock_send(a, &iov, 1, 0, &at), 1);
		if (i % 50 == 0)
			sim_run(100);
	}
	sim_run(1000);
	taken = before - sim_packets_free(SIM_B);
	CU_ASSERT(mem_of(SIM_B)->n_rx_drops > 0);
	CU_ASSERT(taken >= 1000 && taken <= 2000);
	while (sock_recv(b, &iov, 1, 0, NULL, NULL) == 1)
		n++;
	CU_ASSERT_EQUAL(n, taken);
	sock_close(a);
	sock_close(b);
}

/* B sends to two peers as fast as it can for some time; the most that its segments have taken. */
static uint64_t
two_streams_for(struct stream *c, int rounds)
{
	uint64_t most = 0, now;

	while (rounds-- > 0) {
		for (uint32_t i = 0; i < 2; i++)
			c[i].sent = send_stream(c[i].b, i, c[i].sent, 100000);
		sim_run(5000);
		now = *sim_stack(SIM_B)->lw->heap_units * 32;
		most = now > most ? now : most;
		for (uint32_t i = 0; i < 2; i++)
			c[i].got = recv_stream(c[i].a, i, c[i].got);
	}
	return most;
}

/* A peer with small segments cannot make lwIP's heap grow beyond its part; everybody gets on. */
static void
segments_have_a_limit_for_all_connections(void)
{
	struct mem *m = mem_of(SIM_B);
	struct stream c[2] = {0};
	uint64_t max, before;

	start();
	for (int i = 0; i < 2; i++) {
		join(&c[i].a, &c[i].b);
		c[i].b->pcb->mss = 48;
		nodelay(c[i].b);
	}
	sim_wire.delay_us = 500;
	max = m->heap_max;
	CU_ASSERT(two_streams_for(c, 200) > 100000);
	m->heap_max = 10000;
	two_streams_for(c, 20); /* what is in flight already */
	before = c[0].got + c[1].got;
	CU_ASSERT(two_streams_for(c, 100) < 40000);
	CU_ASSERT(c[0].got + c[1].got > before + 20000);
	m->heap_max = max;
	for (int round = 0; round < 4000 && (c[0].got < c[0].sent || c[1].got < c[1].sent); round++) {
		sim_run(5000);
		for (uint32_t i = 0; i < 2; i++)
			c[i].got = recv_stream(c[i].a, i, c[i].got);
	}
	for (int i = 0; i < 2; i++) {
		CU_ASSERT_EQUAL(c[i].got, c[i].sent);
		sock_close(c[i].a);
		sock_close(c[i].b);
	}
	sock_close(listener);
}

static const struct cunit_test tests[] = {
	CUNIT_TEST(segments_have_a_limit_for_all_connections),
	CUNIT_TEST(small_unread_segments_share_packets),
	CUNIT_TEST(a_slow_reader_of_small_segments_gets_them_in_order),
	CUNIT_TEST(unread_data_leaves_memory_for_others),
	CUNIT_TEST(unacknowledged_data_leaves_memory_for_others),
	CUNIT_TEST(unread_data_leaves_others_their_rate),
	CUNIT_TEST(unacknowledged_data_leaves_others_their_rate),
	CUNIT_TEST(data_unread_on_both_sides_leaves_others_their_rate),
	CUNIT_TEST(the_window_leaves_room_for_what_is_unread),
	CUNIT_TEST(a_segment_of_everybody_does_not_take_the_pool),
	CUNIT_TEST(what_nobody_has_accepted_is_bounded_by_listener),
	CUNIT_TEST(early_segments_of_one_vector_are_acknowledged_together),
	CUNIT_TEST(early_segments_of_many_are_bounded),
	CUNIT_TEST(the_largest_holder_of_early_segments_gives_way),
	CUNIT_TEST(unread_datagrams_are_bounded_by_memory),
};

CUNIT_MAIN("mem", tests, sim_setup, sim_teardown)
