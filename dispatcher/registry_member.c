/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Members come and go. Going is marked first (fd -1) and settled by the next map: only when no worker
 * can know a member any more is its ring closed and its table given to farewell.c. So running out of
 * memory for a map delays a departure and loses nothing.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dispatcher/bell.h"
#include "dispatcher/closer.h"
#include "dispatcher/farewell.h"
#include "dispatcher/registry.h"

#define NAMES_TRIED 64

struct member *
registry_member_with(const struct registry *r, const char *path)
{
	for (unsigned int i = 0; i < r->n_members; i++) {
		if (r->members[i]->fd >= 0 && strcmp(r->members[i]->path, path) == 0)
			return r->members[i];
	}
	return NULL;
}

void
registry_close_bells(struct member *m)
{
	for (int i = 0; i < m->n_bell_fds; i++)
		close(m->bell_fds[i]);
	m->n_bell_fds = 0;
}

static void
free_member(struct member *m)
{
	if (m == NULL)
		return;
	registry_unmap_table(m);
	registry_close_bells(m);
	bell_close(m);
	free(m->stats);
	free(m);
}

/* The lowest slot that is free. */
static uint16_t
free_index(const struct registry *r)
{
	bool taken[MEMBERS_MAX] = {false};
	uint16_t i = 0;

	for (unsigned int k = 0; k < r->n_members; k++)
		taken[r->members[k]->index] = true;
	while (taken[i])
		i++;
	return i;
}

/* The worker with the fewest queues to poll. */
static uint16_t
choose_worker(const struct registry *r)
{
	unsigned int queues[WORKERS_MAX] = {0};
	uint16_t best = 0;

	for (unsigned int i = 0; i < r->n_members; i++)
		queues[r->members[i]->worker] += r->members[i]->n_queues;
	for (uint16_t w = 1; w < r->lt->n_workers; w++) {
		if (queues[w] < queues[best])
			best = w;
	}
	return best;
}

/* The user may have made files of these names, or mounted something where they are to be. */
static int
name_ring(struct registry *r, struct member *m, char *text)
{
	struct registry_peer peer = {.pid = m->pid, .uid = m->uid};

	for (unsigned int i = 0; i < NAMES_TRIED; i++) {
		if (!registry_name_ring(r, &peer, r->counter++, m->path)) {
			snprintf(text, LTRAN_TEXT_MAX, "unix_prefix is too long");
			return -ENAMETOOLONG;
		}
		if (helper_check_ring(m->path, m->uid) == -ENOENT && registry_member_with(r, m->path) == NULL)
			return 0;
	}
	snprintf(text, LTRAN_TEXT_MAX, "there is no free name for its ring like %s", m->path);
	return -EEXIST;
}

/* What is printed on terminals later. */
static void
copy_name(char to[16], const char *from)
{
	snprintf(to, 16, "%s", from);
	for (char *c = to; *c != '\0'; c++) {
		if (*c < ' ' || *c > '~')
			*c = '?';
	}
}

static struct member *
create_member(struct registry *r, const struct ltran_register *q, const struct registry_peer *peer,
	int fd)
{
	struct member *m = calloc(1, sizeof(*m));
	size_t n = RTE_MAX(r->lt->n_workers, 1u) * sizeof(*m->stats);

	if (m == NULL)
		return NULL;
	m->table_fd = m->kick_fd = -1;
	m->stats = aligned_alloc(RTE_CACHE_LINE_SIZE, n);
	if (m->stats == NULL) {
		free(m);
		return NULL;
	}
	memset(m->stats, 0, n);
	atomic_init(&m->vid, -1);
	m->index = free_index(r);
	m->n_queues = q->n_queues;
	m->worker = choose_worker(r);
	m->addr = q->addr;
	m->mask = q->mask;
	m->gateway = q->gateway;
	m->pid = peer->pid;
	m->uid = peer->uid;
	m->exe_dev = peer->exe_dev;
	m->exe_ino = peer->exe_ino;
	m->since_us = registry_now_us();
	m->fd = fd;
	copy_name(m->program, q->program);
	for (unsigned int i = 0; i < LTRAN_QUEUES_MAX; i++) {
		rte_spinlock_init(&m->tx_lock[i]);
		m->call_fd[i] = -1;
	}
	return m;
}

/* Its ring's name and local ports: new ones, or those it had. */
static int
give_names(struct registry *r, struct member *m, const struct ltran_register *q, char *text)
{
	int ret;

	if (q->resumes) {
		snprintf(m->path, sizeof(m->path), "%s", q->path);
		memcpy(m->blocks, q->blocks, sizeof(m->blocks));
		if (registry_ports_are_free(r, m))
			return 0;
		snprintf(text, LTRAN_TEXT_MAX, "its local ports are another process's by now");
		return -EADDRINUSE;
	}
	ret = registry_make_room(r, m->uid, text);
	if (ret == 0)
		ret = name_ring(r, m, text);
	if (ret < 0)
		return ret;
	registry_give_ports(r, m, REGISTRY_FIRST_BLOCKS);
	return 0;
}

static int
count_here(const struct registry *r)
{
	int n = 0;

	for (unsigned int i = 0; i < r->n_members; i++)
		n += r->members[i]->fd >= 0;
	return n;
}

static void
drop_gone(struct registry *r, uint32_t addr)
{
	for (unsigned int i = 0; i < r->n_gone; i++) {
		if (r->gone[i].addr == addr)
			r->gone[i] = r->gone[--r->n_gone];
	}
}

static int
open_bells(struct registry *r, struct member *m, char *text)
{
	int n = r->lt->awake != NULL ? bell_open(r->lt, m, m->bell_fds) : 0;

	if (n < 0) {
		snprintf(text, LTRAN_TEXT_MAX, "ltran has no descriptors for doorbells: %s",
			strerror(-n));
		return n;
	}
	m->n_bell_fds = n;
	return 0;
}

static int
admit(struct registry *r, struct member *m, const struct ltran_register *q, char *text)
{
	int ret = give_names(r, m, q, text);

	if (ret < 0)
		return ret;
	ret = open_bells(r, m, text);
	if (ret < 0)
		return ret;
	m->policer = policer_get(r->lt, m->addr);
	ret = ring_open(r->lt, m, text, LTRAN_TEXT_MAX);
	if (ret < 0)
		return ret;
	drop_gone(r, m->addr);
	pthread_mutex_lock(&r->lock);
	r->members[r->n_members++] = m;
	pthread_mutex_unlock(&r->lock);
	if (registry_settle(r))
		return 0;
	snprintf(text, LTRAN_TEXT_MAX, "ltran has no memory");
	pthread_mutex_lock(&r->lock);
	r->n_members--; /* it is the last one, and in no map */
	pthread_mutex_unlock(&r->lock);
	ring_close(r->lt, m);
	return -ENOMEM;
}

struct member *
registry_join(struct registry *r, const struct ltran_register *q, const struct registry_peer *peer,
	int fd, int table_fd, int *status, char *text)
{
	struct member *m;

	if (count_here(r) >= (int)r->lt->conf->dispatch_max_clients || r->n_members == MEMBERS_MAX) {
		snprintf(text, LTRAN_TEXT_MAX, "ltran serves %u instances already "
			"(dispatch_max_clients)", r->lt->conf->dispatch_max_clients);
		*status = -EUSERS;
		if (table_fd >= 0)
			closer_close(table_fd, peer->uid);
		return NULL;
	}
	m = create_member(r, q, peer, fd);
	if (m == NULL) {
		snprintf(text, LTRAN_TEXT_MAX, "ltran has no memory");
		*status = -ENOMEM;
		if (table_fd >= 0)
			closer_close(table_fd, peer->uid);
		return NULL;
	}
	*status = registry_map_table(m, table_fd, text);
	if (*status == 0)
		*status = admit(r, m, q, text);
	if (*status == 0)
		return m;
	free_member(m);
	return NULL;
}

/* --- going --------------------------------------------------------------------------------------- */

static bool
has_instances(const struct registry *r, uint32_t addr)
{
	for (unsigned int i = 0; i < r->n_members; i++) {
		if (r->members[i]->fd >= 0 && r->members[i]->addr == addr)
			return true;
	}
	return false;
}

/* From now on, `reset` answers for the address, if it has nobody else. Where there is no room the
 * oldest one has to go: of the same user, if that has had its part. */
static void
add_gone(struct registry *r, const struct member *m)
{
	uint64_t until_us = registry_now_us() +
		(uint64_t)r->lt->conf->tcp_conn_scan_interval * 1000000;
	unsigned int i, n = 0, oldest = 0, own = REGISTRY_GONE_MAX;

	if (has_instances(r, m->addr) || r->lt->conf->tcp_conn_scan_interval == 0)
		return;
	for (i = 0; i < r->n_gone && r->gone[i].addr != m->addr; i++) {
		if (r->gone[i].until_us < r->gone[oldest].until_us)
			oldest = i;
		if (r->gone[i].uid != m->uid)
			continue;
		n++;
		if (own == REGISTRY_GONE_MAX || r->gone[i].until_us < r->gone[own].until_us)
			own = i;
	}
	if (i == r->n_gone && n >= REGISTRY_USER_GONE)
		i = own;
	else if (i == REGISTRY_GONE_MAX)
		i = oldest;
	else if (i == r->n_gone)
		r->n_gone++;
	r->gone[i] = (struct registry_gone){.addr = m->addr, .uid = m->uid, .until_us = until_us};
}

void
registry_leave(struct registry *r, struct member *m)
{
	pthread_mutex_lock(&r->lock);
	m->fd = -1;
	pthread_mutex_unlock(&r->lock);
	add_gone(r, m);
	registry_await(r, m);
	registry_settle(r);
}

void
registry_forget_gone(struct registry *r, uint64_t now_us)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < r->n_gone; i++) {
		if (now_us < r->gone[i].until_us)
			r->gone[n++] = r->gone[i];
	}
	if (n == r->n_gone)
		return;
	r->n_gone = n;
	registry_settle(r);
}

/* No worker knows it any more. */
static void
dispose(struct registry *r, struct member *m)
{
	ring_close(r->lt, m);
	if (m == r->superseded) {
		r->superseded = NULL; /* the instance lives, with the same ring and connections */
	} else {
		helper_remove_ring(m->path);
		registry_remove_room(r, m->uid);
		if (r->lt->conf->tcp_conn_scan_interval > 0)
			farewell_start(r->farewells, m, registry_now_us());
	}
	free_member(m);
}

static bool
publish(struct registry *r)
{
	struct member *here[MEMBERS_MAX];
	uint32_t gone[REGISTRY_GONE_MAX];
	unsigned int n = 0, i;
	struct map *map;

	for (i = 0; i < r->n_members; i++) {
		if (r->members[i]->fd >= 0)
			here[n++] = r->members[i];
	}
	for (i = 0; i < r->n_gone; i++)
		gone[i] = r->gone[i].addr;
	map = map_create(r->lt->conf, here, n, gone, r->n_gone);
	if (map == NULL)
		return false;
	registry_show_awaited(r, map);
	map_publish(r->lt, map);
	return true;
}

bool
registry_settle(struct registry *r)
{
	struct member *leaving[MEMBERS_MAX];
	unsigned int n = 0, n_leaving = 0;

	r->is_unsettled = !publish(r);
	if (r->is_unsettled)
		return false;
	pthread_mutex_lock(&r->lock);
	for (unsigned int i = 0; i < r->n_members; i++) {
		if (r->members[i]->fd < 0)
			leaving[n_leaving++] = r->members[i];
		else
			r->members[n++] = r->members[i];
	}
	r->n_members = n;
	pthread_mutex_unlock(&r->lock);
	for (unsigned int i = 0; i < n_leaving; i++)
		dispose(r, leaving[i]);
	return true;
}

void
registry_free_members(struct registry *r)
{
	struct map *map = r->n_members > 0 ? map_create(r->lt->conf, NULL, 0, NULL, 0) : NULL;

	/* Rings stay where they are: the next ltran finds them. */
	if (map != NULL)
		map_publish(r->lt, map);
	for (unsigned int i = 0; i < r->n_members; i++) {
		ring_close(r->lt, r->members[i]);
		free_member(r->members[i]);
	}
	r->n_members = 0;
}
