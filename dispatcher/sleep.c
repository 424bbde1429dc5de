/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sleep: a worker that has found nothing for a moment waits in poll() for
 *
 *   its instances' rings  each has an eventfd that the instance writes to when asked to
 *                         (rte_vhost_enable_guest_notification()); the set is read anew for each
 *                         sleep, because rings come and go
 *   the NIC               see nodes/port_wake.h
 *   the tap device, and the eventfd of sleep_end()
 *
 * or for TICK_MS, when fragments may have to be given up.
 */
#include "dispatcher/sleep.h"

#include <errno.h>
#include <poll.h>
#include <sys/uio.h>
#include <unistd.h>

#include <rte_cycles.h>
#include <rte_vhost.h>

#include "nodes/bond.h"
#include "nodes/port_wake.h"

#define TICK_MS 500
#define FDS_FIXED 3

/* Take what an instance has written into its ring's descriptor. The descriptor is the instance's own
 * choice, so this must not block, whatever it is. */
static void
drain(const struct dispatch_worker *dw, int fd)
{
	uint64_t count;
	struct iovec iov = {&count, sizeof(count)};

	for (unsigned int i = 0; i < dw->n_fds; i++)
		if (dw->fds[i].fd == fd && dw->fds[i].revents != 0) {
			if (preadv2(fd, &iov, 1, -1, RWF_NOWAIT) < 0)
				return; /* taken back, or no eventfd: it wakes us for nothing */
			return;
		}
}

/* Ask a ring for word. */
static void
ask_ring(struct dispatch_worker *dw, int vid, uint16_t q)
{
	struct rte_vhost_vring ring;

	if (dw->n_fds == SLEEP_FDS - FDS_FIXED ||
		rte_vhost_enable_guest_notification(vid, q, 1) < 0 ||
		rte_vhost_get_vhost_vring(vid, q, &ring) < 0 || ring.kickfd < 0)
		return;
	dw->fds[dw->n_fds++] = (struct pollfd){.fd = ring.kickfd, .events = POLLIN};
}

/* The ring may be another one than before the sleep: only what it has now counts. */
static void
release_ring(struct dispatch_worker *dw, int vid, uint16_t q)
{
	struct rte_vhost_vring ring;

	rte_vhost_enable_guest_notification(vid, q, 0);
	if (rte_vhost_get_vhost_vring(vid, q, &ring) == 0 && ring.kickfd >= 0)
		drain(dw, ring.kickfd);
}

static void
each_ring(struct dispatch_worker *dw, void (*fn)(struct dispatch_worker *, int, uint16_t))
{
	const struct map *map = worker_map(dw); /* until the end of this function */

	for (uint16_t i = 0; i < map->n_members; i++) {
		struct member *mb = map->members[i];
		int vid;

		if (mb == NULL || mb->worker != dw->w.index ||
			atomic_load_explicit(&mb->broken, memory_order_relaxed))
			continue;
		vid = atomic_load_explicit(&mb->vid, memory_order_acquire);
		for (uint16_t q = 0; vid >= 0 && q < mb->n_queues; q++)
			fn(dw, vid, 2 * q + 1);
	}
}

bool
sleep_arm(struct dispatch_worker *dw)
{
	int fd = -1;

	if (dw->w.tx_backlog.n > 0)
		return false;
	if (dw->w.rxq != WORKER_NO_PORT) {
		fd = port_wake_arm(&dw->w);
		if (fd < 0)
			return false; /* a port that has to be asked keeps its worker awake */
	}
	atomic_store(&dw->asleep, true);
	dw->n_fds = 0;
	each_ring(dw, ask_ring);
	dw->fds[dw->n_fds++] = (struct pollfd){.fd = dw->wake_fd, .events = POLLIN};
	if (fd >= 0)
		dw->fds[dw->n_fds++] = (struct pollfd){.fd = fd, .events = POLLIN};
	if (dw->w.kernel_fd >= 0 && dw->w.index == 0)
		dw->fds[dw->n_fds++] = (struct pollfd){.fd = dw->w.kernel_fd, .events = POLLIN};
	return true;
}

/* As long as nobody has anything to do by the clock. */
static int
sleep_ms(const struct dispatch_worker *dw)
{
	uint64_t now = rte_rdtsc(), due;

	if (dw->w.bond == NULL || dw->w.index != 0)
		return TICK_MS;
	due = bond_due(dw->w.bond);
	if (due <= now)
		return 0;
	return (int)RTE_MIN((uint64_t)TICK_MS, (due - now) / (rte_get_tsc_hz() / 1000) + 1);
}

void
sleep_wait(struct dispatch_worker *dw)
{
	uint64_t count;

	rte_rcu_qsbr_thread_offline(dw->lt->rcu, dw->w.index);
	dw->sleeps++;
	if (poll(dw->fds, dw->n_fds, sleep_ms(dw)) > 0)
		for (unsigned int i = 0; i < dw->n_fds; i++)
			if (dw->fds[i].fd == dw->wake_fd && dw->fds[i].revents != 0 &&
				read(dw->wake_fd, &count, sizeof(count)) < 0)
				continue; /* somebody was quicker; nothing is lost */
	rte_rcu_qsbr_thread_online(dw->lt->rcu, dw->w.index);
}

void
sleep_disarm(struct dispatch_worker *dw)
{
	atomic_store(&dw->asleep, false);
	each_ring(dw, release_ring);
	if (dw->w.rxq != WORKER_NO_PORT)
		port_wake_disarm(&dw->w);
}

void
sleep_end(struct dispatch_worker *dw)
{
	const uint64_t one = 1;

	if (!atomic_load(&dw->asleep))
		return;
	if (write(dw->wake_fd, &one, sizeof(one)) < 0 && errno != EAGAIN)
		atomic_store(&dw->asleep, false);
}
