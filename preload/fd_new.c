/* SPDX-License-Identifier: BSD-3-Clause */
/* New descriptors: what their numbers stood for goes, and the library's own are kept apart. */
#include "preload/fd_new.h"
#include "preload/boot.h"
#include "preload/fd_table.h"
#include "preload/libc.h"

#include <string.h>

int fd_new_slow(int fd, const void *caller)
{
	int err = errno;

	if (fd_table_is_other() || !process_is_own())
		return fd;
	fd_forget(fd);
	if (own_fds_calls(caller)) {
		fd = own_fds_keep(fd);
	} else {
		own_fds_forget(fd);
		fd_size_note(fd);
	}
	errno = err;
	return fd;
}

void fd_new_keep_slow(int fd)
{
	int err = errno;

	if (fd_table_is_other() || !process_is_own())
		return;
	fd_forget(fd);
	own_fds_forget(fd);
	if (!boot_is_starting())
		fd_size_note(fd);
	errno = err;
}

static void new_in_message(struct msghdr *msg, bool is_library)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		size_t n = c->cmsg_len < CMSG_LEN(0) ? 0 : (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; i < n; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(fd), sizeof(fd));
			fd_new_keep(fd);
			if (is_library)
				own_fds_protect(fd);
		}
	}
}

void fd_new_messages(const struct mmsghdr *msgs, int n, const void *caller)
{
	for (int i = 0; i < n; i++) {
		struct msghdr msg = msgs[i].msg_hdr;

		if (msg.msg_controllen > 0)
			new_in_message(&msg, atomic_load(&own_fds_exist) && own_fds_calls(caller));
	}
}

bool fd_new_can_retry(int err, const void *caller)
{
	if ((err != EMFILE && err != ENFILE) || fd_table_is_other() || !process_is_own())
		return false;
	if (err == EMFILE && atomic_load(&own_fds_exist) && own_fds_calls(caller) && own_fds_lift())
		return true;
	return fd_pool_empty();
}

void fd_new_retried(void)
{
	own_fds_unlift();
}

/* One free number would not do: ltran's answer brings one for each queue and two more. */
bool fd_new_lift_for(const void *caller)
{
	return atomic_load(&own_fds_exist) && own_fds_calls(caller) && own_fds_lift();
}

void fd_new_make_room(void)
{
	if (process_is_own() && !fd_table_is_other() && !fd_pool_leaves_room())
		fd_pool_empty();
}
