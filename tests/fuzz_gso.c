/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Fuzzer of cutting large packets: the input is lengths (as a hostile instance may give them) and a
 * frame. Whatever they say, nothing is read outside the packet, nothing leaks, and what comes out
 * fits the MTU and holds the payload once, in order.
 * With libFuzzer: clang -fsanitize=fuzzer,address -DFUZZ_LIBFUZZER ...
 */
#include <errno.h>
#include <stdlib.h>

#include <rte_tcp.h>

#include "nodes/gso.h"
#include "tests/fuzz_main.h"
#include "tests/harness.h"

#define LENGTHS 6 /* bytes: l2, l3, l4, segment size, bytes per buffer / 8 */

static uint16_t
fuzz_mtu(uint8_t b)
{
	return b & 1 ? 1500 : 576;
}

static void
check(const struct rte_mbuf *m, struct rte_mbuf **out, int n, uint16_t mtu)
{
	uint32_t head = m->l2_len + m->l3_len + m->l4_len, at = head;
	static uint8_t a[FUZZ_INPUT_MAX], b[FUZZ_INPUT_MAX];

	for (int i = 0; i < n; i++) {
		const char *reason;
		uint32_t len = out[i]->pkt_len - head;

		fuzz_require(rte_mbuf_check(out[i], 1, &reason) == 0, "broken chain");
		fuzz_require(out[i]->pkt_len > head, "empty segment");
		fuzz_require(out[i]->pkt_len - m->l2_len <= mtu, "longer than the MTU");
		fuzz_require(len <= m->tso_segsz, "longer than a segment");
		fuzz_require(at + len <= m->pkt_len, "more than there was");
		fuzz_require(memcmp(rte_pktmbuf_read(m, at, len, a),
			rte_pktmbuf_read(out[i], head, len, b), len) == 0, "other bytes");
		at += len;
	}
	fuzz_require(at == m->pkt_len, "less than there was");
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	unsigned int available = rte_mempool_avail_count(harness_pool());
	static struct rte_mbuf *out[GSO_SEGMENTS_MAX];
	struct rte_mbuf *m;
	int n;

	if (size <= LENGTHS)
		return 0;
	m = harness_packet(data + LENGTHS, size - LENGTHS, (data[5] & 0x7f) * 8);
	m->l2_len = data[0];
	m->l3_len = data[1];
	m->l4_len = data[2];
	m->tso_segsz = data[3] | data[4] << 8;
	n = gso_cut(m, fuzz_mtu(data[5] >> 7), harness_pool(), out);
	fuzz_require(n > 0 || n == -EINVAL || n == -ENOMEM, "no known result");
	if (n > 0) {
		check(m, out, n, fuzz_mtu(data[5] >> 7));
		rte_pktmbuf_free_bulk(out, n);
	}
	rte_pktmbuf_free(m);
	fuzz_require(rte_mempool_avail_count(harness_pool()) == available, "packets leaked");
	return 0;
}

/* 14, 20, 20 (and 32) bytes of headers, segments of 48 and 0x2020 bytes; strings end at a zero. */
#define FRAME "AAAAAABBBBBB\x08\x01" "E\x01\x7f\x7f\x01\x01\x40\x40\x40\x06\x01\x01XXXXYYYY" \
	"PPQQ\x01\x01\x01\x01\x01\x01\x01\x01"
#define PAYLOAD "0123456789abcdefghijklmnopqrstuvwxyz0123456789abcdefghijklmnopqrstuvwxyz" \
	"ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789abcdefghijklmnop"
static const char *const seeds[] = {
	"\x0e\x14\x14\x30\x01\xff" FRAME "\x50\x18WWCCUU" PAYLOAD PAYLOAD PAYLOAD,
	"\x0e\x14\x20\x40\x01\x08" FRAME "\x80\x19WWCCUU" "TTTTTTTTTTTT" PAYLOAD PAYLOAD,
	"\x0e\x14\x14\x20\x20\xff" FRAME "\x50\x10WWCCUU" PAYLOAD,
};

FUZZ_MAIN(seeds)
