/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The far end of TCP connections of one fuzz_host, as a model: it sends segments that are right but for
 * one field each, and holds every segment of the stack against what it may say (RFC 9293, 2018, 5961).
 *
 * Stream bytes are a function of connection and place, so that whatever the program reads can be
 * compared. What the stack must not take (outside its window, in a segment that is not acceptable) is sent with
 * all bits turned: if one such byte arrives, something was accepted that is not.
 * Places are offsets in the stream: 0 is the first byte after the SYN.
 */
#ifndef TESTS_FUZZ_PEER_H
#define TESTS_FUZZ_PEER_H

#include <stdbool.h>
#include <stdint.h>

#include "stack/sock.h"
#include "tests/fuzz_host.h"

#define FUZZ_STREAM_MAX (1u << 21) /* bytes that a peer ever names: more than a window ahead of what it sends */
#define FUZZ_PEER_SYNS 4
#define FUZZ_PEER_PAST 8
#define FUZZ_PEER_MSS 1460

/* One segment as it is wished for; `kind` says which field is wrong, `a` and `b` how. */
struct fuzz_segment {
	uint32_t seq, ack;
	uint16_t wnd, len;
	uint8_t flags, opt_len, opt[40];
	uint8_t kind, a, b;
};

struct fuzz_peer {
	uint32_t id;           /* of its stream's bytes; no two are the same */
	uint32_t addr;         /* network order */
	uint16_t port, lport;  /* of the peer; of the host */
	bool is_active;        /* the host connects */

	/* the handshake */
	struct {
		uint32_t seq;
		uint16_t mss;
		uint8_t scale;
	} syn[FUZZ_PEER_SYNS];
	unsigned int n_syns;
	bool heard;            /* the host's SYN, or its SYN|ACK for `iss` */
	bool is_proven;        /* and we have said so */
	uint32_t iss, host_iss;
	uint16_t mss;          /* the host's segments may have so many bytes */
	uint8_t scale, host_scale;
	bool had_options, is_vague; /* the last SYN|ACK had more than an MSS; there were both kinds */

	/* our stream */
	uint32_t next;         /* first byte that was not yet sent in its turn */
	uint32_t high;         /* the host has heard of no place beyond */
	uint32_t said_ack, said_right; /* of the host: the largest ACK and right edge; offsets */
	uint8_t *is_sent;      /* a bit per byte */
	uint8_t *is_fin;       /* a bit per place where an acceptable FIN has been */

	/* the host's stream */
	uint32_t host_next;    /* next byte that is missing */
	bool host_fin, may_be_reset;
	bool has_end;          /* it has acknowledged the host's FIN: the host may know nothing of it now */
	bool is_over;          /* nothing is known any more of what the host may say */
	uint16_t most_wnd;     /* of all that we have said */
	uint32_t right;        /* we have allowed bytes below it */
	uint32_t n_written;    /* by the program */

	/* the program */
	struct sock *s;        /* NULL: not accepted, or closed */
	bool is_closed, is_eof, is_shut;
	bool may_time_out;     /* so much time has passed that it may be given up */
	uint32_t n_read;

	struct fuzz_segment past[FUZZ_PEER_PAST];
	unsigned int n_past;
	struct fuzz_segment held;
	bool holds;
};

/* What the host's stack knows of the connection. */
struct fuzz_view {
	bool is_there;
	char state[12];
	uint32_t rcv_nxt, rcv_wnd, snd_nxt;
};

extern struct fuzz_host fuzz_peer_host;

/* Forget the connection; the next one has another port. */
void fuzz_peer_renew(struct fuzz_peer *p);
uint8_t fuzz_peer_byte(const struct fuzz_peer *p, uint32_t at);      /* of its stream */
uint8_t fuzz_peer_host_byte(const struct fuzz_peer *p, uint32_t at); /* of the host's */
/* What the next segment of an honest peer would be, without flags but ACK, and data. */
struct fuzz_segment fuzz_peer_segment(const struct fuzz_peer *p);
/* Makes it wrong as it says, and lets it arrive. It may be held back until the next one has arrived. */
void fuzz_peer_send(struct fuzz_peer *p, const struct fuzz_segment *s);
/* By the fuzzer: lets peers hear what the host has sent. Called after every segment that arrives. */
void fuzz_peer_listen(void);
/* A segment of the host, from its IPv4 header on. Not within a walk. */
void fuzz_peer_hear(struct fuzz_peer *p, const uint8_t *ip, uint32_t len);
struct fuzz_view fuzz_peer_view(const struct fuzz_peer *p);
/* What the program has read, `n` bytes; 0: the end, or an error of Linux. */
void fuzz_peer_read(struct fuzz_peer *p, const uint8_t *data, ssize_t n);

#endif
