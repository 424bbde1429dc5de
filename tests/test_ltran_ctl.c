/* SPDX-License-Identifier: BSD-3-Clause */
/* What ltran answers to gazellectl: requests in, documents out, without a socket. */
#include "dispatcher/ltran_ctl.h"

#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <rte_cycles.h>

#include "ctl/messages.h"
#include "dispatcher/dispatcher.h"
#include "dispatcher/log.h"
#include "dispatcher/measure.h"
#include "nodes/bond.h"
#include "nodes/nodes.h"
#include "nodes/port.h"
#include "tests/cunit_main.h"
#define EAL_TEST_VDEV "--vdev=net_null0"
#include "tests/eal.h"
#include "tests/feed_rig.h"
#include "tests/frames.h"

FEED_TARGET(NODE_DISPATCH_IN)
FEED_SINK(drop, NODE_DROP)

#define N_WORKERS 2
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

static struct rte_mempool *pool;
static struct ltran_conf conf;
static struct ltran lt;
static struct dispatch_worker workers[N_WORKERS];
static struct member_stats stats[2][N_WORKERS];
static struct member members[2];
static unsigned int n_members, n_kicks;

/* --- stand-ins for bond.c, port.c, registry.c and worker.c -------------------------------------------------------- */

void
registry_each(struct ltran *l, void (*each)(void *arg, const struct member *m), void *arg)
{
	for (unsigned int i = n_members; i-- > 0;)
		each(arg, &members[i]);
}

void
workers_kick(struct ltran *l)
{
	n_kicks++;
}

uint64_t
port_missed(uint16_t port)
{
	return 0;
}

static struct bond_slave_stats slave;

void
bond_get_stats(const struct bond *b, struct bond_stats *out)
{
	*out = (struct bond_stats){.mode = BOND_ACTIVE_BACKUP, .miimon_ms = 100, .n_slaves = 1,
		.switches = 3};
}

void
bond_get_slave_stats(struct bond *b, unsigned int i, struct bond_slave_stats *out)
{
	*out = slave;
}

static void
setup(void)
{
	struct timespec ts;

	pool = eal_test_pool(511, 0, 2048);
	conf = (struct ltran_conf){.dispatch_max_clients = 64, .low_power_mode = true};
	memset(&lt, 0, sizeof(lt));
	lt.conf = &conf;
	lt.pool = pool;
	lt.ports[0] = RTE_MAX_ETHPORTS - 1; /* none */
	lt.n_workers = N_WORKERS;
	memset(stats, 0, sizeof(stats));
	for (unsigned int i = 0; i < N_WORKERS; i++) {
		memset(&workers[i], 0, sizeof(workers[i]));
		workers[i].w.index = i;
		workers[i].lt = &lt;
		workers[i].cpu = -1;
		workers[i].walks = 10;
		workers[i].tid = 100 + i;
		lt.workers[i] = &workers[i];
	}
	clock_gettime(CLOCK_MONOTONIC, &ts);
	for (unsigned int i = 0; i < 2; i++) {
		members[i] = (struct member){.index = i, .vid = i == 0 ? 3 : -1, .n_queues = 1,
			.addr = RTE_BE32(0xc6120001 + i), .pid = 4711 + i, .uid = 7, .fd = 20 + i,
			.stats = stats[i], .program = "redis-server",
			.since_us = ts.tv_sec * 1000000ull - 5000000};
	}
	n_members = 2;
	n_kicks = 0;
}

static void
teardown(void)
{
	measure_free(&lt);
	eal_test_pool_done(pool);
}

/* The answer to a request, as gazellectl gets it; to be freed with done(). *err: the text otherwise. */
static void *
ask(enum ctl_command command, const void *request, char **err)
{
	const struct ctl_message *m = ctl_message_find(command);
	struct ctl_server_params p = ltran_ctl_params(&lt);
	struct ctl_header h = {.magic = CTL_MAGIC, .version = CTL_VERSION, .command = command}, out;
	char *body = NULL, *out_body;
	void *answer = NULL;
	size_t len = 0;

	*err = NULL;
	if (m->request != NULL)
		CU_ASSERT_EQUAL_FATAL(ctl_message_encode(m->request, request, &body, &len), 0);
	h.length = len;
	ctl_server_dispatch(&p, &h, body, &out, &out_body);
	free(body);
	if (out.status == CTL_OK) {
		CU_ASSERT_EQUAL(ctl_message_decode(m->answer, out_body, out.length, &answer), 0);
		free(out_body);
	} else {
		*err = out_body;
	}
	return answer;
}

static void
done(enum ctl_command command, void *answer)
{
	ctl_message_free(ctl_message_find(command)->answer, answer);
}

static void
show_adds_up_workers_and_their_drops(void)
{
	struct rte_mbuf *pkts[3];
	struct graph *graphs[N_WORKERS];
	struct ctl_ltran *l;
	char *err;

	for (unsigned int i = 0; i < N_WORKERS; i++) {
		static const char *const sources[] = {"feed"};
		char name[16];

		snprintf(name, sizeof(name), "core%u", i);
		graphs[i] = workers[i].w.graph = graph_create(name, sources, 1, &workers[i]);
		CU_ASSERT_PTR_NOT_NULL_FATAL(graphs[i]);
		feed_graph = graphs[i];
		for (unsigned int k = 0; k < 3; k++)
			pkts[k] = frame_udp(pool, 8);
		feed_walk(pkts, 3);
		workers[i].seen[SEEN_TCP] = 5;
		workers[i].seen[SEEN_ARP] = 1;
		workers[i].idle_walks = 4;
	}
	l = ask(CTL_LTRAN_SHOW, NULL, &err);
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
	done(CTL_LTRAN_SHOW, l);
	feed_forget();
	for (unsigned int i = 0; i < N_WORKERS; i++)
		graph_destroy(graphs[i]);
}

static void
expect_role(struct bond_slave_stats is, const char *role)
{
	struct ctl_ltran *l;
	char *err;

	slave = is;
	l = ask(CTL_LTRAN_SHOW, NULL, &err);
	CU_ASSERT_PTR_NOT_NULL_FATAL(l);
	CU_ASSERT_EQUAL(l->bond_mode, 1);
	CU_ASSERT_EQUAL(l->bond_miimon, 100);
	CU_ASSERT_EQUAL(l->bond_switches, 3);
	CU_ASSERT_EQUAL_FATAL(l->nics_count, 1);
	CU_ASSERT_STRING_EQUAL(l->nics[0].role, role);
	CU_ASSERT_EQUAL(l->nics[0].port.link_up, is.present && is.link);
	CU_ASSERT_EQUAL(l->nics[0].link_failures, is.link_failures);
	done(CTL_LTRAN_SHOW, l);
}

/* The bond knows the link, whatever the driver says. */
static void
ports_of_a_bond_tell_their_part(void)
{
	lt.bond = (struct bond *)&lt; /* asked through the stand-ins only */
	lt.ports[0] = 0;
	lt.n_ports = 1;
	lt.n_workers = 0;
	conf.bond_ports = 1;
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

	lt.n_workers = 1;
	feed_open(&workers[0]);
	workers[0].w.graph = feed_graph;
	g = ask(CTL_GRAPH_SHOW, NULL, &err);
	CU_ASSERT_PTR_NOT_NULL_FATAL(g);
	CU_ASSERT_EQUAL(g->cores_count, 1);
	CU_ASSERT_EQUAL(g->cores[0].tid, 100);
	CU_ASSERT_EQUAL(g->cores[0].nodes_count, 3);
	done(CTL_GRAPH_SHOW, g);
	t = ask(CTL_GRAPH_TRACE, &r, &err);
	CU_ASSERT_PTR_NOT_NULL(t);
	CU_ASSERT_EQUAL(n_kicks, 1);
	done(CTL_GRAPH_TRACE, t);
	r.packets = 257;
	CU_ASSERT_PTR_NULL(ask(CTL_GRAPH_TRACE, &r, &err));
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
	members[0].n_queues = 2;
	members[0].n_slots = N_SLOTS;
	members[0].table_fd = memfd_create("table", MFD_CLOEXEC);
	CU_ASSERT_EQUAL(ftruncate(members[0].table_fd, bytes), 0);
	CU_ASSERT_EQUAL(pwrite(members[0].table_fd, slots, sizeof(slots), LTRAN_TABLE_OFFSET), sizeof(slots));
	map = mmap(NULL, bytes, PROT_READ, MAP_SHARED, members[0].table_fd, 0);
	CU_ASSERT_PTR_NOT_EQUAL_FATAL(map, MAP_FAILED);
	members[0].tables = (const struct ltran_slot *)(map + LTRAN_TABLE_OFFSET);
	members[0].blocks[0] = 0xb; /* 0, 1, 3 */
	members[0].blocks[1] = 1ull << 63;
	members[1].broken = true;
	stats[0][0] = (struct member_stats){.rx_pkts = 1, .rx_bytes = 60, .tx_pkts = 2};
	stats[0][1] = (struct member_stats){.rx_pkts = 10, .rx_bytes = 600, .tx_pkts = 20};
	for (unsigned int i = 0; i < MEMBER_DROPS; i++) {
		stats[0][0].drops[i] = 100 + i;
		stats[0][1].drops[i] = 1;
	}
	all = ask(CTL_LTRAN_INSTANCES, NULL, &err);
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
	CU_ASSERT_EQUAL(fstat(members[0].table_fd, &st), 0);
	CU_ASSERT(st.st_blocks * 512 <= 8192);
	CU_ASSERT_STRING_EQUAL(all->instances[0].ports, "32768-33279, 33536-33791, 65280-65535");
	CU_ASSERT(all->instances[0].age_s >= 4 && all->instances[0].age_s < 60);
	CU_ASSERT_EQUAL_FATAL(all->instances[0].drops_count, MEMBER_DROPS);
	CU_ASSERT_STRING_EQUAL(all->instances[0].drops[MEMBER_SPOOFED_ARP].name, "spoofed-arp");
	for (unsigned int i = 0; i < MEMBER_DROPS; i++)
		CU_ASSERT_EQUAL(all->instances[0].drops[i].packets, 101 + i);
	CU_ASSERT_STRING_EQUAL(all->instances[1].state, "BROKEN");
	done(CTL_LTRAN_INSTANCES, all);
	members[1].broken = false;
	all = ask(CTL_LTRAN_INSTANCES, NULL, &err);
	CU_ASSERT_STRING_EQUAL(all->instances[1].state, "CONNECTING");
	CU_ASSERT_STRING_EQUAL(all->instances[1].ports, "");
	done(CTL_LTRAN_INSTANCES, all);
	members[0].tables = NULL;
	munmap(map, (size_t)bytes);
	close(members[0].table_fd);
}

/* --- measurements --------------------------------------------------------------------------------- */

static struct ctl_measure *
measure(uint32_t for_ms)
{
	struct ctl_measure_request r = {.for_ms = for_ms};
	char *err;
	struct ctl_measure *m = ask(CTL_LTRAN_MEASURE, &r, &err);

	CU_ASSERT_PTR_NOT_NULL_FATAL(m);
	return m;
}

static void
pass(struct dispatch_worker *dw, uint16_t payload, uint16_t n)
{
	struct rte_mbuf *pkts[64];

	for (uint16_t i = 0; i < n; i++)
		pkts[i] = frame_udp(pool, payload);
	if (measure_is_on(dw)) {
		measure_in(dw, pkts, n);
		pkts[0]->port = MEMBER_PORT; /* a neighbour's: not from the NIC */
		measure_out(dw, &members[1], pkts, n);
	}
	rte_pktmbuf_free_bulk(pkts, n);
}

static void
lengths_and_latencies_are_counted_while_asked_for(void)
{
	struct ctl_measure *m;

	pass(&workers[0], 18, 10);
	CU_ASSERT_PTR_NULL(workers[0].measure); /* not a byte, not a cycle before */
	done(CTL_LTRAN_MEASURE, measure(10000));
	pass(&workers[0], 18, 10);   /* 60 bytes, 64 with checksum */
	pass(&workers[1], 1000, 3);  /* 1042 */
	pass(&workers[1], 1472, 64); /* 1514 */
	workers[1].walks++;
	m = measure(0);
	CU_ASSERT_EQUAL(m->lengths_count, MEASURE_LENGTHS);
	CU_ASSERT_EQUAL(m->lengths[0].n, 10);
	CU_ASSERT_EQUAL(m->lengths[0].to, 64);
	CU_ASSERT_EQUAL(m->lengths[5].n, 67);
	CU_ASSERT_EQUAL(m->lengths[5].from, 1024);
	CU_ASSERT_EQUAL(m->lengths[5].to, 1518);
	CU_ASSERT_EQUAL(m->bursts[4].n, 1); /* 10: 9 to 16 */
	CU_ASSERT_EQUAL(m->bursts[2].n, 1); /* 3 and 4 */
	CU_ASSERT_EQUAL(m->bursts[6].n, 1);
	CU_ASSERT_EQUAL_FATAL(m->latencies_count, 2);
	CU_ASSERT_EQUAL(m->latencies[0].pkts, 9 + 2 + 63); /* listed backwards by our registry */
	CU_ASSERT_EQUAL(m->latencies[0].pid, 4712);
	CU_ASSERT_EQUAL(m->latencies[1].pkts, 0);
	CU_ASSERT_EQUAL(m->total.pkts, 74);
	CU_ASSERT(m->total.min_ns <= m->total.average_ns && m->total.average_ns <= m->total.max_ns);
	done(CTL_LTRAN_MEASURE, m);
}

/* In another walk, or without a vector from the NIC before, there is no t0. */
static void
latency_is_not_taken_from_another_walk(void)
{
	struct rte_mbuf *p = frame_udp(pool, 18);
	struct ctl_measure *m;

	done(CTL_LTRAN_MEASURE, measure(10000));
	measure_out(&workers[0], &members[0], &p, 1);
	measure_in(&workers[0], &p, 1);
	workers[0].walks++;
	measure_out(&workers[0], &members[0], &p, 1);
	m = measure(0);
	CU_ASSERT_EQUAL(m->total.pkts, 0);
	done(CTL_LTRAN_MEASURE, m);
	rte_pktmbuf_free(p);
}

static void
measurements_end_by_themselves_and_begin_anew(void)
{
	struct ctl_measure *m;

	done(CTL_LTRAN_MEASURE, measure(10000));
	pass(&workers[0], 18, 10);
	done(CTL_LTRAN_MEASURE, measure(10000)); /* somebody else joins */
	m = measure(0);
	CU_ASSERT_EQUAL(m->lengths[0].n, 10);
	done(CTL_LTRAN_MEASURE, m);
	atomic_store(&lt.measure_until_tsc, rte_rdtsc() - 1);
	pass(&workers[0], 18, 10);
	CU_ASSERT_FALSE(measure_is_on(&workers[0]));
	m = measure(0); /* what was measured is still told */
	CU_ASSERT_EQUAL(m->lengths[0].n, 10);
	done(CTL_LTRAN_MEASURE, m);
	done(CTL_LTRAN_MEASURE, measure(10000));
	m = measure(0);
	CU_ASSERT_EQUAL(m->lengths[0].n, 0);
	done(CTL_LTRAN_MEASURE, m);
	pass(&workers[0], 18, 1);
	m = measure(0);
	CU_ASSERT_EQUAL(m->lengths[0].n, 1);
	done(CTL_LTRAN_MEASURE, m);
}

static void
measurements_for_ever_are_refused(void)
{
	struct ctl_measure_request r = {.for_ms = 600001};
	char *err;

	CU_ASSERT_PTR_NULL(ask(CTL_LTRAN_MEASURE, &r, &err));
	CU_ASSERT_STRING_EQUAL(err, "at most 600 s can be measured");
	CU_ASSERT_FALSE(measure_is_on(&workers[0]));
	free(err);
}

/* --- set, quit ------------------------------------------------------------------------------------ */

static void
loglevel_is_set_or_refused(void)
{
	struct ctl_loglevel r = {"debug"}, *answer;
	char *err;

	answer = ask(CTL_LTRAN_SET_LOGLEVEL, &r, &err);
	CU_ASSERT_PTR_NOT_NULL_FATAL(answer);
	CU_ASSERT_STRING_EQUAL(answer->level, "debug");
	CU_ASSERT_EQUAL(log_level(), LOG_LEVEL_DEBUG);
	done(CTL_LTRAN_SET_LOGLEVEL, answer);
	snprintf(r.level, sizeof(r.level), "loud");
	CU_ASSERT_PTR_NULL(ask(CTL_LTRAN_SET_LOGLEVEL, &r, &err));
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
	answer = ask(CTL_LTRAN_QUIT, NULL, &err);
	CU_ASSERT_EQUAL(answer->pid, (uint32_t)getpid());
	while (n_terms == 0)
		sched_yield();
	signal(SIGTERM, SIG_DFL);
	CU_ASSERT_EQUAL(n_terms, 1);
	done(CTL_LTRAN_QUIT, answer);
}

static const struct cunit_test tests[] = {
	CUNIT_TEST(show_adds_up_workers_and_their_drops),
	CUNIT_TEST(ports_of_a_bond_tell_their_part),
	CUNIT_TEST(graphs_are_shown_and_traced),
	CUNIT_TEST(instances_tell_their_state_and_every_drop),
	CUNIT_TEST(lengths_and_latencies_are_counted_while_asked_for),
	CUNIT_TEST(latency_is_not_taken_from_another_walk),
	CUNIT_TEST(measurements_end_by_themselves_and_begin_anew),
	CUNIT_TEST(measurements_for_ever_are_refused),
	CUNIT_TEST(loglevel_is_set_or_refused),
	CUNIT_TEST(quit_sends_the_signal_that_main_waits_for),
};
EAL_TEST_MAIN("ltran_ctl", tests, setup, teardown)
