/* SPDX-License-Identifier: BSD-3-Clause */
/* syscall(), system calls that nobody sees, and numbers that the kernel hands out again. */
#include "preload/fd.h"
#include "preload/guard.h"
#include "tests/preload_pair.h"
#include "tests/raw_syscall.h"

#include <dirent.h>
#include <linux/openat2.h>
#include <mqueue.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>

enum { TAKEN_MAX = 1024 };

int __open_2(const char *path, int flags);

/* --- syscall() ---------------------------------------------------------------------------------------- */

BOTH_MODES(syscall_moves_data_of_our_sockets)
{
	struct pair p = pair_open();
	char buf[8] = "";
	struct iovec in = {buf, sizeof(buf)}, out = {"cd", 2};
	struct msghdr msg = {.msg_iov = &in, .msg_iovlen = 1};
	struct mmsghdr many = {.msg_hdr = {.msg_iov = &out, .msg_iovlen = 1}};

	CU_ASSERT_EQUAL(syscall(SYS_write, p.client, "ab", 2), 2);
	CU_ASSERT_EQUAL(syscall(SYS_read, p.server, buf, sizeof(buf)), 2);
	CU_ASSERT_EQUAL(memcmp(buf, "ab", 2), 0);
	CU_ASSERT_EQUAL(syscall(SYS_sendmmsg, p.client, &many, 1, 0), 1);
	CU_ASSERT_EQUAL(syscall(SYS_recvmsg, p.server, &msg, 0), 2);
	CU_ASSERT_EQUAL(memcmp(buf, "cd", 2), 0);
	CU_ASSERT_EQUAL(syscall(SYS_sendto, p.client, "ef", 2, 0, NULL, 0), 2); /* six arguments */
	CU_ASSERT_EQUAL(syscall(SYS_recvfrom, p.server, buf, 8, MSG_DONTWAIT, NULL, NULL), 2);
	CU_ASSERT_EQUAL(syscall(SYS_recvfrom, p.server, buf, 8, MSG_DONTWAIT, NULL, NULL), -1);
	CU_ASSERT_EQUAL(errno, EAGAIN);
	pair_close(p);
}

BOTH_MODES(syscall_opens_and_closes_our_sockets)
{
	struct pair p = pair_open();
	int copy, fd;
	char c;

	copy = (int)syscall(SYS_dup, p.client);
	CU_ASSERT_PTR_EQUAL(fd_peek(copy), fd_peek(p.client));
	CU_ASSERT_EQUAL(syscall(SYS_close, p.client), 0);
	CU_ASSERT_EQUAL(syscall(SYS_fcntl, copy, F_SETFL, O_NONBLOCK), 0);
	CU_ASSERT(fcntl(copy, F_GETFL) & O_NONBLOCK);
	CU_ASSERT_EQUAL(syscall(SYS_close, copy), 0);
	CU_ASSERT_PTR_NULL(fd_peek(copy));
	CU_ASSERT_EQUAL(read(p.server, &c, 1), 0);
	fd = (int)syscall(SYS_socket, AF_INET, SOCK_STREAM, 0);
	CU_ASSERT_PTR_NOT_NULL(fd_peek(fd));
	CU_ASSERT_EQUAL(connect_to(fd, FAKE_ADDR, port_of(p.listener)), 0);
	close(p.server);
	p.server = (int)syscall(SYS_accept4, p.listener, NULL, NULL, SOCK_NONBLOCK);
	CU_ASSERT(p.server >= 0);
	CU_ASSERT_EQUAL(syscall(SYS_close_range, p.server, p.server, 0), 0);
	CU_ASSERT_EQUAL(read(fd, &c, 1), 0);
	close(fd);
	close(p.listener);
}

BOTH_MODES(syscall_waits_for_our_sockets)
{
	struct pair p = pair_open();
	struct epoll_event ev = {.events = EPOLLIN, .data.u64 = 9}, got = {0};
	int ep = (int)syscall(SYS_epoll_create1, 0);
	struct pollfd pfd = {.fd = p.server, .events = POLLIN};
	struct timespec second = {1, 0};
	unsigned long mask = 0;
	const void *packed[2] = {&mask, (void *)sizeof(mask)};
	fd_set rd;

	CU_ASSERT_EQUAL(syscall(SYS_epoll_ctl, ep, EPOLL_CTL_ADD, p.server, &ev), 0);
	CU_ASSERT_EQUAL(write(p.client, "x", 1), 1);
	CU_ASSERT_EQUAL(syscall(SYS_epoll_pwait, ep, &got, 1, 1000, &mask, sizeof(mask)), 1);
	CU_ASSERT_EQUAL(got.data.u64, 9);
	CU_ASSERT_EQUAL(syscall(SYS_epoll_pwait2, ep, &got, 1, &second, NULL, 0), 1);
	CU_ASSERT_EQUAL(syscall(SYS_epoll_pwait, ep, &got, 1, 0, &mask, 128), -1);
	CU_ASSERT_EQUAL(errno, EINVAL);
	CU_ASSERT_EQUAL(syscall(SYS_ppoll, &pfd, 1, &second, &mask, sizeof(mask)), 1);
	FD_ZERO(&rd);
	FD_SET(p.server, &rd);
	CU_ASSERT_EQUAL(syscall(SYS_pselect6, p.server + 1, &rd, NULL, NULL, &second, packed), 1);
	CU_ASSERT(FD_ISSET(p.server, &rd));
	close(ep);
	pair_close(p);
}

static void syscall_leaves_other_numbers_as_they_are(void)
{
	int status = -1;
	long pid;

	CU_ASSERT_EQUAL(syscall(SYS_getpid), getpid());
	CU_ASSERT_EQUAL(syscall(SYS_lseek, -1, 0, 0), -1);
	CU_ASSERT_EQUAL(errno, EBADF);
	CU_ASSERT_EQUAL(syscall(100000), -1);
	CU_ASSERT_EQUAL(errno, ENOSYS);
	CU_ASSERT_EQUAL(syscall(-1), -1);
	CU_ASSERT_EQUAL(errno, ENOSYS);
	pid = syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
	if (pid == 0)
		raw_syscall(SYS_exit_group, 42, 0, 0, 0, 0);
	CU_ASSERT_EQUAL(waitpid((pid_t)pid, &status, 0), pid);
	CU_ASSERT_EQUAL(WEXITSTATUS(status), 42);
}

static void a_ring_is_refused_to_whoever_asks_by_syscall(void)
{
	char params[256] = "";

	CU_ASSERT_EQUAL(syscall(SYS_io_uring_setup, 8, params), -1);
	CU_ASSERT_EQUAL(errno, ENOSYS);
}

/* --- calls that nobody sees ------------------------------------------------------------------------- */

BOTH_MODES(an_unseen_call_on_a_connection_fails_and_moves_nothing)
{
	struct pair p = pair_open();
	struct sockaddr_in a = address("127.0.0.1", 1);
	struct iovec iov = {"secret", 6};
	int fd = p.server;
	char c = 'c';

	CU_ASSERT_EQUAL(write(p.client, "x", 1), 1);
	CU_ASSERT_EQUAL(raw_syscall(SYS_read, fd, (long)&c, 1, 0, 0), -ENOTCONN);
	CU_ASSERT_EQUAL(raw_syscall(SYS_recvfrom, fd, (long)&c, 1, 0, 0), -ENOTCONN);
	CU_ASSERT_EQUAL(raw_syscall(SYS_write, fd, (long)"secret", 6, 0, 0), -ENOTCONN);
	CU_ASSERT_EQUAL(raw_syscall(SYS_writev, fd, (long)&iov, 1, 0, 0), -ENOTCONN);
	CU_ASSERT_EQUAL(raw_syscall(SYS_sendto, fd, (long)"secret", 6, 0, 0), -ENOTCONN);
	CU_ASSERT(raw_syscall(SYS_connect, fd, (long)&a, sizeof(a), 0, 0) < 0);
	CU_ASSERT(raw_syscall(SYS_bind, fd, (long)&a, sizeof(a), 0, 0) < 0);
	CU_ASSERT(raw_syscall(SYS_listen, fd, 1, 0, 0, 0) < 0);
	CU_ASSERT(raw_syscall(SYS_accept, fd, 0, 0, 0, 0) < 0);
	/* shutdown() reaches all placeholders; they go on failing in the same way. */
	raw_syscall(SYS_shutdown, fd, SHUT_RDWR, 0, 0, 0);
	CU_ASSERT_EQUAL(raw_syscall(SYS_write, fd, (long)"secret", 6, 0, 0), -ENOTCONN);
	CU_ASSERT_EQUAL(raw_syscall(SYS_read, fd, (long)&c, 1, 0, 0), -ENOTCONN);
	CU_ASSERT_EQUAL(recv(p.client, &c, 1, MSG_DONTWAIT), -1);
	CU_ASSERT_EQUAL(errno, EAGAIN);
	CU_ASSERT_EQUAL(read(p.server, &c, 1), 1);
	CU_ASSERT_EQUAL(c, 'x');
	pair_close(p);
}

/* The first socket of a program is made before there is a pool. */
BOTH_MODES(so_it_does_on_a_connection_whose_socket_was_the_kernels)
{
	struct pair p = pair_open();
	int fd, size = 65536;
	char c;

	close(p.client);
	close(p.server);
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	CU_ASSERT_EQUAL(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size)), 0);
	CU_ASSERT_EQUAL(connect_to(fd, FAKE_ADDR, port_of(p.listener)), 0);
	p.server = accept(p.listener, NULL, NULL);
	CU_ASSERT_EQUAL(raw_syscall(SYS_write, fd, (long)"secret", 6, 0, 0), -ENOTCONN);
	CU_ASSERT_EQUAL(raw_syscall(SYS_read, fd, (long)&c, 1, 0, 0), -ENOTCONN);
	CU_ASSERT_EQUAL(raw_syscall(SYS_fcntl, fd, F_GETFD, 0, 0, 0), FD_CLOEXEC);
	CU_ASSERT_EQUAL(write(fd, "x", 1), 1);
	CU_ASSERT_EQUAL(read(p.server, &c, 1), 1);
	p.client = fd;
	pair_close(p);
}

/* --- under guard (syscall_guard=1) ------------------------------------------------------------------- */

/* Not in sanitizers' builds: their runtime makes system calls of its own. */
#if defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define HAS_GUARD 1

static void *write_from_thread(void *arg)
{
	return (void *)raw_syscall(SYS_write, *(int *)arg, (long)"t", 1, 0, 0);
}

/* One bit per observation that is wrong. */
static int look_under_guard(void)
{
	struct pair p = pair_open();
	unsigned long all = ~0ul, old = 0;
	void *written = NULL;
	int status = -1, fd, bad = 0;
	pthread_t thread;
	sigset_t full;
	long pid;
	char c;

	bad |= raw_syscall(SYS_write, p.client, (long)"x", 1, 0, 0) != 1;
	bad |= (raw_syscall(SYS_read, p.server, (long)&c, 1, 0, 0) != 1) << 1;
	bad |= (raw_syscall(SYS_close, -1, 0, 0, 0, 0) != -EBADF) << 2;
	bad |= (raw_syscall(SYS_getpid, 0, 0, 0, 0, 0) != getpid()) << 3;
	/* Whatever is blocked, calls go on. */
	raw_syscall(SYS_rt_sigprocmask, SIG_BLOCK, (long)&all, (long)&old, sizeof(old), 0);
	bad |= (raw_syscall(SYS_getpid, 0, 0, 0, 0, 0) != getpid()) << 4;
	raw_syscall(SYS_rt_sigprocmask, SIG_SETMASK, (long)&old, 0, sizeof(old), 0);
	sigfillset(&full);
	pthread_sigmask(SIG_SETMASK, &full, NULL);
	bad |= (pthread_create(&thread, NULL, write_from_thread, &p.client) != 0) << 5;
	pthread_join(thread, &written);
	bad |= ((long)written != 1 || read(p.server, &c, 1) != 1 || c != 't') << 6;
	/* A child is guarded as well, and its sockets are its parent's. */
	pid = raw_syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
	if (pid == 0)
		raw_syscall(SYS_exit_group, 7, 0, 0, 0, 0);
	bad |= (waitpid((pid_t)pid, &status, 0) != pid || WEXITSTATUS(status) != 7) << 7;
	bad |= (raw_syscall(SYS_close, p.server, 0, 0, 0, 0) != 0 || fd_peek(p.server) == NULL) << 8;
	bad |= (fd_peek(p.server)->kind != FILE_FREE || recv(p.client, &c, 1, 0) != 0) << 9;
	fd = (int)raw_syscall(SYS_openat, AT_FDCWD, (long)"/dev/null", O_WRONLY, 0, 0);
	bad |= (fd < 0 || fd_peek(fd) != NULL || write(fd, "y", 1) != 1) << 10;
	return bad;
}

/* In a child: the guard does not end. */
static void calls_in_the_programs_own_code_are_served_under_guard(void)
{
	enum { NO_GUARD = 77 };
	const char *why;
	int status = -1;
	pid_t pid = fork();

	if (pid == 0) {
		int bad;

		if (guard_start(&why) < 0) {
			fprintf(stderr, "not tested: %s\n", why);
			_exit(NO_GUARD);
		}
		bad = look_under_guard();
		if (bad)
			fprintf(stderr, "wrong: %x\n", bad);
		_exit(bad != 0);
	}
	CU_ASSERT_EQUAL(waitpid(pid, &status, 0), pid);
	CU_ASSERT(WIFEXITED(status));
	CU_ASSERT(WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == NO_GUARD);
}

#endif

/* --- numbers that come back ------------------------------------------------------------------------- */

static char temporary[] = "test_syscall.XXXXXX";
static int passed_by; /* a UNIX socket that hands out what is sent through `passed_in` */
static int passed_in, unix_listener;

static int by_open(void)
{
	return open("/dev/null", O_RDWR);
}

static int by_open64(void)
{
	return open64("/dev/null", O_RDWR);
}

static int by_openat(void)
{
	return openat(AT_FDCWD, "/dev/null", O_RDWR);
}

static int by_fortified_open(void)
{
	return __open_2("/dev/null", O_RDWR);
}

static int by_creat(void)
{
	return creat("/dev/null", 0600);
}

static int by_syscall(void)
{
	return (int)syscall(SYS_openat, AT_FDCWD, "/dev/null", O_RDWR);
}

static int by_openat2(void)
{
	struct open_how how = {.flags = O_RDWR};

	return (int)syscall(SYS_openat2, AT_FDCWD, "/dev/null", &how, sizeof(how));
}

static int by_memfd(void)
{
	return memfd_create("test", 0);
}

static int by_eventfd(void)
{
	return eventfd(0, EFD_NONBLOCK);
}

static int by_eventfd_number(void)
{
	return (int)syscall(SYS_eventfd2, 0, EFD_NONBLOCK);
}

static int by_timerfd(void)
{
	return timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
}

static int by_signalfd(void)
{
	sigset_t none;

	sigemptyset(&none);
	return signalfd(-1, &none, SFD_NONBLOCK);
}

static int by_inotify(void)
{
	return inotify_init1(IN_NONBLOCK);
}

static int by_epoll(void)
{
	return epoll_create1(0);
}

static int by_unix_socket(void)
{
	return socket(AF_UNIX, SOCK_STREAM, 0);
}

static int by_socketpair(void)
{
	int fds[2];

	CU_ASSERT_EQUAL(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	close(fds[1]);
	return fds[0];
}

static int by_pipe(void)
{
	int fds[2];

	CU_ASSERT_EQUAL(pipe(fds), 0);
	close(fds[1]);
	return fds[0];
}

static int by_dup(void)
{
	return dup(STDERR_FILENO);
}

static int by_fcntl(void)
{
	return fcntl(STDERR_FILENO, F_DUPFD, 0);
}

static int by_accept(void)
{
	return accept(unix_listener, NULL, NULL);
}

static int by_mkstemp(void)
{
	char name[sizeof(temporary)];
	int fd;

	memcpy(name, temporary, sizeof(name));
	fd = mkstemp(name);
	unlink(name);
	return fd;
}

static FILE *stream;

static int by_tmpfile(void)
{
	stream = tmpfile();
	return fileno(stream);
}

static int by_fopen(void)
{
	stream = fopen("/dev/null", "w");
	return fileno(stream);
}

static int by_popen(void)
{
	stream = (popen)("true", "r");
	return fileno(stream);
}

static DIR *directory;

static int by_opendir(void)
{
	directory = opendir("/");
	return dirfd(directory);
}

static int by_pseudoterminal(void)
{
	return posix_openpt(O_RDWR | O_NOCTTY);
}

static int by_shared_memory(void)
{
	int fd = shm_open("/gazelle-test-syscall", O_RDWR | O_CREAT, 0600);

	shm_unlink("/gazelle-test-syscall");
	return fd;
}

/* Does `msg` carry a descriptor? */
static int carried(struct msghdr *msg)
{
	struct cmsghdr *c = CMSG_FIRSTHDR(msg);
	int fd = -1;

	if (c && c->cmsg_type == SCM_RIGHTS)
		memcpy(&fd, CMSG_DATA(c), sizeof(fd));
	return fd;
}

static int pass(bool many)
{
	char space[CMSG_SPACE(sizeof(int))] = "", c = 'c';
	struct iovec iov = {&c, 1};
	struct mmsghdr m = {.msg_hdr = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = space,
				    .msg_controllen = sizeof(space)}};
	struct cmsghdr *h = CMSG_FIRSTHDR(&m.msg_hdr);
	int fd = STDERR_FILENO;

	*h = (struct cmsghdr){CMSG_LEN(sizeof(fd)), SOL_SOCKET, SCM_RIGHTS};
	memcpy(CMSG_DATA(h), &fd, sizeof(fd));
	CU_ASSERT_EQUAL(sendmsg(passed_in, &m.msg_hdr, 0), 1);
	CU_ASSERT_EQUAL(many ? recvmmsg(passed_by, &m, 1, 0, NULL) :
			       recvmsg(passed_by, &m.msg_hdr, 0),
		1);
	return carried(&m.msg_hdr);
}

static int by_message(void)
{
	return pass(false);
}

static int by_many_messages(void)
{
	return pass(true);
}

static const struct {
	const char *name;
	int (*make)(void);
} makers[] = {
	{"open", by_open}, {"open64", by_open64}, {"openat", by_openat},
	{"__open_2", by_fortified_open}, {"creat", by_creat}, {"syscall", by_syscall},
	{"openat2", by_openat2}, {"memfd_create", by_memfd}, {"eventfd", by_eventfd},
	{"SYS_eventfd2", by_eventfd_number}, {"timerfd_create", by_timerfd},
	{"signalfd", by_signalfd}, {"inotify_init1", by_inotify}, {"epoll_create1", by_epoll},
	{"socket", by_unix_socket}, {"socketpair", by_socketpair}, {"pipe", by_pipe},
	{"dup", by_dup}, {"fcntl", by_fcntl}, {"accept", by_accept}, {"mkstemp", by_mkstemp},
	{"tmpfile", by_tmpfile}, {"fopen", by_fopen}, {"popen", by_popen},
	{"opendir", by_opendir}, {"posix_openpt", by_pseudoterminal},
	{"shm_open", by_shared_memory}, {"recvmsg", by_message}, {"recvmmsg", by_many_messages},
};

static void close_made(int fd)
{
	if (stream)
		pclose(stream);
	else if (directory)
		closedir(directory);
	else
		close(fd);
	stream = NULL;
	directory = NULL;
}

/* Take every number below `fd`, so that the kernel's next one is `fd` once that is closed. */
static int fill_below(int fd, int *taken)
{
	int n = 0, next;

	CU_ASSERT_FATAL(fd < TAKEN_MAX);
	while ((next = (int)raw_syscall(SYS_fcntl, STDERR_FILENO, F_DUPFD, 3, 0, 0)) < fd)
		taken[n++] = next;
	raw_syscall(SYS_close, next, 0, 0, 0, 0);
	return n;
}

static void number_comes_back(size_t i)
{
	struct pair p = pair_open();
	int taken[TAKEN_MAX], n = fill_below(p.server, taken), fd;
	char c;

	CU_ASSERT_EQUAL(raw_syscall(SYS_close, p.server, 0, 0, 0, 0), 0);
	fd = makers[i].make();
	if (fd != p.server)
		printf("%s: %d, not %d\n", makers[i].name, fd, p.server);
	CU_ASSERT_EQUAL(fd, p.server);
	CU_ASSERT(fd_peek(fd) == NULL || fd_peek(fd)->kind == FILE_EPOLL);
	if (fd_peek(fd) != NULL && fd_peek(fd)->kind != FILE_EPOLL)
		printf("%s: the number still is the connection's\n", makers[i].name);
	/* To the peer the connection was closed; what is written into the new file stays there. */
	CU_ASSERT_EQUAL(recv(p.client, &c, 1, MSG_DONTWAIT), 0);
	close_made(fd);
	while (n > 0)
		raw_syscall(SYS_close, taken[--n], 0, 0, 0, 0);
	close(p.client);
	close(p.listener);
	CU_ASSERT_EQUAL(fake_live, 0);
}

static void a_number_that_the_kernel_hands_out_again_is_the_new_files(void)
{
	struct sockaddr_un name = {.sun_family = AF_UNIX, .sun_path = "\0gazelle-test-syscall"};
	int ends[2], knock;

	CU_ASSERT_EQUAL_FATAL(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
	passed_in = ends[0];
	passed_by = ends[1];
	unix_listener = socket(AF_UNIX, SOCK_STREAM, 0);
	knock = socket(AF_UNIX, SOCK_STREAM, 0);
	CU_ASSERT_EQUAL(bind(unix_listener, (struct sockaddr *)&name, sizeof(name)), 0);
	CU_ASSERT_EQUAL(listen(unix_listener, 8), 0);
	CU_ASSERT_EQUAL(connect(knock, (struct sockaddr *)&name, sizeof(name)), 0);
	for (size_t i = 0; i < sizeof(makers) / sizeof(makers[0]); i++)
		number_comes_back(i);
	close(knock);
	close(unix_listener);
	close(passed_in);
	close(passed_by);
}

static int lowest_waiting(void)
{
	int fd = 3;

	while (fd < TAKEN_MAX && fd_peek(fd) != &fd_free)
		fd++;
	return fd;
}

/* A pool whose placeholders were closed unseen is noticed with the first number that comes back. */
static void placeholders_that_were_closed_unseen_are_not_used(void)
{
	struct pair p = pair_open(), q;
	int more = -1, waiting, taken[TAKEN_MAX], n, file;

	waiting = lowest_waiting();
	if (waiting == TAKEN_MAX) { /* the pool was empty: another socket fills it */
		more = socket(AF_INET, SOCK_STREAM, 0);
		waiting = lowest_waiting();
	}
	CU_ASSERT_FATAL(waiting < TAKEN_MAX);
	n = fill_below(waiting, taken);
	for (int fd = waiting; fd < waiting + 200; fd++)
		if (fd_peek(fd) == &fd_free)
			raw_syscall(SYS_close, fd, 0, 0, 0, 0);
	file = open("/dev/null", O_RDWR);
	CU_ASSERT_EQUAL(file, waiting);
	q = pair_open();
	CU_ASSERT(q.client != file && q.server != file && q.listener != file);
	CU_ASSERT(raw_syscall(SYS_fcntl, q.listener, F_GETFD, 0, 0, 0) >= 0);
	CU_ASSERT(raw_syscall(SYS_fcntl, q.server, F_GETFD, 0, 0, 0) >= 0);
	CU_ASSERT_EQUAL(write(q.client, "x", 1), 1);
	close(file);
	if (more >= 0)
		close(more);
	while (n > 0)
		raw_syscall(SYS_close, taken[--n], 0, 0, 0, 0);
	pair_close(p);
	pair_close(q);
	CU_ASSERT_EQUAL(fake_live, 0);
}

static const struct cunit_test tests[] = {
#ifdef HAS_GUARD
	CUNIT_TEST(calls_in_the_programs_own_code_are_served_under_guard),
#endif
	CUNIT_TEST(syscall_moves_data_of_our_sockets),
	CUNIT_TEST(syscall_opens_and_closes_our_sockets),
	CUNIT_TEST(syscall_waits_for_our_sockets),
	CUNIT_TEST(syscall_leaves_other_numbers_as_they_are),
	CUNIT_TEST(a_ring_is_refused_to_whoever_asks_by_syscall),
	CUNIT_TEST(an_unseen_call_on_a_connection_fails_and_moves_nothing),
	CUNIT_TEST(so_it_does_on_a_connection_whose_socket_was_the_kernels),
	CUNIT_TEST(a_number_that_the_kernel_hands_out_again_is_the_new_files),
	CUNIT_TEST(placeholders_that_were_closed_unseen_are_not_used),
};
CUNIT_MAIN("syscall", tests, NULL, NULL)
