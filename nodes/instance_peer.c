/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The driver of a virtio-user server waits in accept() for its vhost peer, for ever and before any
 * port exists. A thread beside it says so after a moment; when nobody has come in time it knocks
 * itself and hangs up: the driver gives the device up, and the start fails with a reason instead of
 * holding the program.
 */
#include "nodes/instance_peer.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "common/say.h"
#include "nodes/eal.h"

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

/* Returns with the lock held; true: it is over. */
static bool
wait_seconds(struct peer_watch *w, int seconds)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += seconds;
	while (!w->is_over && pthread_cond_timedwait(&w->wake, &w->lock, &until) == 0)
		;
	return w->is_over;
}

static void *
watch(void *arg)
{
	struct peer_watch *w = arg;
	int fd;

	pthread_mutex_lock(&w->lock);
	if (!wait_seconds(w, PEER_NOTICE_S)) {
		say("waiting for a vhost peer at %s", w->addr.sun_path);
		if (!wait_seconds(w, PEER_WAIT_S - PEER_NOTICE_S)) {
			w->gave_up = true;
			fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
			if (fd >= 0 && connect(fd, (struct sockaddr *)&w->addr,
				sizeof(w->addr)) < 0)
				w->gave_up = false; /* not listening: the driver is elsewhere */
			if (fd >= 0)
				close(fd);
		}
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
peer_watch_start(struct peer_watch *w, const struct eal_params *p)
{
	memset(w, 0, sizeof(*w));
	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->wake, NULL);
	if (!find_any_path(p->args, p->n_args, &w->addr) &&
		!find_any_path(p->extra, p->n_extra, &w->addr))
		return;
	remove_stale_socket(&w->addr);
	w->is_running = pthread_create(&w->thread, NULL, watch, w) == 0;
}

bool
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
	if (w->gave_up)
		unlink(w->addr.sun_path);
	return w->gave_up;
}
