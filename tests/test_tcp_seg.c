/* SPDX-License-Identifier: BSD-3-Clause */
/* Segments larger than the MSS on a simulated wire: what leaves, what is repaired, what answers. */
#include "tests/cunit_main.h"
#include "tests/raw_tcp.h"
#include "tests/sim.h"

#include "stack/impl.h"
#include "stack/lwip_image.h"
#include "stack/tcp_loss.h"

#include <errno.h>
#include <stdlib.h>

#define PORT 5001
#define MSS 1460u
#define HEADERS 40u
#define STREAM (3 * 1024 * 1024)

static uint8_t *sent, *got;
static struct sock *a, *b, *l;

static ssize_t
put(const void *data, size_t len)
{
	struct iovec iov = {.iov_base = (void *)data, .iov_len = len};

	return sock_send(a, &iov, 1, 0, NULL);
}

static size_t
get_all(uint8_t *at, size_t room)
{
	struct iovec iov = {.iov_base = at, .iov_len = room};
	size_t total = 0;
	ssize_t n;

	while (iov.iov_len > 0 && (n = sock_recv(b, &iov, 1, 0, NULL, NULL)) > 0) {
		total += n;
		iov.iov_base = at + total;
		iov.iov_len = room - total;
	}
	return total;
}

static void
begin(uint16_t tso_max)
{
	uint32_t x = 4711;

	sent = malloc(STREAM);
	got = calloc(1, STREAM);
	for (size_t i = 0; i < STREAM; i++) {
		x = x * 1664525 + 1013904223;
		sent[i] = x >> 24;
	}
	sim_tso(tso_max);
	sim_connect(PORT, &a, &b, &l);
}

static void
end(void)
{
	sim_wire.cut = 0;
	sock_close(a);
	sock_close(b);
	sock_close(l);
	free(sent);
	free(got);
}

static struct stack_conn_info
info_of_a(void)
{
	struct stack_conn_info all[8];
	unsigned int n = stack_conns(sim_stack(SIM_A), all, 8);

	for (unsigned int i = 0; i < n && i < 8; i++)
		if (all[i].peer.sin_port == htons(PORT))
			return all[i];
	CU_FAIL_FATAL("no connection");
	return all[0];
}

/* The whole stream in writes of at most `chunk` bytes; the reader may be slow. */
static void
transfer(size_t chunk, unsigned int read_every)
{
	size_t out = 0, in = 0;

	for (unsigned int step = 0; step < 3000000 && in < STREAM; step++) {
		ssize_t n = out < STREAM ? put(sent + out, chunk < STREAM - out ? chunk :
										  STREAM - out) : 0;

		if (n > 0)
			out += n;
		sim_run(100);
		if (step % read_every == 0)
			in += get_all(got + in, STREAM - in);
	}
	CU_ASSERT_EQUAL(in, STREAM);
	CU_ASSERT_EQUAL(memcmp(sent, got, STREAM), 0);
}

/* --- what leaves --------------------------------------------------------------------------------- */

static void
without_tso_no_packet_is_longer_than_the_mtu(void)
{
	begin(0);
	transfer(100000, 1);
	CU_ASSERT_EQUAL(sim_wire.largest, MSS + HEADERS);
	end();
}

static void
bulk_leaves_in_packets_of_many_mss(void)
{
	begin(UINT16_MAX);
	transfer(100000, 1);
	CU_ASSERT_TRUE(sim_wire.largest > 30 * MSS);
	CU_ASSERT_TRUE(sim_wire.largest <= UINT16_MAX);
	CU_ASSERT_EQUAL((sim_wire.largest - HEADERS) % MSS, 0);
	CU_ASSERT_EQUAL(info_of_a().retransmits, 0);
	/* cut at full size: no more packets than without, but for the ends of flights */
	CU_ASSERT_TRUE(sim_wire.with_data <= STREAM / MSS * 105 / 100);
	end();
}

static void
limit_of_the_port_is_kept(void)
{
	begin(9000);
	transfer(100000, 1);
	CU_ASSERT_EQUAL(sim_wire.largest, 6 * MSS + HEADERS);
	end();
}

static void
small_writes_fill_whole_segments(void)
{
	begin(UINT16_MAX);
	transfer(300, 1);
	CU_ASSERT_TRUE(sim_wire.with_data <= STREAM / 300);
	transfer(1000, 1);
	end();
}

static void
large_packets_arrive_uncut(void)
{
	begin(UINT16_MAX);
	sim_wire.whole = 1;
	transfer(100000, 1);
	CU_ASSERT_TRUE(sim_wire.with_data < STREAM / MSS / 4);
	CU_ASSERT_EQUAL(info_of_a().retransmits, 0);
	end();
}

static void
aggregate_is_answered_at_once(void)
{
	begin(UINT16_MAX);
	sim_wire.whole = 1;
	CU_ASSERT_EQUAL(put(sent, 2 * MSS), 2 * MSS);
	sim_run(1000); /* a delayed ACK takes 40 ms */
	CU_ASSERT_EQUAL(sim_wire.with_data, 1);
	CU_ASSERT_EQUAL(info_of_a().in_flight, 0);
	CU_ASSERT_EQUAL(get_all(got, STREAM), 2 * MSS);
	end();
}

/* --- loss ----------------------------------------------------------------------------------------- */

/* Grow the window, so that one flight is several large segments. */
static void
warm_up(void)
{
	size_t in = 0;

	for (int i = 0; i < 20000 && in < STREAM / 2; i++) {
		put(sent, 65536);
		sim_run(100);
		in += get_all(got, STREAM);
	}
	for (int i = 0; i < 100; i++) {
		sim_run(1000);
		get_all(got, STREAM);
	}
	CU_ASSERT_EQUAL(info_of_a().in_flight, 0);
	sim_wire.with_data = sim_wire.lost = 0;
	sim_wire.largest = sim_wire.again_large = 0;
}

static void
loss_inside_a_large_segment_costs_one_mss(void)
{
	begin(UINT16_MAX);
	warm_up();
	sim_wire.lose_nth = 50; /* in the middle of the second large packet */
	CU_ASSERT_EQUAL(put(sent, 200000), 200000);
	for (int i = 0; i < 100; i++)
		sim_run(1000);
	CU_ASSERT_EQUAL(sim_wire.lost, 1);
	CU_ASSERT_EQUAL(get_all(got, STREAM), 200000);
	CU_ASSERT_EQUAL(memcmp(sent, got, 200000), 0);
	CU_ASSERT_TRUE(sim_wire.largest > 30 * MSS);
	CU_ASSERT_EQUAL(sim_wire.again_large, MSS + HEADERS);
	CU_ASSERT_TRUE(info_of_a().retransmits <= 3);
	/* The segment is freed; 2 GB later its number would look like one in flight. */
	CU_ASSERT_EQUAL(info_of_a().in_flight, 0);
	CU_ASSERT_TRUE(a->loss == NULL || a->loss->seg == NULL);
	end();
}

static void
timeout_sends_again_what_one_mss_of_window_admits(void)
{
	begin(UINT16_MAX);
	warm_up();
	sim_wire.cut = 1;
	CU_ASSERT_EQUAL(put(sent, 200000), 200000);
	sim_run(900000);
	CU_ASSERT_TRUE(sim_wire.largest > 30 * MSS);
	CU_ASSERT_TRUE(sim_wire.again_large <= MSS + HEADERS);
	CU_ASSERT_TRUE(sim_wire.again_large > 0);
	sim_wire.cut = 0;
	for (int i = 0; i < 3000; i++)
		sim_run(1000);
	CU_ASSERT_EQUAL(get_all(got, STREAM), 200000);
	CU_ASSERT_EQUAL(memcmp(sent, got, 200000), 0);
	end();
}

static void
large_segments_survive_loss_and_reordering(void)
{
	begin(UINT16_MAX);
	sim_wire.loss_permille = 20;
	sim_wire.reorder_permille = 20;
	transfer(100000, 1);
	CU_ASSERT_TRUE(sim_wire.lost > 20);
	CU_ASSERT_TRUE(sim_wire.again_large <= MSS + HEADERS);
	sim_wire.loss_permille = sim_wire.reorder_permille = 0;
	end();
}

static void
lost_aggregates_are_repaired(void)
{
	begin(UINT16_MAX);
	sim_wire.whole = 1;
	sim_wire.loss_permille = 50;
	transfer(100000, 1);
	CU_ASSERT_TRUE(sim_wire.lost > 3);
	sim_wire.loss_permille = 0;
	end();
}

/* --- windows -------------------------------------------------------------------------------------- */

static void
closed_window_stops_and_reopens(void)
{
	begin(UINT16_MAX);
	transfer(100000, 5000); /* read every 0.5 s: the window closes in between */
	end();
}

/* To side B, in the name of side A, with what B expects but for the offsets. */
static void
announce(uint16_t wnd, int32_t seq_offset, int32_t ack_offset)
{
	const struct tcp_pcb *pcb = b->pcb;

	raw_send(&(struct raw_tcp){.sport = pcb->remote_port, .dport = pcb->local_port,
		.seq = pcb->rcv_nxt + seq_offset, .ack = pcb->lastack + ack_offset,
		.flags = RAW_ACK, .wnd = wnd});
	sim_run(1000);
}

static void
put_on_b(size_t len)
{
	struct iovec iov = {.iov_base = sent, .iov_len = len};

	CU_ASSERT_EQUAL(sock_send(b, &iov, 1, 0, NULL), (ssize_t)len);
	sim_run(100000);
}

/* As in Linux (tcp_may_update_window()), a window that closes is obeyed although neither the sequence
 * number nor the ACK is new; one that only shrinks is not. */
static void
window_may_be_closed_by_a_segment_without_news(void)
{
	uint32_t open;

	begin(0);
	put_on_b(1000);
	CU_ASSERT_EQUAL(sock_inq(a), 1000);
	open = b->pcb->snd_wnd;
	announce(100, 0, 0);
	CU_ASSERT_EQUAL(b->pcb->snd_wnd, open);
	announce(0, -1, 0); /* older than what the window is from */
	announce(0, 0, -1);
	CU_ASSERT_EQUAL(b->pcb->snd_wnd, open);
	announce(0, 0, 0);
	CU_ASSERT_EQUAL(b->pcb->snd_wnd, 0);
	put_on_b(1000);
	CU_ASSERT_EQUAL(sock_inq(a), 1000);
	sim_run(3000000); /* the probe's answer says how large the window really is */
	CU_ASSERT_EQUAL(sock_inq(a), 2000);
	CU_ASSERT_TRUE(b->pcb->snd_wnd > 1000);
	end();
}

/* What is in flight stays in flight, and its loss is repaired once the window is open again. */
static void
window_may_close_over_what_is_in_flight(void)
{
	begin(0);
	put_on_b(1000);
	sim_wire.cut = 1;
	put_on_b(1000);
	announce(0, 0, 0);
	CU_ASSERT_EQUAL(b->pcb->snd_wnd, 0);
	CU_ASSERT_PTR_NOT_NULL(b->pcb->unacked);
	put_on_b(1000);
	sim_wire.cut = 0;
	sim_run(10000000);
	CU_ASSERT_EQUAL(sock_inq(a), 3000);
	end();
}

/* A peer made by hand, with windows as it likes. */
static struct {
	uint32_t addr, seq, ack; /* ack: everything that came */
	unsigned int seen, segments, bytes; /* segments, bytes: of the last take_for() */
} peer;

static void
say_to_b(uint8_t flags, uint16_t wnd)
{
	static const uint8_t mss[] = {2, 4, MSS >> 8, MSS & 0xff};

	raw_send(&(struct raw_tcp){.addr = peer.addr, .sport = 4000, .dport = PORT, .seq = peer.seq,
		.ack = peer.ack, .flags = flags, .wnd = wnd, .opt = mss,
		.opt_len = flags & RAW_SYN ? sizeof(mss) : 0});
	peer.seq += (flags & (RAW_SYN | RAW_FIN)) != 0;
	sim_run(1000);
}

/* Takes what B has sent in its turn meanwhile; true: there was data. */
static bool
hear_b(void)
{
	unsigned int before = peer.segments;

	for (; peer.seen < raw_n; peer.seen++) {
		const struct raw_seen *s = &raw_seen[peer.seen % RAW_SEEN_MAX];

		if (s->flags & RAW_SYN)
			peer.ack = s->seq + 1;
		if (s->len == 0 || s->seq != peer.ack)
			continue;
		peer.ack += s->len;
		peer.bytes += s->len;
		peer.segments++;
	}
	return peer.segments != before;
}

/* Acknowledges everything with a window of `wnd` for so long. */
static void
take_for(unsigned int ms, uint16_t wnd)
{
	peer.segments = peer.bytes = 0;
	for (unsigned int i = 0; i < ms; i++) {
		sim_run(1000);
		if (hear_b())
			say_to_b(RAW_ACK, wnd);
	}
}

/* B sends so much to a peer whose first window is `wnd`. */
static void
begin_by_hand(uint16_t wnd, size_t len)
{
	begin(0);
	sim_wire.tap = raw_tap;
	raw_n = 0;
	memset(&peer, 0, sizeof(peer));
	peer.addr = 0xc6120063; /* 198.18.0.99 */
	sock_close(b);
	say_to_b(RAW_SYN, wnd);
	hear_b();
	say_to_b(RAW_ACK, wnd);
	CU_ASSERT_EQUAL_FATAL(sock_accept(l, &b, NULL), 0);
	CU_ASSERT_EQUAL(sock_send(b, &(struct iovec){.iov_base = sent, .iov_len = len}, 1, 0, NULL),
		(ssize_t)len);
}

static void
end_by_hand(void)
{
	say_to_b(RAW_RST, 0);
	CU_ASSERT_PTR_NULL(b->pcb);
	end();
}

static void
window_of_one_byte_is_filled_once_in_a_timeout(void)
{
	begin_by_hand(1, 10000);
	take_for(3000, 1);
	CU_ASSERT_TRUE(peer.segments >= 10 && peer.segments <= 16);
	CU_ASSERT_EQUAL(peer.bytes, peer.segments);
	say_to_b(RAW_ACK, UINT16_MAX); /* the rest goes at once */
	take_for(100, UINT16_MAX);
	CU_ASSERT_TRUE(peer.bytes >= 10000 - 16);
	CU_ASSERT_TRUE(peer.segments <= 8);
	end_by_hand();
}

static void
half_of_the_largest_window_is_filled_at_once(void)
{
	begin_by_hand(1000, 100000);
	take_for(20, 1000);
	CU_ASSERT_TRUE(peer.bytes >= 5000);
	take_for(100, 0);
	CU_ASSERT_TRUE(peer.bytes <= 1000);
	say_to_b(RAW_ACK, 500);
	take_for(2, 0);
	CU_ASSERT_EQUAL(peer.bytes, 500);
	end_by_hand();
}

static void
less_than_half_of_the_largest_window_waits(void)
{
	begin_by_hand(1000, 100000);
	take_for(20, 500);
	CU_ASSERT_TRUE(peer.bytes >= 2500);
	take_for(1000, 400); /* what began before is 500 */
	CU_ASSERT_TRUE(peer.bytes >= 500 + 3 * 400 && peer.bytes <= 500 + 5 * 400);
	end_by_hand();
}

/* Nothing smaller is left to send: it does not wait for a larger window. */
static void
what_fits_into_a_small_window_is_sent_at_once(void)
{
	begin_by_hand(1000, 10);
	take_for(2, 20);
	CU_ASSERT_EQUAL(peer.bytes, 10);
	CU_ASSERT_EQUAL(sock_send(b, &(struct iovec){.iov_base = sent, .iov_len = 20}, 1, 0, NULL), 20);
	take_for(2, 20);
	CU_ASSERT_EQUAL(peer.bytes, 20);
	end_by_hand();
}

static const struct cunit_test tests[] = {
	CUNIT_TEST(without_tso_no_packet_is_longer_than_the_mtu),
	CUNIT_TEST(bulk_leaves_in_packets_of_many_mss),
	CUNIT_TEST(limit_of_the_port_is_kept),
	CUNIT_TEST(small_writes_fill_whole_segments),
	CUNIT_TEST(large_packets_arrive_uncut),
	CUNIT_TEST(aggregate_is_answered_at_once),
	CUNIT_TEST(loss_inside_a_large_segment_costs_one_mss),
	CUNIT_TEST(timeout_sends_again_what_one_mss_of_window_admits),
	CUNIT_TEST(large_segments_survive_loss_and_reordering),
	CUNIT_TEST(lost_aggregates_are_repaired),
	CUNIT_TEST(closed_window_stops_and_reopens),
	CUNIT_TEST(window_may_be_closed_by_a_segment_without_news),
	CUNIT_TEST(window_may_close_over_what_is_in_flight),
	CUNIT_TEST(window_of_one_byte_is_filled_once_in_a_timeout),
	CUNIT_TEST(half_of_the_largest_window_is_filled_at_once),
	CUNIT_TEST(less_than_half_of_the_largest_window_waits),
	CUNIT_TEST(what_fits_into_a_small_window_is_sent_at_once),
};
CUNIT_MAIN("tcp_seg", tests, sim_setup, sim_teardown)
