/* SPDX-License-Identifier: BSD-3-Clause */
/* Which segments may reach lwIP (RFC 9293 3.10.7.4, RFC 5961): a table. */
#include "stack/tcp_gate.h"
#include "tests/cunit_main.h"

/* Near the wrap: window 0xfffffff0 .. 0x000003d8, 500 bytes in flight. */
#define NXT 0xfffffff0u
#define WND 1000u
#define UNA 0xffffff00u
#define SND (UNA + 500)
#define MAXW 65535u
#define A TCP_GATE_ACK

static const struct tcp_gate_conn open = {.rcv_nxt = NXT,
	.rcv_wnd = WND,
	.snd_una = UNA,
	.snd_nxt = SND,
	.snd_wnd_max = MAXW};

struct row {
	const char *what;
	uint32_t seq, len, ack;
	uint8_t flags;
	enum tcp_gate_verdict verdict;
};

static const struct row rows[] = {
	{"next data", NXT, 100, UNA, A, TCP_GATE_PASS},
	{"pure ACK of everything", NXT, 0, SND, A, TCP_GATE_PASS},
	{"data that fills the window to the last byte", NXT, WND, UNA, A, TCP_GATE_PASS},
	{"one byte beyond the window", NXT, WND + 1, UNA, A, TCP_GATE_DROP_ACK},
	{"out of order inside", NXT + 500, 100, UNA, A, TCP_GATE_PASS},
	{"out of order across the right edge", NXT + WND - 10, 100, UNA, A, TCP_GATE_DROP_ACK},
	{"all beyond the window", NXT + WND + 1, 10, UNA, A, TCP_GATE_DROP_ACK},
	{"retransmission of what we have", NXT - 100, 100, UNA, A, TCP_GATE_PASS},
	{"keepalive", NXT - 1, 0, UNA, A, TCP_GATE_PASS},
	{"ancient sequence number", NXT - 900000000, 10, UNA, A, TCP_GATE_DROP_ACK},
	{"no ACK flag", NXT, 10, UNA, 0, TCP_GATE_DROP},
	{"ACK of bytes never sent", NXT, 10, SND + 1, A, TCP_GATE_DROP_ACK},
	{"ACK older than any window", NXT, 10, UNA - MAXW - 1, A, TCP_GATE_DROP_ACK},
	{"old duplicate ACK", NXT, 10, UNA - 10, A, TCP_GATE_PASS},
	{"SYN on an open connection", NXT, 0, UNA, TCP_GATE_SYN, TCP_GATE_DROP_ACK},
	{"SYN|ACK on an open connection", NXT, 0, UNA, TCP_GATE_SYN | A, TCP_GATE_DROP_ACK},
	{"RST at the next byte", NXT, 0, 0, TCP_GATE_RST, TCP_GATE_PASS},
	{"RST inside the window: a challenge", NXT + 10, 0, 0, TCP_GATE_RST, TCP_GATE_DROP_ACK},
	{"RST before the window", NXT - 1, 0, 0, TCP_GATE_RST, TCP_GATE_DROP_ACK},
	{"RST outside: silence", NXT + WND + 10, 0, 0, TCP_GATE_RST, TCP_GATE_DROP},
	{"FIN behind a full window", NXT, WND, UNA, A | TCP_GATE_FIN, TCP_GATE_PASS},
};

static void
segments_on_an_open_connection(void)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct tcp_gate_segment g = {
			.seq = rows[i].seq, .ack = rows[i].ack, .len = rows[i].len,
			.flags = rows[i].flags};

		if (tcp_gate(&open, &g) != rows[i].verdict) {
			printf("    row \"%s\"\n", rows[i].what);
			CU_ASSERT_EQUAL(tcp_gate(&open, &g), rows[i].verdict);
		}
	}
}

static void
zero_window_takes_acks_and_answers_probes(void)
{
	struct tcp_gate_conn c = open;
	struct tcp_gate_segment g = {.seq = NXT, .ack = SND, .len = 0, .flags = A};

	c.rcv_wnd = 0;
	CU_ASSERT_EQUAL(tcp_gate(&c, &g), TCP_GATE_PASS);
	g.len = 1;
	CU_ASSERT_EQUAL(tcp_gate(&c, &g), TCP_GATE_DROP_ACK);
}

static void
syn_sent_is_left_to_lwip(void)
{
	struct tcp_gate_conn c = open;
	const struct tcp_gate_segment g = {.seq = 12345, .ack = SND, .flags = TCP_GATE_SYN | A};

	c.syn_sent = true;
	CU_ASSERT_EQUAL(tcp_gate(&c, &g), TCP_GATE_PASS);
}

/* RFC 9293 3.10.7.3: only an acknowledgement of our SYN shows that it is meant for us. */
static void
reset_of_a_syn_needs_its_ack(void)
{
	struct tcp_gate_conn c = open;
	struct tcp_gate_segment g = {.seq = 0, .ack = SND, .flags = TCP_GATE_RST};

	c.syn_sent = true;
	CU_ASSERT_EQUAL(tcp_gate(&c, &g), TCP_GATE_DROP);
	g.flags |= A;
	CU_ASSERT_EQUAL(tcp_gate(&c, &g), TCP_GATE_PASS);
}

static const struct cunit_test tests[] = {
	CUNIT_TEST(segments_on_an_open_connection),
	CUNIT_TEST(zero_window_takes_acks_and_answers_probes),
	CUNIT_TEST(syn_sent_is_left_to_lwip),
	CUNIT_TEST(reset_of_a_syn_needs_its_ack),
};
CUNIT_MAIN("tcp_gate", tests, NULL, NULL)
