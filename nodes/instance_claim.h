/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Who has a kernel device with an address: (network namespace, device, address) belongs to one process at a
 * time. Called by the thread that starts or stops the instance, with all signals blocked.
 */
#ifndef NODES_INSTANCE_CLAIM_H
#define NODES_INSTANCE_CLAIM_H

#include <net/if.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

/* A holder that is being killed has so long to disappear: the kernel takes up to 0.3 s. */
#define CLAIM_WAIT_MS 2000

struct claims;

struct claim_params {
	const char *const *args; /* of DPDK */
	unsigned int n_args;
	uint32_t addr;           /* network order */
	const sigset_t *signals; /* the program's mask, for a start that waits */
	unsigned int wait_ms;    /* before the claim of another makes the start fail */
};

/*
 * Take every kernel device that DPDK is about to open. 0, or -errno with a line for people in `err`: -EBUSY
 * where another program has one, -EINTR where a signal came while waiting. *out (NULL: there was no memory) is
 * to be given to claims_release(), also after a failure.
 */
int claims_take(const struct claim_params *p, struct claims **out, char *err, size_t err_len);
/* In the parent, whether it has claims or not: its children may be workers that share a device. */
void claims_note_fork(void);
/* In a child of fork(): the parent alone has them. NULL allowed. */
void claims_leave_to_parent(struct claims *c);
void claims_release(struct claims *c); /* NULL allowed */

/* --- for tests ----------------------------------------------------------------------------------- */

/* The kernel device that one of DPDK's arguments opens: af_packet's, af_xdp's, a tap's with a name. */
bool claim_find_device(const char *arg, char name[IF_NAMESIZE]);
/* The address of its socket; returns the length. */
socklen_t claim_address(struct sockaddr_un *to, const char *device, uint32_t addr);

enum claim_verdict {
	CLAIM_OURS,      /* this process has it already */
	CLAIM_REFUSED,   /* another program has it */
	CLAIM_IN_LINE,   /* another worker of the same master has it: ours comes after it */
	CLAIM_ABANDONED, /* the holder is dead; a child that fork() handlers did not run in keeps the socket */
	CLAIM_SQUATTED,  /* another user keeps the name, as anybody can */
	CLAIM_UNKNOWN,   /* nobody listens, or too many ask */
};

struct claim_self {
	pid_t pid;
	pid_t master; /* the parent, where this process is a child of its by fork(); else 0 */
	uid_t uid;
};

/* `parent` is the holder's, 0: not known. */
enum claim_verdict claim_judge(const struct ucred *holder, pid_t parent, bool is_dead,
	const struct claim_self *self);

#endif
