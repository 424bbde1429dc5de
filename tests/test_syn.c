/* SPDX-License-Identifier: BSD-3-Clause */
/* Handshakes that peers begin: decisions, requests, and cookies in a flood. */
#include "tests/syn_rig.h"

/* --- decisions -------------------------------------------------------------------------------------- */

static void
syns_are_queued_then_cookies_then_dropped(void)
{
	CU_ASSERT_EQUAL(tcp_syn_decide(0, 128, 0, 128), TCP_SYN_QUEUE);
	CU_ASSERT_EQUAL(tcp_syn_decide(128, 128, 127, 128), TCP_SYN_QUEUE);
	CU_ASSERT_EQUAL(tcp_syn_decide(0, 128, 128, 128), TCP_SYN_COOKIE);
	CU_ASSERT_EQUAL(tcp_syn_decide(128, 128, 128, 128), TCP_SYN_COOKIE);
	CU_ASSERT_EQUAL(tcp_syn_decide(129, 128, 0, 128), TCP_SYN_OVERFLOW);
	CU_ASSERT_EQUAL(tcp_syn_decide(0, 0, 7, 0), TCP_SYN_QUEUE);
	CU_ASSERT_EQUAL(tcp_syn_decide(0, 0, 8, 0), TCP_SYN_COOKIE);
	CU_ASSERT_EQUAL(tcp_syn_decide(1, 0, 0, 0), TCP_SYN_OVERFLOW);
}

static void
segments_for_a_request(void)
{
	static const struct {
		struct tcp_gate_segment g;
		enum tcp_request_verdict want;
	} rows[] = {
		{{.seq = 99, .flags = RAW_SYN}, TCP_REQUEST_AGAIN},
		{{.seq = 98, .flags = RAW_SYN}, TCP_REQUEST_CHALLENGE},
		{{.seq = 100, .ack = 501, .flags = RAW_SYN | RAW_ACK}, TCP_REQUEST_CHALLENGE},
		{{.seq = 100, .ack = 501, .flags = RAW_ACK}, TCP_REQUEST_ESTABLISH},
		{{.seq = 100, .ack = 501, .flags = RAW_ACK | RAW_FIN, .len = 9}, TCP_REQUEST_ESTABLISH},
		{{.seq = 1500, .ack = 501, .flags = RAW_ACK, .len = 9}, TCP_REQUEST_ESTABLISH},
		{{.seq = 100 + 65536, .ack = 501, .flags = RAW_ACK}, TCP_REQUEST_CHALLENGE},
		{{.seq = 99, .ack = 501, .flags = RAW_ACK}, TCP_REQUEST_CHALLENGE},
		{{.seq = 100, .ack = 500, .flags = RAW_ACK}, TCP_REQUEST_STRANGE},
		{{.seq = 100, .ack = 502, .flags = RAW_ACK}, TCP_REQUEST_STRANGE},
		{{.seq = 100, .flags = 0, .len = 5}, TCP_REQUEST_DROP},
		{{.seq = 100, .flags = RAW_RST}, TCP_REQUEST_END},
		{{.seq = 101, .flags = RAW_RST}, TCP_REQUEST_CHALLENGE},
		{{.seq = 99, .flags = RAW_RST | RAW_ACK}, TCP_REQUEST_DROP},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (tcp_request_decide(99, 500, &rows[i].g) != rows[i].want)
			printf("(row %zu) ", i);
		CU_ASSERT_EQUAL(tcp_request_decide(99, 500, &rows[i].g), rows[i].want);
	}
}

/* --- requests --------------------------------------------------------------------------------------- */

static void
a_handshake_agrees_on_its_options(void)
{
	static const uint8_t want[] = {2, 4, 5, 0xb4, 1, 3, 3, 5, 1, 1, 4, 2};
	struct sock *s;

	listen_with(8);
	say(syn_from(0));
	CU_ASSERT_EQUAL(raw_n, 1);
	CU_ASSERT_EQUAL(raw_last()->flags, RAW_SYN | RAW_ACK);
	CU_ASSERT_EQUAL(raw_last()->ack, ISS + 1);
	CU_ASSERT_EQUAL(raw_last()->wnd, 65535);
	CU_ASSERT_EQUAL(raw_last()->opt_len, sizeof(want));
	CU_ASSERT_EQUAL(memcmp(raw_last()->opt, want, sizeof(want)), 0);
	CU_ASSERT_EQUAL(sim_stack(SIM_B)->n_conns, 0); /* not before we know that it hears us */
	say(ack_from(0, raw_last()->seq));
	s = accepted();
	CU_ASSERT_PTR_NOT_NULL_FATAL(s);
	CU_ASSERT_TRUE(s->srtt_us > 0 && s->srtt_us < 3000);
	CU_ASSERT_EQUAL(sim_stack(SIM_B)->syn.n, 0);
	reset_by_peer(s, ack_from(0, 0));
}

static void
a_syn_ack_is_sent_six_times_and_forgotten(void)
{
	struct stack_conn_info i[4];

	listen_with(8);
	say(syn_from(0));
	CU_ASSERT_EQUAL(stack_conns(sim_stack(SIM_B), i, 4), 2);
	CU_ASSERT_STRING_EQUAL(i[1].state, "SYN_RECVD");
	pass(2);
	CU_ASSERT_EQUAL(raw_n, 2); /* 1 s */
	pass(14);
	CU_ASSERT_EQUAL(raw_n, 5); /* 3, 7, 15 s */
	pass(17);
	CU_ASSERT_EQUAL(raw_n, 6); /* 31 s */
	CU_ASSERT_EQUAL(sim_stack(SIM_B)->syn.n, 1);
	pass(32);
	CU_ASSERT_EQUAL(raw_n, 6);
	CU_ASSERT_EQUAL(sim_stack(SIM_B)->syn.n, 0);
}

static void
a_repeated_syn_is_answered_twice_a_second_at_most(void)
{
	listen_with(8);
	for (int i = 0; i < 100; i++)
		say(syn_from(0)); /* within 100 ms */
	CU_ASSERT_EQUAL(raw_n, 1);
	pass(1);
	CU_ASSERT_EQUAL(raw_n, 2);
	say(syn_from(0));
	CU_ASSERT_EQUAL(raw_n, 3);
	CU_ASSERT_EQUAL(raw_seen[0].seq, raw_seen[2].seq);
	CU_ASSERT_EQUAL(sim_stack(SIM_B)->syn.n, 1);
}

static void
data_with_the_last_ack_arrives(void)
{
	struct raw_tcp t;
	struct sock *s;

	listen_with(8);
	say(syn_from(0));
	t = ack_from(0, raw_last()->seq);
	t.seq += 5; /* the second of two segments comes first */
	t.data = " world";
	t.len = 6;
	say(t);
	s = accepted();
	CU_ASSERT_PTR_NOT_NULL_FATAL(s);
	CU_ASSERT_EQUAL(sock_inq(s), 0);
	t.seq -= 5;
	t.data = "hello";
	t.len = 5;
	say(t);
	CU_ASSERT_EQUAL(sock_inq(s), 11);
	t.seq += 11;
	reset_by_peer(s, t);
}

static void
a_wrong_ack_is_reset_and_a_reset_ends_it(void)
{
	struct raw_tcp t;
	uint32_t iss;

	listen_with(8);
	say(syn_from(0));
	iss = raw_last()->seq;
	say(ack_from(0, iss + 1));
	CU_ASSERT_EQUAL(raw_last()->flags & RAW_RST, RAW_RST);
	CU_ASSERT_EQUAL(raw_last()->seq, iss + 2);
	CU_ASSERT_EQUAL(sim_stack(SIM_B)->syn.n, 1);
	t = ack_from(0, iss);
	t.flags = RAW_RST;
	say(t);
	CU_ASSERT_EQUAL(sim_stack(SIM_B)->syn.n, 0);
	CU_ASSERT_PTR_NULL(accepted());
}

static void
a_syn_with_fin_is_nobodys(void)
{
	struct raw_tcp t = syn_from(0);

	listen_with(8);
	t.flags |= RAW_FIN;
	say(t);
	t.flags = RAW_FIN;
	say(t);
	t.flags = 0;
	say(t);
	CU_ASSERT_EQUAL(raw_n, 0);
	t.flags = RAW_SYN | RAW_ACK;
	say(t);
	CU_ASSERT_EQUAL(raw_last()->flags & RAW_RST, RAW_RST);
}

static void
closing_the_listener_forgets_its_requests(void)
{
	uint32_t iss;

	listen_with(300);
	for (uint32_t i = 0; i < 300; i++)
		say(syn_from(i));
	CU_ASSERT_EQUAL(sim_stack(SIM_B)->syn.n, 300);
	iss = raw_seen[0].seq;
	sock_close(l);
	l = NULL;
	CU_ASSERT_EQUAL(sim_stack(SIM_B)->syn.n, 0);
	say(ack_from(0, iss));
	CU_ASSERT_EQUAL(raw_last()->flags & RAW_RST, RAW_RST);
}

/* --- flood ------------------------------------------------------------------------------------------ */

static void
a_full_queue_answers_with_cookies(void)
{
	struct tcp_syn_queue *q = &sim_stack(SIM_B)->syn;
	struct sock *s;
	struct raw_tcp t;

	listen_with(16);
	for (uint32_t i = 0; i < 1000; i++)
		say(syn_from(i));
	CU_ASSERT_EQUAL(q->n, 16);
	CU_ASSERT_EQUAL(q->full, 984);
	CU_ASSERT_EQUAL(q->cookies_sent, 984);
	/* An honest one among them. */
	say(syn_from(5000));
	CU_ASSERT_EQUAL(raw_last()->opt_len, 4); /* an MSS, nothing else */
	t = ack_from(5000, raw_last()->seq);
	t.data = "PING\r\n";
	t.len = 6;
	say(t);
	s = accepted();
	CU_ASSERT_PTR_NOT_NULL_FATAL(s);
	CU_ASSERT_EQUAL(q->cookies_recv, 1);
	CU_ASSERT_EQUAL(sock_inq(s), 6);
	CU_ASSERT_EQUAL(q->n, 16);
	t.seq += 6;
	reset_by_peer(s, t);
	/* One who guesses. */
	say(ack_from(5001, 0x12345678));
	CU_ASSERT_EQUAL(raw_last()->flags & RAW_RST, RAW_RST);
	CU_ASSERT_EQUAL(q->cookies_failed, 1);
}

static void
a_cookie_is_good_for_two_minutes(void)
{
	struct tcp_syn_queue *q = &sim_stack(SIM_B)->syn;
	uint32_t early, late;
	struct sock *s;

	listen_with(0);
	for (uint32_t i = 0; i < 8; i++)
		say(syn_from(i));
	sim_now_us += SYN_COOKIE_PERIOD_MS * 1000 - sim_now_us % (SYN_COOKIE_PERIOD_MS * 1000);
	say(syn_from(10));
	early = raw_last()->seq;
	sim_now_us += 64000000;
	for (uint32_t i = 0; i < 8; i++)
		say(syn_from(i)); /* the first ones have gone by time */
	say(syn_from(11));
	late = raw_last()->seq;
	CU_ASSERT_EQUAL(q->cookies_sent, 2);
	sim_now_us += 64000000;
	say(ack_from(10, early));
	CU_ASSERT_EQUAL(raw_last()->flags & RAW_RST, RAW_RST);
	say(ack_from(11, late));
	s = accepted();
	CU_ASSERT_PTR_NOT_NULL_FATAL(s);
	reset_by_peer(s, ack_from(11, late));
	/* Long after the flood ACKs are not taken for cookies at all. */
	sim_now_us += 200000000;
	q->cookies_failed = 0;
	say(ack_from(12, late));
	CU_ASSERT_EQUAL(q->cookies_failed, 0);
}

static const struct cunit_test tests[] = {
	CUNIT_TEST(syns_are_queued_then_cookies_then_dropped),
	CUNIT_TEST(segments_for_a_request),
	CUNIT_TEST(a_handshake_agrees_on_its_options),
	CUNIT_TEST(a_syn_ack_is_sent_six_times_and_forgotten),
	CUNIT_TEST(a_repeated_syn_is_answered_twice_a_second_at_most),
	CUNIT_TEST(data_with_the_last_ack_arrives),
	CUNIT_TEST(a_wrong_ack_is_reset_and_a_reset_ends_it),
	CUNIT_TEST(a_syn_with_fin_is_nobodys),
	CUNIT_TEST(closing_the_listener_forgets_its_requests),
	CUNIT_TEST(a_full_queue_answers_with_cookies),
	CUNIT_TEST(a_cookie_is_good_for_two_minutes),
};
CUNIT_MAIN("syn", tests, setup, teardown)
