/* SPDX-License-Identifier: BSD-3-Clause */
/* rate_limit for one address, as unit tests call it; dispatcher.h has what ltran calls. */
#ifndef DISPATCHER_POLICE_H
#define DISPATCHER_POLICE_H

#include <stdbool.h>
#include <stdint.h>

struct ltran_rate;
struct policer;

/* Full at time `now` (TSC). NULL: no memory, or neither bytes nor packets are limited. */
struct policer *policer_create(const struct ltran_rate *rate, uint64_t now);
void policer_free(struct policer *p);

/* May something of `bytes` that makes `packets` on the wire pass at `now`? Takes its tokens, or,
 * when either runs short, none. Times may go back a little: workers read clocks of their own. The
 * caller holds the policer's lock, or is alone. */
bool policer_allows(struct policer *p, uint32_t bytes, uint32_t packets, uint64_t now);

#endif
