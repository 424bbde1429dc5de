/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What others see of this process's sockets where they bring its packets (struct stack_sharing).
 *
 * Connections are shown from the first SYN to the end of TIME_WAIT. A port that is listened on, or
 * bound for UDP, is shown once, whatever the number of sockets there; with the last one it goes. The
 * sockets of a port are those in the port table: of TCP's the one of stack 0, for there every
 * listener is, and stack 0's table shows them.
 */
#include "stack/impl.h"

#include <errno.h>

void
share_connection(struct stack *st, const struct sock *s, bool is_there)
{
	const struct stack_sharing *sharing = st->wiring.sharing;
	struct stack_shown shown = {.raddr = s->raddr, .rport = s->rport, .lport = s->lport};

	if (is_there)
		sharing->show(sharing->arg, st->index, &shown);
	else
		sharing->hide(sharing->arg, st->index, &shown);
}

void
share_handshake(struct stack *st, const struct tcp_handshake *h, bool is_there)
{
	const struct stack_sharing *sharing = st->wiring.sharing;
	struct stack_shown shown = {.raddr = h->raddr, .rport = h->rport, .lport = h->lport};

	if (is_there)
		sharing->show(sharing->arg, st->index, &shown);
	else
		sharing->hide(sharing->arg, st->index, &shown);
}

static struct stack_shown
port_of(const struct sock *s)
{
	return (struct stack_shown){
		.lport = s->lport,
		.is_udp = s->kind == SOCK_UDP,
		.reuseport = (sock_flags(s) & SF_REUSEPORT) != 0,
		.lives_on = s->kind == SOCK_TCP && s->inherited,
		.identity = s->identity,
	};
}

int
share_claim(const struct sock *s)
{
	const struct stack_sharing *sharing = s->group->stacks[0].wiring.sharing;
	struct stack_shown shown = port_of(s);

	return sharing == NULL ? 0 : sharing->claim(sharing->arg, &shown);
}

/* shutdown() ends it for all who have it, close() does not. */
static bool
lives_on_elsewhere(const struct sock *s)
{
	return s->kind == SOCK_TCP && s->inherited &&
		(sock_flags(s) & (SF_LISTEN | SF_DEAD)) == (SF_LISTEN | SF_DEAD);
}

static bool
is_shown(const struct sock *s)
{
	return s->kind == SOCK_UDP || (sock_flags(s) & (SF_LISTEN | SF_DEAD)) == SF_LISTEN;
}

void
share_port(struct stack *st, const struct sock *s)
{
	const struct stack_sharing *sharing = st->wiring.sharing;
	struct stack_shown shown = {.lport = s->lport, .is_udp = s->kind == SOCK_UDP,
		.lives_on = lives_on_elsewhere(s)};
	const struct port_link *l;

	if (sharing == NULL || (s->kind == SOCK_TCP && st->index != 0))
		return;
	l = s->kind == SOCK_TCP ? st->tcp_ports[s->lport] : st->udp_ports[s->lport];
	while (l != NULL && !is_shown(l->sock))
		l = l->next;
	if (l == NULL) {
		sharing->hide(sharing->arg, st->index, &shown);
		return;
	}
	shown = port_of(l->sock);
	sharing->show(sharing->arg, st->index, &shown);
}

void
share_leave(struct stack *st, const struct sock *s)
{
	struct left_port *oldest = &st->left[0];

	if (st->wiring.sharing == NULL || !lives_on_elsewhere(s))
		return;
	for (int i = 0; i < STACK_LEFT_MAX; i++) {
		if (st->left[i].until_us < oldest->until_us)
			oldest = &st->left[i];
	}
	*oldest = (struct left_port){.until_us = st->now_us + STACK_LEFT_US, .port = s->lport};
}

bool
share_has_left(const struct stack *st, uint16_t lport)
{
	for (int i = 0; i < STACK_LEFT_MAX; i++) {
		if (st->left[i].port == lport && st->now_us < st->left[i].until_us)
			return true;
	}
	return false;
}
