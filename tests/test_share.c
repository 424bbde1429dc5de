/* SPDX-License-Identifier: BSD-3-Clause */
/* An address that several processes share: what they see of our sockets, which ports are ours. */
#include "stack/impl.h"
#include "tests/cunit_main.h"
#include "tests/sim.h"

#include <errno.h>
#include <sys/epoll.h>

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

static int
find(const struct stack_shown *s)
{
	for (unsigned int i = 0; i < n_shown; i++)
		if (shown[i].s.raddr == s->raddr && shown[i].s.rport == s->rport &&
			shown[i].s.lport == s->lport && shown[i].s.is_udp == s->is_udp)
			return (int)i;
	return -1;
}

static void
show(void *arg, unsigned int table, const struct stack_shown *s)
{
	int at = find(s);

	if (at < 0)
		at = (int)n_shown++;
	shown[at].s = *s;
	shown[at].table = table;
}

static void
hide(void *arg, unsigned int table, const struct stack_shown *s)
{
	int at = find(s);

	hidden = *s;
	if (at >= 0)
		shown[at] = shown[--n_shown];
}

static int
claim(void *arg, const struct stack_shown *s)
{
	n_claims++;
	claimed = *s;
	return claim_answer;
}

static bool
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

static void
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

static void
teardown(void)
{
	sim_teardown();
	CU_ASSERT_EQUAL(n_shown, 0);
	sim_stack(SIM_A)->wiring.sharing = NULL;
	sim_stack(SIM_B)->wiring.sharing = NULL;
}

static struct sock *
open_at(int side, enum sock_kind kind, uint16_t port, uint32_t flags)
{
	struct sockaddr_in at = sim_addr(side, port);
	struct sock *s;

	CU_ASSERT_EQUAL_FATAL(sock_open(sim_group(side), kind, &s), 0);
	sock_flag_set(s, flags);
	CU_ASSERT_EQUAL_FATAL(sock_bind(s, &at), 0);
	return s;
}

static bool
sees(uint32_t raddr, uint16_t rport, uint16_t lport, bool is_udp)
{
	struct stack_shown s = {.raddr = raddr, .rport = rport, .lport = lport, .is_udp = is_udp};

	return find(&s) >= 0;
}

static void
connection_is_shown_from_its_syn_to_the_end_of_time_wait(void)
{
	struct sockaddr_in peer = sim_addr(SIM_B, PORT), name;
	struct sock *a, *b, *l = open_at(SIM_B, SOCK_TCP, PORT, 0);

	CU_ASSERT_EQUAL(sock_listen(l, 8), 0);
	sock_open(sim_group(SIM_A), SOCK_TCP, &a);
	CU_ASSERT_EQUAL(sock_connect(a, &peer), -EINPROGRESS);
	sock_name(a, &name);
	CU_ASSERT(sees(peer.sin_addr.s_addr, peer.sin_port, name.sin_port, false));
	CU_ASSERT_EQUAL(shown[0].table, sim_stack(SIM_A)->index);
	sim_run(1000);
	CU_ASSERT_EQUAL_FATAL(sock_accept(l, &b, NULL), 0);
	sock_close(a);
	sim_run(1000);
	sock_close(b);
	sim_run(1000);
	CU_ASSERT(sees(peer.sin_addr.s_addr, peer.sin_port, name.sin_port, false));
	sock_close(l);
	sim_run(61000000);
	CU_ASSERT_EQUAL(n_shown, 0);
	CU_ASSERT_EQUAL(n_claims, 0);
}

static void
incoming_connection_is_shown_before_it_is_accepted(void)
{
	struct sockaddr_in peer = sim_addr(SIM_A, PORT), name;
	struct sock *b, *l = open_at(SIM_A, SOCK_TCP, PORT, 0);

	CU_ASSERT_EQUAL(sock_listen(l, 8), 0);
	sock_open(sim_group(SIM_B), SOCK_TCP, &b);
	sock_connect(b, &peer);
	sock_name(b, &name);
	sim_run(1000);
	CU_ASSERT(sees(name.sin_addr.s_addr, name.sin_port, peer.sin_port, false));
	sock_close(l);
	sim_run(1000);
	CU_ASSERT_EQUAL(n_shown, 0);
	sock_close(b);
}

static void
port_is_shown_while_anybody_listens_there(void)
{
	struct sock *l = open_at(SIM_A, SOCK_TCP, PORT, SF_REUSEPORT);
	struct sock *l2 = open_at(SIM_A, SOCK_TCP, PORT, SF_REUSEPORT);

	CU_ASSERT_EQUAL(n_shown, 0);
	CU_ASSERT_EQUAL(n_claims, 0);
	sock_set_identity(l, 77);
	CU_ASSERT_EQUAL(sock_listen(l, 8), 0);
	CU_ASSERT_EQUAL_FATAL(n_shown, 1);
	CU_ASSERT(sees(0, 0, htons(PORT), false));
	CU_ASSERT_EQUAL(shown[0].table, 0);
	CU_ASSERT(shown[0].s.reuseport);
	CU_ASSERT_EQUAL(shown[0].s.identity, 77);
	CU_ASSERT(claimed.reuseport && claimed.identity == 77 && claimed.lport == htons(PORT));
	CU_ASSERT_EQUAL(sock_listen(l2, 8), 0);
	CU_ASSERT_EQUAL(n_shown, 1);
	sock_close(l);
	CU_ASSERT_EQUAL(n_shown, 1);
	CU_ASSERT_EQUAL(shown[0].s.identity, 0);
	sock_close(l2);
	CU_ASSERT_EQUAL(n_shown, 0);
}

static void
udp_port_is_shown_while_a_socket_has_it(void)
{
	struct sock *u = open_at(SIM_A, SOCK_UDP, 53, SF_REUSEPORT);
	struct sock *u2 = open_at(SIM_A, SOCK_UDP, 53, SF_REUSEPORT);

	CU_ASSERT_EQUAL(n_shown, 1);
	CU_ASSERT(sees(0, 0, htons(53), true));
	CU_ASSERT(claimed.is_udp);
	sock_close(u);
	sim_run(1000);
	CU_ASSERT_EQUAL(n_shown, 1);
	sock_close(u2);
	sim_run(1000);
	CU_ASSERT_EQUAL(n_shown, 0);
}

static void
port_of_another_process_is_in_use(void)
{
	struct sockaddr_in at = sim_addr(SIM_A, 53);
	struct sock *l = open_at(SIM_A, SOCK_TCP, PORT, 0), *u;

	claim_answer = -EADDRINUSE;
	CU_ASSERT_EQUAL(sock_listen(l, 8), -EADDRINUSE);
	CU_ASSERT_FALSE(sock_is_listening(l));
	sock_open(sim_group(SIM_A), SOCK_UDP, &u);
	CU_ASSERT_EQUAL(sock_bind(u, &at), -EADDRINUSE);
	CU_ASSERT_EQUAL(n_shown, 0);
	claim_answer = 0;
	/* Both can try again, and the port is free for others of this process. */
	CU_ASSERT_EQUAL(sock_bind(u, &at), 0);
	CU_ASSERT_EQUAL(sock_listen(l, 8), 0);
	CU_ASSERT_EQUAL(n_shown, 2);
	sock_close(u);
	sock_close(l);
	sim_run(1000);
}

/* A worker of a server that makes one SO_REUSEPORT socket for each has inherited them all. */
static void
of_inherited_sockets_those_in_use_get_what_comes(void)
{
	enum { N = 40 };
	struct sockaddr_in at = sim_addr(SIM_A, PORT), name;
	struct sock *l[3], *u[3], *b[N], *c;
	char byte = 1;
	struct iovec iov = {.iov_base = &byte, .iov_len = 1};
	struct ready_watch *w;
	struct ready_set *set;
	int came = 0;

	CU_ASSERT_EQUAL_FATAL(ready_create(sim_group(SIM_A), &set), 0);
	for (int i = 0; i < 3; i++) {
		l[i] = open_at(SIM_A, SOCK_TCP, PORT, SF_REUSEPORT);
		CU_ASSERT_EQUAL(sock_listen(l[i], 64), 0);
		u[i] = open_at(SIM_A, SOCK_UDP, PORT, SF_REUSEPORT);
	}
	CU_ASSERT_EQUAL(ready_add(set, u[1], EPOLLIN, 0, &w), 0);
	CU_ASSERT_EQUAL(sock_accept(l[1], &c, NULL), -EAGAIN);
	for (int i = 0; i < N; i++) {
		sock_open(sim_group(SIM_B), SOCK_TCP, &b[i]);
		sock_connect(b[i], &at);
	}
	sim_run(10000);
	while (sock_accept(l[1], &c, NULL) == 0) {
		sock_close(c);
		came++;
	}
	CU_ASSERT_EQUAL(came, N);
	c = open_at(SIM_B, SOCK_UDP, 0, 0);
	CU_ASSERT_EQUAL(sock_send(c, &iov, 1, 0, &at), 1);
	sim_run(1000);
	CU_ASSERT_EQUAL(sock_recv(u[1], &iov, 1, 0, &name, NULL), 1);
	ready_del(w);
	ready_destroy(set);
	sock_close(c);
	for (int i = 0; i < N; i++)
		sock_close(b[i]);
	for (int i = 0; i < 3; i++) {
		sock_close(l[i]);
		sock_close(u[i]);
	}
	sim_run(1000);
}

/* --- local ports ---------------------------------------------------------------------------------- */

static unsigned int
block_of(const struct sock *s)
{
	return (ntohs(s->lport) - STACK_PORT_FIRST) / STACK_PORT_BLOCK;
}

static struct sock *
connect_to(int from, uint32_t addr, uint16_t port, int *result)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = addr, .sin_port = htons(port)};
	struct sock *s;

	sock_open(sim_group(from), SOCK_TCP, &s);
	*result = sock_connect(s, &at);
	return s;
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

/* It had the listener from another process, which may have it still. */
static void
end_of_an_inherited_listener_refuses_nobody_for_a_time(void)
{
	struct sock *a, *l = open_at(SIM_A, SOCK_TCP, PORT, 0);
	int result;

	sock_set_inherited(l);
	CU_ASSERT_EQUAL(sock_listen(l, 8), 0);
	CU_ASSERT_TRUE(n_shown == 1 && shown[0].s.lives_on);
	sock_close(l);
	CU_ASSERT_EQUAL(n_shown, 0);
	CU_ASSERT_TRUE(hidden.lives_on && hidden.lport == htons(PORT));
	a = connect_to(SIM_B, sim_addr(SIM_A, 0).sin_addr.s_addr, PORT, &result);
	sim_run(900000);
	CU_ASSERT_EQUAL(sock_take_error(a), 0); /* somebody else may listen by its next try */
	sock_close(a);
	sim_run(STACK_LEFT_US);
	a = connect_to(SIM_B, sim_addr(SIM_A, 0).sin_addr.s_addr, PORT, &result);
	sim_run(1000);
	CU_ASSERT_EQUAL(sock_take_error(a), ECONNREFUSED);
	sock_close(a);
	sim_run(1000);
}

/* As many as ltran is told of (LTRAN_LEFT_MAX). */
static void
end_of_many_inherited_listeners_refuses_nobody(void)
{
	struct sock *l[32], *a[32];
	int result;

	for (unsigned int i = 0; i < 32; i++) {
		l[i] = open_at(SIM_A, SOCK_TCP, PORT + i, 0);
		sock_set_inherited(l[i]);
		CU_ASSERT_EQUAL(sock_listen(l[i], 8), 0);
	}
	for (unsigned int i = 0; i < 32; i++)
		sock_close(l[i]);
	for (unsigned int i = 0; i < 32; i++)
		a[i] = connect_to(SIM_B, sim_addr(SIM_A, 0).sin_addr.s_addr, PORT + i, &result);
	sim_run(100000);
	for (unsigned int i = 0; i < 32; i++) {
		CU_ASSERT_EQUAL(sock_take_error(a[i]), 0);
		sock_close(a[i]);
	}
	sim_run(STACK_LEFT_US);
}

/* An old worker has the TIME_WAIT, others listen: a SYN of this 4-tuple comes to the old one. */
static void
syn_that_ends_a_time_wait_is_not_refused_where_others_may_listen(void)
{
	struct sockaddr_in peer = sim_addr(SIM_A, PORT);
	struct sock *a = open_at(SIM_B, SOCK_TCP, 40000, 0), *b, *l = open_at(SIM_A, SOCK_TCP, PORT, 0);

	CU_ASSERT_EQUAL(sock_listen(l, 8), 0);
	CU_ASSERT_EQUAL(sock_connect(a, &peer), -EINPROGRESS);
	sim_run(1000);
	CU_ASSERT_EQUAL_FATAL(sock_accept(l, &b, NULL), 0);
	sock_close(b);
	sim_run(1000);
	sock_close(a);
	sock_close(l);
	sim_run(STACK_LEFT_US + 1000000);
	CU_ASSERT(sees(sim_addr(SIM_B, 0).sin_addr.s_addr, htons(40000), htons(PORT), false));
	a = open_at(SIM_B, SOCK_TCP, 40000, 0);
	CU_ASSERT_EQUAL(sock_connect(a, &peer), -EINPROGRESS);
	sim_run(100000);
	CU_ASSERT_EQUAL(sock_take_error(a), 0);
	/* Its next try would come to others: nobody shows the connection any more. */
	CU_ASSERT_EQUAL(n_shown, 0);
	sim_run(2000000);
	CU_ASSERT_EQUAL(sock_take_error(a), ECONNREFUSED);
	sock_close(a);
	sim_run(1000);
}

static void
end_of_a_listener_refuses_where_nobody_else_has_it(void)
{
	struct sock *a, *l = open_at(SIM_A, SOCK_TCP, PORT, 0), *shut = open_at(SIM_A, SOCK_TCP, PORT + 1, 0);
	int result;

	CU_ASSERT_EQUAL(sock_listen(l, 8), 0);
	CU_ASSERT_FALSE(shown[0].s.lives_on);
	sock_close(l);
	CU_ASSERT_FALSE(hidden.lives_on);
	a = connect_to(SIM_B, sim_addr(SIM_A, 0).sin_addr.s_addr, PORT, &result);
	sim_run(1000);
	CU_ASSERT_EQUAL(sock_take_error(a), ECONNREFUSED);
	sock_close(a);
	/* shutdown() ends it for all who have it. */
	sock_set_inherited(shut);
	CU_ASSERT_EQUAL(sock_listen(shut, 8), 0);
	CU_ASSERT_EQUAL(sock_shutdown(shut, SHUT_RDWR), 0);
	CU_ASSERT_FALSE(hidden.lives_on);
	a = connect_to(SIM_B, sim_addr(SIM_A, 0).sin_addr.s_addr, PORT + 1, &result);
	sim_run(1000);
	CU_ASSERT_EQUAL(sock_take_error(a), ECONNREFUSED);
	sock_close(a);
	sock_close(shut);
	sim_run(1000);
}

static const struct cunit_test tests[] = {
	CUNIT_TEST(connection_is_shown_from_its_syn_to_the_end_of_time_wait),
	CUNIT_TEST(incoming_connection_is_shown_before_it_is_accepted),
	CUNIT_TEST(port_is_shown_while_anybody_listens_there),
	CUNIT_TEST(udp_port_is_shown_while_a_socket_has_it),
	CUNIT_TEST(port_of_another_process_is_in_use),
	CUNIT_TEST(of_inherited_sockets_those_in_use_get_what_comes),
	CUNIT_TEST(ports_are_chosen_from_our_blocks_and_asked_for_when_used_up),
	CUNIT_TEST(no_port_left_is_no_address_available),
	CUNIT_TEST(two_with_different_blocks_never_clash),
	CUNIT_TEST(bind_to_any_port_takes_one_of_ours_and_a_named_port_is_free),
	CUNIT_TEST(end_of_an_inherited_listener_refuses_nobody_for_a_time),
	CUNIT_TEST(end_of_many_inherited_listeners_refuses_nobody),
	CUNIT_TEST(syn_that_ends_a_time_wait_is_not_refused_where_others_may_listen),
	CUNIT_TEST(end_of_a_listener_refuses_where_nobody_else_has_it),
};
CUNIT_MAIN("share", tests, setup, teardown)
