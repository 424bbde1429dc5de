/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The stack lock, and what its holder does.
 *
 * Whoever holds the lock is the stack. One run is: operations that others have posted, sockets that
 * the program has made dirty, timers that are due, one walk of the graph (which receives, gives
 * segments to lwIP and sends what lwIP wants sent), wake-ups.
 *
 *   run-to-wakeup      a pinned thread holds the lock for good and runs in a loop
 *   run-to-completion  any thread takes it, for one run, inside its own socket call; if it is
 *                      taken, the caller's operation is posted and the holder executes it
 *
 * A run goes deeper than some stacks of programs have room for, such as an alternate signal stack. Then it
 * and the operations are executed in the stack's room (common/narrow.h), which is made for the first such
 * call and, like the stack, belongs to one thread at a time.
 *
 * An operation can never be forgotten: after every release the lock is tried again while anything
 * is posted, and a poster tries to take the lock itself after it has posted, before it sleeps until
 * the operation is done. Nobody yields to wait for the holder: where others compute on the core, a
 * yield lasts as long as their time slices.
 */
#include "common/narrow.h"
#include "stack/futex.h"
#include "stack/impl.h"
#include "stack/lwip_image.h"

#include <unistd.h>

#define SPINS_BEFORE_SLEEP 256 /* for the holder, who may be running on another core */

/* --- lock ---------------------------------------------------------------------------------------------- */

bool
stack_trylock(struct stack *st)
{
	uint32_t lock = LOCK_FREE;

	if (atomic_load_explicit(&st->lock, memory_order_relaxed) != LOCK_FREE ||
		!atomic_compare_exchange_strong_explicit(&st->lock, &lock, LOCK_HELD,
			memory_order_acquire, memory_order_relaxed))
		return false;
	st->holder = pthread_self();
	return true;
}

static bool
posted(struct stack *st)
{
	return atomic_load_explicit(&st->ops, memory_order_seq_cst) != NULL;
}

bool
stack_lock_or_want(struct stack *st)
{
	uint64_t start = stack_tsc();
	uint32_t lock;

	do {
		if (stack_trylock(st))
			return true;
		cpu_pause();
	} while (stack_tsc() - start < st->group->lock_spin_tsc);
	do {
		lock = LOCK_HELD;
		if (atomic_compare_exchange_strong(&st->lock, &lock, LOCK_WANTED))
			return false;
	} while (lock != LOCK_WANTED && !stack_trylock(st));
	return lock != LOCK_WANTED;
}

/* --- clock ----------------------------------------------------------------------------------------------- */

uint64_t
stack_tsc_us(const struct stack_group *g)
{
	if (g->params.clock_us != NULL)
		return g->params.clock_us();
	return (uint64_t)(((unsigned __int128)(stack_tsc() - g->tsc_start) * g->us_per_tsc_32) >> 32);
}

void
stack_clock(struct stack *st)
{
	st->now_us = stack_tsc_us(st->group);
	st->now_ms = (uint32_t)(st->now_us / 1000);
	*st->lw->ticks = st->now_ms;
}

/* --- operations -------------------------------------------------------------------------------------------- */

static void
push_op(struct stack *st, struct stack_op *op)
{
	struct stack_op *old = atomic_load_explicit(&st->ops, memory_order_relaxed);

	do {
		op->next = old;
	} while (!atomic_compare_exchange_weak_explicit(&st->ops, &old, op, memory_order_seq_cst,
		memory_order_relaxed));
}

void
stack_post(struct stack *st, struct stack_op *op)
{
	push_op(st, op);
	sleep_kick(st->sleeper);
}

static void
collect_ops(struct stack *st)
{
	struct stack_op *in, *first = NULL, *last;

	if (atomic_load_explicit(&st->ops, memory_order_relaxed) == NULL)
		return;
	in = atomic_exchange_explicit(&st->ops, NULL, memory_order_acquire);
	last = in;
	while (in != NULL) { /* oldest first */
		struct stack_op *next = in->next;

		in->next = first;
		first = in;
		in = next;
	}
	if (st->op_fifo == NULL)
		st->op_fifo = first;
	else
		st->op_fifo_tail->next = first;
	st->op_fifo_tail = last;
}

static void
run_ops(struct stack *st, uint32_t max)
{
	collect_ops(st);
	while (st->op_fifo != NULL && max-- > 0) {
		struct stack_op *op = st->op_fifo;

		st->op_fifo = op->next;
		op->fn(st, op->arg);
		st->counters.ops++;
		st->counters.ops_posted++;
		st->worked = true;
		if (atomic_exchange(&op->state, OP_DONE) == OP_AWAITED) /* op is gone now */
			futex_wake(&op->state);
	}
}

/* Whoever lets go has woken everybody: ready_destroy() relies on it, and the next run may be late. */
static inline void
wake_up(struct stack *st)
{
	if (st->n_wakes > 0)
		ready_flush_wakes(st);
}

static void
run_all_ops(struct stack *st, void *arg)
{
	stack_clock(st);
	run_ops(st, UINT32_MAX);
	wake_up(st);
}

struct move {
	struct stack *st;
	void (*fn)(struct stack *st, void *arg);
	void *arg;
};

static void
moved(void *p)
{
	const struct move *m = p;

	m->fn(m->st, m->arg);
}

static __attribute__((noinline)) void
call_in_room(struct stack *st, void (*fn)(struct stack *st, void *arg), void *arg)
{
	if (st->room == NULL)
		st->room = narrow_room_make();
	narrow_call(st->room, moved, &(struct move){st, fn, arg});
}

/* What others have posted. Holder, not in a run. */
static void
serve_posted(struct stack *st)
{
	if (narrow_is_here())
		call_in_room(st, run_all_ops, NULL);
	else
		run_all_ops(st, NULL);
}

void
stack_unlock(struct stack *st)
{
	do {
		if (st->op_fifo != NULL) /* rpc_number has left some */
			serve_posted(st);
		st->holder = 0;
		if (atomic_exchange(&st->lock, LOCK_FREE) == LOCK_WANTED)
			sleep_kick(st->sleeper);
		if (!posted(st) || !stack_trylock(st))
			return;
		serve_posted(st);
	} while (true);
}

/* Wait for the holder, or become it. */
static void
wait_done(struct stack *st, struct stack_op *op)
{
	uint32_t state;

	for (unsigned int i = 0; (state = atomic_load(&op->state)) != OP_DONE; i++) {
		if (stack_trylock(st)) {
			serve_posted(st);
			stack_unlock(st);
		} else if (i < SPINS_BEFORE_SLEEP) {
			cpu_pause();
		} else if (state == OP_AWAITED ||
			atomic_compare_exchange_strong(&op->state, &state, OP_AWAITED)) {
			futex_wait(&op->state, OP_AWAITED);
		}
	}
}

void
stack_call(struct stack *st, void (*fn)(struct stack *st, void *arg), void *arg)
{
	struct stack_op op = {.fn = fn, .arg = arg};

	edge_thread_enter();
	if (stack_trylock(st)) {
		serve_posted(st); /* in order with what others have posted */
		if (narrow_is_here())
			call_in_room(st, fn, arg);
		else
			fn(st, arg);
		st->counters.ops++;
		wake_up(st);
		stack_unlock(st);
	} else {
		push_op(st, &op);
		if (st->group->params.mode == STACK_RUN_TO_WAKEUP)
			sleep_kick(st->sleeper); /* the holder; in the other mode he is awake */
		wait_done(st, &op);
	}
}

void
stack_mark_dirty(struct sock *s, uint32_t reason)
{
	struct stack *st = s->stack;
	struct sock *old;

	if (atomic_fetch_or_explicit(&s->dirty, reason, memory_order_acq_rel) != 0)
		return;
	old = atomic_load_explicit(&st->dirty, memory_order_relaxed);
	do {
		s->dirty_next = old;
	} while (!atomic_compare_exchange_weak_explicit(&st->dirty, &old, s, memory_order_release,
		memory_order_relaxed));
	sleep_kick(st->sleeper);
}

static void
collect_dirty(struct stack *st)
{
	struct sock *in, *first = NULL, *last;

	if (atomic_load_explicit(&st->dirty, memory_order_relaxed) == NULL)
		return;
	in = atomic_exchange_explicit(&st->dirty, NULL, memory_order_acquire);
	last = in;
	while (in != NULL) {
		struct sock *next = in->dirty_next;

		sock_prefetch_pcb(in); /* read only here: it may be gone */
		in->dirty_next = first;
		first = in;
		in = next;
	}
	if (st->dirty_fifo == NULL)
		st->dirty_fifo = first;
	else
		st->dirty_fifo_tail->dirty_next = first;
	st->dirty_fifo_tail = last;
}

struct budget {
	uint32_t sends, reads;
};

static void
serve_some(struct stack *st, void *arg)
{
	struct budget *b = arg;

	while (st->dirty_fifo != NULL) {
		struct sock *s = st->dirty_fifo;
		uint32_t reasons;

		st->dirty_fifo = s->dirty_next;
		/* From here on the program may push it again. */
		reasons = atomic_exchange_explicit(&s->dirty, 0, memory_order_acq_rel);
		st->worked = true;
		if (s->kind == SOCK_TCP)
			tcp_sock_serve(st, s, reasons);
		else
			udp_sock_serve(st, s, reasons);
		if (reasons & SD_TX ? --b->sends == 0 : --b->reads == 0)
			break;
	}
}

/* send_connect_number bounds the sockets with sends, read_connect_number the others; 0: no bound. */
void
stack_serve_dirty(struct stack *st)
{
	const struct stack_params *p = &st->group->params;
	struct budget b = {p->send_connect_number, p->read_connect_number};

	collect_dirty(st);
	if (st->dirty_fifo == NULL)
		return;
	while (!lwip_guard(st, serve_some, &b))
		;
}

/* --- running ------------------------------------------------------------------------------------------------- */

static void
timer_soon(void *owner)
{
	sock_prefetch(owner);
}

static void
timer_next(void *owner)
{
	sock_prefetch_pcb(owner);
}

static void
timer_fire(void *arg, void *owner)
{
	tcp_timer_fire(arg, owner);
}

static const struct wheel_calls timer_calls = {timer_soon, timer_next, timer_fire};

static void
run(struct stack *st, void *arg)
{
	uint32_t rpc = st->group->params.rpc_number;
	uint64_t start = stack_tsc(), end;

	st->worked = false;
	stack_clock(st);
	mem_check(st);
	run_ops(st, rpc != 0 ? rpc : UINT32_MAX);
	stack_serve_dirty(st);
	if (st->wheel.now_ms != st->now_ms) {
		wheel_advance(&st->wheel, st->now_ms, &timer_calls, st);
		tcp_syn_timer(st);
		tcp_fin_wait_2_limit(st);
	}
	st->wiring.walk(st->wiring.walk_arg);
	wake_up(st);
	st->counters.walks++;
	st->counters.idle_walks += !st->worked;
	end = stack_tsc();
	if (!st->worked)
		atomic_fetch_add_explicit(&st->group->idle_tsc, end - start, memory_order_relaxed);
	atomic_store_explicit(&st->last_run_tsc, end, memory_order_relaxed);
}

bool
stack_run_locked(struct stack *st)
{
	if (narrow_is_here())
		call_in_room(st, run, NULL);
	else
		run(st, NULL);
	return st->worked;
}

/* Asked of the kernel once per thread. */
static int
thread_id(void)
{
	static __thread int tid;

	if (tid == 0)
		tid = gettid();
	return tid;
}

bool
stack_try_run(struct stack *st)
{
	bool worked;

	if (!stack_trylock(st))
		return false;
	st->counters.tid = thread_id();
	worked = stack_run_locked(st);
	stack_unlock(st);
	return worked;
}

/* A thread stays with one stack, so that its connections share a core's caches. */
struct stack *
stack_home(struct stack_group *g)
{
	static __thread unsigned int home_plus_one;

	if (g->params.mode == STACK_RUN_TO_WAKEUP)
		return &g->stacks[atomic_fetch_add(&g->next_home, 1) % g->n];
	if (home_plus_one == 0 || home_plus_one > g->n)
		home_plus_one = atomic_fetch_add(&g->next_home, 1) % g->n + 1;
	return &g->stacks[home_plus_one - 1];
}
