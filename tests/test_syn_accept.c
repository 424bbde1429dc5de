/* SPDX-License-Identifier: BSD-3-Clause */
/* Handshakes that come to their end while accept() is behind. */
#include "tests/syn_rig.h"

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

static const struct cunit_test tests[] = {
	CUNIT_TEST(a_program_that_accepts_has_room_for_a_crowd),
	CUNIT_TEST(a_program_that_stops_accepting_has_only_its_backlog),
	CUNIT_TEST(a_cookie_counts_although_there_is_a_request),
	CUNIT_TEST(the_last_ack_of_an_overflow_is_dropped_and_comes_again),
	CUNIT_TEST(a_proven_cookie_waits_like_a_request),
};
CUNIT_MAIN("syn_accept", tests, setup, teardown)
