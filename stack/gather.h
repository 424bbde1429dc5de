/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * low_power_mode under load: when many peers send small requests one after the other, a program is
 * woken, or polls, for each of them. A short sleep at the first lets others join it: one walk, one
 * burst and one system call of the port for all, and no polling in between.
 *
 * That pays with many peers only: one peer would just wait. And it is needed only where events come
 * one by one: on a wire without system calls a busy program finds many at a time anyway. So it is
 * tried after a row of lonely events, kept up while it brings several at a time, left out for a few
 * waits now and then to see whether they come together without it, and tried ever more rarely while
 * it brings nothing. Per thread, no lock.
 */
#ifndef STACK_GATHER_H
#define STACK_GATHER_H

#include <stdbool.h>
#include <stdint.h>

#define GATHER_PAYS 4 /* events */
#define GATHER_TRY_FIRST 64 /* waits between two tries, doubled by each that fails */
#define GATHER_TRY_LAST 4096
#define GATHER_ROW 256 /* gathered waits in a row, and */
#define GATHER_CHECK 8 /* others between two rows */

struct gather {
	bool on;
	bool tried;        /* the result is still to come */
	uint32_t n_waits;  /* since the last try, each for less than GATHER_PAYS events */
	uint32_t interval; /* of tries; 0: GATHER_TRY_FIRST */
	uint32_t n_row;
};

/* The program has got `n` events. */
static inline void
gather_result(struct gather *g, int n)
{
	if (!g->tried) {
		if (n >= GATHER_PAYS)
			g->n_waits = 0;
		return;
	}
	g->tried = false;
	g->on = n >= GATHER_PAYS;
	if (g->on)
		g->interval = GATHER_TRY_FIRST;
	else if (g->interval < GATHER_TRY_LAST)
		g->interval *= 2;
	if (g->on && ++g->n_row == GATHER_ROW) {
		g->on = false;
		g->n_row = 0;
		g->n_waits = g->interval - GATHER_CHECK;
	}
}

/* There is something for the program: shall it wait for more? Once per wait. */
static inline bool
gather_wanted(struct gather *g)
{
	gather_result(g, 0); /* nobody has told: it was not for a set of many */
	if (g->interval == 0)
		g->interval = GATHER_TRY_FIRST;
	if (!g->on && ++g->n_waits < g->interval)
		return false;
	g->n_waits = 0;
	g->tried = true;
	return true;
}

#endif
