/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Connections that the program has closed and the network still has: orphans. Nobody would ever
 * notice one that stays, so a peer must not be able to keep it. It ends
 *
 *   60 s after its FIN was acknowledged (FIN_WAIT_2; Linux: tcp_fin_timeout), without a word;
 *   with a reset when 120 s have brought no progress, that is, nothing new was acknowledged: a window
 *   that stays closed, a peer that does not answer (then after 8 retransmissions, if that is
 *   earlier; Linux: tcp_orphan_retries);
 *   with a reset at once when there are as many of them as a stack may have (Linux: tcp_max_orphans).
 *
 * TIME_WAIT does not count: that is in tcp_wait.c. While the process ends there is no limit of their
 * number, because all its connections become orphans then.
 */
#include "stack/impl.h"
#include "stack/lwip_image.h"
#include "stack/tcp_impl.h"

#define FIN_WAIT_2_MS 60000
#define NO_PROGRESS_MS 120000
#define ORPHANS_MAX 16384
#define ORPHANS_SHARE 4 /* and at most this part of all connections that a stack may have */

bool
tcp_orphan_may_be(const struct stack *st)
{
	uint32_t share = st->group->params.conn_max / ORPHANS_SHARE;

	return st->ending || st->n_orphans < (share < ORPHANS_MAX ? share : ORPHANS_MAX);
}

void
tcp_orphan_gone(struct stack *st, struct sock *s)
{
	if (!s->orphan)
		return;
	s->orphan = false;
	st->n_orphans--;
}

void
tcp_orphan_note(struct stack *st, struct sock *s)
{
	const struct tcp_pcb *pcb = s->pcb;

	if (pcb->state == TIME_WAIT) {
		tcp_orphan_gone(st, s);
		return;
	}
	if (s->orphan && pcb->lastack == s->orphan_una)
		return;
	if (!s->orphan)
		st->n_orphans++;
	s->orphan = true;
	s->orphan_una = pcb->lastack;
	s->orphan_ms = st->now_ms;
}

uint32_t
tcp_orphan_deadline(const struct sock *s)
{
	return s->orphan_ms + (s->pcb->state == FIN_WAIT_2 ? FIN_WAIT_2_MS : NO_PROGRESS_MS);
}
