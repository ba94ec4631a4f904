/* lines.h - lines from a file descriptor, with a bound on their length and on memory.
 *
 * A line that is too long is reported once, without its bytes; the rest of it is skipped as it is read.
 * Waiting for input can be ended from another thread (stop_fd becomes readable). Thread: one. */
#pragma once

#include <stdbool.h>

#include <moduforge/step.h>

#define MF_LINE_MAX ((size_t)64 * 1024 * 1024)

struct mf_lines {
	int fd, stop_fd;
	struct mf_buffer buffer;
	size_t start;   /* of the line at work */
	size_t scanned; /* bytes after start that hold no newline */
	bool skipping, ended;
	int64_t number; /* of the line last given; 1 is the first */
};

enum mf_lines_result {
	MF_LINES_LINE,
	MF_LINES_TOO_LONG,
	MF_LINES_END,
	MF_LINES_STOPPED,
	MF_LINES_IO,        /* errno says why */
	MF_LINES_NO_MEMORY,
};

void mf_lines_init(struct mf_lines *lines, int fd, int stop_fd);
void mf_lines_deinit(struct mf_lines *lines);
/* The line without its newline; borrowed until the next call. */
enum mf_lines_result mf_lines_next(struct mf_lines *lines, const char **out_line, size_t *out_len);
