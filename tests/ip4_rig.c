/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The IPv4 nodes in a real graph. Each test has a graph, a neighbour table and a table of fragments
 * of its own: rig_setup() makes them, rig_teardown() frees them and what is still in the sinks.
 */
#include "tests/ip4_rig.h"

#include <CUnit/CUnit.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "nodes/kernel.h"
#include "nodes/nodes.h"

#define PORT 3

struct worker rig_worker;
int rig_kernel_end;

void
rig_setup(void)
{
	static const char *const sources[] = {NODE_IP4_TIMER, NODE_KERNEL_RX, NULL};
	int fd[2];

	harness_setup();
	CU_ASSERT_EQUAL_FATAL(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, fd), 0);
	rig_kernel_end = fd[1];
	rig_worker = (struct worker){.n_workers = 1, .port = PORT, .mtu = 1500, .burst = 32,
		.addr = US, .mask = HARNESS_IP(255, 255, 255, 0), .mac = our_mac,
		.pool = harness_pool(), .kernel_fd = fd[0]};
	rig_start(&rig_worker, sources);
}

void
rig_teardown(void)
{
	rig_stop();
	kernel_port_close(rig_worker.kernel_fd);
	close(rig_kernel_end);
	harness_teardown();
}

struct rte_mbuf *
rig_udp(uint32_t dst, uint32_t payload)
{
	const struct harness_ip4 h = {.src = US, .dst = dst, .id = 1, .proto = IPPROTO_UDP};

	return harness_ip4_packet(&h, NULL, payload, 0);
}

struct rte_mbuf *
rig_arp_frame(uint16_t opcode, uint32_t sip, uint32_t tip)
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

struct rte_mbuf *
rig_fragment(uint16_t id, uint32_t offset, uint32_t len, bool mf)
{
	const struct harness_ip4 h = {.src = PEER, .dst = US, .id = id, .offset = offset, .mf = mf,
		.proto = IPPROTO_UDP, .ether = true};

	return harness_ip4_packet(&h, NULL, len, 0);
}

uint32_t
rig_sent_length(void)
{
	struct rte_mbuf *m = rig_take(NODE_TX);
	uint32_t len = m != NULL ? m->pkt_len : 0;

	rte_pktmbuf_free(m);
	return len;
}

void
rig_swallow_announcement(void)
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

void
rig_meet_peer(void)
{
	rig_walk(NODE_ARP_INPUT, rig_arp_frame(RTE_ARP_OP_REQUEST, PEER, US));
	CU_ASSERT_EQUAL(rig_sent_length(), 60); /* our reply, in place */
	CU_ASSERT_EQUAL(rig_sent_length(), 0);
}
