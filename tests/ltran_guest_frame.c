/* SPDX-License-Identifier: BSD-3-Clause */
/* Frames that tests/ltran_guest sends. */
#include "tests/ltran_guest_frame.h"

#include <arpa/inet.h>
#include <net/ethernet.h>
#include <netinet/ether.h>
#include <netinet/if_ether.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SIZE_MAX_FRAME 1514
#define ETHER_LEN 14
#define IP_LEN 20

static bool
parse_mac(uint8_t *mac, const char *text)
{
	struct ether_addr *a = ether_aton(text);

	if (a != NULL)
		memcpy(mac, a, sizeof(*a));
	return a != NULL;
}

static bool
parse_value(struct guest_frame *f, const char *key, const char *value)
{
	const struct {
		const char *key;
		uint8_t *mac;
	} macs[] = { { "smac", f->smac }, { "dmac", f->dmac }, { "sha", f->sha } };
	const struct {
		const char *key;
		uint16_t *number;
	} shorts[] = { { "sport", &f->sport }, { "dport", &f->dport }, { "type", &f->type },
		{ "op", &f->opcode } };
	unsigned long number = strtoul(value, NULL, 0);

	for (unsigned int i = 0; i < sizeof(macs) / sizeof(macs[0]); i++)
		if (strcmp(key, macs[i].key) == 0)
			return parse_mac(macs[i].mac, value);
	if (strcmp(key, "sip") == 0)
		return inet_pton(AF_INET, value, &f->sip) == 1;
	if (strcmp(key, "dip") == 0)
		return inet_pton(AF_INET, value, &f->dip) == 1;
	for (unsigned int i = 0; i < sizeof(shorts) / sizeof(shorts[0]); i++) {
		if (strcmp(key, shorts[i].key) == 0) {
			*shorts[i].number = (uint16_t)number;
			return true;
		}
	}
	if (strcmp(key, "flags") == 0)
		f->flags = (uint8_t)number;
	else if (strcmp(key, "size") == 0)
		f->size = (unsigned int)number;
	else if (strcmp(key, "count") == 0)
		f->count = (unsigned int)number;
	else if (strcmp(key, "rate") == 0)
		f->rate = strtod(value, NULL);
	else if (strcmp(key, "seconds") == 0)
		f->seconds = strtod(value, NULL);
	else
		return false;
	return f->size <= SIZE_MAX_FRAME;
}

bool
guest_frame_parse(struct guest_frame *f, char *text)
{
	char *rest = NULL;

	for (char *key = strtok_r(text, ",", &rest); key != NULL; key = strtok_r(NULL, ",", &rest)) {
		char *value = strchr(key, '=');

		if (value != NULL)
			*value++ = '\0';
		if (value == NULL || !parse_value(f, key, value)) {
			fprintf(stderr, "ltran_guest: bad %s\n", key);
			return false;
		}
	}
	return true;
}

static uint32_t
sum(const void *data, unsigned int len, uint32_t start)
{
	const uint8_t *p = data;

	for (; len > 1; len -= 2, p += 2)
		start += (uint32_t)p[0] << 8 | p[1];
	return len > 0 ? start + ((uint32_t)p[0] << 8) : start;
}

static uint16_t
fold(uint32_t s)
{
	while (s >> 16)
		s = (s & 0xffff) + (s >> 16);
	return htons((uint16_t)~s);
}

static void
write_ip(const struct guest_frame *f, struct ip *ip, uint8_t protocol, unsigned int len)
{
	*ip = (struct ip){ .ip_v = 4, .ip_hl = 5, .ip_len = htons((uint16_t)len), .ip_ttl = 64,
		.ip_p = protocol };
	ip->ip_src.s_addr = f->sip;
	ip->ip_dst.s_addr = f->dip;
	ip->ip_sum = fold(sum(ip, IP_LEN, 0));
}

static void
write_tcp(const struct guest_frame *f, struct ip *ip, unsigned int len)
{
	struct tcphdr *tcp = (struct tcphdr *)(ip + 1);

	tcp->th_sport = htons(f->sport);
	tcp->th_dport = htons(f->dport);
	tcp->th_seq = htonl(1000);
	tcp->th_off = 5;
	tcp->th_flags = f->flags;
	tcp->th_win = htons(65535);
	tcp->th_sum = fold(sum(tcp, len, sum(&ip->ip_src, 8, IPPROTO_TCP + len)));
}

static void
write_udp(const struct guest_frame *f, struct udphdr *udp, unsigned int len)
{
	udp->uh_sport = htons(f->sport);
	udp->uh_dport = htons(f->dport);
	udp->uh_ulen = htons((uint16_t)len); /* no checksum */
}

static void
write_arp(const struct guest_frame *f, struct ether_arp *arp)
{
	arp->arp_hrd = htons(ARPHRD_ETHER);
	arp->arp_pro = htons(ETHERTYPE_IP);
	arp->arp_hln = 6;
	arp->arp_pln = 4;
	arp->arp_op = htons(f->opcode);
	memcpy(arp->arp_sha, f->sha, 6);
	memcpy(arp->arp_spa, &f->sip, 4);
	memcpy(arp->arp_tpa, &f->dip, 4);
	if (f->opcode == ARPOP_REPLY)
		memcpy(arp->arp_tha, f->dmac, 6);
}

unsigned int
guest_frame_write(const struct guest_frame *f, const char *kind, uint8_t *at)
{
	struct ether_header *eth = (struct ether_header *)at;
	struct ip *ip = (struct ip *)(at + ETHER_LEN);
	bool udp = strcmp(kind, "udp") == 0, tcp = strcmp(kind, "tcp") == 0,
	     arp = strcmp(kind, "arp") == 0, raw = strcmp(kind, "raw") == 0;
	unsigned int least = udp ? 60 : tcp ? 60 : arp ? 60 : 1, size = f->size;

	if (!udp && !tcp && !arp && !raw)
		return 0;
	if (size < least)
		size = least;
	memset(at, 0, size);
	if (size >= ETHER_LEN) {
		memcpy(eth->ether_dhost, f->dmac, 6);
		memcpy(eth->ether_shost, f->smac, 6);
		eth->ether_type = htons(arp ? ETHERTYPE_ARP : raw ? f->type : ETHERTYPE_IP);
	}
	if (arp)
		write_arp(f, (struct ether_arp *)(at + ETHER_LEN));
	if (udp || tcp)
		write_ip(f, ip, udp ? IPPROTO_UDP : IPPROTO_TCP, size - ETHER_LEN);
	if (udp)
		write_udp(f, (struct udphdr *)(ip + 1), size - ETHER_LEN - IP_LEN);
	if (tcp)
		write_tcp(f, ip, size - ETHER_LEN - IP_LEN);
	return size;
}

bool
guest_frame_turn(uint8_t *at, unsigned int len)
{
	struct ether_header *eth = (struct ether_header *)at;
	struct ip *ip = (struct ip *)(at + ETHER_LEN);
	struct udphdr *udp = (struct udphdr *)(ip + 1);
	struct in_addr addr;
	uint8_t mac[6];
	uint16_t port;

	if (len < 42 || eth->ether_type != htons(ETHERTYPE_IP) || ip->ip_p != IPPROTO_UDP)
		return false;
	memcpy(mac, eth->ether_dhost, 6);
	memcpy(eth->ether_dhost, eth->ether_shost, 6);
	memcpy(eth->ether_shost, mac, 6);
	addr = ip->ip_src;
	ip->ip_src = ip->ip_dst;
	ip->ip_dst = addr;
	port = udp->uh_sport;
	udp->uh_sport = udp->uh_dport;
	udp->uh_dport = port;
	return true;
}
