/* SPDX-License-Identifier: BSD-3-Clause */
/* UDP between two stacks on a simulated wire. */
#include "tests/cunit_main.h"
#include "tests/sim.h"

#include <errno.h>
#include <sys/epoll.h>

#define PORT 5353

static struct sock *server, *client;
static struct sockaddr_in at;

static void
setup(void)
{
	sim_setup();
	at = sim_addr(SIM_B, PORT);
	sock_open(sim_group(SIM_B), SOCK_UDP, &server);
	CU_ASSERT_EQUAL_FATAL(sock_bind(server, &at), 0);
	sock_open(sim_group(SIM_A), SOCK_UDP, &client);
}

static void
teardown(void)
{
	sock_close(server);
	sock_close(client);
	sim_teardown();
}

static ssize_t
put(struct sock *s, const void *data, size_t len, const struct sockaddr_in *to)
{
	struct iovec iov = {.iov_base = (void *)data, .iov_len = len};

	return sock_send(s, &iov, 1, 0, to);
}

static ssize_t
get(struct sock *s, void *data, size_t len, int flags, struct sockaddr_in *from, int *out)
{
	struct iovec iov = {.iov_base = data, .iov_len = len};

	return sock_recv(s, &iov, 1, flags, from, out);
}

static uint8_t data[66000], back[66000];

static void
every_size_comes_back(void)
{
	const size_t sizes[] = {0, 1, 512, 513, 1472, 1473, 9000, 16384, 16385, 40000, 65507};
	struct sockaddr_in from;

	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * 7 + i / 256);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		CU_ASSERT_EQUAL(put(client, data, sizes[i], &at), (ssize_t)sizes[i]);
		sim_run(1000);
		CU_ASSERT_TRUE(sock_events(server) & EPOLLIN);
		CU_ASSERT_EQUAL(get(server, back, sizeof(back), 0, &from, NULL),
			(ssize_t)sizes[i]);
		CU_ASSERT_EQUAL(memcmp(data, back, sizes[i]), 0);
		CU_ASSERT_EQUAL(put(server, back, sizes[i], &from), (ssize_t)sizes[i]);
		memset(back, 0, sizeof(back));
		sim_run(1000);
		CU_ASSERT_EQUAL(get(client, back, sizeof(back), 0, NULL, NULL),
			(ssize_t)sizes[i]);
		CU_ASSERT_EQUAL(memcmp(data, back, sizes[i]), 0);
	}
	CU_ASSERT_EQUAL(put(client, data, 65508, &at), -EMSGSIZE);
}

static void
boundaries_truncation_and_peek(void)
{
	char buf[8];
	int flags;

	put(client, "first", 5, &at);
	put(client, "second!", 7, &at);
	sim_run(1000);
	CU_ASSERT_EQUAL(sock_inq(server), 5);
	CU_ASSERT_EQUAL(get(server, buf, 8, MSG_PEEK, NULL, NULL), 5);
	CU_ASSERT_EQUAL(get(server, buf, 8, 0, NULL, &flags), 5);
	CU_ASSERT_EQUAL(flags, 0);
	CU_ASSERT_EQUAL(get(server, buf, 3, 0, NULL, &flags), 3);
	CU_ASSERT_EQUAL(flags, MSG_TRUNC);
	CU_ASSERT_EQUAL(get(server, buf, 8, 0, NULL, NULL), -EAGAIN);
	put(client, "second!", 7, &at);
	sim_run(1000);
	CU_ASSERT_EQUAL(get(server, buf, 3, MSG_TRUNC, NULL, NULL), 7);
}

static void
connected_hears_only_its_peer(void)
{
	struct sock *other;
	struct sockaddr_in local;
	char buf[8];

	CU_ASSERT_EQUAL(put(client, "x", 1, NULL), -EDESTADDRREQ);
	CU_ASSERT_EQUAL(sock_connect(client, &at), 0);
	sock_name(client, &local);
	local.sin_addr = sim_addr(SIM_A, 0).sin_addr;
	CU_ASSERT_EQUAL(put(client, "hi", 2, NULL), 2);
	sim_run(1000);
	CU_ASSERT_EQUAL(get(server, buf, 8, 0, NULL, NULL), 2);
	sock_open(sim_group(SIM_B), SOCK_UDP, &other);
	put(other, "stranger", 8, &local);
	sim_run(1000);
	CU_ASSERT_EQUAL(get(client, buf, 8, 0, NULL, NULL), -EAGAIN);
	put(server, "friend", 6, &local);
	sim_run(1000);
	CU_ASSERT_EQUAL(get(client, buf, 8, 0, NULL, NULL), 6);
	sock_close(other);
}

static void
full_receive_buffer_drops_and_recovers(void)
{
	int size = 10000, got = 0;

	sock_setopt(server, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	for (int i = 0; i < 100; i++)
		put(client, data, 1000, &at);
	sim_run(10000);
	while (get(server, back, sizeof(back), 0, NULL, NULL) == 1000)
		got++;
	CU_ASSERT_TRUE(got >= 10 && got < 40);
	put(client, data, 1000, &at);
	sim_run(1000);
	CU_ASSERT_EQUAL(get(server, back, sizeof(back), 0, NULL, NULL), 1000);
}

static void
broadcast_needs_permission(void)
{
	struct sockaddr_in all = {.sin_family = AF_INET,
		.sin_port = htons(PORT),
		.sin_addr.s_addr = INADDR_BROADCAST};
	int on = 1;

	CU_ASSERT_EQUAL(put(client, "x", 1, &all), -EACCES);
	sock_setopt(client, SOL_SOCKET, SO_BROADCAST, &on, sizeof(on));
	CU_ASSERT_EQUAL(put(client, "x", 1, &all), 1);
	sim_run(1000);
}

static const struct cunit_test tests[] = {
	CUNIT_TEST(every_size_comes_back),
	CUNIT_TEST(boundaries_truncation_and_peek),
	CUNIT_TEST(connected_hears_only_its_peer),
	CUNIT_TEST(full_receive_buffer_drops_and_recovers),
	CUNIT_TEST(broadcast_needs_permission),
};
CUNIT_MAIN("udp", tests, setup, teardown)
