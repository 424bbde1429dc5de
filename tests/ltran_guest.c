/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ltran_guest: an instance without a stack, honest or hostile, for the system tests of ltran.
 *
 *	ltran_guest [OPTIONS] ADDRESS STEP...
 *	ltran_guest [OPTIONS] --malformed KIND|all ADDRESS
 *
 * Options --memory fuse and --doorbell fuse: that is a file that never answers (ltran_guest_fuse.c).
 *
 * It registers, opens its ring, then takes the steps one by one and says on stdout what came of each:
 *
 *	udp:KEY=VALUE,...   sends frames (also tcp, arp, raw); keys in ltran_guest_frame.c
 *	read:SECONDS        takes what comes in
 *	echo:SECONDS        the same, and sends UDP back
 *	stall:SECONDS       leaves the ring alone
 *	corrupt:KIND        writes nonsense into its sending ring (corrupt-rx: into the receiving one)
 *	truncate            takes the memory away under the ring
 *	call-full           makes writing to its own doorbells block
 *	kicks:SECONDS       wakes ltran again and again, for nothing
 *	half                sends half a message to ltran's vhost side
 *	grow                gives a running ring another size
 *	close               closes the ring, keeps the registration
 *	(more of them in ltran_guest_hostile.c)
 *	connected           whether ltran still holds registration and ring
 *	wait                until ltran closes the registration
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "tests/ltran_client.h"
#include "tests/ltran_guest.h"
#include "tests/ltran_guest_fuse.h"
#include "tests/ltran_guest_hostile.h"

#define ACCEPT_MS 10000
#define WAIT_MS 10000
#define BURST 32

static double
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static struct guest_ring *
sending(struct guest *g)
{
	return &g->device.rings[1];
}

/* --- steps ------------------------------------------------------------------------------------------ */

/* Frames over all steps' rings in turn; true: an answer was sent back. */
static unsigned int
take_one(struct guest *g, unsigned int pair, bool echo)
{
	struct guest_ring *r = &g->device.rings[2 * pair];
	size_t len;
	uint8_t *frame = guest_ring_receive(&g->device, r, &len);

	if (frame == NULL)
		return 0;
	if (echo && guest_frame_turn(frame, (unsigned int)len) &&
		guest_ring_send(&g->device, r + 1, frame, len))
		guest_ring_kick(r + 1);
	guest_ring_return(r);
	return 1;
}

/* Several rings, one thread: look, sleep a moment when there was nothing. */
static void
step_read(struct guest *g, double seconds, bool echo)
{
	double end = now() + seconds;
	unsigned long n = 0;

	while (now() < end) {
		unsigned int taken = 0;

		for (unsigned int pair = 0; pair < g->device.n_rings / 2; pair++)
			taken += take_one(g, pair, echo);
		if (taken == 0)
			usleep(200);
		n += taken;
	}
	printf("%s %lu\n", echo ? "echoed" : "read", n);
}

/* Frames that the rate allows by now; all of them without one. */
static unsigned long
due(const struct guest_frame *f, double since)
{
	return f->rate > 0 ? (unsigned long)((now() - since) * f->rate) + 1 : (unsigned long)-1;
}

static bool
step_send(struct guest *g, const char *kind, char *text)
{
	struct guest_frame f = g->frame;
	uint8_t frame[2048];
	unsigned long sent = 0, last = 0;
	unsigned int len;
	double start = now(), idle_since = start;

	if (!guest_frame_parse(&f, text))
		return false;
	len = guest_frame_write(&f, kind, frame);
	if (len == 0)
		return false;
	while (f.seconds > 0 ? now() - start < f.seconds : sent < f.count) {
		while (sent < due(&f, start) && sent - last < BURST &&
			(f.seconds > 0 || sent < f.count) &&
			guest_ring_send(&g->device, sending(g), frame, len))
			sent++;
		if (sent != last) {
			guest_ring_kick(sending(g));
			idle_since = now();
		} else if (now() - idle_since > 2 && f.rate == 0) {
			break; /* nobody reads the ring any more */
		}
		last = sent;
	}
	printf("sent %lu\n", sent);
	return true;
}

static void
step_connected(struct guest *g)
{
	char byte;
	bool registered = recv(g->registration, &byte, 1, MSG_PEEK | MSG_DONTWAIT) != 0;

	printf("registration %s, ring %s\n", registered ? "open" : "closed",
		guest_device_is_connected(&g->device) ? "open" : "closed");
}

static void
step_wait(struct guest *g)
{
	struct pollfd p = { .fd = g->registration, .events = POLLIN };

	printf("registration %s\n", poll(&p, 1, WAIT_MS) == 1 ? "closed" : "open");
}

/* eventfds' flags are shared with whoever has a copy: from here on a write waits. */
static void
step_call_full(struct guest *g)
{
	for (unsigned int i = 0; i < g->device.n_rings; i++) {
		eventfd_write(g->device.rings[i].call, 0xfffffffffffffffe);
		fcntl(g->device.rings[i].call, F_SETFL, 0);
		eventfd_write(g->device.rings[i].kick, 0xfffffffffffffffe);
		fcntl(g->device.rings[i].kick, F_SETFL, 0);
	}
	fcntl(ltran_client_kick(), F_SETFL, 0);
}

static void
step_kicks(double seconds)
{
	double end = now() + seconds;

	for (unsigned int i = 0; now() < end; i++) {
		eventfd_write(ltran_client_kick(), 1);
		if (i % 16 == 0)
			usleep(50);
	}
}

/* A header that promises eight bytes (SET_FEATURES); or 1024 entries for ring 0 (SET_VRING_NUM). */
static void
step_message(struct guest *g, bool is_whole)
{
	const uint32_t half[] = { 2, 1, 8 }, whole[] = { 8, 1, 8, 0, 64 };

	if (send(g->device.peer_fd, is_whole ? whole : half, is_whole ? sizeof(whole) : sizeof(half),
		MSG_NOSIGNAL) < 0)
		printf("no connection: %s\n", strerror(errno));
}

/* False: no such step. */
static bool
take_step(struct guest *g, char *step)
{
	char *text = strchr(step, ':'), none[] = "";
	double seconds;

	if (text != NULL)
		*text++ = '\0';
	else
		text = none;
	seconds = strtod(text, NULL);
	if (strcmp(step, "read") == 0 || strcmp(step, "echo") == 0)
		step_read(g, seconds, step[0] == 'e');
	else if (strcmp(step, "stall") == 0)
		usleep((useconds_t)(seconds * 1e6));
	else if (strcmp(step, "corrupt") == 0)
		return guest_ring_corrupt(sending(g), text);
	else if (strcmp(step, "corrupt-rx") == 0)
		return guest_ring_corrupt(&g->device.rings[0], text);
	else if (strcmp(step, "truncate") == 0)
		printf("truncate %s\n", ftruncate(g->device.memory_fd, 0) == 0 ? "ok" : strerror(errno));
	else if (strcmp(step, "call-full") == 0)
		step_call_full(g);
	else if (strcmp(step, "kicks") == 0)
		step_kicks(seconds);
	else if (strcmp(step, "half") == 0 || strcmp(step, "grow") == 0)
		step_message(g, step[0] == 'g');
	else if (strcmp(step, "close") == 0)
		guest_device_close(&g->device);
	else if (strcmp(step, "connected") == 0)
		step_connected(g);
	else if (strcmp(step, "wait") == 0)
		step_wait(g);
	else if (!guest_take_hostile_step(g, step, text))
		return step_send(g, step, text);
	return true;
}

/* --- start ------------------------------------------------------------------------------------------ */

static const char *
mac_text(const uint8_t *mac)
{
	static char text[18];

	snprintf(text, sizeof(text), "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3],
		mac[4], mac[5]);
	return text;
}

/* What a step's frames have unless it says otherwise: ours, honestly, to everybody. */
static void
set_defaults(struct guest *g)
{
	g->frame = (struct guest_frame){ .sip = g->request.addr, .sport = 40000, .dport = 7,
		.opcode = 1, .type = 0x86dd, .flags = 2, .count = 1 };
	memcpy(g->frame.smac, g->answer.mac, 6);
	memcpy(g->frame.sha, g->answer.mac, 6);
	memset(g->frame.dmac, 0xff, 6);
}

static int
start(struct guest *g)
{
	int ret;

	g->registration = ltran_client_connect(g->dir, g->prefix);
	if (g->registration < 0) {
		printf("no ltran: %s\n", strerror(-g->registration));
		return 1;
	}
	ret = ltran_client_register(g->registration, &g->request, &g->answer);
	if (ret < 0) {
		printf("refused %s: %.*s\n", strerrorname_np(-ret), LTRAN_TEXT_MAX, g->answer.text);
		return 1;
	}
	printf("registered mac=%s mtu=%u path=%s\n", mac_text(g->answer.mac), g->answer.mtu,
		g->answer.path);
	ret = guest_device_open(&g->device, g->answer.path, g->request.n_queues,
		g->answer.queue_size);
	if (g->never_memory || g->never_doorbell) {
		int fd = guest_fuse_open();

		if (fd < 0) {
			printf("no fuse: %s\n", strerror(-fd));
			return 1;
		}
		if (g->never_memory)
			dup2(fd, g->device.memory_fd);
		for (unsigned int i = 0; i < g->device.n_rings && g->never_doorbell; i++)
			dup2(fd, g->device.rings[i].kick);
	}
	guest_device_set_bell(&g->device, ltran_client_kick());
	if (ret == 0)
		ret = guest_device_accept(&g->device, ACCEPT_MS);
	if (ret < 0) {
		printf("no ring: %s\n", strerror(-ret));
		return 1;
	}
	printf("ready\n");
	set_defaults(g);
	return 0;
}

static void
usage(void)
{
	fprintf(stderr, "usage: ltran_guest [--dir DIR] [--prefix TEXT] [--mask MASK] [--queues N]"
		" [--malformed KIND|all] ADDRESS STEP...\nkinds of corrupt:\n");
	guest_ring_corrupt(NULL, NULL);
}

int
main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "dir", required_argument, NULL, 'd' }, { "prefix", required_argument, NULL, 'p' },
		{ "memory", required_argument, NULL, 'M' }, { "doorbell", required_argument, NULL, 'D' },
		{ "mask", required_argument, NULL, 'm' }, { "queues", required_argument, NULL, 'q' },
		{ "malformed", required_argument, NULL, 'f' }, { NULL, 0, NULL, 0 },
	};
	static struct guest g = { .dir = "/var/run/gazelle", .prefix = "" };
	const char *mask = "255.255.255.0", *malformed = NULL;
	struct in_addr addr, net;
	unsigned long queues = 1;
	int c;

	setvbuf(stdout, NULL, _IOLBF, 0);
	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case 'd': g.dir = optarg; break;
		case 'p': g.prefix = optarg; break;
		case 'M': g.never_memory = true; break;
		case 'D': g.never_doorbell = true; break;
		case 'm': mask = optarg; break;
		case 'q': queues = strtoul(optarg, NULL, 10); break;
		case 'f': malformed = optarg; break;
		default: usage(); return 2;
		}
	}
	if (optind >= argc || inet_pton(AF_INET, argv[optind], &addr) != 1 ||
		inet_pton(AF_INET, mask, &net) != 1) {
		usage();
		return 2;
	}
	ltran_client_fill(&g.request, addr.s_addr, net.s_addr, (uint16_t)queues);
	if (malformed != NULL)
		return guest_send_malformed(&g, malformed);
	if (start(&g) != 0)
		return 1;
	for (int i = optind + 1; i < argc; i++) {
		if (!take_step(&g, argv[i])) {
			fprintf(stderr, "ltran_guest: bad step %s\n", argv[i]);
			return 2;
		}
	}
	return 0;
}
