/* SPDX-License-Identifier: BSD-3-Clause */
/* Sockets that listen: begin, accept, stop, close. All but accept run as the holder. */
#include "stack/impl.h"

#include <errno.h>
#include <sys/epoll.h>

static void
op_listen(struct stack *st, void *arg)
{
	struct sock *s = arg;

	tcp_sock_listen(st, s);
	if (st == s->stack)
		sock_all_add(st, s);
}

/*
 * Connections arrive on every stack, so a listener goes to every stack. Only SO_REUSEPORT without
 * listen_shadow asks for one listener per thread and stack.
 */
static bool
listens_everywhere(const struct sock *s)
{
	return s->group->n == 1 || s->group->params.listen_shadow ||
	       (sock_flags(s) & SF_REUSEPORT) == 0;
}

static void
listen_on_stacks(struct sock *s)
{
	for (unsigned int i = 0; i < s->group->n; i++) {
		struct stack *st = &s->group->stacks[i];

		if (!listens_everywhere(s) && st != s->stack)
			continue;
		stack_call(st, op_listen, s);
	}
}

static void
op_share(struct stack *st, void *arg)
{
	struct sock *s = arg;

	share_port(st, s);
}

static int
listen_claimed(struct sock *s, int backlog)
{
	uint32_t f = sock_flags(s);
	int rc;

	/* After a failure that nobody has been told of it is still on the list of its stack. */
	if (f & (SF_CONNECTED | SF_CONNECTING | SF_DEAD))
		return -EINVAL;
	s->backlog = backlog < 0 || backlog > 65535 ? 65535 : backlog;
	if (f & SF_LISTEN)
		return 0;
	rc = sock_bind_claimed(s);
	if (rc != 0)
		return rc;
	rc = share_claim(s);
	if (rc != 0)
		return rc;
	if (s->stack == NULL) /* else another thread may be using it */
		s->stack = stack_home(s->group);
	sock_flag_set(s, SF_LISTEN);
	listen_on_stacks(s);
	stack_call(&s->group->stacks[0], op_share, s);
	return 0;
}

int
sock_listen(struct sock *s, int backlog)
{
	int rc;

	if (s->kind != SOCK_TCP)
		return -EOPNOTSUPP;
	sock_claim(s);
	rc = listen_claimed(s, backlog);
	sock_unclaim(s);
	return rc;
}

static struct sock *
accept_pop(struct sock *l)
{
	struct sock *s;

	spin_lock(&l->rx_lock);
	if (l->acc_head == NULL) {
		struct sock *in = atomic_exchange_explicit(&l->acc_in, NULL, memory_order_acquire);

		while (in != NULL) {
			struct sock *next = in->acc_next;

			in->acc_next = l->acc_head;
			l->acc_head = in;
			in = next;
		}
	}
	s = l->acc_head;
	if (s != NULL) {
		l->acc_head = s->acc_next;
		s->acc_next = NULL;
		atomic_store_explicit(&s->accepted, true, memory_order_relaxed);
		atomic_fetch_sub(&l->acc_n, 1);
	}
	spin_unlock(&l->rx_lock);
	return s;
}

int
sock_accept(struct sock *l, struct sock **out, struct sockaddr_in *peer)
{
	struct sock *s;

	if ((sock_flags(l) & SF_LISTEN) == 0)
		return -EINVAL;
	sock_note_use(l);
	atomic_store_explicit(&l->accept_us, stack_tsc_us(l->group), memory_order_relaxed);
	stack_run_if_unattended(l->stack); /* a program may accept thousands in a row */
	s = accept_pop(l);
	if (s == NULL) {
		if (l->group->params.mode != STACK_RUN_TO_COMPLETION || !stack_try_run(l->stack))
			return -EAGAIN;
		s = accept_pop(l);
		if (s == NULL)
			return -EAGAIN;
	}
	*out = s;
	if (peer != NULL) /* also where the connection has ended by now */
		sock_fill_addr(peer, s->raddr, s->rport);
	return 0;
}

/* --- the end -------------------------------------------------------------------------------- */

/* What was established but never accepted is reset, as in Linux. */
static void
drop_waiting(struct sock *l)
{
	struct sock *s;

	while ((s = accept_pop(l)) != NULL) {
		s->linger_s = 0;
		stack_mark_dirty(s, SD_CLOSE);
	}
}

static void
op_end(struct stack *st, void *arg)
{
	struct sock *l = arg;

	tcp_listener_close(st, l);
	if (sock_flags(l) & SF_DEAD) /* else it keeps its port */
		table_unbind(st, l);
	share_leave(st, l);
	share_port(st, l);
	if (st == l->stack)
		sock_all_remove(l);
}

static void
end_on_stacks(struct sock *l)
{
	for (unsigned int i = 0; i < l->group->n; i++)
		stack_call(&l->group->stacks[i], op_end, l);
	drop_waiting(l);
}

int
sock_listener_stop(struct sock *l)
{
	bool listens;

	sock_claim(l); /* a listen() in the middle of it would leave one that only says it listens */
	listens = (sock_flags(l) & SF_LISTEN) != 0;
	if (listens) {
		sock_flag_clear(l, SF_LISTEN);
		end_on_stacks(l);
	}
	sock_unclaim(l);
	sock_notify(l, EPOLLIN | EPOLLOUT | EPOLLHUP);
	return listens ? 0 : -ENOTCONN;
}

/* Connections that it has accepted may still refer to a listener. */
void
sock_listener_put(struct sock *l)
{
	if (atomic_fetch_sub(&l->refs, 1) == 1)
		sock_free(l);
}

void
sock_listener_close(struct sock *l)
{
	sock_flag_set(l, SF_DEAD);
	end_on_stacks(l);
	sock_settle(l);
	sock_listener_put(l);
}
