/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Whole graphs over a fake stack. The wire is a ring device: what a graph sends is what its own rx
 * would receive, so tests put frames in before a walk and take the answers out after it.
 */
#define EAL_TEST_VDEV "--vdev=net_ring0"
#include "tests/cunit_main.h"
#include "tests/eal.h"
#include "tests/fake_stack.h"
#include "tests/frames.h"

#include <rte_arp.h>
#include <rte_cycles.h>
#include <rte_ethdev.h>

#include "graph/graph.h"
#include "nodes/nodes.h"
#include "nodes/icmp_error.h"
#include "nodes/tx.h"

#define N_WORKERS 2

static const char *const sources[] = {
	NODE_RX, NODE_HANDOFF_RX, NODE_SOCKET_TX, NODE_IP4_TIMER,
};
static struct rte_mempool *pool;
static struct worker worker[N_WORKERS];
static struct stack stack[N_WORKERS];

static int
open_wire(void)
{
	static const struct rte_eth_conf conf;

	if (rte_eth_dev_configure(0, 1, 1, &conf) < 0 ||
		rte_eth_rx_queue_setup(0, 0, 512, SOCKET_ID_ANY, NULL, pool) < 0 ||
		rte_eth_tx_queue_setup(0, 0, 512, SOCKET_ID_ANY, NULL) < 0)
		return -1;
	return rte_eth_dev_start(0);
}

static void
send_frame(struct rte_mbuf *m)
{
	CU_ASSERT_EQUAL_FATAL(rte_eth_tx_burst(0, 0, &m, 1), 1);
}

/* Oldest frame on the wire that is no ARP request, or NULL. */
static struct rte_mbuf *
take_frame(void)
{
	struct rte_mbuf *m;

	while (rte_eth_rx_burst(0, 0, &m, 1) == 1) {
		if (rte_pktmbuf_mtod(m, struct rte_ether_hdr *)->ether_type !=
			RTE_BE16(RTE_ETHER_TYPE_ARP))
			return m;
		rte_pktmbuf_free(m);
	}
	return NULL;
}

static void
walk(unsigned int i)
{
	graph_walk(worker[i].graph);
}

/* The peer asks for our address: we know its own from then on. */
static void
teach_neighbour(void)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(pool), *answer;
	struct rte_ether_hdr *eth =
		(void *)rte_pktmbuf_append(m, sizeof(*eth) + sizeof(struct rte_arp_hdr));
	struct rte_arp_hdr *arp = (struct rte_arp_hdr *)(eth + 1);

	memset(&eth->dst_addr, 0xff, 6);
	eth->src_addr = frame_peer_mac;
	eth->ether_type = RTE_BE16(RTE_ETHER_TYPE_ARP);
	*arp = (struct rte_arp_hdr){
		.arp_hardware = RTE_BE16(1), .arp_protocol = RTE_BE16(0x800), .arp_hlen = 6,
		.arp_plen = 4, .arp_opcode = RTE_BE16(1),
	};
	arp->arp_data.arp_sha = frame_peer_mac;
	arp->arp_data.arp_sip = FRAME_PEER;
	arp->arp_data.arp_tip = FRAME_OURS;
	m->port = 0;
	while ((answer = take_frame()) != NULL)
		rte_pktmbuf_free(answer);
	send_frame(m);
	walk(0);
	walk(1);
	while ((answer = take_frame()) != NULL)
		rte_pktmbuf_free(answer);
}

static void
setup(void)
{
	char name[16];

	pool = eal_test_pool(4095, 0, 2048);
	CU_ASSERT_EQUAL_FATAL(open_wire(), 0);
	memset(stack, 0, sizeof(stack));
	for (unsigned int i = 0; i < N_WORKERS; i++) {
		struct worker *w = &worker[i];

		memset(w, 0, sizeof(*w));
		w->stack = &stack[i];
		w->index = i;
		w->n_workers = 1; /* tests of handoff set it to 2 */
		w->rxq = i == 0 ? 0 : WORKER_NO_PORT;
		w->burst = 128;
		w->mtu = 1500;
		w->addr = FRAME_OURS;
		w->mask = FRAME_MASK;
		w->mac = frame_our_mac;
		w->pool = pool;
		w->kernel_fd = -1;
		snprintf(name, sizeof(name), "ring%u", i);
		w->handoff = rte_ring_create(name, 64, SOCKET_ID_ANY, RING_F_SC_DEQ);
		w->peers[0] = &worker[0];
		w->peers[1] = &worker[1];
	}
	for (unsigned int i = 0; i < N_WORKERS; i++) {
		snprintf(name, sizeof(name), "core%u", i);
		worker[i].graph = graph_create(name, sources, RTE_DIM(sources), &worker[i]);
		CU_ASSERT_PTR_NOT_NULL_FATAL(worker[i].graph);
	}
	teach_neighbour();
}

static void
teardown(void)
{
	struct rte_mbuf *m;

	for (unsigned int i = 0; i < N_WORKERS; i++) {
		graph_destroy(worker[i].graph);
		rte_pktmbuf_free_bulk(stack[i].in, stack[i].n_in);
		rte_pktmbuf_free_bulk(worker[i].tx_backlog.pkts, worker[i].tx_backlog.n);
		while (rte_ring_sc_dequeue(worker[i].handoff, (void **)&m) == 0)
			rte_pktmbuf_free(m);
		rte_ring_free(worker[i].handoff);
	}
	while ((m = take_frame()) != NULL)
		rte_pktmbuf_free(m);
	rte_eth_dev_stop(0);
	eal_test_pool_done(pool);
}

static uint64_t
row(unsigned int i, const char *node, const char *symbol)
{
	static struct graph_node_stats s[32];
	unsigned int n = graph_stats(worker[i].graph, s, RTE_DIM(s));

	for (unsigned int k = 0; k < n; k++)
		for (unsigned int e = 0; strcmp(s[k].name, node) == 0 && e < s[k].n_errors; e++)
			if (strcmp(s[k].errors[e].row->symbol, symbol) == 0)
				return s[k].errors[e].count;
	CU_FAIL("no such row");
	return 0;
}

/* --- the way in --------------------------------------------------------------------------------- */

static void
packets_reach_the_stack(void)
{
	send_frame(frame_tcp(pool, NULL, 0, 10));
	send_frame(frame_udp(pool, 10));
	send_frame(frame_icmp(pool, 8, 10));
	walk(0);
	CU_ASSERT_EQUAL(stack[0].n_tcp, 1);
	CU_ASSERT_EQUAL(stack[0].n_udp, 1);
	CU_ASSERT_EQUAL(stack[0].n_icmp, 1);
	CU_ASSERT_EQUAL(stack[0].n_in, 3);
}

static void
what_the_stack_refuses_is_counted(void)
{
	static const struct {
		enum stack_verdict verdict;
		const char *tcp, *udp, *icmp;
	} rows[] = {
		{ STACK_NO_SOCKET, "tcp-no-socket", "udp-no-socket", "icmp-refused" },
		{ STACK_REFUSED, "tcp-refused", "udp-refused", "icmp-refused" },
		{ STACK_NO_MEMORY, "tcp-no-memory", "udp-no-memory", "icmp-no-memory" },
	};

	for (size_t i = 0; i < RTE_DIM(rows); i++) {
		uint64_t icmp = row(0, NODE_ICMP_TO_LWIP, rows[i].icmp);

		stack[0].verdict = rows[i].verdict;
		send_frame(frame_tcp(pool, NULL, 0, 10));
		send_frame(frame_udp(pool, 10));
		send_frame(frame_icmp(pool, 8, 10));
		walk(0);
		rte_pktmbuf_free(take_frame()); /* port unreachable, once */
		CU_ASSERT_EQUAL(row(0, NODE_TCP_TO_LWIP, rows[i].tcp), 1);
		CU_ASSERT_EQUAL(row(0, NODE_UDP_TO_LWIP, rows[i].udp), 1);
		CU_ASSERT_EQUAL(row(0, NODE_ICMP_TO_LWIP, rows[i].icmp), icmp + 1);
	}
}

static void
closed_udp_port_is_unreachable(void)
{
	struct rte_mbuf *m;
	uint16_t sum;

	stack[0].verdict = STACK_NO_SOCKET;
	send_frame(frame_udp(pool, 10));
	walk(0);
	m = take_frame();
	CU_ASSERT_PTR_NOT_NULL_FATAL(m);
	CU_ASSERT(rte_is_same_ether_addr(&rte_pktmbuf_mtod(m, struct rte_ether_hdr *)->dst_addr,
		&frame_peer_mac));
	CU_ASSERT_EQUAL(FRAME_IP(m)->dst_addr, FRAME_PEER);
	CU_ASSERT_EQUAL(FRAME_IP(m)->next_proto_id, IPPROTO_ICMP);
	CU_ASSERT_EQUAL(rte_raw_cksum(FRAME_IP(m), 20), 0xffff);
	CU_ASSERT_EQUAL(FRAME_L4(m, struct rte_icmp_hdr)->icmp_type, 3);
	CU_ASSERT_EQUAL(FRAME_L4(m, struct rte_icmp_hdr)->icmp_code, 3);
	CU_ASSERT_EQUAL(rte_raw_cksum_mbuf(m, 34, m->pkt_len - 34, &sum), 0);
	CU_ASSERT_EQUAL(sum, 0xffff);
	CU_ASSERT_EQUAL(m->pkt_len, 14 + 20 + 8 + 20 + 8 + 10); /* the whole datagram is quoted */
	rte_pktmbuf_free(m);
}

static void
broadcasts_are_never_answered(void)
{
	struct rte_mbuf *m = frame_udp(pool, 10);

	stack[0].verdict = STACK_NO_SOCKET;
	FRAME_IP(m)->dst_addr = 0xffffffff;
	frame_seal(m);
	send_frame(m);
	walk(0);
	CU_ASSERT_PTR_NULL(take_frame());
	CU_ASSERT_EQUAL(row(0, NODE_UDP_TO_LWIP, "udp-no-socket"), 1);
}

static void
echo_requests_have_a_rate(void)
{
	unsigned int n = 60000, before = stack[0].n_icmp;

	stack[0].verdict = STACK_REFUSED; /* frees them */
	for (unsigned int i = 0; i < n; i++) {
		send_frame(frame_icmp(pool, 8, 10));
		walk(0);
	}
	CU_ASSERT(row(0, NODE_ICMP_TO_LWIP, "echo-rate") > 0);
	CU_ASSERT(stack[0].n_icmp - before >= 20000);
	CU_ASSERT_EQUAL(stack[0].n_icmp - before + row(0, NODE_ICMP_TO_LWIP, "echo-rate"), n);
	before = stack[0].n_icmp;
	send_frame(frame_icmp(pool, 0, 10)); /* others have none */
	walk(0);
	CU_ASSERT_EQUAL(stack[0].n_icmp, before + 1);
}

static void
icmp_errors_have_a_rate(void)
{
	struct token_bucket b = { 0 };
	unsigned int n = 0;

	for (int i = 0; i < 1000; i++) /* one second in one go: the burst */
		n += icmp_error_take(&b, 1000000000, 1000000000);
	CU_ASSERT_EQUAL(n, 50);
	for (uint64_t us = 1; us <= 100001; us += 10)
		n += icmp_error_take(&b, 1000000000 + us * 1000, 1000000000);
	CU_ASSERT_EQUAL(n, 50 + 100);
	stack[0].verdict = STACK_NO_SOCKET;
	for (int i = 0; i < 60; i++)
		send_frame(frame_udp(pool, 10));
	walk(0);
	CU_ASSERT(row(0, NODE_UDP_TO_LWIP, "icmp-rate") > 0);
}

/* --- between cores ------------------------------------------------------------------------------ */

static void
packets_reach_the_owner(void)
{
	worker[0].n_workers = worker[1].n_workers = N_WORKERS;
	for (uint16_t port = 4000; port < 4010; port++) {
		struct rte_mbuf *m = frame_tcp(pool, NULL, 0, 10);

		FRAME_L4(m, struct rte_tcp_hdr)->src_port = htons(port);
		frame_seal(m);
		send_frame(m);
	}
	send_frame(frame_udp(pool, 10)); /* port 53: core 1 */
	walk(0);
	CU_ASSERT_EQUAL(stack[0].n_in, 5);
	CU_ASSERT_EQUAL(stack[1].n_in, 0);
	CU_ASSERT_EQUAL(stack[0].n_kicks, 0);
	CU_ASSERT_TRUE(stack[1].n_kicks > 0); /* it may be asleep */
	walk(1);
	CU_ASSERT_EQUAL(stack[1].n_tcp, 5);
	CU_ASSERT_EQUAL(stack[1].n_udp, 1);
	CU_ASSERT_EQUAL(stack[1].in[0]->l4_len, 20);
}

static void
full_handoff_ring_drops(void)
{
	worker[0].n_workers = worker[1].n_workers = N_WORKERS;
	for (int i = 0; i < 100; i++)
		send_frame(frame_udp(pool, 10));
	walk(0);
	CU_ASSERT_EQUAL(row(0, NODE_HANDOFF_TX, "ring-full"), 100 - 63);
	walk(1);
	CU_ASSERT_EQUAL(stack[1].n_udp, 63);
}

/* --- the way out -------------------------------------------------------------------------------- */

/* A UDP packet as a stack hands it out: at its IP header, checksums to be done. */
static struct rte_mbuf *
outgoing(void)
{
	struct rte_mbuf *m = frame_udp(pool, 100);

	rte_pktmbuf_adj(m, 14);
	rte_pktmbuf_mtod(m, struct rte_ipv4_hdr *)->src_addr = FRAME_OURS;
	rte_pktmbuf_mtod(m, struct rte_ipv4_hdr *)->dst_addr = FRAME_PEER;
	m->l2_len = 0;
	m->l3_len = 20;
	m->l4_len = 8;
	m->ol_flags = RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_IP_CKSUM | RTE_MBUF_F_TX_UDP_CKSUM;
	return m;
}

static void
packets_leave_with_checksums(void)
{
	struct rte_mbuf *m;

	stack[0].out[stack[0].n_out++] = outgoing();
	walk(0);
	m = take_frame();
	CU_ASSERT_PTR_NOT_NULL_FATAL(m);
	CU_ASSERT_EQUAL(rte_raw_cksum(FRAME_IP(m), 20), 0xffff);
	CU_ASSERT_EQUAL(rte_ipv4_udptcp_cksum_mbuf_verify(m, FRAME_IP(m), 34), 0);
	CU_ASSERT_EQUAL(m->ol_flags & (RTE_MBUF_F_TX_IP_CKSUM | RTE_MBUF_F_TX_L4_MASK), 0);
	rte_pktmbuf_free(m);
}

static void
fill_wire(void)
{
	struct rte_mbuf *m;

	do {
		m = rte_pktmbuf_alloc(pool);
		rte_pktmbuf_append(m, 60);
	} while (rte_eth_tx_burst(0, 0, &m, 1) == 1);
	rte_pktmbuf_free(m);
}

static void
empty_wire(void)
{
	struct rte_mbuf *m;

	while ((m = take_frame()) != NULL)
		rte_pktmbuf_free(m);
}

/* Besides what tests send, the neighbour table may confirm the peer at any time: one ARP frame. */
static bool
is_or_one_more(uint64_t n, uint64_t expected)
{
	return n == expected || n == expected + 1;
}

static void
packets_wait_for_a_full_port(void)
{
	uint16_t n;

	worker[0].rxq = WORKER_NO_PORT;
	fill_wire();
	for (int i = 0; i < 400; i++)
		stack[0].out[stack[0].n_out++] = outgoing();
	walk(0);
	CU_ASSERT(is_or_one_more(worker[0].tx_backlog.n, 256));
	walk(0);
	n = worker[0].tx_backlog.n;
	CU_ASSERT(is_or_one_more(n, 400));
	walk(0);
	CU_ASSERT_EQUAL(stack[0].max_asked, WORKER_TX_BACKLOG - n);
	CU_ASSERT_EQUAL(row(0, NODE_TX, "tx-ring-full"), 0);
	empty_wire();
	walk(0);
	CU_ASSERT_EQUAL(worker[0].tx_backlog.n, 0);
	CU_ASSERT_EQUAL(row(0, NODE_TX, "tx-stalled"), 0);
	walk(0);
	CU_ASSERT_EQUAL(stack[0].max_asked, GRAPH_VECTOR_MAX);
}

static void
backlog_is_bounded(void)
{
	worker[0].rxq = WORKER_NO_PORT;
	fill_wire();
	worker[0].tx_backlog.n = 0;
	for (int i = 0; i < 3; i++) { /* the stack ignores what it is asked for */
		for (int k = 0; k < 256; k++)
			stack[0].out[stack[0].n_out++] = outgoing();
		walk(0);
	}
	CU_ASSERT_EQUAL(worker[0].tx_backlog.n, WORKER_TX_BACKLOG);
	CU_ASSERT(stack[0].n_out >= 256); /* asked for nothing, it kept them */
	rte_pktmbuf_free_bulk(stack[0].out, stack[0].n_out);
	stack[0].n_out = 0;
	for (int i = 0; i < 10; i++) /* an answer made by a node has no room left */
		CU_ASSERT_EQUAL(rte_ring_mp_enqueue(worker[0].handoff, frame_udp(pool, 1)), 0);
	stack[0].verdict = STACK_NO_SOCKET;
	struct rte_mbuf *m[64];
	unsigned int n = rte_ring_sc_dequeue_burst(worker[0].handoff, (void **)m, 64, NULL);
	for (unsigned int i = 0; i < n; i++) {
		m[i]->l2_len = 14;
		m[i]->l3_len = 20;
		m[i]->l4_len = 8;
		rte_ring_mp_enqueue(worker[0].handoff, m[i]);
	}
	walk(0);
	CU_ASSERT(row(0, NODE_TX, "tx-ring-full") >= 10);
}

static void
dead_port_drops_what_waits(void)
{
	uint64_t dropped;

	worker[0].rxq = WORKER_NO_PORT;
	fill_wire();
	stack[0].out[stack[0].n_out++] = outgoing();
	walk(0);
	CU_ASSERT(is_or_one_more(worker[0].tx_backlog.n, 1));
	rte_delay_us_sleep((TX_STALL_MS + 5) * 1000);
	walk(0);
	CU_ASSERT_EQUAL(worker[0].tx_backlog.n, 0);
	dropped = row(0, NODE_TX, "tx-stalled");
	CU_ASSERT(is_or_one_more(dropped, 1));
	empty_wire();
	stack[0].out[stack[0].n_out++] = outgoing();
	walk(0);
	CU_ASSERT_EQUAL(row(0, NODE_TX, "tx-stalled"), dropped);
	CU_ASSERT_EQUAL(worker[0].tx_backlog.n, 0);
}

static void
packet_without_memory_to_join_is_dropped(void)
{
	static struct rte_mbuf *all[4096];
	struct rte_mbuf *m = outgoing();
	unsigned int n = 0;

	frame_split(m, 28);
	stack[0].out[stack[0].n_out++] = m;
	while ((all[n] = rte_pktmbuf_alloc(pool)) != NULL)
		n++;
	walk(0);
	rte_pktmbuf_free_bulk(all, n);
	CU_ASSERT_EQUAL(row(0, NODE_TX, "tx-no-memory"), 1);
	CU_ASSERT_PTR_NULL(take_frame());
}

static const struct cunit_test tests[] = {
	CUNIT_TEST(packets_reach_the_stack),
	CUNIT_TEST(what_the_stack_refuses_is_counted),
	CUNIT_TEST(closed_udp_port_is_unreachable),
	CUNIT_TEST(broadcasts_are_never_answered),
	CUNIT_TEST(echo_requests_have_a_rate),
	CUNIT_TEST(icmp_errors_have_a_rate),
	CUNIT_TEST(packets_reach_the_owner),
	CUNIT_TEST(full_handoff_ring_drops),
	CUNIT_TEST(packets_leave_with_checksums),
	CUNIT_TEST(packets_wait_for_a_full_port),
	CUNIT_TEST(backlog_is_bounded),
	CUNIT_TEST(dead_port_drops_what_waits),
	CUNIT_TEST(packet_without_memory_to_join_is_dropped),
};
EAL_TEST_MAIN("path", tests, setup, teardown)
