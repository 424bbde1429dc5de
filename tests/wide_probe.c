/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Streams of sockets: every function of stdio that moves wide characters, in two locales, and the
 * orientation of streams. See tests/probe.h for how it is used.
 */
#include "tests/probe_stream.h"

#include <locale.h>
#include <wchar.h>

static int wide_variadic(FILE *f, int (*fn)(FILE *, const wchar_t *, va_list), const wchar_t *format, ...)
{
	va_list ap;
	int r;

	va_start(ap, format);
	r = fn(f, format, ap);
	va_end(ap);
	return r;
}

static void wide_out(const char *locale)
{
	struct streamed s = streamed("w");

	title("characters out");
	printf("%s %s\n", locale, setlocale(LC_ALL, locale) ? "is there" : "is not there");
	SHOW(fwide(s.f, 0));
	WRITES(fputwc(L'a', s.f));
	SHOW(fwide(s.f, 0));
	WRITES(putwc(L'b', s.f));
	WRITES(fputwc_unlocked(L'c', s.f));
	WRITES(putwc_unlocked(L'd', s.f));
	WRITES(fputws(L"text\n", s.f));
	WRITES(fputws_unlocked(L"text\n", s.f));
	WRITES(fwprintf(s.f, L"%d %ls %s\n", 42, L"words", "narrow"));
	WRITES(wide_variadic(s.f, vfwprintf, L"%d-%d", 1, 2));
	WRITES(fputws(L"", s.f));
	SHOW(ferror(s.f) != 0);
	WRITES(fputwc(0x20ac, s.f));
	SHOW(ferror(s.f) != 0);
	clearerr(s.f);
	WRITES(fputws(L"before \u00e9\u20ac\U0001f600 after", s.f));
	SHOW(ferror(s.f) != 0);
	clearerr(s.f);
	WRITES(fwprintf(s.f, L"%lc|%5ls|%.2ls|", 0x20ac, L"\u00e9", L"\u20ac\u20ac\u20ac"));
	SHOW(ferror(s.f) != 0);
	clearerr(s.f);
	SHOW(fwide(s.f, -1));
	SHOW(fgetwc(s.f) == WEOF ? -1 : 0);
	SHOW(ferror(s.f) != 0);
	streamed_close(s);
	setlocale(LC_ALL, "C");
}

static void show_wide(const char *what, const wchar_t *text)
{
	printf("%s:", what);
	for (; *text; text++)
		printf(" %x", (unsigned int)*text);
	printf("\n");
}

static void wide_in(const char *locale)
{
	struct streamed s = streamed("r");
	wchar_t buf[50] = L"", word[20] = L"";
	char narrow[20] = "";
	int a = 0, b = 0;

	title("characters in");
	setlocale(LC_ALL, locale);
	give(&s, "abcdefgh line one\nline two\n12 34 word 56-78 narrow\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80z\n\xe2\x82");
	SHOW((int)fgetwc(s.f));
	SHOW(fwide(s.f, 0));
	SHOW((int)getwc(s.f));
	SHOW((int)fgetwc_unlocked(s.f));
	SHOW((int)getwc_unlocked(s.f));
	SHOW((int)ungetwc(L'z', s.f));
	SHOW((int)fgetwc(s.f));
	SHOW(fgetws(buf, 5, s.f) ? 0 : -1);
	show_wide("fgetws", buf);
	SHOW(fgetws_unlocked(buf, 50, s.f) ? 0 : -1);
	show_wide("fgetws_unlocked", buf);
	SHOW(fgetws(buf, 50, s.f) ? 0 : -1);
	show_wide("fgetws", buf);
	SHOW(fwscanf(s.f, L"%d %d %19ls", &a, &b, word));
	printf("%d %d\n", a, b);
	show_wide("word", word);
	SHOW(wide_variadic(s.f, vfwscanf, L"%d-%d %6s", &a, &b, narrow));
	printf("%d %d %s\n", a, b, narrow);
	errno = 0;
	SHOW((int)fgetwc(s.f));
	SHOW(ferror(s.f) != 0);
	clearerr(s.f);
	SHOW(fgetws(buf, 50, s.f) ? 0 : -1);
	show_wide("fgetws", buf);
	SHOW(ferror(s.f) != 0);
	shutdown(s.pair.server, SHUT_WR);
	settle(s.pair.client, POLLRDHUP);
	errno = 0;
	SHOW((int)fgetwc(s.f));
	SHOW(ferror(s.f) != 0);
	SHOW(feof(s.f) != 0);
	SHOW((int)fgetwc(s.f));
	SHOW(feof(s.f) != 0);
	streamed_close(s);
	setlocale(LC_ALL, "C");
}

static void orientation(void)
{
	struct streamed s = streamed("r+");

	title("orientation");
	SHOW(fwide(s.f, 0));
	SHOW(fwide(s.f, 5));
	SHOW(fwide(s.f, -5));
	WRITES(fputws(L"characters", s.f));
	streamed_close(s);
	s = streamed("r+");
	WRITES(fputs("bytes", s.f));
	SHOW(fwide(s.f, 5));
	SHOW(fputws(L"characters", s.f));
	streamed_close(s);
	s = streamed("r+");
	SHOW(fwide(s.f, -5));
	SHOW(fwide(s.f, 5));
	WRITES(fputws(L"characters", s.f));
	WRITES(fputwc(L'c', s.f) == WEOF ? -1 : 0);
	WRITES(fwprintf(s.f, L"characters"));
	give(&s, "bytes");
	SHOW(fgetwc(s.f) == WEOF ? -1 : 0);
	streamed_close(s);
}

static void wide_both_ways(void)
{
	struct streamed s = streamed("r+");
	wchar_t buf[50] = L"";

	title("characters both ways");
	WRITES(fputws(L"question\n", s.f));
	give(&s, "answer\n");
	SHOW(fgetws(buf, 50, s.f) ? 0 : -1);
	show_wide("fgetws", buf);
	WRITES(fputws(L"again\n", s.f));
	give(&s, "two\nthree\n");
	SHOW(fgetws(buf, 50, s.f) ? 0 : -1);
	errno = 0;
	SHOW(fputws(L"unread\n", s.f));
	SHOW(ferror(s.f) != 0);
	streamed_close(s);
}

static void many(void)
{
	struct streamed s = streamed("w");
	char *got = malloc(400000);
	long n = 0, r, sum = 0;

	title("many");
	for (int i = 0; i < 20000; i++)
		fwprintf(s.f, L"%05d\n", i);
	shutdown(s.pair.client, fflush(s.f) == 0 ? SHUT_WR : SHUT_RDWR);
	while ((r = recv(s.pair.server, got + n, (size_t)(400000 - n), 0)) > 0)
		n += r;
	for (long i = 0; i < n; i++)
		sum = (sum * 31 + got[i]) % 1000003;
	printf("%ld bytes, %ld\n", n, sum);
	free(got);
	streamed_close(s);
}

int main(int argc, char **argv)
{
	probe_begin(argc, argv);
	wide_out("C");
	wide_out("C.UTF-8");
	wide_in("C");
	wide_in("C.UTF-8");
	orientation();
	wide_both_ways();
	many();
	return 0;
}
