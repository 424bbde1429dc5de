/* SPDX-License-Identifier: BSD-3-Clause */
/* Files of instances whose every byte has its page; see whole_file.h. */
#include "dispatcher/whole_file.h"

#include <linux/magic.h>
#include <sys/vfs.h>

#define BLOCK 512 /* unit of st_blocks */
#define PAGE 4096
#define MORE_BYTES ((off_t)2 << 20) /* the last page may be a large one */

bool
whole_file_matters(int fd)
{
	struct statfs fs;

	return fstatfs(fd, &fs) < 0 || fs.f_type != HUGETLBFS_MAGIC;
}

bool
whole_file(const struct stat *st)
{
	off_t bytes = (st->st_size + PAGE - 1) / PAGE * PAGE, has = (off_t)st->st_blocks * BLOCK;

	return has >= bytes && has - bytes < MORE_BYTES;
}

void
whole_files_add(struct whole_files *f, int fd)
{
	struct stat st;

	if (f->n == WHOLE_FILES_MAX || !whole_file_matters(fd) || fstat(fd, &st) < 0)
		return;
	f->file[f->n].fd = fd;
	f->file[f->n++].bytes = st.st_size;
}

bool
whole_files_are(const struct whole_files *f)
{
	struct stat st;

	for (unsigned int i = 0; i < f->n; i++)
		if (fstat(f->file[i].fd, &st) < 0 || st.st_size != f->file[i].bytes || !whole_file(&st))
			return false;
	return true;
}
