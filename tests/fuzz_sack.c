/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Fuzzer of a sender's scoreboard: the input is a sequence of ACKs with options as they come from
 * the wire, and what the sender does in between. Whatever they claim, the ranges stay ascending and
 * without gaps, their bytes are counted right, and nothing beyond what was sent is believed.
 */
#include "stack/tcp_sack.h"
#include "stack/tcp_sb.h"
#include "tests/fuzz_main.h"

#define FIRST 0xfffff000u
#define RECORD 4 /* what, a length, two bytes of position; then options */

static void
check(const struct tcp_sb *sb, uint32_t una, uint32_t snd_nxt)
{
	uint32_t bytes[4] = {0}, at = sb->una;

	fuzz_require(sb->una == una, "una is not where the ACK is");
	fuzz_require((int32_t)(snd_nxt - sb->end) >= 0, "more known than sent");
	fuzz_require(sb->n <= TCP_SB_RANGES_MAX, "too many ranges");
	for (uint32_t i = 0; i < sb->n; i++) {
		uint32_t end = i + 1 < sb->n ? sb->r[i + 1].start : sb->end;

		fuzz_require(sb->r[i].start == at, "gap");
		fuzz_require((int32_t)(end - at) > 0, "empty range");
		bytes[sb->r[i].state] += end - at;
		at = end;
	}
	fuzz_require(at == sb->end || sb->n == 0, "end");
	fuzz_require(bytes[TCP_SB_SACKED] == sb->sacked, "SACKed bytes");
	fuzz_require(bytes[TCP_SB_LOST] == sb->lost, "lost bytes");
}

static void
take_ack(struct tcp_sb *sb, uint32_t una, uint32_t snd_nxt, uint32_t now, const uint8_t *o, size_t len)
{
	struct tcp_sb_news news = {0};
	struct tcp_sack s;

	tcp_sack_parse(&s, o, len, una);
	tcp_sb_ack(sb, una, now, 10, &news);
	for (uint32_t i = 0; i < s.n; i++)
		tcp_sb_sack(sb, &s.block[i], snd_nxt, now, 10, &news);
	fuzz_require(news.delivered <= snd_nxt - FIRST, "more delivered than sent");
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tcp_sb sb = {0};
	uint32_t una = FIRST, nxt = FIRST + 8192, now = 0, seq, len, wait_us;

	tcp_sb_reset(&sb, una);
	while (size >= RECORD) {
		uint32_t pos = data[2] | data[3] << 8;
		size_t n = data[1] % 41 < size - RECORD ? data[1] % 41 : size - RECORD;
		const struct tcp_sb_rules k = {.now_us = now, .rtt_us = 5, .window_us = 3,
			.dup_bytes = pos % 3 * 1000, .at_once = pos & 1};

		now += 1 + data[0] / 8;
		switch (data[0] % 8) {
		case 0:
			una += pos % (nxt - una + 1);
			/* fall through */
		case 1:
			take_ack(&sb, una, nxt, now, data + RECORD, n);
			data += n;
			size -= n;
			break;
		case 2:
			tcp_sb_detect(&sb, &k, &wait_us);
			break;
		case 3:
			if (tcp_sb_next(&sb, &seq, &len))
				tcp_sb_resent(&sb, seq, 1 + pos % len, nxt, now);
			break;
		case 4:
			nxt += pos % 4096;
			break;
		case 5:
			tcp_sb_lose(&sb, una + pos % (nxt - una + 1));
			break;
		case 6:
			tcp_sb_unlose(&sb, now);
			break;
		default:
			if (nxt - una > 10)
				tcp_sb_resent(&sb, nxt - 10, 10, nxt, now);
		}
		check(&sb, una, nxt);
		data += RECORD;
		size -= RECORD;
	}
	tcp_sb_free(&sb);
	return 0;
}

/* An ACK with three blocks, detection, a retransmission, new data, a timeout, all over again. */
static const char *const seeds[] = {
	"\x01\x1c\x01\x01" "\x01\x01\x05\x1a" "\xff\xff\xf1\x10\xff\xff\xf2\x10" "\xff\xff\xf4\x10\xff\xff\xf4\x20"
	"\xff\xff\xf6\x10\xff\xff\xf8\x10" "\x02\x01\x01\x01" "\x03\x01\xff\x02" "\x03\x01\x10\x02",
	"\x01\x0c\x01\x01" "\x01\x01\x05\x0a" "\xff\xff\xff\xf0\x01\x01\x01\x01" "\x04\x01\xff\x0f"
	"\x05\x01\xff\xff" "\x03\x01\xff\x02" "\x08\x01\x20\x03" "\x06\x01\x01\x01",
	"\x07\x01\x01\x01" "\x01\x14\x01\x01" "\x01\x01\x05\x12" "\xff\xff\xf8\x10\xff\xff\xf9\x10"
	"\xff\xff\xf1\x10\xff\xff\xf2\x10" "\x02\x01\x02\x01" "\x03\x01\x40\x04" "\x10\x01\xff\x10",
};

FUZZ_MAIN(seeds)
