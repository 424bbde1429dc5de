/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * poll and select over both worlds: what they have in common.
 */
#ifndef PRELOAD_POLLING_H
#define PRELOAD_POLLING_H

#include "preload/wait.h"
#include "stack/user.h"

#include <poll.h>
#include <signal.h>

struct ready_set;

/* One call in progress. */
struct poll_call {
	nfds_t n, room;
	struct pollfd *fds;    /* what the program asks */
	struct file **files;   /* n entries; NULL: the kernel's. References are held */
	struct pollfd *kernel; /* n + WAIT_OWN_FDS entries: a copy with ours blanked out */
	nfds_t n_held;         /* entries of `files` that are filled in */
	bool has_kernel;
	uint64_t kernel_asked; /* ticks */
};

/* Does a call with this descriptor need us? */
bool poll_is_ours(int fd);

/* The kernel's part of a signal mask, which is all that programs must have there. */
static inline int poll_get_mask(sigset_t *to, const sigset_t *program)
{
	sigemptyset(to);
	return user_get(to, program, NSIG / 8);
}

/* These in a section. */
/* A call for `n` descriptors whose `fds` the caller fills in, or NULL without memory. */
struct poll_call *poll_begin(nfds_t n);
/* Wait for what `c` asks, and give the answer there. -EAGAIN: nothing of the stack is in it, the
 * kernel can do all; -EBADF: `c` is gone (an answer of poll() never is). */
long poll_do(struct poll_call *c, uint64_t timeout_ns, const sigset_t *mask);
void poll_end(void *call);

/* Make the thread's ready set watch what `c` watches. NULL: nothing of the stack's is in it, or there is
 * no memory: there is nothing to run or to sleep on. fd_poll_set.c. */
struct ready_set *poll_set_prepare(const struct poll_call *c);
/* The thread ends. */
void poll_set_clear(void);

#endif
