/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Packet pools: `pool` for what the wire brings and for headers, `bulk` for large sends.
 *
 * mbuf_pool_size, or tcp_conn_count x mbuf_count_per_conn, says how many packets all stacks share.
 * Without them the rings of the ports and a share of the memory decide. What the machine cannot hold is
 * refused before DPDK starts (eal.c). Where DPDK's memory turns out to be less, because the user has
 * given it less or hugepages run short, the pools shrink to what there is: full pools slow senders
 * down, and that is better than no start. That they were asked for more is said.
 *
 * Packets are used last in, first out: what was freed last is still in this core's cache. DPDK's
 * default, a ring, would go through the whole pool, with a miss for every packet. For bulk the ring
 * is right: the core that has read a buffer (a virtual wire's other end) still has it in its own
 * cache, and that is the slowest place to write to; after a round through 6 MB it is in the cache
 * that they share. When bulk buffers run out, sends take packets.
 */
#include "nodes/instance_private.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_malloc.h>
#include <rte_mbuf.h>

#include "nodes/pool_ops.h"
#include "nodes/port.h"
#include "stack/edge.h"

#define PACKET_ROOM (2048 + RTE_PKTMBUF_HEADROOM)
#define BULK_ROOM (16384 + RTE_PKTMBUF_HEADROOM)
#define PACKETS_DEFAULT 65536
#define PACKETS_MIN 4096
#define BULK_MIN 256
#define BULK_SHARE 16 /* one bulk buffer for so many packets, */
#define BULK_PER_CORE 384 /* but not more: see below */
/* Of ordinary memory; the rest is for rings, graphs and DPDK itself. Pages that nothing stands in take
 * no memory. */
#define PACKETS_PERCENT 60
#define BULK_PERCENT 20
#define OTHER_MB 128 /* the rest, where the packets say how much memory there is */

static uint32_t
object_bytes(uint32_t room)
{
	uint32_t bytes = sizeof(struct rte_mbuf) + stack_priv_size() + room;

	return rte_mempool_calc_obj_size(bytes, 0, NULL);
}

static uint32_t
at_most_percent(const struct instance *in, uint32_t n, uint32_t room, uint32_t percent)
{
	uint64_t max;

	if (in->eal.memory_mb == 0)
		return n;
	max = (uint64_t)in->eal.memory_mb * 1024 * 1024 / 100 * percent / object_bytes(room);
	return max < n ? (uint32_t)max : n;
}

uint64_t
instance_pool_wanted(const struct conf *c, char *key, size_t len)
{
	uint64_t n = c->mbuf_pool_size;

	if (n > 0) {
		snprintf(key, len, "mbuf_pool_size = %" PRIu64, n);
		return n;
	}
	n = (uint64_t)c->tcp_conn_count * c->mbuf_count_per_conn;
	snprintf(key, len, "tcp_conn_count = %" PRIu32 " x mbuf_count_per_conn = %" PRIu32,
		c->tcp_conn_count, c->mbuf_count_per_conn);
	return RTE_MIN(n, (uint64_t)UINT32_MAX / 2);
}

static uint32_t
default_packets(const struct instance *in)
{
	const struct conf *c = in->conf;

	return RTE_MAX((uint32_t)PACKETS_DEFAULT,
		4 * in->n_workers * (c->nic_rxqueue_size + c->nic_txqueue_size));
}

static uint32_t
bulk_for(const struct instance *in, uint64_t n)
{
	return (uint32_t)RTE_MIN(n / BULK_SHARE, (uint64_t)BULK_PER_CORE * in->n_workers);
}

unsigned int
instance_pool_mb(const struct instance *in, uint64_t n, bool ordinary)
{
	uint64_t bytes = eal_pool_bytes(n, object_bytes(PACKET_ROOM), ordinary) +
		eal_pool_bytes(bulk_for(in, n), object_bytes(BULK_ROOM), ordinary);

	return (unsigned int)((bytes + bytes / 16) / (1024 * 1024) + OTHER_MB);
}

/* As many of `n` as there is memory for, but at least `min`. */
static struct rte_mempool *
create_pool(const struct instance *in, const char *name, uint32_t n, uint32_t min, uint16_t room,
	const char *ops, uint32_t cache)
{
	struct rte_mempool *p;

	for (;;) {
		n = RTE_MAX(n, min);
		cache = RTE_MIN(cache, n / 2);
		p = rte_pktmbuf_pool_create_by_ops(name, n, cache, stack_priv_size(), room,
			SOCKET_ID_ANY, ops);
		if (p == NULL && rte_errno == EINVAL && ops != NULL) {
			ops = NULL; /* a DPDK without that driver: its default */
			continue;
		}
		if (p != NULL || n == min)
			return p;
		n -= n / 4;
	}
}

/* What the drivers ask of a buffer: an af_packet ring with long frames (port.h). */
static uint16_t
packet_room(void)
{
	uint32_t room = PACKET_ROOM;
	uint16_t port;

	RTE_ETH_FOREACH_DEV(port)
		room = RTE_MAX(room, port_buffer_bytes(port) + RTE_PKTMBUF_HEADROOM);
	return (uint16_t)RTE_MIN(room, (uint32_t)UINT16_MAX);
}

int
instance_pool_start(struct instance *in, char *err, size_t err_len)
{
	char key[96];
	const uint32_t wanted = (uint32_t)instance_pool_wanted(in->conf, key, sizeof(key));
	uint32_t n = wanted > 0 ? wanted : default_packets(in), n_bulk = bulk_for(in, n);
	uint32_t cache = RTE_MIN(in->conf->mem_cache_num, (uint32_t)RTE_MEMPOOL_CACHE_MAX_SIZE);
	uint16_t room = packet_room();

	if (wanted == 0 || in->eal.size_is_users) {
		n = at_most_percent(in, n, room, PACKETS_PERCENT);
		n_bulk = at_most_percent(in, n_bulk, BULK_ROOM, BULK_PERCENT);
	}
	in->bulk = create_pool(in, "gazelle_bulk", n_bulk, BULK_MIN, BULK_ROOM, NULL, 0);
	in->pool = create_pool(in, "gazelle_packets", n, PACKETS_MIN, room, POOL_OPS, cache);
	if (in->pool != NULL && in->bulk != NULL) {
		if (in->pool->size < wanted)
			fprintf(stderr, "gazelle: %s: made %u packets, DPDK's memory%s holds no more\n",
				key, in->pool->size,
				in->eal.size_is_users ? " (-m or --socket-mem in dpdk_args)" : "");
		return 0;
	}
	snprintf(err, err_len, "no memory for %u packets of %u bytes: give DPDK more in dpdk_args",
		PACKETS_MIN, object_bytes(room));
	return -ENOMEM;
}

void
instance_pool_stop(struct instance *in)
{
	rte_mempool_free(in->pool);
	rte_mempool_free(in->bulk);
	in->pool = NULL;
	in->bulk = NULL;
}
