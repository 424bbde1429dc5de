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

#endif
