/* SPDX-License-Identifier: BSD-3-Clause */
/* Segments before their turn and the packet memory that they may take, on the simulator; B is under attack. */
#include "stack/edge.h"
#include "tests/cunit_main.h"
#include "tests/sim.h"

#include <rte_ether.h>
#include <rte_ip.h>
#include <rte_mbuf.h>
#include <rte_tcp.h>

#include "tests/mem_rig.h"

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

static const struct cunit_test tests[] = {
	CUNIT_TEST(early_segments_of_one_vector_are_acknowledged_together),
	CUNIT_TEST(early_segments_of_many_are_bounded),
	CUNIT_TEST(the_largest_holder_of_early_segments_gives_way),
};

CUNIT_MAIN("mem_ooo", tests, sim_setup, sim_teardown)
