/* SPDX-License-Identifier: BSD-3-Clause */
/* What a value must be on its own, for rows of both files. */
#include <arpa/inet.h>
#include <ctype.h>
#include <netinet/in.h>
#include <string.h>

#include "conf/schema.h"

bool
conf_check_power_of_two(const void *value, char *why, size_t why_len)
{
	uint32_t v = *(const uint32_t *)value;

	if ((v & (v - 1)) == 0)
		return true;
	snprintf(why, why_len, "not a power of two");
	return false;
}

/* The prefix becomes part of a file name, and people type it in shells. */
bool
conf_check_unix_prefix(const void *value, char *why, size_t why_len)
{
	for (const char *p = value; *p != '\0'; p++) {
		if (isalnum((unsigned char)*p) || strchr("_-.:@+", *p) != NULL)
			continue;
		if (isprint((unsigned char)*p))
			snprintf(why, why_len, "character '%c' is not allowed", *p);
		else
			snprintf(why, why_len, "character 0x%02x is not allowed", (unsigned char)*p);
		return false;
	}
	return true;
}

/* RFC 1122 3.2.1.3: what may stand as the address of one host. */
bool
conf_check_host_addr(const void *value, char *why, size_t why_len)
{
	uint32_t a = ntohl(*(const uint32_t *)value);
	const char *what = NULL;

	if ((a >> 24) == 0)
		what = "an address in 0.0.0.0/8 names no host";
	else if ((a >> 24) == 127)
		what = "a loopback address; those stay in the kernel";
	else if (IN_MULTICAST(a))
		what = "a multicast address";
	else if (a >= 0xf0000000)
		what = "a reserved or broadcast address";
	if (what == NULL)
		return true;
	snprintf(why, why_len, "%s", what);
	return false;
}

bool
conf_check_mac(const void *value, char *why, size_t why_len)
{
	static const uint8_t none[6];
	const uint8_t *mac = value;

	if ((mac[0] & 1) == 0 && memcmp(mac, none, sizeof(none)) != 0)
		return true;
	snprintf(why, why_len, mac[0] & 1 ? "a multicast address" : "an empty address");
	return false;
}
