#include "small_steps.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <setjmp.h>
#include <cmocka.h>

#include <moduforge/pack.h>

#include "model/mem.h"
#include "model/transaction.h"

struct small_step {
	struct mf_step base;
	struct mf_value *data; /* the JSON form is all there is */
};

static enum mf_status new_take(const struct mf_step_type *type, struct mf_value *data, struct mf_step **out)
{
	struct small_step *step = mf_malloc(sizeof(*step));
	if (!step) {
		mf_value_unref(data);
		return MF_ERR_NO_MEMORY;
	}
	mf_step_init(&step->base, type);
	step->data = data;
	*out = &step->base;
	return MF_OK;
}

static const struct mf_value *data_of(const struct mf_step *step)
{
	return ((const struct small_step *)step)->data;
}

static enum mf_status from_value(const struct mf_step_type *type, const struct mf_value *data, struct mf_step **out, struct mf_error *error)
{
	if (mf_value_kind(data) != MF_VALUE_OBJECT)
		return mf_error_set(error, MF_ERR_INVALID, "data must be an object");
	return new_take(type, mf_value_ref(data), out);
}

static enum mf_status to_value(const struct mf_step *step, struct mf_value **out)
{
	*out = mf_value_ref(data_of(step));
	return MF_OK;
}

static enum mf_status encode(const struct mf_step *step, struct mf_buffer *out)
{
	return mf_pack_value(out, data_of(step));
}

static enum mf_status decode(const struct mf_step_type *type, const void *bytes, size_t len, struct mf_step **out, struct mf_error *error)
{
	struct mf_unpack in = {.at = bytes, .end = (const unsigned char *)bytes + len};
	struct mf_value *data;
	enum mf_status status = mf_unpack_value(&in, &data);
	if (status != MF_OK)
		return mf_error_set(error, status, "the step is damaged");
	if (in.at == in.end && mf_value_kind(data) == MF_VALUE_OBJECT)
		return new_take(type, data, out);
	mf_value_unref(data);
	return mf_error_set(error, MF_ERR_CORRUPTED, "the step is damaged");
}

static void free_step(struct mf_step *step)
{
	mf_value_unref(((struct small_step *)step)->data);
	mf_free(step);
}

/* A short string member, or "" when there is none: the edit then says that it is wrong. */
static const char *text(const struct mf_value *data, const char *key)
{
	const struct mf_value *member = mf_value_get(data, key);
	const char *flat = member && mf_value_kind(member) == MF_VALUE_STRING ? mf_value_string_flat(member) : NULL;
	return flat ? flat : "";
}

static const struct mf_step_type insert_type, remove_type, set_type;

static enum mf_status new_text(const char *bytes, struct mf_value **out)
{
	return mf_value_new_string(bytes, strlen(bytes), out, NULL);
}

/* {"id":id} and up to two more members, whose values are taken; NULL ones are left out. */
static enum mf_status new_data(const char *id_key, const char *id, struct mf_member *more, size_t count, struct mf_value **out)
{
	struct mf_member members[3] = {{.key = id_key, .key_len = strlen(id_key)}};
	enum mf_status status = new_text(id, &members[0].value);
	size_t used = 1;
	for (size_t i = 0; i < count; i++)
		if (more[i].value)
			members[used++] = more[i];
	if (status == MF_OK)
		return mf_value_new_object_take(members, used, out, NULL);
	for (size_t i = 1; i < used; i++)
		mf_value_unref(members[i].value);
	return status;
}

static enum mf_status insert_apply(const struct mf_step *step, struct mf_edit *edit, struct mf_step **out_inverse, struct mf_error *error)
{
	const struct mf_value *data = data_of(step), *index = mf_value_get(data, "index"), *node = mf_value_get(data, "node");
	struct mf_fragment *fragment;
	if (!node || (index && mf_value_kind(index) != MF_VALUE_INT))
		return mf_error_set(error, MF_ERR_INVALID, "test_insert wants a node and an index");
	enum mf_status status = mf_fragment_from_value(node, &fragment, error);
	if (status != MF_OK)
		return status;
	const char *parent = text(data, "parent");
	status = mf_edit_insert(edit, parent, strlen(parent), index ? (size_t)mf_value_as_int(index) : MF_APPEND, fragment, error);
	struct mf_value *inverse;
	if (status == MF_OK)
		status = new_data("id", mf_fragment_id(fragment, NULL), NULL, 0, &inverse);
	mf_fragment_unref(fragment);
	return status == MF_OK ? new_take(&remove_type, inverse, out_inverse) : status;
}

static enum mf_status remove_apply(const struct mf_step *step, struct mf_edit *edit, struct mf_step **out_inverse, struct mf_error *error)
{
	const char *id = text(data_of(step), "id");
	struct mf_fragment *fragment;
	struct mf_value *parent;
	size_t index;
	enum mf_status status = mf_edit_remove(edit, id, strlen(id), &fragment, &parent, &index, error);
	if (status != MF_OK)
		return status;
	struct mf_member more[2] = {{.key = "index", .key_len = 5}, {.key = "node", .key_len = 4}};
	status = mf_fragment_to_value(fragment, &more[1].value);
	if (status == MF_OK)
		status = mf_value_new_int((int64_t)index, &more[0].value);
	struct mf_value *inverse;
	if (status == MF_OK)
		status = new_data("parent", mf_value_string_flat(parent), more, 2, &inverse);
	else
		mf_value_unref(more[1].value);
	mf_value_unref(parent);
	mf_fragment_unref(fragment);
	return status == MF_OK ? new_take(&insert_type, inverse, out_inverse) : status;
}

static enum mf_status set_apply(const struct mf_step *step, struct mf_edit *edit, struct mf_step **out_inverse, struct mf_error *error)
{
	const struct mf_value *data = data_of(step);
	const char *id = text(data, "id"), *key = text(data, "key");
	struct mf_member more[2] = {{.key = "key", .key_len = 3}, {.key = "value", .key_len = 5}};
	enum mf_status status = mf_edit_set_attr(edit, id, strlen(id), key, strlen(key), mf_value_get(data, "value"), &more[1].value, error);
	if (status != MF_OK)
		return status;
	status = new_text(key, &more[0].value);
	struct mf_value *inverse;
	if (status == MF_OK)
		status = new_data("id", id, more, 2, &inverse);
	else
		mf_value_unref(more[1].value);
	return status == MF_OK ? new_take(&set_type, inverse, out_inverse) : status;
}

static enum mf_status refuse_apply(const struct mf_step *step, struct mf_edit *edit, struct mf_step **out_inverse, struct mf_error *error)
{
	(void)step, (void)edit, (void)out_inverse, (void)error;
	return MF_ERR_INVALID;
}

static enum mf_status oneway_apply(const struct mf_step *step, struct mf_edit *edit, struct mf_step **out_inverse, struct mf_error *error)
{
	(void)step, (void)edit, (void)out_inverse, (void)error;
	return MF_OK;
}

#define SMALL_TYPE(id, apply_function) \
	{.size = sizeof(struct mf_step_type), .type_id = (id), .version = 1, .from_value = from_value, .to_value = to_value, \
	 .encode = encode, .decode = decode, .apply = (apply_function), .free = free_step}

static const struct mf_step_type insert_type = SMALL_TYPE("test_insert", insert_apply);
static const struct mf_step_type remove_type = SMALL_TYPE("test_remove", remove_apply);
static const struct mf_step_type set_type = SMALL_TYPE("test_set", set_apply);
static const struct mf_step_type refuse_type = SMALL_TYPE("test_refuse", refuse_apply);
static const struct mf_step_type oneway_type = SMALL_TYPE("test_oneway", oneway_apply);

struct mf_step_registry *small_steps_registry(void)
{
	const struct mf_step_type *types[] = {&insert_type, &remove_type, &set_type, &refuse_type, &oneway_type};
	struct mf_step_registry *registry;
	assert_int_equal(mf_step_registry_new(&registry), MF_OK);
	for (size_t i = 0; i < sizeof(types) / sizeof(*types); i++)
		assert_int_equal(mf_step_registry_add(registry, types[i], NULL), MF_OK);
	mf_step_registry_freeze(registry);
	return registry;
}

const struct mf_step_type *small_steps_set(void)
{
	return &set_type;
}

void small_steps_add(struct mf_transaction *transaction, const struct mf_step_registry *registry, const char *type_id, const char *format, ...)
{
	char json[4096];
	struct mf_error error = {0};
	va_list args;
	va_start(args, format);
	vsnprintf(json, sizeof(json), format, args);
	va_end(args);
	if (mf_transaction_add_json(transaction, registry, type_id, json, &error) != MF_OK)
		fail_msg("%s: %s", json, error.message);
}

enum mf_status small_replay(const struct mf_state *state, const struct mf_transaction *transaction, int64_t lsn, struct mf_state **out)
{
	struct mf_replayer *replayer;
	enum mf_status status = mf_replayer_new(state, &replayer);
	if (status != MF_OK)
		return status;
	status = mf_replayer_apply(replayer, transaction, lsn, NULL);
	if (status == MF_OK)
		*out = mf_replayer_finish(replayer);
	else
		mf_replayer_free(replayer);
	return status;
}

struct mf_state *small_steps_commit(struct mf_state *state, struct mf_transaction *transaction, int64_t lsn)
{
	struct mf_state *next;
	struct mf_error error = {0};
	if (mf_state_apply(state, transaction, &next, &error) != MF_OK)
		fail_msg("%s", error.message);
	mf_state_set_lsn(next, lsn);
	mf_transaction_free(transaction);
	mf_state_unref(state);
	return next;
}

struct mf_digest small_steps_digest(const struct mf_state *state)
{
	struct mf_digest digest;
	assert_int_equal(mf_doc_digest(mf_state_doc(state), &digest), MF_OK);
	return digest;
}

/* ---- states ---- */
struct mf_step_registry *small_registry;

int small_make_registry(void **unused)
{
	(void)unused;
	small_registry = small_steps_registry();
	return 0;
}

int small_free_registry(void **unused)
{
	(void)unused;
	mf_step_registry_free(small_registry);
	return 0;
}

struct mf_state *small_state_new(size_t limit)
{
	struct mf_state *state;
	assert_int_equal(mf_state_new(limit, &state), MF_OK);
	return state;
}

struct mf_transaction *small_transaction_new(void)
{
	struct mf_transaction *transaction;
	assert_int_equal(mf_transaction_new(&transaction), MF_OK);
	return transaction;
}

struct mf_state *small_set_number(struct mf_state *state, int number, int64_t lsn)
{
	struct mf_transaction *transaction = small_transaction_new();
	mf_transaction_set_id(transaction, (uint64_t)lsn + 1000);
	ADD_SET(transaction, "root", "n", number);
	return small_steps_commit(state, transaction, lsn);
}

int small_number_in(const struct mf_state *state)
{
	const struct mf_value *value = mf_node_attr(mf_doc_root(mf_state_doc(state)), "n", 1);
	return value ? (int)mf_value_as_int(value) : -1;
}

struct mf_state *small_undo(struct mf_state *state, int64_t lsn)
{
	struct mf_transaction *transaction;
	assert_int_equal(mf_state_make_undo(state, &transaction, NULL), MF_OK);
	return small_steps_commit(state, transaction, lsn);
}

struct mf_state *small_redo(struct mf_state *state, int64_t lsn)
{
	struct mf_transaction *transaction;
	assert_int_equal(mf_state_make_redo(state, &transaction, NULL), MF_OK);
	return small_steps_commit(state, transaction, lsn);
}

void small_assert_digest(const struct mf_state *state, const struct mf_digest *expected)
{
	struct mf_digest digest = small_steps_digest(state);
	assert_memory_equal(digest.bytes, expected->bytes, MF_DIGEST_BYTES);
}
