/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What happens to the peers of an instance that has ended without closing its connections: they are
 * asked, and their answers are reset. Control thread.
 */
#ifndef DISPATCHER_FAREWELL_H
#define DISPATCHER_FAREWELL_H

#include <stdbool.h>
#include <stdint.h>

struct farewells;
struct ltran;
struct member;

struct farewells *farewells_create(struct ltran *lt);
void farewells_free(struct farewells *f);

/* `m` is in no map any more. Takes its socket table. */
void farewell_start(struct farewells *f, struct member *m, uint64_t now_us);

/* The next piece of the work; true: there is more, call again soon. */
bool farewells_run(struct farewells *f, uint64_t now_us);

#endif
