/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The map of the packet path: node names, the order packets meet them, and who sets and reads each
 * field of a packet on its way. One file per node, named like the node.
 *
 *	in    rx ─► (bond) ─► (gro) ─► classify ─┬► arp-input ─► tx
 *	                                         ├► ip4-reass ─► classify
 *	                                         ├► tcp-to-lwip, udp-to-lwip, icmp-to-lwip
 *	                                         ├► handoff-tx ─ring─► handoff-rx (another core) ─► *-to-lwip
 *	                                         ├► kernel-tx      (kernel-rx ─► tx)
 *	                                         └► drop
 *	out   socket-tx ─► ip4-output ─┬► ip4-frag ─► arp-resolve
 *	                               ├► arp-resolve ─► (gso) ─► (bond) ─► tx
 *	                               └► classify (own address)
 *	clock ip4-timer ─► tx (ARP requests), ip4-output (ICMP errors), drop (what waited in vain)
 *
 * Names in brackets are not in the library's graphs: `gso` is in ltran's, `bond` and `gro` have a
 * place and no node yet. Not part of the product's graphs: `loss` and `loss-out` make a lossy path
 * for measurements (perf/lossy.c): rx ─► loss ─queue─► loss-out ─► tx.
 *
 * Packet fields (struct rte_mbuf), by edge:
 *
 *	into classify    data_off at the Ethernet header. From the wire: `port` is the port, ol_flags
 *	                 RX_* as the driver set them. From ip4-reass: one datagram, RX_IP_CKSUM_GOOD
 *	                 (the header was checked per fragment), RX_L4_CKSUM_UNKNOWN. From ip4-output
 *	                 (loop): `port` is RTE_MBUF_PORT_INVALID, RX_IP_CKSUM_GOOD and
 *	                 RX_L4_CKSUM_NONE, writable and unshared (indirect segments were copied).
 *	out of classify  as stack/edge.h asks: l2_len, l3_len, l4_len set, pkt_len without padding.
 *	to handoff-tx    hash.usr: index of the owning worker.
 *	to ip4-output    as stack/edge.h says: data_off at the IPv4 header, l2_len 0, TX_* flags.
 *	                 ip4-output rewrites `port` to the worker's port, or to INVALID for a loop.
 *	to kernel-tx     data_off at the Ethernet header; L4 checksum complete, unless
 *	                 RX_L4_CKSUM_NONE says that the sender left it to its device.
 *	to tx            data_off at the Ethernet header. For IPv4 with TX_* flags: l2_len, l3_len set,
 *	                 l4_len for TCP; tx fills in what the port cannot.
 *	everywhere       the trace handle (graph.h).
 *
 * hash.rss is not read by any node: owners are computed from addresses and ports (stack/edge.h).
 */
#ifndef NODES_NODES_H
#define NODES_NODES_H

#include "graph/graph.h"
#include "nodes/worker.h"

#define NODE_RX "rx"
#define NODE_CLASSIFY "classify"
#define NODE_ARP_INPUT "arp-input"
#define NODE_IP4_REASS "ip4-reass"
#define NODE_TCP_TO_LWIP "tcp-to-lwip"
#define NODE_UDP_TO_LWIP "udp-to-lwip"
#define NODE_ICMP_TO_LWIP "icmp-to-lwip"
#define NODE_HANDOFF_TX "handoff-tx"
#define NODE_HANDOFF_RX "handoff-rx"
#define NODE_KERNEL_TX "kernel-tx"
#define NODE_KERNEL_RX "kernel-rx"
#define NODE_SOCKET_TX "socket-tx"
#define NODE_IP4_OUTPUT "ip4-output"
#define NODE_IP4_FRAG "ip4-frag"
#define NODE_ARP_RESOLVE "arp-resolve"
#define NODE_IP4_TIMER "ip4-timer"
#define NODE_GSO "gso"
#define NODE_TX "tx"
#define NODE_DROP "drop"
#define NODE_LOSS "loss"
#define NODE_LOSS_OUT "loss-out"

/* The worker whose graph `node` belongs to. */
static inline struct worker *
node_worker(struct rte_node *node)
{
	return graph_node_user(node);
}

#endif
