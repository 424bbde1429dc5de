/* SPDX-License-Identifier: BSD-3-Clause */
/* The process that has rights in ltran's place: what it does, and what it does for nobody. */
#include "dispatcher/helper.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/sockios.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "dispatcher/helper_work.h"
#include "tests/cunit_main.h"

#define PREFIX "p-"
#define MEMORY (1 << 20)
#define MANY 20 /* more than a user may have at work */
#define RING PREFIX "ltran_12_3.vhost"

static char dir[64];
static struct helper_place place;

static const char *
in_dir(const char *name)
{
	static char path[4][LTRAN_PATH_MAX];
	static unsigned int next;
	char *p = path[next++ % 4];

	snprintf(p, LTRAN_PATH_MAX, "%s/%s", dir, name);
	return p;
}

static struct helper_request
request(enum helper_op op, const char *path, uid_t uid)
{
	struct helper_request q = {.op = op, .uid = uid};

	snprintf(q.path, sizeof(q.path), "%s", path);
	return q;
}

static int
work(const struct helper_request *q)
{
	struct helper_answer a;
	int fd = helper_work(&place, q, &a);

	if (fd >= 0)
		close(fd);
	return a.ret;
}

static int
ask(enum helper_op op, const char *path, uid_t uid)
{
	struct helper_request q = request(op, path, uid);

	return work(&q);
}

static int
listen_at(const char *path)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	CU_ASSERT_EQUAL(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	CU_ASSERT_EQUAL(listen(fd, 5), 0);
	return fd;
}

static void
setup(void)
{
	struct helper_request q;

	snprintf(dir, sizeof(dir), "/tmp/test_helper_XXXXXX");
	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(dir));
	place = (struct helper_place){.dir = ""};
	q = request(HELPER_PLACE, dir, 0);
	snprintf(q.prefix, sizeof(q.prefix), PREFIX);
	CU_ASSERT_EQUAL(work(&q), 0);
	CU_ASSERT_EQUAL(work(&q), -EPERM); /* once and for all */
}

static void
teardown(void)
{
	CU_ASSERT_EQUAL(rmdir(dir), 0);
}

static void
rings_are_checked_connected_and_removed(void)
{
	const char *path = in_dir(RING);
	int fd = listen_at(path);

	CU_ASSERT_EQUAL(ask(HELPER_CHECK_RING, path, geteuid()), 0);
	CU_ASSERT_EQUAL(ask(HELPER_CHECK_RING, path, geteuid() + 1), -EPERM);
	CU_ASSERT_EQUAL(ask(HELPER_CONNECT_RING, path, geteuid()), 0);
	CU_ASSERT_EQUAL(ask(HELPER_CONNECT_RING, path, geteuid() + 1), -EPERM);
	close(fd);
	CU_ASSERT_EQUAL(ask(HELPER_CONNECT_RING, path, geteuid()), -ECONNREFUSED);
	CU_ASSERT_EQUAL(ask(HELPER_REMOVE_RING, path, 0), 0);
	CU_ASSERT_EQUAL(ask(HELPER_CHECK_RING, path, geteuid()), -ENOENT);
	CU_ASSERT_EQUAL(ask(HELPER_REMOVE_RING, path, 0), -ENOENT);
}

static void
other_names_are_nobodys_ring(void)
{
	static const char *const names[] = {
		"ltran_12_3.vhost", "x-ltran_12_3.vhost", PREFIX "ltran_12_3.vhost2",
		PREFIX "ltran_012_3.vhost", PREFIX "ltran_-1_3.vhost", PREFIX "ltran_0_3.vhost",
		PREFIX "ltran_12_3.vhost/../x", PREFIX "ltran_client.sock", PREFIX "../" RING,
		PREFIX "ring_1/../" RING, PREFIX "ring_01/" RING, PREFIX "ring_1/x", "", "..",
		PREFIX "ring_1/ring_2/" RING, PREFIX "ring_1/ltran_12_3.vhost",
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		CU_ASSERT_EQUAL(ask(HELPER_CHECK_RING, in_dir(names[i]), 0), -EINVAL);
		CU_ASSERT_EQUAL(ask(HELPER_REMOVE_RING, in_dir(names[i]), 0), -EINVAL);
	}
	CU_ASSERT_EQUAL(ask(HELPER_CONNECT_RING, "/run/systemd/private", 0), -EINVAL);
	CU_ASSERT_EQUAL(ask(HELPER_CONNECT_RING, "/tmp/" RING, 0), -EINVAL);
	CU_ASSERT_EQUAL(ask(HELPER_REMOVE_OWN, "/etc/passwd", 0), -EINVAL);
	CU_ASSERT_EQUAL(ask(HELPER_REMOVE_OWN, in_dir(PREFIX "x"), 0), -EINVAL);
	CU_ASSERT_EQUAL(ask(HELPER_REMOVE_OWN, in_dir(PREFIX "ring_1/ltran_1.sock"), 0), -EINVAL);
	CU_ASSERT_EQUAL(ask(HELPER_REMOVE_OWN, in_dir(PREFIX "ltran_client.sock"), 0), -ENOENT);
	CU_ASSERT_EQUAL(ask(HELPER_REMOVE_OWN, in_dir(PREFIX "ltran_client.sock.lock"), 0), -ENOENT);
	CU_ASSERT_EQUAL(ask(HELPER_REMOVE_OWN, in_dir(PREFIX "ltran_17.sock"), 0), -ENOENT);
}

/* Who owns the room may put there what he likes: it must lead nowhere. */
static void
links_in_rooms_lead_nowhere(void)
{
	const char *target = in_dir("target");
	char room[LTRAN_PATH_MAX], ring[LTRAN_PATH_MAX];
	int fd = listen_at(target);
	struct stat st;

	if (geteuid() == 0) {
		CU_ASSERT_EQUAL(ask(HELPER_MAKE_ROOM, "", 65534), 0);
		CU_ASSERT_EQUAL(ask(HELPER_MAKE_ROOM, "", 65534), 0);
		snprintf(room, sizeof(room), "%s/" PREFIX "ring_65534", dir);
		CU_ASSERT_EQUAL(stat(room, &st), 0);
		CU_ASSERT_EQUAL(st.st_uid, 65534);
		CU_ASSERT_EQUAL(st.st_mode & 0777, 0700);
		snprintf(ring, sizeof(ring), "%.60s/" RING, room);
		CU_ASSERT_EQUAL(symlink(target, ring), 0);
		CU_ASSERT_EQUAL(ask(HELPER_CONNECT_RING, ring, 0), -EPERM);
		CU_ASSERT_EQUAL(ask(HELPER_CONNECT_RING, ring, 65534), -EPERM);
		CU_ASSERT_EQUAL(ask(HELPER_REMOVE_RING, ring, 65534), -ENOENT);
		unlink(ring);
		fd = (close(fd), listen_at(ring));
		CU_ASSERT_EQUAL(ask(HELPER_CONNECT_RING, ring, 65534), -EPERM); /* it is root's */
		CU_ASSERT_EQUAL(chown(ring, 65534, -1), 0);
		CU_ASSERT_EQUAL(ask(HELPER_CONNECT_RING, ring, 65534), 0);
		CU_ASSERT_EQUAL(ask(HELPER_REMOVE_RING, ring, 0), 0);
		CU_ASSERT_EQUAL(ask(HELPER_REMOVE_ROOM, "", 65534), 0);
	}
	close(fd);
	unlink(target);
}

/* A file system of the user's own could be one that never answers. */
static void
what_is_mounted_in_a_room_is_not_entered(void)
{
	char room[LTRAN_PATH_MAX + 16];
	pid_t child;
	int status;

	snprintf(room, sizeof(room), "%s/" PREFIX "ring_%u", dir, (unsigned int)geteuid());
	CU_ASSERT_EQUAL(work(&(struct helper_request){.op = HELPER_MAKE_ROOM, .uid = geteuid()}), 0);
	child = fork();
	if (child == 0) {
		char ring[sizeof(room) + 32];

		if (unshare(CLONE_NEWNS | (geteuid() != 0 ? CLONE_NEWUSER : 0)) < 0 ||
			mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
			mount("test", room, "tmpfs", 0, NULL) < 0)
			_exit(2);
		snprintf(ring, sizeof(ring), "%s/" RING, room);
		_exit(ask(HELPER_CHECK_RING, ring, geteuid()) != -EXDEV ||
			ask(HELPER_CONNECT_RING, ring, geteuid()) != -EXDEV ||
			ask(HELPER_REMOVE_RING, ring, geteuid()) != -EXDEV ||
			work(&(struct helper_request){.op = HELPER_MAKE_ROOM, .uid = geteuid()}) != -EXDEV ||
			work(&(struct helper_request){.op = HELPER_REMOVE_ROOM, .uid = geteuid()}) != -EBUSY);
	}
	CU_ASSERT_EQUAL(waitpid(child, &status, 0), child);
	if (WEXITSTATUS(status) == 2)
		printf("nothing can be mounted here: not tried\n");
	else
		CU_ASSERT_EQUAL(status, 0);
	CU_ASSERT_EQUAL(work(&(struct helper_request){.op = HELPER_REMOVE_ROOM, .uid = geteuid()}), 0);
}

static void
requests_are_checked(void)
{
	struct helper_request q = request(99, "", 0);

	CU_ASSERT_EQUAL(work(&q), -EINVAL);
	q = request(HELPER_CHECK_RING, "", 0);
	memset(q.path, 'x', sizeof(q.path));
	CU_ASSERT_EQUAL(work(&q), -EINVAL);
	q = (struct helper_request){.op = HELPER_PACKET_SOCKET, .type = SOCK_DGRAM};
	CU_ASSERT_EQUAL(work(&q), -EPERM);
	q = (struct helper_request){.op = HELPER_SET_DEVICE, .ioctl = SIOCSIFADDR};
	CU_ASSERT_EQUAL(work(&q), -EPERM);
	q = (struct helper_request){.op = HELPER_SET_DEVICE, .ioctl = SIOCSIFMTU};
	memset(q.ifr.ifr_name, 'x', sizeof(q.ifr.ifr_name));
	CU_ASSERT_EQUAL(work(&q), -EINVAL);
	q = (struct helper_request){.op = HELPER_PROGRAM, .pid = -1};
	CU_ASSERT_EQUAL(work(&q), -EINVAL);
}

/* The real one, in a process of its own. */
static void
helper_answers_and_ends_with_ltran(void)
{
	char name[] = "test-of-helper";
	char *argv[] = {name, NULL};
	uint64_t dev, ino;
	struct stat st;
	int fd;

	CU_ASSERT_EQUAL_FATAL(helper_start(1, argv), 0);
	CU_ASSERT_TRUE(helper_is_there());
	CU_ASSERT_EQUAL(helper_set_place(dir, PREFIX), 0);
	CU_ASSERT_EQUAL(helper_set_place("/", ""), -EPERM);
	CU_ASSERT_EQUAL(helper_program_of(getpid(), &dev, &ino), 0);
	CU_ASSERT_EQUAL(stat("/proc/self/exe", &st), 0);
	CU_ASSERT(((uint64_t)major(st.st_dev) << 32 | minor(st.st_dev)) == dev && st.st_ino == ino);
	fd = listen_at(in_dir(RING));
	close(helper_connect_ring(in_dir(RING), geteuid()));
	close(fd);
	CU_ASSERT_EQUAL(helper_connect_ring(in_dir(RING), geteuid()), -ECONNREFUSED);
	CU_ASSERT_EQUAL(helper_remove_ring(in_dir(RING)), 0);
	CU_ASSERT_STRING_EQUAL(name, "test-of-helper"); /* it is the child's copy that changes */
	helper_stop(); /* waits for its end */
	CU_ASSERT_FALSE(helper_is_there());
}

static uint64_t
now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static pid_t
only_child(void)
{
	char text[64] = "";
	int fd = open("/proc/thread-self/children", O_RDONLY | O_CLOEXEC);

	if (fd >= 0 && read(fd, text, sizeof(text) - 1) < 0)
		text[0] = '\0';
	close(fd);
	return (pid_t)strtol(text, NULL, 10);
}

static int
memory_file(void)
{
	int fd = memfd_create("memory", MFD_CLOEXEC);

	CU_ASSERT_EQUAL(fallocate(fd, 0, 0, MEMORY), 0);
	return fd;
}

static bool
can_punch(int fd)
{
	return fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, MEMORY) == 0;
}

/* Of Linux before 6.0, and without the capability, nothing keeps a process from it: ring.c looks for holes. */
static bool
kernel_can_keep(void)
{
	int fd = memory_file(), flags = FS_IMMUTABLE_FL;
	bool can = ioctl(fd, FS_IOC_SETFLAGS, &flags) == 0;

	close(fd);
	return can;
}

/* While a hole is punched whoever touches its pages waits: nobody can punch any. */
static void
memory_keeps_its_pages(void)
{
	char name[] = "test-of-helper";
	char *argv[] = {name, NULL}, path[] = "/dev/shm/test_helper_XXXXXX";
	int fds[2] = {memory_file(), memory_file()}, named = mkstemp(path);
	bool is_kept = kernel_can_keep();
	char *at;

	CU_ASSERT_FATAL(named >= 0);
	CU_ASSERT_EQUAL(fallocate(named, 0, 0, MEMORY), 0);
	CU_ASSERT_TRUE(can_punch(fds[0]));
	CU_ASSERT_EQUAL_FATAL(helper_start(1, argv), 0);
	for (int i = 0; i < 2 * MANY; i++)
		CU_ASSERT_EQUAL(helper_keep_pages(fds, 2, geteuid()), 0);
	for (int i = 0; i < 2; i++) {
		CU_ASSERT_EQUAL(can_punch(fds[i]), !is_kept);
		/* The next ltran can map it as this one did. */
		at = mmap(NULL, MEMORY, PROT_READ | PROT_WRITE, MAP_SHARED, fds[i], 0);
		CU_ASSERT_FATAL(at != MAP_FAILED);
		at[MEMORY - 1] = 1;
		CU_ASSERT_EQUAL(madvise(at, MEMORY, MADV_REMOVE), is_kept ? -1 : 0);
		munmap(at, MEMORY);
		close(fds[i]);
	}
	for (int i = 0; i < MANY; i++) {
		fds[0] = memory_file();
		CU_ASSERT_EQUAL(helper_keep_pages(fds, 1, geteuid()), 0);
		CU_ASSERT_EQUAL(can_punch(fds[0]), !is_kept);
		close(fds[0]);
	}
	CU_ASSERT_EQUAL(helper_keep_pages(&named, 1, geteuid()), 0);
	CU_ASSERT_EQUAL(unlink(path), 0); /* who has a name can still be rid of it */
	CU_ASSERT_TRUE(can_punch(named));
	close(named);
	CU_ASSERT_EQUAL(helper_keep_pages(&(int){STDIN_FILENO}, 1, geteuid()), 0); /* no memory at all */
	helper_stop();
}

/* Last: from then on it is the end. */
static void
stopped_helper_does_not_hold_up_the_end(void)
{
	char name[] = "test-of-helper";
	char *argv[] = {name, NULL};
	uint64_t dev, ino, start;
	pid_t pid;

	CU_ASSERT_EQUAL_FATAL(helper_start(1, argv), 0);
	CU_ASSERT_EQUAL(helper_program_of(getpid(), &dev, &ino), 0);
	pid = only_child();
	CU_ASSERT_FATAL(pid > 0);
	kill(pid, SIGSTOP);
	start = now_ms();
	helper_hurry();
	for (int i = 0; i < 5; i++)
		CU_ASSERT_EQUAL(helper_program_of(getpid(), &dev, &ino), -ETIMEDOUT);
	helper_stop();
	CU_ASSERT(now_ms() - start < 700);
	kill(pid, SIGKILL);
	while (wait(NULL) > 0)
		continue;
}

static const struct cunit_test tests[] = {
	CUNIT_TEST(rings_are_checked_connected_and_removed),
	CUNIT_TEST(other_names_are_nobodys_ring),
	CUNIT_TEST(links_in_rooms_lead_nowhere),
	CUNIT_TEST(what_is_mounted_in_a_room_is_not_entered),
	CUNIT_TEST(requests_are_checked),
	CUNIT_TEST(helper_answers_and_ends_with_ltran),
	CUNIT_TEST(memory_keeps_its_pages),
	CUNIT_TEST(stopped_helper_does_not_hold_up_the_end),
};

CUNIT_MAIN("helper", tests, setup, teardown)
