/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a hostile instance does, a step each; S is seconds.
 *
 *	burn:S          nothing but computing: what a busy process costs its neighbours anyway
 *	connects:S      connects to ltran's registration socket and hangs up, as often as it can
 *	squat:N         registers N more addresses, from its own on, and keeps them
 *	again:S,RATE    leaves and registers anew, with a ring, so often a second
 *	asks:S          asks for ports to listen on, as fast as ltran answers
 *	reconnects:S    hangs up on its ring whenever ltran has connected
 *	enables:S,RATE  switches its rings off and on while they run (RATE 0: as fast as it can)
 *	tables:S,RATE   tells of the same memory anew while its rings run
 *	table:KIND      a table of memory: giant, overlap, many, wrap, none, pipe, short, sealed,
 *	                holes, punched
 *	rings:KIND      stops its rings and starts them with addresses: misaligned, straddle, outside
 *	drip:S          a message of which a byte comes every millisecond
 *	fds:N           N messages with 253 descriptors each, on the ring's connection
 *	fuse-fds:N      the same on the registration, of a file whose close() waits for ever
 *	unread:N        registers N times, leaves each time and reads no answer, but keeps the sockets
 *	fly:N,S         N descriptors are on their way between sockets of its own, for S seconds
 *	giant:S         sends packets of all the bytes that its memory has, as many as its ring holds
 *	punch           takes its memory's pages away
 */
#include "tests/ltran_guest_hostile.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "tests/ltran_client.h"
#include "tests/ltran_guest_fuse.h"
#include "tests/ltran_guest_punch.h"

#define ACCEPT_MS 3000
#define REGIONS 8
#define PAGE 4096u

/* vhost-user's numbers */
enum { SET_MEM_TABLE = 5, SET_VRING_NUM = 8, SET_VRING_ADDR = 9, SET_VRING_BASE = 10,
	GET_VRING_BASE = 11, SET_VRING_KICK = 12, SET_VRING_CALL = 13, SET_VRING_ENABLE = 18 };

struct regions {
	uint32_t n, pad;
	struct {
		uint64_t guest, bytes, user, offset;
	} region[REGIONS];
};

static double
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* "S,RATE" */
static double
rate_of(const char *text)
{
	const char *comma = strchr(text, ',');

	return comma != NULL ? strtod(comma + 1, NULL) : 0;
}

/* Until step `n` is due at `rate` a second; 0: at once. */
static void
pace(double start, unsigned long n, double rate)
{
	double wait = rate > 0 ? start + (double)n / rate - now() : 0;

	if (wait > 0)
		usleep((useconds_t)(wait * 1e6));
}

/* --- registration --------------------------------------------------------------------------------- */

static void
connects(struct guest *g, double seconds)
{
	double end = now() + seconds;
	unsigned long n = 0;

	for (; now() < end; n++) {
		int fd = ltran_client_connect(g->dir, g->prefix);

		if (fd < 0) {
			printf("connect: %s\n", strerror(-fd));
			return;
		}
		close(fd);
	}
	printf("connected %lu times\n", n);
}

static void
squat(struct guest *g, unsigned int n)
{
	struct ltran_register r = g->request;
	struct ltran_registered a;
	unsigned int got = 0;

	for (unsigned int i = 1; i <= n; i++) {
		int fd = ltran_client_connect(g->dir, g->prefix), ret;

		r.addr = htonl(ntohl(g->request.addr) + i);
		ret = fd < 0 ? fd : ltran_client_register(fd, &r, &a);
		if (ret < 0) {
			printf("refused %s: %.*s\n", strerrorname_np(-ret), LTRAN_TEXT_MAX, a.text);
			break;
		}
		got++;
	}
	printf("squatted %u\n", got);
}

static void
unread(struct guest *g, unsigned int n)
{
	struct ltran_register r = g->request;
	unsigned int sent = 0;

	r.addr = htonl(ntohl(r.addr) + 1);
	for (unsigned int i = 0; i < n; i++) {
		int fd = ltran_client_connect(g->dir, g->prefix), table = ltran_client_table(1, 1024);
		struct pollfd p = { .fd = fd, .events = POLLIN };

		if (fd < 0 || table < 0 || ltran_client_send(fd, &r, sizeof(r), table) < 0)
			break;
		close(table);
		sent += poll(&p, 1, ACCEPT_MS) == 1;
		shutdown(fd, SHUT_WR);
	}
	printf("unread %u\n", sent);
}

static void
giant(struct guest *g, double seconds)
{
	struct guest_ring *r = &g->device.rings[1];
	double end = now() + seconds;

	for (unsigned int i = 0; i < r->vring.num; i++) {
		r->vring.desc[i].addr = GUEST_ADDRESS;
		r->vring.desc[i].len = (uint32_t)g->device.memory_bytes;
	}
	while (now() < end) {
		r->used = __atomic_load_n(&r->vring.used->idx, __ATOMIC_ACQUIRE);
		if ((uint16_t)(r->avail - r->used) < r->vring.num)
			__atomic_store_n(&r->vring.avail->idx, ++r->avail, __ATOMIC_RELEASE);
		guest_ring_kick(r);
	}
	printf("giants %u\n", r->used);
}

static void
fly(unsigned int n, double seconds)
{
	int fds[GUEST_FDS_MAX], pairs[64][2], n_pairs = 0;
	struct guest_device d = { 0 };
	unsigned int sent = 0;
	uint32_t state[2] = { 0 };

	for (unsigned int i = 0; i < GUEST_FDS_MAX; i++)
		fds[i] = STDOUT_FILENO;
	while (sent < n && n_pairs < 64 &&
		socketpair(AF_UNIX, SOCK_STREAM, 0, pairs[n_pairs]) == 0) {
		d.peer_fd = pairs[n_pairs++][0];
		if (guest_device_say(&d, SET_VRING_ENABLE, state, sizeof(state), fds, GUEST_FDS_MAX) == 0)
			sent += GUEST_FDS_MAX;
	}
	printf("flying %u\n", sent);
	usleep((useconds_t)(seconds * 1e6));
	while (n_pairs-- > 0) {
		close(pairs[n_pairs][0]);
		close(pairs[n_pairs][1]);
	}
	printf("landed\n");
}

static bool
register_again(struct guest *g)
{
	int ret;

	close(g->registration);
	guest_device_close(&g->device);
	g->registration = ltran_client_connect(g->dir, g->prefix);
	ret = g->registration < 0 ? g->registration :
		ltran_client_register(g->registration, &g->request, &g->answer);
	if (ret == 0)
		ret = guest_device_open(&g->device, g->answer.path, g->request.n_queues,
			g->answer.queue_size);
	guest_device_set_bell(&g->device, ltran_client_kick());
	if (ret == 0)
		ret = guest_device_accept(&g->device, ACCEPT_MS);
	if (ret < 0)
		printf("not again: %s %.*s\n", strerror(-ret), LTRAN_TEXT_MAX, g->answer.text);
	return ret == 0;
}

static void
again(struct guest *g, double seconds, double rate)
{
	double start = now();
	unsigned long n = 0;
	uint8_t frame[60];
	int kick;

	memset(frame, 0xff, 6);
	while (now() < start + seconds) {
		kick = ltran_client_kick();
		if (!register_again(g))
			break;
		close(kick);
		memcpy(frame + 6, g->answer.mac, 6);
		for (int i = 0; i < 3; i++)
			guest_ring_send(&g->device, &g->device.rings[1], frame, sizeof(frame));
		guest_ring_kick(&g->device.rings[1]);
		pace(start, ++n, rate);
	}
	printf("registered %lu times\n", n);
}

static void
asks(struct guest *g, double seconds)
{
	struct ltran_listen q = { .header = { LTRAN_MAGIC, LTRAN_VERSION, LTRAN_LISTEN, 0, 0 },
		.protocol = 17, .reuseport = 1 };
	double end = now() + seconds;
	unsigned long n = 0;
	char answer[256];

	while (now() < end) {
		q.port = (uint16_t)n;
		if (send(g->registration, &q, sizeof(q), MSG_DONTWAIT | MSG_NOSIGNAL) > 0)
			n++;
		else if (errno != EAGAIN)
			break;
		while (recv(g->registration, answer, sizeof(answer), MSG_DONTWAIT) > 0)
			continue;
	}
	printf("asked %lu times\n", n);
}

/* --- the ring's connection ------------------------------------------------------------------------ */

static void
reconnects(struct guest *g, double seconds)
{
	double end = now() + seconds;
	unsigned long n = 0;

	for (; now() < end; n++) {
		close(g->device.peer_fd);
		if (guest_device_accept(&g->device, ACCEPT_MS) < 0)
			break;
	}
	printf("hung up %lu times\n", n);
}

static void
enables(struct guest *g, double seconds, double rate)
{
	double start = now();
	unsigned long n = 0;

	while (now() < start + seconds) {
		uint32_t state[2] = { (uint32_t)(n % g->device.n_rings), n / g->device.n_rings % 2 == 1 };

		if (guest_device_say(&g->device, SET_VRING_ENABLE, state, sizeof(state), NULL, 0) < 0)
			break;
		pace(start, ++n, rate);
	}
	printf("switched %lu times\n", n);
}

static struct regions
good_regions(const struct guest *g)
{
	return (struct regions){ .n = 1, .region = { { GUEST_ADDRESS, g->device.memory_bytes,
		(uintptr_t)g->device.memory, 0 } } };
}

static int
say_regions(const struct guest *g, const struct regions *t, const int *fds)
{
	return guest_device_say(&g->device, SET_MEM_TABLE, t, 8 + t->n * 32, fds, t->n);
}

static void
tables(struct guest *g, double seconds, double rate)
{
	struct regions t = good_regions(g);
	double start = now();
	unsigned long n = 0;

	while (now() < start + seconds) {
		/* Another size each time, or it would be no change. */
		t.region[0].bytes = g->device.memory_bytes - (n % 2) * PAGE;
		if (say_regions(g, &t, &g->device.memory_fd) < 0)
			break;
		pace(start, ++n, rate);
	}
	printf("told of memory %lu times\n", n);
}

static bool
table(struct guest *g, const char *kind)
{
	struct regions t = good_regions(g);
	int fds[REGIONS], pipes[2] = { -1, -1 }, fd = memfd_create("odd", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	for (int i = 0; i < REGIONS; i++)
		fds[i] = g->device.memory_fd;
	fds[0] = guest_odd_memory(kind, g->device.memory_bytes, fds[0]);
	if (strcmp(kind, "giant") == 0) {
		t.region[0].bytes = 1ull << 40;
		if (ftruncate(fd, 1ll << 40) < 0)
			perror("ftruncate");
		fds[0] = fd;
	} else if (strcmp(kind, "overlap") == 0 || strcmp(kind, "many") == 0) {
		t.n = REGIONS;
		for (unsigned int i = 1; i < t.n; i++) {
			t.region[i] = t.region[0];
			t.region[i].guest += kind[0] == 'o' ? i * PAGE : i * (1ull << 32);
		}
	} else if (strcmp(kind, "wrap") == 0) {
		t.region[0].guest = UINT64_MAX - PAGE;
	} else if (strcmp(kind, "none") == 0) {
		t.n = 0;
	} else if (strcmp(kind, "pipe") == 0) {
		if (pipe(pipes) < 0)
			perror("pipe");
		fds[0] = pipes[1];
	} else if (strcmp(kind, "short") == 0) {
		t.region[0].bytes += PAGE;
	} else if (strcmp(kind, "sealed") == 0) {
		if (ftruncate(fd, (off_t)g->device.memory_bytes) < 0 ||
			fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE) < 0)
			perror("sealed");
		fds[0] = fd;
	} else if (fds[0] == g->device.memory_fd) {
		return false;
	}
	say_regions(g, &t, fds);
	close(fd);
	close(pipes[0]);
	close(pipes[1]);
	return true;
}

static bool
rings(struct guest *g, const char *kind)
{
	struct guest_device *d = &g->device;
	uint64_t by = 0, to = (uintptr_t)d->rings[1].vring.desc;
	uint32_t state[2] = { 1, 0 };
	struct {
		uint32_t index, flags;
		uint64_t descriptors, used, avail, log;
	} at = { .index = 1 };
	uint64_t number = 1;

	if (strcmp(kind, "misaligned") == 0)
		by = 1;
	else if (strcmp(kind, "straddle") == 0)
		to = (uintptr_t)d->memory + d->memory_bytes - 64;
	else if (strcmp(kind, "outside") == 0)
		to = 0x7fff00000000ull;
	else
		return false;
	at.descriptors = to + by;
	at.avail = to + by + ((uintptr_t)d->rings[1].vring.avail - (uintptr_t)d->rings[1].vring.desc);
	at.used = to + by + ((uintptr_t)d->rings[1].vring.used - (uintptr_t)d->rings[1].vring.desc);
	guest_device_say(d, GET_VRING_BASE, state, sizeof(state), NULL, 0);
	state[1] = d->rings[1].vring.num;
	guest_device_say(d, SET_VRING_NUM, state, sizeof(state), NULL, 0);
	state[1] = 0;
	guest_device_say(d, SET_VRING_BASE, state, sizeof(state), NULL, 0);
	guest_device_say(d, SET_VRING_ADDR, &at, sizeof(at), NULL, 0);
	guest_device_say(d, SET_VRING_CALL, &number, sizeof(number), &d->rings[1].call, 1);
	guest_device_say(d, SET_VRING_KICK, &number, sizeof(number), &d->rings[1].kick, 1);
	state[1] = 1;
	guest_device_say(d, SET_VRING_ENABLE, state, sizeof(state), NULL, 0);
	guest_ring_corrupt(&d->rings[1], "length-zero"); /* something to be looked at */
	return true;
}

static void
drip(struct guest *g, double seconds)
{
	struct {
		uint32_t request, flags, size;
		uint8_t payload[8];
	} m = { SET_VRING_ENABLE, 1, 8, { 0 } };
	double end = now() + seconds;

	for (unsigned int i = 0; now() < end; i++) {
		if (send(g->device.peer_fd, (char *)&m + i % 20, 1, MSG_NOSIGNAL) < 0)
			break;
		usleep(1000);
	}
	printf("dripped\n");
}

static void
send_fds(struct guest *g, unsigned int n)
{
	uint32_t state[2] = { 0, 1 };
	int fds[GUEST_FDS_MAX];
	unsigned int sent = 0;

	for (unsigned int i = 0; i < GUEST_FDS_MAX; i++)
		fds[i] = g->device.memory_fd;
	while (sent < n && guest_device_say(&g->device, SET_VRING_ENABLE, state, sizeof(state), fds,
		GUEST_FDS_MAX) == 0)
		sent++;
	printf("sent %u times %u descriptors\n", sent, GUEST_FDS_MAX);
}

/* A connection each: the first one that ltran likes none of ends it. */
static void
send_fuse_fds(struct guest *g, unsigned int n)
{
	struct ltran_header h = { LTRAN_MAGIC, LTRAN_VERSION, LTRAN_PORTS, 0, 0 };
	int never = guest_fuse_open();
	unsigned int sent = 0;

	if (never < 0) {
		printf("no fuse: %s\n", strerror(-never));
		return;
	}
	for (unsigned int i = 0; i < n; i++) {
		int fd = ltran_client_connect(g->dir, g->prefix);

		sent += fd >= 0 && ltran_client_send(fd, &h, sizeof(h), never) == 0;
		if (fd >= 0)
			close(fd);
		usleep(10000);
	}
	printf("sent %u descriptors whose close() waits\n", sent);
}

/* --- the list -------------------------------------------------------------------------------------- */

bool
guest_take_hostile_step(struct guest *g, const char *step, const char *text)
{
	double seconds = strtod(text, NULL), end = now() + seconds;
	volatile unsigned long waste = 0;

	if (strcmp(step, "burn") == 0)
		while (now() < end)
			waste++;
	else if (strcmp(step, "connects") == 0)
		connects(g, seconds);
	else if (strcmp(step, "squat") == 0)
		squat(g, (unsigned int)seconds);
	else if (strcmp(step, "again") == 0)
		again(g, seconds, rate_of(text));
	else if (strcmp(step, "asks") == 0)
		asks(g, seconds);
	else if (strcmp(step, "reconnects") == 0)
		reconnects(g, seconds);
	else if (strcmp(step, "enables") == 0)
		enables(g, seconds, rate_of(text));
	else if (strcmp(step, "tables") == 0)
		tables(g, seconds, rate_of(text));
	else if (strcmp(step, "table") == 0)
		return table(g, text);
	else if (strcmp(step, "rings") == 0)
		return rings(g, text);
	else if (strcmp(step, "drip") == 0)
		drip(g, seconds);
	else if (strcmp(step, "fds") == 0)
		send_fds(g, (unsigned int)seconds);
	else if (strcmp(step, "fuse-fds") == 0)
		send_fuse_fds(g, (unsigned int)seconds);
	else if (strcmp(step, "unread") == 0)
		unread(g, (unsigned int)seconds);
	else if (strcmp(step, "giant") == 0)
		giant(g, seconds);
	else if (strcmp(step, "fly") == 0)
		fly((unsigned int)seconds, rate_of(text));
	else if (strcmp(step, "punch") == 0)
		guest_punch(g->device.memory_fd, g->device.memory_bytes);
	else
		return false;
	return true;
}
