/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Streams of our sockets: fdopen(), freopen(), dprintf().
 *
 * libc reads and writes its streams without the calls that we see, so a stream of a socket of ours is one
 * with functions of our own (fopencookie(3)). Every function of stdio for bytes works on it as it is. Those
 * for wide characters do not, for libc has no such stream: they are in wide_stream.c.
 */
#include "preload/stream.h"
#include "preload/calls.h"
#include "preload/fd.h"
#include "preload/socket.h"
#include "preload/thread.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

enum { GONE = -2 }; /* the number of a stream that could not be opened again; libc's for a closed one is -1 */

static ssize_t stream_read(void *cookie, char *buf, size_t n)
{
	struct stream *s = cookie;
	int fd = s->fd;
	struct file *f;
	long r;

	s->has_moved = true;
	call_enter(true);
	f = fd_get_sock(fd);
	if (f == NULL && fd_is_closed(fd))
		r = -EBADF;
	else
		r = f ? on_read(f, fd, buf, n) : CALL_WAITS(NULL, libc.read(fd, buf, n));
	call_leave(f);
	if (r < 0)
		errno = (int)-r;
	return r < 0 ? -1 : r;
}

static long write_some(int fd, const char *buf, size_t n)
{
	struct file *f;
	long r;

	call_enter(true);
	f = fd_get_sock(fd);
	if (f == NULL && fd_is_closed(fd))
		r = -EBADF;
	else
		r = f ? on_write(f, fd, buf, n) : CALL_WAITS(NULL, libc.write(fd, buf, n));
	call_leave(f);
	if (r < 0)
		errno = (int)-r;
	return r < 0 ? 0 : r;
}

/* Less than `n`: an error, and errno says which. */
static ssize_t stream_write(void *cookie, const char *buf, size_t n)
{
	struct stream *s = cookie;
	size_t done = 0;
	long r = 1;

	s->has_moved = true;
	for (; done < n && r > 0; done += (size_t)r)
		r = write_some(s->fd, buf + done, n - done);
	return (ssize_t)done;
}

/* A socket has no position: fseek(), ftell() and a stream that turns from reading to writing with
 * something unread fail as they do over the kernel's sockets. */
static int stream_seek(void *cookie, off64_t *offset, int whence)
{
	errno = ESPIPE;
	return -1;
}

static int stream_close(void *cookie)
{
	struct stream *s = cookie;
	long r = s->fd < 0 ? 0 : on_close(s->fd, NULL);

	free(s);
	if (r < 0)
		errno = (int)-r;
	return r < 0 ? -1 : 0;
}

int __vasprintf_chk(char **out, int flag, const char *format, va_list ap);

static int write_all(int fd, const char *text, int n)
{
	for (int done = 0; done < n;) {
		long r = write_some(fd, text + done, (size_t)(n - done));

		if (r == 0)
			return -1;
		done += (int)r;
	}
	return n;
}

int on_vdprintf(int fd, int flag, const char *format, va_list ap)
{
	char *text;
	int n, err;

	if (!fd_is_sock(fd))
		return flag ? libc.__vdprintf_chk(fd, flag, format, ap) :
			      libc.vdprintf(fd, format, ap);
	n = flag ? __vasprintf_chk(&text, flag, format, ap) : vasprintf(&text, format, ap);
	if (n < 0)
		return -1;
	n = write_all(fd, text, n);
	err = errno;
	free(text);
	errno = err;
	return n;
}

FILE *on_fdopen(int fd, const char *mode)
{
	static const cookie_io_functions_t calls = {
		.read = stream_read,
		.write = stream_write,
		.seek = stream_seek,
		.close = stream_close,
	};
	struct stream *s;
	FILE *stream;

	if (fd_is_closed(fd)) {
		errno = EBADF;
		return NULL;
	}
	if (!fd_is_sock(fd))
		return libc.fdopen(fd, mode);
	s = calloc(1, sizeof(*s));
	stream = s ? fopencookie(s, mode, calls) : NULL;
	if (stream == NULL) {
		int err = errno;

		free(s);
		errno = err;
		return NULL;
	}
	if (*mode == 'a')
		on_fcntl(fd, F_SETFL, (void *)(on_fcntl(fd, F_GETFL, NULL, NULL) | O_APPEND), NULL);
	s->fd = fd;
	stream->_fileno = fd;      /* for fileno(3) */
	stream->_wide_data = NULL; /* for freopen(3), see there, and stream_of() */
	stream->_codecvt = (void *)s;
	return stream;
}

/* A stream that cannot be opened again is closed. */
static FILE *not_reopened(FILE *stream, int err)
{
	struct stream *s = stream_of(stream);

	on_close(stream->_fileno, NULL);
	stream->_fileno = GONE; /* to libc it is open: a later fclose(3) comes to stream_close() */
	if (s)
		s->fd = -1; /* other calls may come yet */
	errno = err;
	return NULL;
}

/*
 * libc makes a stream of any kind one of its own, opens the file and puts it on the stream's number.
 * It does so with system calls of its own, so the table follows afterwards.
 *
 * What is for wide characters, libc looks for behind _wide_data, which fopencookie() leaves invalid and
 * fdopen() above NULL, which freopen() knows. Such a stream stays one of bytes, once it is of a file: the
 * functions for wide characters fail on it.
 */
FILE *on_freopen(FILE *(*reopen)(const char *, const char *, FILE *), const char *path,
	const char *mode, FILE *stream)
{
	int fd = stream->_fileno;
	struct file *f = fd_is_sock(fd) ? fd_peek(fd) : NULL;
	bool has_bytes_only = stream->_wide_data == NULL;
	struct stream *s = stream_of(stream);
	FILE *r;

	if (f)
		fflush(stream);
	if (f && path == NULL) /* the same file in another mode, which the kernel has for no socket */
		return not_reopened(stream, ENXIO);
	if (f && has_bytes_only && strstr(mode, ",ccs="))
		return not_reopened(stream, EINVAL);
	if (f && fd_is_own(fd)) { /* the kernel's files cannot have such a number */
		on_close(fd, NULL);
		stream->_fileno = -1;
		f = NULL;
	}
	stream->_codecvt = s ? NULL : stream->_codecvt;
	free(s); /* libc does not ask our functions any more */
	r = reopen(path, mode, stream);
	if (r && has_bytes_only)
		r->_mode = -1;
	if (r == NULL && f) { /* libc has closed the number, which may be another file's by now */
		int err = errno;

		fd_leave(fd, f);
		errno = err;
	}
	return r;
}
