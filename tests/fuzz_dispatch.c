/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Fuzzer of ltran's verdicts: any frame, with any offload request, from the wire or an instance.
 * Nothing beyond the frame is read; what guard lets through has the instance's name and can be finished by
 * tx; a destination is always a queue that exists.
 * The input is XORed onto a good TCP segment, so that "000..." is one.
 */
#include <stdlib.h>

#include <rte_ip.h>

#include "dispatcher/dispatch.h"
#include "dispatcher/guard.h"
#include "nodes/tx.h"
#include "tests/fuzz_main.h"

#define OURS RTE_BE32(0x0a000005)
#define SHARED RTE_BE32(0x0a000006)
#define SLOTS 64
#define PARAMS 6

static const struct rte_ether_addr mac = {{2, 0, 0, 0, 0, 1}};
static struct ltran lt;
static struct ltran_slot tables[3][SLOTS];
static struct member members[3] = {
	{.index = 0, .addr = OURS, .n_queues = 1, .tables = tables[0], .n_slots = SLOTS},
	{.index = 1, .addr = SHARED, .n_queues = 1, .tables = tables[1], .n_slots = SLOTS},
	{.index = 2, .addr = SHARED, .n_queues = 1, .tables = tables[2], .n_slots = SLOTS},
};

void
workers_kick(struct ltran *l)
{
}

void
workers_synchronize(struct ltran *l)
{
}

/* TCP, 20 bytes of payload, from ourselves to ourselves. */
static const uint8_t frame[] = {
	2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 1, 8, 0,
	0x45, 0, 0, 60, 0, 1, 0, 0, 64, 6, 0, 0, 10, 0, 0, 5, 10, 0, 0, 6,
	0x80, 0, 0, 80, 0, 0, 0, 1, 0, 0, 0, 2, 0x50, 0x10, 1, 0, 0, 0, 0, 0,
};

static const struct map *
shared_map(void)
{
	static const struct ltran_conf conf = {.dispatch_subnet = RTE_BE32(0x0a000000),
		.dispatch_subnet_length = 4};
	static const uint32_t gone[] = {RTE_BE32(0x0a000007)};
	static struct map *map;
	struct member *list[] = {&members[0], &members[1], &members[2]};

	if (map == NULL)
		map = map_create(&conf, list, 3, gone, 1);
	return map;
}

static void
check_result(const struct dispatch_worker *dw, struct dispatch_result r, bool is_out)
{
	fuzz_require(r.edge < DISPATCH_EDGES && r.error <= DISPATCH_NO_ERROR, "no such edge or row");
	fuzz_require((r.error == DISPATCH_NO_ERROR) || r.edge == DISPATCH_DROP, "an error goes on");
	fuzz_require(!is_out || r.edge != DISPATCH_REASS, "reassembly of what is sent");
	fuzz_require(is_out || r.edge != DISPATCH_WIRE, "back to the wire");
	if (r.edge == DISPATCH_INSTANCE)
		fuzz_require(r.dest >> 16 < dw->map->n_members && (r.dest & 0xffff) == 0,
			"no such queue");
}

static void
from_instance(struct dispatch_worker *dw, struct rte_mbuf *m)
{
	if (guard_packet(&mac, OURS, m) != MEMBER_DROPS)
		return;
	fuzz_require(memcmp(rte_pktmbuf_mtod_offset(m, void *, 6), &mac, 6) == 0, "another's MAC");
	fuzz_require((m->ol_flags & ~(RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_L4_MASK | RTE_MBUF_F_TX_TCP_SEG)) == 0,
		"a request that no port fulfils");
	check_result(dw, dispatch_out(dw, m), true);
	if (!(m->ol_flags & RTE_MBUF_F_TX_TCP_SEG))
		tx_prepare(m, 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct dispatch_worker *dw = calloc(1, sizeof(*dw));
	struct rte_mbuf m = {.nb_segs = 1, .refcnt = 1};
	uint8_t *buf;

	if (size < PARAMS || dw == NULL) {
		free(dw);
		return 0;
	}
	dw->map = shared_map();
	dw->lt = &lt;
	dw->w.mac = mac;
	dw->w.kernel_fd = data[0] & 1 ? 3 : -1;
	m.l2_len = 14 + (data[1] ^ '0');
	m.l3_len = 20 + (data[2] ^ '0');
	m.l4_len = 20 + (data[3] ^ '0');
	m.tso_segsz = data[4] << 4;
	if (data[0] & 4)
		m.ol_flags |= RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_TCP_CKSUM;
	if (data[0] & 8)
		m.ol_flags |= RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_UDP_CKSUM;
	if (data[0] & 2)
		m.ol_flags |= RTE_MBUF_F_TX_TCP_SEG;
	if (data[0] & 64) /* librte_vhost makes it of what an instance says */
		m.ol_flags |= RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_UDP_SEG;
	size -= PARAMS;
	buf = malloc(size > 0 ? size : 1); /* of exactly its size: a sanitizer sees a step beyond */
	for (size_t i = 0; i < size; i++)
		buf[i] = (data[PARAMS + i] ^ '0') ^ (i < sizeof(frame) ? frame[i] : 0);
	m.buf_addr = buf;
	m.data_len = m.pkt_len = size;
	if (data[5] & 1)
		from_instance(dw, &m);
	else
		check_result(dw, dispatch_in(dw, &m), false);
	free(buf);
	free(dw);
	return 0;
}

#define Z20 "00000000000000000000"
static const char *const seeds[] = {
	"400001" Z20 Z20 Z20 "00000000000000",  /* with a checksum to be done */
	"000000" Z20 Z20 Z20 "00000000000000",
	"600001" Z20 Z20 Z20 "00000000000000",  /* and to be cut */
	"000001" "00000000000082" Z20 "00000000", /* ARP instead */
	"000001" Z20 "00000000",
};
FUZZ_MAIN(seeds)
