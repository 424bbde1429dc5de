/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Ready sets: which of many sockets have something to say. One mechanism behind epoll, poll, select
 * and blocking calls. A socket can be watched by any number of sets.
 *
 * The stack's holder marks a watch ready (an edge); the application collects. Level, edge and
 * one-shot semantics are Linux's epoll's and are applied in ready_collect().
 *
 * Waiting is the caller's loop, because only it knows the kernel descriptors of the set:
 *
 *	for (;;) {
 *		n = ready_collect(set, out, max);
 *		... also ask the kernel's half, without waiting ...
 *		if (n > 0 || deadline passed || interrupted) break;
 *		if (ready_spins(set)) {
 *			ready_run(set);            // walks the stacks this set depends on
 *		} else if (ready_sleep_begin(set, &s)) { // false: something became ready meanwhile
 *			... sleep in the kernel on ready_fd(set), s.fd and the kernel's descriptors ...
 *			ready_sleep_end(set, &s);
 *		}
 *	}
 *
 * Threads may wait for one set at the same time. Who has been woken and does not collect calls
 * ready_pass_on().
 *
 * In run-to-completion the stack must have been run at least once before an answer "nothing".
 */
#ifndef STACK_READY_H
#define STACK_READY_H

#include <stdbool.h>
#include <stdint.h>

struct sock;
struct stack_group;
struct ready_set;
struct ready_watch;

struct ready_event {
	uint32_t events; /* EPOLL* bits */
	int fd;          /* the last one told by sock_set_fd() */
	uint64_t data;   /* the caller's, from ready_add() */
};

int ready_create(struct stack_group *g, struct ready_set **out);
void ready_destroy(struct ready_set *set); /* deletes its watches first */

/* `events`: EPOLL* bits with EPOLLET and EPOLLONESHOT; ERR and HUP are always watched.
 * The caller keeps the watch and must ready_del() it before sock_close(). 0 or -errno. */
int ready_add(struct ready_set *set, struct sock *s, uint32_t events, uint64_t data,
	struct ready_watch **out);
int ready_mod(struct ready_watch *w, uint32_t events, uint64_t data);
void ready_del(struct ready_watch *w);

/* Is there perhaps something to collect? A look without a lock. */
bool ready_has_some(const struct ready_set *set);
/* Is there something to collect? Nothing is taken. */
bool ready_look(struct ready_set *set);
/* Take up to `max` events. Threads may collect from one set at the same time. */
int ready_collect(struct ready_set *set, struct ready_event *out, int max);

/* True where the caller must run the stack itself: in run-to-completion, with low_power_mode only
 * until this thread has found nothing for a while, and not where others compute on its core. */
bool ready_spins(const struct ready_set *set);
/* Run every stack this set depends on once, where its lock is free. Returns true if packets or
 * events moved. Yields the CPU when idle for long. Does nothing in run-to-wakeup. */
bool ready_run(struct ready_set *set);

/* An eventfd, level-triggered readable once a watch is ready and the set was armed. -1 where the
 * process may have no more descriptors (RLIMIT_NOFILE): then sleeps are short (ready_sleep.us). */
int ready_fd(const struct ready_set *set);
bool ready_arm(struct ready_set *set);
void ready_disarm(struct ready_set *set); /* drains the eventfd */

/* What is in the set is for another thread that sleeps on it, if there is one; part of ready_collect(). */
void ready_pass_on(struct ready_set *set);

/* One sleep of one thread. */
struct ready_sleep {
	int fd;      /* a second descriptor to sleep on, or -1 */
	uint64_t us; /* sleep no longer than that; UINT64_MAX: no limit */
	bool attends;
};

/* Arm the set; in run-to-completion also the wires, unless another thread's sleep has. */
bool ready_sleep_begin(struct ready_set *set, struct ready_sleep *s);
void ready_sleep_end(struct ready_set *set, const struct ready_sleep *s);

#endif
