#include "tests/stepfactories/steps_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/mem.h"
#include "tests/stepfactories/registrar.h"

/* ---- the registry: what the loader would do ---- */

static struct mf_step_registry *registry;

static void init_plugin(const struct mf_plugin *plugin, const char *name)
{
	struct mf_registrar registrar = {registry};
	assert_int_equal(plugin->magic, MF_PLUGIN_MAGIC);
	assert_int_equal(plugin->size, sizeof(*plugin));
	assert_int_equal(plugin->abi_major, MF_ABI_MAJOR);
	assert_string_equal(plugin->name, name);
	assert_null(plugin->options);
	assert_int_equal(plugin->init(NULL, &registrar, NULL), MF_OK);
}

const struct mf_step_registry *builtin_steps(void)
{
	if (registry)
		return registry;
	assert_int_equal(mf_step_registry_new(&registry), MF_OK);
	init_plugin(node_steps_plugin(), "node_steps");
	init_plugin(mark_steps_plugin(), "mark_steps");
	init_plugin(text_steps_plugin(), "text_steps");
	mf_step_registry_freeze(registry);
	return registry;
}

void builtin_steps_free(void)
{
	mf_step_registry_free(registry);
	registry = NULL;
}

/* ---- JSON ---- */

struct mf_value *value_of(const char *json)
{
	char *text = strdup(json);
	for (char *c = text; *c; c++)
		if (*c == '\'')
			*c = '"';
	struct mf_value *value;
	struct mf_error error = {0};
	if (mf_value_parse_json(text, strlen(text), &value, &error) != MF_OK)
		fail_msg("%s: %s", text, error.message);
	free(text);
	return value;
}

char *json_of(const struct mf_value *value)
{
	char *text;
	size_t len;
	assert_int_equal(mf_value_to_json(value, &text, &len), MF_OK);
	return text;
}

struct mf_doc *doc_of(const char *children)
{
	struct mf_doc *doc;
	struct mf_edit *edit;
	assert_int_equal(mf_doc_new(&doc), MF_OK);
	assert_int_equal(mf_edit_begin(doc, &edit), MF_OK);
	mf_doc_unref(doc);
	struct mf_value *nodes = value_of(children ? children : "[]");
	for (size_t i = 0; i < mf_value_count(nodes); i++) {
		struct mf_fragment *fragment;
		assert_int_equal(mf_fragment_from_value(mf_value_item(nodes, i), &fragment, NULL), MF_OK);
		assert_int_equal(mf_edit_insert(edit, MF_ROOT_ID, strlen(MF_ROOT_ID), MF_APPEND, fragment, NULL), MF_OK);
		mf_fragment_unref(fragment);
	}
	mf_value_unref(nodes);
	assert_int_equal(mf_edit_finish(edit, &doc), MF_OK);
	return doc;
}

static enum mf_status append(void *user, const void *bytes, size_t len)
{
	return mf_buffer_append(user, bytes, len);
}

char *tree_of(const struct mf_doc *doc)
{
	struct mf_buffer text = {0};
	assert_int_equal(mf_doc_write_json(doc, append, &text), MF_OK);
	assert_int_equal(mf_buffer_append(&text, "", 1), MF_OK);
	return (char *)text.bytes;
}

/* ---- steps ---- */

static enum mf_status try_step(const char *type_id, const char *data, struct mf_step **out, struct mf_error *error)
{
	struct mf_value *value = value_of(data);
	enum mf_status status = mf_step_registry_create(builtin_steps(), type_id, strlen(type_id), value, out, error);
	mf_value_unref(value);
	return status;
}

struct mf_step *step_of(const char *type_id, const char *data)
{
	struct mf_step *step;
	struct mf_error error = {0};
	if (try_step(type_id, data, &step, &error) != MF_OK)
		fail_msg("%s %s: %s", type_id, data, error.message);
	return step;
}

static enum mf_status try_apply(const struct mf_doc *doc, const struct mf_step *step, struct mf_doc **out, struct mf_step **out_inverse, struct mf_error *error)
{
	struct mf_edit *edit;
	enum mf_status status = mf_edit_begin(doc, &edit);
	if (status != MF_OK)
		return status;
	struct mf_step *inverse;
	status = step->type->apply(step, edit, &inverse, error);
	if (status != MF_OK) {
		mf_edit_drop(edit);
		return status;
	}
	status = mf_edit_finish(edit, out);
	if (status == MF_OK)
		*out_inverse = inverse;
	else
		mf_step_unref(inverse);
	return status;
}

struct mf_doc *applied(const struct mf_doc *doc, const struct mf_step *step, struct mf_step **out_inverse)
{
	struct mf_doc *after;
	struct mf_error error = {0};
	if (try_apply(doc, step, &after, out_inverse, &error) != MF_OK)
		fail_msg("%s: %s", step->type->type_id, error.message);
	return after;
}

static void check_same_step(const struct mf_step *step, const struct mf_step *again)
{
	struct mf_buffer bytes = {0}, bytes_again = {0};
	assert_ptr_equal(again->type, step->type);
	assert_int_equal(step->type->encode(step, &bytes), MF_OK);
	assert_int_equal(step->type->encode(again, &bytes_again), MF_OK);
	assert_int_equal(bytes_again.len, bytes.len);
	assert_memory_equal(bytes_again.bytes, bytes.bytes, bytes.len);
	mf_buffer_deinit(&bytes);
	mf_buffer_deinit(&bytes_again);
}

void check_forms(const struct mf_step *step)
{
	const struct mf_step_type *type = step->type;
	struct mf_buffer bytes = {0};
	struct mf_value *value, *value_again;
	struct mf_step *again;
	struct mf_error error = {0};
	assert_int_equal(type->encode(step, &bytes), MF_OK);
	if (type->decode(type, bytes.bytes, bytes.len, &again, &error) != MF_OK)
		fail_msg("decode: %s", error.message);
	check_same_step(step, again);
	assert_int_equal(type->to_value(step, &value), MF_OK);
	assert_int_equal(type->to_value(again, &value_again), MF_OK);
	char *json = json_of(value), *json_again = json_of(value_again);
	assert_string_equal(json_again, json);
	mf_free(json);
	mf_free(json_again);
	mf_step_unref(again);
	if (type->from_value(type, value, &again, &error) != MF_OK)
		fail_msg("from_value(to_value): %s", error.message);
	check_same_step(step, again);
	mf_step_unref(again);
	mf_value_unref(value);
	mf_value_unref(value_again);
	mf_buffer_deinit(&bytes);
}

static void check_tree(const struct mf_doc *doc, const struct mf_doc *wanted)
{
	char *tree = tree_of(doc), *wanted_tree = tree_of(wanted);
	assert_string_equal(tree, wanted_tree);
	mf_free(tree);
	mf_free(wanted_tree);
}

void check_change(const char *before, const char *type_id, const char *data, const char *after)
{
	struct mf_doc *old = doc_of(before), *wanted = doc_of(after);
	struct mf_step *step = step_of(type_id, data), *inverse, *inverse_of_inverse;
	struct mf_doc *new = applied(old, step, &inverse);
	check_tree(new, wanted);
	struct mf_doc *back = applied(new, inverse, &inverse_of_inverse);
	check_tree(back, old);
	check_forms(step);
	check_forms(inverse);
	struct mf_step *unused;
	struct mf_doc *again = applied(back, inverse_of_inverse, &unused);
	check_tree(again, wanted);
	mf_step_unref(unused);
	mf_step_unref(inverse_of_inverse);
	mf_step_unref(inverse);
	mf_step_unref(step);
	mf_doc_unref(again);
	mf_doc_unref(back);
	mf_doc_unref(new);
	mf_doc_unref(wanted);
	mf_doc_unref(old);
}

void check_refused(const char *children, const char *type_id, const char *data, const char *message)
{
	struct mf_doc *doc = doc_of(children), *after;
	struct mf_step *step = step_of(type_id, data), *inverse;
	char *before = tree_of(doc);
	struct mf_error error = {0};
	assert_int_equal(try_apply(doc, step, &after, &inverse, &error), MF_ERR_INVALID);
	assert_int_equal(error.status, MF_ERR_INVALID);
	if (!strstr(error.message, message))
		fail_msg("%s %s says \"%s\", not \"%s\"", type_id, data, error.message, message);
	char *now = tree_of(doc);
	assert_string_equal(now, before);
	mf_free(now);
	mf_free(before);
	mf_step_unref(step);
	mf_doc_unref(doc);
}

void check_bad_data(const char *type_id, const struct bad_data *cases, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct mf_step *step;
		struct mf_error error = {0};
		if (try_step(type_id, cases[i].data, &step, &error) == MF_OK)
			fail_msg("%s %s is accepted", type_id, cases[i].data);
		assert_int_equal(error.status, MF_ERR_INVALID);
		if (!strstr(error.message, cases[i].message) || !strstr(error.message, type_id))
			fail_msg("%s %s says \"%s\", not \"%s\"", type_id, cases[i].data, error.message, cases[i].message);
	}
}

void check_inverse(const char *children, const char *type_id, const char *data, const char *inverse_type_id, const char *inverse_data)
{
	struct mf_doc *doc = doc_of(children);
	struct mf_step *step = step_of(type_id, data), *inverse;
	struct mf_doc *after = applied(doc, step, &inverse);
	struct mf_step *wanted = step_of(inverse_type_id, inverse_data);
	assert_string_equal(inverse->type->type_id, inverse_type_id);
	check_same_step(inverse, wanted);
	mf_step_unref(wanted);
	mf_step_unref(inverse);
	mf_step_unref(step);
	mf_doc_unref(after);
	mf_doc_unref(doc);
}

/* ---- hostile bytes ---- */

static const struct mf_step_type *type_of(const char *type_id)
{
	return mf_step_registry_find(builtin_steps(), type_id, strlen(type_id));
}

/* A copy of exactly len bytes, so that a sanitizer sees a read beyond them. */
static enum mf_status try_decode(const char *type_id, const void *bytes, size_t len, struct mf_step **out)
{
	unsigned char *exact = malloc(len ? len : 1);
	if (len > 0)
		memcpy(exact, bytes, len);
	struct mf_error error = {0};
	enum mf_status status = type_of(type_id)->decode(type_of(type_id), exact, len, out, &error);
	if (status != MF_OK) {
		assert_int_equal(status, MF_ERR_CORRUPTED);
		assert_int_equal(error.status, MF_ERR_CORRUPTED);
		assert_non_null(strstr(error.message, type_id));
	}
	free(exact);
	return status;
}

void check_damaged(const char *type_id, const void *bytes, size_t len)
{
	struct mf_step *step;
	assert_int_equal(try_decode(type_id, bytes, len, &step), MF_ERR_CORRUPTED);
}

void check_hostile_bytes(const char *type_id, const char *data)
{
	struct mf_step *step = step_of(type_id, data), *other;
	struct mf_buffer bytes = {0};
	assert_int_equal(step->type->encode(step, &bytes), MF_OK);
	for (size_t len = 0; len < bytes.len; len++)
		check_damaged(type_id, bytes.bytes, len);
	for (size_t bit = 0; bit < bytes.len * 8; bit++) {
		bytes.bytes[bit / 8] ^= (unsigned char)(1u << bit % 8);
		if (try_decode(type_id, bytes.bytes, bytes.len, &other) == MF_OK) {
			check_forms(other);
			mf_step_unref(other);
		}
		bytes.bytes[bit / 8] ^= (unsigned char)(1u << bit % 8);
	}
	assert_int_equal(mf_buffer_append(&bytes, "\xc0", 1), MF_OK);
	check_damaged(type_id, bytes.bytes, bytes.len);
	mf_buffer_deinit(&bytes);
	mf_step_unref(step);
}

/* ---- memory ---- */

/* Everything a step can do, stopping at the first failure. */
static enum mf_status live(const struct mf_doc *doc, const struct mf_step_type *type, const struct mf_value *data)
{
	struct mf_step *step = NULL, *decoded = NULL, *inverse = NULL;
	struct mf_value *shown = NULL;
	struct mf_doc *after = NULL;
	struct mf_buffer bytes = {0};
	enum mf_status status = type->from_value(type, data, &step, NULL);
	if (status == MF_OK)
		status = type->to_value(step, &shown);
	if (status == MF_OK)
		status = type->encode(step, &bytes);
	if (status == MF_OK)
		status = type->decode(type, bytes.bytes, bytes.len, &decoded, NULL);
	if (status == MF_OK)
		status = try_apply(doc, decoded, &after, &inverse, NULL);
	mf_doc_unref(after);
	mf_step_unref(inverse);
	mf_step_unref(decoded);
	mf_step_unref(step);
	mf_value_unref(shown);
	mf_buffer_deinit(&bytes);
	return status;
}

void check_out_of_memory(const char *children, const char *type_id, const char *data)
{
	struct mf_doc *doc = doc_of(children);
	struct mf_value *value = value_of(data);
	char *before = tree_of(doc);
	const struct mf_step_type *type = type_of(type_id);
	enum mf_status status = MF_ERR_NO_MEMORY;
	uint64_t n = 0;
	while (status == MF_ERR_NO_MEMORY) {
		mf_mem_fail_at(++n, false);
		status = live(doc, type, value);
	}
	mf_mem_fail_at(0, false);
	assert_int_equal(status, MF_OK);
	assert_true(n > 5);
	char *now = tree_of(doc);
	assert_string_equal(now, before);
	mf_free(now);
	mf_free(before);
	mf_value_unref(value);
	mf_doc_unref(doc);
}
