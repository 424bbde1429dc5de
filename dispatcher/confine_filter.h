/* SPDX-License-Identifier: BSD-3-Clause */
/* The filter of system calls, for confine.c. */
#ifndef DISPATCHER_CONFINE_FILTER_H
#define DISPATCHER_CONFINE_FILTER_H

/* For every thread of the process, present and future. 0 or -errno; -ENOTSUP: not on this machine. */
int confine_filter(void);

#endif
