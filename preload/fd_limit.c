/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * RLIMIT_NOFILE: the limits as the program sees and sets them. The kernel's may be others: its last
 * numbers are the library's where there are few (own_fds.h), and where the settings allow more
 * descriptors than the kernel does, those above are connections of the stack (fd_pool.c).
 *
 * The soft limit is also kept here, for poll(): a list may not be longer. It is read again whenever a
 * list is longer than what is known, so only a limit that another process has lowered is not noticed.
 */
#include "conf/conf.h"
#include "preload/boot.h"
#include "preload/calls.h"
#include "preload/fd.h"
#include "preload/fd_table.h"
#include "preload/libc.h"
#include "preload/own_fds.h"
#include "stack/user.h"

#include <limits.h>
#include <unistd.h>

_Atomic unsigned int fd_limit_known; /* 0: not known */

/* What the kernel has said about it becomes what the program is to see. */
static void show_limit(struct rlimit *lim)
{
	int own;

	if (!boot_takes_thread())
		return;
	own_fds_show_limit(lim);
	own = fd_pool_own_limit();
	if (own == 0)
		return;
	if (lim->rlim_cur == lim->rlim_max)
		lim->rlim_cur = own;
	lim->rlim_max = boot_conf()->descriptor_limit;
}

long on_getrlimit(int resource, struct rlimit *lim)
{
	long r = libc_result(libc.getrlimit(resource, lim));

	if (r == 0 && resource == RLIMIT_NOFILE)
		show_limit(lim);
	return r;
}

long on_getrlimit64(int resource, struct rlimit *lim)
{
	return on_getrlimit(resource, lim);
}

static long tell_kernel(const struct rlimit *lim)
{
	long r = libc_result(libc.setrlimit(RLIMIT_NOFILE, lim));

	atomic_store(&fd_limit_known, 0); /* once more: a thread may have asked meanwhile */
	if (r == 0 && !fd_table_is_other())
		fd_pool_limit(lim->rlim_cur);
	return r;
}

/* The kernel gets its part of it. */
static long set_limit(struct rlimit want)
{
	struct rlimit lim;

	atomic_store(&fd_limit_known, 0);
	if (!boot_takes_thread() || libc.getrlimit(RLIMIT_NOFILE, &lim) < 0 ||
		want.rlim_cur > want.rlim_max)
		return libc_result(libc.setrlimit(RLIMIT_NOFILE, &want));
	if (fd_pool_own_limit() == 0 || want.rlim_max > boot_conf()->descriptor_limit) {
		own_fds_take_limit(&want);
		return tell_kernel(&want);
	}
	fd_pool_limit_own(want.rlim_cur);
	lim.rlim_cur = want.rlim_cur < lim.rlim_max ? want.rlim_cur : lim.rlim_max;
	own_fds_take_limit(&lim);
	return tell_kernel(&lim);
}

long on_setrlimit(int resource, const struct rlimit *program)
{
	struct rlimit want;

	if (resource != RLIMIT_NOFILE || program == NULL) /* libc's does nothing then */
		return libc_result(libc.setrlimit(resource, program));
	if (!user_copy(&want, program, sizeof(want)))
		return -EFAULT;
	return set_limit(want);
}

long on_setrlimit64(int resource, const struct rlimit *want)
{
	return on_setrlimit(resource, want);
}

/* Of this process it is the two calls above; the old value is given last, as in the kernel. */
long on_prlimit64(pid_t pid, int resource, const struct rlimit *program, struct rlimit *old)
{
	struct rlimit want, was;
	long r = 0;

	if (resource != RLIMIT_NOFILE || (pid != 0 && pid != getpid()) || !boot_takes_thread())
		return libc_result(libc.prlimit64(pid, resource, program, old));
	if (program && !user_copy(&want, program, sizeof(want)))
		return -EFAULT;
	if (old)
		r = on_getrlimit(RLIMIT_NOFILE, &was);
	if (r == 0 && program)
		r = set_limit(want);
	if (r == 0 && old)
		r = user_put(old, &was, sizeof(was));
	return r;
}

long on_prlimit(pid_t pid, int resource, const struct rlimit *want, struct rlimit *old)
{
	return on_prlimit64(pid, resource, want, old);
}

bool fd_limit_ask(unsigned int n)
{
	struct rlimit lim;

	if (on_getrlimit(RLIMIT_NOFILE, &lim) < 0)
		return false;
	atomic_store(&fd_limit_known, lim.rlim_cur < UINT_MAX ? (unsigned int)lim.rlim_cur : UINT_MAX);
	return n > lim.rlim_cur;
}
