/* SPDX-License-Identifier: BSD-3-Clause */
/* DPDK and the port for linerate's programs. */
#include "perf/linerate_port.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_mbuf_pool_ops.h>

#define CACHE 256
#define TX_OFFLOADS (RTE_ETH_TX_OFFLOAD_UDP_CKSUM | RTE_ETH_TX_OFFLOAD_TCP_CKSUM |                 \
	RTE_ETH_TX_OFFLOAD_IPV4_CKSUM | RTE_ETH_TX_OFFLOAD_MULTI_SEGS)

static const char *program_name = "linerate";

_Noreturn void
linerate_die(const char *what)
{
	fprintf(stderr, "%s: %s: %s\n", program_name, what, rte_strerror(rte_errno));
	exit(1);
}

static unsigned int
first_cpu(const cpu_set_t *cpus)
{
	unsigned int cpu = 0;

	while (cpu < CPU_SETSIZE - 1 && !CPU_ISSET(cpu, cpus))
		cpu++;
	return cpu;
}

void
linerate_start(const char *program, const char *vdev, unsigned int memory_mb, bool huge)
{
	char memory[16], core[16], *argv[24] = { "linerate", "-m", memory, "-l", core, "--no-pci",
		"--no-telemetry", "--iova-mode=va", "--log-level", "error", "--vdev" };
	int argc = 11;
	cpu_set_t cpus;

	program_name = program;
	sched_getaffinity(0, sizeof(cpus), &cpus);
	snprintf(memory, sizeof(memory), "%u", memory_mb);
	snprintf(core, sizeof(core), "%u", first_cpu(&cpus));
	argv[argc++] = (char *)(uintptr_t)vdev;
	if (huge) {
		argv[argc++] = "--in-memory";
		argv[argc++] = "--single-file-segments"; /* vhost takes 8 regions */
	} else {
		argv[argc++] = "--no-huge";
		argv[argc++] = "--no-shconf";
	}
	if (rte_eal_init(argc, argv) < 0)
		linerate_die("EAL");
}

struct rte_mempool *
linerate_pool(const char *name, unsigned int n, uint16_t priv_size)
{
	/* What was freed last is still in the cache, as in the product's pools (instance_pool.c). */
	struct rte_mempool *p = rte_pktmbuf_pool_create_by_ops(name, n, CACHE, priv_size,
		RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY, "lf_stack");

	if (p == NULL)
		p = rte_pktmbuf_pool_create(name, n, CACHE, priv_size, RTE_MBUF_DEFAULT_BUF_SIZE,
			SOCKET_ID_ANY);
	if (p == NULL)
		linerate_die(name);
	return p;
}

uint64_t
linerate_start_port(uint16_t port, uint16_t queue_size, struct rte_mempool *pool)
{
	struct rte_eth_conf conf = { 0 };
	struct rte_eth_dev_info info;

	if (rte_eth_dev_info_get(port, &info) < 0)
		linerate_die("port");
	conf.txmode.offloads = info.tx_offload_capa & TX_OFFLOADS;
	/* The driver notices a new peer in its link interrupt only. */
	conf.intr_conf.lsc = (*info.dev_flags & RTE_ETH_DEV_INTR_LSC) != 0;
	if (rte_eth_dev_configure(port, 1, 1, &conf) < 0 ||
		rte_eth_rx_queue_setup(port, 0, queue_size, SOCKET_ID_ANY, NULL, pool) < 0 ||
		rte_eth_tx_queue_setup(port, 0, queue_size, SOCKET_ID_ANY, NULL) < 0 ||
		rte_eth_dev_start(port) < 0)
		linerate_die("port");
	rte_eth_promiscuous_enable(port);
	return conf.txmode.offloads;
}

void
linerate_wait_for_link(unsigned int seconds)
{
	struct rte_eth_link link = { 0 };

	for (unsigned int ms = 0; ms < seconds * 1000; ms += 10) {
		if (rte_eth_link_get_nowait(LINERATE_PORT, &link) < 0 || link.link_status)
			return;
		rte_delay_us_sleep(10000);
	}
	rte_errno = ETIMEDOUT;
	linerate_die("the wire has no other end");
}

int
linerate_stop(void)
{
	rte_log_set_global_level(RTE_LOG_CRIT); /* a peer that has left already is no error */
	rte_eth_dev_stop(LINERATE_PORT);
	rte_eth_dev_close(LINERATE_PORT);
	return rte_eal_cleanup() == 0 ? 0 : 1;
}
