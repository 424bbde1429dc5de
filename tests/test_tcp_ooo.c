/* SPDX-License-Identifier: BSD-3-Clause */
/* The queue of segments that came before their turn. */
#include "stack/impl.h"
#include "stack/tcp_ooo.h"
#include "tests/cunit_main.h"

#define BASE 0xffffff80u /* the wrap is near */

static struct tcp_ooo o;
static struct pkt pkts[3000];
static unsigned int used;

static void
setup(void)
{
	memset(&o, 0, sizeof(o));
	used = 0;
}

static void
teardown(void)
{
	while (tcp_ooo_drop(&o) != NULL) {
	}
	CU_ASSERT_EQUAL(o.n_pkts, 0);
	CU_ASSERT_EQUAL(o.bytes, 0);
}

static enum tcp_ooo_verdict
add(uint32_t from, uint32_t to)
{
	return tcp_ooo_add(&o, &pkts[used++], BASE + from, to - from);
}

/* What the receiver has when `from` bytes are in order and everything that fits is taken. */
static uint32_t
fill(uint32_t from)
{
	struct pkt *p;

	while ((p = tcp_ooo_take(&o, BASE + from)) != NULL) {
		CU_ASSERT_TRUE((int32_t)(p->addr - (BASE + from)) <= 0);
		if ((int32_t)(p->addr + p->len - (BASE + from)) > 0)
			from = p->addr + p->len - BASE;
	}
	return from;
}

static void
check_blocks(const uint32_t *edges, uint32_t n)
{
	struct tcp_sb_block b[4];

	CU_ASSERT_EQUAL_FATAL(tcp_ooo_blocks(&o, b, 4), n);
	for (uint32_t i = 0; i < n; i++) {
		CU_ASSERT_EQUAL(b[i].left, BASE + edges[2 * i]);
		CU_ASSERT_EQUAL(b[i].right, BASE + edges[2 * i + 1]);
	}
}

static void
segments_come_out_in_order(void)
{
	CU_ASSERT_EQUAL(add(300, 400), TCP_OOO_ADDED);
	CU_ASSERT_EQUAL(add(100, 200), TCP_OOO_ADDED);
	CU_ASSERT_EQUAL(add(400, 500), TCP_OOO_ADDED);
	CU_ASSERT_EQUAL(o.n, 2);
	CU_ASSERT_EQUAL(fill(99), 99);
	CU_ASSERT_EQUAL(fill(100), 200);
	CU_ASSERT_EQUAL(fill(300), 500);
	CU_ASSERT_TRUE(tcp_ooo_is_empty(&o));
}

static void
filled_gap_joins_runs(void)
{
	add(100, 200);
	add(300, 400);
	add(500, 600);
	CU_ASSERT_EQUAL(add(200, 300), TCP_OOO_ADDED);
	CU_ASSERT_EQUAL(o.n, 2);
	CU_ASSERT_EQUAL(add(350, 550), TCP_OOO_ADDED);
	CU_ASSERT_EQUAL(o.n, 1);
	CU_ASSERT_EQUAL(fill(100), 600);
}

static void
overlaps_lose_nothing(void)
{
	add(100, 200);
	CU_ASSERT_EQUAL(add(50, 250), TCP_OOO_ADDED);
	CU_ASSERT_EQUAL(add(240, 260), TCP_OOO_ADDED);
	CU_ASSERT_EQUAL(add(40, 60), TCP_OOO_ADDED);
	CU_ASSERT_EQUAL(o.n, 1);
	CU_ASSERT_EQUAL(fill(45), 260);
	CU_ASSERT_EQUAL(o.n_pkts, 0);
}

static void
duplicates_are_not_kept(void)
{
	add(100, 200);
	CU_ASSERT_EQUAL(add(100, 200), TCP_OOO_DUPLICATE);
	CU_ASSERT_EQUAL(add(120, 180), TCP_OOO_DUPLICATE);
	CU_ASSERT_EQUAL(o.n_pkts, 1);
}

/* RFC 2018 4: the block of the newest segment first, then those reported before. */
static void
newest_block_comes_first(void)
{
	add(100, 200);
	add(300, 400);
	add(500, 600);
	check_blocks((uint32_t[]){500, 600, 300, 400, 100, 200}, 3);
	add(200, 250);
	check_blocks((uint32_t[]){100, 250, 500, 600, 300, 400}, 3);
	add(700, 800);
	add(900, 1000);
	check_blocks((uint32_t[]){900, 1000, 700, 800, 100, 250, 500, 600}, 4);
	CU_ASSERT_EQUAL(fill(100), 250);
	check_blocks((uint32_t[]){900, 1000, 700, 800, 500, 600}, 3);
}

static void
whole_window_fits_and_crumbs_do_not(void)
{
	uint32_t i;

	for (i = 0; i < 718; i++)
		CU_ASSERT_EQUAL(add(1460 + i * 1460, 2920 + i * 1460), TCP_OOO_ADDED);
	CU_ASSERT_EQUAL(o.n, 1);
	teardown();
	setup();
	for (i = 0; i < 3000 && add(2 * i + 1, 2 * i + 2) == TCP_OOO_ADDED; i++) {
	}
	CU_ASSERT_EQUAL(i, TCP_OOO_PKTS_FREE);
}

/* Any order, any cuts: what comes out covers what went in. */
static void
random_arrivals_leave_no_gap(void)
{
	uint64_t x = 88172645463325252ull;

	for (int round = 0; round < 200; round++) {
		uint8_t have[2000] = {0};
		uint32_t at = 1, i;

		setup();
		for (i = 0; i < 200; i++) {
			uint32_t from, len;

			x ^= x << 13, x ^= x >> 7, x ^= x << 17;
			from = 1 + x % 1900;
			len = 1 + (x >> 20) % 60;
			if (add(from, from + len) != TCP_OOO_FULL)
				memset(have + from, 1, len);
		}
		for (i = 0; i < o.n; i++) {
			for (uint32_t b = o.run[i].start - BASE; b < o.run[i].end - BASE; b++)
				CU_ASSERT_TRUE(have[b] == 1);
		}
		while (at < 2000) {
			uint32_t to = fill(at);

			while (at < to)
				CU_ASSERT_EQUAL(have[at++], 1);
			while (at < 2000 && have[at] == 0)
				at++;
			if (fill(at) == at)
				at++;
		}
		CU_ASSERT_TRUE(tcp_ooo_is_empty(&o));
		teardown();
	}
}

static const struct cunit_test tests[] = {
	CUNIT_TEST(segments_come_out_in_order),
	CUNIT_TEST(filled_gap_joins_runs),
	CUNIT_TEST(overlaps_lose_nothing),
	CUNIT_TEST(duplicates_are_not_kept),
	CUNIT_TEST(newest_block_comes_first),
	CUNIT_TEST(whole_window_fits_and_crumbs_do_not),
	CUNIT_TEST(random_arrivals_leave_no_gap),
};
CUNIT_MAIN("tcp_ooo", tests, setup, teardown)
