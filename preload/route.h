/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Ours or the kernel's? Decided by address, from a table read once.
 */
#ifndef PRELOAD_ROUTE_H
#define PRELOAD_ROUTE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { ROUTE_IFACES_MAX = 256 };

/* All addresses in network byte order. */
struct route_table {
	uint32_t addr, mask, gateway; /* the stack's own */
	size_t n;
	struct {
		uint32_t addr, mask;
	} ifaces[ROUTE_IFACES_MAX]; /* the kernel's */
};

enum route_bind {
	ROUTE_BIND_ANY,    /* 0.0.0.0: both halves */
	ROUTE_BIND_STACK,  /* the stack's own address */
	ROUTE_BIND_KERNEL, /* loopback and all others */
};

enum route_bind route_table_bind(const struct route_table *t, uint32_t addr);
/* Does a packet to `addr` leave through the stack? */
bool route_table_to_stack(const struct route_table *t, uint32_t addr);

/* The same with the table of this process, which the first call reads. */
enum route_bind route_bind(uint32_t addr);
bool route_to_stack(uint32_t addr);

#endif
