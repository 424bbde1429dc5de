/* SPDX-License-Identifier: BSD-3-Clause */
/* Medians, table and JSON of graph_bench. */
#include "perf/bench_report.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int
compare(const void *a, const void *b)
{
	double d = *(const double *)a - *(const double *)b;

	return d < 0 ? -1 : d > 0;
}

double
bench_median(const double *row, unsigned int runs)
{
	double v[BENCH_RUNS_MAX];

	memcpy(v, row, runs * sizeof(v[0]));
	qsort(v, runs, sizeof(v[0]), compare);
	return runs % 2 ? v[runs / 2] : (v[runs / 2 - 1] + v[runs / 2]) / 2;
}

void
bench_print_table(const struct bench_figures *f, unsigned int n, unsigned int runs)
{
	printf("%-28s %-14s %12s %12s\n", "packets", "node", "cycles/pkt", "pkts/call");
	for (; n > 0; n--, f++) {
		for (unsigned int i = 0; f->node[i] != NULL; i++)
			printf("%-28s %-14s %12.1f %12.1f\n", i == 0 ? f->phase : "", f->node[i],
				bench_median(f->cycles[i], runs),
				bench_median(f->per_call[i], runs));
		printf("%-28s %-14s %12.1f\n", "", "(whole walk)", bench_median(f->total, runs));
	}
}

void
bench_print_nodes(const struct bench_figures *f, unsigned int n, unsigned int runs)
{
	const char *sep = "";

	for (; n > 0; n--, f++) {
		if (f->variant)
			continue;
		for (unsigned int i = 0; f->node[i] != NULL; i++, sep = ",")
			printf("%s\"%s\":%.1f", sep, f->node[i], bench_median(f->cycles[i], runs));
	}
}
