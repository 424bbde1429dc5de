/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lwIP's allocator: one size-class free list per image.
 *
 * Part of every image, so its state is private to one stack and needs no lock: only the holder of
 * the stack's lock allocates or frees. Small blocks come from chunks (chunk.h) and go back to their
 * class; they are never returned, so a stack keeps the memory of its busiest moment. Blocks above
 * the largest class go to libc directly. A tcp_pcb with its header takes five whole cache lines.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lwipopts.h"
#include "stack/chunk.h"

#define CLASS_STEP 32
#define CLASSES 64 /* 32 .. 2048 bytes including the header */
#define CLASS_LARGE 0xffff

struct block {
	union {
		struct block *next; /* while free */
		uint64_t class;     /* while in use */
	};
	uint64_t pad; /* keeps the payload aligned to 16 bytes */
};

static struct block *free_list[CLASSES + 1];

static struct block *
slab_refill(unsigned int class)
{
	size_t size = (size_t)class * CLASS_STEP;
	size_t n = CHUNK_BYTES / size;
	char *slab = chunk_take();

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
		free(b);
		return;
	}
	class = b->class;
	b->next = free_list[class];
	free_list[class] = b;
}
