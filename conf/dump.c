/* SPDX-License-Identifier: BSD-3-Clause */
/* Settings in words: YAML of what is in effect, the example file, the key table of the manual. */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "conf/schema.h"

#define WRAP_COLUMN 96

/* A double-quoted string that libconfig and YAML both read back. */
void
conf_print_quoted(FILE *out, const char *text)
{
	fputc('"', out);
	for (const char *p = text; *p != '\0'; p++) {
		if (*p == '"' || *p == '\\')
			fprintf(out, "\\%c", *p);
		else if ((unsigned char)*p < 0x20 || *p == 0x7f)
			fprintf(out, "\\x%02x", (unsigned char)*p);
		else
			fputc(*p, out);
	}
	fputc('"', out);
}

static void
print_cpus(FILE *out, const struct conf_cpus *cpus)
{
	fputc('"', out);
	for (unsigned int i = 0; i < cpus->n; i++)
		fprintf(out, i > 0 ? ",%u" : "%u", cpus->cpu[i]);
	fputc('"', out);
}

static void
print_word(FILE *out, const struct conf_row *row, int value)
{
	const struct conf_word *w = row->words;

	while (w->word != NULL && w->value != value)
		w++;
	conf_print_quoted(out, w->word != NULL ? w->word : "?");
}

/* The strings of a CONF_ARGS as an array, of a CONF_LINE as one string. */
static void
print_args(FILE *out, const void *c, const struct conf_row *row)
{
	char *const *args = conf_field_const(c, row);
	unsigned int n = *(const unsigned int *)conf_companion(c, row);
	char *line = NULL;
	size_t len;
	FILE *join;

	if (row->type == CONF_ARGS) {
		fputc('[', out);
		for (unsigned int i = 0; i < n; i++) {
			fputs(i > 0 ? ", " : "", out);
			conf_print_quoted(out, args[i]);
		}
		fputc(']', out);
		return;
	}
	join = open_memstream(&line, &len);
	if (join == NULL)
		return;
	for (unsigned int i = 0; i < n; i++)
		fprintf(join, "%s%s", i > 0 ? " " : "", args[i]);
	fclose(join);
	conf_print_quoted(out, line);
	free(line);
}

static void
print_value(FILE *out, const void *c, const struct conf_row *row)
{
	const void *field = conf_field_const(c, row);
	const uint8_t *mac = field;
	char addr[INET_ADDRSTRLEN];

	switch (row->type) {
	case CONF_BOOL:
		fprintf(out, "%d", *(const bool *)field);
		break;
	case CONF_UINT:
		fprintf(out, "%" PRIu32, *(const uint32_t *)field);
		break;
	case CONF_WORD:
		print_word(out, row, *(const int *)field);
		break;
	case CONF_TEXT:
		conf_print_quoted(out, field);
		break;
	case CONF_ADDR:
		fprintf(out, "\"%s\"", inet_ntop(AF_INET, field, addr, sizeof(addr)));
		break;
	case CONF_MAC:
		fprintf(out, "\"%02x:%02x:%02x:%02x:%02x:%02x\"", mac[0], mac[1], mac[2], mac[3],
			mac[4], mac[5]);
		break;
	case CONF_CPUS:
		print_cpus(out, field);
		break;
	case CONF_ARGS:
	case CONF_LINE:
		print_args(out, c, row);
		break;
	case CONF_OWN:
		row->ops->print(c, out);
		break;
	}
}

int
conf_dump_schema(const struct conf_schema *schema, const void *c, FILE *out)
{
	for (unsigned int k = 0; k < schema->n_rows; k++) {
		const struct conf_row *row = &schema->rows[k];

		fprintf(out, "%s: ", row->name);
		if (row->type == CONF_MAC && conf_is_default(c, row))
			fputs("null", out);
		else
			print_value(out, c, row);
		fputs(conf_is_default(c, row) ? " # default\n" : "\n", out);
	}
	return ferror(out) ? -EIO : 0;
}

/* Words of `text`, each line behind `start`. */
static void
print_wrapped(FILE *out, const char *start, const char *text)
{
	size_t column = 0;

	while (*text != '\0') {
		size_t word = strcspn(text, " ");

		if (column > 0 && column + 1 + word > WRAP_COLUMN) {
			fputc('\n', out);
			column = 0;
		}
		if (column == 0)
			column = fprintf(out, "%s", start);
		else
			column += fprintf(out, " ");
		column += fprintf(out, "%.*s", (int)word, text);
		text += word;
		text += strspn(text, " ");
	}
	fputc('\n', out);
}

/* "legal values; default" of a row, on one line. */
static void
describe(const struct conf_row *row, char *buf, size_t len)
{
	char legal[CONF_WHY_MAX];
	int n;

	conf_legal_text(row, legal, sizeof(legal));
	n = snprintf(buf, len, "Legal: %s. ", legal);
	if (n < 0 || (size_t)n >= len)
		return;
	if (row->mandatory)
		snprintf(buf + n, len - n, "Mandatory.");
	else if (row->absent != NULL)
		snprintf(buf + n, len - n, "Absent: %s.", row->absent);
	else if (row->type == CONF_WORD)
		snprintf(buf + n, len - n, "Default: \"%s\".", row->words[0].word);
	else if (row->type == CONF_TEXT || row->type == CONF_LINE)
		snprintf(buf + n, len - n, "Default: empty.");
	else
		snprintf(buf + n, len - n, "Default: %" PRIu32 ".", row->def);
}

int
conf_print_schema_example(const struct conf_schema *schema, FILE *out)
{
	void *c = calloc(1, schema->size);
	char text[2 * CONF_WHY_MAX];

	if (c == NULL)
		return -ENOMEM;
	fputs(schema->about, out);
	for (unsigned int k = 0; k < schema->n_rows; k++) {
		const struct conf_row *row = &schema->rows[k];

		conf_set_default(c, row);
		fputc('\n', out);
		print_wrapped(out, "# ", row->help);
		describe(row, text, sizeof(text));
		print_wrapped(out, "# ", text);
		fprintf(out, "%s%s=", row->example != NULL ? "" : "#", row->name);
		if (row->example != NULL)
			fputs(row->example, out);
		else if (row->type == CONF_MAC)
			fputs("\"aa:bb:cc:dd:ee:ff\"", out);
		else
			print_value(out, c, row);
		fputc('\n', out);
	}
	conf_clear(schema, c);
	free(c);
	return ferror(out) ? -EIO : 0;
}

int
conf_print_schema_help(const struct conf_schema *schema, FILE *out)
{
	char text[2 * CONF_WHY_MAX];

	for (unsigned int k = 0; k < schema->n_rows; k++) {
		const struct conf_row *row = &schema->rows[k];

		/* man(7) */
		fprintf(out, ".TP\n.B %s\n", row->name);
		if (row->alias != NULL)
			fprintf(out, "(also %s) ", row->alias);
		fprintf(out, "%s\n.br\n", row->help);
		describe(row, text, sizeof(text));
		fprintf(out, "%s\n", text);
	}
	return ferror(out) ? -EIO : 0;
}

int
conf_dump_yaml(const struct conf *c, FILE *out)
{
	return conf_dump_schema(&lstack_schema, c, out);
}

int
conf_print_example(FILE *out)
{
	return conf_print_schema_example(&lstack_schema, out);
}

int
conf_print_help(FILE *out)
{
	return conf_print_schema_help(&lstack_schema, out);
}

int
ltran_conf_dump_yaml(const struct ltran_conf *c, FILE *out)
{
	return conf_dump_schema(&ltran_schema, c, out);
}

int
ltran_conf_print_example(FILE *out)
{
	return conf_print_schema_example(&ltran_schema, out);
}

int
ltran_conf_print_help(FILE *out)
{
	return conf_print_schema_help(&ltran_schema, out);
}
