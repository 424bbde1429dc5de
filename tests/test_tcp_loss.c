/* SPDX-License-Identifier: BSD-3-Clause */
/* Recovery from loss on a simulated wire: what is sent again, how soon, and what it costs. */
#include "tests/cunit_main.h"
#include "tests/sim.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define PORT 5001
#define MSS 1460
#define RTT_US 20000
#define SLACK_US 3000 /* steps of the wire's clock, a timer's millisecond */

static struct sock *a, *b, *l;
static uint8_t *sent, *got;
static size_t n_sent, n_got;

#define STREAM (16 * 1024 * 1024)

static void
make_stream(void)
{
	uint32_t x = 99;

	sent = malloc(STREAM);
	got = malloc(STREAM);
	for (size_t i = 0; i < STREAM; i++) {
		x = x * 1664525 + 1013904223;
		sent[i] = x >> 24;
	}
	n_sent = n_got = 0;
}

static void
open_pair(uint32_t delay_us)
{
	const int sndbuf = 1024 * 1024; /* the wire is the limit, not the buffer */

	make_stream();
	sim_wire.delay_us = delay_us;
	sim_connect(PORT, &a, &b, &l);
	sock_setopt(a, SOL_SOCKET, SO_SNDBUF, &sndbuf, sizeof(sndbuf));
}

static void
close_pair(void)
{
	CU_ASSERT_EQUAL(n_got, n_sent);
	CU_ASSERT_EQUAL(memcmp(sent, got, n_got), 0);
	sock_close(a);
	sock_close(b);
	sock_close(l);
	free(sent);
	free(got);
}

static void
put(size_t len)
{
	struct iovec iov = {.iov_base = sent + n_sent, .iov_len = len};
	ssize_t n = sock_send(a, &iov, 1, 0, NULL);

	n_sent += n > 0 ? n : 0;
}

static void
get(void)
{
	struct iovec iov = {.iov_base = got + n_got, .iov_len = STREAM - n_got};
	ssize_t n;

	while (iov.iov_len > 0 && (n = sock_recv(b, &iov, 1, 0, NULL, NULL)) > 0) {
		n_got += n;
		iov.iov_base = got + n_got;
		iov.iov_len = STREAM - n_got;
	}
}

/* Microseconds until everything has arrived. */
static uint64_t
drain(void)
{
	uint64_t start = sim_now_us;

	while (n_got < n_sent && sim_now_us < start + 60000000) {
		sim_run(100);
		get();
	}
	return sim_now_us - start;
}

static struct stack_conn_info
info(void)
{
	struct stack_conn_info i[8];
	unsigned int n = stack_conns(sim_stack(SIM_A), i, 8);

	for (unsigned int k = 0; k < n; k++) {
		if (strcmp(i[k].state, "ESTABLISHED") == 0)
			return i[k];
	}
	CU_FAIL_FATAL("no connection");
	return i[0];
}

/* Open the window to about `bytes` and wait until all is quiet. */
static void
warm_up(size_t bytes)
{
	while (info().cwnd < bytes) {
		put(65536);
		drain();
	}
	sim_run(50000);
}

/* --- which segments are dropped -------------------------------------------------------------------- */

static uint32_t base; /* first sequence number of the burst */
static uint32_t drop_seg[16], drop_times[16], n_drops;
static enum sim_fate drop_how;

static enum sim_fate
drop_listed(const struct sim_segment *s)
{
	if (s->from != SIM_A)
		return SIM_PASS;
	for (uint32_t i = 0; i < n_drops; i++) {
		if (drop_times[i] > 0 && s->seq == base + drop_seg[i] * MSS) {
			drop_times[i]--;
			return drop_how;
		}
	}
	return SIM_PASS;
}

static void
will_drop(const uint32_t *segments, uint32_t n, uint32_t times)
{
	base = info().snd_nxt;
	for (n_drops = 0; n_drops < n; n_drops++) {
		drop_seg[n_drops] = segments[n_drops];
		drop_times[n_drops] = times;
	}
	drop_how = SIM_DROP;
	sim_wire.fate = drop_listed;
}

/* --- recovery ---------------------------------------------------------------------------------------- */

static void
one_loss_recovers_in_one_round_trip(void)
{
	uint32_t before, cwnd;

	open_pair(RTT_US / 2);
	warm_up(100000);
	before = info().retransmits;
	cwnd = info().cwnd;
	will_drop((uint32_t[]){4}, 1, 1);
	put(40 * MSS);
	CU_ASSERT_TRUE(drain() < RTT_US / 2 + RTT_US + SLACK_US);
	sim_run(RTT_US);
	CU_ASSERT_EQUAL(info().retransmits - before, 1);
	/* RFC 9438: seven tenths, and some for what has been acknowledged since */
	CU_ASSERT_TRUE(info().cwnd < cwnd * 3 / 4 && info().cwnd > cwnd / 2);
	close_pair();
}

static void
many_losses_in_a_window_recover_in_one_round_trip(void)
{
	uint32_t before;

	open_pair(RTT_US / 2);
	warm_up(100000);
	before = info().retransmits;
	will_drop((uint32_t[]){0, 3, 4, 5, 11, 19, 20, 30}, 8, 1);
	put(60 * MSS);
	CU_ASSERT_TRUE(drain() < RTT_US / 2 + RTT_US + SLACK_US);
	sim_run(RTT_US);
	CU_ASSERT_EQUAL(info().retransmits - before, 8);
	close_pair();
}

static void
lost_retransmission_is_sent_again_without_timeout(void)
{
	uint32_t before;

	open_pair(RTT_US / 2);
	warm_up(100000);
	before = info().retransmits;
	will_drop((uint32_t[]){4, 9}, 2, 2);
	put(200 * MSS);
	CU_ASSERT_TRUE(drain() < 5 * RTT_US + SLACK_US);
	sim_run(RTT_US);
	CU_ASSERT_EQUAL(info().retransmits - before, 4);
	close_pair();
}

/* With nothing behind it, a probe must find it: two round trips, not the timeout's 200 ms. */
static void
last_lost_retransmission_is_found_by_a_probe(void)
{
	open_pair(RTT_US / 2);
	warm_up(100000);
	will_drop((uint32_t[]){4}, 1, 2);
	put(20 * MSS);
	CU_ASSERT_TRUE(drain() < 5 * RTT_US + SLACK_US);
	close_pair();
}

static void
lost_tail_costs_a_probe_and_a_round_trip(void)
{
	uint32_t before, srtt_us;

	open_pair(RTT_US / 2);
	warm_up(100000);
	before = info().retransmits;
	srtt_us = info().srtt_us;
	will_drop((uint32_t[]){18, 19, 20}, 3, 1);
	put(21 * MSS); /* of the 18 that arrive the last one's ACK is not delayed */
	/* PTO after the last ACK (srtt may have grown by one delayed ACK), probe, the rest */
	CU_ASSERT_TRUE(drain() < RTT_US + 3 * srtt_us + RTT_US + RTT_US / 2 + SLACK_US);
	sim_run(RTT_US);
	CU_ASSERT_EQUAL(info().retransmits - before, 3);
	close_pair();
}

static void
small_overtaking_retransmits_nothing(void)
{
	uint32_t before, cwnd;

	open_pair(RTT_US / 2);
	warm_up(100000);
	before = info().retransmits;
	cwnd = info().cwnd;
	for (enum sim_fate how = SIM_HOLD1; how <= SIM_HOLD2; how++) {
		will_drop((uint32_t[]){4, 20}, 2, 1);
		drop_how = how;
		put(40 * MSS);
		drain();
		sim_run(RTT_US);
	}
	CU_ASSERT_EQUAL(info().retransmits, before);
	CU_ASSERT_TRUE(info().cwnd >= cwnd);
	close_pair();
}

static void
needless_retransmission_is_undone_and_a_lesson(void)
{
	uint32_t before, cwnd;

	open_pair(RTT_US / 2);
	warm_up(100000);
	before = info().retransmits;
	cwnd = info().cwnd;
	for (int i = 0; i < 4; i++) {
		will_drop((uint32_t[]){4, 20}, 2, 1);
		drop_how = SIM_HOLD3;
		put(40 * MSS);
		drain();
		sim_run(2 * RTT_US);
		CU_ASSERT_TRUE(info().cwnd >= cwnd);
	}
	CU_ASSERT_TRUE(info().retransmits - before <= 1); /* the first time, when it was not known */
	close_pair();
}

/* Everything is late by more than the timeout: nothing was lost, so nothing is held against it. */
static void
spurious_timeout_is_undone(void)
{
	uint32_t cwnd, before;

	open_pair(RTT_US / 2);
	warm_up(100000);
	cwnd = info().cwnd;
	before = info().retransmits;
	put(30 * MSS);
	sim_run(1000);
	sim_wire.fate = NULL;
	sim_wire.delay_us = 400000; /* ACKs of what arrives now */
	sim_run(20000);
	sim_wire.delay_us = RTT_US / 2;
	sim_run(1000000);
	get();
	CU_ASSERT_TRUE(info().cwnd >= cwnd);
	CU_ASSERT_TRUE(info().retransmits - before <= 6); /* probes and one segment, not all 30 */
	close_pair();
}

/* --- the receiver ----------------------------------------------------------------------------------- */

/* The ACK of the handshake and the first segment are lost: the second one brings the ACK. */
static void
data_may_come_before_the_handshake_is_over(void)
{
	struct sockaddr_in at = sim_addr(SIM_B, PORT);

	make_stream();
	sim_wire.delay_us = RTT_US / 2;
	CU_ASSERT_EQUAL_FATAL(sock_open(sim_group(SIM_B), SOCK_TCP, &l), 0);
	sock_bind(l, &at);
	sock_listen(l, 8);
	CU_ASSERT_EQUAL_FATAL(sock_open(sim_group(SIM_A), SOCK_TCP, &a), 0);
	sock_connect(a, &at);
	sim_run(RTT_US * 3 / 4);
	sim_wire.cut = 1;
	sim_run(RTT_US / 2);
	sim_wire.cut = 0;
	will_drop((uint32_t[]){0}, 1, 1);
	put(2 * MSS);
	sim_run(RTT_US);
	CU_ASSERT_EQUAL_FATAL(sock_accept(l, &b, NULL), 0);
	CU_ASSERT_TRUE(drain() < 10 * RTT_US);
	sim_run(2 * RTT_US);
	CU_ASSERT_EQUAL(info().retransmits, 1);
	close_pair();
}

/* A window of 700 segments behind a hole, and none of them is sent twice. */
static void
receiver_keeps_a_whole_window(void)
{
	uint32_t before;

	open_pair(RTT_US / 2);
	while (info().cwnd < 1000000) {
		put(1000000);
		drain();
	}
	sim_run(50000);
	before = info().retransmits;
	will_drop((uint32_t[]){1}, 1, 1);
	put(1000000);
	CU_ASSERT_TRUE(drain() < 2 * RTT_US + RTT_US + SLACK_US);
	sim_run(RTT_US);
	CU_ASSERT_EQUAL(info().retransmits - before, 1);
	close_pair();
}

static void
fin_waits_for_what_is_missing(void)
{
	char c;
	struct iovec iov = {.iov_base = &c, .iov_len = 1};

	open_pair(RTT_US / 2);
	warm_up(100000);
	will_drop((uint32_t[]){2}, 1, 1);
	put(6 * MSS);
	CU_ASSERT_EQUAL(sock_shutdown(a, SHUT_WR), 0);
	sim_run(RTT_US / 2 + 1000);
	get();
	CU_ASSERT_EQUAL(sock_recv(b, &iov, 1, 0, NULL, NULL), -EAGAIN);
	drain();
	CU_ASSERT_EQUAL(sock_recv(b, &iov, 1, 0, NULL, NULL), 0);
	sock_close(b);
	sim_run(2 * RTT_US);
	CU_ASSERT_EQUAL(n_got, n_sent);
	CU_ASSERT_EQUAL(memcmp(sent, got, n_got), 0);
	sock_close(a);
	sock_close(l);
	free(sent);
	free(got);
}

/* --- goodput --------------------------------------------------------------------------------------- */

static uint64_t rng;
static uint32_t loss_per_100k, n_dropped;

static enum sim_fate
drop_some(const struct sim_segment *s)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	if ((rng >> 20) % 100000 >= loss_per_100k)
		return SIM_PASS;
	n_dropped++;
	return SIM_DROP;
}

/* Bits per second, over `total` bytes. */
static double
goodput(size_t total)
{
	uint64_t start = sim_now_us;

	while (n_got < total && sim_now_us < start + 300000000) {
		if (n_sent < total)
			put(total - n_sent < 65536 ? total - n_sent : 65536);
		sim_run(1000);
		get();
	}
	CU_ASSERT_EQUAL(n_got, total);
	return n_got * 8e6 / (sim_now_us - start);
}

/* Mathis, Semke, Mahdavi, Ott 1997: what Reno, and so CUBIC in its Reno-friendly region, reaches. */
static void
goodput_at_loss(uint32_t per_100k, size_t total, double share)
{
	const double mathis = sqrt(1.5 / (per_100k / 1e5)) * MSS * 8 / (RTT_US / 1e6);
	double least = 1e12;

	for (uint64_t seed = 1; seed <= 3; seed++) {
		double bps;

		open_pair(RTT_US / 2);
		rng = seed * 0x9e3779b97f4a7c15ull;
		loss_per_100k = per_100k;
		n_dropped = 0;
		sim_wire.fate = drop_some;
		bps = goodput(total);
		if (bps < least)
			least = bps;
		CU_ASSERT_TRUE(info().retransmits <= n_dropped + n_dropped / 20 + 1);
		close_pair();
		sim_wire.fate = NULL;
		sim_run(1000000);
	}
	printf("(%.1f Mbit/s, formula %.1f) ", least / 1e6, mathis / 1e6);
	CU_ASSERT_TRUE(least >= share * mathis);
}

static void
goodput_at_a_thousandth_lost(void)
{
	goodput_at_loss(100, STREAM, 0.9);
}

static void
goodput_at_a_hundredth_lost(void)
{
	goodput_at_loss(1000, STREAM / 2, 0.9);
}

static void
goodput_at_three_hundredths_lost(void)
{
	goodput_at_loss(3000, STREAM / 4, 0.8);
}

/* A bottleneck of 100 Mbit/s with a buffer of 1.5 BDP: slow start overruns it once. */
static void
overrun_buffer_is_repaired_at_the_speed_of_the_wire(void)
{
	double bps;

	open_pair(RTT_US / 2);
	sim_wire.rate_mbps = 100;
	sim_wire.queue_us = 30000;
	bps = goodput(STREAM);
	printf("(%.1f Mbit/s, %u lost) ", bps / 1e6, (unsigned int)sim_wire.lost);
	CU_ASSERT_TRUE(bps > 88e6);
	CU_ASSERT_TRUE(sim_wire.lost < 500);
	close_pair();
}

/* --- anything goes --------------------------------------------------------------------------------- */

static bool
send_some(struct sock *s, size_t *done, size_t total)
{
	size_t n = 1 + rng % 40000;
	struct iovec iov = {.iov_base = sent + *done, .iov_len = n < total - *done ? n : total - *done};
	ssize_t r = *done < total ? sock_send(s, &iov, 1, 0, NULL) : 0;

	*done += r > 0 ? r : 0;
	return *done == total;
}

static bool
take_some(struct sock *s, uint8_t *to, size_t *done, size_t total)
{
	struct iovec iov = {.iov_base = to + *done, .iov_len = total - *done};
	ssize_t r = *done < total ? sock_recv(s, &iov, 1, 0, NULL, NULL) : 0;

	*done += r > 0 ? r : 0;
	return *done == total;
}

static enum sim_fate
any_fate(const struct sim_segment *s)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	if ((rng >> 20) % 1000 < loss_per_100k / 100)
		return SIM_DROP;
	return (rng >> 40) % 1000 < 30 ? SIM_HOLD1 + (rng >> 50) % 3 : SIM_PASS;
}

/* Losses of data and of ACKs, overtaking, large segments, both directions at once, pauses. */
static void
both_directions_arrive_over_bad_paths(void)
{
	const size_t total = 300000;
	uint8_t *back = malloc(total);

	for (uint64_t seed = 1; seed <= 40; seed++) {
		size_t out_a = 0, out_b = 0, in_a = 0, in_b = 0;
		uint64_t end;

		sim_tso(seed % 2 ? 65535 : 0);
		open_pair(50 + seed % 5 * 2000);
		rng = seed * 0x9e3779b97f4a7c15ull;
		loss_per_100k = seed % 8 * 2500;
		sim_wire.loss_permille = seed % 8 * 10;
		sim_wire.fate = any_fate;
		for (end = sim_now_us + 600000000; sim_now_us < end;) {
			bool all = send_some(a, &out_a, total) & send_some(b, &out_b, total);

			all &= take_some(b, got, &in_b, total) & take_some(a, back, &in_a, total);
			if (all)
				break;
			sim_run(rng % 16 == 0 ? 30000 : 300);
		}
		CU_ASSERT_EQUAL(in_a, total);
		CU_ASSERT_EQUAL(in_b, total);
		CU_ASSERT_EQUAL(memcmp(sent, got, in_b), 0);
		CU_ASSERT_EQUAL(memcmp(sent, back, in_a), 0);
		if (in_a != total || in_b != total)
			printf("seed %d: %zu %zu ", (int)seed, in_a, in_b);
		n_sent = n_got = 0;
		sim_wire.fate = NULL;
		sim_wire.loss_permille = 0;
		close_pair();
		sim_run(100000);
	}
	sim_tso(0);
	free(back);
}

static void
idle_time_shrinks_the_window(void)
{
	uint32_t cwnd;

	open_pair(RTT_US / 2);
	warm_up(100000);
	cwnd = info().cwnd;
	sim_run(450000); /* two RTOs */
	put(MSS);
	sim_run(1000);
	CU_ASSERT_TRUE(info().cwnd <= cwnd / 2);
	drain();
	sim_run(100000); /* the delayed ACK */
	sim_now_us += 20000000;
	sim_run(1000);
	put(MSS);
	sim_run(1000);
	CU_ASSERT_EQUAL(info().cwnd, 10 * MSS);
	drain();
	close_pair();
}

static const struct cunit_test tests[] = {
	CUNIT_TEST(one_loss_recovers_in_one_round_trip),
	CUNIT_TEST(many_losses_in_a_window_recover_in_one_round_trip),
	CUNIT_TEST(lost_retransmission_is_sent_again_without_timeout),
	CUNIT_TEST(last_lost_retransmission_is_found_by_a_probe),
	CUNIT_TEST(lost_tail_costs_a_probe_and_a_round_trip),
	CUNIT_TEST(small_overtaking_retransmits_nothing),
	CUNIT_TEST(needless_retransmission_is_undone_and_a_lesson),
	CUNIT_TEST(spurious_timeout_is_undone),
	CUNIT_TEST(data_may_come_before_the_handshake_is_over),
	CUNIT_TEST(receiver_keeps_a_whole_window),
	CUNIT_TEST(fin_waits_for_what_is_missing),
	CUNIT_TEST(goodput_at_a_thousandth_lost),
	CUNIT_TEST(goodput_at_a_hundredth_lost),
	CUNIT_TEST(goodput_at_three_hundredths_lost),
	CUNIT_TEST(overrun_buffer_is_repaired_at_the_speed_of_the_wire),
	CUNIT_TEST(both_directions_arrive_over_bad_paths),
	CUNIT_TEST(idle_time_shrinks_the_window),
};
CUNIT_MAIN("tcp_loss", tests, sim_setup, sim_teardown)
