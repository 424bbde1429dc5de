/* SPDX-License-Identifier: BSD-3-Clause */
/* epoll, poll and select over the fake stack, alone and mixed with kernel descriptors. */
#include "preload/fd.h"
#include "tests/preload_pair.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/select.h>
#include <sys/time.h>

static int ctl(int ep, int op, int fd, uint32_t events)
{
	struct epoll_event ev = {.events = events, .data.u64 = (uint64_t)fd | UINT64_C(7) << 32};

	return epoll_ctl(ep, op, fd, &ev);
}

/* Events of `fd` right now, 0 if none. */
static uint32_t ready(int ep, int fd, int timeout_ms)
{
	struct epoll_event evs[8];
	int n = epoll_wait(ep, evs, 8, timeout_ms);

	for (int i = 0; i < n; i++)
		if (evs[i].data.u64 == ((uint64_t)fd | UINT64_C(7) << 32))
			return evs[i].events;
	return 0;
}

static void drain(int fd)
{
	char buf[64];

	while (recv(fd, buf, sizeof(buf), MSG_DONTWAIT) > 0)
		;
}

BOTH_MODES(level_edge_and_oneshot)
{
	struct pair p = pair_open();
	int ep = epoll_create1(EPOLL_CLOEXEC);

	CU_ASSERT_EQUAL(ctl(ep, EPOLL_CTL_ADD, p.server, EPOLLIN), 0);
	CU_ASSERT_EQUAL(ready(ep, p.server, 0), 0);
	CU_ASSERT_EQUAL(write(p.client, "x", 1), 1);
	CU_ASSERT_EQUAL(ready(ep, p.server, 1000), EPOLLIN);
	CU_ASSERT_EQUAL(ready(ep, p.server, 0), EPOLLIN);
	CU_ASSERT_EQUAL(ctl(ep, EPOLL_CTL_MOD, p.server, EPOLLIN | EPOLLET), 0);
	CU_ASSERT_EQUAL(ready(ep, p.server, 0), EPOLLIN);
	CU_ASSERT_EQUAL(ready(ep, p.server, 0), 0);
	CU_ASSERT_EQUAL(write(p.client, "x", 1), 1);
	CU_ASSERT_EQUAL(ready(ep, p.server, 1000), EPOLLIN);
	CU_ASSERT_EQUAL(ctl(ep, EPOLL_CTL_MOD, p.server, EPOLLIN | EPOLLONESHOT), 0);
	CU_ASSERT_EQUAL(ready(ep, p.server, 0), EPOLLIN);
	CU_ASSERT_EQUAL(write(p.client, "x", 1), 1);
	CU_ASSERT_EQUAL(ready(ep, p.server, 0), 0);
	CU_ASSERT_EQUAL(ctl(ep, EPOLL_CTL_MOD, p.server, EPOLLIN | EPOLLONESHOT), 0);
	CU_ASSERT_EQUAL(ready(ep, p.server, 0), EPOLLIN);
	drain(p.server);
	CU_ASSERT_EQUAL(ctl(ep, EPOLL_CTL_MOD, p.server, EPOLLOUT), 0);
	CU_ASSERT_EQUAL(ready(ep, p.server, 0), EPOLLOUT);
	CU_ASSERT_EQUAL(ctl(ep, EPOLL_CTL_MOD, p.server, EPOLLRDHUP), 0);
	shutdown(p.client, SHUT_WR);
	CU_ASSERT_EQUAL(ready(ep, p.server, 1000), EPOLLRDHUP);
	close(ep);
	pair_close(p);
}

BOTH_MODES(control_errors_are_linux_errors)
{
	struct pair p = pair_open();
	struct epoll_event ev;
	int ep = epoll_create(1), closed = fcntl(p.client, F_DUPFD, 500);

	close(closed);
	CU_ASSERT_EQUAL(ctl(ep, EPOLL_CTL_MOD, p.client, EPOLLIN), -1);
	CU_ASSERT_EQUAL(errno, ENOENT);
	CU_ASSERT_EQUAL(ctl(ep, EPOLL_CTL_DEL, p.client, 0), -1);
	CU_ASSERT_EQUAL(errno, ENOENT);
	CU_ASSERT_EQUAL(ctl(ep, EPOLL_CTL_ADD, p.client, EPOLLIN), 0);
	CU_ASSERT_EQUAL(ctl(ep, EPOLL_CTL_ADD, p.client, EPOLLIN), -1);
	CU_ASSERT_EQUAL(errno, EEXIST);
	CU_ASSERT_EQUAL(ctl(ep, EPOLL_CTL_ADD, closed, EPOLLIN), -1);
	CU_ASSERT_EQUAL(errno, EBADF);
	CU_ASSERT_EQUAL(ctl(ep, 77, p.client, EPOLLIN), -1);
	CU_ASSERT_EQUAL(errno, EINVAL);
	CU_ASSERT_EQUAL(ctl(p.client, EPOLL_CTL_ADD, p.server, EPOLLIN), -1);
	CU_ASSERT_EQUAL(errno, EINVAL);
	CU_ASSERT_EQUAL(epoll_wait(ep, &ev, 0, 0), -1);
	CU_ASSERT_EQUAL(errno, EINVAL);
	CU_ASSERT_EQUAL(epoll_wait(p.client, &ev, 1, 0), -1);
	CU_ASSERT_EQUAL(errno, EINVAL);
	CU_ASSERT_EQUAL(ctl(ep, EPOLL_CTL_DEL, p.client, 0), 0);
	CU_ASSERT_EQUAL(epoll_create(0), -1);
	CU_ASSERT_EQUAL(errno, EINVAL);
	close(ep);
	pair_close(p);
}

BOTH_MODES(exclusive_watches_cannot_be_changed)
{
	struct pair p = pair_open();
	int ep = epoll_create1(0);

	CU_ASSERT_EQUAL(ctl(ep, EPOLL_CTL_ADD, p.server, EPOLLEXCLUSIVE | EPOLLIN | EPOLLRDHUP), -1);
	CU_ASSERT_EQUAL(errno, EINVAL);
	CU_ASSERT_EQUAL(ctl(ep, EPOLL_CTL_ADD, p.server, EPOLLEXCLUSIVE | EPOLLIN | EPOLLONESHOT), -1);
	CU_ASSERT_EQUAL(errno, EINVAL);
	CU_ASSERT_EQUAL(ctl(ep, EPOLL_CTL_ADD, p.server, EPOLLEXCLUSIVE | EPOLLIN | EPOLLET), 0);
	CU_ASSERT_EQUAL(ctl(ep, EPOLL_CTL_MOD, p.server, EPOLLIN), -1);
	CU_ASSERT_EQUAL(errno, EINVAL);
	CU_ASSERT_EQUAL(write(p.client, "x", 1), 1);
	CU_ASSERT_EQUAL(ready(ep, p.server, 1000), EPOLLIN);
	CU_ASSERT_EQUAL(ctl(ep, EPOLL_CTL_DEL, p.server, EPOLLEXCLUSIVE), 0);
	CU_ASSERT_EQUAL(ctl(ep, EPOLL_CTL_ADD, p.server, EPOLLIN), 0);
	CU_ASSERT_EQUAL(ctl(ep, EPOLL_CTL_MOD, p.server, EPOLLEXCLUSIVE | EPOLLIN), -1);
	CU_ASSERT_EQUAL(errno, EINVAL);
	close(ep);
	pair_close(p);
}

BOTH_MODES(events_need_room_only_where_there_are_some)
{
	struct pair p = pair_open();
	struct epoll_event *volatile nowhere = NULL;
	struct epoll_event ev;
	int ep = epoll_create1(0);

	CU_ASSERT_EQUAL(ctl(ep, EPOLL_CTL_ADD, p.server, EPOLLIN | EPOLLET), 0);
	CU_ASSERT_EQUAL(epoll_wait(ep, nowhere, 1, 0), 0);
	CU_ASSERT_EQUAL(epoll_wait(ep, (void *)-8, 1, 0), -1); /* there cannot be any */
	CU_ASSERT_EQUAL(errno, EFAULT);
	CU_ASSERT_EQUAL(write(p.client, "x", 1), 1);
	CU_ASSERT_EQUAL(epoll_wait(ep, nowhere, 1, 1000), -1);
	CU_ASSERT_EQUAL(errno, EFAULT);
	CU_ASSERT_EQUAL(epoll_wait(ep, &ev, 1, 1000), 1);
	CU_ASSERT_EQUAL(epoll_wait(ep, nowhere, 1, 0), 0);
	close(ep);
	pair_close(p);
}

BOTH_MODES(kernel_and_stack_mix_and_the_kernel_keeps_its_data)
{
	struct pair p = pair_open();
	int ep = epoll_create1(0), ev = eventfd(0, EFD_NONBLOCK);
	struct epoll_event evs[4];
	uint64_t one = 1;

	CU_ASSERT_EQUAL(ctl(ep, EPOLL_CTL_ADD, p.server, EPOLLIN), 0);
	CU_ASSERT_EQUAL(ctl(ep, EPOLL_CTL_ADD, ev, EPOLLIN), 0);
	CU_ASSERT_EQUAL(epoll_wait(ep, evs, 4, 0), 0);
	CU_ASSERT_EQUAL(write(ev, &one, 8), 8);
	CU_ASSERT_EQUAL(ready(ep, ev, 0), EPOLLIN); /* at once, not at the next look */
	CU_ASSERT_EQUAL(write(p.client, "x", 1), 1);
	/* Both are ready all the time: with room for one, each has its turn. */
	int n_kernel = 0, n_stack = 0;
	for (int i = 0; i < 200; i++) {
		CU_ASSERT_EQUAL(epoll_wait(ep, evs, 1, 1000), 1);
		n_kernel += (int)evs[0].data.u64 == ev;
		n_stack += (int)evs[0].data.u64 == p.server;
		usleep(10);
	}
	CU_ASSERT(n_kernel > 5 && n_stack > 5);
	CU_ASSERT_EQUAL(epoll_wait(ep, evs, 4, 1000) >= 1, 1);
	close(ev);
	close(ep);
	pair_close(p);
}

static void *write_later(void *arg)
{
	usleep(20000);
	if (write(*(int *)arg, "12345678", 8) < 0)
		CU_FAIL("write");
	return NULL;
}

BOTH_MODES(a_sleeper_wakes_for_either_half)
{
	struct pair p = pair_open();
	int ep = epoll_create1(0), ev = eventfd(0, EFD_NONBLOCK);
	pthread_t t;

	ctl(ep, EPOLL_CTL_ADD, p.server, EPOLLIN | EPOLLET);
	ctl(ep, EPOLL_CTL_ADD, ev, EPOLLIN | EPOLLET);
	pthread_create(&t, NULL, write_later, &p.client);
	CU_ASSERT_EQUAL(ready(ep, p.server, 5000), EPOLLIN);
	pthread_join(t, NULL);
	pthread_create(&t, NULL, write_later, &ev);
	CU_ASSERT_EQUAL(ready(ep, ev, 5000), EPOLLIN);
	pthread_join(t, NULL);
	CU_ASSERT_EQUAL(ready(ep, ev, 20), 0);
	close(ev);
	close(ep);
	pair_close(p);
}

BOTH_MODES(a_socket_can_be_in_many_sets_and_close_leaves_all)
{
	struct pair p = pair_open();
	int a = epoll_create1(0), b = epoll_create1(0), copy = dup(p.server);

	ctl(a, EPOLL_CTL_ADD, p.server, EPOLLIN);
	ctl(b, EPOLL_CTL_ADD, p.server, EPOLLIN | EPOLLOUT);
	ctl(b, EPOLL_CTL_ADD, copy, EPOLLIN);
	CU_ASSERT_EQUAL(write(p.client, "x", 1), 1);
	CU_ASSERT_EQUAL(ready(a, p.server, 1000), EPOLLIN);
	CU_ASSERT_EQUAL(ready(b, p.server, 1000), EPOLLIN | EPOLLOUT);
	CU_ASSERT_EQUAL(ready(b, copy, 1000), EPOLLIN);
	close(p.server);
	CU_ASSERT_EQUAL(ready(a, p.server, 0), EPOLLIN); /* the copy keeps it open, as in Linux */
	close(copy);
	CU_ASSERT_EQUAL(ready(a, p.server, 0), 0);
	CU_ASSERT_EQUAL(ready(b, copy, 0), 0);
	close(a);
	close(b);
	close(p.client);
	close(p.listener);
}

static void *add_later(void *arg)
{
	int *fds = arg;

	usleep(20000);
	ctl(fds[0], EPOLL_CTL_ADD, fds[1], EPOLLIN);
	return NULL;
}

BOTH_MODES(a_thread_asleep_in_the_kernel_sees_the_first_stack_socket)
{
	struct pair p = pair_open();
	int ep = epoll_create1(0), ev = eventfd(0, EFD_NONBLOCK), fds[2] = {ep, p.server};
	pthread_t t;

	ctl(ep, EPOLL_CTL_ADD, ev, EPOLLIN);
	CU_ASSERT_EQUAL(write(p.client, "x", 1), 1);
	pthread_create(&t, NULL, add_later, fds);
	CU_ASSERT_EQUAL(ready(ep, p.server, 5000), EPOLLIN);
	pthread_join(t, NULL);
	/* and back: without it the set is the kernel's again */
	ctl(ep, EPOLL_CTL_DEL, p.server, 0);
	CU_ASSERT_EQUAL(ready(ep, p.server, 10), 0);
	close(ev);
	close(ep);
	pair_close(p);
}

BOTH_MODES(a_listener_on_any_is_in_both_halves)
{
	int fd = listen_on("0.0.0.0"), ep = epoll_create1(0);
	int kernel = socket(AF_INET, SOCK_STREAM, 0), ours = socket(AF_INET, SOCK_STREAM, 0);
	int a, b;

	nonblock(fd);
	ctl(ep, EPOLL_CTL_ADD, fd, EPOLLIN);
	CU_ASSERT_EQUAL(ready(ep, fd, 0), 0);
	CU_ASSERT_EQUAL(connect_to(kernel, "127.0.0.1", port_of(fd)), 0);
	CU_ASSERT_EQUAL(ready(ep, fd, 1000), EPOLLIN);
	a = accept(fd, NULL, NULL);
	CU_ASSERT(a >= 0 && fd_peek(a) == NULL);
	CU_ASSERT_EQUAL(connect_to(ours, FAKE_ADDR, port_of(fd)), 0);
	CU_ASSERT_EQUAL(ready(ep, fd, 1000), EPOLLIN);
	b = accept(fd, NULL, NULL);
	CU_ASSERT(b >= 0 && fd_peek(b) != NULL);
	CU_ASSERT_EQUAL(ready(ep, fd, 0), 0);
	close(a);
	close(b);
	close(kernel);
	close(ours);
	close(ep);
	close(fd);
}

BOTH_MODES(an_undecided_socket_added_early_follows_its_connect)
{
	int fd = listen_on(FAKE_ADDR), ep = epoll_create1(0), server;
	int client = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

	ctl(ep, EPOLL_CTL_ADD, client, EPOLLIN | EPOLLOUT | EPOLLET);
	CU_ASSERT_EQUAL(ready(ep, client, 0), EPOLLOUT | EPOLLHUP); /* as Linux, before connect */
	CU_ASSERT_EQUAL(connect_to(client, FAKE_ADDR, port_of(fd)), -1);
	CU_ASSERT_EQUAL(errno, EINPROGRESS);
	CU_ASSERT_EQUAL(ready(ep, client, 1000), EPOLLOUT);
	CU_ASSERT_EQUAL(ready(ep, client, 0), 0);
	server = accept(fd, NULL, NULL);
	CU_ASSERT_EQUAL(write(server, "x", 1), 1);
	CU_ASSERT_EQUAL(ready(ep, client, 1000), EPOLLIN | EPOLLOUT);
	close(server);
	close(client);
	close(ep);
	close(fd);
}

BOTH_MODES(an_epoll_inside_an_epoll_or_a_poll_tells_for_the_stack)
{
	struct pair p = pair_open();
	int inner = epoll_create1(0), outer = epoll_create1(0);
	struct pollfd pfd = {.fd = inner, .events = POLLIN};

	CU_ASSERT_EQUAL(ctl(outer, EPOLL_CTL_ADD, inner, EPOLLIN), 0);
	CU_ASSERT_EQUAL(ctl(inner, EPOLL_CTL_ADD, p.server, EPOLLIN), 0);
	CU_ASSERT_EQUAL(ready(outer, inner, 0), 0);
	CU_ASSERT_EQUAL(write(p.client, "x", 1), 1);
	CU_ASSERT_EQUAL(ready(outer, inner, 1000), EPOLLIN);
	CU_ASSERT_EQUAL(poll(&pfd, 1, 1000), 1);
	CU_ASSERT_EQUAL(ready(inner, p.server, 1000), EPOLLIN);
	CU_ASSERT_EQUAL(ready(outer, inner, 1000), EPOLLIN); /* level */
	drain(p.server);
	CU_ASSERT_EQUAL(ready(inner, p.server, 0), 0);
	CU_ASSERT_EQUAL(ready(outer, inner, 0), 0);
	CU_ASSERT_EQUAL(poll(&pfd, 1, 0), 0);
	CU_ASSERT_EQUAL(write(p.client, "x", 1), 1);
	CU_ASSERT_EQUAL(ready(outer, inner, 1000), EPOLLIN);
	close(outer);
	close(inner);
	pair_close(p);
}

static _Atomic int n_alarms;

static void count_alarm(int sig)
{
	n_alarms++;
}

BOTH_MODES(epoll_wait_is_interrupted_also_with_a_mask)
{
	struct pair p = pair_open();
	struct sigaction act = {.sa_handler = count_alarm, .sa_flags = SA_RESTART};
	struct itimerval it = {.it_value.tv_usec = 100000}; /* the call has begun by then */
	struct epoll_event ev;
	struct timespec ts = {.tv_sec = 5};
	int ep = epoll_create1(0);
	sigset_t blocked, open;

	sigaction(SIGALRM, &act, NULL);
	ctl(ep, EPOLL_CTL_ADD, p.server, EPOLLIN);
	setitimer(ITIMER_REAL, &it, NULL);
	CU_ASSERT_EQUAL(epoll_wait(ep, &ev, 1, 5000), -1);
	CU_ASSERT_EQUAL(errno, EINTR);
	/* pending before the call, let in by its mask */
	sigemptyset(&blocked);
	sigaddset(&blocked, SIGALRM);
	pthread_sigmask(SIG_BLOCK, &blocked, &open);
	raise(SIGALRM);
	CU_ASSERT_EQUAL(epoll_pwait2(ep, &ev, 1, &ts, &open), -1);
	CU_ASSERT_EQUAL(errno, EINTR);
	raise(SIGALRM);
	CU_ASSERT_EQUAL(epoll_pwait(ep, &ev, 1, 10, &blocked), 0);
	pthread_sigmask(SIG_SETMASK, &open, NULL);
	CU_ASSERT_EQUAL(n_alarms, 3);
	n_alarms = 0;
	close(ep);
	pair_close(p);
}

BOTH_MODES(poll_tells_each_descriptor_its_own)
{
	struct pair p = pair_open();
	int pipefd[2], closed = fcntl(p.server, F_DUPFD, 500);

	CU_ASSERT_EQUAL(pipe(pipefd), 0);
	close(closed);
	struct pollfd fds[] = {
		{.fd = p.server, .events = POLLIN},
		{.fd = pipefd[0], .events = POLLIN},
		{.fd = -1, .events = POLLIN},
		{.fd = p.client, .events = POLLOUT},
		{.fd = closed, .events = POLLIN},
	};
	CU_ASSERT_EQUAL(poll(fds, 2, 0), 0);
	CU_ASSERT_EQUAL(poll(fds, 2, 15), 0);
	CU_ASSERT_EQUAL(write(pipefd[1], "x", 1), 1);
	CU_ASSERT_EQUAL(poll(fds, 2, 1000), 1);
	CU_ASSERT_EQUAL(fds[1].revents, POLLIN);
	CU_ASSERT_EQUAL(write(p.client, "x", 1), 1);
	CU_ASSERT_EQUAL(poll(fds, 5, 1000), 4);
	CU_ASSERT_EQUAL(fds[0].revents, POLLIN);
	CU_ASSERT_EQUAL(fds[2].revents, 0);
	CU_ASSERT_EQUAL(fds[3].revents, POLLOUT);
	CU_ASSERT_EQUAL(fds[4].revents, POLLNVAL);
	CU_ASSERT_EQUAL(poll(NULL, 0, 1), 0);
	/* the same list again, then another, then none of ours */
	drain(p.server);
	fds[1].fd = p.client;
	CU_ASSERT_EQUAL(poll(fds, 2, 5), 0);
	CU_ASSERT_EQUAL(write(p.server, "y", 1), 1);
	CU_ASSERT_EQUAL(poll(fds, 2, 1000), 1);
	CU_ASSERT_EQUAL(fds[1].revents, POLLIN);
	close(pipefd[0]);
	close(pipefd[1]);
	pair_close(p);
}

BOTH_MODES(poll_sleeps_until_either_half_speaks)
{
	struct pair p = pair_open();
	int pipefd[2];
	pthread_t t;

	CU_ASSERT_EQUAL(pipe(pipefd), 0);
	struct pollfd fds[] = {
		{.fd = pipefd[0], .events = POLLIN},
		{.fd = p.server, .events = POLLIN | POLLRDHUP},
	};
	pthread_create(&t, NULL, write_later, &p.client);
	CU_ASSERT_EQUAL(poll(fds, 2, 5000), 1);
	CU_ASSERT_EQUAL(fds[1].revents, POLLIN);
	pthread_join(t, NULL);
	drain(p.server);
	pthread_create(&t, NULL, write_later, &pipefd[1]);
	CU_ASSERT_EQUAL(poll(fds, 2, 5000), 1);
	CU_ASSERT_EQUAL(fds[0].revents, POLLIN);
	pthread_join(t, NULL);
	close(pipefd[0]);
	close(pipefd[1]);
	pair_close(p);
}

BOTH_MODES(select_counts_bits_and_leaves_the_rest_of_the_time)
{
	struct pair p = pair_open();
	struct timeval tv = {.tv_sec = 5};
	fd_set rd, wr;
	int max = (p.server > p.client ? p.server : p.client) + 1;

	FD_ZERO(&rd);
	FD_ZERO(&wr);
	FD_SET(p.server, &rd);
	FD_SET(p.server, &wr);
	FD_SET(p.client, &rd);
	CU_ASSERT_EQUAL(write(p.client, "x", 1), 1);
	CU_ASSERT_EQUAL(select(max, &rd, &wr, NULL, &tv), 2);
	CU_ASSERT(FD_ISSET(p.server, &rd) && FD_ISSET(p.server, &wr) && !FD_ISSET(p.client, &rd));
	CU_ASSERT(tv.tv_sec == 4 && tv.tv_usec > 0);
	FD_ZERO(&rd);
	FD_SET(p.client, &rd);
	tv = (struct timeval){.tv_usec = 10000};
	CU_ASSERT_EQUAL(select(max, &rd, NULL, NULL, &tv), 0);
	CU_ASSERT(!FD_ISSET(p.client, &rd));
	CU_ASSERT(tv.tv_sec == 0 && tv.tv_usec == 0);
	pair_close(p);
}

static const struct cunit_test tests[] = {
	CUNIT_TEST(level_edge_and_oneshot),
	CUNIT_TEST(control_errors_are_linux_errors),
	CUNIT_TEST(exclusive_watches_cannot_be_changed),
	CUNIT_TEST(events_need_room_only_where_there_are_some),
	CUNIT_TEST(kernel_and_stack_mix_and_the_kernel_keeps_its_data),
	CUNIT_TEST(a_sleeper_wakes_for_either_half),
	CUNIT_TEST(a_socket_can_be_in_many_sets_and_close_leaves_all),
	CUNIT_TEST(a_thread_asleep_in_the_kernel_sees_the_first_stack_socket),
	CUNIT_TEST(a_listener_on_any_is_in_both_halves),
	CUNIT_TEST(an_undecided_socket_added_early_follows_its_connect),
	CUNIT_TEST(an_epoll_inside_an_epoll_or_a_poll_tells_for_the_stack),
	CUNIT_TEST(epoll_wait_is_interrupted_also_with_a_mask),
	CUNIT_TEST(poll_tells_each_descriptor_its_own),
	CUNIT_TEST(poll_sleeps_until_either_half_speaks),
	CUNIT_TEST(select_counts_bits_and_leaves_the_rest_of_the_time),
};
CUNIT_MAIN("epoll", tests, NULL, NULL)
