/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Doorbells between ltran and its instances (nodes/ltran_abi.h says how they are used). ltran makes all of
 * them, so that no call of a worker on one can wait for an instance; see bell.c.
 */
#ifndef DISPATCHER_BELL_H
#define DISPATCHER_BELL_H

#include <stdbool.h>
#include <stdint.h>

#include "nodes/ltran_abi.h"

struct ltran;
struct member;

/* The page that shows which workers sleep. Once, before the first instance; 0 or -errno. */
int bells_start(struct ltran *lt);
void bells_stop(struct ltran *lt);

/* Control thread. Makes the bells of `m`; what the instance gets is in fds[0 .. return value), to be sent
 * and then closed by the caller. -errno: none. */
int bell_open(struct ltran *lt, struct member *m, int fds[LTRAN_FDS_MAX]);
void bell_close(struct member *m);

/* Worker: wake stack `queue` of the instance, once per sleep. Never waits. */
void bell_call(struct member *m, uint16_t queue, uint32_t sleep_count);
/* Worker: the kick of `m` was readable. */
void bell_take(struct member *m);

#endif
