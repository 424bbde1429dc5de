/* SPDX-License-Identifier: BSD-3-Clause */
/* Whole numbers beyond 32 bits, which libconfig only takes as such with an L behind them. */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "conf/schema.h"

/* The end of the comment or string that starts at `p`; `p` itself where neither does. */
static const char *
skip_text(const char *p)
{
	const char *end;

	if (p[0] == '#' || (p[0] == '/' && p[1] == '/'))
		return p + strcspn(p, "\n");
	if (p[0] == '/' && p[1] == '*') {
		end = strstr(p + 2, "*/");
		return end != NULL ? end + 2 : p + strlen(p);
	}
	if (p[0] != '"')
		return p;
	for (p++; *p != '\0' && *p != '"'; p++) {
		if (p[0] == '\\' && p[1] != '\0')
			p++;
	}
	return *p == '"' ? p + 1 : p;
}

/* The end of the name, the number or the single character at `p`. */
static const char *
skip_word(const char *p)
{
	const char *rest = isdigit((unsigned char)*p) ? "_." : "_-*";
	const char *end = p + 1;

	if (isalnum((unsigned char)*p))
		while (*end != '\0' && (isalnum((unsigned char)*end) || strchr(rest, *end) != NULL))
			end++;
	return end;
}

/* Is the word of `len` characters a whole number that 32 bits do not hold? */
static bool
is_wide(const char *word, size_t len)
{
	bool hex = len > 2 && word[0] == '0' && (word[1] == 'x' || word[1] == 'X');
	size_t digits = hex ? 2 + strspn(word + 2, "0123456789abcdefABCDEF")
			    : strspn(word, "0123456789");

	errno = 0;
	return digits == len &&
		(strtoull(word, NULL, hex ? 16 : 10) > INT32_MAX || errno == ERANGE);
}

char *
conf_widen_literals(const char *text)
{
	/* No number of fewer than 10 characters ("0x80000000", "2147483648") needs an L. */
	char *wide = malloc(strlen(text) + strlen(text) / 10 + 2), *out = wide;
	const char *end;

	while (wide != NULL && *text != '\0') {
		end = skip_text(text);
		if (end == text)
			end = skip_word(text);
		memcpy(out, text, end - text);
		out += end - text;
		if (isdigit((unsigned char)*text) && is_wide(text, end - text))
			*out++ = 'L';
		text = end;
	}
	if (wide != NULL)
		*out = '\0';
	return wide;
}
