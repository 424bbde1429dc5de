/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Main of a fuzzer where libFuzzer is not there (gcc, CI): seeded mutations of a few good inputs.
 * FUZZ_MAIN(seeds) takes an array of strings; define FUZZ_LIBFUZZER to leave main() to libFuzzer.
 */
#ifndef TESTS_FUZZ_MAIN_H
#define TESTS_FUZZ_MAIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FUZZ_INPUT_MAX 4096
#define FUZZ_RUNS 20000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What has to hold for any input. */
static inline void
fuzz_require(bool holds, const char *what)
{
	if (holds)
		return;
	fprintf(stderr, "%s\n", what);
	abort();
}

/* xorshift64: the same seed gives the same run everywhere. */
static inline uint64_t
fuzz_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/* One of: flip a bit, overwrite, insert, delete, repeat a piece. Returns the new size. */
static inline size_t
fuzz_mutate(uint8_t *buf, size_t size, uint64_t *rnd)
{
	static const char interesting[] = "\"'\\;:={}[](),#/*\n 09-x\x80\xff";
	size_t at = size > 0 ? fuzz_random(rnd) % size : 0, n;
	uint8_t c = fuzz_random(rnd) % 2 ? interesting[fuzz_random(rnd) % (sizeof(interesting) - 1)]
					 : (uint8_t)fuzz_random(rnd);

	switch (fuzz_random(rnd) % 5) {
	case 0:
		if (size > 0)
			buf[at] ^= 1 << fuzz_random(rnd) % 8;
		return size;
	case 1:
		if (size > 0)
			buf[at] = c;
		return size;
	case 2:
		if (size == FUZZ_INPUT_MAX)
			return size;
		memmove(buf + at + 1, buf + at, size - at);
		buf[at] = c;
		return size + 1;
	case 3:
		n = fuzz_random(rnd) % 8;
		if (n > size - at)
			n = size - at;
		memmove(buf + at, buf + at + n, size - at - n);
		return size - n;
	default:
		n = fuzz_random(rnd) % 64;
		if (n > size - at)
			n = size - at;
		if (n > FUZZ_INPUT_MAX - size)
			n = FUZZ_INPUT_MAX - size;
		memmove(buf + at + n, buf + at, size - at);
		return size + n;
	}
}

static inline int
fuzz_main(int argc, char **argv, const char *const *seeds, const size_t *sizes, size_t n_seeds)
{
	uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 0) : 1, rnd;
	unsigned long runs = argc > 2 ? strtoul(argv[2], NULL, 0) : FUZZ_RUNS;
	static uint8_t buf[FUZZ_INPUT_MAX];

	printf("seed %llu, %lu runs\n", (unsigned long long)seed, runs);
	rnd = seed * 0x9e3779b97f4a7c15 + 1;
	for (unsigned long i = 0; i < runs; i++) {
		size_t which = fuzz_random(&rnd) % n_seeds, size = sizes[which];
		uint8_t *exact;

		memcpy(buf, seeds[which], size);
		for (uint64_t n = 1 + fuzz_random(&rnd) % 8; n > 0; n--)
			size = fuzz_mutate(buf, size, &rnd);
		/* A copy of its own, so that a sanitizer sees reads behind the end. */
		exact = malloc(size + !size);
		if (exact == NULL)
			return 1;
		memcpy(exact, buf, size);
		LLVMFuzzerTestOneInput(exact, size);
		free(exact);
	}
	return 0;
}

#ifdef FUZZ_LIBFUZZER
#define FUZZ_MAIN(seeds)                                                                           \
	const void *fuzz_unused_seeds(void);                                                       \
	const void *fuzz_unused_seeds(void) { return seeds; }
#else
#define FUZZ_MAIN(seeds)                                                                           \
	int main(int argc, char **argv)                                                            \
	{                                                                                          \
		size_t sizes[sizeof(seeds) / sizeof((seeds)[0])];                                  \
		for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)                      \
			sizes[i] = strlen((seeds)[i]);                                             \
		return fuzz_main(argc, argv, (seeds), sizes, sizeof(sizes) / sizeof(sizes[0]));    \
	}
#endif

#endif
