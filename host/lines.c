#include "host/lines.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#define CHUNK ((size_t)256 * 1024)

void mf_lines_init(struct mf_lines *lines, int fd, int stop_fd)
{
	*lines = (struct mf_lines){.fd = fd, .stop_fd = stop_fd};
}

void mf_lines_deinit(struct mf_lines *lines)
{
	mf_buffer_deinit(&lines->buffer);
}

/* Drops what was given out, so that the buffer holds one line and what was read after it. */
static void drop_before(struct mf_lines *lines)
{
	size_t left = lines->buffer.len - lines->start;
	if (lines->start == 0)
		return;
	if (left > 0)
		memmove(lines->buffer.bytes, lines->buffer.bytes + lines->start, left);
	lines->buffer.len = left;
	lines->start = 0;
}

/* LINE: some bytes came, or the end. */
static enum mf_lines_result read_more(struct mf_lines *lines)
{
	static char chunk[CHUNK];
	struct pollfd wait[2] = {{.fd = lines->fd, .events = POLLIN}, {.fd = lines->stop_fd, .events = POLLIN}};
	ssize_t got = -1;
	do {
		if (poll(wait, 2, -1) < 0)
			continue;
		if (wait[1].revents)
			return MF_LINES_STOPPED;
		got = read(lines->fd, chunk, sizeof(chunk));
	} while (got < 0 && (errno == EINTR || errno == EAGAIN));
	if (got < 0)
		return MF_LINES_IO;
	drop_before(lines);
	lines->ended = got == 0;
	return mf_buffer_append(&lines->buffer, chunk, (size_t)got) == MF_OK ? MF_LINES_LINE : MF_LINES_NO_MEMORY;
}

/* The newline that ends the line at work, or NULL. */
static const char *find_end(struct mf_lines *lines)
{
	const char *from = (const char *)lines->buffer.bytes + lines->start + lines->scanned;
	size_t len = lines->buffer.len - lines->start - lines->scanned;
	const char *end = len > 0 ? memchr(from, '\n', len) : NULL;
	if (!end)
		lines->scanned += len;
	return end;
}

/* The line at work has len bytes; with its newline it is behind us. */
static void take(struct mf_lines *lines, size_t len, const char **out_line, size_t *out_len)
{
	*out_line = (const char *)lines->buffer.bytes + lines->start;
	*out_len = len;
	lines->start += len;
	if (lines->start < lines->buffer.len)
		lines->start++;
	lines->scanned = 0;
}

/* No newline is in the buffer: all of it belongs to a line that is too long. */
static void drop_all(struct mf_lines *lines)
{
	lines->buffer.len = lines->start = lines->scanned = 0;
	lines->skipping = true;
}

enum mf_lines_result mf_lines_next(struct mf_lines *lines, const char **out_line, size_t *out_len)
{
	for (;;) {
		const char *end = find_end(lines);
		size_t len = end ? (size_t)(end - (const char *)lines->buffer.bytes) - lines->start : lines->scanned;
		bool told = lines->skipping; /* of this line */
		if (end || (lines->ended && len > 0)) {
			lines->skipping = false;
			take(lines, len, out_line, out_len);
			lines->number += !told;
			if (!told)
				return len > MF_LINE_MAX ? MF_LINES_TOO_LONG : MF_LINES_LINE;
			continue;
		}
		if (lines->ended)
			return MF_LINES_END;
		if (told || len > MF_LINE_MAX) {
			drop_all(lines);
			lines->number += !told;
			if (!told)
				return MF_LINES_TOO_LONG;
		}
		enum mf_lines_result result = read_more(lines);
		if (result != MF_LINES_LINE)
			return result;
	}
}
