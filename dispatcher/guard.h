/* SPDX-License-Identifier: BSD-3-Clause */
/* The decision of `guard` about one packet, for the node and its tests. */
#ifndef DISPATCHER_GUARD_H
#define DISPATCHER_GUARD_H

#include "dispatcher/dispatcher.h"

/* May an instance that owns `mac` and `addr` (network order) send this? MEMBER_DROPS: yes. */
enum member_drop guard_packet(const struct rte_ether_addr *mac, uint32_t addr,
	const struct rte_mbuf *m);

#endif
