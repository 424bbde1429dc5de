/* SPDX-License-Identifier: BSD-3-Clause */
/* Frames for graph_bench: what a well-behaved neighbour sends to the bench's own address. */
#ifndef PERF_BENCH_FRAMES_H
#define PERF_BENCH_FRAMES_H

#include <stdbool.h>
#include <stdint.h>

#include <rte_ether.h>
#include <rte_mbuf.h>

#define BENCH_FRAME_MAX 1600

/* One frame of `len` bytes without CRC, and what its driver and the stack say about it. */
struct bench_frame {
	uint16_t len;
	uint16_t l3_len, l4_len; /* for packets on their way out */
	uint64_t ol_flags;
	uint8_t bytes[BENCH_FRAME_MAX];
};

extern const struct rte_ether_addr bench_mac, bench_peer_mac;
#define BENCH_ADDR RTE_BE32(RTE_IPV4(198, 18, 0, 1))
#define BENCH_PEER RTE_BE32(RTE_IPV4(198, 18, 0, 2))
#define BENCH_MASK RTE_BE32(RTE_IPV4(255, 255, 255, 0))

/* 64 bytes each, from the peer to us. `ol_flags` are RX_* flags; checksums are always right. */
void bench_frame_tcp(struct bench_frame *f, uint64_t ol_flags);
void bench_frame_udp(struct bench_frame *f);
void bench_frame_echo(struct bench_frame *f);
void bench_frame_arp(struct bench_frame *f, uint16_t opcode);
/* One of the two fragments of a 104 byte UDP packet with identification `id`. */
void bench_frame_fragment(struct bench_frame *f, uint16_t id, bool second);

/* From us to the peer, starting at the IPv4 header, as the stack hands packets over. */
void bench_packet_tcp(struct bench_frame *f);
void bench_packet_udp(struct bench_frame *f, uint16_t len);

#endif
