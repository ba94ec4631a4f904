/* replay.c - runs a fuzz target over seeds, as an ordinary test: replay COUNT DIR...
 *
 * Every seed is given whole; one that a person or make_seeds made also cut at every length, and with every bit flipped; to a
 * target with checksums also with them made to fit again. (What a fuzzer found, named for what is in it, is such a change
 * already.) Deterministic, so a failure comes back. A target that is not content traps: the last "# FILE" says with what.
 * At most COUNT cuts and flips of one seed are made, at a stride; MF_COUNT=N, if that is less. */
#include "tests/fuzz/target.h"

#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SEED_MAX ((size_t)1 << 20)

/* On a copy of exactly that size, so that a sanitizer sees a read beyond it. */
static void feed(const uint8_t *bytes, size_t len, bool repair)
{
	uint8_t *exact = malloc(len ? len : 1);
	if (!exact)
		abort();
	if (len)
		memcpy(exact, bytes, len);
	if (repair)
		fuzz_repair(exact, len);
	LLVMFuzzerTestOneInput(exact, len);
	free(exact);
}

static void feed_both(const uint8_t *bytes, size_t len)
{
	feed(bytes, len, false);
	if (fuzz_repair)
		feed(bytes, len, true);
}

static size_t most; /* changes of one seed */

static size_t stride(size_t count)
{
	return count / (most ? most : 1) + 1;
}

static void feed_changes(uint8_t *bytes, size_t len)
{
	for (size_t cut = 0; cut < len; cut += stride(len))
		feed_both(bytes, cut);
	for (size_t bit = 0; bit < len * 8; bit += stride(len * 8)) {
		bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
		feed_both(bytes, len);
		bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
}

static bool is_found(const char *path)
{
	const char *name = strrchr(path, '/') + 1;
	return strlen(name) == 40 && strspn(name, "0123456789abcdef") == 40;
}

static void replay_file(const char *path)
{
	static uint8_t bytes[SEED_MAX];
	printf("# %s\n", path);
	fflush(stdout);
	FILE *file = fopen(path, "rb");
	if (!file)
		abort();
	size_t len = fread(bytes, 1, sizeof(bytes), file);
	fclose(file);
	feed_both(bytes, len);
	if (!is_found(path))
		feed_changes(bytes, len);
}

static bool is_seed(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

static unsigned replay_folder(const char *folder)
{
	DIR *dir = opendir(folder);
	unsigned count = 0;
	for (const struct dirent *entry; dir && (entry = readdir(dir));) {
		char path[4096];
		snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
		if (is_seed(entry)) {
			replay_file(path);
			count++;
		}
	}
	if (dir)
		closedir(dir);
	return count;
}

int main(int argc, char **argv)
{
	unsigned count = 0;
	const char *fewer = getenv("MF_COUNT");
	if (argc < 2)
		return 2;
	most = strtoul(argv[1], NULL, 10);
	if (fewer && strtoul(fewer, NULL, 10) < most)
		most = strtoul(fewer, NULL, 10);
	for (int i = 2; i < argc; i++)
		count += replay_folder(argv[i]);
	printf("1..1\n%s 1 - %u seeds, whole, cut and flipped, keep every promise\n", count ? "ok" : "not ok", count);
	return count == 0;
}
