/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sending: from the program's pieces to lwIP.
 *
 * The pieces wait in tx_head .. tx_tail; lwIP gets only what the window admits, because its queues
 * are lists that it walks to the end. Pieces before tx_feed are lwIP's until they are acknowledged.
 */
#include "stack/impl.h"
#include "stack/lwip_image.h"
#include "stack/tcp_impl.h"

/* Smaller writes are copied into lwIP's own pbuf: cheaper than a chain of two. */
#define WRITE_COPY_MAX 512
#define WORTH_SENDING_MIN 48
#define WRITE_MAX 0x8000u /* tcp_write() counts in 16 bits */

/* Nothing will be sent or acknowledged any more. */
void
tcp_tx_drop(struct sock *s)
{
	uint32_t charge = 0, mem = 0;
	struct pkt *p;

	while ((p = s->tx_head) != NULL) {
		s->tx_head = p->next;
		charge += p->charge;
		mem += edge_free(p);
	}
	s->tx_tail = s->tx_feed = s->tx_out = NULL;
	mem_count(&s->tx_mem_out, mem);
	mem_count(&s->tx_charge_acked, charge);
}

/*
 * A small piece behind one that lwIP has not been given in full joins it: small writes that wait for
 * the window must not take a packet each, and one tcp_write() is cheaper than several.
 */
static bool
tx_join(struct sock *s, struct pkt *p)
{
	struct pkt *tail = s->tx_tail;

	if (p->len > WRITE_COPY_MAX || s->tx_feed == NULL || edge_room(tail) < p->len)
		return false;
	memcpy(tail->data + tail->len, p->data, p->len);
	tail->len += p->len;
	tail->end = p->end;
	tail->charge += p->len;
	mem_count(&s->tx_charge_acked, p->charge - p->len);
	mem_count(&s->tx_mem_out, edge_free(p));
	return true;
}

/* Take what the program has queued since the last time, in order. */
void
tcp_tx_collect(struct sock *s)
{
	struct pkt *last, *p = pkts_take(&s->tx_in, &last), *next;

	for (; p != NULL; p = next) {
		next = p->next;
		if (tx_join(s, p))
			continue;
		p->next = NULL;
		if (s->tx_tail != NULL)
			s->tx_tail->next = p;
		else
			s->tx_head = p;
		s->tx_tail = p;
		if (s->tx_feed == NULL)
			s->tx_feed = p;
	}
}

static uint64_t
tx_unfed(const struct sock *s)
{
	return s->tx_tail != NULL ? s->tx_tail->end - s->tx_fed : 0;
}

/* Nagle as Linux has it (Minshall): a small segment waits only while another one is in flight. */
static bool
small_must_wait(const struct sock *s, bool idle)
{
	uint32_t flags = sock_flags(s);

	if (s->fin_wanted)
		return false;
	if (flags & SF_CORK)
		return true;
	return !idle && (flags & SF_NODELAY) == 0 &&
	       (int32_t)(s->small_end - s->pcb->lastack) > 0;
}

/* What the peer's window and ours leave. */
static uint32_t
send_room(const struct sock *s)
{
	const struct tcp_pcb *pcb = s->pcb;
	uint32_t used = pcb->snd_lbb - pcb->lastack;
	uint32_t pipe = s->loss == NULL ? used : tcp_loss_pipe(s);
	uint32_t peer = pcb->snd_wnd > used ? pcb->snd_wnd - used : 0;
	uint32_t ours = s->cc.cwnd > pipe ? s->cc.cwnd - pipe : 0;

	return peer < ours ? peer : ours;
}

/*
 * Is a segment below the MSS that fills the peer's window worth a packet? RFC 1122 4.2.3.4: half of the
 * largest window that there has been. As in Linux (tcp_bound_to_half_wnd()) 48 bytes at least.
 */
static bool
is_worth_sending(const struct tcp_pcb *pcb, uint32_t n)
{
	return n >= WORTH_SENDING_MIN && n >= pcb->snd_wnd_max / 2;
}

/*
 * Bytes lwIP may be given now. What may not be sent yet stays here: lwIP calls tcp_output() after
 * every segment received, and that is only cheap while its unsent list is empty.
 */
static uint64_t
feed_allowance(struct stack *st, struct sock *s)
{
	const struct tcp_pcb *pcb = s->pcb;
	bool idle = pcb->unsent == NULL && pcb->unacked == NULL;
	uint64_t unfed = tx_unfed(s), n, whole;
	uint32_t room;

	if (idle)
		tcp_cc_idle(&s->cc, st->now_ms - s->sent_ms, s->rto_ms, pcb->mss);
	room = send_room(s);
	n = room < unfed ? room : unfed;
	if ((!idle || n > pcb->mss) && *st->lw->heap_units > st->mem.heap_stop)
		return idle ? pcb->mss : 0; /* lwIP's segments have what they may */
	whole = n - n % pcb->mss;
	if (n < unfed) { /* RFC 9293 3.8.6.2.1: no silly window from our side */
		if (whole > 0 || !idle)
			return whole;
		/* More than the window, closed or almost so, starts lwIP's persist timer, which in
		 * the end sends as much as it takes. */
		return is_worth_sending(pcb, n) ? n : pcb->mss;
	}
	return small_must_wait(s, idle) ? whole : n;
}

/*
 * tcp_write() with segments as large as the port takes them, see tcp_seg.c. What lwIP could not send
 * yet may be longer than the limit now: the port cuts less than it did, or lwIP's own bound, half of
 * the largest window, was not known then. lwIP asserts that it is not, so it waits for its way out.
 */
static err_t
write_large(struct stack *st, struct tcp_pcb *pcb, const void *data, uint16_t len, u8_t flags)
{
	const _Atomic uint16_t *tso_max = st->wiring.tso_max;
	uint16_t mss = pcb->mss;
	err_t err;

	if (tso_max != NULL)
		pcb->mss = tcp_seg_write_mss(pcb,
			atomic_load_explicit(tso_max, memory_order_relaxed), len);
	if (pcb->unsent != NULL && !tcp_seg_fits_last(pcb)) {
		pcb->mss = mss;
		return ERR_MEM;
	}
	err = st->lw->tcp_write(pcb, data, len, flags);
	pcb->mss = mss;
	return err;
}

/*
 * lwIP has its own copy of the oldest piece: a packet buffer must not wait for the ACK, which the
 * peer of an idle connection delays by 40 ms.
 */
static void
tx_drop_copied(struct sock *s)
{
	struct pkt *p = s->tx_head;

	s->tx_head = p->next;
	if (s->tx_head == NULL)
		s->tx_tail = NULL;
	if (s->tx_out == p)
		s->tx_out = NULL;
	mem_count(&s->tx_charge_acked, p->charge);
	mem_count(&s->tx_mem_out, edge_free(p));
}

static void
tx_feed(struct stack *st, struct sock *s)
{
	uint64_t left = feed_allowance(st, s);
	bool ends_small = left % s->pcb->mss != 0;

	while (s->tx_feed != NULL && left > 0) {
		struct pkt *p = s->tx_feed;
		uint32_t n = p->len - p->off;
		u8_t flags = 0;

		if (n > left)
			n = left;
		if (n > WRITE_MAX)
			n = WRITE_MAX;
		if (n <= WRITE_COPY_MAX)
			flags |= TCP_WRITE_FLAG_COPY;
		if (n < tx_unfed(s))
			flags |= TCP_WRITE_FLAG_MORE;
		if (write_large(st, s->pcb, p->data + p->off, n, flags) != ERR_OK) {
			s->mem_wait = true; /* the timer tries again */
			break;
		}
		p->off += n;
		s->tx_fed += n;
		if (s->loss != NULL)
			tcp_loss_sent(s, n);
		left -= n;
		if (p->off < p->len)
			continue;
		s->tx_feed = p->next;
		if (n == p->len && (flags & TCP_WRITE_FLAG_COPY) && s->tx_head == p)
			tx_drop_copied(s);
	}
	s->sent_ms = st->now_ms;
	if (ends_small)
		s->small_end = s->pcb->snd_lbb;
}

void
tcp_finish_if_fed(struct stack *st, struct sock *s)
{
	if (!s->fin_wanted || s->tx_feed != NULL || s->pcb == NULL)
		return;
	s->fin_wanted = false;
	if (s->closed)
		st->lw->tcp_close(s->pcb);
	else
		st->lw->tcp_shutdown(s->pcb, 0, 1);
}

static bool
may_send(const struct tcp_pcb *pcb)
{
	return pcb->state == ESTABLISHED || pcb->state == CLOSE_WAIT;
}

void
tcp_sock_output(struct stack *st, struct sock *s)
{
	tcp_tx_collect(s);
	if (s->pcb == NULL)
		return;
	if (s->loss != NULL)
		tcp_loss_output(st, s);
	if (!may_send(s->pcb))
		return;
	if (s->tx_feed != NULL)
		tx_feed(st, s);
	if (s->pcb->unsent != NULL)
		tcp_tail_output(st, s);
	tcp_finish_if_fed(st, s);
}

/* Serve `s` at the end of the vector that is being received. */
void
tcp_pending_add(struct stack *st, struct sock *s)
{
	if (s->pending)
		return;
	s->pending = true;
	s->pending_next = st->pending;
	st->pending = s;
}

void
tcp_feed_pending(struct stack *st, void *arg)
{
	struct sock *s;

	while ((s = st->pending) != NULL) {
		st->pending = s->pending_next;
		s->pending = false;
		if (s->pcb == NULL)
			continue;
		tcp_enter(st, s);
		tcp_sock_output(st, s);
		if (s->pcb != NULL)
			tcp_rx_ooo_ack(st, s);
		tcp_leave(st, s);
	}
}

