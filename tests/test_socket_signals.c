/* SPDX-License-Identifier: BSD-3-Clause */
/* Signals, their handlers and cancellation in the middle of socket calls. */
#include "conf/conf.h"
#include "preload/boot.h"
#include "preload/fd.h"
#include "preload/libc.h"
#include "tests/preload_pair.h"

#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>

static _Atomic int n_signals;

static void count_signal(int sig)
{
	n_signals++;
}

BOTH_MODES(a_broken_pipe_raises_sigpipe)
{
	struct pair p = pair_open();

	signal(SIGPIPE, count_signal);
	n_signals = 0;
	CU_ASSERT_EQUAL(shutdown(p.client, SHUT_WR), 0);
	CU_ASSERT_EQUAL(send(p.client, "x", 1, MSG_NOSIGNAL), -1);
	CU_ASSERT_EQUAL(errno, EPIPE);
	CU_ASSERT_EQUAL(n_signals, 0);
	CU_ASSERT_EQUAL(send(p.client, "x", 1, 0), -1);
	CU_ASSERT_EQUAL(errno, EPIPE);
	CU_ASSERT_EQUAL(n_signals, 1);
	pair_close(p);
}

static void alarm_in_ms(int ms)
{
	struct itimerval it = {.it_value.tv_usec = ms * 1000};

	setitimer(ITIMER_REAL, &it, NULL);
}

static void on_alarm(int flags)
{
	struct sigaction act = {.sa_handler = count_signal, .sa_flags = flags};

	CU_ASSERT_EQUAL(sigaction(SIGALRM, &act, NULL), 0);
	n_signals = 0;
	alarm_in_ms(100); /* the call begins before it, also where something else has the core first */
}

static void *send_later(void *arg)
{
	while (n_signals == 0)
		usleep(1000);
	usleep(20000);
	send(*(int *)arg, "x", 1, 0);
	return NULL;
}

BOTH_MODES(a_signal_interrupts_unless_its_handler_restarts)
{
	struct pair p = pair_open();
	struct pollfd pfd = {.fd = p.server, .events = POLLIN};
	pthread_t t;
	char c;

	on_alarm(0);
	CU_ASSERT_EQUAL(recv(p.server, &c, 1, 0), -1);
	CU_ASSERT_EQUAL(errno, EINTR);
	CU_ASSERT_EQUAL(n_signals, 1);
	on_alarm(0);
	CU_ASSERT_EQUAL(accept(p.listener, NULL, NULL), -1);
	CU_ASSERT_EQUAL(errno, EINTR);
	/* poll is never restarted */
	on_alarm(SA_RESTART);
	CU_ASSERT_EQUAL(poll(&pfd, 1, -1), -1);
	CU_ASSERT_EQUAL(errno, EINTR);
	sigset_t block, old;
	sigemptyset(&block);
	sigaddset(&block, SIGALRM);
	pthread_sigmask(SIG_BLOCK, &block, &old); /* the helper must not catch it */
	n_signals = 0;
	pthread_create(&t, NULL, send_later, &p.client);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	on_alarm(SA_RESTART);
	CU_ASSERT_EQUAL(recv(p.server, &c, 1, 0), 1);
	CU_ASSERT_EQUAL(n_signals, 1);
	pthread_join(t, NULL);
	pair_close(p);
}

static struct pair other;
static sigjmp_buf jump;

static void send_in_handler(int sig)
{
	send(other.client, "y", 1, MSG_DONTWAIT);
	if (++n_signals == 50)
		siglongjmp(jump, 1);
}

/* A handler that comes while this thread holds a lock of the stack would wait for itself. */
BOTH_MODES(a_handler_may_use_sockets_and_jump_out)
{
	struct pair p = pair_open();
	struct sigaction act = {.sa_handler = send_in_handler, .sa_flags = SA_RESTART};
	struct itimerval every = {.it_interval.tv_usec = 500, .it_value.tv_usec = 500}, never = {0};
	char buf[64];
	ssize_t n;

	other = pair_open();
	n_signals = 0;
	sigaction(SIGALRM, &act, NULL);
	if (sigsetjmp(jump, 1) == 0) {
		setitimer(ITIMER_REAL, &every, NULL);
		n = recv(p.server, buf, 1, 0);
		CU_FAIL("nobody sends");
	}
	setitimer(ITIMER_REAL, &never, NULL);
	n = recv(other.server, buf, sizeof(buf), MSG_DONTWAIT);
	CU_ASSERT_EQUAL(n, n_signals); /* 50, or one more that came before the timer stopped */
	CU_ASSERT_EQUAL(send(p.client, "x", 1, 0), 1);
	CU_ASSERT_EQUAL(recv(p.server, buf, 1, 0), 1);
	pair_close(other);
	pair_close(p);
}

static void take_info(int sig, siginfo_t *info, void *context)
{
	n_signals += info->si_signo == sig && context != NULL;
}

static void sigaction_reports_the_programs_own_handler(void)
{
	struct sigaction act = {.sa_sigaction = take_info, .sa_flags = SA_SIGINFO}, old;

	n_signals = 0;
	CU_ASSERT_EQUAL(sigaction(SIGUSR1, &act, NULL), 0);
	raise(SIGUSR1);
	CU_ASSERT_EQUAL(n_signals, 1);
	CU_ASSERT_EQUAL(sigaction(SIGUSR1, NULL, &old), 0);
	CU_ASSERT(old.sa_sigaction == take_info && (old.sa_flags & SA_SIGINFO));
	CU_ASSERT(signal(SIGUSR1, SIG_IGN) == (sighandler_t)(void *)take_info);
	CU_ASSERT(signal(SIGUSR1, count_signal) == SIG_IGN);
	CU_ASSERT_EQUAL(sigaction(SIGUSR1, NULL, &old), 0);
	CU_ASSERT(old.sa_handler == count_signal && !(old.sa_flags & SA_SIGINFO));
	CU_ASSERT(signal(SIGUSR1, SIG_DFL) == count_signal);
	CU_ASSERT(signal(SIGUSR1, SIG_DFL) == SIG_DFL);
	CU_ASSERT_EQUAL(sigaction(SIGKILL, &act, NULL), -1);
	CU_ASSERT_EQUAL(errno, EINVAL);
}

/* Old programs use them. */
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

/* The flags do not make a function of them. */
static void default_and_ignore_are_no_handlers(void)
{
	struct sigaction act = {.sa_flags = SA_SIGINFO}, old;

	act.sa_handler = SIG_IGN;
	CU_ASSERT_EQUAL(sigaction(SIGUSR1, &act, NULL), 0);
	raise(SIGUSR1);
	CU_ASSERT_EQUAL(sigaction(SIGUSR1, NULL, &old), 0);
	CU_ASSERT(old.sa_handler == SIG_IGN && (old.sa_flags & SA_SIGINFO));
	act.sa_handler = SIG_DFL;
	CU_ASSERT_EQUAL(sigaction(SIGCHLD, &act, NULL), 0);
	raise(SIGCHLD);
	CU_ASSERT(signal(SIGUSR1, SIG_ERR) == SIG_ERR);
	CU_ASSERT_EQUAL(errno, EINVAL);
	CU_ASSERT(sigset(SIGUSR1, count_signal) == SIG_IGN);
	CU_ASSERT(sigset(SIGUSR1, SIG_HOLD) == count_signal);
	CU_ASSERT(sigset(SIGUSR1, SIG_DFL) == SIG_HOLD);
}

/* Put off or not: it runs once, and then the kernel has SIG_DFL. */
BOTH_MODES(one_shot_handlers_run_once)
{
	struct pair p = pair_open();
	struct sigaction old;
	char c;

	on_alarm(SA_RESETHAND);
	CU_ASSERT_EQUAL(sigaction(SIGALRM, NULL, &old), 0);
	CU_ASSERT(old.sa_handler == count_signal && (old.sa_flags & SA_RESETHAND));
	CU_ASSERT_EQUAL(recv(p.server, &c, 1, 0), -1);
	CU_ASSERT_EQUAL(errno, EINTR);
	CU_ASSERT_EQUAL(n_signals, 1);
	CU_ASSERT_EQUAL(sigaction(SIGALRM, NULL, &old), 0);
	CU_ASSERT(old.sa_handler == SIG_DFL);
	n_signals = 0;
	CU_ASSERT(sysv_signal(SIGUSR1, count_signal) == SIG_DFL);
	raise(SIGUSR1);
	CU_ASSERT(sysv_signal(SIGUSR1, SIG_DFL) == SIG_DFL);
	CU_ASSERT_EQUAL(n_signals, 1);
	signal(SIGUSR1, count_signal);
	siginterrupt(SIGUSR1, 1);
	sigaction(SIGUSR1, NULL, &old);
	CU_ASSERT(old.sa_handler == count_signal && !(old.sa_flags & SA_RESTART));
	siginterrupt(SIGUSR1, 0);
	signal(SIGUSR1, SIG_DFL);
	pair_close(p);
}

static void *receive_forever(void *arg)
{
	char c;

	while (recv(*(int *)arg, &c, 1, 0) == 1)
		;
	return NULL;
}

/* fake_live tells that no reference is lost. */
BOTH_MODES(a_cancelled_thread_leaves_nothing)
{
	for (int i = 0; i < 50; i++) {
		struct pair p = pair_open();
		pthread_t t;
		void *result;

		pthread_create(&t, NULL, receive_forever, &p.server);
		send(p.client, "xyz", 3, 0);
		usleep((useconds_t)(i % 5) * 1000);
		pthread_cancel(t);
		pthread_join(t, &result);
		CU_ASSERT(result == PTHREAD_CANCELED);
		pair_close(p);
	}
}

static const struct cunit_test tests[] = {
	CUNIT_TEST(a_broken_pipe_raises_sigpipe),
	CUNIT_TEST(a_signal_interrupts_unless_its_handler_restarts),
	CUNIT_TEST(a_handler_may_use_sockets_and_jump_out),
	CUNIT_TEST(default_and_ignore_are_no_handlers),
	CUNIT_TEST(one_shot_handlers_run_once),
	CUNIT_TEST(a_cancelled_thread_leaves_nothing),
	CUNIT_TEST(sigaction_reports_the_programs_own_handler),
};
CUNIT_MAIN("socket_signals", tests, NULL, NULL)
