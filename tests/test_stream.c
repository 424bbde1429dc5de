/* SPDX-License-Identifier: BSD-3-Clause */
/* Streams of sockets: bytes, wide characters, freopen(). The system test stream_probe has every function. */
#include "preload/calls.h"
#include "preload/fd.h"
#include "tests/preload_pair.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <wchar.h>

static void stdio_on_a_socket_goes_to_the_stack(void)
{
	struct pair p = pair_open();
	FILE *out = fdopen(p.client, "w"), *in = fdopen(p.server, "r");
	char line[16] = "";

	CU_ASSERT_EQUAL(fileno(out), p.client);
	fprintf(out, "hello\n");
	CU_ASSERT_EQUAL(fclose(out), 0);
	CU_ASSERT_PTR_NOT_NULL(fgets(line, sizeof(line), in));
	CU_ASSERT_STRING_EQUAL(line, "hello\n");
	CU_ASSERT_PTR_NULL(fgets(line, sizeof(line), in));
	fclose(in);
	close(p.listener);
	CU_ASSERT_EQUAL(fake_live, 0);
}

static void wide_characters_in_a_stream_go_to_the_stack(void)
{
	struct pair p = pair_open();
	FILE *out = fdopen(p.client, "w"), *in = fdopen(p.server, "r");
	wchar_t line[16] = L"", word[16] = L"";
	int n = 0;

	CU_ASSERT_EQUAL(fwide(out, 0), 0);
	CU_ASSERT_EQUAL(fputws(L"hello\n", out), 1);
	CU_ASSERT(fwide(out, -1) > 0);
	CU_ASSERT_EQUAL(fwprintf(out, L"%d %ls", 42, L"words"), 8);
	CU_ASSERT_EQUAL(putwc(L'\n', out), L'\n');
	CU_ASSERT_EQUAL(fclose(out), 0);
	CU_ASSERT_PTR_NOT_NULL(fgetws(line, 16, in));
	CU_ASSERT_EQUAL(wcscmp(line, L"hello\n"), 0);
	CU_ASSERT_EQUAL(getwc(in), L'4');
	CU_ASSERT_EQUAL(ungetwc(L'7', in), L'7');
	CU_ASSERT_EQUAL(fwscanf(in, L"%d %15ls", &n, word), 2);
	CU_ASSERT_EQUAL(n, 72);
	CU_ASSERT_EQUAL(wcscmp(word, L"words"), 0);
	CU_ASSERT_EQUAL(fgetwc(in), L'\n');
	CU_ASSERT_EQUAL(fgetwc(in), WEOF);
	CU_ASSERT(feof(in));
	fclose(in);
	close(p.listener);
	CU_ASSERT_EQUAL(fake_live, 0);
}

static void a_stream_of_bytes_takes_no_wide_characters(void)
{
	struct pair p = pair_open();
	FILE *s = fdopen(p.server, "r+");

	fputs("bytes", s);
	CU_ASSERT(fwide(s, 1) < 0);
	CU_ASSERT_EQUAL(fputws(L"wide", s), -1);
	CU_ASSERT_EQUAL(fgetwc(s), WEOF);
	CU_ASSERT_EQUAL(ungetwc(L'c', s), WEOF);
	fclose(s);
	close(p.client);
	close(p.listener);
	CU_ASSERT_EQUAL(fake_live, 0);
}

static void a_stream_of_a_socket_has_no_position(void)
{
	struct pair p = pair_open();
	FILE *s = fdopen(p.server, "r+");
	char line[16] = "";

	errno = 0;
	CU_ASSERT_EQUAL(fseek(s, 0, SEEK_SET), -1);
	CU_ASSERT_EQUAL(errno, ESPIPE);
	errno = 0;
	CU_ASSERT_EQUAL(ftell(s), -1);
	CU_ASSERT_EQUAL(errno, ESPIPE);
	/* libc cannot give back what it has read too much: the kernel's streams fail in the same way. */
	CU_ASSERT_EQUAL(write(p.client, "one\ntwo\n", 8), 8);
	CU_ASSERT_PTR_NOT_NULL(fgets(line, sizeof(line), s));
	fputs("reply", s);
	errno = 0;
	CU_ASSERT_EQUAL(fflush(s), EOF);
	CU_ASSERT_EQUAL(errno, ESPIPE);
	fclose(s);
	close(p.client);
	close(p.listener);
}

static void a_stream_of_a_socket_can_be_opened_again(void)
{
	struct pair p = pair_open();
	FILE *s = fdopen(p.server, "w");
	int file = memfd_create("reopened", 0);
	char path[32], buf[16] = "";

	snprintf(path, sizeof(path), "/proc/self/fd/%d", file);
	fputs("bye", s);
	CU_ASSERT_PTR_EQUAL_FATAL(freopen(path, "w", s), s);
	CU_ASSERT_EQUAL(fileno(s), p.server);
	CU_ASSERT_PTR_NULL(fd_peek(p.server));
	CU_ASSERT_EQUAL(read(p.client, buf, sizeof(buf)), 3);
	CU_ASSERT_STRING_EQUAL(buf, "bye");
	CU_ASSERT_EQUAL(read(p.client, buf, sizeof(buf)), 0);
	fputs("secret", s);
	CU_ASSERT_EQUAL(fputws(L"wide", s), EOF);
	CU_ASSERT_PTR_EQUAL_FATAL(freopen64(path, "a", s), s);
	fputs("more", s);
	CU_ASSERT_EQUAL(fputws(L"wide", s), EOF);
	CU_ASSERT_EQUAL(fclose(s), 0);
	CU_ASSERT_EQUAL(fcntl(p.server, F_GETFD), -1);
	CU_ASSERT_EQUAL(pread(file, buf, sizeof(buf), 0), 10);
	CU_ASSERT_EQUAL(memcmp(buf, "secretmore", 10), 0);
	CU_ASSERT_EQUAL(read(p.client, buf, sizeof(buf)), 0);
	close(file);
	close(p.client);
	close(p.listener);
	CU_ASSERT_EQUAL(fake_live, 0);
}

static void a_stream_that_cannot_be_opened_again_is_closed(void)
{
	static const struct {
		const char *path, *mode;
		int err;
	} cases[] = {
		{"/nonexistent/file", "w", ENOENT},
		{NULL, "r", ENXIO},
		{"/dev/null", "w,ccs=UTF-8", EINVAL},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct pair p = pair_open();
		FILE *s = fdopen(p.server, "r+");
		char c;

		errno = 0;
		CU_ASSERT_PTR_NULL(freopen(cases[i].path, cases[i].mode, s));
		CU_ASSERT_EQUAL(errno, cases[i].err);
		CU_ASSERT_NOT_EQUAL(fcntl(p.server, F_GETFD), 0);
		CU_ASSERT_EQUAL(read(p.client, &c, 1), 0);
		fclose(s);
		close(p.client);
		close(p.listener);
		CU_ASSERT_EQUAL(fake_live, 0);
	}
}

static void a_stream_whose_number_is_closed_fails(void)
{
	struct pair p = pair_open();
	FILE *s = fdopen(p.client, "a");

	CU_ASSERT(fcntl(p.client, F_GETFL) & O_APPEND);
	fputs("lost", s);
	close(p.client);
	errno = 0;
	CU_ASSERT_EQUAL(fflush(s), EOF);
	CU_ASSERT_EQUAL(errno, EBADF);
	CU_ASSERT_EQUAL(fclose(s), EOF);
	close(p.server);
	close(p.listener);
	CU_ASSERT_EQUAL(fake_live, 0);
}

static const struct cunit_test tests[] = {
	CUNIT_TEST(stdio_on_a_socket_goes_to_the_stack),
	CUNIT_TEST(wide_characters_in_a_stream_go_to_the_stack),
	CUNIT_TEST(a_stream_of_bytes_takes_no_wide_characters),
	CUNIT_TEST(a_stream_of_a_socket_has_no_position),
	CUNIT_TEST(a_stream_of_a_socket_can_be_opened_again),
	CUNIT_TEST(a_stream_that_cannot_be_opened_again_is_closed),
	CUNIT_TEST(a_stream_whose_number_is_closed_fails),
};
CUNIT_MAIN("stream", tests, NULL, NULL)
