/* SPDX-License-Identifier: BSD-3-Clause */
/* Sleeping until a word changes, see futex(2). Among threads of one process. */
#ifndef STACK_FUTEX_H
#define STACK_FUTEX_H

#include <linux/futex.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Sleep while *word is `value`; may return earlier. */
static inline void
futex_wait(_Atomic uint32_t *word, uint32_t value)
{
	if (syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, NULL, NULL, 0) < 0)
		return; /* it has changed already, or a signal has come: the caller looks again */
}

/* Wake one who sleeps. The word itself may be gone. */
static inline void
futex_wake(_Atomic uint32_t *word)
{
	if (syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0) < 0)
		return; /* no memory of ours any more: nobody sleeps there */
}

#endif
