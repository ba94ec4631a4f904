/* event_codec.c - transactions to events and back: mf_event_encode, mf_event_decode.
 *
 * Encoding makes one block of memory: the payload first, then the texts, each with its NUL:
 *
 *   payload | doc_id 0 | actor 0 (if any) | key 0 | meta 0 */
#include <string.h>

#include "model/mem.h"
#include "model/transaction.h"
#include "model/utf8.h"
#include "persist/record.h"
#include <moduforge/field.h>

#define FIRST_CAPACITY 512 /* most events fit without growing */
#define NO_TEXT SIZE_MAX

/* ---- encoding ---- */

static enum mf_status append_text(struct mf_buffer *out, const char *text, size_t len, size_t *out_at)
{
	size_t at = out->len;
	enum mf_status status = mf_buffer_append(out, text, len);
	if (status == MF_OK)
		status = mf_buffer_append(out, "", 1);
	if (status == MF_OK)
		*out_at = at;
	return status;
}

static enum mf_status append_meta(struct mf_buffer *out, const struct mf_value *meta, size_t *out_at, size_t *out_len)
{
	*out_len = 2;
	if (mf_value_kind(meta) == MF_VALUE_OBJECT && mf_value_count(meta) == 0)
		return append_text(out, "{}", 2, out_at);
	char *text;
	enum mf_status status = mf_value_to_json(meta, &text, out_len);
	if (status != MF_OK)
		return status;
	status = append_text(out, text, *out_len, out_at);
	mf_free(text);
	return status;
}

static enum mf_status check_names(const char *doc_id, const struct mf_transaction *transaction, struct mf_error *error)
{
	size_t len = strlen(doc_id);
	if (len == 0 || len > MF_ID_MAX)
		return mf_error_set(error, MF_ERR_INVALID, "the document id is %zu bytes long, it must be 1 to %d", len, MF_ID_MAX);
	if (!mf_utf8_valid(doc_id, len))
		return mf_error_set(error, MF_ERR_INVALID, "the document id is not valid UTF-8");
	if (!mf_transaction_key(transaction))
		return mf_error_set(error, MF_ERR_INVALID, "a transaction without idempotency key cannot be stored; set one, or commit it through the subscriber, which makes one");
	return MF_OK;
}

/* Where the texts are, while the buffer may still move. */
struct places {
	size_t payload_len, doc_id, actor, key, meta, meta_len;
};

static enum mf_status append_texts(struct mf_buffer *out, const char *doc_id, const struct mf_transaction *transaction, struct places *places)
{
	const char *actor = mf_transaction_actor(transaction), *key = mf_transaction_key(transaction);
	places->actor = NO_TEXT;
	enum mf_status status = append_text(out, doc_id, strlen(doc_id), &places->doc_id);
	if (status == MF_OK && actor)
		status = append_text(out, actor, strlen(actor), &places->actor);
	if (status == MF_OK)
		status = append_text(out, key, strlen(key), &places->key);
	if (status == MF_OK)
		status = append_meta(out, mf_transaction_meta(transaction), &places->meta, &places->meta_len);
	return status;
}

static void point(struct mf_event *event, const unsigned char *bytes, const struct places *places)
{
	const char *text = (const char *)bytes;
	event->doc_id = text + places->doc_id;
	event->actor = places->actor == NO_TEXT ? NULL : text + places->actor;
	event->idempotency_key = text + places->key;
	event->meta = text + places->meta;
	event->meta_len = places->meta_len;
	event->payload = bytes;
	event->payload_len = places->payload_len;
}

enum mf_status mf_event_encode(const char *doc_id, const struct mf_transaction *transaction, const struct mf_persist_options *options,
			       struct mf_event *out, void **out_memory, struct mf_error *error)
{
	struct mf_persist_options defaults;
	mf_persist_options_init(&defaults);
	enum mf_status status = check_names(doc_id, transaction, error);
	if (status != MF_OK)
		return status;
	const size_t capacity = mf_mem_is_tight() ? 1 : FIRST_CAPACITY;
	struct mf_buffer buffer = {.bytes = mf_malloc(capacity), .capacity = capacity};
	if (!buffer.bytes)
		return mf_error_set(error, MF_ERR_NO_MEMORY, "no memory to encode a transaction");
	status = mf_record_write(&buffer, doc_id, transaction, options ? options : &defaults, error);
	if (status != MF_OK)
		goto out;
	struct places places = {.payload_len = buffer.len};
	status = append_texts(&buffer, doc_id, transaction, &places);
	if (status != MF_OK) {
		mf_error_set(error, status, "no memory to encode a transaction");
		goto out;
	}
	*out = (struct mf_event){
		.tr_id = mf_transaction_id(transaction),
		.action = mf_transaction_action(transaction),
		.source_lsn = mf_transaction_source_lsn(transaction),
	};
	point(out, buffer.bytes, &places);
	*out_memory = buffer.bytes;
	return MF_OK;
out:
	mf_buffer_deinit(&buffer);
	return status;
}

/* ---- decoding ---- */

static enum mf_status decode_step(const struct mf_step_registry *registry, const struct mf_frame *frame, struct mf_transaction *transaction, struct mf_error *error)
{
	const struct mf_step_type *type = mf_step_registry_find(registry, frame->type_id, frame->type_id_len);
	if (!type)
		return mf_error_set(error, MF_ERR_UNKNOWN_STEP, "no step factory for type '%.*s'; load the plugin that brings it", (int)frame->type_id_len, frame->type_id);
	struct mf_step *step = NULL;
	struct mf_error reason;
	mf_error_clear(&reason);
	enum mf_status status = type->decode(type, frame->data, frame->data_len, &step, &reason);
	if (status == MF_ERR_NO_MEMORY)
		return mf_error_set(error, status, "no memory to decode a step");
	if (status == MF_OK && !step)
		return mf_error_set(error, MF_ERR_PLUGIN, "the step factory of type '%s' says that it decoded a step, and gives none", type->type_id);
	if (status != MF_OK)
		return mf_error_set(error, MF_ERR_CORRUPTED, "a step of type '%s' cannot be decoded: %.250s", type->type_id, reason.status ? reason.message : mf_status_name(status));
	status = mf_transaction_add(transaction, step);
	mf_step_unref(step);
	return status == MF_OK ? MF_OK : mf_error_set(error, status, "no memory to decode a step");
}

static enum mf_status decode_steps(const struct mf_event *event, const struct mf_step_registry *registry, struct mf_transaction *transaction, struct mf_error *error)
{
	struct mf_record record;
	enum mf_status status = mf_record_open(&record, event->payload, event->payload_len, error);
	if (status != MF_OK)
		return status;
	while (status == MF_OK && record.left > 0) {
		struct mf_frame frame;
		status = mf_record_next(&record, &frame, error);
		if (status == MF_OK)
			status = decode_step(registry, &frame, transaction, error);
	}
	mf_record_close(&record);
	return status;
}

static enum mf_status decode_meta(const struct mf_event *event, struct mf_transaction *transaction, struct mf_error *error)
{
	if (event->meta_len == 2 && memcmp(event->meta, "{}", 2) == 0)
		return MF_OK;
	struct mf_value *meta;
	enum mf_status status = mf_value_parse_json(event->meta, event->meta_len, &meta, error);
	if (status != MF_OK)
		return status;
	mf_transaction_set_meta(transaction, meta);
	mf_value_unref(meta);
	return MF_OK;
}

/* What leads from state to state. */
static enum mf_status decode_fields(const struct mf_event *event, struct mf_transaction *transaction, struct mf_error *error)
{
	if ((unsigned)event->action > MF_ACTION_REDO)
		return mf_error_set(error, MF_ERR_CORRUPTED, "action %d is none of apply, undo, redo", (int)event->action);
	if (!event->meta || !event->payload)
		return mf_error_set(error, MF_ERR_CORRUPTED, "meta or payload is missing");
	mf_transaction_set_id(transaction, event->tr_id);
	mf_transaction_set_action(transaction, event->action, event->source_lsn);
	return MF_OK;
}

/* What only a reader wants to know. */
static enum mf_status decode_texts(const struct mf_event *event, struct mf_transaction *transaction, struct mf_error *error)
{
	enum mf_status status = mf_transaction_set_actor(transaction, event->actor, error);
	if (status == MF_OK)
		status = mf_transaction_set_key(transaction, event->idempotency_key, error);
	if (status == MF_OK)
		status = decode_meta(event, transaction, error);
	/* What is wrong in a stored event is damage, whatever it would be in an argument. */
	return status == MF_ERR_INVALID ? MF_ERR_CORRUPTED : status;
}

static enum mf_status decode(const struct mf_event *event, const struct mf_step_registry *registry, bool texts, struct mf_transaction **out, struct mf_error *error)
{
	struct mf_transaction *transaction = NULL;
	struct mf_error reason;
	mf_error_clear(&reason);
	enum mf_status status = mf_transaction_new(&transaction);
	if (status == MF_OK)
		status = decode_fields(event, transaction, &reason);
	if (status == MF_OK && texts)
		status = decode_texts(event, transaction, &reason);
	if (status == MF_OK)
		status = decode_steps(event, registry, transaction, &reason);
	if (status == MF_OK) {
		*out = transaction;
		return MF_OK;
	}
	mf_transaction_free(transaction);
	mf_error_set(error, status, "document '%.100s', LSN %lld: %.350s", event->doc_id ? event->doc_id : "", (long long)event->lsn,
		     reason.status ? reason.message : mf_status_name(status));
	if (error)
		error->lsn = event->lsn;
	return status;
}

enum mf_status mf_event_decode(const struct mf_event *event, const struct mf_step_registry *registry, struct mf_transaction **out, struct mf_error *error)
{
	return decode(event, registry, true, out, error);
}

enum mf_status mf_event_decode_for_replay(const struct mf_event *event, const struct mf_step_registry *registry, struct mf_transaction **out, struct mf_error *error)
{
	return decode(event, registry, mf_step_registry_field_count(registry) > 0, out, error); /* a field may read the texts */
}
