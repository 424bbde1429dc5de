/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The exception path (kni_switch): a tap device through which the kernel's stack shares our port
 * with us; under the same addresses in the library, under one that the operator gives it in ltran.
 *
 * Where the wire is a device of this host (af_packet), its frames reach the kernel a second time, by
 * that device, and it would answer them beside us. The sysctls rp_filter=1 and arp_ignore=1 of the
 * device keep the kernel to the tap.
 */
#ifndef NODES_KERNEL_H
#define NODES_KERNEL_H

struct worker;

/*
 * Make the tap device `ifname` with the MAC address, address (0: without), netmask and MTU of
 * `proto`, and bring it up. It lives as long as *fd, which goes into worker->kernel_fd of every worker. 0 or -errno
 * (-EPERM without CAP_NET_ADMIN, -EBUSY: the name is taken).
 */
int kernel_port_open(const struct worker *proto, const char *ifname, int *fd);
void kernel_port_close(int fd);

#endif
