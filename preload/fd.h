/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Descriptors: number -> file (socket or epoll object of ours). What is not in the table is the
 * kernel's and is never looked at again.
 */
#ifndef PRELOAD_FD_H
#define PRELOAD_FD_H

#include "preload/fd_check.h"
#include "preload/process.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/resource.h>

struct ready_set;
struct ready_watch;
struct sock;

enum {
	FD_MAX = 1 << 20, /* descriptors from here on are always the kernel's */
	FD_PAGE = 1024,
};

enum file_kind {
	FILE_FREE, /* a placeholder waiting in the pool: closed, as far as the program can see */
	FILE_SOCK,
	FILE_EPOLL,
};

/* Who may answer for a socket. Both: undecided, or bound to any address. */
enum {
	HALF_KERNEL = 1,
	HALF_STACK = 2,
};

/* A socket option set before the stack half exists, to be repeated on it. */
struct sock_option {
	struct sock_option *next;
	int level, name;
	socklen_t len;
	char val[];
};

struct file_sock {
	_Atomic(struct sock *) sock; /* NULL: no stack half yet (or no more, after fork) */
	struct sock *left; /* fd_lock: the stack half is gone, but calls in progress may be using it */
	_Atomic uint8_t halves;
	/* The kernel half has not been needed yet: a placeholder has its number, and
	 * socket_make_kernel() makes it. */
	_Atomic bool is_lazy;
	bool is_cloexec; /* of a placeholder's number: what the program asked for */
	bool is_udp;
	bool is_v6; /* an IPv6 socket: the stack half serves the IPv4 it can carry */
	bool is_listening;
	bool is_connecting; /* a non-blocking connect() has begun; the next one reports it */
	bool is_bound;      /* `local` is what the program asked for, with the port chosen */
	bool is_dead;       /* inherited by fork(): the stack stayed with the parent */
	bool is_append;     /* O_APPEND, for F_GETFL only */
	bool kernel_active; /* the kernel half is bound or has sent: it may have something for us */
	_Atomic bool is_nonblock;
	int backlog;
	pid_t listened_by; /* who called listen(): another process, where it has been inherited by fork() */
	struct sockaddr_in local;
	struct sock_option *options;
	uint64_t recv_timeout_ns, send_timeout_ns; /* 0: none */
	_Atomic uint64_t kernel_asked;             /* clock_ticks() */
	_Atomic uint32_t kernel_seen;              /* socket_kernel_events when it had nothing */
};

/* A file watched by a set, see watch.h. */
struct watch;
LIST_HEAD(watch_list, watch);

struct watch_set {
	_Atomic(struct ready_set *) ready; /* made with the first watch on a stack half */
	struct watch_list watches;         /* fd_lock */
	_Atomic uint32_t n_ready;          /* watches on a stack half */
};

struct file_epoll {
	struct watch_set set;
	_Atomic uint32_t n_kernel; /* entries of the kernel's set; may count closed ones, never less */
	_Atomic uint32_t sleepers; /* threads asleep in the kernel's epoll_wait */
	bool bell_hangs;           /* fd_lock: see fd_epoll.c */
	_Atomic bool is_nested;    /* another epoll, poll or select looks at its descriptor */
	bool nest_hangs;           /* fd_lock: the eventfd of the ready set is in the kernel's set */
	_Atomic uint64_t kernel_asked; /* clock_ticks() */
	_Atomic bool kernel_was_last;  /* the last answer had events of the kernel's half */
};

/*
 * Type-stable: memory of a file is only ever reused as a file, so that fd_get() may look at the
 * count of one that is being released. Fields change under fd_lock; atomic ones are read without.
 */
struct file {
	_Atomic uint32_t refs; /* one per descriptor, one per call in progress; 0: not in use */
	uint8_t kind;
	int pooled_fd;  /* the one of its descriptors that is a placeholder of the pool, or -1 */
	int fd;         /* a descriptor of this file, -1 when only calls in progress hold it */
	struct watch_list watchers; /* sets that watch this file; fd_lock */
	uint64_t inode; /* fd_lock: see fd_check.c; 0: not known */
	union {
		struct file_sock sock;
		struct file_epoll epoll;
		struct file *next_free;
	};
} __attribute__((aligned(64)));

struct fd_page {
	_Atomic(struct file *) slots[FD_PAGE];
};

_Static_assert(FD_MAX / FD_PAGE == PROCESS_FD_PAGES, "every number has a place in the table");
extern struct file fd_free; /* stands in the slots of placeholders that wait in the pool */

/* Slow and rare state changes of all files, and the watch lists. Not held across waiting. */
void fd_lock(void);
void fd_unlock(void);
void fd_lock_in_child(void); /* of fork(): as it was before */

/* A new file with one reference, or NULL. */
struct file *file_new(enum file_kind kind);
void file_release(struct file *f);
/* Next live file after `pos` (0 at the start), NULL at the end; fd_lock. The reference is taken. */
struct file *file_next(size_t *pos);
void file_memory_lock(void); /* for fork() */
void file_memory_unlock(void);

/* Put a file into the table: takes over a reference. Throws out a stale entry. 0 or -errno. */
int fd_install(int fd, struct file *f);
/* Take it out: the reference passes to the caller. NULL: not ours. &fd_free stays in its slot. */
struct file *fd_remove(int fd);
/* The same, and the number is closed to all threads from now on (fd_free is in its slot): it is nobody's until
 * fd_pool_give() or fd_pool_closed(). */
struct file *fd_close(int fd);
/* Another descriptor that refers to `f`, or -1. */
int fd_find(const struct file *f);
void fd_set_free(int fd, bool is_free);
/* The number is the kernel's, if it was free; what else it stands for now stays. */
void fd_unfree(int fd);
/* `fd` is a placeholder of the pool from now on. What was in its slot: the reference is the caller's. */
struct file *fd_swap_free(int fd);
/* `fd` is no descriptor of `f` any more, if it still was one in the table: its reference is given back. */
void fd_leave(int fd, struct file *f);
/* The kernel has just handed this number out for something else: drop what it stood for. */
void fd_forget(int fd);

static inline void file_hold(struct file *f)
{
	atomic_fetch_add_explicit(&f->refs, 1, memory_order_relaxed);
}

static inline bool file_try_hold(struct file *f)
{
	uint32_t refs = atomic_load_explicit(&f->refs, memory_order_relaxed);

	while (refs != 0)
		if (atomic_compare_exchange_weak_explicit(&f->refs, &refs, refs + 1,
			    memory_order_acquire, memory_order_relaxed))
			return true;
	return false;
}

static inline void file_put(struct file *f)
{
	if (f != &fd_free &&
		atomic_fetch_sub_explicit(&f->refs, 1, memory_order_acq_rel) == 1)
		file_release(f);
}

/* What a number stands for at this moment, without taking a reference: for tests on NULL. */
static inline struct file *fd_peek(int fd)
{
	if ((unsigned int)fd >= FD_MAX)
		return NULL;
	struct fd_page *page =
		atomic_load_explicit(&process.fd_pages[(unsigned int)fd / FD_PAGE], memory_order_acquire);
	return page ? atomic_load_explicit(&page->slots[fd % FD_PAGE], memory_order_acquire) : NULL;
}

/* The same where that is not done with one look. `f`: what was in the slot. */
struct file *fd_get_again(int fd, struct file *f);
/* It was done, but the number has to be checked, or has changed meanwhile. */
struct file *fd_get_checked(int fd, struct file *f);

/* fd_get() for one who has peeked: `f` is what was there. */
static inline __attribute__((always_inline)) struct file *fd_get_peeked(int fd, struct file *f)
{
	if (f == NULL)
		return NULL;
	if (__builtin_expect(f == &fd_free || !file_try_hold(f), 0))
		return fd_get_again(fd, f);
	if (__builtin_expect(fd_peek(fd) != f ||
			atomic_load_explicit(&fd_checks, memory_order_relaxed) != 0, 0))
		return fd_get_checked(fd, f);
	return f;
}

/* The file behind a descriptor, with a reference, or NULL: the kernel's. In a section (thread.h). */
static inline struct file *fd_get(int fd)
{
	return fd_get_peeked(fd, fd_peek(fd));
}

/* As fd_get(), but only sockets of ours. */
static inline struct file *fd_get_sock(int fd)
{
	struct file *f = fd_get(fd);

	if (f && f->kind != FILE_SOCK) {
		file_put(f);
		return NULL;
	}
	return f;
}

/* Is it a socket of ours? */
bool fd_is_sock(int fd);

/* Does `fd` wait in the pool? To the program it is closed, though the kernel has a placeholder there. */
bool fd_is_closed_surely(int fd);
static inline bool fd_is_closed(int fd)
{
	return __builtin_expect(fd_peek(fd) == &fd_free, 0) && fd_is_closed_surely(fd);
}

/* --- the program's limit (fd_limit.c) ------------------------------------------------------------ */

extern _Atomic unsigned int fd_limit_known;
bool fd_limit_ask(unsigned int n);

/* Is the program's RLIMIT_NOFILE lower than `n`? */
static inline bool fd_limit_is_below(unsigned int n)
{
	return __builtin_expect(
		       n > atomic_load_explicit(&fd_limit_known, memory_order_relaxed), 0) &&
		fd_limit_ask(n);
}

/* --- the pool of placeholders (fd_pool.c) ------------------------------------------------------ */

/* A descriptor number for a connection of the stack, or -EMFILE, -ENFILE. No system call as long
 * as the pool has one. */
int fd_pool_take(void);
/* Is there one, after a refill if needed? */
bool fd_pool_has(void);
/* Give back the number of a closed connection (fd_close()), if nobody has taken it meanwhile by dup2();
 * closes it when the pool is full. */
void fd_pool_give(int fd);
/* Give back what fd_pool_take() gave, and was not used. */
void fd_pool_give_unused(int fd);
/* The kernel's descriptor of a number from fd_close() has been closed: the number is the kernel's again. */
void fd_pool_closed(int fd);
/* A placeholder takes the place of the kernel's socket behind `fd`, which has moved to the stack. True:
 * it may go to the pool when it is closed. */
bool fd_pool_stand_in(int fd);
/* The program takes this number for something else (dup2): drop it without closing. */
void fd_pool_forget(int fd);
/* A number that waits in the pool: is it still a placeholder? If not it is the kernel's from now on. */
bool fd_pool_verify(int fd);
/* Give back all that wait, for the kernel to hand out; false: none waited. */
bool fd_pool_empty(void);
/* The kernel's soft limit is another now: numbers from there on do not wait. */
void fd_pool_limit(rlim_t soft);
/* The library has lowered the kernel's soft limit to this, for descriptors of its own. Any thread. */
void fd_pool_reserved(rlim_t soft);
/* Can the kernel hand out a number? Asked only where placeholders wait. */
bool fd_pool_leaves_room(void);
/* The program closes descriptors behind our back. Lock-free. */
void fd_pool_doubt(void);
/* One of the numbers 0 to 2 has been closed. */
void fd_pool_low_is_free(void);
/* A number beyond the kernel's limit: there is no kernel descriptor of that number. */
bool fd_is_own(int fd);
/* A kernel descriptor that can stand for `fd` in calls that only need some socket. */
int fd_kernel(int fd);
/* Where there are such numbers: the program's soft limit, which may be above them or below; 0: there
 * are none. */
int fd_pool_own_limit(void);
void fd_pool_limit_own(rlim_t soft);
void fd_pool_lock(void);
void fd_pool_unlock(void);

#endif
