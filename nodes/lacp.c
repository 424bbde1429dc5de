/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * LACP's state machines. Numbers are sections of IEEE 802.1AX-2008.
 *
 *   receive (5.4.12)    DISABLED -link-> EXPIRED -3 s-> DEFAULTED; a LACPDU makes it CURRENT, its
 *                       partner's silence EXPIRED again
 *   periodic (5.4.13)   a LACPDU every second or every 30 s, as the partner asks
 *   selection (5.4.14)  ports with the same partner, the same key there and here, are one aggregate;
 *                       one aggregate is in use, and stays in use while it has a port. One with a
 *                       partner takes the place of one without: a port that hears no partner is
 *                       used alone, as if there were no LACP
 *   mux (5.4.15)        DETACHED - WAITING (2 s) - ATTACHED (in sync) - COLLECTING - DISTRIBUTING
 *   transmit (5.4.16)   at most 3 LACPDUs a second
 *
 * All of them are advanced by lacp_run(), until nothing changes.
 */
#include "nodes/lacp.h"

#include <string.h>

#include <rte_common.h>

#define DEFAULT_PRIORITY 0x8000

/* What is assumed of a partner that does not speak: it takes everything, on this port alone. It is
 * asked every second, so that one that begins to speak is used soon. */
static const struct lacp_info silent_partner = {
	.state = LACP_STATE_SHORT | LACP_STATE_SYNC | LACP_STATE_COLLECTING | LACP_STATE_DISTRIBUTING,
};

static bool
same_system(const struct lacp_info *a, const struct lacp_info *b)
{
	return rte_is_same_ether_addr(&a->system, &b->system) &&
		a->system_priority == b->system_priority && a->key == b->key;
}

/* The same end of a link, and equal in the given bits of its state. */
static bool
same_info(const struct lacp_info *a, const struct lacp_info *b, uint8_t bits)
{
	return same_system(a, b) && a->port == b->port && a->port_priority == b->port_priority &&
		((a->state ^ b->state) & bits) == 0;
}

static void
set_state(struct lacp_port *p, uint8_t bit, bool on)
{
	p->actor.state = on ? p->actor.state | bit : p->actor.state & ~bit;
}

static void
enter_mux(struct lacp_port *p, enum lacp_mux mux, uint64_t now)
{
	if (p->mux == mux)
		return;
	p->mux = mux;
	p->wait_until = mux == LACP_WAITING ? now + LACP_WAIT_MS : LACP_NEVER;
	set_state(p, LACP_STATE_SYNC, mux >= LACP_ATTACHED);
	set_state(p, LACP_STATE_COLLECTING, mux >= LACP_COLLECTING);
	set_state(p, LACP_STATE_DISTRIBUTING, mux >= LACP_DISTRIBUTING);
	if (mux != LACP_WAITING)
		p->ntt = true;
}

/* Another partner than the one selected: begin anew. */
static void
unselect(struct lacp_port *p, uint64_t now)
{
	p->selected = false;
	enter_mux(p, LACP_DETACHED, now);
}

static void
enter_rx(struct lacp_port *p, enum lacp_rx rx, uint64_t now)
{
	p->rx = rx;
	p->current_until = LACP_NEVER;
	set_state(p, LACP_STATE_EXPIRED, rx == LACP_RX_EXPIRED);
	switch (rx) {
	case LACP_RX_DISABLED:
		p->partner.state &= ~LACP_STATE_SYNC;
		p->periodic_at = LACP_NEVER;
		p->ntt = false;
		p->aggregate = -1;
		p->is_looped = false;
		unselect(p, now);
		break;
	case LACP_RX_EXPIRED:
		p->partner.state &= ~LACP_STATE_SYNC;
		p->partner.state |= LACP_STATE_SHORT;
		p->current_until = now + LACP_SHORT_TIMEOUT_MS;
		p->ntt = true;
		break;
	case LACP_RX_DEFAULTED:
		if (!same_info(&p->partner, &silent_partner, LACP_STATE_AGGREGATION))
			unselect(p, now);
		p->partner = silent_partner;
		set_state(p, LACP_STATE_DEFAULTED, true);
		break;
	case LACP_RX_CURRENT:
		p->current_until = now + LACP_SHORT_TIMEOUT_MS; /* we ask for short timeouts */
		set_state(p, LACP_STATE_DEFAULTED, false);
		break;
	}
}

void
lacp_init(struct lacp *l, const struct rte_ether_addr *system, unsigned int n_ports)
{
	memset(l, 0, sizeof(*l));
	l->n_ports = RTE_MIN(n_ports, (unsigned int)LACP_PORTS_MAX);
	for (unsigned int i = 0; i < l->n_ports; i++) {
		struct lacp_port *p = &l->ports[i];

		p->actor = (struct lacp_info){
			.system = *system,
			.system_priority = DEFAULT_PRIORITY,
			.port_priority = DEFAULT_PRIORITY,
			.port = i + 1,
			.state = LACP_STATE_ACTIVE | LACP_STATE_SHORT | LACP_STATE_DEFAULTED,
		};
		p->partner = silent_partner;
		p->wait_until = LACP_NEVER;
		enter_rx(p, LACP_RX_DISABLED, 0);
	}
}

void
lacp_set_link(struct lacp *l, unsigned int port, bool up, uint16_t key, bool aggregates,
	uint64_t now)
{
	struct lacp_port *p = &l->ports[port];

	if (!up) {
		if (p->rx != LACP_RX_DISABLED)
			enter_rx(p, LACP_RX_DISABLED, now);
		return;
	}
	if (p->rx != LACP_RX_DISABLED && p->actor.key == key)
		return;
	p->actor.key = key;
	set_state(p, LACP_STATE_AGGREGATION, aggregates);
	if (p->rx != LACP_RX_DISABLED)
		return unselect(p, now);
	enter_rx(p, LACP_RX_EXPIRED, now);
	p->periodic_at = now + LACP_FAST_MS;
}

/* 5.4.9 recordPDU: does the partner mean the same link as we do, and may it be used? */
static bool
partner_is_in_sync(const struct lacp_port *p, const struct lacp_info *his, const struct lacp_info *ours)
{
	bool alive = (his->state & LACP_STATE_ACTIVE) || (ours->state & LACP_STATE_ACTIVE);

	return alive && (his->state & LACP_STATE_SYNC) &&
		(same_info(ours, &p->actor, LACP_STATE_AGGREGATION) ||
			!(his->state & LACP_STATE_AGGREGATION));
}

enum lacp_result
lacp_input(struct lacp *l, unsigned int port, const void *frame, uint32_t len, uint64_t now)
{
	struct lacp_port *p = &l->ports[port];
	struct lacp_info his, ours;
	enum lacp_result result = lacp_read_frame(frame, len, &his, &ours);

	if (result != LACP_TAKEN)
		return result;
	if (p->rx == LACP_RX_DISABLED)
		return LACP_NO_LINK;
	if (rte_is_same_ether_addr(&his.system, &p->actor.system)) {
		p->is_looped = true;
		p->looped_until = now + LACP_LONG_TIMEOUT_MS;
		unselect(p, now);
		return LACP_LOOPED;
	}
	p->is_looped = false;
	if (!same_info(&his, &p->partner, LACP_STATE_AGGREGATION))
		unselect(p, now);
	if (!same_info(&ours, &p->actor, LACP_STATE_ACTIVE | LACP_STATE_SHORT | LACP_STATE_SYNC |
			LACP_STATE_AGGREGATION))
		p->ntt = true;
	p->partner = his;
	if (!partner_is_in_sync(p, &his, &ours))
		p->partner.state &= ~LACP_STATE_SYNC;
	enter_rx(p, LACP_RX_CURRENT, now);
	return LACP_TAKEN;
}

static bool
has_partner(const struct lacp_port *p)
{
	return !(p->actor.state & LACP_STATE_DEFAULTED);
}

/* A port that can only be used alone. */
static bool
is_individual(const struct lacp_port *p)
{
	return !has_partner(p) || !(p->actor.state & p->partner.state & LACP_STATE_AGGREGATION);
}

static bool
is_usable(const struct lacp_port *p)
{
	return p->rx != LACP_RX_DISABLED && !p->is_looped;
}

static bool
is_one_aggregate(const struct lacp_port *a, const struct lacp_port *b)
{
	return !is_individual(a) && !is_individual(b) && a->actor.key == b->actor.key &&
		same_system(&a->partner, &b->partner);
}

static void
find_aggregates(struct lacp *l)
{
	for (unsigned int i = 0; i < l->n_ports; i++) {
		unsigned int first = 0;

		l->ports[i].aggregate = -1;
		if (!is_usable(&l->ports[i]))
			continue;
		while (first < i && !(is_usable(&l->ports[first]) &&
			is_one_aggregate(&l->ports[first], &l->ports[i])))
			first++;
		l->ports[i].aggregate = first;
	}
}

/* Is the aggregate that begins with port `first` the one in use? */
static bool
is_in_use(const struct lacp *l, unsigned int first)
{
	const struct lacp_port *p = &l->ports[first];

	if (!l->has_lag || p->aggregate != (int)first)
		return false;
	if (is_individual(p))
		return l->lag_port == (int)first;
	return l->lag_port < 0 && p->actor.key == l->lag_key &&
		same_system(&p->partner, &l->lag_partner);
}

/* How much is an aggregate worth? One in use is not left for one that is merely larger. */
static unsigned int
rank(const struct lacp *l, unsigned int first)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < l->n_ports; i++)
		n += l->ports[i].aggregate == (int)first;
	if (n == 0)
		return 0;
	return n + (is_in_use(l, first) ? 100 : 0) + (has_partner(&l->ports[first]) ? 1000 : 0);
}

static void
choose_aggregate(struct lacp *l, uint64_t now)
{
	unsigned int best = 0, i;
	bool found;

	for (i = 1; i < l->n_ports; i++)
		if (rank(l, i) > rank(l, best))
			best = i;
	found = rank(l, best) > 0;
	if (found && !is_in_use(l, best)) {
		l->n_switches += l->has_carried;
		l->has_carried = false;
		l->lag_port = is_individual(&l->ports[best]) ? (int)best : -1;
		l->lag_partner = l->ports[best].partner;
		l->lag_key = l->ports[best].actor.key;
	}
	l->has_lag = found || l->has_lag;
	for (i = 0; i < l->n_ports; i++) {
		bool selected = found && l->ports[i].aggregate == (int)best;

		if (l->ports[i].selected && !selected)
			unselect(&l->ports[i], now);
		l->ports[i].selected = selected;
	}
}

/* One step of a port's mux machine. */
static enum lacp_mux
next_mux(const struct lacp_port *p, uint64_t now)
{
	bool sync = p->selected && (p->partner.state & LACP_STATE_SYNC);
	bool collects = sync && (p->partner.state & LACP_STATE_COLLECTING);

	switch (p->mux) {
	case LACP_DETACHED:
		return p->selected ? LACP_WAITING : LACP_DETACHED;
	case LACP_WAITING:
		if (!p->selected)
			return LACP_DETACHED;
		return now >= p->wait_until ? LACP_ATTACHED : LACP_WAITING;
	case LACP_ATTACHED:
		if (!p->selected)
			return LACP_DETACHED;
		return sync ? LACP_COLLECTING : LACP_ATTACHED;
	case LACP_COLLECTING:
		if (!sync)
			return LACP_ATTACHED;
		return collects ? LACP_DISTRIBUTING : LACP_COLLECTING;
	default:
		return collects ? LACP_DISTRIBUTING : LACP_COLLECTING;
	}
}

static void
run_port(struct lacp_port *p, uint64_t now)
{
	uint64_t period = p->partner.state & LACP_STATE_SHORT ? LACP_FAST_MS : LACP_SLOW_MS;
	enum lacp_mux next;

	while ((next = next_mux(p, now)) != p->mux)
		enter_mux(p, next, now);
	if (p->rx == LACP_RX_DISABLED) {
		p->ntt = false;
		return;
	}
	if (now >= p->periodic_at) {
		p->ntt = true;
		p->periodic_at = now + period;
	}
	/* The partner asks for more now than it did when the clock was set. */
	if (p->periodic_at > now + period)
		p->periodic_at = now + period;
}

void
lacp_run(struct lacp *l, uint64_t now)
{
	for (unsigned int i = 0; i < l->n_ports; i++) {
		struct lacp_port *p = &l->ports[i];

		if (p->is_looped && now >= p->looped_until)
			p->is_looped = false;
		if (now < p->current_until)
			continue;
		enter_rx(p, p->rx == LACP_RX_CURRENT ? LACP_RX_EXPIRED : LACP_RX_DEFAULTED, now);
	}
	find_aggregates(l);
	choose_aggregate(l, now);
	for (unsigned int i = 0; i < l->n_ports; i++)
		run_port(&l->ports[i], now);
	l->has_carried |= lacp_distributing(l) != 0;
}

uint64_t
lacp_due(const struct lacp *l, uint64_t now)
{
	uint64_t due = LACP_NEVER;

	for (unsigned int i = 0; i < l->n_ports; i++) {
		const struct lacp_port *p = &l->ports[i];
		bool may_send = p->n_in_window < LACP_TX_MAX || now >= p->window_at + LACP_FAST_MS;

		due = RTE_MIN(due, p->current_until);
		due = RTE_MIN(due, p->periodic_at);
		due = RTE_MIN(due, p->wait_until);
		if (p->is_looped)
			due = RTE_MIN(due, p->looped_until);
		if (p->ntt)
			due = RTE_MIN(due, may_send ? now : p->window_at + LACP_FAST_MS);
	}
	return due;
}

bool
lacp_take_frame(struct lacp *l, unsigned int port, const struct rte_ether_addr *src, uint64_t now,
	void *frame)
{
	struct lacp_port *p = &l->ports[port];

	if (!p->ntt || p->rx == LACP_RX_DISABLED)
		return false;
	if (now >= p->window_at + LACP_FAST_MS) {
		p->window_at = now;
		p->n_in_window = 0;
	}
	if (p->n_in_window == LACP_TX_MAX)
		return false;
	p->n_in_window++;
	p->ntt = false;
	lacp_write_frame(frame, src, &p->actor, &p->partner);
	return true;
}

static uint8_t
ports_from(const struct lacp *l, enum lacp_mux least)
{
	uint8_t mask = 0;

	for (unsigned int i = 0; i < l->n_ports; i++)
		if (l->ports[i].mux >= least)
			mask |= 1u << i;
	return mask;
}

uint8_t
lacp_collecting(const struct lacp *l)
{
	return ports_from(l, LACP_COLLECTING);
}

uint8_t
lacp_distributing(const struct lacp *l)
{
	return ports_from(l, LACP_DISTRIBUTING);
}
