/* SPDX-License-Identifier: BSD-3-Clause */
/* linerate_dut: devices under test that need no sockets: a bare wire, and the product's graph. */
/*
 * wire   every frame goes back as it came: receive burst, transmit burst.
 * graph  the product's nodes, rx ─► classify ─► udp-to-lwip and socket-tx ─► ip4-output ─► tx, with
 *        ARP; in place of lwIP and a program the stack's edge (the stack_*() functions below) turns
 *        datagrams round.
 *
 * Ends on SIGTERM, SIGINT or after --seconds, and prints for each frame size the cycles per packet
 * of rounds that found at least FULL packets: what a packet costs when there is no time to lose; and
 * the share of time in which its core was taken away from it.
 */
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_cycles.h>
#include <rte_ethdev.h>
#include <rte_udp.h>

#include "graph/graph.h"
#include "nodes/nodes.h"
#include "perf/linerate_port.h"
#include "stack/edge.h"

#define POOL_SIZE 8191
#define BURST 128 /* nic_read_num's default */
#define FULL 32
#define OUT_MAX 512
#define PEER_WAIT_S 20
#define LEN_MAX 1600
#define OUTAGE_US 50 /* no round takes so long by itself: the core was taken away */

struct dut {
	struct worker worker;
	uint16_t n_out;
	struct rte_mbuf *out[OUT_MAX];
	/* of the round going on */
	uint16_t n_round, len_round;
	/* of full rounds, by length of their packets */
	uint64_t packets[LEN_MAX], cycles[LEN_MAX];
	uint64_t outage, all; /* cycles */
};

static volatile sig_atomic_t stop_wanted;

static void
on_signal(int number)
{
	stop_wanted = 1;
}

/* --- the stack's edge ---------------------------------------------------------------------------- */

uint16_t
stack_priv_size(void)
{
	return 64;
}

/* A datagram becomes its own answer. */
static void
turn_round(struct rte_mbuf *m)
{
	struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod_offset(m, struct rte_ipv4_hdr *, m->l2_len);
	struct rte_udp_hdr *udp = (struct rte_udp_hdr *)((char *)ip + m->l3_len);
	rte_be32_t addr = ip->src_addr;
	rte_be16_t port = udp->src_port;

	ip->src_addr = ip->dst_addr;
	ip->dst_addr = addr;
	udp->src_port = udp->dst_port;
	udp->dst_port = port;
	rte_pktmbuf_adj(m, m->l2_len);
	m->l2_len = 0;
	m->l4_len = sizeof(*udp);
	m->ol_flags = RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_IP_CKSUM; /* and no UDP checksum */
}

void
stack_rx_udp(struct stack *s, struct rte_mbuf **pkts, uint16_t n, uint64_t *counts,
	struct rte_mbuf **no_socket, uint16_t *n_no_socket)
{
	struct dut *d = (struct dut *)s;
	uint16_t room = RTE_MIN(n, OUT_MAX - d->n_out);

	d->n_round += n;
	d->len_round = rte_pktmbuf_pkt_len(pkts[0]);
	for (uint16_t i = 0; i < room; i++) {
		turn_round(pkts[i]);
		d->out[d->n_out++] = pkts[i];
	}
	rte_pktmbuf_free_bulk(pkts + room, n - room);
	counts[STACK_ACCEPTED] += room;
	counts[STACK_REFUSED] += n - room;
}

void
stack_rx_tcp(struct stack *s, struct rte_mbuf **pkts, uint16_t n, uint64_t *counts,
	struct rte_mbuf **no_socket, uint16_t *n_no_socket)
{
	counts[STACK_REFUSED] += n;
	rte_pktmbuf_free_bulk(pkts, n);
}

void
stack_rx_icmp(struct stack *s, struct rte_mbuf **pkts, uint16_t n, uint64_t *counts)
{
	counts[STACK_REFUSED] += n;
	rte_pktmbuf_free_bulk(pkts, n);
}

uint16_t
stack_tx(struct stack *s, struct rte_mbuf **pkts, uint16_t max)
{
	struct dut *d = (struct dut *)s;
	uint16_t n = RTE_MIN(d->n_out, max);

	memcpy(pkts, d->out, n * sizeof(pkts[0]));
	d->n_out -= n;
	memmove(d->out, d->out + n, d->n_out * sizeof(pkts[0]));
	return n;
}

void
stack_kick(struct stack *s)
{
}

unsigned int
stack_owner_tcp(uint32_t saddr, uint16_t sport, uint32_t daddr, uint16_t dport,
	unsigned int n_stacks)
{
	return 0;
}

unsigned int
stack_owner_udp(uint16_t dport, unsigned int n_stacks)
{
	return 0;
}

/* --- rounds --------------------------------------------------------------------------------------- */

static void
graph_round(struct dut *d)
{
	graph_walk(d->worker.graph);
}

static void
wire_round(struct dut *d)
{
	struct rte_mbuf *pkts[BURST];
	uint16_t n = rte_eth_rx_burst(LINERATE_PORT, 0, pkts, BURST), sent;

	if (n == 0)
		return;
	d->n_round = n;
	d->len_round = rte_pktmbuf_pkt_len(pkts[0]);
	sent = rte_eth_tx_burst(LINERATE_PORT, 0, pkts, n);
	rte_pktmbuf_free_bulk(pkts + sent, n - sent);
}

static void
run(struct dut *d, void (*one_round)(struct dut *d), unsigned long seconds)
{
	uint64_t outage = rte_get_tsc_hz() / 1000000 * OUTAGE_US;
	uint64_t start = rte_rdtsc(), now = start, end = now + seconds * rte_get_tsc_hz();

	while (!stop_wanted && now < end) {
		uint64_t before = now;

		d->n_round = 0;
		one_round(d);
		now = rte_rdtsc();
		if (now - before > outage) {
			d->outage += now - before;
		} else if (d->n_round >= FULL && d->len_round < LEN_MAX) {
			d->packets[d->len_round] += d->n_round;
			d->cycles[d->len_round] += now - before;
		}
	}
	d->all = now - start;
}

/* --- start ---------------------------------------------------------------------------------------- */

static void
make_graph(struct dut *d, struct rte_mempool *pool, uint64_t tx_offloads)
{
	static const char *const sources[] = { NODE_RX, NODE_SOCKET_TX, NODE_IP4_TIMER };
	struct worker *w = &d->worker;

	*w = (struct worker){
		.stack = (struct stack *)d, .n_workers = 1, .burst = BURST, .mtu = 1500,
		.port = LINERATE_PORT, .addr = LINERATE_DUT_ADDR, .mask = LINERATE_MASK,
		.tx_offloads = tx_offloads, .pool = pool, .kernel_fd = -1, .peers = { w },
	};
	rte_eth_macaddr_get(LINERATE_PORT, &w->mac);
	w->graph = graph_create("dut", sources, RTE_DIM(sources), w);
	if (w->graph == NULL)
		linerate_die("graph");
}

static void
print_cycles(const struct dut *d)
{
	const char *sep = "";

	printf("{\"outage_percent\":%.3f,\"cycles\":{",
		100 * (double)d->outage / (double)d->all);
	for (unsigned int len = 0; len < LEN_MAX; len++) {
		if (d->packets[len] == 0)
			continue;
		printf("%s\"%u\":%.1f", sep, len + LINERATE_CRC,
			(double)d->cycles[len] / (double)d->packets[len]);
		sep = ",";
	}
	printf("}}\n");
}

int
main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "vdev", required_argument, NULL, 'v' }, { "dut", required_argument, NULL, 'd' },
		{ "seconds", required_argument, NULL, 's' }, { "memory", required_argument, NULL, 'm' },
		{ "huge", no_argument, NULL, 'h' }, { NULL, 0, NULL, 0 },
	};
	unsigned long seconds = 600, memory_mb = 64;
	const char *vdev = NULL, *kind = "";
	static struct dut dut;
	bool huge = false;
	struct rte_mempool *pool;
	uint64_t offloads;
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case 'v': vdev = optarg; break;
		case 'd': kind = optarg; break;
		case 's': seconds = strtoul(optarg, NULL, 10); break;
		case 'm': memory_mb = strtoul(optarg, NULL, 10); break;
		case 'h': huge = true; break;
		default: vdev = NULL;
		}
	}
	if (vdev == NULL || (strcmp(kind, "wire") != 0 && strcmp(kind, "graph") != 0)) {
		fprintf(stderr, "usage: linerate_dut --vdev DEVICE --dut wire|graph [--seconds N]"
			" [--memory MB] [--huge]\n");
		return 2;
	}
	signal(SIGTERM, on_signal);
	signal(SIGINT, on_signal);
	signal(SIGPIPE, SIG_IGN);
	linerate_start("linerate_dut", vdev, memory_mb, huge);
	pool = linerate_pool("packets", POOL_SIZE, stack_priv_size());
	offloads = linerate_start_port(LINERATE_PORT, LINERATE_QUEUE_SIZE, pool);
	linerate_wait_for_link(PEER_WAIT_S);
	if (strcmp(kind, "graph") == 0)
		make_graph(&dut, pool, offloads);
	run(&dut, strcmp(kind, "graph") == 0 ? graph_round : wire_round, seconds);
	print_cycles(&dut);
	graph_destroy(dut.worker.graph);
	rte_pktmbuf_free_bulk(dut.out, dut.n_out);
	return linerate_stop();
}
