/* pack_doc.c - fragments and documents in the compact form.
 *
 * Flat in the dimension of nodes, so that reading needs neither recursion nor trust in nesting:
 * one array of 5 items a node, the nodes in preorder.
 *
 *   item   form   what
 *   1      str    id
 *   2      str    type
 *   3      map    attributes: str key -> value, in key order
 *   4      map    marks: str type -> map of attributes, by type
 *   5      uint   number of children; they follow, each with its own subtree
 *
 * A document is the fragment of its root: the root may have attributes and marks too. */
#include "model/pack.h"

#include "model/fragment.h"
#include "model/pack_read.h"

#define ITEMS_A_NODE 5

/* ---- writing ---- */
struct writer {
	struct mf_buffer *out;
	enum mf_status status;
};

static bool write_member(void *user, const char *key, size_t key_len, const struct mf_value *value)
{
	struct writer *writer = user;
	writer->status = mf_pack_str(writer->out, key, key_len);
	if (writer->status == MF_OK)
		writer->status = mf_pack_value(writer->out, value);
	return writer->status == MF_OK;
}

enum mf_status mf_pack_members(struct mf_buffer *out, const struct mf_tree *members)
{
	struct writer writer = {.out = out, .status = mf_pack_map(out, (uint32_t)mf_tree_count(members))};
	if (writer.status == MF_OK)
		mf_attrs_visit(members, write_member, &writer);
	return writer.status;
}

static void write_node(struct writer *writer, const struct mf_node_parts *parts, size_t child_count)
{
	writer->status = mf_pack_str(writer->out, parts->id->bytes, parts->id->len);
	if (writer->status == MF_OK)
		writer->status = mf_pack_str(writer->out, parts->type->bytes, parts->type->len);
	if (writer->status == MF_OK)
		writer->status = mf_pack_members(writer->out, parts->attrs);
	if (writer->status == MF_OK)
		writer->status = mf_pack_members(writer->out, parts->marks);
	if (writer->status == MF_OK)
		writer->status = mf_pack_uint(writer->out, child_count);
}

static struct writer begin(struct mf_buffer *out, size_t node_count)
{
	if (node_count > UINT32_MAX / ITEMS_A_NODE)
		return (struct writer){.out = out, .status = MF_ERR_NO_MEMORY};
	return (struct writer){.out = out, .status = mf_pack_array(out, (uint32_t)node_count * ITEMS_A_NODE)};
}

enum mf_status mf_pack_fragment(struct mf_buffer *out, const struct mf_fragment *fragment)
{
	size_t count = mf_fragment_node_count(fragment);
	struct writer writer = begin(out, count);
	for (size_t i = 0; writer.status == MF_OK && i < count; i++) {
		const struct mf_fragment_node *node = mf_fragment_node(fragment, i);
		write_node(&writer, &node->parts, node->child_count);
	}
	return writer.status;
}

struct doc_writer {
	struct writer writer;
	const struct mf_doc *doc;
};

/* Recursion is bounded by the depth of a document, MF_DEPTH_MAX. */
static bool write_subtree(void *user, const struct mf_node *node)
{
	struct doc_writer *walk = user;
	struct mf_node_parts parts = {.id = node->id, .type = node->type, .attrs = node->attrs, .marks = node->marks};
	write_node(&walk->writer, &parts, mf_node_child_count(node));
	if (walk->writer.status == MF_OK)
		mf_doc_children(walk->doc, node, write_subtree, walk);
	return walk->writer.status == MF_OK;
}

enum mf_status mf_pack_doc(struct mf_buffer *out, const struct mf_doc *doc)
{
	struct doc_writer walk = {.writer = begin(out, mf_doc_node_count(doc)), .doc = doc};
	if (walk.writer.status == MF_OK)
		write_subtree(&walk, mf_doc_root(doc));
	return walk.writer.status;
}

/* ---- reading ---- */
struct reader {
	struct mf_unpack in;
	struct mf_value_stack values;
	struct mf_fragment_builder builder;
	uint64_t missing[MF_DEPTH_MAX]; /* children still to come, of each open node */
	unsigned depth;
};

typedef enum mf_status add_member(struct mf_fragment_builder *builder, const char *key, size_t key_len, const struct mf_value *value, struct mf_error *error);

static enum mf_status read_member(struct reader *reader, add_member *add)
{
	const char *key;
	size_t key_len;
	struct mf_value *value;
	enum mf_status status = mf_unpack_str(&reader->in, &key, &key_len);
	if (status == MF_OK)
		status = mf_unpack_next_value(&reader->values, &reader->in, &value);
	if (status != MF_OK)
		return status;
	status = add(&reader->builder, key, key_len, value, NULL);
	mf_value_unref(value);
	return status;
}

static enum mf_status read_members(struct reader *reader, add_member *add)
{
	uint32_t count;
	enum mf_status status = mf_unpack_map(&reader->in, &count);
	for (uint32_t i = 0; status == MF_OK && i < count; i++)
		status = read_member(reader, add);
	return status;
}

static void close_finished(struct reader *reader)
{
	while (reader->depth > 0 && reader->missing[reader->depth - 1] == 0) {
		reader->depth--;
		mf_fragment_builder_close(&reader->builder);
	}
}

static enum mf_status read_node(struct reader *reader)
{
	struct mf_bytes id, type;
	uint64_t child_count;
	enum mf_status status = mf_unpack_str(&reader->in, &id.bytes, &id.len);
	if (status == MF_OK)
		status = mf_unpack_str(&reader->in, &type.bytes, &type.len);
	if (status == MF_OK)
		status = mf_fragment_builder_open(&reader->builder, &id, &type, NULL);
	if (status == MF_OK)
		status = read_members(reader, mf_fragment_builder_attr);
	if (status == MF_OK)
		status = read_members(reader, mf_fragment_builder_mark);
	if (status == MF_OK)
		status = mf_unpack_uint(&reader->in, &child_count);
	if (status != MF_OK)
		return status;

	if (reader->depth > 0)
		reader->missing[reader->depth - 1]--;
	reader->missing[reader->depth++] = child_count; /* the builder refused a node that is too deep */
	close_finished(reader);
	return MF_OK;
}

static enum mf_status read_fragment(struct reader *reader, struct mf_fragment **out)
{
	uint32_t items;
	enum mf_status status = mf_unpack_array(&reader->in, &items);
	if (status != MF_OK)
		return status;
	if (items == 0 || items % ITEMS_A_NODE != 0)
		return MF_ERR_CORRUPTED;
	for (uint32_t left = items / ITEMS_A_NODE; left > 0; left--) {
		status = read_node(reader);
		if (status != MF_OK)
			return status;
		if (reader->depth == 0 && left > 1)
			return MF_ERR_CORRUPTED;
	}
	return mf_fragment_builder_finish(&reader->builder, out, NULL);
}

enum mf_status mf_unpack_fragment(struct mf_unpack *in, struct mf_fragment **out)
{
	struct reader reader = {.in = *in};
	mf_fragment_builder_init(&reader.builder);
	enum mf_status status = mf_unpack_status(read_fragment(&reader, out));
	mf_fragment_builder_deinit(&reader.builder);
	mf_value_stack_deinit(&reader.values);
	if (status == MF_OK)
		*in = reader.in;
	return status;
}

enum mf_status mf_unpack_doc(struct mf_unpack *in, struct mf_doc **out)
{
	struct mf_unpack ahead = *in;
	struct mf_fragment *fragment;
	enum mf_status status = mf_unpack_fragment(&ahead, &fragment);
	if (status != MF_OK)
		return status;
	status = mf_unpack_status(mf_doc_from_fragment(fragment, out, NULL));
	mf_fragment_unref(fragment);
	if (status == MF_OK)
		*in = ahead;
	return status;
}
