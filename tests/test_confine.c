/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ltran without rights: each attempt is made in a child that has confined itself, by the bare system
 * call, as somebody would who has taken it over. Builds with a sanitizer have no filter; of them only
 * the capabilities are tested.
 */
#include "dispatcher/confine.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/cunit_main.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define HAS_FILTER 0
#else
#define HAS_FILTER 1
#endif

#define FAILED_TO_CONFINE 99

/* The exit code of a child that does `attempt` after it has confined itself; 0x100 + signal. */
static int
confined(int (*attempt)(void))
{
	char err[256];
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		if (freopen("/dev/null", "w", stderr) == NULL || confine_process(err, sizeof(err)) < 0)
			_exit(FAILED_TO_CONFINE);
		_exit(attempt());
	}
	CU_ASSERT_EQUAL(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) ? 0x100 + WTERMSIG(status) : WEXITSTATUS(status);
}

/* The call has failed with EPERM. In a debug build it ends the process. */
#define REFUSED(call) ((call) == -1 && errno == EPERM ? 0 : 1)
#ifdef CONFINE_ABORTS
#define ASSERT_REFUSED(attempt)                                                                    \
	do {                                                                                       \
		int code = confined(attempt);                                                      \
		CU_ASSERT(code == 0 || code == 0x100 + SIGABRT);                                   \
	} while (0)
#else
#define ASSERT_REFUSED(attempt) CU_ASSERT_EQUAL(confined(attempt), 0)
#endif

static int
opens(void)
{
	return REFUSED(syscall(SYS_openat, AT_FDCWD, "/dev/null", O_RDONLY)) +
#ifdef SYS_open
	       REFUSED(syscall(SYS_open, "/dev/null", O_RDONLY)) +
#endif
	       REFUSED(syscall(SYS_unlinkat, AT_FDCWD, "/dev/null-not-there", 0));
}

static int
opens_otherwise(void)
{
	char how[24] = "";

	return REFUSED(syscall(437, AT_FDCWD, "/dev/null", how, sizeof(how))) + /* openat2 */
	       REFUSED(syscall(SYS_open_by_handle_at, AT_FDCWD, how, O_RDONLY)) +
	       REFUSED(syscall(SYS_name_to_handle_at, AT_FDCWD, "/", how, how, 0)) +
	       REFUSED(syscall(425, 8, how)) + /* io_uring_setup */
	       REFUSED(syscall(SYS_mknodat, AT_FDCWD, "/tmp/x", S_IFREG | 0600, 0)) +
	       REFUSED(syscall(SYS_mount, "none", "/mnt", "tmpfs", 0, NULL)) +
	       REFUSED(syscall(SYS_chroot, "/"));
}

static int
runs_programs(void)
{
	static char *argv[] = {"/bin/true", NULL};

	return REFUSED(syscall(SYS_execve, argv[0], argv, argv + 1)) +
	       REFUSED(syscall(SYS_execveat, AT_FDCWD, argv[0], argv, argv + 1, 0));
}

static int
makes_processes(void)
{
	return REFUSED(syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL)) +
#ifdef SYS_fork
	       REFUSED(syscall(SYS_fork)) + REFUSED(syscall(SYS_vfork)) +
#endif
	       (syscall(SYS_clone3, NULL, 0) == -1 && errno == ENOSYS ? 0 : 1);
}

static int
looks_into_processes(void)
{
	struct iovec iov = {NULL, 0};

	return REFUSED(syscall(SYS_ptrace, PTRACE_ATTACH, getppid(), NULL, NULL)) +
	       REFUSED(syscall(SYS_process_vm_readv, getppid(), &iov, 1, &iov, 1, 0)) +
	       REFUSED(syscall(SYS_kill, getppid(), SIGTERM)) +
	       REFUSED(syscall(SYS_tgkill, getppid(), getppid(), SIGTERM)) +
	       REFUSED(syscall(434, getppid(), 0)) + /* pidfd_open */
	       REFUSED(syscall(SYS_setns, 0, 0)) + REFUSED(syscall(SYS_unshare, CLONE_NEWUSER)) +
	       REFUSED(syscall(321, 0, NULL, 0)); /* bpf */
}

static int
makes_code(void)
{
	void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (page == MAP_FAILED)
		return 10;
	return REFUSED(syscall(SYS_mprotect, page, 4096, PROT_READ | PROT_EXEC)) +
	       (mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) ==
			MAP_FAILED && errno == EPERM ? 0 : 1);
}

static int
reaches_the_network(void)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX, .sun_path = "/run/systemd/private"};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	return (fd >= 0 ? 0 : 10) + REFUSED(syscall(SYS_connect, fd, &to, sizeof(to))) +
	       REFUSED(syscall(SYS_socket, AF_PACKET, SOCK_RAW, 0)) +
	       REFUSED(syscall(SYS_socket, AF_INET6, SOCK_STREAM, 0)) +
	       REFUSED(syscall(SYS_listen, fd, 1)) + REFUSED(syscall(SYS_ioctl, 0, 0x5412, "x"));
}

static int
changes_itself(void)
{
	struct {
		uint64_t cur, max;
	} limit = {4096, 4096};

	return REFUSED(syscall(SYS_prlimit64, 0, 7, &limit, NULL)) + REFUSED(syscall(SYS_setuid, 0)) +
	       REFUSED(syscall(SYS_prctl, PR_SET_DUMPABLE, 1, 0, 0, 0)) +
	       REFUSED(syscall(SYS_personality, 0));
}

static void
taken_over_it_can_do_nothing_else(void)
{
	static int (*const attempts[])(void) = {opens, opens_otherwise, runs_programs, makes_processes,
		looks_into_processes, makes_code, reaches_the_network, changes_itself};

	for (size_t i = 0; HAS_FILTER && i < sizeof(attempts) / sizeof(attempts[0]); i++)
		ASSERT_REFUSED(attempts[i]);
}

static void *
wait_for_end(void *arg)
{
	struct pollfd p = {.fd = *(int *)arg, .events = POLLIN | POLLHUP};

	while (poll(&p, 1, -1) < 0 && errno == EINTR) /* SIGSYS */
		continue;
	return NULL;
}

/* Threads that were there before, and one that comes later; until the pipe is closed. */
static int
have_threads(int ready, int end)
{
	pthread_t threads[5];
	char err[256], byte = 'x';

	for (int i = 0; i < 4; i++)
		pthread_create(&threads[i], NULL, wait_for_end, &end);
	if (confine_process(err, sizeof(err)) < 0)
		return FAILED_TO_CONFINE;
	pthread_create(&threads[4], NULL, wait_for_end, &end);
	if (write(ready, &byte, 1) != 1)
		return 1;
	for (int i = 0; i < 5; i++)
		pthread_join(threads[i], NULL);
	return 0;
}

/* A number of a thread's status file, or -1. */
static long long
status_of(pid_t pid, const char *tid, const char *key, int base)
{
	char path[300], line[200];
	long long value = -1;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/task/%.20s/status", (int)pid, tid);
	f = fopen(path, "r");
	while (f != NULL && fgets(line, sizeof(line), f) != NULL) {
		if (strncmp(line, key, strlen(key)) == 0)
			value = strtoll(line + strlen(key), NULL, base);
	}
	if (f != NULL)
		fclose(f);
	return value;
}

static void
no_thread_keeps_rights(void)
{
	int ready[2], end[2], status, n = 0;
	char path[64], byte;
	struct dirent *e;
	pid_t pid;
	DIR *d;

	CU_ASSERT_EQUAL_FATAL(pipe(ready), 0);
	CU_ASSERT_EQUAL_FATAL(pipe(end), 0);
	pid = fork();
	if (pid == 0) {
		close(end[1]);
		_exit(have_threads(ready[1], end[0]));
	}
	close(ready[1]);
	CU_ASSERT_EQUAL(read(ready[0], &byte, 1), 1);
	snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	d = opendir(path);
	while (d != NULL && (e = readdir(d)) != NULL) {
		if (e->d_name[0] == '.')
			continue;
		n++;
		CU_ASSERT_EQUAL(status_of(pid, e->d_name, "CapPrm:", 16), 0);
		CU_ASSERT_EQUAL(status_of(pid, e->d_name, "CapEff:", 16), 0);
		CU_ASSERT_EQUAL(status_of(pid, e->d_name, "Seccomp:", 10), HAS_FILTER ? 2 : 0);
	}
	if (d != NULL)
		closedir(d);
	CU_ASSERT(n >= 6);
	close(end[0]);
	close(end[1]);
	close(ready[0]);
	CU_ASSERT_EQUAL(waitpid(pid, &status, 0), pid);
	CU_ASSERT_EQUAL(status, 0);
}

/* What ltran goes on doing. */
static int
works(void)
{
	struct epoll_event e = {.events = EPOLLIN};
	int pair[2], epoll = epoll_create1(EPOLL_CLOEXEC), memory, bell = eventfd(0, EFD_NONBLOCK);
	struct timespec t = {.tv_nsec = 1};
	char byte = 0;
	void *page;
	FILE *f;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) < 0 || epoll < 0 || bell < 0 ||
		epoll_ctl(epoll, EPOLL_CTL_ADD, pair[0], &e) < 0 || send(pair[1], &byte, 1, 0) != 1 ||
		epoll_wait(epoll, &e, 1, 1000) != 1 || recv(pair[0], &byte, 1, 0) != 1)
		return 1;
	memory = memfd_create("x", MFD_CLOEXEC);
	if (memory < 0 || ftruncate(memory, 4096) < 0)
		return 2;
	page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
	if (page == MAP_FAILED || munmap(page, 4096) < 0 || nanosleep(&t, NULL) < 0)
		return 3;
	f = fopen("/etc/passwd", "r");
	free(malloc(64u << 20));
	if (raise(0) != 0 || kill(getpid(), 0) != 0)
		return 4;
	return f == NULL ? 0 : 5;
}

static void
what_it_needs_works(void)
{
	CU_ASSERT_EQUAL(confined(works), HAS_FILTER ? 0 : 5);
}

static const struct cunit_test tests[] = {
	CUNIT_TEST(taken_over_it_can_do_nothing_else),
	CUNIT_TEST(no_thread_keeps_rights),
	CUNIT_TEST(what_it_needs_works),
};

CUNIT_MAIN("confine", tests, NULL, NULL)
