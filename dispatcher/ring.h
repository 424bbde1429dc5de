/* SPDX-License-Identifier: BSD-3-Clause */
/* Rings, as the registry drives them; ring_open() and ring_close() are in dispatcher.h. */
#ifndef DISPATCHER_RING_H
#define DISPATCHER_RING_H

#include <stdbool.h>
#include <stdint.h>

struct member;

#define RING_RETRY_US 10000          /* an instance is asked that often for its ring ... */
#define RING_RETRY_SLOWLY_US 200000  /* ... and that often when it has not come for ... */
#define RING_PATIENCE_US 5000000
#define RING_TEXT_MAX 128

/* Connect if the instance listens by now, or again after it hung up. True: connected. */
bool ring_connect(struct member *m, uint64_t now_us);

/* Readable when an instance or librte_vhost has said something: rings_serve() hands it on. -1: none. */
int rings_fd(void);
void rings_serve(uint64_t now_us);

/* What is wrong with the ring, in `why`; false: nothing. */
bool ring_is_broken(struct member *m, char why[RING_TEXT_MAX]);

#endif
