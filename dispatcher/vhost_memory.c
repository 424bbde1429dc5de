/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * librte_vhost 22.11 reads or writes behind a buffer where the first one of a chain is shorter than the
 * header of a packet and the second one shorter than the rest of it. The buffers are looked up with their
 * lengths, so they lie in the memory of the instance; what follows it in our address space may be anybody's.
 * Nothing that ltran checks before can prevent that, for the instance may change lengths meanwhile.
 *
 * So each region gets an area without rights behind it, as large as one call can go too far: a packet to
 * be written has at most 64 KB, what is read must fit into TURN_BUFFERS buffers. Whoever comes there gets
 * SIGSEGV, and the instance loses its port (sigbus.h).
 *
 * librte_vhost has no call for that; so its mmap64() and munmap() are ours, which it finds before libc's.
 */
#include "dispatcher/vhost_memory.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "dispatcher/sigbus.h"

#define REGIONS (SIGBUS_SLOTS * SIGBUS_REGIONS)
#define HUGE_BYTES ((size_t)2 << 20) /* places for transparent huge pages */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct {
	char *start;
	size_t bytes;
} regions[REGIONS]; /* lock */
static unsigned int n_regions; /* lock: none is used behind these */

static void *
map(void *at, size_t bytes, int rights, int flags, int fd, off_t offset)
{
	return (void *)syscall(SYS_mmap, at, bytes, rights, flags, fd, offset);
}

static int
unmap(void *at, size_t bytes)
{
	return (int)syscall(SYS_munmap, at, bytes);
}

/* False: there are too many. */
static bool
note(char *start, size_t bytes)
{
	unsigned int i;

	pthread_mutex_lock(&lock);
	for (i = 0; i < n_regions && regions[i].start != NULL; i++)
		;
	if (i < REGIONS) {
		regions[i].start = start;
		regions[i].bytes = bytes;
		n_regions = i < n_regions ? n_regions : i + 1;
	}
	pthread_mutex_unlock(&lock);
	return i < REGIONS;
}

static bool
forget(const char *start, size_t bytes)
{
	bool found = false;

	pthread_mutex_lock(&lock);
	for (unsigned int i = 0; i < n_regions && !found; i++) {
		found = regions[i].start == start && regions[i].bytes == bytes;
		if (found)
			regions[i].start = NULL;
	}
	pthread_mutex_unlock(&lock);
	return found;
}

/* Pages of the file and of the region begin at multiples of this. */
static size_t
alignment_of(int fd, size_t bytes)
{
	struct stat st;
	size_t page = fstat(fd, &st) == 0 ? (size_t)st.st_blksize : 0;

	return page < HUGE_BYTES && bytes >= HUGE_BYTES ? HUGE_BYTES : page;
}

static void *
map_guarded(size_t bytes, int rights, int flags, int fd, off_t offset)
{
	size_t align = alignment_of(fd, bytes), all = bytes + align + VHOST_GUARD_BYTES;
	char *area = map(NULL, all, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	char *start, *end;

	if (area == MAP_FAILED)
		return MAP_FAILED;
	start = align > 0 ? (char *)(((uintptr_t)area + align - 1) / align * align) : area;
	end = start + bytes + VHOST_GUARD_BYTES;
	if (map(start, bytes, rights, flags | MAP_FIXED, fd, offset) != start || !note(start, bytes)) {
		unmap(area, all);
		return MAP_FAILED;
	}
	if (start > area)
		unmap(area, start - area);
	if (end < area + all)
		unmap(end, area + all - end);
	return start;
}

__attribute__((visibility("default"))) void *
mmap64(void *at, size_t bytes, int rights, int flags, int fd, off_t offset)
{
	if (at == NULL && fd >= 0 && (flags & MAP_SHARED) != 0 && sigbus_expects())
		return map_guarded(bytes, rights, flags, fd, offset);
	return map(at, bytes, rights, flags, fd, offset);
}

__attribute__((visibility("default"))) int
munmap(void *at, size_t bytes)
{
	return unmap(at, forget(at, bytes) ? bytes + VHOST_GUARD_BYTES : bytes);
}
