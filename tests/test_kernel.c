/* SPDX-License-Identifier: BSD-3-Clause */
/* kernel-tx and kernel-rx in a real graph: frames to and from the tap device. */
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <rte_udp.h>

#include "nodes/nodes.h"
#include "tests/cunit_main.h"
#include "tests/ip4_rig.h"

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
	CU_ASSERT_EQUAL(read(rig_kernel_end, frame, sizeof(frame)), 1034);
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
	CU_ASSERT_EQUAL(read(rig_kernel_end, frame, sizeof(frame)), 60034);
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
		CU_ASSERT_EQUAL(read(rig_kernel_end, frame, sizeof(frame)), 434);
		CU_ASSERT_EQUAL(memcmp(frame, same, 434), 0);
	}
}

static void
kernel_frames_go_out_unchanged(void)
{
	uint8_t frame[1514];
	struct rte_mbuf *m;

	rig_swallow_announcement();
	for (size_t i = 0; i < sizeof(frame); i++)
		frame[i] = harness_pattern(i);
	CU_ASSERT_EQUAL(write(rig_kernel_end, frame, sizeof(frame)), sizeof(frame));
	rig_worker.kernel_poll_tsc = 0;
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
	rig_worker.mtu = 9000;
	CU_ASSERT_EQUAL(write(rig_kernel_end, frame, sizeof(frame)), sizeof(frame));
	rig_worker.kernel_poll_tsc = 0;
	rig_walk(NULL, NULL);
	CU_ASSERT_EQUAL(rig_sent_length(), sizeof(frame));
}

static void
kernel_that_does_not_take_is_counted(void)
{
	int fd = rig_worker.kernel_fd;

	rig_worker.kernel_fd = -1;
	rig_walk(NODE_KERNEL_TX, rig_fragment(1, 0, 8, false));
	CU_ASSERT_EQUAL(rig_count(NODE_KERNEL_TX, "kernel-closed"), 1);
	rig_worker.kernel_fd = fd;
	rig_walk(NODE_KERNEL_TX, harness_packet(NULL, 1400, 5));
	CU_ASSERT_EQUAL(rig_count(NODE_KERNEL_TX, "kernel-segments"), 1);
	shutdown(rig_kernel_end, SHUT_RDWR);
	close(rig_kernel_end);
	rig_kernel_end = -1;
	rig_walk(NODE_KERNEL_TX, rig_fragment(1, 0, 8, false));
	CU_ASSERT_EQUAL(rig_count(NODE_KERNEL_TX, "kernel-refused"), 1);
}

static const struct cunit_test tests[] = {
	CUNIT_TEST(kernel_gets_frames_with_their_checksum),
	CUNIT_TEST(kernel_gets_large_packets_of_instances),
	CUNIT_TEST(kernel_gets_other_frames_as_they_are),
	CUNIT_TEST(kernel_frames_go_out_unchanged),
	CUNIT_TEST(kernel_that_does_not_take_is_counted),
};
CUNIT_MAIN("kernel", tests, rig_setup, rig_teardown)
