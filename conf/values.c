/* SPDX-License-Identifier: BSD-3-Clause */
/* One value: from a libconfig setting into its field, and into words for messages. */
#include <arpa/inet.h>
#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "conf/schema.h"

#define CPU_MAX (CPU_SETSIZE - 1)

static bool
add_cpu(struct conf_cpus *out, unsigned long cpu, char *why, size_t why_len)
{
	if (cpu > CPU_MAX) {
		snprintf(why, why_len, "CPU %lu is out of range (0 to %d)", cpu, CPU_MAX);
		return false;
	}
	if (out->n == CONF_CPUS_MAX) {
		snprintf(why, why_len, "more than %d CPUs", CONF_CPUS_MAX);
		return false;
	}
	out->cpu[out->n++] = cpu;
	return true;
}

static bool
parse_mask(const char *digits, struct conf_cpus *out, char *why, size_t why_len)
{
	size_t len = strlen(digits);

	if (len == 0 || strspn(digits, "0123456789abcdefABCDEF") != len) {
		snprintf(why, why_len, "not a hexadecimal mask");
		return false;
	}
	for (size_t i = 0; i < len; i++) {
		const char digit[2] = {digits[len - 1 - i], '\0'};
		unsigned long bits = strtoul(digit, NULL, 16);

		for (unsigned int b = 0; b < 4; b++) {
			if ((bits >> b & 1) && !add_cpu(out, i * 4 + b, why, why_len))
				return false;
		}
	}
	return true;
}

static const char *
skip_space(const char *p)
{
	return p + strspn(p, " \t");
}

/* One "4" or "4-7"; moves *p behind it. */
static bool
parse_range(const char **p, struct conf_cpus *out, char *why, size_t why_len)
{
	char *end;
	unsigned long first, last;

	if (!isdigit((unsigned char)**p)) {
		snprintf(why, why_len, "a CPU number is missing at \"%.20s\"", *p);
		return false;
	}
	first = last = strtoul(*p, &end, 10);
	end = (char *)skip_space(end);
	if (*end == '-') {
		*p = skip_space(end + 1);
		if (!isdigit((unsigned char)**p)) {
			snprintf(why, why_len, "the range from %lu has no end", first);
			return false;
		}
		last = strtoul(*p, &end, 10);
		end = (char *)skip_space(end);
	}
	if (last < first) {
		snprintf(why, why_len, "the range %lu-%lu runs backwards", first, last);
		return false;
	}
	for (unsigned long cpu = first; cpu <= last; cpu++) {
		if (!add_cpu(out, cpu, why, why_len))
			return false;
	}
	*p = end;
	return true;
}

bool
conf_parse_cpus(const char *text, struct conf_cpus *out, char *why, size_t why_len)
{
	const char *p = skip_space(text);

	out->n = 0;
	if (*p == '\0')
		return true;
	if (p[0] == '0' && (p[1] == 'x' || p[1] == 'X'))
		return parse_mask(p + 2, out, why, why_len);
	for (;;) {
		if (!parse_range(&p, out, why, why_len))
			return false;
		if (*p == '\0')
			return true;
		if (*p != ',') {
			snprintf(why, why_len, "unexpected \"%.20s\"", p);
			return false;
		}
		p = skip_space(p + 1);
	}
}

static bool
parse_mac(const char *text, uint8_t mac[6])
{
	if (strlen(text) != 17)
		return false;
	for (int i = 0; i < 6; i++) {
		const char *p = text + i * 3;

		if (!isxdigit((unsigned char)p[0]) || !isxdigit((unsigned char)p[1]) ||
			p[2] != (i < 5 ? ':' : '\0'))
			return false;
		mac[i] = strtoul(p, NULL, 16);
	}
	return true;
}

/* Append `len` bytes of `text` to the strings of a CONF_ARGS or CONF_LINE. */
static bool
add_arg(void *c, const struct conf_row *row, const char *text, size_t len, char *why,
	size_t why_len)
{
	char **args = conf_field(c, row);
	unsigned int *n = conf_companion(c, row);

	if (*n == row->max) {
		snprintf(why, why_len, "more than %u strings", row->max);
		return false;
	}
	args[*n] = strndup(text, len);
	if (args[*n] == NULL) {
		snprintf(why, why_len, "out of memory");
		return false;
	}
	++*n;
	return true;
}

static bool
parse_args(void *c, const struct conf_row *row, const config_setting_t *s, char *why,
	size_t why_len)
{
	int n = config_setting_length(s);

	if (!config_setting_is_array(s) && !config_setting_is_list(s)) {
		snprintf(why, why_len, "an array of strings is wanted");
		return false;
	}
	for (int i = 0; i < n; i++) {
		const char *text = config_setting_get_string_elem(s, i);

		if (text == NULL) {
			snprintf(why, why_len, "element %d is not a string", i + 1);
			return false;
		}
		if (!add_arg(c, row, text, strlen(text), why, why_len))
			return false;
	}
	return true;
}

static bool
parse_line(void *c, const struct conf_row *row, const char *text, char *why, size_t why_len)
{
	static const char blanks[] = " \t\n";

	for (;;) {
		size_t len;

		text += strspn(text, blanks);
		len = strcspn(text, blanks);
		if (len == 0)
			return true;
		if (!add_arg(c, row, text, len, why, why_len))
			return false;
		text += len;
	}
}

bool
conf_parse_number(const struct conf_row *row, const config_setting_t *s, uint32_t *out, char *why,
	size_t why_len)
{
	long long v;

	switch (config_setting_type(s)) {
	case CONFIG_TYPE_INT:
	case CONFIG_TYPE_INT64:
		v = config_setting_get_int64(s);
		break;
	case CONFIG_TYPE_BOOL:
		if (row->type == CONF_BOOL) {
			*out = config_setting_get_bool(s);
			return true;
		}
		/* fall through */
	default:
		snprintf(why, why_len, config_setting_type(s) == CONFIG_TYPE_STRING
			? "a number is wanted, without quotes" : "a whole number is wanted");
		return false;
	}
	if (v > row->max && row->saturates)
		v = row->max;
	/* A value that means "not given" may be written out. */
	if ((v < row->min && v != row->def) || v > row->max) {
		snprintf(why, why_len, "out of range");
		return false;
	}
	*out = v;
	return true;
}

static bool
parse_word(const struct conf_row *row, const char *text, int *out, char *why, size_t why_len)
{
	for (const struct conf_word *w = row->words; w->word != NULL; w++) {
		if (strcmp(w->word, text) == 0) {
			*out = w->value;
			return true;
		}
	}
	snprintf(why, why_len, "unknown word");
	return false;
}

/* Types written as a string. */
static bool
parse_string(const struct conf_row *row, const char *text, void *field, char *why, size_t why_len)
{
	switch (row->type) {
	case CONF_WORD:
		return parse_word(row, text, field, why, why_len);
	case CONF_TEXT:
		if (strlen(text) > row->max) {
			snprintf(why, why_len, "%zu characters are too many", strlen(text));
			return false;
		}
		memcpy(field, text, strlen(text) + 1);
		return true;
	case CONF_ADDR:
		if (inet_pton(AF_INET, text, field) == 1)
			return true;
		snprintf(why, why_len, "not an IPv4 address");
		return false;
	case CONF_MAC:
		if (parse_mac(text, field))
			return true;
		snprintf(why, why_len, strchr(text, ',') != NULL ? "one address is wanted"
								 : "not a MAC address");
		return false;
	default:
		return conf_parse_cpus(text, field, why, why_len);
	}
}

static bool
parse_typed(void *c, const struct conf_row *row, const config_setting_t *s, char *why,
	size_t why_len)
{
	void *field = conf_field(c, row);
	uint32_t number;

	switch (row->type) {
	case CONF_BOOL:
		if (!conf_parse_number(row, s, &number, why, why_len))
			return false;
		*(bool *)field = number;
		return true;
	case CONF_UINT:
		return conf_parse_number(row, s, field, why, why_len);
	case CONF_ARGS:
		return parse_args(c, row, s, why, why_len);
	case CONF_OWN:
		return row->ops->parse(c, s, why, why_len);
	default:
		break;
	}
	if (config_setting_type(s) != CONFIG_TYPE_STRING) {
		snprintf(why, why_len, "a string in quotes is wanted");
		return false;
	}
	if (row->type == CONF_LINE)
		return parse_line(c, row, config_setting_get_string(s), why, why_len);
	return parse_string(row, config_setting_get_string(s), field, why, why_len);
}

bool
conf_parse_value(void *c, const struct conf_row *row, const config_setting_t *s, char *why,
	size_t why_len)
{
	bool ok = parse_typed(c, row, s, why, why_len);

	if (ok && row->check != NULL)
		ok = row->check(conf_field(c, row), why, why_len);
	if (!ok)
		conf_set_default(c, row);
	else if (row->type == CONF_MAC)
		*(bool *)conf_companion(c, row) = true;
	return ok;
}

static void
free_args(void *c, const struct conf_row *row)
{
	char **args = conf_field(c, row);
	unsigned int *n = conf_companion(c, row);

	while (*n > 0) {
		free(args[--*n]);
		args[*n] = NULL;
	}
}

void
conf_set_default(void *c, const struct conf_row *row)
{
	void *field = conf_field(c, row);

	switch (row->type) {
	case CONF_BOOL:
		*(bool *)field = row->def;
		break;
	case CONF_UINT:
	case CONF_ADDR:
		*(uint32_t *)field = row->def;
		break;
	case CONF_WORD:
		*(int *)field = row->words[0].value;
		break;
	case CONF_TEXT:
		*(char *)field = '\0';
		break;
	case CONF_MAC:
		memset(field, 0, 6);
		*(bool *)conf_companion(c, row) = false;
		break;
	case CONF_CPUS:
		memset(field, 0, sizeof(struct conf_cpus));
		break;
	case CONF_ARGS:
	case CONF_LINE:
		free_args(c, row);
		break;
	case CONF_OWN:
		row->ops->reset(c);
		break;
	}
}

bool
conf_is_default(const void *c, const struct conf_row *row)
{
	const void *field = conf_field_const(c, row);

	switch (row->type) {
	case CONF_BOOL:
		return *(const bool *)field == row->def;
	case CONF_UINT:
	case CONF_ADDR:
		return *(const uint32_t *)field == row->def;
	case CONF_WORD:
		return *(const int *)field == row->words[0].value;
	case CONF_TEXT:
		return *(const char *)field == '\0';
	case CONF_MAC:
		return !*(const bool *)conf_companion(c, row);
	case CONF_CPUS:
		return ((const struct conf_cpus *)field)->n == 0;
	case CONF_ARGS:
	case CONF_LINE:
		return *(const unsigned int *)conf_companion(c, row) == 0;
	case CONF_OWN:
		return row->ops->is_default(c);
	}
	return false;
}

static size_t
quote_scalar(const config_setting_t *s, char *buf, size_t len)
{
	int n;

	switch (config_setting_type(s)) {
	case CONFIG_TYPE_INT:
	case CONFIG_TYPE_INT64:
		n = snprintf(buf, len, "%lld", config_setting_get_int64(s));
		break;
	case CONFIG_TYPE_FLOAT:
		n = snprintf(buf, len, "%g", config_setting_get_float(s));
		break;
	case CONFIG_TYPE_BOOL:
		n = snprintf(buf, len, "%s", config_setting_get_bool(s) ? "true" : "false");
		break;
	case CONFIG_TYPE_STRING:
		n = snprintf(buf, len, "\"%s\"", config_setting_get_string(s));
		break;
	default:
		n = snprintf(buf, len, "{...}");
	}
	return n;
}

void
conf_quote_setting(const config_setting_t *s, char *buf, size_t len)
{
	size_t at = 0;
	int n = config_setting_length(s);

	if (config_setting_is_array(s) || config_setting_is_list(s)) {
		at += snprintf(buf, len, "[");
		for (int i = 0; i < n && at < len; i++) {
			if (i > 0)
				at += snprintf(buf + at, len - at, ", ");
			if (at < len)
				at += quote_scalar(config_setting_get_elem(s, i), buf + at,
					len - at);
		}
		if (at < len)
			at += snprintf(buf + at, len - at, "]");
	} else {
		at = quote_scalar(s, buf, len);
	}
	if (at >= len)
		memcpy(buf + len - 4, "...", 4);
	for (char *p = buf; *p != '\0'; p++) {
		if (iscntrl((unsigned char)*p))
			*p = '?';
	}
}

void
conf_legal_text(const struct conf_row *row, char *buf, size_t len)
{
	if (row->legal != NULL)
		snprintf(buf, len, "%s", row->legal);
	else if (row->type == CONF_BOOL)
		snprintf(buf, len, "0 or 1");
	else
		snprintf(buf, len, "%" PRIu32 " to %" PRIu32 " %s", row->min, row->max, row->unit);
}
