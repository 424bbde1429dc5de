/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ltran's workers, as threads, while instances come and go: nothing of an instance is touched after
 * the control thread may have freed it, also by a worker that falls asleep or wakes up meanwhile. The
 * sanitizers see it; without them a freed member has impossible values. The graph's nodes, librte_vhost and
 * the port are doubles.
 */
#include "tests/cunit_main.h"
#include "tests/eal.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <rte_cycles.h>
#include <rte_malloc.h>

#include "dispatcher/bell.h"
#include "dispatcher/dispatcher.h"
#include "nodes/bond.h"
#include "nodes/nodes.h"
#include "nodes/port_wake.h"

#define WORKERS 2
#define MEMBERS 8
#define PAUSE_US 500 /* longer than a worker is idle before it sleeps */
#define WALK_US 20   /* long, so that much happens meanwhile */
#define VID 3
#define FREED 0x5a5a
#define LATE 64      /* members are really freed so many changes later */

static struct ltran *lt;
static struct ltran_conf conf = {.dispatch_subnet = RTE_BE32(0xc6120000), .dispatch_subnet_length = 8,
	.low_power_mode = true};
static int kicks[MEMBERS]; /* the instances' ends */
static _Atomic unsigned int n_strange; /* members that a worker saw and that were none */

/* --- doubles --------------------------------------------------------------------------------------- */

static void
look_at(int vid)
{
	if (vid != VID)
		atomic_fetch_add(&n_strange, 1);
}

uint64_t
bond_due(const struct bond *b)
{
	return UINT64_MAX;
}

int
port_wake_arm(struct worker *w)
{
	return -1;
}

void
port_wake_disarm(struct worker *w)
{
}

/* What every node does with the map: it looks at the members. */
static uint16_t
process_rx(struct rte_graph *rg, struct rte_node *node, void **objs, uint16_t n)
{
	struct dispatch_worker *dw = node_dispatch_worker(node_worker(node));

	for (uint16_t i = 0; i < dw->map->n_members; i++)
		if (dw->map->members[i] != NULL)
			look_at(atomic_load(&dw->map->members[i]->vid));
	rte_delay_us_block(WALK_US);
	return 0;
}

static uint16_t
process_nothing(struct rte_graph *rg, struct rte_node *node, void **objs, uint16_t n)
{
	return 0;
}

static const char *const edges[] = {NODE_DROP};
#define DOUBLE(id, of, is_source, fn)                                                              \
	static struct graph_node id = {.name = of, .source = is_source, .process = fn,             \
		.edges = edges, .n_edges = is_source};                                             \
	GRAPH_NODE(id)
DOUBLE(rx_node, NODE_INSTANCE_RX, true, process_rx)
DOUBLE(reass_node, NODE_REASS_TIMER, true, process_nothing)
DOUBLE(hold_timer_node, NODE_HOLD_TIMER, true, process_nothing)
DOUBLE(control_node, NODE_CONTROL_RX, true, process_nothing)
DOUBLE(drop_node, NODE_DROP, false, process_nothing)

/* --- instances ------------------------------------------------------------------------------------- */

static struct member *
new_member(uint16_t index)
{
	int fds[LTRAN_FDS_MAX];
	struct member *m = calloc(1, sizeof(*m));

	CU_ASSERT_PTR_NOT_NULL_FATAL(m);
	atomic_init(&m->vid, VID);
	m->n_queues = 1;
	CU_ASSERT_TRUE_FATAL(bell_open(lt, m, fds) == LTRAN_FD_CALL + 1);
	close(fds[LTRAN_FD_AWAKE]);
	close(fds[LTRAN_FD_CALL]);
	if (kicks[index] > 0)
		close(kicks[index]);
	kicks[index] = fds[LTRAN_FD_KICK];
	m->index = index;
	m->worker = index % WORKERS;
	m->addr = RTE_BE32(0xc6120001 + index);
	return m;
}

/* From here on whoever looks at it is wrong. */
static void
free_member(struct member *m)
{
	bell_close(m);
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	free(m);
#else
	static struct member *late[LATE];
	static unsigned int next;

	atomic_store(&m->vid, FREED);
	free(late[next % LATE]);
	late[next++ % LATE] = m;
#endif
}

static void
setup(void)
{
	lt = calloc(1, sizeof(*lt));
	CU_ASSERT_PTR_NOT_NULL_FATAL(lt);
	lt->conf = &conf;
	lt->kernel_fd = -1;
	lt->n_workers = WORKERS;
	lt->rcu = rte_zmalloc(NULL, rte_rcu_qsbr_get_memsize(WORKERS), RTE_CACHE_LINE_SIZE);
	CU_ASSERT_PTR_NOT_NULL_FATAL(lt->rcu);
	CU_ASSERT_EQUAL_FATAL(rte_rcu_qsbr_init(lt->rcu, WORKERS), 0);
	CU_ASSERT_EQUAL_FATAL(bells_start(lt), 0);
	atomic_store(&lt->map, map_create(&conf, NULL, 0, NULL, 0));
	for (unsigned int i = 0; i < WORKERS; i++) {
		struct dispatch_worker *dw = aligned_alloc(RTE_CACHE_LINE_SIZE,
			RTE_ALIGN(sizeof(*dw), RTE_CACHE_LINE_SIZE));

		memset(dw, 0, sizeof(*dw));
		lt->workers[i] = dw;
		dw->lt = lt;
		dw->cpu = dw->wake_fd = -1;
		dw->w = (struct worker){.index = i, .n_workers = WORKERS, .rxq = WORKER_NO_PORT,
			.kernel_fd = -1, .rx_fd = -1};
	}
}

static void
teardown(void)
{
	workers_stop(lt);
	map_free((struct map *)atomic_load(&lt->map));
	for (unsigned int i = 0; i < WORKERS; i++)
		free(lt->workers[i]);
	for (unsigned int i = 0; i < MEMBERS; i++) {
		if (kicks[i] > 0)
			close(kicks[i]);
		kicks[i] = 0;
	}
	bells_stop(lt);
	rte_free(lt->rcu);
	free(lt);
}

static bool
have_slept(void)
{
	for (unsigned int i = 0; i < WORKERS; i++)
		if (__atomic_load_n(&lt->workers[i]->sleeps, __ATOMIC_RELAXED) <= 10)
			return false;
	return true;
}

/* One of the instances leaves and another one comes, for about as long; on a busy machine longer. */
static void
change_for(struct member **members, double seconds)
{
	uint64_t end = rte_get_tsc_cycles() + (uint64_t)(seconds * rte_get_tsc_hz()), now;

	for (unsigned int i = 0; (now = rte_get_tsc_cycles()) < end ||
		(!have_slept() && now < end + 30 * rte_get_tsc_hz()); i = (i + 1) % MEMBERS) {
		struct member *leaving = members[i];

		members[i] = new_member(i);
		map_publish(lt, map_create(&conf, members, MEMBERS, NULL, 0));
		free_member(leaving);
		if (rand() % 4 == 0)
			eventfd_write(kicks[rand() % MEMBERS], 1);
		if (i % 2 == 0) /* a pause in which they fall asleep, or are about to */
			usleep(rand() % PAUSE_US);
	}
}

static void
instances_come_and_go_while_workers_sleep_and_wake(void)
{
	struct member *members[MEMBERS];
	char err[128] = "";

	for (unsigned int i = 0; i < MEMBERS; i++)
		members[i] = new_member(i);
	map_publish(lt, map_create(&conf, members, MEMBERS, NULL, 0));
	if (workers_start(lt, err, sizeof(err)) < 0)
		CU_FAIL_FATAL("workers_start");
	change_for(members, 1);
	workers_stop(lt);
	for (unsigned int i = 0; i < WORKERS; i++) {
		CU_ASSERT_TRUE(lt->workers[i]->sleeps > 10);
		CU_ASSERT_TRUE(lt->workers[i]->walks > lt->workers[i]->sleeps);
		CU_ASSERT_PTR_NULL(lt->workers[i]->map);
	}
	CU_ASSERT_EQUAL(atomic_load(&n_strange), 0);
	map_publish(lt, map_create(&conf, NULL, 0, NULL, 0));
	for (unsigned int i = 0; i < MEMBERS; i++)
		free_member(members[i]);
}

static struct member *
only_member(void)
{
	struct member *m = new_member(0);

	map_publish(lt, map_create(&conf, &m, 1, NULL, 0));
	return m;
}

static void
no_member(struct member *m)
{
	map_publish(lt, map_create(&conf, NULL, 0, NULL, 0));
	free_member(m);
}

/* Whether worker 0 has slept once more than `before`, in half a tick of its own. */
static bool
sleeps_again(uint64_t before, unsigned int ms)
{
	for (; ms > 0 && __atomic_load_n(&lt->workers[0]->sleeps, __ATOMIC_RELAXED) <= before; ms--)
		usleep(1000);
	return ms > 0;
}

static void
kick_ends_the_sleep_of_its_worker(void)
{
	struct member *m = only_member();
	char err[128] = "";
	uint64_t n;

	CU_ASSERT_EQUAL_FATAL(workers_start(lt, err, sizeof(err)), 0);
	CU_ASSERT_TRUE(sleeps_again(0, 1000));
	for (unsigned int i = 0; i < 20; i++) {
		n = __atomic_load_n(&lt->workers[0]->sleeps, __ATOMIC_RELAXED);
		eventfd_write(kicks[0], 1);
		CU_ASSERT_TRUE(sleeps_again(n, 200)); /* it slept for 500 ms otherwise */
	}
	workers_stop(lt);
	CU_ASSERT_TRUE(m->n_false_kicks >= 10);
	no_member(m);
}

/* It has the eventfd, and may do with it what it likes. */
static void
instance_that_only_kicks_keeps_nobody_awake(void)
{
	struct member *m = only_member();
	char err[128] = "";
	uint64_t n, began;

	m->n_false_kicks = BELL_FALSE_MAX + 1;
	CU_ASSERT_EQUAL_FATAL(workers_start(lt, err, sizeof(err)), 0);
	CU_ASSERT_TRUE(sleeps_again(0, 1000));
	n = __atomic_load_n(&lt->workers[0]->sleeps, __ATOMIC_RELAXED);
	began = rte_get_tsc_cycles();
	for (unsigned int i = 0; i < 20; i++) {
		eventfd_write(kicks[0], 1);
		usleep(1000);
	}
	n += 1 + (rte_get_tsc_cycles() - began) / (rte_get_tsc_hz() / 2); /* its own ticks */
	CU_ASSERT_TRUE(__atomic_load_n(&lt->workers[0]->sleeps, __ATOMIC_RELAXED) <= n);
	workers_stop(lt);
	no_member(m);
}

static void
kick_that_would_block_does_not(void)
{
	struct member *m = only_member();

	fcntl(kicks[0], F_SETFL, 0); /* the flags are those of our descriptor as well */
	bell_take(m);                /* and there is nothing to take */
	eventfd_write(kicks[0], 0xfffffffffffffffe);
	bell_take(m);
	no_member(m);
}

static void
call_to_an_instance_that_does_not_listen_does_not_wait(void)
{
	struct member *m = new_member(0);
	int fds[LTRAN_FDS_MAX], n;
	char byte;

	bell_close(m);
	n = bell_open(lt, m, fds);
	CU_ASSERT_EQUAL_FATAL(n, LTRAN_FD_CALL + 1);
	fcntl(fds[LTRAN_FD_CALL], F_SETFL, 0);
	for (uint32_t i = 1; i < 100000; i += 2)
		bell_call(m, 0, i);
	CU_ASSERT_EQUAL(recv(fds[LTRAN_FD_CALL], &byte, 1, MSG_DONTWAIT), 1);
	/* Nothing can be sent to ltran this way, no descriptor above all. */
	CU_ASSERT_EQUAL(send(fds[LTRAN_FD_CALL], "", 1, MSG_DONTWAIT | MSG_NOSIGNAL), -1);
	for (int i = 0; i < n; i++)
		close(fds[i]);
	bell_call(m, 0, 1);
	map_publish(lt, map_create(&conf, NULL, 0, NULL, 0));
	free_member(m);
}

static void
instance_cannot_change_who_sleeps(void)
{
	struct member *m = new_member(0);
	int fds[LTRAN_FDS_MAX], n;

	bell_close(m);
	n = bell_open(lt, m, fds);
	CU_ASSERT_PTR_EQUAL(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED,
		fds[LTRAN_FD_AWAKE], 0), MAP_FAILED);
	CU_ASSERT_EQUAL(ftruncate(fds[LTRAN_FD_AWAKE], 0), -1);
	CU_ASSERT_EQUAL(fallocate(fds[LTRAN_FD_AWAKE], FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
		0, 4096), -1);
	for (int i = 0; i < n; i++)
		close(fds[i]);
	free_member(m);
}

static const struct cunit_test tests[] = {
	CUNIT_TEST(kick_ends_the_sleep_of_its_worker),
	CUNIT_TEST(instance_that_only_kicks_keeps_nobody_awake),
	CUNIT_TEST(kick_that_would_block_does_not),
	CUNIT_TEST(call_to_an_instance_that_does_not_listen_does_not_wait),
	CUNIT_TEST(instance_cannot_change_who_sleeps),
	CUNIT_TEST(instances_come_and_go_while_workers_sleep_and_wake),
};

int
main(int argc, char **argv)
{
	int ret;

	if (eal_test_start() < 0)
		return 2;
	ret = cunit_run("ltran_workers", tests, RTE_DIM(tests), setup, teardown,
		argc > 1 ? argv[1] : "");
	rte_eal_cleanup();
	return ret;
}
