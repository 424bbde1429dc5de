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

int
instance_sleep_arm(void *worker, int *fds, uint64_t *until_us)
{
	struct worker *w = worker;
	int n = 0, fd;

	if (w->tx_backlog.n > 0)
		return -EBUSY;
	if (w->rxq != WORKER_NO_PORT) {
		fd = arm_port(w);
		if (fd >= 0)
			fds[n++] = fd;
		lower(until_us, fd < 0 ? BLIND_US : w->has_rx_interrupt || w->bells != NULL ?
			PEER_US : UINT64_MAX);
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
