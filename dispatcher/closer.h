/* SPDX-License-Identifier: BSD-3-Clause */
/* Getting rid of descriptors that came from instances; see closer.c. */
#ifndef DISPATCHER_CLOSER_H
#define DISPATCHER_CLOSER_H

/* Once, while the process has a single thread. Without it closer_close() is close(). */
void closer_start(void);
/* Closes `fd` soon, without waiting for whoever has made it. Any thread. */
void closer_close(int fd);

struct msghdr;
/* The descriptors that came with a message (SCM_RIGHTS): the first `max` into fds[], their number is
 * returned; the others are closed as above. */
unsigned int closer_take_fds(struct msghdr *msg, int *fds, unsigned int max);

#endif
