/* SPDX-License-Identifier: BSD-3-Clause */
/* conf/: every key, good and bad, and the messages people see. */
#include <arpa/inet.h>
#include <errno.h>

#include "tests/conf_load.h"

static void
good_values_take_effect(void)
{
#define CASE(line, condition)                                                                      \
	do {                                                                                       \
		expect(load_line(line) == 0 && n_errors == 0 && n_warnings == 0, line);            \
		expect((condition), #condition);                                                   \
	} while (0)

	CASE("", c.host_addr == inet_addr("192.168.1.10"));
	CASE("", c.mask_addr == inet_addr("255.255.255.0"));
	CASE("gateway_addr=\"192.168.1.1\";", c.gateway_addr == inet_addr("192.168.1.1"));
	CASE("gateway_addr=\"0.0.0.0\"", c.gateway_addr == 0);
	CASE("dpdk_args=[\"--no-huge\", \"-m\", \"512\"]",
		c.n_dpdk_args == 3 && strcmp(c.dpdk_args[2], "512") == 0);
	CASE("dpdk_args=(\"--map-perfect\");",
		c.n_dpdk_args == 1 && strcmp(c.dpdk_args[0], "--map-perfect") == 0);
	CASE("use_ltran=0;", !c.use_ltran);
	CASE("use_ltran=1", c.use_ltran);
	CASE("use_ltran=1 mbuf_pool_size=1536", c.mbuf_pool_size == 1536);
	CASE("kni_switch=1", c.kni_switch);
	CASE("kni_switch=true", c.kni_switch);
	CASE("app_bind_numa=0", !c.app_bind_numa);
	CASE("main_thread_affinity=1", c.main_thread_affinity);
	CASE("devices=\"aa:Bb:cc:dd:ee:0f\"",
		c.has_devices && memcmp(c.devices, "\xaa\xbb\xcc\xdd\xee\x0f", 6) == 0);
	CASE("num_cpus=\"2,22\"", c.num_cpus.n == 2 && c.num_cpus.cpu[1] == 22 && c.stack_num == 2);
	CASE("num_cpus=\" 3 , 5 - 7\"", c.num_cpus.n == 4 && c.num_cpus.cpu[3] == 7);
	CASE("num_cpus=\"0x15\"", c.num_cpus.n == 3 && c.num_cpus.cpu[2] == 4);
	CASE("num_cpus=\"0x1000000000000\"", c.num_cpus.n == 1 && c.num_cpus.cpu[0] == 48);
	CASE("num_cpus=\"\"", c.num_cpus.n == 0 && c.stack_num == 1);
	CASE("num_cpus=\"2,22\" num_wakeup=\"3,23\"",
		c.num_wakeup.n == 2 && c.num_wakeup.cpu[0] == 3);
	CASE("app_exclude_cpus=\"1-3\"", c.app_exclude_cpus.n == 3);
	CASE("stack_num=4", c.stack_num == 4);
	CASE("stack_num=0", c.stack_num == 1);
	CASE("num_cpus=\"1,2\" stack_num=2", c.stack_num == 2);
	CASE("nic_rxqueue_size=1024", c.nic_rxqueue_size == 1024);
	CASE("nic_txqueue_size=512", c.nic_txqueue_size == 512);
	CASE("mbuf_pool_size=1024000", c.mbuf_pool_size == 1024000);
	CASE("mem_cache_num=64", c.mem_cache_num == 64);
	CASE("unix_prefix=\"redis-1_\"", strcmp(c.unix_prefix, "redis-1_") == 0);
	CASE("mtu=9000", c.mtu == 9000);
	CASE("nic_read_num=32", c.nic_read_num == 32);
	CASE("nic_read_number=64", c.nic_read_num == 64);
	CASE("stack_thread_mode=\"run-to-completion\"",
		c.stack_thread_mode == CONF_MODE_RUN_TO_COMPLETION);
	CASE("stack_thread_mode=\"run-to-completion\" num_cpus=\"1\"",
		c.stack_thread_mode == CONF_MODE_RUN_TO_COMPLETION);
	CASE("stack_thread_mode=\"run-to-wakeup\"", c.stack_thread_mode == CONF_MODE_RUN_TO_WAKEUP);
	CASE("num_cpus=\"1\"", c.stack_thread_mode == CONF_MODE_RUN_TO_WAKEUP);
	CASE("stack_num=2", c.stack_thread_mode == CONF_MODE_RUN_TO_COMPLETION);
	CASE("listen_shadow=1", c.listen_shadow);
	CASE("udp_enable=0", !c.udp_enable);
	CASE("low_power_mode=1", c.low_power_mode);
	CASE("syscall_guard=1", c.syscall_guard);
	CASE("descriptor_limit=1048576", c.descriptor_limit == 1048576);
	CASE("tcp_conn_count=20000", c.tcp_conn_count == 20000);
	CASE("mbuf_count_per_conn=170", c.mbuf_count_per_conn == 170);
	CASE("send_connect_number=8", c.send_connect_number == 8);
	CASE("read_connect_number=9", c.read_connect_number == 9);
	CASE("rpc_number=0x10", c.rpc_number == 16);
	CASE("bond_mode=-1", c.bond_mode == CONF_BOND_OFF && c.n_bond_slaves == 0);
	CASE("bond_mode=4 bond_miimon=100 bond_slave_mac=\"aa:bb:cc:dd:ee:01;aa:bb:cc:dd:ee:02\"", c.bond_mode == 4 && c.bond_miimon == 100 &&
		c.n_bond_slaves == 2 && c.bond_slave_mac[1][5] == 2);
	CASE("bond_mode=1 devices=\"aa:bb:cc:dd:ee:02\" bond_slave_mac=\"aa:bb:cc:dd:ee:01;aa:bb:cc:dd:ee:02\"", c.bond_mode == 1);
	CASE("on_error=\"exit\"", c.on_error == CONF_ON_ERROR_EXIT);
	CASE("on_error=\"kernel\"", c.on_error == CONF_ON_ERROR_KERNEL);
#undef CASE
}

static void
defaults_are_those_of_the_guide(void)
{
	CU_ASSERT_EQUAL_FATAL(load(ADDRS), 0);
	CU_ASSERT_EQUAL(c.n_dpdk_args, 0);
	CU_ASSERT_FALSE(c.use_ltran || c.kni_switch || c.low_power_mode || c.listen_shadow);
	CU_ASSERT_FALSE(c.main_thread_affinity || c.has_devices);
	CU_ASSERT_TRUE(c.app_bind_numa && c.udp_enable);
	CU_ASSERT_EQUAL(c.send_connect_number, 0);
	CU_ASSERT_EQUAL(c.read_connect_number, 0);
	CU_ASSERT_EQUAL(c.rpc_number, 0);
	CU_ASSERT_EQUAL(c.nic_read_num, 128);
	CU_ASSERT_EQUAL(c.nic_rxqueue_size, 4096);
	CU_ASSERT_EQUAL(c.nic_txqueue_size, 2048);
	CU_ASSERT_EQUAL(c.mbuf_pool_size, 0);
	CU_ASSERT_EQUAL(c.mbuf_count_per_conn, 0);
	CU_ASSERT_EQUAL(c.mem_cache_num, 256);
	CU_ASSERT_EQUAL(c.mtu, 1500);
	CU_ASSERT_EQUAL(c.stack_num, 1);
	CU_ASSERT_EQUAL(c.stack_thread_mode, CONF_MODE_RUN_TO_COMPLETION);
	CU_ASSERT_EQUAL(c.on_error, CONF_ON_ERROR_KERNEL);
	CU_ASSERT_STRING_EQUAL(c.unix_prefix, "");
}

static const struct {
	const char *line, *message;
} bad_values[] = {
	{"dpdk_args=\"-l 1\"", "lstack.conf:3: dpdk_args = \"-l 1\": an array of strings is wanted "
			       "(legal: an array of at most 64 strings)"},
	{"dpdk_args=(\"-m\", 512)", "dpdk_args = [\"-m\", 512]: element 2 is not a string"},
	{"dpdk_args=[\"--proc-type\", \"secondary\"]", "secondary is not available"},
	{"dpdk_args=[\"--proc-type=secondary\"]", "secondary is not available"},
	{"use_ltran=1 kni_switch=1", "lstack.conf:3: kni_switch = 1: with use_ltran = 1 the NIC is "
				     "ltran's: set kni_switch in ltran.conf"},
	{"use_ltran=1 mbuf_pool_size=1535", "mbuf_pool_size = 1535: 1535 packets are too few: 1 "
					    "stack(s) need at least 1536"},
	{"use_ltran=2", "use_ltran = 2: out of range (legal: 0 or 1)"},
	{"kni_switch=\"1\"", "kni_switch = \"1\": a number is wanted, without quotes (legal: 0 or 1)"},
	{"low_power_mode=1.5", "low_power_mode = 1.5: a whole number is wanted"},
	{"listen_shadow=-1", "listen_shadow = -1: out of range"},
	{"udp_enable=3", "udp_enable = 3: out of range"},
	{"app_bind_numa=2", "app_bind_numa = 2: out of range"},
	{"main_thread_affinity=[1]", "main_thread_affinity = [1]: a whole number is wanted"},
	{"devices=\"aa:bb:cc:dd:ee\"", "devices = \"aa:bb:cc:dd:ee\": not a MAC address (legal: a "
				       "MAC address such as"},
	{"devices=\"aa:bb:cc:dd:ee:gg\"", "not a MAC address"},
	{"devices=\"aa-bb-cc-dd-ee-ff\"", "not a MAC address"},
	{"devices=\"01:bb:cc:dd:ee:ff\"", "a multicast address"},
	{"devices=\"00:00:00:00:00:00\"", "an empty address"},
	{"bond_mode=2", "bond_mode = 2: no such mode (legal: -1 (no bond), 1 (active-backup), 4"},
	{"bond_mode=\"1\"", "bond_mode = \"1\": no such mode"},
	{"bond_mode=1", "bond_mode = 1: bond_slave_mac names no ports"},
	{"bond_miimon=0", "bond_miimon = 0: out of range (legal: 1 to 60000 ms)"},
	{"bond_slave_mac=5", "a string in quotes is wanted"},
	{"bond_slave_mac=\"aa:bb:cc:dd:ee:01,aa:bb:cc:dd:ee:02\"", "address 2 is not a MAC address"},
	{"bond_slave_mac=\"aa:bb:cc:dd:ee:01;aa:bb:cc:dd:ee\"", "address 2 is not a MAC address"},
	{"bond_slave_mac=\"aa:bb:cc:dd:ee:01;aa:bb:cc:dd:ee:01\"", "address 2 is named twice"},
	{"bond_slave_mac=\"01:bb:cc:dd:ee:01\"", "a multicast address"},
	{"bond_mode=1 devices=\"aa:bb:cc:dd:ee:03\" bond_slave_mac=\"aa:bb:cc:dd:ee:01;aa:bb:cc:dd:ee:02\"", "not one of bond_slave_mac"},
	{"gateway_addr=\"192.168.2.1\"", "not in the subnet of host_addr and mask_addr"},
	{"gateway_addr=\"192.168.1.10\"", "gateway_addr = \"192.168.1.10\": the same as host_addr"},
	{"gateway_addr=\"192.168.1.255\"", "the network or broadcast address"},
	{"gateway_addr=\"gw\"", "not an IPv4 address"},
	{"gateway_addr=\"224.0.0.1\"", "a multicast address"},
	{"mtu=67", "mtu = 67: out of range (legal: 68 to 9000 bytes of IP packet)"},
	{"mtu=1500000000000", "mtu = 1500000000000: out of range"},
	{"mtu=4294968796", "mtu = 4294968796: out of range"},
	{"mtu=0x80000000", "mtu = 2147483648: out of range"},
	{"mtu=99999999999999999999", "mtu = 9223372036854775807: out of range"},
	{"mtu=true", "mtu = true: a whole number is wanted"},
	{"stack_thread_mode=\"rtc\"", "stack_thread_mode = \"rtc\": unknown word (legal: "
				      "\"run-to-completion\", \"run-to-wakeup\" or \"auto\")"},
	{"stack_thread_mode=1", "a string in quotes is wanted"},
	{"num_cpus=2", "num_cpus = 2: a string in quotes is wanted (legal: a list such as"},
	{"num_cpus=\"1,40\"", "num_cpus = \"1,40\": CPU 40 does not exist or is offline (online: "
			      "0-31,48)"},
	{"num_cpus=\"1,1\"", "CPU 1 is named twice"},
	{"num_cpus=\"1,\"", "a CPU number is missing"},
	{"num_cpus=\"3-1\"", "the range 3-1 runs backwards"},
	{"num_cpus=\"3-\"", "the range from 3 has no end"},
	{"num_cpus=\"1;2\"", "unexpected \";2\""},
	{"num_cpus=\"0xzz\"", "not a hexadecimal mask"},
	{"num_cpus=\"0x\"", "not a hexadecimal mask"},
	{"num_cpus=\"4096\"", "CPU 4096 is out of range"},
	{"num_cpus=\"0-99\"", "more than 64 CPUs"},
	{"num_cpus=\"0-16\"", "17 CPUs, but this build has 16 stacks at most"},
	{"num_cpus=\"2,22\" num_wakeup=\"3\"", "num_wakeup = \"3\": 1 CPUs, but num_cpus has 2"},
	{"num_wakeup=\"3\"", "only in run-to-wakeup mode; set num_cpus too"},
	{"num_cpus=\"1\" num_wakeup=\"3\" stack_thread_mode=\"run-to-completion\"",
		"only in run-to-wakeup mode"},
	{"num_cpus=\"1\" num_wakeup=\"44\"", "num_wakeup = \"44\": CPU 44 does not exist"},
	{"app_exclude_cpus=\"x\"", "a CPU number is missing at \"x\""},
	{"stack_num=65", "stack_num = 65: out of range (legal: 0 to 64 stacks)"},
	{"stack_num=17", "this build has 16 stacks at most"},
	{"num_cpus=\"1,2\" stack_num=3", "stack_num = 3: num_cpus names 2 CPUs"},
	{"nic_rxqueue_size=1000", "nic_rxqueue_size = 1000: not a power of two (legal: 64 to 8192 "
				  "descriptors, a power of two)"},
	{"nic_txqueue_size=16384", "nic_txqueue_size = 16384: out of range"},
	{"nic_read_num=0", "nic_read_num = 0: out of range"},
	{"nic_read_number=0", "nic_read_number = 0: out of range"},
	{"nic_read_num=1 nic_read_number=2", "nic_read_number: given before as nic_read_num in line 3"},
	{"send_connect_number=-1", "send_connect_number = -1: out of range"},
	{"read_connect_number=-4", "read_connect_number = -4: out of range"},
	{"rpc_number=\"4\"", "rpc_number = \"4\": a number is wanted, without quotes"},
	{"descriptor_limit=10", "descriptor_limit = 10: out of range (legal: 1024 to 1048576 descriptors)"},
	{"tcp_conn_count=0", "tcp_conn_count = 0: out of range (legal: 1 to 10000000 connections)"},
	{"mbuf_count_per_conn=65536", "mbuf_count_per_conn = 65536: out of range"},
	{"tcp_conn_count=1 mbuf_count_per_conn=170", "mbuf_count_per_conn = 170: 170 packets are too "
						     "few"},
	{"mbuf_pool_size=100", "mbuf_pool_size = 100: out of range"},
	{"mbuf_pool_size=1024", "mbuf_pool_size = 1024: 1024 packets are too few: 1 stack(s) with "
				"nic_rxqueue_size = 4096 and nic_txqueue_size = 2048 need at least "
				"6656"},
	{"mem_cache_num=8", "mem_cache_num = 8: out of range (legal: 16 to 512 packets)"},
	{"unix_prefix=\"a;b\"", "unix_prefix = \"a;b\": character ';' is not allowed"},
	{"unix_prefix=\"../x\"", "character '/' is not allowed"},
	{"unix_prefix=\"a\\nb\"", "unix_prefix = \"a?b\": character 0x0a is not allowed"},
	{"syscall_guard=2", "syscall_guard = 2: out of range (legal: 0 or 1)"},
	{"on_error=\"panic\"", "on_error = \"panic\": unknown word (legal: \"kernel\" or \"exit\")"},
};

static void
bad_values_are_explained(void)
{
	for (size_t i = 0; i < sizeof(bad_values) / sizeof(bad_values[0]); i++) {
		int ret = load_line(bad_values[i].line);

		expect(ret == -EINVAL && n_errors == 1 &&
				strstr(heard, bad_values[i].message) != NULL,
			bad_values[i].line);
	}
}

/* Each key of the rows is named by the tables above. */
static void
every_key_is_tested(void)
{
	for (int k = 0; k < CONF_KEYS; k++) {
		bool found = conf_rows[k].mandatory; /* see addresses_* below */

		for (size_t i = 0; i < sizeof(bad_values) / sizeof(bad_values[0]); i++)
			found = found || strstr(bad_values[i].line, conf_rows[k].name) != NULL;
		expect(found, conf_rows[k].name);
	}
}

static void
addresses_must_name_a_host_of_the_subnet(void)
{
	static const struct {
		const char *host, *mask, *message; /* NULL: good */
	} rows[] = {
		{"192.168.1.10", "255.255.255.0", NULL},
		{"192.168.1.0", "255.255.255.254", NULL}, /* RFC 3021 */
		{"192.168.1.1", "255.255.255.255", NULL},
		{"192.168.1.0", "255.255.255.0", "host_addr = \"192.168.1.0\": the address of the "
						 "subnet itself"},
		{"192.168.1.255", "255.255.255.0", "the broadcast address of the subnet"},
		{"192.168.1.10", "255.0.255.0", "mask_addr = \"255.0.255.0\": the one bits are not "
						"contiguous"},
		{"192.168.1.10", "0.0.0.0", "an empty mask"},
		{"127.0.0.1", "255.0.0.0", "a loopback address"},
		{"0.1.2.3", "255.0.0.0", "names no host"},
		{"239.1.2.3", "255.0.0.0", "a multicast address"},
		{"250.1.2.3", "255.0.0.0", "a reserved or broadcast address"},
		{"192.168.1", "255.0.0.0", "host_addr = \"192.168.1\": not an IPv4 address"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char text[256];
		int ret;

		snprintf(text, sizeof(text), "host_addr=\"%s\"\nmask_addr=\"%s\"\n", rows[i].host,
			rows[i].mask);
		ret = load(text);
		if (rows[i].message == NULL)
			expect(ret == 0 && n_errors == 0, text);
		else
			expect(ret == -EINVAL && n_errors == 1 && strstr(heard, rows[i].message),
				text);
	}
}

static void
missing_mandatory_keys_are_named(void)
{
	CU_ASSERT_EQUAL(load("use_ltran=0\n"), -EINVAL);
	CU_ASSERT_EQUAL(n_errors, 2);
	CU_ASSERT_PTR_NOT_NULL(strstr(heard, "lstack.conf: host_addr: missing"));
	CU_ASSERT_PTR_NOT_NULL(strstr(heard, "lstack.conf: mask_addr: missing"));
}

static void
all_problems_are_reported_at_once(void)
{
	CU_ASSERT_EQUAL(load(ADDRS "mtu=1\nrpc_number=-1\nnum_cpu=\"1\"\non_error=\"exit\"\n"
				   "use_ltran=2\n"),
		-EINVAL);
	CU_ASSERT_EQUAL(n_errors, 3);
	CU_ASSERT_EQUAL(n_warnings, 1);
	CU_ASSERT_PTR_NOT_NULL(strstr(heard, "lstack.conf:3: mtu = 1"));
	CU_ASSERT_PTR_NOT_NULL(strstr(heard, "lstack.conf:4: rpc_number = -1"));
	CU_ASSERT_PTR_NOT_NULL(strstr(heard, "lstack.conf:7: use_ltran = 2"));
	/* Defaults, but the wish how to fail is kept. */
	CU_ASSERT_EQUAL(c.on_error, CONF_ON_ERROR_EXIT);
	CU_ASSERT_EQUAL(c.host_addr, 0);
	CU_ASSERT_FALSE(c.use_ltran);
}

static void
unknown_keys_are_warnings_with_the_nearest_key(void)
{
	static const struct {
		const char *line, *message;
	} rows[] = {
		{"num_cpu=\"1\"", "lstack.conf:3: num_cpu = \"1\": unknown key, ignored; did you mean "
				  "num_cpus?"},
		{"host_adr=\"1.2.3.4\"", "did you mean host_addr?"},
		{"nic_read_nmu=1", "did you mean nic_read_num?"},
		{"lowpower_mode=1", "did you mean low_power_mode?"},
		{"gateway=\"1.2.3.4\"", "unknown key, ignored"},
		{"zebra_crossing=1", "zebra_crossing = 1: unknown key, ignored\n"},
		{"x={ y=1; }", "x = {...}: unknown key, ignored\n"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int ret = load_line(rows[i].line);

		expect(ret == 0 && n_warnings == 1 && strstr(heard, rows[i].message), rows[i].line);
	}
}

static void
keys_of_other_versions_are_explained(void)
{
	static const struct {
		const char *line, *message; /* NULL: silent */
	} rows[] = {
		{"nic_vlan_mode=-1", NULL},
		{"nic_vlan_mode=7", "not supported in this version, ignored"},
		{"num_process=1", NULL},
		{"num_process=2", "not supported in this version, ignored"},
		{"host_addr6=\"\"", NULL},
		{"host_addr6=\"fe80::1\"", "not supported in this version, ignored"},
		{"use_sockmap=0", NULL},
		{"nonblock_mode=1", "no longer needed, ignored"},
		{"bond_macs=\"aa:bb:cc:dd:ee:ff\"", "belongs to ltran.conf, ignored"},
		{"rx_pool_mbuf_size=1024", "belongs to ltran.conf, ignored"},
		{"forward_kit=\"dpdk\"", "belongs to ltran.conf, ignored"},
		{"bond_mtu=9000", "belongs to ltran.conf, ignored: here the key is mtu"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int ret = load_line(rows[i].line);

		expect(ret == 0 && (rows[i].message == NULL
				? n_warnings == 0
				: n_warnings == 1 && strstr(heard, rows[i].message)),
			rows[i].line);
	}
}

static void
syntax_errors_name_the_line(void)
{
	CU_ASSERT_EQUAL(load("on_error=\"exit\"\n" ADDRS "num_cpus=\"2\n\nmtu 9"), -EINVAL);
	CU_ASSERT_EQUAL(n_errors, 1);
	CU_ASSERT_PTR_NOT_NULL(strstr(heard, "lstack.conf:"));
	CU_ASSERT_PTR_NOT_NULL(strstr(heard, "syntax error"));
	CU_ASSERT_EQUAL(c.on_error, CONF_ON_ERROR_EXIT);

	CU_ASSERT_EQUAL(load(ADDRS "mtu=1500\nmtu=1400\n"), -EINVAL);
	CU_ASSERT_PTR_NOT_NULL(strstr(heard, "lstack.conf:4: duplicate setting name"));

	CU_ASSERT_EQUAL(load(ADDRS "  @include \"/etc/passwd\"\n"), -EINVAL);
	CU_ASSERT_PTR_NOT_NULL(strstr(heard, "lstack.conf:3: @include is not available"));
}

static const struct cunit_test tests[] = {
	CUNIT_TEST(good_values_take_effect),
	CUNIT_TEST(defaults_are_those_of_the_guide),
	CUNIT_TEST(bad_values_are_explained),
	CUNIT_TEST(every_key_is_tested),
	CUNIT_TEST(addresses_must_name_a_host_of_the_subnet),
	CUNIT_TEST(missing_mandatory_keys_are_named),
	CUNIT_TEST(all_problems_are_reported_at_once),
	CUNIT_TEST(unknown_keys_are_warnings_with_the_nearest_key),
	CUNIT_TEST(keys_of_other_versions_are_explained),
	CUNIT_TEST(syntax_errors_name_the_line),
};

CUNIT_MAIN("conf", tests, NULL, teardown)
