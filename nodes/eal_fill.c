/* SPDX-License-Identifier: BSD-3-Clause */
/* A page for each byte of DPDK's memory; see eal_fill.h. */
#include "nodes/eal_fill.h"

#include <errno.h>
#include <stddef.h>
#include <sys/mman.h>

#include <rte_memory.h>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif
#define PAGE ((size_t)4096)

static int
fill(const struct rte_memseg_list *list, void *arg)
{
	volatile char *start = list->base_va;

	(void)arg;
	if (list->external || list->page_sz > PAGE)
		return 0;
	if (madvise(list->base_va, list->len, MADV_POPULATE_WRITE) == 0)
		return 0;
	if (errno != EINVAL)
		return -1;
	for (size_t at = 0; at < list->len; at += PAGE) /* Linux before 5.14 */
		start[at] = start[at];
	return 0;
}

int
eal_fill_memory(void)
{
	return rte_memseg_list_walk(fill, NULL) < 0 ? -errno : 0;
}
