/* SPDX-License-Identifier: BSD-3-Clause */
/* Arguments of DPDK's start-up, read and copied: pure functions on strings, for eal.c and its tests. */
#ifndef NODES_EAL_ARGS_H
#define NODES_EAL_ARGS_H

#include <stdbool.h>
#include <stddef.h>

#define ARGS_MEMORY_MB 512 /* ordinary pages taken where nothing says how much */

/* Of an af_packet port for which the user has not said `framecnt`: bytes of kernel memory for each of
 * the two rings of a queue, and frames at least. A frame has 2 KB unless the user says `framesz`. */
#define ARGS_AF_PACKET_RING (16ul * 1024 * 1024)
#define ARGS_AF_PACKET_FRAME 2048
#define ARGS_AF_PACKET_LEAST 512ul

/* What the user wrote. */
struct args_seen {
	bool no_huge, in_memory, huge_unlink, legacy_mem, single_file, no_shconf, map_perfect;
	bool cores, file_prefix, vdev, virtio_user, allow, no_pci, iova, telemetry, log_level;
	const char *huge_dir;   /* NULL: not given */
	unsigned int memory_mb; /* -m, or the sum of --socket-mem; 0: not given */
	bool drop_huge_options; /* decision of the caller: no hugepages after all */
	bool one_file; /* decision of the caller: the memory must be one file that a peer can map */
	bool small_rings; /* decision of the caller: af_packet has the driver's own */
};

/* The list under construction; owns its strings. */
struct args {
	char **v;
	int n, max;
	bool failed;
};

void args_scan(struct args_seen *seen, const char *const *v, unsigned int n);
void args_add(struct args *a, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Copy the option v[0] (and its value v[1], where it is separate), or leave it out. `n` > 0 strings
 * are there. Returns how many more than one were consumed. */
unsigned int args_copy(struct args *a, const struct args_seen *seen, const char *const *v,
	unsigned int n);
/* Takes "framecnt=N" out of the arguments of a device, so that its rings have the driver's own size. False:
 * it is not there. */
bool args_drop_framecnt(char *devargs);

#endif
