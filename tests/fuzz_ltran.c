/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Fuzzer of ltran's graph: frames from the wire, from hostile instances, from the tap and from the control
 * thread pass all its nodes, with rings, wire and tap at the ends that are held against what they may get.
 * Three instances, two of which share an address, and one address whose instance has gone; they come
 * and go, their tables hold what they like, their rings are full, broken or not connected.
 *
 * Always: what comes from the wire does not go back but as a reset for an address that has gone; a unicast
 * packet reaches the rings of its address only; whatever leaves an instance bears its own addresses; every
 * frame arrives as it was sent, a SYN that waits goes on in the end, a datagram put together of fragments has the bytes they had; a reset has
 * the numbers of RFC 9293; rate_limit holds; at the end no packet is left.
 */
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <rte_ring.h>
#include <rte_vhost.h>

#include "dispatcher/dispatcher.h"
#include "dispatcher/police.h"
#include "dispatcher/turn_pool.h"
#include "nodes/ltran_left.h"
#include "nodes/ltran_table.h"
#include "nodes/nodes.h"
#include "nodes/reass.h"
#include "nodes/tx.h"
#include "tests/eal.h"
#include "tests/frame_damage.h"
#include "tests/fuzz_ltran.h"

#define FUZZ_RUNS 600
#define FUZZ_TAIL 300
#include "tests/fuzz_main.h"

#define QUEUES 2
#define SLOTS 64
#define OP_BYTES 7
#define KERNEL_TICKS 100000 /* the tap is asked again */

uint64_t fuzz_now_us = 1000000;

const struct rte_ether_addr fuzz_mac = {{2, 0, 0, 0, 0, 1}}, fuzz_peer_mac = {{2, 0, 0, 0, 0, 2}};
static struct ltran_conf conf = {.dispatch_subnet = IP(0), .dispatch_subnet_length = 8};
static struct ltran_slot tables[FUZZ_MEMBERS][QUEUES * SLOTS];
static uint64_t lefts[FUZZ_MEMBERS][LTRAN_LEFT_MAX];
static bool awaits; /* ports of addresses whose instances have gone */
static struct member_stats stats[FUZZ_MEMBERS];
struct member fuzz_members[FUZZ_MEMBERS];
bool fuzz_is_there[FUZZ_MEMBERS];
static unsigned int room[FUZZ_MEMBERS];
static struct ltran lt;
static struct dispatch_worker dw;
static struct map *map;
static struct rte_mempool *pool;
static int tap; /* the kernel's end */

struct fuzz_sent fuzz_sent;

/* --- doubles: rings and wire ------------------------------------------------------------------------- */

uint16_t
rte_vhost_dequeue_burst(int vid, uint16_t queue_id, struct rte_mempool *mp, struct rte_mbuf **pkts,
	uint16_t count)
{
	uint16_t n = RTE_MIN(count, fuzz_sent.n);

	if (fuzz_sent.origin != FROM_INSTANCE || (unsigned int)vid != fuzz_sent.member || queue_id != 1)
		return 0;
	memcpy(pkts, fuzz_sent.pkts + fuzz_sent.n - n, n * sizeof(*pkts));
	fuzz_sent.n -= n;
	return n;
}

uint16_t
rte_vhost_enqueue_burst(int vid, uint16_t queue_id, struct rte_mbuf **pkts, uint16_t count)
{
	uint16_t n = RTE_MIN(count, room[vid]);

	for (uint16_t i = 0; i < n; i++)
		fuzz_check_ring((unsigned int)vid, queue_id, pkts[i]);
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
	if (fuzz_sent.origin != FROM_WIRE || fuzz_sent.n == 0)
		return 0;
	n = RTE_MIN(fuzz_sent.n, (unsigned int)GRAPH_VECTOR_MAX);
	memcpy(node->objs, fuzz_sent.pkts + fuzz_sent.n - n, n * sizeof(void *));
	fuzz_sent.n -= n;
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
		fuzz_check_wire(objs[i]);
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
	static const struct map_awaited awaited[] = {{IP(GONE), 3, UINT64_MAX}, {IP(ALONE), 5, UINT64_MAX},
		{IP(SHARED), 7, 0}};
	struct member *list[FUZZ_MEMBERS];
	uint32_t left[3];
	unsigned int n = 0, n_left = 0;

	for (unsigned int i = 0; i < FUZZ_MEMBERS; i++)
		if (fuzz_is_there[i])
			list[n++] = &fuzz_members[i];
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
	if (awaits)
		map_await(map, awaited, RTE_DIM(awaited));
	dw.map = map;
	atomic_store(&lt.map, map);
}

static void
make_world(void)
{
	static const char *const sources[] = {NODE_RX, NODE_INSTANCE_RX, NODE_REASS_TIMER, NODE_HOLD_TIMER,
		NODE_CONTROL_RX, NODE_KERNEL_RX};
	static const struct ltran_rate rate = {.addr = IP(ALONE), .bytes = FUZZ_RATE};
	int ends[2];

	fuzz_require(eal_test_start() == 0, "no EAL");
	pool = rte_pktmbuf_pool_create("fuzz", 4095, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
	lt.control = rte_ring_create("control", 512, SOCKET_ID_ANY, RING_F_SC_DEQ);
	lt.heard = rte_ring_create("heard", 64, SOCKET_ID_ANY, RING_F_SC_DEQ);
	fuzz_require(pool != NULL && lt.control != NULL && lt.heard != NULL &&
		socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, ends) == 0, "no memory");
	tap = ends[1];
	fuzz_check_begin();
	for (unsigned int i = 0; i < FUZZ_MEMBERS; i++)
		fuzz_members[i] = (struct member){.vid = i, .index = i, .n_queues = QUEUES,
			.addr = i == 0 ? IP(ALONE) : IP(SHARED), .stats = &stats[i],
			.tables = tables[i], .left = lefts[i], .n_slots = SLOTS, .pid = 100 + i};
	fuzz_members[0].policer = policer_create(&rate, fuzz_now_us);
	dw.lt = &lt;
	dw.turn_pool = turn_pool_create(pool, 0);
	fuzz_require(dw.turn_pool != NULL, "no memory");
	dw.w = (struct worker){.n_workers = 1, .port = 0, .rxq = 0, .burst = 32, .mtu = FUZZ_MTU, .pool = pool,
		.kernel_fd = ends[0], .mac = fuzz_mac};
	fuzz_require(graph_reroute(NODE_IP4_REASS, NODE_CLASSIFY, NODE_DISPATCH_IN) == 0 &&
		graph_reroute(NODE_KERNEL_RX, NODE_TX, NODE_DISPATCH_OUT) == 0, "no such edge");
	dw.w.graph = graph_create("core0", sources, RTE_DIM(sources), &dw);
	fuzz_require(dw.w.graph != NULL, "no graph");
}

static void
drain(void)
{
	uint8_t buf[FUZZ_FRAME_BYTES];
	struct rte_mbuf *m;
	ssize_t n;

	while (rte_ring_dequeue(lt.heard, (void **)&m) == 0) {
		fuzz_require(lt.hearing, "somebody listens to ARP for nobody");
		rte_pktmbuf_free(m);
	}
	while ((n = recv(tap, buf, sizeof(buf), 0)) > 0)
		fuzz_check_tap(buf, n);
}

/* SYNs that wait: nobody is expected any more; then their time is over. */
static void
end_waiting(void)
{
	if (dw.hold.n == 0)
		return;
	memset(lefts, 0, sizeof(lefts));
	awaits = false;
	map_await(map, NULL, 0);
	fuzz_now_us += 2 * HOLD_LOOK_MS * 1000;
	graph_walk(dw.w.graph);
	drain();
	fuzz_now_us += 2 * HOLD_MS * 1000;
	graph_walk(dw.w.graph);
	drain();
	fuzz_require(dw.hold.n == 0, "a SYN is held for ever");
}

static void
walk(void)
{
	fuzz_sent.is_paid = false;
	do {
		fuzz_sent.is_paid = fuzz_sent.is_paid && fuzz_sent.n == 0;
		graph_walk(dw.w.graph);
		drain();
	} while (fuzz_sent.n > 0 && fuzz_sent.origin == FROM_WIRE);
	end_waiting();
	rte_pktmbuf_free_bulk(fuzz_sent.pkts, fuzz_sent.n); /* of a ring that nobody reads */
	fuzz_sent.n = 0;
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
	fuzz_sent.is_cut = (m->ol_flags & RTE_MBUF_F_TX_TCP_SEG) != 0;
	fuzz_sent.is_unfinished = true;
}

static void
send_frames(struct rte_mbuf *m, unsigned int n)
{
	const uint8_t *bytes = fuzz_flat(m);

	fuzz_sent.len = m->pkt_len;
	memcpy(fuzz_sent.bytes, bytes, m->pkt_len);
	fuzz_sent.pkts[0] = m;
	for (fuzz_sent.n = 1; fuzz_sent.n < n; fuzz_sent.n++) {
		fuzz_sent.pkts[fuzz_sent.n] = rte_pktmbuf_copy(m, pool, 0, UINT32_MAX);
		if (fuzz_sent.pkts[fuzz_sent.n] == NULL)
			break;
	}
}

static void
send_wire(const uint8_t *op, unsigned int n)
{
	struct rte_mbuf *m = fuzz_frame(pool, op[1], fuzz_address(op[2] >> 4), fuzz_address(op[2]), false, op[6] * 6);

	if (m == NULL)
		return;
	fuzz_spoil(m, op[3], op[4], op[5]);
	fuzz_sent.origin = FROM_WIRE;
	fuzz_sent.is_cut = fuzz_sent.is_unfinished = false;
	if (m->data_len > 0)
		send_frames(m, n);
	else
		rte_pktmbuf_free(m);
}

static void
send_instance(const uint8_t *op, unsigned int n)
{
	unsigned int i = op[0] / 16 % FUZZ_MEMBERS;
	uint32_t src = op[2] & 0x80 ? fuzz_address(op[2] >> 4) : fuzz_members[i].addr;
	struct rte_mbuf *m = fuzz_frame(pool, op[1], src, fuzz_address(op[2]), true, op[6] * 6);

	if (m == NULL)
		return;
	fuzz_sent.origin = FROM_INSTANCE;
	fuzz_sent.member = i;
	fuzz_sent.is_cut = fuzz_sent.is_unfinished = false;
	fuzz_spoil(m, op[3], op[4], op[5]);
	if (op[3] % 8 == 7)
		ask(m, op[4], op[5]);
	send_frames(m, n);
}

static void
send_control(const uint8_t *op)
{
	struct rte_mbuf *m = fuzz_frame(pool, op[1] & 1 ? 4 : 0, fuzz_address(op[2] >> 4), fuzz_address(op[2]), true, 0);

	fuzz_sent.origin = FROM_CONTROL;
	fuzz_sent.is_cut = fuzz_sent.is_unfinished = false;
	if (m == NULL)
		return;
	frame_seal(m);
	fuzz_sent.len = m->pkt_len;
	memcpy(fuzz_sent.bytes, fuzz_flat(m), m->pkt_len);
	if (rte_ring_enqueue(lt.control, m) < 0)
		rte_pktmbuf_free(m);
}

static void
send_tap(const uint8_t *op)
{
	struct rte_mbuf *m = fuzz_frame(pool, op[1], IP(KERNEL), fuzz_address(op[2]), true, op[6] * 6);

	fuzz_sent.origin = FROM_TAP;
	fuzz_sent.is_cut = fuzz_sent.is_unfinished = false;
	if (m == NULL)
		return;
	fuzz_spoil(m, op[3], op[4], op[5]);
	fuzz_sent.len = m->pkt_len;
	memcpy(fuzz_sent.bytes, fuzz_flat(m), m->pkt_len);
	if (m->pkt_len > 0 && send(tap, fuzz_sent.bytes, fuzz_sent.len, 0) < 0)
		fuzz_sent.origin = FROM_NOBODY;
	rte_pktmbuf_free(m);
	fuzz_now_us += KERNEL_TICKS;
}

/* A fragment of a datagram whose bytes are known. */
static void
send_fragment(const uint8_t *op)
{
	uint16_t id = op[1] % 4, at = (op[4] | op[5] << 8) & 0x1ff;
	struct rte_mbuf *m = fuzz_frame(pool, 1, IP(PEER), op[2] & 1 ? IP(SHARED) : fuzz_address(op[2] >> 4), false,
		op[6] & 1 ? op[6] * 6 : op[6] * 8 + 4);
	struct rte_ipv4_hdr *ip;

	if (m == NULL)
		return;
	ip = frame_ip4(m);
	ip->packet_id = rte_cpu_to_be_16(id);
	ip->fragment_offset = rte_cpu_to_be_16(at | (op[3] & 1 ? RTE_IPV4_HDR_MF_FLAG : 0));
	for (uint32_t i = 0; i < m->data_len - RTE_ETHER_HDR_LEN - sizeof(*ip); i++)
		((uint8_t *)(ip + 1))[i] = fuzz_payload(id, at * 8 + i);
	ip->hdr_checksum = 0;
	ip->hdr_checksum = rte_ipv4_cksum(ip);
	fuzz_sent.origin = FROM_WIRE;
	fuzz_sent.is_cut = fuzz_sent.is_unfinished = false;
	send_frames(m, 1);
}

static void
write_table(const uint8_t *op)
{
	struct ltran_slot *t = tables[op[1] % FUZZ_MEMBERS];

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
	unsigned int i = op[1] % FUZZ_MEMBERS;

	switch (op[2] % 6) {
	case 4:
		lefts[i][op[3] % LTRAN_LEFT_MAX] = (op[4] & 15) | (op[3] & 0x80 ? LTRAN_LEFT_LISTENS : 0) |
			(ltran_left_now_ms() - op[5] * 16) << 32;
		break;
	case 5:
		awaits = (op[3] & 1) != 0;
		publish();
		break;
	case 0:
		fuzz_is_there[i] = !fuzz_is_there[i];
		publish();
		break;
	case 1:
		atomic_store(&fuzz_members[i].vid, op[3] & 1 ? -1 : (int)i);
		break;
	case 2:
		atomic_store(&fuzz_members[i].broken, (op[3] & 1) != 0);
		break;
	default:
		room[i] = op[3] * 8;
	}
}

static void
step(const uint8_t *op)
{
	fuzz_sent.origin = FROM_NOBODY;
	fuzz_sent.len = 0;
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
			send_wire(op, FUZZ_FRAMES_MAX);
		else
			send_instance(op, FUZZ_FRAMES_MAX);
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
	memset(lefts, 0, sizeof(lefts));
	awaits = false;
	for (unsigned int i = 0; i < FUZZ_MEMBERS; i++) {
		fuzz_is_there[i] = true;
		atomic_store(&fuzz_members[i].vid, (int)i);
		atomic_store(&fuzz_members[i].broken, false);
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
	for (unsigned int i = 0; i < FUZZ_MEMBERS; i++)
		fuzz_members[i].spread = (struct token_bucket){0}; /* full */
	begin();
	for (; size >= OP_BYTES; data += OP_BYTES, size -= OP_BYTES)
		step(data);
	fuzz_sent.origin = FROM_NOBODY;
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
