/* SPDX-License-Identifier: BSD-3-Clause */
/* Registration with ltran without liblstack. */
#include "tests/ltran_client.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define ANSWER_MS 5000
#define TABLE_SLOTS 1024

int
ltran_client_connect(const char *dir, const char *prefix)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	int fd, err;

	if ((size_t)snprintf(to.sun_path, sizeof(to.sun_path), "%s/%s%s", dir, prefix,
		LTRAN_SOCKET) >= sizeof(to.sun_path))
		return -ENAMETOOLONG;
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0)
		return fd;
	err = -errno;
	close(fd);
	return err;
}

int
ltran_client_table(uint16_t n_tables, uint32_t n_slots)
{
	struct ltran_table_head head = { .magic = LTRAN_MAGIC, .version = LTRAN_VERSION,
		.n_tables = n_tables, .n_slots = n_slots };
	off_t bytes = LTRAN_TABLE_OFFSET +
		(off_t)n_tables * n_slots * (off_t)sizeof(struct ltran_slot);
	int fd = memfd_create("ltran-table", MFD_CLOEXEC | MFD_ALLOW_SEALING), err;

	if (fd < 0)
		return -errno;
	if (fallocate(fd, 0, 0, bytes) == 0 && pwrite(fd, &head, sizeof(head), 0) == sizeof(head) &&
		fcntl(fd, F_ADD_SEALS,
			F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL) == 0)
		return fd;
	err = -errno;
	close(fd);
	return err;
}

void
ltran_client_fill(struct ltran_register *r, uint32_t addr, uint32_t mask, uint16_t n_queues)
{
	*r = (struct ltran_register){
		.header = { LTRAN_MAGIC, LTRAN_VERSION, LTRAN_REGISTER, 0, 0 },
		.addr = addr, .mask = mask, .n_queues = n_queues, .mtu = 1500, .program = "guest",
	};
}

int
ltran_client_send(int fd, const void *message, size_t len, int pass)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	struct iovec io = { (void *)(uintptr_t)message, len };
	struct msghdr msg = { .msg_iov = &io, .msg_iovlen = 1 };
	struct cmsghdr *c;

	if (pass >= 0) {
		msg.msg_control = control.bytes;
		msg.msg_controllen = sizeof(control.bytes);
		c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &pass, sizeof(int));
	}
	return sendmsg(fd, &msg, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

int
ltran_client_receive(int fd, void *message, size_t len, int timeout_ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	ssize_t n;

	n = poll(&p, 1, timeout_ms);
	if (n == 0)
		return -ETIMEDOUT;
	if (n > 0)
		n = recv(fd, message, len, 0);
	return n < 0 ? -errno : (int)n;
}

static int kick_fd = -1;

int
ltran_client_kick(void)
{
	return kick_fd;
}

/* The answer with its doorbells, of which the kick alone is kept. */
static int
receive_answer(int fd, struct ltran_registered *answer)
{
	union {
		struct cmsghdr head;
		char bytes[CMSG_SPACE(LTRAN_FDS_MAX * sizeof(int))];
	} control = { 0 };
	struct pollfd p = { .fd = fd, .events = POLLIN };
	struct iovec io = { answer, sizeof(*answer) };
	struct msghdr msg = { .msg_iov = &io, .msg_iovlen = 1, .msg_control = &control,
		.msg_controllen = sizeof(control) };
	ssize_t n = poll(&p, 1, ANSWER_MS);
	size_t n_fds = 0;

	if (n == 0)
		return -ETIMEDOUT;
	if (n > 0)
		n = recvmsg(fd, &msg, MSG_CMSG_CLOEXEC);
	if (n < 0)
		return -errno;
	if (CMSG_FIRSTHDR(&msg) != NULL)
		n_fds = (control.head.cmsg_len - CMSG_LEN(0)) / sizeof(int);
	for (size_t i = 0; i < n_fds; i++) {
		int got;

		memcpy(&got, CMSG_DATA(&control.head) + i * sizeof(got), sizeof(got));
		if (i == LTRAN_FD_KICK)
			kick_fd = got;
		else
			close(got);
	}
	return (int)n;
}

int
ltran_client_register(int fd, const struct ltran_register *r, struct ltran_registered *answer)
{
	int table = ltran_client_table(r->n_queues, TABLE_SLOTS), ret;

	if (table < 0)
		return table;
	memset(answer, 0, sizeof(*answer));
	ret = ltran_client_send(fd, r, sizeof(*r), table);
	close(table);
	if (ret < 0)
		return ret;
	ret = receive_answer(fd, answer);
	if (ret < 0)
		return ret;
	return ret == sizeof(*answer) ? answer->header.status : -ECONNRESET;
}
