/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The descriptor table and the memory of files.
 *
 * Lookup is lock-free: load the slot, take a reference if the count is not zero, look at the slot
 * again. That is sound because a file's memory stays a file for ever: at worst the reference was
 * taken on a newer file, which the second look notices. The last reference releases the object, so
 * a close() while another thread is inside a call leaves that call its socket, as in the kernel.
 */
#include "preload/fd.h"
#include "preload/epoll.h"
#include "preload/fd_size.h"
#include "preload/libc.h"
#include "preload/signals.h"
#include "preload/socket.h"
#include "stack/chunk.h"

#include <pthread.h>
#include <string.h>

enum {
	FILES_PER_CHUNK = CHUNK_BYTES / sizeof(struct file),
	CHUNKS_MAX = FD_MAX / FILES_PER_CHUNK + 1,
};

struct file fd_free = {.kind = FILE_FREE, .fd = -1};

/* Recursive: dropping the last reference of a file inside needs it again. */
static pthread_mutex_t table_lock = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;
static pthread_mutex_t memory_lock = PTHREAD_MUTEX_INITIALIZER;
static struct file *chunks[CHUNKS_MAX]; /* memory_lock; only grows */
static size_t n_chunks;
static struct file *free_files;
static struct slab pages = SLAB(sizeof(struct fd_page));

void fd_lock(void)
{
	signals_hold();
	pthread_mutex_lock(&table_lock);
}

void fd_unlock(void)
{
	pthread_mutex_unlock(&table_lock);
	signals_release();
}

/* Its owner, the thread that forked, has another id in the child. */
void fd_lock_in_child(void)
{
	table_lock = (pthread_mutex_t)PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;
	signals_release();
}

void file_memory_lock(void)
{
	signals_hold();
	pthread_mutex_lock(&memory_lock);
}

void file_memory_unlock(void)
{
	pthread_mutex_unlock(&memory_lock);
	signals_release();
}

static bool grow_files(void)
{
	struct file *chunk;

	if (n_chunks == CHUNKS_MAX)
		return false;
	chunk = chunk_take();
	if (chunk == NULL)
		return false;
	memset(chunk, 0, CHUNK_BYTES);
	for (int i = FILES_PER_CHUNK - 1; i >= 0; i--) {
		chunk[i].next_free = free_files;
		free_files = &chunk[i];
	}
	chunks[n_chunks++] = chunk;
	return true;
}

struct file *file_new(enum file_kind kind)
{
	struct file *f = NULL;

	file_memory_lock();
	if (free_files || grow_files()) {
		f = free_files;
		free_files = f->next_free;
	}
	file_memory_unlock();
	if (f == NULL)
		return NULL;

	if (kind == FILE_SOCK)
		f->sock = (struct file_sock){.halves = HALF_KERNEL | HALF_STACK};
	else
		f->epoll = (struct file_epoll){.n_kernel = 0};
	LIST_INIT(&f->watchers);
	f->kind = kind;
	f->pooled_fd = -1;
	f->fd = -1;
	f->inode = 0;
	/* From here on a late fd_get() of the slot's former file may hold it for a moment. */
	atomic_store_explicit(&f->refs, 1, memory_order_release);
	return f;
}

void file_release(struct file *f)
{
	signals_hold();
	if (f->kind == FILE_SOCK)
		socket_destroy(f);
	else
		epoll_destroy(f);

	file_memory_lock();
	f->next_free = free_files;
	free_files = f;
	file_memory_unlock();
	signals_release();
}

struct file *file_next(size_t *pos)
{
	struct file *f = NULL;

	file_memory_lock();
	size_t end = n_chunks * FILES_PER_CHUNK;
	file_memory_unlock();
	while (*pos < end) {
		f = &chunks[*pos / FILES_PER_CHUNK][*pos % FILES_PER_CHUNK];
		(*pos)++;
		if (file_try_hold(f))
			return f;
	}
	return NULL;
}

static struct fd_page *page_of(int fd)
{
	_Atomic(struct fd_page *) *slot = &process.fd_pages[fd / FD_PAGE];
	struct fd_page *page = atomic_load_explicit(slot, memory_order_acquire);
	struct fd_page *fresh;

	if (page)
		return page;
	fresh = slab_take(&pages);
	if (fresh == NULL)
		return NULL;
	memset(fresh, 0, sizeof(*fresh));
	if (atomic_compare_exchange_strong(slot, &page, fresh))
		return fresh;
	slab_give(&pages, fresh);
	return page;
}

/* Its number `fd` is another file's. */
static void leave_number(int fd, struct file *f)
{
	if (f->pooled_fd == fd)
		f->pooled_fd = -1;
	if (f->fd == fd)
		f->fd = atomic_load(&f->refs) > 1 ? fd_find(f) : -1;
}

/* Somebody closed it behind our back. */
static void drop_stale(int fd, struct file *f)
{
	leave_number(fd, f);
	fd_pool_doubt();
	file_put(f);
}

int fd_install(int fd, struct file *f)
{
	struct fd_page *page;
	struct file *stale;

	if (fd < 0 || fd >= FD_MAX)
		return -EMFILE;
	page = page_of(fd);
	if (page == NULL)
		return -ENOMEM;
	if (f->fd < 0) {
		f->fd = fd;
		fd_check_learn(f);
	}
	fd_size_note(fd);
	stale = atomic_exchange_explicit(&page->slots[fd % FD_PAGE], f, memory_order_acq_rel);
	/* The kernel gave the number out again, so somebody closed it behind our back. */
	if (stale == &fd_free)
		fd_pool_forget(fd);
	else if (stale)
		drop_stale(fd, stale);
	return 0;
}

static struct file *take_out(int fd, struct file *instead)
{
	struct file *f = fd_peek(fd);

	while (f != NULL && f != &fd_free) {
		_Atomic(struct file *) *slot = &process.fd_pages[fd / FD_PAGE]->slots[fd % FD_PAGE];

		if (atomic_compare_exchange_weak(slot, &f, instead))
			break;
	}
	if (f && f != &fd_free && f->fd == fd)
		f->fd = atomic_load(&f->refs) > 1 ? fd_find(f) : -1;
	return f;
}

struct file *fd_remove(int fd)
{
	return take_out(fd, NULL);
}

struct file *fd_close(int fd)
{
	return take_out(fd, &fd_free);
}

struct file *fd_get_again(int fd, struct file *f)
{
	while (f != NULL && f != &fd_free) {
		if (file_try_hold(f)) {
			if (fd_peek(fd) == f)
				break;
			file_put(f); /* closed and reused while we looked */
		}
		f = fd_peek(fd);
	}
	return f && fd_checks != 0 ? fd_check(fd, f) : f;
}

struct file *fd_get_checked(int fd, struct file *f)
{
	if (fd_peek(fd) == f)
		return fd_check(fd, f);
	file_put(f);
	return fd_get_again(fd, fd_peek(fd));
}

bool fd_is_sock(int fd)
{
	struct file *f;

	if (fd_peek(fd) == NULL)
		return false;
	signals_hold();
	f = fd_get_sock(fd);
	if (f)
		file_put(f);
	signals_release();
	return f != NULL && f != &fd_free;
}

bool fd_is_closed_surely(int fd)
{
	struct file *f;

	signals_hold();
	f = fd_get(fd);
	if (f)
		file_put(f);
	signals_release();
	return f == &fd_free;
}

int fd_find(const struct file *f)
{
	for (int p = 0; p < FD_MAX / FD_PAGE; p++) {
		struct fd_page *page = atomic_load(&process.fd_pages[p]);

		for (int i = 0; page && i < FD_PAGE; i++)
			if (atomic_load_explicit(&page->slots[i], memory_order_relaxed) == f)
				return p * FD_PAGE + i;
	}
	return -1;
}

void fd_set_free(int fd, bool is_free)
{
	struct fd_page *page = page_of(fd);

	if (page)
		atomic_store_explicit(&page->slots[fd % FD_PAGE], is_free ? &fd_free : NULL,
			memory_order_release);
}

void fd_unfree(int fd)
{
	struct file *was = &fd_free;

	if (fd_peek(fd) == was)
		atomic_compare_exchange_strong(&process.fd_pages[fd / FD_PAGE]->slots[fd % FD_PAGE], &was,
			NULL);
}

void fd_leave(int fd, struct file *f)
{
	struct file *was = f;

	if (atomic_compare_exchange_strong(&process.fd_pages[fd / FD_PAGE]->slots[fd % FD_PAGE], &was, NULL))
		drop_stale(fd, f);
}

void fd_forget(int fd)
{
	struct file *stale = fd_remove(fd);

	if (stale == &fd_free)
		fd_pool_forget(fd);
	else if (stale)
		drop_stale(fd, stale);
}

struct file *fd_swap_free(int fd)
{
	struct fd_page *page = page_of(fd);
	struct file *old = NULL;

	if (page)
		old = atomic_exchange(&page->slots[fd % FD_PAGE], &fd_free);
	if (old && old != &fd_free)
		leave_number(fd, old);
	return old;
}
