/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Fuzzer of ltran's graph: frames from the wire, from hostile instances, from the tap and from the control
 * thread pass all its nodes, with rings, wire and tap at the ends that are held against what they may get.
 * Three instances, two of which share an address, and one address whose instance has gone; they come
 * and go, their tables hold what they like, their rings are full, broken or not connected.
 *
 * Always: what comes from the wire does not go back but as a reset for an address that has gone; a unicast
 * packet reaches the rings of its address only; whatever leaves an instance bears its own addresses; every
 * frame arrives as it was sent, a datagram put together of fragments has the bytes they had; a reset has
 * the numbers of RFC 9293; rate_limit holds; at the end no packet is left.
 */
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <rte_arp.h>
#include <rte_icmp.h>
#include <rte_ring.h>
#include <rte_udp.h>
#include <rte_vhost.h>

#include "dispatcher/dispatcher.h"
#include "dispatcher/farewell_frame.h"
#include "dispatcher/police.h"
#include "nodes/ltran_table.h"
#include "nodes/nodes.h"
#include "nodes/reass.h"
#include "nodes/tx.h"
#include "tests/eal.h"
#include "tests/frame_damage.h"

#define FUZZ_RUNS 600
#define FUZZ_TAIL 300
#include "tests/fuzz_main.h"

#define MEMBERS 3
#define QUEUES 2
#define SLOTS 64
#define MTU 1500
#define FRAMES_MAX 300 /* of one operation: more than a vector */
#define FRAME_BYTES 4096
#define OP_BYTES 7
#define RATE 1000000 /* bytes per second of the first instance */
#define RATE_BURST 65550
#define KERNEL_TICKS 100000 /* the tap is asked again */

#define IP(last) RTE_BE32(0xc6120400 | (last)) /* 198.18.4.x */
enum { ALONE = 7, SHARED = 8, GONE = 9, PEER = 200, KERNEL = 250 };

uint64_t fuzz_now_us = 1000000; /* fuzz_clock.h */

static const struct rte_ether_addr mac = {{2, 0, 0, 0, 0, 1}}, peer_mac = {{2, 0, 0, 0, 0, 2}};
static struct ltran_conf conf = {.dispatch_subnet = IP(0), .dispatch_subnet_length = 8};
static struct ltran_slot tables[MEMBERS][QUEUES * SLOTS];
static struct member_stats stats[MEMBERS];
static struct member members[MEMBERS];
static bool is_there[MEMBERS];
static unsigned int room[MEMBERS];
static struct ltran lt;
static struct dispatch_worker dw;
static struct map *map;
static struct rte_mempool *pool;
static int tap; /* the kernel's end */

/* What this operation has sent: `n` times the same frame. */
static struct {
	enum { FROM_NOBODY, FROM_WIRE, FROM_INSTANCE, FROM_TAP, FROM_CONTROL } origin;
	struct rte_mbuf *pkts[FRAMES_MAX];
	unsigned int n, member;
	uint8_t bytes[FRAME_BYTES];
	uint32_t len;
	bool is_cut, is_unfinished;
} sent;

static uint64_t paid_bytes, paid_since; /* of the first instance, and the time of its policer */

static uint8_t
payload(uint16_t id, uint32_t at)
{
	return (uint8_t)((at * 2654435761u ^ id * 40503u) >> 13);
}

/* --- what the ends may get ------------------------------------------------------------------------- */

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
	const struct rte_ipv4_hdr *ip = ip_in(frame), *was = ip_in(sent.bytes);
	const struct rte_tcp_hdr *tcp = (const struct rte_tcp_hdr *)(ip + 1), *seg;
	uint32_t ack, ihl = rte_ipv4_hdr_len(was);

	if (len != RTE_ETHER_HDR_LEN + sizeof(*ip) + sizeof(*tcp) || !is_ip4(frame, len) ||
		ip->next_proto_id != IPPROTO_TCP || !(tcp->tcp_flags & RTE_TCP_RST_FLAG) ||
		ip->src_addr != was->dst_addr || ip->dst_addr != was->src_addr ||
		(len == sent.len && memcmp(frame, sent.bytes, len) == 0))
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

	if (sent.origin != FROM_WIRE || !is_ip4(frame, len) || ip->next_proto_id != IPPROTO_UDP ||
		ip->fragment_offset != 0 ||
		!(ip_in(sent.bytes)->fragment_offset & RTE_BE16(RTE_IPV4_HDR_MF_FLAG | RTE_IPV4_HDR_OFFSET_MASK)))
		return false;
	fuzz_require(len == RTE_ETHER_HDR_LEN + (uint32_t)rte_be_to_cpu_16(ip->total_length),
		"a datagram of another length than it says");
	for (uint32_t at = RTE_ETHER_HDR_LEN + sizeof(*ip); at < len; at++)
		fuzz_require(frame[at] == payload(id, at - RTE_ETHER_HDR_LEN - sizeof(*ip)),
			"a datagram of other bytes");
	return true;
}

static void
check_same(const uint8_t *frame, uint32_t len)
{
	if (sent.is_unfinished || is_whole_datagram(frame, len))
		return;
	fuzz_require(len == sent.len && memcmp(frame, sent.bytes, len) == 0, "a frame has changed");
}

/* Of an instance, under its own name. */
static void
check_sender(const uint8_t *frame, uint32_t len)
{
	const struct rte_ether_hdr *eth = (const struct rte_ether_hdr *)frame;
	const struct rte_arp_hdr *arp = (const struct rte_arp_hdr *)(eth + 1);
	uint32_t addr = members[sent.member].addr;

	if (sent.origin != FROM_INSTANCE)
		return;
	fuzz_require(rte_is_same_ether_addr(&eth->src_addr, &mac), "another's MAC address");
	if (is_ip4(frame, len)) {
		fuzz_require(ip_in(frame)->src_addr == addr, "another's address");
		return;
	}
	fuzz_require(eth->ether_type == RTE_BE16(RTE_ETHER_TYPE_ARP) && len >= sizeof(*eth) + sizeof(*arp),
		"neither IPv4 nor ARP leaves an instance");
	fuzz_require(rte_is_same_ether_addr(&arp->arp_data.arp_sha, &mac) &&
		(arp->arp_data.arp_sip == addr || arp->arp_data.arp_sip == 0), "another's ARP");
}

static const uint8_t *
flat(const struct rte_mbuf *m)
{
	static uint8_t buf[1 << 17];

	fuzz_require(m->pkt_len <= sizeof(buf), "a giant frame");
	return rte_pktmbuf_read(m, 0, m->pkt_len, buf);
}

static bool is_paid; /* this operation's bytes have been counted */

static void
pay(void)
{
	if (sent.origin != FROM_INSTANCE || sent.member != 0 || is_paid)
		return;
	is_paid = true;
	paid_bytes += sent.len;
	fuzz_require(paid_bytes <= RATE_BURST + (double)RATE * (fuzz_now_us - paid_since) /
		(rte_get_tsc_hz)() + 1, "more than rate_limit");
}

static void
check_wire(const struct rte_mbuf *m)
{
	const uint8_t *frame = flat(m);

	fuzz_require(m->pkt_len >= RTE_ETHER_HDR_LEN, "a frame without header");
	if (is_ip4(sent.bytes, sent.len) && is_reset(frame, m->pkt_len))
		return;
	fuzz_require(sent.origin != FROM_WIRE, "a frame goes back to the wire");
	pay();
	check_sender(frame, m->pkt_len);
	if (sent.is_cut && sent.origin == FROM_INSTANCE)
		fuzz_require(m->pkt_len <= RTE_ETHER_HDR_LEN + MTU || m->pkt_len <= sent.len,
			"a segment above the MTU");
	else
		check_same(frame, m->pkt_len);
}

static bool
is_for_all(uint32_t addr)
{
	return rte_be_to_cpu_32(addr) >= 0xe0000000 || addr == IP(255);
}

static void
check_ring(unsigned int to, uint16_t queue, const struct rte_mbuf *m)
{
	const uint8_t *frame = flat(m);
	const struct rte_ether_hdr *eth = (const struct rte_ether_hdr *)frame;

	fuzz_require(to < MEMBERS && is_there[to] && !members[to].broken, "a ring that is not there");
	fuzz_require(queue % 2 == 0 && queue < 2 * members[to].n_queues, "a queue that is not there");
	if (is_ip4(sent.bytes, sent.len) && is_reset(frame, m->pkt_len))
		return;
	pay();
	check_sender(frame, m->pkt_len);
	check_same(frame, m->pkt_len);
	if (sent.origin == FROM_WIRE)
		fuzz_require(rte_is_multicast_ether_addr(&eth->dst_addr) ||
			rte_is_same_ether_addr(&eth->dst_addr, &mac), "a frame for another station");
	if (is_ip4(frame, m->pkt_len) && !rte_is_multicast_ether_addr(&eth->dst_addr) &&
		!is_for_all(ip_in(frame)->dst_addr))
		fuzz_require(ip_in(frame)->dst_addr == members[to].addr, "a packet for another address");
}

/* --- doubles: rings and wire ------------------------------------------------------------------------- */

uint16_t
rte_vhost_dequeue_burst(int vid, uint16_t queue_id, struct rte_mempool *mp, struct rte_mbuf **pkts,
	uint16_t count)
{
	uint16_t n = RTE_MIN(count, sent.n);

	if (sent.origin != FROM_INSTANCE || (unsigned int)vid != sent.member || queue_id != 1)
		return 0;
	memcpy(pkts, sent.pkts + sent.n - n, n * sizeof(*pkts));
	sent.n -= n;
	return n;
}

uint16_t
rte_vhost_enqueue_burst(int vid, uint16_t queue_id, struct rte_mbuf **pkts, uint16_t count)
{
	uint16_t n = RTE_MIN(count, room[vid]);

	for (uint16_t i = 0; i < n; i++)
		check_ring((unsigned int)vid, queue_id, pkts[i]);
	room[vid] -= n;
	return n;
}

bool
tx_send_waiting(struct worker *w)
{
	return true;
}

void
workers_kick(struct ltran *l)
{
}

void
workers_synchronize(struct ltran *l)
{
}

static uint16_t
process_rx(struct rte_graph *rg, struct rte_node *node, void **objs, uint16_t n)
{
	if (sent.origin != FROM_WIRE || sent.n == 0)
		return 0;
	n = RTE_MIN(sent.n, (unsigned int)GRAPH_VECTOR_MAX);
	memcpy(node->objs, sent.pkts + sent.n - n, n * sizeof(void *));
	sent.n -= n;
	node->idx = n;
	graph_trace_mark(node, (struct rte_mbuf **)node->objs, n);
	graph_forward_all(rg, node, node->objs, 0, n);
	return n;
}

static uint16_t
process_tx(struct rte_graph *rg, struct rte_node *node, void **objs, uint16_t n)
{
	fuzz_require(n <= GRAPH_VECTOR_MAX, "a vector beyond its bound");
	for (uint16_t i = 0; i < n; i++)
		check_wire(objs[i]);
	rte_pktmbuf_free_bulk((struct rte_mbuf **)objs, n);
	return n;
}

static const char *const rx_edges[] = {NODE_DISPATCH_IN};
static struct graph_node rx_node = {.name = NODE_RX, .process = process_rx, .source = true,
	.edges = rx_edges, .n_edges = 1};
static struct graph_node tx_node = {.name = NODE_TX, .process = process_tx};
GRAPH_NODE(rx_node)
GRAPH_NODE(tx_node)

/* --- the world --------------------------------------------------------------------------------------- */

static void
publish(void)
{
	static const uint32_t gone[] = {IP(GONE), IP(ALONE), IP(SHARED)};
	struct member *list[MEMBERS];
	uint32_t left[3];
	unsigned int n = 0, n_left = 0;

	for (unsigned int i = 0; i < MEMBERS; i++)
		if (is_there[i])
			list[n++] = &members[i];
	for (unsigned int i = 0; i < RTE_DIM(gone); i++) {
		bool is_used = false;

		for (unsigned int j = 0; j < n; j++)
			is_used |= list[j]->addr == gone[i];
		if (!is_used)
			left[n_left++] = gone[i];
	}
	map_free(map);
	map = map_create(&conf, list, n, left, n_left);
	fuzz_require(map != NULL, "no map");
	dw.map = map;
	atomic_store(&lt.map, map);
}

static void
make_world(void)
{
	static const char *const sources[] = {NODE_RX, NODE_INSTANCE_RX, NODE_REASS_TIMER, NODE_CONTROL_RX,
		NODE_KERNEL_RX};
	static const struct ltran_rate rate = {.addr = IP(ALONE), .bytes = RATE};
	int ends[2];

	fuzz_require(eal_test_start() == 0, "no EAL");
	pool = rte_pktmbuf_pool_create("fuzz", 4095, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
	lt.control = rte_ring_create("control", 512, SOCKET_ID_ANY, RING_F_SC_DEQ);
	lt.heard = rte_ring_create("heard", 64, SOCKET_ID_ANY, RING_F_SC_DEQ);
	fuzz_require(pool != NULL && lt.control != NULL && lt.heard != NULL &&
		socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, ends) == 0, "no memory");
	tap = ends[1];
	paid_since = fuzz_now_us;
	for (unsigned int i = 0; i < MEMBERS; i++)
		members[i] = (struct member){.vid = i, .index = i, .n_queues = QUEUES,
			.addr = i == 0 ? IP(ALONE) : IP(SHARED), .stats = &stats[i],
			.tables = tables[i], .n_slots = SLOTS, .pid = 100 + i};
	members[0].policer = policer_create(&rate, fuzz_now_us);
	dw.lt = &lt;
	dw.w = (struct worker){.n_workers = 1, .port = 0, .rxq = 0, .burst = 32, .mtu = MTU, .pool = pool,
		.kernel_fd = ends[0], .mac = mac};
	fuzz_require(graph_reroute(NODE_IP4_REASS, NODE_CLASSIFY, NODE_DISPATCH_IN) == 0 &&
		graph_reroute(NODE_KERNEL_RX, NODE_TX, NODE_DISPATCH_OUT) == 0, "no such edge");
	dw.w.graph = graph_create("core0", sources, RTE_DIM(sources), &dw);
	fuzz_require(dw.w.graph != NULL, "no graph");
}

static void
drain(void)
{
	uint8_t buf[FRAME_BYTES];
	struct rte_mbuf *m;
	ssize_t n;

	while (rte_ring_dequeue(lt.heard, (void **)&m) == 0) {
		fuzz_require(lt.hearing, "somebody listens to ARP for nobody");
		rte_pktmbuf_free(m);
	}
	while ((n = recv(tap, buf, sizeof(buf), 0)) > 0)
		if (!sent.is_unfinished && !is_reset(buf, n))
			check_same(buf, n);
}

static void
walk(void)
{
	is_paid = false;
	do {
		is_paid = is_paid && sent.n == 0;
		graph_walk(dw.w.graph);
		drain();
	} while (sent.n > 0 && sent.origin == FROM_WIRE);
	rte_pktmbuf_free_bulk(sent.pkts, sent.n); /* of a ring that nobody reads */
	sent.n = 0;
}

/* --- frames ------------------------------------------------------------------------------------------ */

static uint32_t
address(uint8_t which)
{
	static const uint32_t all[] = {IP(ALONE), IP(SHARED), IP(GONE), IP(PEER), IP(KERNEL), IP(255),
		RTE_BE32(0x0a010203), RTE_BE32(0xe0000001)};

	return all[which % RTE_DIM(all)];
}

static void
write_l4(struct rte_ipv4_hdr *ip, uint8_t shape, uint8_t ports)
{
	static const uint8_t protocols[] = {IPPROTO_TCP, IPPROTO_UDP, IPPROTO_ICMP, 47};

	ip->next_proto_id = protocols[shape % 4];
	if (ip->next_proto_id == IPPROTO_TCP)
		*(struct rte_tcp_hdr *)(ip + 1) = (struct rte_tcp_hdr){.src_port = ports >> 4,
			.dst_port = ports & 15, .sent_seq = RTE_BE32(1000), .recv_ack = RTE_BE32(2000),
			.data_off = 0x50, .tcp_flags = RTE_TCP_ACK_FLAG};
	else if (ip->next_proto_id == IPPROTO_UDP)
		*(struct rte_udp_hdr *)(ip + 1) = (struct rte_udp_hdr){.src_port = ports >> 4,
			.dst_port = ports & 15, .dgram_len = RTE_BE16(8)};
	else if (ip->next_proto_id == IPPROTO_ICMP)
		((struct rte_icmp_hdr *)(ip + 1))->icmp_type = ports % 16;
}

/* Good, from one address to another; `shape` 4 and 5 are ARP. */
static struct rte_mbuf *
make(uint8_t shape, uint32_t src, uint32_t dst, bool is_ours, uint16_t len)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(pool);
	struct rte_ether_hdr *eth;
	struct rte_ipv4_hdr *ip;

	if (m == NULL)
		return NULL;
	len = RTE_MIN(len + RTE_ETHER_HDR_LEN + sizeof(*ip) + sizeof(struct rte_tcp_hdr), 1600u);
	eth = (struct rte_ether_hdr *)rte_pktmbuf_append(m, len);
	memset(eth, 0, len);
	eth->src_addr = is_ours ? mac : peer_mac;
	eth->dst_addr = is_ours && (shape & 8) ? peer_mac : mac;
	if (shape & 16 || dst == IP(255))
		memset(&eth->dst_addr, 0xff, sizeof(eth->dst_addr));
	eth->ether_type = RTE_BE16(RTE_ETHER_TYPE_IPV4);
	ip = (struct rte_ipv4_hdr *)(eth + 1);
	*ip = (struct rte_ipv4_hdr){.version_ihl = RTE_IPV4_VHL_DEF, .time_to_live = 64,
		.total_length = rte_cpu_to_be_16(len - RTE_ETHER_HDR_LEN), .src_addr = src, .dst_addr = dst};
	write_l4(ip, shape, (uint8_t)len);
	if ((shape & 7) >= 4 && (shape & 7) < 6) {
		struct farewell_arp *arp = (struct farewell_arp *)eth;

		farewell_write_arp(arp, &eth->src_addr, src, dst);
		arp->arp.arp_opcode = rte_cpu_to_be_16(1 + (shape & 1));
	}
	return m;
}

static void
spoil(struct rte_mbuf *m, uint8_t kind, uint8_t a, uint8_t b)
{
	switch (kind % 8) {
	case 3:
		if (frame_is_ip4(m))
			frame_change_ip(m, (struct frame_damage){kind / 8, a, b});
		break;
	case 4:
		if (frame_is_ip4(m) && frame_tcp(m) != NULL)
			frame_change_tcp(m, frame_tcp(m), (struct frame_damage){kind / 8, a, b});
		break;
	case 5:
		rte_pktmbuf_mtod(m, uint8_t *)[a % m->data_len] ^= b;
		break;
	case 6:
		rte_pktmbuf_trim(m, m->data_len - RTE_MIN(a, m->data_len));
		break;
	default:
		break;
	}
	if (frame_is_ip4(m) && (kind & 0x80) == 0)
		frame_seal(m);
}

/* What an instance asks of its device: anything. */
static void
ask(struct rte_mbuf *m, uint8_t a, uint8_t b)
{
	static const uint64_t flags[] = {RTE_MBUF_F_TX_TCP_CKSUM, RTE_MBUF_F_TX_UDP_CKSUM,
		RTE_MBUF_F_TX_TCP_CKSUM | RTE_MBUF_F_TX_TCP_SEG, RTE_MBUF_F_TX_TCP_SEG};

	m->ol_flags |= RTE_MBUF_F_TX_IPV4 | flags[a % 4];
	m->l2_len = RTE_ETHER_HDR_LEN + (a & 4 ? b % 8 : 0);
	m->l3_len = sizeof(struct rte_ipv4_hdr) + (a & 8 ? b % 64 : 0);
	m->l4_len = sizeof(struct rte_tcp_hdr) + (a & 16 ? b : 0);
	m->tso_segsz = a & 32 ? b : 536;
	sent.is_cut = (m->ol_flags & RTE_MBUF_F_TX_TCP_SEG) != 0;
	sent.is_unfinished = true;
}

static void
send_frames(struct rte_mbuf *m, unsigned int n)
{
	const uint8_t *bytes = flat(m);

	sent.len = m->pkt_len;
	memcpy(sent.bytes, bytes, m->pkt_len);
	sent.pkts[0] = m;
	for (sent.n = 1; sent.n < n; sent.n++) {
		sent.pkts[sent.n] = rte_pktmbuf_copy(m, pool, 0, UINT32_MAX);
		if (sent.pkts[sent.n] == NULL)
			break;
	}
}

static void
send_wire(const uint8_t *op, unsigned int n)
{
	struct rte_mbuf *m = make(op[1], address(op[2] >> 4), address(op[2]), false, op[6] * 6);

	if (m == NULL)
		return;
	spoil(m, op[3], op[4], op[5]);
	sent.origin = FROM_WIRE;
	sent.is_cut = sent.is_unfinished = false;
	if (m->data_len > 0)
		send_frames(m, n);
	else
		rte_pktmbuf_free(m);
}

static void
send_instance(const uint8_t *op, unsigned int n)
{
	unsigned int i = op[0] / 16 % MEMBERS;
	uint32_t src = op[2] & 0x80 ? address(op[2] >> 4) : members[i].addr;
	struct rte_mbuf *m = make(op[1], src, address(op[2]), true, op[6] * 6);

	if (m == NULL)
		return;
	sent.origin = FROM_INSTANCE;
	sent.member = i;
	sent.is_cut = sent.is_unfinished = false;
	spoil(m, op[3], op[4], op[5]);
	if (op[3] % 8 == 7)
		ask(m, op[4], op[5]);
	send_frames(m, n);
}

static void
send_control(const uint8_t *op)
{
	struct rte_mbuf *m = make(op[1] & 1 ? 4 : 0, address(op[2] >> 4), address(op[2]), true, 0);

	sent.origin = FROM_CONTROL;
	sent.is_cut = sent.is_unfinished = false;
	if (m == NULL)
		return;
	frame_seal(m);
	sent.len = m->pkt_len;
	memcpy(sent.bytes, flat(m), m->pkt_len);
	if (rte_ring_enqueue(lt.control, m) < 0)
		rte_pktmbuf_free(m);
}

static void
send_tap(const uint8_t *op)
{
	struct rte_mbuf *m = make(op[1], IP(KERNEL), address(op[2]), true, op[6] * 6);

	sent.origin = FROM_TAP;
	sent.is_cut = sent.is_unfinished = false;
	if (m == NULL)
		return;
	spoil(m, op[3], op[4], op[5]);
	sent.len = m->pkt_len;
	memcpy(sent.bytes, flat(m), m->pkt_len);
	if (m->pkt_len > 0 && send(tap, sent.bytes, sent.len, 0) < 0)
		sent.origin = FROM_NOBODY;
	rte_pktmbuf_free(m);
	fuzz_now_us += KERNEL_TICKS;
}

/* A fragment of a datagram whose bytes are known. */
static void
send_fragment(const uint8_t *op)
{
	uint16_t id = op[1] % 4, at = (op[4] | op[5] << 8) & 0x1ff;
	struct rte_mbuf *m = make(1, IP(PEER), op[2] & 1 ? IP(SHARED) : address(op[2] >> 4), false,
		op[6] & 1 ? op[6] * 6 : op[6] * 8 + 4);
	struct rte_ipv4_hdr *ip;

	if (m == NULL)
		return;
	ip = frame_ip4(m);
	ip->packet_id = rte_cpu_to_be_16(id);
	ip->fragment_offset = rte_cpu_to_be_16(at | (op[3] & 1 ? RTE_IPV4_HDR_MF_FLAG : 0));
	for (uint32_t i = 0; i < m->data_len - RTE_ETHER_HDR_LEN - sizeof(*ip); i++)
		((uint8_t *)(ip + 1))[i] = payload(id, at * 8 + i);
	ip->hdr_checksum = 0;
	ip->hdr_checksum = rte_ipv4_cksum(ip);
	sent.origin = FROM_WIRE;
	sent.is_cut = sent.is_unfinished = false;
	send_frames(m, 1);
}

static void
write_table(const uint8_t *op)
{
	struct ltran_slot *t = tables[op[1] % MEMBERS];

	if (op[1] & 0x80)
		((uint8_t *)t)[(op[2] << 8 | op[3]) % sizeof(tables[0])] = op[4];
	else
		ltran_table_add(t + SLOTS * (op[1] / 4 % QUEUES), SLOTS,
			op[2] & 1 ? ltran_slot_key(IP(PEER), op[4] >> 4, op[4] & 15) : ltran_slot_key(0, 0, op[4] & 15),
			op[2] & 2 ? IPPROTO_UDP : IPPROTO_TCP);
}

static void
change_instance(const uint8_t *op)
{
	unsigned int i = op[1] % MEMBERS;

	switch (op[2] % 4) {
	case 0:
		is_there[i] = !is_there[i];
		publish();
		break;
	case 1:
		atomic_store(&members[i].vid, op[3] & 1 ? -1 : (int)i);
		break;
	case 2:
		atomic_store(&members[i].broken, (op[3] & 1) != 0);
		break;
	default:
		room[i] = op[3] * 8;
	}
}

static void
step(const uint8_t *op)
{
	sent.origin = FROM_NOBODY;
	sent.len = 0;
	switch (op[0] % 16) {
	case 4: case 5: case 6: case 7:
		send_instance(op, 1);
		break;
	case 8:
		send_tap(op);
		break;
	case 9:
		send_control(op);
		break;
	case 10: case 11:
		send_fragment(op);
		break;
	case 12:
		write_table(op);
		break;
	case 13:
		change_instance(op);
		break;
	case 14:
		fuzz_now_us += (uint64_t)(op[1] + 1) << op[2] % 24;
		lt.hearing = (op[3] & 1) != 0;
		break;
	case 15:
		if (op[0] & 0x80)
			send_wire(op, FRAMES_MAX);
		else
			send_instance(op, FRAMES_MAX);
		break;
	default:
		send_wire(op, 1);
	}
	walk();
}

static void
begin(void)
{
	memset(tables, 0, sizeof(tables));
	for (unsigned int i = 0; i < MEMBERS; i++) {
		is_there[i] = true;
		atomic_store(&members[i].vid, (int)i);
		atomic_store(&members[i].broken, false);
		room[i] = UINT16_MAX;
	}
	lt.hearing = false;
	publish();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (pool == NULL)
		make_world();
	begin();
	for (; size >= OP_BYTES; data += OP_BYTES, size -= OP_BYTES)
		step(data);
	sent.origin = FROM_NOBODY;
	fuzz_now_us += (REASS_TIMEOUT_S + 1) * rte_get_tsc_hz();
	walk();
	fuzz_require(rte_mempool_in_use_count(pool) == 0, "packets are left");
	return 0;
}

/* Operation, shape, addresses, damage with two numbers, length. */
static const char *const seeds[] = {
	"@@0@@@@" "A@1@@@@" "B@2@@@@" "\x44@3@@@@" "\x54H\x43@@@\x20" "\x54\x48\x43G\x42@\xff",
	"\x4c@ABC@@" "@A1@@@@" "\x4a\x41\x41\x41\x01\x00@" "\x4a\x41\x41\x01\x01\x01\x10" "\x4a\x41\x41\x40\x21\x01\x11",
	"\x4d@@@@@@" "@@0@@@@" "\x48@0@@@@" "\x49@0@@@@" "\x49\x41\x33@@@@" "@\x45\x30@@@@" "\x4e@@A@@@",
	"\xcf\x50\x35@@@@" "\x4f\x50\x35@@@@" "\x4e\x7f\x17@@@@" "\x64\x44@@@@@" "\x64@\xb3@@@@",
};

FUZZ_MAIN(seeds)
