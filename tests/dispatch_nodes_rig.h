/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ltran's nodes in one graph between rings and a wire of the test, one host with three instances.
 * librte_vhost is not linked; its two calls of the packet path are here.
 */
#ifndef TESTS_DISPATCH_NODES_RIG_H
#define TESTS_DISPATCH_NODES_RIG_H

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

static inline uint16_t
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

static inline uint16_t
process_tx(struct rte_graph *rg, struct rte_node *node, void **objs, uint16_t n)
{
	for (uint16_t i = 0; i < n; i++)
		wire[n_wire++] = objs[i];
	return n;
}

static inline uint16_t
process_kernel(struct rte_graph *rg, struct rte_node *node, void **objs, uint16_t n)
{
	n_kernel += n;
	rte_pktmbuf_free_bulk((struct rte_mbuf **)objs, n);
	return n;
}

static inline uint16_t
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

static inline void
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

static inline void
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

static inline uint64_t
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
static inline struct rte_mbuf *
sends(unsigned int i, struct rte_mbuf *m, uint32_t from, uint32_t dst)
{
	rte_pktmbuf_mtod(m, struct rte_ether_hdr *)->src_addr = frame_our_mac;
	FRAME_IP(m)->src_addr = from;
	FRAME_IP(m)->dst_addr = dst;
	m->port = RTE_MBUF_PORT_INVALID;
	rings[i].out[rings[i].n_out++] = m;
	return m;
}

static inline struct rte_mbuf *
arrives(struct rte_mbuf *m, uint32_t dst)
{
	FRAME_IP(m)->dst_addr = dst;
	return feed[n_feed++] = m;
}

#endif
