/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * An instance behind ltran (use_ltran = 1). Its port is a virtio-user server at the path that ltran
 * names, with one queue pair per stack; ltran has the other end. Its sockets are shown in the socket
 * table of ltran_abi.h, one table per stack, written by the stack's holder; its local ports are of
 * the blocks that ltran gives.
 */
#include "nodes/instance_private.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <rte_cycles.h>
#include <rte_ethdev.h>

#include "common/say.h"
#include "ctl/path.h"
#include "nodes/instance.h"
#include "nodes/instance_ltran_link.h"
#include "nodes/ltran_left.h"
#include "nodes/ltran_table.h"

#define SLOTS_MIN (1u << 16)
#define SLOTS_MAX (1u << 22)
#define NO_PORTS_S 1 /* as long ltran is not asked for ports again after it had none */

_Static_assert(STACK_PORT_FIRST == LTRAN_PORT_FIRST && STACK_PORT_BLOCK == LTRAN_PORT_BLOCK,
	"ltran's blocks are the stacks'");
_Static_assert(STACK_LEFT_MAX == LTRAN_LEFT_MAX && STACK_LEFT_US == LTRAN_LEFT_MS * 1000,
	"the stack refuses nobody whom ltran waits for");
_Static_assert(WORKERS_MAX <= LTRAN_QUEUES_MAX, "a queue pair per stack");

struct instance_ltran {
	struct ltran_link *link;
	struct stack_sharing sharing;
	struct instance *instance;

	int table_fd;
	void *map; /* of the socket table */
	size_t map_bytes;
	uint32_t n_slots;

	_Atomic uint64_t no_ports_until_tsc;
};

/* --- the socket table ---------------------------------------------------------------------------- */

/* Half full at most: then a search is short. */
static uint32_t
choose_slots(uint32_t n_conns)
{
	uint32_t n = SLOTS_MIN;

	while (n < SLOTS_MAX && n / 2 < n_conns)
		n *= 2;
	return n;
}

static int
make_table(struct instance_ltran *lt, uint32_t n_tables, uint32_t n_conns)
{
	struct ltran_table_head *head;

	lt->n_slots = choose_slots(n_conns);
	lt->map_bytes = LTRAN_TABLE_OFFSET +
		(size_t)n_tables * lt->n_slots * sizeof(struct ltran_slot);
	lt->table_fd = memfd_create("gazelle_sockets", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (lt->table_fd < 0 || fallocate(lt->table_fd, 0, 0, (off_t)lt->map_bytes) < 0)
		return -errno;
	lt->map = mmap(NULL, lt->map_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, lt->table_fd, 0);
	if (lt->map == MAP_FAILED) {
		lt->map = NULL;
		return -errno;
	}
	/* ltran wants to be sure that no page of it is ever taken away. */
	if (syscall(SYS_fcntl, lt->table_fd, F_ADD_SEALS,
		F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL) < 0)
		return -errno;
	head = lt->map;
	*head = (struct ltran_table_head){.magic = LTRAN_MAGIC, .version = LTRAN_VERSION,
		.n_tables = n_tables, .n_slots = lt->n_slots};
	return 0;
}

static struct ltran_slot *
table_of(const struct instance_ltran *lt, unsigned int index)
{
	return (struct ltran_slot *)((char *)lt->map + LTRAN_TABLE_OFFSET) +
		(size_t)index * lt->n_slots;
}

/* The list of what lives on follows the listeners that the table shows. */
static void
note_listener(struct instance_ltran *lt, const struct stack_shown *s, bool is_there)
{
	uint64_t *left = ((struct ltran_table_head *)lt->map)->left;

	if (!s->lives_on)
		ltran_left_forget(left, s->lport);
	else if (is_there)
		ltran_left_listens(left, s->lport);
	else
		ltran_left_ends(left, s->lport, ltran_left_now_ms());
}

static inline bool
is_listener(const struct stack_shown *s)
{
	return s->raddr == 0 && !s->is_udp;
}

static inline uint8_t
protocol_of(const struct stack_shown *s)
{
	return s->is_udp ? IPPROTO_UDP : IPPROTO_TCP;
}

/* A socket that finds no room stays unseen; where this instance is its address's only one, that
 * costs nothing but the reset of its peer if we are killed. */
static void
show(void *arg, unsigned int table, const struct stack_shown *s)
{
	struct instance_ltran *lt = arg;
	uint64_t info = (uint64_t)s->identity << 32 | protocol_of(s);

	if (s->reuseport)
		info |= LTRAN_SLOT_REUSEPORT;
	if (is_listener(s))
		note_listener(lt, s, true);
	ltran_table_add(table_of(lt, table), lt->n_slots,
		ltran_slot_key(s->raddr, s->rport, s->lport), info);
}

static void
hide(void *arg, unsigned int table, const struct stack_shown *s)
{
	struct instance_ltran *lt = arg;

	if (is_listener(s))
		note_listener(lt, s, false);
	ltran_table_remove(table_of(lt, table), lt->n_slots,
		ltran_slot_key(s->raddr, s->rport, s->lport), protocol_of(s));
}

/* --- ports --------------------------------------------------------------------------------------- */

static int
claim(void *arg, const struct stack_shown *s)
{
	struct instance_ltran *lt = arg;
	uint32_t pid;
	int ret = ltran_link_listen(lt->link, protocol_of(s), s->lport, s->reuseport, s->identity,
		&pid);

	if (ret < 0 && pid > 0)
		say("%s port %u of this address is process %u's",
			s->is_udp ? "UDP" : "TCP", ntohs(s->lport), pid);
	return ret;
}

static bool
more_ports(void *arg)
{
	struct instance_ltran *lt = arg;
	uint64_t now = rte_get_tsc_cycles();

	if (now < atomic_load(&lt->no_ports_until_tsc))
		return false;
	if (ltran_link_more_ports(lt->link) == 0)
		return true;
	atomic_store(&lt->no_ports_until_tsc, now + NO_PORTS_S * rte_get_tsc_hz());
	return false;
}

/* --- life ---------------------------------------------------------------------------------------- */

static int
open_link(struct instance_ltran *lt, char *err, size_t err_len)
{
	const struct conf *c = lt->instance->conf;
	char dir[PATH_MAX];
	struct ltran_link_params p = {
		.dir = dir,
		.prefix = c->unix_prefix,
		.addr = c->host_addr,
		.mask = c->mask_addr,
		.gateway = c->gateway_addr,
		.n_queues = lt->instance->n_workers,
		.mtu = c->mtu,
		.table_fd = lt->table_fd,
		.signals = &lt->instance->signals,
	};
	int ret = ctl_run_dir(dir, sizeof(dir));

	if (ret < 0) {
		snprintf(err, err_len, "ltran: run directory: %s", strerror(-ret));
		return ret;
	}
	if (c->has_devices)
		memcpy(p.mac, c->devices, sizeof(p.mac));
	return ltran_link_open(&p, &lt->link, err, err_len);
}

/* The port, as an argument of EAL. */
static int
make_port_argument(struct instance *in, const struct ltran_registered *grant)
{
	char mac[RTE_ETHER_ADDR_FMT_SIZE];

	rte_ether_format_addr(mac, sizeof(mac), (const struct rte_ether_addr *)grant->mac);
	return asprintf(&in->ltran_vdev,
		"--vdev=" INSTANCE_LTRAN_PORT ",path=%s,server=1,queues=%u,queue_size=%u,mac=%s,"
		"mrg_rxbuf=1,packed_vq=0", grant->path, in->n_workers, grant->queue_size, mac) < 0 ?
		-ENOMEM : 0;
}

int
instance_ltran_start(struct instance *in, char *err, size_t err_len)
{
	const struct ltran_registered *grant;
	struct instance_ltran *lt;
	int ret;

	in->mtu = in->conf->mtu;
	if (!in->conf->use_ltran)
		return 0;
	lt = calloc(1, sizeof(*lt));
	if (lt == NULL) {
		snprintf(err, err_len, "no memory");
		return -ENOMEM;
	}
	lt->table_fd = -1;
	lt->instance = in;
	in->ltran = lt;
	ret = make_table(lt, in->n_workers, in->conf->tcp_conn_count);
	if (ret < 0)
		snprintf(err, err_len, "ltran: socket table: %s", strerror(-ret));
	else
		ret = open_link(lt, err, err_len);
	if (ret < 0)
		return ret;
	grant = ltran_link_grant(lt->link);
	in->mtu = RTE_MIN(in->mtu, grant->mtu);
	lt->sharing = (struct stack_sharing){.arg = lt, .claim = claim, .show = show, .hide = hide,
		.ports = ltran_link_ports(lt->link), .more_ports = more_ports};
	if (make_port_argument(in, grant) < 0) {
		snprintf(err, err_len, "no memory");
		return -ENOMEM;
	}
	in->extra_args[in->n_extra_args++] = in->ltran_vdev;
	return 0;
}

const struct stack_sharing *
instance_ltran_sharing(const struct instance *in)
{
	return in->ltran != NULL ? &in->ltran->sharing : NULL;
}

void
instance_ltran_bells(const struct instance *in, struct worker *w)
{
	struct ltran_table_head *head = in->ltran->map;

	w->bells = ltran_link_bells(in->ltran->link);
	w->asleep = &head->asleep[w->index];
}

void
instance_ltran_stop(struct instance *in)
{
	struct instance_ltran *lt = in->ltran;

	if (lt == NULL)
		return;
	if (lt->link != NULL)
		unlink(ltran_link_grant(lt->link)->path); /* the driver may not have come to it */
	ltran_link_close(lt->link);
	if (lt->map != NULL)
		munmap(lt->map, lt->map_bytes);
	if (lt->table_fd >= 0)
		close(lt->table_fd);
	free(in->ltran_vdev);
	in->ltran_vdev = NULL;
	free(lt);
	in->ltran = NULL;
}

void
instance_ltran_before_fork(struct instance *in)
{
	if (in->ltran != NULL && in->ltran->link != NULL)
		ltran_link_before_fork(in->ltran->link);
}

void
instance_ltran_after_fork(struct instance *in, bool is_child)
{
	if (in->ltran != NULL && in->ltran->link != NULL)
		ltran_link_after_fork(in->ltran->link, is_child);
}
