/* An edit finds the chunks that it touches, joins what stays of them with the new text, cuts that anew into
 * even pieces, and puts these in place of the chunks. */
#include "model/text.h"

#include <string.h>
#include <moduforge/value.h>

#include "model/mem.h"
#include "model/utf8.h"

/* What an even cut aims at. Moving a cut back to the start of a code point adds at most 3 bytes to a piece. */
#define CUT_TARGET (MF_TEXT_CHUNK_MAX - 4)
#define FEW 8 /* pieces and bytes that need no allocation for the work itself */
#define FEW_BYTES (FEW * CUT_TARGET)

struct chunk {
	atomic_uint refs;
	unsigned len;
	char bytes[];
};

static void ref_chunk(const struct mf_tree_entry *entry)
{
	struct chunk *chunk = entry->item;
	atomic_fetch_add_explicit(&chunk->refs, 1, memory_order_relaxed);
}

static void unref_chunk(const struct mf_tree_entry *entry)
{
	struct chunk *chunk = entry->item;
	if (atomic_fetch_sub_explicit(&chunk->refs, 1, memory_order_acq_rel) == 1)
		mf_free(chunk);
}

static const struct mf_tree_ops chunk_ops = {.kind = MF_TREE_SUM, .ref = ref_chunk, .unref = unref_chunk};

void mf_text_unref(struct mf_tree *text)
{
	mf_tree_unref(&chunk_ops, text);
}

/* ---- making chunks ---- */

static enum mf_status make_chunk(const char *bytes, size_t len, struct mf_tree_entry *out)
{
	struct chunk *chunk = mf_malloc(sizeof(*chunk) + len);
	if (!chunk)
		return MF_ERR_NO_MEMORY;
	atomic_init(&chunk->refs, 1);
	chunk->len = (unsigned)len;
	memcpy(chunk->bytes, bytes, len);
	*out = (struct mf_tree_entry){.sum = mf_utf8_count(bytes, len), .sum2 = len, .item = chunk};
	return MF_OK;
}

static size_t pieces_of(size_t len)
{
	return len / CUT_TARGET + (len % CUT_TARGET != 0);
}

/* Where piece number k of count begins. */
static size_t cut_at(const char *bytes, size_t len, size_t count, size_t k)
{
	size_t extra = len % count;
	size_t at = k * (len / count) + (k < extra ? k : extra);
	while (at < len && !mf_utf8_is_lead(bytes[at])) /* the first byte is one */
		at--;
	return at;
}

static void unref_entries(const struct mf_tree_entry *entries, size_t count)
{
	for (size_t i = 0; i < count; i++)
		unref_chunk(&entries[i]);
}

/* Cut into entries[0..count). */
static enum mf_status cut(const char *bytes, size_t len, struct mf_tree_entry *entries, size_t count)
{
	size_t from = 0;
	for (size_t i = 0; i < count; i++) {
		size_t to = cut_at(bytes, len, count, i + 1);
		enum mf_status status = make_chunk(bytes + from, to - from, &entries[i]);
		if (status != MF_OK) {
			unref_entries(entries, i);
			return status;
		}
		from = to;
	}
	return MF_OK;
}

static enum mf_status build(const char *bytes, size_t len, struct mf_tree_entry *entries, size_t count, struct mf_tree **out)
{
	enum mf_status status = cut(bytes, len, entries, count);
	if (status != MF_OK)
		return status;
	status = mf_tree_build(&chunk_ops, entries, count, out);
	if (status != MF_OK)
		unref_entries(entries, count);
	return status;
}

enum mf_status mf_text_new(const char *bytes, size_t len, struct mf_tree **out)
{
	struct mf_tree_entry few[FEW];
	size_t count = pieces_of(len);
	if (count == 0) {
		*out = NULL;
		return MF_OK;
	}
	if (count <= FEW)
		return build(bytes, len, few, count, out);
	struct mf_tree_entry *entries = mf_calloc(count, sizeof(*entries));
	if (!entries)
		return MF_ERR_NO_MEMORY;
	enum mf_status status = build(bytes, len, entries, count, out);
	mf_free(entries);
	return status;
}

/* ---- splice ---- */

/* Chunks [first, end) of the tree, which hold bytes [from, to) of the text. */
struct region {
	size_t first, end, from, to;
};

static size_t chunk_len(const struct mf_tree *text, size_t index)
{
	const struct chunk *chunk = mf_tree_at(text, index)->item;
	return chunk->len;
}

/* The chunks that hold bytes [from, to); for an empty range the one it lies in or behind. */
static struct region find_region(const struct mf_tree *text, size_t from, size_t to)
{
	struct region region = {0};
	size_t bytes = mf_text_bytes(text);
	uint64_t offset;
	if (bytes == 0)
		return region;
	region.first = mf_tree_locate2(text, from < bytes ? from : bytes - 1, &offset);
	region.from = from < bytes ? from - (size_t)offset : bytes - 1 - (size_t)offset;
	size_t last = region.first;
	if (to > from)
		last = mf_tree_locate2(text, to - 1, &offset);
	region.end = last + 1;
	region.to = to > from ? to - 1 - (size_t)offset + chunk_len(text, last) : region.from + chunk_len(text, last);
	return region;
}

/* Too little would be left: take a neighbour in. */
static void widen(const struct mf_tree *text, struct region *region)
{
	if (region->first > 0)
		region->from -= chunk_len(text, --region->first);
	else if (region->end < mf_tree_count(text))
		region->to += chunk_len(text, region->end++);
}

/* middle is taken on success. */
static enum mf_status put_between(struct mf_tree **text, const struct region *region, struct mf_tree **middle)
{
	struct mf_tree *left = NULL, *old = NULL, *right = NULL, *rest = NULL, *joined = NULL;
	enum mf_status status = mf_tree_split(&chunk_ops, text, region->first, &left, &rest);
	if (status == MF_OK)
		status = mf_tree_split(&chunk_ops, &rest, region->end - region->first, &old, &right);
	if (status == MF_OK)
		status = mf_tree_concat(&chunk_ops, &left, middle, &joined);
	if (status == MF_OK)
		status = mf_tree_concat(&chunk_ops, &joined, &right, text);
	mf_text_unref(left);
	mf_text_unref(old);
	mf_text_unref(right);
	mf_text_unref(rest);
	mf_text_unref(joined);
	return status;
}

/* *text gets the chunks of region replaced by bytes; on failure it may be gone (NULL). */
static enum mf_status replace(struct mf_tree **text, const struct region *region, const char *bytes, size_t len)
{
	enum mf_status status;
	if (region->end - region->first == 1 && pieces_of(len) == 1) {
		struct mf_tree_entry entry;
		status = make_chunk(bytes, len, &entry);
		if (status != MF_OK)
			return status;
		status = mf_tree_replace_at(&chunk_ops, text, region->first, &entry, NULL);
		if (status != MF_OK)
			unref_chunk(&entry);
		return status;
	}
	struct mf_tree *middle = NULL;
	status = mf_text_new(bytes, len, &middle);
	if (status == MF_OK)
		status = put_between(text, region, &middle);
	if (status != MF_OK)
		mf_text_unref(middle);
	return status;
}

enum mf_status mf_text_splice(const struct mf_tree *text, size_t pos, size_t del, const char *insert, size_t insert_len, struct mf_tree **out)
{
	size_t from = mf_text_offset(text, pos), to = mf_text_offset(text, pos + del);
	struct region region = find_region(text, from, to);
	if (region.to - region.from - (to - from) + insert_len < MF_TEXT_CHUNK_MIN)
		widen(text, &region);
	size_t head = from - region.from, tail = region.to - to, len = head + insert_len + tail;
	char few[FEW_BYTES];
	char *bytes = len <= sizeof(few) ? few : mf_malloc(len);
	if (!bytes)
		return MF_ERR_NO_MEMORY;
	mf_text_copy(text, region.from, head, bytes);
	if (insert_len > 0)
		memcpy(bytes + head, insert, insert_len);
	mf_text_copy(text, to, tail, bytes + head + insert_len);
	struct mf_tree *copy = mf_tree_ref(text);
	enum mf_status status = replace(&copy, &region, bytes, len);
	if (bytes != few)
		mf_free(bytes);
	if (status == MF_OK)
		*out = copy;
	else
		mf_text_unref(copy);
	return status;
}

/* ---- queries ---- */

size_t mf_text_offset(const struct mf_tree *text, size_t pos)
{
	size_t offset = 0;
	while (text) {
		size_t left = mf_text_code_points(text->left), right = mf_text_code_points(text->right);
		if (pos < left) {
			text = text->left;
			continue;
		}
		offset += mf_text_bytes(text->left);
		pos -= left;
		const struct chunk *chunk = text->entry.item;
		size_t own = (size_t)text->entry.sum - left - right;
		if (pos <= own)
			return offset + (own == chunk->len ? pos : mf_utf8_offset(chunk->bytes, chunk->len, pos));
		offset += chunk->len;
		pos -= own;
		text = text->right;
	}
	return offset;
}

void mf_text_copy(const struct mf_tree *text, size_t from, size_t len, char *buffer)
{
	if (len == 0)
		return;
	uint64_t skip;
	struct mf_tree_iter iter;
	mf_tree_iterate(&iter, text, mf_tree_locate2(text, from, &skip));
	for (; len > 0; skip = 0) {
		const struct chunk *chunk = mf_tree_next(&iter)->item;
		size_t part = chunk->len - (size_t)skip;
		if (part > len)
			part = len;
		memcpy(buffer, chunk->bytes + skip, part);
		buffer += part;
		len -= part;
	}
}

void mf_text_pieces(const struct mf_tree *text, bool (*visit)(void *user, const char *bytes, size_t len), void *user)
{
	struct mf_tree_iter iter;
	mf_tree_iterate(&iter, text, 0);
	for (const struct mf_tree_entry *entry; (entry = mf_tree_next(&iter));) {
		const struct chunk *chunk = entry->item;
		if (!visit(user, chunk->bytes, chunk->len))
			return;
	}
}

bool mf_text_is_valid(const struct mf_tree *text)
{
	if (!mf_tree_is_valid(&chunk_ops, text))
		return false;
	size_t count = mf_tree_count(text);
	for (size_t i = 0; i < count; i++) {
		struct mf_tree_entry entry = mf_tree_item(text, i);
		const struct chunk *chunk = entry.item;
		bool size_fits = chunk->len <= MF_TEXT_CHUNK_MAX && (chunk->len >= MF_TEXT_CHUNK_MIN || count == 1);
		if (!size_fits || entry.sum2 != chunk->len || entry.sum != mf_utf8_count(chunk->bytes, chunk->len) || !mf_utf8_valid(chunk->bytes, chunk->len))
			return false;
	}
	return true;
}
