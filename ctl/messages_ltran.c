/* SPDX-License-Identifier: BSD-3-Clause */
/* YAML schemas of ltran's requests and answers. */
#include "ctl/schema.h"

#define ROW(type) static const cyaml_schema_value_t type##_value
#define MAPPING(type) {CYAML_VALUE_MAPPING(D, struct type, type##_fields)}
#define PUBLIC_ROOT(type)                                                                          \
	const cyaml_schema_value_t type##_root = {                                                 \
		CYAML_VALUE_MAPPING(PTR, struct type, type##_fields),                              \
	}

/* --- ltran show -------------------------------------------------------------------------------- */

static const cyaml_schema_field_t ctl_nic_fields[] = {
	UINT(ctl_nic, number),
	UINT(ctl_nic, rx_drop),
	UINT(ctl_nic, tx_drop),
	TEXT(ctl_nic, role),
	UINT(ctl_nic, link_failures),
	CYAML_FIELD_MAPPING("port", D, struct ctl_nic, port, ctl_port_fields),
	CYAML_FIELD_END,
};
ROW(ctl_nic) = MAPPING(ctl_nic);

static const cyaml_schema_field_t ctl_worker_fields[] = {
	UINT(ctl_worker, index),
	INT(ctl_worker, tid),
	INT(ctl_worker, cpu),
#define X(name) UINT(ctl_worker, name),
	CTL_WORKER_ROWS(X)
#undef X
	CYAML_FIELD_END,
};
ROW(ctl_worker) = MAPPING(ctl_worker);

static const cyaml_schema_field_t ctl_drop_fields[] = {
	TEXT(ctl_drop, node),
	CYAML_FIELD_MAPPING("error", D, struct ctl_drop, error, ctl_error_fields),
	CYAML_FIELD_END,
};
ROW(ctl_drop) = MAPPING(ctl_drop);

static const cyaml_schema_field_t ctl_ltran_fields[] = {
	TEXT(ctl_ltran, loglevel),
	BOOL(ctl_ltran, low_power_mode),
	UINT(ctl_ltran, clients),
	UINT(ctl_ltran, clients_max),
	UINT(ctl_ltran, mbuf_pool_size),
	UINT(ctl_ltran, mbuf_pool_freecnt),
	UINT(ctl_ltran, kni_pkts),
	UINT(ctl_ltran, arp_pkts),
	UINT(ctl_ltran, tcp_pkts),
	UINT(ctl_ltran, icmp_pkts),
	UINT(ctl_ltran, udp_pkts),
	UINT(ctl_ltran, other_pkts),
	UINT(ctl_ltran, bond_mode),
	UINT(ctl_ltran, bond_miimon),
	UINT(ctl_ltran, bond_switches),
	LIST(ctl_ltran, nics, &ctl_nic_value),
	LIST(ctl_ltran, workers, &ctl_worker_value),
	LIST(ctl_ltran, drops, &ctl_drop_value),
	CYAML_FIELD_END,
};
PUBLIC_ROOT(ctl_ltran);

/* --- ltran show -i ----------------------------------------------------------------------------- */

static const cyaml_schema_field_t ctl_reason_fields[] = {
	TEXT(ctl_reason, name),
	UINT(ctl_reason, packets),
	CYAML_FIELD_END,
};
ROW(ctl_reason) = MAPPING(ctl_reason);

static const cyaml_schema_field_t ctl_instance_fields[] = {
	TEXT(ctl_instance, addr),
	UINT(ctl_instance, id),
	UINT(ctl_instance, pid),
	UINT(ctl_instance, uid),
	TEXT(ctl_instance, program),
	UINT(ctl_instance, queues),
	INT(ctl_instance, sockfd),
	UINT(ctl_instance, bond_port),
	TEXT(ctl_instance, state),
	UINT(ctl_instance, rx_pkts),
	UINT(ctl_instance, rx_bytes),
	UINT(ctl_instance, tx_pkts),
	UINT(ctl_instance, tx_bytes),
	UINT(ctl_instance, conns),
	UINT(ctl_instance, listeners),
	TEXT(ctl_instance, ports),
	UINT(ctl_instance, age_s),
	LIST(ctl_instance, drops, &ctl_reason_value),
	CYAML_FIELD_END,
};
ROW(ctl_instance) = MAPPING(ctl_instance);

static const cyaml_schema_field_t ctl_instances_fields[] = {
	LIST(ctl_instances, instances, &ctl_instance_value),
	CYAML_FIELD_END,
};
PUBLIC_ROOT(ctl_instances);

/* --- ltran show -b, -l ------------------------------------------------------------------------- */

static const cyaml_schema_field_t ctl_measure_request_fields[] = {
	UINT(ctl_measure_request, for_ms),
	CYAML_FIELD_END,
};
PUBLIC_ROOT(ctl_measure_request);

static const cyaml_schema_field_t ctl_class_fields[] = {
	UINT(ctl_class, from),
	UINT(ctl_class, to),
	UINT(ctl_class, n),
	CYAML_FIELD_END,
};
ROW(ctl_class) = MAPPING(ctl_class);

static const cyaml_schema_field_t ctl_latency_fields[] = {
	TEXT(ctl_latency, addr),
	UINT(ctl_latency, pid),
	UINT(ctl_latency, pkts),
	UINT(ctl_latency, min_ns),
	UINT(ctl_latency, max_ns),
	UINT(ctl_latency, average_ns),
	CYAML_FIELD_END,
};
ROW(ctl_latency) = MAPPING(ctl_latency);

static const cyaml_schema_field_t ctl_measure_fields[] = {
	UINT(ctl_measure, us),
	LIST(ctl_measure, lengths, &ctl_class_value),
	LIST(ctl_measure, bursts, &ctl_class_value),
	LIST(ctl_measure, latencies, &ctl_latency_value),
	CYAML_FIELD_MAPPING("total", D, struct ctl_measure, total, ctl_latency_fields),
	CYAML_FIELD_END,
};
PUBLIC_ROOT(ctl_measure);

/* --- ltran set loglevel, ltran quit ------------------------------------------------------------ */

static const cyaml_schema_field_t ctl_loglevel_fields[] = {
	TEXT(ctl_loglevel, level),
	CYAML_FIELD_END,
};
PUBLIC_ROOT(ctl_loglevel);

static const cyaml_schema_field_t ctl_quit_fields[] = {
	UINT(ctl_quit, pid),
	CYAML_FIELD_END,
};
PUBLIC_ROOT(ctl_quit);
