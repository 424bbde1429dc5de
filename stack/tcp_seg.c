/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Segments larger than the MSS, for ports that cut them (TSO, RFC 9293 3.7.1 calls the MSS a limit
 * of what is on the wire).
 *
 * lwIP cuts what it is given at pcb->mss. tcp_seg_write_mss() says how much one segment may have
 * instead, and tcp_tx.c lends lwIP that value for the time of one tcp_write(): everywhere else,
 * and so in all arithmetic of windows, pcb->mss is what the peer has agreed to.
 *
 * Large segments are for what is sent the first time. What goes out again is a slice of one, at most
 * one MSS (tcp_resend.c): a loss inside a large segment costs one MSS.
 */
#include "stack/impl.h"
#include "stack/lwip_image.h"
#include "stack/tcp_impl.h"

#define COPIED_MAX 512 /* see WRITE_COPY_MAX: such writes become one pbuf each */
#define CHAIN_MAX 16   /* pbufs, each a descriptor of the port and a step of lwIP's list walks */

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

bool
tcp_seg_fits_last(const struct tcp_pcb *pcb)
{
	uint32_t half = pcb->snd_wnd_max / 2 < UINT16_MAX ? pcb->snd_wnd_max / 2 : UINT16_MAX;
	uint32_t limit = half > 0 && half < pcb->mss ? half : pcb->mss;
	const struct tcp_seg *last = pcb->unsent;

	while (last->next != NULL)
		last = last->next;
	return last->len <= limit;
}
