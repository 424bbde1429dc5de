/* SPDX-License-Identifier: BSD-3-Clause */
/* gazellectl: how it finds processes, and what each command line does. */
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "ctl/clean.h"
#include "ctl/user.h"
#include "tests/ctl_fake.h"

/* A socket as a killed process leaves it. */
static void
make_stale(const char *name)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/%s", dir, name);
	CU_ASSERT_EQUAL(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	close(fd);
}

static void
stale_sockets_are_removed(void)
{
	struct ctl_client client = {.dir = dir, .prefix = ""};
	struct ctl_target t;
	struct ctl_place *list;

	make_stale("lstack_99999.sock");
	make_stale("redis-lstack_99998.sock");
	CU_ASSERT_EQUAL(ctl_places(dir, "lstack", &list), 3);
	free(list);
	CU_ASSERT_EQUAL_FATAL(ctl_client_find(&client, "lstack", NULL, &t, err, sizeof(err)), 0);
	close(t.fd);
	CU_ASSERT_EQUAL(ctl_places(dir, "lstack", &list), 1);
	free(list);

	make_stale("lstack_99999.sock");
	ctl_server_stop(server);
	CU_ASSERT_EQUAL_FATAL(ctl_server_start(&params, &server, err, sizeof(err)), 0);
	CU_ASSERT_EQUAL(ctl_places(dir, "lstack", &list), 1);
	free(list);
}

static void
processes_are_found_by_pid_and_address(void)
{
	struct ctl_client client = {.dir = dir, .prefix = ""};
	struct ctl_target t;
	char pid[16];

	snprintf(pid, sizeof(pid), "%d", getpid());
	CU_ASSERT_EQUAL_FATAL(ctl_client_find(&client, "lstack", pid, &t, err, sizeof(err)), 0);
	CU_ASSERT_STRING_EQUAL(t.id.addr, "198.18.0.1");
	close(t.fd);
	CU_ASSERT_EQUAL_FATAL(
		ctl_client_find(&client, "lstack", "198.18.0.1", &t, err, sizeof(err)), 0);
	close(t.fd);
	CU_ASSERT_EQUAL(ctl_client_find(&client, "lstack", "198.18.0.2", &t, err, sizeof(err)),
		CTL_EXIT_FAILED);
	CU_ASSERT_STRING_EQUAL(err, "no lstack process 198.18.0.2 on Gazelle");
	CU_ASSERT_EQUAL(ctl_client_find(&client, "lstack", "99999", &t, err, sizeof(err)),
		CTL_EXIT_FAILED);
	CU_ASSERT_EQUAL(ctl_client_find(&client, "lstack", "redis", &t, err, sizeof(err)),
		CTL_EXIT_USAGE);
	CU_ASSERT_STRING_EQUAL(err, "\"redis\" is neither a pid nor an address");
	client.prefix = "other";
	CU_ASSERT_EQUAL(ctl_client_find(&client, "lstack", NULL, &t, err, sizeof(err)),
		CTL_EXIT_FAILED);
	CU_ASSERT_PTR_NOT_NULL(strstr(err, "with unix_prefix \"other\", but pid"));
}

static void
longest_prefix_works(void)
{
	struct ctl_client client = {.dir = dir};
	struct ctl_target t;
	char prefix[129];

	memset(prefix, 'x', 128);
	prefix[128] = '\0';
	ctl_server_stop(server);
	params.prefix = client.prefix = prefix;
	CU_ASSERT_EQUAL_FATAL(ctl_server_start(&params, &server, err, sizeof(err)), 0);
	CU_ASSERT_EQUAL_FATAL(ctl_client_find(&client, "lstack", NULL, &t, err, sizeof(err)), 0);
	close(t.fd);
}

static void
names_are_parsed_strictly(void)
{
	struct ctl_place p;

	CU_ASSERT_TRUE(ctl_name_parse("a_b-lstack_7.sock", "lstack", &p));
	CU_ASSERT_STRING_EQUAL(p.prefix, "a_b-");
	CU_ASSERT_EQUAL(p.pid, 7);
	CU_ASSERT_FALSE(ctl_name_parse("lstack_.sock", "lstack", &p));
	CU_ASSERT_FALSE(ctl_name_parse("lstack_0.sock", "lstack", &p));
	CU_ASSERT_FALSE(ctl_name_parse("lstack_-1.sock", "lstack", &p));
	CU_ASSERT_FALSE(ctl_name_parse("lstack_1.sock2", "lstack", &p));
	CU_ASSERT_FALSE(ctl_name_parse("lstack_99999999999.sock", "lstack", &p));
	CU_ASSERT_FALSE(ctl_name_parse("ltran_1.sock", "lstack", &p));
	CU_ASSERT_FALSE(ctl_name_parse(".lstack_1", "lstack", &p));
}

/* Sockets where nobody ever answers: together they cost one second, and those who answer are found. */
static void
silent_processes_cost_one_second_together(void)
{
	struct ctl_client client = {.dir = dir, .prefix = ""};
	struct timespec t0, t1;
	struct ctl_target t;
	int fds[20], ret;
	char name[80];

	for (int i = 0; i < 20; i++) {
		struct sockaddr_un addr = {.sun_family = AF_UNIX};

		snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/lstack_%d.sock", dir, 100 + i);
		fds[i] = socket(AF_UNIX, SOCK_STREAM, 0);
		CU_ASSERT_EQUAL(bind(fds[i], (struct sockaddr *)&addr, sizeof(addr)), 0);
		CU_ASSERT_EQUAL(listen(fds[i], i % 2), 0);
	}
	clock_gettime(CLOCK_MONOTONIC, &t0);
	ret = ctl_client_find(&client, "lstack", NULL, &t, err, sizeof(err));
	clock_gettime(CLOCK_MONOTONIC, &t1);
	CU_ASSERT_EQUAL_FATAL(ret, CTL_EXIT_OK);
	CU_ASSERT_EQUAL(t.id.pid, (uint32_t)getpid());
	close(t.fd);
	CU_ASSERT((t1.tv_sec - t0.tv_sec) * 1000 + (t1.tv_nsec - t0.tv_nsec) / 1000000 <
		CTL_EXCHANGE_MS + 500);
	CU_ASSERT_EQUAL(ctl_client_find(&client, "lstack", "107", &t, err, sizeof(err)),
		CTL_EXIT_FAILED);
	CU_ASSERT_STRING_EQUAL(err, "lstack process 107 does not answer within 1 s");
	for (int i = 0; i < 20; i++) {
		close(fds[i]);
		snprintf(name, sizeof(name), "%s/lstack_%d.sock", dir, 100 + i);
		unlink(name);
	}
}

/* A directory that is not ours alone is not looked into. */
static void
directories_of_others_are_not_used(void)
{
	struct ctl_client client = {.dir = dir, .prefix = ""};
	struct ctl_target t;

	CU_ASSERT_EQUAL(chmod(dir, 0777), 0);
	CU_ASSERT_EQUAL(ctl_client_find(&client, "lstack", NULL, &t, err, sizeof(err)),
		CTL_EXIT_FAILED);
	CU_ASSERT_PTR_NOT_NULL(strstr(err, "belongs to another user and is not used"));
	CU_ASSERT_EQUAL(chmod(dir, 0700), 0);
}

static void
texts_do_not_steer_the_terminal(void)
{
	const struct ctl_message *m = ctl_message_find(CTL_GRAPH_TRACE);
	static const char body[] = "packets: 1\nlines:\n- \"\\e[31mEVIL\\e[0m\\a\\nforged: line\"\n"
		"- \"\\x9b2J\\u202e\"\n";
	struct ctl_trace *t;
	void *answer;
	char *text;
	size_t len;
	FILE *memory = open_memstream(&text, &len), *out = ctl_clean_stream(memory);

	CU_ASSERT_EQUAL_FATAL(ctl_message_decode(m->answer, body, strlen(body), &answer), 0);
	ctl_clean_answer(m->answer, answer);
	t = answer;
	CU_ASSERT_STRING_EQUAL(t->lines[0], "?[31mEVIL?[0m??forged: line");
	CU_ASSERT_EQUAL(strspn(t->lines[1], "?2J"), strlen(t->lines[1]));
	ctl_message_free(m->answer, answer);

	fputs("plain\ttext\n\x1b[2J\x9b\xc2\x9b\r", out);
	fclose(out);
	fclose(memory);
	CU_ASSERT_STRING_EQUAL(text, "plain\ttext\n?[2J????");
	free(text);
}

static void
users_are_named_or_numbered(void)
{
	CU_ASSERT_EQUAL(ctl_user_become("no-such-user", err, sizeof(err)), -ENOENT);
	CU_ASSERT_STRING_EQUAL(err, "--user: there is no user no-such-user");
	CU_ASSERT_EQUAL(ctl_user_become("4294967295", err, sizeof(err)), -ENOENT);
	CU_ASSERT_EQUAL(ctl_user_become("12x", err, sizeof(err)), -ENOENT);
}

static const struct {
	const char *line;
	int ret;
	const char *text;
} command_lines[] = {
	{"graph show", 0, "pid"},
	{"graph show 198.18.0.1", 0, "bad-checksum"},
	{"graph show 198.18.0.1 --yaml", 0, "symbol: bad-checksum"},
	{"graph show 1", 0, "bad-checksum"},
	{"graph show 198.18.0.9", 1, "no process 198.18.0.9 on Gazelle"},
	{"graph show redis", 2, "neither a pid nor an address"},
	{"graph show 1 2", 2, "one word too many: 2"},
	{"graph show -z", 2, "unknown option -z"},
	{"graph show --user", 2, "--user wants a name"},
	{"graph show -u", 2, "-u wants a prefix"},
	{"graph show -u nobody", 1, "with unix_prefix \"nobody\", but pid"},
	{"graph trace", 2, "wants a number of packets"},
	{"graph trace 0", 2, "wants a number of packets"},
	{"graph trace 257", 2, "wants a number of packets"},
	{"graph trace 198.18.0.1", 2, "wants a number of packets"},
	{"graph trace 5", 0, "packet\n  rx 60 bytes\n\npacket\n"},
	{"graph trace 3 198.18.0.1 --yaml", 0, "packets: 3\nlines:\n- packet\n- "},
	{"graph trace 77", 1, "seventy-seven is too many"},
	{"graph draw", 2, "\"graph draw\" is not available in this version"},
	{"lstack show -c", 0, "...Total connections: 3, display connections: 3"},
	{"lstack show 198.18.0.1 -c", 0, "ESTABLISHED"},
	{"lstack show 198.18.0.1 connect", 0, "ESTABLISHED"},
	{"-c lstack show 198.18.0.1", 0, "ESTABLISHED"},
	{"lstack show -s", 1, "\"lstack show -s\" is not available in this lstack"},
	{"lstack show 1 snmp", 1, "\"lstack show -s\" is not available in this lstack"},
	{"lstack show -c -s", 2, "one option too many: -s"},
	{"lstack show 1 -r 1", 1, "\"lstack show\" is not available in this lstack"},
	{"lstack show 198.18.0.1 rate soon", 2, "not a time in seconds: soon"},
	{"lstack show 198.18.0.1 -r 0", 2, "not a time in seconds: 0"},
	{"lstack show 1 -r 2 3", 2, "one word too many: 3"},
	{"lstack show 1 latency", 2, "\"lstack show -l\" is not available"},
	{"lstack set 1 loglevel debug", 2, "\"lstack set\" is not available"},
	{"ltran show -i", 1, "no ltran process on Gazelle"},
	{"ltran show -t", 2, "\"ltran show -t\" is not available"},
	{"lstack", 2, "incomplete command: lstack"},
	{"", 2, "no command"},
	{"stack show", 2, "unknown command: stack show"},
	{"a b c d e f g h i", 2, "too many words: i"},
};

static void
command_lines_do_what_they_say(void)
{
	for (size_t i = 0; i < sizeof(command_lines) / sizeof(command_lines[0]); i++) {
		char *text;
		int ret = gazellectl(command_lines[i].line, &text);
		bool ok = ret == command_lines[i].ret &&
			strstr(text, command_lines[i].text) != NULL;

		if (!ok)
			printf("\n    %s: %d\n%s\n", command_lines[i].line, ret, text);
		CU_ASSERT(ok);
		free(text);
	}
}

static const struct cunit_test tests[] = {
	CUNIT_TEST(stale_sockets_are_removed),
	CUNIT_TEST(processes_are_found_by_pid_and_address),
	CUNIT_TEST(longest_prefix_works),
	CUNIT_TEST(names_are_parsed_strictly),
	CUNIT_TEST(silent_processes_cost_one_second_together),
	CUNIT_TEST(directories_of_others_are_not_used),
	CUNIT_TEST(texts_do_not_steer_the_terminal),
	CUNIT_TEST(users_are_named_or_numbered),
	CUNIT_TEST(command_lines_do_what_they_say),
};

CUNIT_MAIN("gazellectl", tests, setup, teardown)
