/* SPDX-License-Identifier: BSD-3-Clause */
/* bond_ports, a mask in a string, and rate_limit, a list of groups. */
#include "conf/ltran_values.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define PORTS_DEFAULT 1u
#define PORTS_MASK ((1ul << LTRAN_BOND_PORTS_MAX) - 1)

static bool
parse_ports(void *arg, const config_setting_t *s, char *why, size_t why_len)
{
	struct ltran_conf *c = arg;
	const char *text = config_setting_get_string(s);
	unsigned long mask;
	size_t len;

	if (text == NULL) {
		snprintf(why, why_len, "a string in quotes is wanted");
		return false;
	}
	if (strchr(text, ',') != NULL) {
		snprintf(why, why_len, "one bond is wanted");
		return false;
	}
	len = strlen(text);
	if (len < 3 || strncasecmp(text, "0x", 2) != 0 ||
		strspn(text + 2, "0123456789abcdefABCDEF") != len - 2) {
		snprintf(why, why_len, "not a hexadecimal mask");
		return false;
	}
	mask = strtoul(text, NULL, 16);
	if (mask == 0 || mask > PORTS_MASK) {
		snprintf(why, why_len, mask == 0 ? "no port" : "more than the ports 0 to %d",
			LTRAN_BOND_PORTS_MAX - 1);
		return false;
	}
	c->bond_ports = mask;
	return true;
}

static void
reset_ports(void *c)
{
	((struct ltran_conf *)c)->bond_ports = PORTS_DEFAULT;
}

static bool
is_default_ports(const void *c)
{
	return ((const struct ltran_conf *)c)->bond_ports == PORTS_DEFAULT;
}

static void
print_ports(const void *c, FILE *out)
{
	fprintf(out, "\"0x%" PRIx32 "\"", ((const struct ltran_conf *)c)->bond_ports);
}

const struct conf_ops ltran_ports_ops = {
	parse_ports, reset_ports, is_default_ports, print_ports,
};

/* `bytes` or `packets` of entry `n`; none is 0. */
static bool
parse_limit(const config_setting_t *group, const char *name, int n, uint64_t *out, char *why,
	size_t why_len)
{
	const config_setting_t *s = config_setting_get_member(group, name);
	int type = s != NULL ? config_setting_type(s) : CONFIG_TYPE_NONE;

	*out = 0;
	if (s == NULL)
		return true;
	if ((type == CONFIG_TYPE_INT || type == CONFIG_TYPE_INT64) &&
		config_setting_get_int64(s) > 0) {
		*out = config_setting_get_int64(s);
		return true;
	}
	snprintf(why, why_len, "entry %d: %s is not a whole number above 0", n, name);
	return false;
}

static bool
check_members(const config_setting_t *group, int n, char *why, size_t why_len)
{
	for (int i = 0; i < config_setting_length(group); i++) {
		const char *name = config_setting_name(config_setting_get_elem(group, i));

		if (strcmp(name, "addr") == 0 || strcmp(name, "bytes") == 0 ||
			strcmp(name, "packets") == 0)
			continue;
		snprintf(why, why_len, "entry %d: unknown name %.32s", n, name);
		return false;
	}
	return true;
}

static bool
parse_rate(const config_setting_t *group, int n, struct ltran_rate *r, char *why, size_t why_len)
{
	const char *addr = NULL;

	if (!config_setting_is_group(group)) {
		snprintf(why, why_len, "entry %d is not a group { addr, bytes, packets }", n);
		return false;
	}
	if (!check_members(group, n, why, why_len))
		return false;
	if (!config_setting_lookup_string(group, "addr", &addr) ||
		inet_pton(AF_INET, addr, &r->addr) != 1) {
		snprintf(why, why_len, "entry %d: addr is not an IPv4 address in quotes", n);
		return false;
	}
	if (!parse_limit(group, "bytes", n, &r->bytes, why, why_len) ||
		!parse_limit(group, "packets", n, &r->packets, why, why_len))
		return false;
	if (r->bytes != 0 || r->packets != 0)
		return true;
	snprintf(why, why_len, "entry %d: neither bytes nor packets", n);
	return false;
}

static bool
parse_rates(void *arg, const config_setting_t *s, char *why, size_t why_len)
{
	struct ltran_conf *c = arg;
	int n = config_setting_length(s);

	if (!config_setting_is_list(s) && !(config_setting_is_array(s) && n == 0)) {
		snprintf(why, why_len, "a list of groups is wanted");
		return false;
	}
	if (n > LTRAN_RATES_MAX) {
		snprintf(why, why_len, "%d entries are too many", n);
		return false;
	}
	if (n == 0)
		return true;
	c->rates = calloc(n, sizeof(*c->rates));
	if (c->rates == NULL) {
		snprintf(why, why_len, "out of memory");
		return false;
	}
	for (int i = 0; i < n; i++) {
		if (!parse_rate(config_setting_get_elem(s, i), i + 1, &c->rates[i], why, why_len))
			return false;
		for (int j = 0; j < i; j++) {
			if (c->rates[j].addr != c->rates[i].addr)
				continue;
			snprintf(why, why_len, "entry %d: the address of entry %d", i + 1, j + 1);
			return false;
		}
	}
	c->n_rates = n;
	return true;
}

static void
reset_rates(void *arg)
{
	struct ltran_conf *c = arg;

	free(c->rates);
	c->rates = NULL;
	c->n_rates = 0;
}

static bool
is_default_rates(const void *c)
{
	return ((const struct ltran_conf *)c)->n_rates == 0;
}

/* YAML, and without entries libconfig as well. */
static void
print_rates(const void *arg, FILE *out)
{
	const struct ltran_conf *c = arg;
	char addr[INET_ADDRSTRLEN];

	if (c->n_rates == 0)
		fputs("[]", out);
	for (unsigned int i = 0; i < c->n_rates; i++) {
		const struct ltran_rate *r = &c->rates[i];

		fprintf(out, "\n  - {addr: \"%s\"", inet_ntop(AF_INET, &r->addr, addr, sizeof(addr)));
		if (r->bytes != 0)
			fprintf(out, ", bytes: %" PRIu64, r->bytes);
		if (r->packets != 0)
			fprintf(out, ", packets: %" PRIu64, r->packets);
		fputc('}', out);
	}
}

const struct conf_ops ltran_rates_ops = {
	parse_rates, reset_rates, is_default_rates, print_rates,
};
