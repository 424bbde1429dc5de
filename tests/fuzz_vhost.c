/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Fuzzer of what an instance says about its ring: the input is what a hostile front end of vhost-user writes, whole
 * messages with bytes bent and cut anywhere, with descriptors of all kinds, and what librte_vhost, which
 * is a double here, answers. Every message that reaches it is held against the order a virtio driver
 * follows, kept here a second time, and against what its descriptors are; whoever changes something has the
 * workers out of the ring; nobody waits; no descriptor is left.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dispatcher/helper.h"
#include "dispatcher/ring_link.h"

#define FUZZ_RUNS 4000
#define FUZZ_TAIL 200
#include "tests/fuzz_main.h"
#include "tests/open_files.h"

#define QUEUES 2
#define RINGS (2 * QUEUES)
#define MEMORY 65536
#define OP_BYTES 6
#define RING_SIZE_MAX 1024
#define NO_FD 0x100u

enum { GET_FEATURES = 1, SET_FEATURES, SET_OWNER, SET_MEM_TABLE = 5, SET_VRING_NUM = 8, SET_VRING_ADDR,
	SET_VRING_BASE, GET_VRING_BASE, SET_VRING_KICK, SET_VRING_CALL, SET_VRING_ERR,
	GET_PROTOCOL_FEATURES, SET_PROTOCOL_FEATURES, GET_QUEUE_NUM, SET_VRING_ENABLE,
	SET_STATUS = 39, GET_STATUS };

static struct ring_link front; /* ltran's */
static int instance_end, vhost_end, dialled;
static int memory, bell, file;
static bool is_paused, is_open;
static uint64_t now_us;

/* What the double knows of its device. */
static struct {
	bool has_features, has_memory;
	struct {
		bool has_num, has_addr, runs;
	} ring[RINGS];
} device;

/* --- doubles --------------------------------------------------------------------------------------- */

int
helper_connect_ring(const char *path, uid_t uid)
{
	return dialled;
}

int
helper_keep_pages(const int *fds, unsigned int n, uid_t uid)
{
	return 0;
}

static void
pause_ring(void *arg)
{
	is_paused = true;
}

static void
resume_ring(void *arg)
{
	fuzz_require(is_paused, "resumed, but not paused");
	is_paused = false;
}

static const struct ring_link_ops ops = {.pause = pause_ring, .resume = resume_ring};

/* --- librte_vhost ------------------------------------------------------------------------------------ */

static void
check_memory(const struct vhost_message *m, const int *fds, unsigned int n_fds)
{
	uint32_t n = m->payload.memory.n;

	fuzz_require(n > 0 && n <= VHOST_REGIONS_MAX && n == n_fds && m->size == 8 + 32 * n,
		"a table of memory that cannot be");
	for (uint32_t i = 0; i < n; i++) {
		struct stat st;

		fuzz_require(fcntl(fds[i], F_GET_SEALS) >= 0, "memory that may be withheld");
		fuzz_require(fstat(fds[i], &st) == 0 && m->payload.memory.region[i].bytes > 0 &&
			m->payload.memory.region[i].bytes <= (uint64_t)st.st_size &&
			m->payload.memory.region[i].offset <=
				(uint64_t)st.st_size - m->payload.memory.region[i].bytes,
			"memory beyond its file");
		fuzz_require(m->payload.memory.region[i].user + m->payload.memory.region[i].bytes >=
			m->payload.memory.region[i].user, "memory beyond all addresses");
	}
	device.has_memory = true;
}

static void
check_ring(const struct vhost_message *m)
{
	uint32_t i = m->payload.state.index;

	fuzz_require(i < RINGS, "a ring that there is not");
	switch (m->request) {
	case SET_VRING_NUM:
		fuzz_require(!device.ring[i].has_addr && m->payload.state.num >= VHOST_RING_MIN &&
			m->payload.state.num <= RING_SIZE_MAX &&
			(m->payload.state.num & (m->payload.state.num - 1)) == 0, "an impossible size");
		device.ring[i].has_num = true;
		break;
	case SET_VRING_BASE:
		fuzz_require(!device.ring[i].runs, "a running ring is moved");
		break;
	case SET_VRING_ADDR:
		fuzz_require(device.ring[i].has_num && device.has_memory && device.has_features &&
			!device.ring[i].runs, "addresses out of order");
		fuzz_require(m->payload.address.flags == 0 && m->payload.address.log == 0, "a log");
		device.ring[i].has_addr = true;
		break;
	case GET_VRING_BASE:
		memset(&device.ring[i], 0, sizeof(device.ring[i]));
		break;
	default:
		break;
	}
}

static void
check_bell(const struct vhost_message *m)
{
	uint64_t i = m->payload.number & 0xff;

	fuzz_require((m->payload.number & ~(uint64_t)0xff) == NO_FD && i < RINGS, "a doorbell");
	if (m->request != SET_VRING_KICK)
		return;
	fuzz_require(device.ring[i].has_addr, "a ring starts without addresses");
	device.ring[i].runs = true;
}

static void
check_message(const struct vhost_message *m, const int *fds, unsigned int n_fds)
{
	fuzz_require((m->flags & 7) == 1, "not this protocol");
	fuzz_require(n_fds == 0 || m->request == SET_MEM_TABLE, "a descriptor for librte_vhost");
	switch (m->request) {
	case GET_FEATURES: case GET_PROTOCOL_FEATURES: case GET_QUEUE_NUM: case GET_STATUS:
		fuzz_require(m->size == 0, "a question with an answer");
		return;
	case SET_OWNER: case SET_PROTOCOL_FEATURES: case SET_STATUS:
		break;
	case SET_FEATURES:
		for (unsigned int i = 0; i < RINGS; i++)
			fuzz_require(!device.ring[i].has_addr, "features of a running device");
		device.has_features = true;
		break;
	case SET_MEM_TABLE:
		check_memory(m, fds, n_fds);
		break;
	case SET_VRING_NUM: case SET_VRING_ADDR: case SET_VRING_BASE: case GET_VRING_BASE:
	case SET_VRING_ENABLE:
		check_ring(m);
		break;
	case SET_VRING_KICK: case SET_VRING_CALL: case SET_VRING_ERR:
		check_bell(m);
		break;
	default:
		fuzz_require(false, "a message that nobody needs");
	}
	fuzz_require(is_paused, "a change while workers use the ring");
	fuzz_require(m->request == GET_VRING_BASE || (m->flags & VHOST_FLAG_NEED_REPLY) != 0,
		"nobody asks what came of it");
}

/* One message, whole, with its descriptors. False: there is none. */
static bool
take_message(struct vhost_message *m)
{
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(16 * sizeof(int))];
	} control;
	struct iovec iov = {m, sizeof(*m)};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control,
		.msg_controllen = sizeof(control)};
	ssize_t n = vhost_end >= 0 ? recvmsg(vhost_end, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC) : -1;
	unsigned int n_fds = 0;
	int fds[16];

	if (n <= 0)
		return false;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c != NULL; c = CMSG_NXTHDR(&msg, c)) {
		n_fds = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		memcpy(fds, CMSG_DATA(c), n_fds * sizeof(int));
	}
	fuzz_require(n >= (ssize_t)VHOST_HEADER && n == (ssize_t)(VHOST_HEADER + m->size), "not one message");
	check_message(m, fds, n_fds);
	while (n_fds > 0)
		close(fds[--n_fds]);
	return true;
}

static void
answer(struct vhost_message *m, uint8_t how)
{
	bool has_own = m->request == GET_FEATURES || m->request == GET_PROTOCOL_FEATURES ||
		m->request == GET_QUEUE_NUM || m->request == GET_STATUS || m->request == GET_VRING_BASE;

	if (how % 16 == 1) {
		close(vhost_end);
		vhost_end = -1;
		return;
	}
	m->flags = VHOST_FLAG_VERSION | VHOST_FLAG_REPLY;
	m->size = 8;
	if (!has_own || m->request != GET_VRING_BASE)
		m->payload.number = how % 16 == 2;
	if (send(vhost_end, m, VHOST_HEADER + m->size, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		return;
}

/* --- the instance ------------------------------------------------------------------------------------ */

static void
open_link(void)
{
	int pair[2];

	fuzz_require(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) == 0,
		"no socket");
	dialled = pair[0];
	instance_end = pair[1];
	fuzz_require(ring_link_open(&front, "", getpid(), getuid(), QUEUES, &vhost_end) == 0, "no link");
	memset(&device, 0, sizeof(device));
	is_open = true;
	is_paused = false;
}

/* Lets both sides go on until nothing moves. */
static void
serve(uint8_t how)
{
	char why[VHOST_WHY_MAX] = "";
	struct vhost_message m;

	for (unsigned int i = 0; i < 64 && is_open; i++) {
		enum ring_link_state state = ring_link_serve(&front, &ops, NULL, true, now_us,
			why);

		if (state != RING_LINK_OPEN) {
			fuzz_require(state != RING_LINK_REFUSED || why[0] != '\0', "refused without a word");
			is_open = false;
			ring_link_close(&front);
			return;
		}
		if (!take_message(&m))
			return;
		answer(&m, how);
	}
}

/* A good message of this kind. */
static void
make(struct vhost_message *m, uint8_t request, uint8_t index)
{
	memset(m, 0, sizeof(*m));
	m->request = request;
	m->flags = VHOST_FLAG_VERSION | (index & 0x80 ? VHOST_FLAG_NEED_REPLY : 0);
	m->size = 8;
	index %= RINGS + 1;
	if (request == SET_FEATURES)
		m->payload.number = 1ull << 30 | 1ull << 22 | 1ull << 32;
	else if (request == SET_VRING_NUM || request == SET_VRING_BASE || request == SET_VRING_ENABLE ||
		request == GET_VRING_BASE) {
		m->payload.state.index = index;
		m->payload.state.num = request == SET_VRING_NUM ? 256 : 1;
	} else if (request == SET_VRING_ADDR) {
		m->size = 40;
		m->payload.address.index = index;
		m->payload.address.flags = 1;
		m->payload.address.desc = 0x7000;
	} else if (request == SET_MEM_TABLE) {
		m->payload.memory.n = 1 + index % 2;
		m->size = 8 + 32 * m->payload.memory.n;
		for (uint32_t i = 0; i < m->payload.memory.n; i++) {
			m->payload.memory.region[i].bytes = MEMORY / 2;
			m->payload.memory.region[i].offset = i * MEMORY / 2;
			m->payload.memory.region[i].user = 0x7000 + i * MEMORY;
		}
	} else if (request >= SET_VRING_KICK && request <= SET_VRING_ERR)
		m->payload.number = index;
	else if (request == GET_FEATURES || request == SET_OWNER || request == GET_PROTOCOL_FEATURES ||
		request == GET_QUEUE_NUM || request == GET_STATUS)
		m->size = 0;
}

static void
say(const void *data, size_t len, const int *fds, unsigned int n)
{
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(16 * sizeof(int))];
	} control = {.head = {.cmsg_len = CMSG_LEN(n * sizeof(int)), .cmsg_level = SOL_SOCKET,
		.cmsg_type = SCM_RIGHTS}};
	struct iovec iov = {(void *)data, len};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = n > 0 ? &control : NULL,
		.msg_controllen = n > 0 ? CMSG_SPACE(n * sizeof(int)) : 0};

	memcpy(CMSG_DATA(&control.head), fds, n * sizeof(int));
	if (sendmsg(instance_end, &msg, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		return; /* it has been hung up on */
}

static void
step(const uint8_t *op)
{
	static const uint8_t usual[] = {GET_FEATURES, SET_OWNER, SET_FEATURES, SET_MEM_TABLE, SET_VRING_NUM,
		SET_VRING_BASE, SET_VRING_ADDR, SET_VRING_KICK, SET_VRING_CALL, SET_VRING_ENABLE,
		GET_VRING_BASE, GET_PROTOCOL_FEATURES, SET_STATUS, GET_QUEUE_NUM};
	uint8_t request = op[0] < 0xf0 ? usual[op[0] % sizeof(usual)] : op[3];
	struct vhost_message m;
	int fds[16], kind = op[2] / 16 % 4;
	unsigned int n = op[2] % 16;
	size_t len;
	char junk[64];

	for (unsigned int i = 0; i < 16; i++)
		fds[i] = kind == 0 ? memory : kind == 1 ? bell : kind == 2 ? file : (i & 1 ? bell : memory);
	make(&m, request, op[1]);
	if (op[2] & 0x40) /* as many of the right ones as it needs */
		n = request == SET_MEM_TABLE ? m.payload.memory.n : 0, fds[0] = fds[1] = memory;
	len = VHOST_HEADER + m.size;
	if (op[2] & 0x80)
		((uint8_t *)&m)[op[3] % sizeof(m)] ^= op[4];
	if (op[5] % 8 == 7) { /* in two pieces */
		size_t first = op[5] / 8 % len;

		say(&m, first, fds, n);
		serve(op[5]);
		say((char *)&m + first, len - first, fds, op[5] & 0x80 ? n : 0);
	} else {
		say(&m, len, fds, n);
	}
	serve(op[5] % 8 == 7 ? 0 : op[5]);
	while (recv(instance_end, junk, sizeof(junk), MSG_DONTWAIT) > 0)
		;
	now_us += op[5] & 0x80 ? 1000000 : 100;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static unsigned int files;

	if (files == 0) {
		memory = memfd_create("fuzz", MFD_CLOEXEC | MFD_ALLOW_SEALING);
		bell = eventfd(0, EFD_CLOEXEC);
		file = open("/var/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600); /* as good as FUSE's */
		fuzz_require(memory >= 0 && bell >= 0 && file >= 0 && fallocate(memory, 0, 0, MEMORY) == 0 &&
			ftruncate(file, MEMORY) == 0, "no descriptors");
		files = open_files();
	}
	open_link();
	for (; size >= OP_BYTES; data += OP_BYTES, size -= OP_BYTES)
		step(data);
	ring_link_close(&front);
	close(instance_end);
	if (vhost_end >= 0)
		close(vhost_end);
	fuzz_require(open_files() <= files + 2, "descriptors are left"); /* a sanitizer may have made two */
	return 0;
}

/* What DPDK's driver says: message, ring, descriptors (@: the right ones), two bytes to bend, answer. */
static const char *const seeds[] = {
	"\x0e@@@@@" "\x0f@@@@@" "\x10@@@@@" "\x11@@@@@" "\x12@@@@@" "\x13@@@@@" "\x14@@@@@" "\x15@@@@@" "\x18@@@@@",
	"\x10@@@@@" "\x11\x41@@@@" "\x12\x41@@@@" "\x14\x41@@@@" "\x15\x41\x11@@@" "\x17\x41@@@@" "\x18\x41@@@@" "\x12\x41@@@@",
	"\x10@@@@@" "\x11@@@@\x57" "\x12@\xc0\x10\x01@" "\x14@@@@@" "\x11@\x21@@@" "\xf1@\x01\x06@@" "\x16@\x21@@@",
};

FUZZ_MAIN(seeds)
