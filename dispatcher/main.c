/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The program ltran: options, settings, and the wait for the signal that ends it.
 *
 * Runs in the foreground. All signals that end it are blocked from the beginning, so that every
 * thread inherits that, and are waited for here; gazellectl ltran quit sends one of them. Exit code 0:
 * ended as asked, 1: could not start, 2: wrong command line.
 */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/say.h"
#include "conf/ltran_conf.h"
#include "dispatcher/closer.h"
#include "dispatcher/dispatcher.h"
#include "dispatcher/helper.h"
#include "dispatcher/log.h"

#define EXIT_USAGE 2
#define WHY_MAX 256
#define LOG_END_MS 200 /* for the last lines, where nobody reads them */

static void
usage(FILE *out)
{
	fputs("usage: ltran [--config-file FILE]\n"
	      "\n"
	      "Shares one NIC among the programs that run on liblstack.so with use_ltran=1.\n"
	      "\n"
	      "  -c, --config-file FILE  settings; default " LTRAN_CONF_PATH_DEFAULT "\n"
	      "  -h, --help              this text\n"
	      "  -v, --version           version of Gazelle\n"
	      "\n"
	      "Runs in the foreground until SIGTERM, SIGINT or `gazellectl ltran quit`.\n", out);
}

/* -1: go on, with *path set if it was given; else the exit code. */
static int
parse_options(int argc, char **argv, const char **path)
{
	static const struct option options[] = {
		{"config-file", required_argument, NULL, 'c'},
		{"help", no_argument, NULL, 'h'},
		{"version", no_argument, NULL, 'v'},
		{NULL, 0, NULL, 0},
	};
	int c;

	/* The user guide also writes -config-file. */
	while ((c = getopt_long_only(argc, argv, "c:hv", options, NULL)) != -1) {
		switch (c) {
		case 'c':
			*path = optarg;
			break;
		case 'h':
			usage(stdout);
			return EXIT_SUCCESS;
		case 'v':
			puts("gazelle version: " GAZELLE_VERSION);
			return EXIT_SUCCESS;
		default: /* getopt has said what is wrong */
			fputs("ltran --help shows the options\n", stderr);
			return EXIT_USAGE;
		}
	}
	if (optind == argc)
		return -1;
	fprintf(stderr, "ltran: unexpected argument \"%s\"\nltran --help shows the options\n",
		argv[optind]);
	return EXIT_USAGE;
}

static void
report(void *arg, bool is_error, const char *line)
{
	(void)arg;
	log_line(is_error ? LOG_LEVEL_ERROR : LOG_LEVEL_INFO, "%s%s", is_error ? "" : "warning: ",
		line);
}

/* --syslog FACILITY among DPDK's arguments is also ours. */
static bool
choose_log(const struct ltran_conf *c)
{
	static const char option[] = "--syslog";
	const size_t n = sizeof(option) - 1;
	const char *facility = NULL;

	for (unsigned int i = 0; i < c->n_eal_args; i++) {
		const char *arg = c->eal_args[i];

		if (strncmp(arg, option, n) != 0)
			continue;
		if (arg[n] == '=')
			facility = arg + n + 1;
		else if (arg[n] == '\0')
			facility = i + 1 < c->n_eal_args ? c->eal_args[++i] : "";
	}
	if (facility == NULL || log_use_syslog(facility))
		return true;
	log_error("forward_kit_args: --syslog \"%s\": no such facility (as daemon, local0)", facility);
	return false;
}

/* Tell the service manager, if one has started us and wants to know: sd_notify(3). */
static void
notify(const char *state)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	size_t len = path != NULL ? strlen(path) : 0;
	int fd;

	if (len == 0 || len >= sizeof(addr.sun_path))
		return;
	memcpy(addr.sun_path, path, len);
	if (path[0] == '@')
		addr.sun_path[0] = '\0'; /* abstract name */
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return;
	if (sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&addr,
		offsetof(struct sockaddr_un, sun_path) + len) < 0)
		log_error("%s: %s", path, strerror(errno));
	close(fd);
}

/* The signals that end ltran; blocked. nohup's wish is respected. */
static void
block_signals(sigset_t *set)
{
	struct sigaction hup;

	sigemptyset(set);
	sigaddset(set, SIGTERM);
	sigaddset(set, SIGINT);
	sigaddset(set, SIGQUIT);
	if (sigaction(SIGHUP, NULL, &hup) == 0 && hup.sa_handler != SIG_IGN)
		sigaddset(set, SIGHUP);
	pthread_sigmask(SIG_BLOCK, set, NULL);
	signal(SIGPIPE, SIG_IGN);
}

/* An instance takes 14 descriptors and one for each pair of queues. */
static void
raise_descriptors(void)
{
	struct rlimit most;

	if (getrlimit(RLIMIT_NOFILE, &most) < 0)
		return;
	most.rlim_cur = most.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &most) < 0)
		fprintf(stderr, "ltran: limit of descriptors: %s\n", strerror(errno));
}

/* A device that comes back is opened without capabilities, and af_packet locks its rings. */
static void
raise_locked_memory(void)
{
	const struct rlimit all = {.rlim_cur = RLIM_INFINITY, .rlim_max = RLIM_INFINITY};

	if (setrlimit(RLIMIT_MEMLOCK, &all) < 0 && errno != EPERM)
		fprintf(stderr, "ltran: limit of locked memory: %s\n", strerror(errno));
}

static int
serve(const struct ltran_conf *conf, const sigset_t *ending)
{
	static struct ltran lt; /* too large for the stack */
	char err[WHY_MAX] = "";
	int ret, number = 0;

	ret = ltran_start(&lt, conf, err, sizeof(err));
	if (ret == 0) {
		notify("READY=1");
		sigwait(ending, &number);
		helper_hurry();
		log_info("ending: %s", strsignal(number));
		notify("STOPPING=1");
	} else {
		log_error("%s", err[0] != '\0' ? err : strerror(-ret));
	}
	ltran_free(&lt);
	return ret == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

int
main(int argc, char **argv)
{
	const char *path = NULL;
	struct ltran_conf conf;
	sigset_t ending;
	int ret;

	ret = parse_options(argc, argv, &path);
	if (ret >= 0)
		return ret;
	umask(077);
	block_signals(&ending);
	raise_descriptors();
	raise_locked_memory();
	closer_start();
	ret = helper_start(argc, argv);
	if (ret < 0) {
		fprintf(stderr, "ltran: helper: %s\n", strerror(-ret));
		return EXIT_FAILURE;
	}
	ret = log_start();
	if (ret < 0)
		fprintf(stderr, "ltran: log: %s\n", strerror(-ret));
	say_write_by(log_text);
	ret = EXIT_FAILURE;
	if (ltran_conf_load(path, &conf, report, NULL) == 0 && choose_log(&conf))
		ret = serve(&conf, &ending);
	ltran_conf_free(&conf);
	helper_stop();
	log_stop(LOG_END_MS);
	return ret;
}
