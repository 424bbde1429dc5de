/* SPDX-License-Identifier: BSD-3-Clause */
/* An address that several processes share: which local ports are ours. */
#include "tests/share_rig.h"

static unsigned int
block_of(const struct sock *s)
{
	return (ntohs(s->lport) - STACK_PORT_FIRST) / STACK_PORT_BLOCK;
}

static void
ports_are_chosen_from_our_blocks_and_asked_for_when_used_up(void)
{
	enum { N = 3 * STACK_PORT_BLOCK };
	uint32_t addr = sim_addr(SIM_B, 0).sin_addr.s_addr;
	static struct sock *s[N];
	unsigned int in[128] = {0};
	int result, i;

	blocks_left = 1;
	for (i = 0; i < N; i++) {
		s[i] = connect_to(SIM_A, addr, PORT, &result);
		CU_ASSERT_EQUAL_FATAL(result, -EINPROGRESS);
		in[block_of(s[i])]++;
	}
	/* Blocks 3 and 127, then what more_ports() made of 3: 4 and 0. */
	CU_ASSERT_EQUAL(in[3], STACK_PORT_BLOCK);
	CU_ASSERT_EQUAL(in[127], STACK_PORT_BLOCK);
	CU_ASSERT_EQUAL(in[0] + in[4], STACK_PORT_BLOCK);
	CU_ASSERT_EQUAL(n_asked, 1);
	/* Another server: every port may be used once more. */
	sock_close(connect_to(SIM_A, addr, PORT + 1, &result));
	CU_ASSERT_EQUAL(result, -EINPROGRESS);
	CU_ASSERT_EQUAL(n_asked, 1);
	for (i = 0; i < N; i++)
		sock_close(s[i]);
	sim_run(1000);
}

static void
no_port_left_is_no_address_available(void)
{
	uint32_t addr = sim_addr(SIM_B, 0).sin_addr.s_addr;
	static struct sock *s[STACK_PORT_BLOCK];
	struct sock *one;
	int result, i;

	ports[0][1] = 0;
	for (i = 0; i < STACK_PORT_BLOCK; i++)
		s[i] = connect_to(SIM_A, addr, PORT, &result);
	CU_ASSERT_EQUAL(n_asked, 0);
	one = connect_to(SIM_A, addr, PORT, &result);
	CU_ASSERT_EQUAL(result, -EADDRNOTAVAIL);
	CU_ASSERT_EQUAL(n_asked, 1);
	sock_close(one);
	for (i = 0; i < STACK_PORT_BLOCK; i++)
		sock_close(s[i]);
	sim_run(1000);
	one = connect_to(SIM_A, addr, PORT, &result);
	CU_ASSERT_EQUAL(result, -EINPROGRESS);
	sock_close(one);
	sim_run(1000);
}

/* Two processes of one address, here with disjoint blocks, never choose the same port. */
static void
two_with_different_blocks_never_clash(void)
{
	enum { N = 200 };
	static struct sock *s[2][N];
	static bool used[65536];
	uint32_t addr = htonl(0xc6120063); /* nobody */
	unsigned int clashes = 0;
	int result;

	sim_stack(SIM_B)->wiring.sharing = &sharing[1];
	for (int side = 0; side < 2; side++) {
		_Atomic uint32_t *counter;
		uint32_t begin = table_port_begin(sim_stack(side), addr, htons(PORT), &counter);

		*counter = 5000 - begin; /* both look at the same ports */
	}
	for (int i = 0; i < N; i++)
		for (int side = 0; side < 2; side++) {
			s[side][i] = connect_to(side, addr, PORT, &result);
			CU_ASSERT_EQUAL(result, -EINPROGRESS);
			clashes += used[s[side][i]->lport];
			used[s[side][i]->lport] = true;
		}
	CU_ASSERT_EQUAL(clashes, 0);
	CU_ASSERT_EQUAL(n_asked, 0);
	for (int i = 0; i < N; i++)
		for (int side = 0; side < 2; side++)
			sock_close(s[side][i]);
	sim_run(1000);
}

static void
bind_to_any_port_takes_one_of_ours_and_a_named_port_is_free(void)
{
	struct sock *t = open_at(SIM_A, SOCK_TCP, 0, 0), *u = open_at(SIM_A, SOCK_UDP, 0, 0);
	struct sock *named = open_at(SIM_A, SOCK_TCP, STACK_PORT_FIRST, 0);

	CU_ASSERT(block_of(t) == 3 || block_of(t) == 127);
	CU_ASSERT(block_of(u) == 3 || block_of(u) == 127);
	CU_ASSERT_EQUAL(block_of(named), 0);
	sock_close(t);
	sock_close(u);
	sock_close(named);
	sim_run(1000);
}

static const struct cunit_test tests[] = {
	CUNIT_TEST(ports_are_chosen_from_our_blocks_and_asked_for_when_used_up),
	CUNIT_TEST(no_port_left_is_no_address_available),
	CUNIT_TEST(two_with_different_blocks_never_clash),
	CUNIT_TEST(bind_to_any_port_takes_one_of_ours_and_a_named_port_is_free),
};
CUNIT_MAIN("share_ports", tests, setup, teardown)
