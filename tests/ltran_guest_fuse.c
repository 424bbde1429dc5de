/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A file whose pages and whose close() never come: of a FUSE file system with one file, in a mount
 * namespace of our own, served by a process that answers what opening it takes and nothing else. When
 * we end it ends, and with it all waiting. Needs root.
 */
#include "tests/ltran_guest_fuse.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fuse.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <unistd.h>

#define FILE_BYTES (64ull << 20)
#define NODE 2
#define FUSE_MAJOR 10 /* Documentation/admin-guide/devices.txt */
#define FUSE_MINOR 229
#define REQUEST_MAX (1u << 17)

static int device;

static void
answer(uint64_t unique, const void *body, size_t len)
{
	struct fuse_out_header head = { .len = (uint32_t)(sizeof(head) + len), .unique = unique };
	struct iovec parts[2] = { { &head, sizeof(head) }, { (void *)(uintptr_t)body, len } };

	if (writev(device, parts, 2) < 0)
		return; /* the request has been given up */
}

static struct fuse_attr
attr_of(uint64_t node)
{
	return (struct fuse_attr){ .ino = node, .size = node == NODE ? FILE_BYTES : 0, .nlink = 1,
		.mode = node == NODE ? S_IFREG | 0600 : S_IFDIR | 0700 };
}

static void
serve(void)
{
	static char request[REQUEST_MAX];
	struct fuse_in_header *h = (struct fuse_in_header *)request;
	struct fuse_init_out init = { .major = FUSE_KERNEL_VERSION, .minor = FUSE_KERNEL_MINOR_VERSION,
		.max_write = 65536 };
	struct fuse_entry_out entry = { .nodeid = NODE, .entry_valid = 1000, .attr_valid = 1000,
		.attr = attr_of(NODE) };
	struct fuse_attr_out attr = { .attr_valid = 1000 };
	struct fuse_open_out opened = { .fh = 1 };

	while (read(device, request, sizeof(request)) > 0) {
		attr.attr = attr_of(h->nodeid);
		if (h->opcode == FUSE_INIT)
			answer(h->unique, &init, sizeof(init));
		else if (h->opcode == FUSE_LOOKUP)
			answer(h->unique, &entry, sizeof(entry));
		else if (h->opcode == FUSE_GETATTR)
			answer(h->unique, &attr, sizeof(attr));
		else if (h->opcode == FUSE_OPEN)
			answer(h->unique, &opened, sizeof(opened));
		/* Reading, flushing and all else waits for ever. */
	}
}

/* The device, also where nobody has made a file for it (a chroot, a container); `dir` is ours. */
static int
open_device(const char *dir)
{
	char own[PATH_MAX];
	int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);

	if (fd >= 0 || errno != ENOENT)
		return fd;
	snprintf(own, sizeof(own), "%s/fuse", dir);
	if (mknod(own, S_IFCHR | 0600, makedev(FUSE_MAJOR, FUSE_MINOR)) < 0)
		return -1;
	fd = open(own, O_RDWR | O_CLOEXEC);
	unlink(own);
	return fd;
}

int
guest_fuse_open(void)
{
	char dir[] = "/tmp/ltran_guest_XXXXXX", options[64], path[64];
	pid_t parent = getpid();
	int fd;

	if (mkdtemp(dir) == NULL || (device = open_device(dir)) < 0 || unshare(CLONE_NEWNS) < 0 ||
		mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return -errno;
	snprintf(options, sizeof(options), "fd=%d,rootmode=40000,user_id=0,group_id=0", device);
	if (mount("never", dir, "fuse.never", 0, options) < 0)
		return -errno;
	if (fork() == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() == parent)
			serve();
		_exit(0);
	}
	close(device);
	snprintf(path, sizeof(path), "%s/file", dir);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	umount2(dir, MNT_DETACH);
	rmdir(dir);
	return fd;
}
