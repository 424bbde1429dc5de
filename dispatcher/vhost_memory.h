/* SPDX-License-Identifier: BSD-3-Clause */
/* The memory of instances as librte_vhost maps it; see vhost_memory.c. */
#ifndef DISPATCHER_VHOST_MEMORY_H
#define DISPATCHER_VHOST_MEMORY_H

/* Bytes without rights behind each region: more than one call of librte_vhost can go too far. */
#define VHOST_GUARD_BYTES ((size_t)4 << 20)

#endif
