/* SPDX-License-Identifier: BSD-3-Clause */
/* What arp-input does with a message. */
#include "nodes/arp.h"
#include "nodes/arp_verdict.h"
#include "tests/arp_rig.h"

static const struct arp_self self = {US, MASK, GATEWAY, {{2, 0, 0, 0, 0, 1}}};

static struct rte_arp_hdr
request(uint32_t sip, uint32_t tip)
{
	uint8_t frame[ARP_FRAME_LEN];

	arp_write_request(frame, &peer_mac, sip, tip, NULL);
	return *(const struct rte_arp_hdr *)(frame + RTE_ETHER_HDR_LEN);
}

static struct rte_arp_hdr
reply(uint32_t sip, uint32_t tip, const struct rte_ether_addr *tha)
{
	struct rte_arp_hdr arp = request(sip, tip);

	arp.arp_opcode = RTE_BE16(RTE_ARP_OP_REPLY);
	arp.arp_data.arp_tha = *tha;
	return arp;
}

static void
request_for_us_is_answered_and_learned(void)
{
	struct rte_arp_hdr arp = request(PEER, US);
	struct arp_verdict v = arp_verdict(&self, &arp, sizeof(arp));

	CU_ASSERT_TRUE(v.reply && v.learn && v.create);
	CU_ASSERT_FALSE(v.asked || v.spread);
	arp = request(GATEWAY, US);
	CU_ASSERT_TRUE(arp_verdict(&self, &arp, sizeof(arp)).create);
}

static void
probe_is_answered_and_not_learned(void)
{
	struct rte_arp_hdr arp = request(0, US);
	struct arp_verdict v = arp_verdict(&self, &arp, sizeof(arp));

	CU_ASSERT_TRUE(v.reply);
	CU_ASSERT_FALSE(v.learn || v.create);
	arp = request(0, PEER);
	v = arp_verdict(&self, &arp, sizeof(arp));
	CU_ASSERT_FALSE(v.reply || v.learn);
	CU_ASSERT_EQUAL(v.error, ARP_INPUT_NOT_FOR_US);
}

static void
request_for_another_only_updates(void)
{
	struct rte_arp_hdr arp = request(PEER, HARNESS_IP(198, 18, 0, 9));
	struct arp_verdict v = arp_verdict(&self, &arp, sizeof(arp));

	CU_ASSERT_TRUE(v.learn);
	CU_ASSERT_FALSE(v.reply || v.create || v.spread);
	CU_ASSERT_EQUAL(v.error, ARP_INPUT_NOT_FOR_US);
}

static void
reply_to_us_is_an_answer_for_all_cores(void)
{
	struct rte_arp_hdr arp = reply(PEER, US, &our_mac);
	struct arp_verdict v = arp_verdict(&self, &arp, sizeof(arp));

	CU_ASSERT_TRUE(v.learn && v.asked && v.spread);
	CU_ASSERT_FALSE(v.reply || v.create);
	arp = reply(PEER, US, &other_mac);
	CU_ASSERT_FALSE(arp_verdict(&self, &arp, sizeof(arp)).asked);
	arp = reply(PEER, PEER, &peer_mac);
	v = arp_verdict(&self, &arp, sizeof(arp));
	CU_ASSERT_TRUE(v.learn && v.spread);
	CU_ASSERT_FALSE(v.asked);
}

static void
bad_frames_have_their_row(void)
{
	struct rte_arp_hdr good = request(PEER, US), arp;

#define EXPECT(change, row)                                                                        \
	do {                                                                                       \
		arp = good;                                                                        \
		change;                                                                            \
		struct arp_verdict v = arp_verdict(&self, &arp, sizeof(arp));                      \
		CU_ASSERT_EQUAL(v.error, row);                                                     \
		CU_ASSERT_FALSE(v.reply || v.learn || v.spread);                                   \
	} while (0)

	CU_ASSERT_EQUAL(arp_verdict(&self, &good, sizeof(good) - 1).error, ARP_INPUT_SHORT);
	EXPECT(arp.arp_hardware = 0, ARP_INPUT_BAD_FORMAT);
	EXPECT(arp.arp_protocol = RTE_BE16(0x86dd), ARP_INPUT_BAD_FORMAT);
	EXPECT(arp.arp_hlen = 8, ARP_INPUT_BAD_FORMAT);
	EXPECT(arp.arp_plen = 16, ARP_INPUT_BAD_FORMAT);
	EXPECT(arp.arp_opcode = RTE_BE16(3), ARP_INPUT_BAD_OPCODE);
	EXPECT(arp.arp_data.arp_sha.addr_bytes[0] |= 1, ARP_INPUT_BAD_SENDER_MAC);
	EXPECT(memset(&arp.arp_data.arp_sha, 0, 6), ARP_INPUT_BAD_SENDER_MAC);
	EXPECT(arp.arp_data.arp_sip = US, ARP_INPUT_DUPLICATE_ADDRESS);
	EXPECT(arp.arp_data.arp_sip = HARNESS_IP(198, 18, 0, 255), ARP_INPUT_BAD_SENDER_IP);
	EXPECT(arp.arp_data.arp_sip = HARNESS_IP(198, 18, 1, 1), ARP_INPUT_BAD_SENDER_IP);
	EXPECT(arp.arp_data.arp_sip = HARNESS_IP(224, 0, 0, 1), ARP_INPUT_BAD_SENDER_IP);
	EXPECT((arp.arp_data.arp_sip = 0, arp.arp_opcode = RTE_BE16(2)), ARP_INPUT_BAD_SENDER_IP);
	EXPECT((arp.arp_data.arp_sha = our_mac, arp.arp_data.arp_sip = US), ARP_INPUT_OWN);
#undef EXPECT
}

static void
neighbour_with_our_mac_is_a_neighbour(void)
{
	struct rte_arp_hdr arp = request(PEER, US);
	struct arp_verdict v;

	arp.arp_data.arp_sha = our_mac;
	v = arp_verdict(&self, &arp, sizeof(arp));
	CU_ASSERT_TRUE(v.reply && v.learn && v.create);

	arp.arp_opcode = RTE_BE16(RTE_ARP_OP_REPLY);
	arp.arp_data.arp_tha = our_mac;
	v = arp_verdict(&self, &arp, sizeof(arp));
	CU_ASSERT_TRUE(v.learn && v.asked && v.spread);

	arp = request(0, US); /* a probe for our address */
	arp.arp_data.arp_sha = our_mac;
	v = arp_verdict(&self, &arp, sizeof(arp));
	CU_ASSERT_TRUE(v.reply);
	CU_ASSERT_FALSE(v.learn);
}

static const struct cunit_test tests[] = {
	CUNIT_TEST(request_for_us_is_answered_and_learned),
	CUNIT_TEST(probe_is_answered_and_not_learned),
	CUNIT_TEST(request_for_another_only_updates),
	CUNIT_TEST(reply_to_us_is_an_answer_for_all_cores),
	CUNIT_TEST(bad_frames_have_their_row),
	CUNIT_TEST(neighbour_with_our_mac_is_a_neighbour),
};
CUNIT_MAIN("arp_verdict", tests, NULL, NULL)
