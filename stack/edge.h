/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where packets enter and leave a stack: the only part of stack/ that nodes/ sees.
 *
 * All functions: holder of the stack's lock only (that is, inside a graph walk).
 *
 * Packets that enter have passed `classify`: header lengths and checksums are verified, data_off
 * is at the Ethernet header, and l2_len, l3_len (IP header with options) and, for TCP, l4_len are
 * set. The IP packet lies in one segment at least up to the end of its L4 header; pkt_len is cut to
 * the IP total length. mbufs are writable and unshared (lwIP swaps the TCP header in place).
 * Ownership passes to the stack.
 *
 * Packets that leave start at their IPv4 header (data_off), with room for an Ethernet header in
 * front, l2_len 0, l3_len and l4_len set, IP header complete but for the header checksum, and
 * ol_flags RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_IP_CKSUM and TCP_CKSUM or UDP_CKSUM where the L4
 * checksum is still to be filled in (by the port or by `tx`). They may be longer than the MTU:
 * `ip4-frag` splits UDP and ICMP; TCP has RTE_MBUF_F_TX_TCP_SEG and tso_segsz then, and is as long as
 * the port has promised to cut (struct stack_wiring). They may have several segments. Ownership passes to the
 * caller.
 */
#ifndef STACK_EDGE_H
#define STACK_EDGE_H

#include <stdbool.h>
#include <stdint.h>

struct stack;
struct rte_mbuf;

/* Bytes of the mbuf private area the stack needs; the pool's creator passes it as priv_size. */
uint16_t stack_priv_size(void);

/* Way in. What the stack does not want is freed and counted; the result says what happened to it. */
enum stack_verdict {
	STACK_ACCEPTED,  /* given to a connection or socket */
	STACK_NO_SOCKET, /* nobody listens (TCP: a reset was sent; UDP: caller may answer) */
	STACK_REFUSED,   /* unacceptable segment (RFC 9293 3.10.7.4, RFC 5961), perhaps ACKed */
	STACK_NO_MEMORY,
	STACK_VERDICTS
};

/* counts[STACK_VERDICTS] is added to. `no_socket`, where not NULL, receives the packets of
 * STACK_NO_SOCKET, unchanged, instead of answering or freeing them (room for `n`), and
 * *n_no_socket their number. */
void stack_rx_tcp(struct stack *s, struct rte_mbuf **pkts, uint16_t n, uint64_t *counts,
	struct rte_mbuf **no_socket, uint16_t *n_no_socket);
void stack_rx_udp(struct stack *s, struct rte_mbuf **pkts, uint16_t n, uint64_t *counts,
	struct rte_mbuf **no_socket, uint16_t *n_no_socket);
void stack_rx_icmp(struct stack *s, struct rte_mbuf **pkts, uint16_t n, uint64_t *counts);

/* Way out: hand over at most `max` packets that lwIP has sent. Called by the source node
 * socket-tx; sends of the program and timers were served just before the walk. */
uint16_t stack_tx(struct stack *s, struct rte_mbuf **pkts, uint16_t max);

/* True while stack_tx() has more to give. */
bool stack_tx_pending(const struct stack *s);

/* Another core has put packets into a queue that the walk of `s` empties. Any thread. */
void stack_kick(struct stack *s);

/*
 * Steering: the stack (index into the group) that owns a TCP or UDP packet, given addresses and
 * ports in network byte order as seen on the way in. Pure; the same on every core, so that an
 * outgoing connection can choose a source port that comes back to it.
 */
unsigned int stack_owner_tcp(uint32_t saddr, uint16_t sport, uint32_t daddr, uint16_t dport,
	unsigned int n_stacks);
unsigned int stack_owner_udp(uint16_t dport, unsigned int n_stacks);

#endif
