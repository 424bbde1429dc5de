/* SPDX-License-Identifier: BSD-3-Clause */
/* A model of a TCP peer: what it holds the stack's segments, and what the program reads, against. */
#include "tests/fuzz_peer_private.h"

#include <errno.h>
#include <string.h>

#include <rte_ip.h>

#include "tests/fuzz_main.h"

static void
hear_syn_ack(struct fuzz_peer *p, uint32_t seq, uint32_t ack, const uint8_t *opt, uint8_t len, uint16_t wnd)
{
	bool is_known = p->n_syns > FUZZ_PEER_SYNS; /* it may be one that we have forgotten */
	uint16_t mss, most = is_known ? FUZZ_PEER_MSS : 0;
	uint8_t scale, peer_scale = is_known ? SCALE_MAX : 0;

	for (unsigned int i = 0; i < RTE_MIN(p->n_syns, (unsigned int)FUZZ_PEER_SYNS); i++) {
		if (p->syn[i].seq + 1 != ack)
			continue;
		is_known = true; /* or several with other options; a cookie is for any of them */
		most = RTE_MAX(most, p->syn[i].mss);
		peer_scale = RTE_MAX(peer_scale, p->syn[i].scale);
	}
	fuzz_require(is_known, "an answer to a SYN that nobody sent");
	if (p->is_proven)
		return;
	fuzz_peer_options(opt, len, &mss, &scale);
	if (p->iss != ack - 1 || p->host_iss != seq)
		p->n_past = p->holds = 0; /* they have the numbers of before */
	p->iss = ack - 1;
	p->host_iss = seq;
	/* A cookie and a request may both be there: nobody knows which of them the ACK will make. */
	p->is_vague |= p->heard && (len > 4) != p->had_options;
	p->had_options = len > 4;
	p->mss = p->heard ? RTE_MAX(p->mss, most) : most;
	p->host_scale = scale;
	p->scale = RTE_MAX(p->scale, len > 4 ? peer_scale : 0); /* no scale in ours: none of the peer's counts */
	p->heard = true;
	p->said_right = wnd;
	p->most_wnd = FUZZ_PEER_WINDOW;
	p->right = RTE_MAX(p->right, FUZZ_PEER_WINDOW);
}

static void
check_sacks(const struct fuzz_peer *p, const uint8_t *opt, uint8_t len, uint32_t ack)
{
	for (uint8_t i = 0; i + 1 < len && opt[i] != 0; i += opt[i] == 1 ? 1 : opt[i + 1]) {
		fuzz_require(opt[i] == 1 || opt[i + 1] >= 2, "an option without length");
		if (opt[i] != 5)
			continue;
		fuzz_require(opt[i + 1] % 8 == 2 && i + opt[i + 1] <= len, "a SACK of no length");
		for (uint8_t b = i + 2; b < i + opt[i + 1]; b += 8) {
			rte_be32_t edge[2];
			uint32_t left, right;

			memcpy(edge, opt + b, sizeof(edge));
			left = rte_be_to_cpu_32(edge[0]) - p->iss - 1;
			right = rte_be_to_cpu_32(edge[1]) - p->iss - 1;
			fuzz_require(is_before(left, right), "an empty SACK");
			if (is_before(left, ack))
				continue; /* RFC 2883: came twice */
			fuzz_require(right <= FUZZ_STREAM_MAX, "a SACK far beyond the window");
			for (; left < right; left++)
				fuzz_require(was_sent(p, left) || has_fin(p, left),
					"a SACK of what was never sent");
		}
	}
}

/* The acknowledgement and the window: both go forward only, and not beyond what there was. */
static void
check_ack(struct fuzz_peer *p, uint32_t ack, uint32_t wnd)
{
	uint32_t right = ack + wnd;

	fuzz_require(!is_before(ack, p->said_ack), "an ACK goes back");
	for (uint32_t at = p->said_ack; at < ack; at++)
		fuzz_require(was_sent(p, at) || (at + 1 == ack && has_fin(p, at)),
			"an ACK of what was never sent");
	p->said_ack = ack;
	if (p->is_vague)
		return;
	fuzz_require(!is_before(right + (1u << p->host_scale), p->said_right + 1), "the window goes back");
	if (is_before(p->said_right, right))
		p->said_right = right;
}

static void
check_data(struct fuzz_peer *p, uint32_t at, const uint8_t *data, uint32_t len, bool fin)
{
	fuzz_require(!is_before(p->n_written + 1, at), "a place beyond the end");
	if (len == 0 && !fin)
		return;
	fuzz_require(len <= p->mss, "a segment longer than the peer's MSS");
	fuzz_require(!is_before(p->n_written, at + len), "data that the program did not write");
	fuzz_require(!is_before(p->right + 1, at + len), "data beyond the peer's window");
	fuzz_require(!fin || at + len == p->n_written, "a FIN before the end");
	for (uint32_t i = 0; i < len; i++)
		fuzz_require(data[i] == fuzz_peer_host_byte(p, at + i), "the program wrote something else");
	if (!is_before(p->host_next, at) && is_before(p->host_next, at + len))
		p->host_next = at + len;
	if (fin && p->host_next == at + len)
		p->host_fin = true;
}

void
fuzz_peer_hear(struct fuzz_peer *p, const uint8_t *ip, uint32_t len)
{
	const struct rte_tcp_hdr *tcp = (const void *)(ip + sizeof(struct rte_ipv4_hdr));
	uint32_t seq = rte_be_to_cpu_32(tcp->sent_seq), ack = rte_be_to_cpu_32(tcp->recv_ack);
	uint32_t header = (tcp->data_off >> 4) * 4, payload = len - sizeof(struct rte_ipv4_hdr) - header;
	uint16_t wnd = rte_be_to_cpu_16(tcp->rx_win);
	const uint8_t *opt = (const uint8_t *)(tcp + 1);

	fuzz_peer_trace(p, "host", &(struct fuzz_parts){.is_whole = true, .flags = tcp->tcp_flags, .wnd = wnd,
		.at = seq - p->host_iss - 1, .ack = ack - p->iss + p->host_iss, .len = payload});
	fuzz_require(header >= sizeof(*tcp) && sizeof(struct rte_ipv4_hdr) + header <= len, "a bad header");
	if (tcp->tcp_flags & RST) {
		fuzz_require(!p->is_proven || p->s == NULL || p->is_closed || p->is_shut ||
			p->may_be_reset || p->may_time_out, "a good connection is reset");
		p->is_over |= p->is_proven && (p->s != NULL || p->is_closed);
		return;
	}
	if (tcp->tcp_flags & SYN) {
		fuzz_require(payload == 0, "a SYN with data");
		if (tcp->tcp_flags & ACK) {
			hear_syn_ack(p, seq, ack, opt, header - sizeof(*tcp), wnd);
		} else if (!p->heard) {
			uint16_t mss;

			p->heard = true;
			p->host_iss = seq;
			fuzz_peer_options(opt, header - sizeof(*tcp), &mss, &p->host_scale);
			p->said_right = 0;
		}
		return;
	}
	fuzz_require((tcp->tcp_flags & ACK) != 0, "a segment without ACK");
	if (!p->heard || !p->is_proven || p->may_be_reset || p->is_over || p->has_end)
		return;
	check_sacks(p, opt, header - sizeof(*tcp), ack - p->iss - 1);
	check_ack(p, ack - p->iss - 1, (uint32_t)wnd << p->host_scale);
	check_data(p, seq - p->host_iss - 1, (const uint8_t *)tcp + header, payload,
		(tcp->tcp_flags & FIN) != 0);
}

static void
trace_read(const struct fuzz_peer *p, ssize_t n)
{
	if (fuzz_peer_traces())
		fprintf(stderr, "%llu us, stream %u: read from %u: %zd\n",
			(unsigned long long)fuzz_now_us, p->id, p->n_read, n);
}

void
fuzz_peer_read(struct fuzz_peer *p, const uint8_t *data, ssize_t n)
{
	trace_read(p, n);
	for (ssize_t i = 0; i < n; i++) {
		fuzz_require(was_sent(p, p->n_read + i), "the program reads what was never sent");
		fuzz_require(data[i] == fuzz_peer_byte(p, p->n_read + i), "the program reads other bytes");
	}
	if (n > 0)
		p->n_read += n;
	if (n == 0 && !p->is_shut && !p->may_be_reset) {
		fuzz_require(has_fin(p, p->n_read), "the stream ends where no FIN was");
		p->is_eof = true;
	}
	if (n == -ECONNRESET || n == -ECONNREFUSED)
		fuzz_require(p->may_be_reset, "a connection is reset without a reset");
}
