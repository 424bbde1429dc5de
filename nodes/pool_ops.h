/* SPDX-License-Identifier: BSD-3-Clause */
/* How packet pools keep their free packets: in DPDK's lock-free stack, the last one back goes out first. */
#ifndef NODES_POOL_OPS_H
#define NODES_POOL_OPS_H

/* For rte_pktmbuf_pool_create_by_ops(). Its caller takes DPDK's default where a DPDK has no such driver. */
#ifdef __SANITIZE_THREAD__
extern const char pool_ops_tsan[]; /* pool_ops_tsan.c */
#define POOL_OPS pool_ops_tsan
#else
#define POOL_OPS "lf_stack"
#endif

#endif
