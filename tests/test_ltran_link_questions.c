/* SPDX-License-Identifier: BSD-3-Clause */
/* What a registered instance asks of ltran: may it listen at a port, and for more local ports. */
#include "nodes/instance_ltran_link.h"
#include "tests/fake_ltran.h"

#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

/* Who asks has given up by then, also where it is not given a core at once. */
#define TOO_LATE_MS (LTRAN_PORTS_MS + 500)

struct script {
	int status;
	uint32_t pid;
	uint64_t blocks;
	unsigned int delay_ms;
	union {
		struct ltran_header header;
		struct ltran_listen listen;
		struct ltran_ports ports;
	} got;
};

static void *
answer_one(void *arg)
{
	struct script *s = arg;

	if (!fake_ltran_readable(fake_ltran.fd) ||
		recv(fake_ltran.fd, &s->got, sizeof(s->got), 0) != sizeof(s->got))
		return NULL;
	usleep(s->delay_ms * 1000);
	s->got.header.status = s->status;
	if (s->got.header.type == LTRAN_LISTEN)
		s->got.listen.pid = s->pid;
	else
		s->got.ports.blocks[0] = s->blocks;
	send(fake_ltran.fd, &s->got, sizeof(s->got), MSG_NOSIGNAL);
	return NULL;
}

static int
ask_listen(struct ltran_link *l, struct script *s, uint32_t *pid)
{
	int ret;

	pthread_create(&fake_ltran.thread, NULL, answer_one, s);
	ret = ltran_link_listen(l, IPPROTO_TCP, htons(80), true, 99, pid);
	pthread_join(fake_ltran.thread, NULL);
	return ret;
}

static int
ask_ports(struct ltran_link *l, struct script *s)
{
	int ret;

	pthread_create(&fake_ltran.thread, NULL, answer_one, s);
	ret = ltran_link_more_ports(l);
	pthread_join(fake_ltran.thread, NULL);
	return ret;
}

static void
port_of_another_instance_is_refused(void)
{
	struct ltran_link *l = fake_ltran_registered();
	struct script yes = {0}, no = {.status = -EADDRINUSE, .pid = 4711};
	uint32_t pid;

	CU_ASSERT_EQUAL(ask_listen(l, &yes, &pid), 0);
	CU_ASSERT_EQUAL(yes.got.listen.port, htons(80));
	CU_ASSERT_EQUAL(yes.got.listen.protocol, IPPROTO_TCP);
	CU_ASSERT_EQUAL(yes.got.listen.reuseport, 1);
	CU_ASSERT_EQUAL(yes.got.listen.identity, 99);
	CU_ASSERT_EQUAL(ask_listen(l, &no, &pid), -EADDRINUSE);
	CU_ASSERT_EQUAL(pid, 4711);
	ltran_link_close(l);
}

static void
ports_grow_until_there_are_no_more(void)
{
	struct ltran_link *l = fake_ltran_registered();
	struct script more = {.blocks = 7}, none = {.status = -ENOSPC};

	CU_ASSERT_EQUAL(ask_ports(l, &more), 0);
	CU_ASSERT_EQUAL(ltran_link_ports(l)[0], 7);
	CU_ASSERT_EQUAL(ask_ports(l, &none), -ENOSPC);
	CU_ASSERT_EQUAL(ltran_link_ports(l)[0], 7);
	ltran_link_close(l);
}

static void
late_answer_is_not_taken_for_the_next_one(void)
{
	struct ltran_link *l = fake_ltran_registered();
	struct script late = {.blocks = 1023, .delay_ms = TOO_LATE_MS};
	struct script no = {.status = -EADDRINUSE, .pid = 1}, more = {.blocks = 15};
	uint32_t pid;

	CU_ASSERT_EQUAL(ask_ports(l, &late), -EAGAIN);
	CU_ASSERT_EQUAL(ltran_link_ports(l)[0], 5);
	CU_ASSERT_EQUAL(ask_listen(l, &no, &pid), -EADDRINUSE);
	late.delay_ms = TOO_LATE_MS;
	CU_ASSERT_EQUAL(ask_ports(l, &late), -EAGAIN);
	CU_ASSERT_EQUAL(ask_ports(l, &more), 0);
	CU_ASSERT_EQUAL(ltran_link_ports(l)[0], 15);
	ltran_link_close(l);
}

static void
while_ltran_is_away_listening_goes_on_and_ports_do_not(void)
{
	struct ltran_link *l = fake_ltran_registered();
	uint32_t pid;

	fake_ltran_close();
	CU_ASSERT_EQUAL(ltran_link_listen(l, IPPROTO_TCP, htons(80), false, 0, &pid), 0);
	CU_ASSERT_EQUAL(ltran_link_more_ports(l), -EAGAIN);
	/* Back before the question's time is over. */
	fake_ltran_open();
	fake_ltran_register_one(NULL);
	struct script more = {.blocks = 31};

	CU_ASSERT_EQUAL(ask_ports(l, &more), 0);
	ltran_link_close(l);
}

static void *
ask_many(void *arg)
{
	uint32_t pid;

	for (int i = 0; i < 100; i++)
		CU_ASSERT_EQUAL(ltran_link_listen(arg, IPPROTO_UDP, htons(i), false, 0, &pid),
			i % 2 ? -EADDRINUSE : 0);
	return NULL;
}

static void *
answer_many(void *arg)
{
	struct script s;

	for (int i = 0; i < 400; i++) {
		if (!fake_ltran_readable(fake_ltran.fd) ||
			recv(fake_ltran.fd, &s.got, sizeof(s.got), 0) != sizeof(s.got))
			break;
		s.got.header.status = ntohs(s.got.listen.port) % 2 ? -EADDRINUSE : 0;
		send(fake_ltran.fd, &s.got, sizeof(s.got), MSG_NOSIGNAL);
	}
	return NULL;
}

static void
threads_get_their_own_answers(void)
{
	struct ltran_link *l = fake_ltran_registered();
	pthread_t t[4];

	pthread_create(&fake_ltran.thread, NULL, answer_many, NULL);
	for (int i = 0; i < 4; i++)
		pthread_create(&t[i], NULL, ask_many, l);
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	pthread_join(fake_ltran.thread, NULL);
	ltran_link_close(l);
}

static const struct cunit_test tests[] = {
	CUNIT_TEST(port_of_another_instance_is_refused),
	CUNIT_TEST(ports_grow_until_there_are_no_more),
	CUNIT_TEST(late_answer_is_not_taken_for_the_next_one),
	CUNIT_TEST(while_ltran_is_away_listening_goes_on_and_ports_do_not),
	CUNIT_TEST(threads_get_their_own_answers),
};
CUNIT_MAIN("ltran_link_questions", tests, fake_ltran_setup, fake_ltran_teardown)
