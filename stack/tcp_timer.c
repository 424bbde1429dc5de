/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * TCP's clocks. lwIP's own timers visit every connection on every tick and know no minimum RTO;
 * here each connection has one wheel entry, set after every entry into lwIP to the earliest of:
 *
 *   retransmission  RTO of RFC 6298 (minimum 200 ms like Linux) doubled per try, from the moment
 *                   lwIP (re)started it
 *   probe           twice before that, after two round trips without progress (at least 10 ms; 50
 *                   with one segment in flight, whose ACK the peer may delay): RFC 8985 7
 *   reordering      a packet that others have overtaken has had its time: RFC 8985 6.2
 *   persist         window closed, or too small to be worth a segment (tcp_tx.c), and nothing in
 *                   flight: RTO doubled per probe, at most 60 s
 *   delayed ACK     40 ms at most (RFC 9293 3.8.6.3 allows 500)
 *   keepalive, TIME_WAIT, abandoned out-of-order data
 *   orphan          closed by the program and without progress: tcp_orphan.c
 *   memory          1 ms after a send or a segment found no packet; 10 ms while its connection may not
 *                   have one, see mem.c
 *
 * A connection with none of these is not armed and costs nothing.
 */
#include "stack/impl.h"
#include "stack/lwip_image.h"
#include "stack/tcp_impl.h"

#include <errno.h>
#include <sys/epoll.h>

#define ACK_DELAY_MS 40
#define PERSIST_MAX_MS 60000
#define TIME_WAIT_MS 60000
#define OOO_MS 30000
#define MEMORY_MS 1
#define MEMORY_PRESSURE_MS 10
#define DATA_TRIES 15 /* Linux: tcp_retries2 */
#define ORPHAN_TRIES 8 /* Linux: tcp_orphan_retries */
#define LOSS_KEEP_MS 1000
#define PROBE_MS 10
#define PROBE_LONE_MS 50
#define PROBES_MAX 2
#define FAR_MS 0x7fffffffu

static inline uint32_t
earlier(uint32_t now, uint32_t a, uint32_t b)
{
	return (int32_t)(a - now) < (int32_t)(b - now) ? a : b;
}

static uint32_t
rto_deadline(const struct sock *s)
{
	uint32_t shift = s->pcb->nrtx < 10 ? s->pcb->nrtx : 10;
	uint64_t rto = (uint64_t)s->rto_ms << shift;

	return s->rto_start_ms + (rto > TCP_RTO_MAX_MS ? TCP_RTO_MAX_MS : (uint32_t)rto);
}

/* What is known of old losses is kept for the next ones that follow soon. */
static bool
loss_may_go(const struct sock *s)
{
	return s->loss != NULL && s->pcb->unacked == NULL;
}

static bool
may_probe(const struct sock *s)
{
	const struct tcp_pcb *pcb = s->pcb;

	return s->probes < PROBES_MAX && s->srtt_us != 0 && pcb->state >= ESTABLISHED &&
	       pcb->unacked != NULL;
}

static uint32_t
probe_deadline(const struct sock *s)
{
	uint32_t rtts_ms = s->srtt_us / 500;
	uint32_t floor_ms = s->pcb->unacked->next == NULL ? PROBE_LONE_MS : PROBE_MS;
	uint32_t start = (int32_t)(s->sent_ms - s->rto_start_ms) > 0 ? s->sent_ms : s->rto_start_ms;

	return start + (rtts_ms > floor_ms ? rtts_ms : floor_ms);
}

static uint32_t
persist_deadline(const struct sock *s)
{
	uint32_t shift = s->pcb->persist_backoff < 10 ? s->pcb->persist_backoff : 10;
	uint64_t ms = (uint64_t)s->rto_ms << (shift - 1);

	return s->persist_start_ms + (ms > PERSIST_MAX_MS ? PERSIST_MAX_MS : (uint32_t)ms);
}

static bool
keepalive_on(const struct tcp_pcb *pcb)
{
	return ip_get_option(pcb, SOF_KEEPALIVE) &&
	       (pcb->state == ESTABLISHED || pcb->state == CLOSE_WAIT);
}

static uint32_t
state_deadline(const struct sock *s, uint32_t far)
{
	const struct tcp_pcb *pcb = s->pcb;

	switch (pcb->state) {
	case TIME_WAIT:
		return pcb->tmr + TIME_WAIT_MS;
	default:
		if (s->end != END_NONE)
			return tcp_end_deadline(s);
		if (keepalive_on(pcb))
			return pcb->tmr + pcb->keep_idle + pcb->keep_cnt_sent * pcb->keep_intvl;
		return far;
	}
}

static bool
persisting(const struct tcp_pcb *pcb)
{
	return pcb->persist_backoff > 0 && pcb->unacked == NULL && pcb->unsent != NULL;
}

static inline uint32_t
memory_deadline(const struct stack *st, const struct sock *s)
{
	bool waits = mem_pressure(&st->mem) && mem_tx_held(s) == 0;

	return st->now_ms + (waits ? MEMORY_PRESSURE_MS : MEMORY_MS);
}

void
tcp_timer_arm(struct stack *st, struct sock *s)
{
	struct tcp_pcb *pcb = s->pcb;
	uint32_t now = st->now_ms, far = now + FAR_MS;
	uint32_t at = state_deadline(s, far);

	if (pcb->flags & TF_ACK_DELAY) {
		if (!s->ack_armed)
			s->ack_deadline_ms = now + ACK_DELAY_MS;
		s->ack_armed = true;
		at = earlier(now, at, s->ack_deadline_ms);
	} else {
		s->ack_armed = false;
	}
	if (persisting(pcb)) {
		if (!s->persist_armed)
			s->persist_start_ms = now;
		s->persist_armed = true;
		at = earlier(now, at, persist_deadline(s));
	} else {
		s->persist_armed = false;
		if (pcb->unacked != NULL)
			at = earlier(now, at, rto_deadline(s));
		if (may_probe(s))
			at = earlier(now, at, probe_deadline(s));
		else if (pcb->unsent != NULL && pcb->state != SYN_SENT)
			at = earlier(now, at, now + MEMORY_MS); /* an output failed */
		else if (pcb->unsent != NULL)
			at = earlier(now, at, rto_deadline(s));
	}
	if (s->ooo != NULL)
		at = earlier(now, at, pcb->tmr + OOO_MS);
	if (s->mem_wait || (pcb->flags & TF_CLOSEPEND))
		at = earlier(now, at, memory_deadline(st, s));
	if (s->loss != NULL) {
		if (loss_may_go(s))
			at = earlier(now, at, s->rto_start_ms + LOSS_KEEP_MS);
		else if (s->loss->wait)
			at = earlier(now, at, s->loss->wait_ms);
	}
	if (at == far) {
		wheel_cancel(&st->wheel, s->timer);
		return;
	}
	wheel_arm(&st->wheel, s->timer, at);
}

static inline bool
due(uint32_t now, uint32_t at)
{
	return (int32_t)(at - now) <= 0;
}

/* Give up without a word to the peer: it does not answer. */
static void
give_up(struct stack *st, struct sock *s, bool reset)
{
	s->fail_errno = ETIMEDOUT;
	st->abort_on_timeout++;
	st->lw->tcp_abandon(s->pcb, reset);
}

static bool
too_many_tries(const struct stack *st, const struct sock *s)
{
	const struct tcp_pcb *pcb = s->pcb;

	if (s->user_timeout_ms != 0 && pcb->unacked != NULL &&
	    st->now_ms - pcb->tmr >= s->user_timeout_ms && pcb->nrtx > 0)
		return true;
	return pcb->nrtx >= (pcb->state == SYN_SENT ? TCP_SYNMAXRTX :
					 s->end != END_NONE ? ORPHAN_TRIES : DATA_TRIES);
}

/* RFC 6298 5.4-5.6. Before the handshake is over there is only a SYN, which lwIP sends again. */
static void
fire_rto(struct stack *st, struct sock *s)
{
	struct tcp_pcb *pcb = s->pcb;

	if (too_many_tries(st, s)) {
		give_up(st, s, false);
		return;
	}
	if (pcb->state >= ESTABLISHED) {
		if (pcb->nrtx < UINT8_MAX)
			pcb->nrtx++;
		tcp_loss_timeout(st, s);
		return;
	}
	s->rtt_active = false;
	s->rto_start_ms = st->now_ms;
	tcp_tail_forget(s);
	if (st->lw->rexmit_rto_prepare(pcb) != ERR_OK && (pcb->unacked != NULL || pcb->unsent == NULL))
		return;
	pcb->rtime = 0;
	st->lw->rexmit_rto_commit(pcb);
}

static void
fire_persist(struct stack *st, struct sock *s)
{
	struct tcp_pcb *pcb = s->pcb;

	if (pcb->persist_probe >= DATA_TRIES) {
		give_up(st, s, false);
		return;
	}
	s->persist_start_ms = st->now_ms;
	tcp_tail_forget(s);
	if (pcb->snd_wnd == 0)
		st->lw->zero_window_probe(pcb);
	else if (st->lw->split_unsent_seg(pcb, (u16_t)LWIP_MIN(pcb->snd_wnd, pcb->mss)) == ERR_OK)
		st->lw->tcp_output(pcb);
	if (pcb->persist_backoff > 0 && pcb->persist_backoff < 10)
		pcb->persist_backoff++;
}

static void
fire_keepalive(struct stack *st, struct sock *s)
{
	struct tcp_pcb *pcb = s->pcb;

	if (pcb->keep_cnt_sent >= pcb->keep_cnt) {
		give_up(st, s, true);
		return;
	}
	if (st->lw->keepalive(pcb) == ERR_OK)
		pcb->keep_cnt_sent++;
}

/* States that end by time alone. True: the pcb is gone. */
static bool
fire_state(struct stack *st, struct sock *s)
{
	struct tcp_pcb *pcb = s->pcb;

	if (s->end == END_TIME_WAIT || s->end == END_FIN_WAIT_2)
		st->lw->tcp_abandon(pcb, 0);
	else if (s->end == END_ORPHAN)
		give_up(st, s, true);
	else
		fire_keepalive(st, s);
	return s->pcb == NULL;
}

static void
fire_memory(struct stack *st, struct sock *s)
{
	s->mem_wait = false;
	tcp_sock_output(st, s);
	if (s->pcb == NULL)
		return;
	if (s->pcb->unsent != NULL)
		st->lw->tcp_output(s->pcb);
	if (sock_flags(s) & SF_TX_FULL) {
		if (sock_writable(s)) {
			sock_flag_clear(s, SF_TX_FULL);
			sock_notify(s, EPOLLOUT);
		} else if (mem_tx_held(s) == 0) {
			s->mem_wait = true; /* no ACK will tell */
		}
	}
	if (s->pcb->flags & TF_CLOSEPEND) {
		tcp_clear_flags(s->pcb, TF_CLOSEPEND);
		st->lw->tcp_close(s->pcb);
	}
}

static void
fire(struct stack *st, void *arg)
{
	struct sock *s = arg;
	struct tcp_pcb *pcb = s->pcb;
	uint32_t now = st->now_ms, far = now + FAR_MS;

	if (due(now, state_deadline(s, far)) && fire_state(st, s))
		return;
	if (s->ack_armed && (pcb->flags & TF_ACK_DELAY) && due(now, s->ack_deadline_ms)) {
		tcp_ack_now(pcb);
		st->lw->tcp_output(pcb);
	}
	if (s->ooo != NULL && due(now, pcb->tmr + OOO_MS))
		tcp_rx_ooo_free(st, s);
	if (loss_may_go(s)) {
		if (due(now, s->rto_start_ms + LOSS_KEEP_MS))
			tcp_loss_free(s);
	} else if (s->loss != NULL && s->loss->wait && due(now, s->loss->wait_ms)) {
		tcp_loss_waited(st, s);
	}
	if (persisting(pcb)) {
		if (s->persist_armed && due(now, persist_deadline(s)))
			fire_persist(st, s);
	} else if (pcb->unacked != NULL || (pcb->unsent != NULL && pcb->state == SYN_SENT)) {
		if (due(now, rto_deadline(s)))
			fire_rto(st, s);
		else if (may_probe(s) && due(now, probe_deadline(s)))
			tcp_loss_probe(st, s);
	}
	if (s->pcb != NULL && (s->mem_wait || (pcb->flags & TF_CLOSEPEND) ||
				      (pcb->unsent != NULL && pcb->unacked == NULL &&
					      !persisting(pcb))))
		fire_memory(st, s);
}

void
tcp_timer_fire(struct stack *st, struct sock *s)
{
	if (s->pcb == NULL)
		return;
	tcp_enter(st, s);
	if (lwip_guard(st, fire, s))
		tcp_leave(st, s);
}

static void
restart(struct stack *st, void *arg)
{
	struct sock *s = arg;
	struct tcp_pcb *pcb = s->pcb;
	bool persist = persisting(pcb);

	if (!persist && pcb->unacked == NULL && (pcb->unsent == NULL || pcb->state != SYN_SENT))
		return;
	tcp_enter(st, s);
	s->probes = 0;
	if (persist) {
		pcb->persist_backoff = 1;
		pcb->persist_probe = 0;
		fire_persist(st, s);
	} else {
		pcb->nrtx = 0;
		fire_rto(st, s);
	}
	tcp_leave(st, s);
}

void
tcp_timer_restart(struct stack *st, struct sock *s)
{
	lwip_guard(st, restart, s);
}
