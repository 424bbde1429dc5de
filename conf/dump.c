/* SPDX-License-Identifier: BSD-3-Clause */
/* Settings in words: YAML of what is in effect, the example file, the key table of the manual. */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "conf/schema.h"

#define WRAP_COLUMN 96

/* A double-quoted string that libconfig and YAML both read back. */
static void
print_quoted(FILE *out, const char *text)
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
	print_quoted(out, w->word != NULL ? w->word : "?");
}

static void
print_value(FILE *out, const struct conf *c, const struct conf_row *row)
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
		print_quoted(out, field);
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
		fputc('[', out);
		for (unsigned int i = 0; i < c->n_dpdk_args; i++) {
			fputs(i > 0 ? ", " : "", out);
			print_quoted(out, c->dpdk_args[i]);
		}
		fputc(']', out);
		break;
	}
}

int
conf_dump_yaml(const struct conf *c, FILE *out)
{
	for (int k = 0; k < CONF_KEYS; k++) {
		const struct conf_row *row = &conf_rows[k];

		fprintf(out, "%s: ", row->name);
		if (row->type == CONF_MAC && !c->has_devices)
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
	else if (row->type == CONF_TEXT)
		snprintf(buf + n, len - n, "Default: empty.");
	else
		snprintf(buf + n, len - n, "Default: %" PRIu32 ".", row->def);
}

int
conf_print_example(FILE *out)
{
	struct conf c;
	char text[2 * CONF_WHY_MAX];

	memset(&c, 0, sizeof(c));
	fputs("# Settings of liblstack.so (syntax: libconfig). Every key with its default; LSTACK_CONF_PATH\n"
	      "# names another file. Made from conf/schema.c.\n", out);
	for (int k = 0; k < CONF_KEYS; k++) {
		const struct conf_row *row = &conf_rows[k];

		conf_set_default(&c, row);
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
			print_value(out, &c, row);
		fputc('\n', out);
	}
	return ferror(out) ? -EIO : 0;
}

int
conf_print_help(FILE *out)
{
	char text[2 * CONF_WHY_MAX];

	for (int k = 0; k < CONF_KEYS; k++) {
		const struct conf_row *row = &conf_rows[k];

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
