/* SPDX-License-Identifier: BSD-3-Clause */
/* Two sides, of which A shares its address: what others see of its sockets is noted. */
#ifndef TESTS_SHARE_RIG_H
#define TESTS_SHARE_RIG_H

#include "stack/impl.h"
#include "tests/cunit_main.h"
#include "tests/sim.h"

#include <errno.h>

#define PORT 6379
#define SHOWN_MAX 4096

static struct {
	struct stack_shown s;
	unsigned int table;
} shown[SHOWN_MAX];
static unsigned int n_shown, n_claims, n_asked, blocks_left;
static struct stack_shown claimed, hidden;
static int claim_answer;
static _Atomic uint64_t ports[2][2]; /* of A and B */

static inline int
find(const struct stack_shown *s)
{
	for (unsigned int i = 0; i < n_shown; i++)
		if (shown[i].s.raddr == s->raddr && shown[i].s.rport == s->rport &&
			shown[i].s.lport == s->lport && shown[i].s.is_udp == s->is_udp)
			return (int)i;
	return -1;
}

static inline void
show(void *arg, unsigned int table, const struct stack_shown *s)
{
	int at = find(s);

	if (at < 0)
		at = (int)n_shown++;
	shown[at].s = *s;
	shown[at].table = table;
}

static inline void
hide(void *arg, unsigned int table, const struct stack_shown *s)
{
	int at = find(s);

	hidden = *s;
	if (at >= 0)
		shown[at] = shown[--n_shown];
}

static inline int
claim(void *arg, const struct stack_shown *s)
{
	n_claims++;
	claimed = *s;
	return claim_answer;
}

static inline bool
more_ports(void *arg)
{
	n_asked++;
	if (blocks_left == 0)
		return false;
	blocks_left--;
	ports[0][0] |= (ports[0][0] << 1) | 1;
	return true;
}

static struct stack_sharing sharing[2] = {
	{.claim = claim, .show = show, .hide = hide, .ports = ports[0], .more_ports = more_ports},
	{.claim = claim, .show = show, .hide = hide, .ports = ports[1], .more_ports = more_ports},
};

static inline void
setup(void)
{
	sim_setup();
	n_shown = n_claims = n_asked = blocks_left = 0;
	claim_answer = 0;
	ports[0][0] = 1ull << 3;
	ports[0][1] = 1ull << 63; /* ports up to 65535 */
	ports[1][0] = 1ull << 4;
	ports[1][1] = 0;
	sim_stack(SIM_A)->wiring.sharing = &sharing[0];
}

static inline void
teardown(void)
{
	sim_teardown();
	CU_ASSERT_EQUAL(n_shown, 0);
	sim_stack(SIM_A)->wiring.sharing = NULL;
	sim_stack(SIM_B)->wiring.sharing = NULL;
}

static inline struct sock *
open_at(int side, enum sock_kind kind, uint16_t port, uint32_t flags)
{
	struct sockaddr_in at = sim_addr(side, port);
	struct sock *s;

	CU_ASSERT_EQUAL_FATAL(sock_open(sim_group(side), kind, &s), 0);
	sock_flag_set(s, flags);
	CU_ASSERT_EQUAL_FATAL(sock_bind(s, &at), 0);
	return s;
}

static inline bool
sees(uint32_t raddr, uint16_t rport, uint16_t lport, bool is_udp)
{
	struct stack_shown s = {.raddr = raddr, .rport = rport, .lport = lport, .is_udp = is_udp};

	return find(&s) >= 0;
}

static inline struct sock *
connect_to(int from, uint32_t addr, uint16_t port, int *result)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = addr, .sin_port = htons(port)};
	struct sock *s;

	sock_open(sim_group(from), SOCK_TCP, &s);
	*result = sock_connect(s, &at);
	return s;
}

#endif
