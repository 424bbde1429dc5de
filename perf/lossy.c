/* SPDX-License-Identifier: BSD-3-Clause */
/* lossy: a wire with random loss and delay between two network devices, made of graph nodes. */
/*
 * One thread walks two graphs, one per device: what device a receives (rx ─► loss) waits in a queue
 * for its time and is sent by device b (loss-out ─► tx), and the other way round. The devices are
 * the far ends of veth pairs, opened by af_packet, so that any two stacks, the kernel's or ours,
 * can sit at the near ends and meet the same losses.
 *
 * Sleeps NAP_NS between walks, even while there is something to do: it must not take a core from the
 * programs it is to measure, nor from the kernel's threads that deliver what it sends. The delay is
 * therefore exact to about that and the scheduler's wake-up time, and a walk takes a whole vector.
 *
 * Prints "ready", then at its end (SIGTERM, SIGINT, --seconds) one JSON line with the counters.
 */
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <time.h>

#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_ethdev.h>

#include "graph/graph.h"
#include "nodes/loss.h"
#include "nodes/nodes.h"

#define QUEUE_SIZE 8192 /* packets under way per direction */
#define POOL_SIZE 32767 /* both queues full, and the rings of the ports */
#define MEMORY_MB "160"
#define BURST GRAPH_VECTOR_MAX
#define NAP_NS 50000

enum end { A, B, ENDS };

struct options {
	const char *device[ENDS];
	double loss[ENDS]; /* of what this end receives */
	unsigned long delay_us, seconds;
	uint64_t seed;
};

static volatile sig_atomic_t stop_wanted;

static void
die(const char *what)
{
	fprintf(stderr, "lossy: %s: %s\n", what, rte_strerror(rte_errno));
	exit(1);
}

static void
on_signal(int number)
{
	stop_wanted = 1;
}

static void
start_eal(const struct options *o)
{
	char vdev[ENDS][128];
	char *argv[] = { "lossy", "--no-huge", "-m", MEMORY_MB, "--no-pci", "--no-shconf",
		"--no-telemetry", "--iova-mode=va", "--log-level", "error", "-l", "0",
		"--vdev", vdev[A], "--vdev", vdev[B] };
	cpu_set_t cpus;

	for (int end = A; end < ENDS; end++)
		snprintf(vdev[end], sizeof(vdev[end]),
			"net_af_packet%d,iface=%s,framesz=2048,framecnt=1024,qdisc_bypass=1", end,
			o->device[end]);
	sched_getaffinity(0, sizeof(cpus), &cpus);
	if (rte_eal_init(RTE_DIM(argv), argv) < 0)
		die("EAL");
	sched_setaffinity(0, sizeof(cpus), &cpus); /* where the caller wants it, not on core 0 */
}

static void
start_port(uint16_t port, struct rte_mempool *pool)
{
	static const struct rte_eth_conf conf;

	if (rte_eth_dev_configure(port, 1, 1, &conf) < 0 ||
		rte_eth_rx_queue_setup(port, 0, 512, SOCKET_ID_ANY, NULL, pool) < 0 ||
		rte_eth_tx_queue_setup(port, 0, 512, SOCKET_ID_ANY, NULL) < 0 ||
		rte_eth_dev_start(port) < 0)
		die("port");
	/* The frames are for the hosts at the near ends. */
	rte_eth_promiscuous_enable(port);
}

static struct loss *
make_loss(const struct options *o, enum end from)
{
	struct loss *l = loss_create(loss_dice(o->loss[from], o->seed + from),
		rte_get_tsc_hz() / 1000000 * o->delay_us, QUEUE_SIZE);

	if (l == NULL)
		die("queue");
	return l;
}

static void
make_path(const struct options *o, struct worker *w)
{
	static const char *const sources[] = { NODE_RX, NODE_LOSS_OUT };
	struct rte_mempool *pool = rte_pktmbuf_pool_create("lossy", POOL_SIZE, 256, 0,
		RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);

	if (pool == NULL)
		die("packet pool");
	for (int end = A; end < ENDS; end++) {
		w[end] = (struct worker){ .port = end, .burst = BURST, .pool = pool, .kernel_fd = -1,
			.loss_rx = make_loss(o, end) };
		start_port(end, pool);
	}
	w[A].loss_tx = w[B].loss_rx;
	w[B].loss_tx = w[A].loss_rx;
	if (graph_reroute(NODE_RX, NODE_CLASSIFY, NODE_LOSS) < 0)
		die(NODE_RX);
	for (int end = A; end < ENDS; end++) {
		w[end].graph = graph_create(end == A ? "a" : "b", sources, RTE_DIM(sources), &w[end]);
		if (w[end].graph == NULL)
			die("graph");
	}
}

/* A wire that ends before what is measured over it looks like a fault of a stack: that is said. */
static void
run(struct worker *w, unsigned long seconds)
{
	static const struct timespec nap = { .tv_nsec = NAP_NS };
	uint64_t end = rte_rdtsc() + seconds * rte_get_tsc_hz();

	while (!stop_wanted && rte_rdtsc() < end) {
		graph_walk(w[A].graph);
		graph_walk(w[B].graph);
		nanosleep(&nap, NULL);
	}
	if (!stop_wanted)
		fprintf(stderr, "lossy: ends after %lu s (--seconds)\n", seconds);
}

static void
print_counters(const struct worker *w, enum end from)
{
	const struct loss *l = w[from].loss_rx;

	printf("\"%s\":{\"in\":%" PRIu64 ",\"lost\":%" PRIu64 ",\"queue_full\":%" PRIu64
	       ",\"out\":%" PRIu64 "}", from == A ? "ab" : "ba", l->n_in, l->n_lost, l->n_full,
		l->n_out);
}

static double
percent(const char *text)
{
	char *rest;
	double p = strtod(text, &rest);

	return *rest == '\0' && p >= 0 && p <= 100 ? p / 100 : -1;
}

static int
parse(struct options *o, int argc, char **argv)
{
	static const struct option options[] = {
		{ "loss-ab", required_argument, NULL, 'a' }, { "loss-ba", required_argument, NULL, 'b' },
		{ "delay-us", required_argument, NULL, 'd' }, { "seed", required_argument, NULL, 's' },
		{ "seconds", required_argument, NULL, 't' }, { NULL, 0, NULL, 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case 'a': o->loss[A] = percent(optarg); break;
		case 'b': o->loss[B] = percent(optarg); break;
		case 'd': o->delay_us = strtoul(optarg, NULL, 10); break;
		case 's': o->seed = strtoull(optarg, NULL, 10); break;
		case 't': o->seconds = strtoul(optarg, NULL, 10); break;
		default: return -1;
		}
	}
	if (argc - optind != ENDS || o->loss[A] < 0 || o->loss[B] < 0)
		return -1;
	o->device[A] = argv[optind];
	o->device[B] = argv[optind + 1];
	return 0;
}

int
main(int argc, char **argv)
{
	struct options o = { .seconds = 600, .seed = 1 };
	static struct worker w[ENDS];

	if (parse(&o, argc, argv) < 0) {
		fprintf(stderr, "usage: lossy [--loss-ab PERCENT] [--loss-ba PERCENT] [--delay-us N]"
			" [--seed N] [--seconds N] DEVICE-A DEVICE-B\n");
		return 2;
	}
	prctl(PR_SET_TIMERSLACK, 1);
	signal(SIGTERM, on_signal);
	signal(SIGINT, on_signal);
	start_eal(&o);
	make_path(&o, w);
	printf("ready\n");
	fflush(stdout);
	run(w, o.seconds);
	printf("{");
	print_counters(w, A);
	printf(",");
	print_counters(w, B);
	printf("}\n");
	for (int end = A; end < ENDS; end++) {
		graph_destroy(w[end].graph);
		loss_destroy(w[end].loss_rx);
		rte_eth_dev_stop(end);
	}
	return rte_eal_cleanup() == 0 ? 0 : 1;
}
