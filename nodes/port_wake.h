/* SPDX-License-Identifier: BSD-3-Clause */
/* What wakes a sleeping core when its receive queue has packets; see port_wake.c. */
#ifndef NODES_PORT_WAKE_H
#define NODES_PORT_WAKE_H

#include <stdbool.h>
#include <stdint.h>

struct worker;

/* Once, after the port has started: finds out how w->port wakes queue w->rxq. `has_rx_interrupts`: it
 * was configured with receive interrupts. */
void port_wake_prepare(struct worker *w, bool has_rx_interrupts);

/* From here on packets make the descriptor readable. It, or -1: the port has to be looked at. */
int port_wake_arm(struct worker *w);
/* Is there a peer? For a tap, whose driver does not know, after port_wake_arm() has returned -1 or the
 * port takes no packets: no. */
bool port_wake_can_bring(const struct worker *w);
void port_wake_disarm(struct worker *w);

/* The socket of receive queue `q` of an af_packet or af_xdp port over a kernel device; -1: none. */
int port_wake_socket(unsigned int if_index, uint16_t q);

#endif
