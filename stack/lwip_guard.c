/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What becomes of a failed assertion of lwIP.
 *
 * It means that lwIP's idea of one connection contradicts itself: a fault of lwIP or ours, perhaps
 * provoked by a peer. The program that we are loaded into must not end for it. Exactly one
 * connection is on lwIP's lists while lwIP runs (tcp.c), so exactly one can be broken: st->cur.
 *
 * lwip_guard() runs a piece of work that may enter lwIP. Where an assertion fails in it, control
 * comes back here at once, over all frames between, and the connection is given up: lwIP's lists are
 * emptied, the peer gets a reset made of three numbers, and table, timer, queues and program learn
 * of the end as they do of any reset. That is counted (stack_snmp.tcp_engine_resets) and said once on
 * stderr.
 *
 * lwIP's own memory of the connection is not freed by lwIP, whose walks would fail again, but block
 * by block: each one that its lists lead to, is in use and was allocated for this pcb (heap.c). So a
 * peer that finds out how to make an assertion fail gains nothing by repeating it. What the function
 * that was left had in its hands and in no list (a segment with its pbufs, 200 bytes) can be lost.
 *
 * Who calls lwip_guard() must be able to go on behind the piece of work that was cut off: its state
 * is in memory that `arg` names, not in variables of the function that was left. A lock must not be
 * held where lwIP is called. Guards nest; the innermost one gets it. Without any (set-up) an
 * assertion is only told.
 *
 * Builds with a sanitizer or buildtype=debug, and the unit suites, abort instead: there the
 * assertion is the finding.
 */
#include "common/say.h"
#include "stack/impl.h"
#include "stack/lwip_image.h"
#include "stack/tcp_impl.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#ifdef LWIP_ASSERT_ABORTS
bool lwip_assert_aborts = true;
#else
bool lwip_assert_aborts;
#endif

#ifdef __SANITIZE_ADDRESS__
void __asan_handle_no_return(void); /* the frames that are jumped over leave their marks otherwise */
#endif

static __thread void **innermost; /* jump buffer of this thread's innermost guard */

static void
tell_once(const char *message)
{
	static _Atomic bool told;

	if (!atomic_exchange(&told, true))
		say("lwIP's assertion \"%s\" has failed; the connection is reset. "
			"Further ones are only counted, see tcp_engine_resets in `gazellectl "
			"lstack show -s`.",
			message);
}

/* LWIP_PLATFORM_ASSERT. */
void
stack_hook_assert(const char *message)
{
	if (lwip_assert_aborts) {
		say("lwIP: %s", message);
		abort();
	}
	tell_once(message);
	if (innermost == NULL)
		return;
#ifdef __SANITIZE_ADDRESS__
	__asan_handle_no_return();
#endif
	__builtin_longjmp(innermost, 1);
}

/* lwIP has stopped in the middle: nobody is on its lists or in its hands any more. */
static void
give_up_connection(struct stack *st)
{
	struct sock *s = st->cur;
	struct tcp_pcb *pcb;

	st->engine_resets++;
	tcp_lists_clear(st);
	*st->lw->udp_pcbs = NULL;
	*st->lw->input_pcb = NULL;
	if (s == NULL)
		return;
	if (s->kind != SOCK_TCP) {
		udp_sock_cut(st, s);
		return;
	}
	pcb = s->pcb;
	if (pcb == NULL)
		return;
	if (pcb->state != TIME_WAIT)
		st->lw->tcp_rst(NULL, pcb->snd_nxt, pcb->rcv_nxt, &pcb->local_ip, &pcb->remote_ip,
			pcb->local_port, pcb->remote_port);
	tcp_sock_lost(st, s, ECONNRESET);
	st->lw->tcp_reclaim(pcb);
}

bool __attribute__((noinline, noclone))
lwip_guard(struct stack *st, void (*fn)(struct stack *st, void *arg), void *arg)
{
	void **volatile outer = innermost;
	struct stack *volatile stack = st;
	void *here[5];

	if (__builtin_setjmp(here) != 0) {
		innermost = NULL; /* an assertion in what follows is only told */
		give_up_connection(stack);
		innermost = outer;
		return false;
	}
	innermost = here;
	fn(st, arg);
	innermost = outer;
	return true;
}
