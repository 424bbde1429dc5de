/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The signals of this thread whose handlers were put off in a section (signals.c), oldest first. A
 * standard signal is kept once, as the kernel does.
 */
#ifndef PRELOAD_PUT_OFF_H
#define PRELOAD_PUT_OFF_H

#include <signal.h>
#include <stdbool.h>

/* In a handler. False: there is no room for it, or no memory. errno is kept. */
bool put_off_add(int sig, const siginfo_t *info);

bool put_off_is_empty(void);

/* With every signal blocked. False: there is none. */
bool put_off_take(siginfo_t *oldest);

/* The thread ends: gives the memory back. Not in a section. */
void put_off_end(void);

#endif
