/* SPDX-License-Identifier: BSD-3-Clause */
/* What the nodes around the neighbour table share: its life, and the requests they send. */
#include "nodes/arp_node.h"

#include <errno.h>

#include <rte_cycles.h>
#include <rte_random.h>

int
arp_node_init(struct graph *g, struct rte_node *node)
{
	struct worker *w = graph_user(g);

	if (w->arp != NULL)
		return 0;
	w->arp = arp_create(&(struct arp_params){.mac = w->mac,
		.announce = w->index == 0,
		.hz = rte_get_tsc_hz(),
		.seed = rte_rand()});
	return w->arp != NULL ? 0 : -ENOMEM;
}

void
arp_node_fini(struct graph *g, struct rte_node *node)
{
	struct worker *w = graph_user(g);

	arp_free(w->arp);
	w->arp = NULL;
}

static struct rte_mbuf *
new_frame(struct worker *w)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(w->pool);

	if (m == NULL)
		return NULL;
	m->port = w->port;
	m->l2_len = RTE_ETHER_HDR_LEN;
	graph_trace_end(m);
	return m;
}

struct rte_mbuf *
arp_node_probe(struct worker *w)
{
	struct rte_mbuf *m = new_frame(w);

	if (m != NULL)
		arp_write_request(rte_pktmbuf_append(m, ARP_FRAME_LEN), &w->mac, 0, w->addr, NULL);
	return m;
}

struct rte_mbuf *
arp_node_request(struct worker *w, const struct arp_entry *e)
{
	struct rte_mbuf *m = new_frame(w);

	if (m == NULL)
		return NULL;
	/* RFC 4861 7.3.3 in spirit: a known neighbour is asked alone, without disturbing others. One
	 * that stays silent while another claims its address: all are. */
	arp_write_request(rte_pktmbuf_append(m, ARP_FRAME_LEN), &w->mac, w->addr,
		e == NULL ? w->addr : e->ip,
		e != NULL && arp_is_resolved(e) && !(e->is_disputed && e->tries >= ARP_TRIES) ?
			&arp_header(e)->dst_addr : NULL);
	return m;
}
