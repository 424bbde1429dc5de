/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What an instance may say to librte_vhost.
 *
 * librte_vhost trusts the order of messages: a ring that gets another size after its addresses have been
 * looked up, a ring that starts again without a size after it was stopped, features that move the end of
 * a ring, a ring that is smaller than a burst, all let it read and write beyond the instance's memory, which
 * ends the process. So each ring
 * has a small state here, and only the order that a virtio driver follows is let through:
 *
 *	SET_FEATURES, while no ring has addresses
 *	SET_MEM_TABLE
 *	per ring  SET_VRING_NUM, SET_VRING_BASE, SET_VRING_ADDR, SET_VRING_KICK; from then on the ring
 *	          runs, until GET_VRING_BASE stops it and all has to be said again
 *
 * Doorbells are ltran's (bell.h): librte_vhost is told that there are none, whatever the instance sends.
 * Memory must be a file of memfd, shmem or hugetlbfs, the only ones that answer F_GET_SEALS: a page of
 * any other file may be brought by somebody who never brings it, and a worker would wait for ever. That
 * its owner takes it away later cannot be excluded (DPDK's own memory is not sealed): that is a SIGBUS,
 * see sigbus.h and helper_keep.c. It has all its pages from the beginning: whoever touches a hole first
 * pays for the page.
 *
 * All other messages (migration, IOTLB, inflight, configuration, ...) belong to features that are not
 * offered.
 */
#include "dispatcher/vhost_rules.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "dispatcher/closer.h"
#include "dispatcher/whole_file.h"

#ifndef F_GET_SEALS
#define F_GET_SEALS 1034
#endif

enum {
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
	SET_VRING_ERR = 14,
	GET_PROTOCOL_FEATURES = 15,
	SET_PROTOCOL_FEATURES = 16,
	GET_QUEUE_NUM = 17,
	SET_VRING_ENABLE = 18,
	SET_STATUS = 39,
	GET_STATUS = 40,
	REQUESTS
};

enum { RING_HAS_NUM = 1, RING_HAS_ADDR = 2, RING_RUNS = 4 };

#define RING_SIZE_MAX 1024 /* what ltran tells instances to use */
#define RING_INDEX 0xffu   /* of SET_VRING_KICK and the like ... */
#define RING_NO_FD 0x100u  /* ... and "there is no descriptor" */
#define FEATURE_MQ (1ull << 22)
#define FEATURE_PROTOCOL (1ull << 30)
#define PAGE 4096u

/* Bytes of payload; those of SET_MEM_TABLE depend on its regions. */
static const uint8_t sizes[REQUESTS] = {
	[SET_FEATURES] = 8, [SET_VRING_NUM] = 8, [SET_VRING_ADDR] = 40, [SET_VRING_BASE] = 8,
	[GET_VRING_BASE] = 8, [SET_VRING_KICK] = 8, [SET_VRING_CALL] = 8, [SET_VRING_ERR] = 8,
	[SET_PROTOCOL_FEATURES] = 8, [SET_VRING_ENABLE] = 8, [SET_STATUS] = 8,
};

static int
refuse(char *why, const char *what, uint64_t number)
{
	snprintf(why, VHOST_WHY_MAX, "%s (%llu)", what, (unsigned long long)number);
	return -1;
}

bool
vhost_message_has_memory(const struct vhost_message *m)
{
	return m->request == SET_MEM_TABLE;
}

bool
vhost_message_is_question(const struct vhost_message *m)
{
	return m->request == GET_FEATURES || m->request == GET_PROTOCOL_FEATURES ||
		m->request == GET_QUEUE_NUM || m->request == GET_STATUS;
}

bool
vhost_message_is_answered(const struct vhost_message *m)
{
	return vhost_message_is_question(m) || m->request == GET_VRING_BASE;
}

/* --- memory ---------------------------------------------------------------------------------------- */

/* The first `bytes` of the file can be mapped and written to by us; *file_bytes: of all of it. */
static int
check_file(int fd, uint64_t bytes, uint64_t *file_bytes, char *why)
{
	int flags, seals = fcntl(fd, F_GET_SEALS);
	struct stat st;

	if (seals < 0)
		return refuse(why, "its memory is a file that others may keep from being read: only "
			"memfd, shmem and hugetlbfs will do", bytes);
	flags = fcntl(fd, F_GETFL);
	if (flags < 0 || (flags & O_ACCMODE) != O_RDWR || (flags & O_PATH) != 0)
		return refuse(why, "its memory is open for reading only", bytes);
	if (seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE))
		return refuse(why, "its memory is sealed against writing", bytes);
	if (fstat(fd, &st) < 0 || (uint64_t)st.st_size < bytes)
		return refuse(why, "its memory ends before it says", bytes);
	if (whole_file_matters(fd) && !whole_file(&st))
		return refuse(why, "its memory has holes, which ltran would have to fill", bytes);
	*file_bytes = st.st_size;
	return 0;
}

static int
check_memory(struct vhost_rules *r, const struct vhost_message *m, const int *fds, unsigned int n_fds,
	char *why)
{
	uint32_t n = m->payload.memory.n;
	uint64_t total = 0;

	if (n == 0 || n > VHOST_REGIONS_MAX || n != n_fds || m->size != 8 + n * 32)
		return refuse(why, "a table of memory regions that cannot be", n);
	for (uint32_t i = 0; i < n; i++) {
		uint64_t bytes = m->payload.memory.region[i].bytes;
		uint64_t offset = m->payload.memory.region[i].offset, file_bytes;

		if (bytes == 0 || bytes > r->memory_max || offset > r->memory_max ||
			offset % PAGE != 0 || bytes % PAGE != 0)
			return refuse(why, "a memory region of impossible size or place", bytes);
		if (m->payload.memory.region[i].guest > UINT64_MAX - bytes ||
			m->payload.memory.region[i].user > UINT64_MAX - bytes)
			return refuse(why, "a memory region beyond all addresses", bytes);
		if (check_file(fds[i], bytes + offset, &file_bytes, why) < 0)
			return -1;
		total += file_bytes;
		if (total > r->memory_max || file_bytes > r->memory_max)
			return refuse(why, "more memory than an instance may have", total);
	}
	r->has_memory = true;
	return 0;
}

/* --- rings ----------------------------------------------------------------------------------------- */

static bool
is_size(uint32_t n)
{
	return n >= VHOST_RING_MIN && n <= RING_SIZE_MAX && (n & (n - 1)) == 0;
}

static int
check_ring(struct vhost_rules *r, struct vhost_message *m, uint32_t index, char *why)
{
	uint8_t *ring = &r->ring[index];

	switch (m->request) {
	case SET_VRING_NUM:
		if ((*ring & RING_HAS_ADDR) || !is_size(m->payload.state.num))
			return refuse(why, "a size of a ring that cannot be, or not now",
				m->payload.state.num);
		*ring |= RING_HAS_NUM;
		return 0;
	case SET_VRING_BASE:
		return (*ring & RING_RUNS) ? refuse(why, "a new place in a ring that runs", index) : 0;
	case SET_VRING_ADDR:
		if ((*ring & (RING_RUNS | RING_HAS_NUM)) != RING_HAS_NUM || !r->has_memory ||
			!r->has_features)
			return refuse(why, "addresses of a ring out of order", index);
		m->payload.address.flags = 0; /* no log of what is written */
		m->payload.address.log = 0;
		*ring |= RING_HAS_ADDR;
		return 0;
	case SET_VRING_KICK:
		if (!(*ring & RING_HAS_ADDR))
			return refuse(why, "a ring starts without addresses", index);
		*ring |= RING_RUNS;
		return 0;
	case GET_VRING_BASE:
		*ring = 0;
		return 0;
	default:
		return 0;
	}
}

/* Index of the ring that the message is about; -1: none. */
static int64_t
ring_of(struct vhost_message *m)
{
	switch (m->request) {
	case SET_VRING_NUM:
	case SET_VRING_BASE:
	case GET_VRING_BASE:
	case SET_VRING_ENABLE:
		return m->payload.state.index;
	case SET_VRING_ADDR:
		return m->payload.address.index;
	case SET_VRING_KICK:
	case SET_VRING_CALL:
	case SET_VRING_ERR:
		return m->payload.number & RING_INDEX;
	default:
		return -1;
	}
}

static int
check_features(struct vhost_rules *r, const struct vhost_message *m, char *why)
{
	uint64_t want = m->payload.number;

	for (uint16_t i = 0; i < r->n_rings; i++)
		if (r->ring[i] & RING_HAS_ADDR)
			return refuse(why, "other features while it has rings", want);
	if (!(want & FEATURE_PROTOCOL) || (r->n_rings > 2 && !(want & FEATURE_MQ)))
		return refuse(why, "features without those that its queues need", want);
	r->has_features = true;
	return 0;
}

int
vhost_rules_check(struct vhost_rules *r, struct vhost_message *m, const int *fds, unsigned int n_fds,
	char why[VHOST_WHY_MAX])
{
	int64_t index;

	if ((m->flags & 3) != VHOST_FLAG_VERSION || (m->flags & VHOST_FLAG_REPLY))
		return refuse(why, "a message of another protocol", m->flags);
	if (vhost_message_has_memory(m))
		return check_memory(r, m, fds, n_fds, why);
	if (!vhost_message_is_question(m) && m->request != SET_OWNER &&
		(m->request >= REQUESTS || sizes[m->request] == 0))
		return refuse(why, "a message that no instance needs", m->request);
	if (m->size != sizes[m->request])
		return refuse(why, "a message of the wrong size", m->request);
	index = ring_of(m);
	if (index >= r->n_rings)
		return refuse(why, "a ring that it does not have", index);
	if (m->request == SET_VRING_KICK || m->request == SET_VRING_CALL || m->request == SET_VRING_ERR) {
		/* It is not used, but whoever sends something else means no good. */
		if (n_fds > 1 || (n_fds == 1 && !closer_is_eventfd(fds[0])))
			return refuse(why, "a doorbell that is no eventfd", index);
		m->payload.number = (uint64_t)index | RING_NO_FD;
	} else if (n_fds > 0)
		return refuse(why, "descriptors where there are none", m->request);
	if (m->request == SET_FEATURES)
		return check_features(r, m, why);
	return index >= 0 ? check_ring(r, m, (uint32_t)index, why) : 0;
}
