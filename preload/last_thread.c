/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A process ends by exit(0) when its last thread does (pthread_exit(3)). libc counts all threads for that,
 * and the library's would keep the process for ever: without a thread of the program there is nobody who
 * ends it, and nobody who takes a signal, for ours block all of them.
 *
 * Where the first thread goes on to the end, as in nearly all programs, nothing of this happens. If it
 * ends alone, the destructor of its key starts a thread that looks from time to time whether the program
 * still has one: the kernel says how many threads there are (the links of /proc/self/task), and those of
 * the library count themselves while they run. When only those, the first one (which stays as a zombie)
 * and the looking thread are left, that one calls exit(0), with the signal mask of the first thread.
 *
 * A thread counts itself before it is looked at and stops before it is gone, so the count is never too
 * high, but for a moment between two looks: the same answer must come twice. Not seen: a first thread
 * that ends by the system call itself (SYS_exit), for its destructors do not run.
 */
#include "preload/last_thread.h"
#include "preload/boot.h"
#include "preload/libc.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { LOOK_NS = 20000000, STACK_BYTES = 256 * 1024 };

static _Atomic unsigned int n_own;
static pthread_key_t key;
static pthread_once_t key_once = PTHREAD_ONCE_INIT;
static sigset_t mask; /* of the first thread */

/* All threads of the process, also one that has ended and waits for the others; 0: not known. */
static unsigned int count_all(void)
{
	struct stat st;

	/* One link is for each, and two are the directory's own. */
	return stat("/proc/self/task", &st) == 0 && st.st_nlink > 2 ? (unsigned int)st.st_nlink - 2 : 0;
}

static bool first_has_ended(void)
{
	char text[128];
	const char *state;
	ssize_t n;
	int fd;

	snprintf(text, sizeof(text), "/proc/self/task/%d/stat", (int)getpid());
	fd = libc.open(text, O_RDONLY | O_CLOEXEC, 0);
	if (fd < 0)
		return false;
	n = libc.read(fd, text, sizeof(text) - 1);
	libc.close(fd);
	text[n > 0 ? n : 0] = '\0';
	state = strrchr(text, ')'); /* the name may have any character */
	return state && strncmp(state, ") Z", 3) == 0;
}

/* Are only the first thread, those of the library and the caller left? */
static bool none_is_left(void)
{
	unsigned int own = atomic_load(&n_own);

	return count_all() == own + 2 && atomic_load(&n_own) == own && first_has_ended();
}

static void *look(void *arg)
{
	const struct timespec pause = {.tv_nsec = LOOK_NS};
	int n_times = 0;

	while (n_times < 2) {
		nanosleep(&pause, NULL);
		n_times = none_is_left() ? n_times + 1 : 0;
	}
	pthread_sigmask(SIG_SETMASK, &mask, NULL);
	exit(0);
}

/* The first thread ends, and the process does not. */
static void first_ends(void *arg)
{
	pthread_attr_t attr;
	pthread_t thread;
	sigset_t all;

	if (!boot_is_idle() && !boot_is_up())
		return;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &mask);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_BYTES);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	if (libc.pthread_create(&thread, &attr, look, NULL) == 0)
		pthread_setname_np(thread, "gazelle-last");
	else
		boot_say("no thread can be made: the program does not end with its last thread");
	pthread_attr_destroy(&attr);
	pthread_sigmask(SIG_SETMASK, &mask, NULL);
}

static void make_key(void)
{
	pthread_key_create(&key, first_ends);
}

void last_thread_begin(void)
{
	atomic_store(&n_own, 0);
	pthread_once(&key_once, make_key);
	pthread_setspecific(key, &key);
}

void last_thread_begin_own(void)
{
	atomic_fetch_add(&n_own, 1);
}

void last_thread_end_own(void *arg)
{
	atomic_fetch_sub(&n_own, 1);
}
