/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The socket object: life, queues and readiness. sock_api.c has the calls of the program.
 *
 * A socket has two sides. The program's threads pop rx_in and push tx_in, under rx_lock and
 * tx_lock against each other; the holder pushes rx_in and pops tx_in. Both lists are last-in
 * first-out with one atomic head and are reversed by the side that takes everything at once, so
 * neither side ever waits for the other.
 *
 * Life. The program's last act is sock_close(), which makes the socket dirty with SD_CLOSE;
 * whoever pushes a socket on the dirty list has found its `dirty` word 0, and SD_CLOSE is the last
 * reason ever set, so when the holder takes SD_CLOSE nothing else can refer to the socket. From
 * then on only lwIP's pcb may still point to it (FIN_WAIT, TIME_WAIT ...); it is freed
 * (sock_retire, sock_reap) when that is gone. A connection that the program has never accepted has
 * no program side and goes with its pcb.
 *
 * Counters that two sides share are pairs (in, out) with one writer each.
 */
#include "stack/chunk.h"
#include "stack/impl.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>

#define SNDBUF_DEFAULT (1024 * 1024) /* TCP: where tuning ends */
#define RCVBUF_DEFAULT (1024 * 1024)

static struct slab socks = SLAB(sizeof(struct sock));

struct sock *
sock_alloc(struct stack_group *g, enum sock_kind kind)
{
	struct sock *s = slab_take(&socks);

	if (s == NULL)
		return NULL;
	memset(s, 0, sizeof(*s));
	s->group = g;
	s->kind = kind;
	atomic_init(&s->fd, -1);
	atomic_init(&s->refs, 1);
	atomic_init(&s->sndbuf, SNDBUF_DEFAULT);
	atomic_init(&s->sndbuf_tuned, kind == SOCK_TCP ? SNDBUF_FIRST : SNDBUF_DEFAULT);
	atomic_init(&s->rcvbuf, RCVBUF_DEFAULT);
	atomic_init(&s->keep_idle_s, 7200);
	atomic_init(&s->keep_intvl_s, 75);
	atomic_init(&s->keep_cnt, 9);
	atomic_init(&s->linger_s, -1);
	atomic_init(&s->ttl, 64);
	return s;
}

static void
free_list(struct pkt *p)
{
	while (p != NULL) {
		struct pkt *next = p->next;

		edge_free(p);
		p = next;
	}
}

/* Drop what was received; the program will not read it. */
void
sock_free_pkts(struct sock *s)
{
	free_list(atomic_exchange(&s->rx_in, NULL));
	free_list(s->rx_head);
	s->rx_head = s->rx_tail = NULL;
	s->rx_mem_out = s->rx_mem_in;
}

void
sock_free(struct sock *s)
{
	sock_free_pkts(s);
	free_list(atomic_exchange(&s->tx_in, NULL));
	free_list(s->tx_head);
	free(s->links);
	slab_give(&socks, s);
}

void
sock_all_add(struct stack *st, struct sock *s)
{
	s->all_next = st->all;
	if (st->all != NULL)
		st->all->all_prev = &s->all_next;
	s->all_prev = &st->all;
	st->all = s;
}

void
sock_all_remove(struct sock *s)
{
	if (s->all_prev == NULL)
		return;
	*s->all_prev = s->all_next;
	if (s->all_next != NULL)
		s->all_next->all_prev = s->all_prev;
	s->all_prev = NULL;
}

void
sock_count(const struct sock *s, struct stack_counters *c)
{
	struct sock *m = (struct sock *)s;

	c->app_reads += atomic_load_explicit(&m->n_reads, memory_order_relaxed);
	c->app_writes += atomic_load_explicit(&m->n_writes, memory_order_relaxed);
	c->app_read_bytes += atomic_load_explicit(&m->rx_bytes_out, memory_order_relaxed);
	c->app_write_bytes += atomic_load_explicit(&m->tx_bytes_in, memory_order_relaxed);
}

void
sock_retire(struct stack *st, struct sock *s)
{
	if (s->zombie)
		return;
	s->zombie = true;
	mem_forget(&st->mem, s);
	sock_count(s, &st->counters);
	sock_all_remove(s);
	s->acc_next = st->zombies;
	st->zombies = s;
}

/* A socket that is still on the end-of-vector list stays a zombie until it has left it. */
void
sock_reap(struct stack *st)
{
	struct sock *s = st->zombies, *keep = NULL;

	st->zombies = NULL;
	while (s != NULL) {
		struct sock *next = s->acc_next;

		if (s->pending) {
			s->acc_next = keep;
			keep = s;
		} else {
			sock_free(s);
		}
		s = next;
	}
	st->zombies = keep;
}

void
sock_push_rx(struct sock *s, struct pkt *newest, struct pkt *oldest, uint32_t bytes, uint32_t mem)
{
	if (newest != NULL) {
		mem_count(&s->rx_mem_in, mem);
		pkts_push(&s->rx_in, newest, oldest);
	}
	atomic_store_explicit(&s->rx_bytes_in,
		atomic_load_explicit(&s->rx_bytes_in, memory_order_relaxed) + bytes,
		memory_order_release);
	if (s->kind == SOCK_UDP)
		atomic_store_explicit(&s->rx_pkts_in,
			atomic_load_explicit(&s->rx_pkts_in, memory_order_relaxed) + 1,
			memory_order_release);
}

/* The newest packet that waits, and who may read it is locked out; NULL: none, nothing is locked. */
static struct pkt *
lock_newest_rx(struct sock *s)
{
	struct pkt *p;

	if (!spin_trylock(&s->rx_lock))
		return NULL; /* the program is reading: it will make room */
	p = atomic_load_explicit(&s->rx_in, memory_order_relaxed);
	if (p == NULL && s->rx_head != NULL)
		p = s->rx_tail;
	if (p == NULL)
		spin_unlock(&s->rx_lock);
	return p;
}

bool
sock_join_rx(struct sock *s, const void *data, uint32_t len)
{
	struct pkt *p = lock_newest_rx(s);
	bool fits;

	if (p == NULL)
		return false;
	fits = edge_room(p) >= len;
	if (fits) {
		memcpy(p->data + p->len, data, len);
		p->len += len;
	}
	spin_unlock(&s->rx_lock);
	return fits;
}

bool
sock_can_join_rx(struct sock *s, uint32_t len)
{
	struct pkt *p = lock_newest_rx(s);
	bool fits;

	if (p == NULL)
		return false;
	fits = edge_room(p) >= len;
	spin_unlock(&s->rx_lock);
	return fits;
}

void
sock_set_error(struct sock *s, int err, uint32_t flags)
{
	atomic_store(&s->err, err);
	sock_flag_set(s, flags);
}

/* --- readiness -------------------------------------------------------------------------------------- */

/* Linux: writable while at least a third of the buffer is free. */
bool
sock_writable(const struct sock *s)
{
	return sock_tx_has_room(s, 3, 2);
}

/* Who is told "not writable" may now wait for it without a send that failed: note it, and look
 * again, because room may have come in between (the other half is on_sent()). */
static bool
is_writable_or_noted(const struct sock *s)
{
	if (sock_writable(s))
		return true;
	sock_flag_set((struct sock *)s, SF_TX_FULL);
	return sock_writable(s);
}

static uint32_t
tcp_events(const struct sock *s, uint32_t f)
{
	struct sock *m = (struct sock *)s;
	uint32_t ev = 0;

	if (f & SF_LISTEN)
		return atomic_load_explicit(&m->acc_n, memory_order_acquire) > 0 ?
			       EPOLLIN | EPOLLRDNORM :
			       0;
	if (f & SF_CONNECTING)
		return 0;
	if ((f & (SF_CONNECTED | SF_DEAD)) == 0)
		return EPOLLOUT | EPOLLWRNORM | EPOLLHUP;
	if (sock_unread(s) > 0 || (f & (SF_EOF | SF_SHUT_RD)) != 0)
		ev |= EPOLLIN | EPOLLRDNORM;
	if (f & (SF_EOF | SF_SHUT_RD))
		ev |= EPOLLRDHUP;
	if ((f & SF_SHUT_WR) != 0 || is_writable_or_noted(s))
		ev |= EPOLLOUT | EPOLLWRNORM;
	if ((f & SF_DEAD) || ((f & (SF_EOF | SF_SHUT_RD)) && (f & SF_SHUT_WR)))
		ev |= EPOLLHUP;
	return ev;
}

uint32_t
sock_events(const struct sock *s)
{
	struct sock *m = (struct sock *)s;
	uint32_t f = sock_flags(s), ev;

	if (s->kind == SOCK_TCP) {
		ev = tcp_events(s, f);
	} else {
		ev = is_writable_or_noted(s) ? EPOLLOUT | EPOLLWRNORM : 0;
		if ((int32_t)(atomic_load_explicit(&m->rx_pkts_in, memory_order_acquire) -
			    atomic_load_explicit(&m->rx_pkts_out, memory_order_relaxed)) > 0 ||
		    (f & SF_SHUT_RD))
			ev |= EPOLLIN | EPOLLRDNORM;
		if (f & SF_SHUT_RD)
			ev |= f & SF_SHUT_WR ? EPOLLRDHUP | EPOLLHUP : EPOLLRDHUP;
	}
	/* A refusal is an error from the moment on at which connect() is over. */
	if (atomic_load_explicit(&m->err, memory_order_relaxed) != 0 && (f & SF_CONNECTING) == 0)
		ev |= EPOLLERR;
	return ev;
}

bool
sock_is_listening(const struct sock *s)
{
	return (sock_flags(s) & SF_LISTEN) != 0;
}

void
sock_set_identity(struct sock *s, uint32_t identity)
{
	s->identity = identity;
}

void
sock_set_inherited(struct sock *s)
{
	s->inherited = true;
}

void
sock_set_fd(struct sock *s, int fd)
{
	atomic_store_explicit(&s->fd, fd, memory_order_relaxed);
}
