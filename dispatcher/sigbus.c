/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The handler of SIGBUS and SIGSEGV. It runs in whatever thread touched the memory: a worker that copies packets, the
 * control thread, DPDK's vhost thread. It only reads a table of atomics and calls mmap().
 *
 * A slot is changed while no one touches its memory: the writer clears `bytes` of each region first,
 * so that a handler for another slot's fault never sees half a region.
 */
#include "dispatcher/sigbus.h"

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#include "dispatcher/vhost_memory.h"

struct region {
	_Atomic uintptr_t start;
	_Atomic size_t bytes; /* 0: none */
};

static struct slot {
	struct region regions[SIGBUS_REGIONS];
	_Atomic bool *_Atomic broken;
} slots[SIGBUS_SLOTS];

static __thread _Atomic bool *expected;

/* Pages of files may be huge ones, and a mapping is only split between them. */
static const size_t page_bytes[] = {(size_t)4 << 10, (size_t)2 << 20, (size_t)1 << 30};

/* Whose region `addr` is in, or in the area without rights behind it; *end receives where that begins. */
static _Atomic bool *
owner_of(uintptr_t addr, uintptr_t *end)
{
	for (unsigned int i = 0; i < SIGBUS_SLOTS; i++) {
		for (unsigned int k = 0; k < SIGBUS_REGIONS; k++) {
			struct region *r = &slots[i].regions[k];
			size_t bytes = atomic_load_explicit(&r->bytes, memory_order_acquire);
			uintptr_t start = atomic_load(&r->start);

			if (bytes == 0)
				break;
			*end = start + bytes;
			if (addr - start < bytes + VHOST_GUARD_BYTES)
				return atomic_load(&slots[i].broken);
		}
	}
	*end = UINTPTR_MAX;
	return expected;
}

static bool
replace_guard(uintptr_t guard)
{
	return mmap((void *)guard, VHOST_GUARD_BYTES, PROT_READ | PROT_WRITE,
		MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0) == (void *)guard;
}

static bool
replace_page(uintptr_t addr)
{
	for (unsigned int i = 0; i < sizeof(page_bytes) / sizeof(page_bytes[0]); i++) {
		void *page = (void *)(addr & ~(page_bytes[i] - 1));

		if (mmap(page, page_bytes[i], PROT_READ | PROT_WRITE,
			MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == page)
			return true;
	}
	return false;
}

static void
on_fault(int number, siginfo_t *info, void *context)
{
	int saved_errno = errno;
	uintptr_t addr = (uintptr_t)info->si_addr, end;
	_Atomic bool *broken = owner_of(addr, &end);
	bool is_replaced = false;

	if (broken != NULL && number == SIGBUS && info->si_code == BUS_ADRERR)
		is_replaced = replace_page(addr);
	else if (broken != NULL && number == SIGSEGV && info->si_code == SEGV_ACCERR && addr >= end)
		is_replaced = replace_guard(end);
	if (is_replaced) {
		atomic_store(broken, true);
	} else {
		signal(number, SIG_DFL); /* a fault of our own: it comes again, and ends us */
		if (info->si_code <= 0)
			raise(number); /* somebody has sent it */
	}
	errno = saved_errno;
}

int
sigbus_install(void)
{
	struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_RESTART};

	if (sigaction(SIGBUS, &action, NULL) < 0)
		return -errno;
	return sigaction(SIGSEGV, &action, NULL) < 0 ? -errno : 0;
}

bool
sigbus_expects(void)
{
	return expected != NULL;
}

void
sigbus_forget(unsigned int slot)
{
	/* Backwards: the first region without bytes ends a handler's look at the slot. */
	for (unsigned int k = SIGBUS_REGIONS; k-- > 0;)
		atomic_store_explicit(&slots[slot].regions[k].bytes, 0, memory_order_release);
}

void
sigbus_watch(unsigned int slot, const struct sigbus_region *regions, unsigned int n,
	_Atomic bool *broken)
{
	sigbus_forget(slot);
	atomic_store(&slots[slot].broken, broken);
	for (unsigned int k = 0; k < n && k < SIGBUS_REGIONS; k++) {
		struct region *r = &slots[slot].regions[k];

		atomic_store(&r->start, (uintptr_t)regions[k].start);
		atomic_store_explicit(&r->bytes, regions[k].bytes, memory_order_release);
	}
}

void
sigbus_expect(_Atomic bool *broken)
{
	expected = broken;
}
