/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * DPDK's environment (EAL) from a user's arguments: memory, runtime files.
 *
 * The user's arguments are kept in their order, but for those this DPDK lacks or that contradict
 * each other; each such change is explained in one line on stderr. What the user left open is
 * filled in so that a start on any machine works and says nothing:
 *  - no hugepages free (or fewer than asked for): ordinary pages, which virtio-user and vhost can
 *    share as well (one memfd);
 *  - the runtime directory carries our pid, so that processes never meet, and nothing that outlives
 *    a killed process is made: hugepage files are unlinked at once, ordinary pages need no files. The
 *    directory itself is removed as soon as it is not needed (eal_runtime.h).
 */
#include "nodes/eal.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <rte_eal.h>
#include <rte_log.h>
#include <rte_errno.h>

#include "common/say.h"
#include "nodes/eal_args.h"
#include "nodes/eal_memory.h"
#include "nodes/eal_runtime.h"

#define HUGEPAGES_MIN_MB 256 /* fewer would only make small pools */
#define MEMORY_OTHER_MB 128  /* of a process beside its packets */
#define MEMORY_LEFT_SHARE 16 /* of what is available, one part is not ours to take */

static void __attribute__((format(printf, 1, 2)))
notice(const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	vsay(format, ap);
	va_end(ap);
}

/* Free hugepages of every size, in MB. */
static unsigned long
free_hugepage_mb(void)
{
	static const char root[] = "/sys/kernel/mm/hugepages";
	unsigned long kb = 0, page_kb, n;
	char path[PATH_MAX];
	struct dirent *e;
	DIR *d = opendir(root);
	FILE *f;

	while (d != NULL && (e = readdir(d)) != NULL) {
		if (sscanf(e->d_name, "hugepages-%lukB", &page_kb) != 1)
			continue;
		snprintf(path, sizeof(path), "%s/%s/free_hugepages", root, e->d_name);
		f = fopen(path, "re");
		if (f == NULL)
			continue;
		if (fscanf(f, "%lu", &n) == 1)
			kb += n * page_kb;
		fclose(f);
	}
	if (d != NULL)
		closedir(d);
	return kb / 1024;
}

static bool
is_hugetlbfs_mounted(void)
{
	char line[PATH_MAX], type[64];
	bool found = false;
	FILE *f = fopen("/proc/mounts", "re");

	while (f != NULL && !found && fgets(line, sizeof(line), f) != NULL)
		found = sscanf(line, "%*s %*s %63s", type) == 1 && strcmp(type, "hugetlbfs") == 0;
	if (f != NULL)
		fclose(f);
	return found;
}

/* Why hugepages cannot be used, in words; NULL: they can. */
static const char *
hugepage_obstacle(const struct eal_params *p, const struct args_seen *seen, char *buf, size_t len)
{
	unsigned long mb = free_hugepage_mb();
	unsigned int need = seen->memory_mb > 0 ? seen->memory_mb :
		p->size_mb > HUGEPAGES_MIN_MB ? p->size_mb : HUGEPAGES_MIN_MB;

	if (mb == 0)
		return "no hugepage is free";
	if (mb < need) {
		snprintf(buf, len, "only %lu MB of hugepages are free, %u are needed", mb, need);
		return buf;
	}
	if (seen->huge_dir != NULL && access(seen->huge_dir, W_OK) != 0) {
		snprintf(buf, len, "%s: %s", seen->huge_dir, strerror(errno));
		return buf;
	}
	if (seen->huge_dir != NULL && !is_hugetlbfs_mounted())
		return "no hugetlbfs is mounted";
	return NULL;
}

/* `why`: hugepages cannot be used; NULL: they can, or the user does not want them. */
static void
add_memory_args(struct eal *e, const struct eal_params *p, const struct args_seen *seen,
	const char *why, struct args *a)
{
	if (!seen->no_huge && why == NULL) {
		if (!seen->in_memory && (seen->one_file ||
			(seen->huge_dir == NULL && !seen->legacy_mem)))
			args_add(a, "--in-memory");
		else if (!seen->in_memory && !seen->huge_unlink)
			args_add(a, "--huge-unlink");
		if (seen->virtio_user && !seen->single_file &&
			(seen->one_file || !seen->legacy_mem))
			args_add(a, "--single-file-segments"); /* vhost takes 8 regions */
		return;
	}
	if (!seen->no_huge)
		args_add(a, "--no-huge");
	e->no_huge = true;
	e->memory_mb = seen->memory_mb > 0 ? seen->memory_mb :
		p->size_pages_mb > p->default_mb ? p->size_pages_mb : p->default_mb;
	args_add(a, "-m");
	args_add(a, "%u", e->memory_mb);
	if (!seen->no_shconf)
		args_add(a, "--no-shconf"); /* no second process could map this memory */
	if (why != NULL)
		notice("%s: running on %u MB of ordinary pages", why, e->memory_mb);
}

/* DPDK wants one core for its own bookkeeping; the threads of the data path are ours, not DPDK's. */
static void
add_core_arg(const struct eal_params *p, struct args *a)
{
	int cpu = p->cpu;
	cpu_set_t set;

	if (cpu < 0) {
		cpu = 0;
		if (sched_getaffinity(0, sizeof(set), &set) == 0)
			while (cpu < CPU_SETSIZE - 1 && !CPU_ISSET(cpu, &set))
				cpu++;
	}
	args_add(a, "-l");
	args_add(a, "%d", cpu);
}

static int
build_args(struct eal *e, const struct eal_params *p, struct args *a)
{
	struct args_seen seen = { 0 };
	char reason[PATH_MAX + 64];
	const char *why = NULL;
	unsigned int i;

	args_scan(&seen, p->args, p->n_args);
	args_scan(&seen, p->extra, p->n_extra);
	seen.one_file = p->one_file;
	if (!seen.no_huge)
		why = hugepage_obstacle(p, &seen, reason, sizeof(reason));
	seen.drop_huge_options = why != NULL;
	seen.small_rings = !memory_may_lock(!p->loses_rights);
	args_add(a, "%s", p->name);
	for (i = 0; i < p->n_args; i++)
		i += args_copy(a, &seen, p->args + i, p->n_args - i);
	if (seen.map_perfect)
		notice("--map-perfect is not needed with this DPDK and ignored");
	add_memory_args(e, p, &seen, why, a);
	e->size_is_users = seen.memory_mb > 0;
	e->has_cores = seen.cores;
	if (!seen.cores)
		add_core_arg(p, a);
	if (!seen.file_prefix) {
		args_add(a, "--file-prefix");
		args_add(a, EAL_FILE_PREFIX "%d", getpid());
	}
	if (seen.vdev && !seen.allow && !seen.no_pci)
		args_add(a, "--no-pci");
	if (!seen.iova && (seen.vdev || e->no_huge))
		args_add(a, "--iova-mode=va");
	if (!seen.telemetry)
		args_add(a, "--no-telemetry");
	if (!seen.log_level)
		args_add(a, "--log-level=error");
	return a->failed ? -ENOMEM : 0;
}

/* Does DPDK keep anything in its runtime directory? */
static bool
keeps_files(const struct eal *e)
{
	bool has_files = true, has_socket = true;

	for (int i = 0; i < e->argc; i++) {
		if (strcmp(e->argv[i], "--in-memory") == 0 || strcmp(e->argv[i], "--no-shconf") == 0)
			has_files = false;
		else if (strcmp(e->argv[i], "--no-telemetry") == 0)
			has_socket = false;
	}
	return has_files || has_socket;
}

/* Others must not be able to put files there, nor see ours. */
static int
check_runtime_dir(const struct eal *e, const char *key, char *err, size_t err_len)
{
	char dir[PATH_MAX];

	eal_runtime_dir(dir);
	if (!keeps_files(e) || eal_runtime_is_ours(dir))
		return 0;
	snprintf(err, err_len, "%s: DPDK would keep files in %s, which belongs to another user: add "
		"--in-memory and --no-telemetry, or set XDG_RUNTIME_DIR to a directory of your own",
		key, dir);
	return -EPERM;
}

static void
remove_runtime_dir(void)
{
	char dir[PATH_MAX];

	eal_runtime_dir(dir);
	eal_runtime_remove(dir, getpid());
}

uint64_t
eal_pool_bytes(uint64_t n, uint32_t bytes, bool ordinary)
{
	const uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);

	if (!ordinary)
		return n * bytes;
	return bytes > page ? n * ((bytes + page - 1) / page * page) :
		(n + page / bytes - 1) / (page / bytes) * page;
}

/* Ordinary pages are refused before they are taken: what a user has asked for must fit. */
static int
check_memory(const struct eal *e, const struct eal_params *p, char *err, size_t len)
{
	struct memory_room room;
	uint64_t n;

	memory_room("", &room);
	room.mb -= room.mb / MEMORY_LEFT_SHARE;
	if (!e->no_huge || e->memory_mb <= room.mb || (!e->size_is_users && p->size_key == NULL))
		return 0;
	if (e->size_is_users) {
		snprintf(err, len, "%s: %u MB of memory (-m or --socket-mem) are more than the "
			"%" PRIu64 " MB that %s leaves", p->key, e->memory_mb, room.mb, room.what);
		return -ENOMEM;
	}
	n = room.mb < MEMORY_OTHER_MB ? 0 : (room.mb - MEMORY_OTHER_MB) * p->size_n / p->size_pages_mb;
	snprintf(err, len, "%s: these packets take %u MB, more than the %" PRIu64 " MB that %s leaves; "
		"about %" PRIu64 " fit", p->size_key, p->size_pages_mb, room.mb, room.what, n);
	return -ENOMEM;
}

int
eal_start(struct eal *e, const struct eal_params *p, char *err, size_t err_len)
{
	struct args a = { .v = e->argv, .max = EAL_ARGS_MAX };
	char *argv[EAL_ARGS_MAX], dir[PATH_MAX]; /* EAL reorders its copy of the arguments */
	cpu_set_t cpus;
	int ret;

	eal_runtime_dir(dir);
	eal_runtime_remove_stale(dir);
	ret = build_args(e, p, &a);
	e->argc = a.n;
	if (ret < 0) {
		snprintf(err, err_len, "%s: too many arguments", p->key);
		return ret;
	}
	ret = check_runtime_dir(e, p->key, err, err_len);
	if (ret == 0)
		ret = check_memory(e, p, err, err_len);
	if (ret < 0)
		return ret;
	memcpy(argv, e->argv, sizeof(argv));
	pthread_getaffinity_np(pthread_self(), sizeof(cpus), &cpus);
	rte_openlog_stream(say_stream()); /* NULL: as it was */
	ret = rte_eal_init(e->argc, argv);
	e->is_ready = ret >= 0;
	if (!p->stay_on_core)
		pthread_setaffinity_np(pthread_self(), sizeof(cpus), &cpus);
	if (!keeps_files(e))
		remove_runtime_dir();
	if (ret >= 0)
		return 0;
	snprintf(err, err_len, "DPDK does not start: %s (%s)", rte_strerror(rte_errno), p->key);
	return rte_errno > 0 ? -rte_errno : -EIO;
}

void
eal_stop(struct eal *e)
{
	int i;

	if (e->is_ready)
		rte_eal_cleanup();
	e->is_ready = false;
	for (i = 0; i < e->argc; i++)
		free(e->argv[i]);
	e->argc = 0;
	remove_runtime_dir();
}
