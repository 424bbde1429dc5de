/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Exchanges with many control sockets in one poll loop. Each connects (again and again while too many
 * are in line before it), sends its request, takes the header and then the body. A body's memory
 * grows with what has come, not with what the header promises.
 */
#include "ctl/exchange.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "ctl/messages.h"
#include "ctl/path.h"

#define RETRY_MS 10       /* where a connection has to wait for others, or for a descriptor */
#define CHUNK (64u << 10) /* bytes of the first piece of a body */

int64_t
ctl_now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

int
ctl_exchange_begin(struct ctl_exchange *x, enum ctl_command command, const void *request)
{
	const struct ctl_message *m = ctl_message_find(command);
	struct ctl_header h = {.magic = CTL_MAGIC, .version = CTL_VERSION, .command = command};
	char *body = NULL;
	size_t n = 0;
	int ret = 0;

	x->command = command;
	x->result = CTL_EXCHANGE_GOING;
	x->out = x->body = NULL;
	x->out_len = x->out_done = x->header_done = x->body_done = x->body_room = 0;
	if (m->request != NULL)
		ret = ctl_message_encode(m->request, request, &body, &n);
	if (ret == 0) {
		x->out = malloc(sizeof(h) + n);
		ret = x->out != NULL ? 0 : -ENOMEM;
	}
	if (ret == 0) {
		h.length = n;
		x->out_len = sizeof(h) + n;
		memcpy(x->out, &h, sizeof(h));
		if (n > 0)
			memcpy(x->out + sizeof(h), body, n);
	}
	free(body);
	if (ret < 0)
		x->result = ret;
	return ret;
}

void
ctl_exchange_end(struct ctl_exchange *x)
{
	free(x->out);
	free(x->body);
	x->out = x->body = NULL;
}

/* Room for more of the body, at most for all of it. */
static int
grow_body(struct ctl_exchange *x)
{
	size_t room = x->body_room > 0 ? 2 * x->body_room : CHUNK;
	char *grown;

	if (room > x->header.length)
		room = x->header.length;
	grown = realloc(x->body, room + 1);
	if (grown == NULL)
		return -ENOMEM;
	x->body = grown;
	x->body_room = room;
	return 0;
}

static int
check_header(const struct ctl_exchange *x)
{
	const struct ctl_header *h = &x->header;
	const struct ctl_message *m = ctl_message_find(x->command);
	size_t max = h->status == CTL_OK ? m->answer_max : CTL_REFUSAL_MAX;

	return h->magic == CTL_MAGIC && h->length <= max ? 0 : -EPROTO;
}

/* One recv(). 0: call again; 1: there is nothing now; -errno: it is over. */
static int
take_some(struct ctl_exchange *x)
{
	bool in_header = x->header_done < sizeof(x->header);
	void *to;
	size_t room;
	ssize_t n;
	int ret;

	if (!in_header && x->body_done == x->body_room) {
		ret = grow_body(x);
		if (ret < 0)
			return ret;
	}
	to = in_header ? (char *)&x->header + x->header_done : x->body + x->body_done;
	room = in_header ? sizeof(x->header) - x->header_done : x->body_room - x->body_done;
	n = room > 0 ? recv(x->fd, to, room, MSG_DONTWAIT) : 0;
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 1 : -errno;
	if (n == 0 && room > 0)
		return -ECONNRESET;
	*(in_header ? &x->header_done : &x->body_done) += n;
	if (in_header && x->header_done == sizeof(x->header))
		return check_header(x);
	return 0;
}

static void
take(struct ctl_exchange *x)
{
	int ret = 0;

	while (ret == 0 && (x->header_done < sizeof(x->header) || x->body == NULL ||
		x->body_done < x->header.length))
		ret = take_some(x);
	if (ret > 0)
		return;
	x->result = ret;
	if (ret == 0)
		x->body[x->body_done] = '\0';
}

/* False: the other side takes no more; it may have said why. */
static bool
give(struct ctl_exchange *x)
{
	while (x->out_done < x->out_len) {
		ssize_t n = send(x->fd, x->out + x->out_done, x->out_len - x->out_done,
			MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0)
			return errno == EAGAIN || errno == EINTR;
		x->out_done += n;
	}
	return true;
}

static void
step(struct ctl_exchange *x)
{
	if (x->fd < 0) {
		x->fd = ctl_dial(x->path);
		if (x->fd == -EAGAIN || x->fd == -EMFILE || x->fd == -ENFILE)
			x->fd = -1;
		else if (x->fd < 0)
			x->result = x->fd;
		if (x->fd < 0)
			return;
	}
	if (!give(x))
		x->out_done = x->out_len;
	take(x);
}

void
ctl_exchange_run(struct ctl_exchange *x, size_t n, int64_t deadline_ms)
{
	struct pollfd *fds = calloc(n + 1, sizeof(*fds));

	for (;;) {
		int64_t left = deadline_ms - ctl_now_ms();
		size_t n_going = 0, n_waiting = 0;

		for (size_t i = 0; i < n; i++) {
			if (x[i].result != CTL_EXCHANGE_GOING)
				continue;
			step(&x[i]);
			if (x[i].result != CTL_EXCHANGE_GOING)
				continue;
			if (fds == NULL || left <= 0) {
				x[i].result = fds == NULL ? -ENOMEM : -ETIMEDOUT;
				continue;
			}
			n_waiting += x[i].fd < 0;
			fds[n_going++] = (struct pollfd){.fd = x[i].fd,
				.events = x[i].out_done < x[i].out_len ? POLLIN | POLLOUT : POLLIN};
		}
		if (n_going == 0)
			break;
		if (n_waiting > 0 && left > RETRY_MS)
			left = RETRY_MS;
		poll(fds, n_going, (int)left);
	}
	free(fds);
}
