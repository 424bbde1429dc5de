/* SPDX-License-Identifier: BSD-3-Clause */
/* The table of connections, as wide as its widest address. */
#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

#include "ctl/render.h"

struct widths {
	int local, peer;
};

static struct widths
measure(const struct ctl_conns *c)
{
	struct widths w = {(int)strlen("Local Address"), (int)strlen("Foreign Address")};

	for (uint32_t i = 0; i < c->conns_count; i++) {
		if ((int)strlen(c->conns[i].local) > w.local)
			w.local = strlen(c->conns[i].local);
		if ((int)strlen(c->conns[i].peer) > w.peer)
			w.peer = strlen(c->conns[i].peer);
	}
	return w;
}

static void
render_head(FILE *out, const struct widths *w)
{
	fprintf(out,
		"No.   Proto  recv-q   send-q  in_send      cwn  rcv_wnd  snd_wnd    snd_nxt    "
		"lastack    rcv_nxt  rtt(us)  rto(ms)  retrans    fd  %-*s  %-*s  %-12s "
		"keep-alive(idle,intvl,cnt)\n",
		w->local, "Local Address", w->peer, "Foreign Address", "State");
}

/* Sequence space and timing, which listeners and datagram sockets do not have. */
static void
render_tcp(FILE *out, const struct ctl_conn *c, bool has)
{
	if (has)
		fprintf(out,
			" %8" PRIu32 " %8" PRIu32 " %8" PRIu32 " %8" PRIu32 " %10" PRIu32
			" %10" PRIu32 " %10" PRIu32 " %8" PRIu32 " %8" PRIu32 " %8" PRIu32,
			c->in_flight, c->cwnd, c->rcv_wnd, c->snd_wnd, c->snd_nxt, c->lastack,
			c->rcv_nxt, c->srtt_us, c->rto_ms, c->retransmits);
	else
		fprintf(out, " %8s %8s %8s %8s %10s %10s %10s %8s %8s %8s", "-", "-", "-", "-", "-",
			"-", "-", "-", "-", "-");
}

static void
render_row(FILE *out, const struct ctl_conn *c, uint32_t number, const struct widths *w)
{
	bool is_udp = strcmp(c->proto, "udp") == 0, is_listen = strcmp(c->state, "LISTEN") == 0;

	/* For a listener the receive queue is what accept() has still to take, as in netstat. */
	fprintf(out, "%-5" PRIu32 " %-5s %7" PRIu32 "  %7" PRIu32, number, c->proto,
		is_listen ? c->accept_queue : c->recv_queue, c->send_queue);
	render_tcp(out, c, !is_udp && !is_listen);
	if (c->fd >= 0)
		fprintf(out, " %5" PRId32, c->fd);
	else
		fprintf(out, " %5s", "-");
	fprintf(out, "  %-*s  %-*s  %-12s ", w->local, c->local, w->peer, c->peer, c->state);
	if (c->keepalive)
		fprintf(out, "%" PRIu32 ",%" PRIu32 ",%" PRIu32, c->keep_idle_s, c->keep_intvl_s,
			c->keep_cnt);
	else
		fputs("off", out);
	fputc('\n', out);
}

void
render_conns(FILE *out, const struct ctl_conns *c)
{
	struct widths w = measure(c);
	uint64_t unread = 0, unsent = 0;

	fprintf(out, "Active Internet connections (servers and established)\n");
	for (uint32_t i = 0; i < c->conns_count; i++) {
		const struct ctl_conn *conn = &c->conns[i];

		if (i == 0 || conn->stack != c->conns[i - 1].stack) {
			fprintf(out, "------ stack tid: %" PRId32 " ------\n", conn->tid);
			render_head(out, &w);
		}
		render_row(out, conn, i, &w);
		unread += conn->recv_queue;
		unsent += conn->send_queue;
	}
	fprintf(out, "Total unread bytes:%" PRIu64 " unsend bytes:%" PRIu64 "\n", unread, unsent);
	fprintf(out, "...Total connections: %" PRIu32 ", display connections: %" PRIu32 "\n",
		c->total, c->conns_count);
}
