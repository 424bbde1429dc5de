/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A socket with two halves: the kernel's socket, whose descriptor the program has, and the stack's.
 *
 *	halves           kernel half                  stack half
 *	KERNEL | STACK   as the program made it       made when it is needed: undecided, or bound to
 *	                                              any address and served by both
 *	STACK            a placeholder for the number connected there, bound to the stack's address
 *	KERNEL           all there is                 dropped
 *
 * A stream socket made while the data path is up has a placeholder for its kernel half (is_lazy)
 * until a call needs the kernel: most are connected to a peer of the stack and never do.
 *
 * A socket only ever loses halves. It is decided by bind(), connect() and, when the data path does
 * not come up, by boot.
 */
#ifndef PRELOAD_SOCKET_H
#define PRELOAD_SOCKET_H

#include "preload/fd.h"
#include "preload/libc.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* The stack half, made now if this socket can have one and the data path comes up; NULL: the kernel
 * has to do. Not under fd_lock. */
struct sock *socket_stack(struct file *f);
/* The same for calls that move data: a socket still undecided has none to move. */
struct sock *socket_stack_for_data(struct file *f);

/* The kernel half, where it has been put off until now; 0 or -errno. Takes fd_lock itself. */
int socket_make_kernel(struct file *f);

static inline bool socket_is_lazy(const struct file *f)
{
	return atomic_load_explicit(&f->sock.is_lazy, memory_order_relaxed);
}

/* --- state changes, under fd_lock --------------------------------------------------------------- */

/* Does it wait for packets that only the stack can bring? */
bool socket_wants_stack(const struct file *f);
/* Make the stack half and repeat what the program has done so far. 0 or -errno. */
int socket_materialise(struct file *f);
/* The same where the call that asked for it has returned long ago: a failure is only said. False:
 * on_error = "exit" wants the program to end: boot_cannot_go_on(), without fd_lock. */
bool socket_materialise_late(struct file *f);
/* Before its stack half `s` is bound: where the address is shared, others see whose it is. */
void socket_identify(const struct file *f, struct sock *s);
/* 0, or -errno where the kernel cannot serve what the program has bound; that is said. */
int socket_to_kernel(struct file *f);
void socket_to_stack(struct file *f);
/* After socket_to_stack(), when it connects: system calls that nobody sees must find no socket there
 * that they could connect. A listener keeps it: it says which of several processes share the address. */
void socket_leave_kernel(struct file *f);
void socket_orphan(struct file *f);
void socket_close_stack(struct file *f); /* its watches and its stack half */
/* The last reference is gone. Takes fd_lock itself. */
void socket_destroy(struct file *f);

/* --- the kernel half of a socket that has both -------------------------------------------------- */

/* Bumped whenever some kernel descriptor was found ready: then a kernel half that had nothing may
 * have something now. Keeps accept() and recv() from asking it every time. */
extern _Atomic uint32_t socket_kernel_events;

static inline void socket_kernel_spoke(void)
{
	atomic_fetch_add_explicit(&socket_kernel_events, 1, memory_order_release);
}

static inline bool socket_has_kernel(const struct file *f)
{
	return (f->sock.halves & HALF_KERNEL) && f->sock.kernel_active;
}

/* Worth a system call? */
bool socket_ask_kernel(struct file *f);

/* --- addresses: IPv6 sockets write IPv4 as ::ffff:a.b.c.d ---------------------------------------- */

/* Take an address over from the program: 0, -EFAULT, or -EINVAL for an impossible length. */
int socket_get_addr(struct sockaddr_storage *to, const struct sockaddr *program, socklen_t len);
/* The IPv4 address in what the program gave; false: it is none (`in` then has family AF_UNSPEC). */
bool socket_ipv4(const struct file *f, const struct sockaddr_storage *addr, socklen_t len,
	struct sockaddr_in *in);
/* Copy an address out to the program, cut to *len, as the kernel does. 0, -EFAULT or -EINVAL. */
int socket_copy_addr(const struct file *f, const struct sockaddr_in *from, struct sockaddr *to,
	socklen_t *len);
int socket_put_addr(const void *from, socklen_t size, struct sockaddr *to, socklen_t *len);

#endif
