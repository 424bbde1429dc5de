/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The doorbells of an instance. Workers use them without a lock while the link's thread may get new ones
 * (ltran has been restarted): a new descriptor takes the place of the old one under the same number,
 * and a new page that of the old one at the same address, each in one step of the kernel's.
 */
#include "nodes/instance_ltran_bells.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "nodes/instance_ltran_io.h"

void
ltran_bells_init(struct ltran_bells *b, uint16_t n_queues)
{
	b->awake = NULL;
	b->n_queues = n_queues;
	b->kick_fd = -1;
	for (uint16_t q = 0; q < LTRAN_QUEUES_MAX; q++)
		b->call_fd[q] = -1;
}

/* `fd` under the number that is there already, or under one out of the program's way. */
static int
put(int *at, int fd)
{
	if (*at < 0) {
		*at = ltran_io_move_up(fd, -1);
		return 0;
	}
	if (syscall(SYS_dup3, fd, *at, O_CLOEXEC) >= 0) {
		syscall(SYS_close, fd);
		return 0;
	}
	if (errno != EBADF)
		return -errno;
	/* The limit has been lowered below the number meanwhile. It stays open, and with it taken: a
	 * thread may be about to use it. The new one is below the limit, so this happens once. */
	__atomic_store_n(at, ltran_io_move_up(fd, -1), __ATOMIC_RELAXED);
	return 0;
}

static int
map_page(struct ltran_bells *b, int fd)
{
	int flags = MAP_SHARED | (b->awake != NULL ? MAP_FIXED : 0);
	void *page = mmap((void *)(uintptr_t)b->awake, sizeof(*b->awake), PROT_READ, flags, fd, 0);

	if (page == MAP_FAILED)
		return -errno;
	b->awake = page;
	return 0;
}

int
ltran_bells_take(struct ltran_bells *b, uint16_t worker, const int *fds, unsigned int n)
{
	int ret = 0;

	if (n != LTRAN_FD_CALL + (unsigned int)b->n_queues || worker >= LTRAN_WORKERS_MAX) {
		ltran_bells_drop(fds, n);
		return -EPROTO;
	}
	ret = map_page(b, fds[LTRAN_FD_AWAKE]);
	syscall(SYS_close, fds[LTRAN_FD_AWAKE]);
	if (ret == 0)
		ret = put(&b->kick_fd, fds[LTRAN_FD_KICK]);
	for (uint16_t q = 0; q < b->n_queues && ret == 0; q++)
		ret = put(&b->call_fd[q], fds[LTRAN_FD_CALL + q]);
	if (ret == 0)
		atomic_store(&b->worker, worker);
	return ret;
}

void
ltran_bells_drop(const int *fds, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++)
		syscall(SYS_close, fds[i]);
}

void
ltran_bells_close(struct ltran_bells *b)
{
	if (b->kick_fd >= 0)
		syscall(SYS_close, b->kick_fd);
	for (uint16_t q = 0; q < b->n_queues; q++)
		if (b->call_fd[q] >= 0)
			syscall(SYS_close, b->call_fd[q]);
	if (b->awake != NULL)
		munmap((void *)(uintptr_t)b->awake, sizeof(*b->awake));
	ltran_bells_init(b, b->n_queues);
}

void
ltran_bells_hear(const struct ltran_bells *b, uint16_t queue)
{
	char bytes[64];

	if (syscall(SYS_recvfrom, b->call_fd[queue], bytes, sizeof(bytes), MSG_DONTWAIT, NULL, NULL) < 0)
		return; /* nothing */
}
