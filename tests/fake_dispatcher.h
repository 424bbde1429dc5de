/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A stand-in for the dispatcher behind its control commands (dispatcher/ltran_ctl.c and
 * measure_ctl.c): a struct ltran with two workers that no thread walks, and two instances that
 * nobody has registered. Functions that tell what the test has set stand in for bond.c, port.c,
 * registry.c and worker.c.
 * What an instance sees of ltran has a stand-in in fake_ltran.h.
 *
 * All of it belongs to this file and is made anew by fake_dispatcher_setup(); a test may change any
 * field. There is one thread, the test's: commands run on it too, and nothing is locked.
 */
#ifndef TESTS_FAKE_DISPATCHER_H
#define TESTS_FAKE_DISPATCHER_H

#include "ctl/messages.h"
#include "dispatcher/dispatcher.h"
#include "nodes/bond.h"

#define FAKE_WORKERS 2 /* their thread ids are 100 and 101, and they are in walk 10 */
#define FAKE_MEMBERS 2 /* 198.18.0.1 and .2, pids 4711 and 4712; the first has a ring */
#define FAKE_PACKETS 511 /* in fake_lt.pool */

extern struct ltran fake_lt;
extern struct ltran_conf fake_conf; /* fake_lt.conf */
extern struct dispatch_worker fake_workers[FAKE_WORKERS];
extern struct member fake_members[FAKE_MEMBERS]; /* registry_each() shows the last one first */
/* Where a test sets fake_lt.bond, to any pointer, it is active-backup with this one port. */
extern struct bond_slave_stats fake_slave;
extern unsigned int fake_kicks; /* calls of workers_kick() */

/* CUnit's setup and teardown of a test; DPDK runs (eal.h). The teardown frees what measurements
 * took, and fails where a packet of the pool is missing. */
void fake_dispatcher_setup(void);
void fake_dispatcher_teardown(void);

/*
 * What gazellectl gets for a request: it is encoded, handled and decoded as always, only the socket
 * is missing. The answer is the caller's, for fake_ask_done(). NULL: ltran refused, and *err, for
 * free(), says why.
 */
void *fake_ask(enum ctl_command command, const void *request, char **err);
void fake_ask_done(enum ctl_command command, void *answer);

#endif
