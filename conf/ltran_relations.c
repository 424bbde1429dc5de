/* SPDX-License-Identifier: BSD-3-Clause */
/* Rules between keys of ltran.conf. */
#include <arpa/inet.h>
#include <inttypes.h>

#include "conf/schema.h"

static void
check_subnet(struct conf_load *l)
{
	const struct ltran_conf *c = l->c;
	uint32_t hosts, subnet = ntohl(c->dispatch_subnet);
	char text[INET_ADDRSTRLEN];
	struct in_addr first;

	if (l->given[LTRAN_DISPATCH_SUBNET] == NULL ||
		l->given[LTRAN_DISPATCH_SUBNET_LENGTH] == NULL)
		return;
	hosts = (1u << c->dispatch_subnet_length) - 1;
	if ((subnet & hosts) == 0)
		return;
	first.s_addr = htonl(subnet & ~hosts);
	conf_complain(l, true, LTRAN_DISPATCH_SUBNET, false,
		"not the first address of a subnet whose hosts have %" PRIu32
		" bits (dispatch_subnet_length); that is %s",
		c->dispatch_subnet_length, inet_ntop(AF_INET, &first, text, sizeof(text)));
}

static void
check_rates(struct conf_load *l)
{
	const struct ltran_conf *c = l->c;
	uint32_t hosts;
	char text[INET_ADDRSTRLEN];

	if (l->given[LTRAN_DISPATCH_SUBNET] == NULL ||
		l->given[LTRAN_DISPATCH_SUBNET_LENGTH] == NULL)
		return;
	hosts = (1u << c->dispatch_subnet_length) - 1;
	for (unsigned int i = 0; i < c->n_rates; i++) {
		if (((ntohl(c->rates[i].addr) ^ ntohl(c->dispatch_subnet)) & ~hosts) == 0)
			continue;
		conf_complain(l, true, LTRAN_RATE_LIMIT, false,
			"entry %u: %s is not in dispatch_subnet", i + 1,
			inet_ntop(AF_INET, &c->rates[i].addr, text, sizeof(text)));
	}
}

void
ltran_conf_check_relations(struct conf_load *l)
{
	const struct ltran_conf *c = l->c;

	conf_check_eal_args(l, LTRAN_FORWARD_KIT_ARGS, c->eal_args, c->n_eal_args);
	check_subnet(l);
	check_rates(l);
}
