/* SPDX-License-Identifier: BSD-3-Clause */
/* What ltran tells, as tables for people. */
#include <inttypes.h>
#include <string.h>

#include "ctl/render.h"

/* --- show, show -r ------------------------------------------------------------------------------ */

static void
render_nic(FILE *out, const struct ctl_nic *nic)
{
	unsigned int n = 0;

	fprintf(out, "Bond port: %" PRIu32 ", %s (%s) %s, link %s", nic->number, nic->port.name,
		nic->port.driver, nic->port.mac, nic->port.link_up ? "up" : "down");
	if (nic->role[0] != '\0')
		fprintf(out, ", %s", nic->role);
	if (nic->link_failures > 0)
		fprintf(out, ", link_failures %" PRIu64, nic->link_failures);
	fprintf(out, "\n");
	render_cell(out, &n, "rx_pkts", nic->port.rx_pkts);
	render_cell(out, &n, "rx_bytes", nic->port.rx_bytes);
	render_cell(out, &n, "rx_drop", nic->rx_drop);
	render_cell(out, &n, "tx_pkts", nic->port.tx_pkts);
	render_cell(out, &n, "tx_bytes", nic->port.tx_bytes);
	render_cell(out, &n, "tx_drop", nic->tx_drop);
}

static void
render_kinds(FILE *out, const struct ctl_ltran *l)
{
	unsigned int n = 0;

	render_cell(out, &n, "kni_pkts", l->kni_pkts);
	render_cell(out, &n, "arp_pkts", l->arp_pkts);
	render_cell(out, &n, "tcp_pkts", l->tcp_pkts);
	render_cell(out, &n, "icmp_pkts", l->icmp_pkts);
	render_cell(out, &n, "udp_pkts", l->udp_pkts);
	render_cell(out, &n, "other_pkts", l->other_pkts);
}

static void
render_drops(FILE *out, const struct ctl_ltran *l)
{
	bool any = false;

	for (uint32_t i = 0; i < l->drops_count; i++) {
		const struct ctl_error *e = &l->drops[i].error;

		if (e->count == 0)
			continue;
		if (!any)
			fprintf(out, "  %-14s %12s  %-8s %-22s %s\n", "node", "packets", "severity",
				"reason", "");
		any = true;
		fprintf(out, "  %-14s %12" PRIu64 "  %-8s %-22s %s\n", l->drops[i].node, e->count,
			render_severities[e->severity], e->symbol, e->text);
	}
	if (!any)
		fprintf(out, "  nothing dropped\n");
}

void
render_ltran(FILE *out, const struct ctl_ltran *l)
{
	fprintf(out, "Statistics of ltran:\n");
	fprintf(out, "loglevel: %s\n", l->loglevel);
	fprintf(out, "low_power_mode: %s\n", l->low_power_mode ? "ON" : "OFF");
	fprintf(out, "clients: %" PRIu32 " of %" PRIu32 "\n", l->clients, l->clients_max);
	fprintf(out, "mbuf_pool_freecnt: %" PRIu64 " of %" PRIu64 "\n", l->mbuf_pool_freecnt,
		l->mbuf_pool_size);
	if (l->bond_mode > 0)
		fprintf(out, "bond_mode: %" PRIu32 ", bond_miimon: %" PRIu32 " ms, switches: %" PRIu64 "\n",
			l->bond_mode, l->bond_miimon, l->bond_switches);
	for (uint32_t i = 0; i < l->nics_count; i++)
		render_nic(out, &l->nics[i]);
	render_kinds(out, l);
	for (uint32_t i = 0; i < l->workers_count; i++) {
		const struct ctl_worker *w = &l->workers[i];
		unsigned int n = 0;

		fprintf(out, "------ core %" PRIu32 ", tid %" PRId32, w->index, w->tid);
		if (w->cpu >= 0)
			fprintf(out, ", cpu %" PRId32, w->cpu);
		fprintf(out, " ------\n");
#define X(name) render_cell(out, &n, #name, w->name);
		CTL_WORKER_ROWS(X)
#undef X
		render_cells_end(out, &n);
	}
	fprintf(out, "------ drops ------\n");
	render_drops(out, l);
}

void
render_ltran_rate(FILE *out, const struct ctl_ltran *l)
{
	fprintf(out, "Statistics of ltran rate:\n");
	for (uint32_t i = 0; i < l->nics_count; i++)
		render_nic(out, &l->nics[i]);
	render_kinds(out, l);
	for (uint32_t i = 0; i < l->drops_count; i++) {
		if (l->drops[i].error.count > 0) {
			render_drops(out, l);
			return;
		}
	}
}

/* --- show -i ------------------------------------------------------------------------------------ */

static void
render_instance(FILE *out, const struct ctl_instance *m)
{
	bool any = false;

	fprintf(out, "%-16s %4" PRIu32 " %8" PRIu32 " %-16s %9" PRIu32 " %6" PRId32 " %9" PRIu32
		     " %-10s %12" PRIu64 " %16" PRIu64 " %12" PRIu64 " %16" PRIu64 " %8" PRIu32
		     " %8" PRIu32 " %9" PRIu64 "\n",
		m->addr, m->id, m->pid, m->program, m->queues, m->sockfd, m->bond_port, m->state,
		m->rx_pkts, m->rx_bytes, m->tx_pkts, m->tx_bytes, m->conns, m->listeners, m->age_s);
	fprintf(out, "    drops:");
	for (uint32_t i = 0; i < m->drops_count; i++) {
		if (m->drops[i].packets == 0)
			continue;
		fprintf(out, "%s %s %" PRIu64, any ? "," : "", m->drops[i].name,
			m->drops[i].packets);
		any = true;
	}
	fprintf(out, "%s; local ports: %s\n", any ? "" : " none",
		m->ports[0] != '\0' ? m->ports : "none");
}

void
render_instances(FILE *out, const struct ctl_instances *i)
{
	fprintf(out, "Statistics of ltran client:\n");
	fprintf(out, "%-16s %4s %8s %-16s %9s %6s %9s %-10s %12s %16s %12s %16s %8s %8s %9s\n",
		"Client IP", "ID", "pid", "program", "stack_cnt", "sockfd", "Bond port", "State",
		"rx_pkts", "rx_bytes", "tx_pkts", "tx_bytes", "conns", "listen", "since(s)");
	for (uint32_t k = 0; k < i->instances_count; k++)
		render_instance(out, &i->instances[k]);
	fprintf(out, "...Total clients: %" PRIu32 "\n", i->instances_count);
}

/* --- show -b, show -l ---------------------------------------------------------------------------- */

static void
render_classes(FILE *out, const char *what, const struct ctl_class *c, uint32_t n)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < n; i++)
		sum += c[i].n;
	for (uint32_t i = 0; i < n; i++) {
		char range[32];

		if (c[i].to == UINT32_MAX)
			snprintf(range, sizeof(range), "> %" PRIu32, c[i].from - 1);
		else if (c[i].from == 0 || c[i].from == c[i].to)
			snprintf(range, sizeof(range), "%" PRIu32, c[i].to);
		else
			snprintf(range, sizeof(range), "%" PRIu32 "-%" PRIu32, c[i].from, c[i].to);
		fprintf(out, "%s[%9s]: %12" PRIu64 " Percent: %5.1f%%\n", what, range, c[i].n,
			sum > 0 ? 100. * c[i].n / sum : 0);
	}
}

void
render_burst(FILE *out, const struct ctl_measure *m)
{
	fprintf(out, "Statistics of ltran burst (per second):\n");
	render_classes(out, "Packet Len   ", m->lengths, m->lengths_count);
	render_classes(out, "Burst Packets", m->bursts, m->bursts_count);
}

static void
render_latency_row(FILE *out, const char *who, const struct ctl_latency *l)
{
	fprintf(out, "%-32s %12" PRIu64 " %12.3f %12.3f %12.3f\n", who, l->pkts, l->min_ns / 1e3,
		l->max_ns / 1e3, l->average_ns / 1e3);
}

void
render_latency(FILE *out, const struct ctl_measure *m)
{
	fprintf(out, "Statistics of ltran latency: t0--->t1 (t0:read from nic t1:into lstack queue)\n");
	fprintf(out, "%-32s %12s %12s %12s %12s\n", "", "pkts", "min(us)", "max(us)", "average(us)");
	for (uint32_t i = 0; i < m->latencies_count; i++) {
		const struct ctl_latency *l = &m->latencies[i];
		char who[CTL_ADDR_MAX + 24];

		snprintf(who, sizeof(who), "ip:%s pid:%" PRIu32, l->addr, l->pid);
		render_latency_row(out, who, l);
	}
	render_latency_row(out, "total:", &m->total);
}

/* --- set, quit ----------------------------------------------------------------------------------- */

void
render_loglevel(FILE *out, const struct ctl_loglevel *l)
{
	fprintf(out, "loglevel: %s\n", l->level);
}

void
render_quit(FILE *out, const struct ctl_quit *q)
{
	fprintf(out, "ltran, pid %" PRIu32 ", has ended\n", q->pid);
}
