/* SPDX-License-Identifier: BSD-3-Clause */
/* Measurements on request: the control socket's part, which begins them and adds up. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_cycles.h>

#include "ctl/snapshot.h"
#include "dispatcher/measure.h"

#define FOR_MS_MAX 600000

static int
start(struct ltran *lt, uint32_t for_ms)
{
	uint64_t now = rte_rdtsc();
	uint32_t none = 0;

	for (unsigned int i = 0; i < lt->n_workers; i++) {
		struct dispatch_worker *dw = lt->workers[i];

		if (dw->measure == NULL)
			dw->measure = calloc(1, sizeof(*dw->measure));
		if (dw->measure == NULL)
			return -ENOMEM;
	}
	atomic_store(&lt->measure_until_tsc, now + rte_get_tsc_hz() / 1000 * for_ms);
	if (atomic_load(&lt->measure_round) != 0)
		return 0;
	lt->measure_since_tsc = now;
	if (++lt->measure_last == 0)
		lt->measure_last = 1;
	atomic_compare_exchange_strong(&lt->measure_round, &none, lt->measure_last);
	return 0;
}

/* What worker `i` has measured in the last round, or NULL: nothing. */
static const struct measure *
measured(const struct ltran *lt, unsigned int i)
{
	const struct measure *s = lt->workers[i]->measure;

	if (s == NULL || __atomic_load_n(&s->round, __ATOMIC_ACQUIRE) != lt->measure_last)
		return NULL;
	return s;
}

static int
fill_classes(struct ctl_class **out, uint32_t *out_count, const uint32_t *bounds, unsigned int n)
{
	*out = calloc(n, sizeof(**out));
	if (*out == NULL)
		return -ENOMEM;
	*out_count = n;
	for (unsigned int i = 0; i < n; i++) {
		(*out)[i].from = i > 0 ? bounds[i - 1] + 1 : 0;
		(*out)[i].to = bounds[i];
	}
	return 0;
}

static uint64_t
tsc_to_ns(uint64_t tsc)
{
	return (double)tsc * 1e9 / rte_get_tsc_hz();
}

/* Add up one slot, or all of them, over the workers. */
static void
fill_latency(const struct ltran *lt, unsigned int first, unsigned int last,
	struct ctl_latency *out)
{
	struct measure_latency sum = {0};

	for (unsigned int i = 0; i < lt->n_workers; i++) {
		const struct measure *s = measured(lt, i);

		for (unsigned int k = first; s != NULL && k <= last; k++) {
			const struct measure_latency *l = &s->latency[k];

			if (l->pkts == 0)
				continue;
			if (sum.pkts == 0 || l->min_tsc < sum.min_tsc)
				sum.min_tsc = l->min_tsc;
			if (l->max_tsc > sum.max_tsc)
				sum.max_tsc = l->max_tsc;
			sum.pkts += l->pkts;
			sum.sum_tsc += l->sum_tsc;
		}
	}
	out->pkts = sum.pkts;
	out->min_ns = tsc_to_ns(sum.min_tsc);
	out->max_ns = tsc_to_ns(sum.max_tsc);
	out->average_ns = sum.pkts > 0 ? tsc_to_ns(sum.sum_tsc / sum.pkts) : 0;
}

struct collect {
	struct ltran *lt;
	struct ctl_measure *out;
	int ret;
};

static void
add_member(void *arg, const struct member *m)
{
	struct collect *c = arg;
	struct ctl_latency *grown = realloc(c->out->latencies,
		(c->out->latencies_count + 1) * sizeof(*grown));
	struct ctl_latency *l;

	if (grown == NULL) {
		c->ret = -ENOMEM;
		return;
	}
	c->out->latencies = grown;
	l = &grown[c->out->latencies_count++];
	memset(l, 0, sizeof(*l));
	inet_ntop(AF_INET, &m->addr, l->addr, sizeof(l->addr));
	l->pid = m->pid;
	fill_latency(c->lt, m->index, m->index, l);
}

int
measure_answer(struct ltran *lt, const struct ctl_measure_request *r, struct ctl_measure *out,
	char *err, size_t err_len)
{
	struct collect c = {lt, out, 0};
	int ret = 0;

	if (r->for_ms > FOR_MS_MAX) {
		snprintf(err, err_len, "at most %d s can be measured", FOR_MS_MAX / 1000);
		return -EINVAL;
	}
	if (r->for_ms > 0)
		ret = start(lt, r->for_ms);
	if (ret == 0)
		ret = fill_classes(&out->lengths, &out->lengths_count, measure_lengths,
			MEASURE_LENGTHS);
	if (ret == 0)
		ret = fill_classes(&out->bursts, &out->bursts_count, measure_bursts,
			MEASURE_BURSTS);
	if (ret < 0)
		return ret;
	out->us = tsc_to_ns(rte_rdtsc() - lt->measure_since_tsc) / 1000;
	for (unsigned int i = 0; i < lt->n_workers; i++) {
		const struct measure *s = measured(lt, i);

		for (unsigned int k = 0; s != NULL && k < MEASURE_LENGTHS; k++)
			out->lengths[k].n += s->lengths[k];
		for (unsigned int k = 0; s != NULL && k < MEASURE_BURSTS; k++)
			out->bursts[k].n += s->bursts[k];
	}
	fill_latency(lt, 0, MEMBERS_MAX - 1, &out->total);
	registry_each(lt, add_member, &c);
	return c.ret;
}
