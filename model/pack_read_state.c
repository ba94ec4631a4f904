/* pack_read_state.c - a packed state read back. The layout and what is checked: pack_state.c.
 *
 * Undo entries beyond the history limit of today are checked in form and passed over. So is what lies below an
 * entry that cannot be read, where that is allowed: undo goes in order, and would stop there. */
#include "model/pack_stack.h"

#include "model/state.h"

struct reader {
	struct mf_stack_reader stack;
	int64_t lsn;      /* of the state */
	int64_t undo_lsn; /* of the newest undo entry, or 0 */
	const char *part; /* for the error */
};

/* Appends below what stack has. link: where the entry goes, moved to where the next one goes; NULL: nothing more goes in. */
static enum mf_status read_entry(struct reader *reader, const struct mf_entry_head *head, struct mf_stack *stack, struct mf_entry ***link)
{
	struct mf_state_reading *how = reader->stack.how;
	if (!how->registry || stack->depth == how->history_limit)
		return mf_stack_reader_entry(&reader->stack, head, NULL);
	struct mf_entry *entry = NULL;
	enum mf_status status = mf_stack_reader_entry(&reader->stack, head, *link ? &entry : NULL);
	if (status != MF_OK)
		return status;
	if (!entry) {
		how->dropped++;
		*link = NULL;
		return MF_OK;
	}
	**link = entry;
	*link = &entry->next;
	stack->recent_count++;
	stack->depth++;
	return MF_OK;
}

/* The LSNs lie strictly between low and high, and come closer to the far one: undo falls, redo rises. */
static enum mf_status read_stack(struct reader *reader, struct mf_stack *stack, bool falling)
{
	uint32_t count;
	int64_t low = reader->undo_lsn, high = reader->lsn;
	struct mf_entry **link = &stack->recent;
	enum mf_status status = mf_unpack_array(&reader->stack.in, &count);
	for (uint32_t i = 0; status == MF_OK && i < count; i++) {
		struct mf_entry_head head;
		status = mf_stack_reader_head(&reader->stack, &head);
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
	struct mf_unpack *in = &reader->stack.in;
	reader->part = "head";
	enum mf_status status = mf_unpack_array(in, &items);
	if (status == MF_OK)
		status = mf_unpack_uint(in, &format);
	if (status != MF_OK)
		return status;
	if (format != MF_PACK_STATE_FORMAT)
		return mf_error_set(reader->stack.error, MF_ERR_CORRUPTED,
				    "the packed state has format %llu, this library reads format %d; it was written by a newer version or is damaged",
				    (unsigned long long)format, MF_PACK_STATE_FORMAT);
	status = items == MF_PACK_STATE_ITEMS ? mf_unpack_int(in, &reader->lsn) : MF_ERR_CORRUPTED;
	return status == MF_OK && reader->lsn < 0 ? MF_ERR_CORRUPTED : status;
}

static enum mf_status read_state(struct reader *reader, struct mf_state **out)
{
	enum mf_status status = read_head(reader);
	if (status != MF_OK)
		return status;
	reader->part = "list of step types";
	status = mf_stack_reader_types(&reader->stack);
	if (status != MF_OK)
		return status;
	struct mf_doc *doc;
	struct mf_state *state;
	reader->part = "document";
	status = mf_unpack_doc(&reader->stack.in, &doc);
	if (status == MF_OK)
		status = mf_state_new_take(doc, reader->lsn, reader->stack.how->history_limit, &state);
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

enum mf_status mf_unpack_state_with(struct mf_unpack *in, struct mf_state_reading *how, struct mf_state **out, struct mf_error *error)
{
	struct mf_error reason = {0};
	struct reader reader = {.stack = {.in = *in, .how = how, .error = &reason}};
	enum mf_status status = read_state(&reader, out);
	mf_stack_reader_deinit(&reader.stack);
	if (status == MF_OK) {
		*in = reader.stack.in;
		return MF_OK;
	}
	if (reason.status == status)
		return mf_error_set(error, status, "%s", reason.message);
	if (status == MF_ERR_NO_MEMORY)
		return mf_error_set(error, status, "out of memory while reading a packed state");
	return mf_error_set(error, status, "the packed state is damaged: its %s, near byte %zu", reader.part, (size_t)(reader.stack.in.at - in->at));
}

enum mf_status mf_unpack_state(struct mf_unpack *in, const struct mf_step_registry *registry, size_t history_limit, struct mf_state **out, struct mf_error *error)
{
	struct mf_state_reading how = {.registry = registry, .history_limit = history_limit};
	return mf_unpack_state_with(in, &how, out, error);
}
