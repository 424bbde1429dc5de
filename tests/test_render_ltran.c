/* SPDX-License-Identifier: BSD-3-Clause */
/* ctl/render_ltran.c and ctl/rates.c: snapshots in, the very tables out. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/commands_private.h"
#include "ctl/render.h"
#include "tests/cunit_main.h"

static char *text;
static size_t text_len;
static FILE *out;

static void
setup(void)
{
	out = open_memstream(&text, &text_len);
}

static void
teardown(void)
{
	free(text);
}

/* Lines of the table with spaces at their ends cut, as editors do with this file. */
static void
expect(const char *golden)
{
	char *from, *to;

	fclose(out);
	for (from = to = text; *from != '\0'; from++) {
		if (*from == '\n')
			while (to > text && to[-1] == ' ')
				to--;
		*to++ = *from;
	}
	*to = '\0';
	if (strcmp(text, golden) != 0)
		printf("\n--- have\n%s--- want\n%s", text, golden);
	CU_ASSERT_STRING_EQUAL(text, golden);
}

static struct ctl_nic nics[] = {{.number = 0, .rx_drop = 4, .tx_drop = 5,
	.port = {.name = "nic0", .driver = "net_af_packet", .mac = "02:00:00:00:00:01",
		.link_up = true, .rx_pkts = 10, .rx_bytes = 1000, .tx_pkts = 20, .tx_bytes = 2000}}};
static struct ctl_worker workers[] = {
	{.index = 0, .tid = 12, .cpu = 1, .rx_pkts = 10, .to_pkts = 9, .idle_percent = 50}};
static struct ctl_drop drops[] = {
	{"dispatch-in", {"no-instance", CTL_NORMAL, "nobody's", 3}}, {"guard", {"rate", CTL_ODD, "", 0}}};

static struct ctl_ltran
facts(void)
{
	return (struct ctl_ltran){.loglevel = "info", .clients = 2, .clients_max = 64,
		.mbuf_pool_size = 100, .mbuf_pool_freecnt = 90, .kni_pkts = 1, .arp_pkts = 2,
		.tcp_pkts = 3, .icmp_pkts = 4, .udp_pkts = 5, .other_pkts = 6, .nics = nics,
		.nics_count = 1, .workers = workers, .workers_count = 1, .drops = drops,
		.drops_count = 2};
}

static void
ltran_keeps_the_names_of_gazelle(void)
{
	struct ctl_ltran l = facts();

	render_ltran(out, &l);
	expect("Statistics of ltran:\n"
	       "loglevel: info\n"
	       "low_power_mode: OFF\n"
	       "clients: 2 of 64\n"
	       "mbuf_pool_freecnt: 90 of 100\n"
	       "Bond port: 0, nic0 (net_af_packet) 02:00:00:00:00:01, link up\n"
	       "rx_pkts: 10                       rx_bytes: 1000                    rx_drop: 4\n"
	       "tx_pkts: 20                       tx_bytes: 2000                    tx_drop: 5\n"
	       "kni_pkts: 1                       arp_pkts: 2                       tcp_pkts: 3\n"
	       "icmp_pkts: 4                      udp_pkts: 5                       other_pkts: 6\n"
	       "------ core 0, tid 12, cpu 1 ------\n"
	       "rx_pkts: 10                       tx_pkts: 0                        drop: 0\n"
	       "from_pkts: 0                      to_pkts: 9                        kernel_pkts: 0\n"
	       "walks: 0                          idle_percent: 50                  sleeps: 0\n"
	       "------ drops ------\n"
	       "  node                packets  severity reason\n"
	       "  dispatch-in               3  normal   no-instance            nobody's\n");
}

static void
bonds_show_what_their_ports_do(void)
{
	struct ctl_ltran l = facts();
	struct ctl_nic two[] = {nics[0], nics[0]};

	l.bond_mode = 1;
	l.bond_miimon = 100;
	l.bond_switches = 3;
	l.nics = two;
	l.nics_count = 2;
	snprintf(two[0].role, sizeof(two[0].role), "no link");
	two[0].port.link_up = false;
	two[0].link_failures = 2;
	snprintf(two[1].role, sizeof(two[1].role), "active");
	render_ltran(out, &l);
	fflush(out);
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "\nbond_mode: 1, bond_miimon: 100 ms, switches: 3\n"));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "link down, no link, link_failures 2\n"));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "link up, active\n"));
	fclose(out);
}

static void
rates_are_differences_over_time(void)
{
	struct ctl_nic nic = nics[0];
	struct ctl_drop drop = drops[0];
	struct ctl_worker worker = workers[0];
	struct ctl_ltran a = facts(), b = facts();

	b.nics = &nic;
	b.drops = &drop;
	b.workers = &worker;
	b.drops_count = 1;
	b.tcp_pkts = 2003;
	b.arp_pkts = 1; /* replaced by another process */
	nic.port.rx_pkts = 1010;
	nic.port.rx_bytes = 101000;
	nic.rx_drop = 8;
	drop.error.count = 13;
	worker.to_pkts = 29;
	worker.idle_percent = 40;
	rates_ltran(&a, &b, 2);
	CU_ASSERT_EQUAL(workers[0].to_pkts, 10);
	CU_ASSERT_EQUAL(workers[0].idle_percent, 40);
	render_ltran_rate(out, &a);
	expect("Statistics of ltran rate:\n"
	       "Bond port: 0, nic0 (net_af_packet) 02:00:00:00:00:01, link up\n"
	       "rx_pkts: 500                      rx_bytes: 50000                   rx_drop: 2\n"
	       "tx_pkts: 0                        tx_bytes: 0                       tx_drop: 0\n"
	       "kni_pkts: 0                       arp_pkts: 0                       tcp_pkts: 1000\n"
	       "icmp_pkts: 0                      udp_pkts: 0                       other_pkts: 0\n"
	       "  node                packets  severity reason\n"
	       "  dispatch-in               5  normal   no-instance            nobody's\n");
}

static void
stack_rates_leave_gauges_alone(void)
{
	struct ctl_stack s1 = {.tid = 12, .rx_pkts = 10, .conn_num = 5, .idle_percent = 9};
	struct ctl_stack s2 = {.tid = 12, .rx_pkts = 30, .conn_num = 4, .idle_percent = 8};
	struct ctl_lstack a = {.stacks = &s1, .stacks_count = 1}, b = {.stacks = &s2,
		.stacks_count = 1};

	a.port.rx_bytes = 1;
	b.port.rx_bytes = 4000001;
	rates_lstack(&a, &b, .5);
	CU_ASSERT_EQUAL(s1.rx_pkts, 40);
	CU_ASSERT_EQUAL(s1.conn_num, 4);
	CU_ASSERT_EQUAL(s1.idle_percent, 8);
	CU_ASSERT_EQUAL(a.port.rx_bytes, 8000000);
	render_lstack_rate(out, &a);
	fclose(out);
	CU_ASSERT_PTR_NOT_NULL(strstr(text,
		"------ Statistics of lstack rate   stack tid: 12 ------\nrx_pkts: 40 "));
}

static void
instances_show_every_reason_that_counted(void)
{
	struct ctl_reason reasons[] = {{"ring-full", 7}, {"no-ring", 0}, {"rate", 1}};
	struct ctl_instance list[] = {
		{.addr = "198.18.0.1", .id = 0, .pid = 4711, .program = "redis-server", .queues = 1,
			.sockfd = 20, .state = "NORMAL", .rx_pkts = 100, .rx_bytes = 6400,
			.tx_pkts = 90, .tx_bytes = 5000, .conns = 3, .listeners = 1,
			.ports = "32768-33023", .age_s = 61, .drops = reasons, .drops_count = 3},
		{.addr = "198.18.0.2", .id = 1, .pid = 4712, .program = "nginx", .queues = 4,
			.sockfd = 21, .state = "CONNECTING"},
	};
	struct ctl_instances all = {list, 2};

	render_instances(out, &all);
	expect("Statistics of ltran client:\n"
	       "Client IP          ID      pid program          stack_cnt sockfd Bond port State     "
	       "      rx_pkts         rx_bytes      tx_pkts         tx_bytes    conns   listen  "
	       "since(s)\n"
	       "198.18.0.1          0     4711 redis-server             1     20         0 NORMAL    "
	       "          100             6400           90             5000        3        1"
	       "        61\n"
	       "    drops: ring-full 7, rate 1; local ports: 32768-33023\n"
	       "198.18.0.2          1     4712 nginx                    4     21         0 CONNECTING"
	       "            0                0            0                0        0        0"
	       "         0\n"
	       "    drops: none; local ports: none\n"
	       "...Total clients: 2\n");
}

static void
burst_shows_classes_with_their_share(void)
{
	struct ctl_class lengths[] = {{0, 64, 75}, {65, 127, 0}, {128, UINT32_MAX, 25}};
	struct ctl_class bursts[] = {{0, 1, 0}, {2, 2, 0}};
	struct ctl_measure m = {.lengths = lengths, .lengths_count = 3, .bursts = bursts,
		.bursts_count = 2};

	render_burst(out, &m);
	expect("Statistics of ltran burst (per second):\n"
	       "Packet Len   [       64]:           75 Percent:  75.0%\n"
	       "Packet Len   [   65-127]:            0 Percent:   0.0%\n"
	       "Packet Len   [    > 127]:           25 Percent:  25.0%\n"
	       "Burst Packets[        1]:            0 Percent:   0.0%\n"
	       "Burst Packets[        2]:            0 Percent:   0.0%\n");
}

static void
latency_has_a_row_for_each_and_all(void)
{
	struct ctl_latency list[] = {{"198.18.0.1", 4711, 10, 900, 12345, 2000}};
	struct ctl_measure m = {.latencies = list, .latencies_count = 1,
		.total = {"", 0, 10, 900, 12345, 2000}};

	render_latency(out, &m);
	expect("Statistics of ltran latency: t0--->t1 (t0:read from nic t1:into lstack queue)\n"
	       "                                         pkts      min(us)      max(us)  average(us)\n"
	       "ip:198.18.0.1 pid:4711                     10        0.900       12.345        2.000\n"
	       "total:                                     10        0.900       12.345        2.000\n");
}

static const struct cunit_test tests[] = {
	CUNIT_TEST(ltran_keeps_the_names_of_gazelle),
	CUNIT_TEST(bonds_show_what_their_ports_do),
	CUNIT_TEST(rates_are_differences_over_time),
	CUNIT_TEST(stack_rates_leave_gauges_alone),
	CUNIT_TEST(instances_show_every_reason_that_counted),
	CUNIT_TEST(burst_shows_classes_with_their_share),
	CUNIT_TEST(latency_has_a_row_for_each_and_all),
};

CUNIT_MAIN("render_ltran", tests, setup, teardown)
