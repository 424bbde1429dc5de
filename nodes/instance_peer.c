/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The driver of a virtio-user server waits in accept() for its vhost peer, for ever and before any
 * port exists. A thread beside it says so after a moment; when nobody has come in time it knocks
 * itself and hangs up: the driver gives the device up, and the start fails with a reason instead of
 * holding the program. It does so at once when the program is asked to end and has a handler for it, which
 * runs when the start is over: the thread that starts has all signals blocked. Without a handler the program
 * ends right here (instance_wait.h).
 */
#include "nodes/instance_peer.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "common/say.h"
#include "nodes/eal.h"
#include "nodes/instance_wait.h"

#define LOOK_MS 100

/* The socket path, where the argument makes a virtio-user server. */
static bool
find_path(const char *arg, struct sockaddr_un *addr)
{
	const char *path = strstr(arg, ",path=");
	int len;

	if (strstr(arg, "virtio_user") == NULL || strstr(arg, ",server=1") == NULL || path == NULL)
		return false;
	path += strlen(",path=");
	len = (int)strcspn(path, ",");
	addr->sun_family = AF_UNIX;
	return (size_t)snprintf(addr->sun_path, sizeof(addr->sun_path), "%.*s", len, path) <
		sizeof(addr->sun_path);
}

static bool
find_any_path(const char *const *args, unsigned int n, struct sockaddr_un *addr)
{
	for (unsigned int i = 0; i < n; i++) {
		if (find_path(args[i], addr))
			return true;
	}
	return false;
}

static uint64_t
now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Lock held, but for the time of the wait. */
static void
pause_for_a_look(struct peer_watch *w)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_nsec += LOOK_MS * 1000000;
	until.tv_sec += until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	pthread_cond_timedwait(&w->wake, &w->lock, &until);
}

/* False: the driver does not listen, so it is elsewhere. */
static bool
knock(const struct sockaddr_un *addr)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool done = fd >= 0 && connect(fd, (const struct sockaddr *)addr, sizeof(*addr)) == 0;

	if (fd >= 0)
		close(fd);
	return done;
}

static void *
watch(void *arg)
{
	struct peer_watch *w = arg;
	const uint64_t start = now_ms();
	bool said = false;

	pthread_mutex_lock(&w->lock);
	while (!w->is_over && !w->gave_up) {
		uint64_t ms = now_ms() - start;

		if (!said && ms >= PEER_NOTICE_S * 1000) {
			say("waiting for a vhost peer at %s", w->addr.sun_path);
			said = true;
		}
		w->has_signal = instance_signal_ends_wait_of_other(w->mask);
		w->gave_up = (w->has_signal || ms >= PEER_WAIT_S * 1000) && knock(&w->addr);
		if (!w->gave_up)
			pause_for_a_look(w);
	}
	pthread_mutex_unlock(&w->lock);
	return NULL;
}

/* A server that was killed leaves its socket file, and the driver's bind() would fail. */
static void
remove_stale_socket(const struct sockaddr_un *addr)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return;
	if (connect(fd, (const struct sockaddr *)addr, sizeof(*addr)) < 0 && errno == ECONNREFUSED)
		unlink(addr->sun_path);
	close(fd);
}

void
peer_watch_start(struct peer_watch *w, const struct eal_params *p, const sigset_t *mask)
{
	memset(w, 0, sizeof(*w));
	w->mask = mask;
	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->wake, NULL);
	if (!find_any_path(p->args, p->n_args, &w->addr) &&
		!find_any_path(p->extra, p->n_extra, &w->addr))
		return;
	remove_stale_socket(&w->addr);
	w->is_running = pthread_create(&w->thread, NULL, watch, w) == 0;
}

int
peer_watch_stop(struct peer_watch *w)
{
	if (w->is_running) {
		pthread_mutex_lock(&w->lock);
		w->is_over = true;
		pthread_cond_signal(&w->wake);
		pthread_mutex_unlock(&w->lock);
		pthread_join(w->thread, NULL);
	}
	pthread_cond_destroy(&w->wake);
	pthread_mutex_destroy(&w->lock);
	if (!w->gave_up)
		return 0;
	unlink(w->addr.sun_path);
	return w->has_signal ? -EINTR : -ETIMEDOUT;
}
