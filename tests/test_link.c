/* SPDX-License-Identifier: BSD-3-Clause */
/* The wire was away and comes back: what waits goes at once, not at the end of a doubled timeout. */
#include "stack/impl.h"
#include "tests/cunit_main.h"
#include "tests/sim.h"

#include <errno.h>

#define PORT 6379
#define AWAY_US 5000000 /* by then the next try is seconds away */
#define SOON_US 20000

static void
send_on(struct sock *s, uint32_t len)
{
	static char data[8192];
	struct iovec iov = {.iov_base = data, .iov_len = len};

	CU_ASSERT_EQUAL(sock_send(s, &iov, 1, 0, NULL), (ssize_t)len);
}

static size_t
receive_on(struct sock *s)
{
	static char data[1 << 20];
	struct iovec iov = {.iov_base = data, .iov_len = sizeof(data)};
	ssize_t n = sock_recv(s, &iov, 1, 0, NULL, NULL);

	return n > 0 ? (size_t)n : 0;
}

static void
go_away(void)
{
	sim_wire.cut = 1;
	sim_run(AWAY_US);
	sim_wire.cut = 0;
	sim_run(SOON_US);
}

static void
come_back(void)
{
	stack_group_link_up(sim_group(SIM_A));
	sim_run(SOON_US);
}

static void
what_was_lost_is_sent_at_once(void)
{
	struct sock *a, *b, *l;

	sim_connect(PORT, &a, &b, &l);
	sim_wire.cut = 1; /* a send may put its packets on the wire itself */
	send_on(a, 5000);
	sim_run(1000);
	send_on(a, 3000);
	go_away();
	CU_ASSERT_EQUAL(receive_on(b), 0);
	come_back();
	CU_ASSERT_EQUAL(receive_on(b), 8000);
	sim_run(1000000);
	CU_ASSERT_PTR_NOT_NULL(a->pcb);
	CU_ASSERT_EQUAL(a->tx_bytes_acked, 8000);
	sock_close(a);
	sock_close(b);
	sock_close(l);
}

static void
timeouts_begin_anew(void)
{
	struct sock *a, *b, *l;

	sim_connect(PORT, &a, &b, &l);
	sim_wire.cut = 1;
	send_on(a, 100);
	sim_run(AWAY_US);
	/* Back, but the first packets are still lost. */
	stack_group_link_up(sim_group(SIM_A));
	sim_run(1000);
	sim_wire.cut = 0;
	sim_run(2 * 2 * TCP_RTO_MIN_MS * 1000);
	CU_ASSERT_EQUAL(receive_on(b), 100);
	sock_close(a);
	sock_close(b);
	sock_close(l);
}

static void
syn_is_sent_at_once(void)
{
	struct sockaddr_in at = sim_addr(SIM_B, PORT);
	struct sock *a, *b, *l;

	sock_open(sim_group(SIM_B), SOCK_TCP, &l);
	sock_bind(l, &at);
	sock_listen(l, 8);
	sim_wire.cut = 1;
	sock_open(sim_group(SIM_A), SOCK_TCP, &a);
	sock_connect(a, &at);
	go_away();
	CU_ASSERT_EQUAL(sock_accept(l, &b, NULL), -EAGAIN);
	come_back();
	CU_ASSERT_EQUAL_FATAL(sock_accept(l, &b, NULL), 0);
	sock_close(a);
	sock_close(b);
	sock_close(l);
}

static void
fin_is_sent_at_once(void)
{
	struct sock *a, *b, *l;

	sim_connect(PORT, &a, &b, &l);
	sim_wire.cut = 1;
	sock_close(a);
	go_away();
	CU_ASSERT_EQUAL(sock_flags(b) & SF_EOF, 0);
	come_back();
	CU_ASSERT_NOT_EQUAL(sock_flags(b) & SF_EOF, 0);
	sock_close(b);
	sock_close(l);
}

/* The peer's window was closed, and the word that it is open again was lost. */
static void
closed_window_is_probed_at_once(void)
{
	static char data[65536];
	struct iovec iov = {.iov_base = data, .iov_len = sizeof(data)};
	struct sock *a, *b, *l;

	sim_connect(PORT, &a, &b, &l);
	for (int i = 0; i < 200; i++) { /* until nothing fits anywhere */
		sock_send(a, &iov, 1, 0, NULL);
		sim_run(1000);
	}
	sim_run(30000000);
	CU_ASSERT_PTR_NOT_NULL_FATAL(a->pcb);
	sim_wire.cut = 1;
	while (receive_on(b) > 0)
		;
	go_away();
	CU_ASSERT_EQUAL(receive_on(b), 0);
	come_back();
	CU_ASSERT(receive_on(b) > 0);
	sock_close(a);
	sock_close(b);
	sock_close(l);
}

static void
idle_connections_and_twice_up_do_nothing(void)
{
	struct sock *a, *b, *l;
	uint64_t passed;

	sim_connect(PORT, &a, &b, &l);
	sim_run(1000000);
	passed = sim_wire.passed;
	stack_group_link_up(sim_group(SIM_A));
	stack_group_link_up(sim_group(SIM_A));
	sim_run(SOON_US);
	stack_group_link_up(sim_group(SIM_A));
	sim_run(SOON_US);
	CU_ASSERT_EQUAL(sim_wire.passed, passed);
	sock_close(a);
	sock_close(b);
	sock_close(l);
}

static const struct cunit_test tests[] = {
	CUNIT_TEST(what_was_lost_is_sent_at_once),
	CUNIT_TEST(timeouts_begin_anew),
	CUNIT_TEST(syn_is_sent_at_once),
	CUNIT_TEST(fin_is_sent_at_once),
	CUNIT_TEST(closed_window_is_probed_at_once),
	CUNIT_TEST(idle_connections_and_twice_up_do_nothing),
};
CUNIT_MAIN("link", tests, sim_setup, sim_teardown)
