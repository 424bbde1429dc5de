/* SPDX-License-Identifier: BSD-3-Clause */
/* gazellectl ltran: each command line against a made-up ltran that counts questions. */
#include <signal.h>
#include <sys/wait.h>

#include "tests/ctl_fake.h"

static unsigned int n_asked;
static uint32_t asked_ms;

static int
fake_show(void *arg, const void *request, void *answer, char *text, size_t text_len)
{
	struct ctl_ltran *l = answer;

	n_asked++;
	snprintf(l->loglevel, sizeof(l->loglevel), "info");
	l->tcp_pkts = 1000000ull * n_asked;
	l->nics = calloc(1, sizeof(*l->nics));
	l->nics_count = 1;
	snprintf(l->nics[0].port.name, CTL_NAME_MAX, "nic0");
	l->drops = calloc(1, sizeof(*l->drops));
	l->drops_count = 1;
	snprintf(l->drops[0].node, CTL_NAME_MAX, "guard");
	l->drops[0].error = (struct ctl_error){"spoofed-ip", CTL_ODD, "not its own", n_asked / 3};
	return 0;
}

static int
fake_instances(void *arg, const void *request, void *answer, char *text, size_t text_len)
{
	struct ctl_instances *all = answer;

	all->instances = calloc(1, sizeof(*all->instances));
	all->instances_count = 1;
	all->instances[0].pid = 77;
	snprintf(all->instances[0].addr, CTL_ADDR_MAX, "198.18.0.7");
	snprintf(all->instances[0].state, CTL_NAME_MAX, "NORMAL");
	all->instances[0].drops = calloc(1, sizeof(struct ctl_reason));
	all->instances[0].drops_count = 1;
	all->instances[0].drops[0] = (struct ctl_reason){"ring-full", 5};
	return 0;
}

static int
fake_measure(void *arg, const void *request, void *answer, char *text, size_t text_len)
{
	const struct ctl_measure_request *r = request;
	struct ctl_measure *m = answer;

	n_asked++;
	asked_ms += r->for_ms;
	m->lengths = calloc(1, sizeof(*m->lengths));
	m->lengths_count = 1;
	m->lengths[0] = (struct ctl_class){0, 64, 1000 * n_asked};
	m->total = (struct ctl_latency){.pkts = n_asked, .max_ns = 2500};
	return 0;
}

static int
fake_set_loglevel(void *arg, const void *request, void *answer, char *text, size_t text_len)
{
	const struct ctl_loglevel *r = request;

	if (strcmp(r->level, "debug") != 0) {
		snprintf(text, text_len, "loglevel is error, info or debug");
		return -EINVAL;
	}
	*(struct ctl_loglevel *)answer = *r;
	return 0;
}

static int
fake_quit(void *arg, const void *request, void *answer, char *text, size_t text_len)
{
	((struct ctl_quit *)answer)->pid = getpid();
	n_asked++;
	return 0;
}

static const struct ctl_handler ltran_handlers[] = {
	{CTL_GRAPH_SHOW, fake_graph},
	{CTL_GRAPH_TRACE, fake_trace},
	{CTL_LTRAN_SHOW, fake_show},
	{CTL_LTRAN_INSTANCES, fake_instances},
	{CTL_LTRAN_MEASURE, fake_measure},
	{CTL_LTRAN_SET_LOGLEVEL, fake_set_loglevel},
	{CTL_LTRAN_QUIT, fake_quit},
};

static void
setup_ltran(void)
{
	params.kind = CTL_KIND_LTRAN;
	params.addr = NULL;
	params.handlers = ltran_handlers;
	params.n_handlers = sizeof(ltran_handlers) / sizeof(ltran_handlers[0]);
	setup();
	n_asked = asked_ms = 0;
}

static const struct {
	const char *line;
	int ret;
	const char *text;
} command_lines[] = {
	{"ltran show", 0, "Statistics of ltran:\nloglevel: info\n"},
	{"ltran show 1", 0, "tcp_pkts: "},
	{"ltran show --yaml", 0, "tcp_pkts: "},
	{"ltran show 99999", 1, "no ltran process 99999 on Gazelle"},
	{"ltran show -u other", 1, "no ltran process with unix_prefix \"other\", but pid"},
	{"ltran show -i", 0, "NORMAL"},
	{"ltran show instance", 0, "drops: ring-full 5; local ports: none"},
	{"ltran show instance --yaml", 0, "  - name: ring-full\n    packets: 5\n"},
	{"ltran show -r 2", 0, "Statistics of ltran rate:\n"},
	{"ltran show rate 1 --yaml", 0, "nics:\n"},
	{"ltran show -r 2 --yaml", 0, "\n---\n"},
	{"ltran show -r never", 2, "not a time in seconds: never"},
	{"ltran show -r 1 2 3", 2, "one word too many: 3"},
	{"ltran show -b 1", 0, "Packet Len   [       64]:"},
	{"ltran show burst 2", 0, "Percent: 100.0%"},
	{"ltran show -b 1 --yaml", 0, "lengths:\n"},
	{"ltran show -l", 0, "total: "},
	{"ltran show latency 3", 0, "2.500"},
	{"ltran show -l --yaml", 0, "max_ns: 2500"},
	{"ltran show -l 601", 2, "not a time in seconds: 601"},
	{"ltran show -x", 2, "unknown option -x"},
	{"ltran set loglevel debug", 0, "loglevel: debug"},
	{"ltran set loglevel debug --yaml", 0, "level: debug"},
	{"ltran set loglevel loud", 1, "loglevel is error, info or debug"},
	{"ltran set loglevel", 2, "wants error, info or debug"},
	{"ltran set loglevel debug 1 2", 2, "one word too many: 2"},
	{"ltran set colour blue", 2, "\"ltran set\" is not available"},
	{"ltran quit 99999", 1, "no ltran process 99999"},
	{"ltran quit 1 2", 2, "one word too many: 2"},
	{"graph show", 0, "bad-checksum"},
	{"graph trace 2", 0, "packet\n  rx 60 bytes"},
	{"lstack show", 1, "no lstack process on Gazelle"},
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

static unsigned int
count_of(const char *text, const char *what)
{
	unsigned int n = 0;

	for (; (text = strstr(text, what)) != NULL; text++)
		n++;
	return n;
}

/* One question more than seconds; drops that do not grow are not shown as drops. */
static void
rates_are_what_was_added(void)
{
	char *text;

	CU_ASSERT_EQUAL(gazellectl("ltran show -r 2", &text), 0);
	CU_ASSERT_EQUAL(n_asked, 3);
	CU_ASSERT_EQUAL(count_of(text, "Statistics of ltran rate:"), 2);
	CU_ASSERT_EQUAL(count_of(text, "spoofed-ip"), 1);
	CU_ASSERT_PTR_NULL(strstr(text, "tcp_pkts: 0 "));
	CU_ASSERT_PTR_NULL(strstr(text, "tcp_pkts: 1000000 ")); /* a "second" is one ms here */
	free(text);
}

/* What gazellectl starts ends without it: every question says for how long. */
static void
measurements_are_asked_for_a_limited_time(void)
{
	char *text;

	CU_ASSERT_EQUAL(gazellectl("ltran show -l 5", &text), 0);
	CU_ASSERT_EQUAL(n_asked, 2);
	CU_ASSERT_EQUAL(asked_ms, 5);
	free(text);
	CU_ASSERT_EQUAL(gazellectl("ltran show -b 1", &text), 0);
	CU_ASSERT_EQUAL(n_asked, 4);
	CU_ASSERT_EQUAL(asked_ms, 5 + 2 * 3);
	free(text);
}

/* A child is the ltran that is asked to end, and does. */
static void
quit_returns_when_the_process_has_gone(void)
{
	int ready[2], status;
	char *text, c;
	pid_t pid;

	ctl_server_stop(server); /* the fake lives in the child only */
	server = NULL;
	CU_ASSERT_EQUAL_FATAL(pipe(ready), 0);
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		ctl_server_start(&params, &server, err, sizeof(err));
		if (write(ready[1], "x", 1) != 1)
			_exit(9);
		while (__atomic_load_n(&n_asked, __ATOMIC_RELAXED) == 0)
			nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
		nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
		ctl_server_stop(server);
		_exit(7);
	}
	CU_ASSERT_EQUAL(read(ready[0], &c, 1), 1);
	CU_ASSERT_EQUAL(gazellectl("ltran quit", &text), 0);
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "has ended\n"));
	CU_ASSERT_EQUAL(waitpid(pid, &status, WNOHANG), pid);
	CU_ASSERT_EQUAL(WEXITSTATUS(status), 7);
	free(text);
	close(ready[0]);
	close(ready[1]);
}

static const struct cunit_test tests[] = {
	CUNIT_TEST(command_lines_do_what_they_say),
	CUNIT_TEST(rates_are_what_was_added),
	CUNIT_TEST(measurements_are_asked_for_a_limited_time),
	CUNIT_TEST(quit_returns_when_the_process_has_gone),
};

CUNIT_MAIN("gazellectl_ltran", tests, setup_ltran, teardown)
