/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Threads that end inside of socket calls, and handlers that jump out of them: afterwards every
 * socket works and close() still sends its FIN. See tests/probe.h for how it is used.
 *
 *	cancel_probe ADDRESS [rounds]     rounds of the random part, 100
 */
#include "tests/probe.h"

#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <ucontext.h>

static struct pair at;   /* what the calls below wait on */
static int ep, full_fd;  /* an epoll object with at.server; a socket that takes no more */

static void nap_ms(long ms)
{
	struct timespec t = {ms / 1000, ms % 1000 * 1000000};

	nanosleep(&t, NULL);
}

/* --- the calls that wait ---------------------------------------------------------------------------- */

static void in_recv(void)
{
	char c;

	recv(at.server, &c, 1, 0);
}

static void in_read(void)
{
	char c;

	if (read(at.server, &c, 1) == 1)
		puts("read something");
}

static void in_recvmsg(void)
{
	char c;
	struct iovec iov = {&c, 1};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};

	recvmsg(at.server, &m, MSG_WAITALL);
}

static void in_accept(void)
{
	accept(at.listener, NULL, NULL);
}

static void in_poll(void)
{
	struct pollfd p[2] = {{.fd = at.server, .events = POLLIN}, {.fd = -1}};

	poll(p, 2, -1);
}

static void in_select(void)
{
	fd_set set;

	FD_ZERO(&set);
	FD_SET(at.server, &set);
	select(at.server + 1, &set, NULL, NULL, NULL);
}

static void in_epoll(void)
{
	struct epoll_event e;

	epoll_wait(ep, &e, 1, -1);
}

static void in_send(void)
{
	static char buf[65536];

	while (send(full_fd, buf, sizeof(buf), MSG_NOSIGNAL) > 0)
		;
}

static void in_sendfile(void)
{
	int zero = open("/dev/zero", O_RDONLY);

	for (off_t from = 0; sendfile(full_fd, zero, &from, 1 << 20) > 0;)
		;
	close(zero);
}

static const struct {
	const char *name;
	void (*run)(void);
} calls[] = {
	{"recv", in_recv}, {"read", in_read}, {"recvmsg", in_recvmsg}, {"accept", in_accept},
	{"poll", in_poll}, {"select", in_select}, {"epoll_wait", in_epoll}, {"send", in_send},
	{"sendfile", in_sendfile}, /* no cancellation point */
};

enum { N_CALLS = sizeof(calls) / sizeof(calls[0]), N_CANCEL = N_CALLS - 1 };

/* --- before and after ------------------------------------------------------------------------------- */

static void open_all(void)
{
	struct epoll_event e = {.events = EPOLLIN};

	at = pair_open();
	ep = epoll_create1(0);
	epoll_ctl(ep, EPOLL_CTL_ADD, at.server, &e);
	full_fd = at.client; /* at.server does not read */
}

/* What is there is read; nothing is lost, nothing is held. */
static void check_all(const char *what)
{
	struct pair other;
	static char buf[65536];
	struct pollfd room = {.fd = at.client, .events = POLLOUT};
	ssize_t n;
	int late, port = port_of(at.listener);

	do { /* until there is room again */
		while (recv(at.server, buf, sizeof(buf), MSG_DONTWAIT) > 0)
			;
	} while (poll(&room, 1, 10) == 0);
	fcntl(at.client, F_SETFL, O_NONBLOCK);
	printf("%s, then: ", what);
	show("send", send(at.client, "x", 1, MSG_NOSIGNAL));
	do
		n = settle(at.server, POLLIN) ? recv(at.server, buf, sizeof(buf), 0) : 0;
	while (n > 0 && buf[n - 1] != 'x');
	show("arrives", n > 0);
	other = pair_open();
	show("another", send(other.client, "y", 1, 0) + recv(other.server, buf, 1, 0));
	pair_close(other);
	show("close", close(at.server));
	show_events("its peer", settle(at.client, POLLIN | POLLRDHUP) & (POLLIN | POLLRDHUP));
	show("end", recv(at.client, buf, 1, 0));
	show("close", close(at.listener));
	late = socket(AF_INET, SOCK_STREAM, 0);
	show("connect", connect_port(late, (uint16_t)port));
	close(late);
	close(at.client);
	close(ep);
}

/* --- pthread_cancel --------------------------------------------------------------------------------- */

static void *run_call(void *arg)
{
	calls[(intptr_t)arg].run();
	return NULL;
}

static void *run_call_async(void *arg)
{
	int old;

	pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, &old);
	calls[(intptr_t)arg].run();
	return NULL;
}

static void join(const char *what, pthread_t t)
{
	struct timespec until;
	void *result = NULL;
	int err;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += 5;
	err = pthread_timedjoin_np(t, &result, &until);
	printf("%s: %s\n", what, err ? strerrorname_np(err) :
		result == PTHREAD_CANCELED  ? "cancelled" : "returned");
}

static void probe_cancel(void *(*thread)(void *))
{
	for (intptr_t i = 0; i < N_CANCEL; i++) {
		pthread_t t;

		open_all();
		pthread_create(&t, NULL, thread, (void *)i);
		nap_ms(calls[i].run == in_send ? 100 : 30);
		pthread_cancel(t);
		join(calls[i].name, t);
		check_all(calls[i].name);
	}
}

static void *cancel_itself(void *arg)
{
	char c = 0;

	pthread_cancel(pthread_self());
	show("not a cancellation point", port_of(at.server) != 0);
	send(at.client, &c, 1, 0);
	puts("send() came back");
	return NULL;
}

static void *not_now(void *arg)
{
	int old;
	char c;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &old);
	show("recv while disabled", recv(at.server, &c, 1, 0));
	show("and again", recv(at.server, &c, 1, 0));
	pthread_setcancelstate(old, NULL);
	recv(at.server, &c, 1, 0);
	puts("recv() came back");
	return NULL;
}

static void probe_pending(void)
{
	pthread_t t;

	title("cancelled before the call");
	open_all();
	pthread_create(&t, NULL, cancel_itself, NULL);
	join("itself", t);
	pthread_create(&t, NULL, not_now, NULL);
	nap_ms(50);
	pthread_cancel(t);
	nap_ms(50);
	send(at.client, "ab", 2, 0);
	join("disabled", t);
	check_all("pending");
}

/* Cancelled at any place: most of the time it moves data. */
static void *move(void *arg)
{
	struct pair *p = arg;
	char buf[512];
	struct pollfd f = {.fd = p->server, .events = POLLIN};

	for (;;) {
		if (send(p->client, buf, sizeof(buf), MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
			poll(&f, 1, 1);
		recv(p->server, buf, sizeof(buf), MSG_DONTWAIT);
	}
	return NULL;
}

static void probe_random(int rounds)
{
	unsigned int seed = (unsigned int)getpid(), n_bad = 0;

	title("cancelled anywhere");
	for (int i = 0; i < rounds; i++) {
		struct pair p = pair_open();
		struct timespec t = {0, rand_r(&seed) % 2000000};
		pthread_t threads[2];
		static char buf[65536];

		for (int k = 0; k < 2; k++)
			pthread_create(&threads[k], NULL, move, &p);
		nanosleep(&t, NULL);
		for (int k = 0; k < 2; k++)
			pthread_cancel(threads[k]);
		for (int k = 0; k < 2; k++)
			pthread_join(threads[k], NULL);
		close(p.client);
		while (settle(p.server, POLLIN) && recv(p.server, buf, sizeof(buf), 0) > 0)
			;
		if (recv(p.server, buf, 1, MSG_DONTWAIT) != 0)
			n_bad++;
		close(p.server);
		close(p.listener);
	}
	printf("connections without an end: %u\n", n_bad);
}

/* --- handlers that do not return -------------------------------------------------------------------- */

static sigjmp_buf jump;

static void jump_out(int sig)
{
	siglongjmp(jump, 1);
}

static void end_thread(int sig)
{
	pthread_exit(NULL);
}

static void alarm_soon(void)
{
	struct itimerval it = {.it_value.tv_usec = 30000};

	setitimer(ITIMER_REAL, &it, NULL);
}

static void set_handler(void (*handler)(int), int flags)
{
	struct sigaction act = {.sa_handler = handler, .sa_flags = flags};

	sigaction(SIGALRM, &act, NULL);
}

static void leave(int i, int flags)
{
	set_handler(jump_out, flags);
	if (sigsetjmp(jump, 1) == 0) {
		alarm_soon();
		calls[i].run();
		printf("%s came back\n", calls[i].name);
	}
}

static void probe_jump(const char *name, int flags)
{
	title(name);
	for (int i = 0; i < N_CALLS; i++) {
		open_all();
		leave(i, flags);
		leave(i, flags);
		check_all(calls[i].name);
	}
}

/* Handlers that use sockets on top of a call, some on top of each other. */
static struct pair second;
static volatile int depth_left;

static void nested(int sig)
{
	char c;

	send(second.client, "n", 1, MSG_DONTWAIT);
	if (depth_left-- > 0) {
		alarm_soon();
		recv(second.server, &c, 1, 0);
		recv(second.server, &c, 1, 0);
		puts("the inner recv() came back");
		return;
	}
	siglongjmp(jump, 1);
}

static void wake_outer(int sig)
{
	char c;

	send(second.client, "w", 1, 0);
	recv(second.server, &c, 1, 0);
	send(at.client, &c, 1, 0);
}

static void probe_nested(void)
{
	char c = 0;

	title("handlers that use sockets");
	open_all();
	second = pair_open();
	set_handler(wake_outer, SA_RESTART);
	alarm_soon();
	show("recv goes on", recv(at.server, &c, 1, 0));
	printf("got %c\n", c);
	depth_left = 2;
	set_handler(nested, SA_NODEFER);
	if (sigsetjmp(jump, 1) == 0) {
		alarm_soon();
		recv(at.server, &c, 1, 0);
		puts("the outer recv() came back");
	}
	check_all("nested");
	pair_close(second);
}

static void *wait_for_end(void *arg)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	calls[(intptr_t)arg].run();
	puts("came back");
	return NULL;
}

static void probe_exit_in_handler(void)
{
	struct sigaction act = {.sa_handler = end_thread};

	title("pthread_exit() in a handler");
	sigaction(SIGUSR1, &act, NULL);
	for (intptr_t i = 0; i < N_CALLS; i++) {
		pthread_t t;

		open_all();
		pthread_create(&t, NULL, wait_for_end, (void *)i);
		nap_ms(30);
		pthread_kill(t, SIGUSR1);
		join(calls[i].name, t);
		check_all(calls[i].name);
	}
}

/* --- contexts of the program's own ------------------------------------------------------------------- */

enum { STACK = 1 << 17 };

static ucontext_t at_main, waiting, working;

static void switch_out(int sig)
{
	if (depth_left-- > 0)
		swapcontext(&waiting, &working);
}

static void wait_in_context(void)
{
	char c[8] = "";

	show("recv of the context that waits", recv(at.server, c, sizeof(c), 0));
	printf("%s\n", c);
	swapcontext(&waiting, &working);
}

/* On the stack above: its frames are further up than those of the call that waits. */
static void work_in_context(void)
{
	struct pair other;

	depth_left = 1;
	set_handler(switch_out, SA_RESTART | SA_NODEFER);
	alarm_soon();
	swapcontext(&working, &waiting);
	other = pair_open();
	show("send", send(other.client, "x", 1, 0));
	pair_close(other);
	show("send to the one that waits", send(at.client, "hello", 5, 0));
	swapcontext(&working, &waiting);
}

/* A handler leaves a call by another context, and comes back to it. */
static void probe_contexts(void)
{
	char *stacks = mmap(NULL, 2 * STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	title("contexts");
	open_all();
	getcontext(&waiting);
	waiting.uc_stack = (stack_t){.ss_sp = stacks, .ss_size = STACK};
	makecontext(&waiting, wait_in_context, 0);
	getcontext(&working);
	working.uc_stack = (stack_t){.ss_sp = stacks + STACK, .ss_size = STACK};
	working.uc_link = &at_main;
	makecontext(&working, work_in_context, 0);
	swapcontext(&at_main, &working);
	check_all("contexts");
	munmap(stacks, 2 * STACK);
}

int main(int argc, char **argv)
{
	stack_t alternate = {.ss_size = 1 << 16, .ss_sp = malloc(1 << 16)};

	probe_begin(argc, argv);
	title("cancelled, deferred");
	probe_cancel(run_call);
	title("cancelled, asynchronous");
	probe_cancel(run_call_async);
	probe_pending();
	probe_exit_in_handler();
	probe_jump("jumps", 0);
	probe_jump("jumps, SA_RESTART", SA_RESTART);
	probe_jump("jumps, SA_RESETHAND", SA_RESETHAND | SA_NODEFER);
	sigaltstack(&alternate, NULL);
	probe_jump("jumps from an alternate stack", SA_ONSTACK);
	probe_nested();
	probe_contexts();
	probe_random(argc > 2 ? (int)strtol(argv[2], NULL, 10) : 100);
	return 0;
}
