/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Farewells. An instance was killed: its peers hold connections that nobody answers for. Its socket
 * table, which is ours until we unmap it, names them, but not their sequence numbers. So each peer gets
 * an ACK that it cannot accept, and answers it with one that has the right numbers (RFC 9293 3.10.7.4,
 * RFC 5961); that one finds nobody and is reset: by `reset`, or where others share the address, by the
 * stack that it happens to reach. Two ACKs go, with sequence numbers 2^31 apart, since one number
 * could by chance be in the peer's window.
 *
 * The steps: read the table, a piece at a time; sort the connections by next hop; resolve each hop by
 * ARP, asked in the name of the dead address, so that the hop also has our MAC address at hand for
 * its answers; send. Then twice more, for what was lost. A peer that another instance here is needs no
 * ARP. Every run is bounded, so that registrations do not wait; what the control ring has no room for
 * goes in the next run.
 *
 * Who registers and leaves again and again, each time with a table full of connections that never were,
 * must not make ltran large or loud. So all farewells of one user share bounds (farewell_user.h); what
 * is beyond is left out: those peers find out when they send, and `reset` answers them. Frames also
 * take from rate_limit of the address.
 */
#include "dispatcher/farewell.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <rte_arp.h>
#include <rte_ip.h>
#include <rte_random.h>
#include <rte_ring.h>
#include <rte_tcp.h>

#include "dispatcher/dispatcher.h"
#include "dispatcher/farewell_frame.h"
#include "dispatcher/farewell_user.h"
#include "dispatcher/log.h"
#include "dispatcher/registry.h"

#define RUN_SLOTS 65536u     /* of all tables, in one run */
#define RUN_FRAMES 1024u
#define ROUNDS 3
#define ROUND_US 300000
#define ARP_US 100000        /* then the question is repeated ... */
#define ARP_TRIES 5
#define GIVE_UP_US 30000000  /* what the bounds have not let out by then */

enum step { STEP_READ, STEP_SEND, STEP_WAIT, STEP_DONE };

struct conn {
	uint32_t raddr, hop;
	uint16_t rport, lport;
};

/* Connections conns[first .. first + n) go through one neighbour. */
struct hop {
	uint32_t addr, first, n, sent; /* sent in this round */
	struct rte_ether_addr mac;
	bool is_resolved;
	uint8_t tries;
	uint64_t next_us;
};

struct farewell {
	struct farewell *next;
	struct farewell_user *user;
	struct policer *policer; /* of the address, or NULL */
	size_t table_bytes;      /* of memory */
	uint64_t until_us;       /* then it is given up */
	uint32_t addr, mask, gateway;
	struct member table; /* has the table and nothing else */
	enum step step;
	size_t at, n_slots; /* of all tables */
	struct conn *conns;
	size_t n_conns, room;
	struct hop *hops;
	size_t n_hops;
	unsigned int round;
	uint64_t resume_us;
};

struct farewells {
	struct ltran *lt;
	struct farewell *list;
	struct farewell_user *users;
	unsigned int budget; /* frames this run may still send ... */
	unsigned int slots;  /* ... and slots it may read */
};

/* --- frames ------------------------------------------------------------------------------------ */

/* False: not now. */
static bool
send_frame(struct farewells *f, const struct farewell *w, const void *frame, uint16_t len)
{
	struct rte_mbuf *m;
	void *to;

	if (f->budget == 0 || w->user->frames.n == 0 || !policer_pass(w->policer, len))
		return false;
	m = rte_pktmbuf_alloc(f->lt->control_pool);
	to = m != NULL ? rte_pktmbuf_append(m, len) : NULL;
	if (to != NULL)
		memcpy(to, frame, len);
	if (to == NULL || rte_ring_enqueue(f->lt->control, m) < 0) {
		rte_pktmbuf_free(m);
		f->budget = 0;
		return false;
	}
	f->budget--;
	w->user->frames.n--;
	return true;
}

static bool
ask_hop(struct farewells *f, const struct farewell *w, const struct hop *h)
{
	struct farewell_arp frame;

	if (w->user->asks.n == 0)
		return false;
	farewell_write_arp(&frame, &f->lt->mac, w->addr, h->addr);
	if (!send_frame(f, w, &frame, sizeof(frame)))
		return false;
	w->user->asks.n--;
	return true;
}

static bool
ask_peer(struct farewells *f, const struct farewell *w, const struct hop *h, const struct conn *c,
	uint32_t seq)
{
	struct farewell_ack frame;

	farewell_write_ack(&frame, &f->lt->mac, &h->mac, w->addr, c->raddr);
	frame.tcp.src_port = c->lport;
	frame.tcp.dst_port = c->rport;
	farewell_finish_ack(&frame, seq);
	return send_frame(f, w, &frame, sizeof(frame));
}

/* --- reading the table ------------------------------------------------------------------------- */

static bool
keep_conn(struct farewell *w, const struct conn *c)
{
	if (w->user->n_conns == USER_CONNS)
		return false;
	if (w->n_conns == w->room) {
		size_t room = w->room == 0 ? 1024 : w->room * 2;
		struct conn *grown = realloc(w->conns, room * sizeof(*grown));

		if (grown == NULL)
			return false;
		w->conns = grown;
		w->room = room;
	}
	w->conns[w->n_conns++] = *c;
	w->user->n_conns++;
	return true;
}

/* Where the file has no page there is no socket, and looking would make one. */
static void
skip_hole(struct farewell *w)
{
	off_t here = LTRAN_TABLE_OFFSET + w->at * sizeof(struct ltran_slot);
	off_t data = lseek(w->table.table_fd, here, SEEK_DATA);

	if (data < 0)
		w->at = w->n_slots;
	else
		w->at = (data - LTRAN_TABLE_OFFSET) / sizeof(struct ltran_slot);
}

static void
take_slot(struct farewell *w, const struct ltran_slot *s)
{
	uint64_t key = __atomic_load_n(&s->key, __ATOMIC_ACQUIRE);
	uint64_t info = __atomic_load_n(&s->info, __ATOMIC_RELAXED);
	struct conn c = {.raddr = key >> 32, .rport = key >> 16, .lport = key};

	if (key == LTRAN_SLOT_EMPTY || key == LTRAN_SLOT_FREED || c.raddr == 0 ||
		(uint8_t)info != IPPROTO_TCP)
		return;
	c.hop = ((c.raddr ^ w->addr) & w->mask) == 0 ? c.raddr : w->gateway;
	if (c.hop != 0 && !keep_conn(w, &c))
		w->at = w->n_slots; /* no room for more: those that we have */
}

static int
by_hop(const void *a, const void *b)
{
	const struct conn *x = a, *y = b;

	return x->hop < y->hop ? -1 : x->hop > y->hop;
}

/* How many the connections, sorted, go through; those beyond the bound are forgotten. */
static size_t
count_hops(struct farewell *w)
{
	size_t n = 0, i;

	for (i = 0; i < w->n_conns; i++) {
		if (i > 0 && w->conns[i].hop == w->conns[i - 1].hop)
			continue;
		if (w->user->n_hops + n == USER_HOPS)
			break;
		n++;
	}
	w->user->n_conns -= w->n_conns - i;
	w->n_conns = i;
	return n;
}

static void
make_hops(struct farewell *w)
{
	size_t n;

	qsort(w->conns, w->n_conns, sizeof(*w->conns), by_hop);
	n = count_hops(w);
	w->hops = n > 0 ? calloc(n, sizeof(*w->hops)) : NULL;
	if (w->hops == NULL) {
		w->step = STEP_DONE;
		return;
	}
	w->user->n_hops += n;
	for (size_t i = 0; i < w->n_conns; i++) {
		if (i == 0 || w->conns[i].hop != w->conns[i - 1].hop)
			w->hops[w->n_hops++] = (struct hop){.addr = w->conns[i].hop, .first = i};
		w->hops[w->n_hops - 1].n++;
	}
}

static void
drop_table(struct farewell *w)
{
	registry_unmap_table(&w->table);
	w->user->table_bytes -= w->table_bytes;
	w->table_bytes = 0;
}

static void
read_table(struct farewells *f, struct farewell *w)
{
	size_t start, end;

	if (f->slots == 0)
		return;
	skip_hole(w);
	end = RTE_MIN(w->at + f->slots, w->n_slots);
	start = w->at;
	while (w->at < end) {
		/* A page of slots at a time: the next one may be a hole. */
		do
			take_slot(w, &w->table.tables[w->at++]);
		while (w->at < end && w->at % (4096 / sizeof(struct ltran_slot)) != 0);
		if (w->at < end)
			skip_hole(w);
	}
	f->slots -= RTE_MIN(f->slots, w->at - start);
	if (w->at < w->n_slots)
		return;
	drop_table(w);
	w->step = w->n_conns > 0 ? STEP_SEND : STEP_DONE;
	if (w->n_conns > 0)
		make_hops(w);
}

/* --- sending ----------------------------------------------------------------------------------- */

/* The neighbour is an instance of ours: `dispatch-out` finds it by its address. */
static bool
is_here(const struct ltran *lt, uint32_t addr)
{
	const struct map *map = atomic_load(&lt->map);

	return map != NULL && map_find(map, addr)->n > 0;
}

/* True: nothing more to do for this hop in this round. */
static bool
run_hop(struct farewells *f, struct farewell *w, struct hop *h, uint64_t now_us)
{
	if (!h->is_resolved && is_here(f->lt, h->addr)) {
		h->mac = f->lt->mac;
		h->is_resolved = true;
	}
	if (!h->is_resolved) {
		if (now_us < h->next_us)
			return false;
		if (h->tries == ARP_TRIES)
			return true;
		if (ask_hop(f, w, h)) {
			h->tries++;
			h->next_us = now_us + ARP_US;
		}
		return false;
	}
	while (h->sent < h->n && f->budget >= 2) {
		uint32_t seq = (uint32_t)rte_rand();

		if (!ask_peer(f, w, h, &w->conns[h->first + h->sent], seq) ||
			!ask_peer(f, w, h, &w->conns[h->first + h->sent], seq ^ 0x80000000))
			break;
		h->sent++;
	}
	return h->sent == h->n;
}

static void
send_round(struct farewells *f, struct farewell *w, uint64_t now_us)
{
	bool is_over = true;

	for (size_t i = 0; i < w->n_hops; i++)
		is_over &= run_hop(f, w, &w->hops[i], now_us);
	if (!is_over)
		return;
	for (size_t i = 0; i < w->n_hops; i++)
		w->hops[i].sent = 0;
	w->step = ++w->round < ROUNDS ? STEP_WAIT : STEP_DONE;
	w->resume_us = now_us + ROUND_US;
}

static void
run(struct farewells *f, struct farewell *w, uint64_t now_us)
{
	switch (w->step) {
	case STEP_READ:
		read_table(f, w);
		break;
	case STEP_SEND:
		send_round(f, w, now_us);
		break;
	case STEP_WAIT:
		if (now_us >= w->resume_us)
			w->step = STEP_SEND;
		break;
	case STEP_DONE:
		break;
	}
}

static void
free_farewell(struct farewell *w)
{
	drop_table(w);
	w->user->n_farewells--;
	w->user->n_conns -= w->n_conns;
	w->user->n_hops -= w->n_hops;
	free(w->conns);
	free(w->hops);
	free(w);
}

/* --- answers of neighbours --------------------------------------------------------------------- */

static int
compare_hop(const void *key, const void *element)
{
	uint32_t addr = *(const uint32_t *)key;
	const struct hop *h = element;

	return addr < h->addr ? -1 : addr > h->addr;
}

static void
learn(struct farewells *f, const struct rte_arp_ipv4 *a)
{
	if (rte_is_multicast_ether_addr(&a->arp_sha))
		return;
	for (struct farewell *w = f->list; w != NULL; w = w->next) {
		struct hop *h = w->n_hops > 0 ? bsearch(&a->arp_sip, w->hops, w->n_hops,
			sizeof(*w->hops), compare_hop) : NULL;

		if (h == NULL)
			continue;
		h->mac = a->arp_sha;
		h->is_resolved = true;
	}
}

static void
hear(struct farewells *f)
{
	struct rte_mbuf *m;

	while (rte_ring_dequeue(f->lt->heard, (void **)&m) == 0) {
		const struct rte_arp_hdr *arp = rte_pktmbuf_mtod_offset(m,
			const struct rte_arp_hdr *, sizeof(struct rte_ether_hdr));

		if (m->data_len >= sizeof(struct rte_ether_hdr) + sizeof(*arp))
			learn(f, &arp->arp_data);
		rte_pktmbuf_free(m);
	}
}

/* --- life -------------------------------------------------------------------------------------- */

struct farewells *
farewells_create(struct ltran *lt)
{
	struct farewells *f = calloc(1, sizeof(*f));

	if (f != NULL)
		f->lt = lt;
	return f;
}

void
farewells_free(struct farewells *f)
{
	struct farewell *w;

	if (f == NULL)
		return;
	while ((w = f->list) != NULL) {
		f->list = w->next;
		free_farewell(w);
	}
	farewell_users_free(&f->users);
	free(f);
}

/* Memory of the table, which lives as long as we keep it. */
static size_t
bytes_of(int fd)
{
	struct stat st;

	return fstat(fd, &st) < 0 ? 0 : (size_t)st.st_blocks * 512;
}

void
farewell_start(struct farewells *f, struct member *m, uint64_t now_us)
{
	struct farewell_user *u = m->tables != NULL ? farewell_user_of(&f->users, m->uid, now_us) : NULL;
	size_t bytes = m->tables != NULL ? bytes_of(m->table_fd) : 0;
	struct farewell *w;

	if (u == NULL)
		return;
	u->used_us = now_us;
	if (u->n_farewells == USER_FAREWELLS || u->table_bytes + bytes > USER_TABLE_BYTES) {
		log_info("%s (process %d) has gone: its peers are not told, user %u has too many who "
			"have gone", m->program, (int)m->pid, (unsigned int)m->uid);
		return;
	}
	w = calloc(1, sizeof(*w));
	if (w == NULL)
		return;
	w->user = u;
	u->n_farewells++;
	u->table_bytes += bytes;
	w->table_bytes = bytes;
	w->until_us = now_us + GIVE_UP_US;
	w->policer = m->policer;
	w->addr = m->addr;
	w->mask = m->mask;
	w->gateway = m->gateway;
	w->n_slots = (size_t)m->n_queues * m->n_slots;
	registry_move_table(&w->table, m);
	w->next = f->list;
	f->list = w;
	atomic_store(&f->lt->hearing, true);
}

bool
farewells_run(struct farewells *f, uint64_t now_us)
{
	struct farewell **at = &f->list, *w;

	farewell_users_run(&f->users, now_us);
	if (f->list == NULL)
		return false;
	f->budget = RTE_MIN(RUN_FRAMES, rte_ring_free_count(f->lt->control) / 2);
	f->slots = RUN_SLOTS;
	hear(f);
	while ((w = *at) != NULL) {
		run(f, w, now_us);
		if (w->step == STEP_DONE || now_us > w->until_us) {
			*at = w->next;
			free_farewell(w);
		} else {
			at = &w->next;
		}
	}
	if (rte_ring_count(f->lt->control) > 0)
		workers_kick(f->lt);
	if (f->list == NULL) {
		atomic_store(&f->lt->hearing, false);
		workers_synchronize(f->lt);
		hear(f); /* what was on its way */
	}
	return f->list != NULL;
}
