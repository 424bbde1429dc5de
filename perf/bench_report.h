/* SPDX-License-Identifier: BSD-3-Clause */
/* What graph_bench measured, and how it is printed. */
#ifndef PERF_BENCH_REPORT_H
#define PERF_BENCH_REPORT_H

#include <stdbool.h>

#define BENCH_RUNS_MAX 32
#define BENCH_NODES_MAX 5 /* reported per phase */

struct bench_figures {
	const char *phase;
	const char *node[BENCH_NODES_MAX + 1]; /* NULL: no more */
	bool variant; /* the same nodes as an earlier phase, under other conditions */
	double total[BENCH_RUNS_MAX]; /* cycles per packet of whole walks */
	double cycles[BENCH_NODES_MAX][BENCH_RUNS_MAX]; /* per packet */
	double per_call[BENCH_NODES_MAX][BENCH_RUNS_MAX]; /* packets */
};

/* Median of a row of BENCH_RUNS_MAX, of which `runs` are filled. */
double bench_median(const double *row, unsigned int runs);
void bench_print_table(const struct bench_figures *f, unsigned int n, unsigned int runs);
/* "NAME":CYCLES,... of all nodes, each once. */
void bench_print_nodes(const struct bench_figures *f, unsigned int n, unsigned int runs);

#endif
