/* SPDX-License-Identifier: BSD-3-Clause */
/* The end of the stacks: what the program has sent is delivered, within limits; then resets. */
#include "stack/impl.h"

#include <unistd.h>

#define STOP_TRIES 100
#define STOP_WAIT_US 1000
#define DRAIN_US 2000000    /* at the end: for data and FINs that are not acknowledged */
#define DRAIN_FIN_US 200000 /* for the peers' FINs */

static void
close_one(struct stack *st, void *arg)
{
	tcp_sock_serve(st, arg, SD_CLOSE);
}

/* What the program has sent is delivered before it ends, as a kernel would after exit(). */
static void
drain(struct stack *st)
{
	uint64_t start = stack_tsc_us(st->group), now;
	unsigned int idle = 0;
	struct sock *s, *next;

	st->ending = true;
	stack_clock(st);
	stack_serve_dirty(st);
	for (s = st->all; s != NULL; s = next) {
		next = s->all_next;
		if (s->kind == SOCK_TCP && s->pcb != NULL && !s->closed)
			lwip_guard(st, close_one, s);
	}
	do {
		if (!stack_run_locked(st))
			thread_pause_idle(st->group, ++idle);
		now = stack_tsc_us(st->group) - start;
	} while (now < DRAIN_US && tcp_unsettled(st, now < DRAIN_FIN_US));
}

/* Every peer that is still owed something is told that it will not come. */
static void
abort_all(struct stack *st)
{
	struct sock *s, *next;

	for (s = st->all; s != NULL; s = next) {
		next = s->all_next;
		if (s->kind == SOCK_TCP && s->pcb != NULL)
			tcp_sock_end(st, s);
	}
	/* The wire takes a few hundred at a time; a peer that takes none cannot hold us for long. */
	st->wiring.walk(st->wiring.walk_arg);
	for (int tries = 0; tries < STOP_TRIES && stack_tx_pending(st); tries++) {
		usleep(STOP_WAIT_US);
		st->wiring.walk(st->wiring.walk_arg);
	}
}

void
stack_group_stop(struct stack_group *g)
{
	thread_stop_all(g);
	for (unsigned int i = 0; i < g->n; i++) {
		struct stack *st = &g->stacks[i];

		/* A thread of the program may be inside; at exit it will not come out. */
		for (int tries = 0; tries < STOP_TRIES && !stack_trylock(st); tries++)
			usleep(STOP_WAIT_US);
		if (st->holder != pthread_self())
			continue;
		drain(st);
		abort_all(st);
	}
}
