/* SPDX-License-Identifier: BSD-3-Clause */
/* Registration: instances of one program that share an address, and their ports. */
#include <sys/wait.h>

#include "tests/registry_rig.h"

static void
instances_of_one_program_share_an_address(void)
{
	struct instance a, b;

	begin(&a, ADDR);
	begin(&b, ADDR);
	CU_ASSERT_EQUAL(enter(&a), 0);
	CU_ASSERT_EQUAL(enter(&b), 0);
	CU_ASSERT_EQUAL(entry_of(ADDR).n, 2);
	CU_ASSERT_EQUAL(a.a.blocks[0], 0x0f);
	CU_ASSERT_EQUAL(b.a.blocks[0], 0xf0);
	CU_ASSERT_STRING_NOT_EQUAL(a.a.path, b.a.path);
	/* One worker each. */
	CU_ASSERT_NOT_EQUAL(((struct map *)lt->map)->members[0]->worker,
		((struct map *)lt->map)->members[1]->worker);
	end(&a);
	EVENTUALLY(entry_of(ADDR).n == 1);
	end(&b);
	EVENTUALLY(entry_of(ADDR).n == 0);
	CU_ASSERT_EQUAL(entry_of(ADDR).addr, ADDR);
}

static void
another_user_or_program_may_not_share(void)
{
	struct registry *r = calloc(1, sizeof(*r));
	struct member m = {.addr = ADDR, .fd = 3, .uid = 5, .exe_dev = 6, .exe_ino = 7, .pid = 8,
		.program = "redis"};
	struct ltran_register q = {.addr = ADDR};
	struct registry_peer same = {.uid = 5, .exe_dev = 6, .exe_ino = 7};
	struct registry_peer others[] = {{.uid = 4, .exe_dev = 6, .exe_ino = 7},
		{.uid = 5, .exe_dev = 5, .exe_ino = 7}, {.uid = 5, .exe_dev = 6, .exe_ino = 8}};
	char text[LTRAN_TEXT_MAX];

	r->members[0] = &m;
	r->n_members = 1;
	CU_ASSERT_EQUAL(registry_check_sharing(r, &q, &same, text), 0);
	for (unsigned int i = 0; i < RTE_DIM(others); i++) {
		CU_ASSERT_EQUAL(registry_check_sharing(r, &q, &others[i], text), -EADDRINUSE);
		CU_ASSERT_PTR_NOT_NULL(strstr(text, "used by redis (process 8)"));
	}
	q.addr = OTHER;
	CU_ASSERT_EQUAL(registry_check_sharing(r, &q, &others[0], text), 0);
	free(r);
}

static int
ask_to_listen(struct instance *in, uint8_t protocol, uint16_t port, bool reuseport, uint64_t identity)
{
	struct ltran_listen q = {.header = header, .identity = identity, .port = htons(port),
		.protocol = protocol, .reuseport = reuseport};

	q.header.type = LTRAN_LISTEN;
	send(in->fd, &q, sizeof(q), 0);
	CU_ASSERT_EQUAL(recv(in->fd, &q, sizeof(q), 0), sizeof(q));
	CU_ASSERT_EQUAL(q.pid, q.header.status < 0 ? (uint32_t)getpid() : 0);
	return q.header.status;
}

static void
port_is_shared_only_if_both_want_it(void)
{
	struct instance a, b, c;
	uint64_t tcp = IPPROTO_TCP, udp = IPPROTO_UDP;

	begin(&a, ADDR);
	begin(&b, ADDR);
	begin(&c, OTHER);
	CU_ASSERT_EQUAL(enter(&a) | enter(&b) | enter(&c), 0);
	ltran_table_add(a.table, SLOTS, ltran_slot_key(0, 0, htons(80)), tcp | 5ull << 32);
	ltran_table_add(a.table, SLOTS, ltran_slot_key(0, 0, htons(81)), tcp | LTRAN_SLOT_REUSEPORT);
	ltran_table_add(a.table, SLOTS, ltran_slot_key(0, 0, htons(53)), udp);
	CU_ASSERT_EQUAL(ask_to_listen(&b, IPPROTO_TCP, 80, false, 0), -EADDRINUSE);
	CU_ASSERT_EQUAL(ask_to_listen(&b, IPPROTO_TCP, 80, true, 6), -EADDRINUSE);
	CU_ASSERT_EQUAL(ask_to_listen(&b, IPPROTO_TCP, 80, false, 5), 0); /* inherited */
	CU_ASSERT_EQUAL(ask_to_listen(&b, IPPROTO_TCP, 81, false, 0), -EADDRINUSE);
	CU_ASSERT_EQUAL(ask_to_listen(&b, IPPROTO_TCP, 81, true, 0), 0);
	CU_ASSERT_EQUAL(ask_to_listen(&b, IPPROTO_TCP, 53, false, 0), 0);
	CU_ASSERT_EQUAL(ask_to_listen(&b, IPPROTO_UDP, 53, false, 0), -EADDRINUSE);
	CU_ASSERT_EQUAL(ask_to_listen(&a, IPPROTO_TCP, 80, false, 5), 0); /* its own */
	CU_ASSERT_EQUAL(ask_to_listen(&c, IPPROTO_TCP, 80, false, 0), 0); /* another address */
	end(&a);
	end(&b);
	end(&c);
}

static void
port_is_promised_before_the_table_shows_it(void)
{
	struct instance a, b;

	begin(&a, ADDR);
	begin(&b, ADDR);
	CU_ASSERT_EQUAL(enter(&a) | enter(&b), 0);
	CU_ASSERT_EQUAL(ask_to_listen(&a, IPPROTO_TCP, 90, false, 0), 0);
	CU_ASSERT_EQUAL(ask_to_listen(&b, IPPROTO_TCP, 90, false, 0), -EADDRINUSE);
	CU_ASSERT_EQUAL(ask_to_listen(&b, IPPROTO_TCP, 91, false, 0), 0);
	end(&a);
	EVENTUALLY(n_members() == 1);
	CU_ASSERT_EQUAL(ask_to_listen(&b, IPPROTO_TCP, 90, false, 0), 0);
	end(&b);
}

static int
more_ports(struct instance *in, uint64_t blocks[LTRAN_BLOCK_WORDS])
{
	struct ltran_ports q = {.header = header};

	q.header.type = LTRAN_PORTS;
	send(in->fd, &q, sizeof(q), 0);
	CU_ASSERT_EQUAL(recv(in->fd, &q, sizeof(q), 0), sizeof(q));
	memcpy(blocks, q.blocks, sizeof(q.blocks));
	return q.header.status;
}

static void
blocks_of_ports_are_never_two_instances(void)
{
	uint64_t of_a[2], of_b[2] = {0};
	struct instance a, b, c;
	unsigned int n;

	begin(&a, ADDR);
	begin(&b, ADDR);
	begin(&c, OTHER);
	CU_ASSERT_EQUAL(enter(&a) | enter(&b) | enter(&c), 0);
	CU_ASSERT_EQUAL(more_ports(&a, of_a), 0);
	CU_ASSERT_EQUAL(of_a[0], 0x10f);
	for (n = 0; more_ports(&b, of_b) == 0 && n < 200; n++)
		CU_ASSERT_EQUAL((of_a[0] & of_b[0]) | (of_a[1] & of_b[1]), 0);
	CU_ASSERT_EQUAL(n, LTRAN_PORT_BLOCKS - 9);
	CU_ASSERT_EQUAL(of_a[0] | of_b[0], UINT64_MAX);
	CU_ASSERT_EQUAL(of_b[1], UINT64_MAX);
	CU_ASSERT_EQUAL(more_ports(&a, of_a), -ENOSPC);
	CU_ASSERT_EQUAL(c.a.blocks[0], 0xf); /* another address, the same ports */
	end(&b);
	EVENTUALLY(n_members() == 2);
	CU_ASSERT_EQUAL(more_ports(&a, of_a), 0);
	end(&a);
	end(&c);
}

static const struct cunit_test tests[] = {
	CUNIT_TEST(instances_of_one_program_share_an_address),
	CUNIT_TEST(another_user_or_program_may_not_share),
	CUNIT_TEST(port_is_shared_only_if_both_want_it),
	CUNIT_TEST(port_is_promised_before_the_table_shows_it),
	CUNIT_TEST(blocks_of_ports_are_never_two_instances),
};
RIG_MAIN("registry_share", tests)
