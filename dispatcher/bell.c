/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Doorbells. Nothing here waits for an instance, whatever it does with its ends:
 *
 *	kick  an eventfd. An instance may fill its counter or clear O_NONBLOCK, which belongs to the
 *	      file description that both share; ltran only polls it and reads with RWF_NOWAIT, and
 *	      reading empties the counter. (A socket would be worse: descriptors can be attached to a
 *	      message, and the kernel closes them in the reader.)
 *	call  a socket pair, because writing to an eventfd can block and has no RWF_NOWAIT. ltran's end is
 *	      shut for reading, so the instance can put nothing into it; ltran sends with MSG_DONTWAIT and
 *	      has nothing more to say when the socket is full.
 *
 * An instance that kicks again and again without bringing a packet would keep its worker from sleeping: after
 * BELL_FALSE_MAX such kicks in a row nobody listens to it until it brings one by itself.
 */
#include "dispatcher/bell.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "dispatcher/dispatcher.h"

_Static_assert(WORKERS_MAX <= LTRAN_WORKERS_MAX, "a flag per worker");

int
bells_start(struct ltran *lt)
{
	void *page;
	int fd = memfd_create("ltran_awake", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0)
		return -errno;
	page = ftruncate(fd, sizeof(struct ltran_awake)) < 0 ? MAP_FAILED :
		mmap(NULL, sizeof(struct ltran_awake), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	/* Instances can neither write to it nor take it away; our mapping stays writable. */
	if (page == MAP_FAILED || fcntl(fd, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK |
		F_SEAL_FUTURE_WRITE | F_SEAL_SEAL) < 0) {
		int ret = -errno;

		if (page != MAP_FAILED)
			munmap(page, sizeof(struct ltran_awake));
		close(fd);
		return ret;
	}
	lt->awake = page;
	lt->awake_fd = fd;
	return 0;
}

void
bells_stop(struct ltran *lt)
{
	if (lt->awake == NULL)
		return;
	munmap(lt->awake, sizeof(*lt->awake));
	close(lt->awake_fd);
	lt->awake = NULL;
}

static int
open_call(int *ours, int *theirs)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
		return -errno;
	*ours = pair[0];
	*theirs = pair[1];
	return shutdown(pair[0], SHUT_RD) < 0 ? -errno : 0;
}

int
bell_open(struct ltran *lt, struct member *m, int fds[LTRAN_FDS_MAX])
{
	int ret, n = LTRAN_FD_CALL;

	for (uint16_t q = 0; q < LTRAN_QUEUES_MAX; q++)
		m->call_fd[q] = -1;
	m->kick_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	fds[LTRAN_FD_KICK] = fcntl(m->kick_fd, F_DUPFD_CLOEXEC, 0);
	fds[LTRAN_FD_AWAKE] = fcntl(lt->awake_fd, F_DUPFD_CLOEXEC, 0);
	ret = fds[LTRAN_FD_KICK] < 0 || fds[LTRAN_FD_AWAKE] < 0 ? -errno : 0;
	for (uint16_t q = 0; q < m->n_queues && ret == 0; q++) {
		ret = open_call(&m->call_fd[q], &fds[n]);
		n += ret == 0;
	}
	if (ret == 0)
		return n;
	for (int i = 0; i < n; i++)
		if (fds[i] >= 0)
			close(fds[i]);
	bell_close(m);
	return ret;
}

void
bell_close(struct member *m)
{
	if (m->kick_fd >= 0)
		close(m->kick_fd);
	m->kick_fd = -1;
	for (uint16_t q = 0; q < m->n_queues; q++) {
		if (m->call_fd[q] >= 0)
			close(m->call_fd[q]);
		m->call_fd[q] = -1;
	}
}

void
bell_call(struct member *m, uint16_t queue, uint32_t sleep_count)
{
	/* Two workers may both ring: the second one costs a wake-up that was due anyway. */
	__atomic_store_n(&m->called[queue], sleep_count, __ATOMIC_RELAXED);
	if (m->call_fd[queue] >= 0 &&
		send(m->call_fd[queue], "", 1, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		return; /* full: it is readable, which is all that is wanted; or the instance has gone */
}

void
bell_take(struct member *m)
{
	uint64_t count;
	struct iovec iov = {&count, sizeof(count)};

	m->n_false_kicks++;
	if (preadv2(m->kick_fd, &iov, 1, -1, RWF_NOWAIT) < 0)
		return; /* the instance has read it back itself */
}
