/* SPDX-License-Identifier: BSD-3-Clause */
/* EAL, a packet pool and frame builders for the unit tests of packet code. */
#include "tests/harness.h"

#include <CUnit/CUnit.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_eal.h>
#include <rte_ether.h>

#define POOL_PRIV_SIZE 256 /* of the stack's size class, so that layouts are those of the library */
#define PACKET_MAX (65535 + 64 + RTE_ETHER_HDR_LEN)

static unsigned int available;

struct rte_mempool *
harness_pool(void)
{
	static struct rte_mempool *pool;
	char *args[] = {"test", "--no-huge", "-m", "64", "--no-pci", "--no-shconf",
		"--no-telemetry", "--log-level=4", "-l", "0", NULL};

	if (pool != NULL)
		return pool;
	if (rte_eal_init(RTE_DIM(args) - 1, args) < 0) {
		fprintf(stderr, "EAL does not start\n");
		exit(2);
	}
	pool = rte_pktmbuf_pool_create("test", HARNESS_POOL_SIZE, 0, POOL_PRIV_SIZE,
		RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
	if (pool == NULL) {
		fprintf(stderr, "no packet pool\n");
		exit(2);
	}
	return pool;
}

void
harness_setup(void)
{
	available = rte_mempool_avail_count(harness_pool());
}

void
harness_teardown(void)
{
	CU_ASSERT_EQUAL(rte_mempool_avail_count(harness_pool()), available);
}

uint8_t
harness_pattern(uint32_t i)
{
	return i ^ (i >> 8) * 31;
}

struct rte_mbuf *
harness_packet(const void *data, uint32_t len, uint16_t seg)
{
	struct rte_mbuf *head = NULL, *tail = NULL;
	const uint8_t *bytes = data;
	uint32_t pos = 0;

	do {
		struct rte_mbuf *m = rte_pktmbuf_alloc(harness_pool());
		uint32_t part = len - pos;

		if (m == NULL) {
			fprintf(stderr, "test pool is empty\n");
			exit(2);
		}
		part = RTE_MIN(part, (uint32_t)rte_pktmbuf_tailroom(m));
		if (seg != 0)
			part = RTE_MIN(part, (uint32_t)seg);
		uint8_t *to = (uint8_t *)rte_pktmbuf_append(m, part);

		for (uint32_t i = 0; i < part; i++)
			to[i] = bytes != NULL ? bytes[pos + i] : harness_pattern(pos + i);
		pos += part;
		if (head == NULL) {
			head = m;
		} else {
			tail->next = m;
			head->nb_segs++;
			head->pkt_len += part;
		}
		tail = m;
	} while (pos < len);
	return head;
}

struct rte_mbuf *
harness_ip4_packet(const struct harness_ip4 *h, const void *data, uint32_t len, uint16_t seg)
{
	static uint8_t buf[PACKET_MAX];
	uint16_t l2 = h->ether ? RTE_ETHER_HDR_LEN : 0, l3 = sizeof(struct rte_ipv4_hdr) + h->options;
	struct rte_ipv4_hdr *ip = (struct rte_ipv4_hdr *)(buf + l2);
	struct rte_mbuf *m;

	memset(buf, 0, l2 + l3);
	if (h->ether)
		((struct rte_ether_hdr *)buf)->ether_type = RTE_BE16(RTE_ETHER_TYPE_IPV4);
	ip->version_ihl = 0x40 | l3 / 4;
	ip->total_length = rte_cpu_to_be_16(l3 + len);
	ip->packet_id = rte_cpu_to_be_16(h->id);
	ip->fragment_offset = rte_cpu_to_be_16(h->offset / 8 |
		(h->mf ? RTE_IPV4_HDR_MF_FLAG : 0) | (h->df ? RTE_IPV4_HDR_DF_FLAG : 0));
	ip->time_to_live = 64;
	ip->next_proto_id = h->proto;
	ip->src_addr = h->src;
	ip->dst_addr = h->dst;
	memset(ip + 1, 1, h->options);
	ip->hdr_checksum = 0;
	ip->hdr_checksum = ~rte_raw_cksum(ip, l3);
	for (uint32_t i = 0; i < len; i++)
		buf[l2 + l3 + i] = data != NULL ? ((const uint8_t *)data)[i]
						: harness_pattern(h->offset + i);
	m = harness_packet(buf, l2 + l3 + len, seg);
	m->l2_len = l2;
	m->l3_len = l3;
	return m;
}

uint32_t
harness_random(uint64_t *state)
{
	/* splitmix64: one word of state, every seed is good. */
	uint64_t z = *state += 0x9e3779b97f4a7c15;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return (z ^ z >> 31) >> 32;
}
