/* SPDX-License-Identifier: BSD-3-Clause */
/* The program's calls on TCP sockets, as the holder executes them. */
#include "stack/impl.h"
#include "stack/lwip_image.h"
#include "stack/tcp_impl.h"

#include <errno.h>

void
tcp_sock_listen(struct stack *st, struct sock *s)
{
	struct port_link *link = &s->links[st->index];

	st->counters.listeners += !link->listening;
	link->listening = true;
}

/* Its requests are forgotten; an ACK of one that comes now is answered with a reset. */
void
tcp_listener_close(struct stack *st, struct sock *l)
{
	struct port_link *link = &l->links[st->index];

	if (!link->listening)
		return;
	link->listening = false;
	st->counters.listeners--;
	tcp_syn_forget(st, link);
}

struct connect {
	struct sock *s;
	err_t err;
};

static void
connect_sock(struct stack *st, void *arg)
{
	struct connect *c = arg;
	const struct lwip_image *lw = st->lw;
	struct sock *s = c->s;
	ip_addr_t remote = {s->raddr}, local = {s->laddr};
	struct tcp_pcb *pcb;

	tcp_lists_clear(st);
	pcb = lw->tcp_new();
	if (pcb == NULL)
		return;
	s->timer = wheel_add(&st->wheel, s);
	if (s->timer == 0) {
		lw->tcp_abandon(pcb, 0);
		return;
	}
	tcp_pcb_adopt(st, s, pcb);
	/* Before the options: one that another thread sets meanwhile is seen here, or asked for (SD_OPT). */
	sock_flag_set(s, SF_CONNECTING);
	tcp_options_apply(s);
	ip_set_option(pcb, SOF_REUSEADDR);
	lw->tcp_bind(pcb, &local, lwip_ntohs(s->lport));
	table_insert(st, s);
	tcp_enter(st, s);
	c->err = lw->tcp_connect(pcb, &remote, lwip_ntohs(s->rport), tcp_on_connected);
	if (c->err != ERR_OK && s->pcb != NULL)
		lw->tcp_abandon(pcb, 0);
	tcp_leave(st, s);
}

int
tcp_sock_connect(struct stack *st, struct sock *s)
{
	struct connect c = {.s = s, .err = ERR_MEM};

	if (!tcp_make_room(st))
		return -ENOBUFS;
	if (!lwip_guard(st, connect_sock, &c))
		return -ENOBUFS;
	return c.err == ERR_OK ? -EINPROGRESS : c.err == ERR_MEM ? -ENOBUFS : -ENETUNREACH;
}

static void
abandon(struct stack *st, void *arg)
{
	struct sock *s = arg;

	tcp_enter(st, s);
	st->lw->tcp_abandon(s->pcb, 0);
	tcp_leave(st, s);
}

static void
abandon_with_reset(struct stack *st, void *arg)
{
	struct sock *s = arg;

	tcp_enter(st, s);
	st->lw->tcp_abandon(s->pcb, 1);
	tcp_leave(st, s);
}

void
tcp_sock_abandon(struct stack *st, struct sock *s, bool reset)
{
	lwip_guard(st, reset ? abandon_with_reset : abandon, s);
}

void
tcp_sock_abort(struct stack *st, struct sock *s, int err)
{
	if (s->pcb == NULL)
		return;
	s->fail_errno = err;
	tcp_sock_abandon(st, s, true);
}

/* There is a pcb, and tcp_report_recved() may not have been called yet. */
static bool
is_closed_with_reset(const struct sock *s)
{
	struct sock *m = (struct sock *)s;

	return s->pcb->state == SYN_SENT || s->linger_s == 0 ||
	       atomic_load(&m->rx_bytes_in) != atomic_load(&m->rx_bytes_out);
}

/* The program has closed the socket: FIN when all is sent; RST when it left data unread, or (not
 * `has_room`) where too many are being closed. */
static void
serve_close(struct stack *st, struct sock *s, bool has_room)
{
	bool with_reset;

	s->closed = true;
	if (s->listener != NULL) {
		tcp_listener_put(s->listener);
		s->listener = NULL;
	}
	if (s->pcb == NULL) {
		if (atomic_load(&s->refs) > 1) /* it has listened since its connect() failed */
			tcp_listener_put(s);
		else
			sock_retire(st, s);
		return;
	}
	with_reset = is_closed_with_reset(s);
	sock_free_pkts(s);
	if (with_reset || !has_room) {
		st->abort_on_memory += !with_reset;
		st->lw->tcp_abandon(s->pcb, s->pcb->state != SYN_SENT);
		return;
	}
	s->fin_wanted = true;
	tcp_sock_output(st, s); /* a FIN lets go what Nagle or a cork has held back */
}

void
tcp_sock_serve(struct stack *st, struct sock *s, uint32_t reasons)
{
	bool has_room = true;

	if ((reasons & SD_CLOSE) && s->pcb == NULL) {
		serve_close(st, s, true);
		if (st->zombies != NULL)
			sock_reap(st);
		return;
	}
	if (s->pcb == NULL) {
		tcp_tx_collect(s);
		mem_settle(&st->mem, s);
		return;
	}
	if ((reasons & SD_CLOSE) && !is_closed_with_reset(s))
		has_room = tcp_orphan_make_room(st, s);
	tcp_enter(st, s);
	if (reasons & SD_CLOSE)
		s->closed = true; /* now: whatever ends the connection frees the socket */
	if (s->pcb->state != SYN_SENT)
		tcp_report_recved(st, s);
	if (reasons & SD_OPT)
		tcp_options_apply(s);
	if (reasons & SD_MEM)
		s->mem_wait = true;
	if (reasons & SD_SHUT)
		s->fin_wanted = true;
	tcp_sock_output(st, s);
	if (reasons & SD_CLOSE)
		serve_close(st, s, has_room);
	tcp_leave(st, s);
}

/* --- the end of the process ----------------------------------------------------------------------- */

static bool
is_owed(const struct sock *s)
{
	return s->tx_feed != NULL || s->pcb->unsent != NULL || s->pcb->unacked != NULL;
}

bool
tcp_unsettled(const struct stack *st, bool with_fin)
{
	for (const struct sock *s = st->all; s != NULL; s = s->all_next) {
		if (s->kind != SOCK_TCP || s->pcb == NULL)
			continue;
		if (is_owed(s) || (with_fin && s->pcb->state == FIN_WAIT_2))
			return true;
	}
	return false;
}

void
tcp_sock_end(struct stack *st, struct sock *s)
{
	bool quiet = !is_owed(s) && s->pcb->state >= FIN_WAIT_1;

	tcp_sock_abandon(st, s, !quiet);
}
