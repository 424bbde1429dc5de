/* SPDX-License-Identifier: BSD-3-Clause */
/* Pacing, sequence numbers and the search of linerate. */
#include "perf/linerate_calc.h"

#include <string.h>

#define HOPELESS 0.001 /* of the first rate: nothing passes */

uint32_t
pacer_due(struct pacer *p, uint64_t now, uint32_t max)
{
	uint64_t due;

	if (p->per_cycle <= 0)
		return max;
	due = (uint64_t)((double)(now - p->start) * p->per_cycle);
	due = due > p->given ? due - p->given : 0;
	if (due > p->depth) {
		p->lapsed += due - p->depth;
		p->given += due - p->depth;
		due = p->depth;
	}
	if (due > max)
		due = max;
	p->given += due;
	return (uint32_t)due;
}

/* Forget what leaves the window when its upper end moves to `seq`. */
static void
advance(struct flow *f, uint32_t seq)
{
	if (seq - f->next >= FLOW_WINDOW)
		memset(f->seen, 0, sizeof(f->seen));
	else
		for (uint32_t s = f->next; s != seq + 1; s++)
			f->seen[s % FLOW_WINDOW / 64] &= ~(UINT64_C(1) << s % 64);
	f->next = seq + 1;
}

bool
flow_receive(struct flow *f, uint32_t seq)
{
	uint64_t bit = UINT64_C(1) << seq % 64, *word = &f->seen[seq % FLOW_WINDOW / 64];
	bool late = (int32_t)(seq - f->next) < 0;

	if (!late)
		advance(f, seq);
	else if (f->next - seq <= FLOW_WINDOW && (*word & bit)) {
		f->duplicates++;
		return false;
	}
	*word |= bit;
	f->received++;
	f->reordered += late;
	return true;
}

double
flow_loss(const struct flow *f)
{
	if (f->sent == 0 || f->received >= f->sent)
		return 0;
	return (double)(f->sent - f->received) / (double)f->sent;
}

static uint32_t
slice_index(const struct slices *s, uint64_t time)
{
	uint64_t i = time > s->start ? (time - s->start) / s->length : 0;

	return i < s->n ? (uint32_t)i : s->n - 1;
}

struct slice *
slices_at(const struct slices *s, uint64_t time)
{
	return &s->at[slice_index(s, time)];
}

void
slices_disturb(const struct slices *s, uint64_t from, uint64_t to)
{
	uint32_t first = slice_index(s, from), last = slice_index(s, to);

	first -= first > 0;
	last += last + 1 < s->n;
	for (uint32_t i = first; i <= last; i++)
		s->at[i].disturbed = true;
}

double
slices_disturbed(const struct slices *s)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < s->n; i++)
		n += s->at[i].disturbed;
	return (double)n / s->n;
}

double
slices_loss(const struct slices *s)
{
	uint64_t sent = 0, received = 0;

	for (uint32_t i = 0; i < s->n; i++) {
		if (s->at[i].disturbed)
			continue;
		sent += s->at[i].sent;
		received += s->at[i].received;
	}
	return sent > 0 ? (double)(sent - received) / (double)sent : 0;
}

double
search_next(const struct search *s)
{
	if (s->passed == 0 && s->failed == 0)
		return s->first;
	if (s->failed == 0 || s->failed < s->first * HOPELESS)
		return 0;
	if (s->failed - s->passed <= s->precision * s->failed)
		return 0;
	return (s->passed + s->failed) / 2;
}

void
search_note(struct search *s, double rate, bool passed)
{
	if (passed)
		s->passed = rate;
	else
		s->failed = rate;
}
