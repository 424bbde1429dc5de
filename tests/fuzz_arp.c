/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Fuzzer of ARP: the input is a sequence of frames, packets to send and passing time. Nothing leaks,
 * the bounds of the table hold, and no frame makes an entry unless it is a request to us.
 * With libFuzzer: clang -fsanitize=fuzzer,address -DFUZZ_LIBFUZZER ...
 */
#include <stdlib.h>

#include "nodes/arp.h"
#include "nodes/arp_verdict.h"
#include "tests/fuzz_main.h"
#include "tests/harness.h"

#define HZ 1000
#define FRAME sizeof(struct rte_arp_hdr)

/* We are "1234" at "bUUUUU", and the fixed part of a frame is text too, so that seeds can be. */
#define FIXED 8
static const struct arp_self self = {.addr = 0x34333231, .mask = 0x0000ffff,
	.mac = {{'b', 'U', 'U', 'U', 'U', 'U'}}};

static void
drain(struct arp_table *t, struct arp_entry *e)
{
	struct rte_mbuf *m;

	while ((m = arp_pop(t, e)) != NULL)
		rte_pktmbuf_free(m);
}

static void
receive(struct arp_table *t, const uint8_t *frame, uint32_t len, uint64_t now)
{
	struct rte_arp_hdr arp = {0};
	unsigned int before = arp_count(t);
	struct arp_entry *e = NULL;
	struct arp_verdict v;

	memcpy(&arp, frame, RTE_MIN(len, (uint32_t)FRAME));
	for (unsigned int i = 0; i < FIXED; i++)
		((uint8_t *)&arp)[i] ^= '0';
	v = arp_verdict(&self, &arp, len);
	fuzz_require(!v.create || (v.reply && v.learn), "an entry without a request");
	if (v.learn)
		arp_learn(t, arp.arp_data.arp_sip, &arp.arp_data.arp_sha, v.asked, v.create, now, &e);
	fuzz_require(v.create || arp_count(t) == before, "a frame not for us made an entry");
	if (e != NULL && arp_is_resolved(e)) {
		drain(t, e);
		arp_use(t, e, now);
	}
}

static void
tick(struct arp_table *t, uint64_t now)
{
	struct arp_entry *e;
	unsigned int pos = 0;

	while ((e = arp_next_due(t, now, &pos)) != NULL) {
		if (e->tries >= ARP_TRIES) {
			drain(t, e);
			arp_remove(t, e);
		} else {
			arp_take_request(t, e, now);
		}
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	unsigned int available = rte_mempool_avail_count(harness_pool());
	struct arp_table *t = arp_create(&(struct arp_params){.mac = self.mac, .hz = HZ, .seed = 1});
	uint64_t now = 0;

	while (t != NULL && size >= 3) {
		struct rte_mbuf *victim;
		size_t used = 3;

		switch (data[0] % 4) {
		case 0:
			used = RTE_MIN(size, 1 + FRAME);
			receive(t, data + 1, used - 1, now);
			break;
		case 1:
		case 2:
			arp_wait(t, (data[1] | data[2] << 8) % 2000, harness_packet(NULL, 60, 0),
				data[2] & 0x80, now, &victim);
			rte_pktmbuf_free(victim);
			break;
		default:
			now += data[1] * data[2];
			tick(t, now);
		}
		fuzz_require(arp_count(t) <= ARP_ENTRIES_MAX, "too many entries");
		fuzz_require(arp_count_waiting(t) <= ARP_WAITING_MAX, "too many packets wait");
		data += used;
		size -= used;
	}
	arp_free(t);
	fuzz_require(rte_mempool_avail_count(harness_pool()) == available, "packets leaked");
	return 0;
}

/* "d" and a frame, "a" or "b" and an address to send to, "c" and time to pass. */
static const char *const seeds[] = {
	"d01806401bbcdef1256------1234" "a12a12c\xff\xff" "c\xff\xff" "c\xff\xff" "c\xff\xff",
	"a12d01806402bbcdef1256bUUUUU1234" "a12d01806401bbcdee12561256121256" "c\xff\xff" "c\xff\xff",
	"d01806401bbcdef----------1234" "d01806402bbcdef1256------1256",
};

FUZZ_MAIN(seeds)
