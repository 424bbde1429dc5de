/* SPDX-License-Identifier: BSD-3-Clause */
/* Parts of the sending side of a bond that its other files and its tests call. */
#ifndef NODES_BOND_TX_H
#define NODES_BOND_TX_H

#include "nodes/bond_private.h"

/* Ethernet's configuration testing protocol: nobody answers, and switches learn the sender. */
#define BOND_TYPE_LEARN 0x9000

/* The slave `m` leaves by, with its addresses written as the mode wants them; BOND_NO_SLAVE: there is
 * none. */
uint8_t bond_tx_choose(struct bond *b, const struct bond_view *v, struct rte_mbuf *m);

#endif
