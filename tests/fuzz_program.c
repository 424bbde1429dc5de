/* SPDX-License-Identifier: BSD-3-Clause */
/* Accepts, reads, writes and closes; see fuzz_program.h. */
#include "tests/fuzz_program.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "tests/fuzz_main.h"

#define BACKLOG 4

static struct sock *listener;

void
fuzz_program_listen(void)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(FUZZ_PORT)};

	fuzz_require(sock_open(fuzz_peer_host.group, SOCK_TCP, &listener) == 0 &&
		sock_bind(listener, &at) == 0 && sock_listen(listener, BACKLOG) == 0, "no listener");
}

void
fuzz_program_unlisten(void)
{
	sock_close(listener);
	listener = NULL;
}

void
fuzz_program_accept(void)
{
	struct sockaddr_in from;
	struct sock *s;

	if (sock_accept(listener, &s, &from) < 0)
		return;
	for (struct fuzz_peer *p = fuzz_peers; p < fuzz_peers + FUZZ_PEERS; p++) {
		if (p->addr != from.sin_addr.s_addr)
			continue;
		if (htons(p->port) != from.sin_port || p->s != NULL || p->is_closed || p->is_over)
			break; /* one of before */
		fuzz_require(p->is_proven, "a connection without a handshake");
		p->s = s;
		return;
	}
	fuzz_require(ntohl(from.sin_addr.s_addr) < ntohl(fuzz_peers[0].addr) + FUZZ_PEERS,
		"a connection of an invented address");
	sock_close(s);
}

ssize_t
fuzz_program_read(struct fuzz_peer *p, size_t len)
{
	static uint8_t data[65536];
	struct iovec iov = {data, RTE_MIN(len, sizeof(data))};
	ssize_t n;

	if (p->s == NULL || p->is_eof || len == 0)
		return -EAGAIN;
	n = sock_recv(p->s, &iov, 1, 0, NULL, NULL);
	fuzz_peer_read(p, data, n);
	return n;
}

void
fuzz_program_write(struct fuzz_peer *p, size_t len)
{
	static uint8_t data[16384];
	struct iovec iov = {data, RTE_MIN(len, sizeof(data))};
	ssize_t n;

	if (p->s == NULL || p->is_shut || p->n_written + len > FUZZ_STREAM_MAX)
		return;
	for (size_t i = 0; i < iov.iov_len; i++)
		data[i] = fuzz_peer_host_byte(p, p->n_written + i);
	n = sock_send(p->s, &iov, 1, 0, NULL);
	p->n_written += n > 0 ? n : 0;
}

void
fuzz_program_close(struct fuzz_peer *p)
{
	if (p->s == NULL)
		return;
	sock_close(p->s);
	p->is_closed = p->is_shut = true;
	p->s = NULL;
}

void
fuzz_program_shut(struct fuzz_peer *p, int how)
{
	if (p->s != NULL && sock_shutdown(p->s, how) == 0)
		p->is_shut = true;
}
