/* canonical.c - the one text of a document, and the digest of exactly these bytes.
 *
 *   node   {"attrs":{...},"children":[node,...],"id":"...","marks":[mark,...],"type":"..."}
 *   mark   {"attrs":{...},"type":"..."}
 *
 * Members stand in the order of their keys' bytes, marks in the order of their types'. So
 * the text follows from the tree alone, and equal trees have equal digests. Recursion ends at
 * MF_DEPTH_MAX: no document is deeper.
 *
 * xxHash is compiled in (XXH_INLINE_ALL), so that its state lies on the stack and a digest allocates nothing. */
#define XXH_INLINE_ALL
#include <xxhash.h>

#include <string.h>

#include "model/field.h"
#include "model/json_write.h"

/* One list that is being written. */
struct list {
	struct mf_json_writer *writer;
	const struct mf_doc *doc;
	bool begun;
};

static void separate(struct list *list)
{
	if (list->begun)
		mf_json_literal(list->writer, ",");
	list->begun = true;
}

static bool write_attr(void *user, const char *key, size_t key_len, const struct mf_value *value)
{
	struct list *list = user;
	separate(list);
	mf_json_string(list->writer, key, key_len);
	mf_json_literal(list->writer, ":");
	mf_json_value(list->writer, value);
	return list->writer->status == MF_OK;
}

static bool write_mark(void *user, const char *type, size_t type_len, const struct mf_value *attrs)
{
	struct list *list = user;
	separate(list);
	mf_json_literal(list->writer, "{\"attrs\":");
	mf_json_value(list->writer, attrs);
	mf_json_literal(list->writer, ",\"type\":");
	mf_json_string(list->writer, type, type_len);
	mf_json_literal(list->writer, "}");
	return list->writer->status == MF_OK;
}

static void write_node(struct mf_json_writer *writer, const struct mf_doc *doc, const struct mf_node *node);

static bool write_child(void *user, const struct mf_node *child)
{
	struct list *list = user;
	separate(list);
	write_node(list->writer, list->doc, child);
	return list->writer->status == MF_OK;
}

static void write_node(struct mf_json_writer *writer, const struct mf_doc *doc, const struct mf_node *node)
{
	struct list attrs = {.writer = writer}, children = {.writer = writer, .doc = doc}, marks = {.writer = writer};
	size_t id_len, type_len;
	const char *id = mf_node_id(node, &id_len), *type = mf_node_type(node, &type_len);
	mf_json_literal(writer, "{\"attrs\":{");
	mf_node_attrs(node, write_attr, &attrs);
	mf_json_literal(writer, "},\"children\":[");
	mf_doc_children(doc, node, write_child, &children);
	mf_json_literal(writer, "],\"id\":");
	mf_json_string(writer, id, id_len);
	mf_json_literal(writer, ",\"marks\":[");
	mf_node_marks(node, write_mark, &marks);
	mf_json_literal(writer, "],\"type\":");
	mf_json_string(writer, type, type_len);
	mf_json_literal(writer, "}");
}

enum mf_status mf_doc_write_json(const struct mf_doc *doc, mf_sink *sink, void *user)
{
	struct mf_json_writer writer;
	mf_json_begin(&writer, sink, user);
	write_node(&writer, doc, mf_doc_root(doc));
	return mf_json_finish(&writer);
}

static enum mf_status hash(void *user, const void *bytes, size_t len)
{
	XXH3_128bits_update(user, bytes, len);
	return MF_OK;
}

void mf_digest_of_doc(const struct mf_doc *doc, struct mf_digest *out)
{
	XXH3_state_t state;
	XXH3_128bits_reset(&state);
	(void)!mf_doc_write_json(doc, hash, &state); /* hash takes whatever comes */
	XXH128_canonical_t canonical;
	XXH128_canonicalFromHash(&canonical, XXH3_128bits_digest(&state));
	memcpy(out->bytes, canonical.digest, sizeof(out->bytes));
}

enum mf_status mf_doc_digest(const struct mf_doc *doc, struct mf_digest *out)
{
	mf_digest_of_doc(doc, out);
	return MF_OK;
}

void mf_digest_of_bytes(const void *bytes, size_t len, struct mf_digest *out)
{
	XXH128_canonical_t canonical;
	XXH128_canonicalFromHash(&canonical, XXH3_128bits(bytes, len));
	memcpy(out->bytes, canonical.digest, sizeof(out->bytes));
}

void mf_digest_hex(const struct mf_digest *digest, char out[MF_DIGEST_HEX + 1])
{
	static const char hex[] = "0123456789abcdef";
	for (size_t i = 0; i < MF_DIGEST_BYTES; i++) {
		out[2 * i] = hex[digest->bytes[i] >> 4];
		out[2 * i + 1] = hex[digest->bytes[i] & 15];
	}
	out[MF_DIGEST_HEX] = '\0';
}
