/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Lists of buffers as programs give them: taken over with the checks of the kernel's import_iovec(),
 * and places in them.
 */
#ifndef PRELOAD_BUFFERS_H
#define PRELOAD_BUFFERS_H

#include "preload/thread.h"
#include "stack/user.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

enum {
	BUFFERS_FEW = 8,          /* that need no malloc */
	TRANSFER_MAX = 0x7ffff000, /* bytes that one call moves at most, as in Linux */
};

struct buffers {
	const struct iovec *iov; /* a copy; `total` bytes in all, TRANSFER_MAX at most */
	int n;
	ssize_t total;
	struct iovec *many; /* NULL: they are in `few` */
	uint32_t note;
	struct iovec few[BUFFERS_FEW];
};

int buffers_get_list(struct buffers *b, const struct iovec *program, size_t n);
void buffers_end_list(struct buffers *b);

/* 0, -EINVAL (too many, or one longer than SSIZE_MAX), -EFAULT, -ENOMEM. After 0: buffers_end(). */
static inline int buffers_get(struct buffers *b, const struct iovec *program, size_t n)
{
	if (__builtin_expect(n != 1, 0) || !user_copy(b->few, program, sizeof(*program)) ||
		__builtin_expect(b->few[0].iov_len > TRANSFER_MAX, 0))
		return buffers_get_list(b, program, n);
	b->iov = b->few;
	b->n = 1;
	b->total = (ssize_t)b->few[0].iov_len;
	b->many = NULL;
	return 0;
}

static inline void buffers_end(struct buffers *b)
{
	if (__builtin_expect(b->many != NULL, 0))
		buffers_end_list(b);
}

/* One buffer of recv(), send(): what is too long is cut. */
static inline void buffers_one(struct buffers *b, const void *buf, size_t n)
{
	b->few[0].iov_base = (void *)buf;
	b->few[0].iov_len = n < TRANSFER_MAX ? n : TRANSFER_MAX;
	b->iov = b->few;
	b->n = 1;
	b->total = (ssize_t)b->few[0].iov_len;
	b->many = NULL;
}

/* Can there be a buffer like that at all (access_ok() of the kernel)? */
static inline bool buffers_possible(const void *buf, size_t n)
{
	const uint64_t end = (UINT64_C(1) << 47) - 4096; /* TASK_SIZE_MAX */

	return n <= end && (uintptr_t)buf <= end - n;
}

/* A place in a list of buffers: `iov[0]` from `skip` on. */
struct cursor {
	const struct iovec *iov;
	int n;
	size_t skip;
};

void cursor_advance(struct cursor *c, size_t done);
/* The buffers from here on; the rest of a begun one comes alone. */
const struct iovec *cursor_view(const struct cursor *c, struct iovec *part, int *n);

/* Is the control data there, and do its messages fit into it? 0, -EFAULT or -EINVAL. */
int buffers_check_control(const struct msghdr *m);

#endif
