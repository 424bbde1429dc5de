/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A place in the program's list of buffers, and copying there and from there.
 */
#ifndef STACK_CURSOR_H
#define STACK_CURSOR_H

#include "stack/user.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

struct cursor {
	const struct iovec *iov;
	int left;
	size_t off;
	bool fault; /* the program's memory is not there */
};

/* Copy up to `len` bytes into (or, `out`, from) the iovec; returns how many. */
static inline size_t
cursor_copy(struct cursor *c, uint8_t *data, size_t len, bool out)
{
	size_t total = 0;

	while (len > 0 && c->left > 0) {
		size_t n = c->iov->iov_len - c->off;

		if (n == 0) {
			c->iov++;
			c->left--;
			c->off = 0;
			continue;
		}
		if (n > len)
			n = len;
		if (out ? !user_copy(data, (char *)c->iov->iov_base + c->off, n) :
			  !user_copy((char *)c->iov->iov_base + c->off, data, n)) {
			c->fault = true;
			break;
		}
		c->off += n;
		data += n;
		len -= n;
		total += n;
	}
	return total;
}

static inline size_t
iov_total(const struct iovec *iov, int iovcnt)
{
	size_t total = 0;

	for (int i = 0; i < iovcnt; i++)
		total += iov[i].iov_len;
	return total;
}

#endif
