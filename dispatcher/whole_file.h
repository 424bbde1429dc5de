/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Files of instances that ltran maps: has each byte its page? A page that is missing is made by whoever
 * touches it first, and stays charged to him (his memory cgroup), so an instance could make ltran take as
 * much as the file is long. And while pages are taken out of a file by one call (fallocate() with
 * FALLOC_FL_PUNCH_HOLE), nobody gets a new one there: who touches it waits as long as that call lasts.
 * Ordinary pages of memfd and tmpfs only: huge ones come from a pool of their own, and are few.
 *
 * Pure but for questions to the kernel that wait for nobody. Any thread.
 */
#ifndef DISPATCHER_WHOLE_FILE_H
#define DISPATCHER_WHOLE_FILE_H

#include <stdbool.h>
#include <sys/stat.h>

/* Is it a file of ordinary pages? */
bool whole_file_matters(int fd);
/* It has all its pages, and not many more, which would make up for missing ones. */
bool whole_file(const struct stat *st);

#define WHOLE_FILES_MAX 8

/* Files of one instance, with their sizes when they were added. The caller's lock. */
struct whole_files {
	struct {
		int fd; /* not owned */
		off_t bytes;
	} file[WHOLE_FILES_MAX];
	unsigned int n;
};

/* Adds a file of ordinary pages; others need no looking after. */
void whole_files_add(struct whole_files *f, int fd);
/* They have their sizes and all their pages. */
bool whole_files_are(const struct whole_files *f);

#endif
