/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Connections in TIME_WAIT, in the order in which they got there, which is that of their ends. They
 * owe nobody anything but silence, so at the limit of connections the oldest gives way to a new one.
 */
#include "stack/impl.h"
#include "stack/lwip_image.h"
#include "stack/tcp_impl.h"

void
tcp_wait_add(struct stack *st, struct sock *s)
{
	if (s->wait_prev != NULL)
		return;
	s->wait_next = NULL;
	s->wait_prev = st->wait_tail;
	*st->wait_tail = s;
	st->wait_tail = &s->wait_next;
}

void
tcp_wait_remove(struct stack *st, struct sock *s)
{
	if (s->wait_prev == NULL)
		return;
	*s->wait_prev = s->wait_next;
	if (s->wait_next != NULL)
		s->wait_next->wait_prev = s->wait_prev;
	else
		st->wait_tail = s->wait_prev;
	s->wait_prev = NULL;
}

bool
tcp_make_room(struct stack *st)
{
	while (st->n_conns >= st->group->params.conn_max && st->wait != NULL)
		tcp_sock_abandon(st, st->wait, false);
	return st->n_conns < st->group->params.conn_max;
}
