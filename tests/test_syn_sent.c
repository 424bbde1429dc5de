/* SPDX-License-Identifier: BSD-3-Clause */
/* Handshakes that we begin, and who may say something before the peer has answered. */
#include "stack/impl.h"
#include "stack/lwip_image.h"
#include "tests/cunit_main.h"
#include "tests/raw_tcp.h"
#include "tests/sim.h"

#include <errno.h>

#define PEER 0xc6130001u /* 198.19.0.1 */
#define ISS 777000u

static void
setup(void)
{
	sim_setup();
	sim_wire.tap = raw_tap;
	raw_n = 0;
}

static void
say(struct raw_tcp t)
{
	raw_send(&t);
	sim_run(1000);
}

/* Data before the SYN|ACK is no reason to acknowledge anything: there is no number yet. */
static void
data_before_the_syn_ack_is_not_acknowledged(void)
{
	static const char data[2 * 536]; /* as much as is acknowledged at once, or a little later */
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(4000),
		.sin_addr.s_addr = htonl(PEER)};
	struct raw_tcp t = {.addr = PEER, .sport = 4000, .seq = ISS, .flags = RAW_ACK, .wnd = 65535,
		.data = data, .len = sizeof(data)};
	struct sock *s;

	CU_ASSERT_EQUAL_FATAL(sock_open(sim_group(SIM_B), SOCK_TCP, &s), 0);
	CU_ASSERT_EQUAL(sock_connect(s, &to), -EINPROGRESS);
	sim_run(1000);
	CU_ASSERT_EQUAL(raw_last()->flags, RAW_SYN);
	t.dport = raw_last()->sport;
	t.ack = raw_last()->seq + 1;
	say(t);
	sim_run(500000);
	for (unsigned int i = 0; i < raw_n; i++)
		CU_ASSERT_NOT_EQUAL(raw_seen[i].flags, RAW_ACK);
	sock_close(s);
}

/* A socket that connects to PEER; *answer is the SYN|ACK that it waits for, without options. */
static struct sock *
connecting(struct raw_tcp *answer)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(4000),
		.sin_addr.s_addr = htonl(PEER)};
	struct sock *s = NULL;

	CU_ASSERT_EQUAL_FATAL(sock_open(sim_group(SIM_B), SOCK_TCP, &s), 0);
	CU_ASSERT_EQUAL(sock_connect(s, &to), -EINPROGRESS);
	sim_run(1000);
	CU_ASSERT_EQUAL(raw_last()->flags, RAW_SYN);
	*answer = (struct raw_tcp){.addr = PEER, .sport = 4000, .dport = raw_last()->sport, .seq = ISS,
		.ack = raw_last()->seq + 1, .flags = RAW_SYN | RAW_ACK, .wnd = 65535};
	return s;
}

/* RFC 9293 3.10.7.3: what does not acknowledge our SYN is discarded, with its options. lwIP obeys them
 * first: a stranger's window scale, for example, would stay for good. */
static void
only_the_answer_to_our_syn_has_options(void)
{
	static const uint8_t strange[] = {2, 4, 0, 48, 1, 1, 4, 2, 1, 3, 3, 14};
	struct raw_tcp answer, blind;
	struct sock *s = connecting(&answer);

	blind = answer;
	blind.opt = strange;
	blind.opt_len = sizeof(strange);
	blind.ack -= 5;
	say(blind);
	blind.flags = RAW_SYN;
	say(blind);
	blind.flags = RAW_ACK;
	blind.ack = answer.ack;
	say(blind);
	CU_ASSERT_EQUAL(s->pcb->state, SYN_SENT);
	say(answer);
	CU_ASSERT_EQUAL(s->pcb->state, ESTABLISHED);
	CU_ASSERT_EQUAL(s->pcb->mss, 536);
	CU_ASSERT_EQUAL(s->pcb->flags & (TF_WND_SCALE | TF_SACK), 0);
	CU_ASSERT_EQUAL(s->pcb->snd_scale, 0);
	sock_close(s);
}

/* And those of the answer count. */
static void
options_of_the_answer_count(void)
{
	static const uint8_t options[] = {2, 4, 2, 188, 1, 1, 4, 2, 1, 3, 3, 7};
	struct raw_tcp answer;
	struct sock *s = connecting(&answer);

	answer.opt = options;
	answer.opt_len = sizeof(options);
	say(answer);
	CU_ASSERT_EQUAL(s->pcb->mss, 700);
	CU_ASSERT_EQUAL(s->pcb->flags & (TF_WND_SCALE | TF_SACK), TF_WND_SCALE | TF_SACK);
	CU_ASSERT_EQUAL(s->pcb->snd_scale, 7);
	sock_close(s);
}

static const struct cunit_test tests[] = {
	CUNIT_TEST(data_before_the_syn_ack_is_not_acknowledged),
	CUNIT_TEST(only_the_answer_to_our_syn_has_options),
	CUNIT_TEST(options_of_the_answer_count),
};

CUNIT_MAIN("syn_sent", tests, setup, sim_teardown)
