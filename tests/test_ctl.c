/* SPDX-License-Identifier: BSD-3-Clause */
/* ctl/server.c: requests over real sockets, good, bad, slow and forbidden ones. */
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "tests/ctl_fake.h"

static void
identity_tells_who_it_is(void)
{
	const struct ctl_message *m = ctl_message_find(CTL_IDENTITY);
	int fd = dial();
	char *body;
	size_t len;
	void *answer;
	struct ctl_identity *id;

	/* A connection carries several requests. */
	for (int i = 0; i < 3; i++) {
		CU_ASSERT_EQUAL_FATAL(ctl_client_ask(fd, CTL_IDENTITY, NULL, &body, &len, err,
			sizeof(err)), 0);
		CU_ASSERT_EQUAL_FATAL(ctl_message_decode(m->answer, body, len, &answer), 0);
		id = answer;
		CU_ASSERT_EQUAL(id->pid, (uint32_t)getpid());
		CU_ASSERT_STRING_EQUAL(id->kind, "lstack");
		CU_ASSERT_STRING_EQUAL(id->program, "test_ctl");
		CU_ASSERT_STRING_EQUAL(id->addr, "198.18.0.1");
		ctl_message_free(m->answer, answer);
		free(body);
	}
	close(fd);
}

static void
nested_answers_survive_the_way(void)
{
	const struct ctl_message *m = ctl_message_find(CTL_GRAPH_SHOW);
	int fd = dial();
	char *body;
	size_t len;
	void *answer;
	struct ctl_graph *g;

	CU_ASSERT_EQUAL_FATAL(ctl_client_ask(fd, CTL_GRAPH_SHOW, NULL, &body, &len, err,
		sizeof(err)), 0);
	CU_ASSERT_EQUAL_FATAL(ctl_message_decode(m->answer, body, len, &answer), 0);
	g = answer;
	CU_ASSERT_EQUAL_FATAL(g->cores_count, 2);
	CU_ASSERT_EQUAL(g->cores[1].nodes_count, 0);
	CU_ASSERT_EQUAL_FATAL(g->cores[0].nodes_count, 1);
	CU_ASSERT_EQUAL(g->cores[0].nodes[0].packets, UINT64_MAX);
	CU_ASSERT_EQUAL_FATAL(g->cores[0].nodes[0].errors_count, 1);
	CU_ASSERT_EQUAL(g->cores[0].nodes[0].errors[0].severity, CTL_BROKEN);
	CU_ASSERT_STRING_EQUAL(g->cores[0].nodes[0].errors[0].text,
		"weird: \"text\" # with 'signs'");
	ctl_message_free(m->answer, answer);
	free(body);
	close(fd);
}

static void
big_answers_arrive_whole(void)
{
	const struct ctl_message *m = ctl_message_find(CTL_LSTACK_CONNS);
	struct ctl_conns_request r = {.max = 3000};
	int fd = dial();
	char *body;
	size_t len;
	void *answer;

	n_conns = 5000;
	CU_ASSERT_EQUAL_FATAL(ctl_client_ask(fd, CTL_LSTACK_CONNS, &r, &body, &len, err,
		sizeof(err)), 0);
	CU_ASSERT_EQUAL_FATAL(ctl_message_decode(m->answer, body, len, &answer), 0);
	CU_ASSERT_EQUAL(((struct ctl_conns *)answer)->total, 5000);
	CU_ASSERT_EQUAL(((struct ctl_conns *)answer)->conns_count, 3000);
	CU_ASSERT_EQUAL(((struct ctl_conns *)answer)->conns[0].fd, -1);
	ctl_message_free(m->answer, answer);
	free(body);
	close(fd);
}

static void
handler_errors_reach_the_client(void)
{
	struct ctl_trace_request r = {.packets = 77};
	int fd = dial();
	char *body;
	size_t len;

	CU_ASSERT_EQUAL(ctl_client_ask(fd, CTL_GRAPH_TRACE, &r, &body, &len, err, sizeof(err)),
		-EREMOTEIO);
	CU_ASSERT_STRING_EQUAL(err, "seventy-seven is too many");
	CU_ASSERT_EQUAL(ctl_client_ask(fd, CTL_LSTACK_SNMP, NULL, &body, &len, err, sizeof(err)),
		-EREMOTEIO);
	CU_ASSERT_STRING_EQUAL(err, "\"lstack show -s\" is not available in this lstack");
	close(fd);
}

/* Sends raw bytes; returns the status of the answer, -1 for a closed connection. */
static int
raw(int fd, const void *bytes, size_t n, struct ctl_header *h)
{
	char body[CTL_REQUEST_MAX];

	CU_ASSERT_EQUAL(send(fd, bytes, n, MSG_NOSIGNAL), (ssize_t)n);
	if (recv(fd, h, sizeof(*h), MSG_WAITALL) != sizeof(*h))
		return -1;
	if (h->length > 0)
		recv(fd, body, h->length, MSG_WAITALL);
	return h->status;
}

static void
bad_headers_are_refused(void)
{
	struct ctl_header h = {.magic = CTL_MAGIC, .version = CTL_VERSION, .command = CTL_IDENTITY};
	struct ctl_header wrong, out;
	char byte;
	int fd = dial();

	wrong = h;
	wrong.version = 99;
	CU_ASSERT_EQUAL(raw(fd, &wrong, sizeof(wrong), &out), CTL_BAD_VERSION);
	CU_ASSERT_EQUAL(out.version, CTL_VERSION);
	wrong = h;
	wrong.command = 999;
	CU_ASSERT_EQUAL(raw(fd, &wrong, sizeof(wrong), &out), CTL_BAD_COMMAND);
	CU_ASSERT_EQUAL(out.command, 999);
	/* The connection has lived so far. */
	CU_ASSERT_EQUAL(raw(fd, &h, sizeof(h), &out), CTL_OK);

	wrong = h;
	wrong.magic = 0x47455420;
	CU_ASSERT_EQUAL(raw(fd, &wrong, sizeof(wrong), &out), CTL_BAD_REQUEST);
	CU_ASSERT_EQUAL(recv(fd, &byte, 1, 0), 0);
	close(fd);

	fd = dial();
	wrong = h;
	wrong.length = CTL_REQUEST_MAX + 1;
	CU_ASSERT_EQUAL(raw(fd, &wrong, sizeof(wrong), &out), CTL_BAD_REQUEST);
	CU_ASSERT_EQUAL(recv(fd, &byte, 1, 0), 0);
	close(fd);
}

static void
bad_bodies_are_refused(void)
{
	static const char *const bodies[] = {"", "packets: 1", "{", "action: start\npackets: -1",
		"action: dance\npackets: 1", "packets: &a [*a, *a]\naction: start", "\xff\xfe"};
	int fd = dial();

	for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
		struct ctl_header out, h = {.magic = CTL_MAGIC, .version = CTL_VERSION,
			.command = CTL_GRAPH_TRACE, .length = strlen(bodies[i])};
		char request[256];

		memcpy(request, &h, sizeof(h));
		memcpy(request + sizeof(h), bodies[i], h.length);
		if (raw(fd, request, sizeof(h) + h.length, &out) == CTL_BAD_REQUEST)
			continue;
		CU_FAIL("accepted");
		printf("\n    body: \"%s\"\n", bodies[i]);
	}
	close(fd);
}

static void
slow_and_truncated_clients_do_not_hold_up_others(void)
{
	struct ctl_header h = {.magic = CTL_MAGIC, .version = CTL_VERSION, .command = CTL_IDENTITY};
	int slow = dial(), gone = dial();
	struct timespec byte_time = {.tv_nsec = 5000000};
	char byte;

	CU_ASSERT_EQUAL(send(gone, &h, 7, 0), 7);
	close(gone);
	CU_ASSERT_EQUAL(send(slow, &h, 7, 0), 7);
	identity_tells_who_it_is();
	/* Half a header for longer than the time limit. */
	CU_ASSERT_EQUAL(recv(slow, &byte, 1, 0), 0);
	close(slow);
	identity_tells_who_it_is();

	/* Byte by byte, but in time. */
	slow = dial();
	for (size_t i = 0; i < sizeof(h); i++) {
		nanosleep(&byte_time, NULL);
		CU_ASSERT_EQUAL(send(slow, (char *)&h + i, 1, MSG_NOSIGNAL), 1);
	}
	CU_ASSERT_EQUAL(recv(slow, &h, sizeof(h), MSG_WAITALL), sizeof(h));
	CU_ASSERT_EQUAL(h.status, CTL_OK);
	close(slow);
}

/* Who asks gives up after CTL_EXCHANGE_MS, which a large answer may take with sanitizers on a busy machine. */
static void
wait_until_it_answers(void)
{
	int ret = -1;

	for (int tries = 0; tries < 30 && ret != 0; tries++) {
		char *body = NULL;
		size_t len;
		int fd = dial();

		ret = ctl_client_ask(fd, CTL_IDENTITY, NULL, &body, &len, err, sizeof(err));
		free(body);
		close(fd);
	}
	CU_ASSERT_EQUAL(ret, 0);
}

static void
clients_that_do_not_read_are_dropped(void)
{
	struct ctl_header h = {.magic = CTL_MAGIC, .version = CTL_VERSION,
		.command = CTL_LSTACK_CONNS, .length = 9};
	int fd = dial();
	char buf[4096];
	ssize_t n;

	n_conns = 2000; /* more than the socket holds */
	CU_ASSERT_EQUAL(send(fd, &h, sizeof(h), 0), sizeof(h));
	CU_ASSERT_EQUAL(send(fd, "max: 2000", 9, 0), 9);
	/* Answered after the big answer has been made; then its time limit passes. */
	wait_until_it_answers();
	nanosleep(&(struct timespec){.tv_sec = 2}, NULL);
	while ((n = recv(fd, buf, sizeof(buf), 0)) > 0)
		;
	CU_ASSERT(n == 0 || errno == ECONNRESET);
	close(fd);
}

static void
more_clients_than_places_wait_their_turn(void)
{
	int fds[40];

	for (int i = 0; i < 40; i++)
		fds[i] = ctl_dial(ctl_server_path(server));
	for (int i = 0; i < 40; i++) {
		if (fds[i] >= 0)
			close(fds[i]);
	}
	identity_tells_who_it_is();
}

/* The path as it is, whoever has put it there. */
static int
dial_anyway(void)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", ctl_server_path(server));
	return fd >= 0 && connect(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0 ? fd : -1;
}

static void
others_may_not_ask(void)
{
	struct ctl_header out, h = {.magic = CTL_MAGIC, .version = CTL_VERSION,
		.command = CTL_IDENTITY};
	struct stat st;
	int status;
	pid_t pid;

	CU_ASSERT_EQUAL(stat(ctl_server_path(server), &st), 0);
	CU_ASSERT_EQUAL(st.st_mode & 0777, 0600);
	CU_ASSERT_EQUAL(stat(dir, &st), 0);
	CU_ASSERT_EQUAL(st.st_mode & 0777, 0700);
	if (geteuid() != 0)
		return;
	/* Even with the doors of the file system open. */
	CU_ASSERT_EQUAL(chmod(dir, 0777), 0);
	CU_ASSERT_EQUAL(chmod(ctl_server_path(server), 0777), 0);
	pid = fork();
	if (pid == 0) {
		int fd;

		if (setuid(65534) < 0 || (fd = dial_anyway()) < 0)
			_exit(100);
		send(fd, &h, sizeof(h), MSG_NOSIGNAL); /* it may be closed already */
		if (recv(fd, &out, sizeof(out), MSG_WAITALL) != sizeof(out))
			_exit(101);
		_exit(out.status);
	}
	CU_ASSERT_EQUAL(waitpid(pid, &status, 0), pid);
	CU_ASSERT_EQUAL(WEXITSTATUS(status), CTL_DENIED);
}

/* Those who hold connections and say nothing, or half of something, keep nobody out. */
static void
idle_clients_make_room(void)
{
	struct ctl_header h = {.magic = CTL_MAGIC, .version = CTL_VERSION, .command = CTL_IDENTITY};
	struct timespec before, after;
	int fds[60];

	for (int i = 0; i < 60; i++) {
		fds[i] = dial();
		if (i % 3 == 0)
			send(fds[i], &h, sizeof(h) / 2, MSG_NOSIGNAL);
	}
	clock_gettime(CLOCK_MONOTONIC, &before);
	identity_tells_who_it_is();
	clock_gettime(CLOCK_MONOTONIC, &after);
	CU_ASSERT(after.tv_sec * 1000 + after.tv_nsec / 1000000 -
		(before.tv_sec * 1000 + before.tv_nsec / 1000000) < params.timeout_ms);
	for (int i = 0; i < 60; i++)
		close(fds[i]);
}

static long
used_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* A program may use all descriptors there are, or forbid itself more: no reason to spin. */
static void
server_rests_where_descriptors_are_gone(void)
{
	struct timespec wait = {.tv_nsec = 300000000};
	struct rlimit old, none;
	long before;
	int fd;

	identity_tells_who_it_is();
	CU_ASSERT_EQUAL(getrlimit(RLIMIT_NOFILE, &old), 0);
	none = old;
	fd = dial_anyway(); /* waits in line, perhaps until there are descriptors again */
	for (rlim_t limit = 0; limit < 2; limit++) {
		int extra = dial_anyway();

		none.rlim_cur = limit;
		CU_ASSERT_EQUAL(setrlimit(RLIMIT_NOFILE, &none), 0);
		before = used_ms();
		nanosleep(&wait, NULL);
		CU_ASSERT(used_ms() - before < 100);
		CU_ASSERT_EQUAL(setrlimit(RLIMIT_NOFILE, &old), 0);
		close(extra);
	}
	close(fd);
	identity_tells_who_it_is();
}

/* poll() fails then, and says nothing of the wish to stop either. */
static void
server_stops_where_no_descriptor_is_allowed(void)
{
	struct ctl_header out, h = {.magic = CTL_MAGIC, .version = CTL_VERSION, .command = CTL_IDENTITY};
	const struct timeval a_while = {.tv_usec = 300000};
	struct rlimit old, none;
	int fd = dial();

	CU_ASSERT_EQUAL(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &a_while, sizeof(a_while)), 0);
	CU_ASSERT_EQUAL(raw(fd, &h, sizeof(h), &out), CTL_OK);
	CU_ASSERT_EQUAL(getrlimit(RLIMIT_NOFILE, &old), 0);
	none = old;
	none.rlim_cur = 0;
	CU_ASSERT_EQUAL(setrlimit(RLIMIT_NOFILE, &none), 0);
	raw(fd, &h, sizeof(h), &out); /* answered if the wait had begun before; from here on it cannot wait */
	ctl_server_stop(server); /* returns */
	server = NULL;
	CU_ASSERT_EQUAL(setrlimit(RLIMIT_NOFILE, &old), 0);
	close(fd);
}

static void
thread_blocks_all_signals(void)
{
	sigset_t set;

	/* Blocked here and pending for the process: only the server's thread could take it. */
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	kill(getpid(), SIGUSR1);
	identity_tells_who_it_is();
	sigpending(&set);
	CU_ASSERT_TRUE(sigismember(&set, SIGUSR1));
	sigwaitinfo(&set, NULL);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

static void
forked_child_leaves_the_socket_alone(void)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		ctl_server_stop(server);
		_exit(0);
	}
	CU_ASSERT_EQUAL(waitpid(pid, &status, 0), pid);
	identity_tells_who_it_is();
}

static const struct cunit_test tests[] = {
	CUNIT_TEST(identity_tells_who_it_is),
	CUNIT_TEST(nested_answers_survive_the_way),
	CUNIT_TEST(big_answers_arrive_whole),
	CUNIT_TEST(handler_errors_reach_the_client),
	CUNIT_TEST(bad_headers_are_refused),
	CUNIT_TEST(bad_bodies_are_refused),
	CUNIT_TEST(slow_and_truncated_clients_do_not_hold_up_others),
	CUNIT_TEST(clients_that_do_not_read_are_dropped),
	CUNIT_TEST(more_clients_than_places_wait_their_turn),
	CUNIT_TEST(others_may_not_ask),
	CUNIT_TEST(idle_clients_make_room),
	CUNIT_TEST(server_rests_where_descriptors_are_gone),
	CUNIT_TEST(server_stops_where_no_descriptor_is_allowed),
	CUNIT_TEST(thread_blocks_all_signals),
	CUNIT_TEST(forked_child_leaves_the_socket_alone),
};

CUNIT_MAIN("ctl", tests, setup, teardown)
