/* SPDX-License-Identifier: BSD-3-Clause */
/* The memory that is left: the tightest limit of all counts, and is named. */
#include "tests/cunit_main.h"

#include <ftw.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "nodes/eal_memory.h"

static char root[64];
static struct memory_room room;

static void
make(void)
{
	snprintf(root, sizeof(root), "/tmp/test_eal_memory-XXXXXX");
	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(root));
}

static int
remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
	return remove(path);
}

static void
clean(void)
{
	nftw(root, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

/* A file below the root, and the directories it stands in. */
static void
put(const char *path, const char *text)
{
	char full[512];
	FILE *f;

	snprintf(full, sizeof(full), "%s%s", root, path);
	for (char *p = full + strlen(root) + 1; (p = strchr(p, '/')) != NULL; p++) {
		*p = '\0';
		mkdir(full, 0700);
		*p = '/';
	}
	f = fopen(full, "w");
	CU_ASSERT_PTR_NOT_NULL_FATAL(f);
	fputs(text, f);
	fclose(f);
}

#define EXPECT(megabytes, says)                                                                    \
	do {                                                                                       \
		memory_room(root, &room);                                                          \
		CU_ASSERT_EQUAL(room.mb, megabytes);                                               \
		CU_ASSERT_PTR_NOT_NULL(strstr(room.what, says));                                   \
	} while (0)

static void
available_memory_counts(void)
{
	EXPECT(UINT64_MAX, "");
	put("/proc/meminfo", "MemTotal: 9000000 kB\nMemFree:  1024 kB\nMemAvailable:  4096000 kB\n");
	EXPECT(4000, "MemAvailable");
}

static void
every_group_above_counts(void)
{
	put("/proc/meminfo", "MemAvailable:  4096000 kB\n");
	put("/proc/self/cgroup", "0::/a/b\n");
	put("/sys/fs/cgroup/a/b/memory.max", "max\n");
	put("/sys/fs/cgroup/a/b/memory.current", "1048576\n");
	EXPECT(4000, "MemAvailable");
	put("/sys/fs/cgroup/a/memory.max", "1073741824\n");
	put("/sys/fs/cgroup/a/memory.current", "536870912\n");
	EXPECT(512, "/sys/fs/cgroup/a");
	put("/sys/fs/cgroup/a/memory.stat", "anon 5\ninactive_file 104857600\n");
	EXPECT(612, "/sys/fs/cgroup/a");
	put("/sys/fs/cgroup/a/b/memory.max", "2097152\n");
	EXPECT(1, "/sys/fs/cgroup/a/b");
	put("/sys/fs/cgroup/a/b/memory.current", "4194304\n");
	EXPECT(0, "/sys/fs/cgroup/a/b");
}

static void
version_1_groups_count(void)
{
	put("/proc/meminfo", "MemAvailable:  4096000 kB\n");
	put("/proc/self/cgroup", "5:cpu,cpuacct:/x\n4:memory:/c\n0::/\n");
	put("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
	put("/sys/fs/cgroup/memory/memory.usage_in_bytes", "4194304\n");
	EXPECT(4000, "MemAvailable");
	put("/sys/fs/cgroup/memory/c/memory.limit_in_bytes", "2147483648\n");
	put("/sys/fs/cgroup/memory/c/memory.usage_in_bytes", "1073741824\n");
	EXPECT(1024, "/sys/fs/cgroup/memory/c");
	put("/sys/fs/cgroup/memory/c/memory.stat", "inactive_file 1\ntotal_inactive_file 1048576\n");
	EXPECT(1025, "/sys/fs/cgroup/memory/c");
}

static void
limit_of_the_process_counts(void)
{
	struct rlimit old, as;

	getrlimit(RLIMIT_AS, &old);
	as = (struct rlimit){.rlim_cur = 1ULL << 50, .rlim_max = old.rlim_max};
	setrlimit(RLIMIT_AS, &as);
	put("/proc/self/status", "Name: x\nVmSize:   1048576 kB\n");
	EXPECT((1ULL << 30) - 1024, "ulimit -v");
	setrlimit(RLIMIT_AS, &old);
}

static const struct cunit_test tests[] = {
	CUNIT_TEST(available_memory_counts),
	CUNIT_TEST(every_group_above_counts),
	CUNIT_TEST(version_1_groups_count),
	CUNIT_TEST(limit_of_the_process_counts),
};
CUNIT_MAIN("eal_memory", tests, make, clean)
