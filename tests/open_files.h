/* SPDX-License-Identifier: BSD-3-Clause */
/* How many descriptors this process has, for suites that look whether some are left. */
#ifndef TESTS_OPEN_FILES_H
#define TESTS_OPEN_FILES_H

#include <dirent.h>
#include <stddef.h>

static inline unsigned int
open_files(void)
{
	DIR *d = opendir("/proc/self/fd");
	unsigned int n = 0;

	while (readdir(d) != NULL)
		n++;
	closedir(d);
	return n;
}

#endif
