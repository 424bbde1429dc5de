/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A bond of two ring devices: what a port sends is what it would receive, so tests put frames in
 * before a walk and take the answers out after it. Links are set by hand; the thread never runs.
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

static unsigned int
addresses(void *arg, unsigned int from, uint32_t *out, unsigned int max)
{
	if (from > 0)
		return 0;
	out[0] = FRAME_OURS;
	return 1;
}

static void
wake(void *arg)
{
	n_wakes++;
}

static void
put(unsigned int port, struct rte_mbuf *m)
{
	m->port = port;
	CU_ASSERT_EQUAL_FATAL(rte_eth_tx_burst(port, 0, &m, 1), 1);
}

/* Oldest frame of type `type` (0: any) that has been sent at a port, or NULL. */
static struct rte_mbuf *
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

static unsigned int
count(unsigned int port, uint16_t type)
{
	struct rte_mbuf *m;
	unsigned int n = 0;

	for (; (m = take(port, type)) != NULL; n++)
		rte_pktmbuf_free(m);
	return n;
}

static void
drain(void)
{
	for (unsigned int i = 0; i < LINKS; i++)
		count(i, 0);
}

static void
walk(void)
{
	graph_walk(worker.graph);
}

static uint64_t
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

static void
set_link(unsigned int port, bool up)
{
	if (up)
		rte_eth_dev_set_link_up(port);
	else
		rte_eth_dev_set_link_down(port);
	bond_monitor_look(bond);
}

static void
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

static void
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

static void
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

static struct rte_mbuf *
frame_to(const struct rte_ether_addr *dst)
{
	struct rte_mbuf *m = frame_tcp(pool, NULL, 0, 10);

	rte_pktmbuf_mtod(m, struct rte_ether_hdr *)->dst_addr = *dst;
	return m;
}

static struct rte_mbuf *
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

static const struct rte_arp_ipv4 *
arp_of(const struct rte_mbuf *m)
{
	return &rte_pktmbuf_mtod_offset(m, const struct rte_arp_hdr *, RTE_ETHER_HDR_LEN)->arp_data;
}

/* --- mode 1 ------------------------------------------------------------------------------------ */

static void
only_the_active_link_is_heard(void)
{
	start(BOND_ACTIVE_BACKUP, -1);
	put(0, frame_to(&frame_our_mac));
	put(1, frame_to(&frame_our_mac));
	put(1, frame_to(&everybody));
	walk();
	CU_ASSERT_EQUAL(stack.n_tcp, 1);
	CU_ASSERT_EQUAL(row("bond-rx", "passive-link"), 1);
	CU_ASSERT_EQUAL(row("bond-rx", "passive-group"), 1);
}

static void
frames_that_are_nobodys_are_dropped(void)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(pool);

	start(BOND_ACTIVE_BACKUP, -1);
	rte_pktmbuf_append(m, 13);
	put(0, m);
	m = frame_to(&frame_our_mac);
	put(0, m);
	m->port = 7; /* as no driver of ours would say */
	walk();
	CU_ASSERT_EQUAL(stack.n_tcp, 0);
	CU_ASSERT_EQUAL(row("bond-rx", "bond-short"), 1);
	CU_ASSERT_EQUAL(row("bond-rx", "bond-stranger"), 1);
}

static void
a_lost_link_hands_over(void)
{
	struct rte_mbuf *m;

	start(BOND_ACTIVE_BACKUP, -1);
	set_link(0, false);
	CU_ASSERT_EQUAL(n_wakes, 2); /* once at start */
	walk();
	m = take(1, RTE_ETHER_TYPE_ARP); /* announced, at once */
	CU_ASSERT_PTR_NOT_NULL_FATAL(m);
	CU_ASSERT_EQUAL(arp_of(m)->arp_sip, FRAME_OURS);
	CU_ASSERT_EQUAL(arp_of(m)->arp_tip, FRAME_OURS);
	rte_pktmbuf_free(m);
	CU_ASSERT(bond->due_tsc != UINT64_MAX); /* and again */
	put(0, frame_to(&frame_our_mac));
	put(1, frame_to(&frame_our_mac));
	walk();
	CU_ASSERT_EQUAL(stack.n_tcp, 1);
	CU_ASSERT_EQUAL(row("bond-rx", "passive-link"), 1);
	/* Without a primary, the one in use stays in use. */
	set_link(0, true);
	CU_ASSERT_EQUAL(bond_links(bond).active, 1);
}

static void
a_primary_is_returned_to(void)
{
	CU_ASSERT_EQUAL(bond_choose_active(3, 1, 0, false), 1); /* not before it has settled */
	CU_ASSERT_EQUAL(bond_choose_active(3, 1, 0, true), 0);
	CU_ASSERT_EQUAL(bond_choose_active(1, 1, 0, false), 0); /* nothing else is there */
	CU_ASSERT_EQUAL(bond_choose_active(0, 1, 0, false), BOND_NO_SLAVE);
	start(BOND_ACTIVE_BACKUP, 1);
	CU_ASSERT_EQUAL(bond_links(bond).active, 1);
}

static void
without_links_packets_are_dropped(void)
{
	start(BOND_ACTIVE_BACKUP, -1);
	put(0, frame_arp(RTE_ARP_OP_REQUEST, &everybody, &frame_peer_mac, FRAME_PEER, &everybody,
		FRAME_OURS));
	walk();
	CU_ASSERT_EQUAL(count(0, RTE_ETHER_TYPE_ARP), 1); /* the reply */
	set_link(0, false);
	set_link(1, false);
	CU_ASSERT_EQUAL(bond_links(bond).active, BOND_NO_SLAVE);
	stack.out[stack.n_out++] = frame_ip(pool, 17, 8);
	rte_pktmbuf_adj(stack.out[0], RTE_ETHER_HDR_LEN);
	rte_pktmbuf_mtod(stack.out[0], struct rte_ipv4_hdr *)->dst_addr = FRAME_PEER;
	rte_pktmbuf_mtod(stack.out[0], struct rte_ipv4_hdr *)->src_addr = FRAME_OURS;
	stack.out[0]->l3_len = 20;
	walk();
	CU_ASSERT_EQUAL(row("tx", "tx-no-link"), 1);
	CU_ASSERT_EQUAL(worker.tx_backlog.n, 0);
}

static void
statistics_tell_the_ports_apart(void)
{
	struct bond_slave_stats s;
	struct bond_stats all;

	start(BOND_ACTIVE_BACKUP, -1);
	put(0, frame_to(&frame_our_mac));
	put(1, frame_to(&everybody));
	walk();
	bond_get_slave_stats(bond, 1, &s);
	CU_ASSERT(s.link && s.present && !s.active);
	CU_ASSERT(s.rx_pkts == 1 && s.rx_drops == 1);
	set_link(0, false);
	walk();
	bond_get_slave_stats(bond, 0, &s);
	CU_ASSERT_EQUAL(s.link_failures, 1);
	CU_ASSERT(!s.link && s.present && !s.active);
	bond_get_stats(bond, &all);
	CU_ASSERT(all.switches == 1 && all.active == 1);
	bond_get_slave_stats(bond, 1, &s); /* the announcement */
	CU_ASSERT_EQUAL(s.tx_pkts, 1);
}

/* --- what waits -------------------------------------------------------------------------------- */

/* A frame of flow `flow`, numbered `id`. */
static struct rte_mbuf *
numbered(uint16_t flow, uint16_t id)
{
	struct rte_mbuf *m = frame_to(&frame_peer_mac);

	FRAME_L4(m, struct rte_tcp_hdr)->src_port = flow;
	FRAME_IP(m)->packet_id = id;
	return m;
}

static void
distribute(uint8_t mask)
{
	atomic_store(&bond->masks, mask | (uint32_t)mask << 8);
	bond->due_tsc = UINT64_MAX;
}

static uint16_t
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

static void
a_full_port_does_not_hold_up_another(void)
{
	struct rte_mbuf *pkts[64], *m;
	uint16_t sent, n_first = 0;

	start(BOND_8023AD, -1);
	distribute(3);
	while ((m = frame_to(&frame_peer_mac)), rte_eth_tx_burst(0, 0, &m, 1) == 1)
		n_first++;
	rte_pktmbuf_free(m);
	for (uint16_t i = 0; i < 64; i++)
		pkts[i] = numbered(flow_of(i % 2), i);
	sent = bond_send(&worker, pkts, 64);
	CU_ASSERT_EQUAL_FATAL(sent, 32);
	for (uint16_t i = sent; i < 64; i++) /* in order, at the end */
		CU_ASSERT_EQUAL(FRAME_IP(pkts[i])->packet_id, (i - sent) * 2);
	for (uint16_t i = 0; i < 32; i++) {
		m = take(1, 0);
		CU_ASSERT_EQUAL(FRAME_IP(m)->packet_id, i * 2 + 1);
		rte_pktmbuf_free(m);
	}
	/* They wait, and go to the other port when theirs loses its link. */
	memcpy(worker.tx_backlog.pkts, pkts + sent, 32 * sizeof(pkts[0]));
	worker.tx_backlog.n = 32;
	worker.tx_backlog.since_tsc = rte_rdtsc();
	CU_ASSERT_TRUE(tx_send_waiting(&worker));
	CU_ASSERT_EQUAL(worker.tx_backlog.n, 32);
	set_link(0, false);
	CU_ASSERT_TRUE(tx_send_waiting(&worker));
	CU_ASSERT_EQUAL(worker.tx_backlog.n, 0);
	for (uint16_t i = 0; i < 32; i++) {
		m = take(1, 0);
		CU_ASSERT_EQUAL(FRAME_IP(m)->packet_id, i * 2);
		rte_pktmbuf_free(m);
	}
	set_link(1, false); /* nothing is left */
	worker.tx_backlog.pkts[worker.tx_backlog.n++] = numbered(1, 1);
	CU_ASSERT_FALSE(tx_send_waiting(&worker));
}

static void
a_port_that_stands_still_is_passed_over(void)
{
	struct rte_mbuf *m = numbered(flow_of(0), 1);

	start(BOND_8023AD, -1);
	distribute(3);
	bond->workers[0].stalled_tsc[0] =
		rte_rdtsc() - rte_get_tsc_hz() / 1000 * (TX_STALL_MS + 100);
	CU_ASSERT_EQUAL(bond_send(&worker, &m, 1), 1);
	CU_ASSERT_EQUAL(count(0, 0), 0);
	CU_ASSERT_EQUAL(count(1, 0), 1);
	/* ... and tried again after as long. */
	bond->workers[0].stalled_tsc[0] =
		rte_rdtsc() - rte_get_tsc_hz() / 1000 * (2 * TX_STALL_MS + 100);
	m = numbered(flow_of(0), 1);
	CU_ASSERT_EQUAL(bond_send(&worker, &m, 1), 1);
	CU_ASSERT_EQUAL(count(0, 0), 1);
	CU_ASSERT_EQUAL(bond->workers[0].stalled_tsc[0], 0);
}

/* --- mode 4 ------------------------------------------------------------------------------------ */

static void
flows_keep_to_a_port_and_fragments_together(void)
{
	struct rte_mbuf *m = numbered(1, 1), *back = numbered(1, 1);
	unsigned int on[2] = {0};
	uint32_t h;

	start(BOND_8023AD, -1);
	h = bond_flow_hash(m);
	RTE_SWAP(FRAME_IP(back)->src_addr, FRAME_IP(back)->dst_addr);
	RTE_SWAP(FRAME_L4(back, struct rte_tcp_hdr)->src_port,
		FRAME_L4(back, struct rte_tcp_hdr)->dst_port);
	CU_ASSERT_EQUAL(bond_flow_hash(back), h);
	FRAME_IP(m)->fragment_offset = RTE_BE16(RTE_IPV4_HDR_MF_FLAG);
	h = bond_flow_hash(m);
	FRAME_IP(m)->fragment_offset = RTE_BE16(100);
	FRAME_L4(m, struct rte_tcp_hdr)->src_port = 99;
	CU_ASSERT_EQUAL(bond_flow_hash(m), h);
	FRAME_IP(m)->fragment_offset = 0;
	for (uint16_t i = 0; i < 1000; i++) {
		FRAME_L4(m, struct rte_tcp_hdr)->src_port = rte_cpu_to_be_16(30000 + i);
		on[bond_hash_slave(3, bond_flow_hash(m))]++;
	}
	CU_ASSERT(on[0] > 400 && on[1] > 400);
	rte_pktmbuf_free(m);
	rte_pktmbuf_free(back);
}

static struct rte_mbuf *
frame_lacp(const struct rte_ether_addr *system)
{
	struct lacp_info actor = {.system = *system, .key = 1, .port = 1, .state = 0x47}, none = {0};
	struct rte_mbuf *m = rte_pktmbuf_alloc(pool);

	lacp_write_frame(rte_pktmbuf_append(m, LACP_FRAME_LEN), system, &actor, &none);
	return m;
}

static void
lacp_frames_are_for_the_bond(void)
{
	struct rte_mbuf *m;

	start(BOND_8023AD, -1);
	put(0, frame_lacp(&frame_peer_mac));
	put(0, frame_lacp(&frame_our_mac));
	m = frame_lacp(&frame_peer_mac);
	rte_pktmbuf_trim(m, 80);
	put(0, m);
	m = frame_lacp(&frame_peer_mac);
	*rte_pktmbuf_mtod_offset(m, uint8_t *, 14) = 10;
	put(0, m);
	m = frame_lacp(&frame_peer_mac);
	*rte_pktmbuf_mtod_offset(m, uint8_t *, 16) = 9;
	put(0, m);
	walk();
	walk();
	CU_ASSERT_EQUAL(row("bond-timer", "lacp-taken"), 1);
	CU_ASSERT_EQUAL(row("bond-timer", "lacp-looped"), 1);
	CU_ASSERT_EQUAL(row("bond-timer", "lacp-short"), 1);
	CU_ASSERT_EQUAL(row("bond-timer", "lacp-unknown"), 1);
	CU_ASSERT_EQUAL(row("bond-timer", "lacp-bad-tlv"), 1);
	CU_ASSERT_EQUAL(bond->lacp.ports[0].partner.port, 1);
	drain();
	put(1, frame_lacp(&frame_peer_mac));
	walk();
	set_link(1, false);
	put(1, frame_lacp(&frame_peer_mac));
	walk();
	walk();
	CU_ASSERT(row("bond-timer", "lacp-no-link") > 0); /* ours come back here, too */
	for (unsigned int i = 0; i < 100; i++)
		put(0, frame_lacp(&frame_peer_mac));
	walk();
	CU_ASSERT(row("bond-rx", "lacp-full") > 0);
	walk();
}

static void
lacp_leaves_by_its_own_port(void)
{
	start(BOND_8023AD, -1);
	CU_ASSERT_EQUAL(lacp_distributing(&bond->lacp), 0);
	for (unsigned int i = 0; i < LINKS; i++)
		bond->lacp.ports[i].ntt = true;
	bond->due_tsc = 0;
	drain();
	walk();
	for (unsigned int i = 0; i < LINKS; i++) {
		struct rte_mbuf *m = take(i, RTE_ETHER_TYPE_SLOW);

		CU_ASSERT_PTR_NOT_NULL_FATAL(m);
		CU_ASSERT_EQUAL(rte_pktmbuf_mtod(m, struct rte_ether_hdr *)->src_addr.addr_bytes[5],
			macs[i].addr_bytes[5]);
		rte_pktmbuf_free(m);
	}
}

static void
only_collecting_ports_are_heard(void)
{
	start(BOND_8023AD, -1);
	atomic_store(&bond->masks, 2);
	bond->due_tsc = UINT64_MAX;
	put(0, frame_to(&frame_our_mac));
	put(1, frame_to(&frame_our_mac));
	walk();
	CU_ASSERT_EQUAL(stack.n_tcp, 1);
	CU_ASSERT_EQUAL(row("bond-rx", "passive-link"), 1);
}

static void
markers_come_back(void)
{
	struct rte_mbuf *m = frame_lacp(&frame_peer_mac);

	start(BOND_8023AD, -1);
	rte_pktmbuf_mtod(m, uint8_t *)[14] = 2;
	put(1, m);
	walk();
	drain();
	walk();
	for (m = take(1, RTE_ETHER_TYPE_SLOW); m != NULL; m = take(1, RTE_ETHER_TYPE_SLOW)) {
		bool response = rte_pktmbuf_mtod(m, uint8_t *)[14] == 2 &&
			rte_pktmbuf_mtod(m, uint8_t *)[16] == 2;

		rte_pktmbuf_free(m);
		if (response)
			return;
	}
	CU_FAIL("no response");
}

/* --- mode 6 --- */

static void
each_port_hears_its_own_address(void)
{
	struct bond_links l;
	struct bond_view v;
	struct rte_ether_hdr eth = {0};

	start(BOND_ALB, -1);
	l = bond_links(bond);
	v = bond_view(bond, &l);
	eth.dst_addr = macs[0];
	CU_ASSERT_EQUAL(bond_rx_verdict(bond, &v, 0, &eth), BOND_RX_ERRORS);
	CU_ASSERT_EQUAL(bond_rx_verdict(bond, &v, 1, &eth), BOND_RX_OTHER_SLAVE);
	eth.dst_addr = macs[1];
	CU_ASSERT_EQUAL(bond_rx_verdict(bond, &v, 0, &eth), BOND_RX_OTHER_SLAVE);
	CU_ASSERT_EQUAL(bond_rx_verdict(bond, &v, 1, &eth), BOND_RX_ERRORS);
	eth.dst_addr = everybody;
	CU_ASSERT_EQUAL(bond_rx_verdict(bond, &v, 0, &eth), BOND_RX_ERRORS);
	CU_ASSERT_EQUAL(bond_rx_verdict(bond, &v, 1, &eth), BOND_RX_PASSIVE_GROUP);
	/* The active port loses its link: the other has the bond's address, and what was its own. */
	set_link(0, false);
	l = bond_links(bond);
	v = bond_view(bond, &l);
	for (unsigned int i = 0; i < LINKS; i++) {
		eth.dst_addr = macs[i];
		CU_ASSERT_EQUAL(bond_rx_verdict(bond, &v, 1, &eth), BOND_RX_ERRORS);
	}
	CU_ASSERT_EQUAL(bond_slave_mac(bond, 1, 0)->addr_bytes[5], macs[1].addr_bytes[5]);
}

static void
a_link_that_is_back_is_used_after_a_while(void)
{
	start(BOND_ALB, -1);
	set_link(1, false);
	set_link(1, true);
	CU_ASSERT_EQUAL(bond_links(bond).up, 1);
	bond->slaves[1].up_since_ms -= 2000;
	bond_monitor_look(bond);
	CU_ASSERT_EQUAL(bond_links(bond).up, 3);
	set_link(1, false);
	set_link(1, true);
	set_link(0, false); /* better than none */
	CU_ASSERT_EQUAL(bond_links(bond).up, 2);
}

static void
frames_are_rewritten_to_one_address(void)
{
	start(BOND_ALB, -1);
	put(1, frame_to(&macs[1]));
	put(1, frame_to(&macs[0]));
	walk();
	CU_ASSERT_EQUAL(stack.n_tcp, 1);
	CU_ASSERT_EQUAL(row("bond-rx", "other-slave"), 1);
	CU_ASSERT_EQUAL(rte_pktmbuf_mtod(stack.in[0], struct rte_ether_hdr *)->dst_addr.addr_bytes[5],
		macs[0].addr_bytes[5]);
}

/* A peer whose assigned slave is `slave`. */
static uint32_t
peer_of(uint8_t slave)
{
	uint32_t peer = FRAME_PEER;

	while (bond_alb_assign(3, peer, FRAME_OURS) != slave)
		peer += RTE_BE32(1);
	return peer;
}

static void
peers_are_told_their_port(void)
{
	struct rte_mbuf *m;

	start(BOND_ALB, -1);
	for (uint8_t slave = 0; slave < LINKS; slave++) {
		put(0, frame_arp(RTE_ARP_OP_REQUEST, &everybody, &frame_peer_mac, peer_of(slave),
			&everybody, FRAME_OURS));
		walk();
		m = take(slave, RTE_ETHER_TYPE_ARP);
		CU_ASSERT_PTR_NOT_NULL_FATAL(m);
		CU_ASSERT(rte_is_same_ether_addr(&arp_of(m)->arp_sha, &macs[slave]));
		CU_ASSERT(rte_is_same_ether_addr(&rte_pktmbuf_mtod(m, struct rte_ether_hdr *)->src_addr,
			&macs[slave]));
		rte_pktmbuf_free(m);
		drain();
	}
}

static void
a_lost_port_moves_its_peers(void)
{
	struct rte_mbuf *m;
	uint32_t peer = peer_of(1);

	start(BOND_ALB, -1);
	put(0, frame_arp(RTE_ARP_OP_REQUEST, &everybody, &frame_peer_mac, peer, &everybody, FRAME_OURS));
	walk();
	drain();
	set_link(1, false);
	walk();
	/* At once: switches learn that the lost port's address is behind the active one. */
	for (unsigned int i = 0; i < LINKS; i++) {
		m = take(0, BOND_TYPE_LEARN);
		CU_ASSERT_PTR_NOT_NULL_FATAL(m);
		CU_ASSERT(rte_is_same_ether_addr(&rte_pktmbuf_mtod(m, struct rte_ether_hdr *)->src_addr,
			&macs[i]));
		rte_pktmbuf_free(m);
	}
	CU_ASSERT_EQUAL(count(0, BOND_TYPE_LEARN), 0);
	bond->teach_at_tsc = 1; /* and again: what waited at a port has other addresses */
	bond->due_tsc = 0;
	walk();
	CU_ASSERT_EQUAL(count(0, BOND_TYPE_LEARN), LINKS);
	/* Then, with time, the peer hears of it. */
	bond->alb.at_tsc = 1;
	bond->due_tsc = 0;
	walk();
	m = take(0, RTE_ETHER_TYPE_ARP);
	CU_ASSERT_PTR_NOT_NULL_FATAL(m);
	CU_ASSERT(rte_is_same_ether_addr(&rte_pktmbuf_mtod(m, struct rte_ether_hdr *)->dst_addr,
		&frame_peer_mac));
	CU_ASSERT(rte_is_same_ether_addr(&arp_of(m)->arp_sha, &macs[0]));
	CU_ASSERT_EQUAL(arp_of(m)->arp_sip, FRAME_OURS);
	CU_ASSERT_EQUAL(arp_of(m)->arp_tip, FRAME_OURS);
	rte_pktmbuf_free(m);
}

static void
a_broadcast_is_put_right_later(void)
{
	struct rte_mbuf *m = frame_arp(RTE_ARP_OP_REQUEST, &everybody, &macs[0], FRAME_OURS,
		&everybody, FRAME_PEER + RTE_BE32(99));

	start(BOND_ALB, -1);
	bond_alb_learn(&bond->alb, peer_of(1), FRAME_OURS, &frame_peer_mac, &macs[1]);
	CU_ASSERT_EQUAL(bond_send(&worker, &m, 1), 1);
	CU_ASSERT_EQUAL(count(0, RTE_ETHER_TYPE_ARP), 1); /* by the active port, with its address */
	walk();
	CU_ASSERT(bond->alb.at_tsc != 0);
	bond->alb.at_tsc = 1;
	bond->due_tsc = 0;
	walk();
	m = take(1, RTE_ETHER_TYPE_ARP);
	CU_ASSERT_PTR_NOT_NULL_FATAL(m);
	CU_ASSERT(rte_is_same_ether_addr(&arp_of(m)->arp_sha, &macs[1]));
	rte_pktmbuf_free(m);
}

static void
flows_carry_the_address_of_their_port(void)
{
	start(BOND_ALB, -1);
	for (uint8_t slave = 0; slave < LINKS; slave++) {
		struct rte_mbuf *m = numbered(flow_of(slave), 1);

		CU_ASSERT_EQUAL(bond_send(&worker, &m, 1), 1);
		m = take(slave, 0);
		CU_ASSERT_PTR_NOT_NULL_FATAL(m);
		CU_ASSERT(rte_is_same_ether_addr(&rte_pktmbuf_mtod(m, struct rte_ether_hdr *)->src_addr,
			&macs[slave]));
		rte_pktmbuf_free(m);
	}
}

static atomic_bool is_over;

static void *
keep_walking(void *unused)
{
	while (!atomic_load(&is_over)) {
		struct rte_mbuf *pkts[2] = {numbered(1, 1), numbered(2, 2)};
		uint16_t sent = bond_send(&worker, pkts, 2);

		rte_pktmbuf_free_bulk(pkts + sent, 2 - sent);
		walk();
	}
	return NULL;
}

/* The monitor's part is played by this thread. */
static void
links_change_under_a_running_worker(void)
{
	struct bond_slave_stats s;
	pthread_t thread;

	start(BOND_ALB, -1);
	atomic_store(&is_over, false);
	CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, keep_walking, NULL), 0);
	for (unsigned int i = 0; i < 3000; i++) {
		unsigned int port = i / 2 % LINKS;

		set_link(port, i % 2 == 1);
		atomic_store(&bond->slaves[port].removed, i % 7 == 0);
		bond_get_slave_stats(bond, port, &s);
	}
	atomic_store(&is_over, true);
	pthread_join(thread, NULL);
	for (unsigned int i = 0; i < LINKS; i++)
		atomic_store(&bond->slaves[i].removed, false);
	CU_ASSERT_FALSE(atomic_load(&bond->workers[0].busy));
}

static const struct cunit_test tests[] = {
	CUNIT_TEST(only_the_active_link_is_heard),
	CUNIT_TEST(frames_that_are_nobodys_are_dropped),
	CUNIT_TEST(a_lost_link_hands_over),
	CUNIT_TEST(a_primary_is_returned_to),
	CUNIT_TEST(without_links_packets_are_dropped),
	CUNIT_TEST(statistics_tell_the_ports_apart),
	CUNIT_TEST(a_full_port_does_not_hold_up_another),
	CUNIT_TEST(a_port_that_stands_still_is_passed_over),
	CUNIT_TEST(flows_keep_to_a_port_and_fragments_together),
	CUNIT_TEST(lacp_frames_are_for_the_bond),
	CUNIT_TEST(lacp_leaves_by_its_own_port),
	CUNIT_TEST(only_collecting_ports_are_heard),
	CUNIT_TEST(markers_come_back),
	CUNIT_TEST(each_port_hears_its_own_address),
	CUNIT_TEST(a_link_that_is_back_is_used_after_a_while),
	CUNIT_TEST(frames_are_rewritten_to_one_address),
	CUNIT_TEST(peers_are_told_their_port),
	CUNIT_TEST(a_lost_port_moves_its_peers),
	CUNIT_TEST(a_broadcast_is_put_right_later),
	CUNIT_TEST(flows_carry_the_address_of_their_port),
	CUNIT_TEST(links_change_under_a_running_worker),
};
EAL_TEST_MAIN("bond", tests, setup, teardown)
