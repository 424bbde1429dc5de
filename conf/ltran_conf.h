/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The settings of ltran (ltran.conf), as plain values. Filled once by ltran_conf_load() from the rows
 * in ltran_schema.c, then read only. Addresses are in network byte order.
 */
#ifndef CONF_LTRAN_CONF_H
#define CONF_LTRAN_CONF_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "conf/conf.h"

#define LTRAN_CONF_PATH_DEFAULT "/etc/gazelle/ltran.conf"
#define LTRAN_RATES_MAX 1024
#define LTRAN_BOND_PORTS_MAX 8
#define LTRAN_GROUP_MAX 32

enum ltran_bond_mode { /* as Linux numbers them */
	LTRAN_BOND_ACTIVE_BACKUP = 1,
	LTRAN_BOND_8023AD = 4,
	LTRAN_BOND_ALB = 6,
};

/* One entry of rate_limit: ( { addr = "192.168.1.10"; bytes = 125000000; packets = 100000; } ) */
struct ltran_rate {
	uint32_t addr;
	uint64_t bytes, packets; /* per second, of what the instance sends; 0: not limited */
};

struct ltran_conf {
	/* for: EAL */
	char *eal_args[CONF_DPDK_ARGS_MAX]; /* forward_kit_args, split at blanks; owned */
	unsigned int n_eal_args;
	uint32_t rx_mbuf_pool_size, tx_mbuf_pool_size; /* packets */

	/* for: the port */
	uint32_t bond_mode;           /* enum ltran_bond_mode */
	uint32_t bond_miimon;         /* ms */
	uint32_t bond_mtu;            /* bytes of IP packet */
	uint32_t bond_ports;          /* bit i: DPDK port i */
	bool has_bond_macs;
	uint8_t bond_macs[6];         /* the MAC address of all; must be that of a port */

	/* for: dispatch */
	uint32_t dispatch_max_clients;
	uint32_t dispatch_subnet;        /* network byte order */
	uint32_t dispatch_subnet_length; /* host bits */
	uint32_t tcp_conn_scan_interval; /* s an address without instances is still answered for */
	bool kni_switch;
	bool low_power_mode;
	struct ltran_rate *rates; /* owned */
	unsigned int n_rates;

	/* for: registration */
	char unix_prefix[CONF_UNIX_PREFIX_MAX + 1];
	char client_group[LTRAN_GROUP_MAX + 1]; /* may register as well; "": only ltran's user */
};

/* As conf_load(), for ltran.conf (NULL: LTRAN_CONF_PATH_DEFAULT). */
int ltran_conf_load(const char *path, struct ltran_conf *c, conf_report_fn report, void *arg);
void ltran_conf_free(struct ltran_conf *c);
int ltran_conf_dump_yaml(const struct ltran_conf *c, FILE *out);
int ltran_conf_print_example(FILE *out);
int ltran_conf_print_help(FILE *out);

#endif
