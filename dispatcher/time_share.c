/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Connections, questions and vhost-user messages are answered by one thread, mostly on a core that also
 * moves packets. Who asks without end would have all of it. So the processor time that goes into what a
 * user's instances say is charged to the user: a bucket of BURST_NS that empties by PART of the time that
 * passes. While it is full, nothing of that user is read; it waits in the socket, and the user with it.
 * What starting an instance takes is not charged, registry_user.c bounds that.
 */
#include "dispatcher/time_share.h"

#include <time.h>

#define USERS 64
#define BURST_NS 100000000ull
#define PART 20 /* one in so many nanoseconds */

static struct user {
	uid_t uid;
	uint64_t spent_ns, since_us;
} users[USERS];
static unsigned int n_users;
static uint64_t began_ns;

static uint64_t
processor_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void
empty(struct user *u, uint64_t now_us)
{
	uint64_t gone = (now_us - u->since_us) * 1000 / PART;

	if (gone == 0)
		return;
	u->spent_ns -= gone < u->spent_ns ? gone : u->spent_ns;
	u->since_us = now_us;
}

/* Of many users the one that has spent least is forgotten. */
static struct user *
user_of(uid_t uid, uint64_t now_us)
{
	struct user *least = &users[0];

	for (unsigned int i = 0; i < n_users; i++) {
		empty(&users[i], now_us);
		if (users[i].uid == uid)
			return &users[i];
		if (users[i].spent_ns < least->spent_ns)
			least = &users[i];
	}
	if (n_users < USERS)
		least = &users[n_users++];
	*least = (struct user){.uid = uid, .since_us = now_us};
	return least;
}

void
share_charge(uid_t uid, uint64_t ns, uint64_t now_us)
{
	user_of(uid, now_us)->spent_ns += ns;
}

void
share_begin(void)
{
	began_ns = processor_ns();
}

void
share_end(uid_t uid, uint64_t now_us)
{
	share_charge(uid, processor_ns() - began_ns, now_us);
}

bool
share_is_spent(uid_t uid, uint64_t now_us)
{
	return user_of(uid, now_us)->spent_ns > BURST_NS;
}
