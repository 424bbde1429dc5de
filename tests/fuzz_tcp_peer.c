/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Fuzzer of TCP: one instance, its graph and its stack, and peers that speak to it by hand. The input is a
 * list of what peers and program do: handshakes, data both ways, FINs, resets, floods of SYNs that
 * fill the queue of requests, time. A segment is right but for one field, which the input names:
 * number, acknowledgement, window, flags, an option, lengths, checksum, order, number of times.
 *
 * Always: what the program reads is what a peer has sent in the window, byte by byte; no connection without
 * the whole handshake (with a cookie, too); none is reset by a segment that is not exactly the reset
 * it should be; nothing is acknowledged that was not sent; no data
 * beyond the largest window of the peer; its own window never goes back (fuzz_peer.c has the rest). At the end peers are honest: what is still
 * connected must come to its end, then all is closed and no memory may be left.
 */
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include <rte_arp.h>
#include <rte_ether.h>
#include <rte_ip.h>
#include <rte_tcp.h>

#include "nodes/arp_node.h"
#include "stack/impl.h"
#include "tests/frame_damage.h"
#include "tests/fuzz_program.h"

#define FUZZ_RUNS 3000
#define FUZZ_TAIL 300
#include "tests/fuzz_main.h"

#define OP_BYTES 5
#define LEN_UNIT 6
#define HEARD_MAX 8192
#define SETTLE_S 400     /* every timer of a connection nobody wants any more */
#define HONEST_ROUNDS 120
#define PATIENCE_US 20000000 /* the stack gives up nothing earlier */

struct fuzz_peer fuzz_peers[FUZZ_PEERS];
static struct rte_mbuf *heard[HEARD_MAX]; /* frames of the host that nobody has looked at */
static unsigned int n_heard;
static uint64_t passed_us; /* by hand, within this input */

static const uint8_t options[][12] = {
	{2, 4, 5, 0xb4, 1, 3, 3, 7, 1, 1, 4, 2},   /* MSS 1460, scale 7, SACK */
	{2, 4, 2, 0x18, 4, 2, 1, 1, 1, 1, 1, 1},   /* MSS 536, SACK, no scale */
	{2, 4, 0, 1, 3, 3, 14, 1, 0, 0, 0, 0},     /* the smallest MSS, the largest scale */
	{8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 1, 1},     /* time stamps alone */
};

/* --- the wire -------------------------------------------------------------------------------------- */

static void
keep(struct fuzz_host *from, struct rte_mbuf *m)
{
	if (n_heard == HEARD_MAX)
		rte_pktmbuf_free(m);
	else
		heard[n_heard++] = m;
}

static void
answer_arp(const struct rte_mbuf *q)
{
	const struct rte_arp_hdr *arp = rte_pktmbuf_mtod_offset(q, void *, RTE_ETHER_HDR_LEN);
	struct rte_ether_addr mac = {{2, 0, 0, 0, 1, (uint8_t)(arp->arp_data.arp_tip >> 24)}};
	struct rte_mbuf *m = rte_pktmbuf_alloc(fuzz_pool);
	struct rte_ether_hdr *eth;
	struct rte_arp_hdr *answer;

	if (m == NULL)
		return;
	eth = (struct rte_ether_hdr *)rte_pktmbuf_append(m, 60);
	memset(eth, 0, 60);
	arp_write_request(eth, &mac, arp->arp_data.arp_tip, fuzz_peer_host.w.addr, NULL);
	answer = (struct rte_arp_hdr *)(eth + 1);
	answer->arp_opcode = RTE_BE16(RTE_ARP_OP_REPLY);
	answer->arp_data.arp_tha = fuzz_peer_host.w.mac;
	fuzz_host_arrive(&fuzz_peer_host, m);
}

static void
hear_tcp(const struct rte_mbuf *m)
{
	const struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod_offset(m, void *, RTE_ETHER_HDR_LEN);
	const struct rte_tcp_hdr *tcp = (const struct rte_tcp_hdr *)(ip + 1);

	for (struct fuzz_peer *p = fuzz_peers; p < fuzz_peers + FUZZ_PEERS; p++) {
		if (p->addr != ip->dst_addr || htons(p->port) != tcp->dst_port)
			continue;
		if (p->is_active && !p->heard)
			p->lport = ntohs(tcp->src_port);
		if (htons(p->lport) == tcp->src_port)
			fuzz_peer_hear(p, (const uint8_t *)ip, m->data_len - RTE_ETHER_HDR_LEN);
	}
}

void
fuzz_peer_listen(void)
{
	for (unsigned int i = 0; i < n_heard; i++) {
		const struct rte_ether_hdr *eth = rte_pktmbuf_mtod(heard[i], struct rte_ether_hdr *);

		fuzz_require(heard[i]->nb_segs == 1, "a frame above the MTU");
		if (eth->ether_type == RTE_BE16(RTE_ETHER_TYPE_ARP))
			answer_arp(heard[i]);
		else if (frame_is_ip4(heard[i]) && frame_tcp(heard[i]) != NULL)
			hear_tcp(heard[i]);
		rte_pktmbuf_free(heard[i]);
	}
	n_heard = 0;
}

static void
run_us(uint64_t us)
{
	static struct fuzz_host *const hosts[] = {&fuzz_peer_host};

	fuzz_hosts_run(hosts, 1, us);
	fuzz_peer_listen();
}

static void
pass_us(uint64_t us)
{
	fuzz_now_us += us;
	passed_us += us;
	for (unsigned int i = 0; i < FUZZ_PEERS && passed_us > PATIENCE_US; i++)
		fuzz_peers[i].may_time_out = true;
	run_us(2 * FUZZ_HOST_STEP_US);
}

/* --- peers ------------------------------------------------------------------------------------------ */

static void
begin_peer(struct fuzz_peer *p)
{
	fuzz_program_close(p);
	fuzz_peer_renew(p);
	p->lport = FUZZ_PORT;
	p->may_time_out = passed_us > PATIENCE_US;
}

static void
connect_to(struct fuzz_peer *p)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = p->addr};

	begin_peer(p);
	p->is_active = true;
	p->lport = 0;
	at.sin_port = htons(p->port);
	if (sock_open(fuzz_peer_host.group, SOCK_TCP, &p->s) == 0)
		sock_connect(p->s, &at);
}

static void
send_syn(struct fuzz_peer *p, struct fuzz_segment s, uint8_t which)
{
	s.seq = p->iss;
	s.ack = p->host_iss + 1;
	s.flags = p->is_active ? RTE_TCP_SYN_FLAG | RTE_TCP_ACK_FLAG : RTE_TCP_SYN_FLAG;
	if (which % 8 < RTE_DIM(options)) {
		memcpy(s.opt, options[which % 8], sizeof(options[0]));
		s.opt_len = sizeof(options[0]);
	}
	fuzz_peer_send(p, &s);
}

/* SYNs of invented addresses: the queue of requests is full of them. */
static void
flood(uint8_t n)
{
	static uint32_t at;

	for (unsigned int i = 0; i < n % 32u; i++) {
		struct fuzz_peer nobody = {.addr = rte_cpu_to_be_32(0xc6124000u + at++ % 4096),
			.port = 4000, .lport = FUZZ_PORT};
		struct fuzz_segment s = {.seq = at, .flags = RTE_TCP_SYN_FLAG, .wnd = 64240};

		fuzz_peer_send(&nobody, &s);
	}
}

static void
send_data(struct fuzz_peer *p, struct fuzz_segment s, uint16_t len, uint32_t at)
{
	s.len = RTE_MIN(len, FUZZ_PEER_MSS);
	s.seq = p->iss + 1 + at;
	s.flags |= RTE_TCP_PSH_FLAG;
	fuzz_peer_send(p, &s);
}

/* SACK blocks, of what the host may or may not have sent. */
static void
send_sack(struct fuzz_peer *p, struct fuzz_segment s, uint8_t from, uint8_t n)
{
	uint32_t left = htonl(s.ack + from * 100), right = htonl(s.ack + (from + n) * 100);

	s.opt_len = 12;
	s.opt[0] = s.opt[1] = 1;
	s.opt[2] = 5;
	s.opt[3] = 10;
	memcpy(s.opt + 4, &left, 4);
	memcpy(s.opt + 8, &right, 4);
	fuzz_peer_send(p, &s);
}

static void
step_peer(struct fuzz_peer *p, uint8_t what, const uint8_t *arg)
{
	struct fuzz_segment s = fuzz_peer_segment(p);
	uint16_t len = arg[3] * LEN_UNIT;

	s.kind = arg[0];
	s.a = arg[1];
	s.b = arg[2];
	switch (what) {
	case 0:
		send_syn(p, s, arg[3]);
		break;
	case 1:
		if (arg[3] & 0x80)
			send_sack(p, s, s.a, arg[3] & 0x7f);
		else
			fuzz_peer_send(p, &s);
		break;
	case 2:
		if (p->next + len < FUZZ_STREAM_MAX / 4)
			send_data(p, s, len, p->next);
		p->next += p->heard ? RTE_MIN(len, FUZZ_PEER_MSS) : 0;
		break;
	case 3: /* again from what the host acknowledges */
		send_data(p, s, len, p->said_ack);
		break;
	case 4: /* out of order */
		send_data(p, s, len / 2, p->next + len);
		break;
	case 5:
		s.flags |= RTE_TCP_FIN_FLAG;
		send_data(p, s, len, p->next);
		break;
	case 6:
		s.flags = arg[3] & 1 ? RTE_TCP_RST_FLAG : RTE_TCP_RST_FLAG | RTE_TCP_ACK_FLAG;
		fuzz_peer_send(p, &s);
		break;
	default:
		if (arg[3] < RTE_MIN(p->n_past, (unsigned int)FUZZ_PEER_PAST))
			fuzz_peer_send(p, &p->past[arg[3]]);
		else if (arg[3] & 0x80)
			begin_peer(p);
	}
}

static void
step(const uint8_t op[OP_BYTES])
{
	struct fuzz_peer *p = &fuzz_peers[op[0] % FUZZ_PEERS];

	switch (op[0] / FUZZ_PEERS % 16) {
	case 8:
		fuzz_program_accept();
		break;
	case 9:
		fuzz_program_read(p, op[2] << 8 | op[1]);
		break;
	case 10:
		fuzz_program_write(p, op[2] << 8 | op[1]);
		break;
	case 11:
		if (op[1] % 4 == 3)
			fuzz_program_close(p);
		else
			fuzz_program_shut(p, op[1] % 4 == 2 ? SHUT_RDWR : SHUT_WR);
		break;
	case 12:
		pass_us((uint64_t)(op[1] + 1) << op[2] % 16);
		break;
	case 13:
		flood(op[1]);
		break;
	case 14:
		connect_to(p);
		break;
	case 15:
		fuzz_program_read(p, UINT16_MAX);
		break;
	default:
		step_peer(p, op[0] / FUZZ_PEERS % 16, op + 1);
	}
	run_us(op[0] & 0x40 ? 10 * FUZZ_HOST_STEP_US : FUZZ_HOST_STEP_US);
	if (op[0] & 0x80)
		fuzz_program_accept();
}

/* --- the end ---------------------------------------------------------------------------------------- */

static bool
is_good(const struct fuzz_peer *p)
{
	return p->s != NULL && p->is_proven && !p->is_shut && !p->may_be_reset && !p->may_time_out;
}

/* Some segments of what the host has not got, or an ACK. */
static void
send_missing(struct fuzz_peer *p, uint32_t end)
{
	struct fuzz_view v = fuzz_peer_view(p);
	uint32_t at = v.rcv_nxt - p->iss - 1, most = RTE_MIN(end, at + v.rcv_wnd);
	struct fuzz_segment s = fuzz_peer_segment(p);

	fuzz_require(v.is_there, "a connection is lost");
	s.seq = v.rcv_nxt;
	do {
		s.len = at < most ? RTE_MIN(most - at, (uint32_t)FUZZ_PEER_MSS) : 0;
		fuzz_peer_send(p, &s);
		s.seq += s.len;
		at += s.len;
	} while (s.len > 0 && at < most);
}

/* From here on nothing is wrong any more: all arrives. */
static void
be_honest(struct fuzz_peer *p)
{
	uint32_t end = RTE_MAX(p->next, p->high), before = 0;

	p->holds = false;
	/* Small segments take many rounds; each of so many in a row has to bring something. */
	for (unsigned int i = 0; i < HONEST_ROUNDS; i++) {
		if (p->n_read + p->host_next != before)
			i = 0;
		before = p->n_read + p->host_next;
		while (fuzz_program_read(p, UINT16_MAX) > 0)
			;
		if ((p->n_read >= end || p->is_eof) && p->host_next == p->n_written)
			return;
		send_missing(p, end);
		fuzz_now_us += i < HONEST_ROUNDS / 2 ? 200000 : 5000000;
		run_us(2 * FUZZ_HOST_STEP_US);
	}
	fuzz_require(false, "a connection does not go on");
}

/* What ends a connection at once. */
static void
reset_host(struct fuzz_peer *p)
{
	struct fuzz_view v = fuzz_peer_view(p);
	struct fuzz_segment s = {.seq = v.rcv_nxt, .ack = v.snd_nxt,
		.flags = RTE_TCP_RST_FLAG | RTE_TCP_ACK_FLAG};

	if (v.is_there)
		fuzz_peer_send(p, &s);
}

static void
finish(bool is_gentle)
{
	for (struct fuzz_peer *p = fuzz_peers; p < fuzz_peers + FUZZ_PEERS; p++)
		if (is_good(p))
			be_honest(p);
	for (struct fuzz_peer *p = fuzz_peers; p < fuzz_peers + FUZZ_PEERS; p++)
		fuzz_program_close(p);
	fuzz_program_unlisten();
	run_us(FUZZ_HOST_STEP_US);
	for (struct fuzz_peer *p = fuzz_peers; p < fuzz_peers + FUZZ_PEERS; p++) {
		p->holds = false;
		if (!is_gentle)
			reset_host(p);
	}
	for (unsigned int i = 0; i < SETTLE_S; i++) {
		struct stack_counters c;

		run_us(2 * FUZZ_HOST_STEP_US);
		stack_counters_read(fuzz_peer_host.w.stack, &c);
		if (fuzz_host_conns(&fuzz_peer_host) + fuzz_packets() + c.mem_bytes == 0)
			break;
		fuzz_now_us += 1000000;
	}
	fuzz_require(fuzz_host_conns(&fuzz_peer_host) == 0, "a connection is left");
	fuzz_require(fuzz_packets() == 0, "packets leaked");
	fuzz_require(mem_used(&fuzz_peer_host.w.stack->mem) == 0, "memory is charged to nobody");
	fuzz_require(fuzz_peer_host.w.stack->syn.n == 0, "a request is left");
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	bool is_gentle;

	if (size == 0)
		return 0;
	is_gentle = (data[0] & 1) != 0;

	if (fuzz_pool == NULL) {
		fuzz_hosts_start();
		fuzz_host_make(&fuzz_peer_host, "fuzz", RTE_BE32(0xc6120001), 1);
		fuzz_peer_host.sent = keep;
		for (unsigned int i = 0; i < FUZZ_PEERS; i++)
			fuzz_peers[i].addr = rte_cpu_to_be_32(0xc612000au + i);
	}
	passed_us = 0;
	fuzz_program_listen();
	for (unsigned int i = 0; i < FUZZ_PEERS; i++)
		begin_peer(&fuzz_peers[i]);
	for (data++, size--; size >= OP_BYTES; data += OP_BYTES, size -= OP_BYTES)
		step(data);
	finish(is_gentle);
	return 0;
}

/* Handshake, data both ways; names of operations are in step() and step_peer(). */
static const char *const seeds[] = {
	"@@@@@@" "D@@@@" "`@@@@" "H@@@\x40" "H@@@\x80" "d\xff\xff@@" "h@\x04@@" "D@@@@" "X@@@@" "l\x03@@@",
	"A@@@@@" "D@@@@" "`@@@@" "H@@@\x40" "P@@@\x20" "P@@@\x40" "L@@@\x80" "d\xff\xff@@" "H\x05\x10\x03\x40" "T@@@\x10",
	"@t\x1f@@@" "t\x1f@@@" "@@@@@" "D@@@@" "`@@@@" "H@@@\x40" "h@\x10@@" "D\x06\xf0\x02@" "D@\x02@\x85" "d\xff\xff@@" "D@@@@",
	"Ax@@@@" "@@@@@" "h@\x20@@" "D@@@@" "H@@@\xf0" "H\x0f@@\xf0" "H\x0e@@\xf0" "d\xff\xff@@" "p\xff\x0a@@" "D@@@@" "X\x05\x01@@",
};

FUZZ_MAIN(seeds)
