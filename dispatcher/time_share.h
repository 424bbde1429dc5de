/* SPDX-License-Identifier: BSD-3-Clause */
/* What one user may have of the control thread's time; see time_share.c. Control thread only. */
#ifndef DISPATCHER_TIME_SHARE_H
#define DISPATCHER_TIME_SHARE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* What is done from share_begin() to share_end() is done for the user. They do not nest. */
void share_begin(void);
void share_end(uid_t uid, uint64_t now_us);
/* Has the user had its share? Then what it says waits. */
bool share_is_spent(uid_t uid, uint64_t now_us);

/* Time that is charged, in nanoseconds; for tests. */
void share_charge(uid_t uid, uint64_t ns, uint64_t now_us);

#endif
