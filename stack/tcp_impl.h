/* SPDX-License-Identifier: BSD-3-Clause */
/* What the tcp_*.c files share. Holder only; see tcp.c. */
#ifndef STACK_TCP_IMPL_H
#define STACK_TCP_IMPL_H

#include "stack/lwip_image.h"

struct sock;
struct stack;

/* tcp.c */
extern const struct tcp_ext_arg_callbacks tcp_ext_callbacks; /* birth and death of pcbs */
err_t tcp_on_accept(void *arg, struct tcp_pcb *pcb, err_t err);
err_t tcp_on_connected(void *arg, struct tcp_pcb *pcb, err_t err);
void tcp_lists_clear(struct stack *st);
void tcp_listener_put(struct sock *l);
void tcp_pcb_adopt(struct stack *st, struct sock *s, struct tcp_pcb *pcb);
void tcp_options_apply(struct sock *s);

/* tcp_rx.c */
void tcp_report_recved(struct stack *st, struct sock *s);

/* tcp_tx.c */
void tcp_tx_collect(struct sock *s); /* take what the program has queued */
void tcp_tx_drop(struct sock *s);
void tcp_finish_if_fed(struct stack *st, struct sock *s); /* FIN behind the last byte */
void tcp_pending_add(struct stack *st, struct sock *s);

/* tcp_timer.c */
void tcp_halve_window(struct tcp_pcb *pcb); /* ssthresh and cwnd after a loss, RFC 5681 (4) */

/* tcp_seg.c */
#define TCP_SEG_HEADERS 40 /* IPv4 and TCP without options, as every segment with data has */
/* Bytes one segment may have where the port cuts IP packets of up to `tso_max` bytes (0: not). */
uint16_t tcp_seg_max(const struct tcp_pcb *pcb, uint16_t tso_max);
/* pcb->mss for one tcp_write() of `len` bytes. */
uint16_t tcp_seg_write_mss(const struct tcp_pcb *pcb, uint16_t tso_max, uint32_t len);
/* The first `len` bytes stay in `seg`, which is on one of the pcb's lists; the rest becomes the next
 * segment, with FIN and PSH. No payload moves. False: no memory, nothing done. */
bool tcp_seg_split(struct stack *st, struct sock *s, struct tcp_seg *seg, uint16_t len);
/* Before a retransmission: the first unacknowledged segment begins at lastack, one MSS at most. */
void tcp_seg_fit(struct stack *st, struct sock *s);
/* The first unsent segment is no larger than the window admits. */
void tcp_seg_fit_unsent(struct stack *st, struct sock *s);

/* tcp_wait.c */
void tcp_wait_add(struct stack *st, struct sock *s); /* in TIME_WAIT now; may be repeated */
void tcp_wait_remove(struct stack *st, struct sock *s);
bool tcp_make_room(struct stack *st); /* for one more connection, if need be; not inside lwIP */

/* tcp_tail.c */
void tcp_tail_output(struct stack *st, struct sock *s); /* lwIP's tcp_output() for `s` */
void tcp_tail_forget(struct sock *s); /* after segments left lwIP's unacked list other than by ACK */

#endif
