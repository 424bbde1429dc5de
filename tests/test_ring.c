/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Rings, with a real virtio-user device on the other end: a child process per test, which sends back
 * what it gets.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <rte_cycles.h>
#include <rte_ethdev.h>
#include <rte_ip.h>
#include <rte_tcp.h>
#include <rte_vhost.h>

#include "dispatcher/dispatcher.h"
#include "dispatcher/helper.h"
#include "dispatcher/ring.h"
#include "nodes/eal_fill.h"
#include "dispatcher/sigbus.h"
#include "tests/eal.h"
#include "tests/open_files.h"

#define QUEUES 2
#define INSTANCE "--instance"
#define WAIT_S 10
#define CALM_MS 100 /* the instance has said all it had to */
#define RX_OF(queue) ((queue) * 2) /* vring towards the instance, and from it */
#define TX_OF(queue) ((queue) * 2 + 1)

static struct ltran *lt;
static struct member *m;
static struct rte_mempool *pool;
static pid_t child;
static char dir[] = "/tmp/test_ring_XXXXXX";
static _Atomic unsigned int n_waits;

void
workers_kick(struct ltran *l)
{
}

void
workers_synchronize(struct ltran *l)
{
	n_waits++;
}

/* The instance: this program again, since EAL does not survive fork(). */
static void
run_instance(const char *path)
{
	char vdev[256], *argv[] = {"instance", "--no-huge", "-m", "64", "--no-pci", "--no-shconf",
		"--no-telemetry", "-l", "0", "--log-level", "critical"};
	struct rte_eth_conf conf = {
		.rxmode.offloads = RTE_ETH_RX_OFFLOAD_TCP_CKSUM | RTE_ETH_RX_OFFLOAD_UDP_CKSUM,
		.txmode.offloads = RTE_ETH_TX_OFFLOAD_TCP_CKSUM | RTE_ETH_TX_OFFLOAD_MULTI_SEGS};
	struct rte_mbuf *pkts[32];
	struct rte_mempool *p;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	snprintf(vdev, sizeof(vdev), "path=%s,server=1,queues=%d,queue_size=256", path, QUEUES);
	if (rte_eal_init(sizeof(argv) / sizeof(argv[0]), argv) < 0 || eal_fill_memory() < 0 ||
		rte_eal_hotplug_add("vdev", "virtio_user0", vdev) < 0)
		_exit(2);
	p = rte_pktmbuf_pool_create("instance", 4095, 0, 0, 2048 + RTE_PKTMBUF_HEADROOM, -1);
	if (p == NULL || rte_eth_dev_configure(0, QUEUES, QUEUES, &conf) < 0)
		_exit(3);
	for (int q = 0; q < QUEUES; q++) {
		if (rte_eth_rx_queue_setup(0, q, 256, -1, NULL, p) < 0 ||
			rte_eth_tx_queue_setup(0, q, 256, -1, NULL) < 0)
			_exit(4);
	}
	if (rte_eth_dev_start(0) < 0)
		_exit(5);
	for (;;) {
		for (int q = 0; q < QUEUES; q++) {
			uint16_t n = rte_eth_rx_burst(0, q, pkts, 32);

			for (uint16_t i = 0; i < n; i++) {
				uint64_t rx = pkts[i]->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK;

				/* What came without a checksum goes back without one. */
				pkts[i]->ol_flags = rx != RTE_MBUF_F_RX_L4_CKSUM_NONE ? 0
					: RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_TCP_CKSUM;
				pkts[i]->l2_len = sizeof(struct rte_ether_hdr);
				pkts[i]->l3_len = sizeof(struct rte_ipv4_hdr);
			}
			rte_eth_tx_burst(0, q, pkts, n);
		}
		usleep(100);
	}
}

static uint64_t
now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000ull + ts.tv_nsec / 1000;
}

static void
start_instance(void)
{
	child = fork();
	if (child == 0) {
		execl("/proc/self/exe", "instance", INSTANCE, m->path, NULL);
		_exit(1);
	}
	m->pid = child;
}

static void
end_instance(void)
{
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	child = 0;
}

static bool
connects(void)
{
	uint64_t end = now_us() + WAIT_S * 1000000ull, calm = 0;

	/* We are the control thread: its messages pass through us, also those after the first pair. */
	while (now_us() < end && calm < CALM_MS) {
		rings_serve(now_us());
		calm = ring_connect(m, now_us()) && atomic_load(&m->vid) >= 0 ? calm + 1 : 0;
		usleep(1000);
	}
	return calm == CALM_MS;
}

static bool
hangs_up(void)
{
	uint64_t end = now_us() + WAIT_S * 1000000ull;

	while (now_us() < end) {
		rings_serve(now_us());
		if (atomic_load(&m->vid) < 0)
			return true;
		usleep(1000);
	}
	return false;
}

static struct rte_mbuf *
tcp_packet(void)
{
	struct rte_mbuf *p = rte_pktmbuf_alloc(pool);
	struct rte_ether_hdr *eth = (void *)rte_pktmbuf_append(p, 200);
	struct rte_ipv4_hdr *ip = (void *)(eth + 1);
	struct rte_tcp_hdr *tcp = (void *)(ip + 1);

	memset(eth, 0, 200);
	eth->ether_type = rte_cpu_to_be_16(RTE_ETHER_TYPE_IPV4);
	*ip = (struct rte_ipv4_hdr){.version_ihl = 0x45, .total_length = rte_cpu_to_be_16(186),
		.time_to_live = 64, .next_proto_id = IPPROTO_TCP, .src_addr = 1, .dst_addr = 2};
	tcp->data_off = 0x50;
	p->l2_len = sizeof(*eth);
	p->l3_len = sizeof(*ip);
	return p;
}

/* There and back through `queue`; NULL: it did not come. */
static struct rte_mbuf *
echo(struct rte_mbuf *p, uint16_t queue)
{
	uint64_t end = now_us() + WAIT_S * 1000000ull;
	struct rte_mbuf *back = NULL;
	int vid = atomic_load(&m->vid);

	while (rte_vhost_enqueue_burst(vid, RX_OF(queue), &p, 1) == 0 && now_us() < end)
		usleep(1000);
	rte_pktmbuf_free(p);
	while (rte_vhost_dequeue_burst(vid, TX_OF(queue), pool, &back, 1) == 0 && now_us() < end)
		usleep(1000);
	return back;
}

static void
setup(void)
{
	char err[128] = "";

	lt = calloc(1, sizeof(*lt));
	m = calloc(1, sizeof(*m));
	CU_ASSERT_PTR_NOT_NULL_FATAL(lt);
	CU_ASSERT_PTR_NOT_NULL_FATAL(m);
	m->index = 7;
	m->n_queues = QUEUES;
	snprintf(m->path, sizeof(m->path), "%s/ltran_1_1.vhost", dir);
	CU_ASSERT_EQUAL(helper_set_place(dir, ""), 0);
	CU_ASSERT_EQUAL(ring_open(lt, m, err, sizeof(err)), 0);
	pool = rte_mempool_lookup("test");
	if (pool == NULL)
		pool = eal_test_pool(1023, 0, 2048);
}

static void
teardown(void)
{
	if (child != 0)
		end_instance();
	ring_close(lt, m);
	unlink(m->path);
	free(m);
	free(lt);
	CU_ASSERT_EQUAL(rte_mempool_in_use_count(pool), 0);
}

static void
ring_connects_when_the_instance_listens(void)
{
	CU_ASSERT_FALSE(ring_connect(m, now_us()));
	CU_ASSERT_EQUAL(atomic_load(&m->vid), -1);
	start_instance();
	CU_ASSERT_TRUE(connects());
}

static void
packets_pass_both_ways_on_every_queue(void)
{
	start_instance();
	CU_ASSERT_TRUE_FATAL(connects());
	for (uint16_t q = 0; q < QUEUES; q++) {
		struct rte_mbuf *back = echo(tcp_packet(), q);

		CU_ASSERT_PTR_NOT_NULL_FATAL(back);
		CU_ASSERT_EQUAL(back->pkt_len, 200);
		CU_ASSERT_EQUAL(back->ol_flags, 0);
		rte_pktmbuf_free(back);
	}
}

static void
checksum_left_to_the_device_stays_so(void)
{
	struct rte_mbuf *p = tcp_packet(), *back;

	start_instance();
	CU_ASSERT_TRUE_FATAL(connects());
	p->ol_flags = RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_TCP_CKSUM;
	back = echo(p, 0);
	CU_ASSERT_PTR_NOT_NULL_FATAL(back);
	CU_ASSERT_EQUAL(back->ol_flags & RTE_MBUF_F_TX_L4_MASK, RTE_MBUF_F_TX_TCP_CKSUM);
	CU_ASSERT_EQUAL(back->l2_len, 14);
	CU_ASSERT_EQUAL(back->l3_len, 20);
	rte_pktmbuf_free(back);
}

static void
killed_instance_has_no_ring(void)
{
	unsigned int before;

	start_instance();
	CU_ASSERT_TRUE_FATAL(connects());
	before = n_waits;
	end_instance();
	CU_ASSERT_TRUE(hangs_up());
	while (n_waits == before)
		usleep(1000); /* nobody is inside when DPDK frees the device */
	CU_ASSERT_FALSE(ring_connect(m, now_us()));
}

static void
instance_that_starts_again_is_connected_again(void)
{
	struct rte_mbuf *back;

	start_instance();
	CU_ASSERT_TRUE_FATAL(connects());
	end_instance();
	CU_ASSERT_TRUE_FATAL(hangs_up());
	unlink(m->path);
	start_instance();
	CU_ASSERT_TRUE_FATAL(connects());
	back = echo(tcp_packet(), 1);
	CU_ASSERT_PTR_NOT_NULL(back);
	rte_pktmbuf_free(back);
}

static void
server_that_is_another_process_is_not_connected(void)
{
	uint64_t end;

	start_instance();
	m->pid = 1;
	while (access(m->path, F_OK) < 0)
		usleep(1000);
	for (end = now_us() + 300000; now_us() < end; usleep(1000))
		CU_ASSERT_FALSE(ring_connect(m, now_us()));
	CU_ASSERT_EQUAL(atomic_load(&m->vid), -1);
}

static void
ring_is_sane_while_packets_pass(void)
{
	char why[RING_TEXT_MAX] = "";

	start_instance();
	CU_ASSERT_TRUE_FATAL(connects());
	for (unsigned int i = 0; i < 300; i++) {
		rte_pktmbuf_free(echo(tcp_packet(), 0));
		CU_ASSERT_FALSE(ring_is_broken(m, why));
	}
}

static void
librte_vhost_has_no_descriptor_of_the_instance(void)
{
	struct rte_vhost_vring v;

	start_instance();
	CU_ASSERT_TRUE_FATAL(connects());
	for (int i = 0; i < 2 * QUEUES; i++) {
		CU_ASSERT_EQUAL(rte_vhost_get_vhost_vring(atomic_load(&m->vid), i, &v), 0);
		CU_ASSERT_EQUAL(v.callfd, -1);
		CU_ASSERT_EQUAL(v.kickfd, -1);
		CU_ASSERT_EQUAL(v.used->flags & VRING_USED_F_NO_NOTIFY, VRING_USED_F_NO_NOTIFY);
	}
	CU_ASSERT_FALSE(atomic_load(&m->broken));
}

static void
more_queues_than_registered_break_the_ring(void)
{
	char why[RING_TEXT_MAX] = "";
	uint64_t end = now_us() + WAIT_S * 1000000ull;

	m->n_queues = 1;
	start_instance();
	while (!ring_is_broken(m, why) && now_us() < end) {
		ring_connect(m, now_us());
		usleep(1000);
	}
	CU_ASSERT_STRING_EQUAL(why, "a ring that it does not have (2)");
	CU_ASSERT_EQUAL(atomic_load(&m->vid), -1);
}

static void
index_beyond_the_ring_is_found(void)
{
	char why[RING_TEXT_MAX] = "";
	struct rte_vhost_vring v;

	start_instance();
	CU_ASSERT_TRUE_FATAL(connects());
	CU_ASSERT_EQUAL_FATAL(rte_vhost_get_vhost_vring(atomic_load(&m->vid), TX_OF(0), &v), 0);
	*(volatile uint16_t *)&v.avail->idx += v.size + 1;
	CU_ASSERT_TRUE(ring_is_broken(m, why));
	CU_ASSERT_STRING_EQUAL(why, "queue 1 of its ring offers 257 entries of 256");
}

/* What an instance does that cuts the file behind its memory short. */
static void
memory_taken_back_breaks_its_ring_only(void)
{
	struct rte_mbuf *p = tcp_packet();
	struct rte_vhost_memory *mem;
	char why[RING_TEXT_MAX] = "";

	start_instance();
	CU_ASSERT_TRUE_FATAL(connects());
	CU_ASSERT_EQUAL_FATAL(rte_vhost_get_mem_table(atomic_load(&m->vid), &mem), 0);
	kill(child, SIGSTOP);
	for (unsigned int i = 0; i < mem->nregions; i++)
		CU_ASSERT_EQUAL(ftruncate(mem->regions[i].fd, 0), 0);
	free(mem);
	rte_vhost_enqueue_burst(atomic_load(&m->vid), RX_OF(0), &p, 1);
	rte_pktmbuf_free(p);
	CU_ASSERT_TRUE(atomic_load(&m->broken));
	CU_ASSERT_TRUE(ring_is_broken(m, why));
}

static void
nothing_is_left_of_a_ring(void)
{
	unsigned int before = open_files();
	char err[128];

	for (unsigned int i = 0; i < 3; i++) {
		start_instance();
		CU_ASSERT_TRUE(connects());
		end_instance();
		ring_close(lt, m);
		unlink(m->path);
		CU_ASSERT_EQUAL(open_files(), before);
		CU_ASSERT_EQUAL(ring_open(lt, m, err, sizeof(err)), 0);
	}
}

/* librte_vhost goes on behind a buffer that ends with the instance's memory. */
static void
what_lies_behind_memory_is_nobodys(void)
{
	enum { BYTES = 3 * 4096, TOO_FAR = 70000, SLOT = SIGBUS_SLOTS - 1 };
	int fd = memfd_create("memory", MFD_CLOEXEC);
	_Atomic bool broken = false, other = false;
	char *mine, *area;

	CU_ASSERT_EQUAL_FATAL(ftruncate(fd, BYTES), 0);
	sigbus_expect(&broken);
	area = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	sigbus_expect(NULL);
	mine = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0); /* nobody's is guarded */
	CU_ASSERT_FATAL(area != MAP_FAILED && mine != MAP_FAILED);
	sigbus_watch(SLOT - 1, &(struct sigbus_region){mine, BYTES}, 1, &other);
	sigbus_watch(SLOT, &(struct sigbus_region){area, BYTES}, 1, &broken);
	memset(area, 1, BYTES);
	CU_ASSERT_FALSE(broken);
	memset(area + BYTES - 4, 2, TOO_FAR);
	CU_ASSERT_TRUE(broken);
	CU_ASSERT_FALSE(other);
	CU_ASSERT_EQUAL(mine[BYTES - 1], 2);
	sigbus_forget(SLOT - 1);
	sigbus_forget(SLOT);
	munmap(mine, BYTES);
	munmap(area, BYTES);
	CU_ASSERT_EQUAL(msync(area, 4096, MS_ASYNC), -1); /* ENOMEM: nothing is mapped there, */
	CU_ASSERT_EQUAL(msync(area + BYTES + TOO_FAR / 4096 * 4096, 4096, MS_ASYNC), -1); /* nor behind */
	close(fd);
}

static const struct cunit_test tests[] = {
	CUNIT_TEST(ring_connects_when_the_instance_listens),
	CUNIT_TEST(packets_pass_both_ways_on_every_queue),
	CUNIT_TEST(checksum_left_to_the_device_stays_so),
	CUNIT_TEST(killed_instance_has_no_ring),
	CUNIT_TEST(instance_that_starts_again_is_connected_again),
	CUNIT_TEST(server_that_is_another_process_is_not_connected),
	CUNIT_TEST(ring_is_sane_while_packets_pass),
	CUNIT_TEST(librte_vhost_has_no_descriptor_of_the_instance),
	CUNIT_TEST(more_queues_than_registered_break_the_ring),
	CUNIT_TEST(index_beyond_the_ring_is_found),
	CUNIT_TEST(memory_taken_back_breaks_its_ring_only),
	CUNIT_TEST(nothing_is_left_of_a_ring),
	CUNIT_TEST(what_lies_behind_memory_is_nobodys),
};

int
main(int argc, char **argv)
{
	int ret;

	if (argc == 3 && strcmp(argv[1], INSTANCE) == 0)
		run_instance(argv[2]);
	if (mkdtemp(dir) == NULL || eal_test_start() < 0)
		return 2;
	ret = cunit_run("ring", tests, sizeof(tests) / sizeof(tests[0]), setup, teardown,
		argc > 1 ? argv[1] : "");
	rte_mempool_free(pool);
	rte_eal_cleanup();
	rmdir(dir);
	return ret;
}
