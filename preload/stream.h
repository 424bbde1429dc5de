/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A stream of a socket of ours, made by fdopen(). See stream.c; wide_stream.c for its wide characters.
 */
#ifndef PRELOAD_STREAM_H
#define PRELOAD_STREAM_H

#include <stdbool.h>
#include <stdio.h>
#include <wchar.h>

/* The stream's lock (flockfile()) guards it; it ends with the stream. */
struct stream {
	int fd;
	bool has_moved;    /* bytes have been asked for, or written */
	int width;         /* as fwide() has it: 0 undecided, 1 for characters, -1 for bytes */
	mbstate_t in, out; /* between the bytes of a character */
};

/* NULL: it is libc's. libc itself never looks at _codecvt in a stream of bytes. */
static inline struct stream *stream_of(const FILE *f)
{
	return f->_wide_data == NULL ? (struct stream *)f->_codecvt : NULL;
}

#endif
