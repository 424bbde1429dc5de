/* SPDX-License-Identifier: BSD-3-Clause */
/* A ready set, between ready.c and ready_watch.c. */
#ifndef STACK_READY_SET_H
#define STACK_READY_SET_H

#include "stack/impl.h"
#include "stack/ready_fifo.h"

#define READY_ALWAYS (EPOLLERR | EPOLLHUP) /* events that nobody has to ask for */
#define READY_ARMED_BY_CALLER 0x80000000u /* ready_arm() */

struct ready_set {
	struct stack_group *group;
	struct spin lock;
	_Atomic(struct ready_watch *) in;
	struct ready_fifo fifo;
	/* READY_ARMED_BY_CALLER, and one for each thread that sleeps, or is about to */
	_Atomic uint32_t armed;
	_Atomic bool in_wakes; /* on a stack's wake list */
	_Atomic uint32_t n_in_hand; /* stacks that have yet to wake it */
	_Atomic int eventfd;   /* -1: there was no number for one; changes once */
	struct ready_watch *all; /* under lock */
};

#endif
