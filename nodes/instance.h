/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Composition root of liblstack: from settings to a running data path. Builds, in this order: EAL,
 * packet pools, ports, one stack and one graph per core, the control server, then starts threads.
 * DPDK-free header: preload/ includes it.
 */
#ifndef NODES_INSTANCE_H
#define NODES_INSTANCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct conf;
struct instance;
struct stack_group;

/*
 * Start. Called once per process, in the thread that first needs packets; keeps that thread's CPU
 * affinity and signal mask as they were. All threads made here block every signal.
 * 0 or -errno, with one line for people in `err`. After a failure the process runs on without it.
 * `c` must live as long as the instance.
 *
 * `opened(arg, stacks)`, where not NULL, is called before the first packet is taken from the port:
 * what listens by then refuses nobody who asked while the data path was starting.
 */
int instance_start(const struct conf *c, void (*opened)(void *arg, struct stack_group *stacks),
	void *arg, struct instance **out, char *err, size_t err_len);
struct stack_group *instance_stacks(struct instance *in);
/* Around fork(), before a start (NULL) and after a successful one. The child has no instance afterwards. */
void instance_before_fork(struct instance *in);
void instance_after_fork(struct instance *in, bool is_child);
/* Stop threads, reset connections, close ports, remove the files made. Called at exit. */
void instance_stop(struct instance *in);

#endif
