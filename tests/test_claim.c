/* SPDX-License-Identifier: BSD-3-Clause */
/* Claims to kernel devices: which arguments open one, who is refused, and when a claim ends. */
#include "tests/cunit_main.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "nodes/instance_claim.h"

#define ADDR inet_addr("198.18.0.1")

static char err[256];

static const char *
device_of(const char *arg)
{
	static char name[IF_NAMESIZE];

	return claim_find_device(arg, name) ? name : "";
}

static void
kernel_devices_are_found_in_every_spelling(void)
{
	CU_ASSERT_STRING_EQUAL(device_of("net_af_packet0,iface=eth1"), "eth1");
	CU_ASSERT_STRING_EQUAL(device_of("--vdev=net_af_packet0,iface=eth1,framecnt=512"), "eth1");
	CU_ASSERT_STRING_EQUAL(device_of("--vdev net_af_xdp0,start_queue=1,iface=eth1"), "eth1");
	CU_ASSERT_STRING_EQUAL(device_of("eth_af_packet3,iface=a"), "a");
	CU_ASSERT_STRING_EQUAL(device_of("net_tap0,iface=tap7,mac=fixed"), "tap7");
	CU_ASSERT_STRING_EQUAL(device_of("--vdev=net_tap0,iface=fifteen_bytes_a"), "fifteen_bytes_a");
}

static void
other_arguments_open_none(void)
{
	static const char *const args[] = {"", "--vdev", "--no-huge", "-m", "64", "--vdev=net_null0",
		"net_virtio_user0,path=/x,iface=a", "net_vhost0,iface=/run/x,client=1", "net_tap0",
		"net_tap0,iface=", "net_tap0,iface=,mac=fixed", "net_af_packet0,xiface=a",
		"net_af_packet0,iface=sixteen_bytes_ab"};

	for (size_t i = 0; i < sizeof(args) / sizeof(args[0]); i++)
		CU_ASSERT_STRING_EQUAL(device_of(args[i]), "");
}

static void
device_and_address_make_the_name(void)
{
	struct sockaddr_un at;
	socklen_t len = claim_address(&at, "eth1", ADDR);

	CU_ASSERT_EQUAL(at.sun_path[0], '\0');
	CU_ASSERT_STRING_EQUAL(at.sun_path + 1, "gazelle/device/eth1/198.18.0.1");
	CU_ASSERT_EQUAL(len, offsetof(struct sockaddr_un, sun_path) + 1 + strlen(at.sun_path + 1));
}

static void
holder_decides_who_is_refused(void)
{
	static const struct {
		struct ucred holder;
		pid_t parent, master;
		bool is_dead;
		enum claim_verdict verdict;
	} rows[] = {
		{{.pid = 20, .uid = 1000}, 5, 0, false, CLAIM_REFUSED},
		{{.pid = 20, .uid = 0}, 5, 0, false, CLAIM_REFUSED},
		{{.pid = 0, .uid = 0}, 0, 0, false, CLAIM_REFUSED}, /* in another PID namespace */
		{{.pid = 20, .uid = 1001}, 5, 0, false, CLAIM_SQUATTED},
		{{.pid = 20, .uid = 1001}, 5, 5, true, CLAIM_SQUATTED},
		{{.pid = 20, .uid = 1000}, 0, 0, true, CLAIM_ABANDONED},
		{{.pid = 10, .uid = 1000}, 5, 5, false, CLAIM_OURS},
		{{.pid = 20, .uid = 1000}, 5, 5, false, CLAIM_IN_LINE},
		{{.pid = 5, .uid = 1000}, 1, 5, false, CLAIM_REFUSED}, /* the master itself */
		{{.pid = 20, .uid = 1000}, 6, 5, false, CLAIM_REFUSED}, /* another master's */
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct claim_self self = {.pid = 10, .master = rows[i].master, .uid = 1000};

		CU_ASSERT_EQUAL(claim_judge(&rows[i].holder, rows[i].parent, rows[i].is_dead, &self),
			rows[i].verdict);
	}
}

/* Of this test's process alone, so that several may run. */
static const char *
device_argument(void)
{
	static char arg[64];

	snprintf(arg, sizeof(arg), "net_af_packet0,iface=t%d", (int)getpid());
	return arg;
}

static int
take_as(const char *arg, uint32_t addr, struct claims **c)
{
	const char *const args[] = {"--no-huge", "--vdev", arg};
	sigset_t none;
	const struct claim_params p = {.args = args, .n_args = 3, .addr = addr, .signals = &none};

	sigemptyset(&none);
	err[0] = '\0';
	*c = NULL;
	return claims_take(&p, c, err, sizeof(err));
}

/* Nobody has the name. A start goes on where nobody answers, so its success does not tell. */
static bool
is_free(void)
{
	char name[IF_NAMESIZE] = "";
	struct sockaddr_un at;
	socklen_t len;
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	bool free;

	CU_ASSERT(claim_find_device(device_argument(), name));
	len = claim_address(&at, name, ADDR);
	free = bind(fd, (struct sockaddr *)&at, len) == 0;
	close(fd);
	return free;
}

/* A child takes the device, or does not, and lives until its input ends; perhaps with a child of its own. One
 * of them writes the answer. */
static pid_t
other_process(const char *arg, int out[2], int keep[2], bool has_child)
{
	struct claims *c;
	char answer;
	pid_t pid;

	CU_ASSERT_EQUAL_FATAL(pipe(out), 0);
	CU_ASSERT_EQUAL_FATAL(pipe(keep), 0);
	pid = fork();
	if (pid != 0)
		return pid;
	close(keep[1]);
	answer = take_as(arg, ADDR, &c) == 0 ? 'y' : 'n';
	if (has_child && fork() == 0) {
		claims_leave_to_parent(c);
		if (write(out[1], &answer, 1) != 1)
			_exit(1);
		while (read(keep[0], &answer, 1) > 0)
			continue;
		_exit(0);
	}
	if (!has_child && write(out[1], &answer, 1) != 1)
		_exit(1);
	while (read(keep[0], &answer, 1) > 0)
		continue;
	_exit(0);
}

static void
expect_refusal_until_end(bool has_child)
{
	const char *arg = device_argument();
	struct claims *c;
	int out[2], keep[2];
	char answer = 0, pid_text[32];
	pid_t pid = other_process(arg, out, keep, has_child);

	CU_ASSERT_EQUAL(read(out[0], &answer, 1), 1);
	CU_ASSERT_EQUAL(answer, 'y');
	CU_ASSERT_EQUAL(take_as(arg, ADDR, &c), -EBUSY);
	snprintf(pid_text, sizeof(pid_text), "process %d (", (int)pid);
	CU_ASSERT_PTR_NOT_NULL(strstr(err, pid_text));
	CU_ASSERT_PTR_NOT_NULL(strstr(err, "ltran"));
	claims_release(c);
	CU_ASSERT_EQUAL(take_as(arg, inet_addr("198.18.0.2"), &c), 0);
	claims_release(c);
	kill(pid, SIGKILL);
	CU_ASSERT_EQUAL(waitpid(pid, NULL, 0), pid);
	CU_ASSERT(is_free());
	CU_ASSERT_EQUAL(take_as(arg, ADDR, &c), 0);
	CU_ASSERT_FALSE(is_free());
	claims_release(c);
	CU_ASSERT(is_free());
	for (int i = 0; i < 2; i++) {
		close(out[i]);
		close(keep[i]);
	}
}

static void
second_process_is_refused_until_the_first_is_killed(void)
{
	expect_refusal_until_end(false);
}

static void
child_of_the_holder_does_not_keep_the_claim(void)
{
	expect_refusal_until_end(true);
}

/* More than the listener's queue holds: what was asked is not left there. */
static void
holder_answers_any_number_of_questions(void)
{
	const char *arg = device_argument();
	struct claims *c;
	int out[2], keep[2];
	char answer = 0;
	pid_t pid = other_process(arg, out, keep, false);
	unsigned int refused = 0, asked = 0;

	CU_ASSERT_EQUAL(read(out[0], &answer, 1), 1);
	/* A question that finds the queue full for a moment is none; with no wait at all, that is seen. */
	for (; refused < 1000 && asked < 100000; asked++) {
		refused += take_as(arg, ADDR, &c) == -EBUSY;
		claims_release(c);
	}
	CU_ASSERT_EQUAL(refused, 1000);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	for (int i = 0; i < 2; i++) {
		close(out[i]);
		close(keep[i]);
	}
}

static void
device_named_twice_is_claimed_once(void)
{
	struct claims *a, *b;

	CU_ASSERT_EQUAL(take_as(device_argument(), ADDR, &a), 0);
	CU_ASSERT_EQUAL(take_as(device_argument(), ADDR, &b), 0);
	claims_release(a);
	claims_release(b);
}

static long
used_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* A program may forbid itself descriptors. Where it is stopped and goes on then, poll() begins again, and fails
 * from then on. */
static void
holder_rests_where_no_descriptor_is_allowed(void)
{
	const struct timespec wait = {.tv_nsec = 300000000};
	struct rlimit old, none;
	struct claims *c;
	int go[2], status;
	char byte;
	long before;
	pid_t pid;

	CU_ASSERT_EQUAL_FATAL(pipe(go), 0);
	pid = fork();
	if (pid == 0) {
		const struct timespec a_while = {.tv_nsec = 50000000};

		close(go[1]);
		if (read(go[0], &byte, 1) != 0 || kill(getppid(), SIGSTOP) < 0)
			_exit(1);
		nanosleep(&a_while, NULL);
		_exit(kill(getppid(), SIGCONT) < 0);
	}
	CU_ASSERT_EQUAL(take_as(device_argument(), ADDR, &c), 0);
	CU_ASSERT_EQUAL(getrlimit(RLIMIT_NOFILE, &old), 0);
	none = old;
	none.rlim_cur = 0;
	CU_ASSERT_EQUAL(setrlimit(RLIMIT_NOFILE, &none), 0);
	close(go[1]);
	CU_ASSERT_EQUAL(waitpid(pid, &status, 0), pid);
	CU_ASSERT_EQUAL(status, 0);
	before = used_ms();
	nanosleep(&wait, NULL);
	CU_ASSERT(used_ms() - before < 100);
	claims_release(c);
	CU_ASSERT_EQUAL(setrlimit(RLIMIT_NOFILE, &old), 0);
	close(go[0]);
}

static const struct cunit_test tests[] = {
	CUNIT_TEST(kernel_devices_are_found_in_every_spelling),
	CUNIT_TEST(other_arguments_open_none),
	CUNIT_TEST(device_and_address_make_the_name),
	CUNIT_TEST(holder_decides_who_is_refused),
	CUNIT_TEST(second_process_is_refused_until_the_first_is_killed),
	CUNIT_TEST(child_of_the_holder_does_not_keep_the_claim),
	CUNIT_TEST(holder_answers_any_number_of_questions),
	CUNIT_TEST(holder_rests_where_no_descriptor_is_allowed),
	CUNIT_TEST(device_named_twice_is_claimed_once),
};

CUNIT_MAIN("claim", tests, NULL, NULL)
