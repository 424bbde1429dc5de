/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A program whose system calls do not all go through libc, for the system tests.
 *
 *	raw_probe ADDRESS PORT FILE [all]
 *	                              connects through libc, then writes, reads and closes by system
 *	                              calls of its own, opens FILE (all: by one of these, too) and
 *	                              writes into what that number is now
 *	raw_probe cost                nanoseconds of a system call through libc and of one past it
 */
#include "tests/raw_syscall.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static double seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* The fastest of many short runs: the others were disturbed. */
static void show_cost(void)
{
	enum { N_RUNS = 1000, N = 500 };
	double libc = 1, raw = 1;

	for (int run = 0; run < N_RUNS; run++) {
		double start = seconds(), end;

		for (int i = 0; i < N; i++)
			syscall(SYS_getppid);
		end = seconds();
		libc = end - start < libc ? end - start : libc;
		for (int i = 0; i < N; i++)
			raw_syscall(SYS_getppid, 0, 0, 0, 0, 0);
		raw = seconds() - end < raw ? seconds() - end : raw;
	}
	printf("through libc %.0f ns, past it %.0f ns\n", libc * 1e9 / N, raw * 1e9 / N);
}

int main(int argc, char **argv)
{
	static const char secret[] = "SECRET FILE CONTENT\n";
	struct sockaddr_in a = {.sin_family = AF_INET};
	struct stat st = {0};
	int fd, file;
	char c;

	if (argc == 2) {
		show_cost();
		return 0;
	}
	if (argc != 4 && argc != 5)
		return 2;
	inet_pton(AF_INET, argv[1], &a.sin_addr);
	a.sin_port = htons((uint16_t)strtoul(argv[2], NULL, 10));
	fd = socket(AF_INET, SOCK_STREAM, 0);
	if (connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0) {
		perror("connect");
		return 1;
	}
	printf("write %ld\n", raw_syscall(SYS_write, fd, (long)"x", 1, 0, 0));
	printf("read %ld\n", raw_syscall(SYS_read, fd, (long)&c, 1, 0, 0));
	printf("close %ld\n", raw_syscall(SYS_close, fd, 0, 0, 0, 0));
	if (argc == 5)
		file = (int)raw_syscall(SYS_openat, AT_FDCWD, (long)argv[3],
			O_CREAT | O_TRUNC | O_WRONLY, 0600, 0);
	else
		file = open(argv[3], O_CREAT | O_TRUNC | O_WRONLY, 0600);
	if (file != fd && dup2(file, fd) != fd)
		return 1;
	printf("file %zd\n", write(fd, secret, strlen(secret)));
	stat(argv[3], &st);
	printf("size %ld\n", (long)st.st_size);
	return 0;
}
