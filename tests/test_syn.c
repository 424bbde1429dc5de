/* SPDX-License-Identifier: BSD-3-Clause */
/* Handshakes that peers begin: requests, cookies, overflow; and the hashes under them. */
#include "stack/impl.h"
#include "stack/siphash.h"
#include "stack/syn_cookie.h"
#include "stack/tcp_syn.h"
#include "tests/cunit_main.h"
#include "tests/raw_tcp.h"
#include "tests/sim.h"

#include <errno.h>

#define PORT 6379
#define PEER 0xc6130001u /* 198.19.0.1 */
#define ISS 777000u

static const uint8_t options[] = {2, 4, 5, 0xb4, 1, 1, 4, 2, 1, 3, 3, 7};
static struct sock *l;

static void
setup(void)
{
	sim_setup();
	sim_wire.tap = raw_tap;
	raw_n = 0;
	memset(&sim_stack(SIM_B)->syn.overflows, 0, 5 * sizeof(uint64_t));
}

static void
teardown(void)
{
	if (l != NULL)
		sock_close(l);
	l = NULL;
	sim_teardown();
	CU_ASSERT_EQUAL(sim_stack(SIM_B)->syn.n, 0);
	CU_ASSERT_EQUAL(sim_stack(SIM_B)->n_conns, 0);
}

static void
listen_with(int backlog)
{
	struct sockaddr_in at = sim_addr(SIM_B, PORT);

	CU_ASSERT_EQUAL_FATAL(sock_open(sim_group(SIM_B), SOCK_TCP, &l), 0);
	CU_ASSERT_EQUAL_FATAL(sock_bind(l, &at), 0);
	CU_ASSERT_EQUAL_FATAL(sock_listen(l, backlog), 0);
}

static struct raw_tcp
syn_from(uint32_t i)
{
	return (struct raw_tcp){.addr = PEER + i, .sport = 4000, .dport = PORT, .seq = ISS,
		.flags = RAW_SYN, .wnd = 64240, .opt = options, .opt_len = sizeof(options)};
}

/* What peer number i says after it has heard our SYN|ACK with this sequence number. */
static struct raw_tcp
ack_from(uint32_t i, uint32_t seq)
{
	struct raw_tcp t = syn_from(i);

	t.flags = RAW_ACK;
	t.opt_len = 0;
	t.seq = ISS + 1;
	t.ack = seq + 1;
	return t;
}

static void
say(struct raw_tcp t)
{
	raw_send(&t);
	sim_run(1000);
}

static struct sock *
accepted(void)
{
	struct sock *s = NULL;

	return sock_accept(l, &s, NULL) == 0 ? s : NULL;
}

static void
reset_by_peer(struct sock *s, struct raw_tcp t)
{
	t.flags = RAW_RST | RAW_ACK;
	t.len = 0;
	say(t);
	sock_close(s);
}

static void
pass(unsigned int seconds)
{
	for (unsigned int i = 0; i < seconds * 10; i++) {
		sim_run(1000);
		sim_now_us += 99000;
	}
}

/* --- hashes ----------------------------------------------------------------------------------------- */

/* From the reference implementation's vectors_sip64: key 00..0f, message 00 01 02 ... */
static void
siphash_is_siphash(void)
{
	const uint64_t key[2] = {0x0706050403020100, 0x0f0e0d0c0b0a0908};
	const uint64_t m[2] = {0x0706050403020100, 0x0f0e0d0c0b0a0908};

	CU_ASSERT_EQUAL(siphash_words(key, m, 0, 2, 4), 0x726fdb47dd0e0e31);
	CU_ASSERT_EQUAL(siphash_words(key, m, 1, 2, 4), 0x93f5f5799a932462);
	CU_ASSERT_EQUAL(siphash_2(key, m[0], m[1]), 0x3f2acc7f57c29bdb);
}

static void
a_cookie_is_accepted_for_two_periods_and_its_own_flow(void)
{
	const uint64_t key[2] = {1, 2}, other[2] = {1, 3};
	const struct syn_cookie_flow f = {0x01020304, 0x05060708, 1000, 80, 12345};

	for (uint32_t period = 250; period < 260; period++) { /* over the end of its eight bits */
		uint32_t c = syn_cookie_make(key, &f, period, 1460);
		struct syn_cookie_flow g = f;

		CU_ASSERT_EQUAL(syn_cookie_check(key, &f, period, c), 1460);
		CU_ASSERT_EQUAL(syn_cookie_check(key, &f, period + 1, c), 1460);
		CU_ASSERT_EQUAL(syn_cookie_check(key, &f, period + 2, c), 0);
		CU_ASSERT_EQUAL(syn_cookie_check(key, &f, period - 1, c), 0);
		CU_ASSERT_EQUAL(syn_cookie_check(other, &f, period, c), 0);
		g.rport++;
		CU_ASSERT_EQUAL(syn_cookie_check(key, &g, period, c), 0);
		g = f;
		g.irs++;
		CU_ASSERT_EQUAL(syn_cookie_check(key, &g, period, c), 0);
	}
}

static void
a_cookie_holds_an_mss_not_above_the_peers(void)
{
	static const uint16_t said[][2] = {{48, 48}, {535, 48}, {536, 536}, {1300, 1220}, {1452, 1452},
		{1459, 1452}, {1460, 1460}, {65535, 8960}, {1, 48}};
	const uint64_t key[2] = {1, 2};
	const struct syn_cookie_flow f = {1, 2, 3, 4, 5};

	for (size_t i = 0; i < sizeof(said) / sizeof(said[0]); i++)
		CU_ASSERT_EQUAL(syn_cookie_check(key, &f, 9,
			syn_cookie_make(key, &f, 9, said[i][0])), said[i][1]);
}

/* 16 of 2^32 values are good; 2^22 guesses meet one with a chance of 1.5 %. */
static void
guessing_a_cookie_is_hopeless(void)
{
	const uint64_t key[2] = {0x1234567890abcdef, 0xfedcba0987654321};
	const struct syn_cookie_flow f = {1, 2, 3, 4, 5};
	uint32_t c = syn_cookie_make(key, &f, 9, 1460), good = 0;

	for (uint32_t i = 1; i < 1u << 22; i++)
		good += syn_cookie_check(key, &f, 9, c + i * 1021) != 0;
	CU_ASSERT_TRUE(good <= 1);
}

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

/* --- accept() is behind ------------------------------------------------------------------------------- */

static void
the_last_ack_of_an_overflow_is_dropped_and_comes_again(void)
{
	struct tcp_syn_queue *q = &sim_stack(SIM_B)->syn;
	struct sock *s;
	uint32_t seq[4];
	struct raw_tcp t;

	listen_with(1);
	for (uint32_t i = 0; i < 4; i++) {
		say(syn_from(i));
		seq[i] = raw_last()->seq;
	}
	raw_n = 0;
	for (uint32_t i = 0; i < 4; i++)
		say(ack_from(i, seq[i]));
	CU_ASSERT_EQUAL(l->acc_n, 2); /* one more than the backlog, as Linux has it */
	CU_ASSERT_EQUAL(q->overflows, 2);
	CU_ASSERT_EQUAL(raw_n, 0); /* no reset */
	say(syn_from(9));
	CU_ASSERT_EQUAL(raw_n, 0); /* and a new one waits outside */
	CU_ASSERT_EQUAL(q->overflows, 3);
	pass(2);
	CU_ASSERT_EQUAL(raw_n, 2); /* SYN|ACKs again */
	while ((s = accepted()) != NULL)
		sock_close(s);
	t = ack_from(2, seq[2]);
	t.data = "data";
	t.len = 4;
	say(t);
	s = accepted();
	CU_ASSERT_PTR_NOT_NULL_FATAL(s);
	CU_ASSERT_EQUAL(sock_inq(s), 4);
	t.seq += 4;
	reset_by_peer(s, t);
	for (uint32_t i = 0; i < 2; i++) {
		t = ack_from(i, seq[i]);
		t.flags = RAW_RST | RAW_ACK;
		say(t);
	}
}

/* Who accepts gets a crowd that comes between two of its calls; who does not has only the backlog. */
static void
a_program_that_accepts_has_room_for_a_crowd(void)
{
	struct tcp_syn_queue *q = &sim_stack(SIM_B)->syn;
	static uint32_t seq[700];
	uint32_t n = 0;
	struct sock *s;

	listen_with(64);
	for (uint32_t i = 0; i < 700; i++) {
		say(syn_from(i));
		seq[i] = raw_last()->seq;
	}
	for (uint32_t i = 0; i < 100; i++)
		say(ack_from(i, seq[i]));
	CU_ASSERT_EQUAL(l->acc_n, 64 + 1);
	CU_ASSERT_EQUAL(q->overflows, 35);
	s = accepted();
	CU_ASSERT_PTR_NOT_NULL_FATAL(s);
	sim_now_us += TCP_ACCEPT_LATELY_US / 2;
	for (uint32_t i = 65; i < 700; i++) {
		struct raw_tcp t = ack_from(i, seq[i]);

		raw_send(&t);
		if (i % 64 == 0)
			sim_run(100);
	}
	sim_run(1000);
	CU_ASSERT_EQUAL(l->acc_n, 64 + 8 * 64 + 1);
	raw_n = 0;
	say(syn_from(900));
	CU_ASSERT_EQUAL(raw_n, 0); /* a new one waits outside */
	do {
		n++;
		reset_by_peer(s, ack_from(ntohl(s->raddr) - PEER, seq[ntohl(s->raddr) - PEER]));
	} while ((s = accepted()) != NULL);
	CU_ASSERT_EQUAL(n, 64 * 9 + 1 + 1);
	for (uint32_t i = 0; i < 700; i++) {
		struct raw_tcp t = ack_from(i, seq[i]);

		t.flags = RAW_RST | RAW_ACK;
		say(t);
	}
}

/* Until lately it did. */
static void
a_program_that_stops_accepting_has_only_its_backlog(void)
{
	struct tcp_syn_queue *q = &sim_stack(SIM_B)->syn;
	uint32_t seq[72];
	struct sock *s;

	listen_with(64);
	for (uint32_t i = 0; i < 72; i++) {
		say(syn_from(i));
		seq[i] = raw_last()->seq;
	}
	CU_ASSERT_PTR_NULL(accepted());
	sim_now_us += TCP_ACCEPT_LATELY_US + 1;
	for (uint32_t i = 0; i < 72; i++)
		say(ack_from(i, seq[i]));
	CU_ASSERT_EQUAL(l->acc_n, 64 + 1);
	CU_ASSERT_EQUAL(q->overflows, 72 - 65);
	raw_n = 0;
	say(syn_from(900));
	CU_ASSERT_EQUAL(raw_n, 0);
	CU_ASSERT_EQUAL(q->overflows, 72 - 65 + 1);
	for (uint32_t i = 0; i < 65; i++) {
		s = accepted();
		CU_ASSERT_PTR_NOT_NULL_FATAL(s);
		reset_by_peer(s, ack_from(ntohl(s->raddr) - PEER, seq[ntohl(s->raddr) - PEER]));
	}
	for (uint32_t i = 0; i < 72; i++) {
		struct raw_tcp t = ack_from(i, seq[i]);

		t.flags = RAW_RST | RAW_ACK;
		say(t);
	}
}

/* Its SYN came twice: first answered with a cookie, then, as there was room, kept. It has seen the first. */
static void
a_cookie_counts_although_there_is_a_request(void)
{
	struct tcp_syn_queue *q = &sim_stack(SIM_B)->syn;
	struct sock *s;
	uint32_t seq;

	listen_with(8);
	for (uint32_t i = 0; i < 9; i++)
		say(syn_from(i));
	CU_ASSERT_EQUAL(q->cookies_sent, 1);
	seq = raw_last()->seq;
	for (uint32_t i = 0; i < 8; i++) {
		struct raw_tcp t = syn_from(i);

		t.flags = RAW_RST;
		t.seq++;
		say(t);
	}
	CU_ASSERT_EQUAL(q->n, 0);
	say(syn_from(8));
	CU_ASSERT_EQUAL(q->n, 1);
	CU_ASSERT_NOT_EQUAL(raw_last()->seq, seq);
	raw_n = 0;
	say(ack_from(8, seq + 100)); /* neither of the two */
	CU_ASSERT_EQUAL(raw_last()->flags & RAW_RST, RAW_RST);
	raw_n = 0;
	say(ack_from(8, seq));
	CU_ASSERT_EQUAL(raw_n, 0);
	CU_ASSERT_EQUAL(q->n, 0);
	s = accepted();
	CU_ASSERT_PTR_NOT_NULL_FATAL(s);
	reset_by_peer(s, ack_from(8, seq));
}

/* Who was answered with a cookie has no request that could remind it; its ACK makes one. */
static void
a_proven_cookie_waits_like_a_request(void)
{
	struct tcp_syn_queue *q = &sim_stack(SIM_B)->syn;
	uint32_t seq[40], n = 0;
	struct sock *s;

	listen_with(8);
	for (uint32_t i = 0; i < 40; i++) {
		say(syn_from(i));
		seq[i] = raw_last()->seq;
	}
	for (uint32_t i = 0; i < 40; i++)
		say(ack_from(i, seq[i]));
	CU_ASSERT_EQUAL(l->acc_n, 9);
	CU_ASSERT_EQUAL(q->n, 16); /* not more than twice the backlog */
	raw_n = 0;
	for (int round = 0; round < 10; round++) {
		while ((s = accepted()) != NULL) {
			n++;
			reset_by_peer(s, ack_from(ntohl(s->raddr) - PEER, seq[ntohl(s->raddr) - PEER]));
		}
		raw_n = 0;
		pass(2);
		for (uint32_t i = 0, all = raw_n; i < all && i < 40; i++)
			say(ack_from(raw_seen[i].addr - PEER, raw_seen[i].seq));
	}
	while ((s = accepted()) != NULL) {
		n++;
		reset_by_peer(s, ack_from(ntohl(s->raddr) - PEER, seq[ntohl(s->raddr) - PEER]));
	}
	CU_ASSERT_EQUAL(n, 25);
}

/* --- challenge ACKs ------------------------------------------------------------------------------------ */

/* As many SYNs for a live connection as its peer, or somebody else, likes. */
static unsigned int
challenges_in(unsigned int ms, uint32_t peer)
{
	unsigned int before = raw_n;

	for (unsigned int i = 0; i < ms; i++)
		say(syn_from(peer));
	return raw_n - before;
}

static void
challenge_acks_have_a_limit_of_each_connection(void)
{
	enum { N = 40 };
	struct sock *s[N];
	uint32_t seq[N];
	unsigned int n, alike = 0, last = 0;

	listen_with(N);
	for (uint32_t i = 0; i < N; i++) {
		say(syn_from(i));
		seq[i] = raw_last()->seq;
		say(ack_from(i, seq[i]));
		s[i] = accepted();
		CU_ASSERT_PTR_NOT_NULL_FATAL(s[i]);
	}
	n = challenges_in(200, 0);
	CU_ASSERT_EQUAL(n, 1);
	CU_ASSERT_EQUAL(raw_last()->flags, RAW_ACK);
	CU_ASSERT_EQUAL(raw_last()->ack, ISS + 1);
	/* All at once, which a crowd does that has lost its connections: each is answered. */
	raw_n = 0;
	for (uint32_t i = 1; i < N; i++) {
		struct raw_tcp t = syn_from(i);

		raw_send(&t);
	}
	sim_run(1000);
	CU_ASSERT_EQUAL(raw_n, N - 1);
	/* How long it lasts is no constant that a count would show. */
	for (uint32_t i = 1; i < N; i++) {
		CU_ASSERT_TRUE(s[i]->challenge_wait_ms >= 250 && s[i]->challenge_wait_ms < 750);
		alike += s[i]->challenge_wait_ms == last;
		last = s[i]->challenge_wait_ms;
	}
	CU_ASSERT_TRUE(alike < 4);
	n = challenges_in(3000, 0);
	CU_ASSERT_TRUE(n >= 4 && n <= 12);
	/* A reset that is not exactly right is one, too; the right one ends it. */
	pass(1);
	for (uint32_t i = 0; i < N; i++) {
		struct raw_tcp t = ack_from(i, seq[i]);

		t.flags = RAW_RST;
		t.seq += 100;
		raw_n = 0;
		say(t);
		CU_ASSERT_EQUAL(raw_n, 1);
		CU_ASSERT_PTR_NOT_NULL(s[i]->pcb);
		reset_by_peer(s[i], ack_from(i, seq[i]));
	}
}

static const struct cunit_test tests[] = {
	CUNIT_TEST(siphash_is_siphash),
	CUNIT_TEST(a_cookie_is_accepted_for_two_periods_and_its_own_flow),
	CUNIT_TEST(a_cookie_holds_an_mss_not_above_the_peers),
	CUNIT_TEST(guessing_a_cookie_is_hopeless),
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
	CUNIT_TEST(a_program_that_accepts_has_room_for_a_crowd),
	CUNIT_TEST(a_program_that_stops_accepting_has_only_its_backlog),
	CUNIT_TEST(a_cookie_counts_although_there_is_a_request),
	CUNIT_TEST(the_last_ack_of_an_overflow_is_dropped_and_comes_again),
	CUNIT_TEST(a_proven_cookie_waits_like_a_request),
	CUNIT_TEST(challenge_acks_have_a_limit_of_each_connection),
};

CUNIT_MAIN("syn", tests, setup, teardown)
