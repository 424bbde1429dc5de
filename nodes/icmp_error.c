/* SPDX-License-Identifier: BSD-3-Clause */
/* ICMP errors that nodes send (RFC 792, RFC 1122 3.2.2), at a bounded rate. */
#include "nodes/icmp_error.h"

#include <netinet/in.h>
#include <string.h>

#include <rte_icmp.h>
#include <rte_ip.h>
#include <rte_mbuf.h>

#include "nodes/worker.h"

#define QUOTE_MAX (576 - sizeof(struct rte_ipv4_hdr) - sizeof(struct rte_icmp_hdr)) /* RFC 1812 */
#define RATE 1000 /* errors per second and core, as Linux's icmp_msgs_per_sec */
#define BURST 50
#define TTL 64

bool
icmp_error_take(struct token_bucket *b, uint64_t now, uint64_t hz)
{
	return token_bucket_take(b, RATE, BURST, now, hz);
}

struct rte_mbuf *
icmp_error_build(const struct worker *w, const struct rte_mbuf *m, uint8_t type, uint8_t code)
{
	const struct rte_ipv4_hdr *from;
	struct rte_mbuf *reply = rte_pktmbuf_alloc(w->pool);
	struct rte_icmp_hdr *icmp;
	struct rte_ipv4_hdr *ip;
	const void *quoted;
	uint16_t quote;

	if (reply == NULL)
		return NULL;
	from = rte_pktmbuf_mtod_offset(m, const struct rte_ipv4_hdr *, m->l2_len);
	quote = RTE_MIN(m->pkt_len - m->l2_len, QUOTE_MAX);
	ip = (void *)rte_pktmbuf_append(reply, sizeof(*ip) + sizeof(*icmp) + quote);
	if (ip == NULL) {
		rte_pktmbuf_free(reply);
		return NULL;
	}
	icmp = (struct rte_icmp_hdr *)(ip + 1);
	quoted = rte_pktmbuf_read(m, m->l2_len, quote, icmp + 1);
	if (quoted != icmp + 1)
		memcpy(icmp + 1, quoted, quote);
	*ip = (struct rte_ipv4_hdr){
		.version_ihl = RTE_IPV4_VHL_DEF,
		.type_of_service = 0xc0, /* internetwork control: RFC 1812 4.3.2.5 */
		.total_length = htons(reply->pkt_len),
		.time_to_live = TTL,
		.next_proto_id = IPPROTO_ICMP,
		.src_addr = w->addr,
		.dst_addr = from->src_addr,
	};
	*icmp = (struct rte_icmp_hdr){
		.icmp_type = type,
		.icmp_code = code,
	};
	icmp->icmp_cksum = ~rte_raw_cksum(icmp, sizeof(*icmp) + quote);
	reply->l2_len = 0;
	reply->l3_len = sizeof(*ip);
	reply->l4_len = sizeof(*icmp);
	reply->ol_flags = RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_IP_CKSUM;
	return reply;
}
