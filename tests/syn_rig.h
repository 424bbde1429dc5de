/* SPDX-License-Identifier: BSD-3-Clause */
/* Peers that are played by hand, and a listener of side B, for the suites of handshakes. */
#ifndef TESTS_SYN_RIG_H
#define TESTS_SYN_RIG_H

#include "stack/impl.h"
#include "stack/syn_cookie.h"
#include "stack/tcp_syn.h"
#include "tests/cunit_main.h"
#include "tests/raw_tcp.h"
#include "tests/sim.h"

#define PORT 6379
#define PEER 0xc6130001u /* 198.19.0.1 */
#define ISS 777000u

static const uint8_t options[] = {2, 4, 5, 0xb4, 1, 1, 4, 2, 1, 3, 3, 7};
static struct sock *l;

static inline void
setup(void)
{
	sim_setup();
	sim_wire.tap = raw_tap;
	raw_n = 0;
	memset(&sim_stack(SIM_B)->syn.overflows, 0, 5 * sizeof(uint64_t));
}

static inline void
teardown(void)
{
	if (l != NULL)
		sock_close(l);
	l = NULL;
	sim_teardown();
	CU_ASSERT_EQUAL(sim_stack(SIM_B)->syn.n, 0);
	CU_ASSERT_EQUAL(sim_stack(SIM_B)->n_conns, 0);
}

static inline void
listen_with(int backlog)
{
	struct sockaddr_in at = sim_addr(SIM_B, PORT);

	CU_ASSERT_EQUAL_FATAL(sock_open(sim_group(SIM_B), SOCK_TCP, &l), 0);
	CU_ASSERT_EQUAL_FATAL(sock_bind(l, &at), 0);
	CU_ASSERT_EQUAL_FATAL(sock_listen(l, backlog), 0);
}

static inline struct raw_tcp
syn_from(uint32_t i)
{
	return (struct raw_tcp){.addr = PEER + i, .sport = 4000, .dport = PORT, .seq = ISS,
		.flags = RAW_SYN, .wnd = 64240, .opt = options, .opt_len = sizeof(options)};
}

/* What peer number i says after it has heard our SYN|ACK with this sequence number. */
static inline struct raw_tcp
ack_from(uint32_t i, uint32_t seq)
{
	struct raw_tcp t = syn_from(i);

	t.flags = RAW_ACK;
	t.opt_len = 0;
	t.seq = ISS + 1;
	t.ack = seq + 1;
	return t;
}

static inline void
say(struct raw_tcp t)
{
	raw_send(&t);
	sim_run(1000);
}

static inline struct sock *
accepted(void)
{
	struct sock *s = NULL;

	return sock_accept(l, &s, NULL) == 0 ? s : NULL;
}

static inline void
reset_by_peer(struct sock *s, struct raw_tcp t)
{
	t.flags = RAW_RST | RAW_ACK;
	t.len = 0;
	say(t);
	sock_close(s);
}

static inline void
pass(unsigned int seconds)
{
	for (unsigned int i = 0; i < seconds * 10; i++) {
		sim_run(1000);
		sim_now_us += 99000;
	}
}

#endif
