/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What needs rights after the start: a small process of its own does it for ltran, which has none then.
 *
 * The helper is forked before there are threads, knows a handful of fixed requests, checks each
 * against what it was told once (run directory, prefix, devices), and never sees anything that an
 * instance has sent. It ends with ltran. Where it has not been started (unit tests), the same functions
 * do the work in place.
 *
 * Every call is from any thread and waits for the answer, a second at most (-ETIMEDOUT); none of the system
 * calls waits for another process.
 */
#ifndef DISPATCHER_HELPER_H
#define DISPATCHER_HELPER_H

#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define REGISTRY_ROOM_FORMAT "ring_%u" /* behind unix_prefix: the directory of a user's rings */

/* Fork it; before any thread. `argv`: main()'s, where the helper writes its name. 0 or -errno. */
int helper_start(int argc, char **argv);
bool helper_is_there(void);
/* ltran ends: from now on an answer is waited for a tenth of a second, by those who wait already, too. */
void helper_hurry(void);
/* It ends; also without having been started. */
void helper_stop(void);

/* Where names may be made and removed from now on; the first call counts. 0 or -errno. */
int helper_set_place(const char *dir, const char *prefix);

/* Identity of the program that process `pid` runs. 0 or -errno. */
int helper_program_of(pid_t pid, uint64_t *dev, uint64_t *ino);

/* Paths of rings and rooms as registry_names.c makes them. 0 or -errno; -EINVAL: no such name. */
int helper_make_room(uid_t uid);
int helper_remove_room(uid_t uid);
/* Is it a socket of `uid`? 0; -ENOENT: there is nothing; -EPERM: it is something else. */
int helper_check_ring(const char *path, uid_t uid);
/* A stream connected to it, non-blocking; the same errors. */
int helper_connect_ring(const char *path, uid_t uid);
int helper_remove_ring(const char *path);
/* ltran's own name in the run directory: {prefix}ltran_client.sock, its lock, its control socket. */
int helper_remove_own(const char *path);

/* Nobody can punch holes into these files, memory of user `uid`, from now on, where the kernel has a way
 * (helper_keep.c). 0; -EBUSY: somebody is punching holes into them just now, and goes on. */
int helper_keep_pages(const int *fds, unsigned int n, uid_t uid);

/* A socket of AF_PACKET for a device that comes back. A descriptor or -errno. */
int helper_packet_socket(int type, int protocol);
/* SIOCSIFFLAGS, SIOCSIFHWADDR, SIOCSIFMTU, SIOCSIFTXQLEN. 0 or -errno. */
int helper_set_device(unsigned long request, const struct ifreq *ifr);

#endif
