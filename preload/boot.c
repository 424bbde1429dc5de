/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Start, stop and fork.
 *
 * The constructor decides whether this process is ours and reads the settings: no thread, no
 * memory, no descriptor. The data path starts in the first call that needs packets, in the process
 * that makes it (boot_attach), so daemonising and master/worker programs come up attached in the
 * process that serves. A failure leaves the program on the kernel, with one line that says why, or
 * ends it where on_error asks for that. It also ends where the program has bound a socket to the
 * stack's address and the kernel does not have that: bind() has said 0 long ago, and the program would
 * wait for ever, or spin on the hang-up of such a socket. What it binds later fails in the kernel, with
 * the kernel's errno.
 *
 * fork(): a child of a process that has not attached yet may attach for itself. In a child of an
 * attached process the stack is not running and its memory must not be touched: sockets that have a
 * stack half only are dead there (EIO; close works), listening sockets go on with their kernel half,
 * and new sockets are the kernel's. fd_lock is held across fork(), so the table is consistent.
 *
 * A child that is made in other ways does not come through the handlers of fork(): see process.h. It has no
 * stack, no table and no data path, and all its calls are libc's, also those of its own children.
 *
 * exit(): other threads may still be inside the library. Those that wait are parked where they are
 * (boot_park), those that move data or begin a call at its end or begin (thread_stop). Then every
 * socket is closed, as the kernel would close it, and the stack can go.
 */
#include "preload/boot.h"
#include "common/say.h"
#include "conf/conf.h"
#include "nodes/instance.h"
#include "preload/bind.h"
#include "preload/epoll.h"
#include "preload/fd.h"
#include "preload/fd_size.h"
#include "preload/fd_table.h"
#include "preload/guard.h"
#include "preload/last_thread.h"
#include "preload/libc.h"
#include "preload/low_fds.h"
#include "preload/own_fds.h"
#include "preload/private_libs.h"
#include "preload/route.h"
#include "preload/signals.h"
#include "preload/socket.h"
#include "preload/thread_room.h"
#include "preload/wait.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { EXIT_GRACE_US = 1000000 }; /* no section is that long on a machine that moves */

/*
 * A status that masters know as "do not try again" (nginx does). Those that do not know it make the next
 * worker at once, so a process that was forked ends after a pause.
 */
enum { CANNOT_START = 2, FORKED_PAUSE_S = 1 };

_Atomic bool boot_is_ending;

static struct {
	pthread_mutex_t lock; /* held while the data path starts */
	struct conf conf;
	struct instance *instance;
	_Atomic(struct stack_group *) group;
	const char *thread_name; /* GAZELLE_THREAD_NAME */
	pid_t owner;             /* process that attached */
	pid_t loaded;            /* process that read the settings */
	_Atomic bool has_ended;
} boot = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* Not zero while this thread starts or stops the data path: its sockets are the kernel's. */
static __thread int inside;
static __thread bool ending_thread;

void boot_say(const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	vsay(format, ap);
	va_end(ap);
}

static void report(void *arg, bool is_error, const char *line)
{
	boot_say("%s%s", is_error ? "" : "warning: ", line);
}

void boot_park(void)
{
	if (!ending_thread)
		thread_park();
}

const struct conf *boot_conf(void)
{
	return &boot.conf;
}

struct stack_group *boot_group(void)
{
	return atomic_load_explicit(&boot.group, memory_order_acquire);
}

bool boot_is_starting(void)
{
	return inside != 0;
}

bool boot_takes_thread(void)
{
	char name[16];

	switch (boot_state()) {
	case BOOT_IDLE:
	case BOOT_UP:
		break;
	default:
		return false;
	}
	if (inside || fd_table_is_other() ||
		atomic_load_explicit(&boot_is_ending, memory_order_relaxed))
		return false;
	if (boot.thread_name == NULL)
		return true;
	return pthread_getname_np(pthread_self(), name, sizeof(name)) == 0 &&
		strstr(name, boot.thread_name) != NULL;
}

/* Every socket that already listens or receives gets its stack half now. */
static void attach_sockets(void *arg, struct stack_group *stacks)
{
	struct file *f;
	size_t pos = 0;
	bool may_go_on = true;

	fd_lock();
	atomic_store(&boot.group, stacks);
	while ((f = file_next(&pos)) != NULL) {
		if (f->kind == FILE_SOCK && socket_wants_stack(f))
			may_go_on = socket_materialise_late(f) && may_go_on;
		file_put(f);
	}
	fd_unlock();
	if (!may_go_on)
		boot_cannot_go_on();
}

/* False: the kernel cannot serve all of them. */
static bool surrender_sockets(void)
{
	struct file *f;
	size_t pos = 0;
	bool all = true;

	while ((f = file_next(&pos)) != NULL) {
		if (f->kind == FILE_SOCK && (f->sock.halves & HALF_STACK))
			all = socket_to_kernel(f) == 0 && all;
		file_put(f);
	}
	return all;
}

/* No file touches the stack from here on. */
static void leave_stack(void)
{
	struct file *f;
	size_t pos = 0;

	atomic_store(&process.boot_state, BOOT_ORPHAN);
	fd_lock();
	atomic_store(&boot.group, NULL);
	wait_orphan();
	poll_orphan();
	while ((f = file_next(&pos)) != NULL) {
		if (f->kind == FILE_SOCK)
			socket_orphan(f);
		else if (getpid() != boot.owner)
			epoll_orphan(f); /* else a parked thread may still be looking at it */
		file_put(f);
	}
	fd_unlock();
}

void boot_cannot_go_on(void)
{
	if (boot.loaded != getpid())
		sleep(FORKED_PAUSE_S);
	_exit(CANNOT_START);
}

static int device_is_taken(pid_t holder, char *err, size_t len)
{
	snprintf(err, len, "process %d of the same `gazelle run` has the device, which serves one program "
		"at a time (gazelle run --procname NAME says which)", (int)holder);
	return -EBUSY;
}

/* False: the program cannot go on. DPDK has large arrays on the stack: to be called with room. */
static bool start(void)
{
	char err[256] = "";
	struct low_fds low;
	pid_t holder;
	bool all;
	int r;

	inside++;
	own_fds_reserve();
	fd_size_learn();
	low_fds_take(&low);
	own_fds_begin(low.floor);
	if (boot.conf.use_ltran || bind_take_device(&holder))
		r = instance_start(
			&boot.conf, attach_sockets, NULL, &boot.instance, err, sizeof(err));
	else
		r = device_is_taken(holder, err, sizeof(err));
	own_fds_begin(low.floor);
	low_fds_give(&low);
	inside--;
	fd_check_start();
	if (r < 0) {
		boot_say("cannot start: %s; %s", err[0] ? err : strerror(-r),
			boot.conf.on_error == CONF_ON_ERROR_EXIT ?
				"the program ends (on_error = \"exit\")" :
				"the program runs on the kernel's sockets");
		if (boot.conf.on_error == CONF_ON_ERROR_EXIT)
			return false;
		if (boot_group()) { /* the stacks have been there, and are not any more */
			leave_stack();
			return true;
		}
		atomic_store(&process.boot_state, BOOT_INACTIVE);
		fd_lock();
		all = surrender_sockets();
		fd_unlock();
		if (!all)
			boot_say("the program ends: without these sockets it would be there and not "
				 "answer; its address (host_addr) is none of the kernel's");
		return all;
	}
	boot.owner = getpid();
	clock_calibrate();
	atomic_store(&process.boot_state, BOOT_UP);
	return true;
}

static void start_with_room(void *may_go_on)
{
	*(bool *)may_go_on = start();
}

struct stack_group *boot_attach(void)
{
	if (!boot_is_up() && !inside) {
		bool may_go_on = true;

		/* The second of two threads waits for the first. */
		pthread_mutex_lock(&boot.lock);
		signals_hold();
		if (boot_is_idle())
			thread_room_run(start_with_room, &may_go_on);
		pthread_mutex_unlock(&boot.lock);
		signals_release();
		if (!may_go_on) {
			/* The section of the call that started: a handler of what ended the start runs here. */
			if (signals_depth(0) > 0)
				call_close(call_open(&(struct call_holds){.file = NULL}));
			boot_cannot_go_on();
		}
	}
	return boot_group();
}

static void before_fork(void)
{
	if (!process_is_own()) {
		process_keep();
		return;
	}
	pthread_mutex_lock(&boot.lock);
	fd_lock();
	fd_pool_lock();
	file_memory_lock();
	instance_before_fork(boot.instance);
	process_keep();
}

static void after_fork_in_parent(void)
{
	if (!process_is_own())
		return;
	instance_after_fork(boot.instance, false);
	file_memory_unlock();
	fd_pool_unlock();
	fd_unlock();
	pthread_mutex_unlock(&boot.lock);
}

/* What the program left open ends as after close(): what was sent still arrives. */
static void close_sockets(void)
{
	struct file *f;
	size_t pos = 0;

	wait_clear();
	poll_clear();
	fd_lock();
	while ((f = file_next(&pos)) != NULL) {
		if (f->kind == FILE_SOCK)
			socket_close_stack(f);
		file_put(f);
	}
	fd_unlock();
}

static void after_fork_in_child(void)
{
	process_restore();
	if (!process_is_own())
		return;
	guard_after_fork();
	instance_after_fork(boot.instance, true);
	file_memory_unlock();
	fd_pool_unlock();
	fd_lock_in_child();
	pthread_mutex_unlock(&boot.lock);
	thread_orphan();
	fd_table_in_child();
	last_thread_begin();
	if (!boot_is_up())
		return;
	boot.instance = NULL;
	own_fds_end();
	leave_stack();
}

long boot_fork(long (*make)(void *arg), void *arg)
{
	long r;

	before_fork();
	r = make(arg);
	if (r == 0)
		after_fork_in_child();
	else
		after_fork_in_parent();
	return r;
}

static void __attribute__((constructor)) boot_init(void)
{
	const char *why;
	int r;

	if (!bind_is_ours())
		return;
	why = private_libs_load();
	if (why) {
		boot_say("%s; the program runs on the kernel's sockets", why);
		return;
	}
	r = conf_load(NULL, &boot.conf, report, NULL);
	if (r < 0) {
		bool must_exit = boot.conf.on_error == CONF_ON_ERROR_EXIT;

		boot_say("the settings cannot be used; %s",
			must_exit ? "the program ends (on_error = \"exit\")" :
				    "the program runs on the kernel's sockets");
		conf_free(&boot.conf);
		if (must_exit)
			_exit(CANNOT_START);
		return;
	}
	boot.loaded = getpid();
	bind_hold_conf();
	boot.thread_name = getenv("GAZELLE_THREAD_NAME");
	clock_init();
	if (pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child) != 0) {
		boot_say("no memory; the program runs on the kernel's sockets");
		return;
	}
	own_fds_reserve();
	process_begin();
	last_thread_begin();
	atomic_store(&process.boot_state, BOOT_IDLE);
	if (boot.conf.syscall_guard && guard_start(&why) < 0)
		boot_say("syscall_guard does nothing here: %s", why);
	signals_init();
}

static void end(void *arg)
{
	struct instance *instance;

	inside++;
	ending_thread = true;
	atomic_store(&boot_is_ending, true);
	thread_stop(EXIT_GRACE_US);
	close_sockets();
	leave_stack();
	pthread_mutex_lock(&boot.lock); /* a fork() of another thread may be using it */
	instance = boot.instance;
	boot.instance = NULL;
	pthread_mutex_unlock(&boot.lock);
	instance_stop(instance);
}

void boot_end(void)
{
	if (boot_is_up() && boot.owner == getpid() && !atomic_exchange(&boot.has_ended, true))
		thread_room_run(end, NULL);
}

static void __attribute__((destructor)) boot_exit(void)
{
	boot_end();
}
