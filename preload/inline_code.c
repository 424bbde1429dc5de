/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The search for system call instructions.
 *
 * On x86 the two bytes of the instruction also occur inside others, as a part of an address or a
 * constant, and in tables between functions: a megabyte of code has a few such pairs. Whether an
 * instruction begins there shows when the code around is decoded (only the lengths of instructions are).
 * Nobody knows where an instruction begins before the pair, but decoding from any byte falls into step
 * with the real instructions after a few of them; so it is tried from many bytes, and the pair counts
 * where more than a fourth of them arrive at it, and where what follows makes sense up to the next
 * return or jump.
 *
 * A number that is loaded right before says what the call does: one that closes nothing does no harm
 * (libgomp waits for other threads so).
 */
#include "preload/inline_code.h"
#include "common/say.h"
#include "preload/libc.h"
#include "preload/own_fds.h"

#include <link.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/syscall.h>

#if defined(__x86_64__)

enum {
	LEAD_BYTES = 96, /* decoding begins that far before a pair, */
	N_STARTS = 32,   /* from each of so many bytes */
	NEAR_BYTES = 24, /* all instructions so near before a pair make sense */
	N_FOLLOWING = 16,
	INSTRUCTION_MAX = 15,
};

/*
 * What follows the opcode, by opcode:
 *	.  nothing			m  ModRM			x  no instruction, or none of
 *								   programs (I/O ports, hlt)
 *	b  1 byte			M  ModRM, 1 byte		p  it is a prefix
 *	z  4 bytes (2 with 66)		Z  ModRM, as z			r  it is a REX prefix
 *	j  4 bytes			w  2 bytes
 *	v  as z, 8 with REX.W		o  8 bytes			g  ModRM, by its reg 1 byte or
 *	G  ModRM, by its reg as z or nothing				   nothing
 */
static const char one_byte[] =
	"mmmmbzxxmmmmbzxx" "mmmmbzxxmmmmbzxx" "mmmmbzpxmmmmbzpx" "mmmmbzpxmmmmbzpx"
	"rrrrrrrrrrrrrrrr" "................" "xxxmppppzZbMxxxx" "bbbbbbbbbbbbbbbb"
	"MZxMmmmmmmmmmmxm" "..........x....." "oooo....bz......" "bbbbbbbbvvvvvvvv"
	"MMw.xxMZx.xx.xxx" "mmmmxxx.mmmmmmmm" "bbbbxxxxjjxbxxxx" "px.pxxgG..xx..mm";
static const char two_bytes[] = /* 0f .. */
	"mmxxx.xxxx.xxm.x" "mmmmmmmmmmmmmmmm" "xxxxxxxxmmmmmmmm" "x.xx.xxxmxMxxxxx"
	"mmmmmmmmmmmmmmmm" "mmmmmmmmmmmmmmmm" "mmmmmmmmmmmmmmmm" "MMMMmmm.xxxxmmmm"
	"jjjjjjjjjjjjjjjj" "mmmmmmmmmmmmmmmm" "...mMmxx..xmMmmm" "mmmmmmmmmmMmmmmm"
	"mmMmMMMm........" "mmmmmmmmmmmmmmmm" "mmmmmmmmmmmmmmmm" "mmmmmmmmmmmmmmmm";

struct prefixes {
	bool has_66, has_w;
};

/* ModRM with SIB and displacement. */
static size_t modrm_bytes(const uint8_t *p)
{
	unsigned int mod = p[0] >> 6, rm = p[0] & 7;
	size_t n = 1;

	if (mod == 3)
		return n;
	if (rm == 4) {
		n++;
		if (mod == 0 && (p[1] & 7) == 5)
			n += 4;
	} else if (mod == 0 && rm == 5) {
		n += 4;
	}
	return n + (mod == 1 ? 1 : mod == 2 ? 4 : 0);
}

/* From the byte after the opcode on; 0: none. */
static size_t rest_bytes(char kind, const uint8_t *p, struct prefixes x, bool *is_valid)
{
	size_t z = x.has_66 ? 2 : 4;
	bool tests = (p[0] >> 3 & 7) < 2; /* of group 3 */

	*is_valid = true;
	switch (kind) {
	case '.': return 0;
	case 'b': return 1;
	case 'w': return 2;
	case 'j': return 4;
	case 'o': return 8;
	case 'z': return z;
	case 'v': return x.has_w ? 8 : z;
	case 'm': return modrm_bytes(p);
	case 'M': return modrm_bytes(p) + 1;
	case 'Z': return modrm_bytes(p) + z;
	case 'g': return modrm_bytes(p) + (tests ? 1 : 0);
	case 'G': return modrm_bytes(p) + (tests ? z : 0);
	default: *is_valid = false; return 0;
	}
}

/* VEX (c4, c5) and EVEX (62): `map` of the opcode at `p`. */
static size_t vector_bytes(unsigned int map, const uint8_t *p, bool *is_valid)
{
	char kind = map == 1 ? two_bytes[p[0]] : map == 3 ? 'M' : 'm';

	return 1 + rest_bytes(kind, p + 1, (struct prefixes){false, false}, is_valid);
}

/* Bytes of the instruction at `p`, of which 2 * INSTRUCTION_MAX can be read; 0: it is none. */
static size_t instruction_bytes(const uint8_t *p)
{
	const uint8_t *start = p;
	struct prefixes x = {false, false};
	bool is_valid = true;
	size_t n;

	for (; one_byte[*p] == 'p' && p - start < INSTRUCTION_MAX; p++)
		x.has_66 = x.has_66 || *p == 0x66;
	if (one_byte[*p] == 'r')
		x.has_w = (*p++ & 8) != 0;
	if (*p == 0xc5) {
		n = 2 + vector_bytes(1, p + 2, &is_valid);
	} else if (*p == 0xc4) {
		n = 3 + vector_bytes(p[1] & 0x1f, p + 3, &is_valid);
	} else if (*p == 0x62) {
		n = 4 + vector_bytes(p[1] & 7, p + 4, &is_valid);
	} else if (*p != 0x0f) {
		n = 1 + rest_bytes(one_byte[*p], p + 1, x, &is_valid);
	} else if (p[1] == 0x38 || p[1] == 0x3a) {
		n = 3 + rest_bytes(p[1] == 0x38 ? 'm' : 'M', p + 3, x, &is_valid);
	} else {
		n = 2 + rest_bytes(two_bytes[p[1]], p + 2, x, &is_valid);
	}
	n += (size_t)(p - start);
	return is_valid && n <= INSTRUCTION_MAX ? n : 0;
}

/* The same where the code ends `left` bytes on. */
static size_t bytes_at(const uint8_t *p, size_t left)
{
	uint8_t room[2 * INSTRUCTION_MAX] = {0};
	size_t n;

	memcpy(room, p, left < sizeof(room) ? left : sizeof(room));
	n = instruction_bytes(room);
	return n <= left ? n : 0;
}

static bool ends_path(const uint8_t *p)
{
	return *p == 0xc3 || *p == 0xc2 || *p == 0xeb || *p == 0xe9 || *p == 0xcc ||
		(*p == 0x0f && p[1] == 0x0b);
}

static bool makes_sense_from(const uint8_t *p, const uint8_t *end)
{
	for (int i = 0; i < N_FOLLOWING && end - p > 1 && !ends_path(p); i++) {
		size_t n = bytes_at(p, (size_t)(end - p));

		if (n == 0)
			return false;
		p += n;
	}
	return true;
}

/* Of a system call that closes no descriptor, and lets nobody else do so. */
static bool is_harmless(uint32_t number)
{
	switch (number) {
	case SYS_close:
	case SYS_dup2:
	case SYS_dup3:
	case SYS_close_range:
	case SYS_io_uring_setup:
	case SYS_io_uring_enter:
	case SYS_io_uring_register:
		return false;
	default:
		return true;
	}
}

/* Decode from `p` on: does an instruction begin at `at`? `number`: what was loaded into eax by the
 * instruction before that one, or -1. */
static bool arrives(const uint8_t *p, const uint8_t *at, const uint8_t *end, int64_t *number)
{
	uint32_t value;

	*number = -1;
	while (p < at) {
		size_t n = bytes_at(p, (size_t)(end - p));

		if (n == 0 && at - p <= NEAR_BYTES)
			return false;
		if (n == 5 && p[0] == 0xb8) {
			memcpy(&value, p + 1, sizeof(value));
			*number = value;
		} else {
			*number = -1;
		}
		p += n ? n : 1;
	}
	return p == at;
}

/* Is the pair at `at` a system call that may do harm? What lies before `code` is not known. */
static bool is_system_call(const uint8_t *code, const uint8_t *at, const uint8_t *end)
{
	const uint8_t *first = at - code > LEAD_BYTES ? at - LEAD_BYTES : code;
	unsigned int n = 0, arrived = 0, harmless = 0;
	int64_t number;

	if (!makes_sense_from(at, end))
		return false;
	for (; n < N_STARTS && first + n < at; n++)
		if (arrives(first + n, at, end, &number)) {
			arrived++;
			harmless += number >= 0 && is_harmless((uint32_t)number);
		}
	return n == 0 || (arrived * 4 > n && harmless * 2 <= arrived);
}

bool inline_code_is_in(const uint8_t *code, size_t n)
{
	static const uint8_t instruction[] = {0x0f, 0x05};
	const uint8_t *p = code, *end = code + n;

	while ((p = memmem(p, (size_t)(end - p), instruction, sizeof(instruction))) != NULL) {
		if (is_system_call(code, p, end))
			return true;
		p++;
	}
	return false;
}

#elif defined(__aarch64__)

/* Instructions have four bytes each. */
bool inline_code_is_in(const uint8_t *code, size_t n)
{
	static const uint8_t instruction[] = {0x01, 0x00, 0x00, 0xd4}; /* svc #0 */

	for (size_t i = 0; i + sizeof(instruction) <= n; i += sizeof(instruction))
		if (memcmp(code + i, instruction, sizeof(instruction)) == 0)
			return true;
	return false;
}

#else

/* Not known here, so every program may have some. */
bool inline_code_is_in(const uint8_t *code, size_t n)
{
	return true;
}

#endif

/* --- what is loaded --------------------------------------------------------------------------------- */

static unsigned long long n_searched; /* dlpi_adds of the last search */
static bool is_found;

static int count_objects(struct dl_phdr_info *info, size_t size, void *arg)
{
	*(unsigned long long *)arg = info->dlpi_adds;
	return 1;
}

unsigned long long inline_code_objects(void)
{
	unsigned long long n = 0;

	dl_iterate_phdr(count_objects, &n);
	return n;
}

static bool holds(const struct dl_phdr_info *info, uintptr_t address)
{
	for (int i = 0; i < info->dlpi_phnum; i++)
		if (info->dlpi_phdr[i].p_type == PT_LOAD &&
			address - (info->dlpi_addr + info->dlpi_phdr[i].p_vaddr) <
				info->dlpi_phdr[i].p_memsz)
			return true;
	return false;
}

/* Those whose system calls we know. */
static bool is_exempt(const struct dl_phdr_info *info)
{
	return holds(info, (uintptr_t)libc.syscall) ||
		holds(info, (uintptr_t)&inline_code_search) || info->dlpi_addr == getauxval(AT_BASE) ||
		info->dlpi_addr == getauxval(AT_SYSINFO_EHDR) || own_fds_is_library(info);
}

static int search_object(struct dl_phdr_info *info, size_t size, void *arg)
{
	n_searched = info->dlpi_adds;
	for (int i = 0; i < info->dlpi_phnum && !is_exempt(info); i++) {
		const ElfW(Phdr) *p = &info->dlpi_phdr[i];
		const uint8_t *code = (const uint8_t *)(info->dlpi_addr + p->p_vaddr);

		if (p->p_type != PT_LOAD || !(p->p_flags & PF_X))
			continue;
		if ((p->p_flags & PF_R) && !inline_code_is_in(code, p->p_memsz))
			continue;
		say("warning: %s makes system calls past libc: each call on a socket of the stack asks "
		    "the kernel first whether the number is still that socket's (said once)",
			info->dlpi_name[0] ? info->dlpi_name : program_invocation_short_name);
		is_found = true;
		return 1;
	}
	return 0;
}

bool inline_code_search(void)
{
	if (!is_found)
		dl_iterate_phdr(search_object, NULL);
	return is_found;
}
