/* SPDX-License-Identifier: BSD-3-Clause */
/* Fuzzer of control requests: header and body as they come from a socket, and answers as they come
 * back. Runs as tests/fuzz_conf.c does. */
#include <stdlib.h>
#include <string.h>

#include "ctl/messages.h"
#include "ctl/server.h"
#include "tests/fuzz_main.h"

static int
nothing(void *arg, const void *request, void *answer, char *err, size_t err_len)
{
	(void)arg, (void)request, (void)answer, (void)err, (void)err_len;
	return 0;
}

static const struct ctl_handler handlers[] = {
	{CTL_GRAPH_TRACE, nothing},
	{CTL_LSTACK_CONNS, nothing},
	{CTL_LTRAN_MEASURE, nothing},
	{CTL_LTRAN_SET_LOGLEVEL, nothing},
};

static const enum ctl_command answers[] = {
	CTL_IDENTITY, CTL_GRAPH_SHOW, CTL_GRAPH_TRACE, CTL_LSTACK_SHOW, CTL_LSTACK_CONNS,
	CTL_LSTACK_SNMP, CTL_LTRAN_SHOW, CTL_LTRAN_INSTANCES, CTL_LTRAN_MEASURE,
	CTL_LTRAN_SET_LOGLEVEL, CTL_LTRAN_QUIT,
};

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct ctl_server_params params = {
		.kind = "lstack", .handlers = handlers, .n_handlers = 4,
	};
	struct ctl_header header = {.magic = CTL_MAGIC, .version = CTL_VERSION}, out;
	const struct ctl_message *m;
	char *body;
	void *answer;

	if (size == 0 || size > CTL_REQUEST_MAX)
		return 0;
	/* The first byte is the command, the rest the body. */
	header.command = data[0] % 128;
	header.length = size - 1;
	ctl_server_dispatch(&params, &header, (const char *)data + 1, &out, &body);
	free(body);
	m = ctl_message_find(answers[data[0] % (sizeof(answers) / sizeof(answers[0]))]);
	if (ctl_message_decode(m->answer, (const char *)data + 1, size - 1, &answer) == 0)
		ctl_message_free(m->answer, answer);
	return 0;
}

static const char *const seeds[] = {
	"\x03" "action: start\npackets: 20\n",
	"\x21" "max: 100\n",
	"\x21" "{max: 0x10, other: [1, 2, {a: b}]}\n",
	"\x01" "cycles_hz: 1\ncores:\n- index: 0\n  tid: -1\n  nodes:\n  - name: rx\n    calls: 1\n"
	"    packets: 2\n    cycles: 3\n",
	"\x02" "packets: 1\nlines:\n- a\n- b\n",
	"\x04" "total: 0\nconns:\n",
	"\x42" "for_ms: 1000\n",
	"\x43" "level: debug\n",
	"\x08" "us: 1\nlengths:\n- from: 0\n  to: 64\n  n: 12\nbursts:\nlatencies:\n- addr: 1.2.3.4\n"
	"  pid: 1\n  pkts: 1\n  min_ns: 1\n  max_ns: 1\n  average_ns: 1\n",
	"\x07" "instances:\n- addr: 1.2.3.4\n  id: 0\n  drops:\n  - name: rate\n    packets: 1\n",
};

FUZZ_MAIN(seeds)
