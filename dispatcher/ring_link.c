/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * librte_vhost reads the messages of all instances in one thread, with calls that block, and holds
 * locks meanwhile that workers spin on. So no instance speaks to it. ltran's control thread reads what
 * an instance says, without ever waiting for the second half of a message, asks vhost_rules.c, and
 * hands whole messages to librte_vhost over a socket pair whose other end takes the place of the
 * connection that librte_vhost believes to have made (vhost_connect.c).
 *
 * One message is under way at a time. librte_vhost is asked to acknowledge each, whether the instance
 * wants that or not: so it is known when a message has had its effect and whether it was liked, and the
 * ring is out of the workers' hands meanwhile. What is not liked ends the instance's ring at once,
 * before anybody touches what librte_vhost may have left half done.
 */
#include "dispatcher/ring_link.h"

#include "dispatcher/helper.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "dispatcher/closer.h"

#define MESSAGES_PER_CALL 64 /* then others have their turn */
#define MESSAGES_BURST 8192  /* a start with 64 queue pairs takes about 1500 */
#define MESSAGES_PER_S 500
#define UNSENT_US 5000000
#define FDS_PER_MESSAGE 253  /* the kernel's bound (SCM_MAX_FD): none is closed by it in our place */

static void
drop_fds(struct ring_link *l)
{
	while (l->n_fds > 0)
		closer_close(l->fds[--l->n_fds], l->uid);
}

static bool
is_peer(int fd, pid_t pid, uid_t uid)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 && peer.pid == pid &&
		peer.uid == uid;
}

static uint64_t
physical_bytes(void)
{
	return (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
}

int
ring_link_open(struct ring_link *l, const char *path, pid_t pid, uid_t uid, uint16_t n_queues,
	int *vhost_end)
{
	int fd, pair[2], ret = -EPERM;

	*l = (struct ring_link){.instance_fd = -1, .vhost_fd = -1};
	fd = helper_connect_ring(path, uid);
	if (fd < 0)
		return fd;
	if (is_peer(fd, pid, uid))
		ret = socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0 ? -errno : 0;
	if (ret < 0) {
		close(fd);
		return ret;
	}
	l->instance_fd = fd;
	l->uid = uid;
	l->vhost_fd = pair[0];
	*vhost_end = pair[1];
	l->rules.n_rings = 2 * n_queues;
	l->rules.memory_max = physical_bytes();
	return 0;
}

void
ring_link_close(struct ring_link *l)
{
	drop_fds(l);
	if (l->instance_fd >= 0)
		closer_hang_up(l->instance_fd);
	if (l->vhost_fd >= 0)
		close(l->vhost_fd);
	l->instance_fd = l->vhost_fd = -1;
	l->is_waiting = false;
	l->unsent_us = 0;
}

/* --- from the instance ------------------------------------------------------------------------------ */

/* Bytes of the message as far as is known by now; 0: it cannot be one. */
static uint32_t
message_bytes(const struct ring_link *l)
{
	if (l->n_in < VHOST_HEADER)
		return VHOST_HEADER;
	return l->in.size <= sizeof(l->in.payload) ? VHOST_HEADER + l->in.size : 0;
}

/* 1: a message is there; 0: not yet; -1: it has hung up. */
static int
read_message(struct ring_link *l)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(FDS_PER_MESSAGE * sizeof(int))];
	} control;
	uint32_t want;

	while ((want = message_bytes(l)) > l->n_in) {
		struct iovec iov = {(char *)&l->in + l->n_in, want - l->n_in};
		struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control,
			.msg_controllen = sizeof(control)};
		ssize_t n = recvmsg(l->instance_fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return 0;
		if (n <= 0)
			return -1;
		/* Those of a table of memory are kept; more than that fits nowhere. */
		l->n_fds += closer_take_fds(&msg, l->fds + l->n_fds, VHOST_REGIONS_MAX - l->n_fds,
			l->uid);
		l->n_in += (uint32_t)n;
	}
	return 1;
}

/* --- to librte_vhost and back ----------------------------------------------------------------------- */

static bool
send_message(struct ring_link *l)
{
	union {
		struct cmsghdr head;
		char bytes[CMSG_SPACE(VHOST_REGIONS_MAX * sizeof(int))];
	} control = {.head = {.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS}};
	struct iovec iov = {&l->in, VHOST_HEADER + l->in.size};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

	if (vhost_message_has_memory(&l->in)) {
		control.head.cmsg_len = CMSG_LEN(l->n_fds * sizeof(int));
		memcpy(CMSG_DATA(&control.head), l->fds, l->n_fds * sizeof(int));
		msg.msg_control = &control;
		msg.msg_controllen = CMSG_SPACE(l->n_fds * sizeof(int));
	}
	return sendmsg(l->vhost_fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)iov.iov_len;
}

/*
 * The kernel counts the descriptors that are on their way by user, and we have no capability to pass its
 * bound (registry_answer.c): what cannot be sent for that is tried again for a while.
 */
static enum ring_link_state
transmit(struct ring_link *l, uint64_t now_us, char *why)
{
	bool is_sent;

	if (vhost_message_has_memory(&l->in) && helper_keep_pages(l->fds, l->n_fds, l->uid) < 0) {
		snprintf(why, VHOST_WHY_MAX, "a system call that takes pages of its memory away does not end");
		return RING_LINK_REFUSED;
	}
	is_sent = send_message(l);
	if (!is_sent && errno == ETOOMANYREFS) {
		if (l->unsent_us == 0)
			l->unsent_us = now_us;
		if (now_us - l->unsent_us < UNSENT_US)
			return RING_LINK_OPEN;
		snprintf(why, VHOST_WHY_MAX, "too many descriptors of ltran's user are on their way");
		return RING_LINK_REFUSED;
	}
	drop_fds(l);
	l->n_in = 0;
	l->unsent_us = 0;
	l->is_waiting = is_sent;
	return is_sent ? RING_LINK_OPEN : RING_LINK_ENDED;
}

static enum ring_link_state
hand_on(struct ring_link *l, const struct ring_link_ops *ops, void *arg, uint64_t now_us, char *why)
{
	l->wants_answer = (l->in.flags & VHOST_FLAG_NEED_REPLY) || vhost_message_is_answered(&l->in);
	if (vhost_rules_check(&l->rules, &l->in, l->fds, l->n_fds, why) < 0)
		return RING_LINK_REFUSED;
	if (!vhost_message_is_answered(&l->in))
		l->in.flags |= VHOST_FLAG_NEED_REPLY;
	if (!vhost_message_is_question(&l->in))
		ops->pause(arg);
	return transmit(l, now_us, why);
}

static enum ring_link_state
take_answer(struct ring_link *l, const struct ring_link_ops *ops, void *arg, char *why)
{
	struct vhost_message m;
	ssize_t n = recv(l->vhost_fd, &m, sizeof(m), MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return RING_LINK_OPEN;
	if (n < (ssize_t)VHOST_HEADER || n != (ssize_t)(VHOST_HEADER + m.size))
		return RING_LINK_ENDED;
	if (!vhost_message_is_answered(&m) && m.payload.number != 0) {
		snprintf(why, VHOST_WHY_MAX, "librte_vhost does not accept its message %u", m.request);
		return RING_LINK_REFUSED;
	}
	l->is_waiting = false;
	if (!vhost_message_is_question(&m))
		ops->resume(arg);
	if (l->wants_answer && send(l->instance_fd, &m, n, MSG_DONTWAIT | MSG_NOSIGNAL) != n) {
		snprintf(why, VHOST_WHY_MAX, "it does not take the answers to its messages");
		return RING_LINK_REFUSED;
	}
	return RING_LINK_OPEN;
}

/* A bucket that fills up again. */
static bool
is_too_much(struct ring_link *l, uint64_t now_us)
{
	uint64_t refilled = (now_us - l->since_us) * MESSAGES_PER_S / 1000000;

	if (refilled > 0) {
		l->n_messages -= refilled < l->n_messages ? refilled : l->n_messages;
		l->since_us = now_us;
	}
	return ++l->n_messages > MESSAGES_BURST;
}

enum ring_link_state
ring_link_serve(struct ring_link *l, const struct ring_link_ops *ops, void *arg, bool may_read,
	uint64_t now_us, char why[VHOST_WHY_MAX])
{
	enum ring_link_state state = RING_LINK_OPEN;

	for (unsigned int i = 0; i < MESSAGES_PER_CALL && state == RING_LINK_OPEN; i++) {
		int got;

		if (l->is_waiting) {
			state = take_answer(l, ops, arg, why);
			if (l->is_waiting)
				return state;
			continue;
		}
		if (l->unsent_us != 0)
			state = transmit(l, now_us, why);
		if (!may_read || l->unsent_us != 0 || state != RING_LINK_OPEN)
			return state;
		if (l->is_waiting)
			continue;
		if (!closer_may_read(l->instance_fd, true, l->uid)) {
			snprintf(why, VHOST_WHY_MAX, CLOSER_FULL_TEXT);
			return RING_LINK_REFUSED;
		}
		got = read_message(l);
		if (got < 0)
			return RING_LINK_ENDED;
		if (message_bytes(l) == 0) {
			snprintf(why, VHOST_WHY_MAX, "a message of %u bytes", l->in.size);
			return RING_LINK_REFUSED;
		}
		if (got == 0)
			return state;
		if (is_too_much(l, now_us)) {
			snprintf(why, VHOST_WHY_MAX, "it floods ltran with messages");
			return RING_LINK_REFUSED;
		}
		l->n_taken++;
		state = hand_on(l, ops, arg, now_us, why);
	}
	return state;
}
