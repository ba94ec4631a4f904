/* pack_state.c - a whole state in the compact form, written: what a snapshot holds. pack_read_state.c reads it.
 *
 *   array of 6
 *     1  uint    format, 1
 *     2  int     LSN of the last event in it
 *     3  array   step types of the stacks (pack_stack.h)
 *     4  array   the document (pack_doc.c)
 *     5  array   undo entries, the newest first
 *     6  array   redo entries, the next to redo first
 *
 * Invariant, which the reader checks
 * 1. Undo LSNs fall, redo LSNs rise; every redo LSN is above every undo LSN; none is above the state's. */
#include "model/pack_stack.h"
#include "model/state.h"

static enum mf_status note_stack(struct mf_stack_writer *writer, const struct mf_stack *stack)
{
	enum mf_status status = MF_OK;
	struct mf_stack_iter iter = {.stack = stack};
	for (const struct mf_entry *entry; status == MF_OK && (entry = mf_stack_next(&iter));)
		status = mf_stack_writer_note(writer, entry);
	return status;
}

static enum mf_status write_stack(struct mf_stack_writer *writer, const struct mf_stack *stack)
{
	enum mf_status status = stack->depth <= UINT32_MAX ? mf_pack_array(writer->out, (uint32_t)stack->depth) : MF_ERR_NO_MEMORY;
	struct mf_stack_iter iter = {.stack = stack};
	for (const struct mf_entry *entry; status == MF_OK && (entry = mf_stack_next(&iter));)
		status = mf_stack_writer_entry(writer, entry);
	return status;
}

static enum mf_status write_state(struct mf_stack_writer *writer, const struct mf_state *state, int64_t lsn)
{
	enum mf_status status = note_stack(writer, &state->undo);
	if (status == MF_OK)
		status = note_stack(writer, &state->redo);
	if (status == MF_OK)
		status = mf_pack_array(writer->out, MF_PACK_STATE_ITEMS);
	if (status == MF_OK)
		status = mf_pack_uint(writer->out, MF_PACK_STATE_FORMAT);
	if (status == MF_OK)
		status = mf_pack_int(writer->out, lsn);
	if (status == MF_OK)
		status = mf_stack_writer_types(writer);
	if (status == MF_OK)
		status = mf_pack_doc(writer->out, state->doc);
	if (status == MF_OK)
		status = write_stack(writer, &state->undo);
	if (status == MF_OK)
		status = write_stack(writer, &state->redo);
	return status;
}

enum mf_status mf_pack_state(struct mf_buffer *out, const struct mf_state *state)
{
	int64_t lsn = mf_state_lsn(state);
	if (lsn == MF_LSN_UNKNOWN)
		return MF_ERR_STATE;
	struct mf_stack_writer writer = {.out = out};
	enum mf_status status = write_state(&writer, state, lsn);
	mf_stack_writer_deinit(&writer);
	return status;
}
