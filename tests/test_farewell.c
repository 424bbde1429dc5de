/* SPDX-License-Identifier: BSD-3-Clause */
/* What becomes of an instance that has died: its peers, its address, and all that it had of ltran. */
#include <malloc.h>

#include "tests/registry_rig.h"

#define NEIGHBOUR_MAC 9 /* last byte of the address that ARP finds */

/* The next frame that the control thread sends; NULL after a while. */
static struct rte_mbuf *
next_frame(void)
{
	struct rte_mbuf *m = NULL;

	for (unsigned int i = 0; i < WAIT_S * 1000 && rte_ring_dequeue(lt->control, (void **)&m) < 0; i++)
		usleep(1000);
	return m;
}

static void
answer_arp(const struct rte_mbuf *request)
{
	struct rte_mbuf *m = rte_pktmbuf_copy(request, lt->pool, 0, UINT32_MAX);
	struct rte_arp_hdr *arp = rte_pktmbuf_mtod_offset(m, struct rte_arp_hdr *, 14);
	uint32_t asked = arp->arp_data.arp_tip;

	arp->arp_opcode = RTE_BE16(RTE_ARP_OP_REPLY);
	arp->arp_data.arp_tip = arp->arp_data.arp_sip;
	arp->arp_data.arp_sip = asked;
	arp->arp_data.arp_sha = (struct rte_ether_addr){{2, 0, 0, 0, 0, NEIGHBOUR_MAC}};
	CU_ASSERT_EQUAL(rte_ring_enqueue(lt->heard, m), 0);
}

static void
expect_arp(uint32_t target)
{
	struct rte_mbuf *m = next_frame();
	const struct rte_arp_hdr *arp;

	CU_ASSERT_PTR_NOT_NULL_FATAL(m);
	arp = rte_pktmbuf_mtod_offset(m, const struct rte_arp_hdr *, 14);
	CU_ASSERT_EQUAL(rte_pktmbuf_mtod(m, struct rte_ether_hdr *)->ether_type,
		RTE_BE16(RTE_ETHER_TYPE_ARP));
	CU_ASSERT_EQUAL(arp->arp_opcode, RTE_BE16(RTE_ARP_OP_REQUEST));
	CU_ASSERT_EQUAL(arp->arp_data.arp_sip, ADDR);
	CU_ASSERT_EQUAL(arp->arp_data.arp_tip, target);
	answer_arp(m);
	rte_pktmbuf_free(m);
}

/* The next frame that is no ARP: where we do not answer within 100 ms, the question is repeated. */
static struct rte_mbuf *
next_after_arp(void)
{
	struct rte_mbuf *m;

	while ((m = next_frame()) != NULL && rte_pktmbuf_mtod(m, struct rte_ether_hdr *)->ether_type ==
			RTE_BE16(RTE_ETHER_TYPE_ARP))
		rte_pktmbuf_free(m);
	return m;
}

static uint32_t
expect_probe(uint32_t raddr, uint16_t rport, uint16_t lport, uint8_t mac)
{
	struct rte_mbuf *m = mac == NEIGHBOUR_MAC ? next_after_arp() : next_frame();
	const struct rte_ipv4_hdr *ip;
	const struct rte_tcp_hdr *tcp;
	uint32_t seq;

	CU_ASSERT_PTR_NOT_NULL_FATAL(m);
	ip = rte_pktmbuf_mtod_offset(m, const struct rte_ipv4_hdr *, 14);
	tcp = (const struct rte_tcp_hdr *)(ip + 1);
	CU_ASSERT_EQUAL(rte_pktmbuf_mtod(m, struct rte_ether_hdr *)->dst_addr.addr_bytes[5], mac);
	CU_ASSERT_EQUAL(ip->src_addr, ADDR);
	CU_ASSERT_EQUAL(ip->dst_addr, raddr);
	CU_ASSERT_EQUAL(rte_raw_cksum(ip, 20), 0xffff);
	CU_ASSERT_EQUAL(rte_ipv4_udptcp_cksum_verify(ip, tcp), 0);
	CU_ASSERT_EQUAL(tcp->src_port, htons(lport));
	CU_ASSERT_EQUAL(tcp->dst_port, htons(rport));
	CU_ASSERT_EQUAL(tcp->tcp_flags, RTE_TCP_ACK_FLAG);
	seq = ntohl(tcp->sent_seq);
	rte_pktmbuf_free(m);
	return seq;
}

static void
show(struct instance *in, uint32_t raddr, uint16_t rport, uint16_t lport, uint8_t protocol)
{
	CU_ASSERT_TRUE(ltran_table_add(in->table, SLOTS,
		ltran_slot_key(raddr, htons(rport), htons(lport)), protocol));
}

static void
peers_of_a_dead_instance_are_asked(void)
{
	struct instance in;
	uint32_t seq;

	begin(&in, ADDR);
	CU_ASSERT_EQUAL(enter(&in), 0);
	show(&in, 0, 0, 80, IPPROTO_TCP);
	show(&in, PEER, 5000, 80, IPPROTO_TCP);
	show(&in, PEER, 5001, 81, IPPROTO_UDP);
	end(&in);
	expect_arp(PEER);
	seq = expect_probe(PEER, 5000, 80, NEIGHBOUR_MAC);
	CU_ASSERT_EQUAL(expect_probe(PEER, 5000, 80, NEIGHBOUR_MAC) ^ seq, 0x80000000);
	/* Twice more, for what was lost. */
	for (unsigned int i = 0; i < 4; i++)
		expect_probe(PEER, 5000, 80, NEIGHBOUR_MAC);
	EVENTUALLY(!lt->hearing);
	CU_ASSERT_EQUAL(rte_ring_count(lt->control), 0);
	CU_ASSERT_EQUAL(entry_of(ADDR).addr, ADDR);
}

static void
distant_peers_are_asked_through_the_gateway(void)
{
	struct instance in;

	begin(&in, ADDR);
	CU_ASSERT_EQUAL(enter(&in), 0);
	show(&in, FAR, 5000, 80, IPPROTO_TCP);
	end(&in);
	expect_arp(GATEWAY);
	expect_probe(FAR, 5000, 80, NEIGHBOUR_MAC);
}

static void
neighbour_on_this_host_needs_no_arp(void)
{
	struct instance in, other;

	begin(&in, ADDR);
	begin(&other, OTHER);
	CU_ASSERT_EQUAL(enter(&in) | enter(&other), 0);
	show(&in, OTHER, 5000, 80, IPPROTO_TCP);
	end(&in);
	expect_probe(OTHER, 5000, 80, 1);
	end(&other);
}

static void
hop_that_never_answers_is_given_up(void)
{
	struct instance in;
	unsigned int n = 0;

	begin(&in, ADDR);
	CU_ASSERT_EQUAL(enter(&in), 0);
	show(&in, PEER, 5000, 80, IPPROTO_TCP);
	end(&in);
	EVENTUALLY(lt->hearing);
	EVENTUALLY(!lt->hearing);
	n = rte_ring_count(lt->control);
	CU_ASSERT_EQUAL(n, 5);
}

static void
address_may_come_back_while_peers_are_asked(void)
{
	struct instance in, again;

	begin(&in, ADDR);
	CU_ASSERT_EQUAL(enter(&in), 0);
	for (uint16_t i = 0; i < 100; i++)
		show(&in, PEER, 5000 + i, 80, IPPROTO_TCP);
	end(&in);
	begin(&again, ADDR);
	CU_ASSERT_EQUAL(enter(&again), 0);
	expect_arp(PEER);
	for (uint16_t i = 0; i < 200; i++)
		rte_pktmbuf_free(next_frame());
	CU_ASSERT_EQUAL(entry_of(ADDR).n, 1);
	end(&again);
}

/* It registers and leaves, each time with connections that never were. */
static void
who_leaves_again_and_again_is_not_loud(void)
{
	struct instance in;
	unsigned int n = 0;

	for (unsigned int k = 0; k < 40; k++) {
		begin(&in, ADDR);
		CU_ASSERT_EQUAL_FATAL(enter(&in), 0);
		for (uint32_t i = 0; i < 100; i++)
			show(&in, IP(198, 18, 4, 100) + RTE_BE32(i), 5000 + k, 80, IPPROTO_TCP);
		end(&in);
	}
	for (unsigned int ms = 0; ms < 500; ms++) {
		struct rte_mbuf *m;

		while (rte_ring_dequeue(lt->control, (void **)&m) == 0) {
			rte_pktmbuf_free(m);
			n++;
		}
		usleep(1000);
	}
	CU_ASSERT_TRUE(n >= 100); /* the first one's neighbours at least */
	CU_ASSERT_TRUE(n < 256 + 100 * WAIT_S); /* not 4,000 each 100 ms */
}

static void
broken_ring_ends_the_registration(void)
{
	struct instance in;

	begin(&in, ADDR);
	CU_ASSERT_EQUAL(enter(&in), 0);
	ring_breaks = true;
	CU_ASSERT_TRUE(is_closed(in.fd));
	EVENTUALLY(n_members() == 0);
	end(&in);
}

static void
gone_addresses_are_forgotten_in_time(void)
{
	struct instance in;

	conf.tcp_conn_scan_interval = 1;
	begin(&in, ADDR);
	CU_ASSERT_EQUAL(enter(&in), 0);
	end(&in);
	EVENTUALLY(entry_of(ADDR).n == 0);
	CU_ASSERT_EQUAL(entry_of(ADDR).addr, ADDR);
	EVENTUALLY(entry_of(ADDR).addr == 0);
}

static unsigned int
n_mappings(void)
{
	FILE *f = fopen("/proc/self/maps", "r");
	unsigned int n = 0;
	int c;

	while ((c = fgetc(f)) != EOF)
		n += c == '\n';
	fclose(f);
	return n;
}

static void
come_and_go(unsigned int n)
{
	struct instance in;

	for (unsigned int i = 0; i < n; i++) {
		begin(&in, ADDR + RTE_BE32(i % 100));
		CU_ASSERT_EQUAL_FATAL(enter(&in), 0);
		end(&in);
		EVENTUALLY(n_members() == 0);
	}
}

static void
nothing_is_left_of_a_thousand_dead(void)
{
	unsigned int files, mappings;
	size_t heap;

	come_and_go(150);
	EVENTUALLY(!lt->hearing);
	files = open_files();
	mappings = n_mappings();
	heap = mallinfo2().uordblks;
	come_and_go(1000);
	EVENTUALLY(!lt->hearing);
	EVENTUALLY(open_files() == files);
	CU_ASSERT(n_mappings() <= mappings + 1);
	CU_ASSERT(mallinfo2().uordblks <= heap + 1024);
	CU_ASSERT_EQUAL(n_rings, 0);
	CU_ASSERT_EQUAL(rte_mempool_in_use_count(lt->pool), 0);
}

static const struct cunit_test tests[] = {
	CUNIT_TEST(peers_of_a_dead_instance_are_asked),
	CUNIT_TEST(distant_peers_are_asked_through_the_gateway),
	CUNIT_TEST(neighbour_on_this_host_needs_no_arp),
	CUNIT_TEST(hop_that_never_answers_is_given_up),
	CUNIT_TEST(address_may_come_back_while_peers_are_asked),
	CUNIT_TEST(who_leaves_again_and_again_is_not_loud),
	CUNIT_TEST(broken_ring_ends_the_registration),
	CUNIT_TEST(gone_addresses_are_forgotten_in_time),
	CUNIT_TEST(nothing_is_left_of_a_thousand_dead),
};
RIG_MAIN("farewell", tests)
