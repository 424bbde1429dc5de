/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Answers to registrations, which bring the doorbells' descriptors.
 *
 * A descriptor that has been sent and not yet received is on its way. The kernel counts those by the user who
 * has sent them, and lets a process without capabilities send no further ones while its user has more on
 * their way than the process may open (ETOOMANYREFS). Our answers count as ours until the instance reads them
 * or closes its end, even when we have closed ours. So whoever registered again and again without
 * reading an answer would in the end keep ltran from answering anybody. Therefore a connection with an unread
 * answer is held until that has gone; a process that has UNREAD_MAX of them, and a user who has a part of
 * what ltran may have on its way, get no further ones.
 *
 * Instances of ltran's own user can use up that count by what they send to each other. An answer waits for
 * them, for a while.
 */
#include <errno.h>
#include <linux/sockios.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "dispatcher/closer.h"
#include "dispatcher/registry.h"

#define UNREAD_MAX 2      /* answers to one process */
#define USER_FDS_MAX 1024 /* descriptors in answers to one user ... */
#define USER_PART 8       /* ... or this part of RLIMIT_NOFILE, where that is less */
#define WAIT_US 5000000

static unsigned int
user_fds_max(void)
{
	struct rlimit most = {.rlim_cur = RLIM_INFINITY};

	getrlimit(RLIMIT_NOFILE, &most);
	return most.rlim_cur / USER_PART < USER_FDS_MAX ? (unsigned int)(most.rlim_cur / USER_PART) :
		USER_FDS_MAX;
}

/* Something of what we have sent has not been received. */
static bool
is_unread(int fd)
{
	int bytes = 0;

	return ioctl(fd, SIOCOUTQ, &bytes) == 0 && bytes > 0;
}

/* `u` has an answer with descriptors, read or not. */
static bool
still_unread(struct registry_unread *u, int fd)
{
	if (u->n_fds > 0 && !is_unread(fd))
		u->n_fds = 0;
	return u->n_fds > 0;
}

int
registry_check_unread(struct registry *r, const struct registry_peer *peer, char *text)
{
	unsigned int n = 0, n_fds = 0;

	for (struct registry_client *c = r->clients; c != NULL; c = c->next) {
		if (c->peer.uid != peer->uid || !still_unread(&c->unread, c->fd))
			continue;
		n += c->peer.pid == peer->pid;
		n_fds += c->unread.n_fds;
	}
	for (struct registry_unread *u = r->unread; u != NULL; u = u->next) {
		if (u->peer.uid != peer->uid || !still_unread(u, u->fd))
			continue;
		n += u->peer.pid == peer->pid;
		n_fds += u->n_fds;
	}
	if (n < UNREAD_MAX && n_fds < user_fds_max())
		return 0;
	snprintf(text, LTRAN_TEXT_MAX, "%s has not read ltran's answers to %s",
		n < UNREAD_MAX ? "its user" : "this process", n < UNREAD_MAX ? "many registrations" :
		"its earlier registrations");
	return -EBUSY;
}

bool
registry_hold_unread(struct registry *r, struct registry_client *c)
{
	struct registry_unread *u = still_unread(&c->unread, c->fd) ? malloc(sizeof(*u)) : NULL;

	if (u == NULL)
		return false;
	shutdown(c->fd, SHUT_RDWR);
	*u = (struct registry_unread){.next = r->unread, .fd = c->fd, .n_fds = c->unread.n_fds,
		.peer = c->peer};
	r->unread = u;
	return true;
}

void
registry_drop_unread(struct registry *r, bool all)
{
	struct registry_unread **at = &r->unread, *u;

	while ((u = *at) != NULL) {
		if (!all && still_unread(u, u->fd)) {
			at = &u->next;
			continue;
		}
		*at = u->next;
		closer_hang_up(u->fd);
		free(u);
	}
}

/* --- answers -------------------------------------------------------------------------------------------- */

/* False, with errno: not sent. */
static bool
send_answer(const struct registry *r, struct registry_client *c, int status, const char *text)
{
	struct ltran_registered a = {.header = {.magic = LTRAN_MAGIC, .version = LTRAN_VERSION,
		.type = LTRAN_REGISTER, .status = status}};
	const int *fds = NULL;
	unsigned int n_fds = 0;

	snprintf(a.text, sizeof(a.text), "%s", text);
	if (c->m != NULL) {
		fds = c->m->bell_fds;
		n_fds = c->m->n_bell_fds;
		a.worker = c->m->worker;
		memcpy(a.mac, r->lt->mac.addr_bytes, sizeof(a.mac));
		a.mtu = r->lt->mtu;
		a.queue_size = REGISTRY_QUEUE_SIZE;
		memcpy(a.blocks, c->m->blocks, sizeof(a.blocks));
		memcpy(a.path, c->m->path, sizeof(a.path));
	}
	if (!registry_send(c->fd, &a, sizeof(a), fds, n_fds))
		return false;
	c->unread.n_fds = n_fds;
	if (c->m != NULL)
		registry_close_bells(c->m);
	return true;
}

void
registry_answer(struct registry *r, struct registry_client *c, int status, const char *text)
{
	bool is_sent = send_answer(r, c, status, text);

	if (!is_sent && errno == ETOOMANYREFS && c->m != NULL)
		c->answer_until_us = registry_now_us() + WAIT_US;
	else if (!is_sent || status < 0)
		registry_close_client(r, c, "it does not take our answer");
}

bool
registry_answer_again(struct registry *r, uint64_t now_us)
{
	bool is_waiting = false;

	for (struct registry_client *c = r->clients; c != NULL; c = c->next) {
		if (c->is_closed || c->answer_until_us == 0)
			continue;
		if (send_answer(r, c, 0, ""))
			c->answer_until_us = 0;
		else if (errno == ETOOMANYREFS && now_us < c->answer_until_us)
			is_waiting = true;
		else
			registry_close_client(r, c, "too many descriptors of ltran's user are on their way");
	}
	return is_waiting;
}
