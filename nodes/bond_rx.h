/* SPDX-License-Identifier: BSD-3-Clause */
/* The decision of node bond-rx about one frame; for the node, its tests. */
#ifndef NODES_BOND_RX_H
#define NODES_BOND_RX_H

#include "nodes/bond_private.h"

enum bond_rx_error {
	BOND_RX_SHORT,
	BOND_RX_STRANGER,
	BOND_RX_PASSIVE,
	BOND_RX_PASSIVE_GROUP,
	BOND_RX_OTHER_SLAVE,
	BOND_RX_SLOW_FULL,
	BOND_RX_ERRORS
};

/* BOND_RX_ERRORS: accepted. */
enum bond_rx_error bond_rx_verdict(const struct bond *b, const struct bond_view *v, uint8_t slave,
	const struct rte_ether_hdr *eth);

#endif
