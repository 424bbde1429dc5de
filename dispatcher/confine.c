/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Giving up rights. Capabilities belong to threads: each is sent SIGSYS, whose handler drops those of
 * the thread that it runs in, and the kernel is asked whether all have done so. DPDK's threads, which
 * nobody asks, are among them. Then the filter comes, for all threads at once.
 *
 * Afterwards SIGSYS comes from the filter, for calls that are on no list.
 *
 * Sanitizers make calls of their own (at the end even ptrace()), so their builds have no filter.
 */
#include "dispatcher/confine.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#include "dispatcher/confine_filter.h"
#include "dispatcher/log.h"

#define WAIT_MS 2000 /* until every thread has had its signal */
#define CALLS_MAX 512
#ifndef SYS_SECCOMP
#define SYS_SECCOMP 1 /* si_code: signal.h does not have it yet */
#endif

int
confine_keep(uint64_t keep)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2];

	if (syscall(SYS_capget, &head, data) < 0)
		return -errno;
	for (int i = 0; i < 2; i++) {
		uint32_t mask = (uint32_t)(keep >> 32 * i);

		data[i].permitted &= mask;
		data[i].effective = data[i].permitted;
		data[i].inheritable = 0;
	}
	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	return syscall(SYS_capset, &head, data) < 0 ? -errno : 0;
}

/* The call fails with EPERM. */
static void
fail_call(ucontext_t *context)
{
#if defined(__x86_64__)
	context->uc_mcontext.gregs[REG_RAX] = -EPERM;
#elif defined(__aarch64__)
	context->uc_mcontext.regs[0] = (unsigned long long)-EPERM;
#endif
}

static void
refuse_call(int number, ucontext_t *context)
{
	static _Atomic bool was_said[CALLS_MAX];

	fail_call(context);
	if (number >= 0 && number < CALLS_MAX && atomic_exchange(&was_said[number], true))
		return;
	log_error("system call %d is refused: ltran has no use for it", number);
#ifdef CONFINE_ABORTS
	signal(SIGABRT, SIG_DFL);
	abort();
#endif
}

static void
on_sigsys(int signal_number, siginfo_t *info, void *context)
{
	int saved_errno = errno;

	if (info->si_code == SYS_SECCOMP)
		refuse_call(info->si_syscall, context);
	else if (info->si_code == SI_TKILL && info->si_pid == getpid())
		confine_keep(0);
	errno = saved_errno;
}

/* Has the thread capabilities? One that has ended has none. */
static bool
has_capabilities(const char *tid)
{
	char path[64], line[128];
	unsigned long long permitted = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/task/%.16s/status", tid);
	f = fopen(path, "re");
	while (f != NULL && fgets(line, sizeof(line), f) != NULL) {
		if (sscanf(line, "CapPrm: %llx", &permitted) == 1)
			break;
	}
	if (f != NULL)
		fclose(f);
	return permitted != 0;
}

/* How many threads still have some; with `do_ask` they get the signal. */
static int
count_capable(bool do_ask)
{
	DIR *d = opendir("/proc/self/task");
	struct dirent *e;
	int n = 0;

	if (d == NULL)
		return -errno;
	while ((e = readdir(d)) != NULL) {
		if (e->d_name[0] == '.' || !has_capabilities(e->d_name))
			continue;
		n++;
		if (do_ask)
			syscall(SYS_tgkill, getpid(), (pid_t)strtol(e->d_name, NULL, 10), SIGSYS);
	}
	closedir(d);
	return n;
}

static int
drop_capabilities(void)
{
	const struct timespec step = {.tv_nsec = 1000000};
	int ret = confine_keep(0), n = ret < 0 ? ret : count_capable(true);

	for (int ms = 0; n > 0 && ms < WAIT_MS; ms++) {
		nanosleep(&step, NULL);
		n = count_capable(false);
	}
	return n > 0 ? -EBUSY : n;
}

/* What libc would read from files only when it is needed. */
static void
load_early(void)
{
	tzset();
	if (dlopen("libgcc_s.so.1", RTLD_NOW) == NULL) /* for pthread_cancel() */
		log_info("libgcc_s.so.1: %s", dlerror());
}

int
confine_process(char *err, size_t err_len)
{
	struct sigaction action = {.sa_sigaction = on_sigsys, .sa_flags = SA_SIGINFO | SA_RESTART};
	int ret;

	load_early();
	sigfillset(&action.sa_mask);
	ret = sigaction(SIGSYS, &action, NULL) < 0 ? -errno : drop_capabilities();
	if (ret == -EBUSY && CONFINE_HAS_SANITIZER)
		ret = 0; /* its own threads take no signals, and ours take them late */
	if (ret < 0) {
		snprintf(err, err_len, "giving up capabilities: %s", strerror(-ret));
		return ret;
	}
	if (CONFINE_HAS_SANITIZER)
		return 0;
	ret = confine_filter();
	if (ret == -ENOTSUP || ret == -ENOSYS || ret == -EINVAL) {
		log_info("no filter of system calls: the kernel has none for us (%s)", strerror(-ret));
		return 0;
	}
	if (ret < 0)
		snprintf(err, err_len, "filter of system calls: %s", strerror(-ret));
	return ret;
}
