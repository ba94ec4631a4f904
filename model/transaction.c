#include "model/transaction.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>

#include "model/json_format.h"
#include "model/mem.h"
#include "model/utf8.h"

/* Sealed when it is handed to the commit path: from then on other threads read it. */
struct mf_transaction {
	atomic_uint ref;
	bool sealed;
	enum mf_action action;
	uint64_t id;
	int64_t source_lsn, expect;
	char *actor, *key;
	struct mf_value *no_meta; /* {}, made at birth because mf_transaction_set_meta cannot fail */
	struct mf_value *meta;
	struct mf_step **steps;
	size_t count, capacity;
};

/* ---- life cycle ---- */
enum mf_status mf_transaction_new(struct mf_transaction **out)
{
	struct mf_transaction *transaction = mf_calloc(1, sizeof(*transaction));
	if (!transaction)
		return MF_ERR_NO_MEMORY;
	enum mf_status status = mf_value_new_object_take(NULL, 0, &transaction->no_meta, NULL);
	if (status != MF_OK) {
		mf_free(transaction);
		return status;
	}
	atomic_init(&transaction->ref, 1);
	transaction->expect = MF_EXPECT_ANY;
	transaction->meta = mf_value_ref(transaction->no_meta);
	*out = transaction;
	return MF_OK;
}

struct mf_transaction *mf_transaction_ref(struct mf_transaction *transaction)
{
	atomic_fetch_add_explicit(&transaction->ref, 1, memory_order_relaxed);
	return transaction;
}

void mf_transaction_free(struct mf_transaction *transaction)
{
	if (!transaction || atomic_fetch_sub_explicit(&transaction->ref, 1, memory_order_acq_rel) != 1)
		return;
	for (size_t i = 0; i < transaction->count; i++)
		mf_step_unref(transaction->steps[i]);
	mf_free(transaction->steps);
	mf_value_unref(transaction->meta);
	mf_value_unref(transaction->no_meta);
	mf_free(transaction->actor);
	mf_free(transaction->key);
	mf_free(transaction);
}

void mf_transaction_seal(struct mf_transaction *transaction)
{
	if (!transaction->sealed)
		transaction->sealed = true;
}

/* ---- setters ---- */
static enum mf_status sealed_error(struct mf_error *error)
{
	return mf_error_set(error, MF_ERR_STATE, "the transaction was submitted already and can no longer change; make a new one");
}

/* Replaces *field by a copy of text; NULL clears it. */
static enum mf_status set_text(char **field, const char *text)
{
	char *copy = mf_strdup(text);
	if (text && !copy)
		return MF_ERR_NO_MEMORY;
	mf_free(*field);
	*field = copy;
	return MF_OK;
}

static enum mf_status set_name(char **field, const char *what, const char *text, struct mf_error *error)
{
	size_t len = text ? strlen(text) : 1;
	if (len == 0 || len > MF_ID_MAX)
		return mf_error_set(error, MF_ERR_INVALID, "%s is %zu bytes long, it must be 1 to %d", what, len, MF_ID_MAX);
	if (text && !mf_utf8_valid(text, len))
		return mf_error_set(error, MF_ERR_INVALID, "%s is not valid UTF-8", what);
	if (set_text(field, text) != MF_OK)
		return mf_error_set(error, MF_ERR_NO_MEMORY, "%s: out of memory", what);
	return MF_OK;
}

enum mf_status mf_transaction_set_actor(struct mf_transaction *transaction, const char *actor, struct mf_error *error)
{
	return transaction->sealed ? sealed_error(error) : set_name(&transaction->actor, "the actor", actor, error);
}

enum mf_status mf_transaction_set_key(struct mf_transaction *transaction, const char *key, struct mf_error *error)
{
	return transaction->sealed ? sealed_error(error) : set_name(&transaction->key, "the idempotency key", key, error);
}

enum mf_status mf_transaction_assign_key(struct mf_transaction *transaction, const char *key)
{
	return set_text(&transaction->key, key);
}

void mf_transaction_set_meta(struct mf_transaction *transaction, const struct mf_value *meta)
{
	if (transaction->sealed)
		return;
	struct mf_value *old = transaction->meta;
	transaction->meta = mf_value_ref(meta ? meta : transaction->no_meta);
	mf_value_unref(old);
}

void mf_transaction_set_expect(struct mf_transaction *transaction, int64_t version)
{
	if (!transaction->sealed)
		transaction->expect = version;
}

void mf_transaction_set_id(struct mf_transaction *transaction, uint64_t id)
{
	transaction->id = id;
}

void mf_transaction_set_action(struct mf_transaction *transaction, enum mf_action action, int64_t source_lsn)
{
	transaction->action = action;
	transaction->source_lsn = source_lsn;
}

/* ---- steps ---- */
static enum mf_status make_room(struct mf_transaction *transaction)
{
	if (transaction->count < transaction->capacity)
		return MF_OK;
	size_t capacity = transaction->capacity ? transaction->capacity * 2 : 4;
	struct mf_step **steps = mf_realloc(transaction->steps, capacity * sizeof(*steps));
	if (!steps)
		return MF_ERR_NO_MEMORY;
	transaction->steps = steps;
	transaction->capacity = capacity;
	return MF_OK;
}

enum mf_status mf_transaction_add(struct mf_transaction *transaction, const struct mf_step *step)
{
	if (transaction->sealed)
		return MF_ERR_STATE;
	enum mf_status status = make_room(transaction);
	if (status != MF_OK)
		return status;
	transaction->steps[transaction->count++] = mf_step_ref(step);
	return MF_OK;
}

enum mf_status mf_transaction_add_json(struct mf_transaction *transaction, const struct mf_step_registry *registry,
				       const char *type_id, const char *json, struct mf_error *error)
{
	if (transaction->sealed)
		return sealed_error(error);
	struct mf_value *data = NULL;
	enum mf_status status = mf_value_parse_json(json, strlen(json), &data, error);
	if (status != MF_OK)
		return status;
	struct mf_step *step = NULL;
	status = mf_step_registry_create(registry, type_id, strlen(type_id), data, &step, error);
	mf_value_unref(data);
	if (status != MF_OK)
		return status;
	status = mf_transaction_add(transaction, step);
	mf_step_unref(step);
	return status == MF_OK ? MF_OK : mf_error_set(error, status, "step '%s': out of memory", type_id);
}

enum mf_status mf_transaction_add_format(struct mf_transaction *transaction, const struct mf_step_registry *registry,
					 const char *type_id, struct mf_error *error, const char *format, ...)
{
	struct mf_buffer json = {0};
	va_list arguments;
	va_start(arguments, format);
	enum mf_status status = mf_json_format(&json, error, format, arguments);
	va_end(arguments);
	if (status == MF_OK)
		status = mf_transaction_add_json(transaction, registry, type_id, (const char *)json.bytes, error);
	mf_buffer_deinit(&json);
	return status;
}

/* ---- queries ---- */
uint64_t mf_transaction_id(const struct mf_transaction *transaction)
{
	return transaction->id;
}

enum mf_action mf_transaction_action(const struct mf_transaction *transaction)
{
	return transaction->action;
}

int64_t mf_transaction_source_lsn(const struct mf_transaction *transaction)
{
	return transaction->source_lsn;
}

const char *mf_transaction_actor(const struct mf_transaction *transaction)
{
	return transaction->actor;
}

const char *mf_transaction_key(const struct mf_transaction *transaction)
{
	return transaction->key;
}

const struct mf_value *mf_transaction_meta(const struct mf_transaction *transaction)
{
	return transaction->meta;
}

int64_t mf_transaction_expect(const struct mf_transaction *transaction)
{
	return transaction->expect;
}

size_t mf_transaction_step_count(const struct mf_transaction *transaction)
{
	return transaction->count;
}

const struct mf_step *mf_transaction_step(const struct mf_transaction *transaction, size_t index)
{
	return index < transaction->count ? transaction->steps[index] : NULL;
}
