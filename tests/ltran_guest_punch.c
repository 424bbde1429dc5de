/* SPDX-License-Identifier: BSD-3-Clause */
/* Memory of a hostile instance whose pages go, or were never there. */
#include "tests/ltran_guest_punch.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define PUNCHED ((size_t)256 << 20)

static int
punch(int fd, size_t bytes)
{
	return fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, (off_t)bytes);
}

void
guest_punch(int memory_fd, size_t bytes)
{
	printf("punch %s\n", punch(memory_fd, bytes) == 0 ? "ok" : strerror(errno));
}

static int
punched_memory(size_t bytes, double seconds)
{
	int fd = memfd_create("punched", MFD_CLOEXEC);
	struct timespec t;
	double until;

	if (fd < 0 || fallocate(fd, 0, 0, (off_t)bytes) < 0 || fork() != 0)
		return fd;
	clock_gettime(CLOCK_MONOTONIC, &t);
	until = (double)t.tv_sec + (double)t.tv_nsec / 1e9 + seconds;
	while ((double)t.tv_sec + (double)t.tv_nsec / 1e9 < until && punch(fd, bytes) == 0 &&
		fallocate(fd, 0, 0, (off_t)bytes) == 0)
		clock_gettime(CLOCK_MONOTONIC, &t);
	_exit(0);
}

static int
sparse_memory(size_t bytes)
{
	int fd = memfd_create("holes", MFD_CLOEXEC);

	if (ftruncate(fd, (off_t)bytes) < 0)
		perror("holes");
	return fd;
}

int
guest_odd_memory(const char *kind, size_t bytes, int other)
{
	if (strcmp(kind, "holes") == 0)
		return sparse_memory(bytes);
	return strcmp(kind, "punched") == 0 ? punched_memory(PUNCHED, 1) : other;
}
