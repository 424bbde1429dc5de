/* SPDX-License-Identifier: BSD-3-Clause */
/* EAL, a packet pool and frame builders for the unit tests of packet code. */
#ifndef TESTS_HARNESS_H
#define TESTS_HARNESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <rte_byteorder.h>
#include <rte_ip.h>
#include <rte_mbuf.h>

#define HARNESS_POOL_SIZE 4095 /* packets */
/* Address literal in network byte order. */
#define HARNESS_IP(a, b, c, d) \
	RTE_BE32((uint32_t)(a) << 24 | (uint32_t)(b) << 16 | (uint32_t)(c) << 8 | (uint32_t)(d))

/* Start EAL once per process (no hugepages, no devices, one core) and return the pool all helpers
 * allocate from. Ends the program where that fails. */
struct rte_mempool *harness_pool(void);
/* CUnit setup and teardown: the pool is as full after a test as before it, or the test fails. */
void harness_setup(void);
void harness_teardown(void);

/* A packet with `len` bytes of `data` (NULL: a counting pattern), in segments of at most `seg`
 * bytes (0: one segment). Ends the program when the pool is empty. */
struct rte_mbuf *harness_packet(const void *data, uint32_t len, uint16_t seg);

struct harness_ip4 {
	uint32_t src, dst; /* network byte order */
	uint16_t id;
	uint16_t offset; /* bytes, multiple of 8 */
	bool mf, df;
	uint8_t proto;
	uint8_t options; /* bytes of NOPs, multiple of 4 */
	bool ether;      /* with an Ethernet header in front, as on the way in */
};

/* An IPv4 packet carrying `len` bytes of `data` (NULL: byte i of the datagram is pattern(i)),
 * header checksum right, l2_len and l3_len set. */
struct rte_mbuf *harness_ip4_packet(const struct harness_ip4 *h, const void *data, uint32_t len,
	uint16_t seg);
uint8_t harness_pattern(uint32_t i);

/* Deterministic random numbers; the seed is printed by the tests that use them. */
uint32_t harness_random(uint64_t *state);

#endif
