/* SPDX-License-Identifier: BSD-3-Clause */
/* Registrations that are wrong in one way each. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/ltran_client.h"
#include "tests/ltran_guest.h"

#define ANSWER_MS 1000
#define SLOTS 1024
#define FLOOD 2000

/* What is sent: a good request until a kind changes it. */
struct attempt {
	struct ltran_register r;
	size_t len;
	int table;
	uint8_t extra[4096]; /* behind `r` */
};

static void
swap_table(struct attempt *a, int table)
{
	close(a->table);
	a->table = table;
}

/* A table as it should be but for its seals, its head or its size. */
static int
odd_table(const struct ltran_table_head *head, off_t bytes, int seals)
{
	int fd = memfd_create("odd", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0 || (bytes > 0 && fallocate(fd, 0, 0, bytes) < 0) ||
		(bytes > 0 && pwrite(fd, head, sizeof(*head), 0) != sizeof(*head)) ||
		fcntl(fd, F_ADD_SEALS, seals) < 0)
		perror("odd_table");
	return fd;
}

#define GOOD_SEALS (F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL)
#define GOOD_BYTES (LTRAN_TABLE_OFFSET + SLOTS * (off_t)sizeof(struct ltran_slot))

static struct ltran_table_head
good_head(void)
{
	return (struct ltran_table_head){ LTRAN_MAGIC, LTRAN_VERSION, 1, SLOTS, 0 };
}

static void short_message(struct attempt *a) { a->len = sizeof(a->r) - 1; }
static void long_message(struct attempt *a) { a->len = sizeof(a->r) + 4000; }
static void header_only(struct attempt *a) { a->len = sizeof(a->r.header); }
static void one_byte(struct attempt *a) { a->len = 1; }
static void wrong_magic(struct attempt *a) { a->r.header.magic++; }
static void wrong_version(struct attempt *a) { a->r.header.version++; }
static void wrong_type(struct attempt *a) { a->r.header.type = 99; }
static void no_table(struct attempt *a) { swap_table(a, -1); }
static void not_a_table(struct attempt *a) { swap_table(a, open("/dev/null", O_RDWR)); }
static void no_queues(struct attempt *a) { a->r.n_queues = 0; }
static void many_queues(struct attempt *a) { a->r.n_queues = LTRAN_QUEUES_MAX + 1; }
static void any_address(struct attempt *a) { a->r.addr = 0; }
static void multicast_address(struct attempt *a) { memcpy(&a->r.addr, "\xe0\0\0\1", 4); }
static void wrong_mac(struct attempt *a) { memset(a->r.mac, 0x06, sizeof(a->r.mac)); }
static void tiny_mtu(struct attempt *a) { a->r.mtu = 0; }

static void
listen_first(struct attempt *a)
{
	struct ltran_listen l = { .header = { LTRAN_MAGIC, LTRAN_VERSION, LTRAN_LISTEN, 0, 0 },
		.port = 80, .protocol = 6 };

	memcpy(&a->r, &l, sizeof(l));
	a->len = sizeof(l);
}

static void
unsealed_table(struct attempt *a)
{
	struct ltran_table_head head = good_head();

	swap_table(a, odd_table(&head, GOOD_BYTES, F_SEAL_SEAL));
}

static void
small_table(struct attempt *a)
{
	struct ltran_table_head head = good_head();

	swap_table(a, odd_table(&head, GOOD_BYTES - 1, GOOD_SEALS));
}

static void
empty_table(struct attempt *a)
{
	struct ltran_table_head head = good_head();

	swap_table(a, odd_table(&head, 0, GOOD_SEALS));
}

static void
odd_slots(struct attempt *a)
{
	struct ltran_table_head head = good_head();

	head.n_slots = SLOTS - 1;
	swap_table(a, odd_table(&head, GOOD_BYTES, GOOD_SEALS));
}

static void
no_slots(struct attempt *a)
{
	struct ltran_table_head head = good_head();

	head.n_slots = 0;
	swap_table(a, odd_table(&head, GOOD_BYTES, GOOD_SEALS));
}

static void
huge_slots(struct attempt *a)
{
	struct ltran_table_head head = good_head();

	head.n_slots = 1u << 31;
	swap_table(a, odd_table(&head, GOOD_BYTES, GOOD_SEALS));
}

static void
more_tables(struct attempt *a)
{
	struct ltran_table_head head = good_head();

	head.n_tables = 2;
	swap_table(a, odd_table(&head, GOOD_BYTES, GOOD_SEALS));
}

static void
resume_at(struct attempt *a, const char *path)
{
	a->r.resumes = 1;
	snprintf(a->r.path, sizeof(a->r.path), "%s", path);
}

static void path_outside(struct attempt *a) { resume_at(a, "/tmp/ltran_1_1.vhost"); }
static void path_up(struct attempt *a) { resume_at(a, "/var/run/gazelle/../../etc/passwd"); }
static void path_empty(struct attempt *a) { resume_at(a, ""); }

static void
path_endless(struct attempt *a)
{
	a->r.resumes = 1;
	memset(a->r.path, '/', sizeof(a->r.path));
}

/* In the order they are tried. */
static const struct kind {
	const char *name;
	void (*change)(struct attempt *a);
} kinds[] = {
	{ "short", short_message }, { "long", long_message }, { "header-only", header_only },
	{ "one-byte", one_byte }, { "magic", wrong_magic }, { "version", wrong_version },
	{ "type", wrong_type }, { "listen-first", listen_first }, { "no-table", no_table },
	{ "not-a-table", not_a_table }, { "unsealed-table", unsealed_table },
	{ "small-table", small_table }, { "empty-table", empty_table }, { "odd-slots", odd_slots },
	{ "no-slots", no_slots }, { "huge-slots", huge_slots }, { "more-tables", more_tables },
	{ "no-queues", no_queues }, { "many-queues", many_queues }, { "any-address", any_address },
	{ "multicast-address", multicast_address }, { "wrong-mac", wrong_mac },
	{ "tiny-mtu", tiny_mtu }, { "path-outside", path_outside }, { "path-up", path_up },
	{ "path-empty", path_empty }, { "path-endless", path_endless },
};

static void
try_kind(const struct guest *g, const struct kind *kind)
{
	struct attempt a = { .r = g->request, .len = sizeof(a.r), .table = ltran_client_table(1, SLOTS) };
	struct ltran_registered answer;
	int fd = ltran_client_connect(g->dir, g->prefix), ret;

	if (fd < 0) {
		printf("%s: no ltran\n", kind->name);
		close(a.table);
		return;
	}
	kind->change(&a);
	ret = ltran_client_send(fd, &a, a.len, a.table);
	if (ret == 0)
		ret = ltran_client_receive(fd, &answer, sizeof(answer), ANSWER_MS);
	if (ret == 0 || ret == -ECONNRESET || ret == -EPIPE)
		printf("%s: closed\n", kind->name);
	else if (ret < 0)
		printf("%s: %s\n", kind->name, strerror(-ret));
	else if (answer.header.status < 0)
		printf("%s: refused %s: %.*s\n", kind->name, strerrorname_np(-answer.header.status),
			ret == sizeof(answer) ? LTRAN_TEXT_MAX : 0, answer.text);
	else
		printf("%s: accepted\n", kind->name);
	close(fd);
	if (a.table >= 0)
		close(a.table);
}

/* Connections that say nothing, many at a time. */
static void
flood(const struct guest *g)
{
	int fds[FLOOD], n = 0, fd;

	while (n < FLOOD && (fd = ltran_client_connect(g->dir, g->prefix)) >= 0)
		fds[n++] = fd;
	printf("flood: %d\n", n);
	while (n > 0)
		close(fds[--n]);
}

int
guest_send_malformed(const struct guest *g, const char *kind)
{
	bool all = strcmp(kind, "all") == 0, any = false;

	for (unsigned int i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (!all && strcmp(kind, kinds[i].name) != 0)
			continue;
		try_kind(g, &kinds[i]);
		any = true;
	}
	if (strcmp(kind, "flood") == 0) {
		flood(g);
		any = true;
	}
	return any ? 0 : 2;
}
