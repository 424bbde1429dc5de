/* SPDX-License-Identifier: BSD-3-Clause */
/* What the suites of conf/ share: load a text on a machine of our choice and hear the complaints. */
#ifndef TESTS_CONF_LOAD_H
#define TESTS_CONF_LOAD_H

#include <stdio.h>
#include <string.h>

#include "conf/schema.h"
#include "tests/cunit_main.h"

static char heard[8192];
static unsigned int n_errors, n_warnings;
static struct conf c;

static inline void
hear(void *arg, bool is_error, const char *line)
{
	(void)arg;
	if (is_error)
		n_errors++;
	else
		n_warnings++;
	snprintf(heard + strlen(heard), sizeof(heard) - strlen(heard), "%s\n", line);
}

/* A machine with CPUs 0-31 and 48. */
static inline int
load(const char *text)
{
	struct conf_host host = {.stacks_max = 16};

	for (int cpu = 0; cpu < 32; cpu++)
		CPU_SET(cpu, &host.online);
	CPU_SET(48, &host.online);
	conf_free(&c);
	heard[0] = '\0';
	n_errors = n_warnings = 0;
	return conf_load_text(&lstack_schema, &host, "lstack.conf", text, &c, hear, NULL);
}

static inline void
teardown(void)
{
	conf_free(&c);
}

#define ADDRS "host_addr=\"192.168.1.10\"\nmask_addr=\"255.255.255.0\"\n"

/* Loads `line` as line 3 of a file that is good otherwise. */
static inline int
load_line(const char *line)
{
	char text[1024];

	snprintf(text, sizeof(text), ADDRS "%s\n", line);
	return load(text);
}

static inline void
expect(bool ok, const char *what)
{
	if (!ok)
		printf("\n    %s\n    heard: %s", what, heard);
	CU_ASSERT(ok);
}

#endif
