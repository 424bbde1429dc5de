/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Fuzzer of LACP: the input is a sequence of frames, links that come and go, and passing time. Ports
 * that packets may go to belong to one aggregate, and our frames keep to the rate.
 * With libFuzzer: clang -fsanitize=fuzzer,address -DFUZZ_LIBFUZZER ...
 */
#include "nodes/lacp.h"
#include "tests/fuzz_main.h"

#define PORTS 3
#define HEADERS 14

static const struct rte_ether_addr us = {{'b', 'U', 'U', 'U', 'U', 'U'}};

static void
check(struct lacp *l, uint64_t now)
{
	uint8_t collecting = lacp_collecting(l), distributing = lacp_distributing(l);
	int aggregate = -1;

	fuzz_require((distributing & ~collecting) == 0, "sends where it does not receive");
	for (unsigned int i = 0; i < PORTS; i++) {
		if (!(collecting & 1u << i))
			continue;
		fuzz_require(l->ports[i].rx != LACP_RX_DISABLED, "uses a port without link");
		fuzz_require(!l->ports[i].is_looped, "uses a looped port");
		fuzz_require(l->ports[i].selected, "uses a port that is not selected");
		fuzz_require(aggregate < 0 || aggregate == l->ports[i].aggregate, "two aggregates");
		aggregate = l->ports[i].aggregate;
	}
	fuzz_require(lacp_due(l, now) >= now || l->ports[0].rx != LACP_RX_CURRENT, "late");
}

static void
send_frames(struct lacp *l, uint64_t now)
{
	uint8_t frame[LACP_FRAME_LEN];
	unsigned int n;

	for (unsigned int i = 0; i < PORTS; i++) {
		for (n = 0; lacp_take_frame(l, i, &us, now, frame); n++)
			lacp_run(l, now);
		fuzz_require(n <= LACP_TX_MAX, "too many frames at once");
	}
}

/* Text, so that seeds can be: every byte of a frame behind the Ethernet header is xored with '0'. */
static size_t
receive(struct lacp *l, const uint8_t *data, size_t size, uint64_t now)
{
	uint8_t frame[LACP_FRAME_LEN] = {0};
	size_t len = size < LACP_FRAME_LEN - HEADERS ? size : LACP_FRAME_LEN - HEADERS;

	for (size_t i = 1; i < len; i++)
		frame[HEADERS + i - 1] = data[i] ^ '0';
	if (lacp_input(l, data[0] % PORTS, frame, HEADERS + len - 1, now) == LACP_MARKER)
		lacp_answer_marker(frame, &us);
	return len;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct lacp l;
	uint64_t now = 5;

	lacp_init(&l, &us, PORTS);
	for (unsigned int i = 0; i < PORTS; i++)
		lacp_set_link(&l, i, true, 1, true, now);
	while (size >= 3) {
		size_t used = 3;

		switch (data[0] % 4) {
		case 0:
			lacp_set_link(&l, data[1] % PORTS, data[2] & 1, data[2] >> 6, data[2] & 2, now);
			break;
		case 1:
			now += data[1] * data[2];
			break;
		default:
			used = 1 + receive(&l, data + 1, size - 1, now);
		}
		lacp_run(&l, now);
		send_frames(&l, now);
		check(&l, now);
		data += used;
		size -= used;
	}
	return 0;
}

#define PARTNER(n) "1$00" "abcdef" "01" "00" "0" n
#define OURS(n) "2$00" "bUUUUU" "01" "00" "0" n

/* 'b', a port and a LACPDU; 'a' and time; 'd' and a link. */
static const char *const seeds[] = {
	"b0" "11" PARTNER("1") "7000" OURS("1") "7000" "3 00000000000000" "a\xff\x20",
	"b0" "11" PARTNER("1") "\x0f" "000" OURS("1") "\x0f" "000" "3 00000000000000"
	"0000000000000000000000000000000000000000" "a\x7f\x7f" "d10",
	"b0" "21" "1 00000000000000" "d11" "a\xff\xff" "d12" "a\xff\xff",
};

FUZZ_MAIN(seeds)
