/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Memory that the program hands in, which may not be there: it is read and written through these
 * functions only. Where it is not there they say so, as the kernel's copy_from_user() does.
 *
 * user_fault() is called by the handler of SIGSEGV and SIGBUS of the process; without one (or where
 * the thread has these signals blocked) a bad pointer ends the program.
 */
#ifndef STACK_USER_H
#define STACK_USER_H

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define USER_SMALL_MAX 256
#else
#define USER_SMALL_MAX 0
#endif

bool user_copy_small(void *to, const void *from, size_t n) __attribute__((visibility("hidden")));
bool user_copy_guarded(void *to, const void *from, size_t n);

/* memcpy(); one of the two sides is the program's. False: not all of it could be copied. */
static inline bool user_copy(void *to, const void *from, size_t n)
{
#if USER_SMALL_MAX > 0
	if (__builtin_expect(n <= USER_SMALL_MAX, 1))
		return user_copy_small(to, from, n);
#endif
	return user_copy_guarded(to, from, n);
}

/* Can this byte be written? It keeps its value. */
bool user_touch(void *p) __attribute__((visibility("hidden")));
/* The same for code: fn(arg) runs to its end, or as far as the memory goes. It must hold no lock, and
 * call none of these functions. */
bool user_try(void (*fn)(void *arg), void *arg);

/* Bytes from `p` on that can be written (`writes`) or read, at most `n`: in steps of pages. */
size_t user_extent(void *p, size_t n, bool writes);

/* 0 or -EFAULT. */
static inline int user_get(void *to, const void *program, size_t n)
{
	return user_copy(to, program, n) ? 0 : -EFAULT;
}

static inline int user_put(void *program, const void *from, size_t n)
{
	return user_copy(program, from, n) ? 0 : -EFAULT;
}

/* In the handler: was it one of the functions above? Then it goes on with "false" when the handler
 * returns, and nothing else is to be done. */
bool user_fault(const siginfo_t *info, void *context);

/* Around another handler: what faults in there is not ours. */
void *user_suspend(void);
void user_resume(void *suspended);

#endif
