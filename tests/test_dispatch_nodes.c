/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ltran's nodes in one graph between rings and a wire of the test: who gets what, what is counted,
 * who waits for whom. librte_vhost is not linked; its two calls of the packet path are here.
 */
#include "tests/cunit_main.h"
#include "tests/eal.h"
#include "tests/frames.h"

#include <stdlib.h>

#include <rte_arp.h>
#include <rte_ring.h>
#include <rte_vhost.h>

#include "dispatcher/dispatch.h"
#include "dispatcher/turn_pool.h"
#include "nodes/nodes.h"
#include "nodes/tx.h"

#define ADDR_A FRAME_PEER /* frames.h: frames of the peer to us */
#define ADDR_B FRAME_OURS
#define OTHER RTE_BE32(0xc6120063)
#define RING_MAX 64
#define STATS_MAX 16

struct ring {
	struct rte_mbuf *out[RING_MAX]; /* what the instance sends, oldest first */
	unsigned int n_out;
	unsigned int n_in, in_bytes, room; /* what it got */
};

static struct rte_mempool *pool;
static struct ring rings[3];
static struct member members[3];
static struct member_stats stats[3];
static struct ltran lt;
static struct dispatch_worker dw;
static struct map *map;
static struct graph *graph;
static struct rte_mbuf *wire[RING_MAX], *feed[RING_MAX];
static unsigned int n_wire, n_feed, n_kernel;
static bool port_stands_still;

/* --- doubles ---------------------------------------------------------------------------------------- */

uint16_t
rte_vhost_dequeue_burst(int vid, uint16_t queue_id, struct rte_mempool *mp, struct rte_mbuf **pkts,
	uint16_t count)
{
	struct ring *r = &rings[vid];
	uint16_t n = RTE_MIN(count, r->n_out);

	CU_ASSERT_EQUAL(queue_id % 2, 1);
	memcpy(pkts, r->out, n * sizeof(*pkts));
	r->n_out -= n;
	memmove(r->out, r->out + n, r->n_out * sizeof(*r->out));
	return n;
}

uint16_t
rte_vhost_enqueue_burst(int vid, uint16_t queue_id, struct rte_mbuf **pkts, uint16_t count)
{
	struct ring *r = &rings[vid];
	uint16_t n = RTE_MIN(count, r->room);

	CU_ASSERT_EQUAL(queue_id, 0);
	for (uint16_t i = 0; i < n; i++)
		r->in_bytes += pkts[i]->pkt_len;
	r->n_in += n;
	r->room -= n;
	return n;
}

bool
tx_send_waiting(struct worker *w)
{
	if (port_stands_still)
		return false;
	w->tx_backlog.n = 0; /* all taken */
	return true;
}

void
workers_kick(struct ltran *l)
{
}

void
workers_synchronize(struct ltran *l)
{
}

static uint16_t
process_feed(struct rte_graph *rg, struct rte_node *node, void **objs, uint16_t n)
{
	if (n_feed == 0)
		return 0;
	memcpy(node->objs, feed, n_feed * sizeof(*feed));
	node->idx = n_feed;
	n_feed = 0;
	graph_forward_all(rg, node, node->objs, 0, node->idx);
	return node->idx;
}

static const char *const feed_edges[] = {NODE_DISPATCH_IN};
static struct graph_node feed_node = {.name = "feed", .source = true, .process = process_feed,
	.edges = feed_edges, .n_edges = 1};
GRAPH_NODE(feed_node)

static uint16_t
process_tx(struct rte_graph *rg, struct rte_node *node, void **objs, uint16_t n)
{
	for (uint16_t i = 0; i < n; i++)
		wire[n_wire++] = objs[i];
	return n;
}

static uint16_t
process_kernel(struct rte_graph *rg, struct rte_node *node, void **objs, uint16_t n)
{
	n_kernel += n;
	rte_pktmbuf_free_bulk((struct rte_mbuf **)objs, n);
	return n;
}

static uint16_t
process_drop(struct rte_graph *rg, struct rte_node *node, void **objs, uint16_t n)
{
	rte_pktmbuf_free_bulk((struct rte_mbuf **)objs, n);
	return n;
}

#define SINK(id, node_name, fn)                                                                    \
	static struct graph_node id = {.name = node_name, .process = fn};                          \
	GRAPH_NODE(id)

SINK(tx_sink, NODE_TX, process_tx)
SINK(gso_sink, NODE_GSO, process_tx)
SINK(kernel_sink, NODE_KERNEL_TX, process_kernel)
SINK(reset_sink, NODE_RESET, process_drop)
SINK(reass_sink, NODE_IP4_REASS, process_drop)
SINK(drop_sink, NODE_DROP, process_drop)

/* --- one host with three instances ------------------------------------------------------------------- */

static void
setup(void)
{
	static const struct ltran_conf conf = {.dispatch_subnet = RTE_BE32(0xc6120000),
		.dispatch_subnet_length = 8};
	const uint32_t addrs[] = {ADDR_A, ADDR_B, RTE_BE32(0xc6120005)};
	const char *const sources[] = {"feed", NODE_INSTANCE_RX, NODE_CONTROL_RX};
	struct member *list[3];

	pool = eal_test_pool(511, 0, 2048);
	memset(rings, 0, sizeof(rings));
	memset(stats, 0, sizeof(stats));
	memset(&dw, 0, sizeof(dw));
	for (unsigned int i = 0; i < 3; i++) {
		members[i] = (struct member){.vid = i, .index = i, .n_queues = 1, .addr = addrs[i],
			.stats = &stats[i]};
		rings[i].room = RING_MAX;
		list[i] = &members[i];
	}
	map = map_create(&conf, list, 3, NULL, 0);
	lt.control = rte_ring_create("control", 16, SOCKET_ID_ANY, RING_F_SC_DEQ);
	lt.heard = rte_ring_create("heard", 16, SOCKET_ID_ANY, RING_F_SC_DEQ);
	dw.lt = &lt;
	dw.map = map;
	dw.turn_pool = turn_pool_create(pool, 0);
	dw.w = (struct worker){.n_workers = 1, .port = 0, .pool = pool, .kernel_fd = -1,
		.mac = frame_our_mac};
	port_stands_still = false;
	n_wire = n_feed = n_kernel = 0;
	graph_reroute(NODE_GUARD, NODE_POLICE, NODE_DISPATCH_OUT); /* refused once it is done */
	graph = graph_create("core0", sources, RTE_DIM(sources), &dw);
	CU_ASSERT_PTR_NOT_NULL_FATAL(graph);
}

static void
teardown(void)
{
	graph_destroy(graph);
	turn_pool_free(dw.turn_pool);
	rte_pktmbuf_free_bulk(wire, n_wire);
	for (unsigned int i = 0; i < 3; i++)
		rte_pktmbuf_free_bulk(rings[i].out, rings[i].n_out);
	rte_ring_free(lt.control);
	rte_ring_free(lt.heard);
	map_free(map);
	eal_test_pool_done(pool);
}

static uint64_t
count(const char *node, const char *symbol)
{
	struct graph_node_stats st[STATS_MAX];
	unsigned int n = graph_stats(graph, st, STATS_MAX);

	for (unsigned int i = 0; i < n; i++)
		for (uint16_t e = 0; strcmp(st[i].name, node) == 0 && e < st[i].n_errors; e++)
			if (strcmp(st[i].errors[e].row->symbol, symbol) == 0)
				return st[i].errors[e].count;
	CU_FAIL("no such node or row");
	return 0;
}

/* A frame of instance `i`, under the NIC's MAC address. */
static struct rte_mbuf *
sends(unsigned int i, struct rte_mbuf *m, uint32_t from, uint32_t dst)
{
	rte_pktmbuf_mtod(m, struct rte_ether_hdr *)->src_addr = frame_our_mac;
	FRAME_IP(m)->src_addr = from;
	FRAME_IP(m)->dst_addr = dst;
	m->port = RTE_MBUF_PORT_INVALID;
	rings[i].out[rings[i].n_out++] = m;
	return m;
}

static struct rte_mbuf *
arrives(struct rte_mbuf *m, uint32_t dst)
{
	FRAME_IP(m)->dst_addr = dst;
	return feed[n_feed++] = m;
}

static void
wire_reaches_rings(void)
{
	arrives(frame_udp(pool, 8), ADDR_B);
	arrives(frame_udp(pool, 8), ADDR_A);
	arrives(frame_udp(pool, 8), ADDR_B);
	graph_walk(graph);
	CU_ASSERT_EQUAL(rings[1].n_in, 2);
	CU_ASSERT_EQUAL(rings[0].n_in, 1);
	CU_ASSERT_EQUAL(stats[1].rx_pkts, 2);
	CU_ASSERT_EQUAL(stats[1].rx_bytes, rings[1].in_bytes);
	CU_ASSERT_EQUAL(dw.seen[SEEN_UDP], 3);
	CU_ASSERT_EQUAL(dw.moved, 3);
}

static void
instances_reach_each_other_and_the_wire(void)
{
	sends(0, frame_udp(pool, 8), ADDR_A, ADDR_B);
	sends(0, frame_udp(pool, 8), ADDR_A, OTHER);
	rte_pktmbuf_mtod(rings[0].out[1], struct rte_ether_hdr *)->dst_addr = frame_peer_mac;
	graph_walk(graph);
	CU_ASSERT_EQUAL(rings[1].n_in, 1);
	CU_ASSERT_EQUAL(n_wire, 1);
	CU_ASSERT_EQUAL(stats[0].tx_pkts, 2);
}

static void
spoofed_packets_are_counted_under_their_instance(void)
{
	struct rte_mbuf *m;

	sends(0, frame_udp(pool, 8), ADDR_B, OTHER);
	m = sends(2, frame_udp(pool, 8), members[2].addr, OTHER);
	rte_pktmbuf_mtod(m, struct rte_ether_hdr *)->src_addr = frame_peer_mac;
	m = sends(2, frame_udp(pool, 8), members[2].addr, OTHER);
	rte_pktmbuf_mtod(m, struct rte_ether_hdr *)->ether_type = RTE_BE16(RTE_ETHER_TYPE_ARP);
	m = sends(2, frame_udp(pool, 8), members[2].addr, OTHER);
	FRAME_IP(m)->version_ihl = 0x41;
	graph_walk(graph);
	CU_ASSERT_EQUAL(n_wire + rings[0].n_in + rings[1].n_in + rings[2].n_in, 0);
	CU_ASSERT_EQUAL(stats[0].drops[MEMBER_SPOOFED_IP], 1);
	CU_ASSERT_EQUAL(stats[2].drops[MEMBER_SPOOFED_MAC], 1);
	CU_ASSERT_EQUAL(stats[2].drops[MEMBER_SPOOFED_ARP], 1);
	CU_ASSERT_EQUAL(stats[2].drops[MEMBER_BAD_FRAME], 1);
	CU_ASSERT_EQUAL(stats[0].tx_pkts + stats[2].tx_pkts, 0);
	CU_ASSERT_EQUAL(count(NODE_GUARD, "spoofed-ip"), 1);
	CU_ASSERT_EQUAL(count(NODE_GUARD, "spoofed-mac"), 1);
	CU_ASSERT_EQUAL(count(NODE_GUARD, "spoofed-arp"), 1);
	CU_ASSERT_EQUAL(count(NODE_GUARD, "bad-frame"), 1);
}

static void
full_ring_loses_its_own_packets_only(void)
{
	rings[0].room = 1;
	for (int i = 0; i < 4; i++) {
		arrives(frame_udp(pool, 8), ADDR_A);
		arrives(frame_udp(pool, 8), ADDR_B);
	}
	graph_walk(graph);
	CU_ASSERT_EQUAL(rings[0].n_in, 1);
	CU_ASSERT_EQUAL(rings[1].n_in, 4);
	CU_ASSERT_EQUAL(stats[0].drops[MEMBER_RING_FULL], 3);
	CU_ASSERT_EQUAL(stats[1].drops[MEMBER_RING_FULL], 0);
	CU_ASSERT_EQUAL(count(NODE_INSTANCE_TX, "ring-full"), 3);
}

static void
unconnected_and_broken_rings_are_left_alone(void)
{
	members[0].vid = -1;
	members[1].broken = true;
	sends(1, frame_udp(pool, 8), ADDR_B, OTHER);
	arrives(frame_udp(pool, 8), ADDR_A);
	arrives(frame_udp(pool, 8), ADDR_B);
	graph_walk(graph);
	CU_ASSERT_EQUAL(rings[0].n_in + rings[1].n_in, 0);
	CU_ASSERT_EQUAL(rings[1].n_out, 1);
	CU_ASSERT_EQUAL(stats[0].drops[MEMBER_NO_RING], 1);
	CU_ASSERT_EQUAL(stats[1].drops[MEMBER_NO_RING], 1);
	CU_ASSERT_EQUAL(count(NODE_INSTANCE_TX, "no-ring"), 2);
}

static void
broadcast_reaches_all_but_its_sender(void)
{
	struct rte_mbuf *m = sends(0, frame_udp(pool, 8), ADDR_A, 0xffffffff);

	memset(&rte_pktmbuf_mtod(m, struct rte_ether_hdr *)->dst_addr, 0xff, 6);
	dw.w.kernel_fd = 3;
	graph_walk(graph);
	CU_ASSERT_EQUAL(rings[0].n_in, 0);
	CU_ASSERT_EQUAL(rings[1].n_in, 1);
	CU_ASSERT_EQUAL(rings[2].n_in, 1);
	CU_ASSERT_EQUAL(n_wire, 1);
	CU_ASSERT_EQUAL(n_kernel, 1);
}

/* `n` frames of instance `i` to the wire, of `segs` buffers each. */
static void
sends_many(unsigned int i, unsigned int n, unsigned int segs)
{
	while (n-- > 0) {
		struct rte_mbuf *m = sends(i, frame_udp(pool, 8), members[i].addr, OTHER);

		for (unsigned int s = 1; s < segs; s++) {
			struct rte_mbuf *more = rte_pktmbuf_alloc(pool);

			more->data_len = more->pkt_len = 100;
			CU_ASSERT_EQUAL(rte_pktmbuf_chain(m, more), 0);
		}
	}
}

static void
instance_with_many_queues_has_one_turn(void)
{
	members[0].n_queues = 2;
	sends_many(0, 60, 1);
	sends_many(1, 10, 1);
	graph_walk(graph);
	CU_ASSERT_EQUAL(stats[0].tx_pkts, 32);
	CU_ASSERT_EQUAL(stats[1].tx_pkts, 10);
	CU_ASSERT_EQUAL(members[0].next_queue, 1);
}

static void
large_packets_are_paid_for_with_turns(void)
{
	sends_many(0, 2, 48);
	graph_walk(graph);
	CU_ASSERT_EQUAL(stats[0].tx_pkts, 2);
	sends_many(0, 1, 1);
	for (int i = 0; i < 2; i++) { /* 96 buffers are three turns */
		uint64_t moved = dw.moved;

		sends_many(1, 3, 1);
		graph_walk(graph);
		CU_ASSERT_EQUAL(stats[0].tx_pkts, 2);
		CU_ASSERT_EQUAL(stats[1].tx_pkts, 3u * (i + 1));
		CU_ASSERT(dw.moved > moved + 3); /* its worker does not sleep */
	}
	graph_walk(graph);
	CU_ASSERT_EQUAL(stats[0].tx_pkts, 3);
}

static void
copies_for_everybody_are_paid_for_with_turns(void)
{
	for (int i = 0; i < 22; i++) {
		struct rte_mbuf *m = sends(0, frame_udp(pool, 8), ADDR_A, 0xffffffff);

		memset(&rte_pktmbuf_mtod(m, struct rte_ether_hdr *)->dst_addr, 0xff, 6);
	}
	graph_walk(graph);
	CU_ASSERT_EQUAL(members[0].debt, 22 * 3);
	sends_many(0, 1, 1);
	for (int i = 0; i < 3; i++)
		graph_walk(graph);
	CU_ASSERT_EQUAL(stats[0].tx_pkts, 22);
	graph_walk(graph);
	CU_ASSERT_EQUAL(stats[0].tx_pkts, 23);
	CU_ASSERT_EQUAL(members[0].debt, 0);
}

static void
frames_for_everybody_are_bounded(void)
{
	rings[1].room = 10000;
	for (int i = 0; i < 5000; i++) {
		struct rte_mbuf *m = sends(0, frame_udp(pool, 8), ADDR_A, 0xffffffff);

		memset(&rte_pktmbuf_mtod(m, struct rte_ether_hdr *)->dst_addr, 0xff, 6);
		members[0].debt = 0;
		graph_walk(graph);
		rte_pktmbuf_free_bulk(wire, n_wire);
		CU_ASSERT_EQUAL(n_wire, 1); /* the wire gets them all */
		n_wire = 0;
	}
	CU_ASSERT(rings[1].n_in >= 1000 && rings[1].n_in < 5000); /* it takes less than 0.4 s */
	CU_ASSERT_EQUAL(stats[0].drops[MEMBER_RATE], 5000 - rings[1].n_in);
}

static void
copies_fail_one_by_one_without_memory(void)
{
	struct rte_mbuf *all[511], *m = frame_udp(pool, 8);
	unsigned int n = 0;

	memset(&rte_pktmbuf_mtod(m, struct rte_ether_hdr *)->dst_addr, 0xff, 6);
	arrives(m, 0xffffffff);
	while ((m = rte_pktmbuf_alloc(pool)) != NULL)
		all[n++] = m;
	rte_pktmbuf_free(all[--n]);
	graph_walk(graph);
	rte_pktmbuf_free_bulk(all, n);
	CU_ASSERT_EQUAL(rings[0].n_in + rings[1].n_in + rings[2].n_in, 1);
	CU_ASSERT_EQUAL(count(NODE_DISPATCH_IN, "no-memory"), 2);
}

/* The port is behind: rings fill up, their owners notice and wait. */
static void
nothing_is_taken_from_rings_while_the_wire_is_full(void)
{
	sends(0, frame_udp(pool, 8), ADDR_A, ADDR_B);
	dw.w.tx_backlog.n = 1;
	dw.w.tx_backlog.pkts[0] = frame_udp(pool, 8);
	port_stands_still = true;
	graph_walk(graph); /* stands still for too long: what waited goes to tx, to be dropped */
	CU_ASSERT_EQUAL(n_wire, 1);
	CU_ASSERT_EQUAL(dw.w.tx_backlog.n, 0);
	CU_ASSERT_EQUAL(rings[1].n_in, 1);
}

static void
every_instance_gets_its_turn(void)
{
	for (int i = 0; i < RING_MAX; i++)
		for (int j = 0; j < 3; j++)
			sends(j, frame_udp(pool, 0), members[j].addr, ADDR_B);
	graph_walk(graph);
	for (int j = 0; j < 3; j++)
		CU_ASSERT_EQUAL(rings[j].n_out, RING_MAX - 32);
	rings[1].room = 3 * RING_MAX;
	graph_walk(graph);
	for (int j = 0; j < 3; j++)
		CU_ASSERT_EQUAL(rings[j].n_out, 0);
}

/* What two nodes and their copies bring to a third in one walk. */
static void
vectors_beyond_the_usual_length_are_taken_in_parts(void)
{
	for (int i = 0; i < RING_MAX; i++) {
		struct rte_mbuf *m = arrives(frame_udp(pool, 0), 0xffffffff);

		memset(&rte_pktmbuf_mtod(m, struct rte_ether_hdr *)->dst_addr, 0xff, 6);
	}
	for (int i = 0; i < 32; i++)
		for (int j = 0; j < 3; j++)
			sends(j, frame_udp(pool, 0), members[j].addr, ADDR_B);
	for (int j = 0; j < 3; j++)
		rings[j].room = 1000;
	graph_walk(graph);
	CU_ASSERT_EQUAL(rings[0].n_in + rings[1].n_in + rings[2].n_in, 3 * RING_MAX + 3 * 32);
}

static void
control_thread_sends_like_a_neighbour(void)
{
	struct rte_mbuf *m = frame_udp(pool, 8);

	FRAME_IP(m)->src_addr = OTHER;
	FRAME_IP(m)->dst_addr = ADDR_B;
	rte_ring_enqueue(lt.control, m);
	graph_walk(graph);
	CU_ASSERT_EQUAL(rings[1].n_in, 1);
}

static void
checksums_that_a_virtual_wire_left_open_stay_open(void)
{
	struct rte_mbuf *m = arrives(frame_tcp(pool, NULL, 0, 100), ADDR_B);

	rte_mbuf_refcnt_set(m, 2); /* to look at it afterwards */
	m->ol_flags = RTE_MBUF_F_RX_L4_CKSUM_NONE | RTE_MBUF_F_RX_LRO;
	graph_walk(graph);
	CU_ASSERT_EQUAL(m->ol_flags & RTE_MBUF_F_TX_L4_MASK, RTE_MBUF_F_TX_TCP_CKSUM);
	CU_ASSERT_TRUE((m->ol_flags & RTE_MBUF_F_TX_TCP_SEG) != 0);
	CU_ASSERT_EQUAL(m->l2_len, 14);
	CU_ASSERT_EQUAL(m->l3_len, 20);
	CU_ASSERT_EQUAL(m->l4_len, 20);
	rte_pktmbuf_free(m);
	m = arrives(frame_tcp(pool, NULL, 0, 100), ADDR_B);
	rte_mbuf_refcnt_set(m, 2);
	m->ol_flags = RTE_MBUF_F_RX_L4_CKSUM_GOOD;
	FRAME_IP(m)->fragment_offset = htons(RTE_IPV4_HDR_MF_FLAG); /* there is nothing to be done */
	graph_walk(graph);
	CU_ASSERT_EQUAL(m->ol_flags & RTE_MBUF_F_TX_L4_MASK, 0);
	rte_pktmbuf_free(m);
	m = arrives(frame_tcp(pool, NULL, 0, 100), ADDR_B);
	rte_mbuf_refcnt_set(m, 2);
	m->ol_flags = 0;
	graph_walk(graph);
	CU_ASSERT_EQUAL(m->ol_flags & (RTE_MBUF_F_TX_L4_MASK | RTE_MBUF_F_TX_TCP_SEG), 0);
	rte_pktmbuf_free(m);
}

static const struct cunit_test tests[] = {
	CUNIT_TEST(wire_reaches_rings),
	CUNIT_TEST(instances_reach_each_other_and_the_wire),
	CUNIT_TEST(spoofed_packets_are_counted_under_their_instance),
	CUNIT_TEST(full_ring_loses_its_own_packets_only),
	CUNIT_TEST(unconnected_and_broken_rings_are_left_alone),
	CUNIT_TEST(broadcast_reaches_all_but_its_sender),
	CUNIT_TEST(copies_fail_one_by_one_without_memory),
	CUNIT_TEST(instance_with_many_queues_has_one_turn),
	CUNIT_TEST(large_packets_are_paid_for_with_turns),
	CUNIT_TEST(copies_for_everybody_are_paid_for_with_turns),
	CUNIT_TEST(frames_for_everybody_are_bounded),
	CUNIT_TEST(nothing_is_taken_from_rings_while_the_wire_is_full),
	CUNIT_TEST(every_instance_gets_its_turn),
	CUNIT_TEST(vectors_beyond_the_usual_length_are_taken_in_parts),
	CUNIT_TEST(control_thread_sends_like_a_neighbour),
	CUNIT_TEST(checksums_that_a_virtual_wire_left_open_stay_open),
};
EAL_TEST_MAIN("dispatch_nodes", tests, setup, teardown)
