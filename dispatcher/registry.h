/* SPDX-License-Identifier: BSD-3-Clause */
/* What the registry's files share; the rest of ltran sees dispatcher.h. */
#ifndef DISPATCHER_REGISTRY_H
#define DISPATCHER_REGISTRY_H

#include <limits.h>
#include <sys/socket.h>

#include "dispatcher/dispatcher.h"
#include "dispatcher/helper.h"

#define REGISTRY_QUEUE_SIZE 1024     /* descriptors of a ring */
#define REGISTRY_STRANGERS 64        /* connections that have not registered (yet) ... */
#define REGISTRY_USER_STRANGERS 16   /* ... of one user */
#define REGISTRY_PER_S 100           /* registrations of one user, after a burst of ... */
#define REGISTRY_BURST 256           /* ... so many beyond twice dispatch_max_clients */
#define REGISTRY_USERS 64            /* users who have registered lately */
#define REGISTRY_SILENCE_US 5000000  /* they may take that long */
#define REGISTRY_RESUME_US 3000000   /* after our start, instances of an earlier ltran come first */
#define REGISTRY_FIRST_BLOCKS 4      /* of local ports, for a new instance */
#define REGISTRY_GRANTS 8            /* LTRAN_LISTEN answers that its table need not show yet */
#define REGISTRY_GRANT_US 2000000
#define REGISTRY_GONE_MAX 4096       /* addresses without instances ... */
#define REGISTRY_USER_GONE 1024      /* ... that were one user's */
#define REGISTRY_USER_AWAITED 64     /* of MAP_AWAITED_MAX */

/* The process at the other end of a connection. */
struct registry_peer {
	pid_t pid;
	uid_t uid;
	uint64_t exe_dev, exe_ino;
};

/* LTRAN_LISTEN was answered with yes. */
struct registry_grant {
	uint64_t until_us;
	uint32_t identity;
	uint16_t port;
	uint8_t protocol, reuseport;
};

/* A registration that waits for those of before our start; see registry_restart.c. */
struct registry_waiting {
	struct ltran_register request;
	int table_fd;
};

/* An answer with descriptors that may still be on its way; see registry_answer.c. */
struct registry_unread {
	unsigned int n_fds; /* 0: it is not */
	/* the connection has been closed otherwise */
	struct registry_unread *next;
	int fd;
	struct registry_peer peer;
};

struct registry_client {
	struct registry_client *next, *next_closed;
	int fd;
	bool is_closed, is_held; /* held: its user has had its share of our time (time_share.h) */
	struct registry_peer peer;
	uint64_t deadline_us;     /* to register */
	struct member *m;         /* NULL: not registered */
	struct registry_waiting *waiting;
	uint64_t answer_until_us; /* not 0: our answer has to wait */
	struct registry_unread unread;
	struct registry_grant grants[REGISTRY_GRANTS];
	unsigned int next_grant;
};

struct registry_gone {
	uint32_t addr;
	uid_t uid;
	uint64_t until_us;
};

struct registry_awaited {
	struct map_awaited port;
	uid_t uid;       /* of who has gone */
	uint64_t number; /* in the order in which they came */
};

/* How often a user has registered: a bucket that empties with time. */
struct registry_user {
	uid_t uid;
	uint64_t n, since_us;
};

struct farewells;

struct registry {
	struct ltran *lt;
	char dir[PATH_MAX], path[LTRAN_PATH_MAX]; /* of the socket */
	int lock_fd, listen_fd, epoll_fd, stop_fd;
	_Atomic bool must_stop;
	pthread_t thread;
	bool has_thread;

	/* written by the control thread with the lock held; others read with it */
	pthread_mutex_t lock;
	struct member *members[MEMBERS_MAX]; /* in order of registration; fd -1: leaving */
	unsigned int n_members;

	/* control thread */
	struct registry_client *clients, *closed;
	unsigned int n_clients;
	struct registry_unread *unread; /* of connections that have been closed */
	uint32_t counter; /* in names of rings */
	unsigned int per_s; /* REGISTRY_PER_S; tests have other ones */
	struct registry_user users[REGISTRY_USERS];
	unsigned int n_users;
	struct registry_gone gone[REGISTRY_GONE_MAX];
	unsigned int n_gone;
	struct registry_awaited awaited[MAP_AWAITED_MAX];
	unsigned int n_awaited;
	uint64_t awaited_number; /* of the last one */
	struct member *superseded; /* leaves because its instance has registered anew */
	bool is_unsettled; /* the map does not say yet who has left */
	uint64_t deaf_until_us;     /* not 0: nobody is let in */
	unsigned int n_spent;       /* who have come since it was 0 and are held */
	uint64_t check_us; /* next look at rings and clocks */
	char (*expected)[LTRAN_PATH_MAX]; /* rings of before our start, see registry_restart.c */
	unsigned int n_expected;
	uint64_t expect_until_us;
	struct farewells *farewells;
	uint64_t n_refused, n_bad_messages;
};

uint64_t registry_now_us(void);

/* --- registry.c: the control thread --------------------------------------------------------------- */

/* registry_start() with a run directory; for tests. */
int registry_start_in(struct ltran *lt, const char *dir, char *err, size_t err_len);
/* The connection has ended, or is ended for `why` (NULL: by the instance). */
void registry_close_client(struct registry *r, struct registry_client *c, const char *why);

/* --- registry_message.c ---------------------------------------------------------------------------- */

union registry_message {
	struct ltran_header header;
	struct ltran_register request;
	struct ltran_listen listen;
	struct ltran_ports ports;
};

/* False: not a message that may come now. Takes `*fd` where it returns with -1 in it. */
bool registry_handle(struct registry *r, struct registry_client *c, union registry_message *q,
	size_t len, int *fd);
/* Checks, admits and answers. Takes `table_fd`. */
void registry_register(struct registry *r, struct registry_client *c, const struct ltran_register *q,
	int table_fd);

/* --- registry_answer.c ---------------------------------------------------------------------------- */

/* A refusal (`status` < 0) ends the connection. */
void registry_answer(struct registry *r, struct registry_client *c, int status, const char *text);
/* Answers that had to wait. True: some still have to. */
bool registry_answer_again(struct registry *r, uint64_t now_us);
/* Has the process, or its user, too many answers unread? 0 or -EBUSY. */
int registry_check_unread(struct registry *r, const struct registry_peer *peer, char *text);
/* Takes the descriptor of a closed client whose answer is unread; false: it is not. */
bool registry_hold_unread(struct registry *r, struct registry_client *c);
/* Closes those that have been read by now, or all. */
void registry_drop_unread(struct registry *r, bool all);

/* --- registry_socket.c ------------------------------------------------------------------------------ */

int registry_listen_at(struct registry *r, char *err, size_t err_len);
void registry_unlisten(struct registry *r);
/* False: it has ended. */
bool registry_peer_of(const struct ucred *cred, struct registry_peer *peer);
/* One message of user `uid` into `buf`; its first descriptor into *fd (-1: none), others are closed. What
 * recvmsg() returns; a message longer than `len` is as long as `len` + 1. */
ssize_t registry_receive(int from, void *buf, size_t len, int *fd, uid_t uid);
/* With `n` descriptors. */
bool registry_send(int to, const void *message, size_t len, const int *fds, unsigned int n);

/* --- registry_names.c -------------------------------------------------------------------------------- */

/* The name of a ring; false: too long. */
bool registry_name_ring(const struct registry *r, const struct registry_peer *peer, uint32_t counter,
	char path[LTRAN_PATH_MAX]);
/* The directory of a user's rings. 0, or -errno with a line for people. */
int registry_make_room(const struct registry *r, uid_t uid, char *text);
void registry_remove_room(const struct registry *r, uid_t uid);
int registry_names_fit(const struct registry *r);
/* client_group: access for its members. */
int registry_let_group_in(const struct registry *r, char *err, size_t err_len);

/* --- registry_check.c, registry_user.c: may it register? --------------------------------------------------------------- */

/* 0, or -errno with a line for people. */
int registry_check_request(const struct ltran *lt, const struct ltran_register *q, char *text);
int registry_check_ring(const struct registry *r, const struct ltran_register *q,
	const struct registry_peer *peer, char *text);
int registry_check_sharing(const struct registry *r, const struct ltran_register *q,
	const struct registry_peer *peer, char *text);
/* The bounds of one user, so that others have their part: registrations a second, instances. */
int registry_check_user(struct registry *r, uid_t uid, uint64_t now_us, char *text);
/* Maps the socket table into m->tables. Takes `fd`. */
int registry_map_table(struct member *m, int fd, char *text);
void registry_unmap_table(struct member *m);
/* `to`, which has none, gets that of `from`. */
void registry_move_table(struct member *to, struct member *from);

/* --- registry_member.c: members and the map -------------------------------------------------------- */

/* A member for this request, in the map and with a ring. NULL: *status and `text` say why. Takes
 * `table_fd`. */
struct member *registry_join(struct registry *r, const struct ltran_register *q,
	const struct registry_peer *peer, int fd, int table_fd, int *status, char *text);
/* It goes: out of the map now, then its ring, then its peers hear of it. */
void registry_leave(struct registry *r, struct member *m);
/* A map of all that are there. False: no memory; to be called again. */
bool registry_settle(struct registry *r);
/* Addresses without instances whose time is over. */
void registry_forget_gone(struct registry *r, uint64_t now_us);
/* The instance has got its ends, or will not. */
void registry_close_bells(struct member *m);
struct member *registry_member_with(const struct registry *r, const char *path);
void registry_free_members(struct registry *r);

/* --- registry_awaited.c ------------------------------------------------------------------------------ */

/* `m` goes, and its table is still there: the next map waits for others to listen where they may. */
void registry_await(struct registry *r, const struct member *m);
void registry_show_awaited(const struct registry *r, struct map *map);
void registry_forget_awaited(struct registry *r);

/* --- registry_ports.c -------------------------------------------------------------------------------- */

bool registry_ports_are_free(const struct registry *r, const struct member *m);
/* Up to `n` more blocks for `m`; how many it got. */
unsigned int registry_give_ports(const struct registry *r, struct member *m, unsigned int n);
/* 0 or -EADDRINUSE, with *pid. */
int registry_may_listen(const struct registry *r, struct registry_client *c,
	const struct ltran_listen *q, uint32_t *pid);

/* --- registry_restart.c: instances of an earlier ltran ------------------------------------------------ */

/* Looks for rings of living instances in the run directory and removes those of dead ones. */
void registry_expect(struct registry *r, uint64_t now_us);
/* One of them has come. */
void registry_arrived(struct registry *r, const char *path);
/* Must others wait for them? */
bool registry_is_expecting(const struct registry *r, uint64_t now_us);

#endif
