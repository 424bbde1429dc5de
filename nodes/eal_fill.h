/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * DPDK's memory with all its pages, which ltran asks for: a page that is missing would be made, and paid for,
 * by ltran. For after DPDK's start and before the port to ltran is made, whose driver shows the memory.
 */
#ifndef NODES_EAL_FILL_H
#define NODES_EAL_FILL_H

/* Ordinary pages; huge ones are always there. No other thread may use the memory yet. 0 or -errno: the
 * machine, or what it allows this process, has no room. */
int eal_fill_memory(void);

#endif
