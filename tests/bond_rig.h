/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A bond of two ring devices, for the suites of it: what a port sends is what it would receive, so tests put
 * frames in before a walk and take the answers out after it. Links are set by hand; the thread never runs.
 */
#ifndef TESTS_BOND_RIG_H
#define TESTS_BOND_RIG_H

#define EAL_TEST_VDEV "--vdev=net_ring0"
#include "tests/eal.h"
#include "tests/fake_stack.h"
#include "tests/frames.h"

#include <rte_arp.h>
#include <rte_cycles.h>
#include <rte_ethdev.h>

#include "graph/graph.h"
#include "nodes/arp.h"
#include "nodes/bond_private.h"
#include "nodes/bond_rx.h"
#include "nodes/bond_tx.h"
#include "nodes/nodes.h"
#include "nodes/tx.h"

#define LINKS 2

static const char *const sources[] = {NODE_RX, NODE_SOCKET_TX, NODE_IP4_TIMER, NODE_BOND_TIMER};
static const struct rte_ether_addr macs[LINKS] = {{{2, 0, 0, 0, 0, 1}}, {{2, 0, 0, 0, 0, 0x11}}};
static const struct rte_ether_addr everybody = {{255, 255, 255, 255, 255, 255}};
static struct rte_mempool *pool;
static struct worker worker;
static struct stack stack;
static struct bond *bond;
static unsigned int n_wakes;

static inline unsigned int
addresses(void *arg, unsigned int from, uint32_t *out, unsigned int max)
{
	if (from > 0)
		return 0;
	out[0] = FRAME_OURS;
	return 1;
}

static inline void
wake(void *arg)
{
	n_wakes++;
}

static inline void
put(unsigned int port, struct rte_mbuf *m)
{
	m->port = port;
	CU_ASSERT_EQUAL_FATAL(rte_eth_tx_burst(port, 0, &m, 1), 1);
}

/* Oldest frame of type `type` (0: any) that has been sent at a port, or NULL. */
static inline struct rte_mbuf *
take(unsigned int port, uint16_t type)
{
	struct rte_mbuf *m;

	while (rte_eth_rx_burst(port, 0, &m, 1) == 1) {
		if (type == 0 ||
			rte_pktmbuf_mtod(m, struct rte_ether_hdr *)->ether_type == rte_cpu_to_be_16(type))
			return m;
		rte_pktmbuf_free(m);
	}
	return NULL;
}

static inline unsigned int
count(unsigned int port, uint16_t type)
{
	struct rte_mbuf *m;
	unsigned int n = 0;

	for (; (m = take(port, type)) != NULL; n++)
		rte_pktmbuf_free(m);
	return n;
}

static inline void
drain(void)
{
	for (unsigned int i = 0; i < LINKS; i++)
		count(i, 0);
}

static inline void
walk(void)
{
	graph_walk(worker.graph);
}

static inline uint64_t
row(const char *node, const char *symbol)
{
	struct graph_node_stats stats[32];
	unsigned int n = graph_stats(worker.graph, stats, RTE_DIM(stats));

	for (unsigned int i = 0; i < n; i++) {
		for (unsigned int k = 0; strcmp(stats[i].name, node) == 0 && k < stats[i].n_errors; k++)
			if (strcmp(stats[i].errors[k].row->symbol, symbol) == 0)
				return stats[i].errors[k].count;
	}
	CU_FAIL("no such row");
	return 0;
}

static inline void
set_link(unsigned int port, bool up)
{
	if (up)
		rte_eth_dev_set_link_up(port);
	else
		rte_eth_dev_set_link_down(port);
	bond_monitor_look(bond);
}

static inline void
start(enum bond_mode mode, int primary)
{
	static bool is_placed;
	struct bond_params p = {
		.mode = mode, .miimon_ms = 10, .n_slaves = LINKS, .ports = {0, 1},
		.primary = primary, .n_workers = 1, .addresses = addresses, .wake = wake,
		.port = {.n_rxq = 1, .n_txq = 1, .n_rxd = 512, .n_txd = 512, .mtu = 1500, .pool = pool},
	};
	struct port_info got;
	char err[200] = "";

	CU_ASSERT_EQUAL_FATAL(bond_create(&p, &bond, &got, err, sizeof(err)), 0);
	/* Ring devices have no addresses of their own. */
	bond->mac = macs[0];
	for (unsigned int i = 0; i < LINKS; i++)
		bond->slaves[i].mac = macs[i];
	lacp_init(&bond->lacp, &bond->mac, LINKS);
	if (!is_placed)
		CU_ASSERT_EQUAL_FATAL(bond_place(NODE_CLASSIFY), 0);
	is_placed = true;
	worker.bond = bond;
	worker.tx_offloads = got.tx_offloads;
	worker.graph = graph_create("core0", sources, RTE_DIM(sources), &worker);
	CU_ASSERT_PTR_NOT_NULL_FATAL(worker.graph);
	walk();
	drain();
}

static inline void
setup(void)
{
	static bool has_second;

	pool = eal_test_pool(4095, 0, 2048);
	if (!has_second)
		CU_ASSERT_EQUAL_FATAL(rte_eal_hotplug_add("vdev", "net_ring1", ""), 0);
	has_second = true;
	memset(&stack, 0, sizeof(stack));
	memset(&worker, 0, sizeof(worker));
	worker.stack = &stack;
	worker.n_workers = 1;
	worker.burst = 128;
	worker.mtu = 1500;
	worker.addr = FRAME_OURS;
	worker.mask = FRAME_MASK;
	worker.mac = frame_our_mac;
	worker.pool = pool;
	worker.kernel_fd = -1;
	n_wakes = 0;
}

static inline void
teardown(void)
{
	drain();
	graph_destroy(worker.graph);
	rte_pktmbuf_free_bulk(stack.in, stack.n_in);
	rte_pktmbuf_free_bulk(worker.tx_backlog.pkts, worker.tx_backlog.n);
	for (unsigned int i = 0; i < LINKS; i++) {
		rte_eth_dev_set_link_up(i);
		rte_eth_dev_stop(i);
		bond->slaves[i].is_open = false; /* to be used again by the next test */
	}
	bond_free(bond);
	eal_test_pool_done(pool);
}

static inline struct rte_mbuf *
frame_to(const struct rte_ether_addr *dst)
{
	struct rte_mbuf *m = frame_tcp(pool, NULL, 0, 10);

	rte_pktmbuf_mtod(m, struct rte_ether_hdr *)->dst_addr = *dst;
	return m;
}

static inline struct rte_mbuf *
frame_arp(uint16_t opcode, const struct rte_ether_addr *dst, const struct rte_ether_addr *sha,
	uint32_t sip, const struct rte_ether_addr *tha, uint32_t tip)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(pool);
	struct rte_ether_hdr *eth = (void *)rte_pktmbuf_append(m, ARP_FRAME_LEN);
	struct rte_arp_hdr *arp = (struct rte_arp_hdr *)(eth + 1);

	eth->dst_addr = *dst;
	eth->src_addr = *sha;
	eth->ether_type = RTE_BE16(RTE_ETHER_TYPE_ARP);
	*arp = (struct rte_arp_hdr){
		.arp_hardware = RTE_BE16(1), .arp_protocol = RTE_BE16(0x800), .arp_hlen = 6,
		.arp_plen = 4, .arp_opcode = rte_cpu_to_be_16(opcode),
	};
	arp->arp_data = (struct rte_arp_ipv4){
		.arp_sha = *sha, .arp_sip = sip, .arp_tha = *tha, .arp_tip = tip};
	return m;
}

static inline const struct rte_arp_ipv4 *
arp_of(const struct rte_mbuf *m)
{
	return &rte_pktmbuf_mtod_offset(m, const struct rte_arp_hdr *, RTE_ETHER_HDR_LEN)->arp_data;
}

/* A frame of flow `flow`, numbered `id`. */
static inline struct rte_mbuf *
numbered(uint16_t flow, uint16_t id)
{
	struct rte_mbuf *m = frame_to(&frame_peer_mac);

	FRAME_L4(m, struct rte_tcp_hdr)->src_port = flow;
	FRAME_IP(m)->packet_id = id;
	return m;
}

static inline void
distribute(uint8_t mask)
{
	atomic_store(&bond->masks, mask | (uint32_t)mask << 8);
	bond->due_tsc = UINT64_MAX;
}

static inline uint16_t
flow_of(uint8_t slave)
{
	struct rte_mbuf *m;
	uint16_t flow = 0;
	uint8_t got;

	do {
		m = numbered(++flow, 0);
		got = bond_hash_slave(3, bond_flow_hash(m));
		rte_pktmbuf_free(m);
	} while (got != slave);
	return flow;
}

#endif
