/* SPDX-License-Identifier: BSD-3-Clause */
/* Holds the low descriptor numbers free for the program while the data path opens its own. */
#include "preload/low_fds.h"
#include "preload/libc.h"

#include <fcntl.h>
#include <unistd.h>

/* What the data path may need: 128 or more packet memory segments and a few dozen others. */
enum { OWN_FDS = 512 };

int low_fds_floor(rlim_t soft, rlim_t hard)
{
	rlim_t floor = soft < LOW_FDS_MAX ? soft : LOW_FDS_MAX;

	if (hard < floor + OWN_FDS)
		floor = hard > 2 * OWN_FDS ? hard - OWN_FDS : hard / 2;
	return (int)floor;
}

void low_fds_take(struct low_fds *l)
{
	struct rlimit lifted;
	int fd;

	l->n = 0;
	l->floor = LOW_FDS_MAX;
	if (libc.getrlimit(RLIMIT_NOFILE, &l->old) != 0) {
		l->old.rlim_cur = l->old.rlim_max = 0; /* nothing to restore */
		return;
	}
	lifted = l->old;
	lifted.rlim_cur = lifted.rlim_max;
	if (libc.setrlimit(RLIMIT_NOFILE, &lifted) != 0)
		lifted = l->old;
	l->floor = low_fds_floor(l->old.rlim_cur, lifted.rlim_cur);
	fd = libc.open("/dev/null", O_RDONLY | O_CLOEXEC, 0);
	while (fd >= 0) {
		if (fd >= l->floor || l->n == LOW_FDS_MAX) {
			libc.close(fd);
			break;
		}
		l->fds[l->n++] = fd;
		fd = libc.fcntl(l->fds[0], F_DUPFD_CLOEXEC, fd + 1);
	}
}

void low_fds_give(struct low_fds *l)
{
	while (l->n > 0)
		libc.close(l->fds[--l->n]);
	if (l->old.rlim_max != 0)
		libc.setrlimit(RLIMIT_NOFILE, &l->old);
}
