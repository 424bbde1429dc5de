/* SPDX-License-Identifier: BSD-3-Clause */
/* Sockets: naming, connecting, closing. Each changes the stack and so runs as the holder. */
#include "stack/impl.h"

#include <arpa/inet.h>
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/epoll.h>

int
sock_open(struct stack_group *g, enum sock_kind kind, struct sock **out)
{
	*out = sock_alloc(g, kind);
	return *out == NULL ? -ENOMEM : 0;
}

/*
 * bind(), listen(), connect() and the first datagram give a socket its place on the stacks. One thread at
 * a time does so: two that use a new socket at once must not both find it without a place.
 */
void
sock_claim(struct sock *s)
{
	while ((atomic_fetch_or_explicit(&s->flags, SF_CLAIMED, memory_order_acquire) & SF_CLAIMED) != 0)
		sched_yield();
}

void
sock_unclaim(struct sock *s)
{
	sock_flag_clear(s, SF_CLAIMED);
}

/* --- bind ---------------------------------------------------------------------------------------------- */

struct request {
	struct sock *s;
	int result;
};

static void
op_claim(struct stack *st, void *arg)
{
	struct request *r = arg;

	r->result = table_bind(st, r->s);
}

static void
op_release(struct stack *st, void *arg)
{
	struct sock *s = arg;

	table_unbind(st, s);
	share_port(st, s);
}

static void
op_choose_port(struct stack *st, void *arg)
{
	struct request *r = arg;

	r->s->lport = table_free_port(st, r->s);
	r->result = r->s->lport == 0 ? -EADDRINUSE : 0;
}

/* A TCP port belongs to the whole address, so every stack must agree. */
static int
claim_everywhere(struct sock *s)
{
	struct request r = {.s = s};

	for (unsigned int i = 0; i < s->group->n; i++) {
		stack_call(&s->group->stacks[i], op_claim, &r);
		if (r.result == 0)
			continue;
		while (i-- > 0)
			stack_call(&s->group->stacks[i], op_release, s);
		return r.result;
	}
	return 0;
}

static int
claim_udp(struct sock *s)
{
	struct request r = {.s = s};

	s->stack = &s->group->stacks[stack_owner_udp(s->lport, s->group->n)];
	stack_call(s->stack, op_claim, &r);
	if (r.result != 0)
		return r.result;
	r.result = share_claim(s);
	if (r.result != 0)
		stack_call(s->stack, op_release, s);
	return r.result;
}

/* No stack knows the socket by its port any more. */
static void
forget_port(struct sock *s)
{
	free(s->links);
	s->links = NULL;
	s->lport = 0;
}

static int
bind_port(struct sock *s, uint16_t port)
{
	struct stack_group *g = s->group;
	struct request r = {.s = s};
	int rc = -EADDRINUSE;

	s->links = calloc(g->n, sizeof(*s->links));
	if (s->links == NULL)
		return -ENOMEM;
	/* Another thread may take the port we have chosen; then choose again. */
	for (int tries = 0; tries < 16 && rc == -EADDRINUSE; tries++) {
		s->lport = port;
		if (port == 0) {
			stack_call(&g->stacks[0], op_choose_port, &r);
			if (r.result != 0) {
				rc = r.result;
				break;
			}
		}
		if (s->kind == SOCK_TCP) {
			rc = claim_everywhere(s);
		} else {
			rc = claim_udp(s);
		}
		if (port != 0)
			break;
	}
	if (rc != 0)
		forget_port(s);
	return rc;
}

static void
op_udp_open(struct stack *st, void *arg)
{
	struct request *r = arg;

	r->result = udp_sock_open(st, r->s);
	if (r->result == 0)
		sock_all_add(st, r->s);
	else
		table_unbind(st, r->s);
	share_port(st, r->s);
}

static int
bind_claimed(struct sock *s, const struct sockaddr_in *addr)
{
	uint32_t ip = addr->sin_addr.s_addr;
	struct request r = {.s = s};
	int rc;

	if (s->links != NULL || (sock_flags(s) & (SF_CONNECTED | SF_CONNECTING)) != 0)
		return -EINVAL;
	if (ip != INADDR_ANY && ip != s->group->params.addr && ip != INADDR_BROADCAST)
		return -EADDRNOTAVAIL;
	rc = bind_port(s, addr->sin_port);
	if (rc != 0)
		return rc;
	s->laddr = ip;
	if (s->kind == SOCK_UDP) {
		stack_call(s->stack, op_udp_open, &r);
		if (r.result != 0) {
			forget_port(s);
			return r.result;
		}
	}
	sock_flag_set(s, SF_BOUND);
	return 0;
}

int
sock_bind(struct sock *s, const struct sockaddr_in *addr)
{
	int rc;

	sock_claim(s);
	rc = bind_claimed(s, addr);
	sock_unclaim(s);
	return rc;
}

int
sock_bind_claimed(struct sock *s)
{
	struct sockaddr_in any = {.sin_family = AF_INET};

	return s->links != NULL ? 0 : bind_claimed(s, &any);
}

int
sock_bind_implicitly(struct sock *s)
{
	int rc;

	sock_claim(s);
	rc = sock_bind_claimed(s);
	sock_unclaim(s);
	return rc;
}

/* --- connect ------------------------------------------------------------------------------------------------- */

static void
op_connect(struct stack *st, void *arg)
{
	struct request *r = arg;
	struct sock *s = r->s;
	uint32_t hash;

	if (s->links == NULL) {
		s->lport = table_ephemeral(st, s->raddr, s->rport);
		if (s->lport == 0) {
			r->result = -EADDRNOTAVAIL;
			return;
		}
	}
	hash = table_hash(st, s->raddr, s->rport, s->lport);
	if (table_find(st, hash, s->raddr, s->rport, s->lport) != NULL) {
		r->result = -EADDRNOTAVAIL;
		return;
	}
	sock_all_add(st, s);
	r->result = tcp_sock_connect(st, s);
	if (r->result == -EINPROGRESS)
		sock_flag_set(s, SF_TRIED);
	else
		sock_all_remove(s);
}

static void
op_unconnect(struct stack *st, void *arg)
{
	struct sock *s = arg;

	/* Another thread may have done it, and connected the socket anew. */
	if ((sock_flags(s) & (SF_DEAD | SF_CONNECTED)) != SF_DEAD)
		return;
	sock_all_remove(s);
	s->fail_errno = 0;
	s->raddr = 0;
	s->rport = 0;
	if (s->links == NULL)
		s->lport = 0;
	sock_flag_clear(s, SF_DEAD | SF_EOF | SF_FIN | SF_SHUT_RD | SF_SHUT_WR);
}

int
sock_connect_result(struct sock *s)
{
	uint32_t f = sock_flags(s);
	int err = sock_take_error(s);

	if ((f & (SF_DEAD | SF_CONNECTED)) == SF_DEAD)
		stack_call(s->stack, op_unconnect, s);
	return -err;
}

/* The stack that will see the answers. */
static struct stack *
stack_for(const struct sock *s)
{
	struct stack_group *g = s->group;

	if (s->links != NULL)
		return &g->stacks[stack_owner_tcp(s->raddr, s->rport, s->laddr, s->lport, g->n)];
	return sock_flags(s) & SF_TRIED ? s->stack : stack_home(g);
}

static int
connect_tcp(struct sock *s, const struct sockaddr_in *addr)
{
	struct stack_group *g = s->group;
	uint32_t f = sock_flags(s);
	struct request r = {.s = s};
	struct stack *st;
	int err;

	if (f & SF_LISTEN)
		return -EISCONN;
	if (f & SF_CONNECTING)
		return -EALREADY;
	if (f & SF_DEAD) {
		err = sock_connect_result(s);
		return err != 0 ? err : f & SF_CONNECTED ? -EISCONN : -ECONNABORTED;
	}
	if ((f & SF_CONNECTED) || atomic_load(&s->refs) > 1)
		return -EISCONN; /* or it has listened, and what it accepted refers to it */
	s->raddr = addr->sin_addr.s_addr == INADDR_ANY ? g->params.addr : addr->sin_addr.s_addr;
	s->rport = addr->sin_port;
	s->laddr = g->params.addr;
	st = stack_for(s);
	if ((f & SF_TRIED) && s->stack != st)
		return -ECONNABORTED; /* it has failed on another, which may still know it */
	s->stack = st;
	stack_call(s->stack, op_connect, &r);
	if (r.result != -EINPROGRESS) {
		s->rport = 0;
		s->raddr = 0;
	}
	return r.result;
}

static void
op_udp_peer(struct stack *st, void *arg)
{
	struct sockaddr_in *to = *(struct sockaddr_in **)((void **)arg + 1);
	struct sock *s = *(struct sock **)arg;
	struct sock_names names;

	names.raddr = to->sin_addr.s_addr;
	names.rport = to->sin_port;
	names.lport = s->lport;
	atomic_store_explicit(&s->names, names, memory_order_relaxed);
}

static int
connect_udp(struct sock *s, const struct sockaddr_in *addr)
{
	struct sockaddr_in to = *addr;
	void *arg[2] = {s, &to};
	int rc = sock_bind_claimed(s);

	if (rc != 0)
		return rc;
	if (addr->sin_family == AF_UNSPEC)
		memset(&to, 0, sizeof(to));
	if (to.sin_port == 0)
		sock_flag_clear(s, SF_CONNECTED);
	stack_call(s->stack, op_udp_peer, arg);
	if (to.sin_port != 0)
		sock_flag_set(s, SF_CONNECTED);
	return 0;
}

int
sock_connect(struct sock *s, const struct sockaddr_in *addr)
{
	int rc;

	sock_claim(s);
	rc = s->kind == SOCK_TCP ? connect_tcp(s, addr) : connect_udp(s, addr);
	sock_unclaim(s);
	return rc;
}

/* --- shutdown, close ------------------------------------------------------------------------------------------ */

int
sock_shutdown(struct sock *s, int how)
{
	uint32_t f = sock_flags(s);

	if (how != SHUT_RD && how != SHUT_WR && how != SHUT_RDWR)
		return -EINVAL;
	if (f & SF_LISTEN)
		return how == SHUT_WR ? 0 : sock_listener_stop(s);
	if ((f & (SF_CONNECTED | SF_CONNECTING)) == 0)
		return -ENOTCONN;
	if (how != SHUT_WR)
		sock_flag_set(s, SF_SHUT_RD);
	if (how != SHUT_RD && (f & SF_SHUT_WR) == 0) {
		spin_lock(&s->tx_lock); /* what a send() has taken comes before the end */
		sock_flag_set(s, SF_SHUT_WR);
		spin_unlock(&s->tx_lock);
		if (s->kind == SOCK_TCP)
			stack_mark_dirty(s, SD_SHUT);
	}
	sock_notify(s, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLHUP);
	return f & (SF_DEAD | SF_OVER) ? -ENOTCONN : 0;
}

static void
op_settle(struct stack *st, void *arg)
{
	struct sock *s = arg;

	while (atomic_load(&s->dirty) != 0)
		stack_serve_dirty(st);
}

void
sock_settle(struct sock *s)
{
	if (atomic_load(&s->dirty) != 0)
		stack_call(s->stack, op_settle, s);
}

void
sock_close(struct sock *s)
{
	uint32_t f = sock_flags(s);

	sock_set_fd(s, -1);
	if (f & SF_LISTEN) {
		sock_listener_close(s);
		return;
	}
	if (s->kind == SOCK_UDP) {
		if (s->stack != NULL && s->links != NULL)
			stack_mark_dirty(s, SD_CLOSE);
		else
			sock_free(s);
		return;
	}
	if (s->links != NULL) {
		for (unsigned int i = 0; i < s->group->n; i++)
			stack_call(&s->group->stacks[i], op_release, s);
	}
	if (s->stack != NULL && (f & (SF_CONNECTED | SF_CONNECTING | SF_DEAD | SF_TRIED)) != 0) {
		stack_mark_dirty(s, SD_CLOSE);
		return;
	}
	sock_settle(s);
	sock_listener_put(s); /* it may have been one */
}

/* --- names ------------------------------------------------------------------------------------------------------ */

void
sock_fill_addr(struct sockaddr_in *a, uint32_t addr, uint16_t port)
{
	memset(a, 0, sizeof(*a));
	a->sin_family = AF_INET;
	a->sin_addr.s_addr = addr;
	a->sin_port = port;
}

int
sock_name(struct sock *s, struct sockaddr_in *addr)
{
	sock_fill_addr(addr, s->laddr, s->lport);
	return 0;
}

int
sock_peer(struct sock *s, struct sockaddr_in *addr)
{
	uint32_t f = sock_flags(s);
	struct sock_names names = atomic_load_explicit(&s->names, memory_order_relaxed);

	if ((f & SF_CONNECTED) == 0 || (s->kind == SOCK_TCP && (f & (SF_DEAD | SF_OVER)) != 0))
		return -ENOTCONN;
	if (names.rport == 0) /* a datagram socket that is being disconnected */
		return -ENOTCONN;
	sock_fill_addr(addr, names.raddr, names.rport);
	return 0;
}

int
sock_take_error(struct sock *s)
{
	return atomic_exchange(&s->err, 0);
}
