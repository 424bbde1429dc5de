/* SPDX-License-Identifier: BSD-3-Clause */
/* Parts of udp-to-lwip that unit tests call. */
#ifndef NODES_UDP_TO_LWIP_H
#define NODES_UDP_TO_LWIP_H

#include <stdbool.h>
#include <stdint.h>

struct icmp_bucket;
struct rte_mbuf;
struct worker;

/* The ICMP port unreachable that answers datagram `m`, ready for ip4-output; NULL: no memory. */
struct rte_mbuf *udp_build_unreachable(const struct worker *w, const struct rte_mbuf *m);
/* Take one token; `now` and `hz` in TSC cycles. */
bool udp_take_token(struct icmp_bucket *b, uint64_t now, uint64_t hz);

#endif
