/* SPDX-License-Identifier: BSD-3-Clause */
/* TCP between two stacks on a simulated wire: life of a connection, loss, windows, errors. */
#include "tests/cunit_main.h"
#include "tests/sim.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>

#define PORT 6379

static ssize_t
put(struct sock *s, const void *data, size_t len)
{
	struct iovec iov = {.iov_base = (void *)data, .iov_len = len};

	return sock_send(s, &iov, 1, 0, NULL);
}

static ssize_t
get(struct sock *s, void *data, size_t len)
{
	struct iovec iov = {.iov_base = data, .iov_len = len};

	return sock_recv(s, &iov, 1, 0, NULL, NULL);
}

/* Read everything that is there into one place; how much it was. */
static size_t
get_all(struct sock *s)
{
	static uint8_t sink[65536];
	size_t total = 0;
	ssize_t n;

	while ((n = get(s, sink, sizeof(sink))) > 0)
		total += n;
	return total;
}

static void
close_all(struct sock *a, struct sock *b, struct sock *l)
{
	sock_close(a);
	sock_close(b);
	sock_close(l);
}

/* --- transfer ------------------------------------------------------------------------------------ */

#define STREAM (2 * 1024 * 1024)

static uint8_t *sent, *got;

static void
make_stream(void)
{
	uint32_t x = 12345;

	sent = malloc(STREAM);
	got = calloc(1, STREAM);
	for (size_t i = 0; i < STREAM; i++) {
		x = x * 1664525 + 1013904223;
		sent[i] = x >> 24;
	}
}

/* Send STREAM bytes from `from` to `to`; virtual seconds it took, or -1. */
static double
transfer(struct sock *from, struct sock *to)
{
	uint64_t start = sim_now_us;
	size_t out = 0, in = 0;

	for (int step = 0; step < 2000000 && in < STREAM; step++) {
		ssize_t n = out < STREAM ? put(from, sent + out, STREAM - out > 70001 ? 70001 :
									STREAM - out) :
					   0;

		if (n > 0)
			out += n;
		sim_run(100);
		while ((n = get(to, got + in, STREAM - in > 50021 ? 50021 : STREAM - in)) > 0) {
			in += n;
			if (in == STREAM)
				break;
		}
	}
	CU_ASSERT_EQUAL(in, STREAM);
	CU_ASSERT_EQUAL(memcmp(sent, got, STREAM), 0);
	return in == STREAM ? (sim_now_us - start) / 1e6 : -1;
}

static void
transfer_both_ways(uint32_t loss, uint32_t reorder, double limit_s)
{
	struct sock *a, *b, *l;
	double up, down;

	make_stream();
	sim_connect(PORT, &a, &b, &l);
	sim_wire.loss_permille = loss;
	sim_wire.reorder_permille = reorder;
	up = transfer(a, b);
	memset(got, 0, STREAM);
	down = transfer(b, a);
	printf("(%.2f s, %.2f s virtual, %llu lost) ", up, down,
		(unsigned long long)sim_wire.lost);
	CU_ASSERT_TRUE(up < limit_s && down < limit_s);
	sock_close(a);
	sock_close(b);
	sock_close(l);
	free(sent);
	free(got);
}

static void
stream_arrives_on_a_clean_wire(void)
{
	transfer_both_ways(0, 0, 2);
	CU_ASSERT_EQUAL(sim_wire.lost, 0);
}

static void
stream_arrives_with_reordering(void)
{
	transfer_both_ways(0, 50, 5);
}

static void
stream_arrives_with_one_percent_loss(void)
{
	transfer_both_ways(10, 0, 30);
	CU_ASSERT_TRUE(sim_wire.lost > 10);
}

static void
stream_arrives_with_five_percent_loss_and_reordering(void)
{
	transfer_both_ways(50, 20, 240);
	CU_ASSERT_TRUE(sim_wire.lost > 50);
}

/* --- life ---------------------------------------------------------------------------------------- */

static void
echo_and_names(void)
{
	struct sock *a, *b, *l;
	struct sockaddr_in la, pb;
	char buf[16];

	sim_connect(PORT, &a, &b, &l);
	sock_name(a, &la);
	CU_ASSERT_EQUAL(sock_peer(b, &pb), 0);
	CU_ASSERT_EQUAL(la.sin_port, pb.sin_port);
	CU_ASSERT_EQUAL(la.sin_addr.s_addr, pb.sin_addr.s_addr);
	CU_ASSERT_EQUAL(get(b, buf, sizeof(buf)), -EAGAIN);
	CU_ASSERT_EQUAL(put(a, "ping", 4), 4);
	sim_run(1000);
	CU_ASSERT_EQUAL(sock_inq(b), 4);
	CU_ASSERT_EQUAL(get(b, buf, 3), 3);
	CU_ASSERT_EQUAL(get(b, buf + 3, sizeof(buf)), 1);
	CU_ASSERT_EQUAL(memcmp(buf, "ping", 4), 0);
	sock_close(a);
	sim_run(1000);
	CU_ASSERT_EQUAL(get(b, buf, sizeof(buf)), 0);
	sock_close(b);
	sock_close(l);
}

static struct sock *
connect_to(uint16_t port)
{
	struct sockaddr_in at = sim_addr(SIM_B, port);
	struct sock *s;

	CU_ASSERT_EQUAL_FATAL(sock_open(sim_group(SIM_A), SOCK_TCP, &s), 0);
	CU_ASSERT_EQUAL(sock_connect(s, &at), -EINPROGRESS);
	sim_run(1000);
	return s;
}

static void
stopped_listener_refuses_and_may_listen_again(void)
{
	struct sock *a, *b, *l, *waiting, *refused, *again, *none;

	sim_connect(PORT, &a, &b, &l);
	CU_ASSERT_EQUAL(sock_shutdown(l, SHUT_WR), 0);
	CU_ASSERT_TRUE(sock_is_listening(l));
	waiting = connect_to(PORT);
	CU_ASSERT_EQUAL(sock_shutdown(l, SHUT_RD), 0);
	CU_ASSERT_TRUE((sock_events(l) & EPOLLHUP) != 0);
	CU_ASSERT_EQUAL(sock_accept(l, &none, NULL), -EINVAL);
	sim_run(1000);
	CU_ASSERT_EQUAL(sock_take_error(waiting), ECONNRESET);
	refused = connect_to(PORT);
	CU_ASSERT_EQUAL(sock_take_error(refused), ECONNREFUSED);
	CU_ASSERT_EQUAL(sock_listen(l, 8), 0);
	again = connect_to(PORT);
	CU_ASSERT_EQUAL(sock_accept(l, &none, NULL), 0);
	sock_close(none);
	/* What it has accepted outlives it. */
	CU_ASSERT_EQUAL(sock_shutdown(l, SHUT_RDWR), 0);
	sock_close(l);
	CU_ASSERT_EQUAL(put(a, "ping", 4), 4);
	sim_run(1000);
	CU_ASSERT_EQUAL(sock_inq(b), 4);
	sock_close(a);
	sock_close(b);
	sock_close(waiting);
	sock_close(refused);
	sock_close(again);
}

static void
closed_port_refuses(void)
{
	struct sockaddr_in at = sim_addr(SIM_B, 9);
	struct sock *a;

	sock_open(sim_group(SIM_A), SOCK_TCP, &a);
	CU_ASSERT_EQUAL(sock_connect(a, &at), -EINPROGRESS);
	CU_ASSERT_EQUAL(sock_connect(a, &at), -EALREADY);
	sim_run(1000);
	CU_ASSERT_TRUE(sock_events(a) & EPOLLERR);
	CU_ASSERT_EQUAL(sock_take_error(a), ECONNREFUSED);
	CU_ASSERT_EQUAL(sock_take_error(a), 0);
	sock_close(a);
}

static void
silent_peer_times_out(void)
{
	struct sockaddr_in at = sim_addr(SIM_B, PORT);
	struct sock *a;
	int s;

	sim_wire.cut = 1;
	sock_open(sim_group(SIM_A), SOCK_TCP, &a);
	CU_ASSERT_EQUAL(sock_connect(a, &at), -EINPROGRESS);
	for (s = 0; s < 200 && (sock_events(a) & EPOLLERR) == 0; s++) {
		sim_run(200);
		sim_now_us += 1000000;
	}
	/* 1 + 2 + 4 + ... + 64 s: six retries, like Linux's tcp_syn_retries */
	CU_ASSERT_TRUE(s >= 60 && s <= 130);
	CU_ASSERT_EQUAL(sock_take_error(a), ETIMEDOUT);
	sock_close(a);
}

static void
lost_syn_is_sent_again_after_a_second(void)
{
	struct sockaddr_in at = sim_addr(SIM_B, PORT);
	struct sock *a, *b, *l;

	sock_open(sim_group(SIM_B), SOCK_TCP, &l);
	sock_bind(l, &at);
	sock_listen(l, 8);
	sock_open(sim_group(SIM_A), SOCK_TCP, &a);
	sim_wire.cut = 1;
	sock_connect(a, &at);
	sim_run(10000);
	sim_wire.cut = 0;
	sim_run(900000);
	CU_ASSERT_EQUAL(sock_accept(l, &b, NULL), -EAGAIN);
	sim_run(200000);
	CU_ASSERT_EQUAL_FATAL(sock_accept(l, &b, NULL), 0);
	close_all(a, b, l);
}

static void
half_close_keeps_the_other_direction(void)
{
	struct sock *a, *b, *l;
	char buf[8];

	sim_connect(PORT, &a, &b, &l);
	put(a, "q", 1);
	CU_ASSERT_EQUAL(sock_shutdown(a, SHUT_WR), 0);
	CU_ASSERT_EQUAL(put(a, "x", 1), -EPIPE);
	sim_run(1000);
	CU_ASSERT_EQUAL(get(b, buf, 8), 1);
	CU_ASSERT_EQUAL(get(b, buf, 8), 0);
	CU_ASSERT_TRUE(sock_events(b) & EPOLLRDHUP);
	CU_ASSERT_FALSE(sock_events(b) & EPOLLHUP);
	CU_ASSERT_EQUAL(put(b, "answer", 6), 6);
	sim_run(1000);
	CU_ASSERT_EQUAL(get(a, buf, 8), 6);
	sock_close(b);
	sim_run(1000);
	CU_ASSERT_EQUAL(get(a, buf, 8), 0);
	CU_ASSERT_TRUE(sock_events(a) & EPOLLHUP);
	sock_close(a);
	sock_close(l);
}

static void
close_with_unread_data_resets(void)
{
	struct sock *a, *b, *l;
	char buf[8];

	sim_connect(PORT, &a, &b, &l);
	put(a, "never read", 10);
	sim_run(1000);
	sock_close(b);
	sim_run(1000);
	CU_ASSERT_TRUE(sock_events(a) & EPOLLERR);
	CU_ASSERT_EQUAL(get(a, buf, 8), -ECONNRESET);
	CU_ASSERT_EQUAL(get(a, buf, 8), 0);
	CU_ASSERT_EQUAL(put(a, "x", 1), -EPIPE);
	sock_close(a);
	sock_close(l);
}

static void
data_before_close_is_delivered(void)
{
	struct sock *a, *b, *l;
	static char big[300000], in[300000];
	int room = sizeof(big);
	size_t n = 0;
	ssize_t r;

	memset(big, 7, sizeof(big));
	sim_connect(PORT, &a, &b, &l);
	sock_setopt(a, SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
	CU_ASSERT_EQUAL(put(a, big, sizeof(big)), sizeof(big));
	sock_close(a); /* FIN only behind the last byte */
	for (int i = 0; i < 1000 && n < sizeof(in); i++) {
		sim_run(1000);
		while ((r = get(b, in + n, sizeof(in) - n)) > 0)
			n += r;
	}
	CU_ASSERT_EQUAL(n, sizeof(big));
	sim_run(1000);
	CU_ASSERT_EQUAL(get(b, in, 1), 0);
	sock_close(b);
	sock_close(l);
}

static void
slow_reader_stops_the_sender_and_nothing_is_lost(void)
{
	struct sock *a, *b, *l;
	static uint8_t block[65536];
	size_t out = 0, in = 0;
	ssize_t n;

	sim_connect(PORT, &a, &b, &l);
	for (int i = 0; i < 3000; i++) {
		if ((n = put(a, block, sizeof(block))) > 0)
			out += n;
		sim_run(1000);
	}
	CU_ASSERT_TRUE(out < 4 * 1024 * 1024); /* window and send buffer, no more */
	CU_ASSERT_EQUAL(put(a, block, 1), -EAGAIN);
	CU_ASSERT_FALSE(sock_events(a) & EPOLLOUT);
	for (int i = 0; i < 5000 && in < out; i++) {
		while ((n = get(b, block, sizeof(block))) > 0)
			in += n;
		sim_run(1000);
	}
	CU_ASSERT_EQUAL(in, out);
	CU_ASSERT_TRUE(sock_events(a) & EPOLLOUT);
	close_all(a, b, l);
}

static void
small_loss_is_repaired_before_the_timeout(void)
{
	struct sock *a, *b, *l;
	static uint8_t block[60000];

	sim_connect(PORT, &a, &b, &l);
	put(a, block, sizeof(block));
	sim_run(100000); /* Nagle holds the last bytes for a delayed ACK */
	CU_ASSERT_EQUAL(get_all(b), sizeof(block));
	sim_wire.loss_permille = 1000; /* the first segments of the next window */
	put(a, block, 3000);
	sim_run(100);
	sim_wire.loss_permille = 0;
	put(a, block, sizeof(block) - 3000);
	sim_run(100000); /* half the minimum RTO */
	CU_ASSERT_EQUAL(get_all(b), sizeof(block));
	close_all(a, b, l);
}

/* The peer reads while it misses a segment, so every duplicate ACK announces another window. */
static void
loss_is_noticed_although_the_window_changes(void)
{
	struct sock *a, *b, *l;
	static uint8_t block[200000];
	size_t in = 0;

	sim_connect(PORT, &a, &b, &l);
	put(a, block, sizeof(block));
	sim_run(200000);
	sim_wire.loss_permille = 1000;
	put(a, block, 1460);
	sim_run(100);
	sim_wire.loss_permille = 0;
	for (int i = 0; i < 6; i++) {
		in += get(b, block, 20000);
		put(a, block, 1460);
		sim_run(300);
	}
	sim_run(3000); /* 5 ms in all: no probe and no timeout yet */
	CU_ASSERT_EQUAL(in + get_all(b), sizeof(block) + 7 * 1460);
	close_all(a, b, l);
}

static void
lost_tail_is_repaired_by_a_probe(void)
{
	struct sock *a, *b, *l;
	static uint8_t block[6000];

	sim_connect(PORT, &a, &b, &l);
	put(a, block, 1000);
	sim_run(60000);
	CU_ASSERT_EQUAL(get_all(b), 1000);
	sim_wire.cut = 1; /* everything is lost, and nothing follows that could be missed */
	put(a, block, sizeof(block));
	sim_run(1000);
	sim_wire.cut = 0;
	sim_run(60000); /* the timeout would be 200 ms */
	CU_ASSERT_EQUAL(get_all(b), sizeof(block));
	close_all(a, b, l);
}

/* --- listeners ------------------------------------------------------------------------------------ */

static void
full_backlog_refuses_no_one_but_waits(void)
{
	struct sockaddr_in at = sim_addr(SIM_B, PORT);
	struct sock *l, *a[20], *b;
	int accepted = 0;

	sock_open(sim_group(SIM_B), SOCK_TCP, &l);
	sock_bind(l, &at);
	sock_listen(l, 8);
	for (int i = 0; i < 20; i++) {
		sock_open(sim_group(SIM_A), SOCK_TCP, &a[i]);
		sock_connect(a[i], &at);
	}
	sim_run(10000);
	for (int round = 0; round < 60; round++) {
		while (sock_accept(l, &b, NULL) == 0) {
			accepted++;
			sock_close(b);
		}
		sim_run(200000);
	}
	CU_ASSERT_EQUAL(accepted, 20);
	for (int i = 0; i < 20; i++)
		sock_close(a[i]);
	sock_close(l);
}

static void
closing_a_listener_resets_what_nobody_accepted(void)
{
	struct sockaddr_in at = sim_addr(SIM_B, PORT);
	struct sock *l, *a, *a2;
	char c;

	sock_open(sim_group(SIM_B), SOCK_TCP, &l);
	sock_bind(l, &at);
	sock_listen(l, 8);
	sock_open(sim_group(SIM_A), SOCK_TCP, &a);
	sock_connect(a, &at);
	sim_run(1000);
	sock_close(l);
	sim_run(1000);
	CU_ASSERT_EQUAL(get(a, &c, 1), -ECONNRESET);
	sock_open(sim_group(SIM_A), SOCK_TCP, &a2);
	sock_connect(a2, &at);
	sim_run(1000);
	CU_ASSERT_EQUAL(sock_take_error(a2), ECONNREFUSED);
	sock_close(a);
	sock_close(a2);
}

static void
ports_are_exclusive(void)
{
	struct sockaddr_in at = sim_addr(SIM_B, PORT), other = sim_addr(SIM_A, PORT);
	struct sock *x, *y;
	int on = 1;

	sock_open(sim_group(SIM_B), SOCK_TCP, &x);
	sock_open(sim_group(SIM_B), SOCK_TCP, &y);
	CU_ASSERT_EQUAL(sock_bind(x, &other), -EADDRNOTAVAIL);
	CU_ASSERT_EQUAL(sock_bind(x, &at), 0);
	CU_ASSERT_EQUAL(sock_bind(x, &at), -EINVAL);
	CU_ASSERT_EQUAL(sock_bind(y, &at), -EADDRINUSE);
	sock_setopt(y, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
	CU_ASSERT_EQUAL(sock_bind(y, &at), -EADDRINUSE); /* both must ask for it */
	sock_close(x);
	CU_ASSERT_EQUAL(sock_bind(y, &at), 0);
	sock_close(y);
}

static void
thousand_connections_come_and_go(void)
{
	struct sockaddr_in at = sim_addr(SIM_B, PORT);
	static struct sock *a[1000], *b[1000];
	struct sock *l;
	int n = 0;

	sock_open(sim_group(SIM_B), SOCK_TCP, &l);
	sock_bind(l, &at);
	sock_listen(l, 2000);
	for (int i = 0; i < 1000; i++) {
		sock_open(sim_group(SIM_A), SOCK_TCP, &a[i]);
		CU_ASSERT_EQUAL(sock_connect(a[i], &at), -EINPROGRESS);
	}
	sim_run(20000);
	while (n < 1000 && sock_accept(l, &b[n], NULL) == 0)
		n++;
	CU_ASSERT_EQUAL(n, 1000);
	for (int i = 0; i < 1000; i++)
		put(a[i], &i, sizeof(i));
	sim_run(20000);
	for (int i = 0; i < n; i++) {
		int v;

		CU_ASSERT_EQUAL(get(b[i], &v, sizeof(v)), sizeof(v));
		sock_close(b[i]);
	}
	for (int i = 0; i < 1000; i++)
		sock_close(a[i]);
	sock_close(l);
}

static const struct cunit_test tests[] = {
	CUNIT_TEST(echo_and_names),
	CUNIT_TEST(stopped_listener_refuses_and_may_listen_again),
	CUNIT_TEST(closed_port_refuses),
	CUNIT_TEST(silent_peer_times_out),
	CUNIT_TEST(lost_syn_is_sent_again_after_a_second),
	CUNIT_TEST(half_close_keeps_the_other_direction),
	CUNIT_TEST(close_with_unread_data_resets),
	CUNIT_TEST(data_before_close_is_delivered),
	CUNIT_TEST(slow_reader_stops_the_sender_and_nothing_is_lost),
	CUNIT_TEST(small_loss_is_repaired_before_the_timeout),
	CUNIT_TEST(loss_is_noticed_although_the_window_changes),
	CUNIT_TEST(lost_tail_is_repaired_by_a_probe),
	CUNIT_TEST(full_backlog_refuses_no_one_but_waits),
	CUNIT_TEST(closing_a_listener_resets_what_nobody_accepted),
	CUNIT_TEST(ports_are_exclusive),
	CUNIT_TEST(thousand_connections_come_and_go),
	CUNIT_TEST(stream_arrives_on_a_clean_wire),
	CUNIT_TEST(stream_arrives_with_reordering),
	CUNIT_TEST(stream_arrives_with_one_percent_loss),
	CUNIT_TEST(stream_arrives_with_five_percent_loss_and_reordering),
};
CUNIT_MAIN("tcp", tests, sim_setup, sim_teardown)
