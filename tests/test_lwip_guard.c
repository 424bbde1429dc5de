/* SPDX-License-Identifier: BSD-3-Clause */
/* A failed assertion of lwIP costs the one connection in which it failed. */
#include "stack/impl.h"
#include "stack/lwip_image.h"
#include "stack/stack.h"
#include "tests/cunit_main.h"
#include "tests/sim.h"

#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

#define PORT 6379

static struct sock *a, *b, *l;       /* what breaks */
static struct sock *a2, *b2, *l2;    /* its neighbours */
static uint64_t resets;

static ssize_t
put(struct sock *s, const char *text)
{
	struct iovec iov = {.iov_base = (void *)text, .iov_len = strlen(text)};

	return sock_send(s, &iov, 1, 0, NULL);
}

static bool
receives(struct sock *s, const char *text)
{
	char got[64] = "";
	struct iovec iov = {.iov_base = got, .iov_len = sizeof(got) - 1};

	return sock_recv(s, &iov, 1, 0, NULL, NULL) == (ssize_t)strlen(text) &&
	       strcmp(got, text) == 0;
}

static void
setup(void)
{
	sim_setup();
	sim_connect(PORT, &a, &b, &l);
	sim_connect(PORT + 1, &a2, &b2, &l2);
	lwip_assert_aborts = false;
	resets = sim_stack(SIM_B)->engine_resets;
}

static void
teardown(void)
{
	lwip_assert_aborts = true;
	sock_close(l);
	sock_close(a2);
	sock_close(b2);
	sock_close(l2);
	sim_teardown();
}

static void
neighbours_talk(void)
{
	CU_ASSERT_EQUAL(put(a2, "still"), 5);
	CU_ASSERT_EQUAL(put(b2, "there"), 5);
	sim_run(100000);
	CU_ASSERT_TRUE(receives(b2, "still"));
	CU_ASSERT_TRUE(receives(a2, "there"));
}

/* B's connection is gone and says why; so does its peer's. */
static void
is_reset(void)
{
	struct stack_snmp n;

	CU_ASSERT_PTR_NULL(b->pcb);
	CU_ASSERT_EQUAL(sock_events(b) & (EPOLLERR | EPOLLHUP), EPOLLERR | EPOLLHUP);
	CU_ASSERT_EQUAL(sock_take_error(b), ECONNRESET);
	CU_ASSERT_EQUAL(sock_take_error(a), ECONNRESET);
	CU_ASSERT_EQUAL(sim_stack(SIM_B)->engine_resets, resets + 1);
	stack_snmp_read(sim_stack(SIM_B), &n);
	CU_ASSERT_EQUAL(n.tcp_engine_resets, resets + 1);
}

/* An ACK of a segment that lwIP does not think it has: "pcb->snd_queuelen >= pbuf_clen(next->p)". */
static void
in_a_received_segment(void)
{
	CU_ASSERT_EQUAL(put(b, "answer"), 6);
	sim_run(100);
	b->pcb->snd_queuelen = 0;
	sim_run(100000);
	is_reset();
	sock_close(a);
	sock_close(b);
	neighbours_talk();
}

/* The vector goes on behind the packet that broke, and that packet is in its pool again (teardown). */
static void
in_the_middle_of_a_vector(void)
{
	CU_ASSERT_EQUAL(put(b, "answer"), 6);
	sim_run(100);
	b->pcb->snd_queuelen = 0;
	CU_ASSERT_EQUAL(put(a, "data with the ACK"), 17);
	CU_ASSERT_EQUAL(put(a2, "behind"), 6);
	sim_run(100000);
	is_reset();
	CU_ASSERT_TRUE(receives(b2, "behind"));
	sock_close(a);
	sock_close(b);
	neighbours_talk();
}

/* "unsent_oversize", queue lengths: tcp_write() finds "at least one segment in unsent queue". */
static void
in_a_send(void)
{
	b->pcb->snd_queuelen = 5; /* with both queues empty */
	CU_ASSERT_EQUAL(put(b, "never sent"), 10);
	sim_run(100000);
	is_reset();
	sock_close(a);
	sock_close(b);
	neighbours_talk();
}

/* Giving up for a timeout frees a segment that somebody has freed: "pbuf_free: p->ref > 0". */
static void
in_a_timer(void)
{
	b->user_timeout_ms = 500;
	sim_wire.cut = 1;
	CU_ASSERT_EQUAL(put(b, "x"), 1);
	sim_run(1000);
	CU_ASSERT_PTR_NOT_NULL_FATAL(b->pcb->unacked);
	b->pcb->unacked->p->ref = 0;
	sim_run(400000);
	CU_ASSERT_EQUAL(sim_stack(SIM_B)->engine_resets, resets);
	sim_wire.cut = 0;
	sim_wire.loss_permille = 1000;
	sim_run(300000);
	sim_wire.loss_permille = 0;
	CU_ASSERT_PTR_NULL(b->pcb);
	CU_ASSERT_EQUAL(sock_take_error(b), ECONNRESET);
	CU_ASSERT_EQUAL(sim_stack(SIM_B)->engine_resets, resets + 1);
	CU_ASSERT_EQUAL(put(a, "is anybody there"), 16);
	sim_run(1000);
	CU_ASSERT_EQUAL(sock_take_error(a), ECONNRESET);
	sock_close(a);
	sock_close(b);
	neighbours_talk();
}

/* The program's close() is not forgotten when the connection breaks in it. */
static void
in_close(void)
{
	struct stack_conn_info i[8];

	CU_ASSERT_EQUAL(put(b, "last words"), 10);
	b->pcb->snd_queuelen = 5;
	sock_close(b);
	sim_run(100000);
	CU_ASSERT_EQUAL(sim_stack(SIM_B)->engine_resets, resets + 1);
	CU_ASSERT_EQUAL(stack_conns(sim_stack(SIM_B), i, 8), 3); /* two listeners, one neighbour */
	CU_ASSERT_EQUAL(sock_take_error(a), ECONNRESET);
	sock_close(a);
	neighbours_talk();
}

static void
it_is_said_once(void)
{
	char text[512] = "";
	int err = dup(2), out[2];
	ssize_t n;

	CU_ASSERT_EQUAL_FATAL(pipe(out), 0);
	dup2(out[1], 2);
	CU_ASSERT_EQUAL(put(b, "answer"), 6);
	sim_run(100);
	b->pcb->snd_queuelen = 0;
	sim_run(100000);
	dup2(err, 2);
	close(err);
	close(out[1]);
	n = read(out[0], text, sizeof(text) - 1);
	close(out[0]);
	CU_ASSERT_EQUAL(n, 0); /* the first test of this program has heard it */
	is_reset();
	sock_close(a);
	sock_close(b);
}

/* --- nothing is lost by it ----------------------------------------------------------------------------- */

#define TIMES 50

static uint64_t
lost_bytes(void)
{
	return *sim_stack(SIM_B)->lw->heap_units * 32;
}

/* Connections with much in flight and much that waits break one after the other. */
static void
many_do_not_take_memory(void)
{
	static char text[40000];
	struct iovec iov = {.iov_base = text, .iov_len = sizeof(text)};
	uint64_t before;

	sock_close(a);
	sock_close(b);
	sim_run(100000000);
	before = lost_bytes();
	for (int i = 0; i < TIMES; i++) {
		struct sockaddr_in to = sim_addr(SIM_B, PORT);

		CU_ASSERT_EQUAL_FATAL(sock_open(sim_group(SIM_A), SOCK_TCP, &a), 0);
		CU_ASSERT_EQUAL(sock_connect(a, &to), -EINPROGRESS);
		sim_run(100000);
		CU_ASSERT_EQUAL_FATAL(sock_accept(l, &b, NULL), 0);
		CU_ASSERT_EQUAL(sock_send(b, &iov, 1, 0, NULL), (ssize_t)sizeof(text));
		sim_run(100);
		CU_ASSERT_PTR_NOT_NULL(b->pcb->unacked);
		b->pcb->snd_queuelen = 0;
		sim_run(100000);
		CU_ASSERT_PTR_NULL(b->pcb);
		sock_close(a);
		sock_close(b);
		sim_run(1000);
	}
	CU_ASSERT_EQUAL(sim_stack(SIM_B)->engine_resets, resets + TIMES);
	sim_run(100000000);
	CU_ASSERT_EQUAL(lost_bytes(), before);
	neighbours_talk();
}

/* --- UDP ----------------------------------------------------------------------------------------------- */

static err_t
broken_output(struct netif *netif, struct pbuf *p, const ip4_addr_t *to)
{
	stack_hook_assert("a test");
	return ERR_OK;
}

/* All datagrams that wait are lost, their packets and the room in the send buffer are not, and what is
 * sent later goes out. */
static void
a_datagram_that_breaks_takes_nothing(void)
{
	struct sockaddr_in to = sim_addr(SIM_A, 5000);
	struct iovec iov = {.iov_base = "hello", .iov_len = 5};
	struct netif *netif = sim_stack(SIM_B)->netif;
	netif_output_fn good = netif->output;
	struct sock *u, *v;
	uint64_t before = lost_bytes();

	CU_ASSERT_EQUAL_FATAL(sock_open(sim_group(SIM_B), SOCK_UDP, &u), 0);
	CU_ASSERT_EQUAL_FATAL(sock_open(sim_group(SIM_A), SOCK_UDP, &v), 0);
	CU_ASSERT_EQUAL(sock_bind(v, &to), 0);
	netif->output = broken_output;
	for (int i = 0; i < 3; i++)
		CU_ASSERT_EQUAL(sock_send(u, &iov, 1, 0, &to), 5);
	sim_run(1000);
	CU_ASSERT(sim_stack(SIM_B)->engine_resets > resets);
	netif->output = good;
	CU_ASSERT_EQUAL(sock_outq(u), 0);
	CU_ASSERT_EQUAL(sock_send(u, &iov, 1, 0, &to), 5);
	sim_run(1000);
	CU_ASSERT_TRUE(receives(v, "hello"));
	netif->output = broken_output;
	CU_ASSERT_EQUAL(sock_send(u, &iov, 1, 0, &to), 5);
	sock_close(u); /* in the same run: not forgotten */
	sim_run(1000);
	netif->output = good;
	sock_close(v);
	sim_run(1000);
	CU_ASSERT(lost_bytes() - before < 1000);
	sock_close(a);
	sock_close(b);
	neighbours_talk();
}

static const struct cunit_test tests[] = {
	CUNIT_TEST(in_a_received_segment),
	CUNIT_TEST(in_the_middle_of_a_vector),
	CUNIT_TEST(in_a_send),
	CUNIT_TEST(in_a_timer),
	CUNIT_TEST(in_close),
	CUNIT_TEST(it_is_said_once),
	CUNIT_TEST(many_do_not_take_memory),
	CUNIT_TEST(a_datagram_that_breaks_takes_nothing),
};

CUNIT_MAIN("lwip_guard", tests, setup, teardown)
