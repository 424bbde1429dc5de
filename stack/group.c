/* SPDX-License-Identifier: BSD-3-Clause */
/* The stacks of a process: made, wired and started together. Their end is end.c. */
#include "common/narrow.h"
#include "stack/impl.h"
#include "stack/lwip_image.h"
#include "stack/siphash.h"

#include <errno.h>
#include <stdlib.h>

#define LOCK_SPIN_US 5   /* a few times what a run takes */
#define SPIN_US 50       /* before sleeping: a few times what falling asleep and waking cost */
#define UNATTENDED_US 50 /* then a sender runs the stack itself */
#define CROWDED_US 200000 /* then it is tried again, at the cost of a time slice */
#define CROWDED_POLLING_US 50000 /* the same where the wire does not end sleeps */

static int
stack_init(struct stack *st, struct stack_group *g, unsigned int index)
{
	int rc;

	st->group = g;
	st->index = index;
	tcp_ends_init(st);
	stack_link_init(st);
	st->lw = lwip_images[g->first_image + index];
	rc = stack_secrets_init();
	if (rc == 0)
		rc = table_init(st);
	if (rc == 0)
		rc = tcp_syn_init(st);
	if (rc == 0)
		rc = edge_attach(st);
	if (rc != 0)
		return rc;
	stack_clock(st);
	wheel_init(&st->wheel, st->now_ms);
	return 0;
}

static void
group_free(struct stack_group *g)
{
	for (unsigned int i = 0; i < g->n; i++) {
		if (g->stacks[i].lw == NULL)
			continue;
		edge_detach(&g->stacks[i]);
		wheel_fini(&g->stacks[i].wheel);
		tcp_syn_fini(&g->stacks[i]);
		table_fini(&g->stacks[i]);
		narrow_room_free(g->stacks[i].room);
	}
	sleep_fini(g);
	free(g->cpus);
	free(g->wakeup_cpus);
	free(g->stacks);
	free(g);
}

static unsigned int *
copy_cpus(const unsigned int *cpus, unsigned int n)
{
	unsigned int *copy = cpus != NULL && n > 0 ? malloc(n * sizeof(*cpus)) : NULL;

	if (copy != NULL)
		memcpy(copy, cpus, n * sizeof(*cpus));
	return copy;
}

int
stack_group_create(const struct stack_params *p, struct stack_group **out)
{
	/* An image is one stack's for the life of the process: lwIP cannot be taken back. */
	static _Atomic unsigned int images_used;
	struct stack_group *g;
	unsigned int first;
	int rc = 0;

	if (p->n_stacks == 0)
		return -EINVAL;
	first = atomic_fetch_add(&images_used, p->n_stacks);
	if (first + p->n_stacks > lwip_images_n) {
		atomic_fetch_sub(&images_used, p->n_stacks);
		return -ENOSPC;
	}
	g = calloc(1, sizeof(*g));
	if (g == NULL)
		return -ENOMEM;
	g->first_image = first;
	g->params = *p;
	g->n = p->n_stacks;
	g->tsc_hz = edge_tsc_hz();
	g->tsc_start = stack_tsc();
	g->us_per_tsc_32 = (uint64_t)(((unsigned __int128)1000000 << 32) / g->tsc_hz);
	g->unattended_tsc = g->tsc_hz / 1000000 * UNATTENDED_US;
	g->lock_spin_tsc = g->tsc_hz / 1000000 * LOCK_SPIN_US;
	g->spin_tsc = g->tsc_hz / 1000000 * SPIN_US;
	g->crowded_tsc = g->tsc_hz / 1000000 * (p->low_power ? CROWDED_US : CROWDED_POLLING_US);
	g->cpus = copy_cpus(p->cpus, p->n_stacks);
	g->wakeup_cpus = copy_cpus(p->wakeup_cpus, p->n_wakeup);
	g->params.cpus = g->cpus;
	g->params.wakeup_cpus = g->wakeup_cpus;
	g->stacks = aligned_alloc(CACHE_LINE, g->n * sizeof(*g->stacks));
	if (g->stacks == NULL) {
		free(g);
		return -ENOMEM;
	}
	memset(g->stacks, 0, g->n * sizeof(*g->stacks));
	for (unsigned int i = 0; i < g->n && rc == 0; i++)
		rc = stack_init(&g->stacks[i], g, i);
	if (rc == 0 && p->low_power)
		rc = sleep_init(g);
	if (rc != 0)
		group_free(g);
	else
		*out = g;
	return rc;
}

struct stack *
stack_group_get(struct stack_group *g, unsigned int index)
{
	return index < g->n ? &g->stacks[index] : NULL;
}

enum stack_mode
stack_group_mode(const struct stack_group *g)
{
	return g->params.mode;
}

void
stack_wire(struct stack *st, const struct stack_wiring *w)
{
	st->wiring = *w;
	if (st->index == 0)
		edge_limit_caches(st);
}

int
stack_group_start(struct stack_group *g)
{
	return thread_start_all(g);
}
