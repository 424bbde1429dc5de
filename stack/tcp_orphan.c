/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Connections that come to their end, in three queues of their stack, the oldest first. Nobody would
 * ever notice one that stays, so a peer must not be able to keep it, nor to keep others out by many.
 *
 *   orphan      The program has closed it, and the peer has not yet acknowledged all data and the FIN.
 *               The queue is in the order of the last progress, that is, of something new acknowledged.
 *               After 120 s without progress the connection is reset: a window that stays closed, a
 *               peer that does not answer (then after 8 retransmissions, if that is earlier; Linux:
 *               tcp_orphan_retries). A stack may have ENDS_MAX of them. Beyond, the one that has been
 *               without progress longest is reset for the next one, if that is a second or more; else
 *               the next one is reset itself (Linux: tcp_max_orphans, where it is always the next one).
 *   FIN_WAIT_2  The program has closed it, and only the peer's FIN is missing. Nobody loses data by its
 *               end, so it takes no orphan's place (Linux makes a time-wait entry of it). It ends after
 *               60 s (Linux: tcp_fin_timeout) or as the oldest of more than ENDS_MAX, without a word.
 *   TIME_WAIT   It owes nobody anything but silence, for 60 s. There may be as many as the limit of all
 *               connections leaves.
 *
 * At the limit of all connections the oldest in TIME_WAIT gives way to a new one, and where there is
 * none the oldest in FIN_WAIT_2. While the process ends there is no limit of orphans, because all its
 * connections become orphans then.
 */
#include "stack/impl.h"
#include "stack/lwip_image.h"
#include "stack/tcp_impl.h"

#define FIN_WAIT_2_MS 60000
#define NO_PROGRESS_MS 120000
#define STANDS_STILL_MS 1000 /* longer than the first two retransmissions of most paths take */
#define ENDS_MAX 16384
#define ENDS_SHARE 4 /* and at most this part of all connections that a stack may have */

static uint32_t
ends_max(const struct stack *st)
{
	uint32_t share = st->group->params.conn_max / ENDS_SHARE;

	return share < ENDS_MAX ? share : ENDS_MAX;
}

void
tcp_ends_init(struct stack *st)
{
	for (unsigned int i = 0; i < END_KINDS; i++)
		st->ends[i].last = &st->ends[i].first;
}

static void
append(struct stack *st, struct sock *s, enum sock_end end)
{
	struct sock_queue *q = &st->ends[end];

	s->end = end;
	s->end_next = NULL;
	s->end_prev = q->last;
	*q->last = s;
	q->last = &s->end_next;
	q->n++;
}

void
tcp_end_forget(struct stack *st, struct sock *s)
{
	struct sock_queue *q = &st->ends[s->end];

	if (s->end == END_NONE)
		return;
	*s->end_prev = s->end_next;
	if (s->end_next != NULL)
		s->end_next->end_prev = s->end_prev;
	else
		q->last = s->end_prev;
	q->n--;
	s->end = END_NONE;
}

static enum sock_end
end_of(const struct sock *s)
{
	if (s->pcb->state == TIME_WAIT)
		return END_TIME_WAIT;
	return s->pcb->state == FIN_WAIT_2 ? END_FIN_WAIT_2 : END_ORPHAN;
}

void
tcp_end_note(struct stack *st, struct sock *s)
{
	enum sock_end end = end_of(s);
	uint32_t una = s->pcb->lastack;

	if (end == s->end && (end != END_ORPHAN || una == s->end_una))
		return;
	s->end_una = una;
	if (end == s->end && st->now_ms == s->end_ms)
		return; /* it is among the last ones already */
	s->end_ms = st->now_ms;
	tcp_end_forget(st, s);
	append(st, s, end);
}

uint32_t
tcp_end_deadline(const struct sock *s)
{
	return s->end_ms + (s->end == END_FIN_WAIT_2 ? FIN_WAIT_2_MS : NO_PROGRESS_MS);
}

bool
tcp_orphan_make_room(struct stack *st, const struct sock *s)
{
	const struct sock_queue *q = &st->ends[END_ORPHAN];

	if (st->ending || end_of(s) != END_ORPHAN || q->n < ends_max(st))
		return true;
	if (q->first == NULL || st->now_ms - q->first->end_ms < STANDS_STILL_MS)
		return false;
	st->abort_on_memory++;
	tcp_sock_abandon(st, q->first, true);
	return true;
}

static void
leave_early(struct stack *st, struct sock *s)
{
	st->time_wait_overflow++;
	tcp_sock_abandon(st, s, false);
}

void
tcp_fin_wait_2_limit(struct stack *st)
{
	const struct sock_queue *q = &st->ends[END_FIN_WAIT_2];

	while (q->n > ends_max(st))
		leave_early(st, q->first);
}

bool
tcp_make_room(struct stack *st)
{
	while (st->n_conns >= st->group->params.conn_max) {
		struct sock *s = st->ends[END_TIME_WAIT].first;

		if (s == NULL)
			s = st->ends[END_FIN_WAIT_2].first;
		if (s == NULL)
			return false;
		leave_early(st, s);
	}
	return true;
}
