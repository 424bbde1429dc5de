/* SPDX-License-Identifier: BSD-3-Clause */
/* What the tcp_*.c files share. Holder only; see tcp.c. */
#ifndef STACK_TCP_IMPL_H
#define STACK_TCP_IMPL_H

#include "stack/lwip_image.h"
#include "stack/tcp_gate.h"
#include "stack/tcp_loss.h"

struct sock;
struct stack;

/* tcp.c */
void tcp_rtt_sample(struct stack *st, struct sock *s); /* the segment being timed has arrived */
extern const struct tcp_ext_arg_callbacks tcp_ext_callbacks; /* birth and death of pcbs */
err_t tcp_on_connected(void *arg, struct tcp_pcb *pcb, err_t err);
void tcp_lists_clear(struct stack *st);
void tcp_listener_put(struct sock *l);
void tcp_pcb_adopt(struct stack *st, struct sock *s, struct tcp_pcb *pcb);
void tcp_options_apply(struct sock *s);
void tcp_sock_lost(struct stack *st, struct sock *s, int err); /* its pcb is not to be touched again */

/* tcp_ops.c */
void tcp_sock_abandon(struct stack *st, struct sock *s, bool reset); /* forget s->pcb */

/* tcp_rx_ooo.c */
/* Does a segment begin behind what is expected? Such ones do not go to lwIP but here. */
bool tcp_rx_is_early(const struct sock *s, const struct tcp_gate_segment *g);
/* Consumes pb, whose ACK has been dealt with. */
void tcp_rx_keep(struct stack *st, struct sock *s, struct pbuf *pb, const void *ip,
	const struct tcp_gate_segment *g);
/* Before a segment with data goes to lwIP: is tcp_rx_after() needed behind it? That gives lwIP what
 * has come in turn now, and acknowledges it. */
bool tcp_rx_before(struct sock *s, const struct tcp_gate_segment *g);
void tcp_rx_after(struct stack *st, struct sock *s);
void tcp_rx_ooo_free(struct stack *st, struct sock *s);
void tcp_rx_ooo_ack(struct stack *st, struct sock *s); /* what was put off to the end of the vector */

/* tcp_rx.c */
void tcp_report_recved(struct stack *st, struct sock *s);
void tcp_rx_begin(struct stack *st, struct sock *s); /* it has become ESTABLISHED */

/* tcp_tx.c */
void tcp_tx_collect(struct sock *s); /* take what the program has queued */
void tcp_tx_drop(struct sock *s);
void tcp_finish_if_fed(struct stack *st, struct sock *s); /* FIN behind the last byte */
void tcp_pending_add(struct stack *st, struct sock *s);

/* tcp_resend.c */
/* Send again up to `max` bytes (the MSS at most) at `seq`; bytes sent, 0: no memory. */
uint32_t tcp_resend(struct stack *st, struct sock *s, uint32_t seq, uint32_t max);
uint32_t tcp_resend_last(const struct sock *s); /* where the last packet in flight begins */

/* tcp_seg.c */
#define TCP_SEG_HEADERS 40 /* IPv4 and TCP without options, as every segment with data has */
/* Bytes one segment may have where the port cuts IP packets of up to `tso_max` bytes (0: not). */
uint16_t tcp_seg_max(const struct tcp_pcb *pcb, uint16_t tso_max);
/* pcb->mss for one tcp_write() of `len` bytes. */
uint16_t tcp_seg_write_mss(const struct tcp_pcb *pcb, uint16_t tso_max, uint32_t len);

/* Is the last segment that waits no longer than lwIP would make it now, with pcb->mss? */
bool tcp_seg_fits_last(const struct tcp_pcb *pcb);

/* tcp_orphan.c */
/* After every entry into lwIP with a pcb that is in TIME_WAIT or whose socket is closed. */
void tcp_end_note(struct stack *st, struct sock *s);
void tcp_end_forget(struct stack *st, struct sock *s); /* may be repeated */
uint32_t tcp_end_deadline(const struct sock *s); /* when a closed one ends, ms; not in TIME_WAIT */
/* The next two end other connections where need be, so they are not for the inside of an entry. */
bool tcp_orphan_make_room(struct stack *st, const struct sock *s); /* for `s`, when it is closed */
bool tcp_make_room(struct stack *st); /* for one more connection */

/* tcp_tail.c */
void tcp_tail_output(struct stack *st, struct sock *s); /* lwIP's tcp_output() for `s` */
void tcp_tail_forget(struct sock *s); /* after segments left lwIP's unacked list other than by ACK */

#endif
