/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The commands of gazellectl: one row each, and how a command line finds its row.
 *
 * A command is a group, a verb and at most one option of its own ("lstack show 12 -c"; the words of
 * the user guide, "lstack show 12 connect", do as well). Most commands ask one question and render
 * the answer; the others have a function.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "ctl/clean.h"
#include "ctl/commands_private.h"
#include "ctl/messages.h"
#include "ctl/render.h"

#define CONNS_MAX 20000 /* rows shown: 8 MB, and half a second in which others wait */
#define TIME_MAX_S 600
#define TRACE_WAIT_MS 5000
#define TRACE_STEP_MS 20

#define RENDER(name)                                                                               \
	static void show_##name(FILE *out, const void *answer)                                     \
	{                                                                                          \
		render_##name(out, answer);                                                        \
	}

RENDER(graph)
RENDER(trace)
RENDER(lstack)
RENDER(conns)
RENDER(snmp)
RENDER(lstack_rate)
RENDER(ltran)
RENDER(ltran_rate)
RENDER(instances)
RENDER(burst)
RENDER(latency)
RENDER(loglevel)
RENDER(quit)

static int run_question(const struct ctl_invocation *in, const struct command *c);
static int run_trace(const struct ctl_invocation *in, const struct command *c);
static int run_set_loglevel(const struct ctl_invocation *in, const struct command *c);
static int run_later(const struct ctl_invocation *in, const struct command *c);

static const struct ctl_conns_request all_conns = {.max = CONNS_MAX};

#define LATER(group, verb, option, word)                                                           \
	{group, verb, option, word, NULL, NULL, .run = run_later}

static const struct command commands[] = {
	{"graph", "show", NULL, NULL, "[ip | pid]",
		"nodes of each core: calls, packets, cycles, drops by reason", NULL,
		CTL_GRAPH_SHOW, NULL, show_graph, run_question},
	{"graph", "trace", NULL, NULL, "N [ip | pid]",
		"the way of the next N packets through the graph", NULL, CTL_GRAPH_TRACE, NULL,
		show_trace, run_trace},
	{"lstack", "show", NULL, NULL, "[ip | pid]", "all statistics", CTL_KIND_LSTACK,
		CTL_LSTACK_SHOW, NULL, show_lstack, run_question},
	{"lstack", "show", "-r", "rate", "[ip | pid] -r, rate [time]", "statistics per second",
		CTL_KIND_LSTACK, CTL_LSTACK_SHOW, NULL, show_lstack_rate, command_rate, true,
		rates_lstack},
	{"lstack", "show", "-c", "connect", "[ip | pid] -c, connect", "connections and sockets",
		CTL_KIND_LSTACK, CTL_LSTACK_CONNS, &all_conns, show_conns, run_question},
	{"lstack", "show", "-s", "snmp", "[ip | pid] -s, snmp", "protocol counters",
		CTL_KIND_LSTACK, CTL_LSTACK_SNMP, NULL, show_snmp, run_question},
	{"ltran", "show", NULL, NULL, "[pid]", "all statistics of ltran", CTL_KIND_LTRAN,
		CTL_LTRAN_SHOW, NULL, show_ltran, run_question},
	{"ltran", "show", "-r", "rate", "-r, rate [time]", "statistics per second",
		CTL_KIND_LTRAN, CTL_LTRAN_SHOW, NULL, show_ltran_rate, command_rate, true,
		rates_ltran},
	{"ltran", "show", "-i", "instance", "[pid] -i, instance",
		"programs on ltran: state, traffic, drops by reason", CTL_KIND_LTRAN,
		CTL_LTRAN_INSTANCES, NULL, show_instances, run_question},
	{"ltran", "show", "-b", "burst", "-b, burst [time]",
		"lengths of the NIC's packets per second", CTL_KIND_LTRAN, CTL_LTRAN_MEASURE, NULL,
		show_burst, command_burst, true, rates_measure},
	{"ltran", "show", "-l", "latency", "-l, latency [time]",
		"from the NIC to the instance's ring", CTL_KIND_LTRAN, CTL_LTRAN_MEASURE, NULL,
		show_latency, command_latency, true},
	{"ltran", "set", NULL, "loglevel", "loglevel {error | info | debug}",
		"what ltran's log tells", CTL_KIND_LTRAN, CTL_LTRAN_SET_LOGLEVEL, NULL, show_loglevel,
		run_set_loglevel},
	{"ltran", "quit", NULL, NULL, "[pid]", "end ltran; connections outlive its restart",
		CTL_KIND_LTRAN, CTL_LTRAN_QUIT, NULL, show_quit, command_quit},
	LATER("graph", "draw", NULL, NULL),
	LATER("lstack", "show", "-l", "latency"),
	LATER("lstack", "show", "-x", "xstats"),
	LATER("lstack", "show", "-k", "nic-features"),
	LATER("lstack", "show", "-a", "aggregate"),
	LATER("lstack", "show", "-p", "protocol"),
	LATER("lstack", "show", "-v", "virtio"),
	LATER("lstack", "show", "-I", "intr"),
	LATER("lstack", "set", NULL, NULL),
	LATER("ltran", "show", "-t", "socktable"),
	LATER("ltran", "set", NULL, NULL),
};
#define N_COMMANDS (sizeof(commands) / sizeof(commands[0]))

void
ctl_print_usage(FILE *out)
{
	fprintf(out, "Usage: gazellectl COMMAND [-u UNIX_PREFIX] [--user NAME] [--yaml]\n"
		     "       gazellectl -h | help | --version\n\n");
	for (size_t i = 0; i < N_COMMANDS; i++) {
		char line[80];

		if (commands[i].help == NULL)
			continue;
		snprintf(line, sizeof(line), "%s %s %s", commands[i].group, commands[i].verb,
			commands[i].args);
		fprintf(out, "  %-38s %s\n", line, commands[i].help);
	}
	fprintf(out, "\nWithout ip or pid: the only Gazelle process there is.\n"
		     "  time             seconds; without: until ctrl-C, for latency 1\n"
		     "  -u UNIX_PREFIX   processes whose lstack.conf or ltran.conf has this unix_prefix\n"
		     "  --user NAME      processes of this user, whose rights root takes for it\n"
		     "  --yaml           the answer as a YAML document\n"
		     "Exit code: 0 done, 1 no such process or no answer, 2 wrong usage.\n");
}

int
command_usage_error(const struct ctl_invocation *in, const char *text, const char *what)
{
	fprintf(in->err, "gazellectl: %s%s (gazellectl -h shows the commands)\n", text, what);
	return CTL_EXIT_USAGE;
}

int
ctl_parse_args(int argc, char **argv, struct ctl_invocation *in)
{
	for (int i = 1; i < argc; i++) {
		const char *a = argv[i];

		if (strcmp(a, "-h") == 0 || strcmp(a, "--help") == 0 ||
			(i == 1 && strcmp(a, "help") == 0)) {
			in->want_help = true;
		} else if (strcmp(a, "--version") == 0) {
			in->want_version = true;
		} else if (strcmp(a, "--yaml") == 0) {
			in->want_yaml = true;
		} else if (strcmp(a, "-u") == 0) {
			if (++i == argc)
				return command_usage_error(in, "-u wants a prefix", "");
			in->client.prefix = argv[i];
		} else if (strcmp(a, "--user") == 0) {
			if (++i == argc)
				return command_usage_error(in, "--user wants a name", "");
			in->user = argv[i];
		} else if (a[0] == '-') {
			if (in->option != NULL)
				return command_usage_error(in, "one option too many: ", a);
			in->option = a;
		} else if (in->n_words == CTL_WORDS_MAX) {
			return command_usage_error(in, "too many words: ", a);
		} else {
			in->words[in->n_words++] = a;
		}
	}
	return CTL_EXIT_OK;
}

/* Does the option of row `c` stand among the words? The verb of "ltran set" is one as well. */
static bool
has_word(const struct ctl_invocation *in, const struct command *c)
{
	for (int i = 2; c->word != NULL && i < in->n_words; i++) {
		if (strcmp(in->words[i], c->word) == 0)
			return true;
	}
	return false;
}

/* The row of a command line. */
static const struct command *
find_command(const struct ctl_invocation *in, bool *is_verb_known)
{
	const char *option = in->option;

	*is_verb_known = false;
	for (size_t i = 0; i < N_COMMANDS; i++) {
		const struct command *c = &commands[i];

		if (strcmp(c->group, in->words[0]) != 0 || strcmp(c->verb, in->words[1]) != 0)
			continue;
		*is_verb_known = true;
		if (option == NULL && has_word(in, c))
			return c;
		if (option != NULL && c->option != NULL && strcmp(option, c->option) == 0)
			return c;
		if (option != NULL && c->option == NULL && c->run == run_later)
			return c;
	}
	/* None has claimed an option or a word: the plain one, if no option is left over. */
	for (size_t i = 0; i < N_COMMANDS && option == NULL; i++) {
		const struct command *c = &commands[i];

		if (c->option == NULL && c->word == NULL && strcmp(c->group, in->words[0]) == 0 &&
			strcmp(c->verb, in->words[1]) == 0)
			return c;
	}
	return NULL;
}

int
ctl_run_command(const struct ctl_invocation *in)
{
	const struct command *c;
	bool is_verb_known;

	if (in->n_words < 2)
		return command_usage_error(in, in->n_words == 0 ? "no command" : "incomplete command: ",
			in->n_words == 0 ? "" : in->words[0]);
	c = find_command(in, &is_verb_known);
	if (c != NULL)
		return c->run(in, c);
	if (is_verb_known)
		return command_usage_error(in, "unknown option ", in->option);
	fprintf(in->err, "gazellectl: unknown command: %s %s (gazellectl -h shows the commands)\n",
		in->words[0], in->words[1]);
	return CTL_EXIT_USAGE;
}

static int
run_later(const struct ctl_invocation *in, const struct command *c)
{
	fprintf(in->err, "gazellectl: \"%s %s%s%s\" is not available in this version\n", c->group,
		c->verb, c->option != NULL ? " " : "", c->option != NULL ? c->option : "");
	return CTL_EXIT_USAGE;
}

void
command_operands(const struct ctl_invocation *in, const struct command *c, struct operands *ops)
{
	bool skip = c->word != NULL && in->option == NULL;

	ops->n = 0;
	for (int i = 2; i < in->n_words; i++) {
		if (skip && strcmp(in->words[i], c->word) == 0)
			skip = false;
		else
			ops->v[ops->n++] = in->words[i];
	}
}

static bool
parse_seconds(const char *text, unsigned int *seconds)
{
	char *end;
	unsigned long n = strtoul(text, &end, 10);

	*seconds = n;
	return text[0] >= '0' && text[0] <= '9' && *end == '\0' && n > 0 && n <= TIME_MAX_S;
}

int
command_target_time(const struct ctl_invocation *in, const struct command *c, const char **what,
	unsigned int *seconds)
{
	struct operands ops;
	int n = 0;

	command_operands(in, c, &ops);
	*what = NULL;
	*seconds = 0;
	if (ops.n > 1 || (ops.n == 1 && strcmp(c->group, CTL_KIND_LTRAN) != 0))
		*what = ops.v[n++];
	if (n < ops.n && !parse_seconds(ops.v[n++], seconds))
		return command_usage_error(in, "not a time in seconds: ", ops.v[n - 1]);
	if (n < ops.n)
		return command_usage_error(in, "one word too many: ", ops.v[n]);
	return CTL_EXIT_OK;
}

int
command_connect(const struct ctl_invocation *in, const struct command *c, const char *what,
	struct ctl_target *t)
{
	char err[512];
	int ret = ctl_client_find(&in->client, c->kind, what, t, err, sizeof(err));

	/* Old instructions write "1" for "the one there is". */
	if (ret == CTL_EXIT_FAILED && what != NULL && strcmp(what, "1") == 0)
		ret = ctl_client_find(&in->client, c->kind, NULL, t, err, sizeof(err));
	if (ret != CTL_EXIT_OK)
		fprintf(in->err, "gazellectl: %s\n", err);
	return ret;
}

int
command_ask(const struct ctl_invocation *in, int fd, enum ctl_command command, const void *request,
	void **answer, char **body)
{
	const struct ctl_message *m = ctl_message_find(command);
	char *text, err[512];
	size_t len;

	if (ctl_client_ask(fd, command, request, &text, &len, err, sizeof(err)) < 0) {
		fprintf(in->err, "gazellectl: %s\n", err);
		return CTL_EXIT_FAILED;
	}
	if (ctl_message_decode(m->answer, text, len, answer) < 0) {
		fprintf(in->err, "gazellectl: the answer is not understood\n");
		free(text);
		return CTL_EXIT_FAILED;
	}
	ctl_clean_answer(m->answer, *answer);
	if (body != NULL)
		*body = text;
	else
		free(text);
	return CTL_EXIT_OK;
}

void
command_free(enum ctl_command command, void *answer)
{
	ctl_message_free(ctl_message_find(command)->answer, answer);
}

int
command_print(const struct ctl_invocation *in, const struct command *c, const void *answer)
{
	char *body;
	size_t len;

	if (!in->want_yaml) {
		c->render(in->out, answer);
		return CTL_EXIT_OK;
	}
	if (ctl_message_encode(ctl_message_find(c->ask)->answer, answer, &body, &len) < 0)
		return CTL_EXIT_FAILED;
	fwrite(body, 1, len, in->out);
	free(body);
	return CTL_EXIT_OK;
}

/* Ask `request` of the process that `what` names, and show the answer. */
static int
ask_and_show(const struct ctl_invocation *in, const struct command *c, const char *what,
	const void *request)
{
	struct ctl_target t;
	void *answer;
	char *body;
	int ret = command_connect(in, c, what, &t);

	if (ret != CTL_EXIT_OK)
		return ret;
	ret = command_ask(in, t.fd, c->ask, request, &answer, &body);
	close(t.fd);
	if (ret != CTL_EXIT_OK)
		return ret;
	if (in->want_yaml) {
		fputs(body, in->out);
	} else {
		render_identity(in->out, &t.id);
		c->render(in->out, answer);
	}
	free(body);
	command_free(c->ask, answer);
	return CTL_EXIT_OK;
}

static int
run_question(const struct ctl_invocation *in, const struct command *c)
{
	struct operands ops;

	command_operands(in, c, &ops);
	if (ops.n > 1)
		return command_usage_error(in, "one word too many: ", ops.v[1]);
	return ask_and_show(in, c, ops.n > 0 ? ops.v[0] : NULL, c->request);
}

static int
run_set_loglevel(const struct ctl_invocation *in, const struct command *c)
{
	struct ctl_loglevel r = {0};
	struct operands ops;

	command_operands(in, c, &ops);
	if (ops.n == 0)
		return command_usage_error(in, "ltran set loglevel wants error, info or debug", "");
	if (ops.n > 2)
		return command_usage_error(in, "one word too many: ", ops.v[2]);
	snprintf(r.level, sizeof(r.level), "%s", ops.v[0]);
	return ask_and_show(in, c, ops.n > 1 ? ops.v[1] : NULL, &r);
}

/* Move the packets of `from` behind those of `to`, until `to` has `max`. */
static int
take_packets(struct ctl_trace *to, struct ctl_trace *from, uint32_t max)
{
	char **grown = realloc(to->lines,
		(to->lines_count + from->lines_count + 1) * sizeof(*to->lines));

	if (grown == NULL)
		return -1;
	to->lines = grown;
	for (uint32_t i = 0; i < from->lines_count; i++) {
		if (from->lines[i][0] != ' ' && to->packets++ == max) {
			to->packets = max;
			break;
		}
		to->lines[to->lines_count++] = from->lines[i];
		from->lines[i] = NULL;
	}
	for (uint32_t i = 0; i < from->lines_count; i++)
		free(from->lines[i]);
	from->lines_count = 0;
	return 0;
}

/* Collect until `max` packets are there or the time is over. */
static int
collect_trace(const struct ctl_invocation *in, int fd, uint32_t max, struct ctl_trace *all)
{
	struct ctl_trace_request r = {.action = CTL_TRACE_START, .packets = max};
	const struct timespec step = {.tv_nsec = TRACE_STEP_MS * 1000000L};
	int ret = CTL_EXIT_OK;

	for (int ms = 0; ret == CTL_EXIT_OK; ms += TRACE_STEP_MS) {
		struct ctl_trace *part;
		bool last = r.action == CTL_TRACE_CANCEL;
		void *answer;

		ret = command_ask(in, fd, CTL_GRAPH_TRACE, &r, &answer, NULL);
		if (ret != CTL_EXIT_OK)
			break;
		part = answer;
		if (take_packets(all, part, max) < 0)
			ret = CTL_EXIT_FAILED;
		command_free(CTL_GRAPH_TRACE, answer);
		if (last)
			break;
		r.action = all->packets >= max || ms >= TRACE_WAIT_MS ? CTL_TRACE_CANCEL
								      : CTL_TRACE_READ;
		if (r.action == CTL_TRACE_READ)
			nanosleep(&step, NULL);
	}
	return ret;
}

static int
run_trace(const struct ctl_invocation *in, const struct command *c)
{
	struct ctl_trace all = {0};
	struct operands ops;
	struct ctl_target t;
	unsigned long n;
	char *end;
	int ret;

	n = in->n_words > 2 ? strtoul(in->words[2], &end, 10) : 0;
	if (n == 0 || *end != '\0' || n > CTL_TRACE_MAX)
		return command_usage_error(in, "graph trace wants a number of packets, 1 to 256", "");
	command_operands(in, c, &ops);
	if (ops.n > 2)
		return command_usage_error(in, "one word too many: ", ops.v[2]);
	ret = command_connect(in, c, ops.n > 1 ? ops.v[1] : NULL, &t);
	if (ret != CTL_EXIT_OK)
		return ret;
	ret = collect_trace(in, t.fd, n, &all);
	close(t.fd);
	if (ret == CTL_EXIT_OK)
		ret = command_print(in, c, &all);
	if (ret == CTL_EXIT_OK && all.packets < n) {
		fprintf(in->err, "gazellectl: %u of %lu packets came within %d s\n", all.packets, n,
			TRACE_WAIT_MS / 1000);
		ret = all.packets > 0 ? CTL_EXIT_OK : CTL_EXIT_FAILED;
	}
	for (uint32_t i = 0; i < all.lines_count; i++)
		free(all.lines[i]);
	free(all.lines);
	return ret;
}
