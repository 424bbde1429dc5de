/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Ports that are awaited: an instance has gone whose listener other processes have, too (ltran_left.h).
 * One of them may listen within a moment: a master that makes new workers, or its next worker in place of
 * one that was killed. Until then workers hold SYNs (hold.h), where they would be refused otherwise.
 */
#include "dispatcher/registry.h"
#include "nodes/ltran_left.h"

/* Where the next entry of this user goes: its part is bounded, and so is all. The one that came first goes. */
static unsigned int
choose_entry(struct registry *r, const struct member *m, uint16_t port)
{
	unsigned int n = 0, oldest = 0, own = MAP_AWAITED_MAX;

	for (unsigned int i = 0; i < r->n_awaited; i++) {
		const struct registry_awaited *w = &r->awaited[i];

		if (w->port.addr == m->addr && w->port.port == port)
			return i;
		if (w->number < r->awaited[oldest].number)
			oldest = i;
		if (w->uid != m->uid)
			continue;
		n++;
		if (own == MAP_AWAITED_MAX || w->number < r->awaited[own].number)
			own = i;
	}
	if (n >= REGISTRY_USER_AWAITED)
		return own;
	return r->n_awaited < MAP_AWAITED_MAX ? r->n_awaited++ : oldest;
}

void
registry_await(struct registry *r, const struct member *m)
{
	uint64_t now_ms = ltran_left_now_ms();

	for (unsigned int i = 0; m->left != NULL && i < LTRAN_LEFT_MAX; i++) {
		uint64_t e = __atomic_load_n(&m->left[i], __ATOMIC_ACQUIRE);
		uint32_t rest_ms = (e & LTRAN_LEFT_LISTENS) != 0 ? LTRAN_LEFT_MS : ltran_left_rest_ms(e, now_ms);

		if (e == 0 || rest_ms == 0)
			continue;
		r->awaited[choose_entry(r, m, (uint16_t)e)] = (struct registry_awaited){
			.port = {.addr = m->addr, .port = (uint16_t)e, .until_ms = now_ms + rest_ms},
			.uid = m->uid, .number = ++r->awaited_number};
	}
}

void
registry_show_awaited(const struct registry *r, struct map *map)
{
	struct map_awaited list[MAP_AWAITED_MAX];

	for (unsigned int i = 0; i < r->n_awaited; i++)
		list[i] = r->awaited[i].port;
	map_await(map, list, r->n_awaited);
}

/* Workers look at the time themselves: this needs no new map. */
void
registry_forget_awaited(struct registry *r)
{
	uint64_t now_ms = ltran_left_now_ms();
	unsigned int n = 0;

	for (unsigned int i = 0; i < r->n_awaited; i++) {
		if (now_ms < r->awaited[i].port.until_ms)
			r->awaited[n++] = r->awaited[i];
	}
	r->n_awaited = n;
}
