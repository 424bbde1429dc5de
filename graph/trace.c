/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Packet trace: what happened to single packets, node by node.
 *
 * A graph has one ring of trace slots, allocated by the first request. Trace number N (counted from
 * 1, never 0) lives in slot N % TRACE_SLOTS and is the handle in the packet, so a handle whose
 * number differs from its slot's is stale. A slot goes free -> open (graph_trace_start(), a walk)
 * -> finished (end of that walk) -> free (printed, or overwritten by a newer trace: the oldest is
 * lost first). The lock guards everything below; the walker takes it only while tracing is on.
 */
#include "graph/private.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_cycles.h>
#include <rte_errno.h>
#include <rte_spinlock.h>

#define TRACE_SLOTS 256
#define TRACE_HOPS 16
#define TRACE_LINE 256

enum trace_state { TRACE_FREE, TRACE_OPEN, TRACE_FINISHED };

struct trace_hop {
	const struct graph_node *desc;
	uint64_t tsc;
	uint8_t record[GRAPH_TRACE_RECORD] __rte_aligned(8);
};

struct trace_slot {
	uint32_t number;
	enum trace_state state;
	uint16_t n_hops;
	uint16_t n_lost; /* hops beyond TRACE_HOPS: a fragmented packet's pieces share its trace */
	struct trace_hop hops[TRACE_HOPS];
};

struct trace {
	rte_spinlock_t lock;
	uint32_t wanted;       /* packets still to be marked */
	uint32_t last;         /* number of the newest trace */
	uint32_t first_open;   /* numbers first_open..last are open in this walk */
	uint32_t next_printed; /* all numbers before it are printed or lost */
	struct trace_slot *slots;
};

int graph_trace_offset = -1;

int
trace_register_field(void)
{
	static const struct rte_mbuf_dynfield field = {
		.name = "gazelle_dynfield_trace",
		.size = sizeof(uint32_t),
		.align = __alignof__(uint32_t),
	};

	graph_trace_offset = rte_mbuf_dynfield_register(&field);
	return graph_trace_offset < 0 ? -rte_errno : 0;
}

int
trace_create(struct graph *g)
{
	g->trace = calloc(1, sizeof(*g->trace));
	if (g->trace == NULL)
		return -ENOMEM;
	rte_spinlock_init(&g->trace->lock);
	g->trace->first_open = 1;
	g->trace->next_printed = 1;
	return 0;
}

void
trace_destroy(struct graph *g)
{
	if (g->trace == NULL)
		return;
	free(g->trace->slots);
	free(g->trace);
}

static struct trace_slot *
slot_of(struct trace *t, uint32_t number)
{
	struct trace_slot *slot = &t->slots[number % TRACE_SLOTS];

	return slot->number == number ? slot : NULL;
}

int
graph_trace_request(struct graph *g, uint32_t n)
{
	struct trace *t = g->trace;
	struct trace_slot *slots = NULL;

	if (n == 0) {
		rte_spinlock_lock(&t->lock);
		t->wanted = 0; /* the next walk ends tracing */
		rte_spinlock_unlock(&t->lock);
		return 0;
	}
	if (__atomic_load_n(&t->slots, __ATOMIC_ACQUIRE) == NULL) {
		slots = calloc(TRACE_SLOTS, sizeof(*slots));
		if (slots == NULL)
			return -ENOMEM;
	}
	rte_spinlock_lock(&t->lock);
	if (t->slots == NULL) {
		t->slots = slots;
		slots = NULL;
	}
	t->wanted = RTE_MIN(n, (uint32_t)TRACE_SLOTS);
	__atomic_store_n(&g->head.tracing, 1, __ATOMIC_RELAXED);
	rte_spinlock_unlock(&t->lock);
	free(slots); /* another thread asked first */
	return 0;
}

void
graph_trace_start(struct rte_node *node, struct rte_mbuf **pkts, uint16_t n)
{
	struct trace *t = graph_ctx(node)->graph->trace;
	struct trace_slot *slot;
	uint16_t i;

	rte_spinlock_lock(&t->lock);
	for (i = 0; i < n; i++) {
		if (t->wanted == 0) {
			*graph_trace_handle(pkts[i]) = 0;
			continue;
		}
		t->wanted--;
		if (++t->last == 0) /* 0 means "not traced" */
			t->last = 1;
		slot = &t->slots[t->last % TRACE_SLOTS];
		slot->number = t->last;
		slot->state = TRACE_OPEN;
		slot->n_hops = 0;
		slot->n_lost = 0;
		*graph_trace_handle(pkts[i]) = t->last;
	}
	rte_spinlock_unlock(&t->lock);
}

static const struct graph_node *
desc_of(const struct graph *g, const struct rte_node *node)
{
	unsigned int i;

	for (i = 0; i < g->n_nodes; i++)
		if (g->nodes[i].node == node)
			return g->nodes[i].desc;
	return NULL;
}

void
graph_trace_add(struct rte_node *node, struct rte_mbuf *m, const void *record, size_t size)
{
	struct graph *g = graph_ctx(node)->graph;
	uint32_t number = *graph_trace_handle(m);
	struct trace *t = g->trace;
	struct trace_slot *slot;
	struct trace_hop *hop;

	if (number == 0)
		return;
	rte_spinlock_lock(&t->lock);
	slot = t->slots != NULL ? slot_of(t, number) : NULL;
	if (slot == NULL || slot->state != TRACE_OPEN) {
		*graph_trace_handle(m) = 0; /* left over from an earlier life of this memory */
	} else if (slot->n_hops == TRACE_HOPS) {
		slot->n_lost++;
	} else {
		hop = &slot->hops[slot->n_hops++];
		hop->desc = desc_of(g, node);
		hop->tsc = rte_rdtsc();
		memset(hop->record, 0, sizeof(hop->record));
		memcpy(hop->record, record, RTE_MIN(size, sizeof(hop->record)));
	}
	rte_spinlock_unlock(&t->lock);
}

/* Packets of this walk have gone where they go. Tracing stays on while packets are wanted. */
void
trace_finish_walk(struct graph *g)
{
	struct trace *t = g->trace;
	struct trace_slot *slot;

	rte_spinlock_lock(&t->lock);
	for (; t->first_open != t->last + 1; t->first_open++) {
		slot = slot_of(t, t->first_open);
		if (slot != NULL)
			slot->state = TRACE_FINISHED;
	}
	if (t->wanted == 0)
		__atomic_store_n(&g->head.tracing, 0, __ATOMIC_RELAXED);
	rte_spinlock_unlock(&t->lock);
}

/* Copy the oldest finished trace and free its slot. */
static bool
take_finished(struct trace *t, struct trace_slot *out)
{
	struct trace_slot *slot;
	bool found = false;

	rte_spinlock_lock(&t->lock);
	while (t->slots != NULL && !found && t->next_printed != t->first_open) {
		slot = slot_of(t, t->next_printed++);
		if (slot == NULL || slot->state != TRACE_FINISHED)
			continue; /* overwritten */
		*out = *slot;
		slot->state = TRACE_FREE;
		found = true;
	}
	rte_spinlock_unlock(&t->lock);
	return found;
}

static void
print_trace(const struct graph *g, const struct trace_slot *s,
	void (*emit)(void *arg, const char *line), void *arg)
{
	char line[TRACE_LINE], text[TRACE_LINE / 2];
	uint64_t hz = rte_get_tsc_hz();
	uint16_t i;

	snprintf(line, sizeof(line), "packet %" PRIu32 " (%s)", s->number, g->rte->name);
	emit(arg, line);
	for (i = 0; i < s->n_hops; i++) {
		const struct trace_hop *hop = &s->hops[i];
		double us = (double)(hop->tsc - s->hops[0].tsc) * 1e6 / (double)hz;

		text[0] = '\0';
		if (hop->desc->format != NULL)
			hop->desc->format(text, sizeof(text), hop->record);
		snprintf(line, sizeof(line), "  %+8.2f us  %-14s %s", us, hop->desc->name, text);
		emit(arg, line);
	}
	if (s->n_lost > 0) {
		snprintf(line, sizeof(line), "  and %u more", s->n_lost);
		emit(arg, line);
	}
}

int
graph_trace_print(struct graph *g, void (*emit)(void *arg, const char *line), void *arg)
{
	struct trace_slot *s = malloc(sizeof(*s));
	int n = 0;

	if (s == NULL)
		return 0;
	while (take_finished(g->trace, s)) {
		print_trace(g, s, emit, arg);
		n++;
	}
	free(s);
	return n;
}
