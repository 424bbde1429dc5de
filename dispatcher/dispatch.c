/* SPDX-License-Identifier: BSD-3-Clause */
/* The verdicts of dispatch-in and dispatch-out; see dispatch.h. */
#include "dispatcher/dispatch.h"

#include <netinet/in.h>

#include <rte_arp.h>
#include <rte_ip.h>
#include <rte_tcp.h>

#define IP_OFF RTE_ETHER_HDR_LEN
#define ARP_LEN (RTE_ETHER_HDR_LEN + sizeof(struct rte_arp_hdr))

static inline struct dispatch_result
go(enum dispatch_edge edge)
{
	return (struct dispatch_result){.edge = edge, .error = DISPATCH_NO_ERROR,
		.seen = SEEN_OTHER};
}

static inline struct dispatch_result
reject(enum dispatch_error error)
{
	struct dispatch_result r = go(DISPATCH_DROP);

	r.error = error;
	return r;
}

/* What no instance owns: the kernel's, where there is a way to it. */
static inline struct dispatch_result
nobody(const struct dispatch_worker *dw, enum dispatch_error error)
{
	return dw->w.kernel_fd >= 0 ? go(DISPATCH_KERNEL) : reject(error);
}

static inline struct dispatch_result
to_member(uint32_t dest)
{
	struct dispatch_result r = go(DISPATCH_INSTANCE);

	r.dest = dest;
	return r;
}

static inline const struct rte_ipv4_hdr *
ip_header(const struct rte_mbuf *m)
{
	return rte_pktmbuf_mtod_offset(m, const struct rte_ipv4_hdr *, IP_OFF);
}

static inline bool
is_fragment(const struct rte_ipv4_hdr *ip)
{
	return (ip->fragment_offset &
		RTE_BE16(RTE_IPV4_HDR_MF_FLAG | RTE_IPV4_HDR_OFFSET_MASK)) != 0;
}

/* The begin of a connection. `len`: bytes from the IP header on. */
static inline bool
is_syn(const struct rte_ipv4_hdr *ip, uint16_t len)
{
	uint16_t ihl = (ip->version_ihl & 0xf) * 4;
	const struct rte_tcp_hdr *tcp = (const struct rte_tcp_hdr *)((const char *)ip + ihl);

	return len >= ihl + sizeof(*tcp) && (tcp->tcp_flags & (RTE_TCP_SYN_FLAG | RTE_TCP_ACK_FLAG |
		RTE_TCP_RST_FLAG)) == RTE_TCP_SYN_FLAG && ip->next_proto_id == IPPROTO_TCP && !is_fragment(ip);
}

/* To the instances of `a`, which has some. `len`: bytes from the IP header on. */
static inline struct dispatch_result
to_address(const struct dispatch_worker *dw, const struct map_addr *a, struct rte_mbuf *m,
	const struct rte_ipv4_hdr *ip, uint16_t len, bool may_reassemble)
{
	const struct member *mb = dw->map->order[a->first];

	if (unlikely(is_syn(ip, len)) && unlikely(steer_is_awaited(dw->map, a, ip, len)))
		return go(DISPATCH_HOLD);
	if (likely(a->n == 1)) {
		if (likely(mb->n_queues == 1) || is_fragment(ip))
			return to_member((uint32_t)mb->index << 16);
		return to_member((uint32_t)mb->index << 16 | steer_queue(mb, ip, len));
	}
	if (unlikely(is_fragment(ip)) && may_reassemble) {
		m->l2_len = IP_OFF;
		m->l3_len = (ip->version_ihl & 0xf) * 4;
		return go(DISPATCH_REASS);
	}
	return to_member(steer_shared(dw->map, a, ip, len));
}

static inline struct dispatch_result
to_gone(const struct dispatch_worker *dw, const struct map_addr *a, const struct rte_ipv4_hdr *ip,
	uint16_t len)
{
	if (is_syn(ip, len) && steer_is_awaited(dw->map, a, ip, len))
		return go(DISPATCH_HOLD);
	if (ip->next_proto_id == IPPROTO_TCP && !is_fragment(ip))
		return go(DISPATCH_RESET);
	return reject(DISPATCH_GONE);
}

/* What every frame with an IPv4 header must have before it is looked at; the rest is verified by who
 * gets it. */
static inline bool
ip_fits(const struct rte_mbuf *m, const struct rte_ipv4_hdr *ip)
{
	uint16_t ihl = (ip->version_ihl & 0xf) * 4;

	return ip->version_ihl >= 0x45 && ip->version_ihl <= 0x4f && m->data_len >= IP_OFF + ihl &&
		rte_be_to_cpu_16(ip->total_length) >= ihl;
}

static inline enum seen_kind
seen_protocol(const struct rte_ipv4_hdr *ip)
{
	switch (ip->next_proto_id) {
	case IPPROTO_TCP:
		return SEEN_TCP;
	case IPPROTO_UDP:
		return SEEN_UDP;
	case IPPROTO_ICMP:
		return SEEN_ICMP;
	default:
		return SEEN_OTHER;
	}
}

/* The subnet of ltran.conf is no netmask: which address is a broadcast's, only instances know. What is
 * for all comes in frames for all. */
static inline bool
is_group_addr(uint32_t addr)
{
	return rte_be_to_cpu_32(addr) >= 0xe0000000;
}

static inline struct dispatch_result
ip_in(const struct dispatch_worker *dw, struct rte_mbuf *m, bool is_group_frame)
{
	const struct rte_ipv4_hdr *ip = ip_header(m);
	struct dispatch_result r;
	const struct map_addr *a;

	if (unlikely(m->data_len < IP_OFF + sizeof(*ip)))
		return reject(DISPATCH_SHORT_FRAME);
	if (unlikely(!ip_fits(m, ip)))
		return reject(DISPATCH_BAD_IP);
	a = map_find(dw->map, ip->dst_addr);
	if (likely(a->n > 0 && !is_group_frame))
		r = to_address(dw, a, m, ip, m->data_len - IP_OFF, true);
	else if (is_group_frame || is_group_addr(ip->dst_addr)) {
		r = nobody(dw, DISPATCH_NO_INSTANCE);
		r.error = DISPATCH_NO_ERROR;
		r.copy = COPY_ALL;
	} else if (a->addr != 0)
		r = to_gone(dw, a, ip, m->data_len - IP_OFF);
	else
		r = nobody(dw, DISPATCH_NO_INSTANCE);
	r.seen = seen_protocol(ip);
	return r;
}

/* True: the frame holds a whole ARP packet for IPv4 over Ethernet. */
static inline bool
arp_fits(const struct rte_mbuf *m)
{
	const struct rte_arp_hdr *arp = rte_pktmbuf_mtod_offset(m, const struct rte_arp_hdr *, IP_OFF);

	return m->data_len >= ARP_LEN && arp->arp_hardware == RTE_BE16(RTE_ARP_HRD_ETHER) &&
		arp->arp_protocol == RTE_BE16(RTE_ETHER_TYPE_IPV4) &&
		arp->arp_hlen == RTE_ETHER_ADDR_LEN && arp->arp_plen == sizeof(uint32_t);
}

/*
 * A request goes to the first instance of its target, which answers for all of them; a reply to all
 * of them; an announcement to everybody. `else_to`: where the target is nobody's here.
 */
static struct dispatch_result
arp_to_address(const struct dispatch_worker *dw, const struct rte_mbuf *m,
	struct dispatch_result else_to)
{
	const struct rte_arp_hdr *arp = rte_pktmbuf_mtod_offset(m, const struct rte_arp_hdr *, IP_OFF);
	const struct map_addr *a = map_find(dw->map, arp->arp_data.arp_tip);
	bool is_reply = arp->arp_opcode != RTE_BE16(RTE_ARP_OP_REQUEST);
	struct dispatch_result r = else_to;

	if (arp->arp_data.arp_sip == arp->arp_data.arp_tip) {
		r.copy = COPY_ALL;
		r.error = DISPATCH_NO_ERROR;
	} else if (a->n > 0) {
		r = to_member((uint32_t)dw->map->order[a->first]->index << 16);
		r.copy = is_reply && a->n > 1 ? COPY_GROUP : 0;
		r.group = a - dw->map->addrs;
	} else if (a->addr != 0) {
		r = reject(DISPATCH_GONE);
	}
	r.hear = is_reply && atomic_load_explicit(&dw->lt->hearing, memory_order_relaxed);
	r.seen = SEEN_ARP;
	return r;
}

struct dispatch_result
dispatch_in(const struct dispatch_worker *dw, struct rte_mbuf *m)
{
	const struct rte_ether_hdr *eth = rte_pktmbuf_mtod(m, const struct rte_ether_hdr *);
	bool is_group;

	if (unlikely(m->data_len < sizeof(*eth)))
		return reject(DISPATCH_SHORT_FRAME);
	is_group = rte_is_multicast_ether_addr(&eth->dst_addr) != 0;
	if (unlikely(!is_group && !rte_is_same_ether_addr(&eth->dst_addr, &dw->w.mac)))
		return reject(DISPATCH_NOT_OURS);
	if (likely(eth->ether_type == RTE_BE16(RTE_ETHER_TYPE_IPV4)))
		return ip_in(dw, m, is_group);
	if (eth->ether_type != RTE_BE16(RTE_ETHER_TYPE_ARP))
		return nobody(dw, DISPATCH_ETHERTYPE);
	if (!arp_fits(m))
		return reject(DISPATCH_BAD_ARP);
	return arp_to_address(dw, m, nobody(dw, DISPATCH_NO_INSTANCE));
}

/* From this host to one of its addresses: to the instance, whatever MAC address the sender believes
 * in (a gateway's, when the two have different netmasks). */
static inline struct dispatch_result
ip_out(const struct dispatch_worker *dw, struct rte_mbuf *m, const struct rte_ether_hdr *eth)
{
	const struct rte_ipv4_hdr *ip = ip_header(m);
	struct dispatch_result r = go(DISPATCH_WIRE);
	const struct map_addr *a;

	if (unlikely(m->data_len < IP_OFF + sizeof(*ip)))
		return reject(DISPATCH_SHORT_FRAME);
	if (unlikely(!ip_fits(m, ip)))
		return reject(DISPATCH_BAD_IP);
	if (unlikely(rte_is_multicast_ether_addr(&eth->dst_addr))) {
		r.copy = COPY_ALL | COPY_KERNEL;
		return r;
	}
	a = map_find(dw->map, ip->dst_addr);
	if (unlikely(a->n > 0))
		return to_address(dw, a, m, ip, m->data_len - IP_OFF, false);
	if (likely(!rte_is_same_ether_addr(&eth->dst_addr, &dw->w.mac)))
		return r;
	if (a->addr != 0)
		return to_gone(dw, a, ip, m->data_len - IP_OFF);
	return nobody(dw, DISPATCH_NO_INSTANCE);
}

struct dispatch_result
dispatch_out(const struct dispatch_worker *dw, struct rte_mbuf *m)
{
	const struct rte_ether_hdr *eth = rte_pktmbuf_mtod(m, const struct rte_ether_hdr *);
	struct dispatch_result r = go(DISPATCH_WIRE);

	if (unlikely(m->data_len < sizeof(*eth)))
		return reject(DISPATCH_SHORT_FRAME);
	if (likely(eth->ether_type == RTE_BE16(RTE_ETHER_TYPE_IPV4)))
		return ip_out(dw, m, eth);
	if (eth->ether_type != RTE_BE16(RTE_ETHER_TYPE_ARP))
		return r; /* of the kernel: guard lets instances send nothing else */
	if (!arp_fits(m))
		return reject(DISPATCH_BAD_ARP);
	if (rte_is_same_ether_addr(&eth->dst_addr, &dw->w.mac))
		return arp_to_address(dw, m, nobody(dw, DISPATCH_NO_INSTANCE));
	r.copy = rte_is_multicast_ether_addr(&eth->dst_addr) ? COPY_KERNEL : 0;
	return arp_to_address(dw, m, r);
}
