/* SPDX-License-Identifier: BSD-3-Clause */
/* See tcp_ooo.h. */
#include "stack/tcp_ooo.h"

#include "stack/impl.h"

#include <stdlib.h>

#define RUNS_FIRST 8

static inline bool
lt(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) < 0;
}

static bool
reserve(struct tcp_ooo *o)
{
	uint32_t cap = o->cap != 0 ? o->cap * 2 : RUNS_FIRST;
	struct tcp_ooo_run *run;

	if (o->n < o->cap)
		return true;
	if (cap > TCP_OOO_RUNS_MAX)
		return false;
	run = realloc(o->run, cap * sizeof(*run));
	if (run == NULL)
		return false;
	o->run = run;
	o->cap = cap;
	return true;
}

/* The first run that ends at or behind `seq`; most segments belong to the last one. */
static uint32_t
find(const struct tcp_ooo *o, uint32_t seq)
{
	uint32_t low = 0, high = o->n;

	if (o->n > 0 && !lt(seq, o->run[o->n - 1].start))
		return lt(o->run[o->n - 1].end, seq) ? o->n : o->n - 1;
	while (low < high) {
		uint32_t mid = (low + high) / 2;

		if (lt(o->run[mid].end, seq))
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static void
note_recent(struct tcp_ooo *o, const struct tcp_ooo_run *r, uint32_t seq)
{
	uint32_t kept[TCP_OOO_RECENT], n = 0;

	kept[n++] = seq;
	for (uint32_t i = 0; i < o->n_recent && n < TCP_OOO_RECENT; i++) {
		if (lt(o->recent[i], r->start) || !lt(o->recent[i], r->end))
			kept[n++] = o->recent[i];
	}
	memcpy(o->recent, kept, sizeof(kept[0]) * n);
	o->n_recent = n;
}

/* Runs that `r` reaches now become part of it; their packets stay, lwIP will trim them. */
static void
absorb(struct tcp_ooo *o, uint32_t i)
{
	struct tcp_ooo_run *r = &o->run[i];
	uint32_t next = i + 1;

	for (; next < o->n && !lt(r->end, o->run[next].start); next++) {
		r->last->next = o->run[next].first;
		r->last = o->run[next].last;
		if (lt(r->end, o->run[next].end))
			r->end = o->run[next].end;
	}
	memmove(&o->run[i + 1], &o->run[next], (o->n - next) * sizeof(o->run[0]));
	o->n -= next - (i + 1);
}

enum tcp_ooo_verdict
tcp_ooo_add(struct tcp_ooo *o, struct pkt *p, uint32_t seq, uint32_t len)
{
	uint32_t end = seq + len, i = find(o, seq);
	struct tcp_ooo_run *r;

	if (i < o->n && !lt(seq, o->run[i].start) && !lt(o->run[i].end, end))
		return TCP_OOO_DUPLICATE;
	if (o->n_pkts >= TCP_OOO_PKTS_FREE + o->bytes / TCP_OOO_PKT_BYTES || !reserve(o))
		return TCP_OOO_FULL;
	p->addr = seq;
	p->len = len;
	p->next = NULL;
	r = &o->run[i];
	if (i == o->n || lt(end, r->start)) {
		memmove(r + 1, r, (o->n - i) * sizeof(*r));
		*r = (struct tcp_ooo_run){.start = seq, .end = end, .first = p, .last = p};
		o->n++;
	} else if (lt(seq, r->start)) {
		p->next = r->first;
		r->first = p;
		r->start = seq;
		if (lt(r->end, end))
			r->end = end;
	} else {
		r->last->next = p;
		r->last = p;
		r->end = end;
	}
	o->n_pkts++;
	o->bytes += len;
	absorb(o, i);
	note_recent(o, &o->run[i], seq);
	return TCP_OOO_ADDED;
}

static struct pkt *
pop(struct tcp_ooo *o)
{
	struct tcp_ooo_run *r = &o->run[0];
	struct pkt *p = r->first;

	r->first = p->next;
	p->next = NULL;
	o->n_pkts--;
	o->bytes -= p->len;
	if (r->first != NULL) {
		r->start = r->first->addr;
	} else {
		o->n--;
		memmove(r, r + 1, o->n * sizeof(*r));
	}
	return p;
}

struct pkt *
tcp_ooo_take(struct tcp_ooo *o, uint32_t rcv_nxt)
{
	if (o->n == 0 || lt(rcv_nxt, o->run[0].start))
		return NULL;
	return pop(o);
}

uint32_t
tcp_ooo_blocks(const struct tcp_ooo *o, struct tcp_sb_block *b, uint32_t max)
{
	uint32_t n = 0;

	for (uint32_t k = 0; k < o->n_recent && n < max; k++) {
		/* behind the byte: a run that ends at it does not hold it */
		uint32_t i = find(o, o->recent[k] + 1);

		if (i < o->n && !lt(o->recent[k], o->run[i].start))
			b[n++] = (struct tcp_sb_block){o->run[i].start, o->run[i].end};
	}
	return n;
}

struct pkt *
tcp_ooo_drop(struct tcp_ooo *o)
{
	if (o->n > 0)
		return pop(o);
	free(o->run);
	o->run = NULL;
	o->cap = 0;
	o->n_recent = 0;
	return NULL;
}
