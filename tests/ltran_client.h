/* SPDX-License-Identifier: BSD-3-Clause */
/* Registration with ltran without liblstack, for tests and benchmarks; nodes/ltran_abi.h. */
#ifndef TESTS_LTRAN_CLIENT_H
#define TESTS_LTRAN_CLIENT_H

#include <stddef.h>
#include <stdint.h>

#include "nodes/ltran_abi.h"

/* Connects to the socket of the ltran with this prefix, in `dir`. A descriptor, or -errno. */
int ltran_client_connect(const char *dir, const char *prefix);
/* An empty, sealed socket table. A descriptor, or -errno. */
int ltran_client_table(uint16_t n_tables, uint32_t n_slots);
/* A request with good header and the usual values; addresses in network byte order. */
void ltran_client_fill(struct ltran_register *r, uint32_t addr, uint32_t mask, uint16_t n_queues);
/* Sends `len` bytes, with the descriptor `pass` unless that is negative. 0 or -errno. */
int ltran_client_send(int fd, const void *message, size_t len, int pass);
/* The next message. Its length, 0 when ltran has closed the connection, or -errno. */
int ltran_client_receive(int fd, void *message, size_t len, int timeout_ms);
/* What ltran_client_register() has got last: the eventfd that wakes ltran; -1: none. */
int ltran_client_kick(void);
/* Asks and waits; 0, or what ltran said, or -errno. The table is made and closed here. */
int ltran_client_register(int fd, const struct ltran_register *r, struct ltran_registered *answer);

#endif
