/* SPDX-License-Identifier: BSD-3-Clause */
/* graph_bench: cycles per packet of the nodes, each on its own, and of the way in without lwIP. */
/*
 * The real nodes run in the real graph. The port is a net_ring device whose rings this program
 * fills and empties between walks, and the stack's edge is a sink (the stack_*() functions below),
 * so the figures hold no driver, no lwIP and no application. Only the time inside graph_walk() and,
 * per node, inside process() counts.
 *
 * A phase sends one kind of packet in full vectors and reports the nodes it is for. TCP frames go
 * round through a queue of CIRCULATING packets, so that they come from the second level cache, as
 * from a NIC; the other kinds are written afresh before each walk and are warm.
 */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <rte_arp.h>
#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_eth_ring.h>
#include <rte_ethdev.h>
#include <rte_lcore.h>

#include "graph/graph.h"
#include "nodes/nodes.h"
#include "perf/bench_frames.h"
#include "perf/bench_report.h"
#include "stack/edge.h"

#define CIRCULATING 1024
#define RING_SIZE 4096
#define POOL_SIZE 16383
#define NODES_MAX 32
#define WARMUP_WALKS 200
#define WALKS_PER_CLOCK 16
#define FRAG_PACKET 1400 /* bytes of IP packet for ip4-frag, and the MTU it meets */
#define FRAG_MTU 576

enum feed { FEED_TCP, FEED_TCP_SOFT, FEED_UDP, FEED_ECHO, FEED_FOREIGN, FEED_ARP, FEED_FRAGMENTS,
	FEED_HANDOFF, FEED_OUT_TCP, FEED_OUT_LARGE };

/* Every feed once, in the order of the report; the first is the headline. */
static const struct phase {
	struct bench_figures report; /* names only */
	const char *sources[2];
	uint16_t n_workers, mtu;
} phases[] = {
	[FEED_TCP] = { { "tcp", { NODE_RX, NODE_CLASSIFY, NODE_TCP_TO_LWIP } },
		{ NODE_RX }, 1, 1500 },
	[FEED_TCP_SOFT] = { { "tcp, software checksum", { NODE_CLASSIFY }, .variant = true },
		{ NODE_RX }, 1, 1500 },
	[FEED_UDP] = { { "udp", { NODE_UDP_TO_LWIP } }, { NODE_RX }, 1, 1500 },
	[FEED_ECHO] = { { "icmp", { NODE_ICMP_TO_LWIP } }, { NODE_RX }, 1, 1500 },
	[FEED_FOREIGN] = { { "another station's", { NODE_DROP } }, { NODE_RX }, 1, 1500 },
	[FEED_ARP] = { { "arp", { NODE_ARP_INPUT } }, { NODE_RX }, 1, 1500 },
	[FEED_FRAGMENTS] = { { "fragments", { NODE_IP4_REASS } }, { NODE_RX }, 1, 1500 },
	[FEED_HANDOFF] = { { "another core's", { NODE_HANDOFF_TX, NODE_HANDOFF_RX } },
		{ NODE_RX, NODE_HANDOFF_RX }, 2, 1500 },
	[FEED_OUT_TCP] = { { "out", { NODE_SOCKET_TX, NODE_IP4_OUTPUT, NODE_TX } },
		{ NODE_RX, NODE_SOCKET_TX }, 1, 1500 },
	[FEED_OUT_LARGE] = { { "out, 1400 bytes, MTU 576", { NODE_IP4_FRAG, NODE_ARP_RESOLVE } },
		{ NODE_RX, NODE_SOCKET_TX }, 1, FRAG_MTU },
};
#define N_PHASES RTE_DIM(phases)

struct bench {
	/* options */
	double seconds;
	unsigned int runs, memory_mb;
	bool huge;
	uint16_t burst;

	struct rte_mempool *pool;
	struct rte_ring *rx, *tx, *circulating; /* rx, tx: of the port */
	struct rte_ring *handoff;
	struct worker w, neighbour; /* the neighbour's ring is ours: packets come back */
	struct graph *graph;
	bool circulate;                 /* the sink keeps packets for the next walk */
	uint16_t n_out;                 /* packets that stack_tx() hands over */
	struct rte_mbuf *out[GRAPH_VECTOR_MAX];
	struct bench_figures figures[N_PHASES];
};

static void
die(const char *what)
{
	fprintf(stderr, "graph_bench: %s: %s\n", what, rte_strerror(rte_errno));
	exit(1);
}

/* --- the stack's edge -------------------------------------------------------------------------- */

/* The nodes pass on whatever the worker calls its stack. */
static void
sink(struct stack *s, struct rte_mbuf **pkts, uint16_t n)
{
	struct bench *b = (struct bench *)s;

	if (b->circulate)
		rte_ring_sp_enqueue_bulk(b->circulating, (void **)pkts, n, NULL);
	else
		rte_pktmbuf_free_bulk(pkts, n);
}

uint16_t
stack_priv_size(void)
{
	return 64;
}

void
stack_rx_tcp(struct stack *s, struct rte_mbuf **pkts, uint16_t n, uint64_t *counts,
	struct rte_mbuf **no_socket, uint16_t *n_no_socket)
{
	counts[STACK_ACCEPTED] += n;
	sink(s, pkts, n);
}

void
stack_rx_udp(struct stack *s, struct rte_mbuf **pkts, uint16_t n, uint64_t *counts,
	struct rte_mbuf **no_socket, uint16_t *n_no_socket)
{
	stack_rx_tcp(s, pkts, n, counts, no_socket, n_no_socket);
}

void
stack_rx_icmp(struct stack *s, struct rte_mbuf **pkts, uint16_t n, uint64_t *counts)
{
	stack_rx_tcp(s, pkts, n, counts, NULL, NULL);
}

uint16_t
stack_tx(struct stack *s, struct rte_mbuf **pkts, uint16_t max)
{
	struct bench *b = (struct bench *)s;
	uint16_t n = RTE_MIN(b->n_out, max);

	memcpy(pkts, b->out, n * sizeof(pkts[0]));
	b->n_out = 0;
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
	return n_stacks - 1; /* of two: the neighbour */
}

unsigned int
stack_owner_udp(uint16_t dport, unsigned int n_stacks)
{
	return n_stacks - 1;
}

/* --- packets ------------------------------------------------------------------------------------ */

static struct rte_mbuf *
make(struct bench *b, const struct bench_frame *f)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(b->pool);

	if (m == NULL)
		die("packet pool");
	memcpy(rte_pktmbuf_append(m, f->len), f->bytes, f->len);
	m->ol_flags = f->ol_flags;
	m->l3_len = f->l3_len;
	m->l4_len = f->l4_len;
	m->port = b->w.port;
	return m;
}

static void
receive(struct bench *b, struct rte_mbuf *m)
{
	if (rte_ring_sp_enqueue(b->rx, m) != 0)
		die("receive ring");
}

/* The frame of a phase; what varies from packet to packet is made by feed(). */
static void
frame_of(enum feed feed, struct bench_frame *f)
{
	uint64_t good = RTE_MBUF_F_RX_IP_CKSUM_GOOD | RTE_MBUF_F_RX_L4_CKSUM_GOOD;

	switch (feed) {
	case FEED_TCP:
	case FEED_HANDOFF: bench_frame_tcp(f, good); break;
	case FEED_TCP_SOFT: bench_frame_tcp(f, 0); break;
	case FEED_UDP: bench_frame_udp(f); break;
	case FEED_ECHO: bench_frame_echo(f); break;
	case FEED_FOREIGN:
		bench_frame_tcp(f, good);
		f->bytes[5] ^= 0xff; /* another station's MAC */
		break;
	case FEED_ARP: bench_frame_arp(f, RTE_ARP_OP_REQUEST); break;
	case FEED_FRAGMENTS: break;
	case FEED_OUT_TCP: bench_packet_tcp(f); break;
	case FEED_OUT_LARGE: bench_packet_udp(f, FRAG_PACKET); break;
	}
}

/* Put one vector of a phase where the graph finds it. Returns the number of packets. */
static uint16_t
feed(struct bench *b, enum feed kind, struct bench_frame *f)
{
	struct rte_mbuf *pkts[GRAPH_VECTOR_MAX];
	static uint16_t id;

	if (b->circulate) {
		if (rte_ring_sc_dequeue_bulk(b->circulating, (void **)pkts, b->burst, NULL) == 0)
			die("packets got lost");
		if (rte_ring_sp_enqueue_bulk(b->rx, (void **)pkts, b->burst, NULL) == 0)
			die("receive ring");
		return b->burst;
	}
	for (uint16_t i = 0; i < b->burst; i++) {
		switch (kind) {
		case FEED_FRAGMENTS:
			id += i % 2 == 0;
			bench_frame_fragment(f, id, i % 2 != 0);
			receive(b, make(b, f));
			break;
		case FEED_OUT_TCP:
		case FEED_OUT_LARGE:
			b->out[b->n_out++] = make(b, f);
			break;
		default:
			receive(b, make(b, f));
		}
	}
	return b->burst;
}

/* Free what the graph has sent. Returns how many. */
static unsigned int
drain(struct bench *b)
{
	struct rte_mbuf *pkts[GRAPH_VECTOR_MAX];
	unsigned int n, all = 0;

	while ((n = rte_ring_sc_dequeue_burst(b->tx, (void **)pkts, RTE_DIM(pkts), NULL)) > 0) {
		rte_pktmbuf_free_bulk(pkts, n);
		all += n;
	}
	return all;
}

/* The first packet out makes an ARP request; answer it. */
static void
resolve_neighbour(struct bench *b)
{
	struct bench_frame f;

	bench_packet_tcp(&f);
	b->out[b->n_out++] = make(b, &f);
	graph_walk(b->graph);
	if (drain(b) != 1)
		die("no ARP request");
	bench_frame_arp(&f, RTE_ARP_OP_REPLY);
	receive(b, make(b, &f));
	graph_walk(b->graph);
	if (drain(b) != 1)
		die("the packet that waited for ARP did not leave");
}

/* --- phases ------------------------------------------------------------------------------------- */

static void
open_phase(struct bench *b, const struct phase *p, enum feed kind)
{
	unsigned int n_sources = p->sources[1] != NULL ? 2 : 1;
	struct bench_frame f;

	b->w = (struct worker){
		.stack = (struct stack *)b, .n_workers = p->n_workers, .burst = b->burst,
		.mtu = p->mtu, .addr = BENCH_ADDR, .mask = BENCH_MASK, .mac = bench_mac,
		.tx_offloads = RTE_ETH_TX_OFFLOAD_MULTI_SEGS | RTE_ETH_TX_OFFLOAD_IPV4_CKSUM |
			RTE_ETH_TX_OFFLOAD_TCP_CKSUM | RTE_ETH_TX_OFFLOAD_UDP_CKSUM,
		.pool = b->pool, .kernel_fd = -1, .handoff = b->handoff,
	};
	b->neighbour = b->w;
	b->neighbour.index = 1;
	b->w.peers[0] = &b->w;
	b->w.peers[1] = &b->neighbour;
	b->graph = graph_create("bench", p->sources, n_sources, &b->w);
	if (b->graph == NULL)
		die("graph");
	b->w.graph = b->graph;
	b->circulate = kind == FEED_TCP || kind == FEED_TCP_SOFT || kind == FEED_HANDOFF;
	frame_of(kind, &f);
	for (unsigned int i = 0; b->circulate && i < CIRCULATING; i++)
		rte_ring_sp_enqueue(b->circulating, make(b, &f));
	if (kind == FEED_OUT_TCP || kind == FEED_OUT_LARGE)
		resolve_neighbour(b);
}

static void
close_phase(struct bench *b)
{
	void *m = NULL;

	graph_destroy(b->graph);
	while (rte_ring_sc_dequeue(b->circulating, &m) == 0)
		rte_pktmbuf_free(m);
}

static const struct graph_node_stats *
stats_of(const struct graph_node_stats *stats, unsigned int n, const char *name)
{
	for (unsigned int i = 0; i < n; i++)
		if (strcmp(stats[i].name, name) == 0)
			return &stats[i];
	return NULL;
}

static void
keep_figures(struct bench *b, const struct graph_node_stats *before, struct bench_figures *f,
	unsigned int run)
{
	static struct graph_node_stats after[NODES_MAX];
	unsigned int n = RTE_MIN(graph_stats(b->graph, after, NODES_MAX), (unsigned int)NODES_MAX);

	for (unsigned int i = 0; f->node[i] != NULL; i++) {
		const struct graph_node_stats *s0 = stats_of(before, n, f->node[i]);
		const struct graph_node_stats *s1 = stats_of(after, n, f->node[i]);
		double packets;

		if (s0 == NULL || s1 == NULL || s1->packets == s0->packets)
			die(f->node[i]);
		packets = (double)(s1->packets - s0->packets);
		f->cycles[i][run] = (double)(s1->cycles - s0->cycles) / packets;
		f->per_call[i][run] = packets / (double)(s1->calls - s0->calls);
	}
}

static void
run_phase(struct bench *b, enum feed kind, unsigned int run)
{
	static struct graph_node_stats before[NODES_MAX];
	uint64_t cycles = 0, packets = 0, end = 0, walk = 0, t;
	struct bench_frame f;

	open_phase(b, &phases[kind], kind);
	frame_of(kind, &f);
	do {
		if (walk++ == WARMUP_WALKS) {
			cycles = packets = 0;
			graph_stats(b->graph, before, NODES_MAX);
			end = rte_rdtsc() + (uint64_t)(b->seconds / N_PHASES * rte_get_tsc_hz());
		}
		packets += feed(b, kind, &f);
		t = rte_rdtsc();
		graph_walk(b->graph);
		cycles += rte_rdtsc() - t;
		drain(b);
	} while (walk <= WARMUP_WALKS || walk % WALKS_PER_CLOCK != 0 || rte_rdtsc() < end);
	b->figures[kind].total[run] = (double)cycles / (double)packets;
	keep_figures(b, before, &b->figures[kind], run);
	close_phase(b);
}

/* --- start -------------------------------------------------------------------------------------- */

static void
start_eal(const struct bench *b)
{
	char memory[32], core[32];
	char *huge[] = { "graph_bench", "--in-memory", "-m", memory, "-l", core, "--no-pci",
		"--no-telemetry", "--log-level", "lib.eal:error", NULL };
	char *plain[] = { "graph_bench", "--no-huge", "-m", memory, "-l", core, "--no-pci",
		"--no-telemetry", "--no-shconf", "--log-level", "lib.eal:error", NULL };
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);

	snprintf(memory, sizeof(memory), "%u", b->memory_mb);
	snprintf(core, sizeof(core), "%ld", cpus - 1);
	if (rte_eal_init(b->huge ? (int)RTE_DIM(huge) - 1 : (int)RTE_DIM(plain) - 1,
		b->huge ? huge : plain) < 0)
		die("EAL");
}

static struct rte_ring *
make_ring(const char *name)
{
	struct rte_ring *r = rte_ring_create(name, RING_SIZE, SOCKET_ID_ANY,
		RING_F_SP_ENQ | RING_F_SC_DEQ);

	if (r == NULL)
		die("ring");
	return r;
}

static void
start_port(struct bench *b)
{
	struct rte_eth_conf conf = { 0 };
	int port;

	b->pool = rte_pktmbuf_pool_create("bench", POOL_SIZE, 256, stack_priv_size(),
		RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
	if (b->pool == NULL)
		die("packet pool");
	b->rx = make_ring("bench-rx");
	b->tx = make_ring("bench-tx");
	b->circulating = make_ring("bench-circulating");
	b->handoff = make_ring("bench-handoff");
	port = rte_eth_from_rings("bench", &b->rx, 1, &b->tx, 1, SOCKET_ID_ANY);
	if (port != 0 || rte_eth_dev_configure(0, 1, 1, &conf) != 0 ||
		rte_eth_rx_queue_setup(0, 0, 512, SOCKET_ID_ANY, NULL, b->pool) != 0 ||
		rte_eth_tx_queue_setup(0, 0, 512, SOCKET_ID_ANY, NULL) != 0 ||
		rte_eth_dev_start(0) != 0)
		die("port");
}

static void
print_json(const struct bench *b)
{
	double total = bench_median(b->figures[FEED_TCP].total, b->runs);

	printf("{\"scenario\":\"graph\",\"kernel\":null,\"gazelle\":%.1f,\"ratio\":null,"
	       "\"unit\":\"cycles/packet\",\"total_cycles_per_packet\":%.1f,"
	       "\"total_cycles_per_packet_software_checksum\":%.1f,\"nodes\":{", total, total,
		bench_median(b->figures[FEED_TCP_SOFT].total, b->runs));
	bench_print_nodes(b->figures, N_PHASES, b->runs);
	printf("},\"vector\":%u,\"frame_bytes\":64,\"circulating\":%d,\"runs\":%u,\"seconds\":%g,"
	       "\"tsc_mhz\":%" PRIu64 "}\n", b->burst, CIRCULATING, b->runs, b->seconds,
		rte_get_tsc_hz() / 1000000);
}

static int
parse(struct bench *b, int argc, char **argv)
{
	static const struct option options[] = {
		{ "seconds", required_argument, NULL, 's' }, { "runs", required_argument, NULL, 'r' },
		{ "memory", required_argument, NULL, 'm' }, { "huge", no_argument, NULL, 'h' },
		{ "vector", required_argument, NULL, 'v' }, { NULL, 0, NULL, 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case 's': b->seconds = strtod(optarg, NULL); break;
		case 'r': b->runs = (unsigned int)strtoul(optarg, NULL, 10); break;
		case 'm': b->memory_mb = (unsigned int)strtoul(optarg, NULL, 10); break;
		case 'h': b->huge = true; break;
		case 'v': b->burst = (uint16_t)strtoul(optarg, NULL, 10); break;
		default: return -1;
		}
	}
	return b->runs >= 1 && b->runs <= BENCH_RUNS_MAX && b->burst >= 2 && b->burst % 2 == 0 &&
		b->burst <= GRAPH_VECTOR_MAX ? 0 : -1;
}

int
main(int argc, char **argv)
{
	static struct bench bench = { .seconds = 5, .runs = 3, .memory_mb = 128, .burst = 128 };

	if (parse(&bench, argc, argv) < 0) {
		fprintf(stderr, "usage: graph_bench [--seconds N] [--runs 1..%d] [--vector 2..%d, even]"
			" [--memory MB] [--huge]\n", BENCH_RUNS_MAX, GRAPH_VECTOR_MAX);
		return 2;
	}
	start_eal(&bench);
	start_port(&bench);
	for (unsigned int p = 0; p < N_PHASES; p++)
		bench.figures[p] = phases[p].report;
	for (unsigned int r = 0; r < bench.runs; r++)
		for (unsigned int p = 0; p < N_PHASES; p++)
			run_phase(&bench, p, r);
	bench_print_table(bench.figures, N_PHASES, bench.runs);
	print_json(&bench);
	rte_eth_dev_stop(0);
	return rte_eal_cleanup() == 0 ? 0 : 1;
}
