/* SPDX-License-Identifier: BSD-3-Clause */
/* ip4-reass in a real graph: the whole datagram, and its error rows. */
#include "nodes/nodes.h"
#include "nodes/reass.h"
#include "tests/cunit_main.h"
#include "tests/ip4_rig.h"

static void
fragments_become_one_packet_for_classify(void)
{
	struct rte_mbuf *m;

	rig_trace();
	rig_walk(NODE_IP4_REASS, rig_fragment(7, 1480, 100, false));
	CU_ASSERT_PTR_NULL(rig_take(NODE_CLASSIFY));
	rig_walk(NODE_IP4_REASS, rig_fragment(7, 0, 1480, true));
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
		rig_walk(NODE_IP4_REASS, rig_fragment(id, 128, 64, true));
		rig_walk(NODE_IP4_REASS, rig_fragment(id, rows[id].offset, rows[id].len, rows[id].mf));
		CU_ASSERT_EQUAL(rig_count(NODE_IP4_REASS, rows[id].symbol), 1);
	}
	rig_walk(NODE_IP4_REASS, rig_fragment(1, 0, 64, true));
	CU_ASSERT_EQUAL(rig_count(NODE_IP4_REASS, "poisoned"), 1);
	for (unsigned int i = 0; i <= REASS_FRAGMENTS_MAX; i++)
		rig_walk(NODE_IP4_REASS, rig_fragment(100, 8 * i, 8, true));
	CU_ASSERT_EQUAL(rig_count(NODE_IP4_REASS, "too-many"), 1);
	for (unsigned int i = 0; i <= REASS_DATAGRAMS_MAX; i++)
		rig_walk(NODE_IP4_REASS, rig_fragment(1000 + i, 0, 8, true));
	CU_ASSERT_TRUE(rig_count(NODE_IP4_REASS, "evicted") > 0);
}

static const struct cunit_test tests[] = {
	CUNIT_TEST(fragments_become_one_packet_for_classify),
	CUNIT_TEST(bad_fragments_have_their_row),
};
CUNIT_MAIN("ip4_reass", tests, rig_setup, rig_teardown)
