/* SPDX-License-Identifier: BSD-3-Clause */
/* The program of fuzz_tcp_peer.c: what it does with the sockets of the host under test. One thread. */
#ifndef TESTS_FUZZ_PROGRAM_H
#define TESTS_FUZZ_PROGRAM_H

#include <sys/types.h>

#include "tests/fuzz_peer.h"

#define FUZZ_PEERS 4
#define FUZZ_PORT 7000

extern struct fuzz_peer fuzz_peers[FUZZ_PEERS];

void fuzz_program_listen(void);
void fuzz_program_unlisten(void);
/* Takes a connection if one waits, which must be of a peer that has shown that it is there. */
void fuzz_program_accept(void);
/* Up to `len` bytes, held against what the peer has sent. Bytes, 0 or -errno. */
ssize_t fuzz_program_read(struct fuzz_peer *p, size_t len);
void fuzz_program_write(struct fuzz_peer *p, size_t len);
void fuzz_program_close(struct fuzz_peer *p);
void fuzz_program_shut(struct fuzz_peer *p, int how);

#endif
