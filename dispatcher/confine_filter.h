/* SPDX-License-Identifier: BSD-3-Clause */
/* The filter of system calls, for confine.c. */
#ifndef DISPATCHER_CONFINE_FILTER_H
#define DISPATCHER_CONFINE_FILTER_H

#include <stdint.h>

/* For every thread of the process, present and future. 0 or -errno; -ENOTSUP: not on this machine. */
int confine_filter(void);
/* For a small process that makes these `n` calls only; others fail with EPERM. The same results. */
int confine_filter_to(const uint32_t *calls, unsigned int n);

#endif
