/* SPDX-License-Identifier: BSD-3-Clause */
/* Snapshots as tables for people. */
#ifndef CTL_RENDER_H
#define CTL_RENDER_H

#include <stdio.h>

#include "ctl/snapshot.h"

/* "redis-server, pid 12, 198.18.0.1" */
void render_identity(FILE *out, const struct ctl_identity *id);
void render_graph(FILE *out, const struct ctl_graph *g);
void render_trace(FILE *out, const struct ctl_trace *t);
void render_lstack(FILE *out, const struct ctl_lstack *l);
void render_conns(FILE *out, const struct ctl_conns *c);
void render_snmp(FILE *out, const struct ctl_snmp *s);

/* Answers that rates.c has turned into figures per second. */
void render_lstack_rate(FILE *out, const struct ctl_lstack *l);
void render_ltran_rate(FILE *out, const struct ctl_ltran *l);
void render_burst(FILE *out, const struct ctl_measure *m);

void render_ltran(FILE *out, const struct ctl_ltran *l);
void render_instances(FILE *out, const struct ctl_instances *i);
void render_latency(FILE *out, const struct ctl_measure *m);
void render_loglevel(FILE *out, const struct ctl_loglevel *l);
void render_quit(FILE *out, const struct ctl_quit *q);

/* For the files of the renderer: cells of "name: value", three to a line; *n counts them. */
void render_cell(FILE *out, unsigned int *n, const char *name, uint64_t value);
void render_cells_end(FILE *out, unsigned int *n);
extern const char *const render_severities[];

#endif
