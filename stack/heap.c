/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lwIP's allocator: one size-class free list per image.
 *
 * Part of every image, so its state is private to one stack and needs no lock: only the holder of
 * the stack's lock allocates or frees. Small blocks come from chunks (chunk.h) and go back to their
 * class; they are never returned, so a stack keeps the memory of its busiest moment. Blocks above
 * the largest class go to libc directly. A tcp_pcb with its header takes five whole cache lines.
 *
 * Every block remembers for which connection it was allocated: the pcb that was on lwIP's list of
 * active ones then. So when a connection has to be given up in the middle of lwIP's work
 * (lwip_guard.c), its memory can be taken back whatever state lwIP has left it in: a block that is in
 * use and was allocated for that connection is nobody else's. heap_owns() believes no pointer: it
 * looks only into chunks that it knows.
 */
#include "stack/heap.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lwip/priv/tcp_priv.h"
#include "lwipopts.h"
#include "stack/chunk.h"

#define CLASS_STEP HEAP_UNIT
#define CLASSES 64 /* 32 .. 2048 bytes including the header */
#define CLASS_LARGE 0xffff
#define LARGE_UNITS (9216 / CLASS_STEP) /* what a block of its own counts: a jumbo frame */

struct block {
	union {
		struct block *next; /* while free */
		uint64_t class;     /* while in use */
	};
	const void *owner; /* while in use: a pcb, or NULL; keeps the payload aligned to 16 bytes */
};

struct chunk {
	char *start;
	unsigned int class;
};

static struct block *free_list[CLASSES + 1];
static struct chunk *chunks; /* by address */
static size_t n_chunks, max_chunks;

uint64_t heap_units; /* of blocks in use */

/* The newest chunk that begins at or before `p`, as an index behind it; 0: none. */
static size_t
chunk_behind(const char *p)
{
	size_t low = 0, high = n_chunks;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (chunks[middle].start <= p)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static char *
chunk_add(unsigned int class)
{
	struct chunk *more;
	char *start;
	size_t at;

	if (n_chunks == max_chunks) {
		more = realloc(chunks, (max_chunks + 32) * 2 * sizeof(*chunks));
		if (more == NULL)
			return NULL;
		chunks = more;
		max_chunks = (max_chunks + 32) * 2;
	}
	start = chunk_take();
	if (start == NULL)
		return NULL;
	at = chunk_behind(start);
	memmove(&chunks[at + 1], &chunks[at], (n_chunks - at) * sizeof(*chunks));
	chunks[at] = (struct chunk){start, class};
	n_chunks++;
	return start;
}

static struct block *
slab_refill(unsigned int class)
{
	size_t size = (size_t)class * CLASS_STEP;
	size_t n = CHUNK_BYTES / size;
	char *slab = chunk_add(class);

	if (slab == NULL)
		return NULL;
	while (n-- > 0) {
		struct block *b = (struct block *)(slab + n * size);

		b->next = free_list[class];
		free_list[class] = b;
	}
	return free_list[class];
}

void *
stack_heap_alloc(size_t size)
{
	size_t total = size + sizeof(struct block);
	unsigned int class = (total + CLASS_STEP - 1) / CLASS_STEP;
	struct block *b;

	if (class > CLASSES) {
		b = malloc(total);
		if (b == NULL)
			return NULL;
		b->class = CLASS_LARGE;
		heap_units += LARGE_UNITS;
		b->owner = tcp_active_pcbs;
		return b + 1;
	}
	b = free_list[class];
	if (b == NULL) {
		b = slab_refill(class);
		if (b == NULL)
			return NULL;
	}
	free_list[class] = b->next;
	b->class = class;
	heap_units += class;
	b->owner = tcp_active_pcbs;
	return b + 1;
}

void *
stack_heap_calloc(size_t n, size_t size)
{
	void *p;

	if (size != 0 && n > SIZE_MAX / size)
		return NULL;
	p = stack_heap_alloc(n * size);
	if (p != NULL)
		memset(p, 0, n * size);
	return p;
}

void
stack_heap_free(void *p)
{
	struct block *b;
	unsigned int class;

	if (p == NULL)
		return;
	b = (struct block *)p - 1;
	if (b->class == CLASS_LARGE) {
		heap_units -= LARGE_UNITS;
		free(b);
		return;
	}
	class = b->class;
	heap_units -= class;
	b->next = free_list[class];
	free_list[class] = b;
}

bool
heap_owns(const void *p, const void *owner)
{
	const char *at = p;
	const struct block *b;
	size_t behind, offset, size;

	if (p == NULL)
		return false;
	at -= sizeof(*b);
	behind = chunk_behind(at);
	if (behind == 0)
		return false;
	size = (size_t)chunks[behind - 1].class * CLASS_STEP;
	offset = (size_t)(at - chunks[behind - 1].start);
	if (offset / size >= CHUNK_BYTES / size || offset % size != 0)
		return false;
	b = (const struct block *)at;
	return b->class == chunks[behind - 1].class && b->owner == owner;
}
