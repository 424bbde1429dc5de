/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Source node bond-timer: what a bond does by the clock, and when its links have changed.
 *
 *   mode 1  after a switch: our addresses are announced, so that switches send to the new port
 *   mode 4  LACP: frames that bond-rx has handed over, the state machines (lacp.c), markers
 *   mode 6  after a change: switches learn where each port's address is, our addresses are announced
 *           by the active port, and peers are told theirs once that has settled (bond_alb.h)
 *
 * Expects  nothing; costs two comparisons while nothing is due.
 * Sets     port of LACP frames, of markers and of frames for the switches: the slave's.
 * Next     tx; drop.
 * Drops    LACP frames, all counted.
 * Runs on  the first core.
 */
#include <string.h>

#include <rte_cycles.h>

#include "nodes/arp.h"
#include "nodes/bond_private.h"
#include "nodes/bond_tx.h"
#include "nodes/nodes.h"

#define ANNOUNCEMENTS 3
#define ANNOUNCE_AGAIN_MS 200 /* a switch's port may have been blocked meanwhile */
#define BURST 32
#define LEARN_LEN 60
#define TEACH_MS 1000u

enum edge { EDGE_TX, EDGE_DROP, EDGES };

static const char *const edges[EDGES] = {
	[EDGE_TX] = NODE_TX,
	[EDGE_DROP] = NODE_DROP,
};

enum error {
	BOND_TIMER_TAKEN,
	BOND_TIMER_SHORT,
	BOND_TIMER_UNKNOWN,
	BOND_TIMER_BAD_TLV,
	BOND_TIMER_LOOPED,
	BOND_TIMER_NO_LINK,
	BOND_TIMER_NO_MEMORY,
	BOND_TIMER_ERRORS
};

static const struct graph_error errors[BOND_TIMER_ERRORS] = {
	[BOND_TIMER_TAKEN] = {"lacp-taken", GRAPH_NORMAL, "LACP frames of partners"},
	[BOND_TIMER_SHORT] = {"lacp-short", GRAPH_BROKEN, "LACP frame ends too early"},
	[BOND_TIMER_UNKNOWN] = {"lacp-unknown", GRAPH_ODD, "another slow protocol"},
	[BOND_TIMER_BAD_TLV] = {"lacp-bad-tlv", GRAPH_BROKEN, "LACP frame without its two ends"},
	[BOND_TIMER_LOOPED] = {"lacp-looped", GRAPH_BROKEN, "our own LACP frame came back: a loop"},
	[BOND_TIMER_NO_LINK] = {"lacp-no-link", GRAPH_ODD, "from a port that has lost its link"},
	[BOND_TIMER_NO_MEMORY] = {"no-memory", GRAPH_BROKEN, "no packet; it is tried again"},
};

struct output {
	struct rte_graph *rg;
	struct rte_node *node;
	struct worker *w;
	uint16_t n;
};

/* `len` bytes for slave `i` (the first one's port: tx chooses), or NULL: counted. */
static struct rte_mbuf *
new_frame(struct output *out, uint16_t port, uint16_t len)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(out->w->pool);

	if (m == NULL) {
		graph_count(out->node, BOND_TIMER_NO_MEMORY, 1);
		return NULL;
	}
	m->port = port;
	m->l2_len = RTE_ETHER_HDR_LEN;
	graph_trace_end(m);
	memset(rte_pktmbuf_append(m, len), 0, len);
	return m;
}

static void
emit(struct output *out, struct rte_mbuf *m)
{
	graph_trace_mark(out->node, &m, 1);
	graph_send_one(out->rg, out->node, EDGE_TX, m);
	out->n++;
}

/* --- mode 4 ------------------------------------------------------------------------------------ */

static void
take_pdu(struct output *out, struct bond *b, struct rte_mbuf *m, uint64_t now_ms)
{
	static const enum error rows[] = {
		[LACP_TAKEN] = BOND_TIMER_TAKEN,
		[LACP_MARKER] = BOND_TIMER_TAKEN,
		[LACP_SHORT_FRAME] = BOND_TIMER_SHORT,
		[LACP_UNKNOWN] = BOND_TIMER_UNKNOWN,
		[LACP_BAD_TLV] = BOND_TIMER_BAD_TLV,
		[LACP_LOOPED] = BOND_TIMER_LOOPED,
		[LACP_NO_LINK] = BOND_TIMER_NO_LINK,
	};
	uint8_t slave = m->port < RTE_MAX_ETHPORTS ? b->slave_of[m->port] : BOND_NO_SLAVE;
	enum lacp_result result = LACP_NO_LINK;

	if (slave != BOND_NO_SLAVE)
		result = lacp_input(&b->lacp, slave, rte_pktmbuf_mtod(m, void *), m->data_len, now_ms);
	graph_count(out->node, rows[result], 1);
	if (result == LACP_MARKER) {
		lacp_answer_marker(rte_pktmbuf_mtod(m, void *), &b->slaves[slave].mac);
		m->ol_flags = 0;
		emit(out, m);
		return;
	}
	graph_send_one(out->rg, out->node, EDGE_DROP, m);
}

static void
send_pdus(struct output *out, struct bond *b, uint64_t now_ms)
{
	uint8_t frame[LACP_FRAME_LEN] __rte_aligned(8);
	struct rte_mbuf *m;

	for (unsigned int i = 0; i < b->p.n_slaves; i++) {
		if (!lacp_take_frame(&b->lacp, i, &b->slaves[i].mac, now_ms, frame))
			continue;
		m = new_frame(out, b->slaves[i].port, LACP_FRAME_LEN);
		if (m == NULL)
			continue; /* as if it had been lost */
		memcpy(rte_pktmbuf_mtod(m, void *), frame, sizeof(frame));
		emit(out, m);
	}
}

static void
run_lacp(struct output *out, struct bond *b, const struct bond_links *l, uint64_t now)
{
	uint64_t hz = rte_get_tsc_hz(), now_ms = bond_tsc_ms(hz, now), due, switches;
	struct rte_mbuf *m;

	for (unsigned int i = 0; i < b->p.n_slaves; i++)
		lacp_set_link(&b->lacp, i, l->up & BOND_BIT(i),
			atomic_load_explicit(&b->slaves[i].key, memory_order_relaxed),
			atomic_load_explicit(&b->slaves[i].full_duplex, memory_order_relaxed), now_ms);
	switches = b->lacp.n_switches;
	for (unsigned int i = 0; i < BURST && rte_ring_sc_dequeue(b->pdus, (void **)&m) == 0; i++)
		take_pdu(out, b, m, now_ms);
	lacp_run(&b->lacp, now_ms);
	atomic_store_explicit(&b->masks,
		lacp_collecting(&b->lacp) | (uint32_t)lacp_distributing(&b->lacp) << 8,
		memory_order_relaxed);
	send_pdus(out, b, now_ms);
	rte_spinlock_lock(&b->shown_lock);
	memcpy(b->shown, b->lacp.ports, sizeof(b->shown));
	rte_spinlock_unlock(&b->shown_lock);
	if (b->lacp.n_switches != switches) {
		atomic_fetch_add_explicit(&b->switches, 1, memory_order_relaxed);
		b->announce = (struct bond_announce){.times = ANNOUNCEMENTS, .at_tsc = now};
	}
	due = lacp_due(&b->lacp, now_ms);
	if (due != LACP_NEVER)
		b->due_tsc = RTE_MIN(b->due_tsc, due <= now_ms ? now : due * (hz / 1000));
}

/* --- announcements ------------------------------------------------------------------------------ */

static void
announce(struct output *out, struct bond *b, uint64_t now)
{
	struct bond_announce *a = &b->announce;
	uint32_t addrs[BURST];
	unsigned int n;

	if (a->times == 0 || !bond_can_send(out->w))
		return;
	if (now < a->at_tsc) {
		b->due_tsc = RTE_MIN(b->due_tsc, a->at_tsc);
		return;
	}
	n = b->p.addresses == NULL ? 0 : b->p.addresses(b->p.arg, a->from, addrs, BURST);
	for (unsigned int i = 0; i < n; i++) {
		struct rte_mbuf *m = new_frame(out, out->w->port, ARP_FRAME_LEN);

		if (m == NULL)
			break;
		arp_write_request(rte_pktmbuf_mtod(m, void *), &b->mac, addrs[i], addrs[i], NULL);
		emit(out, m);
	}
	a->from += n;
	if (n < BURST) { /* all of them */
		a->from = 0;
		a->times--;
		a->at_tsc = now + rte_get_tsc_hz() / 1000 * ANNOUNCE_AGAIN_MS;
	}
	if (a->times > 0)
		b->due_tsc = RTE_MIN(b->due_tsc, a->at_tsc);
}

/* --- mode 6 ------------------------------------------------------------------------------------ */

struct mac_of {
	const struct bond *b;
	uint8_t active;
};

static const struct rte_ether_addr *
mac_of(void *arg, unsigned int slave)
{
	const struct mac_of *a = arg;

	return bond_slave_mac(a->b, a->active, slave);
}

/* Switches learn that `mac` is behind slave `i`. */
static void
teach_switch(struct output *out, const struct bond *b, unsigned int i,
	const struct rte_ether_addr *mac)
{
	struct rte_mbuf *m = new_frame(out, b->slaves[i].port, LEARN_LEN);
	struct rte_ether_hdr *eth;

	if (m == NULL)
		return;
	eth = rte_pktmbuf_mtod(m, struct rte_ether_hdr *);
	eth->dst_addr = eth->src_addr = *mac;
	eth->ether_type = RTE_BE16(BOND_TYPE_LEARN);
	emit(out, m);
}

/*
 * Every address once; that of a port without link is behind the active one. After a change again and
 * again, in intervals from 1 ms on, because a port whose link is back first sends what had been left in
 * its ring, with the address it had then; and every second, because a port may receive for long
 * without sending.
 */
static void
teach_switches(struct output *out, struct bond *b, const struct bond_links *l, uint64_t now)
{
	uint64_t ms = rte_get_tsc_hz() / 1000;

	if (now < b->teach_at_tsc) {
		b->due_tsc = RTE_MIN(b->due_tsc, b->teach_at_tsc);
		return;
	}
	b->teach_at_tsc = now + ms * b->teach_ms;
	b->teach_ms = RTE_MIN(2 * b->teach_ms, TEACH_MS);
	b->due_tsc = RTE_MIN(b->due_tsc, b->teach_at_tsc);
	if (l->active == BOND_NO_SLAVE)
		return;
	for (unsigned int i = 0; i < b->p.n_slaves; i++)
		teach_switch(out, b, l->up & BOND_BIT(i) ? i : l->active,
			bond_slave_mac(b, l->active, i));
}

static void
tell_peer(struct output *out, const struct bond *b, const struct bond_links *l,
	const struct bond_alb_peer *peer, uint8_t slave)
{
	const struct rte_ether_addr *mac = bond_slave_mac(b, l->active, slave);
	struct rte_mbuf *m = new_frame(out, b->slaves[slave].port, ARP_FRAME_LEN);

	/* A request about ourselves replaces an entry whatever its age (RFC 826; RFC 5227 3). */
	if (m == NULL)
		return;
	arp_write_request(rte_pktmbuf_mtod(m, void *), mac, peer->own, peer->own, &peer->mac);
	emit(out, m);
}

static void
run_alb(struct output *out, struct bond *b, const struct bond_links *l, uint64_t now)
{
	struct mac_of arg = {b, l->active};
	struct bond_alb_peer peer;
	uint8_t slave;

	teach_switches(out, b, l, now);
	if (__atomic_exchange_n(&b->alb.disturbed, false, __ATOMIC_RELAXED)) {
		b->alb.next = BOND_ALB_PEERS;
		b->alb.at_tsc = now + rte_get_tsc_hz() / 1000 * BOND_ALB_SETTLE_MS;
	}
	if (b->alb.at_tsc != 0 && now >= b->alb.at_tsc) {
		b->alb.at_tsc = 0;
		b->alb.next = 0;
	}
	for (unsigned int i = 0; i < BURST && b->alb.next < BOND_ALB_PEERS; i++) {
		if (!bond_alb_next(&b->alb, l->up, mac_of, &arg, &peer, &slave))
			break;
		tell_peer(out, b, l, &peer, slave);
	}
	if (l->up == 0)
		b->alb.next = BOND_ALB_PEERS;
	if (b->alb.at_tsc != 0)
		b->due_tsc = RTE_MIN(b->due_tsc, b->alb.at_tsc);
	if (b->alb.next < BOND_ALB_PEERS)
		b->due_tsc = now;
}

/* ----------------------------------------------------------------------------------------------- */

static void
notice_change(struct output *out, struct bond *b, const struct bond_links *l, uint64_t now)
{
	bool first = b->timer_version == 0;

	b->timer_version = l->version;
	if (b->p.mode == BOND_ALB && l->up != b->timer_up && !first) {
		b->teach_at_tsc = now;
		b->teach_ms = 1;
		b->alb.at_tsc = now + rte_get_tsc_hz() / 1000 * BOND_ALB_SETTLE_MS;
	}
	if (l->active != b->timer_active && l->active != BOND_NO_SLAVE && !first)
		b->announce = (struct bond_announce){.times = ANNOUNCEMENTS, .at_tsc = now};
	b->timer_up = l->up;
	b->timer_active = l->active;
}

static uint16_t
process(struct rte_graph *rg, struct rte_node *node, void **objs, uint16_t n)
{
	struct output out = {rg, node, node_worker(node), 0};
	struct bond *b = out.w->bond;
	struct bond_links l = bond_links(b);
	uint64_t now = rte_get_tsc_cycles();

	if (likely(l.version == b->timer_version && now < b->due_tsc && rte_ring_empty(b->pdus) &&
		!__atomic_load_n(&b->alb.disturbed, __ATOMIC_RELAXED)))
		return 0;
	b->due_tsc = UINT64_MAX;
	if (l.version != b->timer_version)
		notice_change(&out, b, &l, now);
	if (b->p.mode == BOND_8023AD)
		run_lacp(&out, b, &l, now);
	announce(&out, b, now);
	if (b->p.mode == BOND_ALB)
		run_alb(&out, b, &l, now);
	return out.n;
}

static struct graph_node bond_timer = {
	.name = NODE_BOND_TIMER,
	.process = process,
	.source = true,
	.edges = edges,
	.n_edges = EDGES,
	.errors = errors,
	.n_errors = BOND_TIMER_ERRORS,
};
GRAPH_NODE(bond_timer)
