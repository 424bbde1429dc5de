/* SPDX-License-Identifier: BSD-3-Clause */
/* Rules between keys of lstack.conf, and values that follow from others. */
#include <arpa/inet.h>
#include <inttypes.h>
#include <string.h>

#include "conf/schema.h"

/* Packets of one stack beyond its NIC queues that keep it working: vectors in flight, caches. */
#define MBUFS_RESERVE 512
#define MBUFS_RING 1024 /* of a stack: what its ring from ltran holds */

static void
online_text(const struct conf_host *host, char *buf, size_t len)
{
	size_t at = 0;

	buf[0] = '\0';
	for (int cpu = 0; cpu < CPU_SETSIZE && at < len; cpu++) {
		int first = cpu;

		if (!CPU_ISSET(cpu, &host->online))
			continue;
		while (cpu + 1 < CPU_SETSIZE && CPU_ISSET(cpu + 1, &host->online))
			cpu++;
		at += snprintf(buf + at, len - at, at ? ",%d" : "%d", first);
		if (cpu > first && at < len)
			at += snprintf(buf + at, len - at, "-%d", cpu);
	}
}

static void
check_online(struct conf_load *l, unsigned int k, const struct conf_cpus *cpus)
{
	char online[64];

	for (unsigned int i = 0; i < cpus->n; i++) {
		if (CPU_ISSET(cpus->cpu[i], &l->host->online))
			continue;
		online_text(l->host, online, sizeof(online));
		conf_complain(l, true, k, false, "CPU %u does not exist or is offline (online: %s)",
			cpus->cpu[i], online);
	}
}

static void
check_repeats(struct conf_load *l, unsigned int k, const struct conf_cpus *cpus)
{
	for (unsigned int i = 1; i < cpus->n; i++) {
		for (unsigned int j = 0; j < i; j++) {
			if (cpus->cpu[i] != cpus->cpu[j])
				continue;
			conf_complain(l, true, k, false, "CPU %u is named twice", cpus->cpu[i]);
			return;
		}
	}
}

static void
check_cpus(struct conf_load *l)
{
	struct conf *c = l->c;

	check_online(l, KEY_NUM_CPUS, &c->num_cpus);
	check_online(l, KEY_NUM_WAKEUP, &c->num_wakeup);
	check_online(l, KEY_APP_EXCLUDE_CPUS, &c->app_exclude_cpus);
	check_repeats(l, KEY_NUM_CPUS, &c->num_cpus);
	if (c->num_cpus.n > l->host->stacks_max)
		conf_complain(l, true, KEY_NUM_CPUS, false,
			"%u CPUs, but this build has %u stacks at most (build option stacks_max)",
			c->num_cpus.n, l->host->stacks_max);
}

/* After check_cpus(): who runs the stacks, and how many there are. */
static void
resolve_mode(struct conf_load *l)
{
	struct conf *c = l->c;

	if (c->stack_thread_mode == CONF_MODE_AUTO)
		c->stack_thread_mode = l->given[KEY_NUM_CPUS] != NULL && c->num_cpus.n > 0
			? CONF_MODE_RUN_TO_WAKEUP : CONF_MODE_RUN_TO_COMPLETION;
	if (c->stack_num > 0 && c->num_cpus.n > 0 && c->stack_num != c->num_cpus.n)
		conf_complain(l, true, KEY_STACK_NUM, false,
			"num_cpus names %u CPUs, which makes %u stacks", c->num_cpus.n,
			c->num_cpus.n);
	if (c->stack_num > l->host->stacks_max)
		conf_complain(l, true, KEY_STACK_NUM, false,
			"this build has %u stacks at most (build option stacks_max)",
			l->host->stacks_max);
	if (c->num_cpus.n > 0)
		c->stack_num = c->num_cpus.n;
	else if (c->stack_num == 0)
		c->stack_num = 1;
}

static void
check_wakeup(struct conf_load *l)
{
	struct conf *c = l->c;

	if (c->num_wakeup.n == 0 || l->bad[KEY_NUM_CPUS] || l->bad[KEY_STACK_THREAD_MODE])
		return;
	if (c->stack_thread_mode != CONF_MODE_RUN_TO_WAKEUP)
		conf_complain(l, true, KEY_NUM_WAKEUP, false,
			"there are wakeup threads only in run-to-wakeup mode%s",
			c->num_cpus.n == 0 ? "; set num_cpus too" : "");
	else if (c->num_wakeup.n != c->num_cpus.n)
		conf_complain(l, true, KEY_NUM_WAKEUP, false,
			"%u CPUs, but num_cpus has %u; the counts must be equal", c->num_wakeup.n,
			c->num_cpus.n);
}

static void
check_addresses(struct conf_load *l)
{
	const struct conf *c = l->c;
	uint32_t host = ntohl(c->host_addr), mask = ntohl(c->mask_addr);
	uint32_t gateway = ntohl(c->gateway_addr);

	if (l->given[KEY_HOST_ADDR] == NULL || l->given[KEY_MASK_ADDR] == NULL)
		return;
	/* RFC 3021: a /31 has two hosts and neither a network nor a broadcast address. */
	if (mask < 0xfffffffe && (host & ~mask) == 0)
		conf_complain(l, true, KEY_HOST_ADDR, false, "the address of the subnet itself");
	else if (mask < 0xfffffffe && (host & ~mask) == ~mask)
		conf_complain(l, true, KEY_HOST_ADDR, false, "the broadcast address of the subnet");
	if (gateway == 0)
		return;
	if (gateway == host)
		conf_complain(l, true, KEY_GATEWAY_ADDR, false, "the same as host_addr");
	else if ((gateway & mask) != (host & mask))
		conf_complain(l, true, KEY_GATEWAY_ADDR, false,
			"not in the subnet of host_addr and mask_addr");
	else if (mask < 0xfffffffe && ((gateway & ~mask) == 0 || (gateway & ~mask) == ~mask))
		conf_complain(l, true, KEY_GATEWAY_ADDR, false,
			"the network or broadcast address of the subnet");
}

/* A pool that cannot fill the receive queues would stop the first walk. */
static void
check_pool(struct conf_load *l)
{
	const struct conf *c = l->c;
	uint32_t queues = c->use_ltran ? MBUFS_RING : c->nic_rxqueue_size + c->nic_txqueue_size;
	uint64_t least = (uint64_t)c->stack_num * (queues + MBUFS_RESERVE);
	uint64_t have = c->mbuf_pool_size;
	unsigned int k = KEY_MBUF_POOL_SIZE;
	char why[CONF_WHY_MAX] = "";

	if (have == 0 && c->mbuf_count_per_conn > 0) {
		have = (uint64_t)c->mbuf_count_per_conn * c->tcp_conn_count;
		k = KEY_MBUF_COUNT_PER_CONN;
	}
	if (have == 0 || have >= least || l->bad[KEY_NIC_RXQUEUE_SIZE] ||
		l->bad[KEY_NIC_TXQUEUE_SIZE] || l->bad[KEY_TCP_CONN_COUNT])
		return;
	if (!c->use_ltran)
		snprintf(why, sizeof(why), " with nic_rxqueue_size = %" PRIu32
			 " and nic_txqueue_size = %" PRIu32, c->nic_rxqueue_size,
			c->nic_txqueue_size);
	conf_complain(l, true, k, false,
		"%" PRIu64 " packets are too few: %" PRIu32 " stack(s)%s need at least %" PRIu64,
		have, c->stack_num, why, least);
}

void
conf_check_eal_args(struct conf_load *l, unsigned int k, char *const *args, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++) {
		if (strcmp(args[i], "--proc-type=secondary") == 0 ||
			(strcmp(args[i], "--proc-type") == 0 && i + 1 < n &&
				strcmp(args[i + 1], "secondary") == 0))
			conf_complain(l, true, k, false,
				"--proc-type secondary is not available in this version");
	}
}

static void
check_bond(struct conf_load *l)
{
	const struct conf *c = l->c;
	bool found = false;

	if (c->bond_mode == CONF_BOND_OFF || l->bad[KEY_BOND_SLAVE_MAC])
		return;
	if (c->use_ltran) {
		conf_complain(l, false, KEY_BOND_MODE, false,
			"with use_ltran = 1 the ports are ltran's; ignored");
		return;
	}
	if (c->n_bond_slaves == 0)
		conf_complain(l, true, KEY_BOND_MODE, false, "bond_slave_mac names no ports");
	for (unsigned int i = 0; i < c->n_bond_slaves; i++)
		found |= memcmp(c->bond_slave_mac[i], c->devices, sizeof(c->devices)) == 0;
	if (c->has_devices && c->n_bond_slaves > 0 && !found)
		conf_complain(l, true, KEY_DEVICES, false, "not one of bond_slave_mac");
}

void
conf_check_relations(struct conf_load *l)
{
	struct conf *c = l->c;

	if (c->use_ltran && c->kni_switch)
		conf_complain(l, true, KEY_KNI_SWITCH, false,
			"with use_ltran = 1 the NIC is ltran's: set kni_switch in ltran.conf");
	conf_check_eal_args(l, KEY_DPDK_ARGS, c->dpdk_args, c->n_dpdk_args);
	check_bond(l);
	check_cpus(l);
	resolve_mode(l);
	check_wakeup(l);
	check_addresses(l);
	check_pool(l);
	if (c->low_power_mode && c->num_wakeup.n > 0)
		conf_complain(l, false, KEY_NUM_WAKEUP, false,
			"wakeup threads save nothing while low_power_mode lets the stacks sleep");
}
