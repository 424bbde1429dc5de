/* SPDX-License-Identifier: BSD-3-Clause */
/* linerate's generator: one thread sends bursts that are due and takes what comes back. */
/*
 * Every packet of the pool `out` holds the whole template, so sending one costs a number and a time.
 * Drivers of virtual wires copy frames and leave the packets as they are. Sending and receiving
 * alternate; a packet's latency therefore holds the generator's own round, once each way.
 *
 * The cores of a virtual machine are sometimes taken away for milliseconds, a thousand times longer
 * than the rings of the wire last. Such times are recognised, and losses in them are not counted:
 * a round of the generator that took AWAY_US, or nothing coming back for AWAY_US while packets are
 * under way. A device that pauses so long by itself is excused as well; the share of excused time is
 * part of the result.
 */
#include "perf/linerate_trial.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include <rte_arp.h>
#include <rte_cycles.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_udp.h>

#define BURST 32
#define DEPTH 64 /* packets that may be late, see pacer_due() */
#define OUT_PACKETS 2047
#define IN_PACKETS 8191
#define ANSWER_WAIT_S 20
#define ASK_EVERY_MS 20
#define AWAY_US 200
#define SLICE_US 500
#define QUIET_MS 10 /* nothing comes back any more */

static uint64_t
cycles_of_ms(uint64_t ms)
{
	return rte_get_tsc_hz() / 1000 * ms;
}

/* A trial going on. */
struct course {
	struct trial *t;
	struct slices slices;
	double ns_per_cycle;
	uint64_t last_back; /* something came back then */
};

/* --- frames --------------------------------------------------------------------------------------- */

/* No UDP checksum: on these wires it would be left to the receiver's trust as well. */
static void
make_template(struct generator *g)
{
	struct rte_ether_hdr *eth = (struct rte_ether_hdr *)g->frame;
	struct rte_ipv4_hdr *ip = (struct rte_ipv4_hdr *)(eth + 1);
	struct rte_udp_hdr *udp = (struct rte_udp_hdr *)(ip + 1);

	memset(g->frame, 0, sizeof(g->frame));
	eth->dst_addr = g->peer;
	eth->src_addr = g->mac;
	eth->ether_type = RTE_BE16(RTE_ETHER_TYPE_IPV4);
	*ip = (struct rte_ipv4_hdr){
		.version_ihl = RTE_IPV4_VHL_DEF, .time_to_live = 64, .next_proto_id = IPPROTO_UDP,
		.total_length = htons(g->len - sizeof(*eth)),
		.src_addr = LINERATE_GEN_ADDR, .dst_addr = LINERATE_DUT_ADDR,
	};
	ip->hdr_checksum = rte_ipv4_cksum(ip);
	udp->src_port = htons(40000);
	udp->dst_port = htons(LINERATE_UDP_PORT);
	udp->dgram_len = htons(g->len - sizeof(*eth) - sizeof(*ip));
}

static void
fill_packet(struct rte_mempool *pool, void *arg, void *packet, unsigned int index)
{
	const struct generator *g = arg;
	struct rte_mbuf *m = packet;

	memcpy((char *)m->buf_addr + RTE_PKTMBUF_HEADROOM, g->frame, g->len);
}

void
generator_set_frame(struct generator *g, uint16_t frame)
{
	g->len = frame - LINERATE_CRC;
	make_template(g);
	rte_mempool_obj_iter(g->out, fill_packet, g);
}

static void
send_arp(const struct generator *g, uint16_t opcode, const struct rte_ether_addr *to)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(g->in);
	struct rte_ether_hdr *eth;
	struct rte_arp_hdr *arp;

	if (m == NULL)
		return; /* it will be asked for again */
	eth = (struct rte_ether_hdr *)rte_pktmbuf_append(m, sizeof(*eth) + sizeof(*arp));
	arp = (struct rte_arp_hdr *)(eth + 1);
	*eth = (struct rte_ether_hdr){ .dst_addr = *to, .src_addr = g->mac,
		.ether_type = RTE_BE16(RTE_ETHER_TYPE_ARP) };
	memset(arp, 0, sizeof(*arp));
	arp->arp_hardware = RTE_BE16(RTE_ARP_HRD_ETHER);
	arp->arp_protocol = RTE_BE16(RTE_ETHER_TYPE_IPV4);
	arp->arp_hlen = RTE_ETHER_ADDR_LEN;
	arp->arp_plen = sizeof(uint32_t);
	arp->arp_opcode = htons(opcode);
	arp->arp_data.arp_sha = g->mac;
	arp->arp_data.arp_sip = LINERATE_GEN_ADDR;
	if (opcode == RTE_ARP_OP_REPLY)
		arp->arp_data.arp_tha = *to;
	arp->arp_data.arp_tip = LINERATE_DUT_ADDR;
	if (rte_eth_tx_burst(LINERATE_PORT, 0, &m, 1) == 0)
		rte_pktmbuf_free(m);
}

/* --- the way back --------------------------------------------------------------------------------- */

/* Answer who asks for us, and learn who answers. */
static void
receive_arp(struct generator *g, const struct rte_mbuf *m)
{
	const struct rte_ether_hdr *eth = rte_pktmbuf_mtod(m, const struct rte_ether_hdr *);
	const struct rte_arp_hdr *arp = (const struct rte_arp_hdr *)(eth + 1);

	if (eth->ether_type != RTE_BE16(RTE_ETHER_TYPE_ARP) ||
		arp->arp_data.arp_sip != LINERATE_DUT_ADDR)
		return;
	g->peer = arp->arp_data.arp_sha;
	if (arp->arp_opcode == RTE_BE16(RTE_ARP_OP_REQUEST) &&
		arp->arp_data.arp_tip == LINERATE_GEN_ADDR)
		send_arp(g, RTE_ARP_OP_REPLY, &arp->arp_data.arp_sha);
}

/* The mark of one of our packets, or NULL. */
static const struct linerate_mark *
mark_of(const struct generator *g, const struct rte_mbuf *m)
{
	const struct linerate_mark *mark =
		rte_pktmbuf_mtod_offset(m, const struct linerate_mark *, LINERATE_HEADERS);
	const struct rte_ether_hdr *eth = rte_pktmbuf_mtod(m, const struct rte_ether_hdr *);

	if (m->data_len != g->len || eth->ether_type != RTE_BE16(RTE_ETHER_TYPE_IPV4))
		return NULL;
	return mark->trial == g->trial ? mark : NULL;
}

static uint16_t
receive(struct generator *g, struct course *c)
{
	struct rte_mbuf *pkts[BURST];
	uint16_t n = rte_eth_rx_burst(LINERATE_PORT, 0, pkts, BURST);

	if (n == 0)
		return 0;
	c->last_back = rte_rdtsc();
	for (uint16_t i = 0; i < n; i++) {
		const struct linerate_mark *mark = mark_of(g, pkts[i]);
		uint64_t cycles;

		if (mark == NULL) {
			receive_arp(g, pkts[i]);
			continue;
		}
		if (!flow_receive(&c->t->flow, mark->seq))
			continue;
		cycles = c->last_back - mark->tsc;
		hist_add(&c->t->latency, (uint64_t)((double)cycles * c->ns_per_cycle));
		slices_at(&c->slices, mark->tsc)->received++;
	}
	rte_pktmbuf_free_bulk(pkts, n);
	return n;
}

/* --- the way out ---------------------------------------------------------------------------------- */

static void
mark_packets(const struct generator *g, struct rte_mbuf **pkts, uint32_t n, uint32_t seq,
	uint64_t now)
{
	for (uint32_t i = 0; i < n; i++) {
		pkts[i]->data_len = g->len;
		pkts[i]->pkt_len = g->len;
		*rte_pktmbuf_mtod_offset(pkts[i], struct linerate_mark *, LINERATE_HEADERS) =
			(struct linerate_mark){ g->trial, seq + i, now };
	}
}

/* Send a burst. What finds no room is lost: a real wire would not wait either. */
static void
transmit(const struct generator *g, struct course *c, uint32_t n)
{
	struct flow *f = &c->t->flow;
	struct rte_mbuf *pkts[BURST];
	uint64_t now = rte_rdtsc();
	uint16_t sent = 0;

	if (rte_pktmbuf_alloc_bulk(g->out, pkts, n) == 0) {
		mark_packets(g, pkts, n, (uint32_t)f->sent, now);
		sent = rte_eth_tx_burst(LINERATE_PORT, 0, pkts, (uint16_t)n);
		rte_pktmbuf_free_bulk(pkts + sent, n - sent);
	}
	f->sent += n;
	f->refused += n - sent;
	slices_at(&c->slices, now)->sent += n;
}

static void
drain(struct generator *g, struct course *c)
{
	uint64_t quiet_since = rte_rdtsc(), wait = cycles_of_ms(QUIET_MS);

	while (rte_rdtsc() - quiet_since < wait)
		if (receive(g, c) > 0)
			quiet_since = rte_rdtsc();
}

/* Send and receive until `end`. */
static void
exchange(struct generator *g, struct course *c, struct pacer *p, uint64_t end)
{
	uint64_t away = rte_get_tsc_hz() / 1000000 * AWAY_US, now = p->start, silence = away;

	if (p->per_cycle > 0)
		silence += (uint64_t)(2 / p->per_cycle); /* of a slow stream, which is no outage */
	c->last_back = now;
	while (now < end) {
		uint64_t before = now, last_back = c->last_back;
		uint32_t due = pacer_due(p, now, BURST);

		if (due > 0)
			transmit(g, c, due);
		if (receive(g, c) > 0 && c->last_back - last_back > silence)
			slices_disturb(&c->slices, last_back, c->last_back);
		now = rte_rdtsc();
		if (now - before > away)
			slices_disturb(&c->slices, before, now);
	}
	if (now - c->last_back > silence)
		slices_disturb(&c->slices, c->last_back, now);
}

static void
open_course(struct course *c, struct trial *t, uint64_t start, uint64_t cycles)
{
	t->flow = (struct flow){ 0 };
	t->latency = (struct hist){ 0 };
	*c = (struct course){ .t = t, .ns_per_cycle = 1e9 / (double)rte_get_tsc_hz(),
		.slices = { .start = start, .length = rte_get_tsc_hz() / 1000000 * SLICE_US } };
	c->slices.n = (uint32_t)(cycles / c->slices.length + 1);
	c->slices.at = calloc(c->slices.n, sizeof(c->slices.at[0]));
	if (c->slices.at == NULL)
		linerate_die("slices");
}

void
generator_run(struct generator *g, struct trial *t)
{
	double hz = (double)rte_get_tsc_hz(), cycles = t->seconds * hz;
	struct pacer pacer = { .per_cycle = t->pps / hz, .depth = DEPTH };
	struct course c;

	open_course(&c, t, rte_rdtsc(), (uint64_t)cycles);
	g->trial++;
	pacer.start = c.slices.start;
	exchange(g, &c, &pacer, pacer.start + (uint64_t)cycles);
	t->offered_pps = (double)t->flow.sent / t->seconds;
	t->received_pps = (double)t->flow.received / t->seconds;
	drain(g, &c);
	t->loss = slices_loss(&c.slices);
	t->disturbed = slices_disturbed(&c.slices);
	free(c.slices.at);
}

/* --- start ---------------------------------------------------------------------------------------- */

/* Until a datagram comes back: every ASK_EVERY_MS an ARP request, and a datagram where we know whither. */
static void
wait_for_answer(struct generator *g, bool arp)
{
	static const struct rte_ether_addr everyone = { { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff } };
	static struct trial t;
	struct course c;
	uint64_t end = rte_rdtsc() + ANSWER_WAIT_S * rte_get_tsc_hz(), next = 0, now;

	open_course(&c, &t, rte_rdtsc(), 0);
	while (t.flow.received == 0) {
		now = rte_rdtsc();
		if (now >= end) {
			rte_errno = ETIMEDOUT;
			linerate_die("the other end does not answer");
		}
		if (now >= next) {
			next = now + cycles_of_ms(ASK_EVERY_MS);
			generator_set_frame(g, LINERATE_FRAME_MIN); /* the peer may be known by now */
			if (arp && rte_is_zero_ether_addr(&g->peer))
				send_arp(g, RTE_ARP_OP_REQUEST, &everyone);
			else
				transmit(g, &c, 1);
		}
		receive(g, &c);
	}
	drain(g, &c);
	free(c.slices.at);
}

void
generator_start(struct generator *g, bool arp)
{
	g->in = linerate_pool("in", IN_PACKETS, 0);
	g->out = linerate_pool("out", OUT_PACKETS, 0);
	linerate_start_port(LINERATE_PORT, LINERATE_QUEUE_SIZE, g->in);
	rte_eth_macaddr_get(LINERATE_PORT, &g->mac);
	if (!arp)
		g->peer = g->mac;
	linerate_wait_for_link(ANSWER_WAIT_S);
	wait_for_answer(g, arp);
}
