/* SPDX-License-Identifier: BSD-3-Clause */
/* What ltran answers to gazellectl, but for measurements: requests in, documents out, no socket. */
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dispatcher/log.h"
#include "nodes/nodes.h"
#include "tests/fake_dispatcher.h"
#define EAL_TEST_VDEV "--vdev=net_null0"
#include "tests/eal.h"
#include "tests/feed_rig.h"
#include "tests/frames.h"

FEED_TARGET(NODE_DISPATCH_IN)
FEED_SINK(drop, NODE_DROP)

#define N_SLOTS 1024 /* of each of two socket tables */

static const char *const in_edges[] = {NODE_DROP};
static const struct graph_error in_rows[] = {{"no-instance", GRAPH_NORMAL, "nobody's"}};

/* Drops and counts everything. */
static uint16_t
process_in(struct rte_graph *rg, struct rte_node *node, void **objs, uint16_t n)
{
	graph_count(node, 0, n);
	graph_forward_all(rg, node, objs, 0, n);
	return n;
}

static struct graph_node in_node = {.name = NODE_DISPATCH_IN, .process = process_in,
	.edges = in_edges, .n_edges = 1, .errors = in_rows, .n_errors = 1};
GRAPH_NODE(in_node)

static void
show_adds_up_workers_and_their_drops(void)
{
	struct rte_mbuf *pkts[3];
	struct graph *graphs[FAKE_WORKERS];
	struct ctl_ltran *l;
	char *err;

	for (unsigned int i = 0; i < FAKE_WORKERS; i++) {
		static const char *const sources[] = {"feed"};
		char name[16];

		snprintf(name, sizeof(name), "core%u", i);
		graphs[i] = graph_create(name, sources, 1, &fake_workers[i]);
		fake_workers[i].w.graph = graphs[i];
		CU_ASSERT_PTR_NOT_NULL_FATAL(graphs[i]);
		feed_graph = graphs[i];
		for (unsigned int k = 0; k < 3; k++)
			pkts[k] = frame_udp(fake_lt.pool, 8);
		feed_walk(pkts, 3);
		fake_workers[i].seen[SEEN_TCP] = 5;
		fake_workers[i].seen[SEEN_ARP] = 1;
		fake_workers[i].idle_walks = 4;
	}
	l = fake_ask(CTL_LTRAN_SHOW, NULL, &err);
	CU_ASSERT_PTR_NOT_NULL_FATAL(l);
	CU_ASSERT_STRING_EQUAL(l->loglevel, "info");
	CU_ASSERT_TRUE(l->low_power_mode);
	CU_ASSERT_EQUAL(l->clients, 2);
	CU_ASSERT_EQUAL(l->clients_max, 64);
	CU_ASSERT_EQUAL(l->tcp_pkts, 10);
	CU_ASSERT_EQUAL(l->arp_pkts, 2);
	CU_ASSERT_EQUAL(l->mbuf_pool_size, 511);
	CU_ASSERT_EQUAL(l->nics_count, 0);
	CU_ASSERT_EQUAL_FATAL(l->workers_count, 2);
	CU_ASSERT_EQUAL(l->workers[1].tid, 101);
	CU_ASSERT_EQUAL(l->workers[1].cpu, -1);
	CU_ASSERT_EQUAL(l->workers[1].drop, 3);
	CU_ASSERT_EQUAL(l->workers[1].idle_percent, 40);
	CU_ASSERT_EQUAL_FATAL(l->drops_count, 1);
	CU_ASSERT_STRING_EQUAL(l->drops[0].node, NODE_DISPATCH_IN);
	CU_ASSERT_STRING_EQUAL(l->drops[0].error.symbol, "no-instance");
	CU_ASSERT_EQUAL(l->drops[0].error.count, 6);
	fake_ask_done(CTL_LTRAN_SHOW, l);
	feed_forget();
	for (unsigned int i = 0; i < FAKE_WORKERS; i++)
		graph_destroy(graphs[i]);
}

static void
expect_role(struct bond_slave_stats is, const char *role)
{
	struct ctl_ltran *l;
	char *err;

	fake_slave = is;
	l = fake_ask(CTL_LTRAN_SHOW, NULL, &err);
	CU_ASSERT_PTR_NOT_NULL_FATAL(l);
	CU_ASSERT_EQUAL(l->bond_mode, 1);
	CU_ASSERT_EQUAL(l->bond_miimon, 100);
	CU_ASSERT_EQUAL(l->bond_switches, 3);
	CU_ASSERT_EQUAL_FATAL(l->nics_count, 1);
	CU_ASSERT_STRING_EQUAL(l->nics[0].role, role);
	CU_ASSERT_EQUAL(l->nics[0].port.link_up, is.present && is.link);
	CU_ASSERT_EQUAL(l->nics[0].link_failures, is.link_failures);
	fake_ask_done(CTL_LTRAN_SHOW, l);
}

/* The bond knows the link, whatever the driver says. */
static void
ports_of_a_bond_tell_their_part(void)
{
	fake_lt.bond = (struct bond *)&fake_lt; /* asked through the stand-ins only */
	fake_lt.ports[0] = 0;
	fake_lt.n_ports = 1;
	fake_lt.n_workers = 0;
	fake_conf.bond_ports = 1;
	expect_role((struct bond_slave_stats){.present = true, .link = true, .active = true}, "active");
	expect_role((struct bond_slave_stats){.present = true, .link = true}, "passive");
	expect_role((struct bond_slave_stats){.present = true, .link_failures = 2}, "no link");
	expect_role((struct bond_slave_stats){.link = true}, "gone");
}

/* Counters of a packet's way are there for graph show, and a trace wakes who sleeps. */
static void
graphs_are_shown_and_traced(void)
{
	struct ctl_trace_request r = {CTL_TRACE_START, 5};
	struct ctl_graph *g;
	struct ctl_trace *t;
	char *err;

	fake_lt.n_workers = 1;
	feed_open(&fake_workers[0]);
	fake_workers[0].w.graph = feed_graph;
	g = fake_ask(CTL_GRAPH_SHOW, NULL, &err);
	CU_ASSERT_PTR_NOT_NULL_FATAL(g);
	CU_ASSERT_EQUAL(g->cores_count, 1);
	CU_ASSERT_EQUAL(g->cores[0].tid, 100);
	CU_ASSERT_EQUAL(g->cores[0].nodes_count, 3);
	fake_ask_done(CTL_GRAPH_SHOW, g);
	t = fake_ask(CTL_GRAPH_TRACE, &r, &err);
	CU_ASSERT_PTR_NOT_NULL(t);
	CU_ASSERT_EQUAL(fake_kicks, 1);
	fake_ask_done(CTL_GRAPH_TRACE, t);
	r.packets = 257;
	CU_ASSERT_PTR_NULL(fake_ask(CTL_GRAPH_TRACE, &r, &err));
	CU_ASSERT_STRING_EQUAL(err, "at most 256 packets can be traced");
	free(err);
	feed_close();
}

static void
instances_tell_their_state_and_every_drop(void)
{
	static struct ltran_slot slots[8] = {{1}, {80}, {0xc612000200010050ull}, {0},
		{0xc612000200020050ull}, {0}, {0}, {53}};
	const off_t bytes = LTRAN_TABLE_OFFSET + 2 * N_SLOTS * (off_t)sizeof(slots[0]);
	struct ctl_instances *all;
	struct stat st;
	char *err, *map;

	/* The second of two tables has no memory, and gets none. */
	fake_members[0].n_queues = 2;
	fake_members[0].n_slots = N_SLOTS;
	fake_members[0].table_fd = memfd_create("table", MFD_CLOEXEC);
	CU_ASSERT_EQUAL(ftruncate(fake_members[0].table_fd, bytes), 0);
	CU_ASSERT_EQUAL(pwrite(fake_members[0].table_fd, slots, sizeof(slots), LTRAN_TABLE_OFFSET),
		sizeof(slots));
	map = mmap(NULL, bytes, PROT_READ, MAP_SHARED, fake_members[0].table_fd, 0);
	CU_ASSERT_PTR_NOT_EQUAL_FATAL(map, MAP_FAILED);
	fake_members[0].tables = (const struct ltran_slot *)(map + LTRAN_TABLE_OFFSET);
	fake_members[0].blocks[0] = 0xb; /* 0, 1, 3 */
	fake_members[0].blocks[1] = 1ull << 63;
	fake_members[1].broken = true;
	fake_members[0].stats[0] = (struct member_stats){.rx_pkts = 1, .rx_bytes = 60,
		.tx_pkts = 2};
	fake_members[0].stats[1] = (struct member_stats){.rx_pkts = 10, .rx_bytes = 600,
		.tx_pkts = 20};
	for (unsigned int i = 0; i < MEMBER_DROPS; i++) {
		fake_members[0].stats[0].drops[i] = 100 + i;
		fake_members[0].stats[1].drops[i] = 1;
	}
	all = fake_ask(CTL_LTRAN_INSTANCES, NULL, &err);
	CU_ASSERT_PTR_NOT_NULL_FATAL(all);
	CU_ASSERT_EQUAL_FATAL(all->instances_count, 2);
	CU_ASSERT_STRING_EQUAL(all->instances[0].addr, "198.18.0.1");
	CU_ASSERT_EQUAL(all->instances[0].pid, 4711);
	CU_ASSERT_EQUAL(all->instances[0].sockfd, 20);
	CU_ASSERT_STRING_EQUAL(all->instances[0].program, "redis-server");
	CU_ASSERT_STRING_EQUAL(all->instances[0].state, "NORMAL");
	CU_ASSERT_EQUAL(all->instances[0].rx_pkts, 11);
	CU_ASSERT_EQUAL(all->instances[0].rx_bytes, 660);
	CU_ASSERT_EQUAL(all->instances[0].tx_pkts, 22);
	CU_ASSERT_EQUAL(all->instances[0].conns, 2);
	CU_ASSERT_EQUAL(all->instances[0].listeners, 2);
	CU_ASSERT_EQUAL(fstat(fake_members[0].table_fd, &st), 0);
	CU_ASSERT(st.st_blocks * 512 <= 8192);
	CU_ASSERT_STRING_EQUAL(all->instances[0].ports, "32768-33279, 33536-33791, 65280-65535");
	CU_ASSERT(all->instances[0].age_s >= 4 && all->instances[0].age_s < 60);
	CU_ASSERT_EQUAL_FATAL(all->instances[0].drops_count, MEMBER_DROPS);
	CU_ASSERT_STRING_EQUAL(all->instances[0].drops[MEMBER_SPOOFED_ARP].name, "spoofed-arp");
	for (unsigned int i = 0; i < MEMBER_DROPS; i++)
		CU_ASSERT_EQUAL(all->instances[0].drops[i].packets, 101 + i);
	CU_ASSERT_STRING_EQUAL(all->instances[1].state, "BROKEN");
	fake_ask_done(CTL_LTRAN_INSTANCES, all);
	fake_members[1].broken = false;
	all = fake_ask(CTL_LTRAN_INSTANCES, NULL, &err);
	CU_ASSERT_STRING_EQUAL(all->instances[1].state, "CONNECTING");
	CU_ASSERT_STRING_EQUAL(all->instances[1].ports, "");
	fake_ask_done(CTL_LTRAN_INSTANCES, all);
	fake_members[0].tables = NULL;
	munmap(map, (size_t)bytes);
	close(fake_members[0].table_fd);
}

/* --- set, quit -------------------------------------------------------------------------------- */

static void
loglevel_is_set_or_refused(void)
{
	struct ctl_loglevel r = {"debug"}, *answer;
	char *err;

	answer = fake_ask(CTL_LTRAN_SET_LOGLEVEL, &r, &err);
	CU_ASSERT_PTR_NOT_NULL_FATAL(answer);
	CU_ASSERT_STRING_EQUAL(answer->level, "debug");
	CU_ASSERT_EQUAL(log_level(), LOG_LEVEL_DEBUG);
	fake_ask_done(CTL_LTRAN_SET_LOGLEVEL, answer);
	snprintf(r.level, sizeof(r.level), "loud");
	CU_ASSERT_PTR_NULL(fake_ask(CTL_LTRAN_SET_LOGLEVEL, &r, &err));
	CU_ASSERT_STRING_EQUAL(err, "loglevel is error, info or debug, not \"loud\"");
	CU_ASSERT_EQUAL(log_level(), LOG_LEVEL_DEBUG);
	free(err);
	log_set_level(LOG_LEVEL_INFO);
}

static volatile sig_atomic_t n_terms;

static void
on_term(int number)
{
	n_terms++;
}

/* Any of DPDK's threads may get it here; in ltran all of them block it. */
static void
quit_sends_the_signal_that_main_waits_for(void)
{
	struct ctl_quit *answer;
	char *err;

	signal(SIGTERM, on_term);
	answer = fake_ask(CTL_LTRAN_QUIT, NULL, &err);
	CU_ASSERT_EQUAL(answer->pid, (uint32_t)getpid());
	while (n_terms == 0)
		sched_yield();
	signal(SIGTERM, SIG_DFL);
	CU_ASSERT_EQUAL(n_terms, 1);
	fake_ask_done(CTL_LTRAN_QUIT, answer);
}

static const struct cunit_test tests[] = {
	CUNIT_TEST(show_adds_up_workers_and_their_drops),
	CUNIT_TEST(ports_of_a_bond_tell_their_part),
	CUNIT_TEST(graphs_are_shown_and_traced),
	CUNIT_TEST(instances_tell_their_state_and_every_drop),
	CUNIT_TEST(loglevel_is_set_or_refused),
	CUNIT_TEST(quit_sends_the_signal_that_main_waits_for),
};
EAL_TEST_MAIN("ltran_ctl", tests, fake_dispatcher_setup, fake_dispatcher_teardown)
