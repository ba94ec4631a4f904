#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "model/mem.h"
#include "small_fields.h"
#include "small_steps.h"

struct number {
	int64_t n;
};

static atomic_int alive;

int small_fields_alive(void)
{
	return atomic_load(&alive);
}

static enum mf_status make(int64_t n, void **out)
{
	struct number *number = mf_malloc(sizeof(*number));
	if (!number)
		return MF_ERR_NO_MEMORY;
	number->n = n;
	*out = number;
	atomic_fetch_add(&alive, 1);
	return MF_OK;
}

static int64_t n_of(const void *value)
{
	return ((const struct number *)value)->n;
}

/* ---- what all of them do ---- */
static enum mf_status encode(const struct mf_state_field *field, const void *value, struct mf_buffer *out)
{
	(void)field;
	int64_t n = n_of(value);
	return mf_buffer_append(out, &n, sizeof(n));
}

static enum mf_status decode(const struct mf_state_field *field, uint32_t version, const void *bytes, size_t len, void **out_value, struct mf_error *error)
{
	int64_t n;
	assert_in_range(version, field->oldest_version, field->version);
	if (len != sizeof(n))
		return mf_error_set(error, MF_ERR_CORRUPTED, "a number of %zu bytes", len);
	memcpy(&n, bytes, sizeof(n));
	return make(n, out_value);
}

static void free_value(const struct mf_state_field *field, void *value)
{
	(void)field;
	atomic_fetch_sub(&alive, 1);
	mf_free(value);
}

/* ---- test_nodes ---- */
static enum mf_status nodes_init(const struct mf_state_field *field, const struct mf_doc *doc, void **out_value, struct mf_error *error)
{
	(void)field, (void)error;
	return make((int64_t)mf_doc_node_count(doc), out_value);
}

static enum mf_status nodes_apply(const struct mf_state_field *field, const struct mf_field_change *change, const void *old_value, void **out_value, struct mf_error *error)
{
	(void)field, (void)error;
	int64_t more = (int64_t)mf_doc_node_count(change->new_doc) - (int64_t)mf_doc_node_count(change->old_doc);
	if (more != 0)
		return make(n_of(old_value) + more, out_value);
	*out_value = (void *)old_value;
	return MF_OK;
}

const struct mf_state_field small_nodes_field = {
	.size = sizeof(struct mf_state_field),
	.key = "test_nodes",
	.version = 1,
	.oldest_version = 1,
	.init = nodes_init,
	.apply = nodes_apply,
	.encode = encode,
	.decode = decode,
	.free = free_value,
};

/* ---- test_trail ---- */
static int64_t mix(int64_t hash, const void *bytes, size_t len)
{
	uint64_t h = (uint64_t)hash ^ 0xcbf29ce484222325u;
	for (size_t i = 0; i < len; i++)
		h = (h ^ ((const unsigned char *)bytes)[i]) * 0x100000001b3u;
	return (int64_t)h;
}

static int64_t mix_text(int64_t hash, const char *text)
{
	return text ? mix(hash, text, strlen(text)) : mix(hash, "\1", 1);
}

static enum mf_status mix_steps(int64_t *hash, const struct mf_transaction *transaction)
{
	enum mf_status status = MF_OK;
	for (size_t i = 0; status == MF_OK && i < mf_transaction_step_count(transaction); i++) {
		const struct mf_step *step = mf_transaction_step(transaction, i);
		struct mf_buffer bytes = {0};
		status = step->type->encode(step, &bytes);
		*hash = mix(mix_text(*hash, step->type->type_id), bytes.bytes, bytes.len);
		mf_buffer_deinit(&bytes);
	}
	return status;
}

static enum mf_status trail_init(const struct mf_state_field *field, const struct mf_doc *doc, void **out_value, struct mf_error *error)
{
	(void)field, (void)doc, (void)error;
	return make(1, out_value);
}

static enum mf_status trail_apply(const struct mf_state_field *field, const struct mf_field_change *change, const void *old_value, void **out_value, struct mf_error *error)
{
	(void)field, (void)error;
	const struct mf_transaction *transaction = change->transaction;
	const int64_t numbers[] = {mf_transaction_action(transaction), mf_transaction_source_lsn(transaction), (int64_t)mf_transaction_id(transaction),
				   (int64_t)mf_doc_node_count(change->old_doc), (int64_t)mf_doc_node_count(change->new_doc), mf_value_kind(mf_transaction_meta(transaction)),
				   (int64_t)mf_value_count(mf_transaction_meta(transaction))};
	int64_t hash = mix(n_of(old_value), numbers, sizeof(numbers));
	hash = mix_text(mix_text(hash, mf_transaction_actor(transaction)), mf_transaction_key(transaction));
	enum mf_status status = mix_steps(&hash, transaction);
	return status == MF_OK ? make(hash, out_value) : status;
}

const struct mf_state_field small_trail_field = {
	.size = sizeof(struct mf_state_field),
	.key = "test_trail",
	.version = 1,
	.oldest_version = 1,
	.init = trail_init,
	.apply = trail_apply,
	.encode = encode,
	.decode = decode,
	.free = free_value,
};

/* ---- test_moody ---- */
struct small_moods small_moods;

/* Whether to end now; *out_status is with what. */
static bool sulks(int mood, enum mf_status *out_status, struct mf_error *error)
{
	*out_status = (enum mf_status)mood;
	if (mood != MF_OK && small_moods.message)
		mf_error_set(error, *out_status, "%s", small_moods.message);
	return mood != MF_OK || small_moods.no_value;
}

static enum mf_status moody_init(const struct mf_state_field *field, const struct mf_doc *doc, void **out_value, struct mf_error *error)
{
	enum mf_status status;
	(void)field, (void)doc;
	return sulks(small_moods.init, &status, error) ? status : make(0, out_value);
}

static enum mf_status moody_apply(const struct mf_state_field *field, const struct mf_field_change *change, const void *old_value, void **out_value, struct mf_error *error)
{
	enum mf_status status;
	(void)field, (void)change;
	if (sulks(small_moods.apply, &status, error))
		return status;
	if (small_moods.refuse_from > 0 && n_of(old_value) + 1 >= small_moods.refuse_from)
		return mf_error_set(error, MF_ERR_INVALID, "no more than %lld events", (long long)n_of(old_value));
	return make(n_of(old_value) + 1 - small_moods.forgets, out_value);
}

static enum mf_status moody_encode(const struct mf_state_field *field, const void *value, struct mf_buffer *out)
{
	static int64_t times;
	if (small_moods.encode && small_moods.encodes_left-- <= 0)
		return (enum mf_status)small_moods.encode;
	if (!small_moods.other_bytes)
		return encode(field, value, out);
	times++;
	return mf_buffer_append(out, &times, sizeof(times));
}

static enum mf_status moody_decode(const struct mf_state_field *field, uint32_t version, const void *bytes, size_t len, void **out_value, struct mf_error *error)
{
	enum mf_status status;
	return sulks(small_moods.decode, &status, error) ? status : decode(field, version, bytes, len, out_value, error);
}

struct mf_state_field small_moody_field = {
	.size = sizeof(struct mf_state_field),
	.key = "test_moody",
	.version = 1,
	.oldest_version = 1,
	.init = moody_init,
	.apply = moody_apply,
	.encode = moody_encode,
	.decode = moody_decode,
	.free = free_value,
};

/* ---- registries and states ---- */
const struct mf_state_field *const small_honest_fields[] = {&small_trail_field, &small_nodes_field, NULL};
const struct mf_state_field *const small_all_fields[] = {&small_trail_field, &small_moody_field, &small_nodes_field, NULL};

struct mf_step_registry *small_fields_registry(const struct mf_state_field *const *fields)
{
	struct mf_step_registry *registry, *steps = small_steps_registry();
	assert_int_equal(mf_step_registry_new(&registry), MF_OK);
	for (size_t i = 0; i < mf_step_registry_count(steps); i++)
		assert_int_equal(mf_step_registry_add(registry, mf_step_registry_item(steps, i), NULL), MF_OK);
	for (; *fields; fields++)
		assert_int_equal(mf_step_registry_add_field(registry, *fields, NULL), MF_OK);
	mf_step_registry_free(steps);
	mf_step_registry_freeze(registry);
	return registry;
}

int64_t small_field_number(const struct mf_state *state, const char *key)
{
	const struct number *value = mf_state_field_value(state, key);
	assert_non_null(value);
	return value->n;
}

void small_assert_same_fields(const struct mf_state *a, const struct mf_state *b, const struct mf_state_field *const *fields)
{
	for (; *fields; fields++) {
		struct mf_digest one, other;
		assert_int_equal(mf_state_field_digest(a, (*fields)->key, &one, NULL), MF_OK);
		assert_int_equal(mf_state_field_digest(b, (*fields)->key, &other, NULL), MF_OK);
		assert_memory_equal(&one, &other, sizeof(one));
	}
}
