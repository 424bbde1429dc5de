/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Rates from two answers of the same process. The earlier one becomes the result: counters what has
 * been added per second, everything else as it was later.
 */
#include <string.h>

#include "ctl/commands_private.h"

/* A counter that went back (the process was replaced) shows nothing rather than nonsense. */
static uint64_t
per_second(uint64_t earlier, uint64_t later, double seconds)
{
	if (later < earlier || seconds <= 0)
		return 0;
	return (later - earlier) / seconds + .5;
}

#define RATE(a, b, field) ((a)->field = per_second((a)->field, (b)->field, seconds))

static void
rates_port(struct ctl_port *a, const struct ctl_port *b, double seconds)
{
	RATE(a, b, rx_pkts);
	RATE(a, b, rx_bytes);
	RATE(a, b, rx_missed);
	RATE(a, b, rx_err);
	RATE(a, b, rx_allocmbuf_fail);
	RATE(a, b, tx_pkts);
	RATE(a, b, tx_bytes);
	RATE(a, b, tx_err);
	a->link_up = b->link_up;
}

void
rates_lstack(void *answer, const void *later, double seconds)
{
	const struct ctl_lstack *to = later;
	struct ctl_lstack *l = answer;

	rates_port(&l->port, &to->port, seconds);
	for (uint32_t i = 0; i < l->stacks_count && i < to->stacks_count; i++) {
		const struct ctl_stack *b = &to->stacks[i];
		struct ctl_stack *a = &l->stacks[i];

#define X(name) RATE(a, b, name);
		CTL_STACK_ROWS(X)
#undef X
		a->tid = b->tid;
		a->conn_num = b->conn_num; /* no counters */
		a->listen_num = b->listen_num;
		a->idle_percent = b->idle_percent;
	}
}

static const struct ctl_drop *
find_drop(const struct ctl_ltran *l, const struct ctl_drop *d)
{
	for (uint32_t i = 0; i < l->drops_count; i++) {
		if (strcmp(l->drops[i].node, d->node) == 0 &&
			strcmp(l->drops[i].error.symbol, d->error.symbol) == 0)
			return &l->drops[i];
	}
	return NULL;
}

void
rates_ltran(void *answer, const void *later, double seconds)
{
	const struct ctl_ltran *to = later;
	struct ctl_ltran *l = answer;

	RATE(l, to, kni_pkts);
	RATE(l, to, arp_pkts);
	RATE(l, to, tcp_pkts);
	RATE(l, to, icmp_pkts);
	RATE(l, to, udp_pkts);
	RATE(l, to, other_pkts);
	l->clients = to->clients;
	l->mbuf_pool_freecnt = to->mbuf_pool_freecnt;
	for (uint32_t i = 0; i < l->nics_count && i < to->nics_count; i++) {
		RATE(&l->nics[i], &to->nics[i], rx_drop);
		RATE(&l->nics[i], &to->nics[i], tx_drop);
		rates_port(&l->nics[i].port, &to->nics[i].port, seconds);
	}
	for (uint32_t i = 0; i < l->workers_count && i < to->workers_count; i++) {
		const struct ctl_worker *b = &to->workers[i];
		struct ctl_worker *a = &l->workers[i];

#define X(name) RATE(a, b, name);
		CTL_WORKER_ROWS(X)
#undef X
		a->idle_percent = b->idle_percent;
	}
	for (uint32_t i = 0; i < l->drops_count; i++) {
		const struct ctl_drop *b = find_drop(to, &l->drops[i]);

		if (b != NULL)
			RATE(&l->drops[i], b, error.count);
	}
}

static void
rates_classes(struct ctl_class *a, uint32_t n, const struct ctl_class *b, uint32_t n_later,
	double seconds)
{
	for (uint32_t i = 0; i < n && i < n_later; i++)
		RATE(&a[i], &b[i], n);
}

void
rates_measure(void *answer, const void *later, double seconds)
{
	const struct ctl_measure *to = later;
	struct ctl_measure *m = answer;

	rates_classes(m->lengths, m->lengths_count, to->lengths, to->lengths_count, seconds);
	rates_classes(m->bursts, m->bursts_count, to->bursts, to->bursts_count, seconds);
	m->us = to->us;
}
