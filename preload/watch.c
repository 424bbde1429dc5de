/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Watches and the ready sets behind them. A ready set is made with its first watch on a stack half,
 * so an epoll object with kernel descriptors only never has one.
 */
#include "preload/watch.h"
#include "preload/boot.h"
#include "preload/epoll.h"
#include "preload/libc.h"
#include "stack/chunk.h"
#include "stack/ready.h"

#include <errno.h>
#include <string.h>

static struct slab watches = SLAB(sizeof(struct watch));

void watch_give(struct watch *w)
{
	slab_give(&watches, w);
}

int watch_attach(struct watch *w)
{
	struct ready_set *ready = atomic_load(&w->set->ready);
	int r;

	if (ready == NULL) {
		r = ready_create(boot_group(), &ready);
		if (r < 0)
			return r;
		if (w->epoll && ready_fd(ready) < 0) { /* in another epoll, nothing would end its sleep */
			ready_destroy(ready);
			return -EMFILE;
		}
		atomic_store(&w->set->ready, ready);
	}
	r = ready_add(ready, atomic_load(&w->file->sock.sock), w->events, w->data, &w->ready);
	if (r < 0) {
		w->ready = NULL;
		return r;
	}
	atomic_fetch_add(&w->set->n_ready, 1);
	if (w->epoll)
		epoll_ring(w->epoll);
	return 0;
}

void watch_wake(struct watch *w)
{
	struct ready_set *ready = atomic_load(&w->set->ready);
	const uint64_t one = 1;

	if (ready && ready_fd(ready) >= 0 && libc.write(ready_fd(ready), &one, sizeof(one)) < 0)
		return; /* full is readable as well */
}

void watch_detach(struct watch *w)
{
	if (w->ready == NULL)
		return;
	ready_del(w->ready);
	w->ready = NULL;
	atomic_fetch_sub(&w->set->n_ready, 1);
}

int watch_new(struct watch_set *set, struct file *epoll, struct file *f, int fd, uint32_t events,
	uint64_t data, struct watch **out)
{
	struct watch *w = slab_take(&watches);

	if (w == NULL)
		return -ENOMEM;
	memset(w, 0, sizeof(*w));
	w->set = set;
	w->epoll = epoll;
	w->file = f;
	w->fd = fd;
	w->events = events;
	w->data = data;
	if (f->kind == FILE_SOCK && atomic_load(&f->sock.sock)) {
		int r = watch_attach(w);

		if (r < 0) {
			watch_give(w);
			return r;
		}
	}
	LIST_INSERT_HEAD(&f->watchers, w, in_file);
	LIST_INSERT_HEAD(&set->watches, w, in_set);
	*out = w;
	return 0;
}

void watch_free(struct watch *w)
{
	watch_detach(w);
	LIST_REMOVE(w, in_file);
	LIST_REMOVE(w, in_set);
	if (w->in_kernel)
		atomic_fetch_sub(&w->epoll->epoll.n_kernel, 1);
	if (w->owner)
		atomic_store(w->owner, NULL);
	watch_give(w);
}

void watch_set_clear(struct watch_set *set)
{
	struct ready_set *ready;

	while (!LIST_EMPTY(&set->watches))
		watch_free(LIST_FIRST(&set->watches));
	ready = atomic_exchange(&set->ready, NULL);
	if (ready)
		ready_destroy(ready);
}

void watch_set_orphan(struct watch_set *set)
{
	struct watch *w;

	LIST_FOREACH(w, &set->watches, in_set)
		w->ready = NULL;
	atomic_store(&set->ready, NULL);
	atomic_store(&set->n_ready, 0);
}
