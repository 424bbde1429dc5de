/* SPDX-License-Identifier: BSD-3-Clause */
/* gazellectl: shows what Gazelle processes of this host are doing. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

#include "ctl/commands.h"

/* Root may look at processes of others: what they say must not steer the terminal. */
static void
print_clean(FILE *out, const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		unsigned char c = text[i];

		fputc(iscntrl(c) && c != '\n' && c != '\t' ? '?' : c, out);
	}
}

static int
run(struct ctl_invocation *in)
{
	char *out = NULL, *err = NULL;
	size_t out_len = 0, err_len = 0;
	int ret;

	in->out = open_memstream(&out, &out_len);
	in->err = open_memstream(&err, &err_len);
	if (in->out == NULL || in->err == NULL) {
		perror("gazellectl");
		return CTL_EXIT_FAILED;
	}
	ret = ctl_run_command(in);
	fclose(in->out);
	fclose(in->err);
	print_clean(stdout, out, out_len);
	print_clean(stderr, err, err_len);
	free(out);
	free(err);
	if (fflush(stdout) != 0 || ferror(stdout))
		ret = CTL_EXIT_FAILED;
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
