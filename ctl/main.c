/* SPDX-License-Identifier: BSD-3-Clause */
/* gazellectl: shows what Gazelle processes of this host are doing. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

#include "ctl/commands.h"

/* Root may look at processes of others: what they say must not steer the terminal. */
static ssize_t
write_clean(void *to, const char *text, size_t len)
{
	FILE *out = to;

	for (size_t i = 0; i < len; i++) {
		unsigned char c = text[i];

		fputc(iscntrl(c) && c != '\n' && c != '\t' ? '?' : c, out);
	}
	return fflush(out) == 0 ? (ssize_t)len : 0;
}

static int
run(struct ctl_invocation *in)
{
	static const cookie_io_functions_t clean = {.write = write_clean};
	int ret;

	in->out = fopencookie(stdout, "w", clean);
	in->err = fopencookie(stderr, "w", clean);
	if (in->out == NULL || in->err == NULL) {
		perror("gazellectl");
		return CTL_EXIT_FAILED;
	}
	ret = ctl_run_command(in);
	if (fclose(in->out) != 0)
		ret = CTL_EXIT_FAILED;
	fclose(in->err);
	return ret;
}

int
main(int argc, char **argv)
{
	struct ctl_invocation in = {.client.prefix = "", .out = stdout, .err = stderr};
	int ret = ctl_parse_args(argc, argv, &in);

	if (ret != CTL_EXIT_OK)
		return ret;
	if (in.want_help) {
		ctl_print_usage(stdout);
		return CTL_EXIT_OK;
	}
	if (in.want_version) {
		printf("gazellectl %s\n", GAZELLE_VERSION);
		return CTL_EXIT_OK;
	}
	return run(&in);
}
