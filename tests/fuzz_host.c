/* SPDX-License-Identifier: BSD-3-Clause */
/* Instances in virtual time, see fuzz_host.h. The nodes rx and tx, and the clock, are doubles. */
#include "tests/fuzz_host.h"

#include <sched.h>
#include <string.h>

#include "nodes/nodes.h"
#include "nodes/tx.h"
#include "stack/edge.h"
#include "tests/eal.h"
#include "tests/fuzz_main.h"

#define PACKETS 8191
#define BULK_PACKETS 511
#define BULK_ROOM 16384
#define BURST 32
#define CONN_MAX 1000

extern bool lwip_assert_aborts; /* stack/ */

uint64_t fuzz_now_us = 1000000;
struct rte_mempool *fuzz_pool;

static struct rte_mempool *bulk;

/* --- the ends of the graph --------------------------------------------------------------------- */

static struct fuzz_host *
host_of(struct rte_node *node)
{
	return (struct fuzz_host *)node_worker(node);
}

static uint16_t
rx_process(struct rte_graph *rg, struct rte_node *node, void **objs, uint16_t n)
{
	struct fuzz_host *h = host_of(node);

	n = RTE_MIN(h->n_in, (unsigned int)GRAPH_VECTOR_MAX);
	memcpy(node->objs, h->in, n * sizeof(h->in[0]));
	h->n_in -= n;
	memmove(h->in, h->in + n, h->n_in * sizeof(h->in[0]));
	node->idx = n;
	graph_trace_mark(node, (struct rte_mbuf **)node->objs, n);
	graph_forward_all(rg, node, node->objs, 0, n);
	return n;
}

static uint16_t
tx_process(struct rte_graph *rg, struct rte_node *node, void **objs, uint16_t n)
{
	struct fuzz_host *h = host_of(node);

	fuzz_require(n <= GRAPH_VECTOR_MAX, "a vector beyond its bound");
	for (uint16_t i = 0; i < n; i++) {
		struct rte_mbuf *m = rte_pktmbuf_copy(objs[i], fuzz_pool, 0, UINT32_MAX);

		rte_pktmbuf_free(objs[i]);
		if (m == NULL)
			continue;
		m->ol_flags = 0;
		m->l2_len = m->l3_len = m->l4_len = 0;
		h->sent(h, m);
	}
	return n;
}

static const char *const rx_edges[] = {NODE_CLASSIFY};
static struct graph_node rx_node = {.name = NODE_RX, .process = rx_process, .source = true,
	.edges = rx_edges, .n_edges = 1};
static struct graph_node tx_node = {.name = NODE_TX, .process = tx_process};
GRAPH_NODE(rx_node)
GRAPH_NODE(tx_node)

bool
tx_send_waiting(struct worker *w)
{
	return true;
}

/* --- hosts --------------------------------------------------------------------------------------- */

static uint64_t
clock_us(void)
{
	return fuzz_now_us;
}

static void
walk(void *arg)
{
	graph_walk(((struct fuzz_host *)arg)->w.graph);
}

void
fuzz_hosts_start(void)
{
	fuzz_require(eal_test_start() == 0, "no EAL");
	lwip_assert_aborts = true;
	fuzz_pool = rte_pktmbuf_pool_create("fuzz", PACKETS, 0, stack_priv_size(),
		RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
	bulk = rte_pktmbuf_pool_create("fuzz-bulk", BULK_PACKETS, 0, stack_priv_size(),
		BULK_ROOM + RTE_PKTMBUF_HEADROOM, SOCKET_ID_ANY);
	fuzz_require(fuzz_pool != NULL && bulk != NULL, "no pool");
}

void
fuzz_host_make(struct fuzz_host *h, const char *name, uint32_t addr, uint8_t mac)
{
	static const char *const sources[] = {NODE_RX, NODE_SOCKET_TX, NODE_IP4_TIMER};
	struct stack_params p = {.n_stacks = 1, .mode = STACK_RUN_TO_COMPLETION, .addr = addr,
		.mask = RTE_BE32(0xffff0000), .mtu = FUZZ_HOST_MTU, .udp_enable = true,
		.conn_max = CONN_MAX, .clock_us = clock_us};
	struct stack_wiring wiring = {.walk = walk, .walk_arg = h, .pool = fuzz_pool, .bulk = bulk};
	struct worker *w = &h->w;

	fuzz_require(stack_group_create(&p, &h->group) == 0, "no stack");
	w->stack = stack_group_get(h->group, 0);
	w->n_workers = 1;
	w->rxq = 0;
	w->burst = BURST;
	w->mtu = FUZZ_HOST_MTU;
	w->addr = p.addr;
	w->mask = p.mask;
	w->mac = (struct rte_ether_addr){{2, 0, 0, 0, 0, mac}};
	w->pool = fuzz_pool;
	w->kernel_fd = -1;
	w->graph = graph_create(name, sources, RTE_DIM(sources), w);
	fuzz_require(w->graph != NULL, "no graph");
	stack_wire(w->stack, &wiring);
	fuzz_require(ready_create(h->group, &h->ready) == 0, "no ready set");
}

void
fuzz_host_arrive(struct fuzz_host *h, struct rte_mbuf *m)
{
	if (m == NULL)
		return;
	if (h->n_in == FUZZ_HOST_FRAMES) {
		rte_pktmbuf_free(m);
		return;
	}
	m->port = 0;
	h->in[h->n_in++] = m;
}

/* In place of libc's: in virtual time nobody is waited for, and on a busy machine each yield of an idle
 * stack would last a time slice of somebody else. */
int
sched_yield(void)
{
	return 0;
}

void
fuzz_hosts_run(struct fuzz_host *const *hosts, unsigned int n, uint64_t us)
{
	for (uint64_t end = fuzz_now_us + us; fuzz_now_us < end; fuzz_now_us += FUZZ_HOST_STEP_US)
		for (unsigned int i = 0; i < n; i++)
			ready_run(hosts[i]->ready);
}

unsigned int
fuzz_host_conns(struct fuzz_host *h)
{
	struct stack_conn_info info;

	return stack_conns(h->w.stack, &info, 1);
}

unsigned int
fuzz_packets(void)
{
	return rte_mempool_in_use_count(fuzz_pool) + rte_mempool_in_use_count(bulk);
}
