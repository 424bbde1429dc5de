/* SPDX-License-Identifier: BSD-3-Clause */
/* Which code makes system calls that could close a descriptor. */
#include "preload/inline_code.h"
#include "tests/cunit_main.h"

#include <dlfcn.h>
#include <link.h>
#include <string.h>

#if defined(__x86_64__)

#define LEAD                                                                                       \
	/* push %rbp; mov %rsp, %rbp; push %rbx; sub $0x18, %rsp; mov %edi, %ebx; lea 8(%rsp), %rsi; */ \
	0x55, 0x48, 0x89, 0xe5, 0x53, 0x48, 0x83, 0xec, 0x18, 0x89, 0xfb, 0x48, 0x8d, 0x74, 0x24, 0x08
#define TAIL                                                                                       \
	/* add $0x18, %rsp; pop %rbx; pop %rbp; ret */                                             \
	0x48, 0x83, 0xc4, 0x18, 0x5b, 0x5d, 0xc3

#define HAS(...)                                                                                   \
	({                                                                                         \
		const uint8_t code[] = {LEAD, __VA_ARGS__, TAIL};                                  \
		inline_code_is_in(code, sizeof(code));                                             \
	})

static void a_call_that_closes_is_found(void)
{
	/* mov $3, %eax; syscall */
	CU_ASSERT(HAS(0xb8, 3, 0, 0, 0, 0x0f, 0x05));
	/* mov $33, %eax (dup2); mov $292, %eax (dup3); mov $436, %eax (close_range) */
	CU_ASSERT(HAS(0xb8, 33, 0, 0, 0, 0x0f, 0x05));
	CU_ASSERT(HAS(0xb8, 0x24, 1, 0, 0, 0x0f, 0x05));
	CU_ASSERT(HAS(0xb8, 0xb4, 1, 0, 0, 0x0f, 0x05));
	/* mov $426, %eax (io_uring_enter): a ring closes, too */
	CU_ASSERT(HAS(0xb8, 0xaa, 1, 0, 0, 0x0f, 0x05));
}

static void a_call_with_a_number_that_is_not_known_is_found(void)
{
	CU_ASSERT(HAS(0x48, 0x89, 0xf8, 0x0f, 0x05));                   /* mov %rdi, %rax */
	CU_ASSERT(HAS(0xb8, 1, 0, 0, 0, 0x89, 0xdf, 0x0f, 0x05));       /* mov $1, %eax; mov %ebx, %edi */
	CU_ASSERT(HAS(0x31, 0xc0, 0x0f, 0x05));                         /* xor %eax, %eax */
	CU_ASSERT(HAS(0x8b, 0x05, 1, 2, 3, 4, 0x0f, 0x05));             /* mov 0x4030201(%rip), %eax */
	CU_ASSERT(HAS(0xc5, 0xf8, 0x77, 0x89, 0xf8, 0x0f, 0x05));       /* vzeroupper; mov %edi, %eax */
}

static void a_call_that_closes_nothing_is_none(void)
{
	CU_ASSERT_FALSE(HAS(0xb8, 202, 0, 0, 0, 0x0f, 0x05)); /* futex: libgomp */
	CU_ASSERT_FALSE(HAS(0xb8, 39, 0, 0, 0, 0x0f, 0x05));  /* getpid */
}

static void the_same_bytes_inside_of_an_instruction_are_none(void)
{
	CU_ASSERT_FALSE(HAS(0x48, 0x8d, 0x35, 0x0f, 0x05, 0, 0));       /* lea 0x50f(%rip), %rsi */
	CU_ASSERT_FALSE(HAS(0xbe, 0x0f, 0x05, 0, 0));                   /* mov $0x50f, %esi */
	CU_ASSERT_FALSE(HAS(0xe8, 0x10, 0x0f, 0x05, 0));                /* call */
	CU_ASSERT_FALSE(HAS(0x48, 0x0f, 0xba, 0xe0, 0x0f, 0x05, 1, 2, 3, 4)); /* bt; add $, %eax */
	CU_ASSERT_FALSE(HAS(0x48, 0xb8, 1, 2, 0x0f, 0x05, 5, 6, 7, 8)); /* movabs */
	CU_ASSERT_FALSE(HAS(0xc4, 0xe3, 0x7d, 0x19, 0x0f, 0x05));       /* vextractf128 $5, .., (%rdi) */
	CU_ASSERT_FALSE(HAS(0x62, 0xf1, 0x7c, 0x48, 0x28, 0x87, 0x0f, 0x05, 0, 0)); /* vmovaps */
}

static void the_end_of_the_code_is_not_passed(void)
{
	const uint8_t code[] = {LEAD, 0x0f, 0x05};

	for (size_t n = 0; n < sizeof(code); n++)
		CU_ASSERT_FALSE(inline_code_is_in(code, n));
	CU_ASSERT(inline_code_is_in(code, sizeof(code)));
}

struct region {
	const void *inside;
	const uint8_t *code;
	size_t n;
};

static int find(struct dl_phdr_info *info, size_t size, void *arg)
{
	struct region *r = arg;

	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *p = &info->dlpi_phdr[i];
		uintptr_t from = info->dlpi_addr + p->p_vaddr;

		if (p->p_type == PT_LOAD && (p->p_flags & PF_X) &&
			(uintptr_t)r->inside - from < p->p_memsz) {
			r->code = (const uint8_t *)from;
			r->n = p->p_memsz;
			return 1;
		}
	}
	return 0;
}

static bool has_calls(const char *library, const char *symbol)
{
	void *handle = dlopen(library, RTLD_NOW);
	struct region r = {.inside = handle ? dlsym(handle, symbol) : NULL};

	CU_ASSERT_PTR_NOT_NULL_FATAL(r.inside);
	CU_ASSERT_EQUAL_FATAL(dl_iterate_phdr(find, &r), 1);
	return inline_code_is_in(r.code, r.n);
}

/* libm of Debian 12 has the pair 22 times in half a megabyte, and no call. */
static void real_libraries_are_told_apart(void)
{
	CU_ASSERT(has_calls("libc.so.6", "write"));
	CU_ASSERT_FALSE(has_calls("libm.so.6", "sin"));
}

#endif

static const struct cunit_test tests[] = {
#if defined(__x86_64__)
	CUNIT_TEST(a_call_that_closes_is_found),
	CUNIT_TEST(a_call_with_a_number_that_is_not_known_is_found),
	CUNIT_TEST(a_call_that_closes_nothing_is_none),
	CUNIT_TEST(the_same_bytes_inside_of_an_instruction_are_none),
	CUNIT_TEST(the_end_of_the_code_is_not_passed),
	CUNIT_TEST(real_libraries_are_told_apart),
#else
	{0},
#endif
};
CUNIT_MAIN("inline_code", tests, NULL, NULL)
