/* SPDX-License-Identifier: BSD-3-Clause */
/* A virtio-net device of our own making, for tests. */
#include "tests/ltran_guest_ring.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define PAGE 4096
#define MESSAGE_MAX 264 /* a table of eight regions */
#define ANSWER_MS 3000

/* vhost-user's requests and bits, by their numbers in its specification. */
enum request {
	GET_FEATURES = 1,
	SET_FEATURES = 2,
	SET_OWNER = 3,
	SET_MEM_TABLE = 5,
	SET_VRING_NUM = 8,
	SET_VRING_ADDR = 9,
	SET_VRING_BASE = 10,
	GET_VRING_BASE = 11,
	SET_VRING_KICK = 12,
	SET_VRING_CALL = 13,
	GET_PROTOCOL_FEATURES = 15,
	SET_PROTOCOL_FEATURES = 16,
	SET_VRING_ENABLE = 18,
};

#define VERSION_FLAG 1u
#define PROTOCOL_MQ 1ull
#define FEATURE_MQ (1ull << 22)
#define FEATURE_PROTOCOL (1ull << 30)
#define FEATURE_VERSION_1 (1ull << 32)

struct message {
	uint32_t request, flags, size;
	uint8_t payload[MESSAGE_MAX];
} __attribute__((packed));

#define MESSAGE_HEADER 12

struct memory_table {
	uint32_t n, pad;
	uint64_t guest_address, size, user_address, offset;
};

struct ring_state {
	uint32_t index, number;
};

struct ring_address {
	uint32_t index, flags;
	uint64_t descriptors, used, avail, log;
};

/* --- memory -------------------------------------------------------------------------------------- */

static size_t
ring_bytes(uint16_t size)
{
	size_t rings = (vring_size(size, PAGE) + PAGE - 1) / PAGE * PAGE;

	return rings + (size_t)size * GUEST_BUFFER;
}

static void
lay_out_ring(struct guest_device *d, struct guest_ring *r, uint16_t size, size_t offset, bool sends)
{
	size_t rings = ring_bytes(size) - (size_t)size * GUEST_BUFFER;

	*r = (struct guest_ring){ .bell = -1, .buffers = offset + rings, .kick = eventfd(0, EFD_NONBLOCK),
		.call = eventfd(0, EFD_NONBLOCK) };
	vring_init(&r->vring, size, d->memory + offset, PAGE);
	for (uint16_t i = 0; i < size; i++) {
		r->vring.desc[i] = (struct vring_desc){
			.addr = GUEST_ADDRESS + r->buffers + (uint64_t)i * GUEST_BUFFER,
			.len = GUEST_BUFFER, .flags = sends ? 0 : VRING_DESC_F_WRITE };
		r->vring.avail->ring[i] = i;
	}
	r->avail = sends ? 0 : size;
	r->vring.avail->idx = r->avail;
}

static int
listen_on(const char *path)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), err;

	if (fd < 0)
		return -errno;
	snprintf(at.sun_path, sizeof(at.sun_path), "%s", path);
	unlink(path);
	if (bind(fd, (struct sockaddr *)&at, sizeof(at)) == 0 && listen(fd, 1) == 0)
		return fd;
	err = -errno;
	close(fd);
	return err;
}

int
guest_device_open(struct guest_device *d, const char *path, uint16_t n_pairs, uint16_t size)
{
	*d = (struct guest_device){ .memory_fd = -1, .listen_fd = -1, .peer_fd = -1 };
	d->n_rings = 2u * n_pairs;
	if (d->n_rings > GUEST_RINGS_MAX)
		return -EINVAL;
	d->memory_bytes = d->n_rings * ring_bytes(size);
	d->memory_fd = memfd_create("guest", MFD_CLOEXEC);
	if (d->memory_fd < 0 || fallocate(d->memory_fd, 0, 0, (off_t)d->memory_bytes) < 0)
		return -errno;
	d->memory = mmap(NULL, d->memory_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, d->memory_fd, 0);
	if (d->memory == MAP_FAILED)
		return -errno;
	for (unsigned int i = 0; i < d->n_rings; i++)
		lay_out_ring(d, &d->rings[i], size, i * ring_bytes(size), i % 2 == 1);
	d->listen_fd = listen_on(path);
	return d->listen_fd < 0 ? d->listen_fd : 0;
}

void
guest_device_close(struct guest_device *d)
{
	int fds[] = { d->peer_fd, d->listen_fd, d->memory_fd };

	for (unsigned int i = 0; i < 3; i++)
		if (fds[i] >= 0)
			close(fds[i]);
	for (unsigned int i = 0; i < d->n_rings; i++) {
		close(d->rings[i].kick);
		close(d->rings[i].call);
	}
	munmap(d->memory, d->memory_bytes);
}

/* --- vhost-user ----------------------------------------------------------------------------------- */

int
guest_device_say(const struct guest_device *d, uint32_t request, const void *payload, uint32_t size,
	const int *fds, unsigned int n_fds)
{
	struct message m = { request, VERSION_FLAG, size, { 0 } };
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(GUEST_FDS_MAX * sizeof(int))];
	} control = { 0 };
	struct iovec io = { &m, MESSAGE_HEADER + size };
	struct msghdr msg = { .msg_iov = &io, .msg_iovlen = 1 };
	struct cmsghdr *c;

	memcpy(m.payload, payload, size);
	if (n_fds > 0) {
		msg.msg_control = control.bytes;
		msg.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
		c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(n_fds * sizeof(int));
		memcpy(CMSG_DATA(c), fds, n_fds * sizeof(int));
	}
	return sendmsg(d->peer_fd, &msg, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

static int
say(const struct guest_device *d, enum request request, const void *payload, uint32_t size, int pass)
{
	return guest_device_say(d, request, payload, size, &pass, pass >= 0 ? 1 : 0);
}

static int
ask(const struct guest_device *d, enum request request, uint64_t *value)
{
	struct pollfd p = { .fd = d->peer_fd, .events = POLLIN };
	struct message m;
	int ret = say(d, request, "", 0, -1);

	if (ret < 0)
		return ret;
	if (poll(&p, 1, ANSWER_MS) != 1)
		return -ETIMEDOUT;
	if (recv(d->peer_fd, &m, MESSAGE_HEADER + sizeof(*value), MSG_WAITALL) !=
		MESSAGE_HEADER + (ssize_t)sizeof(*value))
		return -ECONNRESET;
	memcpy(value, m.payload, sizeof(*value));
	return 0;
}

/* Addresses of rings are ours, those in descriptors the guest's. */
static int
tell_ring(const struct guest_device *d, uint32_t index)
{
	const struct guest_ring *r = &d->rings[index];
	struct ring_state size = { index, r->vring.num }, base = { index, 0 }, enable = { index, 1 };
	struct ring_address at = { index, 0, (uintptr_t)r->vring.desc, (uintptr_t)r->vring.used,
		(uintptr_t)r->vring.avail, 0 };
	uint64_t number = index;
	int ret = say(d, SET_VRING_NUM, &size, sizeof(size), -1);

	if (ret == 0)
		ret = say(d, SET_VRING_BASE, &base, sizeof(base), -1);
	if (ret == 0)
		ret = say(d, SET_VRING_ADDR, &at, sizeof(at), -1);
	if (ret == 0)
		ret = say(d, SET_VRING_CALL, &number, sizeof(number), r->call);
	if (ret == 0)
		ret = say(d, SET_VRING_KICK, &number, sizeof(number), r->kick);
	if (ret == 0)
		ret = say(d, SET_VRING_ENABLE, &enable, sizeof(enable), -1);
	return ret;
}

int
guest_device_accept(struct guest_device *d, int timeout_ms)
{
	struct memory_table table = { 1, 0, GUEST_ADDRESS, d->memory_bytes, (uintptr_t)d->memory, 0 };
	struct pollfd p = { .fd = d->listen_fd, .events = POLLIN };
	uint64_t features, wanted = FEATURE_VERSION_1 | FEATURE_PROTOCOL | FEATURE_MQ;
	uint64_t protocol, wanted_protocol = PROTOCOL_MQ;
	int ret;

	if (poll(&p, 1, timeout_ms) != 1)
		return -ETIMEDOUT;
	d->peer_fd = accept(d->listen_fd, NULL, NULL);
	if (d->peer_fd < 0)
		return -errno;
	ret = ask(d, GET_FEATURES, &features);
	if (ret == 0)
		ret = ask(d, GET_PROTOCOL_FEATURES, &protocol);
	if (ret < 0)
		return ret;
	wanted &= features;
	wanted_protocol &= protocol;
	ret = say(d, SET_PROTOCOL_FEATURES, &wanted_protocol, sizeof(wanted_protocol), -1);
	if (ret == 0)
		ret = say(d, SET_OWNER, "", 0, -1);
	if (ret == 0)
		ret = say(d, SET_FEATURES, &wanted, sizeof(wanted), -1);
	if (ret == 0)
		ret = say(d, SET_MEM_TABLE, &table, sizeof(table), d->memory_fd);
	for (uint32_t i = 0; i < d->n_rings && ret == 0; i++)
		ret = tell_ring(d, i);
	return ret;
}

size_t
guest_device_restart(struct guest_device *d, uint64_t features)
{
	uint64_t wanted = FEATURE_VERSION_1 | FEATURE_PROTOCOL | FEATURE_MQ | features;

	for (uint32_t i = 0; i < d->n_rings; i++) {
		struct ring_state stop = { i, 0 };

		say(d, GET_VRING_BASE, &stop, sizeof(stop), -1);
	}
	say(d, SET_FEATURES, &wanted, sizeof(wanted), -1);
	for (uint32_t i = 0; i < d->n_rings; i++)
		tell_ring(d, i);
	say(d, GET_FEATURES, "", 0, -1);
	return (d->n_rings + 1) * (MESSAGE_HEADER + sizeof(uint64_t));
}

void
guest_device_set_bell(struct guest_device *d, int bell)
{
	for (unsigned int i = 0; i < d->n_rings; i++)
		d->rings[i].bell = bell;
}

bool
guest_device_is_connected(const struct guest_device *d)
{
	char byte;

	return recv(d->peer_fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) != 0;
}

/* --- packets -------------------------------------------------------------------------------------- */

static uint8_t *
buffer_at(const struct guest_device *d, const struct guest_ring *r, uint32_t slot)
{
	return d->memory + r->buffers + (uint64_t)(slot % r->vring.num) * GUEST_BUFFER;
}

bool
guest_ring_send(struct guest_device *d, struct guest_ring *r, const void *frame, size_t len)
{
	uint16_t slot = r->avail % r->vring.num;
	uint8_t *buffer = buffer_at(d, r, slot);

	r->used = __atomic_load_n(&r->vring.used->idx, __ATOMIC_ACQUIRE);
	if ((uint16_t)(r->avail - r->used) >= r->vring.num || len > GUEST_FRAME_MAX)
		return false;
	memset(buffer, 0, GUEST_HEADER);
	memcpy(buffer + GUEST_HEADER, frame, len);
	r->vring.desc[slot].len = (uint32_t)(GUEST_HEADER + len);
	__atomic_store_n(&r->vring.avail->idx, ++r->avail, __ATOMIC_RELEASE);
	return true;
}

void
guest_ring_kick(struct guest_ring *r)
{
	if (r->bell >= 0)
		eventfd_write(r->bell, 1);
}

uint8_t *
guest_ring_receive(struct guest_device *d, struct guest_ring *r, size_t *len)
{
	struct vring_used_elem *e = &r->vring.used->ring[r->used % r->vring.num];

	if (r->used == __atomic_load_n(&r->vring.used->idx, __ATOMIC_ACQUIRE))
		return NULL;
	*len = e->len > GUEST_HEADER ? e->len - GUEST_HEADER : 0;
	return buffer_at(d, r, e->id) + GUEST_HEADER;
}

void
guest_ring_return(struct guest_ring *r)
{
	struct vring_used_elem *e = &r->vring.used->ring[r->used++ % r->vring.num];

	r->vring.avail->ring[r->avail % r->vring.num] = (uint16_t)e->id;
	__atomic_store_n(&r->vring.avail->idx, ++r->avail, __ATOMIC_RELEASE);
}

/* --- nonsense ------------------------------------------------------------------------------------- */

struct nonsense {
	const char *kind;
	uint64_t addr;
	uint32_t len;
	uint16_t flags, next;
	uint16_t avail; /* entry of the avail ring */
	uint16_t ahead; /* how far the avail index goes beyond what there is */
};

#define FAR_AWAY 0x7fff00000000ull
#define INSIDE GUEST_ADDRESS

static const struct nonsense nonsense[] = {
	{ "avail-index", INSIDE, 64, 0, 0, 0, 40000 },
	{ "avail-entry", INSIDE, 64, 0, 0, 65535, 1 },
	{ "address-outside", FAR_AWAY, 64, 0, 0, 0, 1 },
	{ "address-wraps", UINT64_MAX - 16, 64, 0, 0, 0, 1 },
	{ "length-zero", INSIDE, 0, 0, 0, 0, 1 },
	{ "length-header", INSIDE, GUEST_HEADER, 0, 0, 0, 1 },
	{ "length-outside", INSIDE, 0x7fffffff, 0, 0, 0, 1 },
	{ "length-max", INSIDE, UINT32_MAX, 0, 0, 0, 1 },
	{ "descriptor-loop", INSIDE, 64, VRING_DESC_F_NEXT, 0, 0, 1 },
	{ "descriptor-next", INSIDE, 64, VRING_DESC_F_NEXT, 65535, 0, 1 },
	{ "indirect-self", INSIDE, 64, VRING_DESC_F_INDIRECT, 0, 0, 1 },
	{ "indirect-outside", FAR_AWAY, 16 * 1024, VRING_DESC_F_INDIRECT, 0, 0, 1 },
	{ "indirect-length", INSIDE, 7, VRING_DESC_F_INDIRECT, 0, 0, 1 },
	{ "write-flag", INSIDE, 64, VRING_DESC_F_WRITE, 0, 0, 1 },
};

#define N_NONSENSE (sizeof(nonsense) / sizeof(nonsense[0]))

bool
guest_ring_corrupt(struct guest_ring *r, const char *kind)
{
	const struct nonsense *n = nonsense;

	if (kind == NULL) {
		for (; n < nonsense + N_NONSENSE; n++)
			printf("%s\n", n->kind);
		return true;
	}
	while (n < nonsense + N_NONSENSE && strcmp(n->kind, kind) != 0)
		n++;
	if (n == nonsense + N_NONSENSE)
		return false;
	for (uint16_t i = 0; i < r->vring.num; i++) {
		r->vring.desc[i] = (struct vring_desc){ n->addr, n->len, n->flags, n->next };
		r->vring.avail->ring[i] = n->avail;
	}
	r->avail = (uint16_t)(r->avail + n->ahead);
	__atomic_store_n(&r->vring.avail->idx, r->avail, __ATOMIC_RELEASE);
	guest_ring_kick(r);
	return true;
}
