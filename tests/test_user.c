/* SPDX-License-Identifier: BSD-3-Clause */
/* Copies of every size, whole and cut off by the end of a page on either side. */
#include "stack/user.h"
#include "tests/cunit_main.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { PAGE = 4096, SIZES = 600 };

static char *edge, *room; /* the end of a page that nothing follows; two plain pages */

static void on_fault(int sig, siginfo_t *info, void *context)
{
	if (!user_fault(info, context))
		_exit(3);
}

static void __attribute__((constructor)) make_memory(void)
{
	struct sigaction act = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};

	sigaction(SIGSEGV, &act, NULL);
	edge = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	room = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	mprotect(edge + PAGE, PAGE, PROT_NONE);
	edge += PAGE;
	for (int i = 0; i < PAGE; i++)
		edge[i - PAGE] = (char)(i * 31 + (i >> 8));
}

static void copies_are_right_at_every_size(void)
{
	for (size_t n = 0; n < SIZES; n++) {
		memset(room, 0x55, PAGE);
		CU_ASSERT(user_copy(room + 1, edge - n, n));
		CU_ASSERT(memcmp(room + 1, edge - n, n) == 0);
		CU_ASSERT(room[0] == 0x55 && room[n + 1] == 0x55);
		CU_ASSERT(user_copy(edge - n, room + 1, n));
	}
}

static void what_is_not_there_is_said(void)
{
	for (size_t n = 1; n < SIZES; n++) {
		CU_ASSERT(!user_copy(room, edge - n + 1, n));
		CU_ASSERT(!user_copy(edge - n + 1, room, n));
		CU_ASSERT(!user_copy(room, edge, n));
		CU_ASSERT(!user_copy(edge, room, n));
	}
	CU_ASSERT(!user_copy(NULL, room, 8));
	CU_ASSERT(!user_copy(room, (void *)0x8000000000001000, 8));
	CU_ASSERT(user_copy(NULL, NULL, 0));
}

static void extents_end_where_the_memory_does(void)
{
	CU_ASSERT_EQUAL(user_extent(edge - 100, 50, true), 50);
	CU_ASSERT_EQUAL(user_extent(edge - 100, 100, true), 100);
	CU_ASSERT_EQUAL(user_extent(edge - 100, 200, true), 100);
	CU_ASSERT_EQUAL(user_extent(edge - PAGE, 3 * PAGE, false), PAGE);
	CU_ASSERT_EQUAL(user_extent(edge, 10, false), 0);
	CU_ASSERT_EQUAL(user_extent(room, 2 * PAGE, true), 2 * PAGE);
	mprotect(room + PAGE, PAGE, PROT_READ);
	CU_ASSERT_EQUAL(user_extent(room, 2 * PAGE, true), PAGE);
	CU_ASSERT_EQUAL(user_extent(room, 2 * PAGE, false), 2 * PAGE);
	CU_ASSERT(!user_copy(room + PAGE - 8, edge - 64, 64));
}

static void write_three(void *arg)
{
	volatile char *p = arg;

	for (int i = 0; i < 3; i++)
		p[i] = 'x';
}

static void code_goes_as_far_as_the_memory(void)
{
	CU_ASSERT(user_try(write_three, edge - 3));
	edge[-1] = edge[-2] = 0;
	CU_ASSERT(!user_try(write_three, edge - 2));
	CU_ASSERT(edge[-2] == 'x' && edge[-1] == 'x');
}

static const struct cunit_test tests[] = {
	CUNIT_TEST(copies_are_right_at_every_size),
	CUNIT_TEST(what_is_not_there_is_said),
	CUNIT_TEST(extents_end_where_the_memory_does),
	CUNIT_TEST(code_goes_as_far_as_the_memory),
};
CUNIT_MAIN("user", tests, NULL, NULL)
