/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Steering where an address has several instances (nginx and its workers).
 *
 * Their socket tables say who has a connection, so there is nothing to be learnt, aged or lost here.
 * What is in no table is a first packet (or stray): it goes to one of the instances that listen on the
 * port, chosen by highest random weight over the 4-tuple: the same one for a repeated SYN, spread over
 * all, and changed as little as possible when an instance comes or goes. An accepted connection stays
 * where it is whatever happens to the others, because its table shows it.
 *
 * A SYN to a port whose listener has just been closed, by a process that had it from another one, waits
 * for the next process that listens (node `hold`): on the kernel the listener would still be there. So does
 * a SYN to one that listens but whose ring is not connected yet.
 *
 * Thaler, Ravishankar: Using Name-Based Mappings to Increase Hit Rates, 1998.
 */
#include "dispatcher/dispatch.h"

#include <netinet/in.h>

#include <rte_icmp.h>
#include <rte_ip.h>
#include <rte_tcp.h>
#include <rte_udp.h>

#include "nodes/ltran_left.h"
#include "nodes/ltran_table.h"
#include "stack/edge.h"

#define ICMP_ERROR(type) ((type) == 3 || (type) == 11 || (type) == 12) /* RFC 792 */

/* A packet reduced to what sockets are found by. */
struct flow {
	uint32_t raddr, laddr;
	uint16_t rport, lport;
	uint8_t protocol; /* of the ports; 0: none */
};

/* TCP, UDP and SCTP begin with the two ports. */
static bool
read_ports(struct flow *f, const struct rte_ipv4_hdr *ip, uint16_t len, bool is_outgoing)
{
	uint16_t ihl = (ip->version_ihl & 0xf) * 4;
	const uint16_t *ports = (const uint16_t *)((const char *)ip + ihl);

	if (ihl < sizeof(*ip) || len < ihl + 4)
		return false;
	if (ip->fragment_offset & RTE_BE16(RTE_IPV4_HDR_OFFSET_MASK))
		return false;
	f->protocol = ip->next_proto_id;
	f->raddr = is_outgoing ? ip->dst_addr : ip->src_addr;
	f->laddr = is_outgoing ? ip->src_addr : ip->dst_addr;
	f->rport = ports[is_outgoing];
	f->lport = ports[!is_outgoing];
	return true;
}

/* An ICMP error belongs to the sender of the packet it quotes. */
static bool
read_quoted(struct flow *f, const struct rte_ipv4_hdr *ip, uint16_t len)
{
	uint16_t ihl = (ip->version_ihl & 0xf) * 4, at = ihl + sizeof(struct rte_icmp_hdr);
	const struct rte_icmp_hdr *icmp = (const struct rte_icmp_hdr *)((const char *)ip + ihl);

	if (ihl < sizeof(*ip) || len < at + sizeof(*ip) || !ICMP_ERROR(icmp->icmp_type))
		return false;
	return read_ports(f, (const struct rte_ipv4_hdr *)((const char *)ip + at), len - at, true);
}

static bool
read_flow(struct flow *f, const struct rte_ipv4_hdr *ip, uint16_t len)
{
	switch (ip->next_proto_id) {
	case IPPROTO_TCP:
	case IPPROTO_UDP:
		return read_ports(f, ip, len, false);
	case IPPROTO_ICMP:
		return read_quoted(f, ip, len);
	default:
		return false;
	}
}

static uint16_t
flow_queue(const struct flow *f, uint16_t n_queues)
{
	if (f->protocol == IPPROTO_TCP)
		return stack_owner_tcp(f->raddr, f->rport, f->laddr, f->lport, n_queues);
	if (f->protocol == IPPROTO_UDP)
		return stack_owner_udp(f->lport, n_queues);
	return 0;
}

uint16_t
steer_queue(const struct member *mb, const struct rte_ipv4_hdr *ip, uint16_t len)
{
	struct flow f;

	return read_flow(&f, ip, len) ? flow_queue(&f, mb->n_queues) : 0;
}

static bool
has_socket(const struct member *mb, uint16_t table, uint64_t key, uint8_t protocol)
{
	uint64_t info;

	return mb->tables != NULL && ltran_table_find(mb->tables + (size_t)table * mb->n_slots,
		mb->n_slots, key, protocol, &info);
}

static bool
has_connection(const struct member *mb, const struct flow *f)
{
	return has_socket(mb, flow_queue(f, mb->n_queues),
		ltran_slot_key(f->raddr, f->rport, f->lport), f->protocol);
}

static bool
listens(const struct member *mb, const struct flow *f)
{
	uint16_t table = f->protocol == IPPROTO_UDP ? flow_queue(f, mb->n_queues) : 0;

	return has_socket(mb, table, ltran_slot_key(0, 0, f->lport), f->protocol);
}

/* It has just come or is about to go: a SYN would be lost there, and come again after a second. */
static bool
has_no_ring(const struct member *mb)
{
	return atomic_load_explicit(&mb->vid, memory_order_relaxed) < 0;
}

static uint32_t
weight(const struct flow *f, const struct member *mb)
{
	uint64_t key = ltran_slot_key(f->raddr, f->rport, f->lport) ^ f->laddr;

	return ltran_slot_hash((uint64_t)ltran_slot_hash(key, f->protocol) << 32 | mb->pid, 0);
}

static bool
is_expected(const struct map *map, const struct map_addr *a, uint16_t port, uint64_t now_ms)
{
	for (uint16_t i = 0; i < map->n_awaited; i++) {
		const struct map_awaited *w = &map->awaited[i];

		if (w->addr == a->addr && w->port == port && now_ms < w->until_ms)
			return true;
	}
	for (uint16_t i = 0; i < a->n; i++) {
		const struct member *mb = map->order[a->first + i];

		if (mb->left != NULL && ltran_left_is_awaited(mb->left, port, now_ms))
			return true;
	}
	return false;
}

bool
steer_is_awaited(const struct map *map, const struct map_addr *a, const struct rte_ipv4_hdr *ip,
	uint16_t len)
{
	bool listens_without_ring = false;
	struct flow f;

	if (!read_flow(&f, ip, len))
		return false;
	for (uint16_t i = 0; i < a->n; i++) {
		const struct member *mb = map->order[a->first + i];

		if (!listens(mb, &f))
			continue;
		if (!has_no_ring(mb))
			return false;
		listens_without_ring = true;
	}
	for (uint16_t i = 0; i < a->n; i++)
		if (has_connection(map->order[a->first + i], &f))
			return false;
	return listens_without_ring || is_expected(map, a, f.lport, ltran_left_now_ms());
}

uint32_t
steer_shared(const struct map *map, const struct map_addr *a, const struct rte_ipv4_hdr *ip,
	uint16_t len)
{
	struct member *const *mbs = &map->order[a->first];
	const struct member *best = mbs[0];
	uint32_t heaviest = 0, w;
	struct flow f;

	if (!read_flow(&f, ip, len))
		return (uint32_t)best->index << 16;
	for (uint16_t i = 0; i < a->n && f.protocol == IPPROTO_TCP; i++)
		if (has_connection(mbs[i], &f))
			return (uint32_t)mbs[i]->index << 16 | flow_queue(&f, mbs[i]->n_queues);
	for (uint16_t i = 0; i < a->n; i++) {
		if (!listens(mbs[i], &f) || (f.protocol == IPPROTO_TCP && has_no_ring(mbs[i])))
			continue;
		w = weight(&f, mbs[i]) | 1; /* not 0 */
		if (w <= heaviest)
			continue;
		heaviest = w;
		best = mbs[i];
	}
	return (uint32_t)best->index << 16 | flow_queue(&f, best->n_queues);
}
