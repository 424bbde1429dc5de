/* SPDX-License-Identifier: BSD-3-Clause */
/* Build-time helper: print what a schema knows (example file, manual rows), or check a file. */
#include <stdio.h>
#include <string.h>

#include "conf/conf.h"
#include "conf/ltran_conf.h"

static void
report(void *arg, bool is_error, const char *line)
{
	(void)arg;
	fprintf(stderr, "%s: %s\n", is_error ? "error" : "warning", line);
}

static int
check_lstack(const char *path)
{
	struct conf c;
	int err = conf_load(path, &c, report, NULL);

	if (err == 0)
		err = conf_dump_yaml(&c, stdout);
	conf_free(&c);
	return err;
}

static int
check_ltran(const char *path)
{
	struct ltran_conf c;
	int err = ltran_conf_load(path, &c, report, NULL);

	if (err == 0)
		err = ltran_conf_dump_yaml(&c, stdout);
	ltran_conf_free(&c);
	return err;
}

int
main(int argc, char **argv)
{
	bool ltran = argc > 1 && strcmp(argv[1], "ltran") == 0;

	argc -= ltran;
	argv += ltran;
	if (argc == 2 && strcmp(argv[1], "example") == 0)
		return (ltran ? ltran_conf_print_example : conf_print_example)(stdout) != 0;
	if (argc == 2 && strcmp(argv[1], "help") == 0)
		return (ltran ? ltran_conf_print_help : conf_print_help)(stdout) != 0;
	if (argc == 3 && strcmp(argv[1], "check") == 0)
		return (ltran ? check_ltran : check_lstack)(argv[2]) != 0;
	fprintf(stderr, "usage: conf-print [ltran] example | help | check FILE\n");
	return 2;
}
