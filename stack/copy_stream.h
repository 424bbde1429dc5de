/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A copy that leaves its result in memory instead of in this core's cache, for bytes that another
 * core reads next. A line that is modified in another core's cache is the slowest place to read it
 * from; between cores that do not share a last-level cache by a factor of four.
 */
#ifndef STACK_COPY_STREAM_H
#define STACK_COPY_STREAM_H

#include <emmintrin.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define COPY_STREAM_LINE 64

/* memcpy(); complete for other cores when it returns. */
static inline void
copy_stream(void *to, const void *from, size_t len)
{
	size_t head = -(uintptr_t)to % COPY_STREAM_LINE;
	const uint8_t *src = from;
	uint8_t *dst = to;

	if (head > len)
		head = len;
	memcpy(dst, src, head);
	dst += head;
	src += head;
	for (len -= head; len >= COPY_STREAM_LINE; len -= COPY_STREAM_LINE) {
		__m128i w[4];

		memcpy(w, src, sizeof(w));
		for (int i = 0; i < 4; i++)
			_mm_stream_si128((__m128i *)dst + i, w[i]);
		dst += COPY_STREAM_LINE;
		src += COPY_STREAM_LINE;
	}
	memcpy(dst, src, len);
	_mm_sfence();
}

#endif
