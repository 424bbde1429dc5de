/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Fuzzer of gazellectl's side: what comes back from a socket is taken apart, cleaned and rendered.
 * Whatever it is, nothing but printable text reaches the terminal, and no document with nested flow
 * collections reaches libcyaml. Runs as tests/fuzz_conf.c does.
 *
 * Input: the command, what is wrong with the header, by how much its length is, the body.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <yaml.h>

#include "ctl/bounds.h"
#include "ctl/clean.h"
#include "ctl/client.h"
#include "ctl/messages.h"
#include "ctl/render.h"
#include "tests/fuzz_main.h"

#define INPUT_HEAD 3

static void
draw(FILE *out, enum ctl_command command, const void *answer)
{
	switch (command) {
	case CTL_IDENTITY: render_identity(out, answer); break;
	case CTL_GRAPH_SHOW: render_graph(out, answer); break;
	case CTL_GRAPH_TRACE: render_trace(out, answer); break;
	case CTL_LSTACK_SHOW: render_lstack(out, answer); break;
	case CTL_LSTACK_CONNS: render_conns(out, answer); break;
	case CTL_LSTACK_SNMP: render_snmp(out, answer); break;
	case CTL_LTRAN_SHOW: render_ltran(out, answer); break;
	case CTL_LTRAN_INSTANCES: render_instances(out, answer); break;
	case CTL_LTRAN_MEASURE: render_burst(out, answer); render_latency(out, answer); break;
	case CTL_LTRAN_SET_LOGLEVEL: render_loglevel(out, answer); break;
	case CTL_LTRAN_QUIT: render_quit(out, answer); break;
	}
}

static void
require_printable(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		fuzz_require((text[i] >= ' ' && text[i] <= '~') || text[i] == '\n' || text[i] == '\t',
			"a control character reached the terminal");
}

static void
show(enum ctl_command command, void *answer)
{
	const struct ctl_message *m = ctl_message_find(command);
	char *text;
	size_t len;
	FILE *memory = open_memstream(&text, &len), *out = ctl_clean_stream(memory);

	ctl_clean_answer(m->answer, answer);
	draw(out, command, answer);
	fclose(out);
	fclose(memory);
	require_printable(text, len);
	free(text);
}

/* What ctl_bounds_hold() promises, by libyaml's own reading. */
static void
require_flat(const char *body, size_t len)
{
	yaml_parser_t parser;
	yaml_token_t token;
	int depth = 0, max = 0;
	bool more = true;

	yaml_parser_initialize(&parser);
	yaml_parser_set_input_string(&parser, (const unsigned char *)body, len);
	while (more && yaml_parser_scan(&parser, &token)) {
		depth += token.type == YAML_FLOW_SEQUENCE_START_TOKEN ||
			token.type == YAML_FLOW_MAPPING_START_TOKEN;
		depth -= token.type == YAML_FLOW_SEQUENCE_END_TOKEN ||
			token.type == YAML_FLOW_MAPPING_END_TOKEN;
		max = depth > max ? depth : max;
		more = token.type != YAML_STREAM_END_TOKEN;
		yaml_token_delete(&token);
	}
	yaml_parser_delete(&parser);
	fuzz_require(max <= 1, "nested flow collections went through");
}

static void
answer_and_ask(enum ctl_command command, const struct ctl_header *h, const uint8_t *body, size_t len)
{
	const struct ctl_message *m = ctl_message_find(command);
	char request[64] = "", err[CTL_TEXT_MAX] = "", *text = NULL;
	size_t text_len = 0;
	void *answer;
	int fd[2];

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, fd) < 0 ||
		send(fd[1], h, sizeof(*h), 0) < 0 || (len > 0 && send(fd[1], body, len, 0) < 0) ||
		shutdown(fd[1], SHUT_WR) < 0)
		abort();
	if (ctl_client_ask(fd[0], command, request, &text, &text_len, err, sizeof(err)) == 0) {
		fuzz_require(text_len <= m->answer_max, "the answer is too long");
		if (ctl_bounds_hold(text, text_len))
			require_flat(text, text_len);
		if (ctl_message_decode(m->answer, text, text_len, &answer) == 0) {
			show(command, answer);
			ctl_message_free(m->answer, answer);
		}
		free(text);
	}
	require_printable(err, strlen(err));
	close(fd[0]);
	close(fd[1]);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const enum ctl_command commands[] = {
		CTL_IDENTITY, CTL_GRAPH_SHOW, CTL_GRAPH_TRACE, CTL_LSTACK_SHOW, CTL_LSTACK_CONNS,
		CTL_LSTACK_SNMP, CTL_LTRAN_SHOW, CTL_LTRAN_INSTANCES, CTL_LTRAN_MEASURE,
		CTL_LTRAN_SET_LOGLEVEL, CTL_LTRAN_QUIT,
	};
	enum ctl_command command;
	struct ctl_header h;

	if (size < INPUT_HEAD)
		return 0;
	command = commands[data[0] % (sizeof(commands) / sizeof(commands[0]))];
	h = (struct ctl_header){.magic = CTL_MAGIC, .version = CTL_VERSION, .command = command,
		.status = data[1] % 16 < CTL_FAILED + 1 ? data[1] % 16 : CTL_OK,
		.length = size - INPUT_HEAD};
	if (data[1] == 0xff)
		h.magic++;
	if (data[2] != ' ')
		h.length += (int8_t)data[2];
	answer_and_ask(command, &h, data + INPUT_HEAD, size - INPUT_HEAD);
	return 0;
}

static const char *const seeds[] = {
	"\x0b\x10 pid: 1\nkind: lstack\nprogram: redis\naddr: 198.18.0.1\nversion: 1\n",
	"\x0b\x10 pid: 1\nkind: lstack\nprogram: \"\\e[31mx\"\naddr: ''\nversion: 1\nnew: {}\n",
	"\x01\x10 cycles_hz: 1\ncores:\n- index: 0\n  tid: -1\n  nodes:\n  - name: rx\n    calls: 1\n"
	"    packets: 2\n    cycles: 3\n    errors:\n    - symbol: a\n      severity: odd\n"
	"      text: long text\n        goes on\n      count: 1\n",
	"\x02\x10 packets: 1\nlines:\n- a\n- \"\\x9b2J\"\n- ' b [ c'\n",
	"\x04\x10 total: 0\nconns: []\n",
	"\x04\x10 total: 1\nconns:\n- stack: 0\n  tid: 1\n  proto: tcp\n  local: a\n  peer: b\n"
	"  state: LISTEN\n  fd: 1\n  recv_queue: 0\n",
	"\x05\x10 stacks:\n",
	"\x07\x10 instances:\n- addr: 1.2.3.4\n  id: 0\n  drops:\n  - name: rate\n    packets: 1\n",
	"\x08\x10 us: 1\nlengths:\n- from: 0\n  to: 64\n  n: 12\nbursts:\nlatencies:\n"
	"- addr: 1.2.3.4\n  pid: 1\n  pkts: 1\n  min_ns: 1\n  max_ns: 1\n  average_ns: 1\n"
	"total:\n  addr: a\n  pid: 1\n  pkts: 1\n  min_ns: 1\n  max_ns: 1\n  average_ns: 1\n",
	"\x09\x10 level: debug\n",
	"\x14\x10 pid: 3\n",
	"\x01\x03 the \x1b[2J arguments\n",
};

FUZZ_MAIN(seeds)
