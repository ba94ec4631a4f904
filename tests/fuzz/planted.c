/* planted.c - does the fuzzer get behind the checksums? As an ordinary test: planted RUNS SEED...
 *
 * A bug is planted behind everything that a target checks (fuzz_behind): it shows for one content in four, if that is none of
 * a seed. Random changes with the target's own mutator, or with the bits of a script that ask for checksums to be repaired, must
 * find it; the same changes without must not, in as many runs. Numbers are random from a fixed beginning, so the runs are the
 * same every time. */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "tests/fuzz/target.h"

#define SEEDS_MAX 256
#define CONTENTS_MAX 4096
#define INPUT_MAX ((size_t)1 << 16)
#define ONE_IN 4
#define ONLY_READ 16 /* half of the time of the targets that ask for it so */

size_t LLVMFuzzerMutate(uint8_t *bytes, size_t len, size_t max_len);
size_t LLVMFuzzerCustomMutator(uint8_t *bytes, size_t len, size_t max_len, unsigned seed) __attribute__((weak));

static struct seed {
	uint8_t *bytes;
	size_t len;
} seeds[SEEDS_MAX];
static size_t seed_count;
static uint64_t random_state;
static uint64_t known[CONTENTS_MAX]; /* contents of seeds */
static size_t known_count;
static bool learning;
static size_t behind, found;

static uint64_t next_random(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

/* ---- what libFuzzer would do ---- */

static size_t insert(uint8_t *bytes, size_t len, size_t max_len)
{
	size_t at = next_random() % (len + 1), more = next_random() % 8 + 1;
	if (more > max_len - len)
		return len;
	memmove(bytes + at + more, bytes + at, len - at);
	for (size_t i = 0; i < more; i++)
		bytes[at + i] = (uint8_t)next_random();
	return len + more;
}

size_t LLVMFuzzerMutate(uint8_t *bytes, size_t len, size_t max_len)
{
	for (uint64_t changes = next_random() % 3 + 1; changes > 0; changes--) {
		size_t at = len ? next_random() % len : 0, to = len ? next_random() % len : 0;
		switch (len ? next_random() % 6 : 0) {
		case 0: len = insert(bytes, len, max_len); break;
		case 1: bytes[at] ^= (uint8_t)(1u << next_random() % 8); break;
		case 2: bytes[at] = (uint8_t)next_random(); break;
		case 3: bytes[at]++; break;
		case 4: bytes[at] = bytes[to]; break;
		default:
			memmove(bytes + at, bytes + at + 1, len - at - 1);
			len--;
		}
	}
	return len;
}

/* ---- the bug ---- */

void fuzz_behind(const void *bytes, size_t len)
{
	uint64_t content = XXH3_64bits(bytes, len);
	for (size_t i = 0; i < known_count; i++)
		if (known[i] == content)
			return;
	if (learning && known_count < CONTENTS_MAX) {
		known[known_count++] = content;
		return;
	}
	behind++;
	found += content % ONE_IN == 0;
}

/* ---- runs ---- */

static void run(const uint8_t *bytes, size_t len)
{
	uint8_t *exact = malloc(len ? len : 1);
	if (!exact)
		abort();
	if (len > 0)
		memcpy(exact, bytes, len);
	LLVMFuzzerTestOneInput(exact, len);
	free(exact);
}

static size_t change(uint8_t *bytes, size_t len, bool repaired)
{
	if (repaired && LLVMFuzzerCustomMutator)
		return LLVMFuzzerCustomMutator(bytes, len, INPUT_MAX, (unsigned)next_random());
	len = LLVMFuzzerMutate(bytes, len, INPUT_MAX);
	if (len > 0 && &fuzz_repair_bits)
		bytes[0] = (uint8_t)(repaired ? bytes[0] | fuzz_repair_bits : bytes[0] & ~fuzz_repair_bits) | ONLY_READ;
	return len;
}

/* The number of the run in which it was found; 0: in none. */
static size_t search(size_t runs, bool repaired)
{
	static uint8_t bytes[INPUT_MAX];
	random_state = 88172645463325252u;
	behind = found = 0;
	for (size_t i = 1; i <= runs; i++) {
		const struct seed *seed = &seeds[next_random() % seed_count];
		memcpy(bytes, seed->bytes, seed->len);
		run(bytes, change(bytes, seed->len, repaired));
		if (found)
			return i;
	}
	return 0;
}

/* ---- seeds ---- */

static void take_file(const char *path)
{
	static uint8_t bytes[INPUT_MAX];
	FILE *file = fopen(path, "rb");
	if (!file)
		abort();
	size_t len = fread(bytes, 1, sizeof(bytes), file);
	fclose(file);
	if (len == sizeof(bytes) || seed_count == SEEDS_MAX)
		return;
	uint8_t *kept = malloc(len + 1);
	if (!kept)
		abort();
	memcpy(kept, bytes, len);
	seeds[seed_count++] = (struct seed){kept, len};
}

int main(int argc, char **argv)
{
	size_t runs = argc > 1 ? strtoul(argv[1], NULL, 10) : 0;
	for (int i = 2; i < argc; i++)
		take_file(argv[i]);
	if (seed_count == 0) {
		printf("Bail out! no seeds\n");
		return 1;
	}
	learning = true;
	for (size_t i = 0; i < seed_count; i++)
		run(seeds[i].bytes, seeds[i].len);
	learning = false;
	size_t repaired = search(runs, true), repaired_behind = behind, plain = search(runs, false);
	printf("1..2\n# with: %zu other contents behind the checks, then run %zu; without: %zu in %zu runs\n", repaired_behind, repaired, behind, runs);
	printf("%s 1 - a bug behind the checksums is found when they are repaired\n", repaired ? "ok" : "not ok");
	printf("%s 2 - it is not found when they are not\n", plain ? "not ok" : "ok");
	for (size_t i = 0; i < seed_count; i++)
		free(seeds[i].bytes);
	return !repaired || plain;
}
