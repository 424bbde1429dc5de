/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Standard error is known by device and inode, taken when the process was loaded. An open file of the
 * same inode is as good; a pipe, a terminal and a socket each have their own.
 */
#include "common/say.h"

#include <errno.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LINE_MAX_BYTES = 512 };

static _Atomic unsigned long known_device, known_inode; /* both 0: there is no standard error */

static _Atomic(say_writer *) writer;

void say_write_by(say_writer *w)
{
	atomic_store(&writer, w);
}

static bool identify(unsigned long *device, unsigned long *inode)
{
	struct stat st;
	int err = errno;
	bool is_open = fstat(STDERR_FILENO, &st) == 0;

	errno = err;
	*device = is_open ? (unsigned long)st.st_dev : 0;
	*inode = is_open ? (unsigned long)st.st_ino : 0;
	return is_open;
}

void say_adopt(void)
{
	unsigned long device, inode;

	identify(&device, &inode);
	atomic_store(&known_device, device);
	atomic_store(&known_inode, inode);
}

static void __attribute__((constructor(101))) adopt_at_start(void)
{
	say_adopt();
}

bool say_is_heard(void)
{
	unsigned long device, inode;

	return identify(&device, &inode) && device == atomic_load(&known_device) &&
		inode == atomic_load(&known_inode);
}

static void write_out(const char *text, size_t n)
{
	say_writer *w = atomic_load(&writer);

	if (w)
		w(text, n);
	else if (write(STDERR_FILENO, text, n) < 0)
		return; /* there is nobody else to tell */
}

void vsay(const char *format, va_list ap)
{
	char line[LINE_MAX_BYTES];
	int n;

	if (!atomic_load(&writer) && !say_is_heard())
		return;
	n = snprintf(line, sizeof(line), "gazelle: ");
	n += vsnprintf(line + n, sizeof(line) - n - 1, format, ap);
	if (n > (int)sizeof(line) - 2)
		n = sizeof(line) - 2;
	line[n++] = '\n';
	write_out(line, n);
}

void say(const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	vsay(format, ap);
	va_end(ap);
}

static ssize_t stream_write(void *cookie, const char *buf, size_t n)
{
	if (atomic_load(&writer) || say_is_heard())
		write_out(buf, n);
	return (ssize_t)n;
}

FILE *say_stream(void)
{
	static const cookie_io_functions_t calls = {.write = stream_write};
	FILE *f = fopencookie(NULL, "w", calls);

	if (f)
		setvbuf(f, NULL, _IOLBF, BUFSIZ);
	return f;
}
