/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What epoll, poll and select say of a connection, level, edge and once. See tests/probe.h.
 *
 *	ready_probe ADDRESS
 */
#include "tests/probe.h"

#include <sys/select.h>

static uint32_t epoll_now(int ep, int timeout_ms)
{
	struct epoll_event ev = {0};

	return epoll_wait(ep, &ev, 1, timeout_ms) > 0 ? ev.events : 0;
}

static void probe_epoll(void)
{
	struct pair p = pair_open();
	int ep = epoll_create1(0);
	struct epoll_event ev = {.events = EPOLLIN | EPOLLRDHUP};
	char c;

	title("epoll");
	SHOW(epoll_ctl(ep, EPOLL_CTL_ADD, p.server, &ev));
	SHOW(epoll_ctl(ep, EPOLL_CTL_ADD, p.server, &ev));
	SHOW(epoll_ctl(ep, EPOLL_CTL_MOD, p.client, &ev));
	show_events("idle", epoll_now(ep, 0));
	SHOW(send(p.client, "ab", 2, 0));
	show_events("level", epoll_now(ep, 3000));
	SHOW(recv(p.server, &c, 1, 0));
	show_events("level, one left", epoll_now(ep, 0));
	ev.events = EPOLLIN | EPOLLOUT | EPOLLET;
	SHOW(epoll_ctl(ep, EPOLL_CTL_MOD, p.server, &ev));
	show_events("edge", epoll_now(ep, 0));
	show_events("edge again", epoll_now(ep, 0));
	SHOW(send(p.client, "c", 1, 0));
	show_events("edge, more", epoll_now(ep, 3000));
	ev.events = EPOLLIN | EPOLLONESHOT;
	SHOW(epoll_ctl(ep, EPOLL_CTL_MOD, p.server, &ev));
	show_events("oneshot", epoll_now(ep, 0));
	show_events("oneshot again", epoll_now(ep, 0));
	SHOW(epoll_ctl(ep, EPOLL_CTL_MOD, p.server, &ev));
	show_events("oneshot re-armed", epoll_now(ep, 0));
	SHOW(recv(p.server, &c, 1, 0));
	SHOW(recv(p.server, &c, 1, 0));
	ev.events = EPOLLIN | EPOLLRDHUP | EPOLLET;
	SHOW(epoll_ctl(ep, EPOLL_CTL_MOD, p.server, &ev));
	shutdown(p.client, SHUT_WR);
	show_events("peer has finished", epoll_now(ep, 3000));
	SHOW(epoll_ctl(ep, EPOLL_CTL_DEL, p.server, NULL));
	SHOW(epoll_ctl(ep, EPOLL_CTL_DEL, p.server, NULL));
	ev.events = EPOLLIN;
	epoll_ctl(ep, EPOLL_CTL_ADD, p.server, &ev);
	close(p.server);
	show_events("after close", epoll_now(ep, 0));
	close(p.client);
	close(p.listener);
	close(ep);
}

static void probe_many_waits(void)
{
	struct pair p = pair_open();
	struct timeval tv = {.tv_sec = 3};
	struct pollfd fds[3] = {
		{.fd = p.server, .events = POLLIN | POLLOUT},
		{.fd = p.client, .events = POLLIN},
		{.fd = 9999, .events = POLLIN},
	};
	fd_set rd, wr;

	title("poll and select");
	SHOW(poll(fds, 2, 0));
	SHOW(poll(fds, 3, 0));
	show_events("client", fds[1].revents);
	printf("POLLNVAL: %d\n", fds[2].revents == POLLNVAL);
	SHOW(send(p.server, "x", 1, 0));
	settle(p.client, POLLIN);
	FD_ZERO(&rd);
	FD_ZERO(&wr);
	FD_SET(p.client, &rd);
	FD_SET(p.client, &wr);
	FD_SET(p.server, &rd);
	SHOW(select((p.client > p.server ? p.client : p.server) + 1, &rd, &wr, NULL, &tv));
	printf("bits: %d %d %d\n", FD_ISSET(p.client, &rd) != 0, FD_ISSET(p.client, &wr) != 0,
		FD_ISSET(p.server, &rd) != 0);
	pair_close(p);
}

int main(int argc, char **argv)
{
	probe_begin(argc, argv);
	probe_epoll();
	probe_many_waits();
	return 0;
}
