/* value.c - scalars, arrays and objects; strings are in value_string.c.
 *
 * An array is its references in one block. An object is its members, sorted by key, in one
 * block with the bytes of the keys behind them: attributes are few, small and copied as a whole,
 * so one allocation and a binary search beat a table.
 *
 * Recursion over a value ends at MF_NESTING_MAX, since nothing deeper can be made. */
#include "model/value.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "model/mem.h"
#include "model/utf8.h"

struct scalar {
	struct mf_value head;
	union {
		bool boolean;
		int64_t integer;
		double real;
	};
};

struct array {
	struct mf_value head;
	size_t count;
	struct mf_value *items[];
};

struct object {
	struct mf_value head;
	size_t count;
	struct mf_member members[]; /* then the keys, each NUL-terminated */
};

static struct scalar null_value = {.head = {.kind = MF_VALUE_NULL, .depth = 1}};
static struct scalar true_value = {.head = {.kind = MF_VALUE_BOOL, .depth = 1}, .boolean = true};
static struct scalar false_value = {.head = {.kind = MF_VALUE_BOOL, .depth = 1}, .boolean = false};

/* ---- life cycle ---- */

static bool is_static(const struct mf_value *value)
{
	return value->kind <= MF_VALUE_BOOL;
}

struct mf_value *mf_value_ref(const struct mf_value *value)
{
	struct mf_value *shared = (struct mf_value *)value; /* only the count is written */
	if (!is_static(value))
		atomic_fetch_add_explicit(&shared->refs, 1, memory_order_relaxed);
	return shared;
}

static void free_array(struct array *array)
{
	for (size_t i = 0; i < array->count; i++)
		mf_value_unref(array->items[i]);
	mf_free(array);
}

static void free_object(struct object *object)
{
	for (size_t i = 0; i < object->count; i++)
		mf_value_unref(object->members[i].value);
	mf_free(object);
}

void mf_value_unref(struct mf_value *value)
{
	if (!value || is_static(value))
		return;
	if (atomic_fetch_sub_explicit(&value->refs, 1, memory_order_acq_rel) != 1)
		return;
	switch (value->kind) {
	case MF_VALUE_STRING: mf_string_free(value); break;
	case MF_VALUE_ARRAY: free_array((struct array *)value); break;
	case MF_VALUE_OBJECT: free_object((struct object *)value); break;
	default: mf_free(value);
	}
}

/* ---- scalars ---- */

struct mf_value *mf_value_null(void)
{
	return &null_value.head;
}

struct mf_value *mf_value_bool(bool value)
{
	return value ? &true_value.head : &false_value.head;
}

static struct scalar *new_scalar(enum mf_value_kind kind)
{
	struct scalar *scalar = mf_malloc(sizeof(*scalar));
	if (scalar)
		mf_value_init(&scalar->head, kind, 1);
	return scalar;
}

enum mf_status mf_value_new_int(int64_t value, struct mf_value **out)
{
	struct scalar *scalar = new_scalar(MF_VALUE_INT);
	if (!scalar)
		return MF_ERR_NO_MEMORY;
	scalar->integer = value;
	*out = &scalar->head;
	return MF_OK;
}

enum mf_status mf_value_new_double(double value, struct mf_value **out, struct mf_error *error)
{
	if (!isfinite(value))
		return mf_error_set(error, MF_ERR_INVALID, "a number must be finite: NaN and infinities are not JSON");
	struct scalar *scalar = new_scalar(MF_VALUE_DOUBLE);
	if (!scalar)
		return mf_error_set(error, MF_ERR_NO_MEMORY, "out of memory for a number");
	scalar->real = value == 0 ? 0.0 : value; /* -0.0 is 0.0 */
	*out = &scalar->head;
	return MF_OK;
}

/* ---- arrays ---- */

static enum mf_status make_array(struct mf_value **items, size_t count, struct mf_value **out, struct mf_error *error)
{
	size_t depth = 1;
	for (size_t i = 0; i < count; i++)
		if (items[i]->depth >= depth)
			depth = (size_t)items[i]->depth + 1;
	if (depth > MF_NESTING_MAX)
		return mf_error_set(error, MF_ERR_INVALID, "an array is nested more than %d deep", MF_NESTING_MAX);
	struct array *array = mf_malloc(sizeof(*array) + count * sizeof(*items)); /* the items lie in memory already: no overflow */
	if (!array)
		return mf_error_set(error, MF_ERR_NO_MEMORY, "out of memory for an array of %zu items", count);
	mf_value_init(&array->head, MF_VALUE_ARRAY, depth);
	array->count = count;
	if (count > 0)
		memcpy(array->items, items, count * sizeof(*items));
	*out = &array->head;
	return MF_OK;
}

enum mf_status mf_value_new_array_take(struct mf_value **items, size_t count, struct mf_value **out, struct mf_error *error)
{
	enum mf_status status = make_array(items, count, out, error);
	for (size_t i = 0; status != MF_OK && i < count; i++)
		mf_value_unref(items[i]);
	return status;
}

/* ---- objects ---- */

static int compare_members(const void *left, const void *right)
{
	const struct mf_member *a = left, *b = right;
	int order = memcmp(a->key, b->key, a->key_len < b->key_len ? a->key_len : b->key_len);
	return order ? order : (a->key_len > b->key_len) - (a->key_len < b->key_len);
}

static enum mf_status check_key(const struct mf_member *member, struct mf_error *error)
{
	if (member->key_len > 0 && memchr(member->key, '\0', member->key_len))
		return mf_error_set(error, MF_ERR_INVALID, "an object key contains U+0000");
	size_t valid = mf_utf8_valid_len(member->key, member->key_len);
	if (valid < member->key_len)
		return mf_error_set(error, MF_ERR_INVALID, "an object key is not UTF-8 (byte %zu)", valid);
	return MF_OK;
}

/* Sorts; most objects come in order already. */
static enum mf_status sort_members(struct mf_member *members, size_t count, struct mf_error *error)
{
	bool sorted = true;
	for (size_t i = 1; i < count && sorted; i++)
		sorted = compare_members(&members[i - 1], &members[i]) < 0;
	if (!sorted)
		qsort(members, count, sizeof(*members), compare_members);
	for (size_t i = 1; !sorted && i < count; i++)
		if (compare_members(&members[i - 1], &members[i]) == 0)
			return mf_error_set(error, MF_ERR_INVALID, "the object key \"%.*s\" is there twice", members[i].key_len < 200 ? (int)members[i].key_len : 200, members[i].key);
	return MF_OK;
}

/* Checks the keys; adds to *size, raises *depth. */
static enum mf_status measure_members(const struct mf_member *members, size_t count, size_t *size, size_t *depth, struct mf_error *error)
{
	for (size_t i = 0; i < count; i++) {
		enum mf_status status = check_key(&members[i], error);
		if (status != MF_OK)
			return status;
		if (members[i].value->depth >= *depth)
			*depth = (size_t)members[i].value->depth + 1;
		*size += sizeof(*members) + members[i].key_len + 1; /* all of it is in memory already: no overflow */
	}
	if (*depth > MF_NESTING_MAX)
		return mf_error_set(error, MF_ERR_INVALID, "an object is nested more than %d deep", MF_NESTING_MAX);
	return MF_OK;
}

static void fill_object(struct object *object, const struct mf_member *members, size_t count)
{
	char *keys = (char *)(object->members + count);
	object->count = count;
	for (size_t i = 0; i < count; i++) {
		object->members[i] = members[i];
		object->members[i].key = keys;
		if (members[i].key_len > 0)
			memcpy(keys, members[i].key, members[i].key_len);
		keys[members[i].key_len] = '\0';
		keys += members[i].key_len + 1;
	}
}

static enum mf_status make_object(struct mf_member *members, size_t count, struct mf_value **out, struct mf_error *error)
{
	size_t size = sizeof(struct object), depth = 1;
	enum mf_status status = measure_members(members, count, &size, &depth, error);
	if (status == MF_OK)
		status = sort_members(members, count, error);
	if (status != MF_OK)
		return status;
	struct object *object = mf_malloc(size);
	if (!object)
		return mf_error_set(error, MF_ERR_NO_MEMORY, "out of memory for an object of %zu members", count);
	mf_value_init(&object->head, MF_VALUE_OBJECT, depth);
	fill_object(object, members, count);
	*out = &object->head;
	return MF_OK;
}

enum mf_status mf_value_new_object_take(struct mf_member *members, size_t count, struct mf_value **out, struct mf_error *error)
{
	enum mf_status status = make_object(members, count, out, error);
	for (size_t i = 0; status != MF_OK && i < count; i++)
		mf_value_unref(members[i].value);
	return status;
}

/* ---- queries ---- */

enum mf_value_kind mf_value_kind(const struct mf_value *value)
{
	return (enum mf_value_kind)value->kind;
}

size_t mf_value_depth(const struct mf_value *value)
{
	return value->depth;
}

bool mf_value_as_bool(const struct mf_value *value)
{
	assert(value->kind == MF_VALUE_BOOL);
	return ((const struct scalar *)value)->boolean;
}

int64_t mf_value_as_int(const struct mf_value *value)
{
	assert(value->kind == MF_VALUE_INT);
	return ((const struct scalar *)value)->integer;
}

double mf_value_as_double(const struct mf_value *value)
{
	assert(value->kind == MF_VALUE_DOUBLE);
	return ((const struct scalar *)value)->real;
}

static const struct array *as_array(const struct mf_value *value)
{
	assert(value->kind == MF_VALUE_ARRAY);
	return (const struct array *)value;
}

static const struct object *as_object(const struct mf_value *value)
{
	assert(value->kind == MF_VALUE_OBJECT);
	return (const struct object *)value;
}

size_t mf_value_count(const struct mf_value *value)
{
	return value->kind == MF_VALUE_ARRAY ? as_array(value)->count : as_object(value)->count;
}

const struct mf_value *mf_value_item(const struct mf_value *value, size_t index)
{
	const struct array *array = as_array(value);
	assert(index < array->count);
	return array->items[index];
}

/* strcmp sorts as the members are sorted: by unsigned bytes, and no key contains NUL. */
const struct mf_value *mf_value_get(const struct mf_value *value, const char *key)
{
	const struct object *object = as_object(value);
	size_t low = 0, high = object->count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = strcmp(key, object->members[middle].key);
		if (order == 0)
			return object->members[middle].value;
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return NULL;
}

const struct mf_value *mf_value_member(const struct mf_value *value, size_t index, const char **out_key, size_t *out_key_len)
{
	const struct object *object = as_object(value);
	assert(index < object->count);
	if (out_key)
		*out_key = object->members[index].key;
	if (out_key_len)
		*out_key_len = object->members[index].key_len;
	return object->members[index].value;
}

static bool arrays_equal(const struct array *a, const struct array *b)
{
	if (a->count != b->count)
		return false;
	for (size_t i = 0; i < a->count; i++)
		if (!mf_value_equal(a->items[i], b->items[i]))
			return false;
	return true;
}

static bool objects_equal(const struct object *a, const struct object *b)
{
	if (a->count != b->count)
		return false;
	for (size_t i = 0; i < a->count; i++)
		if (compare_members(&a->members[i], &b->members[i]) != 0 || !mf_value_equal(a->members[i].value, b->members[i].value))
			return false;
	return true;
}

bool mf_value_equal(const struct mf_value *a, const struct mf_value *b)
{
	if (a == b)
		return true;
	if (a->kind != b->kind || a->depth != b->depth)
		return false;
	switch (a->kind) {
	case MF_VALUE_NULL:
	case MF_VALUE_BOOL: return false; /* one object each: compared above */
	case MF_VALUE_INT: return mf_value_as_int(a) == mf_value_as_int(b);
	case MF_VALUE_DOUBLE: return mf_value_as_double(a) == mf_value_as_double(b);
	case MF_VALUE_STRING: return mf_string_equal(a, b);
	case MF_VALUE_ARRAY: return arrays_equal(as_array(a), as_array(b));
	default: return objects_equal(as_object(a), as_object(b));
	}
}
