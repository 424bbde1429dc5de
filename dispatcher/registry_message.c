/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What instances say and are answered.
 *
 * What is not exactly a message ends the connection: a peer that speaks another language has no business
 * here, and there is no state to be repaired.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dispatcher/closer.h"
#include "dispatcher/log.h"
#include "dispatcher/registry.h"

/* An instance may find out sooner than we that its connection has ended. */
static bool
supersede(struct registry *r, const char *path)
{
	struct member *before = registry_member_with(r, path);
	struct registry_client *c;

	if (before == NULL)
		return true;
	for (c = r->clients; c != NULL && c->m != before; c = c->next)
		;
	r->superseded = before;
	if (c != NULL)
		registry_close_client(r, c, NULL);
	return !r->is_unsettled;
}

void
registry_register(struct registry *r, struct registry_client *c, const struct ltran_register *q,
	int table_fd)
{
	char text[LTRAN_TEXT_MAX] = "";
	int status = registry_check_request(r->lt, q, text);

	if (status == 0)
		status = registry_check_user(r, c->peer.uid, registry_now_us(), text);
	if (status == 0)
		status = registry_check_unread(r, &c->peer, text);
	if (status == 0 && q->resumes) {
		status = registry_check_ring(r, q, &c->peer, text);
		if (status == 0 && !supersede(r, q->path))
			status = -EAGAIN;
	}
	if (status == 0)
		status = registry_check_sharing(r, q, &c->peer, text);
	if (status == 0)
		c->m = registry_join(r, q, &c->peer, c->fd, table_fd, &status, text);
	else if (table_fd >= 0)
		closer_close(table_fd, c->peer.uid);
	if (status == 0 && q->resumes)
		registry_arrived(r, q->path);
	if (status < 0) {
		r->n_refused++;
		log_info("process %d is refused: %s", (int)c->peer.pid, text);
	}
	registry_answer(r, c, status, text);
	r->check_us = 0;
}

static void
handle_register(struct registry *r, struct registry_client *c, const struct ltran_register *q,
	int table_fd)
{
	if (q->resumes || !registry_is_expecting(r, registry_now_us())) {
		registry_register(r, c, q, table_fd);
		return;
	}
	c->waiting = malloc(sizeof(*c->waiting));
	if (c->waiting == NULL) {
		if (table_fd >= 0)
			closer_close(table_fd, c->peer.uid);
		registry_close_client(r, c, NULL);
		return;
	}
	*c->waiting = (struct registry_waiting){.request = *q, .table_fd = table_fd};
}

static void
handle_listen(struct registry *r, struct registry_client *c, struct ltran_listen *q)
{
	q->pid = 0;
	q->header.status = registry_may_listen(r, c, q, &q->pid);
	if (!registry_send(c->fd, q, sizeof(*q), NULL, 0))
		registry_close_client(r, c, "it does not take our answers");
}

static void
handle_ports(struct registry *r, struct registry_client *c, struct ltran_ports *q)
{
	unsigned int n;

	pthread_mutex_lock(&r->lock);
	n = registry_give_ports(r, c->m, 1);
	pthread_mutex_unlock(&r->lock);
	q->header.status = n > 0 ? 0 : -ENOSPC;
	memcpy(q->blocks, c->m->blocks, sizeof(q->blocks));
	if (!registry_send(c->fd, q, sizeof(*q), NULL, 0))
		registry_close_client(r, c, "it does not take our answers");
}

bool
registry_handle(struct registry *r, struct registry_client *c, union registry_message *q, size_t len,
	int *fd)
{
	bool is_known = c->m != NULL;

	if (len < sizeof(q->header) || q->header.magic != LTRAN_MAGIC)
		return false;
	if (*fd >= 0 && q->header.type != LTRAN_REGISTER)
		return false; /* a descriptor where there is none */
	if (q->header.version != LTRAN_VERSION && !is_known && c->waiting == NULL) {
		registry_answer(r, c, -EPROTO, "ltran and the instance are of different "
			"versions");
		return true;
	}
	if (q->header.version != LTRAN_VERSION)
		return false;
	switch (q->header.type) {
	case LTRAN_REGISTER:
		if (is_known || c->waiting != NULL || len != sizeof(q->request))
			return false;
		handle_register(r, c, &q->request, *fd);
		*fd = -1;
		return true;
	case LTRAN_LISTEN:
		if (!is_known || len != sizeof(q->listen))
			return false;
		handle_listen(r, c, &q->listen);
		return true;
	case LTRAN_PORTS:
		if (!is_known || len != sizeof(q->ports))
			return false;
		handle_ports(r, c, &q->ports);
		return true;
	default:
		return false;
	}
}
