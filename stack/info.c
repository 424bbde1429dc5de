/* SPDX-License-Identifier: BSD-3-Clause */
/* Seeing inside a stack: connections, SNMP counters, loop counters (stack.h). */
#include "stack/impl.h"
#include "stack/lwip_image.h"

struct conns_request {
	struct stack_conn_info *out;
	unsigned int n, max;
};

static void
fill(struct stack *st, struct sock *s, struct stack_conn_info *i)
{
	memset(i, 0, sizeof(*i));
	i->fd = atomic_load_explicit(&s->fd, memory_order_relaxed);
	i->is_udp = s->kind == SOCK_UDP;
	i->local.sin_family = i->peer.sin_family = AF_INET;
	i->local.sin_addr.s_addr = s->laddr;
	i->local.sin_port = s->lport;
	i->peer.sin_addr.s_addr = s->raddr;
	i->peer.sin_port = s->rport;
	i->rx_bytes = atomic_load_explicit(&s->rx_bytes_in, memory_order_relaxed);
	i->tx_bytes = atomic_load_explicit(&s->tx_bytes_acked, memory_order_relaxed);
	i->recv_queue = (uint32_t)(i->rx_bytes -
				   atomic_load_explicit(&s->rx_bytes_out, memory_order_relaxed));
	i->send_queue = (uint32_t)(atomic_load_explicit(&s->tx_bytes_in, memory_order_relaxed) -
				   i->tx_bytes);
	i->accept_queue = atomic_load_explicit(&s->acc_n, memory_order_relaxed);
	i->keepalive = (sock_flags(s) & SF_KEEPALIVE) != 0;
	i->keep_idle_s = s->keep_idle_s;
	i->keep_intvl_s = s->keep_intvl_s;
	i->keep_cnt = s->keep_cnt;
	if (i->is_udp)
		i->state = "UDP";
	else
		tcp_fill_info(st, s, i);
}

static void
fill_request(const struct stack *st, const struct tcp_request *q, struct stack_conn_info *i)
{
	memset(i, 0, sizeof(*i));
	i->fd = -1;
	i->local.sin_family = i->peer.sin_family = AF_INET;
	i->local.sin_addr.s_addr = st->group->params.addr;
	i->local.sin_port = q->h.lport;
	i->peer.sin_addr.s_addr = q->h.raddr;
	i->peer.sin_port = q->h.rport;
	i->state = "SYN_RECVD";
	i->mss = q->h.opt.mss;
	i->snd_wnd = q->h.wnd;
	i->retransmits = q->tries;
	i->rto_ms = tcp_syn_timeout_ms(q->tries);
	i->snd_nxt = q->h.iss + 1;
	i->lastack = q->h.iss;
	i->rcv_nxt = q->h.irs + 1;
}

static void
op_conns(struct stack *st, void *arg)
{
	struct conns_request *r = arg;

	for (struct sock *s = st->all; s != NULL; s = s->all_next) {
		if (r->n < r->max)
			fill(st, s, &r->out[r->n]);
		r->n++;
	}
	for (unsigned int i = 0; i <= TCP_SYN_TRIES; i++) {
		for (const struct tcp_request *q = st->syn.wait[i].first; q != NULL; q = q->next) {
			if (r->n < r->max)
				fill_request(st, q, &r->out[r->n]);
			r->n++;
		}
	}
}

unsigned int
stack_conns(struct stack *st, struct stack_conn_info *out, unsigned int max)
{
	struct conns_request r = {.out = out, .max = max};

	stack_call(st, op_conns, &r);
	return r.n;
}

struct snmp_request {
	struct stack_snmp *out;
};

static void
op_snmp(struct stack *st, void *arg)
{
	struct stack_snmp *o = ((struct snmp_request *)arg)->out;
	const struct stats_mib2 *m = st->lw->mib2;

	o->ip_in_recv = m->tcpinsegs + m->udpindatagrams + m->icmpinmsgs;
	o->ip_in_deliver = o->ip_in_recv;
	o->ip_out_req = m->ipoutrequests;
	o->ip_out_discard = m->ipoutdiscards + st->tx_full_drops;
	o->tcp_act_open = m->tcpactiveopens;
	o->tcp_passive_open = m->tcppassiveopens;
	o->tcp_attempt_fail = m->tcpattemptfails;
	o->tcp_estab_rst = m->tcpestabresets;
	o->tcp_in_seg = m->tcpinsegs;
	o->tcp_out_seg = m->tcpoutsegs;
	o->tcp_retran_seg = m->tcpretranssegs;
	o->tcp_in_err = m->tcpinerrs;
	o->tcp_out_rst = m->tcpoutrsts;
	o->tcp_listen_drops = st->listen_drops;
	o->tcp_engine_resets = st->engine_resets;
	o->tcp_abort_on_memory = st->abort_on_memory;
	o->tcp_abort_on_timeout = st->abort_on_timeout;
	o->tcp_time_wait_overflow = st->time_wait_overflow;
	o->tcp_listen_overflows = st->syn.overflows;
	o->tcp_reqq_full_do_cookies = st->syn.full;
	o->syncookies_sent = st->syn.cookies_sent;
	o->syncookies_recv = st->syn.cookies_recv;
	o->syncookies_failed = st->syn.cookies_failed;
	o->tcp_refused = st->rst_out;
	o->tcp_curr_estab = st->counters.conns;
	o->udp_in_datagrams = m->udpindatagrams;
	o->udp_no_ports = m->udpnoports;
	o->udp_in_errors = m->udpinerrors;
	o->udp_out_datagrams = m->udpoutdatagrams;
	o->icmp_in_msgs = m->icmpinmsgs;
	o->icmp_in_errors = m->icmpinerrors;
	o->icmp_in_echos = m->icmpinechos;
	o->icmp_out_msgs = m->icmpoutmsgs;
	o->icmp_out_echo_reps = m->icmpoutechoreps;
}

void
stack_snmp_read(struct stack *st, struct stack_snmp *out)
{
	struct snmp_request r = {.out = out};

	memset(out, 0, sizeof(*out));
	stack_call(st, op_snmp, &r);
}

static void
op_counters(struct stack *st, void *arg)
{
	struct stack_counters *out = arg;

	*out = st->counters; /* of sockets that are gone, too */
	mem_settle_all(st);
	out->mem_bytes = mem_used(&st->mem);
	out->mem_high_bytes = st->mem.high;
	out->mem_pressure = st->mem.n_pressure;
	out->mem_rx_drops = st->mem.n_rx_drops;
	out->mem_ooo_drops = st->mem.n_ooo_drops;
	for (const struct sock *s = st->all; s != NULL; s = s->all_next)
		sock_count(s, out);
}

void
stack_counters_read(struct stack *st, struct stack_counters *out)
{
	stack_call(st, op_counters, out);
}

uint64_t
stack_group_idle_us(const struct stack_group *g)
{
	uint64_t tsc = atomic_load_explicit(&((struct stack_group *)g)->idle_tsc,
		memory_order_relaxed);

	return (uint64_t)(((unsigned __int128)tsc * g->us_per_tsc_32) >> 32);
}
