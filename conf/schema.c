/* SPDX-License-Identifier: BSD-3-Clause */
/* The keys of lstack.conf: one row each, and the checks that only its values must pass. */
#include <arpa/inet.h>

#include "conf/bond_values.h"
#include "conf/schema.h"

static bool
check_gateway_addr(const void *value, char *why, size_t why_len)
{
	return *(const uint32_t *)value == 0 || conf_check_host_addr(value, why, why_len);
}

static bool
check_mask(const void *value, char *why, size_t why_len)
{
	uint32_t m = ntohl(*(const uint32_t *)value);

	if (m != 0 && (~m & (~m + 1)) == 0)
		return true;
	snprintf(why, why_len, m == 0 ? "an empty mask" : "the one bits are not contiguous");
	return false;
}

static const struct conf_word thread_modes[] = {
	{"auto", CONF_MODE_AUTO},
	{"run-to-completion", CONF_MODE_RUN_TO_COMPLETION},
	{"run-to-wakeup", CONF_MODE_RUN_TO_WAKEUP},
	{NULL, 0},
};

static const struct conf_word on_errors[] = {
	{"kernel", CONF_ON_ERROR_KERNEL},
	{"exit", CONF_ON_ERROR_EXIT},
	{NULL, 0},
};

#define AT(field) .offset = offsetof(struct conf, field)
#define LEGAL_CPUS "a list such as \"0,2,4-7\", or a mask such as \"0x15\""

const struct conf_row conf_rows[CONF_KEYS] = {
	[KEY_DPDK_ARGS] = {"dpdk_args", NULL, CONF_ARGS, AT(dpdk_args),
		.count = offsetof(struct conf, n_dpdk_args),
		.max = CONF_DPDK_ARGS_MAX, .legal = "an array of at most 64 strings",
		.absent = "DPDK's own defaults",
		.example = "[\"--socket-mem\", \"1024\", \"--huge-dir\", \"/mnt/hugepages-lstack\", "
			   "\"--proc-type\", \"primary\", \"--legacy-mem\", \"--map-perfect\"]",
		.help = "Arguments of DPDK's start-up. Without hugepages write \"--no-huge\", "
			"\"-m\", \"512\" instead of the memory options; without a NIC of DPDK's own "
			"add for example \"--vdev=net_af_packet0,iface=eth1\" (the two rings of each of its "
			"queues take 16 MB each, or 1 MB where memory may not be locked without limit, unless "
			"framecnt= says otherwise). \"--map-perfect\" is "
			"accepted for old files."},
	[KEY_USE_LTRAN] = {"use_ltran", NULL, CONF_BOOL, AT(use_ltran), .max = 1,
		.example = "0",
		.help = "1: share the NIC with other programs through the ltran process. "
			"0: this program owns the NIC."},
	[KEY_DEVICES] = {"devices", NULL, CONF_MAC, AT(devices),
		.legal = "a MAC address such as \"aa:bb:cc:dd:ee:ff\"",
		.count = offsetof(struct conf, has_devices),
		.absent = "the first port DPDK finds", .check = conf_check_mac,
		.help = "MAC address of the port to use; of a bond, which then has this address, "
			"the port to prefer in mode 1."},
	[KEY_BOND_MODE] = {"bond_mode", NULL, CONF_OWN, AT(bond_mode), .ops = &conf_bond_mode_ops,
		.legal = "-1 (no bond), 1 (active-backup), 4 (802.3ad) or 6 (balance-alb)",
		.absent = "-1", .help = "How the ports of bond_slave_mac work as one."},
	[KEY_BOND_MIIMON] = {"bond_miimon", NULL, CONF_UINT, AT(bond_miimon), .def = 10, .min = 1,
		.max = 60000, .unit = "ms", .help = "How often the links of a bond are looked at."},
	[KEY_BOND_SLAVE_MAC] = {"bond_slave_mac", NULL, CONF_OWN, AT(bond_slave_mac),
		.ops = &conf_bond_slave_ops,
		.legal = "at most 8 MAC addresses such as \"aa:bb:cc:dd:ee:01;aa:bb:cc:dd:ee:02\"",
		.absent = "no bond", .help = "MAC addresses of the ports of a bond."},
	[KEY_HOST_ADDR] = {"host_addr", NULL, CONF_ADDR, .mandatory = true, AT(host_addr),
		.legal = "an IPv4 address such as \"192.168.1.10\"", .check = conf_check_host_addr,
		.example = "\"192.168.1.10\"",
		.help = "IPv4 address of this stack, and so of the program."},
	[KEY_MASK_ADDR] = {"mask_addr", NULL, CONF_ADDR, .mandatory = true, AT(mask_addr),
		.legal = "an IPv4 netmask such as \"255.255.255.0\"", .check = check_mask,
		.example = "\"255.255.255.0\"", .help = "Netmask of the attached subnet."},
	[KEY_GATEWAY_ADDR] = {"gateway_addr", NULL, CONF_ADDR, AT(gateway_addr),
		.legal = "an IPv4 address such as \"192.168.1.1\"", .check = check_gateway_addr,
		.absent = "only the attached subnet is reached", .example = "\"192.168.1.1\"",
		.help = "Router for everything outside the attached subnet."},
	[KEY_MTU] = {"mtu", NULL, CONF_UINT, AT(mtu), .def = 1500, .min = 68, .max = 9000,
		.unit = "bytes of IP packet", .help = "Largest IP packet sent on the wire."},

	[KEY_STACK_THREAD_MODE] = {"stack_thread_mode", NULL, CONF_WORD, AT(stack_thread_mode),
		.words = thread_modes,
		.legal = "\"run-to-completion\", \"run-to-wakeup\" or \"auto\"",
		.help = "Who runs the stack. \"run-to-wakeup\": one pinned thread per CPU of "
			"num_cpus, which wakes the program. \"run-to-completion\": the program's own "
			"threads, inside their socket calls. \"auto\": run-to-wakeup with num_cpus, "
			"run-to-completion without."},
	[KEY_NUM_CPUS] = {"num_cpus", NULL, CONF_CPUS, AT(num_cpus), .legal = LEGAL_CPUS,
		.absent = "stacks are not pinned",
		.help = "CPUs of the stacks: one stack, one NIC queue and, in run-to-wakeup mode, one "
			"polling thread for each."},
	[KEY_NUM_WAKEUP] = {"num_wakeup", NULL, CONF_CPUS, AT(num_wakeup), .legal = LEGAL_CPUS,
		.absent = "the stack threads wake the program themselves",
		.help = "CPUs of the threads that wake sleeping program threads, one for each entry "
			"of num_cpus and best on the same NUMA node."},
	[KEY_STACK_NUM] = {"stack_num", NULL, CONF_UINT, AT(stack_num), .max = CONF_CPUS_MAX,
		.unit = "stacks", .absent = "one for each entry of num_cpus, else 1",
		.help = "Number of stacks when num_cpus is absent. 0: as if it were not given."},
	[KEY_APP_BIND_NUMA] = {"app_bind_numa", NULL, CONF_BOOL, AT(app_bind_numa), .def = 1,
		.max = 1,
		.help = "1: bind the program's threads that use a stack to the NUMA node of that "
			"stack."},
	[KEY_APP_EXCLUDE_CPUS] = {"app_exclude_cpus", NULL, CONF_CPUS, AT(app_exclude_cpus),
		.legal = LEGAL_CPUS, .absent = "none",
		.help = "CPUs that app_bind_numa must not give to the program's threads."},
	[KEY_MAIN_THREAD_AFFINITY] = {"main_thread_affinity", NULL, CONF_BOOL,
		AT(main_thread_affinity), .max = 1,
		.help = "1: the program's main thread stays on the CPU DPDK gives it at start. 0: it "
			"gets its own CPU mask back."},
	[KEY_LISTEN_SHADOW] = {"listen_shadow", NULL, CONF_BOOL, AT(listen_shadow), .max = 1,
		.help = "1: a listening socket listens on every stack, so one listening thread is fed "
			"by all of them."},
	[KEY_UDP_ENABLE] = {"udp_enable", NULL, CONF_BOOL, AT(udp_enable), .def = 1, .max = 1,
		.help = "0: UDP sockets stay in the kernel."},
	[KEY_LOW_POWER_MODE] = {"low_power_mode", NULL, CONF_BOOL, AT(low_power_mode), .max = 1,
		.example = "0",
		.help = "1: an idle stack sleeps until something happens, and a busy one lets small "
			"requests gather. 0: it polls, at the price of a CPU, and answers sooner."},
	[KEY_KNI_SWITCH] = {"kni_switch", NULL, CONF_BOOL, AT(kni_switch), .max = 1, .example = "0",
		.help = "1: packets the stack does not want go to the kernel through a tap device."},

	[KEY_SEND_CONNECT_NUMBER] = {"send_connect_number", NULL, CONF_UINT,
		AT(send_connect_number), .def = 0, .min = 0, .max = INT32_MAX, .unit = "connections",
		.help = "Connections whose sends one loop of a stack serves; 0: all that have any."},
	[KEY_READ_CONNECT_NUMBER] = {"read_connect_number", NULL, CONF_UINT,
		AT(read_connect_number), .def = 0, .min = 0, .max = INT32_MAX, .unit = "connections",
		.help = "Connections whose receive side one loop of a stack serves; 0: all."},
	[KEY_RPC_NUMBER] = {"rpc_number", NULL, CONF_UINT, AT(rpc_number), .def = 0, .min = 0,
		.max = INT32_MAX, .unit = "operations",
		.help = "Operations posted by other threads that one loop executes; 0: all."},
	[KEY_NIC_READ_NUM] = {"nic_read_num", "nic_read_number", CONF_UINT, AT(nic_read_num),
		.def = 128, .min = 1, .max = 256, .unit = "packets",
		.help = "Packets one loop takes from the NIC: the size of a vector."},
	[KEY_NIC_RXQUEUE_SIZE] = {"nic_rxqueue_size", NULL, CONF_UINT, AT(nic_rxqueue_size),
		.def = 4096, .min = 64, .max = 8192, .unit = "descriptors, a power of two",
		.check = conf_check_power_of_two, .help = "Receive descriptors of each NIC queue."},
	[KEY_NIC_TXQUEUE_SIZE] = {"nic_txqueue_size", NULL, CONF_UINT, AT(nic_txqueue_size),
		.def = 2048, .min = 64, .max = 8192, .unit = "descriptors, a power of two",
		.check = conf_check_power_of_two, .help = "Transmit descriptors of each NIC queue."},
	[KEY_MBUF_POOL_SIZE] = {"mbuf_pool_size", NULL, CONF_UINT, AT(mbuf_pool_size), .min = 512,
		.max = 100000000, .unit = "packets",
		.absent = "tcp_conn_count x mbuf_count_per_conn if that is given, else from the queue "
			  "sizes and the memory DPDK was given",
		.help = "Packet buffers of all stacks together. They are the budget of what peers can "
			"make a stack keep: from half of its part on each connection is held to a "
			"share, and an eighth of all is kept for ACKs, handshakes and the ports' rings."},
	[KEY_DESCRIPTOR_LIMIT] = {"descriptor_limit", NULL, CONF_UINT, AT(descriptor_limit),
		.min = 1024, .max = 1048576, .unit = "descriptors",
		.absent = "RLIMIT_NOFILE",
		.help = "Where the kernel has no descriptors left, connections get numbers beyond "
			"its limit, up to this one, and getrlimit() says so. Such a number means "
			"nothing to calls that liblstack does not take over, as fstat()."},
	[KEY_TCP_CONN_COUNT] = {"tcp_conn_count", NULL, CONF_UINT, AT(tcp_conn_count),
		.def = 100000, .min = 1, .max = 10000000, .unit = "connections",
		.help = "Connections of all stacks together; more are refused. Memory is taken when "
			"a connection is made, not at start."},
	[KEY_MBUF_COUNT_PER_CONN] = {"mbuf_count_per_conn", NULL, CONF_UINT,
		AT(mbuf_count_per_conn), .min = 1, .max = 65535, .unit = "packets",
		.absent = "mbuf_pool_size says it",
		.help = "With mbuf_pool_size absent: packet buffers for each of tcp_conn_count "
			"connections."},
	[KEY_MEM_CACHE_NUM] = {"mem_cache_num", NULL, CONF_UINT, AT(mem_cache_num), .def = 256,
		.min = 16, .max = 512, .unit = "packets",
		.help = "Packet buffers a thread keeps for itself."},
	[KEY_UNIX_PREFIX] = {"unix_prefix", NULL, CONF_TEXT, AT(unix_prefix),
		.max = CONF_UNIX_PREFIX_MAX,
		.legal = "at most 128 characters out of letters, digits and _ - . : @ +",
		.check = conf_check_unix_prefix,
		.help = "Put in front of the name of the control socket; gazellectl -u takes the "
			"same."},
	[KEY_SYSCALL_GUARD] = {"syscall_guard", NULL, CONF_BOOL, AT(syscall_guard), .max = 1,
		.help = "1: system calls that the program or its libraries make past libc (in code of "
			"their own) are stopped by the kernel and served as if libc had made them "
			"(syscall user dispatch, Linux 5.11 on x86-64), so that no descriptor can be "
			"closed or opened unseen. It costs about 35 ns in every system call of the "
			"program, and 2.5 us in each that is stopped. Programs in Go must be built "
			"with cgo. 0: on sockets of the stack such calls fail with ENOTCONN."},
	[KEY_ON_ERROR] = {"on_error", NULL, CONF_WORD, AT(on_error), .words = on_errors,
		.legal = "\"kernel\" or \"exit\"",
		.help = "When the stack cannot start: \"kernel\": say so, and the program runs on the "
			"kernel's sockets; \"exit\": say so and end the program."},
};

#define LATER "not supported in this version, ignored"

static const struct conf_known known[] = {
	{"nic_vlan_mode", "-1", LATER},
	{"host_addr6", "", LATER},
	{"num_process", "1", LATER},
	{"process_numa", "", LATER},
	{"process_idx", "0", LATER},
	{"tuple_filter", "0", LATER},
	{"use_sockmap", "0", LATER},
	{"send_cache_mode", "0", LATER},
	{"flow_bifurcation", "0", LATER},
	{"stack_interrupt", "0", LATER},
	{"xdp_eth_name", NULL, LATER ": name the interface in a --vdev of dpdk_args"},
	{"mem_async_mode", "0", LATER},
	{"nonblock_mode", NULL, "no longer needed, ignored: blocking and non-blocking sockets work"},
	{"send_ring_size", NULL, "no longer needed, ignored: SO_SNDBUF sets the send buffer"},
	{"recv_ring_size", NULL, "no longer needed, ignored: SO_RCVBUF sets the receive buffer"},
	{"expand_send_ring", NULL, "no longer needed, ignored: send buffers grow as needed"},
	{"rpc_msg_max", NULL, "no longer needed, ignored: posted operations are not limited"},
	{"ipv6_enable", "0", LATER},
	{"forward_kit", NULL, "belongs to ltran.conf, ignored"},
	{"bond_mtu", NULL, "belongs to ltran.conf, ignored: here the key is mtu"},
};

const struct conf_schema lstack_schema = {
	.file = "lstack.conf",
	.about = "# Settings of liblstack.so (syntax: libconfig). Every key with its default; "
		 "LSTACK_CONF_PATH\n# names another file. Made from conf/schema.c.\n",
	.other_path = "LSTACK_CONF_PATH names another file",
	.size = sizeof(struct conf),
	.rows = conf_rows,
	.n_rows = CONF_KEYS,
	.known = known,
	.n_known = sizeof(known) / sizeof(known[0]),
	.other = &ltran_schema,
	.kept = KEY_ON_ERROR,
	.check_relations = conf_check_relations,
};
