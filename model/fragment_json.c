/* Fragments as JSON values: {"id","type","attrs","marks","children"}.
 *
 * Recursion ends at MF_DEPTH_MAX: the builder refuses a deeper node, and no fragment has one. */
#include "model/fragment.h"

#include <string.h>

#include "model/mem.h"

/* ---- from a value ---- */

enum member { MEMBER_ID, MEMBER_TYPE, MEMBER_ATTRS, MEMBER_MARKS, MEMBER_CHILDREN, MEMBER_COUNT };
static const char *const member_names[MEMBER_COUNT] = {"id", "type", "attrs", "marks", "children"};
static const enum mf_value_kind member_kinds[MEMBER_COUNT] = {MF_VALUE_STRING, MF_VALUE_STRING, MF_VALUE_OBJECT, MF_VALUE_ARRAY, MF_VALUE_ARRAY};

struct name {
	char bytes[MF_ID_MAX];
	size_t len;
};

/* A string that is too long is left out; the name check reports its length. */
static struct mf_bytes name_of(const struct mf_value *string, struct name *buffer)
{
	buffer->len = mf_value_string_bytes(string);
	if (buffer->len <= sizeof(buffer->bytes))
		mf_value_string_copy(string, 0, buffer->len, buffer->bytes);
	return (struct mf_bytes){buffer->bytes, buffer->len};
}

static int member_number(const char *key, size_t key_len)
{
	for (int i = 0; i < MEMBER_COUNT; i++)
		if (strlen(member_names[i]) == key_len && memcmp(member_names[i], key, key_len) == 0)
			return i;
	return -1;
}

static enum mf_status read_members(const struct mf_value *value, const struct mf_value *members[MEMBER_COUNT], struct mf_error *error)
{
	if (mf_value_kind(value) != MF_VALUE_OBJECT)
		return mf_error_set(error, MF_ERR_INVALID, "a node must be an object with \"id\" and \"type\"");
	for (size_t i = 0; i < mf_value_count(value); i++) {
		const char *key;
		size_t key_len;
		const struct mf_value *member = mf_value_member(value, i, &key, &key_len);
		int number = member_number(key, key_len);
		if (number < 0)
			return mf_error_set(error, MF_ERR_INVALID, "a node has no member \"%.*s\"", MF_SHOW(key, key_len));
		if (mf_value_kind(member) != member_kinds[number])
			return mf_error_set(error, MF_ERR_INVALID, "\"%s\" of a node has the wrong kind of value", member_names[number]);
		members[number] = member;
	}
	for (int i = MEMBER_ID; i <= MEMBER_TYPE; i++)
		if (!members[i])
			return mf_error_set(error, MF_ERR_INVALID, "a node lacks \"%s\"", member_names[i]);
	return MF_OK;
}

static enum mf_status name_node(const struct mf_value *id, enum mf_status status, struct mf_error *error)
{
	struct name buffer;
	if (!id || mf_value_kind(id) != MF_VALUE_STRING)
		return status;
	struct mf_bytes name = name_of(id, &buffer);
	return name.len > MF_ID_MAX ? status : mf_error_prefix(error, status, "node \"%.*s\"", MF_SHOW(name.bytes, name.len));
}

/* Kept out of the recursion for its buffers. */
__attribute__((noinline)) static enum mf_status open_node(struct mf_fragment_builder *builder, const struct mf_value *value, const struct mf_value *members[MEMBER_COUNT],
							  struct mf_error *error)
{
	struct name id_buffer, type_buffer;
	enum mf_status status = read_members(value, members, error);
	if (status)
		return name_node(mf_value_kind(value) == MF_VALUE_OBJECT ? mf_value_get(value, "id") : NULL, status, error);
	const struct mf_bytes id = name_of(members[MEMBER_ID], &id_buffer), type = name_of(members[MEMBER_TYPE], &type_buffer);
	return mf_fragment_builder_open(builder, &id, &type, error);
}

static enum mf_status add_attrs(struct mf_fragment_builder *builder, const struct mf_value *attrs, struct mf_error *error)
{
	enum mf_status status = MF_OK;
	for (size_t i = 0; !status && i < mf_value_count(attrs); i++) {
		const char *key;
		size_t key_len;
		const struct mf_value *value = mf_value_member(attrs, i, &key, &key_len);
		status = mf_fragment_builder_attr(builder, key, key_len, value, error);
	}
	return status;
}

/* {"type":T} or {"type":T,"attrs":{}} */
static enum mf_status check_mark(const struct mf_value *mark, struct mf_error *error)
{
	if (mf_value_kind(mark) != MF_VALUE_OBJECT)
		return mf_error_set(error, MF_ERR_INVALID, "a mark must be an object with \"type\"");
	const struct mf_value *type = mf_value_get(mark, "type"), *attrs = mf_value_get(mark, "attrs");
	if (!type || mf_value_kind(type) != MF_VALUE_STRING)
		return mf_error_set(error, MF_ERR_INVALID, "\"type\" of a mark is not a string");
	if (mf_value_count(mark) != (attrs ? 2 : 1))
		return mf_error_set(error, MF_ERR_INVALID, "a mark has other members than \"type\" and \"attrs\"");
	return MF_OK;
}

__attribute__((noinline)) static enum mf_status add_mark(struct mf_fragment_builder *builder, const struct mf_value *mark, struct mf_error *error)
{
	struct name buffer;
	struct mf_value *none = NULL;
	enum mf_status status = check_mark(mark, error);
	if (status)
		return status;
	const struct mf_value *attrs = mf_value_get(mark, "attrs");
	if (!attrs) {
		status = mf_value_new_object_take(NULL, 0, &none, error);
		if (status)
			return status;
		attrs = none;
	}
	const struct mf_bytes type = name_of(mf_value_get(mark, "type"), &buffer);
	status = mf_fragment_builder_mark(builder, type.bytes, type.len, attrs, error);
	mf_value_unref(none);
	return status;
}

static enum mf_status add_marks(struct mf_fragment_builder *builder, const struct mf_value *marks, struct mf_error *error)
{
	enum mf_status status = MF_OK;
	for (size_t i = 0; !status && i < mf_value_count(marks); i++)
		status = add_mark(builder, mf_value_item(marks, i), error);
	return status;
}

static enum mf_status add_node(struct mf_fragment_builder *builder, const struct mf_value *value, struct mf_error *error)
{
	const struct mf_value *members[MEMBER_COUNT] = {NULL};
	enum mf_status status = open_node(builder, value, members, error);
	if (status)
		return status;
	if (members[MEMBER_ATTRS])
		status = add_attrs(builder, members[MEMBER_ATTRS], error);
	if (!status && members[MEMBER_MARKS])
		status = add_marks(builder, members[MEMBER_MARKS], error);
	if (status)
		return status;
	const struct mf_value *children = members[MEMBER_CHILDREN];
	for (size_t i = 0; !status && children && i < mf_value_count(children); i++)
		status = add_node(builder, mf_value_item(children, i), error);
	mf_fragment_builder_close(builder);
	return status;
}

enum mf_status mf_fragment_from_value(const struct mf_value *value, struct mf_fragment **out, struct mf_error *error)
{
	struct mf_fragment_builder builder;
	mf_fragment_builder_init(&builder);
	enum mf_status status = add_node(&builder, value, error);
	if (!status)
		status = mf_fragment_builder_finish(&builder, out, error);
	mf_fragment_builder_deinit(&builder);
	return status;
}

/* ---- to a value ---- */

/* Takes the members' values; with NULL among them there was no memory. */
static enum mf_status object_of(struct mf_member *members, size_t count, struct mf_value **out)
{
	bool complete = true;
	for (size_t i = 0; i < count; i++) {
		members[i].key_len = strlen(members[i].key);
		complete = complete && members[i].value;
	}
	if (complete)
		return mf_value_new_object_take(members, count, out, NULL);
	for (size_t i = 0; i < count; i++)
		mf_value_unref(members[i].value);
	return MF_ERR_NO_MEMORY;
}

static enum mf_status attrs_value(const struct mf_tree *attrs, struct mf_value **out)
{
	size_t count = mf_tree_count(attrs);
	struct mf_member *members = mf_malloc(count * sizeof(*members));
	if (!members)
		return MF_ERR_NO_MEMORY;
	struct mf_tree_iter iter;
	mf_tree_iterate(&iter, attrs, 0);
	for (size_t i = 0; i < count; i++) {
		const struct mf_tree_entry *entry = mf_tree_next(&iter);
		const struct mf_str *key = entry->key;
		members[i] = (struct mf_member){key->bytes, key->len, mf_value_ref(entry->item)};
	}
	enum mf_status status = mf_value_new_object_take(members, count, out, NULL);
	mf_free(members);
	return status;
}

static enum mf_status mark_value(const struct mf_tree_entry *mark, struct mf_value **out)
{
	const struct mf_str *name = mark->key;
	struct mf_value *type;
	enum mf_status status = mf_value_new_string(name->bytes, name->len, &type, NULL);
	if (status)
		return status;
	struct mf_member members[] = {{"attrs", 0, mf_value_ref(mark->item)}, {"type", 0, type}};
	return object_of(members, 2, out);
}

/* Takes items[0..made), of which count were wanted. */
static enum mf_status array_of(struct mf_value **items, size_t made, enum mf_status status, struct mf_value **out)
{
	if (!status) {
		status = mf_value_new_array_take(items, made, out, NULL);
	} else {
		for (size_t i = 0; i < made; i++)
			mf_value_unref(items[i]);
	}
	mf_free(items);
	return status;
}

static enum mf_status marks_value(const struct mf_tree *marks, struct mf_value **out)
{
	size_t count = mf_tree_count(marks), made = 0;
	struct mf_value **items = mf_malloc(count * sizeof(struct mf_value *));
	if (!items)
		return MF_ERR_NO_MEMORY;
	struct mf_tree_iter iter;
	enum mf_status status = MF_OK;
	mf_tree_iterate(&iter, marks, 0);
	for (const struct mf_tree_entry *entry; !status && (entry = mf_tree_next(&iter));) {
		status = mark_value(entry, &items[made]);
		made += !status;
	}
	return array_of(items, made, status, out);
}

static enum mf_status node_value(const struct mf_fragment *fragment, size_t *index, struct mf_value **out);

static enum mf_status children_value(const struct mf_fragment *fragment, size_t count, size_t *index, struct mf_value **out)
{
	size_t made = 0;
	struct mf_value **items = mf_malloc(count * sizeof(struct mf_value *));
	if (!items)
		return MF_ERR_NO_MEMORY;
	enum mf_status status = MF_OK;
	while (!status && made < count) {
		status = node_value(fragment, index, &items[made]);
		made += !status;
	}
	return array_of(items, made, status, out);
}

static enum mf_status node_value(const struct mf_fragment *fragment, size_t *index, struct mf_value **out)
{
	const struct mf_fragment_node *node = &fragment->nodes[(*index)++];
	const struct mf_node_parts *parts = &node->parts;
	struct mf_member members[MEMBER_COUNT] = {{"attrs", 0, NULL}, {"children", 0, NULL}, {"id", 0, NULL}, {"marks", 0, NULL}, {"type", 0, NULL}};
	enum mf_status status = attrs_value(parts->attrs, &members[0].value);
	if (!status)
		status = children_value(fragment, node->child_count, index, &members[1].value);
	if (!status)
		status = mf_value_new_string(parts->id->bytes, parts->id->len, &members[2].value, NULL);
	if (!status)
		status = marks_value(parts->marks, &members[3].value);
	if (!status)
		status = mf_value_new_string(parts->type->bytes, parts->type->len, &members[4].value, NULL);
	enum mf_status made = object_of(members, MEMBER_COUNT, out);
	return status ? status : made;
}

enum mf_status mf_fragment_to_value(const struct mf_fragment *fragment, struct mf_value **out)
{
	size_t index = 0;
	return node_value(fragment, &index, out);
}
