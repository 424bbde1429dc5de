/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which processes run on Gazelle, where the library is preloaded into all that a program starts.
 */
#ifndef PRELOAD_BIND_H
#define PRELOAD_BIND_H

#include <stdbool.h>
#include <sys/types.h>

/* Is this process ours? Called once, in the constructor; may change the environment. */
bool bind_is_ours(void);

/*
 * The constructor has read the settings: the file at LSTACK_CONF_PATH stays mapped for as long as this
 * process and its children by fork() live, so that `gazelle run` sees who uses it. Failure is no harm.
 */
void bind_hold_conf(void);

/*
 * The data path is about to start, without ltran. False: another program of the same `gazelle run` has
 * it, process *holder. Opens a descriptor that has to stay open.
 */
bool bind_take_device(pid_t *holder);

#endif
