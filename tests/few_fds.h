/* SPDX-License-Identifier: BSD-3-Clause */
/* A process with few kernel descriptors: the numbers of the pool (fake_sock.h) go far beyond them. */
#ifndef TESTS_FEW_FDS_H
#define TESTS_FEW_FDS_H

#include <sys/resource.h>
#include <sys/syscall.h>

#include "tests/raw_syscall.h"

enum { KERNEL_DESCRIPTORS = 400 };

/* Before the first descriptor of the pool. */
static inline void lower_the_kernels_limit(void)
{
	struct rlimit lim = {KERNEL_DESCRIPTORS, KERNEL_DESCRIPTORS};

	raw_syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, (long)&lim, 0, 0);
}

#endif
