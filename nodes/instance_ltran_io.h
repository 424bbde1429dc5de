/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Messages of ltran_abi.h by the kernel's own calls: whoever asks ltran may hold locks of the program's
 * side (a stack's, the descriptor table's), which the calls that the preload library intercepts take.
 */
#ifndef NODES_INSTANCE_LTRAN_IO_H
#define NODES_INSTANCE_LTRAN_IO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "nodes/ltran_abi.h"

#define LTRAN_FOREVER UINT64_MAX

uint64_t ltran_io_now_ms(void);

/* Wait until `deadline` (ms) for `events` of `fd` or input on `fd2`; either may be -1. What ppoll()
 * returns; *revents is `fd`'s, may be NULL. */
int ltran_io_wait(int fd, short events, int fd2, uint64_t deadline, short *revents);

/* With the descriptor `pass_fd`, unless that is -1. 0 or -errno. */
int ltran_io_send(int fd, const void *message, size_t len, int pass_fd);

/* One message of type `type` and `len` bytes before `deadline`. 0; -EAGAIN: none came; -EPROTO: it
 * is another one; -EPIPE: the connection is at its end; -EMFILE: no room for its descriptors. With
 * `fds`: *n of them at most, and as many as have come. */
int ltran_io_receive(int fd, uint16_t type, void *message, size_t len, uint64_t deadline, int *fds,
	unsigned int *n_fds);

/* Of an answer to LTRAN_REGISTER: everything in it can be used. */
bool ltran_io_is_usable(const struct ltran_registered *a);

/* A number out of the program's way (preload/low_fds.h) for `fd`: at least `wish`, if there is one. */
int ltran_io_move_up(int fd, int wish);

#endif
