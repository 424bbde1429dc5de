/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Signals must end a wait that spins in user space, as they end a system call, and must not meet
 * this thread with a lock of the stack in its hands: the program's handlers run behind a trampoline
 * that counts them per thread and puts them off where it has to.
 */
#ifndef PRELOAD_SIGNALS_H
#define PRELOAD_SIGNALS_H

#include "preload/libc.h"

#include <stdatomic.h>
#include <stdint.h>

struct signals_seen {
	uint32_t all;
	uint32_t interrupting; /* those whose handler was installed without SA_RESTART */
};

/* What this thread has handled so far. */
struct signals_seen signals_seen(void);
/* Between the two a handled signal also writes to the eventfd `fd`, because it may arrive after
 * the last look at the counters and before the thread sleeps. */
void signals_sleep_begin(int fd);
void signals_sleep_end(void);

/*
 * Between the two this thread has a lock of the stack or of ours, and a handler that calls exit(),
 * longjmp() or a socket call must not run: it runs at signals_release(). Nests; a wait is never
 * inside. HELD() is a call in between.
 */
extern __thread volatile int signals_held __attribute__((tls_model("initial-exec")));
extern __thread volatile int signals_deferred __attribute__((tls_model("initial-exec")));
void signals_deliver(void);

static inline void signals_hold(void)
{
	signals_held++;
	atomic_signal_fence(memory_order_seq_cst);
}

static inline void signals_release(void)
{
	atomic_signal_fence(memory_order_seq_cst);
	if (--signals_held == 0 && __builtin_expect(signals_deferred != 0, 0))
		signals_deliver();
}

#define HELD(call)                                                                                 \
	({                                                                                         \
		signals_hold();                                                                    \
		__typeof__(call) held_result = (call);                                             \
		signals_release();                                                                 \
		held_result;                                                                       \
	})

sighandler_t signals_set_handler(int sig, sighandler_t handler); /* signal() */

#endif
