/* SPDX-License-Identifier: BSD-3-Clause */
/* A stream of a socket and its peer, for the probes of stdio. */
#ifndef TESTS_PROBE_STREAM_H
#define TESTS_PROBE_STREAM_H

#include "tests/probe.h"

/* One connection and a stream at its client's end. */
struct streamed {
	struct pair pair;
	FILE *f;
};

static inline struct streamed streamed(const char *mode)
{
	struct streamed s = {.pair = pair_open()};

	s.f = fdopen(s.pair.client, mode);
	if (s.f == NULL) {
		perror("fdopen");
		exit(1);
	}
	return s;
}

static inline void streamed_close(struct streamed s)
{
	fclose(s.f);
	close(s.pair.server);
	close(s.pair.listener);
}

static inline void show_text(const char *what, const char *text, long n)
{
	printf("%s: %ld <", what, n);
	for (long i = 0; i < n; i++)
		printf(text[i] >= ' ' && text[i] < 127 ? "%c" : "\\%02x", (unsigned char)text[i]);
	printf(">\n");
}

/* What the peer has got so far, after the stream has been flushed. */
static inline void show_got(const char *what, struct streamed *s)
{
	char got[4096];
	long n = 0, r;

	show("fflush", fflush(s->f));
	drain(s->pair.client);
	if (poll(&(struct pollfd){.fd = s->pair.server, .events = POLLIN}, 1, 0) > 0)
		while ((r = recv(s->pair.server, got + n, sizeof(got) - (size_t)n, MSG_DONTWAIT)) > 0)
			n += r;
	show_text(what, got, n);
}

/* `call` writes to the stream of `s`: its result, and what the peer has got after it. */
#define WRITES(call)                                                                               \
	do {                                                                                       \
		errno = 0;                                                                         \
		SHOW(call);                                                                        \
		show_got(#call, &s);                                                               \
	} while (0)

/* The peer sends `text`; it has arrived afterwards. */
static inline void give(struct streamed *s, const char *text)
{
	if (send(s->pair.server, text, strlen(text), 0) < 0)
		perror("send");
	settle(s->pair.client, POLLIN);
}

#endif
