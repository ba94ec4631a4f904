/* See model/patch_nodes.h. The result is built from the root down as a fragment: whatever the bytes say, each node
 * gets in once, at a bounded depth. */
#include "model/patch_nodes.h"

#include <string.h>

#include "model/fragment.h"
#include "model/mem.h"

#define FIRST_SLOTS 16
#define ITEMS_A_NODE 3

/* ---- the table ---- */

static void drop_content(struct mf_patch_node *node)
{
	mf_str_unref(node->type);
	mf_tree_unref(&mf_attr_ops, node->attrs);
	mf_tree_unref(&mf_attr_ops, node->marks);
	node->type = NULL;
	node->attrs = node->marks = NULL;
	node->has_content = false;
}

static void drop_list(struct mf_str **children, size_t count)
{
	for (size_t i = 0; i < count; i++)
		mf_str_unref(children[i]);
	mf_free(children);
}

void mf_patch_nodes_deinit(struct mf_patch_nodes *nodes)
{
	for (size_t i = 0; i < nodes->slot_count; i++) {
		struct mf_patch_node *node = &nodes->slots[i];
		drop_content(node);
		drop_list(node->children, node->child_count);
		mf_str_unref(node->id);
	}
	mf_free(nodes->slots);
	mf_value_stack_deinit(&nodes->values);
	memset(nodes, 0, sizeof(*nodes));
}

static struct mf_patch_node *slot_of(const struct mf_patch_nodes *nodes, const struct mf_str *id)
{
	size_t at = id->hash & (nodes->slot_count - 1);
	while (nodes->slots[at].id && !mf_str_is(nodes->slots[at].id, id->bytes, id->len))
		at = (at + 1) & (nodes->slot_count - 1);
	return &nodes->slots[at];
}

static const struct mf_patch_node *find(const struct mf_patch_nodes *nodes, const struct mf_str *id)
{
	const struct mf_patch_node *node = nodes->slot_count ? slot_of(nodes, id) : NULL;
	return node && node->id ? node : NULL;
}

static enum mf_status make_room(struct mf_patch_nodes *nodes)
{
	if (2 * (nodes->count + 1) <= nodes->slot_count)
		return MF_OK;
	struct mf_patch_nodes larger = {.slot_count = nodes->slot_count ? 2 * nodes->slot_count : FIRST_SLOTS};
	larger.slots = mf_calloc(larger.slot_count, sizeof(*larger.slots));
	if (!larger.slots)
		return MF_ERR_NO_MEMORY;
	for (size_t i = 0; i < nodes->slot_count; i++)
		if (nodes->slots[i].id)
			*slot_of(&larger, nodes->slots[i].id) = nodes->slots[i];
	mf_free(nodes->slots);
	nodes->slots = larger.slots;
	nodes->slot_count = larger.slot_count;
	return MF_OK;
}

/* The node of this id, which may be new in the table. Takes id. */
static enum mf_status enter(struct mf_patch_nodes *nodes, struct mf_str *id, struct mf_patch_node **out)
{
	if (make_room(nodes) != MF_OK) {
		mf_str_unref(id);
		return MF_ERR_NO_MEMORY;
	}
	*out = slot_of(nodes, id);
	if ((*out)->id) {
		mf_str_unref(id);
		return MF_OK;
	}
	(*out)->id = id;
	nodes->count++;
	return MF_OK;
}

/* ---- reading: content ---- */

static enum mf_status read_str(struct mf_unpack *in, struct mf_str **out)
{
	struct mf_bytes bytes;
	enum mf_status status = mf_unpack_str(in, &bytes.bytes, &bytes.len);
	if (status == MF_OK)
		status = mf_unpack_status(mf_check_name("name", bytes.bytes, bytes.len, NULL));
	if (status != MF_OK)
		return status;
	*out = mf_str_new(bytes.bytes, bytes.len);
	return *out ? MF_OK : MF_ERR_NO_MEMORY;
}

typedef enum mf_status check_member(const char *key, size_t key_len, const struct mf_value *value, struct mf_error *error);

static enum mf_status read_member(struct mf_value_stack *values, struct mf_unpack *in, check_member *check, struct mf_tree **members)
{
	struct mf_bytes key;
	struct mf_value *value;
	enum mf_status status = mf_unpack_str(in, &key.bytes, &key.len);
	if (status == MF_OK)
		status = mf_unpack_next_value(values, in, &value);
	if (status != MF_OK)
		return status;
	status = mf_unpack_status(check(key.bytes, key.len, value, NULL));
	if (status == MF_OK && mf_attrs_get(*members, key.bytes, key.len))
		status = MF_ERR_CORRUPTED;
	if (status == MF_OK)
		status = mf_attrs_put(members, key.bytes, key.len, value, NULL);
	mf_value_unref(value);
	return status;
}

static enum mf_status read_members(struct mf_value_stack *values, struct mf_unpack *in, check_member *check, struct mf_tree **members)
{
	uint32_t count;
	enum mf_status status = mf_unpack_map(in, &count);
	for (uint32_t i = 0; status == MF_OK && i < count; i++)
		status = read_member(values, in, check, members);
	return status;
}

/* Code points [pos, pos + del) of the string before are replaced. */
static enum mf_status splice(const struct mf_value *before, uint64_t pos, uint64_t del, const struct mf_bytes *bytes, struct mf_value **out)
{
	if (!before || mf_value_kind(before) != MF_VALUE_STRING)
		return MF_ERR_CORRUPTED;
	size_t length = mf_value_string_code_points(before);
	if (pos > length || del > length - pos)
		return MF_ERR_CORRUPTED;
	struct mf_value *insert;
	enum mf_status status = mf_unpack_status(mf_value_new_string(bytes->bytes, bytes->len, &insert, NULL));
	if (status != MF_OK)
		return status;
	status = mf_unpack_status(mf_value_string_splice(before, (size_t)pos, (size_t)del, insert, out, NULL, NULL));
	mf_value_unref(insert);
	return status;
}

static enum mf_status read_splice(struct mf_unpack *in, const struct mf_tree *before, struct mf_tree **attrs)
{
	struct mf_bytes key, insert;
	uint64_t pos, del;
	struct mf_value *value;
	enum mf_status status = mf_unpack_str(in, &key.bytes, &key.len);
	if (status == MF_OK)
		status = mf_unpack_uint(in, &pos);
	if (status == MF_OK)
		status = mf_unpack_uint(in, &del);
	if (status == MF_OK)
		status = mf_unpack_str(in, &insert.bytes, &insert.len);
	if (status == MF_OK && mf_attrs_get(*attrs, key.bytes, key.len))
		status = MF_ERR_CORRUPTED;
	if (status == MF_OK)
		status = splice(mf_attrs_get(before, key.bytes, key.len), pos, del, &insert, &value);
	if (status != MF_OK)
		return status;
	status = mf_attrs_put(attrs, key.bytes, key.len, value, NULL);
	mf_value_unref(value);
	return status;
}

static enum mf_status read_splices(struct mf_unpack *in, const struct mf_tree *before, struct mf_tree **attrs)
{
	uint32_t items;
	enum mf_status status = mf_unpack_array(in, &items);
	if (status == MF_OK && items % 4 != 0)
		status = MF_ERR_CORRUPTED;
	for (uint32_t i = 0; status == MF_OK && i < items / 4; i++)
		status = read_splice(in, before, attrs);
	return status;
}

static enum mf_status read_parts(struct mf_patch_nodes *nodes, struct mf_unpack *in, const struct mf_tree *before, struct mf_patch_node *node)
{
	uint32_t items;
	enum mf_status status = mf_unpack_array(in, &items);
	if (status == MF_OK)
		status = items == 4 ? read_str(in, &node->type) : MF_ERR_CORRUPTED;
	if (status == MF_OK)
		status = read_members(&nodes->values, in, mf_check_attr, &node->attrs);
	if (status == MF_OK)
		status = read_members(&nodes->values, in, mf_check_mark, &node->marks);
	return status == MF_OK ? read_splices(in, before, &node->attrs) : status;
}

static const struct mf_tree *attrs_before(const struct mf_patch_nodes *nodes, const struct mf_patch_node *node)
{
	if (node->has_content)
		return node->attrs;
	const struct mf_node *base = mf_nodes_find_str(nodes->base->nodes, node->id, NULL);
	return base ? base->attrs : NULL;
}

static enum mf_status read_content(struct mf_patch_nodes *nodes, struct mf_unpack *in, struct mf_patch_node *node)
{
	bool as_before;
	enum mf_status status = mf_unpack_nil(in, &as_before);
	if (status != MF_OK || as_before)
		return status;
	struct mf_tree *before = mf_tree_ref(attrs_before(nodes, node));
	drop_content(node);
	node->has_content = true;
	status = read_parts(nodes, in, before, node);
	mf_tree_unref(&mf_attr_ops, before);
	return status;
}

/* ---- reading: lists of children ---- */

struct list {
	struct mf_str **ids;
	size_t count, capacity;
};

static enum mf_status reserve(struct list *list, size_t more)
{
	if (more <= list->capacity - list->count)
		return MF_OK;
	size_t capacity = list->count + more > 2 * list->capacity ? list->count + more : 2 * list->capacity;
	struct mf_str **ids = mf_realloc(list->ids, capacity * sizeof(*ids));
	if (!ids)
		return MF_ERR_NO_MEMORY;
	list->ids = ids;
	list->capacity = capacity;
	return MF_OK;
}

static size_t count_before(const struct mf_patch_nodes *nodes, const struct mf_patch_node *node)
{
	if (node->has_list)
		return node->child_count;
	const struct mf_node *base = mf_nodes_find_str(nodes->base->nodes, node->id, NULL);
	return base ? mf_seq_count(base->children) : 0;
}

/* There are so many. */
static void copy_before(const struct mf_patch_nodes *nodes, const struct mf_patch_node *node, size_t from, size_t count, struct list *list)
{
	struct mf_seq_iter iter;
	struct mf_seq_entry entry;
	if (node->has_list) {
		for (size_t i = from; i < from + count; i++)
			list->ids[list->count++] = mf_str_ref(node->children[i]);
		return;
	}
	const struct mf_node *base = mf_nodes_find_str(nodes->base->nodes, node->id, NULL);
	mf_seq_iterate(&iter, base->children, from);
	for (size_t i = 0; i < count; i++) {
		mf_seq_next(&iter, &entry);
		list->ids[list->count++] = mf_str_ref(mf_nodes_child(nodes->base->nodes, base, &entry, NULL)->id);
	}
}

/* *end: where the last run ended. Runs ascend, so a list is never longer than the one before and the bytes together. */
static enum mf_status read_run(const struct mf_patch_nodes *nodes, struct mf_unpack *in, const struct mf_patch_node *node, uint64_t *end, struct list *list)
{
	uint32_t items;
	uint64_t from, count;
	size_t before = count_before(nodes, node);
	enum mf_status status = mf_unpack_array(in, &items);
	if (status == MF_OK)
		status = items == 2 ? mf_unpack_uint(in, &from) : MF_ERR_CORRUPTED;
	if (status == MF_OK)
		status = mf_unpack_uint(in, &count);
	if (status == MF_OK && (count == 0 || from < *end || from > before || count > before - from))
		status = MF_ERR_CORRUPTED;
	if (status == MF_OK)
		status = reserve(list, count);
	if (status != MF_OK)
		return status;
	copy_before(nodes, node, from, count, list);
	*end = from + count;
	return MF_OK;
}

static enum mf_status read_child(const struct mf_patch_nodes *nodes, struct mf_unpack *in, const struct mf_patch_node *node, uint64_t *end, struct list *list)
{
	struct mf_unpack ahead = *in;
	struct mf_token token;
	enum mf_status status = mf_unpack_token(&ahead, &token);
	if (status != MF_OK)
		return status;
	if (token.kind == MF_TOKEN_ARRAY)
		return read_run(nodes, in, node, end, list);
	status = reserve(list, 1);
	if (status == MF_OK)
		status = read_str(in, &list->ids[list->count]);
	if (status == MF_OK)
		list->count++;
	return status;
}

static enum mf_status read_list(const struct mf_patch_nodes *nodes, struct mf_unpack *in, struct mf_patch_node *node)
{
	bool as_before;
	uint32_t pieces;
	uint64_t end = 0;
	struct list list = {0};
	enum mf_status status = mf_unpack_nil(in, &as_before);
	if (status != MF_OK || as_before)
		return status;
	status = mf_unpack_array(in, &pieces);
	for (uint32_t i = 0; status == MF_OK && i < pieces; i++)
		status = read_child(nodes, in, node, &end, &list);
	if (status != MF_OK) {
		drop_list(list.ids, list.count);
		return status;
	}
	drop_list(node->children, node->child_count);
	node->children = list.ids;
	node->child_count = list.count;
	node->has_list = true;
	return MF_OK;
}

static enum mf_status read_node(struct mf_patch_nodes *nodes, struct mf_unpack *in)
{
	struct mf_str *id;
	struct mf_patch_node *node;
	enum mf_status status = read_str(in, &id);
	if (status == MF_OK)
		status = enter(nodes, id, &node);
	if (status == MF_OK)
		status = read_content(nodes, in, node);
	return status == MF_OK ? read_list(nodes, in, node) : status;
}

enum mf_status mf_patch_nodes_read(struct mf_patch_nodes *nodes, struct mf_unpack *in)
{
	uint32_t items;
	enum mf_status status = mf_unpack_array(in, &items);
	if (status == MF_OK)
		status = items % ITEMS_A_NODE == 1 ? mf_unpack_uint(in, &nodes->node_count) : MF_ERR_CORRUPTED;
	for (uint32_t i = 0; status == MF_OK && i < items / ITEMS_A_NODE; i++)
		status = read_node(nodes, in);
	return status;
}

/* ---- building ---- */

struct building {
	const struct mf_patch_nodes *nodes;
	struct mf_fragment_builder builder;
	enum mf_status status;
};

static void build_subtree(struct building *building, const struct mf_str *id, const struct mf_node *base);

static bool build_base_child(void *user, const struct mf_node *child)
{
	struct building *building = user;
	build_subtree(building, child->id, child);
	return building->status == MF_OK;
}

/* base NULL: look it up. Recursion ends where the builder refuses what is too deep. */
static void build_subtree(struct building *building, const struct mf_str *id, const struct mf_node *base)
{
	const struct mf_patch_node *node = find(building->nodes, id);
	if (!base && !(node && node->has_content && node->has_list))
		base = mf_nodes_find_str(building->nodes->base->nodes, id, NULL);
	bool changed = node && node->has_content;
	if (!base && !(changed && node->has_list)) {
		building->status = MF_ERR_CORRUPTED;
		return;
	}
	struct mf_node_parts parts = {.id = (struct mf_str *)id};
	parts.type = changed ? node->type : base->type;
	parts.attrs = changed ? node->attrs : base->attrs;
	parts.marks = changed ? node->marks : base->marks;
	building->status = mf_unpack_status(mf_fragment_builder_share(&building->builder, &parts, NULL));
	if (building->status != MF_OK)
		return;
	for (size_t i = 0; node && node->has_list && i < node->child_count && building->status == MF_OK; i++)
		build_subtree(building, node->children[i], NULL);
	if (!node || !node->has_list)
		mf_doc_children(building->nodes->base, base, build_base_child, building);
	mf_fragment_builder_close(&building->builder);
}

enum mf_status mf_patch_nodes_build(const struct mf_patch_nodes *nodes, struct mf_doc **out)
{
	struct building building = {.nodes = nodes, .status = MF_OK};
	struct mf_fragment *fragment = NULL;
	const struct mf_node *root = mf_doc_root(nodes->base);
	mf_fragment_builder_init(&building.builder);
	build_subtree(&building, root->id, root);
	if (building.status == MF_OK)
		building.status = mf_unpack_status(mf_fragment_builder_finish(&building.builder, &fragment, NULL));
	mf_fragment_builder_deinit(&building.builder);
	if (building.status == MF_OK && mf_fragment_node_count(fragment) != nodes->node_count)
		building.status = MF_ERR_CORRUPTED;
	if (building.status == MF_OK)
		building.status = mf_unpack_status(mf_doc_from_fragment(fragment, out, NULL));
	mf_fragment_unref(fragment);
	return building.status;
}
