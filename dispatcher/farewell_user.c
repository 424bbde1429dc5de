/* SPDX-License-Identifier: BSD-3-Clause */
/* Who has had how much of the farewells. The list is short: users with instances that have just gone. */
#include "dispatcher/farewell_user.h"

#include <stdlib.h>

#define FRAMES_PER_S 10000u
#define FRAMES_BURST 1000u
#define ASKS_PER_S 100u
#define ASKS_BURST 256u
#define IDLE_US 10000000u /* then a user is forgotten */

static void
refill(struct tokens *t, uint64_t per_s, uint64_t burst, uint64_t now_us)
{
	uint64_t more = (now_us - t->since_us) * per_s / 1000000;

	if (more == 0)
		return;
	t->n = t->n + more < burst ? t->n + more : burst;
	t->since_us = now_us;
}

struct farewell_user *
farewell_user_of(struct farewell_user **users, uid_t uid, uint64_t now_us)
{
	struct farewell_user *u;

	for (u = *users; u != NULL && u->uid != uid; u = u->next)
		;
	if (u == NULL)
		u = calloc(1, sizeof(*u));
	if (u == NULL)
		return NULL;
	if (u->used_us == 0) {
		u->uid = uid;
		u->frames = (struct tokens){FRAMES_BURST, now_us};
		u->asks = (struct tokens){ASKS_BURST, now_us};
		u->next = *users;
		*users = u;
	}
	u->used_us = now_us;
	return u;
}

void
farewell_users_run(struct farewell_user **users, uint64_t now_us)
{
	struct farewell_user *u;

	while ((u = *users) != NULL) {
		if (u->n_farewells > 0)
			u->used_us = now_us;
		refill(&u->frames, FRAMES_PER_S, FRAMES_BURST, now_us);
		refill(&u->asks, ASKS_PER_S, ASKS_BURST, now_us);
		if (now_us - u->used_us <= IDLE_US) {
			users = &u->next;
			continue;
		}
		*users = u->next;
		free(u);
	}
}

void
farewell_users_free(struct farewell_user **users)
{
	struct farewell_user *u;

	while ((u = *users) != NULL) {
		*users = u->next;
		free(u);
	}
}
