/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The fuzzer of ltran's graph in three files: the world and its operations (fuzz_ltran.c), frames
 * (fuzz_ltran_frames.c), and what the ends may get (fuzz_ltran_check.c). One thread.
 */
#ifndef TESTS_FUZZ_LTRAN_H
#define TESTS_FUZZ_LTRAN_H

#include <stdbool.h>
#include <stdint.h>

#include "dispatcher/dispatcher.h"

#define FUZZ_MEMBERS 3
#define FUZZ_FRAMES_MAX 300 /* of one operation: more than a vector */
#define FUZZ_FRAME_BYTES 4096
#define FUZZ_MTU 1500
#define FUZZ_RATE 1000000 /* bytes per second of the first instance */

#define IP(last) RTE_BE32(0xc6120400 | (last)) /* 198.18.4.x */
enum { ALONE = 7, SHARED = 8, GONE = 9, PEER = 200, KERNEL = 250 };

extern uint64_t fuzz_now_us; /* fuzz_clock.h */
extern const struct rte_ether_addr fuzz_mac, fuzz_peer_mac; /* ltran's, everybody else's */
extern struct member fuzz_members[FUZZ_MEMBERS];
extern bool fuzz_is_there[FUZZ_MEMBERS];

/* What this operation has sent: `n` times the same frame. */
struct fuzz_sent {
	enum { FROM_NOBODY, FROM_WIRE, FROM_INSTANCE, FROM_TAP, FROM_CONTROL } origin;
	struct rte_mbuf *pkts[FUZZ_FRAMES_MAX];
	unsigned int n, member;
	uint8_t bytes[FUZZ_FRAME_BYTES];
	uint32_t len;
	bool is_cut, is_unfinished;
	bool is_paid; /* its bytes have been counted */
};
extern struct fuzz_sent fuzz_sent;

/* Byte `at` of every datagram `id` that comes in fragments. */
static inline uint8_t
fuzz_payload(uint16_t id, uint32_t at)
{
	return (uint8_t)((at * 2654435761u ^ id * 40503u) >> 13);
}

/* One of the addresses that there are. */
uint32_t fuzz_address(uint8_t which);
/* Good, from one address to another; `shape` 4 and 5 are ARP. NULL: no packet is left. */
struct rte_mbuf *fuzz_frame(struct rte_mempool *pool, uint8_t shape, uint32_t src, uint32_t dst, bool is_ours,
	uint16_t len);
void fuzz_spoil(struct rte_mbuf *m, uint8_t kind, uint8_t a, uint8_t b);
/* Its bytes in one piece, until the next call. */
const uint8_t *fuzz_flat(const struct rte_mbuf *m);

/* The first instance's policer begins now. */
void fuzz_check_begin(void);
/* A frame that leaves by the wire; by queue `queue` of instance `to`'s ring; by the tap. */
void fuzz_check_wire(const struct rte_mbuf *m);
void fuzz_check_ring(unsigned int to, uint16_t queue, const struct rte_mbuf *m);
void fuzz_check_tap(const uint8_t *frame, uint32_t len);

#endif
