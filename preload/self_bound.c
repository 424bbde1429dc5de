/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Binds a library to itself after it was loaded, as -Bsymbolic would have done when it was linked.
 *
 * The loader looks for a name in the program first, then in its libraries. A library that calls its own
 * config_init() comes out in the program's, where that exports one. dlopen(RTLD_DEEPBIND) is no way
 * out: such a library has libc's free() instead of the program's, while memory that comes from strdup() is
 * of the program's malloc(). So the library is loaded in the usual way, and then each entry of its tables
 * of addresses whose name it has itself, or a library that it needs, is set to that one. libc's and the
 * loader's functions stay what they are for everybody.
 *
 * The tables are written before anybody runs in the library but its constructors. Where they are read-only
 * (RELRO), the page is made writable for the moment.
 */
#include "preload/self_bound.h"
#include "preload/libc.h"

#include <dlfcn.h>
#include <elf.h>
#include <link.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#if defined(__x86_64__)
enum { TO_FUNCTION = R_X86_64_JUMP_SLOT, TO_OBJECT = R_X86_64_GLOB_DAT, TO_ADDRESS = R_X86_64_64 };
#elif defined(__aarch64__)
enum { TO_FUNCTION = R_AARCH64_JUMP_SLOT, TO_OBJECT = R_AARCH64_GLOB_DAT, TO_ADDRESS = R_AARCH64_ABS64 };
#else
enum { TO_FUNCTION = -1, TO_OBJECT = -1, TO_ADDRESS = -1 };
#endif

enum { MEMBERS_MAX = 8 };

/* A library and those that it needs. */
struct family {
	const struct link_map *member[MEMBERS_MAX];
	int n;
};

struct tables {
	const ElfW(Sym) *symbols;
	const char *strings;
	const ElfW(Rela) *rela[2];
	size_t rela_bytes[2];
};

static struct tables tables_of(const struct link_map *map)
{
	struct tables t = {0};

	for (const ElfW(Dyn) *d = map->l_ld; d->d_tag != DT_NULL; d++) {
		if (d->d_tag == DT_SYMTAB)
			t.symbols = (const void *)d->d_un.d_ptr;
		else if (d->d_tag == DT_STRTAB)
			t.strings = (const void *)d->d_un.d_ptr;
		else if (d->d_tag == DT_RELA)
			t.rela[0] = (const void *)d->d_un.d_ptr;
		else if (d->d_tag == DT_RELASZ)
			t.rela_bytes[0] = d->d_un.d_val;
		else if (d->d_tag == DT_JMPREL)
			t.rela[1] = (const void *)d->d_un.d_ptr;
		else if (d->d_tag == DT_PLTRELSZ)
			t.rela_bytes[1] = d->d_un.d_val;
	}
	return t;
}

static bool is_everybodys(const char *file)
{
	return strncmp(file, "libc.so", 7) == 0 || strncmp(file, "ld-", 3) == 0 ||
		strncmp(file, "libm.so", 7) == 0 || strncmp(file, "libpthread.so", 13) == 0 ||
		strncmp(file, "libdl.so", 8) == 0;
}

static void add_family(struct family *f, void *handle)
{
	const struct link_map *map = handle;
	struct tables t = tables_of(map);

	for (int i = 0; i < f->n; i++)
		if (f->member[i] == map)
			return;
	if (f->n == MEMBERS_MAX)
		return;
	f->member[f->n++] = map;
	for (const ElfW(Dyn) *d = map->l_ld; d->d_tag != DT_NULL; d++) {
		void *needed = d->d_tag != DT_NEEDED || is_everybodys(t.strings + d->d_un.d_val) ?
			NULL :
			libc.dlopen(t.strings + d->d_un.d_val, RTLD_LAZY | RTLD_NOLOAD);

		if (needed)
			add_family(f, needed);
	}
}

/* Where the family has the name; 0: it has not. */
static uintptr_t find(const struct family *f, const char *name)
{
	void *at = dlsym((void *)(uintptr_t)f->member[0], name);
	Dl_info info;

	if (at == NULL || dladdr(at, &info) == 0)
		return 0;
	for (int i = 0; i < f->n; i++)
		if ((uintptr_t)info.dli_fbase == f->member[i]->l_addr)
			return (uintptr_t)at;
	return 0;
}

static void set(uintptr_t *place, uintptr_t value)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), from = (uintptr_t)place & -page;

	if (*place == value || mprotect((void *)from, page, PROT_READ | PROT_WRITE) < 0)
		return;
	*place = value;
}

/* One entry may share a page with writable data, so only RELRO is made read-only again. */
static void protect(const struct link_map *map)
{
	const ElfW(Ehdr) *head = (const void *)map->l_addr;
	const ElfW(Phdr) *p = (const void *)(map->l_addr + head->e_phoff);
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);

	for (int i = 0; i < head->e_phnum; i++) {
		uintptr_t from = (map->l_addr + p[i].p_vaddr) & -page;
		uintptr_t to = (map->l_addr + p[i].p_vaddr + p[i].p_memsz) & -page;

		if (p[i].p_type == PT_GNU_RELRO && to > from)
			mprotect((void *)from, to - from, PROT_READ);
	}
}

static void bind_to_family(const struct family *f, const struct link_map *map)
{
	struct tables t = tables_of(map);

	for (int k = 0; k < 2; k++) {
		for (size_t i = 0; i < t.rela_bytes[k] / sizeof(ElfW(Rela)); i++) {
			const ElfW(Rela) *r = &t.rela[k][i];
			const ElfW(Sym) *s = &t.symbols[ELF64_R_SYM(r->r_info)];
			int type = (int)ELF64_R_TYPE(r->r_info);
			uintptr_t at;

			if ((type != TO_FUNCTION && type != TO_OBJECT && type != TO_ADDRESS) ||
				s->st_name == 0)
				continue;
			at = find(f, t.strings + s->st_name);
			if (at != 0)
				set((uintptr_t *)(map->l_addr + r->r_offset),
					at + (type == TO_ADDRESS ? (uintptr_t)r->r_addend : 0));
		}
	}
	protect(map);
}

void *self_bound_load(const char *file)
{
	void *handle = libc.dlopen(file, RTLD_NOW | RTLD_LOCAL);
	struct family f = {.n = 0};

	if (handle == NULL)
		return NULL;
	add_family(&f, handle);
	for (int i = 0; i < f.n; i++)
		bind_to_family(&f, f.member[i]);
	return handle;
}
