/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * flood DEVICE MAC ADDRESS RATE SECONDS: frames that nobody asked for, by turns: SYNs from strangers,
 * ARP requests from strangers, UDP to closed ports, ACKs without a connection, garbage behind a good
 * Ethernet header. RATE of them a second to the host with MAC and ADDRESS, from a packet socket. For
 * the soak; strangers are of 198.19.0.0/16, for which nobody answers.
 */
#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define FRAME 128
#define KINDS 5

static uint64_t seed = 88172645463325252ULL;

/* xorshift64: every run sends the same. */
static uint32_t
any(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (uint32_t)seed;
}

static uint32_t
add16(uint32_t sum, const uint8_t *p, size_t len)
{
	for (size_t i = 0; i + 1 < len; i += 2)
		sum += (uint32_t)p[i] << 8 | p[i + 1];
	return len & 1 ? sum + ((uint32_t)p[len - 1] << 8) : sum;
}

static void
put_sum(uint8_t *at, uint32_t sum)
{
	while (sum >> 16 != 0)
		sum = (sum & 0xffff) + (sum >> 16);
	at[0] = (uint8_t)(~sum >> 8);
	at[1] = (uint8_t)~sum;
}

/* An IPv4 header at f + 14 and the checksum at `sum_at` of what is behind it. */
static void
finish_ip(uint8_t *f, uint8_t protocol, uint32_t src, uint32_t dst, size_t len, size_t sum_at)
{
	uint8_t *ip = f + 14;

	memcpy(f + 12, "\x08\x00\x45\x00", 4);
	ip[2] = (uint8_t)((20 + len) >> 8);
	ip[3] = (uint8_t)(20 + len);
	ip[8] = 64;
	ip[9] = protocol;
	memcpy(ip + 12, &src, 4);
	memcpy(ip + 16, &dst, 4);
	put_sum(ip + 10, add16(0, ip, 20));
	put_sum(ip + 20 + sum_at, add16(protocol + (uint32_t)len, ip + 12, 8 + len));
}

static size_t
make_tcp(uint8_t *f, uint32_t src, uint32_t dst, uint8_t flags)
{
	uint8_t *tcp = f + 34;
	uint16_t ports[2] = { (uint16_t)any(), htons(6379) };
	uint32_t numbers[2] = { any(), flags & 0x10 ? any() : 0 };

	memcpy(tcp, ports, 4);
	memcpy(tcp + 4, numbers, 8);
	tcp[12] = 5 << 4;
	tcp[13] = flags;
	tcp[14] = 0xff;
	finish_ip(f, 6, src, dst, 20, 16);
	return 54;
}

static size_t
make_udp(uint8_t *f, uint32_t src, uint32_t dst)
{
	uint16_t ports[2] = { (uint16_t)any(), (uint16_t)any() };

	memcpy(f + 34, ports, 4);
	f[39] = 8 + 16;
	finish_ip(f, 17, src, dst, 8 + 16, 6);
	return 34 + 24;
}

static size_t
make_arp(uint8_t *f, uint32_t src, uint32_t dst)
{
	memcpy(f + 12, "\x08\x06\x00\x01\x08\x00\x06\x04\x00\x01", 10);
	memcpy(f + 22, f + 6, 6);
	memcpy(f + 28, &src, 4);
	memcpy(f + 38, &dst, 4);
	return 42;
}

static size_t
make(uint8_t *f, const uint8_t *mac, uint32_t dst, unsigned int kind)
{
	uint32_t src = htonl(0xc6130000 | (any() & 0xffff));
	size_t i;

	memset(f, 0, FRAME);
	memcpy(f, mac, 6);
	memcpy(f + 6, "\x02\x13", 2);
	memcpy(f + 8, &src, 4);
	switch (kind) {
	case 0:
		return make_tcp(f, src, dst, 0x02);
	case 1:
		return make_arp(f, src, dst);
	case 2:
		return make_udp(f, src, dst);
	case 3:
		return make_tcp(f, src, dst, 0x10);
	}
	for (i = 14; i < FRAME; i++)
		f[i] = (uint8_t)any();
	memcpy(f + 12, "\x08\x00\x45\x00", 4);
	memcpy(f + 30, &dst, 4);
	return 14 + any() % (FRAME - 14);
}

int
main(int argc, char **argv)
{
	struct sockaddr_ll at = { .sll_family = AF_PACKET };
	int fd = socket(AF_PACKET, SOCK_RAW, 0);
	uint8_t frame[FRAME], mac[6];
	unsigned long sent = 0, want;
	struct timespec start, now;
	double seconds = 0;

	if (argc != 6 || sscanf(argv[2], "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", &mac[0], &mac[1], &mac[2],
		&mac[3], &mac[4], &mac[5]) != 6) {
		fprintf(stderr, "usage: flood DEVICE MAC ADDRESS RATE SECONDS\n");
		return 2;
	}
	at.sll_ifindex = (int)if_nametoindex(argv[1]);
	if (fd < 0 || at.sll_ifindex == 0 || bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0) {
		perror(argv[1]);
		return 1;
	}
	clock_gettime(CLOCK_MONOTONIC, &start);
	while (seconds < atof(argv[5])) {
		clock_gettime(CLOCK_MONOTONIC, &now);
		seconds = (double)(now.tv_sec - start.tv_sec) + (double)(now.tv_nsec - start.tv_nsec) / 1e9;
		for (want = (unsigned long)(seconds * strtod(argv[4], NULL)); sent < want; sent++) {
			size_t len = make(frame, mac, inet_addr(argv[3]), (unsigned int)(sent % KINDS));

			if (send(fd, frame, len, 0) < 0)
				break;
		}
		usleep(2000);
	}
	printf("%lu frames\n", sent);
	return 0;
}
