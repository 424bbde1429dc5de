/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which descriptors are the library's own, and who may close them.
 *
 * Our code and DPDK's call open(), eventfd(), close() and their relatives through the same wrappers as
 * the program does. What tells them apart is where the call comes from: the address it returns to lies
 * in the code of liblstack.so or of one of DPDK's libraries. While the data path starts and stops,
 * everything that the thread does counts, for DPDK in turn calls others (libbpf, libibverbs).
 *
 * The list of code is made when the data path starts and read without a lock: it is complete before
 * own_fds_exist says so, and later only grows at its end.
 */
#include "preload/own_fds.h"
#include "preload/boot.h"
#include "preload/libc.h"
#include "preload/signals.h"

#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

enum { CODE_MAX = 256 };

_Atomic(unsigned long) own_fds_bits[FD_MAX / OWN_FDS_WORD];
_Atomic bool own_fds_exist;

static struct {
	uintptr_t from, to;
} code[CODE_MAX];
static _Atomic int n_code;
static _Atomic int floor_number = STDERR_FILENO + 1;
static _Atomic rlim_t reserved_hard; /* the hard limit with a reserve; 0: there is none */
static pthread_mutex_t limit_lock = PTHREAD_MUTEX_INITIALIZER; /* held while the soft limit is lifted */
static struct rlimit lifted_from;                              /* limit_lock */
static THREAD_LOCAL bool has_lifted;

static bool is_known(uintptr_t from)
{
	for (int i = 0; i < n_code; i++)
		if (code[i].from == from)
			return true;
	return false;
}

bool own_fds_is_library(const struct dl_phdr_info *info)
{
	const char *slash = strrchr(info->dlpi_name, '/'), *name;
	uintptr_t here = (uintptr_t)&own_fds_calls;

	if (info->dlpi_name[0] == '\0')
		return false; /* the program; ours may be linked into it, in tests */
	name = slash ? slash + 1 : info->dlpi_name;
	if (strncmp(name, "librte_", 7) == 0)
		return true;
	for (int i = 0; i < info->dlpi_phnum; i++)
		if (info->dlpi_phdr[i].p_type == PT_LOAD &&
			here - (info->dlpi_addr + info->dlpi_phdr[i].p_vaddr) <
				info->dlpi_phdr[i].p_memsz)
			return true;
	return false;
}

static int add_code(struct dl_phdr_info *info, size_t size, void *arg)
{
	for (int i = 0; i < info->dlpi_phnum && own_fds_is_library(info); i++) {
		const ElfW(Phdr) *p = &info->dlpi_phdr[i];
		uintptr_t from = info->dlpi_addr + p->p_vaddr;

		if (p->p_type != PT_LOAD || !(p->p_flags & PF_X) || is_known(from) ||
			n_code == CODE_MAX)
			continue;
		code[n_code].from = from;
		code[n_code].to = from + p->p_memsz;
		n_code++;
	}
	return 0;
}

void own_fds_begin(int floor)
{
	dl_iterate_phdr(add_code, NULL);
	if (reserved_hard == 0)
		atomic_store(&floor_number, floor);
	atomic_store(&own_fds_exist, true);
}

void own_fds_end(void)
{
	atomic_store(&own_fds_exist, false);
	for (size_t i = 0; i < FD_MAX / OWN_FDS_WORD; i++)
		if (own_fds_bits[i])
			atomic_store(&own_fds_bits[i], 0);
}

void own_fds_reserve(void)
{
	struct rlimit lim;
	int reserve;

	if (libc.getrlimit(RLIMIT_NOFILE, &lim) < 0 || lim.rlim_max > OWN_FDS_LOW_LIMIT) {
		atomic_store(&reserved_hard, 0);
		return;
	}
	reserve = lim.rlim_max / 8 < OWN_FDS_RESERVE ? (int)lim.rlim_max / 8 : OWN_FDS_RESERVE;
	atomic_store(&floor_number, (int)lim.rlim_max - reserve);
	atomic_store(&reserved_hard, lim.rlim_max);
	if (lim.rlim_cur > (rlim_t)own_fds_floor()) {
		lim.rlim_cur = own_fds_floor();
		libc.setrlimit(RLIMIT_NOFILE, &lim);
		fd_pool_reserved(lim.rlim_cur);
	}
}

void own_fds_show_limit(struct rlimit *lim)
{
	rlim_t hard = atomic_load(&reserved_hard), floor = own_fds_floor();

	if (hard == 0 || lim->rlim_max != hard)
		return;
	lim->rlim_max = floor;
	if (lim->rlim_cur > floor)
		lim->rlim_cur = floor;
}

void own_fds_take_limit(struct rlimit *lim)
{
	rlim_t hard = atomic_load(&reserved_hard), floor = own_fds_floor();

	if (hard == 0 || lim->rlim_max > hard)
		return;
	if (lim->rlim_max >= floor)
		lim->rlim_max = hard;
	if (lim->rlim_cur > floor)
		lim->rlim_cur = floor;
}

int own_fds_floor(void)
{
	return atomic_load(&floor_number);
}

/* ThreadSanitizer itself calls open() while it makes a report. It does not follow atomic operations then, so it
 * would see a race here, begin another report and wait for the first one for ever. */
__attribute__((no_sanitize("thread"))) bool own_fds_calls(const void *caller)
{
	uintptr_t at = (uintptr_t)caller;
	int n = atomic_load_explicit(&n_code, memory_order_acquire);

	if (boot_is_starting())
		return true;
	for (int i = 0; i < n; i++)
		if (at >= code[i].from && at < code[i].to)
			return true;
	return false;
}

/* dup3(), or with to < 0 fcntl(F_DUPFD_CLOEXEC) from the floor on. */
static int dup_to(int fd, int to, int flags)
{
	return to < 0 ? libc.fcntl(fd, F_DUPFD_CLOEXEC, own_fds_floor()) : libc.dup3(fd, to, flags);
}

bool own_fds_lift(void)
{
	struct rlimit lifted;
	int err = errno;

	if (has_lifted) /* to no avail */
		return false;
	signals_hold();
	pthread_mutex_lock(&limit_lock);
	if (libc.getrlimit(RLIMIT_NOFILE, &lifted_from) == 0 &&
		lifted_from.rlim_cur < lifted_from.rlim_max) {
		lifted = (struct rlimit){lifted_from.rlim_max, lifted_from.rlim_max};
		has_lifted = libc.setrlimit(RLIMIT_NOFILE, &lifted) == 0;
	}
	if (has_lifted)
		return true;
	pthread_mutex_unlock(&limit_lock);
	signals_release();
	errno = err;
	return false;
}

void own_fds_unlift(void)
{
	int err = errno;

	if (!has_lifted)
		return;
	has_lifted = false;
	libc.setrlimit(RLIMIT_NOFILE, &lifted_from);
	pthread_mutex_unlock(&limit_lock);
	signals_release();
	errno = err;
}

/* The same also where the number is above the soft limit. */
static int dup_above_limit(int fd, int to, int flags)
{
	int got = dup_to(fd, to, flags);

	if (got < 0 && own_fds_lift()) {
		got = dup_to(fd, to, flags);
		own_fds_unlift();
	}
	return got;
}

/* Above the floor. -1: there is no room. */
static int move_up(int fd)
{
	int high = dup_above_limit(fd, -1, 0);

	if (high < 0 && fd <= STDERR_FILENO)
		high = libc.fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	return high;
}

int own_fds_replace(int fd, int to, int flags)
{
	return dup_above_limit(fd, to, flags);
}

int own_fds_move(int fd)
{
	int high = fd < own_fds_floor() ? move_up(fd) : -1;

	if (high < 0)
		return fd;
	libc.close(fd);
	return high;
}

int own_fds_keep(int fd)
{
	fd = own_fds_move(fd);
	fd_forget(fd);
	own_fds_protect(fd);
	return fd;
}

void own_fds_protect(int fd)
{
	if (fd >= 0 && fd < FD_MAX)
		atomic_fetch_or(&own_fds_bits[fd / OWN_FDS_WORD], 1ul << (fd % OWN_FDS_WORD));
}

void own_fds_forget(int fd)
{
	if (own_fds_has(fd))
		atomic_fetch_and(
			&own_fds_bits[fd / OWN_FDS_WORD], ~(1ul << (fd % OWN_FDS_WORD)));
}
