/* json_write.h - canonical JSON, written through a buffer to a sink.
 *
 * Why a writer of our own: the bytes are what digests are made of. They depend on nothing but
 * the value: keys in order, no white space, numbers as in model/number.h.
 *
 * The form of a string
 * 1. Escaped is only what must be: \" \\ \b \f \n \r \t, other bytes below 0x20 as \u00xx in
 *    lower-case hex. All else is UTF-8 as it stands, also U+007F and '/'.
 *
 * Errors are remembered: after the sink has failed nothing more is given to it, and
 * mf_json_finish returns its status. So the calls in between need no checks.
 *
 * Thread: a writer belongs to one. */
#pragma once

#include <moduforge/doc.h>

#define MF_JSON_BUFFER 8192

struct mf_json_writer {
	mf_sink *sink;
	void *user;
	enum mf_status status;
	size_t used;
	char buffer[MF_JSON_BUFFER];
};

void mf_json_begin(struct mf_json_writer *writer, mf_sink *sink, void *user);
enum mf_status mf_json_finish(struct mf_json_writer *writer); /* hands over what is left */

void mf_json_raw(struct mf_json_writer *writer, const char *bytes, size_t len);
#define mf_json_literal(writer, text) mf_json_raw(writer, "" text, sizeof(text) - 1)
void mf_json_string(struct mf_json_writer *writer, const char *bytes, size_t len);
void mf_json_value(struct mf_json_writer *writer, const struct mf_value *value);

/* Bytes up to the first that cannot stand for itself between quotes: '"', '\\' or below 0x20; len if none does. */
size_t mf_json_plain_len(const char *bytes, size_t len);
