/* SPDX-License-Identifier: BSD-3-Clause */
/* What the suites of ctl/ share: a server in a directory of its own, with made-up facts. */
#ifndef TESTS_CTL_FAKE_H
#define TESTS_CTL_FAKE_H

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "ctl/commands.h"
#include "ctl/messages.h"
#include "ctl/path.h"
#include "ctl/server.h"
#include "tests/cunit_main.h"

static char dir[64], err[512];
static struct ctl_server *server;
static unsigned int n_conns;

static inline int
fake_graph(void *arg, const void *request, void *answer, char *text, size_t text_len)
{
	struct ctl_graph *g = answer;

	(void)arg, (void)request, (void)text, (void)text_len;
	g->cycles_hz = 2400000000;
	g->cores = calloc(2, sizeof(*g->cores));
	g->cores_count = 2;
	g->cores[1].index = 1;
	g->cores[0].nodes = calloc(1, sizeof(struct ctl_node));
	g->cores[0].nodes_count = 1;
	snprintf(g->cores[0].nodes[0].name, CTL_NAME_MAX, "classify");
	g->cores[0].nodes[0].packets = UINT64_MAX;
	g->cores[0].nodes[0].errors = calloc(1, sizeof(struct ctl_error));
	g->cores[0].nodes[0].errors_count = 1;
	g->cores[0].nodes[0].errors[0] = (struct ctl_error){.symbol = "bad-checksum",
		.severity = CTL_BROKEN, .text = "weird: \"text\" # with 'signs'", .count = 3};
	return 0;
}

/* Each request finds two more packets. */
static inline int
fake_trace(void *arg, const void *request, void *answer, char *text, size_t text_len)
{
	const struct ctl_trace_request *r = request;
	struct ctl_trace *t = answer;

	(void)arg;
	if (r->packets == 77) {
		snprintf(text, text_len, "seventy-seven is too many");
		return -EINVAL;
	}
	t->packets = 2;
	t->lines = calloc(4, sizeof(*t->lines));
	t->lines_count = 4;
	for (int i = 0; i < 4; i++)
		t->lines[i] = strdup(i % 2 ? "  rx 60 bytes" : "packet");
	return 0;
}

static inline int
fake_conns(void *arg, const void *request, void *answer, char *text, size_t text_len)
{
	const struct ctl_conns_request *r = request;
	struct ctl_conns *c = answer;

	(void)arg, (void)text, (void)text_len;
	c->total = n_conns;
	c->conns_count = n_conns < r->max ? n_conns : r->max;
	c->conns = calloc(c->conns_count, sizeof(*c->conns));
	for (uint32_t i = 0; i < c->conns_count; i++) {
		snprintf(c->conns[i].local, CTL_ADDR_MAX, "198.18.0.1:6379");
		snprintf(c->conns[i].state, CTL_NAME_MAX, "ESTABLISHED");
		c->conns[i].fd = i - 1;
	}
	return 0;
}

static const struct ctl_handler handlers[] = {
	{CTL_GRAPH_SHOW, fake_graph},
	{CTL_GRAPH_TRACE, fake_trace},
	{CTL_LSTACK_CONNS, fake_conns},
};

static struct ctl_server_params params = {
	.prefix = "", .kind = CTL_KIND_LSTACK, .addr = "198.18.0.1", .version = "0.1.0",
	.handlers = handlers, .n_handlers = 3, .timeout_ms = 1000,
};

static inline void
setup(void)
{
	snprintf(dir, sizeof(dir), "/tmp/test_ctl_XXXXXX");
	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(dir));
	params.dir = dir;
	params.prefix = "";
	server = NULL;
	n_conns = 3;
	CU_ASSERT_EQUAL_FATAL(ctl_server_start(&params, &server, err, sizeof(err)), 0);
}

static inline void
teardown(void)
{
	if (server != NULL)
		ctl_server_stop(server);
	/* The server leaves nothing behind. */
	CU_ASSERT_EQUAL(rmdir(dir), 0);
}

/* gazellectl's commands with the fake behind them; returns the exit code, *text the output. */
static inline int
gazellectl(const char *line, char **text)
{
	struct ctl_invocation in = {.client = {.dir = dir, .prefix = ""},
		.second_ms = 1};
	char copy[256], *argv[16] = {"gazellectl"}, *save = NULL;
	int argc = 1, ret;
	size_t len;

	snprintf(copy, sizeof(copy), "%s", line);
	for (char *w = strtok_r(copy, " ", &save); w; w = strtok_r(NULL, " ", &save))
		argv[argc++] = w;
	in.out = in.err = open_memstream(text, &len);
	ret = ctl_parse_args(argc, argv, &in);
	if (ret == CTL_EXIT_OK)
		ret = ctl_run_command(&in);
	fclose(in.out);
	return ret;
}

static inline int
dial(void)
{
	int fd;

	while ((fd = ctl_dial(ctl_server_path(server))) == -EAGAIN)
		nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
	CU_ASSERT_FATAL(fd >= 0);
	fcntl(fd, F_SETFL, 0);
	return fd;
}

#endif
