/* SPDX-License-Identifier: BSD-3-Clause */
/* ctl/render*.c: snapshots in, the very tables out. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

static void
graph_shows_nodes_then_drops(void)
{
	struct ctl_error errors[] = {
		{"bad-checksum", CTL_BROKEN, "IPv4 header checksum", 12},
		{"not-ours", CTL_NORMAL, "addressed to somebody else", 1234567},
	};
	struct ctl_node nodes[] = {
		{"rx", 1000000000, 25600, 2400000000000, NULL, 0},
		{"classify", 400, 25600, 1280000, errors, 2},
		{"ip4-frag", 0, 0, 0, NULL, 0},
	};
	struct ctl_core cores[] = {{0, 4711, nodes, 3}, {1, -1, NULL, 0}};
	struct ctl_graph g = {2400000000, cores, 2};

	render_graph(out, &g);
	expect("------ core 0, tid 4711, 2400 MHz ------\n"
	       "  node                    calls        packets packets/call cycles/packet  cycles/call\n"
	       "  rx                 1000000000          25600         0.00      93750000         2400\n"
	       "  classify                  400          25600        64.00         50.00         3200\n"
	       "  ip4-frag                    0              0            -             -            -\n"
	       "\n"
	       "  node                packets  severity reason\n"
	       "  classify                 12  broken   bad-checksum           IPv4 header checksum\n"
	       "  classify            1234567  normal   not-ours               addressed to somebody "
	       "else\n"
	       "------ core 1, tid -1, 2400 MHz ------\n"
	       "  node                    calls        packets packets/call cycles/packet  cycles/call\n"
	       "\n"
	       "  nothing dropped\n");
}

static void
trace_separates_packets(void)
{
	char *lines[] = {"packet 1 (core0)", "  +0.00 us  rx", "packet 2 (core0)", "  +0.00 us  rx"};
	struct ctl_trace t = {2, lines, 4};

	render_trace(out, &t);
	expect("packet 1 (core0)\n  +0.00 us  rx\n\npacket 2 (core0)\n  +0.00 us  rx\n");
}

static void
lstack_keeps_the_names_of_gazelle(void)
{
	struct ctl_stack stacks[] = {{.index = 0, .tid = 12, .rx_pkts = 7, .app_read_bytes = 1ull << 40}};
	struct ctl_lstack l = {"run-to-wakeup", true, 77, 4096, 4000, 16, 15,
		{"veth0", "net_af_packet", "02:00:00:00:00:01", true, 1, 2, 3, 4, 5, 6, 7, 8}, stacks, 1};

	render_lstack(out, &l);
	expect("Statistics of lstack:\n"
	       "stack_thread_mode: run-to-wakeup\n"
	       "low_power_mode: ON\n"
	       "idle_us: 77\n"
	       "mbuf_pool_freecnt: 4000 of 4096, bulk 15 of 16\n"
	       "port: veth0 (net_af_packet) 02:00:00:00:00:01, link up\n"
	       "rx_pkts: 1                        rx_bytes: 2                       rx_missed: 3\n"
	       "tx_pkts: 6                        tx_bytes: 7                       tx_err: 8\n"
	       "rx_err: 4                         rx_allocmbuf_fail: 5\n"
	       "------ stack tid: 12 ------\n"
	       "rx_pkts: 7                        rx_drop: 0                        walks: 0\n"
	       "tx_pkts: 0                        tx_drop: 0                        "
	       "tx_allocmbuf_fail: 0\n"
	       "conn_num: 0                       listen_num: 0                     "
	       "wakeup_events: 0\n"
	       "call_msg: 0                       call_posted: 0                    app_events: 0\n"
	       "app_read: 0                       app_write: 0                      "
	       "idle_percent: 0\n"
	       "app_read_bytes: 1099511627776     app_write_bytes: 0                mem_kb: 0\n"
	       "mem_high_kb: 0                    mem_pressure: 0                   mem_rx_drop: 0\n"
	       "mem_ooo_drop: 0\n");
}

static void
connections_of_every_kind_have_a_row(void)
{
	struct ctl_conn conns[] = {
		{.tid = 4711, .proto = "tcp", .local = "0.0.0.0:6379", .peer = "0.0.0.0:*", .state = "LISTEN",
			.fd = 6, .accept_queue = 2},
		{.stack = 1, .tid = 4712, .proto = "tcp", .local = "198.18.0.1:6379", .peer = "198.18.0.2:54321",
			.state = "ESTABLISHED", .fd = 8, .recv_queue = 10, .send_queue = 20,
			.in_flight = 5, .cwnd = 14600, .rcv_wnd = 65535, .snd_wnd = 64240,
			.snd_nxt = 4294967295, .lastack = 1, .rcv_nxt = 2, .srtt_us = 35,
			.rto_ms = 200, .retransmits = 1, .keepalive = true, .keep_idle_s = 300,
			.keep_intvl_s = 100, .keep_cnt = 3},
		{.stack = 1, .tid = 4712, .proto = "udp", .local = "0.0.0.0:53", .peer = "0.0.0.0:*",
			.state = "UDP", .fd = -1},
	};
	struct ctl_conns c = {5, conns, 3};

	render_conns(out, &c);
	expect("Active Internet connections (servers and established)\n"
	       "------ stack tid: 4711 ------\n"
	       "No.   Proto  recv-q   send-q  in_send      cwn  rcv_wnd  snd_wnd    snd_nxt    lastack"
	       "    rcv_nxt  rtt(us)  rto(ms)  retrans    fd  Local Address    Foreign Address   State"
	       "        keep-alive(idle,intvl,cnt)\n"
	       "0     tcp         2        0        -        -        -        -          -          -"
	       "          -        -        -        -     6  0.0.0.0:6379     0.0.0.0:*         LISTEN"
	       "       off\n"
	       "------ stack tid: 4712 ------\n"
	       "No.   Proto  recv-q   send-q  in_send      cwn  rcv_wnd  snd_wnd    snd_nxt    lastack"
	       "    rcv_nxt  rtt(us)  rto(ms)  retrans    fd  Local Address    Foreign Address   State"
	       "        keep-alive(idle,intvl,cnt)\n"
	       "1     tcp        10       20        5    14600    65535    64240 4294967295          1"
	       "          2       35      200        1     8  198.18.0.1:6379  198.18.0.2:54321  "
	       "ESTABLISHED  300,100,3\n"
	       "2     udp         0        0        -        -        -        -          -          -"
	       "          -        -        -        -     -  0.0.0.0:53       0.0.0.0:*         UDP"
	       "          off\n"
	       "Total unread bytes:10 unsend bytes:20\n"
	       "...Total connections: 5, display connections: 3\n");
}

static void
snmp_is_one_name_per_line(void)
{
	struct ctl_snmp_stack stack = {.tid = 3, .ip_in_recv = 9, .icmp_out_echo_reps = 4};
	struct ctl_snmp s = {&stack, 1};

	render_snmp(out, &s);
	fclose(out);
	CU_ASSERT_PTR_NOT_NULL(strstr(text,
		"Statistics of lstack snmp:\n------ stack tid: 3 ------\nip_in_recv: 9\nip_in_deliver: 0\n"));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "\nicmp_out_echo_reps: 4\n"));
}

static const struct cunit_test tests[] = {
	CUNIT_TEST(graph_shows_nodes_then_drops),
	CUNIT_TEST(trace_separates_packets),
	CUNIT_TEST(lstack_keeps_the_names_of_gazelle),
	CUNIT_TEST(connections_of_every_kind_have_a_row),
	CUNIT_TEST(snmp_is_one_name_per_line),
};

CUNIT_MAIN("render", tests, setup, teardown)
