/* SPDX-License-Identifier: BSD-3-Clause */
/* conf/: every key of ltran.conf, good and bad, and the messages people see. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>

#include "tests/conf_load.h"

#define SUBNET "dispatch_subnet=\"192.168.1.0\"\ndispatch_subnet_length=8\n"

static struct ltran_conf lc;

static int
load_ltran(const char *text)
{
	ltran_conf_free(&lc);
	heard[0] = '\0';
	n_errors = n_warnings = 0;
	return conf_load_text(&ltran_schema, NULL, "ltran.conf", text, &lc, hear, NULL);
}

/* Line 3 of a file that is good otherwise. */
static int
load_ltran_line(const char *line)
{
	char text[1024];

	snprintf(text, sizeof(text), SUBNET "%s\n", line);
	return load_ltran(text);
}

static void
free_ltran(void)
{
	ltran_conf_free(&lc);
}

static void
example_of_the_user_guide_loads(void)
{
	CU_ASSERT_EQUAL_FATAL(load_ltran(
		"forward_kit_args=\"-l 0,1 --socket-mem 1024,0,0,0 --huge-dir /mnt/hugepages-ltran "
		"--proc-type primary --legacy-mem --map-perfect --syslog daemon\"\n"
		"forward_kit=\"dpdk\"\n\nkni_switch=0\n\ndispatch_max_clients=30\n"
		"dispatch_subnet=\"192.168.1.0\"\ndispatch_subnet_length=8\n\n"
		"bond_mode=1\nbond_mtu=1500\nbond_miimon=100\nbond_macs=\"aa:bb:cc:dd:ee:ff\"\n"
		"bond_ports=\"0x1\"\n\ntcp_conn_scan_interval=10\n"), 0);
	CU_ASSERT_EQUAL(n_errors + n_warnings, 0);
	CU_ASSERT_EQUAL(lc.n_eal_args, 12);
	CU_ASSERT_STRING_EQUAL(lc.eal_args[0], "-l");
	CU_ASSERT_STRING_EQUAL(lc.eal_args[11], "daemon");
	CU_ASSERT_EQUAL(lc.dispatch_max_clients, 30);
	CU_ASSERT_EQUAL(lc.dispatch_subnet, inet_addr("192.168.1.0"));
	CU_ASSERT_EQUAL(lc.dispatch_subnet_length, 8);
	CU_ASSERT_EQUAL(lc.tcp_conn_scan_interval, 10);
	CU_ASSERT_EQUAL(lc.bond_ports, 1);
	CU_ASSERT_TRUE(lc.has_bond_macs);
	CU_ASSERT_EQUAL(memcmp(lc.bond_macs, "\xaa\xbb\xcc\xdd\xee\xff", 6), 0);
}

static void
subnet_is_enough(void)
{
	CU_ASSERT_EQUAL_FATAL(load_ltran(SUBNET), 0);
	CU_ASSERT_EQUAL(n_errors + n_warnings, 0);
	CU_ASSERT_EQUAL(lc.n_eal_args, 0);
	CU_ASSERT_EQUAL(lc.dispatch_max_clients, 32);
	CU_ASSERT_EQUAL(lc.bond_mode, LTRAN_BOND_ACTIVE_BACKUP);
	CU_ASSERT_EQUAL(lc.bond_mtu, 1500);
	CU_ASSERT_EQUAL(lc.bond_miimon, 100);
	CU_ASSERT_EQUAL(lc.bond_ports, 1);
	CU_ASSERT_EQUAL(lc.tcp_conn_scan_interval, 600);
	CU_ASSERT_EQUAL(lc.rx_mbuf_pool_size, 28672);
	CU_ASSERT_EQUAL(lc.tx_mbuf_pool_size, 4096);
	CU_ASSERT_EQUAL(lc.n_rates, 0);
	CU_ASSERT_FALSE(lc.has_bond_macs || lc.kni_switch || lc.low_power_mode);
	CU_ASSERT_STRING_EQUAL(lc.unix_prefix, "");
}

static void
good_values_take_effect(void)
{
#define CASE(line, condition)                                                                      \
	do {                                                                                       \
		expect(load_ltran_line(line) == 0 && n_errors == 0 && n_warnings == 0, line);      \
		expect((condition), #condition);                                                   \
	} while (0)

	CASE("forward_kit_args=\"\"", lc.n_eal_args == 0);
	CASE("forward_kit_args=\"  --no-huge\t-m   512 \"",
		lc.n_eal_args == 3 && strcmp(lc.eal_args[2], "512") == 0);
	CASE("dispatch_max_clients=1024", lc.dispatch_max_clients == 1024);
	CASE("tcp_conn_scan_interval=0", lc.tcp_conn_scan_interval == 0);
	CASE("kni_switch=1", lc.kni_switch);
	CASE("low_power_mode=1", lc.low_power_mode);
	CASE("bond_mode=4", lc.bond_mode == LTRAN_BOND_8023AD);
	CASE("bond_mode=6", lc.bond_mode == LTRAN_BOND_ALB);
	CASE("bond_mtu=9000", lc.bond_mtu == 9000);
	CASE("bond_miimon=1", lc.bond_miimon == 1);
	CASE("bond_miimon=18446744073708551615", lc.bond_miimon == INT32_MAX);
	CASE("bond_miimon=4294967297", lc.bond_miimon == INT32_MAX);
	CASE("bond_ports=\"0x01\"", lc.bond_ports == 1);
	CASE("bond_ports=\"0xfF\"", lc.bond_ports == 0xff);
	CASE("rx_mbuf_pool_size=307200", lc.rx_mbuf_pool_size == 307200);
	CASE("rx_pool_mbuf_size=307200", lc.rx_mbuf_pool_size == 307200);
	CASE("tx_pool_mbuf_size=30720", lc.tx_mbuf_pool_size == 30720);
	CASE("unix_prefix=\"a_\"", strcmp(lc.unix_prefix, "a_") == 0);
	CASE("client_group=\"root\"", strcmp(lc.client_group, "root") == 0);
	CASE("client_group=\"\"", lc.client_group[0] == '\0');
	CASE("rate_limit=()", lc.n_rates == 0);
	CASE("rate_limit=({addr=\"192.168.1.9\";packets=5;});",
		lc.n_rates == 1 && lc.rates[0].packets == 5 && lc.rates[0].bytes == 0);
	CASE("rate_limit=({addr=\"192.168.1.9\";bytes=12500000000;},\n"
	     " {addr=\"192.168.1.10\";bytes=1;packets=2;})",
		lc.n_rates == 2 && lc.rates[0].bytes == 12500000000 &&
			lc.rates[1].addr == inet_addr("192.168.1.10") && lc.rates[1].packets == 2);
#undef CASE
}

static const struct {
	const char *line, *message;
} bad_values[] = {
	{"forward_kit_args=[\"-l\"]", "ltran.conf:3: forward_kit_args = [\"-l\"]: a string in quotes "
				      "is wanted (legal: one string of at most 64 words, split at "
				      "blanks)"},
	{"forward_kit_args=\"-l 0 --proc-type secondary\"", "secondary is not available"},
	{"dispatch_max_clients=0", "out of range (legal: 1 to 1024 instances)"},
	{"dispatch_max_clients=1025", "dispatch_max_clients = 1025: out of range"},
	{"tcp_conn_scan_interval=86401", "out of range (legal: 0 to 86400 seconds)"},
	{"kni_switch=2", "kni_switch = 2: out of range (legal: 0 or 1)"},
	{"low_power_mode=-1", "low_power_mode = -1: out of range"},
	{"bond_mode=2", "bond_mode = 2: not one of ltran's modes (legal: 1 (active-backup), 4 "
			"(802.3ad) or 6 (balance-alb))"},
	{"bond_mode=7", "bond_mode = 7: out of range"},
	{"bond_mtu=67", "bond_mtu = 67: out of range (legal: 68 to 9000 bytes of IP packet)"},
	{"bond_miimon=0", "bond_miimon = 0: out of range (legal: 1 and more, in ms)"},
	{"bond_macs=\"aa:bb:cc:dd:ee\"", "not a MAC address"},
	{"bond_macs=\"aa:bb:cc:dd:ee:ff,aa:bb:cc:dd:ee:fe\"", "one address is wanted (legal: one MAC "
		"address such as \"aa:bb:cc:dd:ee:ff\"; a second bond is a second ltran"},
	{"bond_macs=\"ff:ff:ff:ff:ff:ff\"", "a multicast address"},
	{"bond_ports=1", "bond_ports = 1: a string in quotes is wanted (legal: a mask such as"},
	{"bond_ports=\"1\"", "not a hexadecimal mask"},
	{"bond_ports=\"0x\"", "not a hexadecimal mask"},
	{"bond_ports=\"0x1g\"", "not a hexadecimal mask"},
	{"bond_ports=\"0x0\"", "no port"},
	{"bond_ports=\"0x100\"", "more than the ports 0 to 7"},
	{"bond_ports=\"0xffffffffffffffffff\"", "more than the ports 0 to 7"},
	{"bond_ports=\"0x1,0x2\"", "bond_ports = \"0x1,0x2\": one bond is wanted (legal: a mask such "
				   "as \"0x3\"; a second bond is a second ltran, with a unix_prefix "
				   "of its own)"},
	{"rx_mbuf_pool_size=511", "rx_mbuf_pool_size = 511: out of range"},
	{"tx_mbuf_pool_size=\"1\"", "a number is wanted, without quotes"},
	{"rx_mbuf_pool_size=1024 rx_pool_mbuf_size=1024", "given before as rx_mbuf_pool_size"},
	{"unix_prefix=\"a/b\"", "character '/' is not allowed"},
	{"client_group=\"no group of this name\"", "there is no such group"},
	{"rate_limit=5", "rate_limit = 5: a list of groups is wanted (legal: a list of at most 1024 "
			 "groups such as ( { addr"},
	{"rate_limit=(5)", "entry 1 is not a group"},
	{"rate_limit=({bytes=5;})", "entry 1: addr is not an IPv4 address in quotes"},
	{"rate_limit=({addr=\"x\";bytes=5;})", "entry 1: addr is not an IPv4 address in quotes"},
	{"rate_limit=({addr=\"192.168.1.9\";})", "entry 1: neither bytes nor packets"},
	{"rate_limit=({addr=\"192.168.1.9\";bytes=-5;})", "entry 1: bytes is not a whole number above "
							  "0"},
	{"rate_limit=({addr=\"192.168.1.9\";packets=1.5;})", "entry 1: packets is not a whole number"},
	{"rate_limit=({addr=\"192.168.1.9\";bits=5;})", "entry 1: unknown name bits"},
	{"rate_limit=({addr=\"192.168.1.9\";bytes=5;},{addr=\"192.168.1.9\";bytes=6;})",
		"entry 2: the address of entry 1"},
	{"rate_limit=({addr=\"192.168.2.9\";bytes=5;})",
		"entry 1: 192.168.2.9 is not in dispatch_subnet"},
};

static void
bad_values_are_explained(void)
{
	for (size_t i = 0; i < sizeof(bad_values) / sizeof(bad_values[0]); i++) {
		int ret = load_ltran_line(bad_values[i].line);

		expect(ret == -EINVAL && n_errors == 1 &&
				strstr(heard, bad_values[i].message) != NULL,
			bad_values[i].line);
	}
}

static void
every_key_is_tested(void)
{
	for (int k = 0; k < LTRAN_KEYS; k++) {
		bool found = ltran_conf_rows[k].mandatory; /* see the subnet's own tests */

		for (size_t i = 0; i < sizeof(bad_values) / sizeof(bad_values[0]); i++)
			found = found || strstr(bad_values[i].line, ltran_conf_rows[k].name) != NULL;
		expect(found, ltran_conf_rows[k].name);
	}
}

static void
subnet_must_start_at_its_first_address(void)
{
	static const struct {
		const char *subnet;
		int length;
		const char *message; /* NULL: good */
	} rows[] = {
		{"192.168.1.16", 4, NULL},
		{"10.1.0.0", 16, NULL},
		{"192.168.1.0", 1, NULL},
		{"192.168.1.10", 4, "ltran.conf:1: dispatch_subnet = \"192.168.1.10\": not the first "
				    "address of a subnet whose hosts have 4 bits "
				    "(dispatch_subnet_length); that is 192.168.1.0"},
		{"192.168.1.0", 16, "that is 192.168.0.0"},
		{"192.168.1.0", 0, "out of range (legal: 1 to 16 host bits)"},
		{"192.168.0.0", 17, "dispatch_subnet_length = 17: out of range"},
		{"0.0.0.0", 8, "names no host"},
		{"224.0.0.0", 8, "a multicast address"},
		{"subnet", 8, "not an IPv4 address (legal: an IPv4 subnet such as \"192.168.1.0\")"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char text[256];
		int ret;

		snprintf(text, sizeof(text), "dispatch_subnet=\"%s\"\ndispatch_subnet_length=%d\n",
			rows[i].subnet, rows[i].length);
		ret = load_ltran(text);
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
	CU_ASSERT_EQUAL(load_ltran("bond_mode=1\n"), -EINVAL);
	CU_ASSERT_EQUAL(n_errors, 2);
	CU_ASSERT_PTR_NOT_NULL(strstr(heard, "ltran.conf: dispatch_subnet: missing; set it to an IPv4"));
	CU_ASSERT_PTR_NOT_NULL(strstr(heard, "dispatch_subnet_length: missing; set it to 1 to 16 "));
}

static void
strange_keys_are_warnings(void)
{
	static const struct {
		const char *line, *message; /* NULL: silent */
	} rows[] = {
		{"forward_kit=\"dpdk\"", NULL},
		{"forward_kit=\"netmap\"", "\"dpdk\" is the only one, ignored"},
		{"bond_rx_queue_num=1", NULL},
		{"bond_rx_queue_num=4", "not needed, ignored"},
		{"bond_tx_queue_num=4", "not needed, ignored"},
		{"bond_port=\"0x1\"", "unknown key, ignored; did you mean bond_ports?"},
		{"dispach_max_clients=3", "did you mean dispatch_max_clients?"},
		{"zebra_crossing=1", "zebra_crossing = 1: unknown key, ignored\n"},
		{"host_addr=\"192.168.1.9\"", "belongs to lstack.conf, ignored"},
		{"nic_read_number=9", "belongs to lstack.conf, ignored"},
		{"use_ltran=1", "belongs to lstack.conf, ignored"},
		{"mtu=1500", "belongs to lstack.conf, ignored: here the key is bond_mtu"},
		{"dpdk_args=[\"-l\", \"1\"]", "here the key is forward_kit_args"},
		{"devices=\"aa:bb:cc:dd:ee:ff\"", "here the key is bond_macs"},
		{"mbuf_pool_size=1024", "here the keys are rx_mbuf_pool_size and tx_mbuf_pool_size"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int ret = load_ltran_line(rows[i].line);

		expect(ret == 0 && (rows[i].message == NULL
				? n_warnings == 0
				: n_warnings == 1 && strstr(heard, rows[i].message)),
			rows[i].line);
	}
}

static void
dump_is_yaml_with_defaults_marked(void)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	CU_ASSERT_EQUAL(load_ltran_line("forward_kit_args=\"-l  0\"\nbond_ports=\"0x3\"\n"
		"rate_limit=({addr=\"192.168.1.9\";bytes=5000000000;packets=2;})"), 0);
	CU_ASSERT_EQUAL(ltran_conf_dump_yaml(&lc, out), 0);
	fclose(out);
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "forward_kit_args: \"-l 0\"\n"));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "bond_ports: \"0x3\"\n"));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "bond_macs: null # default\n"));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "bond_mtu: 1500 # default\n"));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "rate_limit: \n  - {addr: \"192.168.1.9\", bytes: "
		"5000000000, packets: 2}\n"));
	free(text);
}

static void
nothing_is_kept_of_a_bad_file(void)
{
	CU_ASSERT_EQUAL(load_ltran_line("rate_limit=({addr=\"192.168.1.9\";bytes=5;})\n"
		"forward_kit_args=\"-l 0\"\nbond_macs=\"aa:bb:cc:dd:ee:ff\"\nbond_mtu=1"), -EINVAL);
	CU_ASSERT_EQUAL(lc.n_rates, 0);
	CU_ASSERT_PTR_NULL(lc.rates);
	CU_ASSERT_EQUAL(lc.n_eal_args, 0);
	CU_ASSERT_FALSE(lc.has_bond_macs);
	CU_ASSERT_EQUAL(lc.bond_mtu, 1500);
}

static void
missing_file_is_named(void)
{
	heard[0] = '\0';
	CU_ASSERT_EQUAL(ltran_conf_load("/nonexistent/ltran.conf", &lc, hear, NULL), -ENOENT);
	CU_ASSERT_PTR_NOT_NULL(strstr(heard, "/nonexistent/ltran.conf: cannot be read: No such file or "
		"directory (ltran --config-file names another file)"));
}

static const struct cunit_test tests[] = {
	CUNIT_TEST(example_of_the_user_guide_loads),
	CUNIT_TEST(subnet_is_enough),
	CUNIT_TEST(good_values_take_effect),
	CUNIT_TEST(bad_values_are_explained),
	CUNIT_TEST(every_key_is_tested),
	CUNIT_TEST(subnet_must_start_at_its_first_address),
	CUNIT_TEST(missing_mandatory_keys_are_named),
	CUNIT_TEST(strange_keys_are_warnings),
	CUNIT_TEST(dump_is_yaml_with_defaults_marked),
	CUNIT_TEST(nothing_is_kept_of_a_bad_file),
	CUNIT_TEST(missing_file_is_named),
};

CUNIT_MAIN("ltran_conf", tests, NULL, free_ltran)
