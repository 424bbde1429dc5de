/* SPDX-License-Identifier: BSD-3-Clause */
/* gazellectl: shows what Gazelle processes of this host are doing. */
#include <stdio.h>

#include "ctl/commands.h"

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
	return ctl_run_command(&in);
}
