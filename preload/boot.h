/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Is this process ours, and is its data path up?
 */
#ifndef PRELOAD_BOOT_H
#define PRELOAD_BOOT_H

#include "preload/process.h"

#include <stdatomic.h>
#include <stdbool.h>

struct conf;
struct stack_group;

enum boot_state {
	BOOT_INACTIVE, /* not our program, or the data path could not start: everything is libc's */
	BOOT_IDLE,     /* settings are read; the data path starts at the first call that needs it */
	BOOT_UP,
	BOOT_ORPHAN, /* child of an attached process: the stack stayed with the parent; or at exit */
};

static inline enum boot_state boot_state(void)
{
	return (enum boot_state)atomic_load_explicit(&process.boot_state, memory_order_acquire);
}

static inline bool boot_is_idle(void)
{
	return boot_state() == BOOT_IDLE;
}

static inline bool boot_is_up(void)
{
	return boot_state() == BOOT_UP;
}

/* Settings; valid in every state but BOOT_INACTIVE. */
const struct conf *boot_conf(void);
/* The stacks, or NULL where the data path is not up. */
struct stack_group *boot_group(void);
/* Start the data path if need be; afterwards every listening and every bound UDP socket has its
 * stack half, or none has one. Not under fd_lock. NULL: there is none, the kernel has to do. */
struct stack_group *boot_attach(void);

/* This thread starts or stops the data path: its calls come from DPDK. */
bool boot_is_starting(void);

/* The program ends because the stack is not there, after a line that says so. */
void boot_cannot_go_on(void) __attribute__((noreturn));

/* The process ends: a thread that comes here while another runs exit() stays here. */
void boot_park(void);
extern _Atomic bool boot_is_ending;

static inline void boot_check_end(void)
{
	if (__builtin_expect(atomic_load_explicit(&boot_is_ending, memory_order_relaxed), 0))
		boot_park();
}

/* May what the calling thread creates become ours? (active; GAZELLE_THREAD_NAME; not the start of
 * the data path itself) */
bool boot_takes_thread(void);

/* As fork(), where make(arg) makes the child by other means: 0 in the child. */
long boot_fork(long (*make)(void *arg), void *arg);

/* One line on stderr; boot_say_once(): the first time this line of code is reached. */
/* The process ends: close every socket, let the stack finish. Once; later calls do nothing. */
void boot_end(void);
void boot_say(const char *format, ...) __attribute__((format(printf, 1, 2)));
#define boot_say_once(...)                                                                         \
	do {                                                                                       \
		static atomic_flag said = ATOMIC_FLAG_INIT;                                        \
		if (!atomic_flag_test_and_set(&said))                                              \
			boot_say(__VA_ARGS__);                                                     \
	} while (0)

#endif
