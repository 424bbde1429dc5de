/* SPDX-License-Identifier: BSD-3-Clause */
/* The inside of an image: the table of lwIP's functions, and the L4 entries that skip its IP layer. */
#include "lwip_image.h"

#include "lwip/icmp.h"
#include "lwip/init.h"
#include "lwip/ip.h"
#include "lwip/stats.h"
#include "lwip/sys.h"
#include "stack/heap.h"

/* lwIP's clock is ours (stack_clock); its own timers do not exist (stack/tcp_timer.c). */
u32_t
sys_now(void)
{
	return tcp_ticks;
}

void
tcp_timer_needed(void)
{
}

extern const struct lwip_image lwip_image;

static void
image_init(struct netif *netif, const ip4_addr_t *ip, const ip4_addr_t *mask, const ip4_addr_t *gw,
	void *state, netif_init_fn init)
{
	lwip_init();
	netif_add(netif, ip, mask, gw, state, init, NULL);
	netif_set_default(netif);
	netif_set_up(netif);
	netif_set_link_up(netif);
}

/* What ip4_input() leaves for the layer above: `classify` has done its checks already. */
static void
ip_enter(struct netif *netif, const struct ip_hdr *ip)
{
	ip_data.current_netif = netif;
	ip_data.current_input_netif = netif;
	ip_data.current_ip4_header = ip;
	ip_data.current_ip_header_tot_len = IPH_HL_BYTES(ip);
	ip_addr_copy_from_ip4(ip_data.current_iphdr_src, ip->src);
	ip_addr_copy_from_ip4(ip_data.current_iphdr_dest, ip->dest);
}

static void
image_tcp_input(struct pbuf *p, struct netif *netif, const struct ip_hdr *ip)
{
	ip_enter(netif, ip);
	tcp_input(p, netif);
}

static void
image_udp_input(struct pbuf *p, struct netif *netif, const struct ip_hdr *ip)
{
	ip_enter(netif, ip);
	udp_input(p, netif);
}

static void
image_icmp_input(struct pbuf *p, struct netif *netif, const struct ip_hdr *ip)
{
	ip_enter(netif, ip);
	icmp_input(p, netif);
}

/* Free what was allocated for `owner`, in the order of the lists; what is anything else ends them. */
static void
reclaim_pbufs(struct pbuf *p, const void *owner)
{
	while (heap_owns(p, owner)) {
		struct pbuf *next = p->next;

		stack_heap_free(p);
		p = next;
	}
}

static void
reclaim_segments(struct tcp_seg *seg, const void *owner)
{
	while (heap_owns(seg, owner)) {
		struct tcp_seg *next = seg->next;

		reclaim_pbufs(seg->p, owner);
		stack_heap_free(seg);
		seg = next;
	}
}

static void
image_tcp_reclaim(struct tcp_pcb *pcb)
{
	reclaim_segments(pcb->unacked, pcb);
	reclaim_segments(pcb->unsent, pcb);
	reclaim_segments(pcb->ooseq, pcb);
	reclaim_pbufs(pcb->refused_data, pcb);
	if (heap_owns(pcb, NULL))
		stack_heap_free(pcb);
}

static void
image_udp_reclaim(struct udp_pcb *pcb)
{
	if (heap_owns(pcb, NULL))
		stack_heap_free(pcb);
}

static void
image_pbuf_reclaim(struct pbuf *p)
{
	reclaim_pbufs(p, NULL);
}

static struct pbuf *
image_pbuf_alloc_reference(void *payload, u16_t len, pbuf_type type)
{
	return pbuf_alloc_reference(payload, len, type);
}

__attribute__((visibility("default"))) const struct lwip_image lwip_image = {
	.active_pcbs = &tcp_active_pcbs,
	.tw_pcbs = &tcp_tw_pcbs,
	.bound_pcbs = &tcp_bound_pcbs,
	.udp_pcbs = &udp_pcbs,
	.input_pcb = &tcp_input_pcb,
	.ticks = &tcp_ticks,
	.heap_units = &heap_units,
	.mib2 = &lwip_stats.mib2,
	.init = image_init,
	.ext_arg_alloc_id = tcp_ext_arg_alloc_id,
	.tcp_input = image_tcp_input,
	.udp_input = image_udp_input,
	.icmp_input = image_icmp_input,
	.tcp_new = tcp_new,
	.tcp_bind = tcp_bind,
	.tcp_connect = tcp_connect,
	.tcp_write = tcp_write,
	.tcp_output = tcp_output,
	.tcp_recved = tcp_recved,
	.tcp_shutdown = tcp_shutdown,
	.tcp_close = tcp_close,
	.tcp_abort = tcp_abort,
	.tcp_abandon = tcp_abandon,
	.tcp_rst = tcp_rst,
	.tcp_reclaim = image_tcp_reclaim,
	.tcp_arg = tcp_arg,
	.tcp_recv = tcp_recv,
	.tcp_sent = tcp_sent,
	.tcp_err = tcp_err,
	.ext_arg_set_callbacks = tcp_ext_arg_set_callbacks,
	.ext_arg_set = tcp_ext_arg_set,
	.rexmit_rto_prepare = tcp_rexmit_rto_prepare,
	.rexmit_rto_commit = tcp_rexmit_rto_commit,
	.zero_window_probe = tcp_zero_window_probe,
	.split_unsent_seg = tcp_split_unsent_seg,
	.keepalive = tcp_keepalive,
	.send_empty_ack = tcp_send_empty_ack,
	.udp_new = udp_new,
	.udp_remove = udp_remove,
	.udp_bind = udp_bind,
	.udp_sendto = udp_sendto,
	.udp_recv = udp_recv,
	.udp_reclaim = image_udp_reclaim,
	.pbuf_alloc = pbuf_alloc,
	.pbuf_alloc_reference = image_pbuf_alloc_reference,
	.pbuf_cat = pbuf_cat,
	.pbuf_free = pbuf_free,
	.pbuf_reclaim = image_pbuf_reclaim,
};
