/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Segments larger than the MSS, for ports that cut them (TSO, RFC 9293 3.7.1 calls the MSS a limit
 * of what is on the wire).
 *
 * lwIP cuts what it is given at pcb->mss. tcp_seg_write_mss() says how much one segment may have
 * instead, and tcp_tx.c lends lwIP that value for the time of one tcp_write(): everywhere else,
 * and so in all arithmetic of windows, pcb->mss is what the peer has agreed to.
 *
 * Large segments are for what is sent the first time. What goes out again is at most one MSS, and
 * begins where the peer's acknowledgement ends: a loss inside a large segment costs one MSS, and a
 * congestion window of one MSS can send. So whoever retransmits calls tcp_seg_fit() before. A timeout
 * makes everything unsent again, and the window small: tcp_seg_fit_unsent() then cuts off what fits.
 */
#include "stack/impl.h"
#include "stack/lwip_image.h"
#include "stack/tcp_impl.h"

#define COPIED_MAX 512 /* see WRITE_COPY_MAX: such writes become one pbuf each */
#define CHAIN_MAX 16   /* pbufs, each a descriptor of the port and a step of lwIP's list walks */

static inline uint32_t
seg_seq(const struct tcp_seg *seg)
{
	return lwip_ntohl(seg->tcphdr->seqno);
}

static uint16_t
chain_len(const struct pbuf *p)
{
	uint16_t n = 0;

	for (; p != NULL; p = p->next)
		n++;
	return n;
}

uint16_t
tcp_seg_max(const struct tcp_pcb *pcb, uint16_t tso_max)
{
	uint32_t room = tso_max > TCP_SEG_HEADERS ? tso_max - TCP_SEG_HEADERS : 0;
	uint32_t half = pcb->snd_wnd_max / 2;

	/* lwIP cuts at half the largest window, too: with that limit no multiple of the MSS. */
	if (room > half)
		room = half;
	return room > pcb->mss ? (uint16_t)(room - room % pcb->mss) : pcb->mss;
}

uint16_t
tcp_seg_write_mss(const struct tcp_pcb *pcb, uint16_t tso_max, uint32_t len)
{
	uint16_t max = tcp_seg_max(pcb, tso_max);
	const struct tcp_seg *last = pcb->unsent;
	uint32_t whole;

	if (max == pcb->mss)
		return max;
	while (last != NULL && last->next != NULL)
		last = last->next;
	if (len > COPIED_MAX && (last == NULL || chain_len(last->p) < CHAIN_MAX))
		return max;
	if (last == NULL || last->len <= pcb->mss)
		return pcb->mss;
	/* Fill up the last MSS of a large segment, then begin a new one. */
	whole = (last->len + pcb->mss - 1u) / pcb->mss * pcb->mss;
	return whole < max ? (uint16_t)whole : max;
}

/* The bytes of `q` from `off` on, as a pbuf of their own. */
static struct pbuf *
part_of(const struct lwip_image *lw, const struct pbuf *q, uint16_t off)
{
	uint8_t *data = (uint8_t *)q->payload + off;
	struct pbuf *part;

	if ((q->type_internal & PBUF_TYPE_FLAG_STRUCT_DATA_CONTIGUOUS) == 0)
		return lw->pbuf_alloc_reference(data, q->len - off, PBUF_ROM);
	part = lw->pbuf_alloc(PBUF_RAW, q->len - off, PBUF_RAM);
	if (part != NULL)
		memcpy(part->payload, data, q->len - off);
	return part;
}

/* Cut the chain `off` bytes behind its start; what follows, or NULL: no memory, nothing done. */
static struct pbuf *
chain_cut(const struct lwip_image *lw, struct pbuf *p, uint32_t off)
{
	uint16_t moved = p->tot_len - off;
	struct pbuf *q = p, *prev = NULL, *rest;

	while (off >= q->len) {
		off -= q->len;
		prev = q;
		q = q->next;
	}
	if (off == 0) {
		prev->next = NULL;
		rest = q;
	} else {
		rest = part_of(lw, q, off);
		if (rest == NULL)
			return NULL;
		rest->next = q->next;
		rest->tot_len = moved;
		q->next = NULL;
		q->len = off;
	}
	for (q = p; q != NULL; q = q->next)
		q->tot_len -= moved;
	return rest;
}

bool
tcp_seg_split(struct stack *st, struct sock *s, struct tcp_seg *seg, uint16_t len)
{
	const struct lwip_image *lw = st->lw;
	uint16_t clen = chain_len(seg->p);
	struct tcp_seg *rest;
	struct pbuf *head, *data;

	if (TCPH_HDRLEN_BYTES(seg->tcphdr) != TCP_HLEN || seg->p->ref != 1)
		return false;
	head = lw->pbuf_alloc(PBUF_IP, TCP_HLEN, PBUF_RAM);
	if (head == NULL)
		return false;
	rest = lw->tcp_seg_copy(seg);
	data = rest != NULL ? chain_cut(lw, seg->p, seg->p->tot_len - seg->len + len) : NULL;
	if (rest != NULL)
		lw->pbuf_free(rest->p); /* the copy's reference to seg->p */
	if (data == NULL) {
		if (rest != NULL) {
			rest->p = NULL;
			lw->tcp_seg_free(rest);
		}
		lw->pbuf_free(head);
		return false;
	}
	memcpy(head->payload, seg->tcphdr, TCP_HLEN);
	lw->pbuf_cat(head, data);
	rest->p = head;
	rest->tcphdr = head->payload;
	rest->tcphdr->seqno = lwip_htonl(seg_seq(seg) + len);
	rest->len = seg->len - len;
	TCPH_UNSET_FLAG(seg->tcphdr, TCP_FIN | TCP_PSH);
	seg->len = len;
	seg->next = rest;
	s->pcb->snd_queuelen += chain_len(seg->p) + chain_len(head) - clen;
	tcp_tail_forget(s);
	return true;
}

/* Take out what is acknowledged of the first unacknowledged segment. */
static bool
trim_acked(struct stack *st, struct sock *s)
{
	struct tcp_pcb *pcb = s->pcb;
	struct tcp_seg *seg = pcb->unacked;
	int32_t acked = (int32_t)(pcb->lastack - seg_seq(seg));

	if (acked <= 0 || acked >= seg->len)
		return true;
	if (!tcp_seg_split(st, s, seg, acked))
		return false;
	pcb->unacked = seg->next;
	pcb->snd_queuelen -= chain_len(seg->p);
	st->lw->tcp_seg_free(seg);
	/* as lwIP does when a whole segment is acknowledged */
	pcb->snd_buf += acked;
	pcb->sent(pcb->callback_arg, pcb, acked);
	return true;
}

void
tcp_seg_fit(struct stack *st, struct sock *s)
{
	struct tcp_pcb *pcb = s->pcb;

	if (pcb->unacked != NULL && trim_acked(st, s) && pcb->unacked->len > pcb->mss)
		tcp_seg_split(st, s, pcb->unacked, pcb->mss);
}

void
tcp_seg_fit_unsent(struct stack *st, struct sock *s)
{
	struct tcp_pcb *pcb = s->pcb;
	struct tcp_seg *seg = pcb->unsent;
	uint32_t window = pcb->cwnd < pcb->snd_wnd ? pcb->cwnd : pcb->snd_wnd, used, room;

	if (seg == NULL || seg->len <= pcb->mss)
		return;
	used = seg_seq(seg) - pcb->lastack;
	if (used + seg->len <= window)
		return;
	room = window > used ? window - used : 0;
	room -= room % pcb->mss;
	if (room == 0 && pcb->unacked == NULL)
		room = pcb->mss;
	if (room > 0 && room < seg->len)
		tcp_seg_split(st, s, seg, room);
}
