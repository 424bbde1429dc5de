/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Programs whose first thread ends by pthread_exit(): when they end, and how. Each is a child that makes
 * connections of its own. See tests/probe.h for how it is used.
 *
 *	leave_probe ADDRESS
 */
#include "tests/probe.h"

#include <pthread.h>
#include <stdbool.h>
#include <sys/wait.h>
#include <time.h>

enum { CHILD_S = 8, LOOK_MS = 20 };

static struct pair shared;
static int ready[2]; /* a child says that it waits */

static void nap(long ms)
{
	struct timespec t = {ms / 1000, ms % 1000 * 1000000};

	nanosleep(&t, NULL);
}

static bool moves(void)
{
	char text[8];

	return send(shared.client, "ping", 4, 0) == 4 && recv(shared.server, text, 8, 0) == 4 &&
		memcmp(text, "ping", 4) == 0;
}

static void at_exit(void)
{
	printf("at exit: moves %d\n", moves());
}

static void *move_later(void *arg)
{
	nap(300);
	printf("thread: moves %d\n", moves());
	return NULL;
}

static void *hand_on(void *arg)
{
	pthread_t next;

	nap(100);
	pthread_create(&next, NULL, move_later, NULL);
	pthread_detach(next);
	return NULL;
}

static void *wait_for_data(void *arg)
{
	char c = 'w';

	printf("waiting\n");
	if (write(ready[1], &c, 1) == 1)
		recv(shared.server, &c, 1, 0);
	return NULL;
}

static void *exit_later(void *arg)
{
	nap(200);
	exit(5);
}

static void run(void *(*thread)(void *), bool has_network)
{
	pthread_t id;

	if (has_network) {
		shared = pair_open();
		printf("moves %d\n", moves());
		atexit(at_exit);
	}
	if (thread)
		pthread_create(&id, NULL, thread, NULL);
	pthread_exit(NULL);
}

/* The status of the child; one that does not end is killed. */
static void probe(const char *name, void *(*thread)(void *), bool has_network, int sig)
{
	int status = -1;
	pid_t pid;
	char c;

	title(name);
	pid = fork();
	if (pid == 0)
		run(thread, has_network);
	if (sig && read(ready[0], &c, 1) == 1) {
		nap(200); /* the first thread has ended by then */
		kill(pid, sig);
	}
	for (int ms = 0; waitpid(pid, &status, WNOHANG) == 0 && ms < CHILD_S * 1000; ms += LOOK_MS)
		nap(LOOK_MS);
	if (status == -1) {
		kill(pid, SIGKILL);
		waitpid(pid, &status, 0);
	}
	printf("%s: %x\n", name, (unsigned int)status);
}

int main(int argc, char **argv)
{
	probe_begin(argc, argv);
	if (pipe(ready) < 0)
		return 1;
	probe("no network", NULL, false, 0);
	probe("the first alone", NULL, true, 0);
	probe("a thread goes on", move_later, true, 0);
	probe("a thread makes another", hand_on, true, 0);
	probe("a thread calls exit", exit_later, true, 0);
	probe("a thread waits", wait_for_data, true, SIGTERM);
	return 0;
}
