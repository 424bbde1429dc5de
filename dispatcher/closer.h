/* SPDX-License-Identifier: BSD-3-Clause */
/* Getting rid of descriptors that came from instances; see closer.c. Any thread. */
#ifndef DISPATCHER_CLOSER_H
#define DISPATCHER_CLOSER_H

#include <stdbool.h>
#include <sys/types.h>

/* Once, while the process has a single thread. Without it all closing is close(). */
void closer_start(void);
/* Closes `fd`, which a process of user `uid` has sent, without waiting for whoever has made it. */
void closer_close(int fd, uid_t uid);
/* Hangs up a connection with a process of another user: at once for the peer, and without waiting for what
 * is on its way over it. */
void closer_hang_up(int fd);
/* False: the user has sent many descriptors which nobody could close yet, and on its connection `fd` more of
 * them may be next; nothing is to be read there. */
bool closer_may_read(int fd, bool is_stream, uid_t uid);
#define CLOSER_FULL_TEXT "its user has sent descriptors whose close() waits for somebody"
/* `fd` has the lock that is to be let go however ltran ends. */
void closer_set_lock(int fd);

bool closer_is_eventfd(int fd);

struct msghdr;
/* The descriptors that came with a message of user `uid` (SCM_RIGHTS): the first `max` into fds[], their
 * number is returned; the others are closed as above. */
unsigned int closer_take_fds(struct msghdr *msg, int *fds, unsigned int max, uid_t uid);

#endif
