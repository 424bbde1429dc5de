/* SPDX-License-Identifier: BSD-3-Clause */
/* The simulated wire of sim.h. */
#include "tests/sim.h"

#include <CUnit/CUnit.h>
#include <rte_ether.h>
#include <rte_ip.h>
#include <rte_mbuf.h>
#include <rte_tcp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "stack/edge.h"
#include "stack/impl.h"
#include "tests/eal.h"

#define WIRE_MAX 8192
#define STEP_US 100

struct frame {
	struct rte_mbuf *m;
	uint64_t due_us;
};

struct side {
	struct stack_group *group;
	struct frame in[WIRE_MAX]; /* on the way to this side, in order of arrival */
	unsigned int n_in;
	struct frame held; /* by sim_wire.fate, until `overtakers` more are on the way */
	unsigned int overtakers;
	uint64_t busy_until_us;
};

struct sim_wire sim_wire;
uint64_t sim_now_us = 1000000;

static struct side sides[2];
static struct rte_mempool *pools[2], *bulk; /* packets: what a side sends, and what reaches it */
static uint64_t seed;
static unsigned int settled;

static uint32_t
chance(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (uint32_t)(seed >> 20) % 1000;
}

static uint64_t
clock_us(void)
{
	return sim_now_us;
}

static bool
is_data(const struct rte_mbuf *m)
{
	return (m->ol_flags & RTE_MBUF_F_TX_L4_MASK) == RTE_MBUF_F_TX_TCP_CKSUM &&
	       m->pkt_len > (uint32_t)m->l3_len + m->l4_len;
}

/* What port, classify and checksums do between two hosts: a fresh, plain, unshared packet. */
static struct rte_mbuf *
carry(int from, struct rte_mbuf *m)
{
	struct rte_mbuf *c = rte_pktmbuf_copy(m, pools[1 - from], 0, UINT32_MAX);
	struct rte_ipv4_hdr *ip;

	rte_pktmbuf_free(m);
	if (c == NULL)
		return NULL;
	rte_pktmbuf_prepend(c, RTE_ETHER_HDR_LEN);
	ip = rte_pktmbuf_mtod_offset(c, struct rte_ipv4_hdr *, RTE_ETHER_HDR_LEN);
	c->l2_len = RTE_ETHER_HDR_LEN;
	c->l3_len = rte_ipv4_hdr_len(ip);
	c->ol_flags = 0;
	return c;
}

static enum sim_fate
fate(int from, const struct rte_mbuf *m)
{
	const struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod(m, const struct rte_ipv4_hdr *);
	const struct rte_tcp_hdr *tcp = (const void *)((const char *)ip + rte_ipv4_hdr_len(ip));
	struct sim_segment s = {.from = from};

	if (sim_wire.fate == NULL || ip->next_proto_id != IPPROTO_TCP)
		return SIM_PASS;
	s.seq = rte_be_to_cpu_32(tcp->sent_seq);
	s.len = m->pkt_len - rte_ipv4_hdr_len(ip) - (tcp->data_off >> 4) * 4;
	return s.len > 0 ? sim_wire.fate(&s) : SIM_PASS;
}

/* When a packet that goes now arrives; 0: the queue before the wire is full. */
static uint64_t
arrival(struct side *to, uint32_t len)
{
	if (sim_wire.rate_mbps != 0) {
		if (to->busy_until_us < sim_now_us)
			to->busy_until_us = sim_now_us;
		if (to->busy_until_us > sim_now_us + sim_wire.queue_us)
			return 0;
		to->busy_until_us += len * 8 / sim_wire.rate_mbps;
		return to->busy_until_us + sim_wire.delay_us;
	}
	return sim_now_us + sim_wire.delay_us;
}

static void
release_held(struct side *to)
{
	if (to->held.m == NULL || --to->overtakers > 0)
		return;
	to->held.due_us = to->in[to->n_in - 1].due_us;
	to->in[to->n_in++] = to->held;
	to->held.m = NULL;
}

static bool
tapped(int from, struct rte_mbuf *m)
{
	uint8_t whole[65536];
	const uint8_t *ip;
	bool taken;

	if (sim_wire.tap == NULL)
		return false;
	ip = rte_pktmbuf_read(m, 0, m->pkt_len, whole);
	taken = sim_wire.tap(from, ip, m->pkt_len);
	if (taken)
		rte_pktmbuf_free(m);
	return taken;
}

void
sim_inject(int to, const void *ip, uint16_t len)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(pools[to]);
	char *at = m != NULL ? rte_pktmbuf_append(m, RTE_ETHER_HDR_LEN + len) : NULL;

	if (at == NULL || sides[to].n_in + 1 >= WIRE_MAX) {
		fprintf(stderr, "sim: cannot inject\n");
		exit(2);
	}
	memcpy(at + RTE_ETHER_HDR_LEN, ip, len);
	m->l2_len = RTE_ETHER_HDR_LEN;
	m->l3_len = rte_ipv4_hdr_len(rte_pktmbuf_mtod_offset(m, struct rte_ipv4_hdr *,
		RTE_ETHER_HDR_LEN));
	sides[to].in[sides[to].n_in++] = (struct frame){.m = m, .due_us = sim_now_us};
}

static void
put_frame(int from, struct rte_mbuf *m)
{
	struct side *to = &sides[1 - from];
	enum sim_fate what = fate(from, m);
	struct frame f = {.due_us = arrival(to, m->pkt_len)};
	unsigned int at = to->n_in;
	bool nth = from == SIM_A && is_data(m) && ++sim_wire.with_data == sim_wire.lose_nth;

	if (nth || sim_wire.cut || chance() < sim_wire.loss_permille || at + 1 == WIRE_MAX ||
	    what == SIM_DROP || f.due_us == 0) {
		sim_wire.lost++;
		rte_pktmbuf_free(m);
		return;
	}
	sim_wire.passed++;
	f.m = carry(from, m);
	if (f.m == NULL)
		return;
	if (what >= SIM_HOLD1 && to->held.m == NULL) {
		to->held = f;
		to->overtakers = what - SIM_HOLD1 + 1;
		return;
	}
	if (at > 0 && chance() < sim_wire.reorder_permille) {
		to->in[at] = to->in[at - 1];
		at--;
	}
	to->in[at] = f;
	to->n_in++;
	release_held(to);
}

/* What a port with TSO makes of a large packet: `off` bytes of payload on, one segment. */
static struct rte_mbuf *
segment_of(int from, struct rte_mbuf *m, uint32_t off)
{
	struct rte_mempool *pool = pools[from];
	uint32_t hdr = m->l3_len + m->l4_len, all = m->pkt_len - hdr;
	uint32_t len = all - off < m->tso_segsz ? all - off : m->tso_segsz;
	struct rte_mbuf *head = rte_pktmbuf_copy(m, pool, 0, hdr);
	struct rte_mbuf *data = rte_pktmbuf_copy(m, pool, hdr + off, len);
	struct rte_ipv4_hdr *ip;
	struct rte_tcp_hdr *tcp;

	if (head == NULL || data == NULL) {
		fprintf(stderr, "sim: pool is empty\n");
		exit(2);
	}
	ip = rte_pktmbuf_mtod(head, struct rte_ipv4_hdr *);
	tcp = rte_pktmbuf_mtod_offset(head, struct rte_tcp_hdr *, m->l3_len);
	ip->total_length = rte_cpu_to_be_16(hdr + len);
	tcp->sent_seq = rte_cpu_to_be_32(rte_be_to_cpu_32(tcp->sent_seq) + off);
	if (off + len < all)
		tcp->tcp_flags &= ~(RTE_TCP_PSH_FLAG | RTE_TCP_FIN_FLAG);
	rte_pktmbuf_chain(head, data);
	return head;
}

static void
note(const struct rte_mbuf *m)
{
	static uint32_t end;
	const struct rte_tcp_hdr *tcp =
		rte_pktmbuf_mtod_offset(m, const struct rte_tcp_hdr *, m->l3_len);
	uint32_t seq = rte_be_to_cpu_32(tcp->sent_seq);

	if (tcp->tcp_flags & RTE_TCP_SYN_FLAG)
		end = seq;
	if (!is_data(m))
		return;
	sim_wire.largest = RTE_MAX(sim_wire.largest, m->pkt_len);
	if ((int32_t)(seq - end) < 0)
		sim_wire.again_large = RTE_MAX(sim_wire.again_large, m->pkt_len);
	else
		end = seq + m->pkt_len - m->l3_len - m->l4_len;
}

static void
send_frames(int from)
{
	struct rte_mbuf *m;

	while (stack_tx(stack_group_get(sides[from].group, 0), &m, 1) == 1) {
		uint32_t off = 0, payload = m->pkt_len - m->l3_len - m->l4_len;

		if (tapped(from, m))
			continue;

		if (from == SIM_A && (m->ol_flags & RTE_MBUF_F_TX_TCP_CKSUM))
			note(m);
		if (!(m->ol_flags & RTE_MBUF_F_TX_TCP_SEG) || sim_wire.whole) {
			put_frame(from, m);
			continue;
		}
		for (; off < payload; off += m->tso_segsz)
			put_frame(from, segment_of(from, m, off));
		rte_pktmbuf_free(m);
	}
}

static void
deliver(int to, struct rte_mbuf *m)
{
	struct stack *st = stack_group_get(sides[to].group, 0);
	const struct rte_ipv4_hdr *ip =
		rte_pktmbuf_mtod_offset(m, struct rte_ipv4_hdr *, m->l2_len);
	uint64_t counts[STACK_VERDICTS] = {0};

	if (ip->next_proto_id == IPPROTO_TCP)
		stack_rx_tcp(st, &m, 1, counts, NULL, NULL);
	else if (ip->next_proto_id == IPPROTO_UDP)
		stack_rx_udp(st, &m, 1, counts, NULL, NULL);
	else
		stack_rx_icmp(st, &m, 1, counts);
}

/* One walk of one side: what has arrived goes in, what the stack has sent goes out. */
static void
walk(void *arg)
{
	int me = (int)(intptr_t)arg;
	struct side *s = &sides[me];
	unsigned int n = 0;

	while (n < s->n_in && s->in[n].due_us <= sim_now_us)
		deliver(me, s->in[n++].m);
	memmove(s->in, s->in + n, (s->n_in - n) * sizeof(s->in[0]));
	s->n_in -= n;
	send_frames(me);
}

static void
make_side(int me)
{
	struct stack_params p = {.n_stacks = 1,
		.mode = STACK_RUN_TO_COMPLETION,
		.addr = sim_addr(me, 0).sin_addr.s_addr,
		.mask = htonl(0xffffff00),
		.mtu = 1500,
		.udp_enable = true,
		.conn_max = 5000,
		.clock_us = clock_us};
	if (stack_group_create(&p, &sides[me].group) != 0) {
		fprintf(stderr, "sim: no stack\n");
		exit(2);
	}
}

void
sim_tso(uint16_t max)
{
	static _Atomic uint16_t tso_max;

	tso_max = max;
	for (int me = SIM_A; me <= SIM_B; me++) {
		struct stack_wiring w = {.walk = walk,
			.walk_arg = (void *)(intptr_t)me,
			.pool = pools[me],
			.bulk = bulk,
			.tso_max = &tso_max};

		stack_wire(stack_group_get(sides[me].group, 0), &w);
	}
}

unsigned int
sim_packets_out(void)
{
	return rte_mempool_in_use_count(pools[SIM_A]) + rte_mempool_in_use_count(pools[SIM_B]) +
	       rte_mempool_in_use_count(bulk);
}

unsigned int
sim_packets_free(int side)
{
	return rte_mempool_avail_count(pools[side]);
}

static struct rte_mempool *
make_pool(const char *name)
{
	return rte_pktmbuf_pool_create(name, SIM_PACKETS, 0, stack_priv_size(),
		RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
}

void
sim_setup(void)
{
	if (bulk == NULL) {
		if (eal_test_start() < 0) {
			fprintf(stderr, "sim: no EAL\n");
			exit(2);
		}
		lwip_assert_aborts = true;
		pools[SIM_A] = make_pool("sim-a");
		pools[SIM_B] = make_pool("sim-b");
		bulk = rte_pktmbuf_pool_create("sim-bulk", 511, 0, stack_priv_size(),
			16384 + RTE_PKTMBUF_HEADROOM, SOCKET_ID_ANY);
		if (pools[SIM_A] == NULL || pools[SIM_B] == NULL || bulk == NULL) {
			fprintf(stderr, "sim: no pool\n");
			exit(2);
		}
		make_side(SIM_A);
		make_side(SIM_B);
	}
	sim_tso(0);
	seed = 0x9e3779b97f4a7c15ull;
	memset(&sim_wire, 0, sizeof(sim_wire));
	sim_wire.delay_us = 20;
	settled = sim_packets_out();
}

void
sim_teardown(void)
{
	struct stack_conn_info i;

	memset(&sim_wire, 0, sizeof(sim_wire));
	for (int s = 0; s < 130; s++) { /* TIME_WAIT, and FINs that were lost */
		sim_run(1000);
		sim_now_us += 1000000;
	}
	sim_run(10000);
	CU_ASSERT_EQUAL(stack_conns(sim_stack(SIM_A), &i, 1), 0);
	CU_ASSERT_EQUAL(stack_conns(sim_stack(SIM_B), &i, 1), 0);
	CU_ASSERT_EQUAL(sim_packets_out(), settled);
	/* What was charged to a socket has been given back to the byte. */
	for (int side = SIM_A; side <= SIM_B; side++) {
		const struct mem *m = &sim_stack(side)->mem;

		CU_ASSERT_EQUAL(m->rx.used, 0);
		CU_ASSERT_EQUAL(m->tx.used, 0);
		CU_ASSERT_EQUAL(m->ooo, 0);
		CU_ASSERT_EQUAL(m->copied, 0);
	}
}

struct stack_group *
sim_group(int side)
{
	return sides[side].group;
}

struct stack *
sim_stack(int side)
{
	return stack_group_get(sides[side].group, 0);
}

struct sockaddr_in
sim_addr(int side, uint16_t port)
{
	return (struct sockaddr_in){.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(0xc6120001u + (uint32_t)side)};
}

/* In place of libc's: in virtual time nobody is waited for, and on a busy machine each yield of an idle
 * stack would last a time slice of somebody else. */
int
sched_yield(void)
{
	return 0;
}

void
sim_run(uint64_t us)
{
	struct ready_set *sets[2];

	for (int i = 0; i < 2; i++)
		ready_create(sides[i].group, &sets[i]);
	for (uint64_t end = sim_now_us + us; sim_now_us < end; sim_now_us += STEP_US) {
		ready_run(sets[SIM_A]);
		ready_run(sets[SIM_B]);
	}
	ready_destroy(sets[SIM_A]);
	ready_destroy(sets[SIM_B]);
}

void
sim_connect(uint16_t port, struct sock **a, struct sock **b, struct sock **listener)
{
	struct sockaddr_in at = sim_addr(SIM_B, port);

	CU_ASSERT_EQUAL_FATAL(sock_open(sim_group(SIM_B), SOCK_TCP, listener), 0);
	CU_ASSERT_EQUAL_FATAL(sock_bind(*listener, &at), 0);
	CU_ASSERT_EQUAL_FATAL(sock_listen(*listener, 64), 0);
	CU_ASSERT_EQUAL_FATAL(sock_open(sim_group(SIM_A), SOCK_TCP, a), 0);
	CU_ASSERT_EQUAL_FATAL(sock_connect(*a, &at), -EINPROGRESS);
	for (int i = 0; i < 100; i++) {
		sim_run(100000);
		if (sock_accept(*listener, b, NULL) == 0)
			return;
	}
	CU_FAIL_FATAL("connection not accepted");
}
