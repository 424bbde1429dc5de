/* SPDX-License-Identifier: BSD-3-Clause */
/* An instance's registration: how it begins, comes back and ends. */
#include "nodes/instance_ltran_link.h"
#include "tests/fake_ltran.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void
registers_with_what_it_has_and_takes_what_it_gets(void)
{
	struct ltran_link *l = fake_ltran_registered();

	CU_ASSERT_EQUAL(fake_ltran.asked.header.magic, LTRAN_MAGIC);
	CU_ASSERT_EQUAL(fake_ltran.asked.header.version, LTRAN_VERSION);
	CU_ASSERT_EQUAL(fake_ltran.asked.header.type, LTRAN_REGISTER);
	CU_ASSERT_EQUAL(fake_ltran.asked.addr, htonl(0xc6120a0a));
	CU_ASSERT_EQUAL(fake_ltran.asked.mask, htonl(0xffffff00));
	CU_ASSERT_EQUAL(fake_ltran.asked.gateway, htonl(0xc6120a01));
	CU_ASSERT_EQUAL(fake_ltran.asked.n_queues, 2);
	CU_ASSERT_EQUAL(fake_ltran.asked.mtu, 1500);
	CU_ASSERT_EQUAL(fake_ltran.asked.mac[5], 6);
	CU_ASSERT_EQUAL(fake_ltran.asked.resumes, 0);
	CU_ASSERT_EQUAL(fake_ltran.asked.path[0], '\0');
	CU_ASSERT_EQUAL(strncmp(fake_ltran.asked.program, program_invocation_short_name, 15), 0);
	CU_ASSERT(fake_ltran.had_table);
	CU_ASSERT_EQUAL(ltran_link_grant(l)->mtu, 1400);
	CU_ASSERT_STRING_EQUAL(ltran_link_grant(l)->path, FAKE_LTRAN_RING);
	CU_ASSERT_EQUAL(ltran_link_ports(l)[0], 5);
	ltran_link_close(l);
	CU_ASSERT(fake_ltran_readable(fake_ltran.fd)); /* hang-up */
}

static void *
come_late(void *arg)
{
	usleep(2 * LTRAN_RETRY_MS * 1000);
	fake_ltran_open();
	fake_ltran_register_one(NULL);
	return NULL;
}

static void
start_waits_until_ltran_is_there(void)
{
	struct ltran_link *l = NULL;
	char err[FAKE_LTRAN_ERR] = "";

	fake_ltran_close();
	pthread_create(&fake_ltran.thread, NULL, come_late, NULL);
	CU_ASSERT_EQUAL(fake_ltran_open_link(&l, err), 0);
	pthread_join(fake_ltran.thread, NULL);
	ltran_link_close(l);
}

static volatile sig_atomic_t handled;

static void
on_signal(int sig)
{
	handled = sig;
}

static void
request_to_end_ends_the_wait(void)
{
	struct ltran_link *l = NULL;
	char err[FAKE_LTRAN_ERR] = "";
	sigset_t old;

	fake_ltran_close();
	signal(SIGTERM, on_signal);
	signal(SIGUSR1, on_signal);
	pthread_sigmask(SIG_SETMASK, &fake_all_signals, &old);
	handled = 0;
	kill(getpid(), SIGTERM);
	CU_ASSERT_EQUAL(fake_ltran_open_link(&l, err), -EINTR);
	CU_ASSERT_EQUAL(handled, SIGTERM);
	CU_ASSERT(err[0] != '\0');
	signal(SIGTERM, SIG_DFL);
	/* Any other signal is handled, and the wait goes on. */
	kill(getpid(), SIGUSR1);
	pthread_create(&fake_ltran.thread, NULL, come_late, NULL);
	CU_ASSERT_EQUAL(fake_ltran_open_link(&l, err), 0);
	pthread_join(fake_ltran.thread, NULL);
	CU_ASSERT_EQUAL(handled, SIGUSR1);
	signal(SIGUSR1, SIG_DFL);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	ltran_link_close(l);
}

static void
signal_without_handler_ends_the_program(void)
{
	pid_t child = fork();
	int status;

	if (child == 0) {
		struct ltran_link *l;
		char err[FAKE_LTRAN_ERR];

		fake_ltran_close();
		pthread_sigmask(SIG_SETMASK, &fake_all_signals, NULL);
		kill(getpid(), SIGTERM);
		fake_ltran_open_link(&l, err);
		_exit(0);
	}
	CU_ASSERT_EQUAL(waitpid(child, &status, 0), child);
	CU_ASSERT(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
}

static void
refusal_ends_the_start_with_its_reason(void)
{
	struct ltran_link *l = NULL;
	char err[FAKE_LTRAN_ERR] = "";

	fake_ltran.answer.header.status = -EADDRINUSE;
	fake_ltran.answer.path[0] = '\0';
	snprintf(fake_ltran.answer.text, sizeof(fake_ltran.answer.text),
		"198.18.10.10 is somebody's");
	pthread_create(&fake_ltran.thread, NULL, fake_ltran_register_one, NULL);
	CU_ASSERT_EQUAL(fake_ltran_open_link(&l, err), -EADDRINUSE);
	pthread_join(fake_ltran.thread, NULL);
	CU_ASSERT_STRING_EQUAL(err, "ltran: 198.18.10.10 is somebody's");
	CU_ASSERT_PTR_NULL(l);
}

static void *
busy_then_good(void *arg)
{
	fake_ltran.answer.header.status = -EBUSY;
	fake_ltran_register_one(NULL);
	fake_ltran.answer.header.status = 0;
	fake_ltran_register_one(NULL);
	return NULL;
}

static void
start_waits_while_ltran_has_too_much_of_the_user(void)
{
	struct ltran_link *l = NULL;
	char err[FAKE_LTRAN_ERR] = "";

	snprintf(fake_ltran.answer.text, sizeof(fake_ltran.answer.text),
		"user 0 registers too often");
	pthread_create(&fake_ltran.thread, NULL, busy_then_good, NULL);
	CU_ASSERT_EQUAL(fake_ltran_open_link(&l, err), 0);
	pthread_join(fake_ltran.thread, NULL);
	ltran_link_close(l);
}

static void
answers_that_are_none_end_the_start(void)
{
	struct ltran_registered good = fake_ltran.answer;
	struct ltran_link *l;
	char err[FAKE_LTRAN_ERR];

	for (int i = 0; i < 7; i++) {
		l = NULL;
		fake_ltran.answer = good;
		switch (i) {
		case 0: fake_ltran.answer.header.magic++; break;
		case 1: fake_ltran.answer.header.version++; break;
		case 2: fake_ltran.answer.header.type = LTRAN_LISTEN; break;
		case 3: memset(fake_ltran.answer.path, 'x', sizeof(good.path)); break;
		case 4: memset(fake_ltran.answer.text, 'x', sizeof(good.text)); break;
		case 5: fake_ltran.answer.path[0] = 'r'; break;
		case 6: fake_ltran.answer.mtu = 0; break;
		}
		pthread_create(&fake_ltran.thread, NULL, fake_ltran_register_one, NULL);
		CU_ASSERT_EQUAL(fake_ltran_open_link(&l, err), -EPROTO);
		pthread_join(fake_ltran.thread, NULL);
		close(fake_ltran.fd);
		CU_ASSERT_PTR_NULL(l);
	}
	fake_ltran.fd = -1;
}

/* Nothing that ltran says does harm: random bytes in the answer. */
static void
mangled_answers_do_no_harm(void)
{
	struct ltran_registered good = fake_ltran.answer;
	uint64_t seed = (uint64_t)time(NULL) << 20 | 1;
	struct ltran_link *l;
	char err[FAKE_LTRAN_ERR];

	printf("seed %llu ", (unsigned long long)seed);
	for (int i = 0; i < 200; i++) {
		unsigned char *bytes = (unsigned char *)&fake_ltran.answer;
		int n = 0, ret;

		l = NULL;
		fake_ltran.answer = good;
		do {
			seed ^= seed << 13;
			seed ^= seed >> 7;
			seed ^= seed << 17;
			bytes[16 + (seed >> 20) % (sizeof(good) - 16)] = (unsigned char)(seed >> 50);
		} while (++n < i % 32);
		pthread_create(&fake_ltran.thread, NULL, fake_ltran_register_one, NULL);
		ret = fake_ltran_open_link(&l, err);
		pthread_join(fake_ltran.thread, NULL);
		CU_ASSERT(ret == 0 || ret == -EPROTO);
		ltran_link_close(l);
		close(fake_ltran.fd);
	}
	fake_ltran.fd = -1;
}

static void
comes_back_with_the_same_ring_and_ports(void)
{
	struct ltran_link *l = fake_ltran_registered();
	int before = fake_ltran.fd;

	fake_ltran.answer.blocks[0] = 13;
	close(fake_ltran.fd);
	fake_ltran_await_register();
	CU_ASSERT_EQUAL(fake_ltran.asked.resumes, 1);
	CU_ASSERT_STRING_EQUAL(fake_ltran.asked.path, FAKE_LTRAN_RING);
	CU_ASSERT_EQUAL(fake_ltran.asked.blocks[0], 5);
	CU_ASSERT(fake_ltran.had_table && before >= 0);
	fake_ltran_answer_register();
	/* And again, from the start: the file has gone too. */
	fake_ltran_close();
	usleep(3 * LTRAN_RESUME_MS * 1000);
	fake_ltran_open();
	fake_ltran_await_register();
	CU_ASSERT_EQUAL(fake_ltran.asked.resumes, 1);
	CU_ASSERT_EQUAL(fake_ltran.asked.blocks[0], 13);
	fake_ltran_answer_register();
	ltran_link_close(l);
}

/* The library itself lowers the limit once it has its descriptors: the bells of before are above it. */
static void
comes_back_where_the_limit_is_lower_by_then(void)
{
	struct ltran_link *l = fake_ltran_registered();
	struct rlimit old, low;

	CU_ASSERT_EQUAL(getrlimit(RLIMIT_NOFILE, &old), 0);
	low = old;
	low.rlim_cur -= 128;
	CU_ASSERT_EQUAL(setrlimit(RLIMIT_NOFILE, &low), 0);
	close(fake_ltran.fd);
	fake_ltran_await_register();
	fake_ltran_answer_register();
	usleep(3 * LTRAN_RESUME_MS * 1000);
	/* It has taken the answer and the bells, and does not come again. */
	CU_ASSERT_EQUAL(recv(fake_ltran.fd, &(char){0}, 1, MSG_DONTWAIT), -1);
	CU_ASSERT_EQUAL(errno, EAGAIN);
	ltran_link_close(l);
	CU_ASSERT_EQUAL(setrlimit(RLIMIT_NOFILE, &old), 0);
}

static void
registration_ends_while_ltran_is_away(void)
{
	struct ltran_link *l = fake_ltran_registered();

	fake_ltran_close();
	ltran_link_close(l); /* returns */
}

static void
child_of_fork_does_not_keep_the_registration(void)
{
	struct ltran_link *l = fake_ltran_registered();
	int hold[2], status;
	char c;
	pid_t child;

	CU_ASSERT_EQUAL_FATAL(pipe(hold), 0);
	ltran_link_before_fork(l);
	child = fork();
	ltran_link_after_fork(l, child == 0);
	if (child == 0) {
		close(hold[1]);
		close(fake_ltran.fd);
		_exit(read(hold[0], &c, 1) == 0 ? 0 : 1);
	}
	ltran_link_close(l);
	CU_ASSERT(fake_ltran_readable(fake_ltran.fd)); /* at once, though the child lives */
	CU_ASSERT_EQUAL(recv(fake_ltran.fd, &c, 1, 0), 0);
	close(hold[0]);
	close(hold[1]);
	CU_ASSERT_EQUAL(waitpid(child, &status, 0), child);
	CU_ASSERT(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static const struct cunit_test tests[] = {
	CUNIT_TEST(registers_with_what_it_has_and_takes_what_it_gets),
	CUNIT_TEST(start_waits_until_ltran_is_there),
	CUNIT_TEST(request_to_end_ends_the_wait),
	CUNIT_TEST(signal_without_handler_ends_the_program),
	CUNIT_TEST(refusal_ends_the_start_with_its_reason),
	CUNIT_TEST(start_waits_while_ltran_has_too_much_of_the_user),
	CUNIT_TEST(answers_that_are_none_end_the_start),
	CUNIT_TEST(mangled_answers_do_no_harm),
	CUNIT_TEST(comes_back_with_the_same_ring_and_ports),
	CUNIT_TEST(comes_back_where_the_limit_is_lower_by_then),
	CUNIT_TEST(registration_ends_while_ltran_is_away),
	CUNIT_TEST(child_of_fork_does_not_keep_the_registration),
};
CUNIT_MAIN("ltran_link", tests, fake_ltran_setup, fake_ltran_teardown)
