/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The SACK option of a received header (RFC 2018, RFC 2883). Pure; reads nothing outside the
 * options, whatever they contain.
 */
#ifndef STACK_TCP_SACK_H
#define STACK_TCP_SACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "stack/tcp_sb.h"

#define TCP_SACK_BLOCKS_MAX 4
#define TCP_SACK_KIND 5

struct tcp_sack {
	uint32_t n;
	struct tcp_sb_block block[TCP_SACK_BLOCKS_MAX]; /* ascending; what was received twice is not
							 * among them */
	uint32_t duplicate_bytes; /* RFC 2883 */
};

static inline uint32_t
tcp_sack_u32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static inline bool
tcp_sack_is_inside(const struct tcp_sb_block *a, const struct tcp_sb_block *b)
{
	return (int32_t)(a->left - b->left) >= 0 && (int32_t)(b->right - a->right) >= 0;
}

/* RFC 2883 4: the first block reports a duplicate if it lies below the ACK or inside the second. */
static inline void
tcp_sack_take_duplicate(struct tcp_sack *s, uint32_t ack)
{
	uint32_t len = s->block[0].right - s->block[0].left;

	if ((int32_t)(ack - s->block[0].right) < 0 &&
	    (s->n < 2 || !tcp_sack_is_inside(&s->block[0], &s->block[1])))
		return;
	s->duplicate_bytes = (int32_t)len > 0 ? len : 0;
	s->n--;
	for (uint32_t i = 0; i < s->n; i++)
		s->block[i] = s->block[i + 1];
}

/* `len` bytes of options of a segment that acknowledges `ack`. */
static inline void
tcp_sack_parse(struct tcp_sack *s, const uint8_t *o, size_t len, uint32_t ack)
{
	s->n = 0;
	s->duplicate_bytes = 0;
	for (size_t i = 0; i < len && o[i] != 0;) {
		size_t l = o[i] == 1 ? 1 : i + 1 < len ? o[i + 1] : 0;

		if (l == 0 || (l < 2 && o[i] != 1) || i + l > len)
			return;
		if (o[i] == TCP_SACK_KIND) {
			for (size_t b = 2; b + 8 <= l && s->n < TCP_SACK_BLOCKS_MAX; b += 8) {
				s->block[s->n].left = tcp_sack_u32(o + i + b);
				s->block[s->n++].right = tcp_sack_u32(o + i + b + 4);
			}
			break;
		}
		i += l;
	}
	if (s->n > 0)
		tcp_sack_take_duplicate(s, ack);
	for (uint32_t i = 1; i < s->n; i++) { /* newest first on the wire */
		struct tcp_sb_block b = s->block[i];
		uint32_t j = i;

		for (; j > 0 && (int32_t)(b.left - s->block[j - 1].left) < 0; j--)
			s->block[j] = s->block[j - 1];
		s->block[j] = b;
	}
}

#endif
