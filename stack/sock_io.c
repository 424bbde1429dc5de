/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sockets: receiving and sending. No call here waits and none needs the stack's lock; in
 * run-to-completion a call that finds nothing to do runs the stack once, so that programs that
 * only ever poll with non-blocking calls make progress, and a call that finds the stack unattended
 * for a while (the program computes) runs it too.
 */
#include "stack/cursor.h"
#include "stack/impl.h"

#include <errno.h>
#include <limits.h>
#include <sys/epoll.h>

#define TELL_BYTES (128 * 1024) /* at each multiple the peer must hear of a larger window */
#define PUSH_BYTES (64 * 1024)  /* written bytes after which they are sent: one large packet */
#define PIECE_MIN_CHARGE 512    /* a small piece occupies a whole packet */
#define LARGE_BYTES (20 * 1024) /* of memory that must be left for a large packet, under pressure */
#define UDP_MAX 65507

static inline bool
completes(const struct sock *s)
{
	return s->group->params.mode == STACK_RUN_TO_COMPLETION;
}

/* --- receiving -------------------------------------------------------------------------------------- */

static void
rx_collect(struct sock *s)
{
	struct pkt *last, *first = pkts_take(&s->rx_in, &last);

	if (first == NULL)
		return;
	if (s->rx_head == NULL)
		s->rx_head = first;
	else
		s->rx_tail->next = first;
	s->rx_tail = last;
}

/* Under the lock of the socket's side: there is one writer. */
static void
count_call(_Atomic uint64_t *n)
{
	atomic_store_explicit(n, atomic_load_explicit(n, memory_order_relaxed) + 1,
		memory_order_relaxed);
}

/* Under pressure the stack wants to know at once what is free, and the peer when it may send more. */
static bool
must_tell(const struct sock *s)
{
	return s->stack != NULL && mem_pressure(&s->stack->mem);
}

/* -EFAULT: nothing was taken. A packet of which not all could be copied stays, as in Linux. */
static ssize_t
recv_stream(struct sock *s, struct cursor *c, int flags, size_t want)
{
	struct pkt *p;
	size_t total = 0;
	uint32_t freed = 0;
	uint64_t out;

	spin_lock(&s->rx_lock);
	rx_collect(s);
	p = s->rx_head;
	while (p != NULL && total < want) {
		size_t room = want - total;
		size_t avail = p->len - p->off;
		size_t n = avail < room ? avail : room;

		if ((flags & MSG_TRUNC) == 0)
			n = cursor_copy(c, p->data + p->off, n, false);
		if (c->fault)
			break;
		total += n;
		if (flags & MSG_PEEK) {
			p = p->next;
			continue;
		}
		p->off += n;
		if (p->off < p->len)
			break;
		s->rx_head = p->next;
		freed += edge_free(p);
		p = s->rx_head;
	}
	if (total > 0 && (flags & MSG_PEEK) == 0) {
		out = atomic_load_explicit(&s->rx_bytes_out, memory_order_relaxed) + total;
		atomic_store_explicit(&s->rx_bytes_out, out, memory_order_release);
		mem_count(&s->rx_mem_out, freed);
		count_call(&s->n_reads);
		if (out / TELL_BYTES != (out - total) / TELL_BYTES || must_tell(s))
			stack_mark_dirty(s, SD_RX);
	}
	spin_unlock(&s->rx_lock);
	return total == 0 && c->fault ? -EFAULT : (ssize_t)total;
}

/* Nothing to read: why? The flags are read before the queue is looked at again, because the
 * holder sets them after it has queued the last data. */
static ssize_t
recv_nothing(struct sock *s, struct cursor *c, int flags, size_t want)
{
	uint32_t f = sock_flags(s);
	ssize_t n;
	int err;

	if (f & (SF_EOF | SF_SHUT_RD | SF_DEAD)) {
		n = recv_stream(s, c, flags, want);
		if (n != 0)
			return n;
		err = f & SF_FIN ? 0 : sock_take_error(s);
		return -err;
	}
	if ((f & (SF_CONNECTED | SF_CONNECTING)) == 0)
		return -ENOTCONN;
	return -EAGAIN;
}

static ssize_t
recv_tcp(struct sock *s, const struct iovec *iov, int iovcnt, int flags)
{
	struct cursor c = {.iov = iov, .left = iovcnt};
	size_t want = iov_total(iov, iovcnt);
	ssize_t n;

	if (want == 0 && sock_inq(s) > 0)
		return 0;
	n = recv_stream(s, &c, flags, want);
	if (n == 0)
		n = recv_nothing(s, &c, flags, want);
	if (n == -EAGAIN && completes(s) && s->stack != NULL && stack_try_run(s->stack)) {
		n = recv_stream(s, &c, flags, want);
		if (n == 0)
			n = recv_nothing(s, &c, flags, want);
	}
	return n;
}

static ssize_t
recv_datagram(struct sock *s, struct cursor *c, int flags, struct sockaddr_in *from,
	int *out_flags)
{
	struct pkt *p;
	size_t copied = 0, total;
	uint32_t freed = 0;
	bool more;

	spin_lock(&s->rx_lock);
	rx_collect(s);
	p = s->rx_head;
	if (p == NULL) {
		spin_unlock(&s->rx_lock);
		return sock_flags(s) & SF_SHUT_RD ? 0 : -EAGAIN;
	}
	total = p->dgram_len;
	if (from != NULL) {
		memset(from, 0, sizeof(*from));
		from->sin_family = AF_INET;
		from->sin_addr.s_addr = p->addr;
		from->sin_port = p->port;
	}
	do {
		struct pkt *next = p->next;

		more = p->more;
		copied += cursor_copy(c, p->data, p->len, false);
		if ((flags & MSG_PEEK) == 0) {
			s->rx_head = next;
			freed += edge_free(p);
		}
		p = next;
	} while (more);
	if ((flags & MSG_PEEK) == 0) {
		atomic_fetch_add_explicit(&s->rx_bytes_out, total, memory_order_release);
		atomic_fetch_add_explicit(&s->rx_pkts_out, 1, memory_order_release);
		mem_count(&s->rx_mem_out, freed);
		count_call(&s->n_reads);
		if (must_tell(s))
			stack_mark_dirty(s, SD_RX);
	}
	spin_unlock(&s->rx_lock);
	if (c->fault) /* it is lost, as in Linux */
		return -EFAULT;
	if (out_flags != NULL)
		*out_flags = copied < total ? MSG_TRUNC : 0;
	return flags & MSG_TRUNC ? total : copied;
}

static ssize_t
recv_udp(struct sock *s, const struct iovec *iov, int iovcnt, int flags, struct sockaddr_in *from,
	int *out_flags)
{
	struct cursor c = {.iov = iov, .left = iovcnt};
	int err = sock_take_error(s);
	ssize_t n;

	if (err != 0)
		return -err;
	n = recv_datagram(s, &c, flags, from, out_flags);
	if (n == -EAGAIN && completes(s) && s->stack != NULL && stack_try_run(s->stack))
		n = recv_datagram(s, &c, flags, from, out_flags);
	return n;
}

ssize_t
sock_recv(struct sock *s, const struct iovec *iov, int iovcnt, int flags, struct sockaddr_in *from,
	int *out_flags)
{
	edge_thread_enter();
	if (out_flags != NULL)
		*out_flags = 0;
	if (s->kind == SOCK_UDP)
		return recv_udp(s, iov, iovcnt, flags, from, out_flags);
	if (sock_is_listening(s))
		return -ENOTCONN;
	return recv_tcp(s, iov, iovcnt, flags);
}

size_t
sock_inq(struct sock *s)
{
	size_t n = 0;

	if (s->kind == SOCK_TCP)
		return sock_unread(s) > 0 ? (size_t)sock_unread(s) : 0;
	spin_lock(&s->rx_lock);
	rx_collect(s);
	if (s->rx_head != NULL)
		n = s->rx_head->dgram_len;
	spin_unlock(&s->rx_lock);
	return n;
}

/* --- sending ------------------------------------------------------------------------------------------ */

/* The connection holds nothing and may have nothing: no ACK will tell it when that has changed. */
static __attribute__((noinline)) bool
no_first_packet(const struct sock *s)
{
	return s->stack != NULL && mem_tx_held(s) == 0 && mem_tx_limit(s, 0) == 0;
}

static __attribute__((noinline)) bool
room_for_large(const struct sock *s)
{
	uint32_t held = mem_tx_held(s);

	return mem_tx_limit(s, held) >= (uint64_t)held + LARGE_BYTES;
}

/* One more piece of the stream, under tx_lock; 0: no room, -ENOMEM: no packet, -EFAULT. */
static ssize_t
send_piece(struct sock *s, struct cursor *c, size_t left)
{
	uint32_t mem, want = left > UINT32_MAX ? UINT32_MAX : (uint32_t)left;
	struct pkt *p;
	size_t n;

	if (!sock_tx_has_room(s, 1, 1))
		return no_first_packet(s) ? -ENOMEM : 0;
	if (__builtin_expect(mem_pressure(&s->stack->mem), 0) && !room_for_large(s))
		want = 1;
	p = edge_alloc(s->stack, want, &mem);
	if (p == NULL)
		return -ENOMEM;
	n = cursor_copy(c, p->data, left < p->len ? left : p->len, true);
	if (c->fault) {
		edge_free(p);
		return -EFAULT;
	}
	p->len = n;
	p->charge = n < PIECE_MIN_CHARGE ? PIECE_MIN_CHARGE : n;
	p->end = atomic_load_explicit(&s->tx_bytes_in, memory_order_relaxed) + n;
	atomic_store_explicit(&s->tx_bytes_in, p->end, memory_order_relaxed);
	mem_count(&s->tx_charge_in, p->charge);
	mem_count(&s->tx_mem_in, mem);
	pkts_push(&s->tx_in, p, p);
	return n;
}

/* Remember that a sender waits; look again, because room may have come in between. */
static bool
tx_full(struct sock *s, bool no_memory)
{
	sock_flag_set(s, SF_TX_FULL);
	if (no_memory) {
		stack_mark_dirty(s, SD_MEM);
		return true;
	}
	return !sock_tx_has_room(s, 1, 1);
}

static int
send_check(struct sock *s)
{
	uint32_t f = sock_flags(s);
	int err;

	if (f & (SF_DEAD | SF_SHUT_WR)) {
		err = sock_take_error(s);
		return err != 0 ? -err : -EPIPE;
	}
	if (f & SF_CONNECTING)
		return -EAGAIN;
	return f & SF_CONNECTED ? 0 : -EPIPE;
}

/*
 * Run the stack if the program has not let anybody do so for a while, or when enough is queued: a
 * large buffer is filled and sent at the same time, and so the receiver works at the same time, too.
 */
static void
run_if_due(struct sock *s)
{
	struct stack *st = s->stack;
	uint64_t in = atomic_load_explicit(&s->tx_bytes_in, memory_order_relaxed);

	if (!completes(s))
		return;
	if ((uint32_t)in - s->tx_pushed >= PUSH_BYTES) {
		s->tx_pushed = (uint32_t)in;
		stack_try_run(st);
		return;
	}
	stack_run_if_unattended(st);
}

/* Unless TCP_CORK comes at this moment. */
static __attribute__((noinline)) void
uncork(struct sock *s)
{
	sock_flag_clear(s, SF_CORK);
	if (s->cork_opt)
		sock_flag_set(s, SF_CORK);
}

static ssize_t
send_tcp(struct sock *s, const struct iovec *iov, int iovcnt, int flags)
{
	struct cursor c = {.iov = iov, .left = iovcnt};
	size_t want = iov_total(iov, iovcnt), total = 0;
	ssize_t n = 0;
	int rc;

	sock_prefetch_pcb(s);
	spin_lock(&s->tx_lock);
	rc = send_check(s); /* in the lock: a shutdown() comes before all of it or behind */
	if (rc != 0) {
		spin_unlock(&s->tx_lock);
		return rc;
	}
	while (total < want) {
		n = send_piece(s, &c, want - total);
		if (n > 0)
			total += n;
		else if (n == -EFAULT || tx_full(s, n < 0))
			break;
	}
	if (total > 0)
		count_call(&s->n_writes);
	spin_unlock(&s->tx_lock);
	if (flags & MSG_MORE)
		sock_flag_set(s, SF_CORK);
	else if (total == want && !s->cork_opt && (sock_flags(s) & SF_CORK) != 0)
		uncork(s);
	if (total > 0) {
		stack_mark_dirty(s, SD_TX);
		run_if_due(s);
	}
	if (total > 0 || want == 0)
		return total;
	return c.fault ? -EFAULT : -EAGAIN;
}

static void
free_pieces(struct pkt *newest)
{
	while (newest != NULL) {
		struct pkt *next = newest->next;

		edge_free(newest);
		newest = next;
	}
}

/* The pieces of one datagram, newest first in *newest; 0 or -errno. */
static int
build_datagram(struct sock *s, struct cursor *c, size_t len, const struct sockaddr_in *to,
	struct pkt **newest, struct pkt **oldest)
{
	uint32_t charge = 0, mem = 0;
	size_t left = len;

	*newest = *oldest = NULL;
	do {
		uint32_t bytes;
		struct pkt *p = edge_alloc(s->stack, left, &bytes);
		size_t n;

		if (p == NULL) {
			free_pieces(*newest);
			return -ENOBUFS;
		}
		n = cursor_copy(c, p->data, left < p->len ? left : p->len, true);
		if (c->fault) {
			edge_free(p);
			free_pieces(*newest);
			return -EFAULT;
		}
		p->len = n;
		p->charge = n < PIECE_MIN_CHARGE ? PIECE_MIN_CHARGE : n;
		p->addr = to->sin_addr.s_addr;
		p->port = to->sin_port;
		left -= n;
		p->more = left > 0;
		p->next = *newest;
		*newest = p;
		if (*oldest == NULL)
			*oldest = p;
		charge += p->charge;
		mem += bytes;
	} while (left > 0);
	mem_count(&s->tx_charge_in, charge);
	atomic_fetch_add_explicit(&s->tx_bytes_in, len, memory_order_relaxed);
	mem_count(&s->tx_mem_in, mem);
	return 0;
}

static ssize_t
send_udp(struct sock *s, const struct iovec *iov, int iovcnt, const struct sockaddr_in *to)
{
	struct cursor c = {.iov = iov, .left = iovcnt};
	size_t len = iov_total(iov, iovcnt);
	uint32_t f = sock_flags(s);
	struct pkt *newest, *oldest;
	struct sockaddr_in peer;
	int rc;

	if (len > UDP_MAX)
		return -EMSGSIZE;
	if (f & SF_SHUT_WR)
		return -EPIPE;
	if (to == NULL) {
		if (sock_peer(s, &peer) != 0)
			return -EDESTADDRREQ;
		to = &peer;
	}
	if ((f & SF_BOUND) == 0) {
		rc = sock_bind_implicitly(s);
		if (rc != 0)
			return rc;
	}
	if (to->sin_addr.s_addr == INADDR_BROADCAST && !s->broadcast)
		return -EACCES;
	spin_lock(&s->tx_lock);
	if (!sock_tx_has_room(s, 1, 1) && tx_full(s, false)) {
		spin_unlock(&s->tx_lock);
		return -EAGAIN;
	}
	rc = build_datagram(s, &c, len, to, &newest, &oldest);
	if (rc == 0) {
		pkts_push(&s->tx_in, newest, oldest);
		count_call(&s->n_writes);
	}
	spin_unlock(&s->tx_lock);
	if (rc != 0)
		return rc;
	stack_mark_dirty(s, SD_TX);
	run_if_due(s);
	return len;
}

ssize_t
sock_send(struct sock *s, const struct iovec *iov, int iovcnt, int flags,
	const struct sockaddr_in *to)
{
	sock_prefetch(s);
	edge_thread_enter();
	if (s->kind == SOCK_UDP)
		return send_udp(s, iov, iovcnt, to);
	return send_tcp(s, iov, iovcnt, flags);
}

size_t
sock_outq(struct sock *s)
{
	return atomic_load_explicit(&s->tx_bytes_in, memory_order_relaxed) -
	       atomic_load_explicit(&s->tx_bytes_acked, memory_order_acquire);
}
