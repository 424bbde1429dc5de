/* SPDX-License-Identifier: BSD-3-Clause */
/* ltran_load: both ends of an ltran on one core: the wire of its NIC, and instances without a stack. */
/*
 * Commands come on stdin, one line each, and every one is answered with a line of JSON:
 *
 *	instance ADDR                     registers, and opens the ring ltran gives
 *	run DIRECTION FRAME SECONDS PPS   in: wire to the first instance; out: the first instance to the
 *	                                  wire; local: the first instance to the second
 *
 * PPS 0 is a closed loop: a packet is offered again until the ring takes it, so that ltran is never
 * given more than it can do, and what it has taken must arrive. With a rate, a packet the ring does
 * not take is lost: a real wire would not wait either. The loop has one thread, which sends and
 * receives in turns; `refused` says whether ltran (some) or this thread (none) was the limit.
 *
 * As in linerate_trial.c, packets of the pool `out` hold the whole frame already.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_cycles.h>
#include <rte_dev.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_udp.h>

#include "perf/linerate_calc.h"
#include "perf/linerate_port.h"
#include "nodes/eal_fill.h"
#include "tests/ltran_client.h"

#define BURST 32
#define DEPTH 64 /* packets that may be late, see pacer_due() */
#define INSTANCES_MAX 2
#define OUT_PACKETS 8191
#define IN_PACKETS 16383
#define QUIET_MS 20 /* nothing comes any more */
#define LINK_S 20
#define FRAME_MIN 64
#define FRAME_MAX 1518
#define FAR_ADDR RTE_BE32(RTE_IPV4(198, 18, 0, 250))

struct instance {
	uint32_t addr; /* network order */
	int fd;        /* registration */
	uint16_t port;
};

struct load {
	const char *vdev, *dir, *prefix, *ring;
	unsigned int memory_mb;
	bool huge;
	struct rte_mempool *out, *in; /* every packet of `out` holds the frame */
	struct rte_ether_addr nic;    /* ltran's */
	unsigned int n_instances;
	struct instance instances[INSTANCES_MAX];
	uint16_t len;                 /* of packets, without CRC */
	uint8_t frame[FRAME_MAX];
};

struct run {
	uint16_t from, to; /* ports */
	double seconds, pps;
	uint64_t offered, refused, sent, received, strange;
	double taken; /* seconds, in fact */
	struct rte_mbuf *held[BURST]; /* to be offered again */
	uint16_t n_held;
};

/* --- frames --------------------------------------------------------------------------------------- */

static void
fill_packet(struct rte_mempool *pool, void *arg, void *packet, unsigned int index)
{
	const struct load *l = arg;
	struct rte_mbuf *m = packet;

	(void)pool;
	(void)index;
	memcpy((char *)m->buf_addr + RTE_PKTMBUF_HEADROOM, l->frame, l->len);
}

/* UDP without checksum, between the addresses, from and to the NIC's MAC address: what ltran expects
 * of its wire and of its instances. */
static void
make_frame(struct load *l, uint16_t frame, uint32_t src, uint32_t dst, bool from_wire)
{
	static const struct rte_ether_addr far = { { 2, 0, 0, 0, 0, 0xfa } };
	struct rte_ether_hdr *eth = (struct rte_ether_hdr *)l->frame;
	struct rte_ipv4_hdr *ip = (struct rte_ipv4_hdr *)(eth + 1);
	struct rte_udp_hdr *udp = (struct rte_udp_hdr *)(ip + 1);

	l->len = frame - LINERATE_CRC;
	memset(l->frame, 0, sizeof(l->frame));
	eth->dst_addr = from_wire ? l->nic : far;
	eth->src_addr = from_wire ? far : l->nic;
	eth->ether_type = RTE_BE16(RTE_ETHER_TYPE_IPV4);
	*ip = (struct rte_ipv4_hdr){
		.version_ihl = RTE_IPV4_VHL_DEF, .time_to_live = 64, .next_proto_id = IPPROTO_UDP,
		.total_length = htons(l->len - sizeof(*eth)), .src_addr = src, .dst_addr = dst,
	};
	ip->hdr_checksum = rte_ipv4_cksum(ip);
	udp->src_port = htons(40000);
	udp->dst_port = htons(LINERATE_UDP_PORT);
	udp->dgram_len = htons(l->len - sizeof(*eth) - sizeof(*ip));
	rte_mempool_obj_iter(l->out, fill_packet, l);
}

/* --- one run ------------------------------------------------------------------------------------- */

static void
receive(const struct load *l, struct run *r)
{
	struct rte_mbuf *pkts[BURST];
	uint16_t n = rte_eth_rx_burst(r->to, 0, pkts, BURST);

	for (uint16_t i = 0; i < n; i++)
		r->strange += pkts[i]->pkt_len != l->len;
	r->received += n;
	if (n > 0)
		rte_pktmbuf_free_bulk(pkts, n);
}

/* Offer what is due, what was refused before first. */
static void
transmit(const struct load *l, struct run *r, struct pacer *p, uint64_t now)
{
	uint16_t n = r->n_held, sent;
	uint32_t due = pacer_due(p, now, BURST - n);

	if (due > 0 && rte_pktmbuf_alloc_bulk(l->out, r->held + n, due) == 0) {
		for (uint32_t i = 0; i < due; i++)
			r->held[n + i]->pkt_len = r->held[n + i]->data_len = l->len;
		n += (uint16_t)due;
		r->offered += due;
	}
	if (n == 0)
		return;
	sent = rte_eth_tx_burst(r->from, 0, r->held, n);
	r->sent += sent;
	r->refused += n - sent;
	r->n_held = n - sent;
	if (p->per_cycle > 0) {
		rte_pktmbuf_free_bulk(r->held + sent, r->n_held);
		r->n_held = 0;
	} else {
		memmove(r->held, r->held + sent, r->n_held * sizeof(r->held[0]));
	}
}

/* What is under way from before counts for nobody; what is under way at the end has arrived. */
static void
drain(const struct load *l, struct run *r)
{
	uint64_t before, since = rte_rdtsc();

	while (rte_rdtsc() - since < rte_get_tsc_hz() / 1000 * QUIET_MS) {
		before = r->received;
		receive(l, r);
		if (r->received != before)
			since = rte_rdtsc();
	}
}

static void
exchange(const struct load *l, struct run *r)
{
	double hz = (double)rte_get_tsc_hz();
	struct pacer p = { .per_cycle = r->pps / hz, .depth = DEPTH };
	uint64_t end, now, on_time;

	drain(l, r);
	r->received = r->strange = 0;
	now = p.start = rte_rdtsc();
	for (end = now + (uint64_t)(r->seconds * hz); now < end; now = rte_rdtsc()) {
		transmit(l, r, &p, now);
		receive(l, r);
	}
	r->taken = (double)(now - p.start) / hz;
	on_time = r->received;
	rte_pktmbuf_free_bulk(r->held, r->n_held);
	r->offered -= r->n_held;
	drain(l, r);
	printf("{\"seconds\":%.4f,\"offered\":%" PRIu64 ",\"refused\":%" PRIu64 ",\"sent\":%" PRIu64
	       ",\"received\":%" PRIu64 ",\"strange\":%" PRIu64 ",\"mpps\":%.4f,"
	       "\"lost_percent\":%.5f}\n", r->taken, r->offered, r->refused, r->sent, r->received,
		r->strange, (double)on_time / r->taken / 1e6,
		100.0 * (1 - (double)r->received / (double)RTE_MAX(r->offered, 1u)));
}

/* --- commands -------------------------------------------------------------------------------------- */

static void
command_instance(struct load *l, const char *text)
{
	struct instance *in = &l->instances[l->n_instances];
	char name[32], args[LTRAN_PATH_MAX + 128];
	struct ltran_registered answer;
	struct ltran_register r;
	struct in_addr addr;
	int ret;

	if (l->n_instances == INSTANCES_MAX || inet_pton(AF_INET, text, &addr) != 1) {
		printf("{\"error\":\"instance: bad address, or too many\"}\n");
		return;
	}
	in->addr = addr.s_addr;
	in->fd = ltran_client_connect(l->dir, l->prefix);
	ltran_client_fill(&r, in->addr, LINERATE_MASK, 1);
	ret = in->fd < 0 ? in->fd : ltran_client_register(in->fd, &r, &answer);
	if (ret < 0) {
		printf("{\"error\":\"registration: %s %.200s\"}\n", strerror(-ret),
			in->fd < 0 ? "" : answer.text);
		return;
	}
	memcpy(&l->nic, answer.mac, sizeof(l->nic));
	snprintf(name, sizeof(name), "net_virtio_user%u", 10 + l->n_instances);
	snprintf(args, sizeof(args), "path=%s,server=1,queues=1,queue_size=%u,%s", answer.path,
		answer.queue_size, l->ring);
	if (eal_fill_memory() < 0 || rte_eal_hotplug_add("vdev", name, args) < 0 ||
		rte_eth_dev_get_port_by_name(name, &in->port) < 0)
		linerate_die(args);
	linerate_start_port(in->port, answer.queue_size, l->in);
	l->n_instances++;
	printf("{\"instance\":\"%s\",\"queue_size\":%u,\"device\":\"%s\"}\n", text, answer.queue_size,
		args);
}

static void
command_run(struct load *l, const char *direction, unsigned int frame, struct run *r)
{
	const struct instance *first = &l->instances[0], *second = &l->instances[1];
	bool local = strcmp(direction, "local") == 0, in = strcmp(direction, "in") == 0;

	if (l->n_instances < (local ? 2 : 1) || frame < FRAME_MIN || frame > FRAME_MAX ||
		(!local && !in && strcmp(direction, "out") != 0)) {
		printf("{\"error\":\"run: bad direction or frame, or instances are missing\"}\n");
		return;
	}
	r->from = in ? LINERATE_PORT : first->port;
	r->to = in ? first->port : local ? second->port : LINERATE_PORT;
	make_frame(l, (uint16_t)frame, in ? FAR_ADDR : first->addr,
		in ? first->addr : local ? second->addr : FAR_ADDR, in);
	exchange(l, r);
}

static void
command(struct load *l, const char *line)
{
	struct run r = { 0 };
	char word[32];
	unsigned int frame;

	if (sscanf(line, "instance %31s", word) == 1)
		command_instance(l, word);
	else if (sscanf(line, "run %31s %u %lf %lf", word, &frame, &r.seconds, &r.pps) == 4)
		command_run(l, word, frame, &r);
	else
		printf("{\"error\":\"no such command\"}\n");
	fflush(stdout);
}

static int
parse(struct load *l, int argc, char **argv)
{
	static const struct option options[] = {
		{ "wire", required_argument, NULL, 'w' }, { "dir", required_argument, NULL, 'd' },
		{ "prefix", required_argument, NULL, 'p' }, { "ring", required_argument, NULL, 'r' },
		{ "memory", required_argument, NULL, 'm' }, { "huge", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case 'w': l->vdev = optarg; break;
		case 'd': l->dir = optarg; break;
		case 'p': l->prefix = optarg; break;
		case 'r': l->ring = optarg; break;
		case 'm': l->memory_mb = (unsigned int)strtoul(optarg, NULL, 10); break;
		case 'h': l->huge = true; break;
		default: return -1;
		}
	}
	return l->vdev != NULL && l->dir != NULL ? 0 : -1;
}

int
main(int argc, char **argv)
{
	static struct load l = { .prefix = "", .ring = "packed_vq=1", .memory_mb = 192 };
	char line[128];

	if (parse(&l, argc, argv) < 0) {
		fprintf(stderr, "usage: ltran_load --wire DEVICE --dir RUN-DIRECTORY [--prefix TEXT]"
			" [--ring VIRTIO-OPTIONS] [--memory MB] [--huge]\n");
		return 2;
	}
	signal(SIGPIPE, SIG_IGN);
	linerate_start("ltran_load", l.vdev, l.memory_mb, l.huge);
	l.in = linerate_pool("in", IN_PACKETS, 0);
	l.out = linerate_pool("out", OUT_PACKETS, 0);
	linerate_start_port(LINERATE_PORT, LINERATE_QUEUE_SIZE, l.in);
	linerate_wait_for_link(LINK_S);
	printf("{\"ready\":true}\n");
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin) != NULL)
		command(&l, line);
	for (unsigned int i = 0; i < l.n_instances; i++) {
		rte_eth_dev_stop(l.instances[i].port);
		rte_eth_dev_close(l.instances[i].port);
	}
	return linerate_stop();
}
