/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * See process.h. The memory is whole pages of .bss, which is anonymous memory, as MADV_WIPEONFORK wants
 * it, at an address that the compiler knows: the look at it costs what a look at any variable costs.
 */
#include "preload/process.h"

#include <sys/mman.h>

struct process process;

static struct process kept; /* between process_keep() and process_restore() */

bool process_begin(void)
{
	bool is_wiped = madvise(&process, sizeof(process), MADV_WIPEONFORK) == 0;

	process.is_own = true;
	return is_wiped;
}

/* Other threads may be adding to it. */
static void copy(struct process *to, struct process *from)
{
	for (int i = 0; i < PROCESS_FD_PAGES; i++)
		atomic_store_explicit(&to->fd_pages[i],
			atomic_load_explicit(&from->fd_pages[i], memory_order_acquire),
			memory_order_relaxed);
	atomic_store(&to->boot_state, atomic_load(&from->boot_state));
	to->is_own = from->is_own;
}

void process_keep(void)
{
	copy(&kept, &process);
}

void process_restore(void)
{
	copy(&process, &kept);
}
