/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The scoreboard of a sender (RFC 6675, RFC 8985): what is known about the bytes between the last
 * cumulative ACK and the highest byte anything is known about. Pure: no lwIP, no clock, no I/O.
 *
 * It counts bytes, not segments: ranges [start, next range's start) without gaps, so that packets
 * may be cut anew at any byte. What lies above `end` is in flight, sent once, not reported. The
 * ranges are an array that grows while losses are known and is freed afterwards; with n losses in
 * flight an ACK costs O(n).
 *
 * Sequence numbers in host byte order, compared modulo 2^32; times in 32 bits of microseconds.
 */
#ifndef STACK_TCP_SB_H
#define STACK_TCP_SB_H

#include <stdbool.h>
#include <stdint.h>

#define TCP_SB_RANGES_MAX 2048 /* more than holes in a window of 1 MB and an MSS of 1460 */

enum tcp_sb_state {
	TCP_SB_HOLE,   /* sent once, something above it has arrived */
	TCP_SB_SACKED, /* has arrived */
	TCP_SB_LOST,   /* is to be sent again */
	TCP_SB_RESENT, /* has been sent again, is in flight */
};

struct tcp_sb_range {
	uint32_t start;
	uint32_t at_us; /* HOLE: when it was noticed; RESENT: when it was sent */
	uint32_t mark;  /* RESENT: snd_nxt at that time; what is above was sent later */
	uint8_t state;
	bool again;     /* was sent more than once */
};

struct tcp_sb {
	struct tcp_sb_range *r; /* n of them, ascending; room for cap */
	uint32_t n, cap;
	uint32_t una, end;      /* bounds; equal while nothing is known */
	uint32_t high;          /* behind the highest byte that has arrived at its first sending */
	uint32_t sacked, lost;  /* bytes in these states */
	/* of the retransmissions that have arrived, the one sent last */
	bool resent;
	uint32_t resent_us, resent_end;
};

struct tcp_sb_block { /* of a SACK option */
	uint32_t left, right;
};

/* What one ACK has brought; the caller zeroes it and may feed several calls. */
struct tcp_sb_news {
	uint32_t delivered;  /* bytes that were not known to have arrived */
	uint32_t early;      /* of these: sent again less than early_us ago, so the first copy came */
	uint32_t duplicates; /* bytes the peer has received twice (RFC 2883) */
	uint32_t unneeded;   /* bytes given up for lost, and not sent again yet, that arrived */
	bool reordered;      /* a hole was filled by its first sending */
};

struct tcp_sb_rules { /* of loss detection, see tcp_sb_detect() */
	uint32_t now_us;
	uint32_t rtt_us;     /* a retransmission cannot be missed sooner */
	uint32_t window_us;  /* how much later a packet may arrive than those sent after it */
	uint32_t dup_bytes;  /* so much above a hole makes it a loss at once; 0: only time does */
	bool at_once;        /* every hole is a loss (recovery on a path that keeps the order) */
};

/* Nothing is known above `una`; a zeroed struct is made this way too. */
void tcp_sb_reset(struct tcp_sb *sb, uint32_t una);
void tcp_sb_free(struct tcp_sb *sb); /* the array; reset before the next use */

static inline bool
tcp_sb_is_empty(const struct tcp_sb *sb)
{
	return sb->n == 0;
}

/* Cumulative ACK at `una`. Time stamps of retransmissions are compared with early_us. */
void tcp_sb_ack(struct tcp_sb *sb, uint32_t una, uint32_t now_us, uint32_t early_us,
	struct tcp_sb_news *news);
/* One SACK block; those of one ACK in ascending order. Nonsense (reversed, or beyond what was sent)
 * is ignored. */
void tcp_sb_sack(struct tcp_sb *sb, const struct tcp_sb_block *b, uint32_t snd_nxt,
	uint32_t now_us, uint32_t early_us, struct tcp_sb_news *news);
/* HOLEs and RESENT ranges become LOST by RFC 6675 and RFC 8985. Bytes newly lost; *wait_us: after
 * how long to ask again without an ACK, 0: not. */
uint32_t tcp_sb_detect(struct tcp_sb *sb, const struct tcp_sb_rules *k, uint32_t *wait_us);
/* What has not arrived below `right` is lost: timeouts, peers without SACK. */
void tcp_sb_lose(struct tcp_sb *sb, uint32_t right);
/* The opposite, after a timeout that was too early: what was not sent again is in flight. */
void tcp_sb_unlose(struct tcp_sb *sb, uint32_t now_us);
/* The lowest lost bytes: false: none. */
bool tcp_sb_next(const struct tcp_sb *sb, uint32_t *seq, uint32_t *len);
/* [seq, seq + len) is sent again now. False: no memory, nothing is noted. */
bool tcp_sb_resent(struct tcp_sb *sb, uint32_t seq, uint32_t len, uint32_t snd_nxt,
	uint32_t now_us);

#endif
