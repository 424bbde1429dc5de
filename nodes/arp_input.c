/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Node arp-input: answers requests for our address, and learns who our neighbours are.
 *
 * Expects  an untagged ARP frame, data_off at its Ethernet header. Copies from another core's
 *          arp-input have port INVALID.
 * Sets     to tx: replies, written over the request; packets that waited for the sender, with their
 *          Ethernet header.
 * Next     tx; kernel-tx (copies of answers: the kernel resolves the same neighbours through the
 *          exception path); drop. Answers and announcements are copied to the other cores' rings,
 *          for all cores share one address and a port hands every ARP frame to one of them.
 * Drops    every frame but replies; see the rows.
 * Runs on  every core.
 */
#include <arpa/inet.h>
#include <stdio.h>

#include <rte_cycles.h>

#include "common/say.h"
#include "nodes/arp_node.h"
#include "nodes/arp_verdict.h"
#include "stack/edge.h"

#define COPY_RATE 1000 /* frames per second that other cores and the kernel are told of */
#define COPY_BURST 512

enum edge { EDGE_TX, EDGE_KERNEL, EDGE_DROP, EDGES };

static const char *const edges[EDGES] = {
	[EDGE_TX] = NODE_TX,
	[EDGE_KERNEL] = NODE_KERNEL_TX,
	[EDGE_DROP] = NODE_DROP,
};

static const struct graph_error errors[ARP_INPUT_ERRORS] = {
	[ARP_INPUT_SHORT] = {"short", GRAPH_BROKEN, "frame ends before the ARP packet does"},
	[ARP_INPUT_BAD_FORMAT] = {"bad-format", GRAPH_BROKEN, "not Ethernet and IPv4"},
	[ARP_INPUT_BAD_OPCODE] = {"bad-opcode", GRAPH_ODD, "neither request nor reply"},
	[ARP_INPUT_BAD_SENDER_MAC] = {"bad-sender-mac", GRAPH_BROKEN, "sender MAC is no station"},
	[ARP_INPUT_BAD_SENDER_IP] = {"bad-sender-ip", GRAPH_ODD, "sender is no host of our subnet"},
	[ARP_INPUT_DUPLICATE_ADDRESS] = {"duplicate-address", GRAPH_ODD,
		"another station uses our address"},
	[ARP_INPUT_OWN] = {"own", GRAPH_NORMAL, "our own frame came back"},
	[ARP_INPUT_NOT_FOR_US] = {"not-for-us", GRAPH_NORMAL, "request for another address"},
	[ARP_INPUT_UNSOLICITED] = {"unsolicited", GRAPH_NORMAL,
		"about a neighbour this core does not know"},
	[ARP_INPUT_FLAPPING] = {"flapping", GRAPH_ODD, "MAC address changed twice in a second"},
	[ARP_INPUT_DISPUTED] = {"disputed", GRAPH_ODD,
		"claims the address of a confirmed neighbour, who is asked first"},
	[ARP_INPUT_TABLE_FULL] = {"table-full", GRAPH_ODD, "no room for a new neighbour"},
	[ARP_INPUT_CONSUMED] = {"consumed", GRAPH_NORMAL, "taken in"},
	[ARP_INPUT_COPY_FAILED] = {"copy-failed", GRAPH_ODD,
		"no memory, or another core's ring is full: it will ask itself"},
	[ARP_INPUT_COPY_RATE] = {"copy-rate", GRAPH_ODD,
		"too many answers and announcements to tell other cores and the kernel"},
};

struct trace_record {
	uint32_t sip, tip;
	struct rte_ether_addr sha;
	uint8_t opcode, reply, error;
};

/* Turn the request in `m` into our reply, in place. Padding behind it stays the sender's. */
static void
write_reply(const struct worker *w, struct rte_mbuf *m)
{
	struct rte_ether_hdr *eth = rte_pktmbuf_mtod(m, struct rte_ether_hdr *);
	struct rte_arp_hdr *arp = (struct rte_arp_hdr *)(eth + 1);
	struct rte_arp_ipv4 *d = &arp->arp_data;

	eth->dst_addr = d->arp_sha;
	eth->src_addr = w->mac;
	arp->arp_opcode = RTE_BE16(RTE_ARP_OP_REPLY);
	d->arp_tha = d->arp_sha;
	d->arp_tip = d->arp_sip;
	d->arp_sha = w->mac;
	d->arp_sip = w->addr;
	m->ol_flags = 0;
	m->l2_len = RTE_ETHER_HDR_LEN;
	m->port = w->port;
}

/* A copy for another reader, marked as not coming from the wire. */
static struct rte_mbuf *
copy_frame(struct worker *w, struct rte_mbuf *m)
{
	struct rte_mbuf *c = rte_pktmbuf_copy(m, w->pool, 0, ARP_FRAME_LEN);

	if (c != NULL)
		c->port = RTE_MBUF_PORT_INVALID;
	return c;
}

/* The rings of other cores and the tap carry packets as well: a flood must not fill them. */
static bool
may_spread(struct rte_node *node, struct worker *w, uint64_t now)
{
	if (w->n_workers == 1 && w->kernel_fd < 0)
		return false;
	if (token_bucket_take(&w->arp_copies, COPY_RATE, COPY_BURST, now, rte_get_tsc_hz()))
		return true;
	graph_count(node, ARP_INPUT_COPY_RATE, 1);
	return false;
}

static void
spread(struct rte_graph *rg, struct rte_node *node, struct worker *w, struct rte_mbuf *m)
{
	struct rte_mbuf *c;

	for (uint16_t i = 0; i < w->n_workers; i++) {
		if (i == w->index)
			continue;
		c = copy_frame(w, m);
		if (c != NULL && rte_ring_enqueue(w->peers[i]->handoff, c) == 0) {
			stack_kick(w->peers[i]->stack);
			continue;
		}
		rte_pktmbuf_free(c);
		graph_count(node, ARP_INPUT_COPY_FAILED, 1);
	}
	if (w->kernel_fd >= 0) {
		c = copy_frame(w, m);
		if (c != NULL)
			graph_send_one(rg, node, EDGE_KERNEL, c);
		else
			graph_count(node, ARP_INPUT_COPY_FAILED, 1);
	}
}

/* Tell the table, and send what waited. Returns the row the frame is dropped with. */
static enum arp_input_error
learn(struct rte_graph *rg, struct rte_node *node, struct worker *w, const struct rte_arp_hdr *arp,
	const struct arp_verdict *v, uint64_t now)
{
	const struct rte_arp_ipv4 *d = &arp->arp_data;
	struct arp_entry *e;
	struct rte_mbuf *m;

	switch (arp_learn(w->arp, d->arp_sip, &d->arp_sha, v->asked, v->create, now, &e)) {
	case ARP_LEARN_UPDATED:
		while ((m = arp_pop(w->arp, e)) != NULL) {
			arp_write_l2(m, e);
			graph_send_one(rg, node, EDGE_TX, m);
		}
		break;
	case ARP_LEARN_FLAPPING:
		return ARP_INPUT_FLAPPING;
	case ARP_LEARN_DISPUTED:
		return ARP_INPUT_DISPUTED;
	case ARP_LEARN_FULL:
		return ARP_INPUT_TABLE_FULL;
	case ARP_LEARN_UNKNOWN:
		return v->error == ARP_INPUT_CONSUMED ? ARP_INPUT_UNSOLICITED : v->error;
	case ARP_LEARN_KEPT:
		break;
	}
	return v->error;
}

/* Somebody has to give one of the two another address. */
static void
say_duplicate(struct worker *w, const struct rte_ether_addr *who)
{
	char addr[INET_ADDRSTRLEN], mac[RTE_ETHER_ADDR_FMT_SIZE];

	if (w->said_duplicate)
		return;
	w->said_duplicate = true;
	inet_ntop(AF_INET, &w->addr, addr, sizeof(addr));
	rte_ether_format_addr(mac, sizeof(mac), who);
	say("another station on this network, %s, has the address %s as well: connections of both will break "
		"(said once)", mac, addr);
}

static enum edge
handle_frame(struct rte_graph *rg, struct rte_node *node, struct worker *w, struct rte_mbuf *m,
	uint64_t now)
{
	const struct arp_self self = {w->addr, w->mask, w->gateway, w->mac};
	const struct rte_arp_hdr *arp =
		rte_pktmbuf_mtod_offset(m, const struct rte_arp_hdr *, RTE_ETHER_HDR_LEN);
	struct arp_verdict v = arp_verdict(&self, arp,
		m->data_len < RTE_ETHER_HDR_LEN ? 0 : m->data_len - RTE_ETHER_HDR_LEN);
	bool from_wire = m->port != RTE_MBUF_PORT_INVALID;
	enum arp_input_error row = v.error;

	if (v.spread && from_wire && may_spread(node, w, now))
		spread(rg, node, w, m);
	if (row == ARP_INPUT_DUPLICATE_ADDRESS)
		say_duplicate(w, &arp->arp_data.arp_sha);
	if (v.learn)
		row = learn(rg, node, w, arp, &v, now);
	if (graph_tracing(node)) {
		struct trace_record r = {.reply = v.reply, .error = row};

		if (row != ARP_INPUT_SHORT) {
			r.sip = arp->arp_data.arp_sip;
			r.tip = arp->arp_data.arp_tip;
			r.sha = arp->arp_data.arp_sha;
			r.opcode = rte_be_to_cpu_16(arp->arp_opcode);
		}
		graph_trace_add(node, m, &r, sizeof(r));
	}
	if (v.reply) {
		/* A full table does not keep us from answering. */
		if (row != v.error)
			graph_count(node, row, 1);
		write_reply(w, m);
		return EDGE_TX;
	}
	graph_count(node, row, 1);
	return EDGE_DROP;
}

static uint16_t
process(struct rte_graph *rg, struct rte_node *node, void **objs, uint16_t n)
{
	struct worker *w = node_worker(node);
	uint64_t now = rte_get_tsc_cycles();
	rte_edge_t next[GRAPH_VECTOR_MAX];

	for (uint16_t i = 0; i < n; i++)
		next[i] = handle_frame(rg, node, w, objs[i], now);
	graph_forward(rg, node, objs, next, n);
	return n;
}

static int
format(char *buf, size_t len, const void *record)
{
	const struct trace_record *r = record;
	char sip[INET_ADDRSTRLEN], tip[INET_ADDRSTRLEN], mac[RTE_ETHER_ADDR_FMT_SIZE];

	inet_ntop(AF_INET, &r->sip, sip, sizeof(sip));
	inet_ntop(AF_INET, &r->tip, tip, sizeof(tip));
	rte_ether_format_addr(mac, sizeof(mac), &r->sha);
	return snprintf(buf, len, "opcode %u from %s at %s for %s -> %s", r->opcode, sip, mac, tip,
		r->reply ? "reply" : errors[r->error].symbol);
}

static struct graph_node arp_input = {
	.name = NODE_ARP_INPUT,
	.process = process,
	.edges = edges,
	.n_edges = EDGES,
	.errors = errors,
	.n_errors = ARP_INPUT_ERRORS,
	.format = format,
	.init = arp_node_init,
	.fini = arp_node_fini,
};
GRAPH_NODE(arp_input)
