/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sockets of the user-space stack, as the preload library uses them. lwIP-free, DPDK-free.
 *
 * Results are >= 0 or -errno with Linux's meaning of the errno. No function here blocks on the
 * network: where a POSIX call would wait, it returns -EAGAIN (or -EINPROGRESS) and the caller waits
 * with a ready set. Any thread may use any socket; two threads in one socket are serialised.
 * A struct sock lives from sock_open()/sock_accept() to sock_close(), which always succeeds; after
 * it the handle is gone for the caller (the stack finishes the connection on its own).
 */
#ifndef STACK_SOCK_H
#define STACK_SOCK_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

struct sock;
struct stack_group;

enum sock_kind { SOCK_TCP, SOCK_UDP };

int sock_open(struct stack_group *g, enum sock_kind kind, struct sock **out);
void sock_close(struct sock *s);

/* The descriptor number shown by gazellectl. */
void sock_set_fd(struct sock *s, int fd);

/* Before bind(): a value that descriptors have in common which fork() has copied from one, and no
 * others. Where processes share an address, these may share a port. */
void sock_set_identity(struct sock *s, uint32_t identity);
/* Before listen(): the process has it from another one, which may have it still. When this one closes
 * it, those who want to connect are not refused for STACK_LEFT_US: somebody else may listen soon. Has an
 * effect where processes share an address. */
void sock_set_inherited(struct sock *s);

/* Address 0.0.0.0 or the stack's own; port 0: chosen (sock_name() tells). -EADDRINUSE,
 * -EADDRNOTAVAIL, -EINVAL (already bound). */
int sock_bind(struct sock *s, const struct sockaddr_in *addr);
int sock_listen(struct sock *s, int backlog); /* may be repeated to change the backlog */
/* A finished connection, or -EAGAIN, -EINVAL (not listening). `peer` may be NULL. */
int sock_accept(struct sock *s, struct sock **out, struct sockaddr_in *peer);
/* TCP: -EINPROGRESS, later EPOLLOUT and sock_take_error(); -EALREADY, -EISCONN, -ECONNREFUSED ...
 * once it has failed. UDP: 0; AF_UNSPEC in sin_family dissolves the association. */
int sock_connect(struct sock *s, const struct sockaddr_in *addr);
/* TCP, when connect() is over: 0 or -errno, said once. After -errno the socket is unconnected again and
 * may connect. */
int sock_connect_result(struct sock *s);

/* flags: MSG_PEEK, MSG_TRUNC, MSG_DONTWAIT is implied. 0 = end of stream (TCP), or no bytes were asked
 * for and there are some.
 * `from` may be NULL; *out_flags receives MSG_TRUNC for a cut datagram, may be NULL. */
ssize_t sock_recv(struct sock *s, const struct iovec *iov, int iovcnt, int flags,
	struct sockaddr_in *from, int *out_flags);
/* Takes what fits; -EAGAIN when nothing does, -EPIPE after shutdown (the caller raises SIGPIPE),
 * -ENOTCONN, -EDESTADDRREQ, -EMSGSIZE. flags: MSG_MORE. `to` NULL or a UDP destination. */
ssize_t sock_send(struct sock *s, const struct iovec *iov, int iovcnt, int flags,
	const struct sockaddr_in *to);
/* SHUT_RD, SHUT_WR, SHUT_RDWR. A listener stops with the first and the last: it keeps its port, resets
 * what waits to be accepted, and may listen again. -ENOTCONN also when the connection is over. */
int sock_shutdown(struct sock *s, int how);

int sock_name(struct sock *s, struct sockaddr_in *addr); /* local */
int sock_peer(struct sock *s, struct sockaddr_in *addr); /* -ENOTCONN, also when it is over */
int sock_take_error(struct sock *s);                     /* SO_ERROR: positive errno, cleared */
size_t sock_inq(struct sock *s);                         /* FIONREAD */
size_t sock_outq(struct sock *s);                        /* SIOCOUTQ */

/* Linux's levels and names. -ENOPROTOOPT for what is unknown. */
int sock_setopt(struct sock *s, int level, int name, const void *val, socklen_t len);
int sock_getopt(struct sock *s, int level, int name, void *val, socklen_t *len);

/* Current readiness in EPOLL* bits (IN, OUT, RDHUP, HUP, ERR); no lock, no system call. */
uint32_t sock_events(const struct sock *s);
bool sock_is_listening(const struct sock *s);

#endif
