/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Fuzzer of what an instance writes into its rings, with the real librte_vhost between two devices of our
 * own making (ltran_guest_ring.h). The input is what the first one does to its memory: descriptors with wrong
 * addresses, lengths and chains, tables of descriptors, indices that jump, requests to its device that make
 * no sense, bytes that change while they are read; in between packets are taken from it and given to it as
 * instance-rx and instance-tx do. What comes out must be whole, and the guard must let nothing through that
 * a port could not do; a burst ends soon; the second device's packets pass both ways as if there were no
 * first one; no packet and no descriptor is left.
 */
#include <dlfcn.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <linux/virtio_net.h>
#include <rte_ip.h>
#include <rte_malloc.h>
#include <rte_vhost.h>

#include "dispatcher/dispatcher.h"
#include "dispatcher/guard.h"
#include "dispatcher/helper.h"
#include "dispatcher/ring.h"
#include "dispatcher/ring_burst.h"
#include "tests/eal.h"
#include "tests/ltran_guest_ring.h"
#include "tests/open_files.h"

#define FUZZ_RUNS 400
#define FUZZ_TAIL 300
#include "tests/fuzz_main.h"

#define SIZE 32 /* of a ring */
#define OP_BYTES 8
#define NOTES 64
#define PAGE 4096u
#define WAIT_MS 10000
#define BURST_NS 500000000
#define ADDR RTE_BE32(0xc6120407) /* 198.18.4.7 */
#define PORT_FLAGS (RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_L4_MASK | RTE_MBUF_F_TX_TCP_SEG)
#define FEATURES (1ull << VIRTIO_NET_F_CSUM | 1ull << VIRTIO_NET_F_GUEST_CSUM |                     \
	1ull << VIRTIO_NET_F_GUEST_TSO4 | 1ull << VIRTIO_NET_F_HOST_TSO4 | 1ull << VIRTIO_NET_F_MRG_RXBUF)

static const struct rte_ether_addr mac = {{2, 0, 0, 0, 0, 1}};
static struct ltran lt;
static struct rte_mempool *pool;
static char dir[] = "/tmp/fuzz_ring_XXXXXX";
static uint64_t now_us = 1000000;

static struct side {
	struct member m;
	struct guest_device device;
	uint8_t *fresh; /* its memory before anything was done */
} offender = {.m.index = 1}, neighbour = {.m.index = 2};

/* Outcomes inside librte_vhost, which libFuzzer does not see. */
static uint8_t seen[256]
#ifdef FUZZ_LIBFUZZER
	__attribute__((section("__libfuzzer_extra_counters")))
#endif
	;

/* --- doubles ----------------------------------------------------------------------------------------- */

void
workers_kick(struct ltran *l)
{
}

void
workers_synchronize(struct ltran *l)
{
}

/* What librte_vhost notes of a ring: a write behind its end is a crash, not a heap that is wrong later. */
static struct {
	char *map;
	size_t bytes;
	void *at;
} notes[NOTES];

__attribute__((visibility("default"))) void *
rte_malloc_socket(const char *type, size_t size, unsigned int align, int socket)
{
	static void *(*real)(const char *, size_t, unsigned int, int);
	size_t pages = RTE_ALIGN_CEIL(size, PAGE);
	unsigned int i;

	if (real == NULL)
		real = (void *(*)(const char *, size_t, unsigned int, int))dlsym(RTLD_NEXT, "rte_malloc_socket");
	if (pool == NULL || type != NULL || size != SIZE * sizeof(struct vring_used_elem))
		return real(type, size, align, socket);
	for (i = 0; i < NOTES && notes[i].map != NULL; i++)
		;
	fuzz_require(i < NOTES, "librte_vhost notes more than expected");
	notes[i].bytes = pages + PAGE;
	notes[i].map = mmap(NULL, pages + PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	fuzz_require(notes[i].map != MAP_FAILED && mprotect(notes[i].map + pages, PAGE, PROT_NONE) == 0,
		"no memory");
	return notes[i].at = notes[i].map + RTE_ALIGN_FLOOR(pages - size, RTE_MAX(align, 1u));
}

__attribute__((visibility("default"))) void
rte_free(void *p)
{
	static void (*real)(void *);

	for (unsigned int i = 0; i < NOTES && p != NULL; i++) {
		if (notes[i].at == p) {
			munmap(notes[i].map, notes[i].bytes);
			notes[i].map = notes[i].at = NULL;
			return;
		}
	}
	if (real == NULL)
		real = (void (*)(void *))dlsym(RTLD_NEXT, "rte_free");
	real(p);
}

/* --- the control thread ------------------------------------------------------------------------------ */

/* Its bounds on rates are not what is tried here: each look is a second later. */
static void
serve(void)
{
	now_us += 1000000;
	rings_serve(now_us);
	sched_yield();
}

static void *
accept_ltran(void *arg)
{
	struct side *s = arg;

	fuzz_require(guest_device_accept(&s->device, WAIT_MS) == 0, "ltran does not come");
	return NULL;
}

static void
open_side(struct side *s)
{
	pthread_t thread;
	char err[256];

	s->m.n_queues = 1;
	s->m.pid = getpid();
	s->m.uid = getuid();
	snprintf(s->m.path, sizeof(s->m.path), "%s/ltran_1_%u.vhost", dir, s->m.index);
	fuzz_require(guest_device_open(&s->device, s->m.path, 1, SIZE) == 0 &&
		ring_open(&lt, &s->m, err, sizeof(err)) == 0, "no ring");
	s->fresh = malloc(s->device.memory_bytes);
	memcpy(s->fresh, s->device.memory, s->device.memory_bytes);
	fuzz_require(pthread_create(&thread, NULL, accept_ltran, s) == 0, "no thread");
	while (!ring_connect(&s->m, now_us) || atomic_load(&s->m.vid) < 0)
		serve();
	pthread_join(thread, NULL);
}

/* Rings as on the first day, with some of FEATURES. */
static void
restart(struct side *s, uint64_t features)
{
	char answer[256];
	size_t want = guest_device_restart(&s->device, features), n = 0;
	ssize_t got;

	memcpy(s->device.memory, s->fresh, s->device.memory_bytes);
	atomic_store(&s->m.broken, false);
	while (n < want) {
		serve();
		got = recv(s->device.peer_fd, answer, sizeof(answer), MSG_DONTWAIT);
		fuzz_require(got != 0, "hung up on a driver that restarts");
		n += got > 0 ? (size_t)got : 0;
	}
	fuzz_require(atomic_load(&s->m.vid) >= 0, "no device after its restart");
}

/* True: its registration would end now. Here it restarts instead: to connect anew takes librte_vhost a second. */
static bool
is_cut(struct side *s)
{
	char why[RING_TEXT_MAX] = "";

	if (!ring_is_broken(&s->m, why))
		return false;
	fuzz_require(why[0] != '\0', "cut off without a word");
	return true;
}

/* --- bytes that change meanwhile --------------------------------------------------------------------- */

static struct {
	sem_t starts, has_ended;
	uint8_t *at, change;
	_Atomic unsigned int n;
	_Atomic bool ends;
} race;

static void *
run_race(void *arg)
{
	for (;;) {
		sem_wait(&race.starts);
		while (!atomic_load(&race.ends)) {
			*(volatile uint8_t *)race.at ^= race.change;
			atomic_fetch_add(&race.n, 1);
		}
		sem_post(&race.has_ended);
	}
	return NULL;
}

static void
start_race(const uint8_t *op)
{
	race.at = offender.device.memory + (op[3] | op[4] << 8 | op[5] << 16) % offender.device.memory_bytes;
	race.change = op[6];
	race.n = 0;
	race.ends = false;
	sem_post(&race.starts);
	while (atomic_load(&race.n) == 0)
		sched_yield();
}

static void
end_race(void)
{
	race.ends = true;
	sem_wait(&race.has_ended);
}

/* --- workers ----------------------------------------------------------------------------------------- */

static uint64_t
spent_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void
check_packet(struct rte_mbuf *m)
{
	enum member_drop drop = guard_packet(&mac, ADDR, m);
	const char *why;

	fuzz_require(rte_mbuf_check(m, 1, &why) == 0, "a packet that is none");
	seen[32 + drop]++;
	seen[64 + RTE_MIN(m->nb_segs, 63)]++;
	seen[128 + (m->ol_flags >> 48 & 63)]++;
	fuzz_require(drop != MEMBER_DROPS || (m->ol_flags & ~PORT_FLAGS) == 0,
		"the guard lets a request through that nobody can fulfil");
}

/* As instance-rx does. */
static uint16_t
take(struct side *s, struct rte_mbuf **pkts)
{
	int vid = atomic_load(&s->m.vid);
	uint64_t began = spent_ns();
	uint16_t n;

	if (vid < 0 || atomic_load(&s->m.broken))
		return 0;
	n = ring_take(vid, 0, pool, pkts, RING_BURST);
	fuzz_require(n <= RING_BURST && spent_ns() - began < BURST_NS, "a burst without end");
	return n;
}

/* As instance-tx does: `n` packets of `bytes`, or one of `n` pieces. How many have gone. */
static uint16_t
give(struct side *s, uint16_t n, bool is_one, uint16_t bytes, uint8_t fill)
{
	struct rte_mbuf *pkts[RING_BURST];
	int vid = atomic_load(&s->m.vid);
	uint64_t began;
	uint16_t sent = 0, made;

	for (made = 0; made < n && (pkts[made] = rte_pktmbuf_alloc(pool)) != NULL; made++)
		memset(rte_pktmbuf_append(pkts[made], bytes), fill, bytes);
	for (; is_one && made > 1; made--)
		fuzz_require(rte_pktmbuf_chain(pkts[made - 2], pkts[made - 1]) == 0, "no chain");
	began = spent_ns();
	if (vid >= 0 && !atomic_load(&s->m.broken))
		sent = ring_give(vid, 0, pkts, made);
	fuzz_require(sent <= made && spent_ns() - began < BURST_NS, "a burst without end");
	rte_pktmbuf_free_bulk(pkts, made);
	return sent;
}

static void
take_and_check(void)
{
	struct rte_mbuf *pkts[RING_BURST];
	uint16_t n = take(&offender, pkts);

	seen[n]++;
	for (uint16_t i = 0; i < n; i++)
		check_packet(pkts[i]);
	rte_pktmbuf_free_bulk(pkts, n);
}

/* One frame each way, as if there were no offender. */
static void
check_neighbour(uint8_t fill)
{
	struct guest_device *d = &neighbour.device;
	struct rte_mbuf *pkts[RING_BURST], *m;
	uint8_t frame[200], *got;
	size_t len;

	memset(frame, fill, sizeof(frame));
	fuzz_require(guest_ring_send(d, &d->rings[1], frame, sizeof(frame)) && take(&neighbour, pkts) == 1 &&
		(m = pkts[0])->pkt_len == sizeof(frame) && memcmp(rte_pktmbuf_mtod(m, void *), frame, sizeof(frame)) == 0,
		"the neighbour's packet has not come");
	rte_pktmbuf_free(m);
	fuzz_require(give(&neighbour, 1, false, sizeof(frame), fill) == 1, "the neighbour's ring takes nothing");
	got = guest_ring_receive(d, &d->rings[0], &len);
	fuzz_require(got != NULL && len == sizeof(frame) && memcmp(got, frame, len) == 0,
		"the neighbour has got something else");
	guest_ring_return(&d->rings[0]);
	fuzz_require(guest_ring_receive(d, &d->rings[0], &len) == NULL && !is_cut(&neighbour),
		"the neighbour has got more, or is cut off");
}

/* --- the offender ------------------------------------------------------------------------------------ */

static uint64_t
address(uint8_t kind, const struct guest_ring *r, uint8_t n)
{
	const uint64_t all[] = {r->buffers + n % SIZE * GUEST_BUFFER, r->buffers + n, n,
		offender.device.memory_bytes - n, -(uint64_t)n, 1ull << 32 | n, INT64_MAX - GUEST_ADDRESS,
		(uint8_t *)r->vring.avail - offender.device.memory + n,
		(uint8_t *)r->vring.used - offender.device.memory + n};

	return GUEST_ADDRESS + all[kind % RTE_DIM(all)];
}

/* A descriptor of a ring, or of the table of them that is in the buffer of one. */
static void
bend_descriptor(struct guest_ring *r, const uint8_t *op)
{
	static const uint32_t lengths[] = {0, 1, 12, 14, 13, 16, 26, 60, 112, 1526, 2048, 2049, 16 * SIZE, 65535,
		262144, UINT32_MAX};
	struct vring_desc *of = op[1] & 2 ?
		(struct vring_desc *)(offender.device.memory + r->buffers + op[7] % SIZE * GUEST_BUFFER) :
		r->vring.desc;
	struct vring_desc *d = &of[op[2] % SIZE];

	*d = (struct vring_desc){.addr = address(op[3] & 15, r, op[4]), .len = lengths[op[3] >> 4],
		.flags = op[5] % 8, .next = op[6]};
}

/* A frame of its own in the buffer of a descriptor, with what it asks of its device. */
static void
write_frame(struct guest_ring *r, const uint8_t *op)
{
	uint8_t *at = offender.device.memory + r->buffers + op[2] % SIZE * GUEST_BUFFER;
	struct virtio_net_hdr *ask = (struct virtio_net_hdr *)at;
	struct rte_ether_hdr *eth = (struct rte_ether_hdr *)(at + GUEST_HEADER);
	struct rte_ipv4_hdr *ip = (struct rte_ipv4_hdr *)(eth + 1);

	*ask = (struct virtio_net_hdr){.flags = op[3] & 3, .gso_type = op[4], .gso_size = op[5] * 8,
		.hdr_len = op[6], .csum_start = op[7] & 1 ? op[6] : 34,
		.csum_offset = op[7] & 2 ? op[6] : op[7] & 4 ? 6 : 16};
	memset(eth, 0, 200);
	eth->src_addr = mac;
	eth->ether_type = RTE_BE16(RTE_ETHER_TYPE_IPV4);
	*ip = (struct rte_ipv4_hdr){.version_ihl = 0x45, .total_length = RTE_BE16(186), .time_to_live = 64,
		.next_proto_id = op[7] & 4 ? IPPROTO_UDP : op[7] & 8 ? op[6] : IPPROTO_TCP,
		.src_addr = ADDR, .dst_addr = ADDR + RTE_BE32(1)};
	((uint8_t *)(ip + 1))[12] = 0x50;
	r->vring.desc[op[2] % SIZE].len = GUEST_HEADER + 200;
}

static void
step(const uint8_t *op)
{
	struct guest_ring *r = &offender.device.rings[op[1] & 1];
	bool is_race = op[2] & 1;

	switch (op[0] % 8) {
	case 0:
		bend_descriptor(r, op);
		break;
	case 1:
		r->vring.avail->ring[op[2] % SIZE] = op[3] | op[4] << 8;
		break;
	case 2:
		r->vring.avail->idx = op[2] & 1 ? op[3] | op[4] << 8 : r->vring.avail->idx + op[3];
		break;
	case 3:
		memcpy(offender.device.memory + (op[1] | op[2] << 8 | op[3] << 16) %
			(offender.device.memory_bytes - 4), op + 4, 4);
		break;
	case 4:
		write_frame(&offender.device.rings[1], op);
		break;
	case 5: /* as a driver does */
		r->vring.avail->ring[r->vring.avail->idx % SIZE] = op[2] % SIZE;
		r->vring.avail->idx++;
		break;
	default:
		if (is_race)
			start_race(op);
		if (op[0] % 8 == 6)
			take_and_check();
		else
			seen[192 + give(&offender, 1 + op[1] % RING_BURST, op[6] & 1, 60 + op[7] * 7, op[2])]++;
		if (is_race)
			end_race();
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static unsigned int files;
	static uint8_t n_runs;
	pthread_t thread;

	if (pool == NULL) {
		fuzz_require(mkdtemp(dir) != NULL && eal_test_start() == 0 && helper_set_place(dir, "") == 0,
			"no EAL");
		pool = rte_pktmbuf_pool_create("fuzz", 255, 0, 0, GUEST_BUFFER + RTE_PKTMBUF_HEADROOM,
			SOCKET_ID_ANY);
		sem_init(&race.starts, 0, 0);
		sem_init(&race.has_ended, 0, 0);
		fuzz_require(pool != NULL && pthread_create(&thread, NULL, run_race, NULL) == 0, "no world");
		open_side(&neighbour);
		open_side(&offender);
		files = open_files();
	}
	if (size == 0)
		return 0;
	restart(&offender, data[0] & 1 ? FEATURES : data[0] & 2 ? 1ull << VIRTIO_NET_F_MRG_RXBUF : 0);
	for (data++, size--; size >= OP_BYTES; data += OP_BYTES, size -= OP_BYTES)
		step(data);
	take_and_check();
	give(&offender, RING_BURST, false, 60, 0);
	seen[255] += is_cut(&offender);
	check_neighbour(n_runs++);
	fuzz_require(rte_mempool_in_use_count(pool) == 0, "packets are left");
	fuzz_require(open_files() <= files + 2, "descriptors are left"); /* a sanitizer may have made two */
	return 0;
}

/* Features, then steps: kind, ring, descriptor or place, and what the kind takes. */
static const char *const seeds[] = {
	"\x01" "\x04@@\x01\x01\x0b\x0e@" "\x05\x01@@@@@@" "\x04@\x41\x01\x05@@\x04" "\x05\x01\x41@@@@@" "\x06\x05@@@@@@",
	"\x02" "\x07\x02@@@@@\x10" "\x40@\x41\x10@\x02@@" "\x05@\x41@@@@@" "\x07\x1f@@@@@\xff" "\x02@\x41\x7f\x7f@@@",
	"\x04" "\x40\x01\x41\xc0@\x04@@" "\x40\x03@\x70@\x01\x01@" "\x05\x01\x41@@@@@" "\x06\x1f\x41\x08\x02@\x01@",
};

FUZZ_MAIN(seeds)
