/* SPDX-License-Identifier: BSD-3-Clause */
/* The keys of ltran.conf: one row each, and the checks that only its values must pass. */
#include <grp.h>

#include "conf/ltran_values.h"

static bool
check_bond_mode(const void *value, char *why, size_t why_len)
{
	switch (*(const uint32_t *)value) {
	case LTRAN_BOND_ACTIVE_BACKUP:
	case LTRAN_BOND_8023AD:
	case LTRAN_BOND_ALB:
		return true;
	default:
		snprintf(why, why_len, "not one of ltran's modes");
		return false;
	}
}

static bool
check_group(const void *value, char *why, size_t why_len)
{
	const char *name = value;

	if (name[0] == '\0' || getgrnam(name) != NULL)
		return true;
	snprintf(why, why_len, "there is no such group");
	return false;
}

#define AT(field) .offset = offsetof(struct ltran_conf, field)
#define COUNT(field) .count = offsetof(struct ltran_conf, field)

const struct conf_row ltran_conf_rows[LTRAN_KEYS] = {
	[LTRAN_FORWARD_KIT_ARGS] = {"forward_kit_args", NULL, CONF_LINE, AT(eal_args),
		COUNT(n_eal_args), .max = CONF_DPDK_ARGS_MAX,
		.legal = "one string of at most 64 words, split at blanks",
		.absent = "DPDK's own defaults",
		.example = "\"-l 0,1 --socket-mem 1024,0,0,0 --huge-dir /mnt/hugepages-ltran "
			   "--proc-type primary --legacy-mem --map-perfect --syslog daemon\"",
		.help = "Arguments of DPDK's start-up. -l: the first core is for control, "
			"each further one forwards; a single one does both. Without hugepages "
			"write --no-huge -m 512 instead of the memory options; without a NIC of DPDK's own add for example --vdev=net_af_packet0,iface=eth1. "
			"--map-perfect is accepted for old files; with --syslog FACILITY the log goes "
			"to syslog."},
	[LTRAN_DISPATCH_SUBNET] = {"dispatch_subnet", NULL, CONF_ADDR, .mandatory = true,
		AT(dispatch_subnet), .legal = "an IPv4 subnet such as \"192.168.1.0\"",
		.check = conf_check_host_addr, .example = "\"192.168.1.0\"",
		.help = "First address of those that instances may have."},
	[LTRAN_DISPATCH_SUBNET_LENGTH] = {"dispatch_subnet_length", NULL, CONF_UINT,
		.mandatory = true, AT(dispatch_subnet_length), .def = 1, .min = 1, .max = 16,
		.unit = "host bits", .example = "8",
		.help = "How many bits of an address name the host: 4 means 16 addresses, "
			"8 means 256."},
	[LTRAN_DISPATCH_MAX_CLIENTS] = {"dispatch_max_clients", NULL, CONF_UINT,
		AT(dispatch_max_clients), .def = 32, .min = 1, .max = 1024, .unit = "instances",
		.example = "30", .help = "Instances at the same time; more are refused."},
	[LTRAN_TCP_CONN_SCAN_INTERVAL] = {"tcp_conn_scan_interval", NULL, CONF_UINT,
		AT(tcp_conn_scan_interval), .def = 600, .max = 86400, .unit = "seconds",
		.example = "10",
		.help = "How long an address whose instances have died is still answered for, with "
			"a reset of every connection its peers still believe in. 0: not at all."},
	[LTRAN_KNI_SWITCH] = {"kni_switch", NULL, CONF_BOOL, AT(kni_switch), .max = 1,
		.example = "0",
		.help = "1: packets that are for no instance go to the kernel through a tap device."},
	[LTRAN_LOW_POWER_MODE] = {"low_power_mode", NULL, CONF_BOOL, AT(low_power_mode), .max = 1,
		.help = "1: a worker without packets sleeps until there are some. 0: it polls, at the "
			"price of a CPU, and forwards sooner."},

	[LTRAN_BOND_MODE] = {"bond_mode", NULL, CONF_UINT, AT(bond_mode),
		.def = LTRAN_BOND_ACTIVE_BACKUP, .min = 1, .max = 6, .check = check_bond_mode,
		.legal = "1 (active-backup), 4 (802.3ad) or 6 (balance-alb)", .example = "1",
		.help = "How several ports work as one; with one port in bond_ports there is no bond."},
	[LTRAN_BOND_MTU] = {"bond_mtu", NULL, CONF_UINT, AT(bond_mtu), .def = 1500, .min = 68,
		.max = 9000, .unit = "bytes of IP packet", .example = "1500",
		.help = "Largest IP packet on the wire."},
	[LTRAN_BOND_MIIMON] = {"bond_miimon", NULL, CONF_UINT, AT(bond_miimon), .def = 100,
		.min = 1, .max = INT32_MAX, .saturates = true,
		.legal = "1 and more, in ms", .example = "100",
		.help = "How often the links are looked at."},
	[LTRAN_BOND_MACS] = {"bond_macs", NULL, CONF_MAC, AT(bond_macs), COUNT(has_bond_macs),
		.legal = "one MAC address such as \"aa:bb:cc:dd:ee:ff\"; a second bond is a second "
			 "ltran, with a unix_prefix of its own",
		.absent = "that of the first port", .check = conf_check_mac,
		.help = "MAC address of a port, which all instances then have."},
	[LTRAN_BOND_PORTS] = {"bond_ports", NULL, CONF_OWN, AT(bond_ports), .ops = &ltran_ports_ops,
		.legal = "a mask such as \"0x3\"; a second bond is a second ltran, with a "
			 "unix_prefix of its own",
		.absent = "\"0x1\", the first port", .example = "\"0x1\"",
		.help = "DPDK's ports: bit 0 is the first. Several form a bond."},

	[LTRAN_RX_MBUF_POOL_SIZE] = {"rx_mbuf_pool_size", "rx_pool_mbuf_size", CONF_UINT,
		AT(rx_mbuf_pool_size), .def = 28672, .min = 512, .max = 100000000,
		.unit = "packets",
		.help = "Packet buffers for what comes from the NIC. Fewer, where DPDK has no memory "
			"for all."},
	[LTRAN_TX_MBUF_POOL_SIZE] = {"tx_mbuf_pool_size", "tx_pool_mbuf_size", CONF_UINT,
		AT(tx_mbuf_pool_size), .def = 4096, .min = 512, .max = 100000000,
		.unit = "packets",
		.help = "Packet buffers for what comes from instances."},
	[LTRAN_RATE_LIMIT] = {"rate_limit", NULL, CONF_OWN, AT(rates), .ops = &ltran_rates_ops,
		.legal = "a list of at most 1024 groups such as ( { addr = \"192.168.1.10\"; bytes = "
			 "125000000; packets = 100000; } )",
		.absent = "no limits",
		.help = "What the instances of an address may send in a second, together. bytes or "
			"packets may be left out."},
	[LTRAN_UNIX_PREFIX] = {"unix_prefix", NULL, CONF_TEXT, AT(unix_prefix),
		.max = CONF_UNIX_PREFIX_MAX,
		.legal = "at most 128 characters out of letters, digits and _ - . : @ +",
		.check = conf_check_unix_prefix,
		.help = "Put in front of the names of the sockets; lstack.conf and gazellectl -u take "
			"the same."},
	[LTRAN_CLIENT_GROUP] = {"client_group", NULL, CONF_TEXT, AT(client_group),
		.max = LTRAN_GROUP_MAX, .legal = "the name of a group", .check = check_group,
		.absent = "programs of ltran's own user only",
		.help = "Programs of this group's members may register as well."},
};

static const struct conf_known known[] = {
	{"forward_kit", "dpdk", "\"dpdk\" is the only one, ignored"},
	{"bond_rx_queue_num", "1", "not needed, ignored: every worker has a queue of its own"},
	{"bond_tx_queue_num", "1", "not needed, ignored: every worker has a queue of its own"},
	{"mtu", NULL, "belongs to lstack.conf, ignored: here the key is bond_mtu"},
	{"dpdk_args", NULL, "belongs to lstack.conf, ignored: here the key is forward_kit_args"},
	{"devices", NULL, "belongs to lstack.conf, ignored: here the key is bond_macs"},
	{"mbuf_pool_size", NULL, "belongs to lstack.conf, ignored: here the keys are "
		"rx_mbuf_pool_size and tx_mbuf_pool_size"},
};

const struct conf_schema ltran_schema = {
	.file = "ltran.conf",
	.about = "# Settings of ltran (syntax: libconfig). Every key with its default; ltran "
		 "--config-file names\n# another file. Made from conf/ltran_schema.c.\n",
	.other_path = "ltran --config-file names another file",
	.size = sizeof(struct ltran_conf),
	.rows = ltran_conf_rows,
	.n_rows = LTRAN_KEYS,
	.known = known,
	.n_known = sizeof(known) / sizeof(known[0]),
	.other = &lstack_schema,
	.kept = -1,
	.check_relations = ltran_conf_check_relations,
};
