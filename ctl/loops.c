/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Commands that look twice: figures per second, latency, and the end of ltran.
 *
 * Processes only count; rates are made here from two answers. A loop ends after [time] seconds, or by
 * ctrl-C at any moment: the process asked keeps nothing that would have to be undone.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "ctl/commands_private.h"
#include "ctl/messages.h"

#define SECOND_MS 1000
#define LATENCY_S 1 /* as the user guide says */
#define QUIT_MS 10000

static double
now_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

static unsigned int
second_ms(const struct ctl_invocation *in)
{
	return in->second_ms > 0 ? in->second_ms : SECOND_MS;
}

static void
wait_ms(unsigned int ms)
{
	struct timespec ts = {ms / 1000, ms % 1000 * 1000000L};

	while (nanosleep(&ts, &ts) < 0 && errno == EINTR)
		continue;
}

/* Ask every second and print what has been added. */
static int
print_rates(const struct ctl_invocation *in, const struct command *c, int fd,
	const void *request, unsigned int seconds)
{
	void *earlier = NULL, *later;
	double since = now_s();
	int ret = command_ask(in, fd, c->ask, request, &earlier, NULL);

	for (unsigned int i = 0; ret == CTL_EXIT_OK && (seconds == 0 || i < seconds); i++) {
		double at;

		wait_ms(second_ms(in));
		ret = command_ask(in, fd, c->ask, request, &later, NULL);
		if (ret != CTL_EXIT_OK)
			break;
		at = now_s();
		c->subtract(earlier, later, at - since);
		if (in->want_yaml && i > 0)
			fputs("---\n", in->out);
		ret = command_print(in, c, earlier);
		command_free(c->ask, earlier);
		earlier = later;
		since = at;
		/* Somebody reads a pipe no more: nothing to do for us. */
		if (fflush(in->out) != 0)
			ret = CTL_EXIT_FAILED;
	}
	command_free(c->ask, earlier);
	return ret;
}

static int
run_rates(const struct ctl_invocation *in, const struct command *c, const void *request)
{
	struct ctl_target t;
	unsigned int seconds;
	const char *what;
	int ret = command_target_time(in, c, &what, &seconds);

	if (ret == CTL_EXIT_OK)
		ret = command_connect(in, c, what, &t);
	if (ret != CTL_EXIT_OK)
		return ret;
	ret = print_rates(in, c, t.fd, request, seconds);
	close(t.fd);
	return ret;
}

int
command_rate(const struct ctl_invocation *in, const struct command *c)
{
	return run_rates(in, c, NULL);
}

/* Each question keeps the measurement alive until the next one. */
int
command_burst(const struct ctl_invocation *in, const struct command *c)
{
	struct ctl_measure_request r = {.for_ms = 3 * second_ms(in)};

	return run_rates(in, c, &r);
}

int
command_latency(const struct ctl_invocation *in, const struct command *c)
{
	struct ctl_measure_request r = {0};
	struct ctl_target t;
	unsigned int seconds;
	const char *what;
	void *answer;
	int ret = command_target_time(in, c, &what, &seconds);

	if (ret == CTL_EXIT_OK)
		ret = command_connect(in, c, what, &t);
	if (ret != CTL_EXIT_OK)
		return ret;
	r.for_ms = (seconds > 0 ? seconds : LATENCY_S) * second_ms(in);
	ret = command_ask(in, t.fd, c->ask, &r, &answer, NULL);
	if (ret == CTL_EXIT_OK) {
		command_free(c->ask, answer);
		wait_ms(r.for_ms);
		r.for_ms = 0;
		ret = command_ask(in, t.fd, c->ask, &r, &answer, NULL);
	}
	close(t.fd);
	if (ret != CTL_EXIT_OK)
		return ret;
	ret = command_print(in, c, answer);
	command_free(c->ask, answer);
	return ret;
}

/* Until the process is gone, also as a zombie. A descriptor from before the request cannot mean
 * another process. */
static int
wait_for_end(const struct ctl_invocation *in, int pidfd, unsigned int pid)
{
	struct pollfd p = {.fd = pidfd, .events = POLLIN};

	if (pidfd < 0 || poll(&p, 1, QUIT_MS) == 1)
		return CTL_EXIT_OK;
	fprintf(in->err, "gazellectl: ltran, pid %u, has not ended within %d s\n", pid,
		QUIT_MS / 1000);
	return CTL_EXIT_FAILED;
}

int
command_quit(const struct ctl_invocation *in, const struct command *c)
{
	struct operands ops;
	struct ctl_target t;
	void *answer;
	int ret, pidfd;

	command_operands(in, c, &ops);
	if (ops.n > 1)
		return command_usage_error(in, "one word too many: ", ops.v[1]);
	ret = command_connect(in, c, ops.n > 0 ? ops.v[0] : NULL, &t);
	if (ret != CTL_EXIT_OK)
		return ret;
	pidfd = syscall(SYS_pidfd_open, (pid_t)t.id.pid, 0);
	ret = command_ask(in, t.fd, c->ask, NULL, &answer, NULL);
	close(t.fd);
	if (ret == CTL_EXIT_OK)
		ret = wait_for_end(in, pidfd, t.id.pid);
	if (ret == CTL_EXIT_OK) {
		ret = command_print(in, c, answer);
		command_free(c->ask, answer);
	}
	if (pidfd >= 0)
		close(pidfd);
	return ret;
}
