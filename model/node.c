#include "model/node.h"

#include <string.h>

#include "model/mem.h"
#include "model/utf8.h"

/* ---- what is held ---- */

static void ref_record(uint64_t item)
{
	struct mf_node *node = (struct mf_node *)(uintptr_t)item;
	atomic_fetch_add_explicit(&node->ref, 1, memory_order_relaxed);
}

static void unref_record(uint64_t item)
{
	mf_node_unref((struct mf_node *)(uintptr_t)item);
}

static int compare_attr(const void *key, const struct mf_tree_entry *entry)
{
	const struct mf_bytes *wanted = key;
	const struct mf_str *own = entry->key;
	return mf_bytes_compare(wanted->bytes, wanted->len, own->bytes, own->len);
}

static void ref_attr(const struct mf_tree_entry *entry)
{
	mf_str_ref(entry->key);
	mf_value_ref(entry->item);
}

static void unref_attr(const struct mf_tree_entry *entry)
{
	mf_str_unref((struct mf_str *)entry->key);
	mf_value_unref(entry->item);
}

const struct mf_seq_items mf_node_items = {ref_record, unref_record};
const struct mf_tree_ops mf_attr_ops = {MF_TREE_MAP, ref_attr, unref_attr, compare_attr};

/* ---- records ---- */

struct mf_node *mf_node_new(const struct mf_node_parts *parts)
{
	struct mf_node *node = mf_calloc(1, sizeof(*node));
	if (!node)
		return NULL;
	atomic_init(&node->ref, 1);
	node->height = 1;
	node->id = mf_str_ref(parts->id);
	node->type = mf_str_ref(parts->type);
	node->attrs = mf_tree_ref(parts->attrs);
	node->marks = mf_tree_ref(parts->marks);
	return node;
}

struct mf_node *mf_node_copy(const struct mf_node *node)
{
	const struct mf_node_parts parts = {node->id, node->type, node->attrs, node->marks};
	struct mf_node *copy = mf_node_new(&parts);
	if (!copy)
		return NULL;
	copy->height = node->height;
	copy->label = node->label;
	copy->parent = node->parent ? mf_str_ref(node->parent) : NULL;
	copy->children = mf_seq_ref(node->children);
	return copy;
}

void mf_node_unref(struct mf_node *node)
{
	if (!node || atomic_fetch_sub_explicit(&node->ref, 1, memory_order_acq_rel) != 1)
		return;
	mf_str_unref(node->id);
	mf_str_unref(node->type);
	mf_str_unref(node->parent);
	mf_tree_unref(&mf_attr_ops, node->attrs);
	mf_tree_unref(&mf_attr_ops, node->marks);
	mf_seq_unref(NULL, node->children);
	mf_free(node);
}

/* ---- the map ---- */

struct mf_node *mf_nodes_find(const struct mf_seq *nodes, const struct mf_bytes *id, uint64_t hash, size_t *out_index)
{
	struct mf_seq_iter iter;
	struct mf_seq_entry entry;
	size_t index = mf_seq_seek(&iter, nodes, hash);
	if (out_index)
		mf_seq_expect_change(&iter, &mf_node_items);
	for (; mf_seq_next(&iter, &entry) && entry.sort == hash; index++) {
		struct mf_node *node = mf_entry_node(&entry);
		__builtin_prefetch(node->attrs, 1);
		__builtin_prefetch(node->marks, 1);
		if (!mf_str_is(node->id, id->bytes, id->len))
			continue;
		if (out_index)
			*out_index = index;
		return node;
	}
	return NULL;
}

struct mf_node *mf_nodes_child(const struct mf_seq *nodes, const struct mf_node *parent, const struct mf_seq_entry *child, size_t *out_index)
{
	struct mf_seq_iter iter;
	struct mf_seq_entry entry;
	size_t index = mf_seq_seek(&iter, nodes, child->item & ~(uint64_t)0xff);
	for (; mf_seq_next(&iter, &entry); index++) {
		struct mf_node *node = mf_entry_node(&entry);
		if (node->label != child->sort || !node->parent || !mf_str_is(node->parent, parent->id->bytes, parent->id->len))
			continue;
		if (out_index)
			*out_index = index;
		return node;
	}
	return NULL;
}

/* ---- attributes and marks ---- */

const struct mf_value *mf_attrs_get(const struct mf_tree *attrs, const char *key, size_t key_len)
{
	const struct mf_bytes wanted = {key, key_len};
	const struct mf_tree_entry *entry = mf_tree_find(&mf_attr_ops, attrs, mf_bytes_prefix(key, key_len), &wanted);
	return entry ? entry->item : NULL;
}

enum mf_status mf_attrs_put(struct mf_tree **attrs, const char *key, size_t key_len, const struct mf_value *value, struct mf_value **out_old)
{
	const struct mf_bytes wanted = {key, key_len};
	struct mf_tree_entry old = {0};
	bool replaced;
	struct mf_str *own_key = mf_str_new(key, key_len);
	if (!own_key)
		return MF_ERR_NO_MEMORY;
	const struct mf_tree_entry entry = {.sort = mf_bytes_prefix(key, key_len), .key = own_key, .item = mf_value_ref(value)};
	enum mf_status status = mf_tree_put(&mf_attr_ops, attrs, &wanted, &entry, &old, &replaced);
	if (status) {
		unref_attr(&entry);
		return status;
	}
	if (replaced)
		mf_str_unref((struct mf_str *)old.key);
	if (out_old)
		*out_old = old.item;
	else
		mf_value_unref(old.item);
	return MF_OK;
}

enum mf_status mf_attrs_remove(struct mf_tree **attrs, const char *key, size_t key_len, struct mf_value **out_old)
{
	const struct mf_bytes wanted = {key, key_len};
	struct mf_tree_entry old;
	enum mf_status status = mf_tree_remove(&mf_attr_ops, attrs, mf_bytes_prefix(key, key_len), &wanted, &old);
	if (status)
		return status;
	mf_str_unref((struct mf_str *)old.key);
	*out_old = old.item;
	return MF_OK;
}

void mf_attrs_visit(const struct mf_tree *attrs, mf_member_visit *visit, void *user)
{
	struct mf_tree_iter iter;
	mf_tree_iterate(&iter, attrs, 0);
	for (const struct mf_tree_entry *entry; (entry = mf_tree_next(&iter));) {
		const struct mf_str *key = entry->key;
		if (!visit(user, key->bytes, key->len, entry->item))
			return;
	}
}

/* ---- checks ---- */

int mf_show_len(const char *bytes, size_t len)
{
	if (!mf_utf8_valid(bytes, len))
		return 0;
	if (len <= 64)
		return (int)len;
	int cut = 64;
	while (!mf_utf8_is_lead(bytes[cut])) /* it is valid: the first byte is one */
		cut--;
	return cut;
}

static enum mf_status check_text(const char *what, const char *bytes, size_t len, struct mf_error *error)
{
	if (!mf_utf8_valid(bytes, len))
		return mf_error_set(error, MF_ERR_INVALID, "%s is not valid UTF-8", what);
	if (len && memchr(bytes, 0, len))
		return mf_error_set(error, MF_ERR_INVALID, "%s contains U+0000", what);
	return MF_OK;
}

enum mf_status mf_check_name(const char *what, const char *bytes, size_t len, struct mf_error *error)
{
	if (len < 1 || len > MF_ID_MAX)
		return mf_error_set(error, MF_ERR_INVALID, "%s is %zu bytes long; it must have 1 to %d", what, len, MF_ID_MAX);
	return check_text(what, bytes, len, error);
}

enum mf_status mf_check_attr(const char *key, size_t key_len, const struct mf_value *value, struct mf_error *error)
{
	enum mf_status status = check_text("attribute key", key, key_len, error);
	if (status)
		return status;
	if (value && mf_value_depth(value) > MF_DEPTH_MAX)
		return mf_error_set(error, MF_ERR_INVALID, "attribute \"%.*s\" is nested deeper than %d", MF_SHOW(key, key_len), MF_DEPTH_MAX);
	return MF_OK;
}

enum mf_status mf_check_mark(const char *type, size_t type_len, const struct mf_value *attrs, struct mf_error *error)
{
	enum mf_status status = mf_check_name("mark type", type, type_len, error);
	if (status || !attrs)
		return status;
	if (mf_value_kind(attrs) != MF_VALUE_OBJECT)
		return mf_error_set(error, MF_ERR_INVALID, "attributes of mark \"%.*s\" are not an object", MF_SHOW(type, type_len));
	if (mf_value_depth(attrs) > MF_DEPTH_MAX)
		return mf_error_set(error, MF_ERR_INVALID, "attributes of mark \"%.*s\" are nested deeper than %d", MF_SHOW(type, type_len), MF_DEPTH_MAX);
	return MF_OK;
}
