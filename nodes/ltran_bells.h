/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * An instance's ends of the doorbells between it and ltran (ltran_abi.h): how its workers ring and
 * are rung for. Numbers and addresses stay the same as long as the instance lives, also when ltran
 * comes back with others.
 */
#ifndef NODES_LTRAN_BELLS_H
#define NODES_LTRAN_BELLS_H

#include <stdatomic.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "nodes/ltran_abi.h"

struct ltran_bells {
	const struct ltran_awake *awake; /* ltran's page */
	_Atomic uint16_t worker;         /* the one of ltran that has our rings */
	uint16_t n_queues;
	int kick_fd;
	int call_fd[LTRAN_QUEUES_MAX];
};

/* A call of the kernel's own: the program's is intercepted. Never waits. */
static inline void
ltran_bells_ring(const struct ltran_bells *b)
{
	const uint64_t one = 1;

	if (syscall(SYS_write, b->kick_fd, &one, sizeof(one)) < 0)
		return; /* full: it has been rung often enough */
}

/* What has been rung for `queue` so far is taken. */
void ltran_bells_hear(const struct ltran_bells *b, uint16_t queue);

static inline void
ltran_bells_fence(void)
{
#ifdef __SANITIZE_THREAD__ /* it knows no fences; a read-modify-write is as full a one */
	static _Atomic unsigned int own;

	atomic_fetch_add(&own, 1);
#else
	atomic_thread_fence(memory_order_seq_cst);
#endif
}

/* After packets were put into a ring: wakes ltran, if it sleeps. The holder of the queue's stack. */
static inline void
ltran_bells_kick(const struct ltran_bells *b)
{
	uint16_t worker = atomic_load_explicit(&b->worker, memory_order_relaxed);

	/* The packets are there for whoever has said before that it sleeps, and looks once more. */
	ltran_bells_fence();
	if (__builtin_expect(__atomic_load_n(&b->awake->worker[worker].asleep, __ATOMIC_RELAXED), 0))
		ltran_bells_ring(b);
}

/* `asleep`: the queue's in the head of the socket table. Look for packets once more after the first. */
static inline void
ltran_bells_sleep(uint32_t *asleep)
{
	__atomic_store_n(asleep, *asleep | 1, __ATOMIC_SEQ_CST);
}

static inline void
ltran_bells_wake(uint32_t *asleep)
{
	__atomic_store_n(asleep, *asleep + (*asleep & 1), __ATOMIC_SEQ_CST);
}

#endif
