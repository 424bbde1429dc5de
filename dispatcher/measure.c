/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Measurements on request: the workers' part. See measure.h; measure_ctl.c begins them.
 *
 * Each worker has figures of its own. A measurement is a round: its number says that it runs, and
 * whoever finds another number in his figures begins with zeros. Who asks says for how long, and asks
 * again if he wants more; a worker that sees the time over ends the round, so nothing goes on when
 * gazellectl is gone. Several who ask at the same time share a round.
 */
#include "dispatcher/measure.h"

#include <stdlib.h>
#include <string.h>

#include <rte_cycles.h>

const uint32_t measure_lengths[MEASURE_LENGTHS] = {64, 127, 255, 511, 1023, 1518, 9018, UINT32_MAX};
const uint32_t measure_bursts[MEASURE_BURSTS] = {1, 2, 4, 8, 16, 32, 64, 128, UINT32_MAX};

/* The worker's figures in this round, or NULL: it is over. */
static struct measure *
figures(struct dispatch_worker *dw, uint64_t now)
{
	uint32_t round = atomic_load_explicit(&dw->lt->measure_round, memory_order_acquire);
	struct measure *s = dw->measure;

	if (round == 0)
		return NULL;
	if (now > atomic_load_explicit(&dw->lt->measure_until_tsc, memory_order_relaxed)) {
		atomic_compare_exchange_strong(&dw->lt->measure_round, &round, 0);
		return NULL;
	}
	if (s->round != round) {
		memset(s, 0, sizeof(*s));
		__atomic_store_n(&s->round, round, __ATOMIC_RELEASE);
	}
	return s;
}

static void
count(uint64_t *classes, const uint32_t *bounds, uint32_t value)
{
	unsigned int i = 0;

	while (value > bounds[i]) /* the last one has no end */
		i++;
	classes[i]++;
}

void
measure_in(struct dispatch_worker *dw, struct rte_mbuf *const *pkts, uint16_t n)
{
	uint64_t now = rte_rdtsc();
	struct measure *s = figures(dw, now);

	if (s == NULL)
		return;
	s->in_tsc = now;
	s->in_walk = dw->walks;
	count(s->bursts, measure_bursts, n);
	for (uint16_t i = 0; i < n; i++)
		count(s->lengths, measure_lengths, pkts[i]->pkt_len + RTE_ETHER_CRC_LEN);
}

void
measure_out(struct dispatch_worker *dw, const struct member *m, struct rte_mbuf *const *pkts,
	uint16_t n)
{
	uint64_t now = rte_rdtsc(), tsc;
	struct measure *s = figures(dw, now);
	struct measure_latency *l;
	uint16_t n_wire = 0;

	if (s == NULL || s->in_tsc == 0 || s->in_walk != dw->walks)
		return;
	for (uint16_t i = 0; i < n; i++)
		n_wire += pkts[i]->port < MEMBER_PORT;
	if (n_wire == 0)
		return;
	tsc = now - s->in_tsc;
	l = &s->latency[m->index];
	if (l->pkts == 0 || tsc < l->min_tsc)
		l->min_tsc = tsc;
	if (tsc > l->max_tsc)
		l->max_tsc = tsc;
	l->pkts += n_wire;
	l->sum_tsc += tsc * n_wire;
}

void
measure_free(struct ltran *lt)
{
	for (unsigned int i = 0; i < lt->n_workers; i++) {
		free(lt->workers[i]->measure);
		lt->workers[i]->measure = NULL;
	}
}
