/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Memory of objects that exist per connection: chunks that are never given back, on huge pages once
 * there are many. A request on one of 100,000 connections finds nothing of it in a cache; on small
 * pages not even the addresses.
 *
 * A slab hands out objects of one size from chunks and takes them back; what it hands out is not
 * zeroed. Both may be called by any thread. In a build with the address sanitizer a slab is malloc().
 */
#ifndef STACK_CHUNK_H
#define STACK_CHUNK_H

#include <stdatomic.h>
#include <stddef.h>

#define CHUNK_BYTES (64 * 1024)

/* CHUNK_BYTES, aligned to a page; NULL: no memory. */
void *chunk_take(void);

struct slab_object {
	struct slab_object *next;
};

struct slab {
	size_t size; /* of an object, a multiple of 16; 64 or more of them fit a chunk */
	atomic_flag lock;
	struct slab_object *free;
};

#define SLAB(bytes) {.size = (bytes), .lock = ATOMIC_FLAG_INIT}

void *slab_take(struct slab *s); /* NULL: no memory */
void slab_give(struct slab *s, void *object);

#endif
