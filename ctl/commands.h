/* SPDX-License-Identifier: BSD-3-Clause */
/* gazellectl's commands: one row each in commands.c. */
#ifndef CTL_COMMANDS_H
#define CTL_COMMANDS_H

#include <stdbool.h>
#include <stdio.h>

#include "ctl/client.h"

#define CTL_WORDS_MAX 8

/* A command line, taken apart. */
struct ctl_invocation {
	struct ctl_client client;
	bool want_help, want_version, want_yaml;
	const char *words[CTL_WORDS_MAX]; /* group, verb, arguments */
	int n_words;
	const char *user;   /* --user, or NULL */
	const char *option; /* "-c", "--rate": the one that belongs to the command, or NULL */
	FILE *out, *err; /* loops flush `out` every second */
	unsigned int second_ms; /* how long that is, for tests; 0: 1000 */
};

/* An exit code; a usage error has been explained on in->err then. */
int ctl_parse_args(int argc, char **argv, struct ctl_invocation *in);
int ctl_run_command(const struct ctl_invocation *in);
void ctl_print_usage(FILE *out);

#endif
