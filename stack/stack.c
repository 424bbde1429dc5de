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
 * An operation can never be forgotten: after every release the lock is tried again while anything
 * is posted, and a poster that waits tries to take the lock itself.
 */
#include "stack/impl.h"
#include "stack/lwip_image.h"
#include "stack/siphash.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <unistd.h>

#define SPINS_BEFORE_YIELD 256
#define YIELDS_BEFORE_SLEEP 64
#define UNATTENDED_US 50
#define CROWDED_US 200000 /* then it is tried again, at the cost of a time slice */
#define SPIN_US 50 /* before sleeping: a few times what falling asleep and waking cost */

/* --- lock ---------------------------------------------------------------------------------------------- */

bool
stack_trylock(struct stack *st)
{
	if (atomic_load_explicit(&st->lock, memory_order_relaxed) != 0 ||
	    atomic_exchange_explicit(&st->lock, 1, memory_order_acquire) != 0)
		return false;
	st->holder = pthread_self();
	return true;
}

static bool
posted(struct stack *st)
{
	return atomic_load_explicit(&st->ops, memory_order_seq_cst) != NULL;
}

void
stack_unlock(struct stack *st)
{
	st->holder = 0;
	atomic_store_explicit(&st->lock, 0, memory_order_seq_cst);
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

void
stack_post(struct stack *st, struct stack_op *op)
{
	struct stack_op *old = atomic_load_explicit(&st->ops, memory_order_relaxed);

	do {
		op->next = old;
	} while (!atomic_compare_exchange_weak_explicit(&st->ops, &old, op, memory_order_seq_cst,
		memory_order_relaxed));
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
		atomic_store_explicit(&op->done, true, memory_order_release); /* op is gone now */
	}
}

/* Wait for the holder, or become it. */
static void
wait_done(struct stack *st, struct stack_op *op)
{
	for (unsigned int i = 0; !atomic_load_explicit(&op->done, memory_order_acquire); i++) {
		if (stack_trylock(st)) {
			stack_clock(st);
			run_ops(st, UINT32_MAX);
			stack_unlock(st);
		} else if (i < SPINS_BEFORE_YIELD) {
			cpu_pause();
		} else if (i < SPINS_BEFORE_YIELD + YIELDS_BEFORE_SLEEP) {
			sched_yield();
		} else {
			usleep(20);
		}
	}
}

void
stack_call(struct stack *st, void (*fn)(struct stack *st, void *arg), void *arg)
{
	struct stack_op op = {.fn = fn, .arg = arg};

	edge_thread_enter();
	if (stack_trylock(st)) {
		stack_clock(st);
		run_ops(st, UINT32_MAX); /* in order with what others have posted */
		fn(st, arg);
		st->counters.ops++;
		stack_unlock(st);
	} else {
		stack_post(st, &op);
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

bool
stack_run_locked(struct stack *st)
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
	}
	st->wiring.walk(st->wiring.walk_arg);
	if (st->n_wakes > 0)
		ready_flush_wakes(st);
	st->counters.walks++;
	st->counters.idle_walks += !st->worked;
	end = stack_tsc();
	if (!st->worked)
		atomic_fetch_add_explicit(&st->group->idle_tsc, end - start, memory_order_relaxed);
	atomic_store_explicit(&st->last_run_tsc, end, memory_order_relaxed);
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
	while (posted(st) && stack_trylock(st)) {
		stack_clock(st);
		run_ops(st, UINT32_MAX);
		stack_unlock(st);
	}
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

/* --- life -------------------------------------------------------------------------------------------------------- */

static int
stack_init(struct stack *st, struct stack_group *g, unsigned int index)
{
	int rc;

	st->group = g;
	st->index = index;
	st->wait_tail = &st->wait;
	stack_link_init(st);
	st->lw = lwip_images[g->first_image + index];
	rc = stack_secrets_init();
	if (rc == 0)
		rc = table_init(st);
	if (rc == 0)
		rc = tcp_syn_init(st);
	if (rc == 0)
		rc = edge_attach(st);
	if (rc != 0)
		return rc;
	stack_clock(st);
	wheel_init(&st->wheel, st->now_ms);
	return 0;
}

static void
group_free(struct stack_group *g)
{
	for (unsigned int i = 0; i < g->n; i++) {
		if (g->stacks[i].lw == NULL)
			continue;
		edge_detach(&g->stacks[i]);
		wheel_fini(&g->stacks[i].wheel);
		tcp_syn_fini(&g->stacks[i]);
		table_fini(&g->stacks[i]);
	}
	sleep_fini(g);
	free(g->cpus);
	free(g->wakeup_cpus);
	free(g->stacks);
	free(g);
}

static unsigned int *
copy_cpus(const unsigned int *cpus, unsigned int n)
{
	unsigned int *copy = cpus != NULL && n > 0 ? malloc(n * sizeof(*cpus)) : NULL;

	if (copy != NULL)
		memcpy(copy, cpus, n * sizeof(*cpus));
	return copy;
}

int
stack_group_create(const struct stack_params *p, struct stack_group **out)
{
	/* An image is one stack's for the life of the process: lwIP cannot be taken back. */
	static _Atomic unsigned int images_used;
	struct stack_group *g;
	unsigned int first;
	int rc = 0;

	if (p->n_stacks == 0)
		return -EINVAL;
	first = atomic_fetch_add(&images_used, p->n_stacks);
	if (first + p->n_stacks > lwip_images_n) {
		atomic_fetch_sub(&images_used, p->n_stacks);
		return -ENOSPC;
	}
	g = calloc(1, sizeof(*g));
	if (g == NULL)
		return -ENOMEM;
	g->first_image = first;
	g->params = *p;
	g->n = p->n_stacks;
	g->tsc_hz = edge_tsc_hz();
	g->tsc_start = stack_tsc();
	g->us_per_tsc_32 = (uint64_t)(((unsigned __int128)1000000 << 32) / g->tsc_hz);
	g->unattended_tsc = g->tsc_hz / 1000000 * UNATTENDED_US;
	g->spin_tsc = g->tsc_hz / 1000000 * SPIN_US;
	g->crowded_tsc = g->tsc_hz / 1000000 * CROWDED_US;
	g->cpus = copy_cpus(p->cpus, p->n_stacks);
	g->wakeup_cpus = copy_cpus(p->wakeup_cpus, p->n_wakeup);
	g->params.cpus = g->cpus;
	g->params.wakeup_cpus = g->wakeup_cpus;
	g->stacks = aligned_alloc(CACHE_LINE, g->n * sizeof(*g->stacks));
	if (g->stacks == NULL) {
		free(g);
		return -ENOMEM;
	}
	memset(g->stacks, 0, g->n * sizeof(*g->stacks));
	for (unsigned int i = 0; i < g->n && rc == 0; i++)
		rc = stack_init(&g->stacks[i], g, i);
	if (rc == 0 && p->low_power)
		rc = sleep_init(g);
	if (rc != 0)
		group_free(g);
	else
		*out = g;
	return rc;
}

struct stack *
stack_group_get(struct stack_group *g, unsigned int index)
{
	return index < g->n ? &g->stacks[index] : NULL;
}

enum stack_mode
stack_group_mode(const struct stack_group *g)
{
	return g->params.mode;
}

void
stack_wire(struct stack *st, const struct stack_wiring *w)
{
	st->wiring = *w;
	if (st->index == 0)
		edge_limit_caches(st);
}

int
stack_group_start(struct stack_group *g)
{
	return thread_start_all(g);
}
