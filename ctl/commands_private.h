/* SPDX-License-Identifier: BSD-3-Clause */
/* What the files of gazellectl's commands share: a row of the table, and how to ask. */
#ifndef CTL_COMMANDS_PRIVATE_H
#define CTL_COMMANDS_PRIVATE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "ctl/commands.h"

struct command {
	const char *group, *verb;
	const char *option, *word; /* "-c" and "connect", or NULL */
	const char *args, *help;
	const char *kind; /* of the process asked; NULL: any */
	enum ctl_command ask;
	const void *request;
	void (*render)(FILE *out, const void *answer);
	int (*run)(const struct ctl_invocation *in, const struct command *c);
	bool has_time; /* [time] may stand behind the process; alone where there is one ltran anyway */
	/* rates: turn an earlier answer into what has been added per second until a later one */
	void (*subtract)(void *answer, const void *later, double seconds);
};

/* The words behind group and verb, without that of an option. */
struct operands {
	const char *v[CTL_WORDS_MAX];
	int n;
};

void command_operands(const struct ctl_invocation *in, const struct command *c,
	struct operands *ops);
/* [ip | pid] [time] of a command; seconds 0: not given. An exit code, explained on in->err. */
int command_target_time(const struct ctl_invocation *in, const struct command *c,
	const char **what, unsigned int *seconds);

/* Connect to the process that `what` names (NULL: the only one). */
int command_connect(const struct ctl_invocation *in, const struct command *c, const char *what,
	struct ctl_target *t);
/* Ask, and take the answer apart; *body, where wanted, receives the document. */
int command_ask(const struct ctl_invocation *in, int fd, enum ctl_command command,
	const void *request, void **answer, char **body);
void command_free(enum ctl_command command, void *answer);
/* An answer, perhaps one we have made ourselves: as table or document. */
int command_print(const struct ctl_invocation *in, const struct command *c, const void *answer);
int command_usage_error(const struct ctl_invocation *in, const char *text, const char *what);

/* loops.c: commands that go on for a while */
int command_rate(const struct ctl_invocation *in, const struct command *c);
int command_burst(const struct ctl_invocation *in, const struct command *c);
int command_latency(const struct ctl_invocation *in, const struct command *c);
int command_quit(const struct ctl_invocation *in, const struct command *c);

/* rates.c */
void rates_lstack(void *answer, const void *later, double seconds);
void rates_ltran(void *answer, const void *later, double seconds);
void rates_measure(void *answer, const void *later, double seconds);

#endif
