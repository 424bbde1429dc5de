/* SPDX-License-Identifier: BSD-3-Clause */
/* Four instances, three of which share an address, for the suites of where frames go. */
#ifndef TESTS_DISPATCH_RIG_H
#define TESTS_DISPATCH_RIG_H

#include "tests/cunit_main.h"
#include "tests/eal.h"
#include "tests/frames.h"

#include <stdlib.h>

#include <rte_arp.h>

#include "dispatcher/dispatch.h"
#include "nodes/ltran_table.h"

#define SOLE RTE_BE32(0xc6120005)   /* 198.18.0.5: one instance, index 2 */
#define SHARED RTE_BE32(0xc6120006) /* three instances, indices 3, 0, 4 */
#define GONE RTE_BE32(0xc6120007)
#define NONE RTE_BE32(0xc6120008)
#define OUTSIDE RTE_BE32(0xc6130008)
#define SLOTS 256
#define QUEUES 4
#define N_MEMBERS 4

static struct rte_mempool *pool;
static struct member members[N_MEMBERS];
static struct ltran_slot tables[N_MEMBERS][QUEUES * SLOTS];
static struct dispatch_worker dw;
static struct ltran lt;
static struct map *map;

static inline void
add_member(unsigned int i, uint16_t index, uint32_t addr, uint16_t n_queues)
{
	members[i] = (struct member){.index = index, .addr = addr, .n_queues = n_queues,
		.tables = tables[i], .n_slots = SLOTS, .pid = 1000 + i};
}

/* map.c is tested for itself; any map of the shape will do here. */
void
workers_kick(struct ltran *l)
{
}

void
workers_synchronize(struct ltran *l)
{
}

static inline void
setup(void)
{
	static const struct ltran_conf conf = {.dispatch_subnet = RTE_BE32(0xc6120000),
		.dispatch_subnet_length = 8};
	struct member *list[N_MEMBERS];
	const uint32_t gone[] = {GONE};

	pool = eal_test_pool(511, 0, 2048);
	memset(tables, 0, sizeof(tables));
	add_member(0, 2, SOLE, QUEUES);
	add_member(1, 3, SHARED, 1);
	add_member(2, 0, SHARED, QUEUES);
	add_member(3, 4, SHARED, 2);
	for (unsigned int i = 0; i < N_MEMBERS; i++)
		list[i] = &members[i];
	map = map_create(&conf, list, N_MEMBERS, gone, 1);
	memset(&dw, 0, sizeof(dw));
	dw.w.mac = frame_our_mac;
	dw.w.kernel_fd = -1;
	dw.map = map;
	dw.lt = &lt;
}

static inline void
teardown(void)
{
	map_free(map);
	eal_test_pool_done(pool);
}

static inline struct rte_mbuf *
to(struct rte_mbuf *m, uint32_t addr)
{
	FRAME_IP(m)->dst_addr = addr;
	return m;
}

static inline struct rte_mbuf *
arp(uint16_t opcode, uint32_t sip, uint32_t tip)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(pool);
	struct rte_ether_hdr *eth = rte_pktmbuf_mtod(m, struct rte_ether_hdr *);
	struct rte_arp_hdr *h = (struct rte_arp_hdr *)(eth + 1);

	memset(eth, 0, 60);
	rte_pktmbuf_append(m, 60);
	eth->src_addr = frame_peer_mac;
	memset(&eth->dst_addr, opcode == RTE_ARP_OP_REQUEST ? 0xff : 0, 6);
	if (opcode != RTE_ARP_OP_REQUEST)
		eth->dst_addr = frame_our_mac;
	eth->ether_type = RTE_BE16(RTE_ETHER_TYPE_ARP);
	*h = (struct rte_arp_hdr){RTE_BE16(RTE_ARP_HRD_ETHER), RTE_BE16(RTE_ETHER_TYPE_IPV4), 6, 4,
		rte_cpu_to_be_16(opcode), {.arp_sip = sip, .arp_tip = tip}};
	return m;
}

/* The verdict; frees the packet. */
static inline struct dispatch_result
in(struct rte_mbuf *m)
{
	struct dispatch_result r = dispatch_in(&dw, m);

	rte_pktmbuf_free(m);
	return r;
}

static inline struct dispatch_result
out(struct rte_mbuf *m)
{
	struct dispatch_result r = dispatch_out(&dw, m);

	rte_pktmbuf_free(m);
	return r;
}

#define ASSERT_DROPPED(r, why)                                                                     \
	do {                                                                                       \
		struct dispatch_result r_ = (r);                                                   \
		CU_ASSERT_EQUAL(r_.edge, DISPATCH_DROP);                                           \
		CU_ASSERT_EQUAL(r_.error, why);                                                    \
	} while (0)

#define ASSERT_TO(r, index, queue)                                                                 \
	do {                                                                                       \
		struct dispatch_result r_ = (r);                                                   \
		CU_ASSERT_EQUAL(r_.edge, DISPATCH_INSTANCE);                                       \
		CU_ASSERT_EQUAL(r_.error, DISPATCH_NO_ERROR);                                      \
		CU_ASSERT_EQUAL(r_.dest, (uint32_t)(index) << 16 | (queue));                       \
	} while (0)

#endif
