/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * flood DEVICE MAC ADDRESS RATE SECONDS [KIND [PORT]]: frames that nobody asked for, RATE of them a
 * second, to the host with MAC and ADDRESS, each from another address that does not exist:
 *
 *   syn    SYNs for PORT from the host's own /16
 *   away   SYNs for PORT from 198.19.0.0/16
 *   arp    requests for ADDRESS
 *   garp   gratuitous ARP: others tell where they are
 *   ping   echo requests
 *   udp    datagrams to any port
 *   ack    ACKs of no connection
 *   junk   anything behind a good Ethernet header
 *   mix    (unless told) away, arp, udp, ack and junk by turns
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "raw_frames.h"

static const char *const kinds[] = { "away", "arp", "udp", "ack", "junk", "syn", "garp", "ping" };
enum { AWAY, ARP, UDP, LONE_ACK, JUNK, SYN, GARP, PING, N_KINDS, N_MIXED = SYN, MIX = N_KINDS };

static unsigned int
find_kind(const char *name)
{
	unsigned int kind = 0;

	while (kind < N_KINDS && strcmp(name, kinds[kind]) != 0)
		kind++;
	return kind < N_KINDS || strcmp(name, "mix") == 0 ? kind : N_KINDS + 1;
}

static size_t
make(uint8_t *f, struct raw_path *p, unsigned int kind, uint16_t port)
{
	struct raw_segment t = { .from_port = (uint16_t)raw_any(), .to_port = port, .seq = raw_any(),
		.window = 65535, .flags = kind == LONE_ACK ? RAW_ACK : RAW_SYN };
	uint32_t net = kind == SYN || kind == ARP || kind == GARP || kind == PING ?
		ntohl(p->to) & 0xffff0000 : 0xc6130000;

	/* Not where the hosts themselves are. */
	p->from = htonl(net | 0x8000 | (raw_any() & 0x7fff));
	memcpy(p->from_mac, "\x02\x13", 2);
	memcpy(p->from_mac + 2, &p->from, 4);
	switch (kind) {
	case ARP:
		return raw_arp(f, p, 1);
	case GARP: {
		struct raw_path told = *p;

		told.to = told.from;
		return raw_arp(f, &told, 1);
	}
	case UDP:
		return raw_udp(f, p, (uint16_t)raw_any(), (uint16_t)raw_any(), 16);
	case PING:
		return raw_echo(f, p, (uint16_t)raw_any(), 56);
	case JUNK:
		return raw_garbage(f, p);
	case LONE_ACK:
		t.ack = raw_any();
		break;
	}
	return raw_tcp(f, p, &t);
}

static double
now_s(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

int
main(int argc, char **argv)
{
	unsigned int kind = argc > 6 ? find_kind(argv[6]) : MIX;
	uint16_t port = (uint16_t)(argc > 7 ? strtoul(argv[7], NULL, 10) : 6379);
	uint8_t frame[RAW_FRAME_MAX];
	struct raw_path path;
	double start, seconds;
	unsigned long sent = 0;
	int fd;

	if (argc < 6 || argc > 8 || kind > MIX || !raw_parse_mac(argv[2], path.to_mac) ||
		inet_pton(AF_INET, argv[3], &path.to) != 1) {
		fprintf(stderr, "usage: flood DEVICE MAC ADDRESS RATE SECONDS [KIND [PORT]]\n");
		return 2;
	}
	fd = raw_open(argv[1], 1);
	if (fd < 0) {
		perror(argv[1]);
		return 1;
	}
	start = now_s();
	while ((seconds = now_s() - start) < strtod(argv[5], NULL)) {
		unsigned long want = (unsigned long)(seconds * strtod(argv[4], NULL));

		for (; sent < want; sent++) {
			size_t len = make(frame, &path, kind == MIX ? sent % N_MIXED : kind, port);

			if (send(fd, frame, len, 0) < 0)
				break;
		}
		usleep(500);
	}
	printf("%lu frames\n", sent);
	return 0;
}
