/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Chunks and slabs, see chunk.h.
 *
 * The first chunks come from libc one by one, so that a program with few connections stays small;
 * from HUGE_FROM bytes on they are cut out of whole huge pages. Where the kernel has none (or may
 * not make them) the same memory is on small pages.
 */
#include "stack/chunk.h"

#include <stdlib.h>
#include <sys/mman.h>

#define HUGE_BYTES (2 * 1024 * 1024)
#define HUGE_FROM (2 * 1024 * 1024)
#define PAGE_BYTES 4096

#if defined(__SANITIZE_ADDRESS__)
#define SLAB_IS_MALLOC 1
#else
#define SLAB_IS_MALLOC 0
#endif

static struct {
	atomic_flag lock;
	size_t taken;
	char *huge; /* what is left of the last one */
	size_t huge_left;
} chunks = {.lock = ATOMIC_FLAG_INIT};

static void
lock(atomic_flag *l)
{
	while (atomic_flag_test_and_set_explicit(l, memory_order_acquire))
		__builtin_ia32_pause();
}

static void
unlock(atomic_flag *l)
{
	atomic_flag_clear_explicit(l, memory_order_release);
}

void *
chunk_take(void)
{
	char *c = NULL;

	lock(&chunks.lock);
	if (chunks.taken >= HUGE_FROM && chunks.huge_left == 0) {
		chunks.huge = aligned_alloc(HUGE_BYTES, HUGE_BYTES);
		if (chunks.huge != NULL) {
			madvise(chunks.huge, HUGE_BYTES, MADV_HUGEPAGE);
			chunks.huge_left = HUGE_BYTES;
		}
	}
	if (chunks.huge_left > 0) {
		chunks.huge_left -= CHUNK_BYTES;
		c = chunks.huge + chunks.huge_left;
	} else {
		c = aligned_alloc(PAGE_BYTES, CHUNK_BYTES);
	}
	if (c != NULL)
		chunks.taken += CHUNK_BYTES;
	unlock(&chunks.lock);
	return c;
}

/* The newest chunk's objects are handed out in the order of their addresses. */
static void
slab_grow(struct slab *s)
{
	char *c = chunk_take();

	if (c == NULL)
		return;
	for (size_t n = CHUNK_BYTES / s->size; n > 0; n--) {
		struct slab_object *o = (struct slab_object *)(c + (n - 1) * s->size);

		o->next = s->free;
		s->free = o;
	}
}

void *
slab_take(struct slab *s)
{
	struct slab_object *o;

	if (SLAB_IS_MALLOC)
		return aligned_alloc(64, (s->size + 63) & ~(size_t)63);
	lock(&s->lock);
	if (s->free == NULL)
		slab_grow(s);
	o = s->free;
	if (o != NULL)
		s->free = o->next;
	unlock(&s->lock);
	return o;
}

void
slab_give(struct slab *s, void *object)
{
	struct slab_object *o = object;

	if (SLAB_IS_MALLOC) {
		free(object);
		return;
	}
	lock(&s->lock);
	o->next = s->free;
	s->free = o;
	unlock(&s->lock);
}
