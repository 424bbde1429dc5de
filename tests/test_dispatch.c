/* SPDX-License-Identifier: BSD-3-Clause */
/* Where frames go: dispatch-in, dispatch-out, and steering of addresses that several share. */
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

static void
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

static void
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

static void
teardown(void)
{
	map_free(map);
	eal_test_pool_done(pool);
}

static struct rte_mbuf *
to(struct rte_mbuf *m, uint32_t addr)
{
	FRAME_IP(m)->dst_addr = addr;
	return m;
}

static struct rte_mbuf *
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
static struct dispatch_result
in(struct rte_mbuf *m)
{
	struct dispatch_result r = dispatch_in(&dw, m);

	rte_pktmbuf_free(m);
	return r;
}

static struct dispatch_result
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

/* --- from the wire -------------------------------------------------------------------------------- */

static void
packet_goes_to_the_instance_of_its_address(void)
{
	struct rte_mbuf *m = to(frame_udp(pool, 8), SOLE);
	uint16_t queue = steer_queue(&members[0], FRAME_IP(m), m->data_len - 14);

	ASSERT_TO(in(m), 2, queue);
	CU_ASSERT_EQUAL(queue, 53 % QUEUES);
	CU_ASSERT_EQUAL(in(to(frame_tcp(pool, NULL, 0, 0), SOLE)).seen, SEEN_TCP);
	CU_ASSERT_EQUAL(in(to(frame_icmp(pool, 8, 8), SOLE)).seen, SEEN_ICMP);
}

static void
tcp_connections_spread_over_queues(void)
{
	unsigned int hits[QUEUES] = {0};

	for (int i = 0; i < 400; i++) {
		struct rte_mbuf *m = to(frame_tcp(pool, NULL, 0, 0), SOLE);

		FRAME_L4(m, struct rte_tcp_hdr)->src_port = htons(20000 + i);
		hits[in(m).dest & 0xffff]++;
	}
	for (int q = 0; q < QUEUES; q++)
		CU_ASSERT_TRUE(hits[q] > 60);
}

static void
what_nobody_owns_is_dropped_or_the_kernels(void)
{
	ASSERT_DROPPED(in(to(frame_udp(pool, 8), NONE)), DISPATCH_NO_INSTANCE);
	ASSERT_DROPPED(in(to(frame_udp(pool, 8), OUTSIDE)), DISPATCH_NO_INSTANCE);
	ASSERT_DROPPED(in(arp(RTE_ARP_OP_REQUEST, FRAME_PEER, NONE)), DISPATCH_NO_INSTANCE);
	dw.w.kernel_fd = 3;
	CU_ASSERT_EQUAL(in(to(frame_udp(pool, 8), NONE)).edge, DISPATCH_KERNEL);
	CU_ASSERT_EQUAL(in(arp(RTE_ARP_OP_REQUEST, FRAME_PEER, NONE)).edge, DISPATCH_KERNEL);
	CU_ASSERT_EQUAL(in(arp(RTE_ARP_OP_REPLY, FRAME_PEER, NONE)).edge, DISPATCH_KERNEL);
}

static void
segments_for_an_instance_that_ended_are_reset(void)
{
	CU_ASSERT_EQUAL(in(to(frame_tcp(pool, NULL, 0, 9), GONE)).edge, DISPATCH_RESET);
	ASSERT_DROPPED(in(to(frame_udp(pool, 8), GONE)), DISPATCH_GONE);
	ASSERT_DROPPED(in(arp(RTE_ARP_OP_REQUEST, FRAME_PEER, GONE)), DISPATCH_GONE);
}

static void
control_thread_hears_replies_while_it_waits_for_some(void)
{
	CU_ASSERT_EQUAL(in(arp(RTE_ARP_OP_REPLY, FRAME_PEER, GONE)).hear, 0);
	lt.hearing = true;
	CU_ASSERT_EQUAL(in(arp(RTE_ARP_OP_REPLY, FRAME_PEER, GONE)).hear, 1);
	CU_ASSERT_EQUAL(in(arp(RTE_ARP_OP_REQUEST, FRAME_PEER, GONE)).hear, 0);
	CU_ASSERT_EQUAL(in(arp(RTE_ARP_OP_REPLY, FRAME_PEER, SHARED)).hear, 1);
	CU_ASSERT_EQUAL(out(arp(RTE_ARP_OP_REPLY, SOLE, SHARED)).hear, 1);
	lt.hearing = false;
}

static void
malformed_frames_are_dropped(void)
{
	struct rte_mbuf *m = to(frame_udp(pool, 8), SOLE);

	rte_pktmbuf_trim(m, m->data_len - 13);
	ASSERT_DROPPED(in(m), DISPATCH_SHORT_FRAME);
	m = to(frame_udp(pool, 8), SOLE);
	rte_pktmbuf_trim(m, m->data_len - 33);
	ASSERT_DROPPED(in(m), DISPATCH_SHORT_FRAME);
	m = to(frame_udp(pool, 8), SOLE);
	FRAME_IP(m)->version_ihl = 0x44;
	ASSERT_DROPPED(in(m), DISPATCH_BAD_IP);
	m = to(frame_udp(pool, 8), SOLE);
	FRAME_IP(m)->version_ihl = 0x4f; /* 60 bytes of header in a packet of 36 */
	ASSERT_DROPPED(in(m), DISPATCH_BAD_IP);
	m = to(frame_udp(pool, 8), SOLE);
	FRAME_IP(m)->total_length = htons(19);
	ASSERT_DROPPED(in(m), DISPATCH_BAD_IP);
	m = arp(RTE_ARP_OP_REPLY, FRAME_PEER, SOLE);
	rte_pktmbuf_trim(m, 60 - 41);
	ASSERT_DROPPED(in(m), DISPATCH_BAD_ARP);
	m = to(frame_udp(pool, 8), SOLE);
	rte_pktmbuf_mtod(m, struct rte_ether_hdr *)->dst_addr = frame_peer_mac;
	ASSERT_DROPPED(in(m), DISPATCH_NOT_OURS);
	m = to(frame_udp(pool, 8), SOLE);
	rte_pktmbuf_mtod(m, struct rte_ether_hdr *)->ether_type = RTE_BE16(0x86dd);
	ASSERT_DROPPED(in(m), DISPATCH_ETHERTYPE);
}

static void
group_packets_are_copied_to_all(void)
{
	struct rte_mbuf *m = to(frame_udp(pool, 8), RTE_BE32(0xe0000001));
	struct dispatch_result r;

	memset(&rte_pktmbuf_mtod(m, struct rte_ether_hdr *)->dst_addr, 0xff, 6);
	r = in(m);
	CU_ASSERT_EQUAL(r.edge, DISPATCH_DROP);
	CU_ASSERT_EQUAL(r.error, DISPATCH_NO_ERROR); /* no loss: the copies are what counts */
	CU_ASSERT_EQUAL(r.copy, COPY_ALL);
	dw.w.kernel_fd = 3;
	r = in(to(frame_udp(pool, 8), 0xffffffff));
	CU_ASSERT_EQUAL(r.edge, DISPATCH_KERNEL);
	CU_ASSERT_EQUAL(r.copy, COPY_ALL);
	/* the last address of dispatch_subnet may be a host's: no netmask says otherwise */
	CU_ASSERT_EQUAL(in(to(frame_udp(pool, 8), RTE_BE32(0xc61200ff))).copy, 0);
}

/* RFC 1122 3.3.6: an address of one host in a frame for all. */
static void
unicast_packet_in_a_group_frame_is_not_delivered_alone(void)
{
	struct rte_mbuf *m = to(frame_tcp(pool, NULL, 0, 0), SOLE);

	memset(&rte_pktmbuf_mtod(m, struct rte_ether_hdr *)->dst_addr, 0xff, 6);
	CU_ASSERT_NOT_EQUAL(in(m).edge, DISPATCH_INSTANCE);
}

static void
arp_request_goes_to_one_and_reply_to_all(void)
{
	struct dispatch_result r = in(arp(RTE_ARP_OP_REQUEST, FRAME_PEER, SHARED));

	ASSERT_TO(r, map->order[map_find(map, SHARED)->first]->index, 0);
	CU_ASSERT_EQUAL(r.copy, 0);
	r = in(arp(RTE_ARP_OP_REPLY, FRAME_PEER, SHARED));
	CU_ASSERT_EQUAL(r.edge, DISPATCH_INSTANCE);
	CU_ASSERT_EQUAL(r.copy, COPY_GROUP);
	CU_ASSERT_EQUAL(map->addrs[r.group].addr, SHARED);
	CU_ASSERT_EQUAL(in(arp(RTE_ARP_OP_REPLY, FRAME_PEER, SOLE)).copy, 0);
	r = in(arp(RTE_ARP_OP_REQUEST, FRAME_PEER, FRAME_PEER));
	CU_ASSERT_EQUAL(r.copy, COPY_ALL);
}

/* --- from this host --------------------------------------------------------------------------------- */

static struct rte_mbuf *
addressed(struct rte_mbuf *m, const struct rte_ether_addr *mac)
{
	rte_pktmbuf_mtod(m, struct rte_ether_hdr *)->dst_addr = *mac;
	return m;
}

static void
packets_for_others_leave_by_the_wire(void)
{
	CU_ASSERT_EQUAL(out(addressed(to(frame_udp(pool, 8), NONE), &frame_peer_mac)).edge, DISPATCH_WIRE);
	CU_ASSERT_EQUAL(out(addressed(to(frame_udp(pool, 8), OUTSIDE), &frame_peer_mac)).edge,
		DISPATCH_WIRE);
	CU_ASSERT_EQUAL(out(arp(RTE_ARP_OP_REQUEST, SOLE, NONE)).edge, DISPATCH_WIRE);
	CU_ASSERT_EQUAL(out(arp(RTE_ARP_OP_REQUEST, SOLE, NONE)).copy, COPY_KERNEL);
}

static void
neighbours_on_this_host_are_reached_directly(void)
{
	struct dispatch_result r = out(to(frame_udp(pool, 8), SOLE));

	ASSERT_TO(r, 2, 53 % QUEUES);
	/* ... even where the sender's netmask made it take the gateway */
	ASSERT_TO(out(addressed(to(frame_udp(pool, 8), SOLE), &frame_peer_mac)), 2, 53 % QUEUES);
	ASSERT_TO(out(arp(RTE_ARP_OP_REQUEST, SHARED, SOLE)), 2, 0);
	r = out(arp(RTE_ARP_OP_REPLY, SOLE, SHARED));
	CU_ASSERT_EQUAL(r.edge, DISPATCH_INSTANCE);
	CU_ASSERT_EQUAL(r.copy, COPY_GROUP);
}

static void
packets_to_our_own_mac_never_leave(void)
{
	ASSERT_DROPPED(out(to(frame_udp(pool, 8), NONE)), DISPATCH_NO_INSTANCE);
	CU_ASSERT_EQUAL(out(to(frame_tcp(pool, NULL, 0, 0), GONE)).edge, DISPATCH_RESET);
	dw.w.kernel_fd = 3;
	CU_ASSERT_EQUAL(out(to(frame_udp(pool, 8), NONE)).edge, DISPATCH_KERNEL);
	CU_ASSERT_EQUAL(out(arp(RTE_ARP_OP_REPLY, SOLE, NONE)).edge, DISPATCH_KERNEL);
}

static void
group_packets_reach_wire_kernel_and_neighbours(void)
{
	struct rte_mbuf *m = to(frame_udp(pool, 8), 0xffffffff);
	struct dispatch_result r;

	memset(&rte_pktmbuf_mtod(m, struct rte_ether_hdr *)->dst_addr, 0xff, 6);
	r = out(m);
	CU_ASSERT_EQUAL(r.edge, DISPATCH_WIRE);
	CU_ASSERT_EQUAL(r.copy, COPY_ALL | COPY_KERNEL);
	r = out(arp(RTE_ARP_OP_REQUEST, SOLE, SOLE)); /* announcement */
	CU_ASSERT_EQUAL(r.edge, DISPATCH_WIRE);
	CU_ASSERT_TRUE(r.copy & COPY_ALL);
}

static void
malformed_frames_of_this_host_are_dropped(void)
{
	struct rte_mbuf *m = frame_udp(pool, 8);

	rte_pktmbuf_trim(m, m->data_len - 10);
	ASSERT_DROPPED(out(m), DISPATCH_SHORT_FRAME);
	m = frame_udp(pool, 8);
	rte_pktmbuf_trim(m, m->data_len - 30);
	ASSERT_DROPPED(out(m), DISPATCH_SHORT_FRAME);
	m = frame_udp(pool, 8);
	FRAME_IP(m)->version_ihl = 0x65;
	ASSERT_DROPPED(out(m), DISPATCH_BAD_IP);
	m = arp(RTE_ARP_OP_REPLY, SOLE, SHARED);
	rte_pktmbuf_trim(m, 60 - 20);
	ASSERT_DROPPED(out(m), DISPATCH_BAD_ARP);
}

/* --- shared addresses --------------------------------------------------------------------------------- */

static void
listen_on(unsigned int i, uint8_t protocol, uint16_t port)
{
	uint16_t q = protocol == IPPROTO_UDP ? port % members[i].n_queues : 0;

	CU_ASSERT_TRUE(ltran_table_add(tables[i] + q * SLOTS, SLOTS,
		ltran_slot_key(0, 0, htons(port)), protocol));
}

static struct rte_mbuf *
syn_from(uint16_t port)
{
	struct rte_mbuf *m = to(frame_tcp(pool, NULL, 0, 0), SHARED);

	FRAME_L4(m, struct rte_tcp_hdr)->src_port = htons(port);
	FRAME_L4(m, struct rte_tcp_hdr)->tcp_flags = RTE_TCP_SYN_FLAG;
	return m;
}

static void
new_connections_spread_over_listeners(void)
{
	unsigned int hits[5] = {0};

	listen_on(1, IPPROTO_TCP, 80);
	listen_on(2, IPPROTO_TCP, 80);
	listen_on(3, IPPROTO_TCP, 80);
	for (int i = 0; i < 600; i++) {
		struct dispatch_result first = in(syn_from(10000 + i));

		CU_ASSERT_EQUAL(first.dest, in(syn_from(10000 + i)).dest); /* repeated SYN */
		hits[first.dest >> 16]++;
	}
	CU_ASSERT_EQUAL(hits[1] + hits[2], 0);
	CU_ASSERT_TRUE(hits[3] > 140 && hits[0] > 140 && hits[4] > 140);
}

static void
only_listeners_get_new_connections(void)
{
	listen_on(2, IPPROTO_TCP, 80);
	for (int i = 0; i < 50; i++)
		CU_ASSERT_EQUAL(in(syn_from(10000 + i)).dest >> 16, 0);
}

static void
connection_goes_where_its_table_shows_it(void)
{
	listen_on(1, IPPROTO_TCP, 80);
	listen_on(2, IPPROTO_TCP, 80);
	for (int i = 0; i < 50; i++) {
		struct rte_mbuf *m = syn_from(10000 + i);
		uint16_t q = steer_queue(&members[3], FRAME_IP(m), m->data_len - 14);

		/* of the one that does not listen any more */
		ltran_table_add(tables[3] + q * SLOTS, SLOTS,
			ltran_slot_key(FRAME_PEER, htons(10000 + i), htons(80)), IPPROTO_TCP);
		ASSERT_TO(in(m), 4, q);
	}
}

static void
datagrams_go_to_who_has_bound_the_port(void)
{
	struct rte_mbuf *m = to(frame_udp(pool, 8), SHARED);

	listen_on(3, IPPROTO_UDP, 53);
	ASSERT_TO(in(m), 4, 1);
}

static void
icmp_errors_follow_the_packet_they_quote(void)
{
	struct rte_mbuf *m = to(frame_icmp(pool, 3, 28), SHARED);
	struct rte_ipv4_hdr *quoted = (struct rte_ipv4_hdr *)(FRAME_L4(m, struct rte_icmp_hdr) + 1);
	uint16_t *ports = (uint16_t *)(quoted + 1);

	*quoted = (struct rte_ipv4_hdr){.version_ihl = RTE_IPV4_VHL_DEF, .next_proto_id = IPPROTO_TCP,
		.src_addr = SHARED, .dst_addr = FRAME_PEER};
	ports[0] = htons(80);
	ports[1] = htons(777);
	ltran_table_add(tables[1], SLOTS, ltran_slot_key(FRAME_PEER, htons(777), htons(80)),
		IPPROTO_TCP);
	ASSERT_TO(in(m), 3, 0);
	/* cut short: to the first, without a look beyond the end */
	m = to(frame_icmp(pool, 3, 10), SHARED);
	CU_ASSERT_EQUAL(in(m).edge, DISPATCH_INSTANCE);
}

static void
fragments_for_a_shared_address_are_put_together(void)
{
	struct rte_mbuf *m = to(frame_udp(pool, 64), SHARED);
	struct dispatch_result r;

	FRAME_IP(m)->fragment_offset = htons(RTE_IPV4_HDR_MF_FLAG);
	r = dispatch_in(&dw, m);
	CU_ASSERT_EQUAL(r.edge, DISPATCH_REASS);
	CU_ASSERT_EQUAL(m->l2_len, 14);
	CU_ASSERT_EQUAL(m->l3_len, 20);
	FRAME_IP(m)->dst_addr = SOLE; /* its only instance does that itself */
	ASSERT_TO(in(m), 2, 0);
}

/* A table is an instance's own: whatever stands in it, the answer is a member of the address. */
static void
hostile_tables_cannot_send_packets_elsewhere(void)
{
	srand(4711);
	for (int round = 0; round < 200; round++) {
		struct rte_mbuf *m = syn_from(rand());
		uint32_t dest;

		for (unsigned int i = 1; i < N_MEMBERS; i++)
			for (unsigned int j = 0; j < QUEUES * SLOTS; j++) {
				tables[i][j].key =
					rand() & 1 ? ltran_slot_key(0, 0, htons(80)) : (uint64_t)rand();
				tables[i][j].info = rand();
			}
		dest = in(m).dest;
		CU_ASSERT_TRUE(dest >> 16 == 3 || dest >> 16 == 0 || dest >> 16 == 4);
		CU_ASSERT_TRUE((dest & 0xffff) < QUEUES);
	}
}

static const struct cunit_test tests[] = {
	CUNIT_TEST(packet_goes_to_the_instance_of_its_address),
	CUNIT_TEST(tcp_connections_spread_over_queues),
	CUNIT_TEST(what_nobody_owns_is_dropped_or_the_kernels),
	CUNIT_TEST(segments_for_an_instance_that_ended_are_reset),
	CUNIT_TEST(control_thread_hears_replies_while_it_waits_for_some),
	CUNIT_TEST(malformed_frames_are_dropped),
	CUNIT_TEST(group_packets_are_copied_to_all),
	CUNIT_TEST(unicast_packet_in_a_group_frame_is_not_delivered_alone),
	CUNIT_TEST(arp_request_goes_to_one_and_reply_to_all),
	CUNIT_TEST(packets_for_others_leave_by_the_wire),
	CUNIT_TEST(neighbours_on_this_host_are_reached_directly),
	CUNIT_TEST(packets_to_our_own_mac_never_leave),
	CUNIT_TEST(group_packets_reach_wire_kernel_and_neighbours),
	CUNIT_TEST(malformed_frames_of_this_host_are_dropped),
	CUNIT_TEST(new_connections_spread_over_listeners),
	CUNIT_TEST(only_listeners_get_new_connections),
	CUNIT_TEST(connection_goes_where_its_table_shows_it),
	CUNIT_TEST(datagrams_go_to_who_has_bound_the_port),
	CUNIT_TEST(icmp_errors_follow_the_packet_they_quote),
	CUNIT_TEST(fragments_for_a_shared_address_are_put_together),
	CUNIT_TEST(hostile_tables_cannot_send_packets_elsewhere),
};
EAL_TEST_MAIN("dispatch", tests, setup, teardown)
