/* SPDX-License-Identifier: BSD-3-Clause */
/* The start of DPDK's environment (EAL), once per process: for an instance and for ltran. */
#ifndef NODES_EAL_H
#define NODES_EAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define EAL_ARGS_MAX 96

struct eal_params {
	const char *name;        /* of the program, argv[0] */
	const char *key;         /* of the settings that hold `args`, named in messages */
	const char *const *args; /* the user's, as written */
	unsigned int n_args;
	const char *const *extra; /* ours: a --vdev, which is taken into account, and not passed on: it is
				   * the caller's to make, after the start */
	unsigned int n_extra;
	bool one_file;           /* the memory must be one file that a vhost peer can map */
	unsigned int default_mb; /* ordinary pages taken where the user named no size */
	const char *size_key;    /* a setting that asks for size_mb, as "KEY = VALUE"; NULL: none */
	uint64_t size_n;         /* packets it asks for */
	unsigned int size_mb;    /* memory that they take on hugepages */
	unsigned int size_pages_mb; /* and on ordinary pages, see eal_pool_bytes() */
	int cpu;                 /* EAL's core unless the user chose; -1: the first allowed */
	bool stay_on_core;       /* false: the calling thread gets its CPU mask back */
	bool loses_rights;       /* a device that comes back is opened without capabilities */
};

struct eal {
	char *argv[EAL_ARGS_MAX]; /* owned */
	int argc;
	bool is_ready;
	bool has_cores;          /* the user chose cores */
	bool no_huge;            /* ordinary pages */
	unsigned int memory_mb;  /* limit of ordinary pages; 0: hugepages */
	bool size_is_users;      /* -m or --socket-mem is among the user's arguments */
};

/* Memory of a pool of `n` objects with `bytes` each (rte_mempool_calc_obj_size()), on hugepages or on
 * ordinary ones: DPDK lets no object cross a page that is not followed by the next in memory. */
uint64_t eal_pool_bytes(uint64_t n, uint32_t bytes, bool ordinary);

/* `e` zeroed. Says on stderr what it changed. 0, or -errno with a line for people in `err`: -ENOMEM
 * where the user's sizes are more than this machine, or what it allows this process, has left. */
int eal_start(struct eal *e, const struct eal_params *p, char *err, size_t err_len);
/* Also after a failed start. */
void eal_stop(struct eal *e);

#endif
