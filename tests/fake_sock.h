/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A stand-in for stack/, nodes/instance and conf/ behind preload/: sockets are queues inside this
 * process, so the socket library is tested without packets.
 */
#ifndef TESTS_FAKE_SOCK_H
#define TESTS_FAKE_SOCK_H

#include <stdbool.h>

#define FAKE_ADDR "198.18.0.1" /* the stack's own, /24, gateway .254 */
#define FAKE_DESCRIPTORS 2000

extern bool fake_spins;    /* run-to-completion */
extern bool fake_fails;    /* instance_start() fails */
extern int fake_attached;  /* times instance_start() was called */
extern int fake_runs;      /* calls of ready_run() */
extern int fake_live;      /* struct sock that are open */
extern void (*fake_on_close)(void); /* called when a socket is about to be closed; NULL: nothing */
extern int fake_own_fd;    /* what instance_start() opened */

#endif
