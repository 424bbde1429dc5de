/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * May it register? Every field of LTRAN_REGISTER comes from another process, which may be broken or
 * hostile; the same holds for the socket table. Texts go into the answer, for people.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "dispatcher/closer.h"
#include "dispatcher/registry.h"
#include "dispatcher/whole_file.h"
#include "nodes/ltran_table.h"

#define MTU_MIN 68 /* RFC 791 */
#define SLOTS_MAX (1u << 22) /* of one table */
/* Nobody can take pages away (FUTURE_WRITE: neither punch holes), so a look at the table never waits. */
#define SEALS (F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL)

struct text_addr {
	char s[INET_ADDRSTRLEN];
};

static struct text_addr
text_of(uint32_t addr)
{
	struct text_addr t;

	inet_ntop(AF_INET, &addr, t.s, sizeof(t.s));
	return t;
}

static int __attribute__((format(printf, 3, 4)))
refuse(char *text, int status, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(text, LTRAN_TEXT_MAX, format, args);
	va_end(args);
	return status;
}

static int
check_addr(const struct ltran *lt, const struct ltran_register *q, char *text)
{
	uint32_t addr = ntohl(q->addr), mask = ntohl(q->mask);
	uint32_t hosts = (1u << lt->conf->dispatch_subnet_length) - 1;

	if (((addr ^ ntohl(lt->conf->dispatch_subnet)) & ~hosts) != 0)
		return refuse(text, -EADDRNOTAVAIL, "host_addr %s is not in ltran's dispatch_subnet "
			"%s with %u host bits", text_of(q->addr).s,
			text_of(lt->conf->dispatch_subnet).s, lt->conf->dispatch_subnet_length);
	if (mask == 0 || (~mask & (~mask + 1)) != 0)
		return refuse(text, -EINVAL, "mask_addr %s is no netmask", text_of(q->mask).s);
	/* Of the instance's subnet: dispatch_subnet is a range and no netmask. RFC 3021: two addresses
	 * are hosts both. */
	if (~mask > 1 && ((addr & ~mask) == 0 || (addr & ~mask) == ~mask))
		return refuse(text, -EADDRNOTAVAIL, "host_addr %s is the network's or the broadcast "
			"address with mask_addr %s", text_of(q->addr).s, text_of(q->mask).s);
	if (q->gateway != 0 && ((q->gateway ^ q->addr) & q->mask) != 0)
		return refuse(text, -EINVAL, "gateway_addr %s is not in the subnet of %s",
			text_of(q->gateway).s, text_of(q->addr).s);
	return 0;
}

int
registry_check_request(const struct ltran *lt, const struct ltran_register *q, char *text)
{
	static const uint8_t no_mac[6];

	if (q->header.status != 0 || q->resumes > 1 ||
		memchr(q->path, '\0', sizeof(q->path)) == NULL ||
		memchr(q->program, '\0', sizeof(q->program)) == NULL)
		return refuse(text, -EINVAL, "malformed registration");
	if (q->n_queues < 1 || q->n_queues > LTRAN_QUEUES_MAX)
		return refuse(text, -EINVAL, "%u queues: ltran wants 1 to %u", q->n_queues,
			LTRAN_QUEUES_MAX);
	if (q->mtu < MTU_MIN)
		return refuse(text, -EINVAL, "mtu %u: at least %u", q->mtu, MTU_MIN);
	if (memcmp(q->mac, no_mac, sizeof(no_mac)) != 0 &&
		memcmp(q->mac, lt->mac.addr_bytes, sizeof(q->mac)) != 0)
		return refuse(text, -EINVAL, "devices: ltran's NIC is " RTE_ETHER_ADDR_PRT_FMT,
			RTE_ETHER_ADDR_BYTES(&lt->mac));
	return check_addr(lt, q, text);
}

int
registry_check_ring(const struct registry *r, const struct ltran_register *q,
	const struct registry_peer *peer, char *text)
{
	char want[LTRAN_PATH_MAX];
	const char *name = strrchr(q->path, '/');
	unsigned int counter = 0;
	int pid = 0;

	if (name != NULL && strlen(name) > strlen(r->lt->conf->unix_prefix))
		sscanf(name + 1 + strlen(r->lt->conf->unix_prefix), LTRAN_RING_FORMAT, &pid,
			&counter);
	if (!registry_name_ring(r, peer, counter, want) || strcmp(want, q->path) != 0)
		return refuse(text, -EINVAL, "that is not a ring of process %d", (int)peer->pid);
	if (helper_check_ring(q->path, peer->uid) < 0)
		return refuse(text, -EINVAL, "%s is no socket of this user", q->path);
	return 0;
}

int
registry_check_sharing(const struct registry *r, const struct ltran_register *q,
	const struct registry_peer *peer, char *text)
{
	for (unsigned int i = 0; i < r->n_members; i++) {
		const struct member *m = r->members[i];

		if (m->fd < 0 || m->addr != q->addr)
			continue;
		if (m->uid != peer->uid || m->exe_dev != peer->exe_dev || m->exe_ino != peer->exe_ino)
			return refuse(text, -EADDRINUSE, "host_addr %s is used by %s (process %d): "
				"only processes of one user and program share an address",
				text_of(q->addr).s, m->program, (int)m->pid);
	}
	return 0;
}

static int
check_table_file(int fd, struct stat *st, char *text)
{
	struct statfs fs;
	int seals;

	if (fd < 0)
		return refuse(text, -EINVAL, "no socket table in the registration");
	seals = fcntl(fd, F_GET_SEALS);
	if (seals < 0 || (seals & SEALS) != SEALS)
		return refuse(text, -EINVAL, "the socket table is not sealed");
	/* Of huge pages there may be none left when we look: that is a SIGBUS. */
	if (fstat(fd, st) < 0 || fstatfs(fd, &fs) < 0 || fs.f_type != TMPFS_MAGIC)
		return refuse(text, -EINVAL, "the socket table is no memory of ordinary pages");
	return 0;
}

static int
map_table(struct member *m, int fd, char *text)
{
	struct ltran_table_head head; /* what is not the flags of sleepers */
	struct stat st;
	int ret = check_table_file(fd, &st, text);

	if (ret < 0)
		return ret;
	if (pread(fd, &head, sizeof(head), 0) != sizeof(head) || head.magic != LTRAN_MAGIC ||
		head.version != LTRAN_VERSION)
		return refuse(text, -EINVAL, "that is no socket table");
	if (head.n_tables != m->n_queues || head.n_slots < LTRAN_PROBES ||
		head.n_slots > SLOTS_MAX || (head.n_slots & (head.n_slots - 1)) != 0)
		return refuse(text, -EINVAL, "a socket table of %u times %u slots is impossible",
			head.n_tables, head.n_slots);
	m->table_bytes = LTRAN_TABLE_OFFSET +
		(size_t)head.n_tables * head.n_slots * sizeof(struct ltran_slot);
	if ((uint64_t)st.st_size != m->table_bytes)
		return refuse(text, -EINVAL, "the socket table does not end behind its last slot");
	if (!whole_file(&st))
		return refuse(text, -EINVAL, "the socket table has holes, which ltran would have to fill");
	m->table_map = mmap(NULL, m->table_bytes, PROT_READ, MAP_SHARED, fd, 0);
	if (m->table_map == MAP_FAILED) {
		m->table_map = NULL;
		return refuse(text, -ENOMEM, "ltran has no memory for the socket table");
	}
	m->tables = (const struct ltran_slot *)((char *)m->table_map + LTRAN_TABLE_OFFSET);
	m->asleep = ((const struct ltran_table_head *)m->table_map)->asleep;
	m->left = ((const struct ltran_table_head *)m->table_map)->left;
	m->n_slots = head.n_slots;
	m->table_fd = fd;
	return 0;
}

int
registry_map_table(struct member *m, int fd, char *text)
{
	int ret = map_table(m, fd, text);

	if (ret < 0 && fd >= 0)
		closer_close(fd, m->uid);
	return ret;
}

void
registry_move_table(struct member *to, struct member *from)
{
	to->tables = from->tables;
	to->table_map = from->table_map;
	to->table_bytes = from->table_bytes;
	to->table_fd = from->table_fd;
	from->table_map = NULL;
	from->table_fd = -1;
	registry_unmap_table(from);
}

void
registry_unmap_table(struct member *m)
{
	if (m->table_map != NULL)
		munmap(m->table_map, m->table_bytes);
	if (m->table_fd >= 0)
		close(m->table_fd);
	m->table_map = NULL;
	m->table_fd = -1;
	m->tables = NULL;
	m->asleep = NULL;
	m->left = NULL;
}
