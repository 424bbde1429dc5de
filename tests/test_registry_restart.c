/* SPDX-License-Identifier: BSD-3-Clause */
/* Registration: what becomes of instances when ltran starts again, also of those of other users. */
#include <grp.h>
#include <pwd.h>
#include <sys/wait.h>

#include "tests/registry_rig.h"

/* The server of its ring. */
static int
serve_ring(const char *path)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	CU_ASSERT_EQUAL(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	CU_ASSERT_EQUAL(listen(fd, 1), 0);
	return fd;
}

static void
resume(struct instance *in)
{
	close(in->fd);
	in->fd = dial();
	in->q.resumes = 1;
	memcpy(in->q.path, in->a.path, sizeof(in->q.path));
	memcpy(in->q.blocks, in->a.blocks, sizeof(in->q.blocks));
}

static void
instance_comes_back_after_a_restart(void)
{
	struct instance a, b;
	int server;

	begin(&a, ADDR);
	CU_ASSERT_EQUAL(enter(&a), 0);
	a.a.blocks[1] = 0xff00;
	server = serve_ring(a.a.path);
	registry_stop(lt);
	CU_ASSERT_EQUAL(access(a.a.path, F_OK), 0);
	CU_ASSERT_EQUAL(registry_start_in(lt, dir, err, sizeof(err)), 0);
	/* A new one waits, so that it does not get what is another's. */
	begin(&b, ADDR);
	send_fds(b.fd, &b.q, sizeof(b.q), &b.table_fd, 1);
	resume(&a);
	CU_ASSERT_EQUAL(enter(&a), 0);
	CU_ASSERT_STRING_EQUAL(a.a.path, a.q.path);
	CU_ASSERT_EQUAL(a.a.blocks[1], 0xff00);
	CU_ASSERT_EQUAL(recv(b.fd, &b.a, sizeof(b.a), 0), sizeof(b.a));
	CU_ASSERT_EQUAL(b.a.header.status, 0);
	CU_ASSERT_EQUAL(b.a.blocks[0], 0xf0);
	CU_ASSERT_STRING_NOT_EQUAL(a.a.path, b.a.path);
	/* A third one claims blocks of the second. */
	resume(&b);
	b.q.blocks[0] = 0xf;
	snprintf(b.q.path, sizeof(b.q.path), "%s/ltran_%d_77.vhost", dir, (int)getpid());
	close(serve_ring(b.q.path));
	CU_ASSERT_EQUAL(enter(&b), -EADDRINUSE);
	unlink(b.q.path);
	close(server);
	end(&a);
	end(&b);
	EVENTUALLY(access(a.a.path, F_OK) < 0);
}

static void
instance_may_register_anew_before_its_end_is_seen(void)
{
	struct instance a;
	int server, old;

	begin(&a, ADDR);
	CU_ASSERT_EQUAL(enter(&a), 0);
	server = serve_ring(a.a.path);
	old = dup(a.fd);
	resume(&a);
	CU_ASSERT_EQUAL(enter(&a), 0);
	CU_ASSERT_EQUAL(n_members(), 1);
	CU_ASSERT_EQUAL(n_rings, 1);
	CU_ASSERT_EQUAL(access(a.a.path, F_OK), 0);
	close(old);
	close(server);
	end(&a);
}

static void
ring_of_somebody_else_is_refused(void)
{
	struct instance in;
	char paths[][LTRAN_PATH_MAX] = {"", "/etc/passwd", "", "", ""};
	int server;

	snprintf(paths[2], LTRAN_PATH_MAX, "%s/ltran_1_0.vhost", dir);
	snprintf(paths[3], LTRAN_PATH_MAX, "%s/../ltran_%d_0.vhost", dir, (int)getpid());
	snprintf(paths[4], LTRAN_PATH_MAX, "%s/ltran_%d_00.vhost", dir, (int)getpid());
	for (unsigned int i = 0; i < RTE_DIM(paths); i++) {
		begin(&in, ADDR);
		in.q.resumes = 1;
		memcpy(in.q.path, paths[i], LTRAN_PATH_MAX);
		CU_ASSERT_EQUAL(enter(&in), -EINVAL);
		CU_ASSERT_PTR_NOT_NULL(strstr(in.a.text, "ring of process"));
		end(&in);
	}
	begin(&in, ADDR);
	in.q.resumes = 1;
	snprintf(in.q.path, LTRAN_PATH_MAX, "%s/ltran_%d_5.vhost", dir, (int)getpid());
	server = open(in.q.path, O_CREAT | O_RDWR, 0600);
	CU_ASSERT_EQUAL(enter(&in), -EINVAL);
	CU_ASSERT_PTR_NOT_NULL(strstr(in.a.text, "no socket"));
	close(server);
	unlink(in.q.path);
	end(&in);
}

static void
rings_of_dead_processes_are_removed_at_start(void)
{
	char path[LTRAN_PATH_MAX], other[LTRAN_PATH_MAX];

	registry_stop(lt);
	snprintf(path, sizeof(path), "%s/ltran_%d_3.vhost", dir, 0x3fffffff);
	snprintf(other, sizeof(other), "%s/xltran_%d_3.vhost", dir, 0x3fffffff);
	close(serve_ring(path));
	close(serve_ring(other));
	CU_ASSERT_EQUAL(registry_start_in(lt, dir, err, sizeof(err)), 0);
	CU_ASSERT_EQUAL(access(path, F_OK), -1);
	CU_ASSERT_EQUAL(access(other, F_OK), 0); /* of another prefix */
	unlink(other);
}

/* As another user; 0: registered, and its ring is in a directory of its own. */
static int
register_as(uid_t uid)
{
	struct instance in;
	char want[LTRAN_PATH_MAX];
	struct stat st;
	int status;

	if (setgroups(0, NULL) < 0 || setresgid(uid, uid, uid) < 0 || setresuid(uid, uid, uid) < 0)
		return 2;
	memset(&in, 0, sizeof(in));
	in.fd = dial();
	if (in.fd < 0)
		return 3;
	close(in.fd);
	begin(&in, ADDR);
	if (enter(&in) != 0)
		return 4;
	snprintf(want, sizeof(want), "%s/ring_%u/ltran_%d_0.vhost", dir, uid, (int)getpid());
	status = strcmp(want, in.a.path) != 0;
	close(serve_ring(in.a.path));
	*strrchr(want, '/') = '\0';
	if (stat(want, &st) < 0 || st.st_uid != uid || (st.st_mode & 0777) != 0700)
		status = 5;
	CU_ASSERT(dup(in.fd) >= 0); /* or its end would be seen first */
	resume(&in);
	return status != 0 ? status : enter(&in) != 0;
}

static int
run_as(uid_t uid)
{
	pid_t pid = fork();
	int status;

	if (pid == 0)
		_exit(register_as(uid));
	CU_ASSERT_EQUAL(waitpid(pid, &status, 0), pid);
	return WEXITSTATUS(status);
}

static void
members_of_client_group_may_register(void)
{
	const struct passwd *user = getpwnam("nobody");
	const struct group *group = user != NULL ? getgrgid(user->pw_gid) : NULL;
	char room[LTRAN_PATH_MAX];
	struct stat st;

	if (geteuid() != 0 || group == NULL || user->pw_gid != user->pw_uid)
		return; /* only root can be two users */
	CU_ASSERT_EQUAL(run_as(user->pw_uid), 3);
	registry_stop(lt);
	snprintf(conf.client_group, sizeof(conf.client_group), "%s", group->gr_name);
	CU_ASSERT_EQUAL_FATAL(registry_start_in(lt, dir, err, sizeof(err)), 0);
	CU_ASSERT_EQUAL(stat(lt->registry->path, &st), 0);
	CU_ASSERT_EQUAL(st.st_mode & 0777, 0660);
	CU_ASSERT_EQUAL(stat(dir, &st), 0);
	CU_ASSERT_EQUAL(st.st_mode & 0777, 0711);
	CU_ASSERT_EQUAL(run_as(user->pw_uid), 0);
	EVENTUALLY(n_members() == 0);
	snprintf(room, sizeof(room), "%s/ring_%u", dir, user->pw_uid);
	EVENTUALLY(access(room, F_OK) < 0);
	CU_ASSERT_EQUAL(run_as(user->pw_uid - 1), 3); /* not in the group */
	registry_stop(lt);
	snprintf(conf.client_group, sizeof(conf.client_group), "no such group");
	CU_ASSERT_EQUAL(registry_start_in(lt, dir, err, sizeof(err)), -ENOENT);
	CU_ASSERT_EQUAL(chmod(dir, 0700), 0);
	conf.client_group[0] = '\0';
	CU_ASSERT_EQUAL_FATAL(registry_start_in(lt, dir, err, sizeof(err)), 0);
}

static const struct cunit_test tests[] = {
	CUNIT_TEST(instance_comes_back_after_a_restart),
	CUNIT_TEST(instance_may_register_anew_before_its_end_is_seen),
	CUNIT_TEST(ring_of_somebody_else_is_refused),
	CUNIT_TEST(rings_of_dead_processes_are_removed_at_start),
	CUNIT_TEST(members_of_client_group_may_register),
};
RIG_MAIN("registry_restart", tests)
