/* SPDX-License-Identifier: BSD-3-Clause */
/* What all farewells of one user may have together; see farewell.c. Control thread. */
#ifndef DISPATCHER_FAREWELL_USER_H
#define DISPATCHER_FAREWELL_USER_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define USER_FAREWELLS 32u
#define USER_TABLE_BYTES (64ul << 20)
#define USER_CONNS 131072u
#define USER_HOPS 4096u

/* Tokens that come back with time. */
struct tokens {
	uint64_t n, since_us;
};

struct farewell_user {
	struct farewell_user *next;
	uid_t uid;
	unsigned int n_farewells;
	size_t table_bytes, n_conns, n_hops;
	struct tokens frames, asks; /* frames it may send now, ARP requests among them */
	uint64_t used_us;
};

/* The user's entry, made if there is none; NULL: no memory. */
struct farewell_user *farewell_user_of(struct farewell_user **users, uid_t uid, uint64_t now_us);
/* Tokens come back; those who have nothing any more for a while are forgotten. */
void farewell_users_run(struct farewell_user **users, uint64_t now_us);
void farewell_users_free(struct farewell_user **users);

#endif
