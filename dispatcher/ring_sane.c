/* SPDX-License-Identifier: BSD-3-Clause */
/* Does what stands in the rings of an instance make sense? Its memory is read once; control thread. */
#include "dispatcher/ring_sane.h"

#include <stdint.h>
#include <stdio.h>

#include <rte_vhost.h>

bool
ring_indices_are_sane(int vid, char why[RING_TEXT_MAX])
{
	for (int i = 0; i < rte_vhost_get_vring_num(vid); i++) {
		struct rte_vhost_vring v;
		uint16_t waiting;

		if (rte_vhost_get_vhost_vring(vid, i, &v) < 0)
			continue;
		waiting = rte_vhost_avail_entries(vid, i);
		if (waiting <= v.size)
			continue;
		snprintf(why, RING_TEXT_MAX, "queue %d of its ring offers %u entries of %u", i,
			waiting, v.size);
		return false;
	}
	return true;
}
