/* SPDX-License-Identifier: BSD-3-Clause */
/* Free memory as the kernel tells it: /proc/meminfo, control groups, the process's own limit. */
#include "nodes/eal_memory.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <linux/capability.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MB (1024 * 1024)
/* A version 1 group without a limit has a number near 2^63. */
#define NO_LIMIT (UINT64_MAX / 4)

static FILE *
open_below(const char *root, const char *path, const char *name)
{
	char full[PATH_MAX];

	if ((size_t)snprintf(full, sizeof(full), "%s%s%s", root, path, name) >= sizeof(full))
		return NULL;
	return fopen(full, "re");
}

/* The number behind `key` in a file of "KEY NUMBER" lines; with an empty key, the only number. */
static bool
read_number(const char *root, const char *path, const char *name, const char *key, uint64_t *out)
{
	FILE *f = open_below(root, path, name);
	size_t len = strlen(key);
	char line[256];
	bool found = false;

	while (f != NULL && !found && fgets(line, sizeof(line), f) != NULL)
		found = strncmp(line, key, len) == 0 &&
			sscanf(line + len, len == 0 ? "%" SCNu64 : "%*[ :]%" SCNu64, out) == 1;
	if (f != NULL)
		fclose(f);
	return found;
}

static void
lower(struct memory_room *out, uint64_t bytes, const char *limit, const char *of)
{
	if (bytes / MB >= out->mb)
		return;
	out->mb = bytes / MB;
	snprintf(out->what, sizeof(out->what), "%s%s", limit, of);
}

/* One group: its limit less what it uses, but for cached files that nobody reads. */
static void
look_at_group(const char *root, const char *dir, bool v2, struct memory_room *out)
{
	uint64_t limit, used, cached = 0;

	if (!read_number(root, dir, v2 ? "/memory.max" : "/memory.limit_in_bytes", "", &limit) ||
		limit >= NO_LIMIT ||
		!read_number(root, dir, v2 ? "/memory.current" : "/memory.usage_in_bytes", "", &used))
		return;
	read_number(root, dir, "/memory.stat", v2 ? "inactive_file" : "total_inactive_file", &cached);
	used -= cached < used ? cached : used;
	lower(out, used < limit ? limit - used : 0, "limit of control group ", dir);
}

/* A group and all above it, up to the mount. */
static void
look_at_groups(const char *root, const char *mount, const char *group, bool v2,
	struct memory_room *out)
{
	char dir[PATH_MAX];
	size_t top = strlen(mount);
	char *slash;

	if (strstr(group, "..") != NULL || /* outside of what this namespace shows */
		(size_t)snprintf(dir, sizeof(dir), "%s%s", mount, group) >= sizeof(dir))
		return;
	for (;;) {
		look_at_group(root, dir, v2, out);
		slash = strrchr(dir, '/');
		if (strlen(dir) <= top || slash == NULL)
			return;
		*slash = '\0';
	}
}

static void
look_at_cgroups(const char *root, struct memory_room *out)
{
	FILE *f = open_below(root, "/proc/self/cgroup", "");
	char line[PATH_MAX], *controllers, *group;

	while (f != NULL && fgets(line, sizeof(line), f) != NULL) {
		line[strcspn(line, "\n")] = '\0';
		controllers = strchr(line, ':');
		group = controllers != NULL ? strchr(controllers + 1, ':') : NULL;
		if (group == NULL)
			continue;
		*group++ = '\0';
		if (controllers[1] == '\0') { /* version 2, alone or beside version 1 */
			look_at_groups(root, "/sys/fs/cgroup", group, true, out);
			look_at_groups(root, "/sys/fs/cgroup/unified", group, true, out);
		} else if (strstr(controllers + 1, "memory") != NULL) {
			look_at_groups(root, "/sys/fs/cgroup/memory", group, false, out);
		}
	}
	if (f != NULL)
		fclose(f);
}

static void
look_at_limit(const char *root, struct memory_room *out)
{
	struct rlimit as;
	uint64_t kb = 0;

	if (getrlimit(RLIMIT_AS, &as) < 0 || as.rlim_cur == RLIM_INFINITY)
		return;
	read_number(root, "/proc/self/status", "", "VmSize", &kb);
	kb *= 1024;
	lower(out, kb < as.rlim_cur ? as.rlim_cur - kb : 0, "limit of the process, ", "ulimit -v");
}

void
memory_room(const char *root, struct memory_room *out)
{
	uint64_t kb;

	out->mb = UINT64_MAX;
	out->what[0] = '\0';
	if (read_number(root, "/proc/meminfo", "", "MemAvailable", &kb))
		lower(out, kb * 1024, "MemAvailable", " of /proc/meminfo");
	look_at_cgroups(root, out);
	look_at_limit(root, out);
}

bool
memory_may_lock(bool capability_counts)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2];
	struct rlimit locked;

	if (getrlimit(RLIMIT_MEMLOCK, &locked) == 0 && locked.rlim_cur == RLIM_INFINITY)
		return true;
	return capability_counts && syscall(SYS_capget, &head, data) == 0 &&
		(data[CAP_IPC_LOCK / 32].effective >> CAP_IPC_LOCK % 32 & 1) != 0;
}
