/* SPDX-License-Identifier: BSD-3-Clause */
/* Which documents a YAML parser gets to see. */
#include "ctl/bounds.h"

#include <stdlib.h>
#include <time.h>

#include "ctl/messages.h"
#include "tests/cunit_main.h"

static bool
holds(const char *body)
{
	return ctl_bounds_hold(body, strlen(body));
}

static void
what_we_write_is_accepted(void)
{
	static char *lines[] = {
		"a long line of words that goes on and on and on and on and on beyond column eighty "
		"\"and quotes\" and [brackets and {braces and more words that follow them here",
		"'single' quoted [line] that goes on and on and on and on and on and on and on and on "
		"and on and on and on and on and on and on and on and on and on and on",
		"\x1b[31mEVIL\x07 caf\xc3\xa9 words words words words words words words words words "
		"words words words words words words words",
		"- [x", "", "[", "[[[[[[[[[[[[[[[", "a: b", "two\nlines", "tab\there", "  first",
		"last ", "null", "~", "#x", "a #b", "%x", "|", "&a", "? a", "it's \"", "'", "\"",
	};
	const struct ctl_message *m = ctl_message_find(CTL_GRAPH_TRACE);
	struct ctl_trace t = {.packets = 1, .lines = lines,
		.lines_count = sizeof(lines) / sizeof(lines[0])}, *back;
	void *answer;
	char *body;
	size_t len;

	CU_ASSERT_EQUAL_FATAL(ctl_message_encode(m->answer, &t, &body, &len), 0);
	CU_ASSERT_EQUAL_FATAL(ctl_message_decode(m->answer, body, len, &answer), 0);
	back = answer;
	CU_ASSERT_EQUAL(back->lines_count, t.lines_count);
	for (uint32_t i = 0; i < back->lines_count; i++) {
		if (i != 2) /* what is beyond ASCII comes back as another encoding of it */
			CU_ASSERT_STRING_EQUAL(back->lines[i], lines[i]);
	}
	ctl_message_free(m->answer, answer);
	free(body);
	CU_ASSERT_TRUE(holds(""));
	CU_ASSERT_TRUE(holds("--- {}\n"));
	CU_ASSERT_TRUE(holds("---\na: []\nb:\n- c: 'x [ y'\n  d: \"e\\\"[\"\n- f\n...\n"));
	CU_ASSERT_TRUE(holds("a: one\n  [two\n  \"three\nb: 1 # comment\n# another\r\n"));
}

static void
other_styles_are_refused(void)
{
	static const char *const bodies[] = {
		"[[", "a: [[]]", "a: [b]", "a: {b: c}", "a: []x", "a: &x 1", "a: *x", "a: !t 1", "&x a: 1",
		"a: |\n  text", "a: >\n  text", "%TAG ! x\n---\na: 1", "? a\n: b", "? [", ": a", "a: @b",
		"a: `b", "a: b\n\"c", "a: 1\n\"b\n[", "text", "- a\n\"b: [", "a: b\n  c: d", "---[",
		"a: b\n---'\nc: [[", "a: \xc2\x85[", "a: \x01", "a: b\x7f", "\xff\xfe[",
	};

	for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
		if (!holds(bodies[i]))
			continue;
		CU_FAIL("accepted");
		printf("\n    body: \"%s\"\n", bodies[i]);
	}
	CU_ASSERT_FALSE(ctl_bounds_hold("a: \0", 4));
}

static void
depth_is_limited(void)
{
	char body[20000];
	size_t n = 0;

	for (int i = 0; i < 80; i++)
		n += snprintf(body + n, sizeof(body) - n, "%*sa:\n", 2 * i, "");
	CU_ASSERT_FALSE(ctl_bounds_hold(body, n));
	n = 0;
	for (int i = 0; i < 20; i++)
		n += snprintf(body + n, sizeof(body) - n, "%*sa:\n", 2 * i, "");
	CU_ASSERT_TRUE(ctl_bounds_hold(body, n));
	memset(body, '-', 200);
	for (int i = 1; i < 200; i += 2)
		body[i] = ' ';
	CU_ASSERT_FALSE(ctl_bounds_hold(body, 200));
}

/* The document that libyaml would need minutes for, and the largest that an answer may be. */
static void
refusal_costs_nothing(void)
{
	const struct ctl_message *m = ctl_message_find(CTL_IDENTITY);
	size_t n = 8u << 20;
	char *body = malloc(n);
	clock_t before = clock();
	void *answer;

	CU_ASSERT_PTR_NOT_NULL_FATAL(body);
	memset(body, '[', n);
	memcpy(body, "a: ", 3);
	CU_ASSERT_EQUAL(ctl_message_decode(m->answer, body, n, &answer), -EINVAL);
	memset(body, ' ', n);
	CU_ASSERT_EQUAL(ctl_message_decode(m->answer, body, n, &answer), -EINVAL);
	CU_ASSERT(clock() - before < 2 * CLOCKS_PER_SEC);
	free(body);
}

static const struct cunit_test tests[] = {
	CUNIT_TEST(what_we_write_is_accepted),
	CUNIT_TEST(other_styles_are_refused),
	CUNIT_TEST(depth_is_limited),
	CUNIT_TEST(refusal_costs_nothing),
};

CUNIT_MAIN("bounds", tests, NULL, NULL)
