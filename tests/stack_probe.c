/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Calls on small stacks: the smallest thread, a stack that the program has made itself, and a handler on an
 * alternate stack of 8 KB, which pages without access end. See tests/probe.h for how it is used.
 *
 *	stack_probe ADDRESS handler|thread|made [bytes]
 *
 * The second argument says where the first call of all is made, and exit(): in a handler on an alternate stack
 * of 8 KB, in a thread of PTHREAD_STACK_MIN, or in one on memory of the program. All the rest comes with the
 * handler. With the third argument it also says the depths, on standard error.
 */
#include "tests/probe_calls.h"

#include <limits.h>
#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdbool.h>
#include <sys/mman.h>

enum { ALTERNATE = 8192, PAINTED = 32768, PAINT = 0xa5, DEEPEST = 3072, GUARD = 65536, TICKS = 300, FRAMES = 8192 };

static char *alternate_low; /* of the alternate stack */

/* --- threads -------------------------------------------------------------------------------- */

static void (*work)(void); /* of the next thread or handler */

static void *in_thread(void *arg)
{
	(void)arg;
	work();
	return NULL;
}

static void run_thread(const pthread_attr_t *attr)
{
	pthread_t thread;
	int r = pthread_create(&thread, attr, in_thread, NULL);

	if (r != 0) {
		printf("pthread_create: %s\n", strerrorname_np(r));
		return;
	}
	pthread_join(thread, NULL);
}

static void in_small_thread(size_t bytes)
{
	pthread_attr_t attr;
	size_t seen;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, bytes);
	run_thread(&attr);
	pthread_attr_getstacksize(&attr, &seen);
	printf("the attribute is %s\n", seen == bytes ? "as it was" : "another");
	pthread_attr_destroy(&attr);
}

static void in_default_thread(size_t bytes)
{
	pthread_attr_t attr;
	size_t before;

	pthread_getattr_default_np(&attr);
	pthread_attr_getstacksize(&attr, &before);
	pthread_attr_setstacksize(&attr, bytes);
	pthread_setattr_default_np(&attr);
	run_thread(NULL);
	pthread_attr_setstacksize(&attr, before);
	pthread_setattr_default_np(&attr);
	pthread_attr_destroy(&attr);
}

/* A mapping that ends, below, at pages without access. */
static char *map_guarded(size_t bytes)
{
	char *low = mmap(NULL, GUARD + bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	mprotect(low + GUARD, bytes, PROT_READ | PROT_WRITE);
	return low + GUARD;
}

static void on_made_stack(size_t bytes)
{
	char *low = map_guarded(bytes);
	pthread_attr_t attr;
	void *seen;
	size_t seen_bytes;

	pthread_attr_init(&attr);
	pthread_attr_setstack(&attr, low, bytes);
	run_thread(&attr);
	pthread_attr_getstack(&attr, &seen, &seen_bytes);
	printf("the attribute is %s\n", seen == low && seen_bytes == bytes ? "as it was" : "another");
	pthread_attr_destroy(&attr);
	munmap(low - GUARD, GUARD + bytes);
}

static void handler(int sig)
{
	(void)sig;
	work();
}

static void on_alternate(size_t bytes)
{
	char *low = map_guarded(bytes);
	stack_t stack = {.ss_sp = low, .ss_size = bytes}, none = {.ss_flags = SS_DISABLE};
	struct sigaction act = {.sa_handler = handler, .sa_flags = SA_ONSTACK};

	alternate_low = low;
	sigaltstack(&stack, NULL);
	sigaction(SIGUSR1, &act, NULL);
	raise(SIGUSR1);
	sigaltstack(&none, NULL);
	munmap(low - GUARD, GUARD + bytes);
}

static const struct place {
	const char *name;
	void (*run)(size_t bytes); /* work(), with so much of stack */
	size_t bytes; /* 0: PTHREAD_STACK_MIN, which is no constant */
} places[] = {
	{"handler", on_alternate, ALTERNATE},
	{"thread", in_small_thread, 0},
	{"made", on_made_stack, 0},
	{"thread of 20 KB", in_small_thread, 20480},
	{"thread of 64 KB", in_small_thread, 65536},
	{"thread by default", in_default_thread, 0},
};

enum { N_PLACES = sizeof(places) / sizeof(places[0]) };

static size_t bytes_of(const struct place *place)
{
	return place->bytes != 0 ? place->bytes : (size_t)PTHREAD_STACK_MIN;
}

static void run_at(const struct place *place, void (*what)(void))
{
	work = what;
	place->run(bytes_of(place));
}

/* --- depths --------------------------------------------------------------------------------- */

static const struct call *measured;
static long depth;

/* Paints what lies below, makes the call and looks how far down it has written. */
static __attribute__((noinline)) void measure(void)
{
	char *here = __builtin_frame_address(0), *top = here - 256, *p;

	for (p = alternate_low; p < top; p++)
		*p = (char)PAINT;
	result[0] = measured->make();
	for (p = alternate_low; p < top && *p == (char)PAINT; p++)
		;
	depth = here - p;
}

static void depths(bool says_bytes)
{
	title("depth of the calls in a handler");
	work = measure;
	for (int i = 0; i < N_CALLS; i++) {
		measured = &calls[i];
		on_alternate(PAINTED);
		printf("%s: %s\n", measured->name, depth <= DEEPEST ? "at most 3 KB" : "more than 3 KB");
		if (says_bytes)
			fprintf(stderr, "%s: %ld bytes\n", measured->name, depth);
	}
}

/* --- signals, jumps and ends ---------------------------------------------------------------- */

static volatile sig_atomic_t n_ticks;
static sigjmp_buf back;

static void tick(int sig)
{
	(void)sig;
	n_ticks++;
}

/* Bytes there and back while a timer's handler, which has SA_ONSTACK, comes again and again. */
static void under_ticks(void)
{
	long bad = 0;

	for (char c = 0; n_ticks < TICKS; c++)
		bad += send(at.client, &c, 1, 0) != 1 || recv(at.server, buf, 1, MSG_WAITALL) != 1 ||
			buf[0] != c;
	result[0] = bad;
}

static void ticks(const struct place *place, size_t bytes)
{
	const struct itimerval each = {.it_interval.tv_usec = 300, .it_value.tv_usec = 300}, none = {0};
	struct sigaction act = {.sa_handler = tick, .sa_flags = SA_ONSTACK | SA_RESTART};

	sigaction(SIGALRM, &act, NULL);
	n_ticks = 0;
	setitimer(ITIMER_REAL, &each, NULL);
	work = under_ticks;
	place->run(bytes);
	setitimer(ITIMER_REAL, &none, NULL);
	printf("%s: %ld wrong\n", place->name, result[0]);
}

static void jump(void)
{
	do_poll_in_vain();
	siglongjmp(back, 1);
}

static void jump_and_go_on(void)
{
	void (*before)(void) = work;

	work = jump;
	if (sigsetjmp(back, 1) == 0)
		on_alternate(ALTERNATE);
	work = before;
	make_all();
}

static pthread_t waiting;
static sem_t is_waiting;

static void wait_for_ever(void)
{
	char c;

	waiting = pthread_self();
	sem_post(&is_waiting);
	recv(at.server, &c, 1, 0);
}

static void *cancel(void *arg)
{
	const struct timespec pause = {.tv_nsec = 20000000};

	(void)arg;
	while (sem_wait(&is_waiting) < 0)
		;
	nanosleep(&pause, NULL);
	pthread_cancel(waiting);
	return NULL;
}

/* The kernel's frame of a signal has up to 3.5 KB, and libc's unwinding takes more: on PTHREAD_STACK_MIN of the
 * program's there is no room for them beside the thread-local memory of the library and DPDK. */
static void cancelled(const struct place *place)
{
	pthread_t other;

	pthread_create(&other, NULL, cancel, NULL);
	work = wait_for_ever;
	place->run(bytes_of(place) + FRAMES);
	pthread_join(other, NULL);
}

static void end_thread(void)
{
	do_send();
	do_recv();
	pthread_exit(NULL);
}

/* ------------------------------------------------------------------------------------------- */

static void leave(void)
{
	pair_close(at);
	exit(0);
}

static void everything(bool says_bytes)
{
	for (int i = 0; i < N_PLACES; i++) {
		title(places[i].name);
		run_at(&places[i], make_all);
		show_all();
	}
	depths(says_bytes);
	title("a timer's handler comes in between");
	ticks(&places[0], PAINTED);
	ticks(&places[2], (size_t)PTHREAD_STACK_MIN + FRAMES);
	title("a handler jumps away, and its thread goes on");
	run_at(&places[2], jump_and_go_on);
	show_all();
	title("cancelled and ended");
	for (int i = 1; i < 3; i++) {
		cancelled(&places[i]);
		run_at(&places[i], end_thread);
	}
	run_at(&places[2], make_all);
	show_all();
}

int main(int argc, char **argv)
{
	const struct place *first = places;

	probe_begin(argc, argv);
	while (first < places + N_PLACES - 1 && strcmp(first->name, argc > 2 ? argv[2] : "handler") != 0)
		first++;
	file = memfd_create("nine bytes", 0);
	if (file < 0 || write(file, "nine here", 9) != 9)
		return 1;
	run_at(first, open_all);
	if (first == places)
		everything(argc > 3);
	run_at(first, make_all);
	show_all();
	fflush(stdout);
	run_at(first, leave);
	return 1;
}
