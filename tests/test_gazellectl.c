/* SPDX-License-Identifier: BSD-3-Clause */
/* gazellectl: how it finds processes, and what each command line does. */
#include <sys/socket.h>
#include <sys/un.h>

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
	CUNIT_TEST(command_lines_do_what_they_say),
};

CUNIT_MAIN("gazellectl", tests, setup, teardown)
