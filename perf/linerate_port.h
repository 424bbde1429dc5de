/* SPDX-License-Identifier: BSD-3-Clause */
/* The one port of linerate's programs, its packets, and the frames both ends know. */
#ifndef PERF_LINERATE_PORT_H
#define PERF_LINERATE_PORT_H

#include <stdbool.h>
#include <stdint.h>

#include <rte_ether.h>
#include <rte_ip.h>
#include <rte_mbuf.h>

#define LINERATE_PORT 0 /* number of the port */
#define LINERATE_DUT_ADDR RTE_BE32(RTE_IPV4(198, 18, 0, 1))
#define LINERATE_GEN_ADDR RTE_BE32(RTE_IPV4(198, 18, 0, 2))
#define LINERATE_MASK RTE_BE32(RTE_IPV4(255, 255, 255, 0))
#define LINERATE_UDP_PORT 7 /* echo, RFC 862 */
#define LINERATE_HEADERS 42 /* Ethernet, IPv4, UDP; then struct linerate_mark */
#define LINERATE_QUEUE_SIZE 256
#define LINERATE_CRC 4 /* counted in frame sizes, not in packets' lengths */

/* First bytes of the UDP payload; fits into the smallest frame. */
struct linerate_mark {
	uint32_t trial, seq;
	uint64_t tsc; /* when it was sent, by the generator's clock */
} __attribute__((packed));

/* Start DPDK with the one virtual device `vdev` and `memory_mb` of hugepages or ordinary pages, on
 * the cores the caller may use. Ends the program on failure, like all of these. */
void linerate_start(const char *program, const char *vdev, unsigned int memory_mb, bool huge);
struct rte_mempool *linerate_pool(const char *name, unsigned int n, uint16_t priv_size);
/* Start a port with one pair of queues, receiving into `pool`. Returns the transmit offloads enabled. */
uint64_t linerate_start_port(uint16_t port, uint16_t queue_size, struct rte_mempool *pool);
/* Wait until the wire's other end has come, at most `seconds`. */
void linerate_wait_for_link(unsigned int seconds);
int linerate_stop(void); /* exit code */

_Noreturn void linerate_die(const char *what);

#endif
