/* SPDX-License-Identifier: BSD-3-Clause */
/* Between fake_sock.c and fake_ready.c: sockets and what watches them, under one lock. */
#ifndef TESTS_FAKE_IMPL_H
#define TESTS_FAKE_IMPL_H

#include "stack/ready.h"
#include "stack/sock.h"

#include <pthread.h>
#include <sys/queue.h>

enum { QUEUE = 64 * 1024, BACKLOG_MAX = 128, FIRST_PORT = 40000 };

struct ready_watch {
	LIST_ENTRY(ready_watch) in_sock, in_set;
	struct sock *s;
	struct ready_set *set;
	uint32_t events, edges_seen;
	uint64_t data;
	bool is_off; /* one-shot, fired */
};

LIST_HEAD(watches, ready_watch);

struct ready_set {
	struct watches watches;
	int fd;
	bool is_armed;
};

struct sock {
	LIST_ENTRY(sock) in_all;
	struct watches watches;
	enum sock_kind kind;
	struct sockaddr_in local, to;
	struct sock *peer;
	struct sock *pending[BACKLOG_MAX];
	int n_pending, backlog; /* backlog 0: not listening */
	char *queue;            /* received, not yet read */
	size_t n;
	bool is_connected, is_eof, is_cut, is_shut; /* eof: peer shut; cut: peer gone */
	int error, fd;
	uint32_t edges;
	_Atomic uint32_t events; /* for sock_events(), which takes no lock */
};

extern pthread_mutex_t fake_lock;

/* Under fake_lock: its events changed / something new happened, which its watches are told. */
void fake_publish(struct sock *s);
void fake_edge(struct sock *s);

#endif
