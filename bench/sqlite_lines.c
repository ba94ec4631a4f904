/* sqlite_lines.c - a loop that stores the lines of a file, one SQLite transaction each (WAL, NORMAL):
 * what `mf run` is compared with. usage: sqlite_lines FILE DIR */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/baseline.h"

int main(int argc, char **argv)
{
	if (argc != 3) {
		fprintf(stderr, "usage: sqlite_lines FILE DIR\n");
		return 2;
	}
	FILE *file = fopen(argv[1], "r");
	if (!file) {
		perror(argv[1]);
		return 1;
	}
	struct baseline *baseline = baseline_open(argv[2], "NORMAL");
	char *line = NULL;
	size_t capacity = 0;
	ssize_t len;
	for (uint64_t number = 1; (len = getline(&line, &capacity, file)) > 0; number++) {
		char key[32];
		snprintf(key, sizeof(key), "text:%llu", (unsigned long long)number);
		struct baseline_event event = {.tr_id = number, .doc_id = "text", .key = key, .payload = line, .payload_len = (size_t)len};
		baseline_begin(baseline);
		baseline_insert(baseline, &event);
		baseline_commit(baseline);
	}
	free(line);
	fclose(file);
	baseline_close(baseline);
	return 0;
}
