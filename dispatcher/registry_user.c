/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What one user may have of ltran. Where client_group lets other users than ltran's own in, no user has
 * more than seven eighths of dispatch_max_clients: somebody else can always register. And nobody
 * registers more often than ltran can bear: each time makes maps, rings and farewells.
 */
#include <errno.h>
#include <stdio.h>

#include "dispatcher/registry.h"

#define SHARE 8 /* of dispatch_max_clients, one is left to others */

/* The bucket of the user; the one that is emptiest is taken where there is none. */
static struct registry_user *
user_of(struct registry *r, uid_t uid, uint64_t now_us)
{
	struct registry_user *emptiest = &r->users[0];

	for (unsigned int i = 0; i < r->n_users; i++) {
		struct registry_user *u = &r->users[i];
		uint64_t gone = (now_us - u->since_us) * r->per_s / 1000000;

		if (gone > 0) {
			u->n -= RTE_MIN(gone, u->n);
			u->since_us = now_us;
		}
		if (u->uid == uid)
			return u;
		if (u->n < emptiest->n)
			emptiest = u;
	}
	if (r->n_users < REGISTRY_USERS)
		emptiest = &r->users[r->n_users++];
	*emptiest = (struct registry_user){.uid = uid, .since_us = now_us};
	return emptiest;
}

int
registry_check_user(struct registry *r, uid_t uid, uint64_t now_us, char *text)
{
	unsigned int max = r->lt->conf->dispatch_max_clients, n = 0;
	struct registry_user *u = user_of(r, uid, now_us);

	if (u->n >= REGISTRY_BURST + 2 * max) {
		snprintf(text, LTRAN_TEXT_MAX, "user %u registers too often: %u times a second at "
			"most", (unsigned int)uid, r->per_s);
		return -EBUSY;
	}
	u->n++;
	for (unsigned int i = 0; i < r->n_members; i++)
		n += r->members[i]->fd >= 0 && r->members[i]->uid == uid;
	if (r->lt->conf->client_group[0] == '\0' || n + RTE_MAX(max / SHARE, 1u) < max || max == 1)
		return 0;
	snprintf(text, LTRAN_TEXT_MAX, "user %u has %u instances; the rest of dispatch_max_clients = %u "
		"is for others", (unsigned int)uid, n, max);
	return -EUSERS;
}
