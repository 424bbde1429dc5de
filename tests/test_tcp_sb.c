/* SPDX-License-Identifier: BSD-3-Clause */
/* The scoreboard and the SACK option it is fed from. Sequence numbers cross the wrap. */
#include "stack/tcp_sack.h"
#include "stack/tcp_sb.h"
#include "tests/cunit_main.h"

#define UNA 0xffffff00u
#define MSS 100u
#define NXT (UNA + 100 * MSS)

static struct tcp_sb sb;
static struct tcp_sb_news news;

static void
setup(void)
{
	memset(&sb, 0, sizeof(sb));
	tcp_sb_reset(&sb, UNA);
	memset(&news, 0, sizeof(news));
}

static void
teardown(void)
{
	tcp_sb_free(&sb);
}

static void
sack(uint32_t from, uint32_t to, uint32_t now_us)
{
	const struct tcp_sb_block b = {UNA + from * MSS, UNA + to * MSS};

	tcp_sb_sack(&sb, &b, NXT, now_us, 0, &news);
}

static uint32_t
detect(uint32_t now_us, bool at_once, uint32_t dup_bytes)
{
	const struct tcp_sb_rules k = {.now_us = now_us, .rtt_us = 1000, .window_us = 250,
		.dup_bytes = dup_bytes, .at_once = at_once};
	uint32_t wait_us;

	return tcp_sb_detect(&sb, &k, &wait_us);
}

static void
holes_are_counted_and_found(void)
{
	uint32_t seq, len;

	sack(2, 3, 0);
	sack(5, 8, 0);
	CU_ASSERT_EQUAL(sb.sacked, 4 * MSS);
	CU_ASSERT_EQUAL(news.delivered, 4 * MSS);
	CU_ASSERT_FALSE(news.reordered);
	CU_ASSERT_FALSE(tcp_sb_next(&sb, &seq, &len));
	CU_ASSERT_EQUAL(detect(0, true, 0), 4 * MSS);
	CU_ASSERT_TRUE(tcp_sb_next(&sb, &seq, &len));
	CU_ASSERT_EQUAL(seq, UNA);
	CU_ASSERT_EQUAL(len, 2 * MSS);
	CU_ASSERT_TRUE(tcp_sb_resent(&sb, UNA, 2 * MSS, NXT, 5));
	CU_ASSERT_TRUE(tcp_sb_next(&sb, &seq, &len));
	CU_ASSERT_EQUAL(seq, UNA + 3 * MSS);
	CU_ASSERT_EQUAL(sb.lost, 2 * MSS);
}

static void
same_block_again_brings_nothing(void)
{
	sack(2, 3, 0);
	sack(2, 3, 0);
	sack(2, 4, 0);
	CU_ASSERT_EQUAL(news.delivered, 2 * MSS);
	CU_ASSERT_EQUAL(sb.n, 2);
}

static void
loss_needs_three_segments_above_or_time(void)
{
	sack(1, 3, 100);
	CU_ASSERT_EQUAL(detect(100, false, 2 * MSS + 1), 0);
	CU_ASSERT_EQUAL(detect(349, false, 2 * MSS + 1), 0);
	CU_ASSERT_EQUAL(detect(350, false, 2 * MSS + 1), MSS);
	teardown();
	setup();
	sack(1, 4, 100);
	CU_ASSERT_EQUAL(detect(100, false, 2 * MSS + 1), MSS);
	teardown();
	setup();
	sack(1, 4, 100);
	CU_ASSERT_EQUAL(detect(100, false, 0), 0); /* the path reorders: by time alone */
	CU_ASSERT_EQUAL(detect(350, false, 0), MSS);
}

static void
lost_retransmission_shows_by_what_was_sent_later(void)
{
	const uint32_t nxt = UNA + 20 * MSS;
	struct tcp_sb_block b = {nxt, nxt + MSS};

	sack(1, 4, 0);
	detect(0, true, 0);
	tcp_sb_resent(&sb, UNA, MSS, nxt, 100);
	sack(4, 20, 600);
	CU_ASSERT_EQUAL(detect(2000, true, 0), 0); /* all of that was sent before */
	tcp_sb_sack(&sb, &b, NXT, 1100, 0, &news);
	CU_ASSERT_EQUAL(detect(1099, true, 0), 0); /* sooner than a round trip */
	CU_ASSERT_EQUAL(detect(1100, true, 0), MSS);
}

static void
lost_retransmission_shows_by_another_one(void)
{
	sack(1, 2, 0);
	sack(3, 6, 0);
	detect(0, true, 0);
	tcp_sb_resent(&sb, UNA, MSS, NXT, 100);
	tcp_sb_resent(&sb, UNA + 2 * MSS, MSS, NXT, 100);
	sack(1, 6, 1200);
	CU_ASSERT_EQUAL(detect(1200, true, 0), MSS); /* of one burst, the later one arrived */
}

static void
reordering_is_told_from_repair(void)
{
	sack(1, 4, 0);
	sack(0, 4, 10);
	CU_ASSERT_TRUE(news.reordered);
	teardown();
	setup();
	sack(1, 4, 0);
	detect(0, true, 0);
	tcp_sb_resent(&sb, UNA, MSS, NXT, 100);
	tcp_sb_ack(&sb, UNA + 4 * MSS, 1200, 800, &news);
	CU_ASSERT_FALSE(news.reordered);
	CU_ASSERT_EQUAL(news.early, 0);
	CU_ASSERT_TRUE(tcp_sb_is_empty(&sb));
	CU_ASSERT_EQUAL(sb.sacked, 0);
}

static void
too_quick_an_answer_is_of_the_first_sending(void)
{
	sack(1, 4, 0);
	detect(0, true, 0);
	tcp_sb_resent(&sb, UNA, MSS, NXT, 100);
	tcp_sb_ack(&sb, UNA + 4 * MSS, 899, 800, &news);
	CU_ASSERT_EQUAL(news.early, MSS);
}

static void
partial_ack_cuts_a_range(void)
{
	sack(5, 8, 0);
	tcp_sb_ack(&sb, UNA + 2 * MSS + 30, 0, 0, &news);
	CU_ASSERT_EQUAL(detect(0, true, 0), 3 * MSS - 30);
	tcp_sb_ack(&sb, UNA + 6 * MSS, 0, 0, &news);
	CU_ASSERT_EQUAL(sb.sacked, 2 * MSS);
	CU_ASSERT_EQUAL(sb.lost, 0);
	CU_ASSERT_EQUAL(news.delivered, 8 * MSS);
	tcp_sb_ack(&sb, UNA + 9 * MSS, 0, 0, &news);
	CU_ASSERT_TRUE(tcp_sb_is_empty(&sb));
	CU_ASSERT_EQUAL(news.delivered, 9 * MSS);
}

static void
timeout_loses_all_but_what_arrived_and_can_be_taken_back(void)
{
	sack(5, 8, 0);
	tcp_sb_lose(&sb, NXT);
	CU_ASSERT_EQUAL(sb.lost, 97 * MSS);
	CU_ASSERT_EQUAL(sb.sacked, 3 * MSS);
	tcp_sb_resent(&sb, UNA, MSS, NXT, 100);
	tcp_sb_ack(&sb, UNA + 2 * MSS, 200, 0, &news);
	CU_ASSERT_EQUAL(news.unneeded, MSS);
	tcp_sb_unlose(&sb, 200);
	CU_ASSERT_EQUAL(sb.lost, 0);
}

/* RFC 2018 8: what was reported may be thrown away by the receiver. */
static void
reneging_is_noticed_at_the_timeout(void)
{
	sack(0, 8, 0);
	tcp_sb_lose(&sb, UNA + 10 * MSS);
	CU_ASSERT_EQUAL(sb.sacked, 0);
	CU_ASSERT_EQUAL(sb.lost, 10 * MSS);
}

static void
nonsense_blocks_are_ignored(void)
{
	const struct tcp_sb_block bad[] = {{UNA + 200, UNA + 100}, {UNA + 100, UNA + 100},
		{NXT - 100, NXT + 1}, {UNA - 500, UNA}, {UNA + 100, UNA + 0x90000000u}};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		tcp_sb_sack(&sb, &bad[i], NXT, 0, 0, &news);
	CU_ASSERT_EQUAL(sb.n, 0);
	CU_ASSERT_EQUAL(news.delivered, 0);
}

static void
more_ranges_than_it_keeps_are_dropped(void)
{
	for (uint32_t i = 0; i < 4000; i++) {
		const struct tcp_sb_block b = {UNA + 2 * i + 1, UNA + 2 * i + 2};

		tcp_sb_sack(&sb, &b, NXT, 0, 0, &news);
	}
	CU_ASSERT_TRUE(sb.n <= TCP_SB_RANGES_MAX);
	tcp_sb_lose(&sb, NXT);
	CU_ASSERT_EQUAL(sb.sacked + sb.lost, 100 * MSS);
}

/* --- the option ------------------------------------------------------------------------------------- */

static size_t
option(uint8_t *o, const uint32_t *edges, size_t n_blocks)
{
	size_t len = 0;

	o[len++] = 1;
	o[len++] = 1;
	o[len++] = TCP_SACK_KIND;
	o[len++] = 2 + 8 * n_blocks;
	for (size_t i = 0; i < 2 * n_blocks; i++) {
		for (int shift = 24; shift >= 0; shift -= 8)
			o[len++] = edges[i] >> shift;
	}
	return len;
}

static void
blocks_come_in_ascending_order(void)
{
	uint8_t o[40];
	struct tcp_sack s;
	size_t len = option(o, (uint32_t[]){900, 1000, 100, 200, 500, 600}, 3);

	tcp_sack_parse(&s, o, len, 50);
	CU_ASSERT_EQUAL_FATAL(s.n, 3);
	CU_ASSERT_EQUAL(s.block[0].left, 100);
	CU_ASSERT_EQUAL(s.block[1].left, 500);
	CU_ASSERT_EQUAL(s.block[2].right, 1000);
	CU_ASSERT_EQUAL(s.duplicate_bytes, 0);
}

static void
duplicates_are_told_apart(void)
{
	uint8_t o[40];
	struct tcp_sack s;

	tcp_sack_parse(&s, o, option(o, (uint32_t[]){100, 200, 500, 600}, 2), 300);
	CU_ASSERT_EQUAL(s.duplicate_bytes, 100);
	CU_ASSERT_EQUAL(s.n, 1);
	tcp_sack_parse(&s, o, option(o, (uint32_t[]){520, 560, 500, 600}, 2), 300);
	CU_ASSERT_EQUAL(s.duplicate_bytes, 40);
	CU_ASSERT_EQUAL(s.n, 1);
	CU_ASSERT_EQUAL(s.block[0].left, 500);
}

static void
broken_options_are_left(void)
{
	const uint8_t rows[][6] = {{5}, {5, 1}, {5, 10, 1, 2, 3, 4}, {8, 0, 5, 2, 1, 1}, {1, 1, 5, 0},
		{0, 5, 10, 1, 1, 1}, {5, 2, 1, 1, 1, 1}};
	struct tcp_sack s;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		for (size_t len = 0; len <= sizeof(rows[0]); len++) {
			tcp_sack_parse(&s, rows[i], len, 0);
			CU_ASSERT_EQUAL(s.n, 0);
		}
	}
}

static const struct cunit_test tests[] = {
	CUNIT_TEST(holes_are_counted_and_found),
	CUNIT_TEST(same_block_again_brings_nothing),
	CUNIT_TEST(loss_needs_three_segments_above_or_time),
	CUNIT_TEST(lost_retransmission_shows_by_what_was_sent_later),
	CUNIT_TEST(lost_retransmission_shows_by_another_one),
	CUNIT_TEST(reordering_is_told_from_repair),
	CUNIT_TEST(too_quick_an_answer_is_of_the_first_sending),
	CUNIT_TEST(partial_ack_cuts_a_range),
	CUNIT_TEST(timeout_loses_all_but_what_arrived_and_can_be_taken_back),
	CUNIT_TEST(reneging_is_noticed_at_the_timeout),
	CUNIT_TEST(nonsense_blocks_are_ignored),
	CUNIT_TEST(more_ranges_than_it_keeps_are_dropped),
	CUNIT_TEST(blocks_come_in_ascending_order),
	CUNIT_TEST(duplicates_are_told_apart),
	CUNIT_TEST(broken_options_are_left),
};
CUNIT_MAIN("tcp_sb", tests, setup, teardown)
