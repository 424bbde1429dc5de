/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Wide characters in streams of our sockets. libc's functions for them need a stream of libc's own kind, which
 * one with functions of ours (stream.c) cannot be: they fail, or end the program. So they are rows of
 * intercept.def, and here on top of the functions for bytes: a character is written as its bytes in the
 * program's locale, and read byte by byte. A stream is for characters or for bytes, as its first use
 * says.
 *
 * Different from libc's: functions for bytes work on a stream for characters, where libc's fail. The fields of
 * fwscanf() are counted in bytes, for it goes to fscanf() with the format in bytes.
 */
#include "preload/calls.h"
#include "preload/stream.h"

#include <iconv.h>
#include <langinfo.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum {
	CURRENTLY_PUTTING = 0x800, /* a flag of libc's: there is something that was written */
	SPELLING = 64,             /* bytes of a character, also where its spelling takes several */
};

int __isoc99_vfscanf(FILE *f, const char *format, va_list ap);

static void unlock(void *f)
{
	funlockfile(f);
}

/* A call that waits can be cancelled. */
#define LOCKED(f, call)                                                                            \
	({                                                                                         \
		__typeof__(call) locked_result;                                                    \
		pthread_cleanup_push(unlock, f);                                                   \
		flockfile(f);                                                                      \
		locked_result = (call);                                                            \
		pthread_cleanup_pop(1);                                                            \
		locked_result;                                                                     \
	})

static int orient(FILE *f, struct stream *s, int wanted)
{
	if (s->width == 0 && (s->has_moved || (f->_flags & CURRENTLY_PUTTING)))
		s->width = -1;
	if (s->width == 0)
		s->width = (wanted > 0) - (wanted < 0);
	return s->width;
}

static wint_t no_character(FILE *f)
{
	f->_flags |= _IO_ERR_SEEN;
	errno = EILSEQ;
	return WEOF;
}

/* --- out ---------------------------------------------------------------------------------------------- */

/* A character that the locale does not have, as libc's streams write it: in others, or as "?". */
static size_t spell(wchar_t c, char *to)
{
	char name[SPELLING];
	char *from = (char *)&c;
	size_t n_from = sizeof(c), left = SPELLING, r = (size_t)-1;
	iconv_t cd;

	snprintf(name, sizeof(name), "%s//TRANSLIT", nl_langinfo(CODESET));
	cd = iconv_open(name, "WCHAR_T");
	if (cd == (iconv_t)-1)
		return r;
	r = iconv(cd, &from, &n_from, &to, &left);
	iconv_close(cd);
	return r == (size_t)-1 ? r : SPELLING - left;
}

static wint_t put(FILE *f, struct stream *s, wchar_t c)
{
	char bytes[SPELLING];
	size_t n = wcrtomb(bytes, c, &s->out);

	if (n == (size_t)-1) {
		memset(&s->out, 0, sizeof(s->out));
		n = spell(c, bytes);
	}
	if (n == (size_t)-1)
		return no_character(f);
	return fwrite_unlocked(bytes, 1, n, f) == n ? (wint_t)c : WEOF;
}

static wint_t put_one(FILE *f, struct stream *s, wchar_t c)
{
	return orient(f, s, 1) > 0 ? put(f, s, c) : WEOF;
}

static int put_all(FILE *f, struct stream *s, const wchar_t *text, size_t n)
{
	if (orient(f, s, 1) < 0)
		return -1;
	for (size_t i = 0; i < n; i++)
		if (put(f, s, text[i]) == WEOF)
			return -1;
	return 1;
}

wint_t on_fputwc(wint_t (*by_libc)(wchar_t, FILE *), wchar_t c, FILE *f)
{
	struct stream *s = stream_of(f);

	return s ? LOCKED(f, put_one(f, s, c)) : by_libc(c, f);
}

int on_fputws(int (*by_libc)(const wchar_t *, FILE *), const wchar_t *text, FILE *f)
{
	struct stream *s = stream_of(f);

	return s ? LOCKED(f, put_all(f, s, text, wcslen(text))) : by_libc(text, f);
}

/* The text is made in memory first. */
int on_vfwprintf(FILE *f, int flag, const wchar_t *format, va_list ap)
{
	struct stream *s = stream_of(f);
	FILE *to = s ? NULL : f;
	wchar_t *text = NULL;
	size_t n = 0;
	int r, err;

	if (s) {
		to = open_wmemstream(&text, &n);
		if (to == NULL)
			return -1;
	}
	r = flag ? libc.__vfwprintf_chk(to, flag, format, ap) : libc.vfwprintf(to, format, ap);
	if (s == NULL)
		return r;
	err = errno;
	if (fclose(to) != 0 || r < 0)
		r = -1;
	errno = err;
	if (r >= 0 && LOCKED(f, put_all(f, s, text, n)) < 0)
		r = -1;
	err = errno;
	free(text);
	errno = err;
	return r;
}

/* --- in ----------------------------------------------------------------------------------------------- */

static wint_t get(FILE *f, struct stream *s)
{
	for (;;) {
		int byte = getc_unlocked(f);
		char c = (char)byte;
		wchar_t wide;
		size_t n;

		if (byte == EOF)
			return WEOF;
		n = mbrtowc(&wide, &c, 1, &s->in);
		if (n == (size_t)-1) { /* libc's streams stop there for good */
			ungetc(byte, f);
			memset(&s->in, 0, sizeof(s->in));
			return no_character(f);
		}
		if (n != (size_t)-2)
			return (wint_t)wide;
	}
}

static wint_t get_one(FILE *f, struct stream *s)
{
	return orient(f, s, 1) > 0 ? get(f, s) : WEOF;
}

/* What came before an error is lost to the caller, as with libc's, but for EAGAIN. */
static wchar_t *get_line(FILE *f, struct stream *s, wchar_t *buf, int size)
{
	int old_error = f->_flags & _IO_ERR_SEEN, n = 0;
	wint_t c = 0;
	bool failed;

	if (size <= 0 || orient(f, s, 1) < 0)
		return NULL;
	f->_flags &= ~_IO_ERR_SEEN;
	while (n < size - 1 && c != L'\n' && (c = get(f, s)) != WEOF)
		buf[n++] = (wchar_t)c;
	failed = (n == 0 && size > 1) || ((f->_flags & _IO_ERR_SEEN) && errno != EAGAIN);
	f->_flags |= old_error;
	if (failed)
		return NULL;
	buf[n] = L'\0';
	return buf;
}

static wint_t unget(FILE *f, struct stream *s, wint_t c)
{
	char bytes[SPELLING];
	mbstate_t state = {0};
	size_t n;

	if (c == WEOF || orient(f, s, 1) < 0)
		return WEOF;
	n = wcrtomb(bytes, (wchar_t)c, &state);
	if (n == (size_t)-1)
		return WEOF;
	while (n > 0)
		if (ungetc((unsigned char)bytes[--n], f) == EOF)
			return WEOF;
	return c;
}

wint_t on_fgetwc(wint_t (*by_libc)(FILE *), FILE *f)
{
	struct stream *s = stream_of(f);

	return s ? LOCKED(f, get_one(f, s)) : by_libc(f);
}

wchar_t *on_fgetws(wchar_t *(*by_libc)(wchar_t *, int, FILE *), wchar_t *buf, int n, FILE *f)
{
	struct stream *s = stream_of(f);

	return s ? LOCKED(f, get_line(f, s, buf, n)) : by_libc(buf, n, f);
}

wint_t on_ungetwc(wint_t c, FILE *f)
{
	struct stream *s = stream_of(f);

	return s ? LOCKED(f, unget(f, s, c)) : libc.ungetwc(c, f);
}

int on_fwide(FILE *f, int mode)
{
	struct stream *s = stream_of(f);

	return s ? LOCKED(f, orient(f, s, mode)) : libc.fwide(f, mode);
}

int on_vfwscanf(FILE *f, bool is_c99, const wchar_t *format, va_list ap)
{
	struct stream *s = stream_of(f);
	const wchar_t *from = format;
	mbstate_t state = {0};
	char *bytes;
	size_t n;
	int r;

	if (s == NULL)
		return is_c99 ? libc.__isoc99_vfwscanf(f, format, ap) : libc.vfwscanf(f, format, ap);
	if (LOCKED(f, orient(f, s, 1)) < 0)
		return EOF;
	n = wcsrtombs(NULL, &from, 0, &state);
	bytes = n == (size_t)-1 ? NULL : malloc(n + 1);
	if (bytes == NULL)
		return EOF;
	from = format;
	wcsrtombs(bytes, &from, n + 1, &state);
	pthread_cleanup_push(free, bytes);
	r = is_c99 ? __isoc99_vfscanf(f, bytes, ap) : vfscanf(f, bytes, ap);
	pthread_cleanup_pop(1);
	return r;
}
