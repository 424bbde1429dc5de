/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A stand-in for ltran's registration socket, as an instance sees it (nodes/ltran_abi.h): one
 * connection at a time, and the test says what is answered. There are no rings and no packets. Also
 * the other end: the link of an instance, with values that are always the same. What is behind the
 * control socket of ltran has a stand-in in fake_dispatcher.h.
 *
 * Socket, doorbells, directory and the instance's socket table belong to this file; the connection
 * may be closed by the test, and a link is the test's.
 *
 * Every function runs on the thread that calls it: the test's, or `thread`, which the test starts
 * where the link waits for an answer meanwhile. There is no lock: between pthread_create() and
 * pthread_join() the struct is that thread's, and otherwise the test's.
 */
#ifndef TESTS_FAKE_LTRAN_H
#define TESTS_FAKE_LTRAN_H

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>

#include "nodes/instance_ltran_link.h"
#include "nodes/ltran_abi.h"
#include "tests/cunit_main.h"

#define FAKE_LTRAN_RING "/run/ring.vhost" /* path in the first answer */
#define FAKE_LTRAN_ERR 256 /* bytes of an error text */

struct fake_ltran {
	int fd; /* the connection, perhaps closed by the test; -1: none */
	pthread_t thread; /* the test starts and joins it */
	struct ltran_registered answer; /* to registrations: good, until the test changes it */
	struct ltran_register asked; /* the last registration; zeros: what came was none */
	bool had_table; /* a descriptor came with it; it has been closed again */
};

extern struct fake_ltran fake_ltran;
extern sigset_t fake_all_signals; /* all but SIGABRT: blocked while a link opens */

/* CUnit's setup and teardown of a test: ltran listens, in a directory of its own that is gone
 * afterwards, and has the doorbells of two queues. */
void fake_ltran_setup(void);
void fake_ltran_teardown(void);

/* ltran comes, after fake_ltran_close(), and goes, with its connection and the socket's file. */
void fake_ltran_open(void);
void fake_ltran_close(void);

/* Within 5 s there is something to read from `fd`, or its other end has hung up. */
bool fake_ltran_readable(int fd);

/* The next registration; no answer yet. Returns without one after 5 s. */
void fake_ltran_await_register(void);
/* Sends `answer`; with the doorbells, which stay ours, if it is a good one. */
void fake_ltran_answer_register(void);
/* Both, as the function of `thread`; the argument is not used. */
void *fake_ltran_register_one(void *arg);

/* ltran_link_open() of 198.18.10.10/24 with two queues. The link is the caller's to close. */
int fake_ltran_open_link(struct ltran_link **l, char err[FAKE_LTRAN_ERR]);
/* The same, answered by `thread`, which has ended then. A failure ends the test. */
struct ltran_link *fake_ltran_registered(void);

#endif
