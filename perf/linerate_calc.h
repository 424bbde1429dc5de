/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The arithmetic of linerate: when packets are due, what became of them, which rate to try next.
 * No I/O, no clock of its own: times are arguments, in cycles of any counter.
 */
#ifndef PERF_LINERATE_CALC_H
#define PERF_LINERATE_CALC_H

#include <stdbool.h>
#include <stdint.h>

/* --- pacer: a rate, packet by packet ----------------------------------------------------------- */

struct pacer {
	uint64_t start;
	double per_cycle; /* packets; 0: as many as will go */
	uint64_t given;   /* packets that were due and handed out or have lapsed */
	uint64_t lapsed;  /* of them: not sent, because the sender came too late for more than `depth` */
	uint32_t depth;   /* packets that may be sent late at one time */
};

/* How many packets to send now, at most `max`. Credit above `depth` is lost: a sender that was away
 * must not make up for it by a burst that no path of the asked rate would see. */
uint32_t pacer_due(struct pacer *p, uint64_t now, uint32_t max);

/* --- flow: sequence numbers ---------------------------------------------------------------------- */

#define FLOW_WINDOW 65536 /* packets back in which a duplicate is recognised */

struct flow {
	uint64_t sent;       /* with those the port refused: the path had no room for them */
	uint64_t refused;
	uint64_t received;   /* each sequence number once */
	uint64_t reordered;  /* of them: after a later one */
	uint64_t duplicates;
	uint32_t next;       /* sequence number behind the highest received */
	uint64_t seen[FLOW_WINDOW / 64];
};

/* Note the arrival of `seq`. False: a duplicate. */
bool flow_receive(struct flow *f, uint32_t seq);
/* Share of all packets sent that did not come back, 0 to 1. */
double flow_loss(const struct flow *f);

/* --- slices: when packets were sent, and when the machine was away ---------------------------------- */

struct slice {
	uint32_t sent, received; /* packets, by the time they were sent */
	bool disturbed;
};

/* `n` slices of `length` cycles from `start` on; what lies beyond counts for the last one. */
struct slices {
	uint64_t start, length;
	uint32_t n;
	struct slice *at;
};

/* The slice of a time. */
struct slice *slices_at(const struct slices *s, uint64_t time);
/* One end was away from `from` to `to`: losses of that time, and of the slices next to it, are not
 * the path's. */
void slices_disturb(const struct slices *s, uint64_t from, uint64_t to);
/* Share of slices that are disturbed, 0 to 1. */
double slices_disturbed(const struct slices *s);
/* Share of the packets sent in the other slices that did not come back, 0 to 1. */
double slices_loss(const struct slices *s);

/* --- search: the highest rate that passes (RFC 2544 26.1) ------------------------------------------ */

struct search {
	double passed, failed; /* highest rate that passed, lowest that did not; 0: none yet */
	double precision;      /* relative width of the bracket at which it ends */
	double first;          /* rate to begin with, from which there is no way up */
};

/* The next rate to try; 0: the search is over, `passed` is its result. */
double search_next(const struct search *s);
void search_note(struct search *s, double rate, bool passed);

#endif
