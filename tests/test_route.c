/* SPDX-License-Identifier: BSD-3-Clause */
/* Ours or the kernel's: the table of cases. */
#include "preload/route.h"
#include "tests/cunit_main.h"

#include <arpa/inet.h>

/* The stack on 198.18.0.1/24; the kernel has loopback, an address on the stack's own subnet (the
 * device given to DPDK keeps it), and another network. */
static struct route_table table(const char *gateway)
{
	struct route_table t = {
		.addr = inet_addr("198.18.0.1"),
		.mask = inet_addr("255.255.255.0"),
		.gateway = inet_addr(gateway),
		.n = 3,
	};

	t.ifaces[0].addr = inet_addr("127.0.0.1");
	t.ifaces[0].mask = inet_addr("255.0.0.0");
	t.ifaces[1].addr = inet_addr("198.18.0.9");
	t.ifaces[1].mask = inet_addr("255.255.255.0");
	t.ifaces[2].addr = inet_addr("10.1.2.3");
	t.ifaces[2].mask = inet_addr("255.255.0.0");
	return t;
}

static void destinations_follow_the_table(void)
{
	static const struct {
		const char *addr;
		bool with_gateway, without_gateway;
	} cases[] = {
		{"198.18.0.1", true, true},       /* itself */
		{"198.18.0.77", true, true},      /* its subnet */
		{"198.18.0.9", false, false},     /* an address of this host's kernel */
		{"127.0.0.1", false, false},      /* loopback */
		{"127.9.9.9", false, false},
		{"0.0.0.0", false, false},        /* Linux: this host */
		{"10.1.2.3", false, false},       /* the kernel's own */
		{"10.1.200.1", false, false},     /* the kernel's network */
		{"10.2.0.1", true, false},        /* by default route */
		{"224.0.0.1", false, false},      /* multicast */
		{"255.255.255.255", false, false} /* broadcast */
	};
	struct route_table with = table("198.18.0.254"), without = table("0.0.0.0");

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint32_t addr = inet_addr(cases[i].addr);

		CU_ASSERT_EQUAL(route_table_to_stack(&with, addr), cases[i].with_gateway);
		CU_ASSERT_EQUAL(route_table_to_stack(&without, addr), cases[i].without_gateway);
	}
}

static void binding_follows_the_address(void)
{
	struct route_table t = table("198.18.0.254");

	CU_ASSERT_EQUAL(route_table_bind(&t, inet_addr("0.0.0.0")), ROUTE_BIND_ANY);
	CU_ASSERT_EQUAL(route_table_bind(&t, inet_addr("198.18.0.1")), ROUTE_BIND_STACK);
	CU_ASSERT_EQUAL(route_table_bind(&t, inet_addr("127.0.0.1")), ROUTE_BIND_KERNEL);
	CU_ASSERT_EQUAL(route_table_bind(&t, inet_addr("198.18.0.9")), ROUTE_BIND_KERNEL);
}

static const struct cunit_test tests[] = {
	CUNIT_TEST(destinations_follow_the_table),
	CUNIT_TEST(binding_follows_the_address),
};
CUNIT_MAIN("route", tests, NULL, NULL)
