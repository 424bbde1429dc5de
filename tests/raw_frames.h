/* SPDX-License-Identifier: BSD-3-Clause */
/* Frames made by hand, for programs that attack: Ethernet, ARP, IPv4 and what is in it. */
#ifndef TESTS_RAW_FRAMES_H
#define TESTS_RAW_FRAMES_H

#include <stddef.h>
#include <stdint.h>

#define RAW_FRAME_MAX 256

enum { RAW_FIN = 0x01, RAW_SYN = 0x02, RAW_RST = 0x04, RAW_PSH = 0x08, RAW_ACK = 0x10 };

/* Addresses are in network byte order, everything else in the host's. */
struct raw_path {
	uint8_t from_mac[6], to_mac[6];
	uint32_t from, to;
};

struct raw_segment {
	uint16_t from_port, to_port;
	uint32_t seq, ack;
	uint8_t flags;
	uint16_t window;
	const void *data;
	size_t len; /* of data: RAW_FRAME_MAX - 54 at most */
};

/* A packet socket on `device` for frames of all kinds, or with `is_deaf` one that receives nothing.
 * -1: errno says why. */
int raw_open(const char *device, int is_deaf);
/* "aa:bb:cc:dd:ee:ff"; 0 where it is none. */
int raw_parse_mac(const char *text, uint8_t mac[6]);
/* A sequence that is the same in every run. */
uint32_t raw_any(void);

/* Each fills `f`, which has RAW_FRAME_MAX bytes, and returns the length of the frame. */
size_t raw_tcp(uint8_t *f, const struct raw_path *p, const struct raw_segment *t);
size_t raw_udp(uint8_t *f, const struct raw_path *p, uint16_t from_port, uint16_t to_port, size_t len);
size_t raw_echo(uint8_t *f, const struct raw_path *p, uint16_t number, size_t len);
size_t raw_arp(uint8_t *f, const struct raw_path *p, uint16_t operation);
/* A good Ethernet and the begin of an IPv4 header, then anything. */
size_t raw_garbage(uint8_t *f, const struct raw_path *p);

#endif
