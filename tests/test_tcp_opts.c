/* SPDX-License-Identifier: BSD-3-Clause */
/* The MSS is what the SYN says, within bounds, and nothing changes it later. */
#include "stack/tcp_opts.h"
#include "stack/impl.h"
#include "stack/lwip_image.h"
#include "tests/cunit_main.h"
#include "tests/raw_tcp.h"
#include "tests/sim.h"

#include <errno.h>

#define PORT 6379

struct mend {
	const char *opt;
	uint32_t len;
	bool syn;
	const char *want;
};

static const struct mend mends[] = {
	{"\2\4\5\xb4", 4, true, "\2\4\5\xb4"},
	{"\2\4\0\0", 4, true, "\2\4\2\x18"}, /* 0: as without the option */
	{"\2\4\0\1", 4, true, "\2\4\0\x30"},
	{"\2\4\0\x2f\1\1\4\2", 8, true, "\2\4\0\x30\1\1\4\2"},
	{"\1\1\2\4\0\1\4\2", 8, true, "\1\1\2\4\0\x30\4\2"},
	{"\2\4\5\xb4", 4, false, "\1\1\1\1"},
	{"\1\1\5\x0a""abcdefgh\2\4\0\1", 16, false, "\1\1\5\x0a""abcdefgh\1\1\1\1"},
	{"\1\2\4\0", 4, false, "\1\0\4\0"},   /* cut off: ends where it is malformed */
	{"\2\1\2\4", 4, false, "\0\1\2\4"},   /* a length that leads nowhere */
	{"\x1e\0\2\4", 4, false, "\0\0\2\4"},
	{"\0\2\4\0", 4, false, "\0\2\4\0"},   /* nothing behind the end is read */
	{"\2\6\0\1\0\1\1\1", 8, false, "\1\1\1\1\1\1\1\1"},
	{"\2\6\0\1\0\1\1\1", 8, true, "\2\6\0\1\0\1\1\1"}, /* lwIP refuses the length itself */
};

static void
options_are_mended(void)
{
	for (size_t i = 0; i < sizeof(mends) / sizeof(mends[0]); i++) {
		uint8_t o[40];

		memcpy(o, mends[i].opt, mends[i].len);
		tcp_opts_mend(o, mends[i].len, mends[i].syn);
		if (memcmp(o, mends[i].want, mends[i].len) != 0)
			printf("(row %zu) ", i);
		CU_ASSERT_EQUAL(memcmp(o, mends[i].want, mends[i].len), 0);
	}
}

static void
an_mss_in_an_ack_is_not_obeyed(void)
{
	static const uint8_t tiny[] = {2, 4, 0, 1};
	struct sock *a, *b, *l;
	struct raw_tcp t = {.dport = PORT, .flags = RAW_ACK, .wnd = 65535, .opt = tiny, .opt_len = 4};

	sim_connect(PORT, &a, &b, &l);
	CU_ASSERT_EQUAL(b->pcb->mss, 1460);
	t.sport = ntohs(a->lport);
	t.seq = b->pcb->rcv_nxt;
	t.ack = b->pcb->snd_nxt;
	raw_send(&t);
	sim_run(1000);
	CU_ASSERT_EQUAL(b->pcb->mss, 1460);
	sock_close(a);
	sock_close(b);
	sock_close(l);
}

/* A peer with this MSS in its SYN, connected; returns B's idea of it. */
static uint16_t
mss_of(const uint8_t *opt, uint8_t opt_len)
{
	struct sockaddr_in at = sim_addr(SIM_B, PORT);
	struct raw_tcp t = {.addr = 0xc6120063, .sport = 5000, .dport = PORT, .seq = 1000,
		.flags = RAW_SYN, .wnd = 65535, .opt = opt, .opt_len = opt_len};
	struct sock *l, *b;
	uint16_t mss;

	sock_open(sim_group(SIM_B), SOCK_TCP, &l);
	CU_ASSERT_EQUAL_FATAL(sock_bind(l, &at), 0);
	CU_ASSERT_EQUAL_FATAL(sock_listen(l, 8), 0);
	sim_wire.tap = raw_tap;
	raw_send(&t);
	sim_run(1000);
	CU_ASSERT_EQUAL_FATAL(raw_last()->flags, RAW_SYN | RAW_ACK);
	t.flags = RAW_ACK;
	t.opt_len = 0;
	t.seq++;
	t.ack = raw_last()->seq + 1;
	raw_send(&t);
	sim_run(1000);
	CU_ASSERT_EQUAL_FATAL(sock_accept(l, &b, NULL), 0);
	mss = b->pcb->mss;
	t.flags = RAW_RST | RAW_ACK;
	raw_send(&t);
	sim_run(1000);
	sock_close(b);
	sock_close(l);
	return mss;
}

static void
the_mss_of_a_syn_has_bounds(void)
{
	CU_ASSERT_EQUAL(mss_of((const uint8_t *)"\2\4\0\0", 4), 536);
	CU_ASSERT_EQUAL(mss_of((const uint8_t *)"\2\4\0\1", 4), 48);
	CU_ASSERT_EQUAL(mss_of((const uint8_t *)"\2\4\0\x31", 4), 49);
	CU_ASSERT_EQUAL(mss_of((const uint8_t *)"\2\4\xff\xff", 4), 1460); /* the MTU's */
	CU_ASSERT_EQUAL(mss_of(NULL, 0), 536);
}

/*
 * "mss_local is too small": lwIP bounds a segment by half of the largest window, and asserts that the
 * last one that waits is not longer. A peer that began with no window at all lets one be made that is.
 */
static void
a_segment_older_than_the_window_waits_for_its_way_out(void)
{
	struct sock *a, *b, *l;
	char block[200] = "";
	struct iovec iov = {.iov_base = block, .iov_len = sizeof(block)};

	sim_connect(PORT, &a, &b, &l);
	b->pcb->snd_wnd = b->pcb->snd_wnd_max = 0;
	CU_ASSERT_EQUAL(sock_send(b, &iov, 1, 0, NULL), sizeof(block));
	sim_run(100);
	CU_ASSERT_PTR_NOT_NULL_FATAL(b->pcb->unsent);
	CU_ASSERT_EQUAL(b->pcb->unsent->len, 200);
	b->pcb->snd_wnd = b->pcb->snd_wnd_max = 300; /* lwIP's next limit is 150 */
	CU_ASSERT_EQUAL(sock_send(b, &iov, 1, 0, NULL), sizeof(block));
	sim_run(2000000);
	CU_ASSERT_EQUAL(sock_inq(a), 400);
	sock_close(a);
	sock_close(b);
	sock_close(l);
}

static const struct cunit_test tests[] = {
	CUNIT_TEST(options_are_mended),
	CUNIT_TEST(an_mss_in_an_ack_is_not_obeyed),
	CUNIT_TEST(the_mss_of_a_syn_has_bounds),
	CUNIT_TEST(a_segment_older_than_the_window_waits_for_its_way_out),
};

CUNIT_MAIN("tcp_opts", tests, sim_setup, sim_teardown)
