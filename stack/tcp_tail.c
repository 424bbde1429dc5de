/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tcp_output() without its walk to the end of the unacknowledged segments.
 *
 * lwIP appends what it sends to pcb->unacked, whose tail it finds by walking the whole list: with a
 * megabyte in flight, 700 segments at every call. Here the tail of the last call is remembered and
 * stands in as the list while lwIP appends to it; then the head is put back. Between the two lwIP
 * only asks whether the list is empty, and it is not in both cases.
 *
 * That is right while nothing waits for retransmission (lwIP sorts those in from the head) and the
 * remembered segment is still in the list. Both follow from three facts: the unsent list begins
 * with new data (at snd_nxt), the remembered segment ends at snd_nxt, and something is
 * unacknowledged. Segments leave the list from the front, so the last one is there as long as any
 * is. What takes segments out otherwise (retransmission timeout, splitting) calls tcp_tail_forget().
 */
#include "stack/impl.h"
#include "stack/lwip_image.h"
#include "stack/tcp_impl.h"

static inline uint32_t
seg_start(const struct tcp_seg *seg)
{
	return lwip_ntohl(seg->tcphdr->seqno);
}

void
tcp_tail_forget(struct sock *s)
{
	s->unacked_tail = NULL;
}

void
tcp_tail_output(struct stack *st, struct sock *s)
{
	struct tcp_pcb *pcb = s->pcb;
	struct tcp_seg *head = pcb->unacked, *tail = s->unacked_tail;

	if (head == NULL || pcb->unsent == NULL || s->unacked_end != pcb->snd_nxt ||
	    seg_start(pcb->unsent) != pcb->snd_nxt)
		tail = NULL;
	if (tail != NULL)
		pcb->unacked = tail;
	st->lw->tcp_output(pcb);
	if (tail != NULL)
		pcb->unacked = head;
	else
		tail = pcb->unacked;
	while (tail != NULL && tail->next != NULL)
		tail = tail->next;
	s->unacked_tail = tail;
	s->unacked_end = tail != NULL ? seg_start(tail) + TCP_TCPLEN(tail) : 0;
}
