/* SPDX-License-Identifier: BSD-3-Clause */
/* LACPDUs and markers as they are on the wire (IEEE 802.1AX-2008 5.4.2, 5.5.3). */
#include "nodes/lacp.h"

#include <string.h>

#include <rte_byteorder.h>
#include <rte_common.h>

#define SUBTYPE_LACP 1
#define SUBTYPE_MARKER 2
#define TLV_MARKER 1
#define TLV_MARKER_RESPONSE 2

struct tlv_info {
	uint8_t type, len;
	rte_be16_t system_priority;
	struct rte_ether_addr system;
	rte_be16_t key, port_priority, port;
	uint8_t state, reserved[3];
} __rte_packed __rte_aligned(2);

struct lacpdu {
	struct rte_ether_hdr eth;
	uint8_t subtype, version;
	struct tlv_info actor, partner;
	uint8_t collector_type, collector_len;
	rte_be16_t collector_delay;
	uint8_t reserved[12];
	uint8_t terminator[52];
} __rte_packed __rte_aligned(2);

struct marker {
	struct rte_ether_hdr eth;
	uint8_t subtype, version;
	uint8_t type, len;
} __rte_packed __rte_aligned(2);

_Static_assert(sizeof(struct lacpdu) == LACP_FRAME_LEN, "a LACPDU has one length");

static const struct rte_ether_addr slow_group = {{0x01, 0x80, 0xc2, 0x00, 0x00, 0x02}};

static struct lacp_info
read_info(const struct tlv_info *t)
{
	return (struct lacp_info){
		.system = t->system,
		.system_priority = rte_be_to_cpu_16(t->system_priority),
		.key = rte_be_to_cpu_16(t->key),
		.port_priority = rte_be_to_cpu_16(t->port_priority),
		.port = rte_be_to_cpu_16(t->port),
		.state = t->state,
	};
}

static struct tlv_info
make_info(uint8_t type, const struct lacp_info *i)
{
	return (struct tlv_info){
		.type = type,
		.len = sizeof(struct tlv_info),
		.system_priority = rte_cpu_to_be_16(i->system_priority),
		.system = i->system,
		.key = rte_cpu_to_be_16(i->key),
		.port_priority = rte_cpu_to_be_16(i->port_priority),
		.port = rte_cpu_to_be_16(i->port),
		.state = i->state,
	};
}

enum lacp_result
lacp_read_frame(const void *frame, uint32_t len, struct lacp_info *actor, struct lacp_info *partner)
{
	const struct lacpdu *pdu = frame;

	if (len < sizeof(struct marker))
		return LACP_SHORT_FRAME;
	if (pdu->subtype == SUBTYPE_MARKER) {
		const struct marker *m = (const struct marker *)pdu;

		return m->type == TLV_MARKER ? LACP_MARKER : LACP_UNKNOWN;
	}
	if (pdu->subtype != SUBTYPE_LACP)
		return LACP_UNKNOWN;
	if (len < offsetof(struct lacpdu, terminator))
		return LACP_SHORT_FRAME;
	if (pdu->actor.type != 1 || pdu->actor.len != sizeof(pdu->actor) ||
		pdu->partner.type != 2 || pdu->partner.len != sizeof(pdu->partner))
		return LACP_BAD_TLV;
	*actor = read_info(&pdu->actor);
	*partner = read_info(&pdu->partner);
	return LACP_TAKEN;
}

void
lacp_write_frame(void *frame, const struct rte_ether_addr *src, const struct lacp_info *actor,
	const struct lacp_info *partner)
{
	struct lacpdu *pdu = frame;

	memset(pdu, 0, sizeof(*pdu));
	pdu->eth.dst_addr = slow_group;
	pdu->eth.src_addr = *src;
	pdu->eth.ether_type = RTE_BE16(RTE_ETHER_TYPE_SLOW);
	pdu->subtype = SUBTYPE_LACP;
	pdu->version = 1;
	pdu->actor = make_info(1, actor);
	pdu->partner = make_info(2, partner);
	pdu->collector_type = 3;
	pdu->collector_len = 16;
}

void
lacp_answer_marker(void *frame, const struct rte_ether_addr *src)
{
	struct marker *m = frame;

	m->eth.dst_addr = slow_group;
	m->eth.src_addr = *src;
	m->type = TLV_MARKER_RESPONSE;
}
