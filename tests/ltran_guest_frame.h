/* SPDX-License-Identifier: BSD-3-Clause */
/* Frames that tests/ltran_guest sends, from "key=value,key=value". */
#ifndef TESTS_LTRAN_GUEST_FRAME_H
#define TESTS_LTRAN_GUEST_FRAME_H

#include <stdbool.h>
#include <stdint.h>

struct guest_frame {
	uint8_t smac[6], dmac[6];
	uint32_t sip, dip;           /* network order; of ARP: sender's and target's */
	uint16_t sport, dport;
	uint16_t type;               /* raw: Ethernet type */
	uint16_t opcode;             /* ARP: 1 request, 2 reply */
	uint8_t sha[6];              /* ARP: the sender's MAC address inside */
	uint8_t flags;               /* TCP */
	unsigned int size;           /* of the frame, without CRC; 0: the smallest */
	unsigned int count;
	double rate, seconds;        /* packets per second, 0: as fast as it goes; 0: `count` says */
};

/* Changes what `text` names. False, with a line on stderr: no such key, or a bad value. */
bool guest_frame_parse(struct guest_frame *f, char *text);
/* Writes the frame of a kind ("udp", "tcp", "arp", "raw"); returns its length, 0: no such kind. */
unsigned int guest_frame_write(const struct guest_frame *f, const char *kind, uint8_t *at);
/* Swaps sender and receiver of a UDP frame in place. False: it is none. */
bool guest_frame_turn(uint8_t *at, unsigned int len);

#endif
