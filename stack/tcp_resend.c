/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A retransmission: any bytes of a segment on lwIP's unacked list as one packet, while the segment
 * stays where it is. Headers are written here; the payload is a slice of the segment's pbufs,
 * trimmed for the time of the call. So what is sent again need not be what was sent in one packet
 * before: a segment may be larger than the MSS (cut on the wire) or partly acknowledged.
 */
#include "stack/impl.h"
#include "stack/lwip_image.h"
#include "stack/tcp_impl.h"

struct headers {
	struct ip_hdr ip;
	struct tcp_hdr tcp;
};

static inline uint32_t
seg_start(const struct tcp_seg *seg)
{
	return lwip_ntohl(seg->tcphdr->seqno);
}

static inline bool
has_fin(const struct tcp_seg *seg)
{
	return (TCPH_FLAGS(seg->tcphdr) & TCP_FIN) != 0;
}

/* The segment that holds `seq`. The one found last is a start while it is not acknowledged. */
static struct tcp_seg *
find_segment(struct sock *s, uint32_t seq)
{
	const struct tcp_pcb *pcb = s->pcb;
	struct tcp_loss *l = s->loss;
	struct tcp_seg *seg = pcb->unacked;

	if (l->seg != NULL && (int32_t)(l->seg_end - pcb->lastack) > 0 &&
	    (int32_t)(seq - seg_start(l->seg)) >= 0)
		seg = l->seg;
	while (seg != NULL && (int32_t)(seg_start(seg) + TCP_TCPLEN(seg) - seq) <= 0)
		seg = seg->next;
	l->seg = seg;
	if (seg == NULL)
		return NULL;
	l->seg_end = seg_start(seg) + TCP_TCPLEN(seg);
	return (int32_t)(seq - seg_start(seg)) >= 0 ? seg : NULL;
}

static void
write_headers(struct headers *h, struct tcp_pcb *pcb, const struct tcp_seg *seg, uint32_t seq,
	uint32_t payload, uint8_t flags)
{
	memset(&h->ip, 0, sizeof(h->ip));
	IPH_VHL_SET(&h->ip, 4, sizeof(h->ip) / 4);
	IPH_TOS_SET(&h->ip, pcb->tos);
	IPH_LEN_SET(&h->ip, lwip_htons((u16_t)(sizeof(*h) + payload)));
	IPH_TTL_SET(&h->ip, pcb->ttl);
	IPH_PROTO_SET(&h->ip, IP_PROTO_TCP);
	h->ip.src.addr = ip_2_ip4(&pcb->local_ip)->addr;
	h->ip.dest.addr = ip_2_ip4(&pcb->remote_ip)->addr;
	h->tcp = *seg->tcphdr;
	h->tcp.seqno = lwip_htonl(seq);
	h->tcp.ackno = lwip_htonl(pcb->rcv_nxt);
	TCPH_HDRLEN_FLAGS_SET(&h->tcp, sizeof(h->tcp) / 4, flags);
	h->tcp.wnd = lwip_htons(TCPWND_MIN16(RCV_WND_SCALE(pcb, pcb->rcv_ann_wnd)));
	h->tcp.chksum = 0;
}

/* `n` bytes, `skip` behind the segment's TCP header, as the payload of `head`. */
static err_t
output_slice(struct stack *st, struct tcp_pcb *pcb, struct tcp_seg *seg, struct pbuf *head,
	uint32_t skip, uint32_t n)
{
	struct pbuf *first = seg->p, *last, *last_next;
	void *first_payload;
	u16_t first_len, last_len;
	err_t err;

	/* lwIP leaves the payload pointer of a sent segment before its headers */
	skip += (uint8_t *)seg->tcphdr - (uint8_t *)first->payload + TCPH_HDRLEN_BYTES(seg->tcphdr);
	while (skip >= first->len) {
		skip -= first->len;
		first = first->next;
	}
	first_payload = first->payload;
	first_len = first->len;
	first->payload = (uint8_t *)first_payload + skip;
	first->len -= skip;
	for (last = first; n > last->len; last = last->next)
		n -= last->len;
	last_len = last->len;
	last_next = last->next;
	last->len = n;
	last->next = NULL;
	head->next = first;
	err = st->netif->output(st->netif, head, ip_2_ip4(&pcb->remote_ip));
	last->len = last_len;
	last->next = last_next;
	first->payload = first_payload;
	first->len = first_len;
	return err;
}

uint32_t
tcp_resend(struct stack *st, struct sock *s, uint32_t seq, uint32_t max)
{
	struct tcp_pcb *pcb = s->pcb;
	struct tcp_seg *seg = find_segment(s, seq);
	uint32_t skip, payload, n;
	struct headers h;
	struct pbuf head;
	uint8_t flags;
	err_t err;

	if (seg == NULL)
		return 0;
	skip = seq - seg_start(seg);
	n = TCP_TCPLEN(seg) - skip;
	if (n > max)
		n = max;
	flags = TCPH_FLAGS(seg->tcphdr) | TCP_ACK;
	payload = skip + n > seg->len ? seg->len - skip : n; /* a FIN counts as one byte */
	if (skip + n < TCP_TCPLEN(seg))
		flags &= ~(TCP_FIN | TCP_PSH);
	write_headers(&h, pcb, seg, seq, payload, flags);
	head = (struct pbuf){.payload = &h, .len = sizeof(h), .tot_len = sizeof(h) + payload,
		.type_internal = (u8_t)PBUF_RAM, .ref = 1};
	if (payload > 0)
		err = output_slice(st, pcb, seg, &head, skip, payload);
	else
		err = st->netif->output(st->netif, &head, ip_2_ip4(&pcb->remote_ip));
	if (err != ERR_OK)
		return 0;
	pcb->rcv_ann_right_edge = pcb->rcv_nxt + pcb->rcv_ann_wnd;
	tcp_clear_flags(pcb, TF_ACK_DELAY | TF_ACK_NOW);
	st->lw->mib2->tcpretranssegs++;
	return n;
}

uint32_t
tcp_resend_last(const struct sock *s)
{
	const struct tcp_pcb *pcb = s->pcb;
	bool tail_known = s->unacked_tail != NULL && s->unacked_end == pcb->snd_nxt;
	const struct tcp_seg *seg = tail_known ? s->unacked_tail : pcb->unacked;
	uint32_t seq;

	while (seg->next != NULL)
		seg = seg->next;
	seq = pcb->snd_nxt - pcb->mss;
	if ((int32_t)(seq - seg_start(seg)) < 0)
		seq = seg_start(seg);
	return (int32_t)(seq - pcb->lastack) < 0 ? pcb->lastack : seq;
}
