/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Fuzzer of reassembly: the input is a sequence of fragments. Whatever their order and bounds,
 * nothing leaks, the bounds hold, and a datagram that comes out has the bytes its fragments had.
 * With libFuzzer: clang -fsanitize=fuzzer,address -DFUZZ_LIBFUZZER ...
 */
#include <stdlib.h>

#include <rte_ether.h>

#include "nodes/reass.h"
#include "tests/fuzz_main.h"
#include "tests/harness.h"

#define HZ 10
#define RECORD 6 /* bytes of one fragment: id, offset, length, flags; ' ' stands for 0 */

enum flags { MF = 1, LATER = 2, MUCH_LATER = 4, SEGMENTS = 8, OPTIONS = 16, OTHER_PROTO = 32 };

static void
check_whole(struct rte_mbuf *m)
{
	static uint8_t buf[65535];
	uint32_t skip = m->l2_len + m->l3_len, len = m->pkt_len - skip;
	const uint8_t *data;
	const char *reason;

	fuzz_require(rte_mbuf_check(m, 1, &reason) == 0, "broken chain");
	fuzz_require(m->pkt_len - m->l2_len <= 65535, "longer than IP allows");
	data = rte_pktmbuf_read(m, skip, len, buf);
	for (uint32_t i = 0; i < len; i++)
		fuzz_require(data[i] == harness_pattern(i), "bytes in the wrong place");
	rte_pktmbuf_free(m);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	unsigned int available = rte_mempool_avail_count(harness_pool());
	struct reass *r = reass_create(HZ, 1);
	uint64_t now = 0, lost = 0;

	for (; r != NULL && size >= RECORD; data += RECORD, size -= RECORD) {
		uint8_t b[RECORD];
		struct rte_mbuf *whole = NULL, *first;

		for (unsigned int i = 0; i < RECORD; i++)
			b[i] = data[i] ^ ' ';

		const struct harness_ip4 h = {.src = 1, .dst = 2, .id = b[0],
			.offset = (b[1] | b[2] << 8) * 8, .mf = b[5] & MF, .ether = true,
			.proto = b[5] & OTHER_PROTO ? 6 : 17, .options = b[5] & OPTIONS ? 40 : 0};
		uint32_t len = (b[3] | b[4] << 8) % (65535 - 60);

		now += b[5] & LATER ? 1 : b[5] & MUCH_LATER ? 5 * HZ : 0;
		if (reass_add(r, harness_ip4_packet(&h, NULL, len, b[5] & SEGMENTS ? 77 : 0), now,
			    &whole) == REASS_DONE)
			check_whole(whole);
		while ((b[5] & LATER) && reass_expire(r, now, &lost, &first))
			rte_pktmbuf_free(first);
		fuzz_require(reass_count(r) <= REASS_DATAGRAMS_MAX, "too many datagrams");
		fuzz_require(reass_count_held(r) <= REASS_HELD_MAX, "too many fragments");
	}
	reass_free(r);
	fuzz_require(rte_mempool_avail_count(harness_pool()) == available, "packets leaked");
	return 0;
}

/* Pairs and triples that are whole, reversed, overlapping and repeated. */
static const char *const seeds[] = {
	"    ( !" "!!  ( !" "!\"  \"  ",
	"!\"  \"  " "!!  ( !" "!   ( !",
	"\"   0 !" "\"!  ( !" "\"\"  ( )",
	"#   ( !" "#   ( !" "#!  !  " "$!  ! \"" "$   ( #" "%   (%!",
};

FUZZ_MAIN(seeds)
