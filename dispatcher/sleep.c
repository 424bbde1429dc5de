/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sleep: a worker that has found nothing for a moment waits in poll() for
 *
 *   its instances         each has an eventfd that the instance writes to when it sees that the worker
 *                         sleeps (bell.h); the set is read anew for each sleep, because instances
 *                         come and go
 *   the NIC               see nodes/port_wake.h
 *   the tap device, and the eventfd of sleep_end()
 *
 * or for TICK_MS, when fragments may have to be given up; for HOLD_LOOK_MS while SYNs are held.
 */
#include "dispatcher/sleep.h"

#include <errno.h>
#include <poll.h>
#include <unistd.h>

#include <rte_cycles.h>

#include "dispatcher/bell.h"
#include "nodes/bond.h"
#include "nodes/port_wake.h"

#define TICK_MS 500
#define FDS_FIXED 3

/* The kicks of this worker's instances. They are open as long as their member is in the map. */
static void
watch_kicks(struct dispatch_worker *dw)
{
	const struct map *map = worker_map(dw); /* until the end of this function */

	for (uint16_t i = 0; i < map->n_members; i++) {
		const struct member *mb = map->members[i];

		if (mb == NULL || mb->worker != dw->w.index || mb->kick_fd < 0 ||
			mb->n_false_kicks > BELL_FALSE_MAX || dw->n_fds == SLEEP_FDS - FDS_FIXED)
			continue;
		dw->kick_of[dw->n_fds] = i;
		dw->fds[dw->n_fds++] = (struct pollfd){.fd = mb->kick_fd, .events = POLLIN};
	}
}

/* Instances may have come and gone during the sleep: only one that is there now is touched, and if it
 * is another one than before, that costs a look at its ring. */
static void
take_kicks(struct dispatch_worker *dw)
{
	const struct map *map = worker_map(dw); /* until the end of this function */

	for (unsigned int i = 0; i < dw->n_kicks; i++) {
		uint16_t index = dw->kick_of[i];
		struct member *mb = index < map->n_members ? map->members[index] : NULL;

		if (dw->fds[i].revents != 0 && mb != NULL && mb->kick_fd == dw->fds[i].fd)
			bell_take(mb);
	}
}

static void
show_asleep(struct dispatch_worker *dw, uint32_t asleep)
{
	atomic_store(&dw->asleep, asleep);
	if (dw->lt->awake != NULL)
		__atomic_store_n(&dw->lt->awake->worker[dw->w.index].asleep, asleep,
			__ATOMIC_SEQ_CST);
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
	show_asleep(dw, 1);
	dw->n_fds = 0;
	watch_kicks(dw);
	dw->n_kicks = dw->n_fds;
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

	if (dw->hold.n > 0)
		return HOLD_LOOK_MS;
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
	__atomic_store_n(&dw->sleeps, dw->sleeps + 1, __ATOMIC_RELAXED); /* others read it */
	dw->n_ready = poll(dw->fds, dw->n_fds, sleep_ms(dw));
	if (dw->n_ready > 0)
		for (unsigned int i = 0; i < dw->n_fds; i++)
			if (dw->fds[i].fd == dw->wake_fd && dw->fds[i].revents != 0 &&
				read(dw->wake_fd, &count, sizeof(count)) < 0)
				continue; /* somebody was quicker; nothing is lost */
	rte_rcu_qsbr_thread_online(dw->lt->rcu, dw->w.index);
}

void
sleep_disarm(struct dispatch_worker *dw)
{
	show_asleep(dw, 0);
	if (dw->n_ready > 0)
		take_kicks(dw);
	dw->n_ready = 0;
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
