/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One lwIP image, seen from outside: its functions and the few globals we steer.
 *
 * lwIP keeps its state in plain globals, so the build makes N copies of it (partial link, then
 * objcopy renames the one exported symbol `lwip_image`), and each stack uses its own copy through
 * this table. Only the holder of the stack's lock may call through it.
 */
#ifndef STACK_LWIP_IMAGE_H
#define STACK_LWIP_IMAGE_H

#include "lwip/netif.h"
#include "lwip/pbuf.h"
#include "lwip/priv/tcp_priv.h"
#include "lwip/stats.h"
#include "lwip/tcp.h"
#include "lwip/udp.h"

struct lwip_image {
	/* globals: exactly one pcb is on these lists while lwIP runs (stack/tcp.c) */
	struct tcp_pcb **active_pcbs, **tw_pcbs, **bound_pcbs;
	struct udp_pcb **udp_pcbs;
	struct tcp_pcb **input_pcb; /* the one that tcp_input() is working for */
	u32_t *ticks; /* ms; we are lwIP's clock */
	const uint64_t *heap_units; /* of 32 bytes, that lwIP has allocated: pcbs, segments, pbufs */
	struct stats_mib2 *mib2;

	void (*init)(struct netif *netif, const ip4_addr_t *ip, const ip4_addr_t *mask,
		const ip4_addr_t *gw, void *state, netif_init_fn init);
	u8_t (*ext_arg_alloc_id)(void);
	/* L4 entry: payload at the L4 header, ip4 header given; consumes p */
	void (*tcp_input)(struct pbuf *p, struct netif *netif, const struct ip_hdr *ip);
	void (*udp_input)(struct pbuf *p, struct netif *netif, const struct ip_hdr *ip);
	void (*icmp_input)(struct pbuf *p, struct netif *netif, const struct ip_hdr *ip);

	struct tcp_pcb *(*tcp_new)(void);
	err_t (*tcp_bind)(struct tcp_pcb *pcb, const ip_addr_t *ip, u16_t port);
	err_t (*tcp_connect)(struct tcp_pcb *pcb, const ip_addr_t *ip, u16_t port,
		tcp_connected_fn fn);
	err_t (*tcp_write)(struct tcp_pcb *pcb, const void *data, u16_t len, u8_t flags);
	err_t (*tcp_output)(struct tcp_pcb *pcb);
	void (*tcp_recved)(struct tcp_pcb *pcb, u16_t len);
	err_t (*tcp_shutdown)(struct tcp_pcb *pcb, int rx, int tx);
	err_t (*tcp_close)(struct tcp_pcb *pcb);
	void (*tcp_abort)(struct tcp_pcb *pcb);
	void (*tcp_abandon)(struct tcp_pcb *pcb, int reset);
	void (*tcp_rst)(const struct tcp_pcb *pcb, u32_t seqno, u32_t ackno, const ip_addr_t *local_ip,
		const ip_addr_t *remote_ip, u16_t local_port, u16_t remote_port);
	/* Take back the memory of a pcb that lwIP has left in any state and nobody knows any more. */
	void (*tcp_reclaim)(struct tcp_pcb *pcb);
	void (*tcp_arg)(struct tcp_pcb *pcb, void *arg);
	void (*tcp_recv)(struct tcp_pcb *pcb, tcp_recv_fn fn);
	void (*tcp_sent)(struct tcp_pcb *pcb, tcp_sent_fn fn);
	void (*tcp_err)(struct tcp_pcb *pcb, tcp_err_fn fn);
	void (*ext_arg_set_callbacks)(struct tcp_pcb *pcb, u8_t id,
		const struct tcp_ext_arg_callbacks *cb);
	void (*ext_arg_set)(struct tcp_pcb *pcb, u8_t id, void *arg);
	err_t (*rexmit_rto_prepare)(struct tcp_pcb *pcb);
	void (*rexmit_rto_commit)(struct tcp_pcb *pcb);
	err_t (*zero_window_probe)(struct tcp_pcb *pcb);
	err_t (*split_unsent_seg)(struct tcp_pcb *pcb, u16_t split);
	err_t (*keepalive)(struct tcp_pcb *pcb);
	err_t (*send_empty_ack)(struct tcp_pcb *pcb);

	struct udp_pcb *(*udp_new)(void);
	void (*udp_remove)(struct udp_pcb *pcb);
	err_t (*udp_bind)(struct udp_pcb *pcb, const ip_addr_t *ip, u16_t port);
	err_t (*udp_sendto)(struct udp_pcb *pcb, struct pbuf *p, const ip_addr_t *ip, u16_t port);
	void (*udp_recv)(struct udp_pcb *pcb, udp_recv_fn fn, void *arg);
	void (*udp_reclaim)(struct udp_pcb *pcb); /* the same of a UDP pcb */

	struct pbuf *(*pbuf_alloc)(pbuf_layer layer, u16_t len, pbuf_type type);
	struct pbuf *(*pbuf_alloc_reference)(void *payload, u16_t len, pbuf_type type);
	void (*pbuf_cat)(struct pbuf *head, struct pbuf *tail);
	u8_t (*pbuf_free)(struct pbuf *p);
	void (*pbuf_reclaim)(struct pbuf *p); /* the same of a chain made by pbuf_alloc_reference() */
};

/* All images, made by the build; `lwip_images_n` of them. */
extern const struct lwip_image *const lwip_images[];
extern const unsigned int lwip_images_n;

#endif
