/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One ethdev, brought up and down: for the instance's port, ltran's port, and each slave of a bond.
 * One thread at a time; nobody may use the port's queues during the calls.
 */
#ifndef NODES_PORT_H
#define NODES_PORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <rte_ether.h>
#include <rte_mempool.h>

struct port_params {
	uint16_t n_rxq, n_txq;    /* wanted: one pair per worker; the port may have fewer */
	uint16_t n_rxd, n_txd;    /* descriptors of a queue; fitted to what the port can */
	uint16_t mtu;             /* bytes of IP packet */
	struct rte_mempool *pool; /* of received packets */
	bool rx_interrupts;       /* wanted, to sleep until packets come */
};

struct port_info {
	uint16_t n_rxq, n_txq;
	uint64_t tx_offloads;      /* RTE_ETH_TX_OFFLOAD_* enabled */
	struct rte_ether_addr mac; /* to be used on the wire; see port_open() about tap */
	const char *driver;        /* "net_af_packet"; lives as long as the port */
	unsigned int if_index;     /* of the kernel device below it, or 0 */
	bool has_rx_interrupts;
	bool is_virtual;           /* vdev: may have no peer yet */
};

/*
 * Configure `port` (not started) and start it: queues, offloads, MTU, promiscuous where it is a
 * virtual wire, else wait up to 3 s for its link. A kernel device whose MTU is smaller than the one
 * wanted gets it. On a tap, the kernel's end has the driver's address; got->mac is another one.
 * 0, or -errno with a line for people in `err`; the port is not started then.
 */
int port_open(uint16_t port, const struct port_params *want, struct port_info *got, char *err,
	size_t err_len);
void port_close(uint16_t port);

/* The started port takes frames to every address. On a kernel device that ends with the process,
 * however it ends, and other users of the device keep what they asked for. */
void port_promiscuous(uint16_t port);

/* "net_af_packet" and the like: drivers whose queues are sockets, that one can wait for. */
bool port_has_sockets(const char *driver);

/* Packets that the port had no descriptor or frame for, since its start. Control thread. */
uint64_t port_missed(uint16_t port);

/* Bytes behind the headroom that the driver of `port` asks of every buffer of the pool: the frame
 * size of an af_packet ring (its argument `framesz`). 0: it takes any. */
uint32_t port_buffer_bytes(uint16_t port);

#endif
