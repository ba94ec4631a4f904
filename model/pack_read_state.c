/* pack_read_state.c - a packed state read back. The layout and what is checked: pack_state.c.
 *
 * Undo entries beyond the history limit of today are checked in form and passed over. */
#include "model/pack.h"

#include "model/mem.h"
#include "model/node.h"
#include "model/pack_read.h"
#include "model/state.h"

struct reader {
	struct mf_unpack in;
	const struct mf_step_registry *registry; /* NULL: the stacks are only passed over */
	size_t history_limit;
	const struct mf_step_type **types; /* in the order of their numbers */
	size_t type_count;
	int64_t lsn;      /* of the state */
	int64_t undo_lsn; /* of the newest undo entry, or 0 */
	const char *part; /* for the error */
	struct mf_error *error;
};

static enum mf_status read_type(struct reader *reader)
{
	uint32_t items;
	const char *id;
	size_t id_len;
	uint64_t version;
	enum mf_status status = mf_unpack_array(&reader->in, &items);
	if (status == MF_OK)
		status = items == 2 ? mf_unpack_str(&reader->in, &id, &id_len) : MF_ERR_CORRUPTED;
	if (status == MF_OK)
		status = mf_unpack_uint(&reader->in, &version);
	if (status != MF_OK)
		return status;
	const struct mf_step_type *type = reader->registry ? mf_step_registry_find(reader->registry, id, id_len) : NULL;
	if (reader->registry && !type)
		return mf_error_set(reader->error, MF_ERR_UNKNOWN_STEP, "the undo history needs step type '%.*s' version %llu, which no plugin here brings; load the plugin that does",
				    MF_SHOW(id, id_len), (unsigned long long)version);
	if (type && type->version != version)
		return mf_error_set(reader->error, MF_ERR_UNKNOWN_STEP, "the undo history needs step type '%s' version %llu, but the plugin here brings version %lu",
				    type->type_id, (unsigned long long)version, (unsigned long)type->version);
	reader->types[reader->type_count++] = type;
	return MF_OK;
}

static enum mf_status read_types(struct reader *reader)
{
	uint32_t count;
	enum mf_status status = mf_unpack_array(&reader->in, &count);
	if (status != MF_OK)
		return status;
	reader->types = mf_calloc(count, sizeof(*reader->types));
	if (!reader->types)
		return MF_ERR_NO_MEMORY;
	for (uint32_t i = 0; status == MF_OK && i < count; i++)
		status = read_type(reader);
	return status;
}

/* out NULL: the step is passed over. */
static enum mf_status read_step(struct reader *reader, struct mf_step **out)
{
	uint32_t items;
	uint64_t index;
	const void *bytes;
	size_t len;
	enum mf_status status = mf_unpack_array(&reader->in, &items);
	if (status == MF_OK)
		status = items == 2 ? mf_unpack_uint(&reader->in, &index) : MF_ERR_CORRUPTED;
	if (status == MF_OK)
		status = index < reader->type_count ? mf_unpack_bin(&reader->in, &bytes, &len) : MF_ERR_CORRUPTED;
	if (status != MF_OK || !out)
		return status;
	const struct mf_step_type *type = reader->types[index];
	status = mf_unpack_status(type->decode(type, bytes, len, out, NULL));
	return status == MF_OK && !*out ? MF_ERR_CORRUPTED : status;
}

/* entry NULL: its steps are passed over. */
static enum mf_status read_steps(struct reader *reader, uint32_t count, struct mf_entry *entry)
{
	enum mf_status status = MF_OK;
	for (uint32_t i = 0; status == MF_OK && i < count; i++)
		status = read_step(reader, entry ? &entry->steps[i] : NULL);
	return status;
}

struct entry_head {
	int64_t lsn;
	uint64_t tr_id;
	uint32_t step_count;
};

static enum mf_status read_entry_head(struct reader *reader, struct entry_head *out)
{
	uint32_t items;
	enum mf_status status = mf_unpack_array(&reader->in, &items);
	if (status == MF_OK)
		status = items == 3 ? mf_unpack_int(&reader->in, &out->lsn) : MF_ERR_CORRUPTED;
	if (status == MF_OK)
		status = mf_unpack_uint(&reader->in, &out->tr_id);
	if (status == MF_OK)
		status = mf_unpack_array(&reader->in, &out->step_count);
	return status == MF_OK && out->step_count == 0 ? MF_ERR_CORRUPTED : status;
}

/* Appends below what stack has. link: where the entry goes, moved to where the next one goes. */
static enum mf_status read_entry(struct reader *reader, const struct entry_head *head, struct mf_stack *stack, struct mf_entry ***link)
{
	if (!reader->registry || stack->depth == reader->history_limit)
		return read_steps(reader, head->step_count, NULL);
	struct mf_entry *entry;
	enum mf_status status = mf_entry_new(head->step_count, head->lsn, head->tr_id, &entry);
	if (status != MF_OK)
		return status;
	**link = entry; /* NOLINT(clang-analyzer-core.NullDereference): MF_OK means that there is an entry */
	*link = &entry->next;
	stack->recent_count++;
	stack->depth++;
	return read_steps(reader, head->step_count, entry);
}

/* The LSNs lie strictly between low and high, and come closer to the far one: undo falls, redo rises. */
static enum mf_status read_stack(struct reader *reader, struct mf_stack *stack, bool falling)
{
	uint32_t count;
	int64_t low = reader->undo_lsn, high = reader->lsn;
	struct mf_entry **link = &stack->recent;
	enum mf_status status = mf_unpack_array(&reader->in, &count);
	for (uint32_t i = 0; status == MF_OK && i < count; i++) {
		struct entry_head head;
		status = read_entry_head(reader, &head);
		if (status == MF_OK && (head.lsn <= low || head.lsn > high))
			status = MF_ERR_CORRUPTED;
		if (status != MF_OK)
			return status;
		if (falling && i == 0)
			reader->undo_lsn = head.lsn;
		if (falling)
			high = head.lsn - 1;
		else
			low = head.lsn;
		status = read_entry(reader, &head, stack, &link);
	}
	return status;
}

static enum mf_status read_head(struct reader *reader)
{
	uint32_t items;
	uint64_t format;
	reader->part = "head";
	enum mf_status status = mf_unpack_array(&reader->in, &items);
	if (status == MF_OK)
		status = mf_unpack_uint(&reader->in, &format);
	if (status != MF_OK)
		return status;
	if (format != MF_PACK_STATE_FORMAT)
		return mf_error_set(reader->error, MF_ERR_CORRUPTED, "the packed state has format %llu, this library reads format %d; it was written by a newer version or is damaged",
				    (unsigned long long)format, MF_PACK_STATE_FORMAT);
	status = items == MF_PACK_STATE_ITEMS ? mf_unpack_int(&reader->in, &reader->lsn) : MF_ERR_CORRUPTED;
	return status == MF_OK && reader->lsn < 0 ? MF_ERR_CORRUPTED : status;
}

static enum mf_status read_state(struct reader *reader, struct mf_state **out)
{
	enum mf_status status = read_head(reader);
	if (status != MF_OK)
		return status;
	reader->part = "list of step types";
	status = read_types(reader);
	if (status != MF_OK)
		return status;
	struct mf_doc *doc;
	struct mf_state *state;
	reader->part = "document";
	status = mf_unpack_doc(&reader->in, &doc);
	if (status == MF_OK)
		status = mf_state_new_take(doc, reader->lsn, reader->history_limit, &state);
	if (status != MF_OK)
		return status;

	reader->part = "undo stack";
	status = read_stack(reader, &state->undo, true);
	if (status == MF_OK) {
		reader->part = "redo stack";
		status = read_stack(reader, &state->redo, false);
	}
	if (status == MF_OK)
		*out = state;
	else
		mf_state_unref(state);
	return status;
}

enum mf_status mf_unpack_state(struct mf_unpack *in, const struct mf_step_registry *registry, size_t history_limit, struct mf_state **out, struct mf_error *error)
{
	struct mf_error reason = {0};
	struct reader reader = {.in = *in, .registry = registry, .history_limit = history_limit, .error = &reason};
	enum mf_status status = read_state(&reader, out);
	mf_free((void *)reader.types);
	if (status == MF_OK) {
		*in = reader.in;
		return MF_OK;
	}
	if (reason.status == status)
		return mf_error_set(error, status, "%s", reason.message);
	if (status == MF_ERR_NO_MEMORY)
		return mf_error_set(error, status, "out of memory while reading a packed state");
	return mf_error_set(error, status, "the packed state is damaged: its %s, near byte %zu", reader.part, (size_t)(reader.in.at - in->at));
}
