/* SPDX-License-Identifier: BSD-3-Clause */
/* What lwIP's allocator knows of its blocks, see heap.c. Inside an image; holder of its stack only. */
#ifndef STACK_HEAP_H
#define STACK_HEAP_H

#include <stdbool.h>
#include <stdint.h>

#define HEAP_UNIT 32 /* bytes */

extern uint64_t heap_units; /* of all blocks in use */

/* Is `p`, any value, what stack_heap_alloc() has returned while lwIP worked for pcb `owner` (NULL: for
 * none), and not freed since? Blocks of more than 2 KB are not known: false. */
bool heap_owns(const void *p, const void *owner);

#endif
