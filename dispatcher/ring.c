/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Rings: one vhost device per instance, over librte_vhost.
 *
 * The instance is the server of the socket, ltran is the client. The control thread looks for it every few
 * milliseconds (ring_connect()) and gives librte_vhost one end of a socket pair; what the instance says
 * goes through ring_link.c, which the control thread serves (rings_serve()). A ring that the instance
 * hung up is taken down and made again.
 *
 * Three threads meet here. The control thread opens, connects, serves and closes. DPDK's vhost thread
 * reads the messages that the control thread hands it and calls back; new_connection() comes from the
 * control thread, out of rte_vhost_driver_start(). Workers use member.vid, which is -1 while a message
 * changes something (pause()). `lock` guards the slots; a device lives at least as long as the `vid` in
 * its slot, so whoever holds the lock may use that. destroy_device() returns when no worker is inside the
 * device any more, without the lock: workers never wait for this file.
 *
 * Flags of packets are librte_vhost's older kind (no RTE_VHOST_USER_NET_COMPLIANT_OL_FLAGS): a
 * checksum or segmentation that the instance left to its device comes out as TX_* flags, with
 * lengths set, and can go as it is to a port or into another ring.
 */
#include "dispatcher/ring.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <rte_log.h>
#include <rte_vhost.h>

#include "dispatcher/dispatcher.h"
#include "dispatcher/ring_link.h"
#include "dispatcher/ring_sane.h"
#include "dispatcher/time_share.h"
#include "dispatcher/sigbus.h"
#include "dispatcher/whole_file.h"

/* What an instance may not ask for: nothing of it is used, and some of it writes elsewhere. */
#define FEATURES_OFF                                                                               \
	(1ULL << VIRTIO_F_RING_PACKED | 1ULL << VHOST_F_LOG_ALL | 1ULL << VIRTIO_F_IN_ORDER |      \
		1ULL << VIRTIO_RING_F_EVENT_IDX | 1ULL << VIRTIO_NET_F_MTU |                       \
		1ULL << VIRTIO_NET_F_GUEST_ANNOUNCE | 1ULL << VIRTIO_NET_F_HOST_UFO |              \
		1ULL << VIRTIO_NET_F_GUEST_UFO | 1ULL << VIRTIO_NET_F_HOST_TSO6 |                  \
		1ULL << VIRTIO_NET_F_GUEST_TSO6)
#define PROTOCOL_FEATURES                                                                          \
	(1ULL << VHOST_USER_PROTOCOL_F_MQ | 1ULL << VHOST_USER_PROTOCOL_F_REPLY_ACK |              \
		1ULL << VHOST_USER_PROTOCOL_F_STATUS)
#define SET_MEM_TABLE 5 /* number of a message, its first word; vhost-user protocol */
#define EVENTS 64
#define FREE_MESSAGES 64 /* not charged (time_share.h), per pair of queues; a start takes about 30 */
#define FREE_CONNECTIONS 2

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t looked = PTHREAD_COND_INITIALIZER;

static struct ring {
	struct ltran *lt;
	struct member *m; /* NULL: free slot */
	int vid;          /* of the device that runs, -1: none */
	int connection;   /* vid of the connection, -1: none */
	bool is_registered; /* DPDK knows the path */
	bool is_lost;     /* the instance hung up */
	bool is_paused;   /* librte_vhost has a message that changes something */
	bool is_looked_at; /* by ring_is_broken(), without the lock: the device has to stay */
	struct whole_files files; /* of its memory; librte_vhost's descriptors */
	uint64_t since_us, next_us;
	/* control thread */
	struct ring_link link;
	bool is_held;     /* its user has had its share of our time: nothing is read */
	unsigned int n_said, n_made; /* messages, connections since it has registered */
	char why[RING_TEXT_MAX]; /* it is broken; control thread */
} rings[MEMBERS_MAX];

static int epoll_fd = -1; /* both ends of all links, by index of the ring; control thread */

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
		whole_files_add(&r->files, mem->regions[n].fd);
	}
	sigbus_watch(r - rings, regions, n, &r->m->broken);
	free(mem);
}

static enum rte_vhost_msg_result
before_message(int vid, void *msg)
{
	struct ring *r;
	uint32_t request;

	memcpy(&request, msg, sizeof(request));
	pthread_mutex_lock(&lock);
	r = ring_of(vid);
	if (r != NULL && request == SET_MEM_TABLE)
		r->files.n = 0; /* they are closed now */
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
	if (r != NULL)
		ret = rte_vhost_extern_callback_register(vid, &message_ops, NULL);
	if (ret == 0)
		r->connection = vid;
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
		r->connection = -1;
		r->files.n = 0;
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
		if (!r->is_paused)
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

/* --- the control thread --------------------------------------------------------------------------- */

static void
pause_ring(void *arg)
{
	struct ring *r = arg;
	bool was_used;

	pthread_mutex_lock(&lock);
	r->is_paused = true;
	was_used = atomic_exchange(&r->m->vid, -1) >= 0;
	pthread_mutex_unlock(&lock);
	if (was_used)
		workers_synchronize(r->lt);
}

/* The driver's own notifications are never waited for: it need not write any. */
static void
silence_driver(const struct ring *r)
{
	for (uint16_t i = 0; i < 2 * r->m->n_queues && r->connection >= 0; i++)
		rte_vhost_enable_guest_notification(r->connection, i, 0);
}

static void
resume_ring(void *arg)
{
	struct ring *r = arg;

	silence_driver(r);
	pthread_mutex_lock(&lock);
	r->is_paused = false;
	atomic_store_explicit(&r->m->vid, r->vid, memory_order_release);
	pthread_mutex_unlock(&lock);
	workers_kick(r->lt);
}

static const struct ring_link_ops link_ops = {.pause = pause_ring, .resume = resume_ring};

/* Out of the set first: the connection is really closed a little later (closer.h). */
static void
close_link(struct ring *r)
{
	if (r->link.instance_fd >= 0)
		epoll_ctl(epoll_fd, EPOLL_CTL_DEL, r->link.instance_fd, NULL);
	if (r->link.vhost_fd >= 0)
		epoll_ctl(epoll_fd, EPOLL_CTL_DEL, r->link.vhost_fd, NULL);
	ring_link_close(&r->link);
	r->is_held = false;
}

static void
hold(struct ring *r, bool do_hold)
{
	struct epoll_event e = {.events = do_hold ? 0 : EPOLLIN, .data.u32 = (uint32_t)(r - rings)};

	if (r->is_held != do_hold)
		epoll_ctl(epoll_fd, EPOLL_CTL_MOD, r->link.instance_fd, &e);
	r->is_held = do_hold;
}

static enum ring_link_state
hand_on(struct ring *r, bool may_read, uint64_t now_us, char *why)
{
	unsigned int before = r->link.n_taken;
	enum ring_link_state state;

	share_begin();
	state = ring_link_serve(&r->link, &link_ops, r, may_read, now_us, why);
	r->n_said += r->link.n_taken - before;
	if (r->n_said > FREE_MESSAGES * r->m->n_queues)
		share_end(r->m->uid, now_us);
	return state;
}

static void
serve(struct ring *r, bool has_hung_up, uint64_t now_us)
{
	char why[VHOST_WHY_MAX] = "";
	enum ring_link_state state;
	bool is_spent;

	if (r->m == NULL || r->link.vhost_fd < 0)
		return;
	if (has_hung_up && r->link.unsent_us != 0)
		return close_link(r);
	is_spent = share_is_spent(r->m->uid, now_us) && !has_hung_up;
	hold(r, is_spent || r->link.unsent_us != 0);
	state = hand_on(r, !is_spent, now_us, why);
	if (state == RING_LINK_REFUSED) {
		snprintf(r->why, sizeof(r->why), "%s", why);
		atomic_store(&r->m->broken, true);
	}
	if (state != RING_LINK_OPEN)
		close_link(r); /* librte_vhost sees the end, and destroy_connection() follows */
}

int
rings_fd(void)
{
	if (epoll_fd < 0)
		epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	return epoll_fd;
}

void
rings_serve(uint64_t now_us)
{
	struct epoll_event events[EVENTS];
	int n = epoll_wait(epoll_fd, events, EVENTS, 0);

	for (int i = 0; i < n; i++)
		serve(&rings[events[i].data.u32], (events[i].events & EPOLLHUP) != 0, now_us);
}

int
ring_open(struct ltran *lt, struct member *m, char *err, size_t err_len)
{
	int ret = rings_fd() < 0 ? -errno : sigbus_install();

	if (ret < 0) {
		snprintf(err, err_len, "rings: %s", strerror(-ret));
		return ret;
	}
	/* What an instance does wrong is said by us, once, with its name. */
	rte_log_set_level_pattern("lib.vhost*", RTE_LOG_CRIT);
	atomic_store(&m->vid, -1);
	pthread_mutex_lock(&lock);
	rings[m->index] = (struct ring){.lt = lt, .m = m, .vid = -1, .connection = -1,
		.link = {.instance_fd = -1, .vhost_fd = -1}};
	pthread_mutex_unlock(&lock);
	return 0;
}

/* DPDK forgets the path; destroy_device() comes if there is a device. */
static void
disconnect(struct ring *r)
{
	close_link(r);
	if (r->is_registered)
		rte_vhost_driver_unregister(r->m->path);
	r->is_registered = r->is_paused = false;
}

static bool
start_driver(struct ring *r)
{
	const char *path = r->m->path;

	if (rte_vhost_driver_register(path, RTE_VHOST_USER_CLIENT | RTE_VHOST_USER_NO_RECONNECT) < 0)
		return false;
	r->is_registered = true;
	r->is_lost = false;
	return rte_vhost_driver_disable_features(path, FEATURES_OFF) == 0 &&
	       rte_vhost_driver_set_protocol_features(path, PROTOCOL_FEATURES) == 0 &&
	       rte_vhost_driver_callback_register(path, &device_ops) == 0 &&
	       rte_vhost_driver_start(path) == 0;
}

static bool
watch(const struct ring *r, int fd)
{
	struct epoll_event e = {.events = EPOLLIN, .data.u32 = (uint32_t)(r - rings)};

	return epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &e) == 0;
}

static bool
connect_ring(struct ring *r)
{
	const struct member *m = r->m;
	bool is_started;
	int vhost_end;

	if (ring_link_open(&r->link, m->path, m->pid, m->uid, m->n_queues, &vhost_end) < 0)
		return false;
	vhost_connect_give(vhost_end);
	is_started = start_driver(r);
	vhost_connect_give(-1);
	close(vhost_end);
	return is_started && r->connection >= 0 && watch(r, r->link.instance_fd) && watch(r, r->link.vhost_fd);
}

bool
ring_connect(struct member *m, uint64_t now_us)
{
	struct ring *r = &rings[m->index];
	bool is_lost, is_there;

	if (atomic_load(&m->broken)) /* it is about to be cut off */
		return true;
	pthread_mutex_lock(&lock);
	is_lost = r->is_lost;
	pthread_mutex_unlock(&lock);
	if (r->is_registered && !is_lost) {
		serve(r, false, now_us);
		return true;
	}
	if (now_us < r->next_us || (r->n_made > FREE_CONNECTIONS && share_is_spent(m->uid, now_us)))
		return false;
	share_begin();
	if (r->is_registered) {
		disconnect(r);
		r->since_us = now_us;
	}
	if (r->since_us == 0)
		r->since_us = now_us;
	r->next_us = now_us + (now_us - r->since_us < RING_PATIENCE_US ? RING_RETRY_US
								       : RING_RETRY_SLOWLY_US);
	is_there = connect_ring(r);
	if (!is_there)
		disconnect(r);
	r->n_made += is_there;
	if (r->n_made > FREE_CONNECTIONS)
		share_end(m->uid, now_us);
	return is_there;
}

bool
ring_is_broken(struct member *m, char why[RING_TEXT_MAX])
{
	struct ring *r = &rings[m->index];
	bool is_sane = true;
	int vid;

	if (atomic_load(&m->broken)) {
		snprintf(why, RING_TEXT_MAX, "%s", r->why[0] != '\0' ? r->why :
			atomic_load(&m->sends_giants) ? "it sends packets larger than IP's largest" :
			"its memory has gone");
		return true;
	}
	pthread_mutex_lock(&lock);
	if (!whole_files_are(&r->files)) {
		pthread_mutex_unlock(&lock);
		atomic_store(&m->broken, true);
		snprintf(why, RING_TEXT_MAX, "pages of its memory have gone");
		return true;
	}
	vid = r->is_paused ? -1 : r->vid;
	r->is_looked_at = vid >= 0;
	pthread_mutex_unlock(&lock);
	if (vid < 0)
		return false;
	is_sane = ring_indices_are_sane(vid, why);
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
	*r = (struct ring){.vid = -1, .connection = -1,
		.link = {.instance_fd = -1, .vhost_fd = -1}};
	pthread_mutex_unlock(&lock);
	sigbus_forget(m->index);
}
