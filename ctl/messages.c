/* SPDX-License-Identifier: BSD-3-Clause */
/* YAML schemas of requests and answers; those of ltran are in messages_ltran.c. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/bounds.h"
#include "ctl/messages.h"
#include "ctl/schema.h"

static const cyaml_schema_field_t identity_fields[] = {
	UINT(ctl_identity, pid),
	TEXT(ctl_identity, kind),
	TEXT(ctl_identity, program),
	TEXT(ctl_identity, addr),
	TEXT(ctl_identity, version),
	CYAML_FIELD_END,
};

static const cyaml_strval_t severities[] = {
	{"normal", CTL_NORMAL},
	{"odd", CTL_ODD},
	{"broken", CTL_BROKEN},
};

const cyaml_schema_field_t ctl_error_fields[] = {
	TEXT(ctl_error, symbol),
	CYAML_FIELD_ENUM("severity", CYAML_FLAG_STRICT, struct ctl_error, severity, severities,
		CYAML_ARRAY_LEN(severities)),
	TEXT(ctl_error, text),
	UINT(ctl_error, count),
	CYAML_FIELD_END,
};
static const cyaml_schema_value_t error_value = {
	CYAML_VALUE_MAPPING(D, struct ctl_error, ctl_error_fields),
};

static const cyaml_schema_field_t node_fields[] = {
	TEXT(ctl_node, name),
	UINT(ctl_node, calls),
	UINT(ctl_node, packets),
	UINT(ctl_node, cycles),
	CYAML_FIELD_SEQUENCE("errors", SEQ, struct ctl_node, errors, &error_value, 0,
		CYAML_UNLIMITED),
	CYAML_FIELD_END,
};
static const cyaml_schema_value_t node_value = {
	CYAML_VALUE_MAPPING(D, struct ctl_node, node_fields),
};

static const cyaml_schema_field_t core_fields[] = {
	UINT(ctl_core, index),
	INT(ctl_core, tid),
	CYAML_FIELD_SEQUENCE("nodes", SEQ, struct ctl_core, nodes, &node_value, 0,
		CYAML_UNLIMITED),
	CYAML_FIELD_END,
};
static const cyaml_schema_value_t core_value = {
	CYAML_VALUE_MAPPING(D, struct ctl_core, core_fields),
};

static const cyaml_schema_field_t graph_fields[] = {
	UINT(ctl_graph, cycles_hz),
	CYAML_FIELD_SEQUENCE("cores", SEQ, struct ctl_graph, cores, &core_value, 0,
		CYAML_UNLIMITED),
	CYAML_FIELD_END,
};

static const cyaml_strval_t trace_actions[] = {
	{"start", CTL_TRACE_START},
	{"read", CTL_TRACE_READ},
	{"cancel", CTL_TRACE_CANCEL},
};

static const cyaml_schema_field_t trace_request_fields[] = {
	CYAML_FIELD_ENUM("action", CYAML_FLAG_STRICT, struct ctl_trace_request, action,
		trace_actions, CYAML_ARRAY_LEN(trace_actions)),
	UINT(ctl_trace_request, packets),
	CYAML_FIELD_END,
};

static const cyaml_schema_value_t line_value = {
	CYAML_VALUE_STRING(PTR, char, 0, CYAML_UNLIMITED),
};

static const cyaml_schema_field_t trace_fields[] = {
	UINT(ctl_trace, packets),
	CYAML_FIELD_SEQUENCE("lines", SEQ, struct ctl_trace, lines, &line_value, 0,
		CYAML_UNLIMITED),
	CYAML_FIELD_END,
};

static const cyaml_schema_field_t stack_fields[] = {
	UINT(ctl_stack, index),
	INT(ctl_stack, tid),
#define X(name) UINT(ctl_stack, name),
	CTL_STACK_ROWS(X)
#undef X
	CYAML_FIELD_END,
};
static const cyaml_schema_value_t stack_value = {
	CYAML_VALUE_MAPPING(D, struct ctl_stack, stack_fields),
};

const cyaml_schema_field_t ctl_port_fields[] = {
	TEXT(ctl_port, name),
	TEXT(ctl_port, driver),
	TEXT(ctl_port, mac),
	BOOL(ctl_port, link_up),
	UINT(ctl_port, rx_pkts),
	UINT(ctl_port, rx_bytes),
	UINT(ctl_port, rx_missed),
	UINT(ctl_port, rx_err),
	UINT(ctl_port, rx_allocmbuf_fail),
	UINT(ctl_port, tx_pkts),
	UINT(ctl_port, tx_bytes),
	UINT(ctl_port, tx_err),
	CYAML_FIELD_END,
};

static const cyaml_schema_field_t lstack_fields[] = {
	TEXT(ctl_lstack, mode),
	BOOL(ctl_lstack, low_power_mode),
	UINT(ctl_lstack, idle_us),
	UINT(ctl_lstack, mbuf_pool_size),
	UINT(ctl_lstack, mbuf_pool_freecnt),
	UINT(ctl_lstack, bulk_pool_size),
	UINT(ctl_lstack, bulk_pool_freecnt),
	CYAML_FIELD_MAPPING("port", D, struct ctl_lstack, port, ctl_port_fields),
	CYAML_FIELD_SEQUENCE("stacks", SEQ, struct ctl_lstack, stacks, &stack_value, 0,
		CYAML_UNLIMITED),
	CYAML_FIELD_END,
};

static const cyaml_schema_field_t conns_request_fields[] = {
	UINT(ctl_conns_request, max),
	CYAML_FIELD_END,
};

static const cyaml_schema_field_t conn_fields[] = {
	UINT(ctl_conn, stack),
	INT(ctl_conn, tid),
	TEXT(ctl_conn, proto),
	TEXT(ctl_conn, local),
	TEXT(ctl_conn, peer),
	TEXT(ctl_conn, state),
	INT(ctl_conn, fd),
	UINT(ctl_conn, recv_queue),
	UINT(ctl_conn, send_queue),
	UINT(ctl_conn, in_flight),
	UINT(ctl_conn, cwnd),
	UINT(ctl_conn, rcv_wnd),
	UINT(ctl_conn, snd_wnd),
	UINT(ctl_conn, mss),
	UINT(ctl_conn, srtt_us),
	UINT(ctl_conn, rto_ms),
	UINT(ctl_conn, retransmits),
	UINT(ctl_conn, snd_nxt),
	UINT(ctl_conn, lastack),
	UINT(ctl_conn, rcv_nxt),
	UINT(ctl_conn, rx_bytes),
	UINT(ctl_conn, tx_bytes),
	UINT(ctl_conn, accept_queue),
	BOOL(ctl_conn, keepalive),
	UINT(ctl_conn, keep_idle_s),
	UINT(ctl_conn, keep_intvl_s),
	UINT(ctl_conn, keep_cnt),
	CYAML_FIELD_END,
};
static const cyaml_schema_value_t conn_value = {
	CYAML_VALUE_MAPPING(D, struct ctl_conn, conn_fields),
};

static const cyaml_schema_field_t conns_fields[] = {
	UINT(ctl_conns, total),
	CYAML_FIELD_SEQUENCE("conns", SEQ, struct ctl_conns, conns, &conn_value, 0,
		CYAML_UNLIMITED),
	CYAML_FIELD_END,
};

static const cyaml_schema_field_t snmp_stack_fields[] = {
	UINT(ctl_snmp_stack, index),
	INT(ctl_snmp_stack, tid),
#define X(name) UINT(ctl_snmp_stack, name),
	CTL_SNMP_ROWS(X)
#undef X
	CYAML_FIELD_END,
};
static const cyaml_schema_value_t snmp_stack_value = {
	CYAML_VALUE_MAPPING(D, struct ctl_snmp_stack, snmp_stack_fields),
};

static const cyaml_schema_field_t snmp_fields[] = {
	CYAML_FIELD_SEQUENCE("stacks", SEQ, struct ctl_snmp, stacks, &snmp_stack_value, 0,
		CYAML_UNLIMITED),
	CYAML_FIELD_END,
};

ROOT(ctl_identity, identity_fields);
ROOT(ctl_graph, graph_fields);
ROOT(ctl_trace_request, trace_request_fields);
ROOT(ctl_trace, trace_fields);
ROOT(ctl_lstack, lstack_fields);
ROOT(ctl_conns_request, conns_request_fields);
ROOT(ctl_conns, conns_fields);
ROOT(ctl_snmp, snmp_fields);

#define REQUEST(name) &name##_root, sizeof(struct name)
#define ANSWER(name) &name##_root, sizeof(struct name)

#define SMALL CTL_REQUEST_MAX, CTL_EXCHANGE_MS
#define MEDIUM 16u << 20, CTL_EXCHANGE_MS
/* 20,000 connections are 8 MB, and half a second of encoding on a machine with nothing else to do. */
#define LARGE CTL_ANSWER_MAX, 4 * CTL_EXCHANGE_MS

static const struct ctl_message messages[] = {
	{CTL_IDENTITY, "identity", NULL, 0, ANSWER(ctl_identity), SMALL},
	{CTL_GRAPH_SHOW, "graph show", NULL, 0, ANSWER(ctl_graph), MEDIUM},
	{CTL_GRAPH_TRACE, "graph trace", REQUEST(ctl_trace_request), ANSWER(ctl_trace), MEDIUM},
	{CTL_LSTACK_SHOW, "lstack show", NULL, 0, ANSWER(ctl_lstack), MEDIUM},
	{CTL_LSTACK_CONNS, "lstack show -c", REQUEST(ctl_conns_request), ANSWER(ctl_conns), LARGE},
	{CTL_LSTACK_SNMP, "lstack show -s", NULL, 0, ANSWER(ctl_snmp), MEDIUM},
	{CTL_LTRAN_SHOW, "ltran show", NULL, 0, ANSWER(ctl_ltran), MEDIUM},
	{CTL_LTRAN_INSTANCES, "ltran show -i", NULL, 0, ANSWER(ctl_instances), MEDIUM},
	{CTL_LTRAN_MEASURE, "ltran show -l", REQUEST(ctl_measure_request), ANSWER(ctl_measure),
		MEDIUM},
	{CTL_LTRAN_SET_LOGLEVEL, "ltran set loglevel", REQUEST(ctl_loglevel), ANSWER(ctl_loglevel),
		SMALL},
	{CTL_LTRAN_QUIT, "ltran quit", NULL, 0, ANSWER(ctl_quit), SMALL},
};

const struct ctl_message *
ctl_message_find(uint16_t command)
{
	for (size_t i = 0; i < CYAML_ARRAY_LEN(messages); i++) {
		if (messages[i].command == command)
			return &messages[i];
	}
	return NULL;
}

/* A newer side may send fields this one does not know. Aliases would let a small document describe a
 * huge one. */
static const cyaml_config_t config = {
	.mem_fn = cyaml_mem,
	.flags = CYAML_CFG_IGNORE_UNKNOWN_KEYS | CYAML_CFG_NO_ALIAS | CYAML_CFG_STYLE_BLOCK,
};

int
ctl_message_encode(const struct cyaml_schema_value *schema, const void *data, char **body,
	size_t *len)
{
	cyaml_err_t err = cyaml_save_data(body, len, &config, schema, data, 0);

	if (err == CYAML_OK)
		return 0;
	return err == CYAML_ERR_OOM ? -ENOMEM : -EINVAL;
}

/* libcyaml loads an empty document as NULL and does not ask for mandatory fields then. */
static bool
may_be_empty(const struct cyaml_schema_value *schema)
{
	const cyaml_schema_field_t *f = schema->mapping.fields;

	while (f->key != NULL && (f->value.flags & CYAML_FLAG_OPTIONAL) != 0)
		f++;
	return f->key == NULL;
}

int
ctl_message_decode(const struct cyaml_schema_value *schema, const char *body, size_t len,
	void **data)
{
	cyaml_err_t err;

	*data = NULL;
	if (!ctl_bounds_hold(body, len))
		return -EINVAL;
	err = cyaml_load_data((const uint8_t *)body, len, &config, schema, data, NULL);
	if (err != CYAML_OK)
		return err == CYAML_ERR_OOM ? -ENOMEM : -EINVAL;
	if (*data == NULL && !may_be_empty(schema))
		return -EINVAL;
	if (*data == NULL)
		*data = calloc(1, schema->data_size);
	return *data != NULL ? 0 : -ENOMEM;
}

void
ctl_message_free(const struct cyaml_schema_value *schema, void *data)
{
	if (data != NULL)
		cyaml_free(&config, schema, data, 0);
}
