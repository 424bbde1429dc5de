/* SPDX-License-Identifier: BSD-3-Clause */
/* Arguments of DPDK's start-up: what is read, kept, replaced. */
#include "tests/cunit_main.h"

#include <stdlib.h>

#include "nodes/eal_args.h"

#define SCAN(seen, ...)                                                                            \
	do {                                                                                       \
		static const char *const v[] = { __VA_ARGS__ };                                    \
		memset(seen, 0, sizeof(*(seen)));                                                  \
		args_scan(seen, v, sizeof(v) / sizeof(v[0]));                                      \
	} while (0)

static struct args_seen seen;
static char joined[512];

/* The copied list as one string. */
static const char *
copy(const char *const *v, unsigned int n)
{
	char *strings[16] = { NULL };
	struct args a = { .v = strings, .max = 16 };

	for (unsigned int i = 0; i < n; i++)
		i += args_copy(&a, &seen, v + i, n - i);
	CU_ASSERT_FALSE(a.failed);
	joined[0] = '\0';
	for (int i = 0; i < a.n; i++) {
		size_t used = strlen(joined);

		snprintf(joined + used, sizeof(joined) - used, "%s%s", i > 0 ? " " : "", strings[i]);
		free(strings[i]);
	}
	return joined;
}

#define EXPECT_COPY(text, ...)                                                                     \
	do {                                                                                       \
		static const char *const list[] = { __VA_ARGS__ };                                 \
		CU_ASSERT_STRING_EQUAL(copy(list, sizeof(list) / sizeof(list[0])), text);          \
	} while (0)

static void
options_are_seen_in_every_spelling(void)
{
	SCAN(&seen, "--socket-mem", "1024,512", "--huge-dir", "/mnt/huge", "-l", "0,1");
	CU_ASSERT_EQUAL(seen.memory_mb, 1536);
	CU_ASSERT_STRING_EQUAL(seen.huge_dir, "/mnt/huge");
	CU_ASSERT(seen.cores);
	SCAN(&seen, "--socket-mem=2048,0,0,0", "--huge-dir=/h", "-m 64", "--file-prefix=x");
	CU_ASSERT_EQUAL(seen.memory_mb, 64);
	CU_ASSERT(seen.file_prefix);
	CU_ASSERT_FALSE(seen.cores);
	SCAN(&seen, "-m64", "-l0", "-a", "0000:00:01.0");
	CU_ASSERT_EQUAL(seen.memory_mb, 64);
	CU_ASSERT(seen.cores && seen.allow);
}

static void
values_are_not_taken_for_options(void)
{
	SCAN(&seen, "--file-prefix", "--no-huge");
	CU_ASSERT_FALSE(seen.no_huge);
}

static void
virtio_user_is_noticed(void)
{
	SCAN(&seen, "--vdev", "net_virtio_user0,path=/tmp/s");
	CU_ASSERT(seen.vdev && seen.virtio_user);
	SCAN(&seen, "--vdev=net_af_packet0,iface=eth1");
	CU_ASSERT(seen.vdev && !seen.virtio_user);
}

static void
options_this_dpdk_lacks_are_left_out(void)
{
	SCAN(&seen, "--legacy-mem", "--map-perfect");
	CU_ASSERT(seen.map_perfect && seen.legacy_mem);
	EXPECT_COPY("--legacy-mem -d /x.so", "--map-perfect", "--legacy-mem", "-d", "/x.so");
}

static void
ordinary_pages_replace_all_hugepage_options(void)
{
	SCAN(&seen, "--no-huge");
	EXPECT_COPY("--proc-type primary --no-huge", "--socket-mem", "2048,0", "--huge-dir", "/mnt/h",
		"--proc-type", "primary", "--legacy-mem", "--no-huge", "-m", "512", "--in-memory");
	memset(&seen, 0, sizeof(seen));
	seen.drop_huge_options = true;
	EXPECT_COPY("--vdev=x", "--socket-mem=2048", "--huge-unlink", "--vdev=x", "-m512");
}

static void
hugepage_options_are_kept_otherwise(void)
{
	memset(&seen, 0, sizeof(seen));
	EXPECT_COPY("--socket-mem 2048,0 --huge-dir=/mnt/h", "--socket-mem", "2048,0",
		"--huge-dir=/mnt/h");
}

static void
option_and_value_in_one_string_are_parted(void)
{
	memset(&seen, 0, sizeof(seen));
	EXPECT_COPY("-l 0,1 --unknown opt", "-l 0,1", "--unknown", "opt");
}

static void
af_packet_ring_is_16_mb_unless_the_user_says_otherwise(void)
{
	memset(&seen, 0, sizeof(seen));
	EXPECT_COPY("--vdev net_af_packet0,iface=e,framecnt=8192", "--vdev", "net_af_packet0,iface=e");
	EXPECT_COPY("--vdev=net_af_packet0,iface=e,framecnt=8192", "--vdev=net_af_packet0,iface=e");
	EXPECT_COPY("--vdev net_af_packet1,iface=e,framecnt=8192", "--vdev net_af_packet1,iface=e");
	EXPECT_COPY("--vdev=net_af_packet0,framesz=16384,blocksz=16384,framecnt=1024",
		"--vdev=net_af_packet0,framesz=16384,blocksz=16384");
	EXPECT_COPY("--vdev=net_af_packet0,framesz=65536,blocksz=65536,framecnt=512",
		"--vdev=net_af_packet0,framesz=65536,blocksz=65536");
	EXPECT_COPY("--vdev net_af_packet0,framecnt=64", "--vdev", "net_af_packet0,framecnt=64");
	seen.small_rings = true;
	EXPECT_COPY("--vdev net_af_packet0,iface=e", "--vdev", "net_af_packet0,iface=e");
	seen.small_rings = false;
	EXPECT_COPY("--vdev net_af_packet0,framesz=no", "--vdev", "net_af_packet0,framesz=no");
	EXPECT_COPY("--vdev net_tap0,iface=e", "--vdev", "net_tap0,iface=e");
}

static void
missing_value_is_left_to_dpdk(void)
{
	SCAN(&seen, "--socket-mem");
	CU_ASSERT_EQUAL(seen.memory_mb, 0);
	EXPECT_COPY("--socket-mem", "--socket-mem");
}

static void
too_many_arguments_are_noticed(void)
{
	char *strings[3] = { NULL };
	struct args a = { .v = strings, .max = 3 };

	args_add(&a, "1");
	args_add(&a, "2");
	CU_ASSERT_FALSE(a.failed);
	args_add(&a, "3");
	CU_ASSERT(a.failed);
	free(strings[0]);
	free(strings[1]);
}

static void
rings_get_the_drivers_own_size_again(void)
{
	static const char *const pairs[][2] = {
		{"iface=e,framecnt=8192", "iface=e"}, {"framecnt=8192,iface=e", "iface=e"},
		{"iface=e,framecnt=8192,framesz=2048", "iface=e,framesz=2048"}, {"framecnt=1", ""},
		{"iface=xframecnt=3", "iface=xframecnt=3"}, {"iface=e", "iface=e"},
	};

	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		char args[64];

		snprintf(args, sizeof(args), "%s", pairs[i][0]);
		CU_ASSERT_EQUAL(args_drop_framecnt(args), i < 4);
		CU_ASSERT_STRING_EQUAL(args, pairs[i][1]);
	}
}

static const struct cunit_test tests[] = {
	CUNIT_TEST(rings_get_the_drivers_own_size_again),
	CUNIT_TEST(options_are_seen_in_every_spelling),
	CUNIT_TEST(values_are_not_taken_for_options),
	CUNIT_TEST(virtio_user_is_noticed),
	CUNIT_TEST(options_this_dpdk_lacks_are_left_out),
	CUNIT_TEST(ordinary_pages_replace_all_hugepage_options),
	CUNIT_TEST(hugepage_options_are_kept_otherwise),
	CUNIT_TEST(option_and_value_in_one_string_are_parted),
	CUNIT_TEST(af_packet_ring_is_16_mb_unless_the_user_says_otherwise),
	CUNIT_TEST(missing_value_is_left_to_dpdk),
	CUNIT_TEST(too_many_arguments_are_noticed),
};
CUNIT_MAIN("eal_args", tests, NULL, NULL)
