/* SPDX-License-Identifier: BSD-3-Clause */
/* DPDK's runtime directories: whose they are, and that removing them follows nobody's links. */
#include "nodes/eal_runtime.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/cunit_main.h"

static char top[64], dir[96], victim[96];

static void
touch(const char *base, const char *name)
{
	char path[200];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", base, name);
	fd = open(path, O_CREAT | O_WRONLY | O_EXCL, 0600);
	CU_ASSERT(fd >= 0);
	close(fd);
}

static bool
is_there(const char *base, const char *name)
{
	char path[200];
	struct stat st;

	snprintf(path, sizeof(path), "%s/%s", base, name);
	return lstat(path, &st) == 0;
}

static void
make(const char *base, const char *name, char path[200])
{
	snprintf(path, 200, "%s/%s", base, name);
	CU_ASSERT_EQUAL(mkdir(path, 0700), 0);
}

/* A pid that nobody has: of a child that has been waited for. */
static int
dead_pid(void)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(0);
	waitpid(pid, NULL, 0);
	return pid;
}

static void
setup(void)
{
	snprintf(top, sizeof(top), "/tmp/test_eal_XXXXXX");
	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(top));
	snprintf(dir, sizeof(dir), "%s/dpdk", top);
	snprintf(victim, sizeof(victim), "%s/victim", top);
	CU_ASSERT_EQUAL_FATAL(mkdir(dir, 0700), 0);
	CU_ASSERT_EQUAL_FATAL(mkdir(victim, 0700), 0);
	touch(victim, "precious");
}

static void
teardown(void)
{
	char path[200];

	CU_ASSERT_TRUE(is_there(victim, "precious"));
	snprintf(path, sizeof(path), "%s/precious", victim);
	unlink(path);
	rmdir(victim);
	rmdir(dir);
	CU_ASSERT_EQUAL(rmdir(top), 0);
}

static void
leftovers_of_killed_processes_are_removed(void)
{
	char name[32], path[200], own[32];

	snprintf(name, sizeof(name), EAL_FILE_PREFIX "%d", dead_pid());
	snprintf(own, sizeof(own), EAL_FILE_PREFIX "%d", getpid());
	make(dir, name, path);
	touch(path, "config");
	make(dir, own, path);
	touch(path, "config");
	eal_runtime_remove_stale(dir);
	CU_ASSERT_FALSE(is_there(dir, name));
	CU_ASSERT_TRUE(is_there(dir, own));
	eal_runtime_remove(dir, getpid());
	CU_ASSERT_FALSE(is_there(top, "dpdk")); /* empty, and in /tmp */
}

static void
other_names_stay(void)
{
	static const char *const names[] = {"rte", "gazelle_", "gazelle_x", "gazelle_1", "gazelle_0999999"};
	char path[200];

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		make(dir, names[i], path);
	eal_runtime_remove_stale(dir);
	eal_runtime_remove(dir, getpid());
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
		CU_ASSERT_EQUAL(rmdir(path), 0);
	}
}

static void
links_are_not_followed(void)
{
	char path[200];
	int pid = dead_pid();

	snprintf(path, sizeof(path), "%s/" EAL_FILE_PREFIX "%d", dir, pid);
	CU_ASSERT_EQUAL(symlink(victim, path), 0);
	eal_runtime_remove_stale(dir);
	eal_runtime_remove(dir, pid);
	unlink(path);

	snprintf(path, sizeof(path), "%s/link", top);
	CU_ASSERT_EQUAL(symlink(dir, path), 0);
	CU_ASSERT_FALSE(eal_runtime_is_ours(path));
	unlink(path);
}

static void
directories_of_others_are_not_ours(void)
{
	char path[200], name[32];

	CU_ASSERT_TRUE(eal_runtime_is_ours(dir));
	snprintf(path, sizeof(path), "%s/not-there", top);
	CU_ASSERT_TRUE(eal_runtime_is_ours(path));
	CU_ASSERT_EQUAL(chmod(dir, 0777), 0);
	CU_ASSERT_FALSE(eal_runtime_is_ours(dir));
	CU_ASSERT_EQUAL(chmod(dir, 0700), 0);
	if (geteuid() != 0)
		return;
	snprintf(name, sizeof(name), EAL_FILE_PREFIX "%d", dead_pid());
	make(dir, name, path);
	CU_ASSERT_EQUAL(chown(dir, 65534, 65534), 0);
	CU_ASSERT_FALSE(eal_runtime_is_ours(dir));
	eal_runtime_remove_stale(dir);
	CU_ASSERT_TRUE(is_there(dir, name));
	CU_ASSERT_EQUAL(chown(dir, 0, 0), 0);
	CU_ASSERT_EQUAL(chown(path, 65534, 65534), 0);
	eal_runtime_remove_stale(dir);
	CU_ASSERT_TRUE(is_there(dir, name));
	rmdir(path);
}

static const struct cunit_test tests[] = {
	CUNIT_TEST(leftovers_of_killed_processes_are_removed),
	CUNIT_TEST(other_names_stay),
	CUNIT_TEST(links_are_not_followed),
	CUNIT_TEST(directories_of_others_are_not_ours),
};

CUNIT_MAIN("eal_runtime", tests, setup, teardown)
