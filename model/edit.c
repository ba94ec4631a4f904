/* Edits: the checks of each change, then the change.
 *
 * An edit is a document that nobody else sees yet. A call that changes more than one record keeps the old
 * root of the map while it changes the new one, so a failure at any point goes back to it: nothing to undo
 * by hand, and the cost is that of the paths copied. Everything that the caller gets is made before the change. */
#include <moduforge/doc.h>

#include "model/fragment.h"
#include "model/mem.h"
#include "model/place.h"
#include "model/records.h"

#define TEXT "text"
#define TEXT_LEN (sizeof(TEXT) - 1)

struct mf_edit {
	struct mf_doc doc; /* first: a finished edit is its document */
};

/* ---- life cycle ---- */

enum mf_status mf_edit_begin(const struct mf_doc *doc, struct mf_edit **out)
{
	struct mf_edit *edit = mf_malloc(sizeof(*edit));
	if (!edit)
		return MF_ERR_NO_MEMORY;
	atomic_init(&edit->doc.ref, 1);
	edit->doc.nodes = mf_seq_ref(doc->nodes);
	*out = edit;
	return MF_OK;
}

struct mf_doc *mf_edit_end(struct mf_edit *edit)
{
	return &edit->doc;
}

enum mf_status mf_edit_finish(struct mf_edit *edit, struct mf_doc **out)
{
	*out = mf_edit_end(edit);
	return MF_OK;
}

void mf_edit_drop(struct mf_edit *edit)
{
	if (edit)
		mf_doc_unref(&edit->doc);
}

const struct mf_doc *mf_edit_doc(const struct mf_edit *edit)
{
	return &edit->doc;
}

/* ---- before and after each change ---- */

/* Takes before, the map as it was. */
static enum mf_status settle(struct mf_edit *edit, struct mf_seq *before, enum mf_status status, struct mf_error *error)
{
	if (!status) {
		mf_seq_unref(&mf_node_items, before);
		return MF_OK;
	}
	mf_seq_unref(&mf_node_items, edit->doc.nodes);
	edit->doc.nodes = before;
	return mf_error_set(error, status, "no memory to change the document");
}

/* NULL with MF_ERR_INVALID in error. */
static const struct mf_node *find(const struct mf_edit *edit, const char *id, size_t id_len, struct mf_error *error)
{
	const struct mf_bytes key = {id, id_len};
	size_t index;
	const struct mf_node *node = mf_nodes_find(edit->doc.nodes, &key, mf_str_hash(id, id_len), &index);
	if (!node)
		mf_error_set(error, MF_ERR_INVALID, "the document has no node \"%.*s\"", MF_SHOW(id, id_len));
	return node;
}

static const struct mf_node *find_below_root(const struct mf_edit *edit, const char *id, size_t id_len, struct mf_error *error)
{
	const struct mf_node *node = find(edit, id, id_len, error);
	if (!node || node->parent)
		return node;
	mf_error_set(error, MF_ERR_INVALID, "the root node can be neither deleted nor moved");
	return NULL;
}

static enum mf_status check_index(const struct mf_node *parent, size_t count, size_t *index, struct mf_error *error)
{
	if (*index == MF_APPEND)
		*index = count;
	if (*index > count)
		return mf_error_set(error, MF_ERR_INVALID, "index %zu is out of range: node \"%.*s\" has %zu children", *index,
				    MF_SHOW(parent->id->bytes, parent->id->len), count);
	return MF_OK;
}

/* Would a subtree of this height be too deep under parent? The root's height is a bound that is at hand. */
static enum mf_status check_depth(const struct mf_edit *edit, const struct mf_node *parent, uint32_t height, struct mf_error *error)
{
	uint32_t depth = 0;
	if (mf_doc_root(&edit->doc)->height + height <= MF_DEPTH_MAX)
		return MF_OK;
	for (const struct mf_node *node = parent; node; node = mf_doc_parent(&edit->doc, node))
		depth++;
	if (depth + height > MF_DEPTH_MAX)
		return mf_error_set(error, MF_ERR_INVALID, "under node \"%.*s\" the tree would be %u deep, at most %d is allowed",
				    MF_SHOW(parent->id->bytes, parent->id->len), depth + height, MF_DEPTH_MAX);
	return MF_OK;
}

static enum mf_status parent_value(const struct mf_node *node, struct mf_value **out_parent, struct mf_value **out, struct mf_error *error)
{
	*out = NULL;
	return out_parent ? mf_value_new_string(node->parent->bytes, node->parent->len, out, error) : MF_OK;
}

/* ---- insert ---- */

static enum mf_status check_insert(const struct mf_edit *edit, const struct mf_node *parent, size_t *index, const struct mf_fragment *fragment, struct mf_error *error)
{
	enum mf_status status = check_index(parent, mf_node_child_count(parent), index, error);
	if (status)
		return status;
	for (size_t i = 0; i < fragment->count; i++) {
		const struct mf_str *id = fragment->nodes[i].parts.id;
		size_t place; /* unused: it says that a change is coming */
		if (mf_nodes_find_str(edit->doc.nodes, id, &place))
			return mf_error_set(error, MF_ERR_INVALID, "the document already has a node \"%.*s\"", MF_SHOW(id->bytes, id->len));
	}
	return check_depth(edit, parent, fragment->height, error);
}

static enum mf_status insert(struct mf_doc *doc, const struct mf_str *parent, size_t index, const struct mf_fragment *fragment)
{
	struct mf_seq_entry *records;
	enum mf_status status = mf_records_from_fragment(fragment, &records);
	if (status)
		return status;
	status = mf_place_attach(doc, parent, index, mf_entry_node(&records[0]));
	if (!status)
		status = mf_records_add(&doc->nodes, records, fragment->count);
	mf_records_free(records, fragment->count);
	return status;
}

enum mf_status mf_edit_insert(struct mf_edit *edit, const char *parent_id, size_t parent_len, size_t index, const struct mf_fragment *fragment, struct mf_error *error)
{
	const struct mf_node *parent = find(edit, parent_id, parent_len, error);
	if (!parent)
		return MF_ERR_INVALID;
	enum mf_status status = check_insert(edit, parent, &index, fragment, error);
	if (status)
		return status;
	struct mf_seq *before = mf_seq_ref(edit->doc.nodes);
	return settle(edit, before, insert(&edit->doc, parent->id, index, fragment), error);
}

/* ---- remove ---- */

static enum mf_status remove_subtree(struct mf_doc *doc, const struct mf_node *node, const struct mf_fragment *fragment)
{
	enum mf_status status = mf_place_detach(doc, node);
	for (size_t i = 0; !status && i < fragment->count; i++) {
		size_t index = 0;
		struct mf_seq_entry old = {0};
		mf_nodes_find_str(doc->nodes, fragment->nodes[i].parts.id, &index);
		status = mf_seq_remove(&mf_node_items, &doc->nodes, index, &old);
		mf_node_unref(mf_entry_node(&old));
	}
	return status;
}

enum mf_status mf_edit_remove(struct mf_edit *edit, const char *id, size_t id_len, struct mf_fragment **out_fragment, struct mf_value **out_parent, size_t *out_index,
			      struct mf_error *error)
{
	struct mf_fragment *fragment = NULL;
	struct mf_value *parent;
	const struct mf_node *node = find_below_root(edit, id, id_len, error);
	if (!node)
		return MF_ERR_INVALID;
	if (mf_fragment_from_node(&edit->doc, node, &fragment))
		return mf_error_set(error, MF_ERR_NO_MEMORY, "no memory to change the document");
	size_t index = mf_doc_index(&edit->doc, node);
	enum mf_status status = parent_value(node, out_parent, &parent, error);
	if (!status) {
		struct mf_seq *before = mf_seq_ref(edit->doc.nodes);
		status = settle(edit, before, remove_subtree(&edit->doc, node, fragment), error);
	}
	if (status) {
		mf_fragment_unref(fragment);
		mf_value_unref(parent);
		return status;
	}
	if (out_fragment)
		*out_fragment = fragment;
	else
		mf_fragment_unref(fragment);
	if (out_parent)
		*out_parent = parent;
	if (out_index)
		*out_index = index;
	return MF_OK;
}

/* ---- move ---- */

static enum mf_status check_not_below(const struct mf_edit *edit, const struct mf_node *node, const struct mf_node *parent, struct mf_error *error)
{
	const struct mf_node *at = parent;
	while (at && at != node)
		at = node->height > 1 ? mf_doc_parent(&edit->doc, at) : NULL; /* nothing is below a leaf */
	if (at)
		return mf_error_set(error, MF_ERR_INVALID, "node \"%.*s\" cannot be moved under itself", MF_SHOW(node->id->bytes, node->id->len));
	return MF_OK;
}

static enum mf_status check_move(const struct mf_edit *edit, const struct mf_node *node, const struct mf_node *parent, size_t *index, struct mf_error *error)
{
	bool same_parent = mf_str_is(node->parent, parent->id->bytes, parent->id->len);
	enum mf_status status = check_not_below(edit, node, parent, error);
	if (!status)
		status = check_index(parent, mf_node_child_count(parent) - same_parent, index, error);
	return status ? status : check_depth(edit, parent, node->height, error);
}

static enum mf_status move(struct mf_doc *doc, const struct mf_str *id, const struct mf_str *parent, size_t index)
{
	struct mf_node *node;
	enum mf_status status = mf_place_own(doc, id, &node);
	if (!status)
		status = mf_place_detach(doc, node);
	return status ? status : mf_place_attach(doc, parent, index, node);
}

enum mf_status mf_edit_move(struct mf_edit *edit, const char *id, size_t id_len, const char *parent_id, size_t parent_len, size_t index, struct mf_value **out_old_parent,
			    size_t *out_old_index, struct mf_error *error)
{
	struct mf_value *old_parent;
	const struct mf_node *node = find_below_root(edit, id, id_len, error);
	const struct mf_node *parent = node ? find(edit, parent_id, parent_len, error) : NULL;
	if (!parent)
		return MF_ERR_INVALID;
	enum mf_status status = check_move(edit, node, parent, &index, error);
	if (!status)
		status = parent_value(node, out_old_parent, &old_parent, error);
	if (status)
		return status;
	size_t old_index = out_old_index ? mf_doc_index(&edit->doc, node) : 0;
	struct mf_seq *before = mf_seq_ref(edit->doc.nodes);
	status = settle(edit, before, move(&edit->doc, node->id, parent->id, index), error);
	if (status) {
		mf_value_unref(old_parent);
		return status;
	}
	if (out_old_parent)
		*out_old_parent = old_parent;
	if (out_old_index)
		*out_old_index = old_index;
	return MF_OK;
}

/* ---- attributes and marks ---- */

/* One member of a node's attributes or marks; value NULL takes it away. */
struct member {
	bool mark;
	const char *key;
	size_t key_len;
	const struct mf_value *value;
};

/* Needs no way back: a record that is owned reads as before, and the change of its members is all or nothing. */
static enum mf_status put_member(struct mf_doc *doc, const struct mf_str *id, const struct member *member, struct mf_value **out_old)
{
	struct mf_node *node;
	enum mf_status status = mf_place_own(doc, id, &node);
	if (status)
		return status;
	struct mf_tree **members = member->mark ? &node->marks : &node->attrs;
	if (!member->value)
		return mf_attrs_remove(members, member->key, member->key_len, out_old);
	return mf_attrs_put(members, member->key, member->key_len, member->value, out_old);
}

static enum mf_status set_member(struct mf_edit *edit, const struct mf_node *node, const struct member *member, struct mf_value **out_old, struct mf_error *error)
{
	struct mf_value *old = NULL;
	if (member->value || mf_attrs_get(member->mark ? node->marks : node->attrs, member->key, member->key_len)) {
		enum mf_status status = put_member(&edit->doc, node->id, member, &old);
		if (status)
			return mf_error_set(error, status, "no memory to change the document");
	}
	if (out_old)
		*out_old = old;
	else
		mf_value_unref(old);
	return MF_OK;
}

enum mf_status mf_edit_set_attr(struct mf_edit *edit, const char *id, size_t id_len, const char *key, size_t key_len, const struct mf_value *value, struct mf_value **out_old,
				struct mf_error *error)
{
	const struct member member = {false, key, key_len, value};
	const struct mf_node *node = find(edit, id, id_len, error);
	if (!node)
		return MF_ERR_INVALID;
	enum mf_status status = mf_check_attr(key, key_len, value, error);
	return status ? status : set_member(edit, node, &member, out_old, error);
}

enum mf_status mf_edit_set_mark(struct mf_edit *edit, const char *id, size_t id_len, const char *type, size_t type_len, const struct mf_value *attrs, struct mf_value **out_old,
				struct mf_error *error)
{
	const struct member member = {true, type, type_len, attrs};
	const struct mf_node *node = find(edit, id, id_len, error);
	if (!node)
		return MF_ERR_INVALID;
	enum mf_status status = mf_check_mark(type, type_len, attrs, error);
	return status ? status : set_member(edit, node, &member, out_old, error);
}

/* ---- text ---- */

static enum mf_status splice(const struct mf_node *node, size_t pos, size_t del, const struct mf_value *insert_text, struct mf_value **out, struct mf_value **out_deleted,
			     struct mf_error *error)
{
	const struct mf_value *text = mf_attrs_get(node->attrs, TEXT, TEXT_LEN);
	enum mf_status status = MF_OK;
	if (!text || mf_value_kind(text) != MF_VALUE_STRING)
		status = mf_error_set(error, MF_ERR_INVALID, "attribute \"" TEXT "\" is %s", text ? "not a string" : "missing");
	else if (!insert_text || mf_value_kind(insert_text) != MF_VALUE_STRING)
		status = mf_error_set(error, MF_ERR_INVALID, "the text to insert is not a string");
	else
		status = mf_value_string_splice(text, pos, del, insert_text, out, out_deleted, error);
	return status ? mf_error_prefix(error, status, "node \"%.*s\"", MF_SHOW(node->id->bytes, node->id->len)) : MF_OK;
}

enum mf_status mf_edit_replace_text(struct mf_edit *edit, const char *id, size_t id_len, size_t pos, size_t del, const struct mf_value *insert_text,
				    struct mf_value **out_deleted, struct mf_error *error)
{
	struct mf_value *text = NULL, *deleted = NULL;
	const struct mf_node *node = find(edit, id, id_len, error);
	if (!node)
		return MF_ERR_INVALID;
	enum mf_status status = splice(node, pos, del, insert_text, &text, out_deleted ? &deleted : NULL, error);
	if (status)
		return status;
	const struct member member = {false, TEXT, TEXT_LEN, text};
	status = set_member(edit, node, &member, NULL, error);
	mf_value_unref(text);
	if (status)
		mf_value_unref(deleted);
	else if (out_deleted)
		*out_deleted = deleted;
	return status;
}
