/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Lists of buffers. They are copied, as in the kernel: another thread may change the program's list
 * while the call waits.
 */
#include "preload/buffers.h"
#include "stack/user.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>

static int check(struct buffers *b, struct iovec *iov)
{
	b->total = 0;
	for (int i = 0; i < b->n; i++) {
		if (__builtin_expect(iov[i].iov_len > (size_t)(TRANSFER_MAX - b->total), 0)) {
			if (iov[i].iov_len > SSIZE_MAX)
				return -EINVAL;
			if (!buffers_possible(iov[i].iov_base, iov[i].iov_len))
				return -EFAULT;
			iov[i].iov_len = (size_t)(TRANSFER_MAX - b->total);
		}
		b->total += (ssize_t)iov[i].iov_len;
	}
	return 0;
}

int buffers_get_list(struct buffers *b, const struct iovec *program, size_t n)
{
	struct iovec *iov = b->few;
	int r;

	if (n > IOV_MAX)
		return -EINVAL;
	b->many = NULL;
	if (n > BUFFERS_FEW) {
		iov = b->many = malloc(n * sizeof(*iov));
		if (iov == NULL)
			return -ENOMEM;
	}
	b->iov = iov;
	b->n = (int)n;
	r = user_get(iov, program, n * sizeof(*iov));
	if (r == 0)
		r = check(b, iov);
	if (r < 0)
		free(b->many);
	else if (b->many)
		b->note = call_note(&(struct call_holds){.undo = free, .arg = b->many});
	return r;
}

void buffers_end_list(struct buffers *b)
{
	if (call_unnote(b->note))
		free(b->many);
}

void cursor_advance(struct cursor *c, size_t done)
{
	c->skip += done;
	while (c->n > 0 && c->skip >= c->iov->iov_len) {
		c->skip -= c->iov->iov_len;
		c->iov++;
		c->n--;
	}
}

const struct iovec *cursor_view(const struct cursor *c, struct iovec *part, int *n)
{
	if (c->skip == 0) {
		*n = c->n;
		return c->iov;
	}
	part->iov_base = (char *)c->iov->iov_base + c->skip;
	part->iov_len = c->iov->iov_len - c->skip;
	*n = 1;
	return part;
}

/* A message that does not fit into what is left of the data (CMSG_OK() of Linux). */
static bool is_malformed(const struct cmsghdr *c, size_t left)
{
	return c->cmsg_len < sizeof(*c) || c->cmsg_len > left;
}

int buffers_check_control(const struct msghdr *m)
{
	const char *at = m->msg_control;
	size_t left = m->msg_controllen;

	while (left >= sizeof(struct cmsghdr)) {
		struct cmsghdr c;
		size_t step;

		if (!user_copy(&c, at, sizeof(c)))
			return -EFAULT;
		if (is_malformed(&c, left))
			return -EINVAL;
		step = CMSG_ALIGN(c.cmsg_len);
		if (step >= left)
			break;
		at += step;
		left -= step;
	}
	return 0;
}
