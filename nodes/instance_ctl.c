/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Control commands of an instance: snapshots of graphs, stacks and port for the control server.
 *
 * Everything here runs in the server's thread and only reads counters that may be read from
 * anywhere, except stack_conns(), which asks the holder of the stack's lock and waits a moment.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/say.h"
#include "ctl/path.h"
#include "ctl/server.h"
#include "nodes/facts.h"
#include "nodes/instance_private.h"
#include "nodes/nodes.h"

/* --- graph ------------------------------------------------------------------------------------ */

static void
fill_cores(const struct instance *in, struct facts_core *cores)
{
	for (unsigned int i = 0; i < in->n_workers; i++) {
		struct stack_counters counters;

		stack_counters_read(in->workers[i]->stack, &counters);
		cores[i] = (struct facts_core){in->workers[i]->graph, i, counters.tid};
	}
}

static int
answer_graph_show(void *arg, const void *request, void *answer, char *err, size_t err_len)
{
	struct facts_core cores[WORKERS_MAX];
	const struct instance *in = arg;

	fill_cores(in, cores);
	return facts_graph(cores, in->n_workers, answer);
}

static int
answer_graph_trace(void *arg, const void *request, void *answer, char *err, size_t err_len)
{
	struct facts_core cores[WORKERS_MAX];
	const struct instance *in = arg;

	fill_cores(in, cores);
	return facts_trace(cores, in->n_workers, request, answer, err, err_len);
}

/* --- lstack ----------------------------------------------------------------------------------- */

static void
fill_traffic(const struct worker *w, struct graph_node_stats *stats, struct ctl_stack *s)
{
	unsigned int n = graph_stats(w->graph, stats, FACTS_NODES_MAX);
	uint64_t dropped = 0;

	for (unsigned int i = 0; i < n && i < FACTS_NODES_MAX; i++) {
		if (strcmp(stats[i].name, NODE_RX) == 0) {
			s->rx_pkts = stats[i].packets;
		} else if (strcmp(stats[i].name, NODE_TX) == 0) {
			s->tx_pkts = stats[i].packets;
			s->tx_drop = facts_errors(&stats[i]);
		} else if (strcmp(stats[i].name, NODE_DROP) == 0) {
			dropped = stats[i].packets;
		}
	}
	s->rx_drop = dropped > s->tx_drop ? dropped - s->tx_drop : 0;
}

static void
fill_stack(const struct worker *w, struct ctl_stack *s)
{
	struct stack_counters c;

	stack_counters_read(w->stack, &c);
	s->index = w->index;
	s->tid = c.tid;
	s->walks = c.walks;
	s->idle_percent = c.walks > 0 ? c.idle_walks * 100 / c.walks : 0;
	s->tx_allocmbuf_fail = c.alloc_fail;
	s->conn_num = c.conns;
	s->listen_num = c.listeners;
	s->wakeup_events = c.wakeups;
	s->call_msg = c.ops;
	s->call_posted = c.ops_posted;
	s->app_events = c.events;
	s->app_read = c.app_reads;
	s->app_write = c.app_writes;
	s->app_read_bytes = c.app_read_bytes;
	s->app_write_bytes = c.app_write_bytes;
	s->mem_kb = c.mem_bytes / 1024;
	s->mem_high_kb = c.mem_high_bytes / 1024;
	s->mem_pressure = c.mem_pressure;
	s->mem_rx_drop = c.mem_rx_drops;
	s->mem_ooo_drop = c.mem_ooo_drops;
}

static int
answer_lstack_show(void *arg, const void *request, void *answer, char *err, size_t err_len)
{
	struct graph_node_stats *stats = calloc(FACTS_NODES_MAX, sizeof(*stats));
	const struct instance *in = arg;
	struct ctl_lstack *l = answer;

	l->stacks = calloc(in->n_workers, sizeof(*l->stacks));
	if (stats == NULL || l->stacks == NULL) {
		free(stats);
		return -ENOMEM;
	}
	snprintf(l->mode, sizeof(l->mode), "%s",
		stack_group_mode(in->stacks) == STACK_RUN_TO_WAKEUP ? "run-to-wakeup"
								    : "run-to-completion");
	l->low_power_mode = in->conf->low_power_mode;
	l->idle_us = stack_group_idle_us(in->stacks);
	facts_pool(in->pool, &l->mbuf_pool_size, &l->mbuf_pool_freecnt);
	facts_pool(in->bulk, &l->bulk_pool_size, &l->bulk_pool_freecnt);
	facts_port(in->port, &l->port);
	l->stacks_count = in->n_workers;
	for (unsigned int i = 0; i < in->n_workers; i++) {
		fill_traffic(in->workers[i], stats, &l->stacks[i]);
		fill_stack(in->workers[i], &l->stacks[i]);
	}
	free(stats);
	return 0;
}

static void
format_addr(char *buf, size_t len, const struct sockaddr_in *a)
{
	char addr[INET_ADDRSTRLEN];

	inet_ntop(AF_INET, &a->sin_addr, addr, sizeof(addr));
	if (a->sin_port != 0)
		snprintf(buf, len, "%s:%u", addr, ntohs(a->sin_port));
	else
		snprintf(buf, len, "%s:*", addr);
}

static void
fill_conn(struct ctl_conn *to, uint32_t stack, int tid, const struct stack_conn_info *from)
{
	*to = (struct ctl_conn){
		.stack = stack, .tid = tid, .fd = from->fd,
		.recv_queue = from->recv_queue, .send_queue = from->send_queue,
		.in_flight = from->in_flight, .cwnd = from->cwnd,
		.rcv_wnd = from->rcv_wnd, .snd_wnd = from->snd_wnd, .mss = from->mss,
		.srtt_us = from->srtt_us, .rto_ms = from->rto_ms,
		.retransmits = from->retransmits,
		.snd_nxt = from->snd_nxt, .lastack = from->lastack, .rcv_nxt = from->rcv_nxt,
		.rx_bytes = from->rx_bytes, .tx_bytes = from->tx_bytes,
		.accept_queue = from->accept_queue, .keepalive = from->keepalive,
		.keep_idle_s = from->keep_idle_s, .keep_intvl_s = from->keep_intvl_s,
		.keep_cnt = from->keep_cnt,
	};
	snprintf(to->proto, sizeof(to->proto), "%s", from->is_udp ? "udp" : "tcp");
	snprintf(to->state, sizeof(to->state), "%s", from->state);
	format_addr(to->local, sizeof(to->local), &from->local);
	format_addr(to->peer, sizeof(to->peer), &from->peer);
}

static int
answer_lstack_conns(void *arg, const void *request, void *answer, char *err, size_t err_len)
{
	const struct ctl_conns_request *r = request;
	const struct instance *in = arg;
	struct ctl_conns *c = answer;
	struct stack_conn_info *info;

	for (unsigned int i = 0; i < in->n_workers; i++) {
		struct stack *s = in->workers[i]->stack;
		uint32_t room = stack_conns(s, NULL, 0), n;
		struct stack_counters counters;
		struct ctl_conn *grown;

		stack_counters_read(s, &counters);
		if (room > r->max - c->conns_count)
			room = r->max - c->conns_count;
		info = calloc(room + 1, sizeof(*info));
		grown = realloc(c->conns, (c->conns_count + room + 1) * sizeof(*grown));
		if (grown != NULL)
			c->conns = grown;
		if (info == NULL || grown == NULL) {
			free(info);
			return -ENOMEM;
		}
		n = stack_conns(s, info, room);
		c->total += n;
		for (uint32_t k = 0; k < n && k < room; k++)
			fill_conn(&c->conns[c->conns_count++], i, counters.tid, &info[k]);
		free(info);
	}
	return 0;
}

static void
fill_snmp(struct ctl_snmp_stack *to, const struct stack_snmp *from)
{
	to->ip_in_recv = from->ip_in_recv;
	to->ip_in_deliver = from->ip_in_deliver;
	to->ip_out_req = from->ip_out_req;
	to->ip_out_discard = from->ip_out_discard;
	to->udp_in_datagrams = from->udp_in_datagrams;
	to->udp_no_ports = from->udp_no_ports;
	to->udp_in_errors = from->udp_in_errors;
	to->udp_out_datagrams = from->udp_out_datagrams;
	to->tcp_act_open = from->tcp_act_open;
	to->tcp_passive_open = from->tcp_passive_open;
	to->tcp_attempt_fail = from->tcp_attempt_fail;
	to->tcp_estab_rst = from->tcp_estab_rst;
	to->tcp_curr_estab = from->tcp_curr_estab;
	to->tcp_out_seg = from->tcp_out_seg;
	to->tcp_retran_seg = from->tcp_retran_seg;
	to->tcp_in_seg = from->tcp_in_seg;
	to->tcp_in_err = from->tcp_in_err;
	to->tcp_out_rst = from->tcp_out_rst;
	to->tcp_refused_cnt = from->tcp_refused; /* gazellectl's name for it */
	to->tcp_listen_drops = from->tcp_listen_drops;
	to->tcp_engine_resets = from->tcp_engine_resets;
	to->tcp_abort_on_memory = from->tcp_abort_on_memory;
	to->tcp_abort_on_timeout = from->tcp_abort_on_timeout;
	to->tcp_time_wait_overflow = from->tcp_time_wait_overflow;
	to->tcp_listen_overflows = from->tcp_listen_overflows;
	to->tcp_reqq_full_do_cookies = from->tcp_reqq_full_do_cookies;
	to->syncookies_sent = from->syncookies_sent;
	to->syncookies_recv = from->syncookies_recv;
	to->syncookies_failed = from->syncookies_failed;
	to->icmp_in_msgs = from->icmp_in_msgs;
	to->icmp_in_errors = from->icmp_in_errors;
	to->icmp_in_echos = from->icmp_in_echos;
	to->icmp_out_msgs = from->icmp_out_msgs;
	to->icmp_out_echo_reps = from->icmp_out_echo_reps;
}

static int
answer_lstack_snmp(void *arg, const void *request, void *answer, char *err, size_t err_len)
{
	const struct instance *in = arg;
	struct ctl_snmp *s = answer;

	s->stacks = calloc(in->n_workers, sizeof(*s->stacks));
	if (s->stacks == NULL)
		return -ENOMEM;
	s->stacks_count = in->n_workers;
	for (unsigned int i = 0; i < in->n_workers; i++) {
		struct stack_counters counters;
		struct stack_snmp snmp;

		stack_counters_read(in->workers[i]->stack, &counters);
		stack_snmp_read(in->workers[i]->stack, &snmp);
		fill_snmp(&s->stacks[i], &snmp);
		s->stacks[i].index = i;
		s->stacks[i].tid = counters.tid;
	}
	return 0;
}

/* --- server ----------------------------------------------------------------------------------- */

static const struct ctl_handler handlers[] = {
	{ CTL_GRAPH_SHOW, answer_graph_show },
	{ CTL_GRAPH_TRACE, answer_graph_trace },
	{ CTL_LSTACK_SHOW, answer_lstack_show },
	{ CTL_LSTACK_CONNS, answer_lstack_conns },
	{ CTL_LSTACK_SNMP, answer_lstack_snmp },
};

int
instance_ctl_start(struct instance *in)
{
	struct in_addr addr = { .s_addr = in->conf->host_addr };
	char text[INET_ADDRSTRLEN], err[256];
	struct ctl_server_params p = {
		.prefix = in->conf->unix_prefix,
		.kind = CTL_KIND_LSTACK,
		.addr = inet_ntop(AF_INET, &addr, text, sizeof(text)),
		.version = GAZELLE_VERSION,
		.handlers = handlers,
		.n_handlers = RTE_DIM(handlers),
		.arg = in,
	};

	/* A program that cannot be watched is still a fast program. */
	if (ctl_server_start(&p, &in->ctl, err, sizeof(err)) < 0)
		say("gazellectl will not find this process: %s", err);
	return 0;
}

void
instance_ctl_stop(struct instance *in)
{
	if (in->ctl != NULL)
		ctl_server_stop(in->ctl);
	in->ctl = NULL;
}
