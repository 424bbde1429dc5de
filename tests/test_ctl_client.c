/* SPDX-License-Identifier: BSD-3-Clause */
/* ctl/: what those who ask believe, of answers and of sockets. */
#include <pthread.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "tests/ctl_fake.h"

/* An answer that ends in the middle, one that never ends, one that is none. */
struct bad_server {
	int listen_fd, connection;
	const char *bytes;
	size_t n;
	uint32_t length;
	bool drips;
	pthread_t thread;
};

static void *
serve_badly(void *arg)
{
	struct bad_server *b = arg;
	struct ctl_header h;
	struct timespec step = {.tv_nsec = 50000000};

	b->connection = accept(b->listen_fd, NULL, NULL);
	recv(b->connection, &h, sizeof(h), MSG_WAITALL);
	h.length = b->length;
	send(b->connection, &h, sizeof(h), MSG_NOSIGNAL);
	send(b->connection, b->bytes, b->n, MSG_NOSIGNAL);
	while (b->drips && send(b->connection, "#", 1, MSG_NOSIGNAL) == 1)
		nanosleep(&step, NULL);
	return NULL;
}

/* What gazellectl makes of such an answer to a question for identity; *ms receives how long. */
static int
ask_badly(struct bad_server b, long *ms)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	struct timespec t0, t1;
	char *body;
	size_t len;
	int fd, ret;

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/bad", dir);
	b.listen_fd = socket(AF_UNIX, SOCK_STREAM, 0);
	CU_ASSERT_EQUAL_FATAL(bind(b.listen_fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	CU_ASSERT_EQUAL_FATAL(listen(b.listen_fd, 1), 0);
	fd = ctl_dial(addr.sun_path);
	CU_ASSERT_FATAL(fd >= 0);
	CU_ASSERT_EQUAL(pthread_create(&b.thread, NULL, serve_badly, &b), 0);
	clock_gettime(CLOCK_MONOTONIC, &t0);
	ret = ctl_client_ask(fd, CTL_IDENTITY, NULL, &body, &len, err, sizeof(err));
	clock_gettime(CLOCK_MONOTONIC, &t1);
	*ms = (t1.tv_sec - t0.tv_sec) * 1000 + (t1.tv_nsec - t0.tv_nsec) / 1000000;
	free(body);
	close(fd);
	pthread_join(b.thread, NULL);
	close(b.connection);
	close(b.listen_fd);
	unlink(addr.sun_path);
	return ret;
}

static void
answers_are_bounded_in_bytes_and_time(void)
{
	long ms;

	CU_ASSERT_EQUAL(ask_badly((struct bad_server){.length = CTL_REQUEST_MAX + 1}, &ms), -EPROTO);
	CU_ASSERT_EQUAL(ask_badly((struct bad_server){.length = 60u << 20, .drips = true}, &ms),
		-EPROTO);
	CU_ASSERT(ms < 500);
	/* Byte by byte: the time limit is for all of it. */
	CU_ASSERT_EQUAL(ask_badly((struct bad_server){.length = 4000, .drips = true}, &ms),
		-ETIMEDOUT);
	CU_ASSERT(ms >= CTL_EXCHANGE_MS - 1 && ms < CTL_EXCHANGE_MS + 500);
}

static void
only_our_own_and_roots_sockets_are_used(void)
{
	char link[96], *slash;

	CU_ASSERT_EQUAL(chmod(dir, 0770), 0);
	CU_ASSERT_EQUAL(ctl_dial(ctl_server_path(server)), -EPERM);
	CU_ASSERT_EQUAL(chmod(dir, 0711), 0);
	close(dial());

	/* A symbolic link, to the socket or to its directory, is not followed. */
	snprintf(link, sizeof(link), "%s/lstack_9.sock", dir);
	CU_ASSERT_EQUAL(symlink(ctl_server_path(server), link), 0);
	CU_ASSERT_EQUAL(ctl_dial(link), -EPERM);
	unlink(link);
	snprintf(link, sizeof(link), "%s-link", dir);
	CU_ASSERT_EQUAL(symlink(dir, link), 0);
	slash = strrchr(ctl_server_path(server), '/');
	strncat(link, slash, sizeof(link) - strlen(link) - 1);
	CU_ASSERT_EQUAL(ctl_dial(link), -ENOTDIR);
	snprintf(link, sizeof(link), "%s-link", dir);
	CU_ASSERT_EQUAL(ctl_run_dir_make(link), -ENOTDIR);
	unlink(link);
	if (geteuid() != 0)
		return;

	CU_ASSERT_EQUAL(chown(ctl_server_path(server), 65534, -1), 0);
	CU_ASSERT_EQUAL(ctl_dial(ctl_server_path(server)), -EPERM);
	CU_ASSERT_EQUAL(chown(ctl_server_path(server), 0, -1), 0);
	CU_ASSERT_EQUAL(chown(dir, 65534, -1), 0);
	CU_ASSERT_EQUAL(ctl_dial(ctl_server_path(server)), -EPERM);
	CU_ASSERT_EQUAL(ctl_run_dir_make(dir), -EPERM);
	CU_ASSERT_EQUAL(chown(dir, 0, -1), 0);
	close(dial());
}

static const struct cunit_test tests[] = {
	CUNIT_TEST(answers_are_bounded_in_bytes_and_time),
	CUNIT_TEST(only_our_own_and_roots_sockets_are_used),
};

CUNIT_MAIN("ctl_client", tests, setup, teardown)
