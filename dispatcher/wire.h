/* SPDX-License-Identifier: BSD-3-Clause */
/* The NIC of ltran: one port, or several as a bond. Main thread. */
#ifndef DISPATCHER_WIRE_H
#define DISPATCHER_WIRE_H

#include <stddef.h>

struct ltran;
struct port_info;

/* Which ports, by bond_ports and bond_macs. 0, or -errno with a line in `err`. */
int wire_choose(struct ltran *lt, char *err, size_t err_len);
/* Open them; fills lt's mac, mtu, bond. After the pool. */
int wire_open(struct ltran *lt, struct port_info *info, char *err, size_t err_len);
/* rx, or the bond behind it, leads to dispatch-in. Before the first graph. */
int wire_place(struct ltran *lt);
void wire_close(struct ltran *lt);

#endif
