/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What wakes a sleeping stack (low_power_mode): the port (port_wake.c; where it cannot, the stack looks
 * itself, every BLIND_US), and the tap device of the exception path, watched by the first core, which
 * reads it.
 */
#include "nodes/instance_private.h"

#include <errno.h>

#include <rte_cycles.h>

#include "nodes/arp.h"
#include "nodes/bond.h"
#include "nodes/ltran_bells.h"
#include "nodes/port_wake.h"
#include "nodes/reass.h"

#define BLIND_US 1000
#define BUSY_US 2000  /* a port that has taken nothing for longer is not waited for awake */
#define PEER_US 40000 /* a virtual wire's peer that comes back begins anew, without our request */

void
instance_sleep_prepare(const struct instance *in, struct worker *w)
{
	w->rx_fd = -1;
	if (in->ltran != NULL)
		instance_ltran_bells(in, w);
	else if (in->conf->low_power_mode)
		port_wake_prepare(w, in->has_rx_interrupts);
}

static void
lower(uint64_t *until_us, uint64_t us)
{
	if (us < *until_us)
		*until_us = us;
}

static void
lower_to_tsc(uint64_t *until_us, uint64_t due_tsc)
{
	uint64_t now = rte_get_tsc_cycles();

	if (due_tsc != UINT64_MAX)
		lower(until_us, due_tsc > now ?
			(due_tsc - now) / (rte_get_tsc_hz() / 1000000) + 1 : 0);
}

/* The ring to ltran is armed by a word in memory that ltran looks at after each packet. */
static int
arm_port(struct worker *w)
{
	if (w->bells == NULL)
		return port_wake_arm(w);
	ltran_bells_sleep(w->asleep);
	return w->bells->call_fd[w->index];
}

/* It has taken packets a moment ago, and will take more; else its peer has perhaps gone. */
static bool
is_port_busy(const struct worker *w)
{
	uint64_t since = w->tx_backlog.since_tsc;

	return since == 0 || rte_get_tsc_cycles() - since < rte_get_tsc_hz() / 1000000 * BUSY_US;
}

int
instance_sleep_arm(void *worker, int *fds, uint64_t *until_us)
{
	struct worker *w = worker;
	int n = 0, fd;

	if (w->tx_backlog.n > 0) {
		if (is_port_busy(w))
			return -EBUSY;
		lower(until_us, port_wake_can_bring(w) ? BLIND_US : PEER_US);
	}
	if (w->rxq != WORKER_NO_PORT) {
		fd = arm_port(w);
		if (fd >= 0)
			fds[n++] = fd;
		if (fd < 0)
			lower(until_us, port_wake_can_bring(w) ? BLIND_US : PEER_US);
		else if (w->has_rx_interrupt || w->bells != NULL)
			lower(until_us, PEER_US);
	}
	if (w->bond != NULL && w->index == 0)
		lower_to_tsc(until_us, bond_due(w->bond));
	if (w->kernel_fd >= 0 && w->index == 0)
		fds[n++] = w->kernel_fd;
	lower_to_tsc(until_us, arp_due(w->arp));
	if (w->reass != NULL)
		lower_to_tsc(until_us, reass_due(w->reass));
	return n;
}

void
instance_sleep_disarm(void *worker)
{
	struct worker *w = worker;

	if (w->bells == NULL) {
		port_wake_disarm(w);
		return;
	}
	ltran_bells_wake(w->asleep);
	ltran_bells_hear(w->bells, w->index);
}
