/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Exports functions with names that libraries of liblstack.so have, too, as programs do that export
 * theirs to plug-ins (lighttpd). Each ends the program.
 *
 *	names_probe ADDRESS      echoes on port 7000
 */
#include "tests/probe.h"

#define NAMES(NAME)                                                                                \
	NAME(config_init) NAME(config_destroy) NAME(config_read) NAME(config_read_string)          \
	NAME(config_lookup) NAME(config_setting_get_elem) NAME(config_setting_get_member)          \
	NAME(config_setting_length) NAME(libconfig_scanctx_init) NAME(libconfig_yyparse)           \
	NAME(cyaml_free) NAME(cyaml_load_data) NAME(cyaml_save_data) NAME(cyaml_mem)               \
	NAME(yaml_parser_initialize) NAME(yaml_parser_parse) NAME(yaml_emitter_initialize)         \
	NAME(yaml_emitter_emit) NAME(yaml_event_delete)
#define EXPORT(name)                                                                               \
	__attribute__((visibility("default"))) void name(void);                                    \
	void name(void)                                                                            \
	{                                                                                          \
		printf("%s() of the program was called\n", #name);                                 \
		fflush(stdout);                                                                    \
		abort();                                                                           \
	}
NAMES(EXPORT)

/* Sends back what comes, one connection after the other. */
int main(int argc, char **argv)
{
	struct sockaddr_in a;
	char buf[4096];
	ssize_t n;
	int listener = socket(AF_INET, SOCK_STREAM, 0);

	if (argc != 2)
		return 2;
	host = argv[1];
	a = address(7000);
	if (bind(listener, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(listener, 8) < 0)
		return 1;
	for (;;) {
		int fd = accept(listener, NULL, NULL);

		while ((n = recv(fd, buf, sizeof(buf), 0)) > 0 && send(fd, buf, n, MSG_NOSIGNAL) == n)
			;
		close(fd);
	}
}
