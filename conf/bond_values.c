/* SPDX-License-Identifier: BSD-3-Clause */
/* bond_mode, a number or -1, and bond_slave_mac, MAC addresses in one string. */
#include "conf/bond_values.h"

#include <stdlib.h>
#include <string.h>

static bool
parse_mode(void *arg, const config_setting_t *s, char *why, size_t why_len)
{
	struct conf *c = arg;
	int mode = config_setting_get_int(s);

	if (config_setting_type(s) != CONFIG_TYPE_INT ||
		(mode != CONF_BOND_OFF && mode != 1 && mode != 4 && mode != 6)) {
		snprintf(why, why_len, "no such mode");
		return false;
	}
	c->bond_mode = mode;
	return true;
}

static void
reset_mode(void *c)
{
	((struct conf *)c)->bond_mode = CONF_BOND_OFF;
}

static bool
is_default_mode(const void *c)
{
	return ((const struct conf *)c)->bond_mode == CONF_BOND_OFF;
}

static void
print_mode(const void *c, FILE *out)
{
	fprintf(out, "%d", ((const struct conf *)c)->bond_mode);
}

const struct conf_ops conf_bond_mode_ops = {
	parse_mode, reset_mode, is_default_mode, print_mode,
};

/* The address at `text`, which ends at a semicolon or with the string. */
static bool
parse_mac(const char *text, uint8_t mac[6])
{
	unsigned int b[6];
	int used = 0;

	if (strspn(text, "0123456789abcdefABCDEF:") != 17 ||
		sscanf(text, "%2x:%2x:%2x:%2x:%2x:%2x%n", &b[0], &b[1], &b[2], &b[3], &b[4], &b[5],
			&used) != 6 || used != 17)
		return false;
	for (int i = 0; i < 6; i++)
		mac[i] = b[i];
	return true;
}

static bool
parse_slaves(void *arg, const config_setting_t *s, char *why, size_t why_len)
{
	const char *text = config_setting_get_string(s);
	struct conf *c = arg;
	unsigned int n = 0;

	for (; text != NULL && *text != '\0'; text += strspn(text, "; ")) {
		if (n == CONF_BOND_SLAVES_MAX) {
			snprintf(why, why_len, "more than %d addresses", CONF_BOND_SLAVES_MAX);
			return false;
		}
		if (!parse_mac(text, c->bond_slave_mac[n])) {
			snprintf(why, why_len, "address %u is not a MAC address", n + 1);
			return false;
		}
		if (!conf_check_mac(c->bond_slave_mac[n], why, why_len))
			return false;
		for (unsigned int i = 0; i < n; i++) {
			if (memcmp(c->bond_slave_mac[i], c->bond_slave_mac[n], 6) == 0) {
				snprintf(why, why_len, "address %u is named twice", n + 1);
				return false;
			}
		}
		n++;
		text += 17;
	}
	if (text == NULL)
		snprintf(why, why_len, "a string in quotes is wanted");
	c->n_bond_slaves = n;
	return text != NULL;
}

static void
reset_slaves(void *arg)
{
	struct conf *c = arg;

	memset(c->bond_slave_mac, 0, sizeof(c->bond_slave_mac));
	c->n_bond_slaves = 0;
}

static bool
is_default_slaves(const void *c)
{
	return ((const struct conf *)c)->n_bond_slaves == 0;
}

static void
print_slaves(const void *arg, FILE *out)
{
	const struct conf *c = arg;

	fputc('"', out);
	for (unsigned int i = 0; i < c->n_bond_slaves; i++) {
		const uint8_t *m = c->bond_slave_mac[i];

		fprintf(out, "%s%02x:%02x:%02x:%02x:%02x:%02x", i > 0 ? ";" : "", m[0], m[1], m[2],
			m[3], m[4], m[5]);
	}
	fputc('"', out);
}

const struct conf_ops conf_bond_slave_ops = {
	parse_slaves, reset_slaves, is_default_slaves, print_slaves,
};
