/* SPDX-License-Identifier: BSD-3-Clause */
/* gazellectl: shows what Gazelle processes of this host are doing. */
#include <stdio.h>
#include <stdlib.h>

#include "ctl/clean.h"
#include "ctl/commands.h"
#include "ctl/user.h"

static int
run(struct ctl_invocation *in)
{
	int ret;

	in->out = ctl_clean_stream(stdout);
	in->err = ctl_clean_stream(stderr);
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
	if (in.user != NULL) {
		char err[CTL_TEXT_MAX];

		if (ctl_user_become(in.user, err, sizeof(err)) < 0) {
			fprintf(stderr, "gazellectl: %s\n", err);
			return CTL_EXIT_FAILED;
		}
	}
	return run(&in);
}
