/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The IPv4 nodes in a real graph: what leaves them, and their error rows. The tap device of the
 * exception path is one end of a datagram socket pair.
 */
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <rte_cycles.h>
#include <rte_icmp.h>
#include <rte_tcp.h>
#include <rte_udp.h>

#include "common/say.h"
#include "nodes/arp_node.h"
#include "nodes/kernel.h"
#include "nodes/nodes.h"
#include "nodes/reass.h"
#include "tests/cunit_main.h"
#include "tests/harness.h"
#include "tests/node_rig.h"

#define US HARNESS_IP(198, 18, 0, 1)
#define PEER HARNESS_IP(198, 18, 0, 2)
#define PORT 3

static const struct rte_ether_addr our_mac = {{2, 0, 0, 0, 0, 1}};
static const struct rte_ether_addr peer_mac = {{2, 0, 0, 0, 0, 2}};
static struct worker w, other;
static int kernel_end;

static void
setup(void)
{
	static const char *const sources[] = {NODE_IP4_TIMER, NODE_KERNEL_RX, NULL};
	int fd[2];

	harness_setup();
	CU_ASSERT_EQUAL_FATAL(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, fd), 0);
	kernel_end = fd[1];
	w = (struct worker){.n_workers = 1, .port = PORT, .mtu = 1500, .burst = 32, .addr = US,
		.mask = HARNESS_IP(255, 255, 255, 0), .mac = our_mac, .pool = harness_pool(),
		.kernel_fd = fd[0]};
	rig_start(&w, sources);
}

static void
teardown(void)
{
	rig_stop();
	kernel_port_close(w.kernel_fd);
	close(kernel_end);
	harness_teardown();
}

static struct rte_mbuf *
udp(uint32_t dst, uint32_t payload)
{
	const struct harness_ip4 h = {.src = US, .dst = dst, .id = 1, .proto = IPPROTO_UDP};

	return harness_ip4_packet(&h, NULL, payload, 0);
}

static struct rte_mbuf *
arp_frame(uint16_t opcode, uint32_t sip, uint32_t tip)
{
	uint8_t frame[60] = {0};
	struct rte_arp_hdr *arp = (struct rte_arp_hdr *)(frame + RTE_ETHER_HDR_LEN);
	struct rte_mbuf *m;

	arp_write_request(frame, &peer_mac, sip, tip, NULL);
	arp->arp_opcode = rte_cpu_to_be_16(opcode);
	if (opcode == RTE_ARP_OP_REPLY)
		arp->arp_data.arp_tha = our_mac;
	m = harness_packet(frame, sizeof(frame), 0);
	m->port = PORT;
	return m;
}

static const struct rte_arp_hdr *
arp_of(const struct rte_mbuf *m)
{
	return rte_pktmbuf_mtod_offset(m, const struct rte_arp_hdr *, RTE_ETHER_HDR_LEN);
}

static const struct rte_ether_hdr *
eth_of(const struct rte_mbuf *m)
{
	return rte_pktmbuf_mtod(m, const struct rte_ether_hdr *);
}

/* The next packet for tx, freed; its length, or 0. */
static uint32_t
sent_length(void)
{
	struct rte_mbuf *m = rig_take(NODE_TX);
	uint32_t len = m != NULL ? m->pkt_len : 0;

	rte_pktmbuf_free(m);
	return len;
}

/* Walk past the announcement that the first core sends, and the question who else has the address. */
static void
swallow_announcement(void)
{
	struct rte_mbuf *m;

	rig_walk(NULL, NULL);
	m = rig_take(NODE_TX);
	CU_ASSERT_PTR_NOT_NULL_FATAL(m);
	CU_ASSERT_EQUAL(arp_of(m)->arp_data.arp_sip, US);
	CU_ASSERT_EQUAL(arp_of(m)->arp_data.arp_tip, US);
	CU_ASSERT_TRUE(rte_is_broadcast_ether_addr(&eth_of(m)->dst_addr));
	rte_pktmbuf_free(m);
	m = rig_take(NODE_TX);
	CU_ASSERT_PTR_NOT_NULL_FATAL(m);
	CU_ASSERT_EQUAL(arp_of(m)->arp_data.arp_sip, 0);
	CU_ASSERT_EQUAL(arp_of(m)->arp_data.arp_tip, US);
	CU_ASSERT_TRUE(rte_is_broadcast_ether_addr(&eth_of(m)->dst_addr));
	rte_pktmbuf_free(m);
	CU_ASSERT_PTR_NULL(rig_take(NODE_TX));
}

static void
meet_peer(void)
{
	rig_walk(NODE_ARP_INPUT, arp_frame(RTE_ARP_OP_REQUEST, PEER, US));
	CU_ASSERT_EQUAL(sent_length(), 60); /* our reply, in place */
	CU_ASSERT_EQUAL(sent_length(), 0);
}

static void
request_is_answered_in_place(void)
{
	struct rte_mbuf *m;

	swallow_announcement();
	rig_trace();
	rig_walk(NODE_ARP_INPUT, arp_frame(RTE_ARP_OP_REQUEST, PEER, US));
	m = rig_take(NODE_TX);
	CU_ASSERT_PTR_NOT_NULL_FATAL(m);
	CU_ASSERT_EQUAL(arp_of(m)->arp_opcode, RTE_BE16(RTE_ARP_OP_REPLY));
	CU_ASSERT_EQUAL(arp_of(m)->arp_data.arp_sip, US);
	CU_ASSERT_EQUAL(arp_of(m)->arp_data.arp_tip, PEER);
	CU_ASSERT_TRUE(rte_is_same_ether_addr(&arp_of(m)->arp_data.arp_sha, &our_mac));
	CU_ASSERT_TRUE(rte_is_same_ether_addr(&arp_of(m)->arp_data.arp_tha, &peer_mac));
	CU_ASSERT_TRUE(rte_is_same_ether_addr(&eth_of(m)->dst_addr, &peer_mac));
	CU_ASSERT_TRUE(rte_is_same_ether_addr(&eth_of(m)->src_addr, &our_mac));
	rte_pktmbuf_free(m);
	CU_ASSERT_TRUE(rig_trace_has("from 198.18.0.2 at 02:00:00:00:00:02 for 198.18.0.1 -> reply"));
}

static void
packet_waits_for_the_reply(void)
{
	struct rte_mbuf *m;
	uint8_t frame[64];

	swallow_announcement();
	rig_walk(NODE_IP4_OUTPUT, udp(PEER, 100));
	m = rig_take(NODE_TX);
	CU_ASSERT_PTR_NOT_NULL_FATAL(m);
	CU_ASSERT_EQUAL(arp_of(m)->arp_opcode, RTE_BE16(RTE_ARP_OP_REQUEST));
	CU_ASSERT_EQUAL(arp_of(m)->arp_data.arp_tip, PEER);
	rte_pktmbuf_free(m);
	rig_walk(NODE_IP4_OUTPUT, udp(PEER, 200));
	CU_ASSERT_EQUAL(sent_length(), 0); /* asked already */
	rig_walk(NODE_ARP_INPUT, arp_frame(RTE_ARP_OP_REPLY, PEER, US));
	CU_ASSERT_EQUAL(sent_length(), 134);
	CU_ASSERT_EQUAL(sent_length(), 234);
	CU_ASSERT_EQUAL(rig_count(NODE_ARP_INPUT, "consumed"), 1);
	CU_ASSERT_EQUAL(read(kernel_end, frame, sizeof(frame)), ARP_FRAME_LEN); /* its copy */
	rig_walk(NODE_IP4_OUTPUT, udp(PEER, 300));
	CU_ASSERT_EQUAL(sent_length(), 334);
	CU_ASSERT_EQUAL(sent_length(), 0);
}

static void
answers_are_copied_to_other_cores_once(void)
{
	struct rte_mbuf *copy = NULL;

	other = w;
	other.index = 1;
	other.handoff = rte_ring_create("other", 2, SOCKET_ID_ANY, RING_F_EXACT_SZ);
	w.n_workers = 2;
	w.peers[1] = &other;
	swallow_announcement();
	rig_kicks = 0;
	rig_walk(NODE_ARP_INPUT, arp_frame(RTE_ARP_OP_REPLY, PEER, US));
	CU_ASSERT_EQUAL(rig_count(NODE_ARP_INPUT, "unsolicited"), 1);
	CU_ASSERT_EQUAL(rig_kicks, 1); /* it may be asleep */
	CU_ASSERT_EQUAL_FATAL(rte_ring_dequeue(other.handoff, (void **)&copy), 0);
	CU_ASSERT_EQUAL(copy->port, RTE_MBUF_PORT_INVALID);
	rig_walk(NODE_ARP_INPUT, copy); /* as the other core would: not copied again */
	CU_ASSERT_NOT_EQUAL(rte_ring_dequeue(other.handoff, (void **)&copy), 0);
	for (unsigned int i = 0; i < 3; i++)
		rig_walk(NODE_ARP_INPUT, arp_frame(RTE_ARP_OP_REPLY, PEER, US));
	CU_ASSERT_EQUAL(rig_count(NODE_ARP_INPUT, "copy-failed"), 1);
	while (rte_ring_dequeue(other.handoff, (void **)&copy) == 0)
		rte_pktmbuf_free(copy);
	rte_ring_free(other.handoff);
}

static void
moving_neighbour_is_followed_once_a_second(void)
{
	struct rte_mbuf *m;

	swallow_announcement();
	meet_peer();
	m = arp_frame(RTE_ARP_OP_REQUEST, PEER, US);
	rte_pktmbuf_mtod_offset(m, struct rte_arp_hdr *, 14)->arp_data.arp_sha.addr_bytes[5] = 9;
	rig_walk(NODE_ARP_INPUT, m);
	CU_ASSERT_EQUAL(rig_count(NODE_ARP_INPUT, "flapping"), 1);
	CU_ASSERT_TRUE(
		rte_is_same_ether_addr(&arp_header(arp_find(w.arp, PEER))->dst_addr, &peer_mac));
}

static void
silent_neighbour_costs_its_packets(void)
{
	uint64_t hz = rte_get_tsc_hz(), past = rte_get_tsc_cycles() - 20 * hz;
	struct rte_mbuf *victim;
	struct arp_entry *e;

	swallow_announcement();
	e = arp_wait(w.arp, PEER, udp(PEER, 100), false, past, &victim);
	for (unsigned int i = 0; i < ARP_TRIES; i++)
		CU_ASSERT_TRUE(arp_take_request(w.arp, e, past + i * hz));
	rig_walk(NULL, NULL);
	CU_ASSERT_EQUAL(rig_count(NODE_IP4_TIMER, "unresolved"), 1);
	CU_ASSERT_EQUAL(rig_count(NODE_IP4_TIMER, "neighbour-lost"), 1);
	CU_ASSERT_PTR_NULL(arp_find(w.arp, PEER));
}

static void
neighbour_in_use_is_confirmed_alone(void)
{
	struct rte_mbuf *m;

	swallow_announcement();
	meet_peer(); /* known, not confirmed */
	rig_walk(NODE_IP4_OUTPUT, udp(PEER, 100));
	CU_ASSERT_EQUAL(sent_length(), 134);
	rig_walk(NULL, NULL);
	m = rig_take(NODE_TX);
	CU_ASSERT_PTR_NOT_NULL_FATAL(m);
	CU_ASSERT_EQUAL(m->pkt_len, ARP_FRAME_LEN);
	CU_ASSERT_TRUE(rte_is_same_ether_addr(&eth_of(m)->dst_addr, &peer_mac));
	rte_pktmbuf_free(m);
}

static void
long_datagram_is_split_and_checked(void)
{
	unsigned int n = 0;

	swallow_announcement();
	meet_peer();
	rig_trace();
	rig_walk(NODE_IP4_OUTPUT, udp(PEER, 14798));
	for (uint32_t len; (len = sent_length()) > 0; n++)
		CU_ASSERT_TRUE(len <= 1514);
	CU_ASSERT_EQUAL(n, 10);
	CU_ASSERT_TRUE(rig_trace_has("10 fragments"));
	w.mtu = 300;
	rig_walk(NODE_IP4_OUTPUT, udp(PEER, 60000));
	CU_ASSERT_EQUAL(rig_count(NODE_IP4_FRAG, "too-many"), 1);
}

static void
all_fragments_wait_for_the_neighbour(void)
{
	unsigned int n = 0;

	swallow_announcement();
	rig_walk(NODE_IP4_OUTPUT, udp(PEER, 65515));
	CU_ASSERT_EQUAL(sent_length(), ARP_FRAME_LEN);
	CU_ASSERT_EQUAL(arp_count_waiting(w.arp), 45);
	rig_walk(NODE_IP4_OUTPUT, udp(PEER, 65515));
	CU_ASSERT_EQUAL(rig_count(NODE_ARP_RESOLVE, "queue-full"), 90 - ARP_QUEUE_MAX);
	rig_walk(NODE_ARP_INPUT, arp_frame(RTE_ARP_OP_REPLY, PEER, US));
	while (sent_length() > 0)
		n++;
	CU_ASSERT_EQUAL(n, ARP_QUEUE_MAX);
}

static void
eviction_is_counted(void)
{
	swallow_announcement();
	w.mask = HARNESS_IP(255, 0, 0, 0);
	for (uint32_t host = 0; host <= ARP_ASKED_MAX; host++) {
		rig_walk(NODE_ARP_RESOLVE, udp(HARNESS_IP(198, 19, host >> 8, host & 255), 8));
		rte_pktmbuf_free(rig_take(NODE_TX));
	}
	CU_ASSERT_EQUAL(rig_count(NODE_ARP_RESOLVE, "evicted"), 1);
	CU_ASSERT_EQUAL(rig_count(NODE_ARP_RESOLVE, "table-full"), 0);
}

/* As if so many had answered us a moment ago. */
static void
fill_table(void)
{
	uint64_t now = rte_get_tsc_cycles();
	struct rte_mbuf *victim, *m;
	struct arp_entry *e;

	for (uint32_t host = 0; host < ARP_ENTRIES_MAX; host++) {
		uint32_t ip = HARNESS_IP(198, 19, host >> 8, host & 255);

		e = arp_wait(w.arp, ip, udp(ip, 8), false, now, &victim);
		arp_learn(w.arp, ip, &peer_mac, true, false, now, NULL);
		while ((m = arp_pop(w.arp, e)) != NULL)
			rte_pktmbuf_free(m);
	}
}

static void
full_table_is_counted_and_requests_are_answered(void)
{
	swallow_announcement();
	w.mask = HARNESS_IP(255, 0, 0, 0);
	fill_table();
	rig_walk(NODE_ARP_RESOLVE, udp(PEER, 8));
	CU_ASSERT_EQUAL(rig_count(NODE_ARP_RESOLVE, "table-full"), 1);
	rig_walk(NODE_ARP_INPUT, arp_frame(RTE_ARP_OP_REQUEST, PEER, US));
	CU_ASSERT_EQUAL(rig_count(NODE_ARP_INPUT, "table-full"), 1);
	CU_ASSERT_EQUAL(sent_length(), 60); /* answered all the same */
}

static struct rte_mbuf *
claim_of(uint32_t ip, uint8_t station)
{
	struct rte_mbuf *m = arp_frame(RTE_ARP_OP_REQUEST, ip, ip);

	rte_pktmbuf_mtod_offset(m, struct rte_arp_hdr *, 14)->arp_data.arp_sha.addr_bytes[5] = station;
	return m;
}

static void
claim_to_a_confirmed_address_has_it_asked(void)
{
	uint64_t past = rte_get_tsc_cycles() - 5 * rte_get_tsc_hz();
	struct rte_mbuf *victim, *m;
	struct arp_entry *e;

	swallow_announcement();
	e = arp_wait(w.arp, PEER, udp(PEER, 8), false, past, &victim);
	arp_learn(w.arp, PEER, &peer_mac, true, false, past, NULL);
	rte_pktmbuf_free(arp_pop(w.arp, e));
	rig_walk(NODE_ARP_INPUT, claim_of(PEER, 9));
	CU_ASSERT_EQUAL(rig_count(NODE_ARP_INPUT, "disputed"), 1);
	rig_walk(NULL, NULL);
	m = rig_take(NODE_TX);
	CU_ASSERT_PTR_NOT_NULL_FATAL(m);
	CU_ASSERT_TRUE(rte_is_same_ether_addr(&eth_of(m)->dst_addr, &peer_mac));
	rte_pktmbuf_free(m);
	e->tries = ARP_TRIES; /* silent: the last request asks all */
	m = arp_node_request(&w, e);
	CU_ASSERT_PTR_NOT_NULL_FATAL(m);
	CU_ASSERT_TRUE(rte_is_broadcast_ether_addr(&eth_of(m)->dst_addr));
	rte_pktmbuf_free(m);
}

/* What anybody can ask for under any name, and what we send by ourselves. */
static void
answers_to_strangers_have_their_own_places(void)
{
	struct rte_mbuf *m;

	swallow_announcement();
	w.mask = HARNESS_IP(255, 0, 0, 0);
	rig_walk(NODE_ARP_RESOLVE, udp(PEER, 8));
	rte_pktmbuf_free(rig_take(NODE_TX));
	for (uint32_t host = 0; host < 4 * ARP_STRANGERS_MAX; host++) {
		m = udp(HARNESS_IP(198, 19, host >> 8, host & 255), 32);
		struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod(m, struct rte_ipv4_hdr *);
		struct rte_tcp_hdr *tcp = (struct rte_tcp_hdr *)(ip + 1);

		ip->next_proto_id = host % 2 ? IPPROTO_ICMP : IPPROTO_TCP;
		tcp->tcp_flags = host % 4 ? RTE_TCP_SYN_FLAG | RTE_TCP_ACK_FLAG : RTE_TCP_RST_FLAG;
		rig_walk(NODE_ARP_RESOLVE, m);
		rte_pktmbuf_free(rig_take(NODE_TX));
	}
	CU_ASSERT_EQUAL(arp_count(w.arp), 1 + ARP_STRANGERS_MAX);
	CU_ASSERT_EQUAL(arp_find(w.arp, PEER)->place, ARP_ASKED);
	CU_ASSERT_EQUAL(rig_count(NODE_ARP_RESOLVE, "evicted"), 3 * ARP_STRANGERS_MAX);
}

static char said[512];
static int n_said;

static void
keep_said(const char *text, size_t n)
{
	snprintf(said, sizeof(said), "%.*s", (int)n, text);
	n_said++;
}

static void
another_station_with_our_address_is_said_once(void)
{
	swallow_announcement();
	n_said = 0;
	say_write_by(keep_said);
	for (int i = 0; i < 3; i++)
		rig_walk(NODE_ARP_INPUT, arp_frame(RTE_ARP_OP_REPLY, US, US));
	say_write_by(NULL);
	CU_ASSERT_EQUAL(n_said, 1);
	CU_ASSERT_PTR_NOT_NULL(strstr(said, "has the address 198.18.0.1 as well"));
	CU_ASSERT_EQUAL(rig_count(NODE_ARP_INPUT, "duplicate-address"), 3);
	CU_ASSERT_EQUAL(sent_length(), 0);
}

static void
announcements_to_other_cores_have_a_rate(void)
{
	unsigned int n = 0;
	struct rte_mbuf *m;

	swallow_announcement();
	for (unsigned int i = 0; i < 3000; i++) {
		rig_walk(NODE_ARP_INPUT, claim_of(HARNESS_IP(198, 18, 0, 3 + i % 200), i));
		while ((m = rig_take(NODE_DROP)) != NULL)
			rte_pktmbuf_free(m);
		n++;
	}
	CU_ASSERT_TRUE(rig_count(NODE_ARP_INPUT, "copy-rate") > n / 4);
	while (read(kernel_end, (char[2048]){0}, 2048) > 0)
		continue;
}

static void
packet_to_ourselves_loops_unshared(void)
{
	struct rte_mbuf *m = udp(US, 4000), *c, *keep;

	swallow_announcement();
	m->ol_flags = RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_IP_CKSUM | RTE_MBUF_F_TX_UDP_CKSUM;
	rig_walk(NODE_IP4_OUTPUT, m);
	c = rig_take(NODE_CLASSIFY);
	CU_ASSERT_PTR_EQUAL(c, m);
	CU_ASSERT_EQUAL(c->ol_flags, RTE_MBUF_F_RX_IP_CKSUM_GOOD | RTE_MBUF_F_RX_L4_CKSUM_NONE);
	CU_ASSERT_EQUAL(c->port, RTE_MBUF_PORT_INVALID);
	CU_ASSERT_EQUAL(c->pkt_len, 4034);
	rte_pktmbuf_free(c);

	m = udp(US, 4000);
	keep = rte_pktmbuf_clone(m, harness_pool()); /* as a send buffer that holds its data */
	rig_walk(NODE_IP4_OUTPUT, m);
	c = rig_take(NODE_CLASSIFY);
	CU_ASSERT_PTR_NOT_EQUAL(c, m);
	for (struct rte_mbuf *s = c; s != NULL; s = s->next)
		CU_ASSERT_TRUE(RTE_MBUF_DIRECT(s) && rte_mbuf_refcnt_read(s) == 1);
	CU_ASSERT_EQUAL(c->pkt_len, 4034);
	rte_pktmbuf_free(c);
	rte_pktmbuf_free(keep);
}

static void
what_cannot_be_sent_is_counted(void)
{
	struct rte_mbuf *m = udp(PEER, 100);

	swallow_announcement();
	m->data_off = 8; /* the packet's bytes do not matter, its headroom does */
	memcpy(rte_pktmbuf_mtod(m, void *), (char *)m->buf_addr + RTE_PKTMBUF_HEADROOM, 20);
	rig_walk(NODE_IP4_OUTPUT, m);
	CU_ASSERT_EQUAL(rig_count(NODE_IP4_OUTPUT, "no-headroom"), 1);
	rig_walk(NODE_IP4_OUTPUT, udp(HARNESS_IP(198, 19, 0, 1), 100));
	CU_ASSERT_EQUAL(rig_count(NODE_IP4_OUTPUT, "no-route"), 1);
	rig_walk(NODE_ARP_RESOLVE, udp(US, 100));
	CU_ASSERT_EQUAL(rig_count(NODE_ARP_RESOLVE, "no-route"), 1);
	rig_walk(NODE_IP4_OUTPUT, udp(HARNESS_IP(198, 18, 0, 255), 3000));
	CU_ASSERT_EQUAL(sent_length(), 1514); /* fragments to a group need no neighbour */
}

static void
empty_pool_is_counted_and_survived(void)
{
	static struct rte_mbuf *all[HARNESS_POOL_SIZE];
	struct rte_mbuf *m = udp(US, 100), *far = udp(PEER, 3000), *near = udp(PEER, 100);
	struct rte_mbuf *clone = rte_pktmbuf_clone(m, harness_pool());
	unsigned int n = 0;

	while ((all[n] = rte_pktmbuf_alloc(harness_pool())) != NULL)
		n++;
	rig_walk(NODE_IP4_OUTPUT, m);
	CU_ASSERT_EQUAL(rig_count(NODE_IP4_OUTPUT, "no-memory"), 1);
	CU_ASSERT_EQUAL(rig_count(NODE_IP4_TIMER, "no-memory"), 2); /* announcement and question */
	rig_walk(NODE_IP4_OUTPUT, far);
	CU_ASSERT_EQUAL(rig_count(NODE_IP4_FRAG, "no-memory"), 1);
	rig_walk(NODE_IP4_OUTPUT, near);
	CU_ASSERT_EQUAL(rig_count(NODE_ARP_RESOLVE, "no-memory"), 1);
	w.kernel_poll_tsc = 0;
	rig_walk(NULL, NULL);
	CU_ASSERT_TRUE(rig_count(NODE_KERNEL_RX, "kernel-no-memory") > 0);
	rte_pktmbuf_free(clone);
	rte_pktmbuf_free_bulk(all, n);
}

static struct rte_mbuf *
fragment(uint16_t id, uint32_t offset, uint32_t len, bool mf)
{
	const struct harness_ip4 h = {.src = PEER, .dst = US, .id = id, .offset = offset, .mf = mf,
		.proto = IPPROTO_UDP, .ether = true};

	return harness_ip4_packet(&h, NULL, len, 0);
}

static void
fragments_become_one_packet_for_classify(void)
{
	struct rte_mbuf *m;

	rig_trace();
	rig_walk(NODE_IP4_REASS, fragment(7, 1480, 100, false));
	CU_ASSERT_PTR_NULL(rig_take(NODE_CLASSIFY));
	rig_walk(NODE_IP4_REASS, fragment(7, 0, 1480, true));
	m = rig_take(NODE_CLASSIFY);
	CU_ASSERT_PTR_NOT_NULL_FATAL(m);
	CU_ASSERT_EQUAL(m->pkt_len, RTE_ETHER_HDR_LEN + 20 + 1580);
	rte_pktmbuf_free(m);
	CU_ASSERT_TRUE(rig_trace_has("id 7 whole"));
}

static void
bad_fragments_have_their_row(void)
{
	const struct {
		const char *symbol;
		uint32_t offset, len;
		bool mf;
	} rows[] = {{"duplicate", 128, 64, true}, {"overlap", 160, 64, true},
		{"conflict", 8, 8, false},
		{"too-long", 65528, 8, false}, {"bad-length", 64, 7, true}};

	for (uint16_t id = 0; id < RTE_DIM(rows); id++) {
		rig_walk(NODE_IP4_REASS, fragment(id, 128, 64, true));
		rig_walk(NODE_IP4_REASS, fragment(id, rows[id].offset, rows[id].len, rows[id].mf));
		CU_ASSERT_EQUAL(rig_count(NODE_IP4_REASS, rows[id].symbol), 1);
	}
	rig_walk(NODE_IP4_REASS, fragment(1, 0, 64, true));
	CU_ASSERT_EQUAL(rig_count(NODE_IP4_REASS, "poisoned"), 1);
	for (unsigned int i = 0; i <= REASS_FRAGMENTS_MAX; i++)
		rig_walk(NODE_IP4_REASS, fragment(100, 8 * i, 8, true));
	CU_ASSERT_EQUAL(rig_count(NODE_IP4_REASS, "too-many"), 1);
	for (unsigned int i = 0; i <= REASS_DATAGRAMS_MAX; i++)
		rig_walk(NODE_IP4_REASS, fragment(1000 + i, 0, 8, true));
	CU_ASSERT_TRUE(rig_count(NODE_IP4_REASS, "evicted") > 0);
}

static void
old_fragments_are_given_up_and_their_sender_told(void)
{
	uint64_t past = rte_get_tsc_cycles() - (REASS_TIMEOUT_S + 1) * rte_get_tsc_hz();
	const struct rte_icmp_hdr *icmp;
	struct rte_mbuf *whole, *m;

	swallow_announcement();
	meet_peer();
	reass_add(w.reass, fragment(1, 0, 1480, true), past, &whole);
	reass_add(w.reass, fragment(2, 8, 8, true), past, &whole); /* no first part: no error */
	rig_walk(NULL, NULL);
	CU_ASSERT_EQUAL(rig_count(NODE_IP4_TIMER, "reass-timeout"), 2);
	CU_ASSERT_EQUAL(reass_count(w.reass), 0);
	m = rig_take(NODE_TX);
	CU_ASSERT_PTR_NOT_NULL_FATAL(m);
	icmp = rte_pktmbuf_mtod_offset(m, const struct rte_icmp_hdr *, 34);
	CU_ASSERT_EQUAL(icmp->icmp_type, 11);
	CU_ASSERT_EQUAL(icmp->icmp_code, 1);
	CU_ASSERT_EQUAL(m->pkt_len, RTE_ETHER_HDR_LEN + 576);
	rte_pktmbuf_free(m);
	for (uint16_t id = 0; id < 100; id++)
		reass_add(w.reass, fragment(id, 0, 8, true), past, &whole);
	rig_walk(NULL, NULL);
	CU_ASSERT_TRUE(rig_count(NODE_IP4_TIMER, "icmp-rate") > 40);
}

static void
kernel_gets_frames_with_their_checksum(void)
{
	const struct harness_ip4 h = {.src = PEER, .dst = US, .proto = IPPROTO_UDP, .ether = true};
	struct rte_mbuf *m = harness_ip4_packet(&h, NULL, 1000, 300);
	struct rte_udp_hdr *u = rte_pktmbuf_mtod_offset(m, struct rte_udp_hdr *, 34);
	uint8_t frame[2048];

	*u = (struct rte_udp_hdr){.dgram_len = RTE_BE16(1000), .dgram_cksum = 1};
	m->ol_flags = RTE_MBUF_F_RX_L4_CKSUM_NONE;
	rig_walk(NODE_KERNEL_TX, m);
	CU_ASSERT_EQUAL(read(kernel_end, frame, sizeof(frame)), 1034);
	CU_ASSERT_EQUAL(rte_ipv4_udptcp_cksum_verify((struct rte_ipv4_hdr *)(frame + 14), frame + 34),
		0);
}

/* What an instance on ltran left to the port, cutting included: the kernel gets it whole. */
static void
kernel_gets_large_packets_of_instances(void)
{
	const struct harness_ip4 h = {.src = PEER, .dst = US, .proto = IPPROTO_TCP, .ether = true};
	struct rte_mbuf *m = harness_ip4_packet(&h, NULL, 60000, 0);
	static uint8_t frame[65549];

	m->ol_flags = RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_IP_CKSUM | RTE_MBUF_F_TX_TCP_CKSUM |
		RTE_MBUF_F_TX_TCP_SEG;
	m->l2_len = m->l3_len = 0; /* not asked */
	rte_pktmbuf_mtod_offset(m, struct rte_ipv4_hdr *, 14)->hdr_checksum = 1;
	rig_walk(NODE_KERNEL_TX, m);
	CU_ASSERT_EQUAL(read(kernel_end, frame, sizeof(frame)), 60034);
	CU_ASSERT_EQUAL(rte_raw_cksum(frame + 14, 20), 0xffff);
	CU_ASSERT_EQUAL(rte_ipv4_udptcp_cksum_verify((struct rte_ipv4_hdr *)(frame + 14), frame + 34),
		0);
}

/* Nothing is asked for, or it cannot be done: as it came. */
static void
kernel_gets_other_frames_as_they_are(void)
{
	static const uint64_t flags[] = {0, RTE_MBUF_F_RX_L4_CKSUM_NONE};
	uint8_t frame[2048], same[2048];

	for (int i = 0; i < 2; i++) {
		struct harness_ip4 h = {.src = PEER, .dst = US, .proto = IPPROTO_UDP, .mf = i == 1,
			.ether = true};
		struct rte_mbuf *m = harness_ip4_packet(&h, NULL, 400, 0);

		memcpy(same, rte_pktmbuf_mtod(m, void *), m->pkt_len);
		m->ol_flags = flags[i];
		rig_walk(NODE_KERNEL_TX, m);
		CU_ASSERT_EQUAL(read(kernel_end, frame, sizeof(frame)), 434);
		CU_ASSERT_EQUAL(memcmp(frame, same, 434), 0);
	}
}

static void
kernel_frames_go_out_unchanged(void)
{
	uint8_t frame[1514];
	struct rte_mbuf *m;

	swallow_announcement();
	for (size_t i = 0; i < sizeof(frame); i++)
		frame[i] = harness_pattern(i);
	CU_ASSERT_EQUAL(write(kernel_end, frame, sizeof(frame)), sizeof(frame));
	w.kernel_poll_tsc = 0;
	rig_trace();
	rig_walk(NULL, NULL);
	m = rig_take(NODE_TX);
	CU_ASSERT_PTR_NOT_NULL_FATAL(m);
	CU_ASSERT_EQUAL(m->pkt_len, sizeof(frame));
	CU_ASSERT_EQUAL(memcmp(rte_pktmbuf_mtod(m, void *), frame, sizeof(frame)), 0);
	CU_ASSERT_EQUAL(m->ol_flags, 0);
	rte_pktmbuf_free(m);
	CU_ASSERT_TRUE(rig_trace_has("1514 bytes"));
	/* jumbo frames take more than one segment */
	w.mtu = 9000;
	CU_ASSERT_EQUAL(write(kernel_end, frame, sizeof(frame)), sizeof(frame));
	w.kernel_poll_tsc = 0;
	rig_walk(NULL, NULL);
	CU_ASSERT_EQUAL(sent_length(), sizeof(frame));
}

static void
kernel_that_does_not_take_is_counted(void)
{
	int fd = w.kernel_fd;

	w.kernel_fd = -1;
	rig_walk(NODE_KERNEL_TX, fragment(1, 0, 8, false));
	CU_ASSERT_EQUAL(rig_count(NODE_KERNEL_TX, "kernel-closed"), 1);
	w.kernel_fd = fd;
	rig_walk(NODE_KERNEL_TX, harness_packet(NULL, 1400, 5));
	CU_ASSERT_EQUAL(rig_count(NODE_KERNEL_TX, "kernel-segments"), 1);
	shutdown(kernel_end, SHUT_RDWR);
	close(kernel_end);
	kernel_end = -1;
	rig_walk(NODE_KERNEL_TX, fragment(1, 0, 8, false));
	CU_ASSERT_EQUAL(rig_count(NODE_KERNEL_TX, "kernel-refused"), 1);
}

static const struct cunit_test tests[] = {
	CUNIT_TEST(request_is_answered_in_place),
	CUNIT_TEST(packet_waits_for_the_reply),
	CUNIT_TEST(answers_are_copied_to_other_cores_once),
	CUNIT_TEST(moving_neighbour_is_followed_once_a_second),
	CUNIT_TEST(silent_neighbour_costs_its_packets),
	CUNIT_TEST(neighbour_in_use_is_confirmed_alone),
	CUNIT_TEST(long_datagram_is_split_and_checked),
	CUNIT_TEST(all_fragments_wait_for_the_neighbour),
	CUNIT_TEST(eviction_is_counted),
	CUNIT_TEST(full_table_is_counted_and_requests_are_answered),
	CUNIT_TEST(claim_to_a_confirmed_address_has_it_asked),
	CUNIT_TEST(answers_to_strangers_have_their_own_places),
	CUNIT_TEST(another_station_with_our_address_is_said_once),
	CUNIT_TEST(announcements_to_other_cores_have_a_rate),
	CUNIT_TEST(packet_to_ourselves_loops_unshared),
	CUNIT_TEST(what_cannot_be_sent_is_counted),
	CUNIT_TEST(empty_pool_is_counted_and_survived),
	CUNIT_TEST(fragments_become_one_packet_for_classify),
	CUNIT_TEST(bad_fragments_have_their_row),
	CUNIT_TEST(old_fragments_are_given_up_and_their_sender_told),
	CUNIT_TEST(kernel_gets_frames_with_their_checksum),
	CUNIT_TEST(kernel_gets_large_packets_of_instances),
	CUNIT_TEST(kernel_gets_other_frames_as_they_are),
	CUNIT_TEST(kernel_frames_go_out_unchanged),
	CUNIT_TEST(kernel_that_does_not_take_is_counted),
};
CUNIT_MAIN("ip4_nodes", tests, setup, teardown)
