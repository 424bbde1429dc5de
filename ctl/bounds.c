/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One pass over a document that finds where YAML tokens begin. Inside of quoted scalars and in the
 * middle of plain ones a bracket is text; where a token begins, "[]" and "{}" are all that is allowed
 * of flow collections. Only what is needed to be sure of that is understood, the rest is refused.
 *
 * A plain scalar goes on in the next line if that is indented further than the key or dash before
 * the scalar (our encoder folds long texts). Block collections nest by columns, which are limited.
 */
#include "ctl/bounds.h"

#include <string.h>

#define COLUMN_MAX 128 /* of a key or dash: 2 for each level of a block collection */

struct scan {
	const char *at, *end;
	const char *line;   /* where the line begins */
	long parent;        /* column of the last key or dash */
	bool has_parent;    /* it is in this line */
	bool is_plain_open; /* the line before ended in a plain scalar behind it */
};

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static bool
is_break(char c)
{
	return c == '\n' || c == '\r';
}

static bool
is_line_over(const struct scan *s)
{
	return s->at == s->end || is_break(*s->at);
}

/* Does a blank, or the end of the line, follow the next `n` characters? */
static bool
is_word(const struct scan *s, long n)
{
	return s->end - s->at >= n &&
	       (s->end - s->at == n || is_blank(s->at[n]) || is_break(s->at[n]));
}

/* Behind the closing quote, which may be in another line. */
static void
skip_quoted(struct scan *s)
{
	char quote = *s->at++;

	while (s->at < s->end) {
		char c = *s->at++;

		if (c == '\\' && quote == '"' && s->at < s->end && !is_break(*s->at))
			s->at++;
		else if (c == quote && quote == '\'' && s->at < s->end && *s->at == quote)
			s->at++;
		else if (c == quote)
			return;
	}
}

/* To what ends a plain scalar: the end of the line, ": ", " #". */
static void
skip_plain(struct scan *s)
{
	for (; !is_line_over(s); s->at++) {
		if (*s->at == ':' && is_word(s, 1))
			return;
		if (is_blank(*s->at) && s->at + 1 < s->end && s->at[1] == '#')
			return;
	}
}

static void
skip_line(struct scan *s)
{
	while (!is_line_over(s))
		s->at++;
}

/* A key or dash: what is nested further has to stand behind its column. */
static bool
take_parent(struct scan *s, long column)
{
	s->at++; /* the dash, or the colon behind the key */
	s->parent = column;
	s->has_parent = true;
	return column <= COLUMN_MAX;
}

/* A key, or the scalar that stands behind a key or dash of this line. */
static bool
take_scalar(struct scan *s)
{
	long column = s->at - s->line;
	bool is_plain = *s->at != '"' && *s->at != '\'';

	if (is_plain)
		skip_plain(s);
	else
		skip_quoted(s);
	if (s->at < s->end && *s->at == ':' && is_word(s, 1))
		return take_parent(s, column);
	s->is_plain_open = is_plain && is_line_over(s);
	return s->has_parent;
}

static bool
take_token(struct scan *s)
{
	static const char others[] = "[]{},&*!|>%@`"; /* no plain scalar begins with them */

	if (is_blank(*s->at)) {
		s->at++;
		return true;
	}
	if (*s->at == '#') {
		skip_line(s);
		return true;
	}
	if (*s->at == '-' && is_word(s, 1))
		return take_parent(s, s->at - s->line);
	if (is_word(s, 2) && (memcmp(s->at, "[]", 2) == 0 || memcmp(s->at, "{}", 2) == 0)) {
		s->at += 2;
		return true;
	}
	if (memchr(others, *s->at, sizeof(others) - 1) != NULL)
		return false;
	if ((*s->at == '?' || *s->at == ':') && is_word(s, 1))
		return false;
	return take_scalar(s);
}

/* "---" or "...", which begin and end a document. */
static bool
is_at_mark(const struct scan *s)
{
	return s->at == s->line && is_word(s, 3) &&
	       (memcmp(s->at, "---", 3) == 0 || memcmp(s->at, "...", 3) == 0);
}

static bool
scan_line(struct scan *s)
{
	bool is_text;

	s->line = s->at;
	while (!is_line_over(s) && is_blank(*s->at))
		s->at++;
	if (is_line_over(s))
		return true;
	is_text = s->is_plain_open && s->at - s->line > s->parent && *s->at != '#';
	if (is_text) {
		skip_plain(s);
		return is_line_over(s);
	}
	s->is_plain_open = false;
	s->has_parent = false;
	if (is_at_mark(s))
		s->at += 3;
	while (!is_line_over(s)) {
		if (!take_token(s))
			return false;
	}
	return true;
}

bool
ctl_bounds_hold(const char *body, size_t len)
{
	struct scan s = {.at = body, .end = body + len};

	for (size_t i = 0; i < len; i++) {
		unsigned char c = body[i];

		if (c > '~' || (c < ' ' && c != '\t' && !is_break((char)c)))
			return false;
	}
	while (s.at < s.end) {
		if (!scan_line(&s))
			return false;
		if (s.at < s.end)
			s.at++;
	}
	return true;
}
