/* SPDX-License-Identifier: BSD-3-Clause */
/* See tcp_sb.h. */
#include "stack/tcp_sb.h"

#include <stdlib.h>
#include <string.h>

#define RANGES_FIRST 16

static inline bool
lt(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) < 0;
}

void
tcp_sb_reset(struct tcp_sb *sb, uint32_t una)
{
	sb->n = 0;
	sb->sacked = sb->lost = 0;
	sb->resent = false;
	sb->una = sb->end = sb->high = una;
}

void
tcp_sb_free(struct tcp_sb *sb)
{
	free(sb->r);
	sb->r = NULL;
	sb->n = sb->cap = 0;
}

static inline uint32_t
range_end(const struct tcp_sb *sb, uint32_t i)
{
	return i + 1 < sb->n ? sb->r[i + 1].start : sb->end;
}

static bool
reserve(struct tcp_sb *sb, uint32_t more)
{
	uint32_t cap = sb->cap != 0 ? sb->cap : RANGES_FIRST;
	struct tcp_sb_range *r;

	while (cap < sb->n + more)
		cap *= 2;
	if (cap == sb->cap)
		return true;
	if (cap > TCP_SB_RANGES_MAX)
		return false;
	r = realloc(sb->r, cap * sizeof(*r));
	if (r == NULL)
		return false;
	sb->r = r;
	sb->cap = cap;
	return true;
}

/* The range that holds `seq`; una <= seq < end. */
static uint32_t
find(const struct tcp_sb *sb, uint32_t seq)
{
	uint32_t low = 0, high = sb->n;

	while (high - low > 1) {
		uint32_t mid = (low + high) / 2;

		if (lt(seq, sb->r[mid].start))
			high = mid;
		else
			low = mid;
	}
	return low;
}

/* The index of the range that begins at `seq` (una <= seq <= end), made by cutting where needed;
 * the caller has reserved one. */
static uint32_t
cut(struct tcp_sb *sb, uint32_t seq)
{
	uint32_t i;

	if (seq == sb->end)
		return sb->n;
	i = find(sb, seq);
	if (sb->r[i].start == seq)
		return i;
	memmove(&sb->r[i + 2], &sb->r[i + 1], (sb->n - i - 1) * sizeof(sb->r[0]));
	sb->r[i + 1] = sb->r[i];
	sb->r[i + 1].start = seq;
	sb->n++;
	return i + 1;
}

static void
count(struct tcp_sb *sb, uint8_t state, int32_t bytes)
{
	if (state == TCP_SB_SACKED)
		sb->sacked += bytes;
	else if (state == TCP_SB_LOST)
		sb->lost += bytes;
}

static void
set_state(struct tcp_sb *sb, uint32_t i, uint8_t state)
{
	uint32_t len = range_end(sb, i) - sb->r[i].start;

	count(sb, sb->r[i].state, -(int32_t)len);
	sb->r[i].state = state;
	count(sb, state, (int32_t)len);
}

static bool
alike(const struct tcp_sb_range *a, const struct tcp_sb_range *b)
{
	if (a->state != b->state)
		return false;
	if (a->state == TCP_SB_SACKED)
		return true;
	if (a->again != b->again)
		return false;
	return a->state == TCP_SB_LOST || (a->at_us == b->at_us && a->mark == b->mark);
}

/* Join neighbours of one kind among the ranges [from - 1, to]. */
static void
join(struct tcp_sb *sb, uint32_t from, uint32_t to)
{
	uint32_t i = from > 0 ? from - 1 : 0, out = i;

	if (sb->n == 0)
		return;
	if (to >= sb->n)
		to = sb->n - 1;
	for (i++; i <= to; i++) {
		if (!alike(&sb->r[out], &sb->r[i]))
			sb->r[++out] = sb->r[i];
	}
	out++;
	memmove(&sb->r[out], &sb->r[i], (sb->n - i) * sizeof(sb->r[0]));
	sb->n -= i - out;
}

static bool
append(struct tcp_sb *sb, uint32_t end, uint8_t state, uint32_t now_us)
{
	if (!lt(sb->end, end))
		return true;
	if (!reserve(sb, 1))
		return false;
	sb->r[sb->n++] = (struct tcp_sb_range){.start = sb->end, .at_us = now_us, .state = state};
	count(sb, state, (int32_t)(end - sb->end));
	sb->end = end;
	return true;
}

/* `len` bytes of a range have arrived that were not known to have. */
static void
note_arrival(struct tcp_sb *sb, const struct tcp_sb_range *r, uint32_t end, uint32_t now_us,
	uint32_t early_us, struct tcp_sb_news *news)
{
	uint32_t len = end - r->start;

	if (r->state == TCP_SB_SACKED)
		return;
	news->delivered += len;
	if (!r->again) {
		if (r->state == TCP_SB_LOST)
			news->unneeded += len;
		if (lt(end, sb->high))
			news->reordered = true;
		return;
	}
	if (r->state != TCP_SB_RESENT)
		return;
	if (now_us - r->at_us < early_us) {
		news->early += len;
		news->reordered = true;
		return;
	}
	if (!sb->resent || lt(sb->resent_us, r->at_us) ||
	    (sb->resent_us == r->at_us && lt(sb->resent_end, end))) {
		sb->resent = true;
		sb->resent_us = r->at_us;
		sb->resent_end = end;
	}
}

void
tcp_sb_ack(struct tcp_sb *sb, uint32_t una, uint32_t now_us, uint32_t early_us,
	struct tcp_sb_news *news)
{
	uint32_t gone = 0;

	if (!lt(sb->una, una))
		return;
	while (gone < sb->n && lt(sb->r[gone].start, una)) {
		struct tcp_sb_range *r = &sb->r[gone], part = *r;
		uint32_t end = range_end(sb, gone), to = lt(una, end) ? una : end;

		note_arrival(sb, &part, to, now_us, early_us, news);
		count(sb, part.state, -(int32_t)(to - part.start));
		if (to != end) {
			r->start = una;
			break;
		}
		gone++;
	}
	if (gone > 0)
		memmove(sb->r, sb->r + gone, (sb->n - gone) * sizeof(sb->r[0]));
	sb->n -= gone;
	if (lt(sb->end, una)) {
		news->delivered += una - sb->end;
		sb->end = una;
		sb->high = una;
	}
	sb->una = una;
	if (lt(sb->high, una))
		sb->high = una;
}

void
tcp_sb_sack(struct tcp_sb *sb, const struct tcp_sb_block *b, uint32_t snd_nxt, uint32_t now_us,
	uint32_t early_us, struct tcp_sb_news *news)
{
	uint32_t from, to, left = b->left;

	if (!lt(left, b->right) || lt(snd_nxt, b->right) || snd_nxt - left > INT32_MAX ||
	    !lt(sb->una, b->right))
		return;
	if (lt(left, sb->una))
		left = sb->una;
	if (!reserve(sb, 4))
		return;
	append(sb, left, TCP_SB_HOLE, now_us);
	if (lt(sb->end, b->right)) {
		news->delivered += b->right - sb->end;
		append(sb, b->right, TCP_SB_SACKED, now_us);
		sb->high = b->right;
	}
	from = cut(sb, left);
	to = cut(sb, b->right);
	for (uint32_t i = from; i < to; i++) {
		note_arrival(sb, &sb->r[i], range_end(sb, i), now_us, early_us, news);
		if (!sb->r[i].again && lt(sb->high, range_end(sb, i)))
			sb->high = range_end(sb, i);
		set_state(sb, i, TCP_SB_SACKED);
	}
	join(sb, from, to);
}

/* Is a retransmission missed: has something arrived that was sent after it? */
static bool
overtaken(const struct tcp_sb *sb, uint32_t i)
{
	const struct tcp_sb_range *r = &sb->r[i];

	if (lt(r->mark, sb->high))
		return true;
	return sb->resent &&
	       (lt(r->at_us, sb->resent_us) ||
		       (r->at_us == sb->resent_us && lt(range_end(sb, i), sb->resent_end)));
}

uint32_t
tcp_sb_detect(struct tcp_sb *sb, const struct tcp_sb_rules *k, uint32_t *wait_us)
{
	uint32_t above = 0, lost = 0;

	*wait_us = 0;
	for (uint32_t i = sb->n; i-- > 0;) {
		struct tcp_sb_range *r = &sb->r[i];
		uint32_t len = range_end(sb, i) - r->start, age = k->now_us - r->at_us, limit;

		if (r->state == TCP_SB_SACKED) {
			above += len;
			continue;
		}
		if (r->state == TCP_SB_HOLE && above > 0)
			limit = k->at_once || (k->dup_bytes != 0 && above >= k->dup_bytes) ?
					0 :
					k->window_us;
		else if (r->state == TCP_SB_RESENT && overtaken(sb, i))
			limit = k->rtt_us + (k->at_once ? 0 : k->window_us);
		else
			continue;
		if (age >= limit) {
			set_state(sb, i, TCP_SB_LOST);
			lost += len;
		} else if (*wait_us == 0 || limit - age < *wait_us) {
			*wait_us = limit - age;
		}
	}
	if (lost > 0)
		join(sb, 0, sb->n);
	return lost;
}

static void
forget_sacked(struct tcp_sb *sb)
{
	for (uint32_t i = 0; i < sb->n; i++) {
		if (sb->r[i].state == TCP_SB_SACKED) {
			set_state(sb, i, TCP_SB_HOLE);
			sb->r[i].again = true; /* whether it was is forgotten */
		}
	}
}

void
tcp_sb_lose(struct tcp_sb *sb, uint32_t right)
{
	uint32_t to;

	if (!reserve(sb, 2)) {
		tcp_sb_reset(sb, sb->una); /* SACK is only advice */
		if (!reserve(sb, 2))
			return;
	}
	append(sb, right, TCP_SB_HOLE, 0);
	to = cut(sb, right);
	/* The peer may take back what it has reported: then it begins where the ACK stands. */
	if (sb->r[0].state == TCP_SB_SACKED)
		forget_sacked(sb);
	for (uint32_t i = 0; i < to; i++) {
		if (sb->r[i].state != TCP_SB_SACKED)
			set_state(sb, i, TCP_SB_LOST);
	}
	join(sb, 0, sb->n);
}

void
tcp_sb_unlose(struct tcp_sb *sb, uint32_t now_us)
{
	for (uint32_t i = 0; i < sb->n; i++) {
		if (sb->r[i].state == TCP_SB_LOST && !sb->r[i].again) {
			set_state(sb, i, TCP_SB_HOLE);
			sb->r[i].at_us = now_us;
			sb->r[i].mark = 0;
		}
	}
	join(sb, 0, sb->n);
}

bool
tcp_sb_next(const struct tcp_sb *sb, uint32_t *seq, uint32_t *len)
{
	if (sb->lost == 0)
		return false;
	for (uint32_t i = 0; i < sb->n; i++) {
		if (sb->r[i].state == TCP_SB_LOST) {
			*seq = sb->r[i].start;
			*len = range_end(sb, i) - sb->r[i].start;
			return true;
		}
	}
	return false;
}

bool
tcp_sb_resent(struct tcp_sb *sb, uint32_t seq, uint32_t len, uint32_t snd_nxt, uint32_t now_us)
{
	uint32_t from, to;

	if (!reserve(sb, 4))
		return false;
	append(sb, seq, TCP_SB_HOLE, now_us);
	append(sb, seq + len, TCP_SB_HOLE, now_us);
	from = cut(sb, seq);
	to = cut(sb, seq + len);
	for (uint32_t i = from; i < to; i++) {
		if (sb->r[i].state == TCP_SB_SACKED)
			continue;
		set_state(sb, i, TCP_SB_RESENT);
		sb->r[i].at_us = now_us;
		sb->r[i].mark = snd_nxt;
		sb->r[i].again = true;
	}
	join(sb, from, to);
	return true;
}
