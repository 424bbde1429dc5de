/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Control commands of ltran: snapshots of workers, ports and instances for the control server.
 *
 * Runs in the server's thread. Counters may be read from anywhere; instances cannot come or go
 * while registry_each() shows them. What an instance says in its socket table is only counted.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <rte_ethdev.h>
#include <rte_log.h>

#include "ctl/path.h"
#include "ctl/server.h"
#include "dispatcher/dispatcher.h"
#include "dispatcher/helper.h"
#include "dispatcher/log.h"
#include "dispatcher/ltran_ctl.h"
#include "dispatcher/measure.h"
#include "nodes/bond.h"
#include "nodes/facts.h"
#include "nodes/nodes.h"

/* --- graph ------------------------------------------------------------------------------------- */

static void
fill_cores(const struct ltran *lt, struct facts_core *cores)
{
	for (unsigned int i = 0; i < lt->n_workers; i++)
		cores[i] = (struct facts_core){lt->workers[i]->w.graph, i,
			atomic_load(&lt->workers[i]->tid)};
}

static int
answer_graph_show(void *arg, const void *request, void *answer, char *err, size_t err_len)
{
	struct facts_core cores[WORKERS_MAX];
	const struct ltran *lt = arg;

	fill_cores(lt, cores);
	return facts_graph(cores, lt->n_workers, answer);
}

static int
answer_graph_trace(void *arg, const void *request, void *answer, char *err, size_t err_len)
{
	struct facts_core cores[WORKERS_MAX];
	struct ltran *lt = arg;
	int ret;

	fill_cores(lt, cores);
	ret = facts_trace(cores, lt->n_workers, request, answer, err, err_len);
	workers_kick(lt); /* a sleeping one would miss the word until its next packet */
	return ret;
}

/* --- ltran show -------------------------------------------------------------------------------- */

static int
add_drops(struct ctl_ltran *l, const struct graph_node_stats *node)
{
	for (uint16_t i = 0; i < node->n_errors; i++) {
		const struct graph_error *row = node->errors[i].row;
		struct ctl_drop *d = NULL, *grown;

		for (uint32_t k = 0; k < l->drops_count && d == NULL; k++) {
			if (strcmp(l->drops[k].node, node->name) == 0 &&
				strcmp(l->drops[k].error.symbol, row->symbol) == 0)
				d = &l->drops[k];
		}
		if (d == NULL && node->errors[i].count > 0) {
			grown = realloc(l->drops, (l->drops_count + 1) * sizeof(*grown));
			if (grown == NULL)
				return -ENOMEM;
			l->drops = grown;
			d = &grown[l->drops_count++];
			memset(d, 0, sizeof(*d));
			snprintf(d->node, sizeof(d->node), "%s", node->name);
			snprintf(d->error.symbol, sizeof(d->error.symbol), "%s", row->symbol);
			snprintf(d->error.text, sizeof(d->error.text), "%s", row->text);
			d->error.severity = facts_severity(row->severity);
		}
		if (d != NULL)
			d->error.count += node->errors[i].count;
	}
	return 0;
}

/* Where packets pass, by node. */
static uint64_t *
row_of_node(struct ctl_worker *w, const char *name)
{
	if (strcmp(name, NODE_RX) == 0)
		return &w->rx_pkts;
	if (strcmp(name, NODE_TX) == 0)
		return &w->tx_pkts;
	if (strcmp(name, NODE_DROP) == 0)
		return &w->drop;
	if (strcmp(name, NODE_INSTANCE_RX) == 0)
		return &w->from_pkts;
	if (strcmp(name, NODE_INSTANCE_TX) == 0)
		return &w->to_pkts;
	if (strcmp(name, NODE_KERNEL_TX) == 0)
		return &w->kernel_pkts;
	return NULL;
}

static int
fill_worker(const struct dispatch_worker *dw, struct graph_node_stats *stats, struct ctl_ltran *l)
{
	struct ctl_worker *to = &l->workers[l->workers_count++];
	unsigned int n = graph_stats(dw->w.graph, stats, FACTS_NODES_MAX);
	int ret = 0;

	to->index = dw->w.index;
	to->tid = atomic_load(&dw->tid);
	to->cpu = dw->cpu;
	to->walks = dw->walks;
	to->idle_percent = dw->walks > 0 ? dw->idle_walks * 100 / dw->walks : 0;
	to->sleeps = dw->sleeps;
	for (unsigned int i = 0; i < n && i < FACTS_NODES_MAX && ret == 0; i++) {
		uint64_t *row = row_of_node(to, stats[i].name);

		if (row != NULL)
			*row = stats[i].packets;
		ret = add_drops(l, &stats[i]);
	}
	l->tcp_pkts += dw->seen[SEEN_TCP];
	l->udp_pkts += dw->seen[SEEN_UDP];
	l->icmp_pkts += dw->seen[SEEN_ICMP];
	l->arp_pkts += dw->seen[SEEN_ARP];
	l->other_pkts += dw->seen[SEEN_OTHER];
	l->kni_pkts += to->kernel_pkts;
	return ret;
}

/* What the bond knows of the port better than its driver (af_packet: "always up"). */
static void
fill_role(const struct ltran *lt, struct ctl_nic *nic)
{
	struct bond_slave_stats st;

	for (unsigned int i = 0; i < lt->n_ports; i++) {
		bond_get_slave_stats(lt->bond, i, &st);
		if (st.port != nic->number)
			continue;
		nic->port.link_up = st.present && st.link;
		nic->link_failures = st.link_failures;
		snprintf(nic->role, sizeof(nic->role), "%s",
			!st.present ? "gone" : !st.link ? "no link" : st.active ? "active" : "passive");
	}
}

static void
fill_bond(const struct ltran *lt, struct ctl_ltran *l)
{
	struct bond_stats st;

	bond_get_stats(lt->bond, &st);
	l->bond_mode = st.mode;
	l->bond_miimon = st.miimon_ms;
	l->bond_switches = st.switches;
}

/* Ports of a bond may have vanished: they are shown while DPDK knows them. */
static int
fill_nics(const struct ltran *lt, struct ctl_ltran *l)
{
	uint16_t port;

	l->nics = calloc(RTE_MAX_ETHPORTS, sizeof(*l->nics));
	if (l->nics == NULL)
		return -ENOMEM;
	RTE_ETH_FOREACH_DEV(port) {
		struct ctl_nic *nic = &l->nics[l->nics_count];

		if (lt->bond == NULL ? port != lt->ports[0] :
			port >= 32 || !(lt->conf->bond_ports & 1u << port))
			continue;
		facts_port(port, &nic->port);
		nic->number = port;
		nic->rx_drop = nic->port.rx_missed + nic->port.rx_allocmbuf_fail;
		nic->tx_drop = nic->port.tx_err;
		if (lt->bond != NULL)
			fill_role(lt, nic);
		l->nics_count++;
	}
	return 0;
}

static void
count_member(void *arg, const struct member *m)
{
	++*(uint32_t *)arg;
}

static int
answer_show(void *arg, const void *request, void *answer, char *err, size_t err_len)
{
	struct graph_node_stats *stats = calloc(FACTS_NODES_MAX, sizeof(*stats));
	struct ltran *lt = arg;
	struct ctl_ltran *l = answer;
	int ret = stats != NULL ? 0 : -ENOMEM;

	snprintf(l->loglevel, sizeof(l->loglevel), "%s", log_level_name(log_level()));
	l->low_power_mode = lt->conf->low_power_mode;
	l->clients_max = lt->conf->dispatch_max_clients;
	registry_each(lt, count_member, &l->clients);
	facts_pool(lt->pool, &l->mbuf_pool_size, &l->mbuf_pool_freecnt);
	if (ret == 0)
		ret = fill_nics(lt, l);
	if (lt->bond != NULL)
		fill_bond(lt, l);
	l->workers = calloc(lt->n_workers, sizeof(*l->workers));
	if (l->workers == NULL)
		ret = -ENOMEM;
	for (unsigned int i = 0; i < lt->n_workers && ret == 0; i++)
		ret = fill_worker(lt->workers[i], stats, l);
	free(stats);
	return ret;
}

/* --- ltran show -i ------------------------------------------------------------------------------ */

#define SLOTS_PER_PAGE (4096 / sizeof(struct ltran_slot))
#define PAGES_COUNTED (1u << 16) /* 16 million sockets */

static const char *const reasons[MEMBER_DROPS] = {
	[MEMBER_RING_FULL] = "ring-full",
	[MEMBER_NO_RING] = "no-ring",
	[MEMBER_SPOOFED_MAC] = "spoofed-mac",
	[MEMBER_SPOOFED_IP] = "spoofed-ip",
	[MEMBER_SPOOFED_ARP] = "spoofed-arp",
	[MEMBER_BAD_FRAME] = "bad-frame",
	[MEMBER_RATE] = "rate",
};

struct list {
	const struct ltran *lt;
	struct ctl_instances *all;
	uint64_t now_us;
	unsigned int pages_left; /* of tables, that may still be looked at */
	int ret;
};

/* "32768-33023, 33280-33535": neighbours are joined. */
static void
format_blocks(char *buf, size_t len, const uint64_t *blocks)
{
	size_t at = 0;

	buf[0] = '\0';
	for (unsigned int i = 0, end; i < LTRAN_PORT_BLOCKS && at < len; i = end + 1) {
		for (end = i; end < LTRAN_PORT_BLOCKS && (blocks[end / 64] & 1ull << end % 64); end++)
			continue;
		if (end > i)
			at += snprintf(buf + at, len - at, "%s%u-%u", at > 0 ? ", " : "",
				LTRAN_PORT_FIRST + i * LTRAN_PORT_BLOCK,
				LTRAN_PORT_FIRST + end * LTRAN_PORT_BLOCK - 1);
	}
}

/* The first slot from `i` on that has memory: looking at one that has none would make some. */
static uint64_t
skip_hole(const struct member *m, uint64_t i, uint64_t n)
{
	off_t data = lseek(m->table_fd, LTRAN_TABLE_OFFSET + (off_t)(i * sizeof(m->tables[0])), SEEK_DATA);

	return data < 0 ? n : (uint64_t)(data - LTRAN_TABLE_OFFSET) / sizeof(m->tables[0]);
}

static void
count_socket(const struct ltran_slot *s, struct ctl_instance *to)
{
	uint64_t key = __atomic_load_n(&s->key, __ATOMIC_RELAXED);

	if (key <= LTRAN_SLOT_FREED)
		return;
	if (key >> 16 != 0)
		to->conns++;
	else
		to->listeners++;
}

/* Nobody can come or go meanwhile, and an instance has made its table as large as it likes: what there is
 * beyond PAGES_COUNTED, of all together, is left out. */
static void
count_sockets(struct list *list, const struct member *m, struct ctl_instance *to)
{
	uint64_t n = m->tables != NULL ? (uint64_t)m->n_slots * m->n_queues : 0, i = 0;

	while (i < n && (i = skip_hole(m, i, n)) < n && list->pages_left > 0) {
		list->pages_left--;
		do
			count_socket(&m->tables[i++], to);
		while (i < n && i % SLOTS_PER_PAGE != 0);
	}
}

static void
fill_stats(const struct ltran *lt, const struct member *m, struct ctl_instance *to)
{
	for (unsigned int i = 0; i < lt->n_workers && m->stats != NULL; i++) {
		const struct member_stats *s = &m->stats[i];

		to->rx_pkts += s->rx_pkts;
		to->rx_bytes += s->rx_bytes;
		to->tx_pkts += s->tx_pkts;
		to->tx_bytes += s->tx_bytes;
		for (unsigned int k = 0; k < to->drops_count; k++)
			to->drops[k].packets += s->drops[k];
	}
}

static void
add_instance(void *arg, const struct member *m)
{
	struct list *list = arg;
	struct ctl_instances *all = list->all;
	struct ctl_instance *grown = realloc(all->instances,
		(all->instances_count + 1) * sizeof(*grown)), *to;

	if (grown == NULL) {
		list->ret = -ENOMEM;
		return;
	}
	all->instances = grown;
	to = &grown[all->instances_count++];
	*to = (struct ctl_instance){
		.id = m->index, .pid = m->pid, .uid = m->uid, .queues = m->n_queues,
		.sockfd = m->fd, .bond_port = list->lt->ports[0],
		.age_s = (list->now_us - m->since_us) / 1000000,
	};
	inet_ntop(AF_INET, &m->addr, to->addr, sizeof(to->addr));
	snprintf(to->program, sizeof(to->program), "%.*s", (int)sizeof(m->program), m->program);
	snprintf(to->state, sizeof(to->state), "%s",
		atomic_load(&m->broken) ? "BROKEN" :
		atomic_load(&m->vid) >= 0 ? "NORMAL" : "CONNECTING");
	format_blocks(to->ports, sizeof(to->ports), m->blocks);
	count_sockets(list, m, to);
	to->drops = calloc(MEMBER_DROPS, sizeof(*to->drops));
	if (to->drops == NULL) {
		list->ret = -ENOMEM;
		return;
	}
	for (unsigned int i = 0; i < MEMBER_DROPS; i++)
		snprintf(to->drops[i].name, sizeof(to->drops[i].name), "%s", reasons[i]);
	to->drops_count = MEMBER_DROPS;
	fill_stats(list->lt, m, to);
}

static int
compare_instances(const void *a, const void *b)
{
	const struct ctl_instance *x = a, *y = b;

	return x->id < y->id ? -1 : x->id > y->id;
}

static int
answer_instances(void *arg, const void *request, void *answer, char *err, size_t err_len)
{
	struct timespec ts;
	struct list list = {.lt = arg, .all = answer, .pages_left = PAGES_COUNTED};

	clock_gettime(CLOCK_MONOTONIC, &ts);
	list.now_us = (uint64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
	registry_each(arg, add_instance, &list);
	if (list.all->instances_count > 1)
		qsort(list.all->instances, list.all->instances_count,
			sizeof(list.all->instances[0]), compare_instances);
	return list.ret;
}

/* --- ltran show -b, -l; set; quit --------------------------------------------------------------- */

static int
answer_measure(void *arg, const void *request, void *answer, char *err, size_t err_len)
{
	return measure_answer(arg, request, answer, err, err_len);
}

static int
answer_set_loglevel(void *arg, const void *request, void *answer, char *err, size_t err_len)
{
	static const uint32_t dpdk[LOG_LEVELS] = {
		[LOG_LEVEL_ERROR] = RTE_LOG_ERR,
		[LOG_LEVEL_INFO] = RTE_LOG_INFO,
		[LOG_LEVEL_DEBUG] = RTE_LOG_DEBUG,
	};
	const struct ctl_loglevel *r = request;

	for (enum log_level level = 0; level < LOG_LEVELS; level++) {
		if (strcmp(r->level, log_level_name(level)) != 0)
			continue;
		log_set_level(level);
		rte_log_set_global_level(dpdk[level]);
		*(struct ctl_loglevel *)answer = *r;
		return 0;
	}
	snprintf(err, err_len, "loglevel is error, info or debug, not \"%s\"", r->level);
	return -EINVAL;
}

/* main() waits for signals; the answer leaves before the server is stopped, by the same thread. */
static int
answer_quit(void *arg, const void *request, void *answer, char *err, size_t err_len)
{
	((struct ctl_quit *)answer)->pid = getpid();
	return kill(getpid(), SIGTERM) == 0 ? 0 : -errno;
}

/* --- server ------------------------------------------------------------------------------------- */

static const struct ctl_handler handlers[] = {
	{CTL_GRAPH_SHOW, answer_graph_show},
	{CTL_GRAPH_TRACE, answer_graph_trace},
	{CTL_LTRAN_SHOW, answer_show},
	{CTL_LTRAN_INSTANCES, answer_instances},
	{CTL_LTRAN_MEASURE, answer_measure},
	{CTL_LTRAN_SET_LOGLEVEL, answer_set_loglevel},
	{CTL_LTRAN_QUIT, answer_quit},
};

struct ctl_server_params
ltran_ctl_params(struct ltran *lt)
{
	return (struct ctl_server_params){
		.prefix = lt->conf->unix_prefix,
		.kind = CTL_KIND_LTRAN,
		.version = GAZELLE_VERSION,
		.handlers = handlers,
		.n_handlers = RTE_DIM(handlers),
		.arg = lt,
	};
}

int
ltran_ctl_start(struct ltran *lt, char *err, size_t err_len)
{
	struct ctl_server_params p = ltran_ctl_params(lt);

	return ctl_server_start(&p, &lt->ctl, err, err_len);
}

void
ltran_ctl_stop(struct ltran *lt)
{
	if (lt->ctl != NULL) {
		helper_remove_own(ctl_server_path(lt->ctl));
		ctl_server_stop(lt->ctl);
	}
	lt->ctl = NULL;
}
