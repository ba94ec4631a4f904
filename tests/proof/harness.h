/* harness.h - what the programs behind ./dev share: their settings, and a directory to work in. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* A number of the environment; otherwise where it is not set or empty. */
static inline uint64_t harness_number(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);
	return text && *text ? strtoull(text, NULL, 0) : otherwise;
}

/* Makes a directory, "mf-NAME-XXXXXX": in TMPDIR if that is set, else in memory where that can be. */
static inline bool harness_make_place(char *out, size_t size, const char *name)
{
	const char *from = getenv("TMPDIR");
	if (!from || !from[0])
		from = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
	int len = snprintf(out, size, "%s/mf-%s-XXXXXX", from, name);
	return len > 0 && (size_t)len < size && mkdtemp(out) != NULL;
}

/* With all that is in it. false: it is left, and that is said. */
static inline bool harness_remove_place(const char *dir)
{
	char command[512];
	int len = snprintf(command, sizeof(command), "rm -rf '%s'", dir);
	if (len > 0 && (size_t)len < sizeof(command) && system(command) == 0)
		return true;
	fprintf(stderr, "%s is left\n", dir);
	return false;
}
