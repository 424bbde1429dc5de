/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Thread-local memory of a preloaded library is taken from the stack of every thread, also of one that
 * never calls us. So there is room for a few signals only; the others have a mapping, made in the handler
 * of the first of them and kept until the thread ends.
 *
 * put_off_add() runs in handlers, which interrupt each other: it takes a place first and fills it then.
 * The place of a handler that had no memory for it stays empty (si_signo is 0). Nothing is taken out
 * before all of these handlers have returned, for put_off_take() runs outside of sections.
 */
#include "preload/put_off.h"
#include "preload/thread.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

enum { FEW = 2, ALL = 40, FIRST_REALTIME = 32 };

static const size_t more_bytes = (ALL - FEW) * sizeof(siginfo_t);

static THREAD_LOCAL siginfo_t few[FEW];
static THREAD_LOCAL _Atomic(siginfo_t *) more; /* the places from FEW on, or NULL */
static THREAD_LOCAL _Atomic int n_places;

static siginfo_t *place(int i)
{
	siginfo_t *far = atomic_load(&more);

	if (i < FEW)
		return &few[i];
	return far != NULL ? &far[i - FEW] : NULL;
}

/* Place `i`, with memory for it. NULL: there is none. */
static siginfo_t *make_place(int i)
{
	siginfo_t *none = NULL;
	int saved_errno = errno;
	void *fresh;

	if (place(i) != NULL)
		return place(i);
	fresh = mmap(NULL, more_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (fresh != MAP_FAILED && !atomic_compare_exchange_strong(&more, &none, fresh))
		munmap(fresh, more_bytes); /* a handler that came in between has made it */
	errno = saved_errno;
	return place(i);
}

bool put_off_is_empty(void)
{
	return atomic_load_explicit(&n_places, memory_order_relaxed) == 0;
}

bool put_off_add(int sig, const siginfo_t *info)
{
	int n = atomic_load(&n_places);
	siginfo_t *at;

	for (int i = 0; i < n && sig < FIRST_REALTIME; i++) {
		at = place(i);
		if (at != NULL && at->si_signo == sig)
			return true;
	}
	n = atomic_fetch_add(&n_places, 1);
	if (n >= ALL) {
		atomic_fetch_sub(&n_places, 1);
		return false;
	}
	at = make_place(n);
	if (at == NULL)
		return false;
	*at = *info;
	at->si_signo = sig;
	return true;
}

/* The oldest place, which may be empty. */
static void take_first(siginfo_t *out, int n)
{
	*out = few[0];
	for (int i = 0; i + 1 < n; i++) {
		siginfo_t *to = place(i), *next = place(i + 1);

		if (to != NULL && next != NULL)
			*to = *next;
		else if (to != NULL)
			to->si_signo = 0;
	}
	if (place(n - 1) != NULL)
		place(n - 1)->si_signo = 0;
	atomic_store(&n_places, n - 1);
}

bool put_off_take(siginfo_t *oldest)
{
	oldest->si_signo = 0;
	while (!put_off_is_empty() && oldest->si_signo == 0)
		take_first(oldest, atomic_load(&n_places));
	return oldest->si_signo != 0;
}

void put_off_end(void)
{
	siginfo_t *far;

	if (!put_off_is_empty())
		return;
	far = atomic_exchange(&more, NULL);
	if (far != NULL)
		munmap(far, more_bytes);
}
