/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The settings of one instance (lstack.conf), as plain values.
 *
 * Filled once by conf_load() from the schema rows in schema.c, then read only: every consumer
 * copies what it uses into its own state at start. Addresses are in network byte order, sizes in
 * the unit the field names.
 */
#ifndef CONF_CONF_H
#define CONF_CONF_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define CONF_CPUS_MAX 64
#define CONF_DPDK_ARGS_MAX 64
#define CONF_UNIX_PREFIX_MAX 128
#define CONF_BOND_SLAVES_MAX 8
#define CONF_BOND_OFF (-1)
#define CONF_PATH_DEFAULT "/etc/gazelle/lstack.conf"

/* How application threads and stacks share the work (design: "The stack lock"). */
enum conf_thread_mode {
	CONF_MODE_AUTO,              /* key absent: wakeup with num_cpus, completion without */
	CONF_MODE_RUN_TO_COMPLETION, /* application threads walk the graph in their own calls */
	CONF_MODE_RUN_TO_WAKEUP,     /* one pinned thread per num_cpus entry walks it */
};

/* What happens to the program when the instance cannot start. */
enum conf_on_error {
	CONF_ON_ERROR_KERNEL, /* say so once, the program runs on the kernel's sockets */
	CONF_ON_ERROR_EXIT,   /* say so and end the program */
};

struct conf_cpus {
	unsigned int n;
	unsigned int cpu[CONF_CPUS_MAX];
};

struct conf {
	/* for: instance (ports, cores, memory) */
	char *dpdk_args[CONF_DPDK_ARGS_MAX]; /* owned; as written, --map-perfect etc. included */
	unsigned int n_dpdk_args;
	bool use_ltran;
	bool kni_switch;
	bool app_bind_numa;
	bool main_thread_affinity; /* true: EAL may keep the main thread on its core */
	bool has_devices;          /* false: the first port DPDK finds is used */
	uint8_t devices[6];        /* MAC address of the port; of a bond, of the one to prefer */
	int bond_mode;             /* CONF_BOND_OFF, or as Linux numbers them: 1, 4, 6 */
	uint32_t bond_miimon;      /* ms */
	uint8_t bond_slave_mac[CONF_BOND_SLAVES_MAX][6]; /* ports of the bond */
	unsigned int n_bond_slaves;
	struct conf_cpus num_cpus, num_wakeup, app_exclude_cpus;
	uint32_t stack_num; /* stacks when num_cpus is absent */
	uint32_t nic_rxqueue_size, nic_txqueue_size; /* descriptors */
	uint32_t mbuf_pool_size;                     /* packets, all stacks together; 0: derived */
	uint32_t mem_cache_num;                      /* packets in a thread's private cache */
	char unix_prefix[CONF_UNIX_PREFIX_MAX + 1];

	/* for: nodes */
	uint32_t host_addr, mask_addr, gateway_addr; /* network byte order; gateway 0: none */
	uint32_t mtu;                                /* bytes of IP packet */
	uint32_t nic_read_num;                       /* packets per receive burst = vector size */

	/* for: stack */
	enum conf_thread_mode stack_thread_mode; /* AUTO is resolved by conf_load() */
	bool listen_shadow;
	bool udp_enable;
	bool low_power_mode;
	uint32_t descriptor_limit;    /* descriptors of the program; 0: the kernel's limit */
	uint32_t tcp_conn_count;      /* connections budgeted; sizes the pools */
	uint32_t mbuf_count_per_conn; /* packets per connection, when mbuf_pool_size is absent */
	uint32_t send_connect_number; /* connections served with sends per loop */
	uint32_t read_connect_number; /* connections whose receive side is served per loop */
	uint32_t rpc_number;          /* posted operations executed per loop */

	/* for: preload */
	bool syscall_guard; /* system calls of the program's own code are served, too */
	enum conf_on_error on_error;
};

/* Receives one finished line per problem, without newline. */
typedef void (*conf_report_fn)(void *arg, bool is_error, const char *line);

/*
 * Read `path` (NULL: LSTACK_CONF_PATH, else CONF_PATH_DEFAULT) into `c`, defaults first.
 * Every problem is reported as "FILE:LINE: KEY = VALUE: what is wrong, legal range"; unknown keys
 * are warnings that name the nearest known key. 0, or -errno (-EINVAL after a bad value, -ENOENT).
 * On failure `c` holds defaults except on_error, which is honoured if it could be read.
 * The caller ends with conf_free() in both cases.
 */
int conf_load(const char *path, struct conf *c, conf_report_fn report, void *arg);
void conf_free(struct conf *c);

/* The settings in effect as YAML (defaults marked by a comment), the example file, the key table
 * of the manual page: all from the schema rows. 0 or -errno. */
int conf_dump_yaml(const struct conf *c, FILE *out);
int conf_print_example(FILE *out);
int conf_print_help(FILE *out);

#endif
