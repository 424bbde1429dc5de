/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The ready set of a thread that polls. It keeps the watches of the last call, and the next one changes
 * just what differs, because programs poll the same list again and again.
 */
#include "preload/calls.h"
#include "preload/polling.h"
#include "preload/socket.h"
#include "preload/watch.h"
#include "stack/ready.h"
#include "stack/sock.h"

#include <stdlib.h>
#include <string.h>

/* The watches this thread has left in its set, in the order of its last call. */
static __thread struct {
	struct watch_set set;
	_Atomic(struct watch *) *watches;
	size_t n, room;
} mine;

void poll_set_clear(void)
{
	fd_lock();
	watch_set_clear(&mine.set);
	fd_unlock();
	free(mine.watches);
	mine.watches = NULL;
	mine.n = mine.room = 0;
}

void poll_orphan(void)
{
	memset(&mine.set, 0, sizeof(mine.set));
	mine.n = 0;
}

static bool set_grow(size_t n)
{
	_Atomic(struct watch *) *grown;

	if (n <= mine.room)
		return true;
	grown = calloc(n, sizeof(*grown));
	if (grown == NULL)
		return false;
	/* The watches point back into the array. */
	for (size_t i = 0; i < mine.n; i++) {
		struct watch *w = atomic_load(&mine.watches[i]);

		atomic_store(&grown[i], w);
		if (w)
			w->owner = &grown[i];
	}
	free(mine.watches);
	mine.watches = grown;
	mine.room = n;
	return true;
}

static bool is_same(struct watch *w, struct file *f, uint32_t events)
{
	return w == NULL ? f == NULL : w->file == f && w->events == events;
}

static int set_replace(size_t i, struct file *f, int fd, uint32_t events)
{
	struct watch *w = atomic_load(&mine.watches[i]);
	int r;

	if (w)
		watch_free(w);
	if (f == NULL)
		return 0;
	r = watch_new(&mine.set, NULL, f, fd, events, 0, &w);
	if (r < 0)
		return r;
	w->owner = &mine.watches[i];
	atomic_store(&mine.watches[i], w);
	return 0;
}

struct ready_set *poll_set_prepare(const struct poll_call *c)
{
	int r = 0;

	fd_lock();
	if (!set_grow(c->n)) {
		fd_unlock();
		return NULL;
	}
	for (size_t i = mine.n; i < mine.room; i++)
		atomic_store(&mine.watches[i], NULL);
	for (size_t i = 0; i < c->n || i < mine.n; i++) {
		struct file *f = i < c->n ? c->files[i] : NULL;
		uint32_t events = f ? (uint16_t)c->fds[i].events : 0;

		if (f && atomic_load(&f->sock.sock) == NULL)
			f = NULL;
		if (!is_same(atomic_load(&mine.watches[i]), f, events))
			r = set_replace(i, f, i < c->n ? c->fds[i].fd : -1, events);
		if (r < 0)
			break;
	}
	mine.n = c->n > mine.n ? c->n : mine.n;
	while (mine.n > 0 && atomic_load(&mine.watches[mine.n - 1]) == NULL)
		mine.n--;
	fd_unlock();
	/* Nothing of the stack's is left in it: there is nothing to run or to sleep on. */
	return r < 0 || mine.set.n_ready == 0 ? NULL : atomic_load(&mine.set.ready);
}
