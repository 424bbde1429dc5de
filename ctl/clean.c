/* SPDX-License-Identifier: BSD-3-Clause */
/* Texts from other processes, made harmless. */
#include "ctl/clean.h"

#include <cyaml/cyaml.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

static bool
is_printable(char c)
{
	return c >= ' ' && c <= '~';
}

void
ctl_clean_text(char *text)
{
	for (; *text != '\0'; text++) {
		if (!is_printable(*text))
			*text = '?';
	}
}

/* An unsigned number of 1, 2, 4 or 8 bytes. */
static uint64_t
read_count(const void *at, size_t bytes)
{
	uint64_t n = 0;

	memcpy(&n, at, bytes); /* little endian, as libcyaml itself assumes where it matters */
	return n;
}

static void clean_value(const struct cyaml_schema_value *schema, void *at, uint64_t count);

static void
clean_fields(const struct cyaml_schema_field *fields, char *base)
{
	for (const struct cyaml_schema_field *f = fields; f->key != NULL; f++) {
		uint64_t count = 0;

		if (f->value.type == CYAML_SEQUENCE)
			count = read_count(base + f->count_offset, f->count_size);
		clean_value(&f->value, base + f->data_offset, count);
	}
}

/* `at`: where the value is, or a pointer to it; of a sequence it has `count` entries. */
static void
clean_value(const struct cyaml_schema_value *schema, void *at, uint64_t count)
{
	const struct cyaml_schema_value *entry;
	bool is_pointer = (schema->flags & CYAML_FLAG_POINTER) != 0;
	char *data = is_pointer ? *(char **)at : at;
	size_t stride;

	if (data == NULL)
		return;
	if (schema->type == CYAML_STRING)
		ctl_clean_text(data);
	else if (schema->type == CYAML_MAPPING)
		clean_fields(schema->mapping.fields, data);
	if (schema->type != CYAML_SEQUENCE)
		return;
	entry = schema->sequence.entry;
	stride = (entry->flags & CYAML_FLAG_POINTER) != 0 ? sizeof(void *) : entry->data_size;
	for (uint64_t i = 0; i < count; i++)
		clean_value(entry, data + i * stride, 0);
}

void
ctl_clean_answer(const struct cyaml_schema_value *schema, void *data)
{
	if (schema->type == CYAML_MAPPING && data != NULL)
		clean_fields(schema->mapping.fields, data);
}

static ssize_t
write_clean(void *to, const char *text, size_t len)
{
	FILE *out = to;

	for (size_t i = 0; i < len; i++)
		fputc(is_printable(text[i]) || text[i] == '\n' || text[i] == '\t' ? text[i] : '?', out);
	return fflush(out) == 0 ? (ssize_t)len : 0;
}

FILE *
ctl_clean_stream(FILE *to)
{
	static const cookie_io_functions_t clean = {.write = write_clean};

	return fopencookie(to, "w", clean);
}
