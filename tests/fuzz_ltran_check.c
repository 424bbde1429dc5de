/* SPDX-License-Identifier: BSD-3-Clause */
/* What wire, rings and tap may get of ltran, held against what was sent; see fuzz_ltran.h. */
#include <netinet/in.h>
#include <string.h>

#include <rte_arp.h>
#include <rte_cycles.h>
#include <rte_tcp.h>

#include "tests/frame_damage.h"
#include "tests/fuzz_ltran.h"
#include "tests/fuzz_main.h"

#define RATE_BURST 65550

static uint64_t paid_bytes, paid_since; /* of the first instance, and the time of its policer */

void
fuzz_check_begin(void)
{
	paid_since = fuzz_now_us;
}

static const struct rte_ipv4_hdr *
ip_in(const uint8_t *frame)
{
	return (const struct rte_ipv4_hdr *)(frame + RTE_ETHER_HDR_LEN);
}

static bool
is_ip4(const uint8_t *frame, uint32_t len)
{
	return len >= RTE_ETHER_HDR_LEN + sizeof(struct rte_ipv4_hdr) &&
		((const struct rte_ether_hdr *)frame)->ether_type == RTE_BE16(RTE_ETHER_TYPE_IPV4);
}

/* An address without instances answers a segment: RFC 9293 3.10.7.1. */
static bool
is_reset(const uint8_t *frame, uint32_t len)
{
	const struct rte_ipv4_hdr *ip = ip_in(frame), *was = ip_in(fuzz_sent.bytes);
	const struct rte_tcp_hdr *tcp = (const struct rte_tcp_hdr *)(ip + 1), *seg;
	uint32_t ack, ihl = rte_ipv4_hdr_len(was);

	if (len != RTE_ETHER_HDR_LEN + sizeof(*ip) + sizeof(*tcp) || !is_ip4(frame, len) ||
		ip->next_proto_id != IPPROTO_TCP || !(tcp->tcp_flags & RTE_TCP_RST_FLAG) ||
		ip->src_addr != was->dst_addr || ip->dst_addr != was->src_addr ||
		(len == fuzz_sent.len && memcmp(frame, fuzz_sent.bytes, len) == 0))
		return false;
	seg = (const struct rte_tcp_hdr *)((const char *)was + ihl);
	fuzz_require(!(seg->tcp_flags & RTE_TCP_RST_FLAG), "a reset is answered");
	fuzz_require(rte_ipv4_cksum(ip) == 0 || ip->hdr_checksum == rte_ipv4_cksum(ip), "a bad header");
	if (seg->tcp_flags & RTE_TCP_ACK_FLAG) {
		fuzz_require(tcp->sent_seq == seg->recv_ack, "a reset with a wrong number");
		return true;
	}
	ack = rte_be_to_cpu_32(seg->sent_seq) + rte_be_to_cpu_16(was->total_length) - ihl -
		(seg->data_off >> 4) * 4 + !!(seg->tcp_flags & RTE_TCP_SYN_FLAG) +
		!!(seg->tcp_flags & RTE_TCP_FIN_FLAG);
	fuzz_require(tcp->recv_ack == rte_cpu_to_be_32(ack), "a reset of a wrong number");
	return true;
}

/* Put together of fragments, whose bytes are known. */
static bool
is_whole_datagram(const uint8_t *frame, uint32_t len)
{
	const struct rte_ipv4_hdr *ip = ip_in(frame);
	uint16_t id = rte_be_to_cpu_16(ip->packet_id);

	if (fuzz_sent.origin != FROM_WIRE || !is_ip4(frame, len) || ip->next_proto_id != IPPROTO_UDP ||
		ip->fragment_offset != 0 ||
		!(ip_in(fuzz_sent.bytes)->fragment_offset & RTE_BE16(RTE_IPV4_HDR_MF_FLAG | RTE_IPV4_HDR_OFFSET_MASK)))
		return false;
	fuzz_require(len == RTE_ETHER_HDR_LEN + (uint32_t)rte_be_to_cpu_16(ip->total_length),
		"a datagram of another length than it says");
	for (uint32_t at = RTE_ETHER_HDR_LEN + sizeof(*ip); at < len; at++)
		fuzz_require(frame[at] == fuzz_payload(id, at - RTE_ETHER_HDR_LEN - sizeof(*ip)),
			"a datagram of other bytes");
	return true;
}

static void
check_same(const uint8_t *frame, uint32_t len)
{
	if (fuzz_sent.is_unfinished || is_whole_datagram(frame, len))
		return;
	fuzz_require(len == fuzz_sent.len && memcmp(frame, fuzz_sent.bytes, len) == 0, "a frame has changed");
}

/* Of an instance, under its own name. */
static void
check_sender(const uint8_t *frame, uint32_t len)
{
	const struct rte_ether_hdr *eth = (const struct rte_ether_hdr *)frame;
	const struct rte_arp_hdr *arp = (const struct rte_arp_hdr *)(eth + 1);
	uint32_t addr = fuzz_members[fuzz_sent.member].addr;

	if (fuzz_sent.origin != FROM_INSTANCE)
		return;
	fuzz_require(rte_is_same_ether_addr(&eth->src_addr, &fuzz_mac), "another's MAC address");
	if (is_ip4(frame, len)) {
		fuzz_require(ip_in(frame)->src_addr == addr, "another's address");
		return;
	}
	fuzz_require(eth->ether_type == RTE_BE16(RTE_ETHER_TYPE_ARP) && len >= sizeof(*eth) + sizeof(*arp),
		"neither IPv4 nor ARP leaves an instance");
	fuzz_require(rte_is_same_ether_addr(&arp->arp_data.arp_sha, &fuzz_mac) &&
		(arp->arp_data.arp_sip == addr || arp->arp_data.arp_sip == 0), "another's ARP");
}

static void
pay(void)
{
	if (fuzz_sent.origin != FROM_INSTANCE || fuzz_sent.member != 0 || fuzz_sent.is_paid)
		return;
	fuzz_sent.is_paid = true;
	paid_bytes += fuzz_sent.len;
	fuzz_require(paid_bytes <= RATE_BURST + (double)FUZZ_RATE * (fuzz_now_us - paid_since) /
		(rte_get_tsc_hz)() + 1, "more than rate_limit");
}

void
fuzz_check_wire(const struct rte_mbuf *m)
{
	const uint8_t *frame = fuzz_flat(m);

	fuzz_require(m->pkt_len >= RTE_ETHER_HDR_LEN, "a frame without header");
	if (is_ip4(fuzz_sent.bytes, fuzz_sent.len) && is_reset(frame, m->pkt_len))
		return;
	fuzz_require(fuzz_sent.origin != FROM_WIRE, "a frame goes back to the wire");
	pay();
	check_sender(frame, m->pkt_len);
	if (fuzz_sent.is_cut && fuzz_sent.origin == FROM_INSTANCE)
		fuzz_require(m->pkt_len <= RTE_ETHER_HDR_LEN + FUZZ_MTU || m->pkt_len <= fuzz_sent.len,
			"a segment above the MTU");
	else
		check_same(frame, m->pkt_len);
}

static bool
is_for_all(uint32_t addr)
{
	return rte_be_to_cpu_32(addr) >= 0xe0000000 || addr == IP(255);
}

void
fuzz_check_ring(unsigned int to, uint16_t queue, const struct rte_mbuf *m)
{
	const uint8_t *frame = fuzz_flat(m);
	const struct rte_ether_hdr *eth = (const struct rte_ether_hdr *)frame;

	fuzz_require(to < FUZZ_MEMBERS && fuzz_is_there[to] && !fuzz_members[to].broken, "a ring that is not there");
	fuzz_require(queue % 2 == 0 && queue < 2 * fuzz_members[to].n_queues, "a queue that is not there");
	if (is_ip4(fuzz_sent.bytes, fuzz_sent.len) && is_reset(frame, m->pkt_len))
		return;
	pay();
	check_sender(frame, m->pkt_len);
	check_same(frame, m->pkt_len);
	if (fuzz_sent.origin == FROM_WIRE)
		fuzz_require(rte_is_multicast_ether_addr(&eth->dst_addr) ||
			rte_is_same_ether_addr(&eth->dst_addr, &fuzz_mac), "a frame for another station");
	if (is_ip4(frame, m->pkt_len) && !rte_is_multicast_ether_addr(&eth->dst_addr) &&
		!is_for_all(ip_in(frame)->dst_addr))
		fuzz_require(ip_in(frame)->dst_addr == fuzz_members[to].addr, "a packet for another address");
}

void
fuzz_check_tap(const uint8_t *frame, uint32_t len)
{
	if (!fuzz_sent.is_unfinished && !is_reset(frame, len))
		check_same(frame, len);
}
