/* SPDX-License-Identifier: BSD-3-Clause */
/* What a start that waits for others does about signals. */
#ifndef NODES_INSTANCE_WAIT_H
#define NODES_INSTANCE_WAIT_H

#include <signal.h>
#include <stdbool.h>

/*
 * Let the signals in that have come meanwhile; the calling thread blocks all, `mask` is the program's. Those
 * that end the program end it here; where the program has a handler instead, and it was a request to end,
 * the program wants its thread back: true.
 */
bool instance_signal_ends_wait(const sigset_t *mask);

/*
 * The same for a thread beside one that waits where it cannot look itself. Signals without a handler are let in
 * here. True: a request to end has a handler, which is to run in the thread that waits; it stays pending.
 */
bool instance_signal_ends_wait_of_other(const sigset_t *mask);

#endif
