/* Fragments: life cycle, and the builder that all of them come from.
 *
 * The builder trusts nobody: steps read from disk and JSON from users pass through it. */
#include "model/fragment.h"

#include <stdlib.h>
#include <string.h>

#include "model/mem.h"

#define FIRST_CAPACITY 4
#define TYPES_TO_SHARE 4 /* how far back a type is looked for, to share its string */

static void parts_unref(const struct mf_node_parts *parts)
{
	mf_str_unref(parts->id);
	mf_str_unref(parts->type);
	mf_tree_unref(&mf_attr_ops, parts->attrs);
	mf_tree_unref(&mf_attr_ops, parts->marks);
}

static void release(struct mf_fragment *fragment)
{
	for (size_t i = 0; i < fragment->count; i++)
		parts_unref(&fragment->nodes[i].parts);
	mf_free(fragment);
}

struct mf_fragment *mf_fragment_ref(const struct mf_fragment *fragment)
{
	struct mf_fragment *same = (struct mf_fragment *)fragment;
	atomic_fetch_add_explicit(&same->ref, 1, memory_order_relaxed);
	return same;
}

void mf_fragment_unref(struct mf_fragment *fragment)
{
	if (!fragment || atomic_fetch_sub_explicit(&fragment->ref, 1, memory_order_acq_rel) != 1)
		return;
	release(fragment);
}

size_t mf_fragment_node_count(const struct mf_fragment *fragment)
{
	return fragment->count;
}

const char *mf_fragment_id(const struct mf_fragment *fragment, size_t *out_len)
{
	const struct mf_str *id = fragment->nodes[0].parts.id;
	if (out_len)
		*out_len = id->len;
	return id->bytes;
}

/* ---- the builder's two arrays ---- */

void mf_fragment_builder_init(struct mf_fragment_builder *builder)
{
	memset(builder, 0, sizeof(*builder));
}

void mf_fragment_builder_deinit(struct mf_fragment_builder *builder)
{
	if (builder->fragment)
		release(builder->fragment);
	mf_free(builder->slots);
	mf_fragment_builder_init(builder);
}

static bool resize(struct mf_fragment_builder *builder, size_t capacity)
{
	struct mf_fragment *larger = mf_realloc(builder->fragment, sizeof(*larger) + capacity * sizeof(larger->nodes[0]));
	if (!larger)
		return false;
	if (!builder->fragment) {
		atomic_init(&larger->ref, 1);
		larger->height = 0;
		larger->count = 0;
	}
	builder->fragment = larger;
	builder->capacity = capacity;
	return true;
}

static size_t node_count(const struct mf_fragment_builder *builder)
{
	return builder->fragment ? builder->fragment->count : 0;
}

bool mf_fragment_builder_reserve(struct mf_fragment_builder *builder, size_t more)
{
	size_t needed = node_count(builder) + more;
	if (needed <= builder->capacity)
		return true;
	size_t doubled = builder->capacity ? 2 * builder->capacity : FIRST_CAPACITY;
	return resize(builder, needed > doubled ? needed : doubled);
}

static const struct mf_str *id_at(const struct mf_fragment_builder *builder, size_t index)
{
	return builder->fragment->nodes[index].parts.id;
}

/* The slot of id, or the free one where it belongs. There is always a free one. */
static size_t *slot_of(const struct mf_fragment_builder *builder, const char *id, size_t len, uint64_t hash)
{
	for (size_t at = hash & (builder->slot_count - 1);; at = (at + 1) & (builder->slot_count - 1)) {
		size_t *slot = &builder->slots[at];
		if (*slot == 0)
			return slot;
		const struct mf_str *seen = id_at(builder, *slot - 1);
		if (seen->hash == hash && mf_str_is(seen, id, len))
			return slot;
	}
}

/* Room for one more id in slots that are at most half full. */
static bool reserve_slot(struct mf_fragment_builder *builder)
{
	size_t count = node_count(builder);
	if (2 * (count + 1) <= builder->slot_count)
		return true;
	size_t slot_count = builder->slot_count ? 2 * builder->slot_count : 2 * FIRST_CAPACITY;
	size_t *slots = mf_calloc(slot_count, sizeof(*slots));
	if (!slots)
		return false;
	mf_free(builder->slots);
	builder->slots = slots;
	builder->slot_count = slot_count;
	for (size_t i = 0; i < count; i++) {
		const struct mf_str *id = id_at(builder, i);
		*slot_of(builder, id->bytes, id->len, id->hash) = i + 1;
	}
	return true;
}

/* ---- building ---- */

static struct mf_str *shared_type(const struct mf_fragment_builder *builder, const struct mf_bytes *type)
{
	size_t count = node_count(builder);
	for (size_t i = 0; i < TYPES_TO_SHARE && i < count; i++) {
		const struct mf_str *known = builder->fragment->nodes[count - 1 - i].parts.type;
		if (mf_str_is(known, type->bytes, type->len))
			return mf_str_ref(known);
	}
	return mf_str_new(type->bytes, type->len);
}

void mf_fragment_builder_push(struct mf_fragment_builder *builder, const struct mf_node_parts *parts)
{
	struct mf_fragment *fragment = builder->fragment;
	if (builder->depth > 0)
		fragment->nodes[builder->open[builder->depth - 1]].child_count++;
	builder->open[builder->depth++] = fragment->count;
	fragment->nodes[fragment->count++] = (struct mf_fragment_node){.parts = *parts};
	if (builder->depth > fragment->height)
		fragment->height = builder->depth;
}

static enum mf_status check_node(const struct mf_fragment_builder *builder, const struct mf_bytes *id, const struct mf_bytes *type, struct mf_error *error)
{
	enum mf_status status = mf_check_name("node id", id->bytes, id->len, error);
	if (status)
		return status;
	status = mf_check_name("type", type->bytes, type->len, error);
	if (status)
		return mf_error_prefix(error, status, "node \"%.*s\"", MF_SHOW(id->bytes, id->len));
	if (builder->depth == 0 && node_count(builder) > 0)
		return mf_error_set(error, MF_ERR_INVALID, "node \"%.*s\" is a second top node", MF_SHOW(id->bytes, id->len));
	if (builder->depth == MF_DEPTH_MAX)
		return mf_error_set(error, MF_ERR_INVALID, "node \"%.*s\" is deeper than %d", MF_SHOW(id->bytes, id->len), MF_DEPTH_MAX);
	return MF_OK;
}

/* Takes the references in parts, on success and on failure. */
static enum mf_status push_checked(struct mf_fragment_builder *builder, const struct mf_node_parts *parts, struct mf_error *error)
{
	size_t *slot = slot_of(builder, parts->id->bytes, parts->id->len, parts->id->hash);
	if (*slot) {
		mf_error_set(error, MF_ERR_INVALID, "node id \"%.*s\" occurs twice", MF_SHOW(parts->id->bytes, parts->id->len));
		parts_unref(parts);
		return MF_ERR_INVALID;
	}
	mf_fragment_builder_push(builder, parts);
	*slot = builder->fragment->count;
	return MF_OK;
}

static enum mf_status make_room(struct mf_fragment_builder *builder, const struct mf_bytes *id, const struct mf_bytes *type, struct mf_error *error)
{
	enum mf_status status = check_node(builder, id, type, error);
	if (status)
		return status;
	return mf_fragment_builder_reserve(builder, 1) && reserve_slot(builder) ? MF_OK : mf_error_set(error, MF_ERR_NO_MEMORY, "no memory for a node");
}

enum mf_status mf_fragment_builder_open(struct mf_fragment_builder *builder, const struct mf_bytes *id, const struct mf_bytes *type, struct mf_error *error)
{
	enum mf_status status = make_room(builder, id, type, error);
	if (status)
		return status;
	struct mf_node_parts parts = {.id = mf_str_new(id->bytes, id->len), .type = shared_type(builder, type)};
	if (!parts.id || !parts.type) {
		parts_unref(&parts);
		return mf_error_set(error, MF_ERR_NO_MEMORY, "no memory for a node");
	}
	return push_checked(builder, &parts, error);
}

enum mf_status mf_fragment_builder_share(struct mf_fragment_builder *builder, const struct mf_node_parts *parts, struct mf_error *error)
{
	const struct mf_bytes id = {parts->id->bytes, parts->id->len}, type = {parts->type->bytes, parts->type->len};
	enum mf_status status = make_room(builder, &id, &type, error);
	if (status)
		return status;
	const struct mf_node_parts own = {mf_str_ref(parts->id), mf_str_ref(parts->type), mf_tree_ref(parts->attrs), mf_tree_ref(parts->marks)};
	return push_checked(builder, &own, error);
}

static struct mf_node_parts *last_parts(struct mf_fragment_builder *builder)
{
	return &builder->fragment->nodes[builder->fragment->count - 1].parts;
}

static enum mf_status add_member(struct mf_tree **members, const char *what, const struct mf_bytes *key, const struct mf_value *value, struct mf_error *error)
{
	if (mf_attrs_get(*members, key->bytes, key->len))
		return mf_error_set(error, MF_ERR_INVALID, "%s \"%.*s\" occurs twice", what, MF_SHOW(key->bytes, key->len));
	if (mf_attrs_put(members, key->bytes, key->len, value, NULL))
		return mf_error_set(error, MF_ERR_NO_MEMORY, "no memory for %s \"%.*s\"", what, MF_SHOW(key->bytes, key->len));
	return MF_OK;
}

static enum mf_status name_node(const struct mf_node_parts *parts, enum mf_status status, struct mf_error *error)
{
	return status ? mf_error_prefix(error, status, "node \"%.*s\"", MF_SHOW(parts->id->bytes, parts->id->len)) : MF_OK;
}

enum mf_status mf_fragment_builder_attr(struct mf_fragment_builder *builder, const char *key, size_t key_len, const struct mf_value *value, struct mf_error *error)
{
	struct mf_node_parts *parts = last_parts(builder);
	const struct mf_bytes name = {key, key_len};
	enum mf_status status = mf_check_attr(key, key_len, value, error);
	if (!status)
		status = add_member(&parts->attrs, "attribute", &name, value, error);
	return name_node(parts, status, error);
}

enum mf_status mf_fragment_builder_mark(struct mf_fragment_builder *builder, const char *type, size_t type_len, const struct mf_value *attrs, struct mf_error *error)
{
	struct mf_node_parts *parts = last_parts(builder);
	const struct mf_bytes name = {type, type_len};
	enum mf_status status = mf_check_mark(type, type_len, attrs, error);
	if (!status)
		status = add_member(&parts->marks, "mark", &name, attrs, error);
	return name_node(parts, status, error);
}

void mf_fragment_builder_close(struct mf_fragment_builder *builder)
{
	builder->depth--;
}

enum mf_status mf_fragment_builder_finish(struct mf_fragment_builder *builder, struct mf_fragment **out, struct mf_error *error)
{
	if (builder->depth > 0 || node_count(builder) == 0)
		return mf_error_set(error, MF_ERR_INVALID, "a fragment ends before its top node does");
	/* Fragments live on in undo stacks: give back what doubling took too much. A shrink that fails is no harm. */
	if (builder->capacity > builder->fragment->count)
		(void)resize(builder, builder->fragment->count);
	*out = builder->fragment;
	builder->fragment = NULL;
	mf_fragment_builder_deinit(builder);
	return MF_OK;
}
