/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * TCP options that lwIP must not see as they came. lwIP 2.1.3 obeys an MSS option in any segment,
 * and any value but 0 in it: a peer could change the MSS of a connection with data under way, down
 * to one byte per packet. RFC 9293 3.7.1: the option is of SYNs alone. Pure.
 */
#ifndef STACK_TCP_OPTS_H
#define STACK_TCP_OPTS_H

#include <stdbool.h>
#include <stdint.h>

enum { TCP_OPTS_END, TCP_OPTS_NOP, TCP_OPTS_MSS, TCP_OPTS_SCALE, TCP_OPTS_SACK_OK };

#define TCP_OPTS_MSS_LEN 4
#define TCP_OPTS_MSS_MIN 48      /* Linux: tcp_min_snd_mss */
#define TCP_OPTS_MSS_DEFAULT 536 /* RFC 9293 3.7.1: without the option; Linux: if it says 0, too */

static inline uint16_t
tcp_opts_mss(uint16_t said)
{
	if (said == 0)
		return TCP_OPTS_MSS_DEFAULT;
	return said < TCP_OPTS_MSS_MIN ? TCP_OPTS_MSS_MIN : said;
}

/* The option at `at` of `len` bytes of options: its length, 0: the list ends here. */
static inline uint32_t
tcp_opts_step(const uint8_t *opt, uint32_t len, uint32_t at)
{
	if (at >= len || opt[at] == TCP_OPTS_END)
		return 0;
	if (opt[at] == TCP_OPTS_NOP)
		return 1;
	if (at + 1 >= len || opt[at + 1] < 2 || at + opt[at + 1] > len)
		return 0; /* malformed */
	return opt[at + 1];
}

/* Make the options of a segment fit for lwIP: in a SYN the MSS gets its bounds, elsewhere the
 * option becomes NOPs. A malformed list ends where it is malformed. */
static inline void
tcp_opts_mend(uint8_t *opt, uint32_t len, bool syn)
{
	uint32_t at = 0, n;

	while ((n = tcp_opts_step(opt, len, at)) > 0) {
		if (opt[at] == TCP_OPTS_MSS && !syn) {
			for (uint32_t i = 0; i < n; i++)
				opt[at + i] = TCP_OPTS_NOP;
		} else if (opt[at] == TCP_OPTS_MSS && n == TCP_OPTS_MSS_LEN) {
			uint16_t mss = tcp_opts_mss((uint16_t)(opt[at + 2] << 8 | opt[at + 3]));

			opt[at + 2] = mss >> 8;
			opt[at + 3] = mss & 0xff;
		}
		at += n;
	}
	if (at < len)
		opt[at] = TCP_OPTS_END;
}

/* None of them counts. */
static inline void
tcp_opts_clear(uint8_t *opt, uint32_t len)
{
	if (len > 0)
		opt[0] = TCP_OPTS_END;
}

#endif
