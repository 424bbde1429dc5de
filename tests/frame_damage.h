/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Damage to one frame, as three bytes of a fuzzer's input say: headers of IPv4 (RFC 791) and TCP (RFC 9293).
 * A frame is one segment of an mbuf that nobody else has, and begins with its Ethernet header.
 */
#ifndef TESTS_FRAME_DAMAGE_H
#define TESTS_FRAME_DAMAGE_H

#include <stdbool.h>

#include <rte_ether.h>
#include <rte_ip.h>
#include <rte_mbuf.h>
#include <rte_tcp.h>

struct frame_damage {
	uint8_t kind, a, b;
};

/* Whether a header of IPv4 is there; the other functions need one. */
bool frame_is_ip4(const struct rte_mbuf *m);
struct rte_ipv4_hdr *frame_ip4(struct rte_mbuf *m);
struct rte_tcp_hdr *frame_tcp(struct rte_mbuf *m); /* NULL: none, or cut */

/* The damage shall not be found by a checksum: right ones wherever there is room for them. */
void frame_seal(struct rte_mbuf *m);

void frame_change_ip(struct rte_mbuf *m, struct frame_damage d);
/* Fields of a TCP segment; the rest of the frame stays as it was. */
void frame_change_tcp(struct rte_mbuf *m, struct rte_tcp_hdr *tcp, struct frame_damage d);

#endif
