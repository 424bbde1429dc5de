/* SPDX-License-Identifier: BSD-3-Clause */
/* Descriptors of instances: closed at once, or by processes that may have to wait. */
#include "dispatcher/closer.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "tests/cunit_main.h"

#define USER 1000
#define OTHER 1001
#define MANY 64
#define LINGERING 6 /* more than there are processes of one kind */
#define WAIT_S 10

static bool
is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

/* The processes have all the time they need; we do not sleep. */
static bool
becomes(bool (*is)(int), int arg, bool wanted)
{
	time_t end = time(NULL) + WAIT_S;

	while (is(arg) != wanted && time(NULL) < end)
		sched_yield();
	return is(arg) == wanted;
}

static int
strange(void)
{
	int pipes[2] = {-1, -1};

	CU_ASSERT_EQUAL_FATAL(pipe(pipes), 0);
	close(pipes[1]);
	return pipes[0];
}

static void
send_with(int to, int fd)
{
	union {
		struct cmsghdr head;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = {.head = {.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET,
		.cmsg_type = SCM_RIGHTS}};
	struct iovec iov = {(void *)(uintptr_t)"x", 1};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

	memcpy(CMSG_DATA(&control.head), &fd, sizeof(fd));
	if (fd >= 0) {
		msg.msg_control = &control;
		msg.msg_controllen = sizeof(control);
	}
	CU_ASSERT_EQUAL(sendmsg(to, &msg, 0), 1);
}

/* To all processes that close. */
static void
signal_closers(int number)
{
	char path[64];
	int pid;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/task/%d/children", (int)gettid());
	f = fopen(path, "re");
	CU_ASSERT_PTR_NOT_NULL_FATAL(f);
	while (fscanf(f, "%d", &pid) == 1)
		kill(pid, number);
	fclose(f);
}

static void
memory_and_eventfds_are_closed_at_once(void)
{
	int memory = memfd_create("test", MFD_CLOEXEC), event = eventfd(0, EFD_CLOEXEC);

	signal_closers(SIGSTOP);
	CU_ASSERT_TRUE(closer_is_eventfd(event));
	CU_ASSERT_FALSE(closer_is_eventfd(memory));
	closer_close(memory, USER);
	closer_close(event, USER);
	CU_ASSERT_FALSE(is_open(memory));
	CU_ASSERT_FALSE(is_open(event));
	signal_closers(SIGCONT);
}

static void
other_descriptors_are_closed_by_others(void)
{
	int fd = strange();

	closer_close(fd, USER);
	CU_ASSERT_TRUE(becomes(is_open, fd, false));
}

/* Nothing of what is on its way over it is installed or waited for. */
static void
peer_hears_of_the_end_at_once(void)
{
	struct pollfd p = {.events = POLLIN};
	int pair[2];

	for (int unread = 0; unread < 2; unread++) {
		CU_ASSERT_EQUAL_FATAL(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
		signal_closers(SIGSTOP);
		if (unread)
			CU_ASSERT_EQUAL(send(pair[1], "", 0, 0), 0); /* empty, but a message */
		closer_hang_up(pair[0]);
		CU_ASSERT_EQUAL(is_open(pair[0]), unread);
		p.fd = pair[1];
		CU_ASSERT_EQUAL(poll(&p, 1, 0), 1);
		CU_ASSERT_NOT_EQUAL(p.revents & POLLHUP, 0);
		signal_closers(SIGCONT);
		CU_ASSERT_TRUE(becomes(is_open, pair[0], false));
		close(pair[1]);
	}
}

/* A TCP socket whose close() waits for a peer that reads nothing; *peer receives the other end. */
static int
lingering(int *peer)
{
	struct linger on = {.l_onoff = 1, .l_linger = 1000};
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	socklen_t len = sizeof(at);
	char bytes[4096] = "";
	int listener = socket(AF_INET, SOCK_STREAM, 0), fd = socket(AF_INET, SOCK_STREAM, 0);

	CU_ASSERT_EQUAL_FATAL(bind(listener, (struct sockaddr *)&at, len), 0);
	CU_ASSERT_EQUAL_FATAL(listen(listener, 1), 0);
	CU_ASSERT_EQUAL_FATAL(getsockname(listener, (struct sockaddr *)&at, &len), 0);
	CU_ASSERT_EQUAL_FATAL(connect(fd, (struct sockaddr *)&at, len), 0);
	*peer = accept(listener, NULL, NULL);
	close(listener);
	CU_ASSERT_EQUAL_FATAL(setsockopt(fd, SOL_SOCKET, SO_LINGER, &on, sizeof(on)), 0);
	while (send(fd, bytes, sizeof(bytes), MSG_DONTWAIT) > 0)
		;
	return fd;
}

static void
interrupt(int sig)
{
	(void)sig;
}

/*
 * Whatever a descriptor would wait for, the processes are soon there for the next one. While is_open() asks
 * about a number, it holds the file; where it is closed by a process at that moment, the file's end
 * comes at the end of is_open(), and it is the test that lingers. A timer ends that wait, too.
 */
static void
sockets_that_linger_are_not_waited_for(void)
{
	const struct itimerval often = {{0, 10000}, {0, 10000}}, never = {0};
	int peers[2 * LINGERING], ours[2 * LINGERING];

	signal_closers(SIGSTOP); /* no number is used again meanwhile */
	for (int i = 0; i < 2 * LINGERING; i++) {
		int fd = lingering(&peers[i]), pair[2];

		if (i < LINGERING) {
			ours[i] = fd;
			closer_close(fd, USER);
			continue;
		}
		CU_ASSERT_EQUAL_FATAL(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
		send_with(pair[1], fd);
		close(fd);
		close(pair[1]);
		ours[i] = pair[0];
		closer_hang_up(pair[0]);
	}
	signal(SIGALRM, interrupt);
	setitimer(ITIMER_REAL, &often, NULL);
	signal_closers(SIGCONT);
	for (int i = 0; i < 2 * LINGERING; i++)
		CU_ASSERT_TRUE(becomes(is_open, ours[i], false));
	setitimer(ITIMER_REAL, &never, NULL);
	for (int i = 0; i < 2 * LINGERING; i++)
		close(peers[i]);
}

static int messages[2], stream[2];

static bool
may_read(int uid)
{
	return closer_may_read(messages[0], false, (uid_t)uid);
}

static void
user_whose_descriptors_wait_may_send_no_more(void)
{
	int fds[MANY];

	CU_ASSERT_EQUAL_FATAL(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, messages), 0);
	CU_ASSERT_EQUAL_FATAL(socketpair(AF_UNIX, SOCK_STREAM, 0, stream), 0);
	signal_closers(SIGSTOP);
	for (int i = 0; i < MANY; i++) {
		CU_ASSERT_TRUE(closer_may_read(stream[0], true, USER));
		fds[i] = strange();
		closer_close(fds[i], USER);
	}
	CU_ASSERT_TRUE(may_read(USER)); /* there is nothing */
	CU_ASSERT_TRUE(closer_may_read(stream[0], true, USER));
	send_with(messages[1], -1);
	send_with(messages[1], STDIN_FILENO);
	send_with(stream[1], -1);
	CU_ASSERT_TRUE(may_read(USER)); /* a message without descriptors */
	CU_ASSERT_EQUAL(recv(messages[0], &(char){0}, 1, 0), 1);
	CU_ASSERT_FALSE(may_read(USER));
	CU_ASSERT_FALSE(closer_may_read(stream[0], true, USER));
	CU_ASSERT_TRUE(may_read(OTHER));
	signal_closers(SIGCONT);
	CU_ASSERT_TRUE(becomes(may_read, USER, true));
	for (int i = 0; i < MANY; i++)
		CU_ASSERT_TRUE(becomes(is_open, fds[i], false));
	for (int i = 0; i < 2; i++) {
		close(messages[i]);
		close(stream[i]);
	}
}

static void
setup(void)
{
	static bool is_started;

	if (!is_started)
		closer_start();
	is_started = true;
}

static const struct cunit_test tests[] = {
	CUNIT_TEST(memory_and_eventfds_are_closed_at_once),
	CUNIT_TEST(other_descriptors_are_closed_by_others),
	CUNIT_TEST(peer_hears_of_the_end_at_once),
	CUNIT_TEST(sockets_that_linger_are_not_waited_for),
	CUNIT_TEST(user_whose_descriptors_wait_may_send_no_more),
};

CUNIT_MAIN("closer", tests, setup, NULL)
