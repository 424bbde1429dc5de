/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Calls that copy between files and sockets, those that take a position, and the fortified variants of
 * recv.
 */
#include "preload/boot.h"
#include "preload/calls.h"
#include "preload/fd.h"
#include "preload/thread.h"
#include "stack/user.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/uio.h>
#include <unistd.h>

enum { SENDFILE_CHUNK = 128 * 1024 };

static void check_bounds(size_t n, size_t size)
{
	if (n <= size)
		return;
	boot_say("buffer overflow detected in the program: read of %zu bytes into %zu", n, size);
	abort();
}

long on___read_chk(struct file *f, int fd, void *buf, size_t n, size_t size)
{
	check_bounds(n, size);
	return on_read(f, fd, buf, n);
}

long on___recv_chk(struct file *f, int fd, void *buf, size_t n, size_t size, int flags)
{
	check_bounds(n, size);
	return on_recv(f, fd, buf, n, flags);
}

long on___recvfrom_chk(struct file *f, int fd, void *buf, size_t n, size_t size, int flags,
	struct sockaddr *addr, socklen_t *addrlen)
{
	check_bounds(n, size);
	return on_recvfrom(f, fd, buf, n, flags, addr, addrlen);
}

/* --- with a position, of which a socket has none but "here" (-1) ----------------------------------- */

static int check_position(off_t at, int flags)
{
	if (flags & ~(RWF_HIPRI | RWF_DSYNC | RWF_SYNC | RWF_NOWAIT | RWF_APPEND))
		return -EOPNOTSUPP;
	return at == -1 ? 0 : at < 0 ? -EINVAL : -ESPIPE;
}

long on_preadv2(struct file *f, int fd, const struct iovec *iov, int iovcnt, off_t at, int flags)
{
	struct msghdr msg = {.msg_iov = (struct iovec *)iov, .msg_iovlen = (size_t)iovcnt};
	int r = iovcnt < 0 ? -EINVAL : check_position(at, flags);

	return r < 0 ? r : on_recvmsg(f, fd, &msg, flags & RWF_NOWAIT ? MSG_DONTWAIT : 0);
}

long on_preadv64v2(struct file *f, int fd, const struct iovec *iov, int iovcnt, off_t at, int flags)
{
	return on_preadv2(f, fd, iov, iovcnt, at, flags);
}

long on_pwritev2(struct file *f, int fd, const struct iovec *iov, int iovcnt, off_t at, int flags)
{
	struct msghdr msg = {.msg_iov = (struct iovec *)iov, .msg_iovlen = (size_t)iovcnt};
	int r = iovcnt < 0 ? -EINVAL : check_position(at, flags);

	return r < 0 ? r : on_sendmsg(f, fd, &msg, flags & RWF_NOWAIT ? MSG_DONTWAIT : 0);
}

long on_pwritev64v2(struct file *f, int fd, const struct iovec *iov, int iovcnt, off_t at, int flags)
{
	return on_pwritev2(f, fd, iov, iovcnt, at, flags);
}

/* --- between files and sockets ------------------------------------------------------------------------- */

/* From a file at `at` to a socket of the stack. Bytes sent, or -errno when none was. */
static long copy_to_socket(struct file *f, int out, int in, off64_t at, size_t n)
{
	size_t chunk = n < SENDFILE_CHUNK ? n : SENDFILE_CHUNK;
	char *buf = malloc(chunk ? chunk : 1);
	long sent = 0, r = 0;
	uint32_t note;

	if (buf == NULL)
		return -ENOMEM;
	note = call_note(&(struct call_holds){.undo = free, .arg = buf});
	while ((size_t)sent < n) {
		size_t want = n - sent < chunk ? n - sent : chunk;
		ssize_t got = pread64(in, buf, want, at + sent);

		if (got <= 0) {
			r = got < 0 ? -errno : 0;
			break;
		}
		r = on_send(f, out, buf, got, 0);
		if (r <= 0)
			break;
		sent += r;
		if (r < got)
			break; /* full: the rest of the chunk is read again next time */
	}
	if (call_unnote(note))
		free(buf);
	return sent ? sent : r;
}

long on_sendfile64(int out, int in, off64_t *offset, size_t n)
{
	bool is_from_ours;
	struct file *f;
	off64_t at;
	long r;

	if (fd_is_closed(in) || fd_is_closed(out))
		return -EBADF;
	if ((ssize_t)n < 0)
		return -EINVAL;
	call_enter(true);
	f = fd_get_sock(out);
	is_from_ours = fd_is_sock(in);
	if (f == NULL || !(f->sock.halves & HALF_STACK) || fd_peek(in)) {
		call_leave(f);
		if (is_from_ours) /* the kernel takes only what can be mapped, and has a position */
			return offset ? -ESPIPE : -EINVAL;
		return libc_result(libc.sendfile64(out, in, offset, n));
	}
	at = -1;
	if (offset && !user_copy(&at, offset, sizeof(at))) {
		call_leave(f);
		return -EFAULT;
	}
	if (offset == NULL)
		at = lseek64(in, 0, SEEK_CUR);
	r = at < 0 ? (offset ? -EINVAL : (errno == ESPIPE ? -EINVAL : -errno)) :
		     copy_to_socket(f, out, in, at, n);
	if (r > 0) {
		at += r;
		if (offset)
			r = user_copy(offset, &at, sizeof(at)) ? r : -EFAULT;
		else
			lseek64(in, at, SEEK_SET);
	}
	call_leave(f);
	return r;
}

long on_sendfile(int out, int in, off_t *offset, size_t n)
{
	return on_sendfile64(out, in, (off64_t *)offset, n);
}

static bool has_stack_half(int fd)
{
	struct file *f;
	bool has;

	call_enter(false);
	f = fd_get_sock(fd);
	has = f && (f->sock.halves & HALF_STACK);
	call_leave(f);
	return has;
}

/* 0, or what splice() says before it looks at what kind of file these are, in the kernel's order. */
static int check_splice(int in, const off64_t *in_offset, int out, const off64_t *out_offset,
	unsigned int flags)
{
	const unsigned int known = SPLICE_F_MOVE | SPLICE_F_NONBLOCK | SPLICE_F_MORE | SPLICE_F_GIFT;
	off64_t at;

	if (flags & ~known)
		return -EINVAL;
	if (fd_is_closed(in) || fd_is_closed(out) || fcntl(in, F_GETFD) < 0 ||
		fcntl(out, F_GETFD) < 0)
		return -EBADF;
	/* One of them is a pipe, which has no position, if it is not wrong altogether. */
	if ((in_offset && !has_stack_half(in)) || (out_offset && !has_stack_half(out)))
		return -ESPIPE;
	if ((in_offset && user_get(&at, in_offset, sizeof(at)) < 0) ||
		(out_offset && user_get(&at, out_offset, sizeof(at)) < 0))
		return -EFAULT;
	return 0;
}

long on_splice(int in, off64_t *in_offset, int out, off64_t *out_offset, size_t n, unsigned int flags)
{
	if (has_stack_half(in) || has_stack_half(out)) {
		int r = n == 0 ? 0 : check_splice(in, in_offset, out, out_offset, flags);

		if (n == 0 || r < 0)
			return r;
		boot_say_once("splice is not possible on sockets of the stack (EINVAL)");
		return -EINVAL;
	}
	return libc_result(libc.splice(in, in_offset, out, out_offset, n, flags));
}
