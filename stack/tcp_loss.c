/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Recovery from loss, and with it all of congestion control.
 *
 * lwIP has neither a say nor a part in it: its window is without bounds (pcb->cwnd), so that what
 * may be sent is decided where it is fed (tcp_tx.c), and it never sees a third duplicate ACK. Its
 * unacked list is only read: what is missing is known by sequence number (tcp_sb.h) and sent again
 * as slices (tcp_resend.c).
 *
 *   open      nothing is lost. SACKs make holes; a hole is a loss by count (RFC 6675) or, on a path
 *             that has been seen to reorder, by time alone (RFC 8985)
 *   recovery  until everything sent before it is acknowledged: the window shrinks by proportional
 *             rate reduction (RFC 9937); lost retransmissions are found as in RFC 8985
 *   timeout   everything not SACKed is lost, slow start from one segment; ends early if the first
 *             ACK shows that the timeout was spurious (RFC 5682)
 *
 * Needless retransmissions show by duplicate SACKs (RFC 2883) or by an ACK sooner than a round trip
 * after them; when all of an episode were needless, the window is put back. A probe of the tail
 * (RFC 8985 7) makes up for ACKs that nothing provokes.
 *
 * A connection without losses has no struct tcp_loss, and an ACK costs it an addition.
 */
#include "stack/tcp_loss.h"

#include "stack/impl.h"
#include "stack/lwip_image.h"
#include "stack/tcp_impl.h"

#include <stdlib.h>

#define DUPACKS 3
#define REORDER_STEPS_MAX 16 /* quarters of the least round trip */
#define REORDER_PERSIST 16   /* recoveries without a sign of reordering, RFC 8985 6.2 step 4 */

static inline bool
lt(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) < 0;
}

static struct tcp_loss *
loss_get(struct sock *s)
{
	if (s->loss == NULL)
		s->loss = calloc(1, sizeof(*s->loss));
	if (s->loss != NULL && tcp_sb_is_empty(&s->loss->sb))
		tcp_sb_reset(&s->loss->sb, s->pcb->lastack);
	return s->loss;
}

void
tcp_loss_free(struct sock *s)
{
	if (s->loss == NULL)
		return;
	tcp_sb_free(&s->loss->sb);
	free(s->loss);
	s->loss = NULL;
}

uint32_t
tcp_loss_pipe(const struct sock *s)
{
	const struct tcp_pcb *pcb = s->pcb;
	const struct tcp_loss *l = s->loss;
	uint32_t pipe = pcb->snd_lbb - pcb->lastack;
	uint32_t away = l->sb.sacked + l->sb.lost + l->dupacks * pcb->mss;

	return pipe > away ? pipe - away : 0;
}

void
tcp_loss_sent(struct sock *s, uint32_t bytes)
{
	if (s->loss->phase == TCP_LOSS_RECOVERY)
		s->loss->prr.out += bytes;
}

/* A retransmission that is acknowledged sooner was not what the peer received. */
static uint32_t
early_us(const struct sock *s)
{
	return s->cc.min_rtt_us - s->cc.min_rtt_us / 8;
}

/* --- entering and leaving ------------------------------------------------------------------------- */

static void
remember(struct sock *s)
{
	struct tcp_loss *l = s->loss;

	l->prior_cwnd = s->cc.cwnd;
	l->prior_ssthresh = s->cc.ssthresh;
	l->prior_cubic = l->cubic;
	l->undo_bytes = 0;
	l->undo = true;
}

static void
enter_recovery(struct sock *s, uint32_t flight)
{
	struct tcp_loss *l = s->loss;

	remember(s);
	tcp_cc_loss(&s->cc, &l->cubic, s->pcb->mss);
	l->phase = TCP_LOSS_RECOVERY;
	l->recover = s->pcb->snd_nxt;
	l->prr = (struct tcp_prr){.flight = flight};
	l->probed = false;
}

static void
leave_phase(struct sock *s)
{
	struct tcp_loss *l = s->loss;

	if (l->phase == TCP_LOSS_RECOVERY)
		s->cc.cwnd = s->cc.ssthresh;
	l->phase = TCP_LOSS_OPEN;
	l->dupacks = 0;
	if (s->reorder_steps > 0 && --s->reorder_persist == 0)
		s->reorder_steps = 0;
}

/* Nothing was lost: as if nothing had happened. */
static void
undo(struct sock *s)
{
	struct tcp_loss *l = s->loss;

	if (s->cc.cwnd < l->prior_cwnd)
		s->cc.cwnd = l->prior_cwnd;
	if (s->cc.ssthresh < l->prior_ssthresh)
		s->cc.ssthresh = l->prior_ssthresh;
	l->cubic = l->prior_cubic;
	l->cubic.last_us = 0;
	l->phase = TCP_LOSS_OPEN;
	l->undo = false;
	tcp_sb_unlose(&l->sb, (uint32_t)s->stack->now_us);
}

/* --- what an ACK says ------------------------------------------------------------------------------- */

static void
note_reordering(struct sock *s, const struct tcp_sb_news *news)
{
	if (!news->reordered && news->duplicates == 0)
		return;
	if (s->reorder_steps == 0 || (news->duplicates > 0 && s->reorder_steps < REORDER_STEPS_MAX))
		s->reorder_steps++;
	s->reorder_persist = REORDER_PERSIST;
}

static void
check_undo(struct sock *s, const struct tcp_sb_news *news)
{
	struct tcp_loss *l = s->loss;

	if (!l->undo)
		return;
	if (lt(l->recover + l->prior_cwnd, s->pcb->lastack)) {
		l->undo = false; /* a duplicate would have been reported by now */
		return;
	}
	/* F-RTO: what was given up, and not sent again, has arrived. */
	if (l->first_timeout && news->delivered > 0) {
		l->first_timeout = false;
		if (news->unneeded > 0) {
			undo(s);
			return;
		}
	}
	if (l->undo_bytes > 0 && news->early + news->duplicates > 0) {
		l->undo_bytes -= (int32_t)(news->early + news->duplicates);
		if (l->undo_bytes <= 0)
			undo(s);
	}
}

/* RFC 8985 7.4: data sent after the probe is acknowledged, and the probe was not superfluous. */
static void
check_probe(struct sock *s, const struct tcp_sb_news *news)
{
	struct tcp_loss *l = s->loss;

	if (!l->probed)
		return;
	if (news->duplicates > 0 || news->early > 0) {
		l->probed = false;
	} else if (lt(l->probe_end, s->pcb->lastack)) {
		l->probed = false;
		if (l->phase == TCP_LOSS_OPEN) {
			tcp_cc_loss(&s->cc, &l->cubic, s->pcb->mss);
			s->cc.cwnd = s->cc.ssthresh;
		}
	}
}

static uint32_t
reorder_window_us(const struct sock *s)
{
	uint32_t steps = s->reorder_steps > 0 ? s->reorder_steps : 1;
	uint64_t us = (uint64_t)s->cc.min_rtt_us * steps / 4;

	return us < s->srtt_us ? (uint32_t)us : s->srtt_us;
}

/* Find losses among the holes; bytes. */
static uint32_t
detect(struct stack *st, struct sock *s)
{
	struct tcp_loss *l = s->loss;
	struct tcp_sb_rules k = {.now_us = (uint32_t)st->now_us,
		.rtt_us = s->cc.min_rtt_us,
		.window_us = reorder_window_us(s),
		.dup_bytes = s->reorder_steps == 0 ? (DUPACKS - 1) * s->pcb->mss + 1 : 0,
		.at_once = s->reorder_steps == 0 && l->phase != TCP_LOSS_OPEN};
	uint32_t wait_us, lost = tcp_sb_detect(&l->sb, &k, &wait_us);

	l->wait = wait_us > 0;
	l->wait_ms = st->now_ms + (wait_us + 999) / 1000;
	return lost;
}

/* Peers without SACK, RFC 6582: every duplicate ACK stands for a segment that has left the network,
 * and a partial ACK for the next hole. */
static uint32_t
detect_without_sack(struct sock *s, const struct tcp_loss_ack *a, uint32_t acked)
{
	struct tcp_pcb *pcb = s->pcb;
	struct tcp_loss *l = s->loss;
	uint32_t right = pcb->snd_nxt - pcb->lastack < pcb->mss ? pcb->snd_nxt : pcb->lastack + pcb->mss;

	if (acked > 0) {
		l->dupacks -= LWIP_MIN(l->dupacks, acked / pcb->mss);
		if (l->phase == TCP_LOSS_OPEN)
			l->dupacks = 0;
		if (l->phase != TCP_LOSS_RECOVERY || !lt(pcb->lastack, l->recover))
			return 0;
	} else {
		if (!a->pure || pcb->unacked == NULL || pcb->snd_wnd != a->window)
			return 0;
		if ((l->dupacks + 1) * pcb->mss < a->flight)
			l->dupacks++;
		if (l->phase != TCP_LOSS_OPEN || l->dupacks < DUPACKS)
			return 0;
	}
	tcp_sb_lose(&l->sb, right);
	return l->sb.lost;
}

static void
sample_rtt(struct stack *st, struct sock *s, const struct tcp_sack *sack)
{
	for (uint32_t i = 0; i < sack->n; i++) {
		if (lt(sack->block[i].left, s->rtt_seq) && !lt(sack->block[i].right, s->rtt_seq)) {
			tcp_rtt_sample(st, s);
			return;
		}
	}
}

/* --- the window ------------------------------------------------------------------------------------- */

static bool
may_grow(const struct sock *s, uint32_t delivered, uint32_t flight)
{
	return delivered > 0 && tcp_cc_is_limited(&s->cc, flight, s->pcb->mss);
}

static void
grow(struct stack *st, struct sock *s, uint32_t delivered)
{
	if (s->loss == NULL && !tcp_cc_in_slow_start(&s->cc) && loss_get(s) == NULL)
		return;
	tcp_cc_grow(&s->cc, s->loss != NULL ? &s->loss->cubic : NULL, delivered, s->pcb->mss,
		s->srtt_us, st->now_us);
}

static void
adjust_window(struct stack *st, struct sock *s, const struct tcp_loss_ack *a, uint32_t acked,
	uint32_t delivered, uint32_t lost)
{
	struct tcp_loss *l = s->loss;

	/* what is found on entering is no second loss, and bounds the first burst no further */
	bool progress = l->phase == TCP_LOSS_OPEN || (acked > 0 && lost == 0);

	if (l->phase == TCP_LOSS_OPEN && lost > 0)
		enter_recovery(s, a->flight);
	if (l->phase != TCP_LOSS_OPEN && !lt(s->pcb->lastack, l->recover))
		leave_phase(s);
	if (l->phase == TCP_LOSS_RECOVERY)
		s->cc.cwnd = tcp_prr_window(&l->prr, delivered, tcp_loss_pipe(s), s->cc.ssthresh,
			s->pcb->mss, progress);
	else if (may_grow(s, delivered, a->flight))
		grow(st, s, delivered);
}

/* Something is missing, or was not long ago. */
static void
acked_with_losses(struct stack *st, struct sock *s, const struct tcp_loss_ack *a, uint32_t acked)
{
	bool with_sack = (s->pcb->flags & TF_SACK) != 0;
	struct tcp_sb_news news = {.duplicates = a->sack.duplicate_bytes};
	uint32_t now_us = (uint32_t)st->now_us, lost;
	struct tcp_loss *l = s->loss;

	if (tcp_sb_is_empty(&l->sb))
		tcp_sb_reset(&l->sb, a->una);
	tcp_sb_ack(&l->sb, s->pcb->lastack, now_us, early_us(s), &news);
	for (uint32_t i = 0; i < a->sack.n; i++)
		tcp_sb_sack(&l->sb, &a->sack.block[i], s->pcb->snd_nxt, now_us, early_us(s), &news);
	if (s->rtt_active && a->sack.n > 0)
		sample_rtt(st, s, &a->sack);
	note_reordering(s, &news);
	check_undo(s, &news);
	check_probe(s, &news);
	lost = with_sack ? detect(st, s) : detect_without_sack(s, a, acked);
	adjust_window(st, s, a, acked, news.delivered, lost);
	if (l->sb.lost > 0)
		tcp_pending_add(st, s);
}

void
tcp_loss_acked(struct stack *st, struct sock *s, const struct tcp_loss_ack *a)
{
	uint32_t acked = s->pcb->lastack - a->una;
	bool duplicate = a->sack.n > 0 || (a->pure && acked == 0 && (s->pcb->flags & TF_SACK) == 0);

	if (acked > 0)
		s->probes = 0;
	if (s->loss != NULL && s->loss->seg != NULL && !lt(s->pcb->lastack, s->loss->seg_end))
		s->loss->seg = NULL; /* freed, and numbers come round again */
	if (s->loss == NULL && !duplicate) {
		if (may_grow(s, acked, a->flight))
			grow(st, s, acked);
	} else if (s->loss != NULL || loss_get(s) != NULL) {
		acked_with_losses(st, s, a, acked);
	}
}

/* --- sending again ---------------------------------------------------------------------------------- */

static bool
resend(struct stack *st, struct sock *s, uint32_t seq, uint32_t max)
{
	struct tcp_loss *l = s->loss;
	uint32_t n = tcp_resend(st, s, seq, max < s->pcb->mss ? max : s->pcb->mss);

	if (n == 0) {
		s->mem_wait = true; /* the timer tries again */
		return false;
	}
	if (!tcp_sb_resent(&l->sb, seq, n, s->pcb->snd_nxt, (uint32_t)st->now_us))
		return false;
	tcp_loss_sent(s, n);
	l->undo_bytes += (int32_t)n;
	if (seq == s->pcb->lastack)
		s->rto_start_ms = st->now_ms; /* like Linux: the timer is of the first one missing */
	return true;
}

void
tcp_loss_output(struct stack *st, struct sock *s)
{
	uint32_t seq, len, pipe;

	while (s->loss != NULL && tcp_sb_next(&s->loss->sb, &seq, &len)) {
		if (len > s->pcb->mss)
			len = s->pcb->mss;
		pipe = tcp_loss_pipe(s);
		if ((pipe > 0 && pipe + len > s->cc.cwnd) || !resend(st, s, seq, len))
			return;
	}
}

void
tcp_loss_timeout(struct stack *st, struct sock *s)
{
	struct tcp_loss *l = loss_get(s);

	s->rto_start_ms = st->now_ms;
	s->rtt_active = false;
	if (l == NULL)
		return; /* no memory: the next timeout tries again */
	if (l->phase != TCP_LOSS_TIMEOUT) {
		l->first_timeout = l->phase == TCP_LOSS_OPEN;
		if (l->phase == TCP_LOSS_OPEN) {
			remember(s);
			tcp_cc_loss(&s->cc, &l->cubic, s->pcb->mss);
		} else {
			l->undo = false;
		}
	}
	l->phase = TCP_LOSS_TIMEOUT;
	l->recover = s->pcb->snd_nxt;
	l->probed = l->wait = false;
	l->dupacks = 0;
	s->cc.cwnd = s->pcb->mss;
	tcp_sb_lose(&l->sb, s->pcb->snd_nxt);
	tcp_loss_output(st, s);
}

void
tcp_loss_probe(struct stack *st, struct sock *s)
{
	struct tcp_loss *l = loss_get(s);
	struct tcp_pcb *pcb = s->pcb;
	uint32_t seq, len;

	s->probes++;
	s->rto_start_ms = st->now_ms;
	if (l == NULL)
		return;
	if (l->phase != TCP_LOSS_OPEN) {
		/* The last retransmissions are lost, and nothing follows them that would show it. */
		if (!tcp_sb_next(&l->sb, &seq, &len)) {
			tcp_sb_lose(&l->sb, l->recover);
			if (!tcp_sb_next(&l->sb, &seq, &len))
				return;
		}
		resend(st, s, seq, len);
		return;
	}
	seq = pcb->flags & TF_SACK ? tcp_resend_last(s) : pcb->lastack;
	if (resend(st, s, seq, pcb->snd_nxt - seq)) {
		l->probed = true;
		l->probe_end = pcb->snd_nxt;
	}
}

void
tcp_loss_waited(struct stack *st, struct sock *s)
{
	struct tcp_loss *l = s->loss;
	uint32_t lost = detect(st, s);

	if (lost == 0)
		return;
	if (l->phase == TCP_LOSS_OPEN) {
		enter_recovery(s, s->pcb->snd_nxt - s->pcb->lastack);
		s->cc.cwnd = tcp_prr_window(&l->prr, 0, tcp_loss_pipe(s), s->cc.ssthresh,
			s->pcb->mss, false);
	}
	tcp_loss_output(st, s);
}
