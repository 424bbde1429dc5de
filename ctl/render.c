/* SPDX-License-Identifier: BSD-3-Clause */
/* Snapshots as tables for people. */
#include <inttypes.h>
#include <string.h>

#include "ctl/render.h"

const char *const render_severities[] = {
	[CTL_NORMAL] = "normal",
	[CTL_ODD] = "odd",
	[CTL_BROKEN] = "broken",
};

void
render_identity(FILE *out, const struct ctl_identity *id)
{
	fprintf(out, "%s, pid %" PRIu32 "%s%s\n", id->program, id->pid,
		id->addr[0] != '\0' ? ", " : "", id->addr);
}

/* A ratio with as many digits as fit, or "-" where there is nothing to divide by. */
static void
render_ratio(FILE *out, int width, uint64_t a, uint64_t b)
{
	if (b == 0)
		fprintf(out, " %*s", width, "-");
	else
		fprintf(out, " %*.*f", width, a < 1000 * b ? 2 : 0, (double)a / (double)b);
}

static void
render_errors(FILE *out, const struct ctl_core *core)
{
	bool any = false;

	for (uint32_t i = 0; i < core->nodes_count; i++) {
		const struct ctl_node *node = &core->nodes[i];

		for (uint32_t j = 0; j < node->errors_count; j++) {
			const struct ctl_error *e = &node->errors[j];

			if (!any)
				fprintf(out, "\n  %-14s %12s  %-8s %-22s %s\n", "node", "packets",
					"severity", "reason", "");
			any = true;
			fprintf(out, "  %-14s %12" PRIu64 "  %-8s %-22s %s\n", node->name,
				e->count, render_severities[e->severity], e->symbol, e->text);
		}
	}
	if (!any)
		fprintf(out, "\n  nothing dropped\n");
}

void
render_graph(FILE *out, const struct ctl_graph *g)
{
	for (uint32_t i = 0; i < g->cores_count; i++) {
		const struct ctl_core *core = &g->cores[i];

		fprintf(out, "------ core %" PRIu32 ", tid %" PRId32 ", %" PRIu64 " MHz ------\n",
			core->index, core->tid, g->cycles_hz / 1000000);
		fprintf(out, "  %-14s %14s %14s %12s %13s %12s\n", "node", "calls", "packets",
			"packets/call", "cycles/packet", "cycles/call");
		for (uint32_t j = 0; j < core->nodes_count; j++) {
			const struct ctl_node *node = &core->nodes[j];

			fprintf(out, "  %-14s %14" PRIu64 " %14" PRIu64, node->name, node->calls,
				node->packets);
			render_ratio(out, 12, node->packets, node->calls);
			render_ratio(out, 13, node->cycles, node->packets);
			render_ratio(out, 12, node->cycles, node->calls);
			fputc('\n', out);
		}
		render_errors(out, core);
	}
}

void
render_trace(FILE *out, const struct ctl_trace *t)
{
	for (uint32_t i = 0; i < t->lines_count; i++) {
		if (i > 0 && t->lines[i][0] != ' ')
			fputc('\n', out);
		fprintf(out, "%s\n", t->lines[i]);
	}
}

void
render_cell(FILE *out, unsigned int *n, const char *name, uint64_t value)
{
	char cell[64];

	snprintf(cell, sizeof(cell), "%s: %" PRIu64, name, value);
	if (++*n % 3 == 0)
		fprintf(out, "%s\n", cell);
	else
		fprintf(out, "%-34s", cell);
}

void
render_cells_end(FILE *out, unsigned int *n)
{
	if (*n % 3 != 0)
		fputc('\n', out);
	*n = 0;
}

static void
render_port(FILE *out, const struct ctl_port *p)
{
	unsigned int n = 0;

	fprintf(out, "port: %s (%s) %s, link %s\n", p->name, p->driver, p->mac,
		p->link_up ? "up" : "down");
	render_cell(out, &n, "rx_pkts", p->rx_pkts);
	render_cell(out, &n, "rx_bytes", p->rx_bytes);
	render_cell(out, &n, "rx_missed", p->rx_missed);
	render_cell(out, &n, "tx_pkts", p->tx_pkts);
	render_cell(out, &n, "tx_bytes", p->tx_bytes);
	render_cell(out, &n, "tx_err", p->tx_err);
	render_cell(out, &n, "rx_err", p->rx_err);
	render_cell(out, &n, "rx_allocmbuf_fail", p->rx_allocmbuf_fail);
	render_cells_end(out, &n);
}

void
render_lstack(FILE *out, const struct ctl_lstack *l)
{
	fprintf(out, "Statistics of lstack:\n");
	fprintf(out, "stack_thread_mode: %s\n", l->mode);
	fprintf(out, "low_power_mode: %s\n", l->low_power_mode ? "ON" : "OFF");
	fprintf(out, "idle_us: %" PRIu64 "\n", l->idle_us);
	fprintf(out, "mbuf_pool_freecnt: %" PRIu64 " of %" PRIu64 ", bulk %" PRIu64 " of %" PRIu64
		"\n", l->mbuf_pool_freecnt, l->mbuf_pool_size, l->bulk_pool_freecnt,
		l->bulk_pool_size);
	render_port(out, &l->port);
	for (uint32_t i = 0; i < l->stacks_count; i++) {
		const struct ctl_stack *s = &l->stacks[i];
		unsigned int n = 0;

		fprintf(out, "------ stack tid: %" PRId32 " ------\n", s->tid);
#define X(name) render_cell(out, &n, #name, s->name);
		CTL_STACK_ROWS(X)
#undef X
		render_cells_end(out, &n);
	}
}

/* Of the port, since that is what stacks share; then what each stack did. */
void
render_lstack_rate(FILE *out, const struct ctl_lstack *l)
{
	render_port(out, &l->port);
	for (uint32_t i = 0; i < l->stacks_count; i++) {
		const struct ctl_stack *s = &l->stacks[i];
		unsigned int n = 0;

		fprintf(out, "------ Statistics of lstack rate   stack tid: %" PRId32 " ------\n",
			s->tid);
#define X(name) render_cell(out, &n, #name, s->name);
		CTL_STACK_ROWS(X)
#undef X
		render_cells_end(out, &n);
	}
}

void
render_snmp(FILE *out, const struct ctl_snmp *s)
{
	fprintf(out, "Statistics of lstack snmp:\n");
	for (uint32_t i = 0; i < s->stacks_count; i++) {
		const struct ctl_snmp_stack *stack = &s->stacks[i];

		fprintf(out, "------ stack tid: %" PRId32 " ------\n", stack->tid);
#define X(name) fprintf(out, "%s: %" PRIu64 "\n", #name, stack->name);
		CTL_SNMP_ROWS(X)
#undef X
	}
}
