/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Rings: one vhost device per instance, over librte_vhost.
 *
 * The instance is the server of the socket, we are the client. DPDK would try a server that is not
 * there yet once a second; so it is never asked to, and the control thread looks every few milliseconds
 * instead (ring_connect()). A ring that the instance hung up is taken down and made again.
 *
 * Three threads meet here. The control thread opens, connects and closes. DPDK's vhost thread reads
 * the instance's messages and calls back; new_connection() comes from the control thread, out of
 * rte_vhost_driver_start(). Workers use member.vid. `lock` guards the slots; a device lives at least as
 * long as the `vid` in its slot, so whoever holds the lock may use that. destroy_device() returns
 * when no worker is inside the device any more, without the lock: workers never wait for this file.
 *
 * Flags of packets are librte_vhost's older kind (no RTE_VHOST_USER_NET_COMPLIANT_OL_FLAGS): a
 * checksum or segmentation that the instance left to its device comes out as TX_* flags, with
 * lengths set, and can go as it is to a port or into another ring.
 */
#include "dispatcher/ring.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <rte_log.h>
#include <rte_vhost.h>

#include "dispatcher/dispatcher.h"
#include "dispatcher/sigbus.h"

/* What an instance may not ask for: nothing of it is used, and some of it writes elsewhere. */
#define FEATURES_OFF                                                                               \
	(1ULL << VIRTIO_F_RING_PACKED | 1ULL << VHOST_F_LOG_ALL |                                  \
		1ULL << VIRTIO_NET_F_GUEST_ANNOUNCE | 1ULL << VIRTIO_NET_F_HOST_UFO |              \
		1ULL << VIRTIO_NET_F_GUEST_UFO | 1ULL << VIRTIO_NET_F_HOST_TSO6 |                  \
		1ULL << VIRTIO_NET_F_GUEST_TSO6)
#define PROTOCOL_FEATURES                                                                          \
	(1ULL << VHOST_USER_PROTOCOL_F_MQ | 1ULL << VHOST_USER_PROTOCOL_F_REPLY_ACK |              \
		1ULL << VHOST_USER_PROTOCOL_F_STATUS)
#define SET_MEM_TABLE 5 /* numbers of messages, first word of all; vhost-user protocol */
#define SET_VRING_CALL 13
#define MESSAGE_WAIT_MS 200 /* for the second half of a message, or for room for an answer */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t looked = PTHREAD_COND_INITIALIZER;

static struct ring {
	struct ltran *lt;
	struct member *m; /* NULL: free slot */
	int vid;          /* of the connection, -1: none */
	bool is_registered; /* DPDK knows the path */
	bool is_lost;     /* the instance hung up */
	bool is_connected; /* and it is the instance who listens there */
	bool is_looked_at; /* by ring_is_broken(), without the lock: the device has to stay */
	uint64_t since_us, next_us;
} rings[MEMBERS_MAX];

/* The ring of device `vid`, by the path that DPDK has; with the lock held. */
static struct ring *
ring_of(int vid)
{
	char path[LTRAN_PATH_MAX];

	if (rte_vhost_get_ifname(vid, path, sizeof(path)) < 0)
		return NULL;
	for (unsigned int i = 0; i < MEMBERS_MAX; i++) {
		if (rings[i].m != NULL && strcmp(rings[i].m->path, path) == 0)
			return &rings[i];
	}
	return NULL;
}

/* DPDK does not show its socket: it is the one of ours that is connected to `path`. */
static int
find_socket(const char *path)
{
	DIR *d = opendir("/proc/self/fd");
	struct dirent *e;
	int found = -1;

	while (d != NULL && found < 0 && (e = readdir(d)) != NULL) {
		struct sockaddr_un peer = {0};
		socklen_t len = sizeof(peer) - 1;
		int fd;

		if (sscanf(e->d_name, "%d", &fd) == 1 && getpeername(fd, (struct sockaddr *)&peer, &len) == 0 &&
			peer.sun_family == AF_UNIX && strcmp(peer.sun_path, path) == 0)
			found = fd;
	}
	if (d != NULL)
		closedir(d);
	return found;
}

/* Is it the instance who listens? Its messages must not hold DPDK's thread, which serves all. */
static bool
tame_connection(const struct member *m)
{
	struct timeval wait = {.tv_usec = MESSAGE_WAIT_MS * 1000};
	struct ucred peer;
	socklen_t len = sizeof(peer);
	int fd = find_socket(m->path);

	if (fd < 0 || getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0)
		return false;
	if (peer.pid != m->pid || peer.uid != m->uid)
		return false;
	return setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait)) == 0 &&
	       setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait)) == 0;
}

/* With the lock held, by the thread that reads the instance's messages. */
static void
watch_memory(struct ring *r, int vid)
{
	struct sigbus_region regions[SIGBUS_REGIONS];
	struct rte_vhost_memory *mem;
	unsigned int n;

	if (rte_vhost_get_mem_table(vid, &mem) < 0)
		return;
	for (n = 0; n < mem->nregions && n < SIGBUS_REGIONS; n++) {
		regions[n].start = mem->regions[n].mmap_addr;
		regions[n].bytes = mem->regions[n].mmap_size;
	}
	sigbus_watch(r - rings, regions, n, &r->m->broken);
	free(mem);
}

/*
 * Workers write to what the instance wants to be called by: an eventfd that does not block them.
 * False: something else, or more of them than it has queues.
 */
static bool
tame_calls(const struct member *m, int vid)
{
	int n = rte_vhost_get_vring_num(vid);

	for (int i = 0; i < n; i++) {
		struct rte_vhost_vring v;
		char link[32], target[32];
		ssize_t len;

		if (rte_vhost_get_vhost_vring(vid, i, &v) < 0 || v.callfd < 0)
			continue;
		snprintf(link, sizeof(link), "/proc/self/fd/%d", v.callfd);
		len = readlink(link, target, sizeof(target) - 1);
		target[RTE_MAX(len, 0)] = '\0';
		if (strcmp(target, "anon_inode:[eventfd]") != 0 ||
			fcntl(v.callfd, F_SETFL, O_NONBLOCK) < 0)
			return false;
	}
	return n <= 2 * m->n_queues;
}

static enum rte_vhost_msg_result
before_message(int vid, void *msg)
{
	struct ring *r;

	pthread_mutex_lock(&lock);
	r = ring_of(vid);
	sigbus_expect(r != NULL ? &r->m->broken : NULL);
	pthread_mutex_unlock(&lock);
	return RTE_VHOST_MSG_RESULT_NOT_HANDLED;
}

static enum rte_vhost_msg_result
after_message(int vid, void *msg)
{
	struct ring *r;
	uint32_t request;

	memcpy(&request, msg, sizeof(request));
	pthread_mutex_lock(&lock);
	r = ring_of(vid);
	if (r != NULL && request == SET_MEM_TABLE)
		watch_memory(r, vid);
	if (r != NULL && request == SET_VRING_CALL && !tame_calls(r->m, vid))
		atomic_store(&r->m->broken, true);
	sigbus_expect(NULL);
	pthread_mutex_unlock(&lock);
	return RTE_VHOST_MSG_RESULT_NOT_HANDLED;
}

static const struct rte_vhost_user_extern_ops message_ops = {
	.pre_msg_handle = before_message,
	.post_msg_handle = after_message,
};

static int
new_connection(int vid)
{
	struct ring *r;
	int ret = -1;

	pthread_mutex_lock(&lock);
	r = ring_of(vid);
	if (r != NULL && tame_connection(r->m))
		ret = rte_vhost_extern_callback_register(vid, &message_ops, NULL);
	if (r != NULL)
		r->is_connected = ret == 0;
	pthread_mutex_unlock(&lock);
	return ret;
}

static void
destroy_connection(int vid)
{
	struct ring *r;

	pthread_mutex_lock(&lock);
	r = ring_of(vid);
	if (r != NULL) {
		r->is_lost = true;
		sigbus_forget(r - rings); /* DPDK unmaps it now, and others may get the place */
	}
	sigbus_expect(NULL);
	pthread_mutex_unlock(&lock);
}

static int
new_device(int vid)
{
	struct ltran *lt = NULL;
	struct ring *r;

	pthread_mutex_lock(&lock);
	r = ring_of(vid);
	if (r != NULL) {
		lt = r->lt;
		r->vid = vid;
		atomic_store_explicit(&r->m->vid, vid, memory_order_release);
	}
	pthread_mutex_unlock(&lock);
	if (lt == NULL)
		return -1;
	workers_kick(lt);
	return 0;
}

static void
destroy_device(int vid)
{
	struct ltran *lt = NULL;
	struct ring *r;

	pthread_mutex_lock(&lock);
	r = ring_of(vid);
	if (r != NULL) {
		lt = r->lt;
		r->vid = -1;
		atomic_store(&r->m->vid, -1);
		while (r->is_looked_at)
			pthread_cond_wait(&looked, &lock);
	}
	pthread_mutex_unlock(&lock);
	if (lt == NULL)
		return;
	workers_kick(lt);
	workers_synchronize(lt);
}

static const struct rte_vhost_device_ops device_ops = {
	.new_device = new_device,
	.destroy_device = destroy_device,
	.new_connection = new_connection,
	.destroy_connection = destroy_connection,
};

int
ring_open(struct ltran *lt, struct member *m, char *err, size_t err_len)
{
	int ret = sigbus_install();

	if (ret < 0) {
		snprintf(err, err_len, "handler of SIGBUS: %s", strerror(-ret));
		return ret;
	}
	atomic_store(&m->vid, -1);
	pthread_mutex_lock(&lock);
	rings[m->index] = (struct ring){.lt = lt, .m = m, .vid = -1};
	pthread_mutex_unlock(&lock);
	return 0;
}

/* DPDK forgets the path; it calls destroy_device() if there is a device. */
static void
disconnect(struct ring *r)
{
	if (r->is_registered)
		rte_vhost_driver_unregister(r->m->path);
	r->is_registered = false;
}

static bool
start_driver(struct ring *r)
{
	const char *path = r->m->path;

	if (rte_vhost_driver_register(path, RTE_VHOST_USER_CLIENT | RTE_VHOST_USER_NO_RECONNECT) < 0)
		return false;
	r->is_registered = true;
	r->is_lost = r->is_connected = false;
	return rte_vhost_driver_disable_features(path, FEATURES_OFF) == 0 &&
	       rte_vhost_driver_set_protocol_features(path, PROTOCOL_FEATURES) == 0 &&
	       rte_vhost_driver_callback_register(path, &device_ops) == 0 &&
	       rte_vhost_driver_start(path) == 0 && r->is_connected;
}

bool
ring_connect(struct member *m, uint64_t now_us)
{
	struct ring *r = &rings[m->index];
	bool is_lost;
	struct stat st;

	pthread_mutex_lock(&lock);
	is_lost = r->is_lost;
	pthread_mutex_unlock(&lock);
	if (r->is_registered && !is_lost)
		return true;
	if (r->is_registered) {
		disconnect(r);
		r->since_us = now_us;
	}
	if (now_us < r->next_us)
		return false;
	if (r->since_us == 0)
		r->since_us = now_us;
	r->next_us = now_us + (now_us - r->since_us < RING_PATIENCE_US ? RING_RETRY_US
								       : RING_RETRY_SLOWLY_US);
	if (lstat(m->path, &st) < 0 || !S_ISSOCK(st.st_mode) || st.st_uid != m->uid)
		return false;
	if (start_driver(r))
		return true;
	disconnect(r);
	return false;
}

/* No ring of `vid` has more entries waiting than it has room for. */
static bool
indices_are_sane(int vid, char why[RING_TEXT_MAX])
{
	for (int i = 0; i < rte_vhost_get_vring_num(vid); i++) {
		struct rte_vhost_vring v;
		uint16_t waiting;

		if (rte_vhost_get_vhost_vring(vid, i, &v) < 0)
			continue;
		waiting = rte_vhost_avail_entries(vid, i);
		if (waiting <= v.size)
			continue;
		snprintf(why, RING_TEXT_MAX, "queue %d of its ring offers %u entries of %u", i,
			waiting, v.size);
		return false;
	}
	return true;
}

bool
ring_is_broken(struct member *m, char why[RING_TEXT_MAX])
{
	struct ring *r = &rings[m->index];
	bool is_sane = true;
	int vid;

	if (atomic_load(&m->broken)) {
		snprintf(why, RING_TEXT_MAX, "its ring is not what was agreed, or its memory has gone");
		return true;
	}
	pthread_mutex_lock(&lock);
	vid = r->vid;
	r->is_looked_at = vid >= 0;
	pthread_mutex_unlock(&lock);
	if (vid < 0)
		return false;
	is_sane = indices_are_sane(vid, why);
	pthread_mutex_lock(&lock);
	r->is_looked_at = false;
	pthread_cond_broadcast(&looked);
	pthread_mutex_unlock(&lock);
	return !is_sane;
}

void
ring_close(struct ltran *lt, struct member *m)
{
	struct ring *r = &rings[m->index];

	disconnect(r);
	pthread_mutex_lock(&lock);
	*r = (struct ring){.vid = -1};
	pthread_mutex_unlock(&lock);
	sigbus_forget(m->index);
}
