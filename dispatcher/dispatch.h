/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where does a frame go? The decisions of dispatch-in and dispatch-out about one packet, pure
 * functions for the nodes and their tests.
 */
#ifndef DISPATCHER_DISPATCH_H
#define DISPATCHER_DISPATCH_H

#include <stdbool.h>
#include <stdint.h>

#include "dispatcher/dispatcher.h"

/* Edges of both nodes; dispatch-in has no wire, dispatch-out no reassembly. */
enum dispatch_edge {
	DISPATCH_DROP,
	DISPATCH_INSTANCE,
	DISPATCH_WIRE,   /* out: gso, tx */
	DISPATCH_KERNEL,
	DISPATCH_REASS,  /* fragment for an address that several instances share */
	DISPATCH_RESET,  /* segment for an instance that has gone */
	DISPATCH_HOLD,   /* SYN to a port that somebody will listen on soon */
	DISPATCH_EDGES
};

/* Rows of both nodes. */
enum dispatch_error {
	DISPATCH_SHORT_FRAME,
	DISPATCH_NOT_OURS,
	DISPATCH_NO_INSTANCE,
	DISPATCH_GONE,
	DISPATCH_ETHERTYPE,
	DISPATCH_BAD_ARP,
	DISPATCH_BAD_IP,
	DISPATCH_NO_MEMORY,
	DISPATCH_ERRORS,
	DISPATCH_NO_ERROR = DISPATCH_ERRORS
};

struct dispatch_result {
	uint8_t edge;   /* enum dispatch_edge: of the packet itself */
	uint8_t error;  /* enum dispatch_error */
	uint8_t seen;   /* enum seen_kind */
	uint8_t hear;   /* an ARP reply while the control thread waits for some: a copy into `heard` */
	uint8_t copy;   /* bits COPY_*: further copies */
	uint16_t group; /* COPY_GROUP: index into map.addrs */
	uint32_t dest;  /* DISPATCH_INSTANCE: member << 16 | queue */
};

#define COPY_ALL 1u    /* to queue 0 of every instance but the sender */
#define COPY_GROUP 2u  /* to queue 0 of every instance of an address but the one in `dest` */
#define COPY_KERNEL 4u

struct rte_ipv4_hdr;

/* `m` came from the NIC. Reads the frame only; l2_len and l3_len are set where the edge wants them. */
struct dispatch_result dispatch_in(const struct dispatch_worker *dw, struct rte_mbuf *m);
/* `m` came from an instance, the tap or the control thread. */
struct dispatch_result dispatch_out(const struct dispatch_worker *dw, struct rte_mbuf *m);

/* An address that several share: whose is the packet? `ip` lies in one segment up to `len` bytes.
 * member << 16 | queue; see steer.c. */
uint32_t steer_shared(const struct map *map, const struct map_addr *a, const struct rte_ipv4_hdr *ip,
	uint16_t len);
/* `ip` has a SYN for `a`: does nobody listen on its port, while a process may soon that has the listener from
 * one who has just ended or closed it? `a` may have no instances. */
bool steer_is_awaited(const struct map *map, const struct map_addr *a, const struct rte_ipv4_hdr *ip,
	uint16_t len);
/* The queue of member `mb` for a packet. */
uint16_t steer_queue(const struct member *mb, const struct rte_ipv4_hdr *ip, uint16_t len);

#endif
