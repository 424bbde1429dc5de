/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Who is bound.
 *
 * GAZELLE_BIND_PROCNAME names the program, by its file or by the name it was called by. That is all where
 * a user sets it. `gazelle run PROGRAM` does not always know the name: PROGRAM may be a shell, a
 * wrapper script, timeout, whatever ends in another program. So it also sets GAZELLE_RUN to "PID:1":
 *   - process PID is bound, whatever it runs: exec() keeps the number
 *   - a program that is started with 1 is bound; it leaves the 1 for those that it starts where it is
 *     known to do nothing else (launchers[]), else it makes that a 0 and gives them its own name:
 *     its workers are bound, its helpers are not
 * The digit is written in place: a shell has its copy of the environment from there, and calls setenv()
 * by its own function of that name, which does not work before main().
 *
 * Two programs of one run that were bound so must not have the same device at the same time, for both
 * would answer its packets. The first to come holds a lock on the configuration, of the kind that
 * belongs to a process and not to its children (fcntl).
 */
#include "preload/bind.h"
#include "preload/libc.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static const char *const launchers[] = {"ash", "bash", "busybox", "catatonit", "choom", "chroot", "chrt",
	"daemonize", "dash", "doas", "dumb-init", "env", "flock", "gdb", "gosu", "ionice", "ip", "ksh",
	"ltrace", "make", "mksh", "nice", "nohup", "nsenter", "numactl", "perf", "prlimit", "runuser",
	"script", "setpriv", "setsid", "sh", "start-stop-daemon", "stdbuf", "strace", "su", "su-exec",
	"sudo", "taskset", "time", "timeout", "tini", "unshare", "xargs", "zsh"};

/* Bound by GAZELLE_RUN in the process with this number; 0: by its name. */
static pid_t bound_by_run;

static bool is_launcher(const char *name)
{
	for (size_t i = 0; i < sizeof(launchers) / sizeof(launchers[0]); i++)
		if (strcmp(launchers[i], name) == 0)
			return true;
	return false;
}

/* The file behind /proc/self/exe, without its folder. */
static const char *exe_name(char exe[PATH_MAX])
{
	ssize_t n = readlink("/proc/self/exe", exe, PATH_MAX - 1);

	if (n < 0)
		return program_invocation_short_name;
	exe[n] = '\0';
	return basename(exe);
}

/* What GAZELLE_RUN says of this process; passes it on, or does not. */
static bool is_bound_by_run(const char *name, bool is_named)
{
	char *run = getenv("GAZELLE_RUN"), *digit = run ? strchr(run, ':') : NULL;
	bool bound;

	if (digit == NULL)
		return false;
	digit++;
	bound = *digit == '1' || strtol(run, NULL, 10) == getpid();
	if (!bound)
		return false;
	if (is_launcher(name)) {
		*digit = '1';
		return true;
	}
	*digit = '0';
	if (!is_named)
		setenv("GAZELLE_BIND_PROCNAME", name, 1);
	return true;
}

bool bind_is_ours(void)
{
	const char *preload = getenv("LD_PRELOAD");
	const char *wanted = getenv("GAZELLE_BIND_PROCNAME"), *name;
	char exe[PATH_MAX];
	bool is_named;

	if (preload == NULL || strstr(preload, "liblstack.so") == NULL)
		return true; /* linked: the program has asked for us by that */
	name = exe_name(exe);
	is_named = wanted &&
		(strcmp(name, wanted) == 0 || strcmp(program_invocation_short_name, wanted) == 0);
	if (is_bound_by_run(name, is_named)) {
		bound_by_run = is_named ? 0 : getpid();
		return true;
	}
	return is_named;
}

void bind_hold_conf(void)
{
	const char *path = getenv("LSTACK_CONF_PATH");
	int fd = path ? libc.open(path, O_RDONLY | O_CLOEXEC, 0) : -1;

	if (fd < 0)
		return;
	mmap(NULL, 1, PROT_READ, MAP_SHARED, fd, 0);
	libc.close(fd);
}

bool bind_take_device(pid_t *holder)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	const char *path = getenv("LSTACK_CONF_PATH");
	int fd;

	if (bound_by_run != getpid() || path == NULL)
		return true;
	fd = open(path, O_RDWR | O_CLOEXEC); /* ours, and stays open */
	if (fd < 0 || libc.fcntl(fd, F_SETLK, &lock) == 0)
		return true;
	*holder = libc.fcntl(fd, F_GETLK, &lock) == 0 && lock.l_type != F_UNLCK ? lock.l_pid : 0;
	close(fd);
	return false;
}
