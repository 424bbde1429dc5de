/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Who owns a segment: connections by 4-tuple, listeners and UDP sockets by port; and which stack
 * owns a flow (edge.h, steering). O(1) at any number of connections; the table doubles when it has
 * as many connections as buckets. The hash is SipHash-1-3 under a key of this process: a peer that
 * chooses addresses and ports, and learns what he can from the time of answers and from which of
 * several listeners answers, cannot aim at one bucket. Steering (owner.c) is another hash, without a
 * key, because processes must agree on it.
 */
#include "stack/impl.h"
#include "stack/siphash.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#define BUCKETS_FIRST 4096
#define MOVE_STEP 16 /* old buckets per new connection */
#define HUGE_BYTES (2u * 1024 * 1024)
#define PORTS 65536
#define EPHEMERAL_N 28232 /* from STACK_PORT_FIRST, like Linux: 32768 .. 60999 */

static struct sock **
buckets_alloc(uint32_t n)
{
	size_t bytes = n * sizeof(struct sock *);
	struct sock **b;

	if (bytes < HUGE_BYTES)
		return calloc(n, sizeof(*b));
	/* Zero as it comes; pages are made when they are touched, so it does not take long. */
	b = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (b == MAP_FAILED)
		return NULL;
	madvise(b, bytes, MADV_HUGEPAGE);
	return b;
}

static void
buckets_free(struct sock **b, uint32_t n)
{
	if (n * sizeof(*b) < HUGE_BYTES)
		free(b);
	else if (b != NULL)
		munmap(b, n * sizeof(*b));
}

int
table_init(struct stack *st)
{
	st->bucket_mask = BUCKETS_FIRST - 1;
	st->buckets = calloc(BUCKETS_FIRST, sizeof(*st->buckets));
	st->tcp_ports = calloc(PORTS, sizeof(*st->tcp_ports));
	st->udp_ports = calloc(PORTS, sizeof(*st->udp_ports));
	st->port_refs = calloc(PORTS, sizeof(*st->port_refs));
	if (st->buckets == NULL || st->tcp_ports == NULL || st->udp_ports == NULL ||
	    st->port_refs == NULL) {
		table_fini(st);
		return -ENOMEM;
	}
	return 0;
}

void
table_fini(struct stack *st)
{
	buckets_free(st->buckets, st->bucket_mask + 1);
	buckets_free(st->old_buckets, st->old_mask + 1);
	free(st->tcp_ports);
	free(st->udp_ports);
	free(st->port_refs);
	st->buckets = st->old_buckets = NULL;
	st->tcp_ports = st->udp_ports = NULL;
	st->port_refs = NULL;
}

uint32_t
table_hash(const struct stack *st, uint32_t raddr, uint16_t rport, uint16_t lport)
{
	const uint64_t flow = (uint64_t)raddr << 32 | (uint32_t)rport << 16 | lport;

	return (uint32_t)siphash_words(stack_secrets.table, &flow, 1, 1, 3);
}

struct sock *
table_find(const struct stack *st, uint32_t hash, uint32_t raddr, uint16_t rport, uint16_t lport)
{
	struct sock *s = *table_bucket(st, hash);

	while (s != NULL && (s->raddr != raddr || s->rport != rport || s->lport != lport))
		s = s->hash_next;
	return s;
}

/*
 * The table doubles while it is used: with each connection that comes MOVE_STEP old buckets move,
 * so the move is over long before the next one, and nobody waits for a million of them.
 */
static void
grow_begin(struct stack *st)
{
	uint32_t n = (st->bucket_mask + 1) * 2;
	struct sock **bigger = buckets_alloc(n);

	if (bigger == NULL)
		return; /* longer chains, nothing worse */
	st->old_buckets = st->buckets;
	st->old_mask = st->bucket_mask;
	st->moved = 0;
	st->buckets = bigger;
	st->bucket_mask = n - 1;
}

static void
grow_step(struct stack *st)
{
	for (int i = 0; i < MOVE_STEP && st->moved <= st->old_mask; i++, st->moved++) {
		struct sock *s = st->old_buckets[st->moved];

		while (s != NULL) {
			struct sock *next = s->hash_next;
			struct sock **to = &st->buckets[table_hash(st, s->raddr, s->rport,
								s->lport) & st->bucket_mask];

			s->hash_next = *to;
			*to = s;
			s = next;
		}
	}
	if (st->moved > st->old_mask) {
		buckets_free(st->old_buckets, st->old_mask + 1);
		st->old_buckets = NULL;
	}
}

void
table_insert(struct stack *st, struct sock *s)
{
	struct sock **b;

	if (st->old_buckets != NULL)
		grow_step(st);
	else if (st->n_conns > st->bucket_mask)
		grow_begin(st);
	b = table_bucket(st, table_hash(st, s->raddr, s->rport, s->lport));
	s->hash_next = *b;
	*b = s;
	s->in_table = true;
	st->n_conns++;
	st->port_refs[s->lport]++;
	if (st->wiring.sharing != NULL)
		share_connection(st, s, true);
}

void
table_remove(struct stack *st, struct sock *s)
{
	struct sock **at;

	if (!s->in_table)
		return;
	at = table_bucket(st, table_hash(st, s->raddr, s->rport, s->lport));
	while (*at != s)
		at = &(*at)->hash_next;
	*at = s->hash_next;
	s->in_table = false;
	st->n_conns--;
	st->port_refs[s->lport]--;
	if (st->wiring.sharing != NULL)
		share_connection(st, s, false);
}

/* --- listeners and bound sockets -------------------------------------------------------------------- */

/*
 * Of several sockets on a port those count that the program waits on, if there are such: a process that
 * has inherited the sockets of all its siblings leaves most of them alone, and what came to these would
 * stay there.
 */
static inline bool
listens_here(const struct port_link *l, uint32_t flags)
{
	return l->listening && (sock_flags(l->sock) & flags) == flags;
}

static struct sock *
one_of_listeners(const struct stack *st, uint16_t lport, uint32_t hash, uint32_t flags)
{
	const struct port_link *l;
	unsigned int n = 0;

	for (l = st->tcp_ports[lport]; l != NULL; l = l->next)
		n += listens_here(l, flags);
	if (n == 0)
		return NULL;
	n = (hash >> 16) % n;
	for (l = st->tcp_ports[lport]; l != NULL; l = l->next) {
		if (listens_here(l, flags) && n-- == 0)
			return l->sock;
	}
	return NULL; /* one has only now begun to be used */
}

struct sock *
table_listener(const struct stack *st, uint16_t lport, uint32_t hash)
{
	struct sock *used = one_of_listeners(st, lport, hash, SF_USED);

	return used != NULL ? used : one_of_listeners(st, lport, hash, 0);
}

struct sock *
table_udp(const struct stack *st, uint16_t lport, uint32_t raddr, uint16_t rport)
{
	struct sock *any = NULL;

	for (const struct port_link *l = st->udp_ports[lport]; l != NULL; l = l->next) {
		struct sock *s = l->sock;

		if (s->rport == 0) {
			if (any == NULL || (sock_flags(s) & ~sock_flags(any) & SF_USED) != 0)
				any = s;
		} else if (s->rport == rport && s->raddr == raddr) {
			return s;
		}
	}
	return any;
}

/* SO_REUSEPORT shares with its like; SO_REUSEADDR with any that does not listen (Linux). */
static bool
may_share(const struct sock *a, const struct sock *b)
{
	uint32_t both = sock_flags(a) & sock_flags(b);

	if ((both & SF_REUSEPORT) != 0)
		return true;
	if (a->kind == SOCK_TCP)
		return (both & SF_REUSEADDR) != 0 && (sock_flags(b) & SF_LISTEN) == 0;
	return (both & SF_REUSEADDR) != 0;
}

static struct port_link **
port_table(struct stack *st, const struct sock *s)
{
	return s->kind == SOCK_TCP ? st->tcp_ports : st->udp_ports;
}

int
table_bind(struct stack *st, struct sock *s)
{
	struct port_link **head = &port_table(st, s)[s->lport];
	struct port_link *mine = &s->links[st->index];

	for (struct port_link *l = *head; l != NULL; l = l->next) {
		if (!may_share(s, l->sock))
			return -EADDRINUSE;
	}
	mine->sock = s;
	mine->stack = st;
	mine->next = *head;
	*head = mine;
	return 0;
}

void
table_unbind(struct stack *st, struct sock *s)
{
	struct port_link **at = &port_table(st, s)[s->lport];

	for (; *at != NULL; at = &(*at)->next) {
		if ((*at)->sock == s) {
			*at = (*at)->next;
			return;
		}
	}
}

/* --- local ports that we choose ---------------------------------------------------------------------- */

/* How many there are from STACK_PORT_FIRST on; of an address that is shared not all are ours. */
static inline uint32_t
ports_n(const struct stack *st)
{
	return st->wiring.sharing != NULL ? PORTS - STACK_PORT_FIRST : EPHEMERAL_N;
}

/* How many ports from number `at` on belong to others. */
static inline uint32_t
foreign_ports(const struct stack *st, uint32_t at)
{
	const struct stack_sharing *sharing = st->wiring.sharing;
	uint32_t block = at / STACK_PORT_BLOCK;

	if (sharing == NULL || (atomic_load_explicit(&sharing->ports[block / 64],
		memory_order_relaxed) >> block % 64 & 1) != 0)
		return 0;
	return STACK_PORT_BLOCK - at % STACK_PORT_BLOCK;
}

static bool
get_more_ports(struct stack *st)
{
	const struct stack_sharing *sharing = st->wiring.sharing;

	return sharing != NULL && sharing->more_ports(sharing->arg);
}

/* For bind() to port 0: any, and nobody knows which (RFC 6056 3.3.1). */
static uint16_t
find_port(struct stack *st, const struct sock *s)
{
	uint64_t nth = atomic_fetch_add(&st->group->port_hint, 1);
	uint32_t start = (uint32_t)siphash_2(stack_secrets.ports, nth, 1), n = ports_n(st);

	for (unsigned int i = 0; i < n; i++) {
		uint32_t at = (start + i) % n, skip = foreign_ports(st, at);
		uint16_t port = __builtin_bswap16(STACK_PORT_FIRST + at);

		if (skip > 0)
			i += skip - 1;
		else if (port_table(st, s)[port] == NULL &&
			 (s->kind == SOCK_UDP || st->port_refs[port] == 0))
			return port;
	}
	return 0;
}

uint16_t
table_free_port(struct stack *st, const struct sock *s)
{
	uint16_t port = find_port(st, s);

	return port == 0 && get_more_ports(st) ? find_port(st, s) : port;
}

static bool
is_free(const struct stack *st, uint32_t raddr, uint16_t rport, uint16_t port)
{
	const struct stack_group *g = st->group;

	if (port == rport && raddr == g->params.addr)
		return false; /* a connection with itself, which neither comes about nor is refused */
	if (st->tcp_ports[port] != NULL ||
		stack_owner_tcp(raddr, rport, g->params.addr, port, g->n) != st->index)
		return false;
	return st->port_refs[port] == 0 ||
		table_find(st, table_hash(st, raddr, rport, port), raddr, rport, port) == NULL;
}

/*
 * RFC 6056 3.3.4 (double hash): each destination has a beginning that nobody else can know, and goes
 * on from there by a counter that only one in STACK_PORT_COUNTERS other destinations shares. So who
 * has learnt one port knows none of another destination's, while to one destination a port comes
 * again as late as possible: one just given back would meet the peer's TIME_WAIT with sequence numbers
 * that may not be beyond it yet.
 */
uint32_t
table_port_begin(struct stack *st, uint32_t raddr, uint16_t rport, _Atomic uint32_t **counter)
{
	uint64_t h = siphash_2(stack_secrets.ports, (uint64_t)raddr << 32 | st->group->params.addr, rport);

	*counter = &st->group->port_counters[(h >> 32) % STACK_PORT_COUNTERS];
	return (uint32_t)h;
}

static uint16_t
find_ephemeral(struct stack *st, uint32_t raddr, uint16_t rport)
{
	_Atomic uint32_t *counter;
	uint32_t offset = table_port_begin(st, raddr, rport, &counter);
	uint32_t count = atomic_fetch_add(counter, 1), start = offset + count, n = ports_n(st);

	for (unsigned int i = 0; i < n; i++) {
		uint32_t at = (start + i) % n, skip = foreign_ports(st, at);
		uint16_t port = __builtin_bswap16(STACK_PORT_FIRST + at);

		if (skip > 0) {
			i += skip - 1;
		} else if (is_free(st, raddr, rport, port)) {
			atomic_store(counter, count + i + 1); /* the next search begins behind it */
			return port;
		}
	}
	return 0;
}

uint16_t
table_ephemeral(struct stack *st, uint32_t raddr, uint16_t rport)
{
	uint16_t port = find_ephemeral(st, raddr, rport);

	return port == 0 && get_more_ports(st) ? find_ephemeral(st, raddr, rport) : port;
}
