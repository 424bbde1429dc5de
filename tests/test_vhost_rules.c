/* SPDX-License-Identifier: BSD-3-Clause */
/* What an instance may say to librte_vhost: the way of an honest driver, and all that leaves it. */
#include "tests/cunit_main.h"

#include <fcntl.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "dispatcher/vhost_rules.h"

#define MEMORY (1u << 20)
#define FEATURES ((1ull << 30) | (1ull << 32) | (1ull << 22))
enum { GET_FEATURES = 1, SET_FEATURES, SET_OWNER, RESET_OWNER, SET_MEM_TABLE, SET_LOG_BASE,
	SET_LOG_FD, SET_VRING_NUM, SET_VRING_ADDR, SET_VRING_BASE, GET_VRING_BASE, SET_VRING_KICK,
	SET_VRING_CALL, SET_VRING_ERR, GET_PROTOCOL_FEATURES, SET_PROTOCOL_FEATURES, GET_QUEUE_NUM,
	SET_VRING_ENABLE, SET_STATUS = 39, GET_STATUS };

static struct vhost_rules rules;
static struct vhost_message m;
static char why[VHOST_WHY_MAX];
static int bell, memory;

static void
setup(void)
{
	rules = (struct vhost_rules){.n_rings = 4, .memory_max = 64 * MEMORY};
	bell = eventfd(0, EFD_CLOEXEC);
	memory = memfd_create("memory", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	CU_ASSERT_EQUAL(fallocate(memory, 0, 0, MEMORY), 0);
}

static void
teardown(void)
{
	close(bell);
	close(memory);
}

static int
say(const int *fds, unsigned int n)
{
	why[0] = '\0';
	return vhost_rules_check(&rules, &m, fds, n, why);
}

static int
say_number(uint32_t request, uint64_t number)
{
	m = (struct vhost_message){.request = request, .flags = 1, .size = 8, .payload.number = number};
	return say(NULL, 0);
}

static int
say_state(uint32_t request, uint32_t index, uint32_t num)
{
	m = (struct vhost_message){.request = request, .flags = 1, .size = 8,
		.payload.state = {index, num}};
	return say(NULL, 0);
}

static int
say_bell(uint32_t request, uint32_t index, int fd)
{
	m = (struct vhost_message){.request = request, .flags = 1, .size = 8, .payload.number = index};
	return say(&fd, 1);
}

static int
say_address(uint32_t index)
{
	m = (struct vhost_message){.request = SET_VRING_ADDR, .flags = 1, .size = 40,
		.payload.address = {.index = index, .flags = 1, .log = 77}};
	return say(NULL, 0);
}

static int
say_memory(int fd, uint64_t bytes, uint64_t offset)
{
	m = (struct vhost_message){.request = SET_MEM_TABLE, .flags = 1, .size = 40,
		.payload.memory = {.n = 1, .region = {{0x1000, bytes, 0x7000, offset}}}};
	return say(&fd, 1);
}

static int
say_nothing(uint32_t request)
{
	m = (struct vhost_message){.request = request, .flags = 1};
	return say(NULL, 0);
}

/* Of all rings; what DPDK's virtio-user says. */
static void
start(void)
{
	for (uint32_t i = 0; i < 4; i++)
		CU_ASSERT_EQUAL(say_bell(SET_VRING_CALL, i, bell), 0);
	CU_ASSERT_EQUAL(say_number(SET_FEATURES, FEATURES), 0);
	CU_ASSERT_EQUAL(say_memory(memory, MEMORY, 0), 0);
	for (uint32_t i = 0; i < 4; i++) {
		CU_ASSERT_EQUAL(say_state(SET_VRING_NUM, i, 256), 0);
		CU_ASSERT_EQUAL(say_state(SET_VRING_BASE, i, 0), 0);
		CU_ASSERT_EQUAL(say_address(i), 0);
		CU_ASSERT_EQUAL(say_bell(SET_VRING_KICK, i, bell), 0);
	}
	for (uint32_t i = 0; i < 4; i++)
		CU_ASSERT_EQUAL(say_state(SET_VRING_ENABLE, i, 1), 0);
}

static void
honest_driver_may_start_and_stop_and_start(void)
{
	CU_ASSERT_EQUAL(say_nothing(GET_FEATURES), 0);
	CU_ASSERT_EQUAL(say_nothing(GET_PROTOCOL_FEATURES), 0);
	CU_ASSERT_EQUAL(say_number(SET_PROTOCOL_FEATURES, 1), 0);
	CU_ASSERT_EQUAL(say_nothing(GET_QUEUE_NUM), 0);
	CU_ASSERT_EQUAL(say_nothing(SET_OWNER), 0);
	CU_ASSERT_EQUAL(say_nothing(GET_STATUS), 0);
	CU_ASSERT_EQUAL(say_number(SET_STATUS, 4), 0);
	start();
	CU_ASSERT_EQUAL(say_memory(memory, MEMORY, 0), 0); /* more memory while it runs */
	for (uint32_t i = 0; i < 4; i++)
		CU_ASSERT_EQUAL(say_state(GET_VRING_BASE, i, 0), 0);
	start();
}

static void
doorbells_and_logs_are_taken_out(void)
{
	start();
	CU_ASSERT_EQUAL(say_bell(SET_VRING_CALL, 1, bell), 0);
	CU_ASSERT_EQUAL(m.payload.number, 0x101); /* ring 1, no descriptor */
	CU_ASSERT_FALSE(vhost_message_has_memory(&m));
	CU_ASSERT_EQUAL(say_state(GET_VRING_BASE, 1, 0), 0);
	CU_ASSERT_EQUAL(say_state(SET_VRING_NUM, 1, 256), 0);
	CU_ASSERT_EQUAL(say_address(1), 0);
	CU_ASSERT_EQUAL(m.payload.address.flags, 0);
	CU_ASSERT_EQUAL(m.payload.address.log, 0);
	CU_ASSERT_EQUAL(say_bell(SET_VRING_KICK, 1, memory), -1);
	CU_ASSERT_PTR_NOT_NULL(strstr(why, "doorbell"));
}

static void
ring_keeps_its_size_and_place_while_it_has_addresses(void)
{
	start();
	CU_ASSERT_EQUAL(say_state(SET_VRING_NUM, 0, 1024), -1);
	CU_ASSERT_EQUAL(say_state(SET_VRING_BASE, 0, 60000), -1);
	CU_ASSERT_EQUAL(say_address(0), -1);
	CU_ASSERT_EQUAL(say_number(SET_FEATURES, FEATURES | 1ull << 29), -1);
}

static void
stopped_ring_needs_all_again(void)
{
	start();
	CU_ASSERT_EQUAL(say_state(GET_VRING_BASE, 2, 0), 0);
	CU_ASSERT_EQUAL(say_bell(SET_VRING_KICK, 2, bell), -1);
	CU_ASSERT_EQUAL(say_address(2), -1);
	CU_ASSERT_EQUAL(say_state(SET_VRING_NUM, 2, 256), 0);
	CU_ASSERT_EQUAL(say_bell(SET_VRING_KICK, 2, bell), -1);
	CU_ASSERT_EQUAL(say_address(2), 0);
	CU_ASSERT_EQUAL(say_bell(SET_VRING_KICK, 2, bell), 0);
}

static void
impossible_rings_are_refused(void)
{
	static const uint32_t sizes[] = {0, 1, 2, 3, 16, 255, 2048, 32768, UINT32_MAX};

	for (unsigned int i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		CU_ASSERT_EQUAL(say_state(SET_VRING_NUM, 0, sizes[i]), -1);
	CU_ASSERT_EQUAL(say_state(SET_VRING_NUM, 4, 256), -1);
	CU_ASSERT_EQUAL(say_state(SET_VRING_ENABLE, UINT32_MAX, 1), -1);
	CU_ASSERT_EQUAL(say_state(GET_VRING_BASE, 255, 1), -1);
	CU_ASSERT_EQUAL(say_bell(SET_VRING_KICK, 255, bell), -1);
	CU_ASSERT_EQUAL(say_state(SET_VRING_NUM, 0, 256), 0);
	CU_ASSERT_EQUAL(say_address(0), -1); /* neither features nor memory yet */
	CU_ASSERT_EQUAL(say_number(SET_FEATURES, 1ull << 32 | 1ull << 30), -1); /* four rings, one pair */
}

static void
memory_is_a_file_that_nobody_can_withhold(void)
{
	int fd, two[2] = {memory, memory};

	CU_ASSERT_EQUAL(say_memory(memory, MEMORY + 4096, 0), -1);
	CU_ASSERT_EQUAL(say_memory(memory, MEMORY, 4096), -1);
	CU_ASSERT_EQUAL(say_memory(memory, 0, 0), -1);
	CU_ASSERT_EQUAL(say_memory(memory, 100, 0), -1);
	CU_ASSERT_EQUAL(say_memory(memory, MEMORY / 2, 100), -1);
	CU_ASSERT_EQUAL(say_memory(memory, UINT64_MAX - 4095, 8192), -1);
	CU_ASSERT_EQUAL(say_memory(memory, 65ull * MEMORY, 0), -1);
	CU_ASSERT_EQUAL(say_memory(bell, MEMORY, 0), -1);
	fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC); /* a disk's, as good as a FUSE daemon's */
	CU_ASSERT_EQUAL(say_memory(fd, 4096, 0), -1);
	CU_ASSERT_PTR_NOT_NULL(strstr(why, "memfd"));
	close(fd);
	m.payload.memory.n = 2;
	CU_ASSERT_EQUAL(say(two, 2), -1); /* of the size of one */
	m.size = 8 + 2 * 32;
	m.payload.memory.region[1] = m.payload.memory.region[0];
	CU_ASSERT_EQUAL(say(two, 1), -1);
	CU_ASSERT_EQUAL(say(two, 2), 0);
	m.payload.memory.region[1].user = UINT64_MAX - 4095;
	CU_ASSERT_EQUAL(say(two, 2), -1);
	CU_ASSERT_EQUAL(fcntl(memory, F_ADD_SEALS, F_SEAL_FUTURE_WRITE), 0);
	CU_ASSERT_EQUAL(say_memory(memory, MEMORY, 0), -1);
}

/* A page that is missing would be ltran's, and who waits for it waits as long as the instance likes. */
static void
memory_with_holes_is_refused(void)
{
	CU_ASSERT_EQUAL(say_memory(memory, MEMORY / 2, 0), 0);
	CU_ASSERT_EQUAL(fallocate(memory, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, MEMORY - 4096, 4096), 0);
	CU_ASSERT_EQUAL(say_memory(memory, MEMORY / 2, 0), -1); /* wherever it is */
	CU_ASSERT_PTR_NOT_NULL(strstr(why, "holes"));
	CU_ASSERT_EQUAL(fallocate(memory, FALLOC_FL_KEEP_SIZE, MEMORY, 4 * MEMORY), 0);
	CU_ASSERT_EQUAL(say_memory(memory, MEMORY / 2, 0), -1); /* pages behind the end make up for none */
	CU_ASSERT_EQUAL(fallocate(memory, 0, 0, 5 * MEMORY), 0);
	CU_ASSERT_EQUAL(say_memory(memory, MEMORY / 2, 0), 0);
	CU_ASSERT_EQUAL(ftruncate(memory, 65 * MEMORY), 0);
	CU_ASSERT_EQUAL(fallocate(memory, 0, 0, 65 * MEMORY), 0);
	CU_ASSERT_EQUAL(say_memory(memory, MEMORY / 2, 0), -1); /* the file counts, not what is shown of it */
	CU_ASSERT_PTR_NOT_NULL(strstr(why, "more memory"));
}

static void
all_other_messages_are_refused(void)
{
	static const uint32_t good[] = {GET_FEATURES, SET_FEATURES, SET_OWNER, SET_MEM_TABLE,
		SET_VRING_NUM, SET_VRING_ADDR, SET_VRING_BASE, GET_VRING_BASE, SET_VRING_KICK,
		SET_VRING_CALL, SET_VRING_ERR, GET_PROTOCOL_FEATURES, SET_PROTOCOL_FEATURES,
		GET_QUEUE_NUM, SET_VRING_ENABLE, SET_STATUS, GET_STATUS};

	for (uint32_t request = 0; request < 300; request++) {
		bool is_good = false;

		for (unsigned int i = 0; i < sizeof(good) / sizeof(good[0]); i++)
			is_good |= good[i] == request;
		if (is_good)
			continue;
		CU_ASSERT_EQUAL(say_nothing(request), -1);
		CU_ASSERT_EQUAL(say_number(request, 1), -1);
	}
	CU_ASSERT_EQUAL(say_number(UINT32_MAX, 1), -1);
	m = (struct vhost_message){.request = GET_FEATURES, .flags = 2};
	CU_ASSERT_EQUAL(say(NULL, 0), -1);
	m.flags = 5; /* an answer */
	CU_ASSERT_EQUAL(say(NULL, 0), -1);
	m.flags = 1;
	CU_ASSERT_EQUAL(say(&memory, 1), -1); /* with a descriptor */
}

static const struct cunit_test tests[] = {
	CUNIT_TEST(honest_driver_may_start_and_stop_and_start),
	CUNIT_TEST(doorbells_and_logs_are_taken_out),
	CUNIT_TEST(ring_keeps_its_size_and_place_while_it_has_addresses),
	CUNIT_TEST(stopped_ring_needs_all_again),
	CUNIT_TEST(impossible_rings_are_refused),
	CUNIT_TEST(memory_is_a_file_that_nobody_can_withhold),
	CUNIT_TEST(memory_with_holes_is_refused),
	CUNIT_TEST(all_other_messages_are_refused),
};

int
main(int argc, char **argv)
{
	return cunit_run("vhost_rules", tests, sizeof(tests) / sizeof(tests[0]), setup, teardown,
		argc > 1 ? argv[1] : "");
}
