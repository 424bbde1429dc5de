/* SPDX-License-Identifier: BSD-3-Clause */
/* Frames made by hand: what raw_frames.h promises. */
#include "raw_frames.h"

#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { IP = 14, IP_LEN = 20, L4 = IP + IP_LEN, TCP_LEN = 20, UDP_LEN = 8, ECHO_LEN = 8 };

static uint64_t seed = 88172645463325252ULL;

/* xorshift64 */
uint32_t
raw_any(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (uint32_t)seed;
}

int
raw_open(const char *device, int is_deaf)
{
	struct sockaddr_ll at = { .sll_family = AF_PACKET,
		.sll_protocol = htons(is_deaf ? 0 : ETH_P_ALL),
		.sll_ifindex = (int)if_nametoindex(device) };
	int fd = at.sll_ifindex == 0 ? -1 : socket(AF_PACKET, SOCK_RAW, 0);

	if (fd >= 0 && bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0) {
		close(fd);
		fd = -1;
	}
	return fd;
}

int
raw_parse_mac(const char *text, uint8_t mac[6])
{
	return sscanf(text, "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", &mac[0], &mac[1], &mac[2], &mac[3],
		&mac[4], &mac[5]) == 6;
}

static void
put16(uint8_t *at, uint32_t n)
{
	at[0] = (uint8_t)(n >> 8);
	at[1] = (uint8_t)n;
}

static void
put32(uint8_t *at, uint32_t n)
{
	put16(at, n >> 16);
	put16(at + 2, n);
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
	put16(at, ~sum);
}

static void
begin(uint8_t *f, const struct raw_path *p, uint16_t type)
{
	memset(f, 0, RAW_FRAME_MAX);
	memcpy(f, p->to_mac, 6);
	memcpy(f + 6, p->from_mac, 6);
	put16(f + 12, type);
}

/* The IPv4 header, and at `sum_at` behind it the checksum of `len` bytes; with the pseudo-header where
 * the protocol has one. */
static size_t
finish(uint8_t *f, const struct raw_path *p, uint8_t protocol, size_t len, size_t sum_at)
{
	uint8_t *ip = f + IP;
	uint32_t sum = protocol == IPPROTO_ICMP ? 0 : protocol + (uint32_t)len;

	ip[0] = 0x45;
	put16(ip + 2, (uint32_t)(IP_LEN + len));
	ip[8] = 64;
	ip[9] = protocol;
	memcpy(ip + 12, &p->from, 4);
	memcpy(ip + 16, &p->to, 4);
	put_sum(ip + 10, add16(0, ip, IP_LEN));
	if (protocol != IPPROTO_ICMP)
		sum = add16(sum, ip + 12, 8);
	put_sum(f + L4 + sum_at, add16(sum, f + L4, len));
	return L4 + len;
}

size_t
raw_tcp(uint8_t *f, const struct raw_path *p, const struct raw_segment *t)
{
	uint8_t *tcp = f + L4;

	begin(f, p, ETHERTYPE_IP);
	put16(tcp, t->from_port);
	put16(tcp + 2, t->to_port);
	put32(tcp + 4, t->seq);
	put32(tcp + 8, t->ack);
	tcp[12] = TCP_LEN / 4 << 4;
	tcp[13] = t->flags;
	put16(tcp + 14, t->window);
	if (t->len > 0)
		memcpy(tcp + TCP_LEN, t->data, t->len);
	return finish(f, p, IPPROTO_TCP, TCP_LEN + t->len, 16);
}

size_t
raw_udp(uint8_t *f, const struct raw_path *p, uint16_t from_port, uint16_t to_port, size_t len)
{
	begin(f, p, ETHERTYPE_IP);
	put16(f + L4, from_port);
	put16(f + L4 + 2, to_port);
	put16(f + L4 + 4, (uint32_t)(UDP_LEN + len));
	return finish(f, p, IPPROTO_UDP, UDP_LEN + len, 6);
}

size_t
raw_echo(uint8_t *f, const struct raw_path *p, uint16_t number, size_t len)
{
	begin(f, p, ETHERTYPE_IP);
	f[L4] = 8;
	put16(f + L4 + 6, number);
	return finish(f, p, IPPROTO_ICMP, ECHO_LEN + len, 2);
}

size_t
raw_arp(uint8_t *f, const struct raw_path *p, uint16_t operation)
{
	begin(f, p, ETHERTYPE_ARP);
	memcpy(f + IP, "\x00\x01\x08\x00\x06\x04", 6);
	put16(f + 20, operation);
	memcpy(f + 22, p->from_mac, 6);
	memcpy(f + 28, &p->from, 4);
	if (operation == 2)
		memcpy(f + 32, p->to_mac, 6);
	memcpy(f + 38, &p->to, 4);
	return 42;
}

size_t
raw_garbage(uint8_t *f, const struct raw_path *p)
{
	begin(f, p, ETHERTYPE_IP);
	for (size_t i = IP; i < RAW_FRAME_MAX; i++)
		f[i] = (uint8_t)raw_any();
	f[IP] = 0x45;
	f[IP + 1] = 0;
	memcpy(f + 30, &p->to, 4);
	return IP + raw_any() % (RAW_FRAME_MAX - IP);
}
