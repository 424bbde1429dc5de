/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Streams of sockets: every function of stdio that moves bytes, positions, modes, ends and errors.
 * wide_probe.c has characters. See tests/probe.h for how it is used.
 */
#include "tests/probe_stream.h"

#include <fcntl.h>
#include <stdio_ext.h>
#include <wchar.h>

static int variadic(FILE *f, int (*fn)(FILE *, const char *, va_list), const char *format, ...)
{
	va_list ap;
	int r;

	va_start(ap, format);
	r = fn(f, format, ap);
	va_end(ap);
	return r;
}

static void bytes_out(void)
{
	struct streamed s = streamed("w");
	const char text[] = "0123456789";

	title("bytes out");
	WRITES(fputc('a', s.f));
	WRITES(putc('b', s.f));
	WRITES(fputc_unlocked('c', s.f));
	WRITES(putc_unlocked('d', s.f));
	WRITES(fputs("text\n", s.f));
	WRITES(fputs_unlocked("text\n", s.f));
	WRITES(fwrite(text, 2, 5, s.f));
	WRITES(fwrite_unlocked(text, 3, 3, s.f));
	WRITES(putw(0x41424344, s.f));
	WRITES(fprintf(s.f, "%d %s\n", 42, "words"));
	WRITES(variadic(s.f, vfprintf, "%d-%d", 1, 2));
	WRITES(dprintf(s.pair.client, "%s", "by number"));
	SHOW(fwide(s.f, 0));
	SHOW(fgetc(s.f));
	SHOW(ferror(s.f) != 0);
	streamed_close(s);
}

static void bytes_in(void)
{
	struct streamed s = streamed("r");
	char buf[100] = "", word[20] = "", *line = NULL;
	size_t n = 0;
	int a = 0, b = 0;

	title("bytes in");
	give(&s, "abcdefgh0123456789line one\nline two\nthree;four;12 34 word 56-78 ABCDx");
	SHOW(fgetc(s.f));
	SHOW(getc(s.f));
	SHOW(fgetc_unlocked(s.f));
	SHOW(getc_unlocked(s.f));
	SHOW(ungetc('z', s.f));
	SHOW(fread(buf, 1, 3, s.f));
	show_text("fread", buf, 3);
	SHOW(fread_unlocked(buf, 2, 2, s.f));
	show_text("fread_unlocked", buf, 4);
	SHOW(__fpending(s.f));
	SHOW(fread(buf, 1, 8, s.f));
	SHOW(fgets(buf, 5, s.f) ? 0 : -1);
	show_text("fgets", buf, (long)strlen(buf));
	SHOW(fgets_unlocked(buf, 50, s.f) ? 0 : -1);
	show_text("fgets_unlocked", buf, (long)strlen(buf));
	SHOW(getline(&line, &n, s.f));
	show_text("getline", line, (long)strlen(line));
	SHOW(getdelim(&line, &n, ';', s.f));
	show_text("getdelim", line, (long)strlen(line));
	SHOW(__getdelim(&line, &n, ';', s.f));
	SHOW(fscanf(s.f, "%d %d %19s", &a, &b, word));
	printf("%d %d %s\n", a, b, word);
	SHOW(variadic(s.f, vfscanf, "%d-%d", &a, &b));
	printf("%d %d\n", a, b);
	SHOW(fgetc(s.f));
	SHOW(getw(s.f));
	SHOW(__freading(s.f) != 0);
	SHOW(fputc('x', s.f));
	SHOW(ferror(s.f) != 0);
	free(line);
	streamed_close(s);
}

static void buffers(int mode, const char *name)
{
	struct streamed s = streamed("w");
	char buf[64];
	int waiting = 0;

	title(name);
	SHOW(setvbuf(s.f, mode == _IONBF ? NULL : buf, mode, mode == _IONBF ? 0 : sizeof(buf)));
	SHOW(fputs("no line", s.f));
	SHOW(__fpending(s.f));
	SHOW(__fbufsize(s.f));
	SHOW(__flbf(s.f) != 0);
	SHOW(__fwriting(s.f) != 0);
	SHOW(__freadable(s.f) != 0);
	SHOW(__fwritable(s.f) != 0);
	drain(s.pair.client);
	SHOW(ioctl(s.pair.server, FIONREAD, &waiting));
	printf("waiting %d\n", waiting);
	SHOW(fputs(", a line\nand more", s.f));
	SHOW(__fpending(s.f));
	__fpurge(s.f);
	SHOW(__fpending(s.f));
	show_got("flushed", &s);
	streamed_close(s);
}

static void positions(const char *mode)
{
	struct streamed s = streamed(mode);
	fpos_t pos;

	title("positions");
	printf("%s\n", mode);
	errno = 0;
	SHOW(ftell(s.f));
	SHOW(ftello(s.f));
	SHOW(fseek(s.f, 0, SEEK_SET));
	SHOW(fseek(s.f, 0, SEEK_CUR));
	SHOW(fseeko(s.f, 0, SEEK_END));
	SHOW(fgetpos(s.f, &pos));
	errno = 0;
	rewind(s.f);
	printf("rewind %s\n", strerrorname_np(errno) ? strerrorname_np(errno) : "0");
	if (*mode == 'w') {
		SHOW(fputs("unwritten", s.f));
		SHOW(ftell(s.f));
		SHOW(fseek(s.f, 0, SEEK_SET));
		show_got("after", &s);
	} else {
		give(&s, "unread");
		SHOW(fgetc(s.f));
		SHOW(ftell(s.f));
		SHOW(fseek(s.f, 0, SEEK_CUR));
		SHOW(fflush(s.f));
		SHOW(fgetc(s.f));
	}
	streamed_close(s);
}

static void modes(void)
{
	static const char *const all[] = {"r", "w", "a", "r+", "w+", "a+", "rb", "wb", "re", "rx", "rm",
		"w,ccs=UTF-8", "r,ccs=", "r,ccs=NONE", "x", "", "+", "rw", "wr"};

	title("modes");
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		struct pair p = pair_open();
		FILE *f;

		errno = 0;
		f = fdopen(p.client, all[i]);
		printf("%s: %s\n", all[i], f ? "open" : strerrorname_np(errno));
		if (f) {
			SHOW(fileno(f) == p.client);
			SHOW(fileno_unlocked(f) == p.client);
			SHOW(fcntl(p.client, F_GETFL) & ~O_LARGEFILE);
			SHOW(fcntl(p.client, F_GETFD));
			SHOW(fwide(f, 0));
			SHOW(fputc('x', f));
			SHOW(fclose(f));
		} else {
			close(p.client);
		}
		close(p.server);
		close(p.listener);
	}
}

static void ends(void)
{
	struct streamed s = streamed("r");
	char buf[20];

	title("the end of the data");
	give(&s, "last");
	shutdown(s.pair.server, SHUT_WR);
	settle(s.pair.client, POLLRDHUP);
	SHOW(fread(buf, 1, 10, s.f));
	SHOW(feof(s.f) != 0);
	SHOW(ferror(s.f) != 0);
	SHOW(fgetc(s.f));
	clearerr(s.f);
	SHOW(feof(s.f) != 0);
	SHOW(fgetc(s.f));
	SHOW(feof_unlocked(s.f) != 0);
	SHOW(ungetc('u', s.f));
	SHOW(feof(s.f) != 0);
	SHOW(fgetc(s.f));
	SHOW(fclose(s.f));
	SHOW(fcntl(s.pair.client, F_GETFD));
	close(s.pair.server);
	close(s.pair.listener);
}

static void nothing_there(void)
{
	struct streamed s = streamed("r");
	char buf[20] = "";

	title("nothing there");
	fcntl(s.pair.client, F_SETFL, O_NONBLOCK);
	errno = 0;
	SHOW(fgetc(s.f));
	printf("%s\n", strerrorname_np(errno));
	SHOW(ferror(s.f) != 0);
	SHOW(feof(s.f) != 0);
	clearerr(s.f);
	give(&s, "par");
	errno = 0;
	SHOW(fgets(buf, 20, s.f) ? 0 : -1);
	show_text("fgets", buf, (long)strlen(buf));
	clearerr(s.f);
	give(&s, "tial\n");
	SHOW(fgets(buf, 20, s.f) ? 0 : -1);
	show_text("fgets", buf, (long)strlen(buf));
	streamed_close(s);
}

static void full(void)
{
	struct streamed s = streamed("w");
	char *big = malloc(64 << 20);

	title("no room");
	memset(big, 'b', 64 << 20);
	fcntl(s.pair.client, F_SETFL, O_NONBLOCK);
	errno = 0;
	SHOW(fwrite(big, 1, 64 << 20, s.f) < 64 << 20);
	printf("%s\n", strerrorname_np(errno));
	SHOW(ferror(s.f) != 0);
	free(big);
	streamed_close(s);
}

static void gone(void)
{
	struct streamed s = streamed("r+");
	struct linger reset = {.l_onoff = 1};

	title("the peer is gone");
	setsockopt(s.pair.server, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	close(s.pair.server);
	settle(s.pair.client, POLLERR);
	errno = 0;
	SHOW(fgetc(s.f));
	SHOW(ferror(s.f) != 0);
	clearerr(s.f);
	SHOW(fputs("text", s.f));
	SHOW(fflush(s.f));
	SHOW(ferror(s.f) != 0);
	SHOW(fclose(s.f));
	close(s.pair.listener);
}

static void interrupted(void)
{
	struct streamed s = streamed("r");
	struct sigaction act = {.sa_handler = probe_wake};
	/* Again and again: the first may come before the call begins. */
	const struct itimerval often = {{0, 50000}, {0, 50000}}, never = {{0, 0}, {0, 0}};

	title("interrupted");
	sigaction(SIGALRM, &act, NULL);
	setitimer(ITIMER_REAL, &often, NULL);
	errno = 0;
	SHOW(fgetc(s.f));
	printf("%s\n", strerrorname_np(errno));
	SHOW(ferror(s.f) != 0);
	clearerr(s.f);
	errno = 0;
	SHOW(fgetwc(s.f) == WEOF ? -1 : 0);
	setitimer(ITIMER_REAL, &never, NULL);
	streamed_close(s);
}

static void other_number(void)
{
	struct streamed s = streamed("w");
	int copy = dup(s.pair.client);
	FILE *second = fdopen(copy, "w");

	title("two streams, and a number that goes away");
	SHOW(fputs("first ", s.f));
	SHOW(fflush(s.f));
	SHOW(fputs("second", second));
	SHOW(fclose(second));
	show_got("both", &s);
	SHOW(fputs("lost", s.f));
	SHOW(close(s.pair.client));
	SHOW(fflush(s.f));
	SHOW(ferror(s.f) != 0);
	SHOW(fclose(s.f));
	close(s.pair.server);
	close(s.pair.listener);
	errno = 0;
	SHOW(fdopen(-1, "r") ? 0 : -1);
	SHOW(fdopen(99, "r") ? 0 : -1);
}

int main(int argc, char **argv)
{
	probe_begin(argc, argv);
	bytes_out();
	bytes_in();
	buffers(_IOFBF, "full buffers");
	buffers(_IOLBF, "lines");
	buffers(_IONBF, "no buffer");
	positions("r");
	positions("w");
	positions("r+");
	modes();
	ends();
	nothing_there();
	full();
	gone();
	interrupted();
	other_number();
	return 0;
}
