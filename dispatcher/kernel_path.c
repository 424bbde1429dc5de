/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * kni_switch in ltran: the tap device kni0 with the NIC's MAC address and MTU, up, without an address:
 * the operator gives it one, as to any NIC. What no instance owns goes there, what the kernel sends
 * comes back, and instances reach the kernel and the kernel them without touching the wire.
 *
 * A NIC that DPDK took from its kernel driver needs no more. Where the NIC is a device of the kernel
 * (af_packet), the kernel hears every frame twice and answers twice, unless the device keeps quiet:
 * rp_filter and arp_ignore. Those are the operator's; we say so when they are not set.
 */
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>

#include <rte_ethdev.h>

#include "dispatcher/dispatcher.h"
#include "dispatcher/kernel_path.h"
#include "dispatcher/log.h"
#include "nodes/kernel.h"

#define KERNEL_NAMES 16 /* kni0 to kni15: several ltrans on one host */

/* The larger of the device's value and that for all, which is what counts; -1: not there. */
static int
sysctl_value(const char *ifname, const char *key)
{
	const char *const devices[] = {"all", ifname};
	int max = -1;

	for (size_t i = 0; i < RTE_DIM(devices); i++) {
		char path[128];
		FILE *f;
		int v;

		snprintf(path, sizeof(path), "/proc/sys/net/ipv4/conf/%s/%s", devices[i], key);
		f = fopen(path, "re");
		if (f == NULL)
			continue;
		if (fscanf(f, "%d", &v) == 1 && v > max)
			max = v;
		fclose(f);
	}
	return max;
}

bool
kernel_path_advice(const char *nic, const char *tap, char *text, size_t len)
{
	if (sysctl_value(nic, "rp_filter") != 0 && sysctl_value(nic, "arp_ignore") != 0)
		return false;
	snprintf(text, len, "kni_switch: the kernel hears %s itself and may answer beside %s; prevent it "
		"with: sysctl net.ipv4.conf.%s.rp_filter=1 net.ipv4.conf.%s.arp_ignore=1",
		nic, tap, nic, nic);
	return true;
}

int
kernel_path_open(struct ltran *lt, char *err, size_t err_len)
{
	struct rte_eth_dev_info info = {0};
	char tap[IFNAMSIZ], nic[IFNAMSIZ], text[320];
	int ret = -EBUSY;

	if (!lt->conf->kni_switch)
		return 0;
	for (unsigned int i = 0; i < KERNEL_NAMES && ret == -EBUSY; i++) {
		snprintf(tap, sizeof(tap), "kni%u", i);
		ret = kernel_port_open(&lt->workers[0]->w, tap, &lt->kernel_fd);
	}
	if (ret < 0) {
		snprintf(err, err_len, "kni_switch: tap device %s: %s", tap, strerror(-ret));
		return ret;
	}
	for (unsigned int i = 0; i < lt->n_workers; i++)
		lt->workers[i]->w.kernel_fd = lt->kernel_fd;
	if (rte_eth_dev_info_get(lt->ports[0], &info) == 0 && info.if_index != 0 &&
		if_indextoname(info.if_index, nic) != NULL &&
		kernel_path_advice(nic, tap, text, sizeof(text)))
		log_info("%s", text);
	return 0;
}
