/* pack_fields.c - the fields of a state in the compact form: a section behind the packed state, whole and half of a
 * chain alike, absent when there are none.
 *
 *   array of 2
 *     1  uint    format, 1
 *     2  array   the fields, by key: [str key, uint version, bin digest, bin encoded value]
 *
 * The digest is XXH3-128 of the encoded value.
 *
 * Invariants, which the reader checks
 * 1. Keys rise, so none comes twice.
 * 2. Each value has its digest, and a value of today's version is encoded to the same bytes again. */
#include "model/pack.h"

#include <string.h>

#include "model/mem.h"
#include "model/node.h"
#include "model/pack_read.h"
#include "model/state.h"
#include "model/step.h"

#define FORMAT 1

/* ---- writing ---- */
static enum mf_status write_field(struct mf_buffer *out, const struct mf_state_field *field, const struct mf_buffer *value)
{
	struct mf_digest digest;
	mf_digest_of_bytes(value->bytes, value->len, &digest);
	enum mf_status status = mf_pack_array(out, 4);
	if (status == MF_OK)
		status = mf_pack_str(out, field->key, strlen(field->key));
	if (status == MF_OK)
		status = mf_pack_uint(out, field->version);
	if (status == MF_OK)
		status = mf_pack_bin(out, digest.bytes, sizeof(digest.bytes));
	if (status == MF_OK)
		status = mf_pack_bin(out, value->bytes, value->len);
	return status;
}

enum mf_status mf_pack_fields(struct mf_buffer *out, const struct mf_state *state, struct mf_error *error)
{
	const struct mf_fields *fields = state->fields;
	struct mf_buffer value = {0};
	if (!fields)
		return MF_OK;
	enum mf_status status = mf_pack_array(out, 2);
	if (status == MF_OK)
		status = mf_pack_uint(out, FORMAT);
	if (status == MF_OK)
		status = mf_pack_array(out, (uint32_t)fields->count);
	for (size_t i = 0; status == MF_OK && i < fields->count; i++) {
		value.len = 0;
		status = mf_field_encode(fields->slots[i].field, fields->slots[i].value, &value, error);
		if (status == MF_OK)
			status = write_field(out, fields->slots[i].field, &value);
	}
	mf_buffer_deinit(&value);
	return status;
}

/* ---- reading ---- */
struct stored {
	const char *key;
	size_t key_len;
	uint64_t version;
	const void *digest, *bytes;
	size_t digest_len, len;
};

struct reader {
	struct mf_unpack *in;
	const struct mf_step_registry *registry; /* NULL: all are passed over */
	enum mf_fields_policy policy;
	struct mf_fields *fields; /* to be filled in; NULL: there are none */
	struct mf_fields_note note;
	struct mf_error *error;
};

static enum mf_status read_stored(struct mf_unpack *in, struct stored *out)
{
	uint32_t items;
	enum mf_status status = mf_unpack_array(in, &items);
	if (status == MF_OK)
		status = items == 4 ? mf_unpack_str(in, &out->key, &out->key_len) : MF_ERR_CORRUPTED;
	if (status == MF_OK)
		status = mf_unpack_uint(in, &out->version);
	if (status == MF_OK)
		status = mf_unpack_bin(in, &out->digest, &out->digest_len);
	if (status == MF_OK)
		status = mf_unpack_bin(in, &out->bytes, &out->len);
	return status == MF_OK && out->digest_len != MF_DIGEST_BYTES ? MF_ERR_CORRUPTED : status;
}

static bool rises(const struct stored *before, const struct stored *next)
{
	size_t common = before->key_len < next->key_len ? before->key_len : next->key_len;
	int order = memcmp(before->key, next->key, common);
	return order < 0 || (order == 0 && before->key_len < next->key_len);
}

/* The digest fits, so the bytes are what was written: the field does not read what it wrote, as if it were another version. */
static enum mf_status unreadable(enum mf_status status)
{
	return status == MF_ERR_NO_MEMORY ? status : MF_ERR_UNKNOWN_STEP;
}

/* An older version need not be encoded to the same bytes: today's encode writes today's. */
static enum mf_status check_round_trip(const struct mf_state_field *field, const struct stored *stored, const struct mf_field_value *value, struct mf_error *error)
{
	struct mf_buffer again = {0};
	if (stored->version != field->version)
		return MF_OK;
	enum mf_status status = mf_field_encode(field, value, &again, NULL);
	if (status != MF_OK)
		status = unreadable(status);
	if (status == MF_ERR_UNKNOWN_STEP || (status == MF_OK && (again.len != stored->len || (again.len > 0 && memcmp(again.bytes, stored->bytes, again.len) != 0))))
		status = mf_error_set(error, MF_ERR_UNKNOWN_STEP, "state field '%s': its stored value is not encoded to the same bytes again", field->key);
	mf_buffer_deinit(&again);
	return status;
}

static enum mf_status decode(const struct mf_state_field *field, const struct stored *stored, struct mf_field_value **out, struct mf_error *error)
{
	struct mf_error reason;
	mf_error_clear(&reason);
	void *value = NULL;
	enum mf_status status = field->decode(field, (uint32_t)stored->version, stored->bytes, stored->len, &value, &reason);
	if (status != MF_OK)
		return mf_error_set(error, unreadable(status), "state field '%s': its stored value cannot be read: %.300s", field->key,
				    reason.message[0] ? reason.message : mf_status_name(status));
	if (!value)
		return mf_error_set(error, MF_ERR_UNKNOWN_STEP, "state field '%s': its decode gave no value", field->key);
	struct mf_field_value *box;
	status = mf_field_value_new_take(field, value, &box);
	if (status != MF_OK)
		return status;
	status = check_round_trip(field, stored, box, error);
	if (status == MF_OK)
		*out = box;
	else
		mf_field_value_unref(box);
	return status;
}

/* The value that a stored one is; *out NULL: it has to begin anew. */
static enum mf_status read_value(struct reader *reader, const struct mf_state_field *field, const struct stored *stored, struct mf_field_value **out)
{
	bool anew = reader->policy == MF_FIELDS_ANEW;
	if (stored->version > field->version || stored->version < field->oldest_version) {
		if (anew)
			return MF_OK;
		return mf_error_set(reader->error, MF_ERR_UNKNOWN_STEP, "state field '%s' is stored in version %llu, but the plugin here reads versions %lu to %lu", field->key,
				    (unsigned long long)stored->version, (unsigned long)field->oldest_version, (unsigned long)field->version);
	}
	enum mf_status status = decode(field, stored, out, reader->error);
	return status == MF_ERR_NO_MEMORY || !anew ? status : MF_OK;
}

static enum mf_status place(struct reader *reader, const struct stored *stored)
{
	struct mf_digest digest;
	mf_digest_of_bytes(stored->bytes, stored->len, &digest);
	if (memcmp(digest.bytes, stored->digest, sizeof(digest.bytes)) != 0)
		return mf_error_set(reader->error, MF_ERR_CORRUPTED, "state field '%.*s': its stored value has another digest than it says", MF_SHOW(stored->key, stored->key_len));
	const struct mf_state_field *field = reader->registry ? mf_step_registry_find_field(reader->registry, stored->key, stored->key_len) : NULL;
	if (!field) {
		reader->note.dropped++;
		return MF_OK;
	}
	size_t at = 0;
	while (reader->fields->slots[at].field != field)
		at++;
	return read_value(reader, field, stored, &reader->fields->slots[at].value);
}

static enum mf_status read_section(struct reader *reader)
{
	uint32_t items, count;
	uint64_t format;
	enum mf_status status = mf_unpack_array(reader->in, &items);
	if (status == MF_OK)
		status = mf_unpack_uint(reader->in, &format);
	if (status == MF_OK && format != FORMAT)
		return mf_error_set(reader->error, MF_ERR_CORRUPTED, "its state fields have format %llu, this library reads format %d", (unsigned long long)format, FORMAT);
	if (status == MF_OK)
		status = items == 2 ? mf_unpack_array(reader->in, &count) : MF_ERR_CORRUPTED;
	struct stored before = {.key = ""}, stored = before;
	for (uint32_t i = 0; status == MF_OK && i < count; i++, before = stored) {
		status = read_stored(reader->in, &stored);
		if (status == MF_OK)
			status = rises(&before, &stored) ? place(reader, &stored) : MF_ERR_CORRUPTED;
	}
	return status == MF_OK && reader->in->at != reader->in->end ? MF_ERR_CORRUPTED : status;
}

/* What was not stored. */
static enum mf_status complete(struct reader *reader, const struct mf_doc *doc)
{
	for (size_t i = 0; reader->fields && i < reader->fields->count; i++) {
		if (reader->fields->slots[i].value)
			continue;
		if (reader->policy == MF_FIELDS_COMPLETE)
			return mf_error_set(reader->error, MF_ERR_UNKNOWN_STEP, "it has no value of state field '%s', which a plugin here brings", reader->fields->slots[i].field->key);
		reader->note.begun_anew++;
	}
	return reader->fields ? mf_fields_fill(reader->fields, doc, reader->error) : MF_OK;
}

enum mf_status mf_unpack_fields(struct mf_unpack *in, const struct mf_step_registry *registry, enum mf_fields_policy policy, struct mf_state *state,
				struct mf_error *error)
{
	struct mf_error reason;
	mf_error_clear(&reason);
	struct reader reader = {.in = in, .registry = registry, .policy = policy, .error = &reason};
	enum mf_status status = registry ? mf_fields_new(registry, &reader.fields) : MF_OK;
	if (status == MF_OK && in->at != in->end)
		status = read_section(&reader);
	if (status == MF_OK)
		status = complete(&reader, state->doc);
	if (status == MF_OK) {
		state->fields = reader.fields;
		state->fields_note = reader.note;
		return MF_OK;
	}
	mf_fields_unref(reader.fields);
	if (reason.status == status)
		return mf_error_set(error, status, "%s", reason.message);
	return mf_error_set(error, status, status == MF_ERR_NO_MEMORY ? "out of memory while reading state fields" : "its state fields are damaged");
}
