/* SPDX-License-Identifier: BSD-3-Clause */
/* How an idle worker sleeps (low_power_mode), and what wakes it; see sleep.c. */
#ifndef DISPATCHER_SLEEP_H
#define DISPATCHER_SLEEP_H

#include "dispatcher/dispatcher.h"

/* Ask everybody who may bring packets for word. False: not now. Then walk once more, for what came
 * before they knew, and sleep_wait() if there was nothing. The worker's thread. */
bool sleep_arm(struct dispatch_worker *dw);
/* Until there may be something to do. Holds no map meanwhile. */
void sleep_wait(struct dispatch_worker *dw);
void sleep_disarm(struct dispatch_worker *dw);
/* Any thread. */
void sleep_end(struct dispatch_worker *dw);

#endif
