/* output.h - JSON lines to a file descriptor, gathered and written in large pieces.
 *
 *   mf_output_open(out); mf_output_text(out, "doc", id); mf_output_int(out, "lsn", lsn); mf_output_close(out);
 *
 * A failed write is remembered, and what comes after it is dropped: look at error at the end (EPIPE: the
 * reader has gone). Bytes that are not UTF-8 come out as U+FFFD. Thread: one. */
#pragma once

#include <stdbool.h>

#include <moduforge/doc.h>

#define MF_TIME_TEXT 80
#define MF_OUTPUT_SIZE ((size_t)64 * 1024)

struct mf_output {
	int fd;
	int error; /* errno of the first failed write; 0 */
	bool first; /* member of the object */
	bool veiled; /* JSON on a terminal: without the characters that visible.h is about */
	size_t len;
	char bytes[MF_OUTPUT_SIZE + 1]; /* and a NUL */
};

void mf_output_init(struct mf_output *out, int fd);
void mf_output_bytes(struct mf_output *out, const void *bytes, size_t len);
void mf_output_flush(struct mf_output *out);

void mf_output_open(struct mf_output *out);  /* { */
void mf_output_close(struct mf_output *out); /* } and a newline */
void mf_output_key(struct mf_output *out, const char *key); /* the value is to follow */
void mf_output_quoted(struct mf_output *out, const char *text); /* a JSON string; NULL is null */
void mf_output_text(struct mf_output *out, const char *key, const char *text);
void mf_output_int(struct mf_output *out, const char *key, int64_t value);
void mf_output_bool(struct mf_output *out, const char *key, bool value);
void mf_output_json(struct mf_output *out, const char *key, const char *json, size_t len);
MF_MUST_CHECK enum mf_status mf_output_value(struct mf_output *out, const char *key, const struct mf_value *value); /* MF_ERR_NO_MEMORY */
void mf_output_time(struct mf_output *out, const char *key, int64_t us); /* RFC 3339, UTC, microseconds */
enum mf_status mf_output_sink(void *out, const void *bytes, size_t len); /* a mf_sink */

void mf_time_format(int64_t us, char out[MF_TIME_TEXT]); /* the same, as text */
