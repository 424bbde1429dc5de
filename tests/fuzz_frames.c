/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Fuzzer of whole frames: two instances, each with its graph (classify to tcp-to-lwip, socket-tx to
 * arp-resolve) and its lwIP, talk over a wire in virtual time. The input says what the programs do and
 * what the wire makes of the frames that really pass, so that sequence numbers, ports and time stamps
 * are right and the damage gets far: options, lengths, flags and windows are changed, frames are cut
 * into fragments, held back, doubled and forged.
 *
 * Always: no assertion of lwIP, no sanitizer's finding, bounded tables. At the end of every input all
 * is closed, the wire is mended and time passes: no connection and no packet may be left.
 */
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include <rte_arp.h>
#include <rte_icmp.h>
#include <rte_ip.h>
#include <rte_tcp.h>
#include <rte_udp.h>

#include "nodes/arp_node.h"
#include "nodes/icmp_error.h"
#include "stack/sock.h"
#include "tests/frame_damage.h"
#include "tests/fuzz_host.h"

#define FUZZ_RUNS 1000
#define FUZZ_TAIL 600
#include "tests/fuzz_main.h"

#define CONNS 6
#define PORT 7000
#define SETTLE_S 400 /* every timer of a connection nobody wants any more */
#define OP_BYTES 4

struct side {
	struct fuzz_host h; /* first: `sent` is given it */
	struct rte_mbuf *held; /* is overtaken */
	struct sock *listener, *udp, *conns[CONNS];
};

static struct side sides[2];
static struct frame_damage damage; /* of the next frame */

static uint32_t
address(const struct side *s)
{
	return rte_cpu_to_be_32(0xc6120001u + (uint32_t)(s - sides));
}

/* --- the wire ---------------------------------------------------------------------------------- */

/* Cut `m` in two fragments (RFC 791); `skew` in units of 8 bytes lets them overlap or leave a hole. */
static void
fragment(struct side *to, struct rte_mbuf *m, uint8_t where, int8_t skew)
{
	uint16_t off = RTE_ETHER_HDR_LEN + sizeof(struct rte_ipv4_hdr), payload = m->data_len - off;
	uint16_t first = (1 + where % RTE_MAX(payload / 8, 1)) * 8;
	struct rte_mbuf *head, *tail;

	if (payload <= first)
		return fuzz_host_arrive(&to->h, m);
	head = rte_pktmbuf_copy(m, fuzz_pool, 0, off + first);
	tail = rte_pktmbuf_copy(m, fuzz_pool, 0, UINT32_MAX);
	if (head != NULL) {
		frame_ip4(head)->total_length = rte_cpu_to_be_16(head->data_len - RTE_ETHER_HDR_LEN);
		frame_ip4(head)->fragment_offset = RTE_BE16(RTE_IPV4_HDR_MF_FLAG);
		frame_seal(head);
	}
	if (tail != NULL) {
		memmove(rte_pktmbuf_mtod_offset(tail, char *, off),
			rte_pktmbuf_mtod_offset(tail, char *, off + first), payload - first);
		rte_pktmbuf_trim(tail, first);
		frame_ip4(tail)->total_length = rte_cpu_to_be_16(tail->data_len - RTE_ETHER_HDR_LEN);
		frame_ip4(tail)->fragment_offset = rte_cpu_to_be_16((first / 8 + skew) & 0x1fff);
		frame_seal(tail);
	}
	rte_pktmbuf_free(m);
	fuzz_host_arrive(&to->h, where % 2 ? head : tail);
	fuzz_host_arrive(&to->h, where % 2 ? tail : head);
}

/* One frame of `from`, a copy that is plain and its own, damaged as the input says, once. */
static void
carry(struct fuzz_host *from, struct rte_mbuf *m)
{
	struct side *to = &sides[from == &sides[0].h];
	struct frame_damage d = damage;

	damage = (struct frame_damage){0};
	if (frame_is_ip4(m))
		frame_seal(m);
	switch (d.kind % 16) {
	case 0:
		break;
	case 1:
		return rte_pktmbuf_free(m);
	case 2:
		fuzz_host_arrive(&to->h, rte_pktmbuf_copy(m, fuzz_pool, 0, UINT32_MAX));
		break;
	case 3:
		if (to->held == NULL) {
			to->held = m;
			return;
		}
		break;
	case 4:
		if (frame_is_ip4(m))
			return fragment(to, m, d.a, d.b % 8 == 0 ? (int8_t)d.b / 8 : 0);
		break;
	case 5:
	case 6:
		rte_pktmbuf_mtod(m, uint8_t *)[(d.a | d.b << 8) % m->data_len] ^= d.kind;
		break;
	case 7:
	case 8:
		if (frame_is_ip4(m))
			frame_change_ip(m, (struct frame_damage){d.kind / 16, d.a, d.b});
		break;
	default:
		if (frame_is_ip4(m) && frame_tcp(m) != NULL)
			frame_change_tcp(m, frame_tcp(m), (struct frame_damage){d.kind / 16, d.a, d.b});
	}
	if (frame_is_ip4(m))
		frame_seal(m);
	fuzz_host_arrive(&to->h, m);
	if (to->held != NULL && d.kind % 16 != 3) {
		fuzz_host_arrive(&to->h, to->held);
		to->held = NULL;
	}
}

/* --- set-up ------------------------------------------------------------------------------------ */

static void
start(void)
{
	if (fuzz_pool != NULL)
		return;
	fuzz_hosts_start();
	for (unsigned int i = 0; i < 2; i++) {
		fuzz_host_make(&sides[i].h, i == 0 ? "fuzz0" : "fuzz1", address(&sides[i]), 1 + i);
		sides[i].h.sent = carry;
	}
}

static void
run_us(uint64_t us)
{
	static struct fuzz_host *const both[] = {&sides[0].h, &sides[1].h};

	fuzz_hosts_run(both, 2, us);
}

/* --- what programs and strangers do ------------------------------------------------------------ */

static void
open_listeners(struct side *s)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(PORT)};

	fuzz_require(sock_open(s->h.group, SOCK_TCP, &s->listener) == 0 &&
		sock_bind(s->listener, &at) == 0 && sock_listen(s->listener, 16) == 0, "no listener");
	fuzz_require(sock_open(s->h.group, SOCK_UDP, &s->udp) == 0 && sock_bind(s->udp, &at) == 0,
		"no UDP socket");
}

static void
connect_one(struct side *s, struct sock **c)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(PORT),
		.sin_addr.s_addr = address(&sides[s == &sides[0]])};

	if (*c == NULL && sock_open(s->h.group, SOCK_TCP, c) == 0)
		sock_connect(*c, &at);
}

static void
close_one(struct sock **c)
{
	if (*c != NULL)
		sock_close(*c);
	*c = NULL;
}

static void
send_some(struct side *s, struct sock *c, uint16_t len)
{
	static char data[65536];
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(PORT),
		.sin_addr.s_addr = address(&sides[s == &sides[0]])};
	struct iovec iov = {data, len};

	if (c != NULL)
		sock_send(c, &iov, 1, 0, c == s->udp ? &at : NULL);
}

static void
receive_some(struct sock *c)
{
	static char data[65536];
	struct iovec iov = {data, sizeof(data)};

	if (c != NULL)
		sock_recv(c, &iov, 1, 0, NULL, NULL);
}

/* A frame of somebody who may not exist: ARP of any kind, a ping, a SYN. */
static void
forge(struct side *to, uint8_t kind, uint8_t a, uint8_t b)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(fuzz_pool);
	uint32_t sender = rte_cpu_to_be_32(0xc6120000u | (uint32_t)(a | b << 8));
	struct rte_ether_hdr *eth;
	struct rte_ipv4_hdr *ip;
	struct rte_arp_hdr *arp;

	if (m == NULL)
		return;
	eth = (struct rte_ether_hdr *)rte_pktmbuf_append(m, 60);
	memset(eth, 0, 60);
	ip = (struct rte_ipv4_hdr *)(eth + 1);
	arp = (struct rte_arp_hdr *)(eth + 1);
	if (kind % 4 < 2) {
		struct rte_ether_addr mac = {{2, 0, 0, b, a, (uint8_t)(kind % 4)}};

		arp_write_request(eth, &mac, sender, kind & 4 ? sender : to->h.w.addr, NULL);
		arp->arp_opcode = rte_cpu_to_be_16(1 + kind % 4);
		arp->arp_data.arp_tha = kind & 8 ? to->h.w.mac : mac;
	} else {
		*ip = (struct rte_ipv4_hdr){.version_ihl = RTE_IPV4_VHL_DEF,
			.total_length = RTE_BE16(40), .time_to_live = 64,
			.next_proto_id = kind % 4 == 2 ? IPPROTO_ICMP : IPPROTO_TCP,
			.src_addr = sender, .dst_addr = to->h.w.addr};
		eth->dst_addr = to->h.w.mac;
		eth->src_addr = (struct rte_ether_addr){{2, 0, 0, b, a, 7}};
		eth->ether_type = RTE_BE16(RTE_ETHER_TYPE_IPV4);
		if (kind % 4 == 2)
			((struct rte_icmp_hdr *)(ip + 1))->icmp_type = kind & 16 ? kind / 16 : 8;
		else
			*(struct rte_tcp_hdr *)(ip + 1) = (struct rte_tcp_hdr){
				.src_port = a, .dst_port = RTE_BE16(PORT), .sent_seq = kind,
				.data_off = 0x50, .tcp_flags = kind / 16 ? kind / 4 : RTE_TCP_SYN_FLAG,
				.rx_win = UINT16_MAX};
		frame_seal(m);
	}
	fuzz_host_arrive(&to->h, m);
}

static void
step(const uint8_t op[OP_BYTES])
{
	struct side *s = &sides[op[0] & 1];
	struct sock **c = &s->conns[op[1] % CONNS];

	switch (op[0] / 2 % 16) {
	case 0:
		connect_one(s, c);
		break;
	case 1:
		if (*c == NULL && sock_accept(s->listener, c, NULL) < 0)
			*c = NULL;
		break;
	case 2:
	case 3:
		send_some(s, *c, (op[2] | op[3] << 8) + 1);
		break;
	case 4:
		receive_some(*c);
		break;
	case 5:
		if (*c != NULL)
			sock_shutdown(*c, op[2] % 3);
		break;
	case 6:
		close_one(c);
		break;
	case 7:
		send_some(s, s->udp, (op[2] | op[3] << 8) % 9000);
		receive_some(s->udp);
		break;
	case 8:
		forge(s, op[1], op[2], op[3]);
		break;
	case 9: /* time without work for the wire: the stacks see it all the same */
		fuzz_now_us += (uint64_t)(op[1] + 1) << (op[2] % 16);
		break;
	default:
		damage = (struct frame_damage){op[1], op[2], op[3]};
	}
	run_us(op[0] & 0x80 ? 2000 : 500);
	fuzz_require(arp_count(s->h.w.arp) <= ARP_ENTRIES_MAX &&
		arp_count_waiting(s->h.w.arp) <= ARP_WAITING_MAX, "the neighbour table is too large");
}

static unsigned int
count_conns(void)
{
	return fuzz_host_conns(&sides[0].h) + fuzz_host_conns(&sides[1].h);
}

/* All goes, the wire is whole again, time passes. */
static void
finish(void)
{
	damage = (struct frame_damage){0};
	for (struct side *s = sides; s < sides + 2; s++) {
		for (unsigned int i = 0; i < CONNS; i++)
			close_one(&s->conns[i]);
		close_one(&s->listener);
		close_one(&s->udp);
		rte_pktmbuf_free(s->held);
		s->held = NULL;
	}
	run_us(1000);
	for (unsigned int i = 0; i < SETTLE_S && count_conns() + fuzz_packets() > 0; i++) {
		fuzz_now_us += 1000000;
		run_us(300);
	}
	fuzz_require(count_conns() == 0, "a connection is left");
	fuzz_require(fuzz_packets() == 0, "packets leaked");
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	start();
	open_listeners(&sides[0]);
	open_listeners(&sides[1]);
	for (; size >= OP_BYTES; data += OP_BYTES, size -= OP_BYTES)
		step(data);
	finish();
	return 0;
}

/* Connect, accept, talk both ways, with damage between; names of operations are in step(). */
static const char *const seeds[] = {
	"@000@000@000C000D0zzE0zzI000H000D0zzE0zz@100@100C100D1z@E1z@H100I100J000K100",
	"@000@000C000D0\xff\x7f" "T999T\x04\x10" "0H000T\x03" "00D0\xff\x20" "T\x14\x02\x01" "H000H000L000M000",
	"@000T9@0C000P000P100P212P3\x41 P\x09" "12N0\xff\x10" "O0\xff\x20" "T\x04\x20\x10" "R0\x0f" "0",
	"@000C000T\x89" "0zT\x99" "1zT\xa9" "9zT\xb9" "0zD0\x01zT\xc9" "\x02\x05H000T\xd9" "\x02\x05" "E0zz",
};

FUZZ_MAIN(seeds)
