/* SPDX-License-Identifier: BSD-3-Clause */
/* linerate_gen: RFC 2544 throughput, latency and frame loss of what is at the other end of a wire. */
/*
 * For every frame size: trials as fast as it goes say where to begin, and what comes back then (the
 * forwarding rate at maximum offered load, RFC 2285 3.6.2). Throughput (26.1) is a binary search for
 * the highest rate with no more loss than the tolerance. Losses while a core was taken away from this
 * virtual machine are no limit of the device: they do not count (linerate_trial.c), and a trial that
 * fails is repeated. Latency (26.2) of all packets at half and at the full throughput. Loss (26.3) at 10
 * to 100 % of the rate the search began with. Unlike the RFC's, trials last fractions of a second.
 */
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include <rte_cycles.h>

#include "perf/linerate_trial.h"

#define SIZES_MAX 16
#define CURVE 10 /* steps of 10 % */
#define PRECISION 0.02
#define LATENCY_LONGER 2 /* trials of latency take so many times as long */
#define TRIES 4 /* of a trial that fails */
#define DISTURBED_MAX 0.5 /* of a trial; what is left says nothing */
#define OVERLOAD 1.5 /* of what comes back under full load: surely too much */

struct options {
	const char *vdev;
	double seconds, tolerance;
	unsigned int memory_mb;
	bool huge, arp;
	unsigned int n_sizes;
	uint16_t sizes[SIZES_MAX];
};

struct latency {
	double p50_us, p99_us, max_us;
};

struct report {
	uint16_t frame;
	double pps, loss;       /* throughput, and the loss at it */
	double offered_at_full, received_at_full; /* pps, as fast as it goes */
	uint64_t reordered, duplicates; /* in all trials */
	double disturbed, seconds;      /* of all trials: time excused, time */
	struct latency half, full;
	double offered[CURVE], lost[CURVE];
};

static struct trial trial; /* large */

static void
run(struct generator *g, struct report *r, double pps, double seconds)
{
	trial.pps = pps;
	trial.seconds = seconds;
	generator_run(g, &trial);
	r->reordered += trial.flow.reordered;
	r->duplicates += trial.flow.duplicates;
	r->disturbed += trial.disturbed * seconds;
	r->seconds += seconds;
}

/* The rate to begin with: what the generator can offer, unless far less comes back. */
static double
highest_rate(struct generator *g, const struct options *o, struct report *r)
{
	double back;

	for (int tries = 0; tries < TRIES; tries++) { /* the best one was disturbed least */
		run(g, r, 0, o->seconds);
		if (trial.received_pps < r->received_at_full)
			continue;
		r->received_at_full = trial.received_pps;
		r->offered_at_full = trial.offered_pps;
	}
	back = r->received_at_full * OVERLOAD;
	return r->offered_at_full < back ? r->offered_at_full : back;
}

/* Whether the last trial counts as one without loss; the fastest of them is the throughput. */
static bool
note_trial(const struct options *o, struct report *r)
{
	if (trial.loss > o->tolerance || trial.disturbed >= DISTURBED_MAX)
		return false;
	if (trial.offered_pps > r->pps) {
		r->pps = trial.offered_pps;
		r->loss = trial.loss;
	}
	return true;
}

static bool
passes(struct generator *g, const struct options *o, struct report *r, double pps)
{
	for (int tries = 0; tries < TRIES; tries++) {
		run(g, r, pps, o->seconds);
		if (note_trial(o, r))
			return true;
	}
	return false;
}

static void
find_throughput(struct generator *g, const struct options *o, struct report *r, double first)
{
	struct search s = { .first = first, .precision = PRECISION };
	double pps;

	while ((pps = search_next(&s)) > 0)
		search_note(&s, pps, passes(g, o, r, pps));
}

/* Its trials may show that the search was misled by a disturbance. */
static void
find_losses(struct generator *g, const struct options *o, struct report *r, double first)
{
	for (int i = 0; i < CURVE; i++) {
		run(g, r, first * (i + 1) / CURVE, o->seconds);
		note_trial(o, r);
		r->offered[i] = trial.offered_pps;
		r->lost[i] = trial.loss;
	}
}

static struct latency
latency_at(struct generator *g, const struct options *o, struct report *r, double pps)
{
	run(g, r, pps, o->seconds * LATENCY_LONGER);
	return (struct latency){ hist_percentile_us(&trial.latency, .5),
		hist_percentile_us(&trial.latency, .99), (double)trial.latency.max_ns / 1e3 };
}

static void
measure(struct generator *g, const struct options *o, uint16_t frame, struct report *r)
{
	double first;

	*r = (struct report){ .frame = frame };
	generator_set_frame(g, frame);
	first = highest_rate(g, o, r);
	find_throughput(g, o, r, first);
	find_losses(g, o, r, first);
	if (r->pps > 0) {
		r->half = latency_at(g, o, r, r->pps / 2);
		r->full = latency_at(g, o, r, r->pps);
	}
}

/* --- report ---------------------------------------------------------------------------------------- */

static double
gbps(const struct report *r)
{
	return r->pps * r->frame * 8 / 1e9;
}

/* The time one packet may take in the slowest place. */
static double
cycles_at_full(const struct report *r)
{
	return r->received_at_full > 0 ? (double)rte_get_tsc_hz() / r->received_at_full : 0;
}

static void
print_header(void)
{
	printf("%5s | %-23s | %-23s | %-21s | %-21s\n%5s | %7s %7s %7s | %7s %7s %7s | %5s %6s %8s |"
	       " %5s %6s %8s\n", "", "throughput", "at maximum offered load", "latency us at 50 %",
		"latency us at 100 %", "frame", "Mpps", "Gbit/s", "loss %", "offered", "Mpps",
		"cyc/pkt", "p50", "p99", "max", "p50", "p99", "max");
}

static void
print_row(const struct report *r)
{
	printf("%5u | %7.3f %7.2f %7.3f | %7.3f %7.3f %7.0f | %5.1f %6.1f %8.1f | %5.1f %6.1f %8.1f\n",
		r->frame, r->pps / 1e6, gbps(r), r->loss * 100, r->offered_at_full / 1e6,
		r->received_at_full / 1e6, cycles_at_full(r), r->half.p50_us, r->half.p99_us,
		r->half.max_us, r->full.p50_us, r->full.p99_us, r->full.max_us);
	printf("%5s | loss %% at Mpps:", "");
	for (int i = 0; i < CURVE; i++)
		printf(" %.2f@%.2f", r->lost[i] * 100, r->offered[i] / 1e6);
	printf(" (disturbed %.1f %%)\n", 100 * r->disturbed / r->seconds);
	fflush(stdout);
}

static void
print_latency(const char *name, const struct latency *l)
{
	printf(",\"%s\":{\"p50\":%.2f,\"p99\":%.2f,\"max\":%.2f}", name, l->p50_us, l->p99_us,
		l->max_us);
}

static void
print_json(const struct options *o, const struct report *r)
{
	printf("{\"tolerance_percent\":%g,\"seconds\":%g,\"tsc_mhz\":%" PRIu64 ",\"sizes\":[",
		o->tolerance * 100, o->seconds, rte_get_tsc_hz() / 1000000);
	for (unsigned int i = 0; i < o->n_sizes; i++, r++) {
		printf("%s{\"frame\":%u,\"mpps\":%.4f,\"gbps\":%.3f,\"loss_percent\":%.4f,"
		       "\"offered_at_full_mpps\":%.4f,\"received_at_full_mpps\":%.4f,"
		       "\"cycles_per_packet_at_full\":%.1f,"
		       "\"reordered\":%" PRIu64 ",\"duplicates\":%" PRIu64
		       ",\"disturbed_percent\":%.2f", i > 0 ? "," : "",
			r->frame, r->pps / 1e6, gbps(r), r->loss * 100, r->offered_at_full / 1e6,
			r->received_at_full / 1e6, cycles_at_full(r), r->reordered, r->duplicates,
			100 * r->disturbed / r->seconds);
		print_latency("latency_us_at_50_percent", &r->half);
		print_latency("latency_us_at_100_percent", &r->full);
		printf(",\"loss_curve\":[");
		for (int k = 0; k < CURVE; k++)
			printf("%s{\"mpps\":%.4f,\"loss_percent\":%.4f}", k > 0 ? "," : "",
				r->offered[k] / 1e6, r->lost[k] * 100);
		printf("]}");
	}
	printf("]}\n");
}

/* --- start ----------------------------------------------------------------------------------------- */

/* "64,1518" */
static bool
parse_sizes(struct options *o, const char *text)
{
	char *rest;

	for (o->n_sizes = 0; o->n_sizes < SIZES_MAX; text = rest + 1) {
		unsigned long size = strtoul(text, &rest, 10);

		if (size < LINERATE_FRAME_MIN || size > LINERATE_FRAME_MAX)
			return false;
		o->sizes[o->n_sizes++] = (uint16_t)size;
		if (*rest == '\0')
			return true;
		if (*rest != ',')
			return false;
	}
	return false;
}

static int
parse(struct options *o, int argc, char **argv)
{
	static const struct option options[] = {
		{ "vdev", required_argument, NULL, 'v' }, { "sizes", required_argument, NULL, 'z' },
		{ "seconds", required_argument, NULL, 's' }, { "memory", required_argument, NULL, 'm' },
		{ "tolerance", required_argument, NULL, 't' }, { "huge", no_argument, NULL, 'h' },
		{ "arp", no_argument, NULL, 'a' }, { NULL, 0, NULL, 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case 'v': o->vdev = optarg; break;
		case 'z':
			if (!parse_sizes(o, optarg))
				return -1;
			break;
		case 's': o->seconds = strtod(optarg, NULL); break;
		case 'm': o->memory_mb = (unsigned int)strtoul(optarg, NULL, 10); break;
		case 't': o->tolerance = strtod(optarg, NULL) / 100; break;
		case 'h': o->huge = true; break;
		case 'a': o->arp = true; break;
		default: return -1;
		}
	}
	return o->vdev != NULL && o->n_sizes > 0 && o->seconds > 0 && o->tolerance >= 0 ? 0 : -1;
}

int
main(int argc, char **argv)
{
	static struct options o = { .seconds = .1, .tolerance = .001, .memory_mb = 64 };
	static struct report reports[SIZES_MAX];
	static struct generator g;

	if (parse(&o, argc, argv) < 0) {
		fprintf(stderr, "usage: linerate_gen --vdev DEVICE --sizes %d,...,%d [--seconds N]"
			" [--tolerance PERCENT] [--arp] [--memory MB] [--huge]\n", LINERATE_FRAME_MIN,
			LINERATE_FRAME_MAX);
		return 2;
	}
	signal(SIGPIPE, SIG_IGN);
	linerate_start("linerate_gen", o.vdev, o.memory_mb, o.huge);
	generator_start(&g, o.arp);
	print_header();
	for (unsigned int i = 0; i < o.n_sizes; i++) {
		measure(&g, &o, o.sizes[i], &reports[i]);
		print_row(&reports[i]);
	}
	print_json(&o, reports);
	return linerate_stop();
}
