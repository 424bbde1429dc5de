/* SPDX-License-Identifier: BSD-3-Clause */
/* conns: many open TCP connections; what a request costs among them, and what idle ones cost. */
/*
 * The client opens a few connections and takes its figures, opens the rest and takes them again:
 *
 *   requests (default): `in_flight` at a time, on connections chosen at random. Phases: "base" with
 *       few connections open, "hot" with all of them open but asking the same few, "full" asking
 *       all of them. cost_ratio is the time per request of "full" by that of "base"; at a fixed
 *       number in flight with both ends polling, that is what a request costs.
 *   idle (-i): one connection plays ping-pong, the others are silent; what stalls shows in its
 *       slowest round trip. In the end every connection is asked once, to see that it lives.
 */
#include "perf/conns.h"

#include <arpa/inet.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "perf/hist.h"

void
die(const char *what)
{
	perror(what);
	exit(1);
}

/* Sum of two rows "NAME: n kB" of a file in /proc. */
static uint64_t
proc_bytes(const char *path, const char *row, const char *other)
{
	FILE *f = fopen(path, "r");
	char line[128];
	uint64_t sum = 0;

	if (f == NULL)
		die(path);
	while (fgets(line, sizeof(line), f) != NULL) {
		char *colon = strchr(line, ':');

		if (colon == NULL)
			continue;
		*colon = '\0';
		if (strcmp(line, row) == 0 || strcmp(line, other) == 0)
			sum += strtoull(colon + 1, NULL, 10) * 1024;
	}
	fclose(f);
	return sum;
}

uint64_t
memory_bytes(void)
{
	return proc_bytes("/proc/self/status", "VmRSS", "HugetlbPages");
}

uint64_t
memory_available_bytes(void)
{
	return proc_bytes("/proc/meminfo", "MemAvailable", "");
}

void
loop_watch_start(struct loop_watch *w)
{
	*w = (struct loop_watch){.last_ns = clock_ns(), .last_cpu_ns = clock_cpu_ns()};
}

void
loop_watch_turn(struct loop_watch *w)
{
	uint64_t now = clock_ns(), cpu = clock_cpu_ns();

	w->n++;
	if (now - w->last_ns > w->gap_max_ns)
		w->gap_max_ns = now - w->last_ns;
	if (cpu - w->last_cpu_ns > w->gap_cpu_max_ns)
		w->gap_cpu_max_ns = cpu - w->last_cpu_ns;
	w->last_ns = now;
	w->last_cpu_ns = cpu;
}

/* As far as the kernel lets us, or the library in front of it. */
static void
raise_descriptor_limit(unsigned int n)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		die("getrlimit");
	if (limit.rlim_max < n) {
		struct rlimit wish = {n, n};

		if (setrlimit(RLIMIT_NOFILE, &wish) == 0)
			return;
	}
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

static void
usage(void)
{
	fprintf(stderr, "usage: conns -s | -c ADDRESS  [-p FIRST PORT] [-P PORTS] [-n CONNECTIONS]\n"
			"  [-m CONNECTIONS AT FIRST] [-f IN FLIGHT] [-t SECONDS] [-i (idle)] [-b (busy)]\n");
	exit(2);
}

int
main(int argc, char **argv)
{
	struct conns_options o = {.addr = {.sin_family = AF_INET, .sin_port = htons(7800)},
		.n_ports = 16, .n_connections = 1000, .n_base = 100, .in_flight = 32, .seconds = 2};
	const char *server = NULL;
	bool serve = false;
	int c;

	while ((c = getopt(argc, argv, "sc:p:P:n:m:f:t:ib")) != -1) {
		switch (c) {
		case 's': serve = true; break;
		case 'c': server = optarg; break;
		case 'p': o.addr.sin_port = htons((uint16_t)strtoul(optarg, NULL, 10)); break;
		case 'P': o.n_ports = (unsigned int)strtoul(optarg, NULL, 10); break;
		case 'n': o.n_connections = (unsigned int)strtoul(optarg, NULL, 10); break;
		case 'm': o.n_base = (unsigned int)strtoul(optarg, NULL, 10); break;
		case 'f': o.in_flight = (unsigned int)strtoul(optarg, NULL, 10); break;
		case 't': o.seconds = strtod(optarg, NULL); break;
		case 'i': o.idle = true; break;
		case 'b': o.busy = true; break;
		default: usage();
		}
	}
	if (serve == (server != NULL) || o.n_ports == 0 || o.n_base == 0 || o.in_flight == 0 ||
		o.n_base >= o.n_connections || o.in_flight >= o.n_base)
		usage();
	if (server != NULL && inet_pton(AF_INET, server, &o.addr.sin_addr) != 1)
		usage();
	signal(SIGPIPE, SIG_IGN);
	raise_descriptor_limit(CONNS_DESCRIPTORS);
	if (!serve)
		return conns_ask(&o);
	conns_serve(&o);
	return 0;
}
