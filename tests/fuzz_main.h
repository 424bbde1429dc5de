/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The two ways to run a fuzzer. Everywhere (gcc, CI): FUZZ_MAIN(seeds), whose seeds are an array of
 * strings, makes a main() that tries seeded mutations of them.
 *
 *	fuzz_x [DIRECTORY] [SEED [RUNS | SECONDSs]]
 *	                            fuzz_x 7 600s: ten minutes with the mutations of seed 7; the inputs in
 *	                            DIRECTORY (tests/corpus) come first, as they are, and are mutated, too
 *	fuzz_x FILE...              those inputs, as a crash of libFuzzer leaves them
 *
 * With libFuzzer (meson -Dfuzzer=libfuzzer, clang) main() is its own and the seeds are its first
 * corpus, unless it is given another.
 */
#ifndef TESTS_FUZZ_MAIN_H
#define TESTS_FUZZ_MAIN_H

#include <dirent.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define FUZZ_INPUT_MAX 4096
#ifndef FUZZ_RUNS
#define FUZZ_RUNS 20000
#endif

/* Up to so many random bytes follow the mutated seed; for inputs that are lists of operations. */
#ifndef FUZZ_TAIL
#define FUZZ_TAIL 0
#endif

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

/* A copy of its own, so that a sanitizer sees reads behind the end. */
static inline int
fuzz_try(const uint8_t *buf, size_t size)
{
	uint8_t *exact = malloc(size + !size);

	if (exact == NULL)
		return -1;
	memcpy(exact, buf, size);
	LLVMFuzzerTestOneInput(exact, size);
	free(exact);
	return 0;
}

static inline int
fuzz_files(int n, char **names)
{
	static uint8_t buf[1 << 20];

	for (int i = 0; i < n; i++) {
		FILE *f = fopen(names[i], "rb");

		if (f == NULL) {
			perror(names[i]);
			return 1;
		}
		size_t size = fread(buf, 1, sizeof(buf), f);

		fclose(f);
		printf("%s, %zu bytes\n", names[i], size);
		if (fuzz_try(buf, size) < 0)
			return 1;
	}
	return 0;
}

#define FUZZ_CORPUS_MAX 256

struct fuzz_corpus {
	char *inputs[FUZZ_CORPUS_MAX];
	size_t sizes[FUZZ_CORPUS_MAX], n;
};

static inline void
fuzz_corpus_add(struct fuzz_corpus *c, const char *data, size_t size)
{
	if (c->n == FUZZ_CORPUS_MAX || (c->inputs[c->n] = malloc(size + 1)) == NULL)
		return;
	memcpy(c->inputs[c->n], data, size);
	c->sizes[c->n++] = size;
}

/* The files of the directory, in the order of their names, are tried and kept. 0 or 1. */
static inline int
fuzz_read_corpus(struct fuzz_corpus *c, const char *dir)
{
	static uint8_t buf[FUZZ_INPUT_MAX];
	struct dirent **entries;
	int n = scandir(dir, &entries, NULL, alphasort), ret = 0;

	for (int i = 0; i < n; i++) {
		char path[4096];
		FILE *f;

		snprintf(path, sizeof(path), "%s/%s", dir, entries[i]->d_name);
		f = entries[i]->d_name[0] != '.' ? fopen(path, "rb") : NULL;
		if (f != NULL) {
			size_t size = fread(buf, 1, sizeof(buf), f);

			fclose(f);
			ret |= fuzz_try(buf, size) < 0;
			fuzz_corpus_add(c, (char *)buf, size);
		}
		free(entries[i]);
	}
	if (n >= 0)
		free(entries);
	return ret;
}

static inline size_t
fuzz_make(uint8_t *buf, const char *seed, size_t size, uint64_t *rnd)
{
	memcpy(buf, seed, size);
	for (uint64_t n = 1 + fuzz_random(rnd) % 8; n > 0; n--)
		size = fuzz_mutate(buf, size, rnd);
	for (uint64_t n = fuzz_random(rnd) % (FUZZ_TAIL + 1); n > 0 && size < FUZZ_INPUT_MAX; n--)
		buf[size++] = (uint8_t)(fuzz_random(rnd) >> 24);
	return size;
}

static inline int
fuzz_run(int argc, char **argv, const struct fuzz_corpus *c)
{
	static uint8_t buf[FUZZ_INPUT_MAX];
	char *end = argc > 1 ? argv[1] : NULL, *unit = NULL;
	uint64_t seed = argc > 1 ? strtoull(argv[1], &end, 0) : 1, rnd;
	unsigned long runs = argc > 2 ? strtoul(argv[2], &unit, 0) : FUZZ_RUNS, i;
	bool timed = unit != NULL && *unit == 's';
	time_t until = time(NULL) + (time_t)runs;

	if (end != NULL && *end != '\0')
		return fuzz_files(argc - 1, argv + 1);
	printf("seed %llu, %lu %s\n", (unsigned long long)seed, runs, timed ? "seconds" : "runs");
	fflush(stdout);
	rnd = seed * 0x9e3779b97f4a7c15 + 1;
	for (i = 0; timed ? time(NULL) < until : i < runs; i++) {
		size_t which = fuzz_random(&rnd) % c->n;

		if (fuzz_try(buf, fuzz_make(buf, c->inputs[which], c->sizes[which], &rnd)) < 0)
			return 1;
	}
	printf("%lu executions\n", i);
	return 0;
}

static inline int
fuzz_main(int argc, char **argv, const char *const *seeds, const size_t *sizes, size_t n_seeds)
{
	static struct fuzz_corpus corpus;
	DIR *dir = argc > 1 ? opendir(argv[1]) : NULL;
	bool has_dir = dir != NULL;

	for (size_t i = 0; i < n_seeds; i++)
		fuzz_corpus_add(&corpus, seeds[i], sizes[i]);
	if (!has_dir)
		return fuzz_run(argc, argv, &corpus);
	closedir(dir);
	if (fuzz_read_corpus(&corpus, argv[1]) != 0)
		return 1;
	argv[1] = argv[0];
	return fuzz_run(argc - 1, argv + 1, &corpus);
}

#ifdef FUZZ_LIBFUZZER
/* libFuzzer starts from an empty input where it has no corpus: that becomes one of the seeds. */
#define FUZZ_MAIN(seeds)                                                                           \
	size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned int seed); \
	size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max);                           \
	size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned int seed)  \
	{                                                                                          \
		const char *one = (seeds)[seed % (sizeof(seeds) / sizeof((seeds)[0]))];            \
		size_t len = strlen(one);                                                          \
		if (size < 2 && len <= max) {                                                      \
			memcpy(data, one, len);                                                    \
			return len;                                                                \
		}                                                                                  \
		return LLVMFuzzerMutate(data, size, max);                                          \
	}
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
