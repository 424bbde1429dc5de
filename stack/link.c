/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The wire comes back. A virtual wire's other end may be away for a second (ltran is restarted), and
 * everything in flight is lost. Meanwhile timeouts have doubled; without a word from the wire the
 * connections would stand still for as long again.
 */
#include "stack/impl.h"

static void
op_link_up(struct stack *st, void *arg)
{
	struct sock *s, *next;

	for (s = st->all; s != NULL; s = next) {
		next = s->all_next;
		if (s->kind == SOCK_TCP && s->pcb != NULL)
			tcp_timer_restart(st, s);
	}
}

void
stack_group_link_up(struct stack_group *g)
{
	for (unsigned int i = 0; i < g->n; i++) {
		struct stack *st = &g->stacks[i];

		/* One that has not been executed yet stands for this one too. */
		if (atomic_exchange(&st->link_up.state, OP_POSTED) == OP_DONE)
			stack_post(st, &st->link_up);
	}
}

void
stack_link_init(struct stack *st)
{
	st->link_up.fn = op_link_up;
	atomic_init(&st->link_up.state, OP_DONE);
}
