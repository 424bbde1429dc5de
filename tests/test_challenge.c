/* SPDX-License-Identifier: BSD-3-Clause */
/* Challenge ACKs (RFC 5961): their limit. */
#include "tests/syn_rig.h"

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
	CUNIT_TEST(challenge_acks_have_a_limit_of_each_connection),
};
CUNIT_MAIN("challenge", tests, setup, teardown)
