/* SPDX-License-Identifier: BSD-3-Clause */
/* The known key nearest to a mistyped one, by edit distance. */
#include <string.h>

#include "conf/schema.h"

#define NAME_MAX_LEN 48

static unsigned int
min3(unsigned int a, unsigned int b, unsigned int c)
{
	unsigned int m = a < b ? a : b;

	return m < c ? m : c;
}

/* Insertions, deletions, substitutions and swaps of neighbours that turn `a` into `b`. */
static unsigned int
edit_distance(const char *a, const char *b)
{
	size_t n_a = strlen(a), n_b = strlen(b);
	unsigned int row[3][NAME_MAX_LEN + 1]; /* two rows back, one back, current */

	for (size_t j = 0; j <= n_b; j++)
		row[1][j] = j;
	for (size_t i = 1; i <= n_a; i++) {
		row[2][0] = i;
		for (size_t j = 1; j <= n_b; j++) {
			unsigned int cost = a[i - 1] != b[j - 1];
			unsigned int d = min3(row[1][j] + 1, row[2][j - 1] + 1, row[1][j - 1] + cost);

			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
				row[0][j - 2] + 1 < d)
				d = row[0][j - 2] + 1;
			row[2][j] = d;
		}
		memcpy(row[0], row[1], sizeof(row[0]));
		memcpy(row[1], row[2], sizeof(row[1]));
	}
	return row[1][n_b];
}

static void
consider(const char *key, const char *name, const char **best, unsigned int *distance)
{
	unsigned int d = edit_distance(key, name);

	if (d < *distance) {
		*distance = d;
		*best = name;
	}
}

const char *
conf_nearest(const struct conf_schema *schema, const char *key)
{
	size_t len = strlen(key);
	unsigned int distance = len / 3 + 1; /* a third of the letters wrong is still a guess */
	const char *best = NULL;

	if (len > NAME_MAX_LEN)
		return NULL;
	if (distance < 3 && len > 2)
		distance = 3;
	for (unsigned int k = 0; k < schema->n_rows; k++) {
		consider(key, schema->rows[k].name, &best, &distance);
		if (schema->rows[k].alias != NULL)
			consider(key, schema->rows[k].alias, &best, &distance);
	}
	return best;
}
