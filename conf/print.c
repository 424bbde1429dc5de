/* SPDX-License-Identifier: BSD-3-Clause */
/* Build-time helper: print what the schema knows (example file, manual rows), or check a file. */
#include <stdio.h>
#include <string.h>

#include "conf/conf.h"

static void
report(void *arg, bool is_error, const char *line)
{
	(void)arg;
	fprintf(stderr, "%s: %s\n", is_error ? "error" : "warning", line);
}

int
main(int argc, char **argv)
{
	struct conf c;
	int err;

	if (argc == 2 && strcmp(argv[1], "example") == 0)
		return conf_print_example(stdout) != 0;
	if (argc == 2 && strcmp(argv[1], "help") == 0)
		return conf_print_help(stdout) != 0;
	if (argc == 3 && strcmp(argv[1], "check") == 0) {
		err = conf_load(argv[2], &c, report, NULL);
		if (err == 0)
			err = conf_dump_yaml(&c, stdout);
		conf_free(&c);
		return err != 0;
	}
	fprintf(stderr, "usage: conf-print example | help | check FILE\n");
	return 2;
}
