/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A virtio-net device of our own making, for tests: memory in a memfd, split rings, and the few
 * messages of vhost-user that a back end needs. As virtio-user in server mode it listens and waits for
 * ltran. One thread. Unlike DPDK's driver it lets its user write nonsense into the rings.
 */
#ifndef TESTS_LTRAN_GUEST_RING_H
#define TESTS_LTRAN_GUEST_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <linux/virtio_ring.h>

#define GUEST_RINGS_MAX 8        /* 2 per pair of queues: even ones receive, odd ones send */
#define GUEST_BUFFER 2048        /* bytes of each packet buffer */
#define GUEST_HEADER 12          /* struct virtio_net_hdr_v1 before each frame */
#define GUEST_FDS_MAX 253       /* in one message; the kernel takes no more */
#define GUEST_FRAME_MAX (GUEST_BUFFER - GUEST_HEADER)
#define GUEST_ADDRESS 0x10000000ull /* guest-physical address of the memory's first byte */

struct guest_ring {
	struct vring vring;
	uint64_t buffers;      /* offset of the first one in the memory; `vring.num` of them */
	uint16_t avail, used;  /* what we have offered; what we have seen back */
	int kick, call;        /* eventfds of our own, which ltran is told of and must not use */
	int bell;              /* wakes ltran: what it has sent with its answer, or -1 */
};

struct guest_device {
	int memory_fd, listen_fd, peer_fd;
	uint8_t *memory;
	size_t memory_bytes;
	unsigned int n_rings;
	struct guest_ring rings[GUEST_RINGS_MAX];
};

/* Makes the memory and listens on `path`. 0 or -errno. */
int guest_device_open(struct guest_device *d, const char *path, uint16_t n_pairs, uint16_t size);
/* guest_ring_kick() writes to `bell`. Without it ltran may take its time. */
void guest_device_set_bell(struct guest_device *d, int bell);
/* Waits for ltran and tells it of memory and rings. 0 or -errno. */
int guest_device_accept(struct guest_device *d, int timeout_ms);
/* Tells ltran that all rings stop and start anew, with other features beside the usual ones. ltran answers
 * with as many bytes as are returned, when all is done; what is in the memory is the caller's. */
size_t guest_device_restart(struct guest_device *d, uint64_t features);
/* Whether ltran still holds the connection. */
bool guest_device_is_connected(const struct guest_device *d);
void guest_device_close(struct guest_device *d);
/* One vhost-user message by its number in the specification, with descriptors. 0 or -errno. */
int guest_device_say(const struct guest_device *d, uint32_t request, const void *payload, uint32_t size,
	const int *fds, unsigned int n_fds);

/* Puts a frame into a sending ring. False: full. `guest_ring_kick()` after the last of several. */
bool guest_ring_send(struct guest_device *d, struct guest_ring *r, const void *frame, size_t len);
void guest_ring_kick(struct guest_ring *r);
/* The next frame of a receiving ring, in place; NULL: none. Until guest_ring_return(). */
uint8_t *guest_ring_receive(struct guest_device *d, struct guest_ring *r, size_t *len);
void guest_ring_return(struct guest_ring *r);

/* Writes nonsense of a kind ("avail-index", "descriptor-loop", ...) into a ring and kicks; false: no such
 * kind. NULL lists them on stdout. */
bool guest_ring_corrupt(struct guest_ring *r, const char *kind);

#endif
