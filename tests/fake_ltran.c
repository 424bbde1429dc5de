/* SPDX-License-Identifier: BSD-3-Clause */
/* The registration socket of an ltran that does as it is told. */
#include "tests/fake_ltran.h"

#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define WAIT_MS 5000 /* for what must come */

struct fake_ltran fake_ltran;
sigset_t fake_all_signals;

static char dir[] = "/tmp/gazelle-link-XXXXXX", path[100];
static int listen_fd = -1;
/* The instance's socket table and signal mask. */
static int table_fd;
static sigset_t no_signals;

static struct {
	int awake_fd, kick_fd, call[2][2]; /* of `call` the second ends are given away */
} bells;

/* --- life ------------------------------------------------------------------------------------- */

void
fake_ltran_open(void)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	listen_fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);
	CU_ASSERT_EQUAL_FATAL(bind(listen_fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	CU_ASSERT_EQUAL_FATAL(listen(listen_fd, 8), 0);
	fake_ltran.fd = -1;
}

void
fake_ltran_close(void)
{
	if (fake_ltran.fd >= 0)
		close(fake_ltran.fd);
	if (listen_fd >= 0)
		close(listen_fd);
	fake_ltran.fd = listen_fd = -1;
	unlink(path);
}

static void
open_bells(void)
{
	bells.awake_fd = memfd_create("awake", MFD_CLOEXEC);
	CU_ASSERT_EQUAL(ftruncate(bells.awake_fd, sizeof(struct ltran_awake)), 0);
	bells.kick_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	for (int q = 0; q < 2; q++)
		CU_ASSERT_EQUAL(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, bells.call[q]),
			0);
}

static void
close_bells(void)
{
	close(bells.awake_fd);
	close(bells.kick_fd);
	for (int i = 0; i < 4; i++)
		close(bells.call[i / 2][i % 2]);
}

void
fake_ltran_setup(void)
{
	static const char name[] = "t-" LTRAN_SOCKET;

	snprintf(dir, sizeof(dir), "/tmp/gazelle-link-XXXXXX");
	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	table_fd = memfd_create("table", MFD_CLOEXEC);
	sigemptyset(&no_signals);
	sigfillset(&fake_all_signals);
	sigdelset(&fake_all_signals, SIGABRT);
	listen_fd = fake_ltran.fd = -1;
	fake_ltran.answer = (struct ltran_registered){
		.header = {.magic = LTRAN_MAGIC, .version = LTRAN_VERSION, .type = LTRAN_REGISTER},
		.mac = {2, 0, 0, 0, 0, 9}, .mtu = 1400, .queue_size = 256, .blocks = {5, 0},
		.path = FAKE_LTRAN_RING};
	open_bells();
	fake_ltran_open();
}

void
fake_ltran_teardown(void)
{
	close_bells();
	fake_ltran_close();
	close(table_fd);
	CU_ASSERT_EQUAL(rmdir(dir), 0);
}

/* --- registrations ---------------------------------------------------------------------------- */

bool
fake_ltran_readable(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	return poll(&p, 1, WAIT_MS) == 1;
}

void
fake_ltran_await_register(void)
{
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec iov = {.iov_base = &fake_ltran.asked, .iov_len = sizeof(fake_ltran.asked)};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.room,
		.msg_controllen = sizeof(control.room)};
	int fd;

	if (!fake_ltran_readable(listen_fd))
		return;
	fake_ltran.fd = accept(listen_fd, NULL, NULL);
	if (recvmsg(fake_ltran.fd, &m, 0) != sizeof(fake_ltran.asked))
		memset(&fake_ltran.asked, 0, sizeof(fake_ltran.asked));
	fake_ltran.had_table = m.msg_controllen > 0 && control.head.cmsg_type == SCM_RIGHTS;
	if (fake_ltran.had_table) {
		memcpy(&fd, CMSG_DATA(&control.head), sizeof(fd));
		close(fd);
	}
}

void
fake_ltran_answer_register(void)
{
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(4 * sizeof(int))];
	} control = {.head = {.cmsg_len = CMSG_LEN(4 * sizeof(int)), .cmsg_level = SOL_SOCKET,
		.cmsg_type = SCM_RIGHTS}};
	struct iovec iov = {.iov_base = &fake_ltran.answer, .iov_len = sizeof(fake_ltran.answer)};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
	int fds[4] = {bells.awake_fd, bells.kick_fd, bells.call[0][1], bells.call[1][1]};

	memcpy(CMSG_DATA(&control.head), fds, sizeof(fds));
	if (fake_ltran.answer.header.status == 0) {
		m.msg_control = control.room;
		m.msg_controllen = sizeof(control.room);
	}
	sendmsg(fake_ltran.fd, &m, MSG_NOSIGNAL);
}

void *
fake_ltran_register_one(void *arg)
{
	fake_ltran_await_register();
	fake_ltran_answer_register();
	return NULL;
}

/* --- the instance ----------------------------------------------------------------------------- */

int
fake_ltran_open_link(struct ltran_link **l, char err[FAKE_LTRAN_ERR])
{
	struct ltran_link_params p = {.dir = dir, .prefix = "t-", .addr = htonl(0xc6120a0a),
		.mask = htonl(0xffffff00), .gateway = htonl(0xc6120a01), .n_queues = 2, .mtu = 1500,
		.mac = {1, 2, 3, 4, 5, 6}, .table_fd = table_fd, .signals = &no_signals};
	sigset_t old;
	int ret;

	pthread_sigmask(SIG_SETMASK, &fake_all_signals, &old);
	ret = ltran_link_open(&p, l, err, FAKE_LTRAN_ERR);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return ret;
}

struct ltran_link *
fake_ltran_registered(void)
{
	struct ltran_link *l = NULL;
	char err[FAKE_LTRAN_ERR] = "";

	pthread_create(&fake_ltran.thread, NULL, fake_ltran_register_one, NULL);
	CU_ASSERT_EQUAL(fake_ltran_open_link(&l, err), 0);
	pthread_join(fake_ltran.thread, NULL);
	CU_ASSERT_PTR_NOT_NULL_FATAL(l);
	return l;
}
