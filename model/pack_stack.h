/* pack_stack.h - entries of the undo and redo stacks in the compact form, written and read: what a packed state
 * (pack_state.c) and a packed difference of two states (pack_delta.c) have in common.
 *
 *   step types   array of [str type_id, uint version], in the order of their numbers
 *   an entry     [int LSN of the apply event, uint tr_id, array of steps [uint number of the type, bin encoded step]]
 *
 * Invariants
 * 1. An entry has at least one step.
 * 2. Each step type is known in exactly the version that encoded it. One that is not is an error; or, where the
 *    caller says so and there is another version of it, makes the entries that hold it unreadable.
 *
 * Thread: one. */
#pragma once

#include "model/history.h"
#include "model/pack.h"

/* ---- writing: zero-initialise with out, note every entry, write the types, write the entries, deinit ---- */
struct mf_stack_writer {
	struct mf_buffer *out;
	struct mf_buffer scratch; /* one step, encoded */
	const struct mf_step_type **types;
	size_t type_count, type_capacity;
};
enum mf_status mf_stack_writer_note(struct mf_stack_writer *writer, const struct mf_entry *entry);
enum mf_status mf_stack_writer_types(struct mf_stack_writer *writer);
enum mf_status mf_stack_writer_entry(struct mf_stack_writer *writer, const struct mf_entry *entry); /* MF_ERR_STATE: not committed */
void mf_stack_writer_deinit(struct mf_stack_writer *writer);

/* ---- reading: zero-initialise with in, how and error; types once, then entries; deinit ---- */
struct mf_stack_reader {
	struct mf_unpack in;
	struct mf_state_reading *how;
	const struct mf_step_type **types; /* NULL: not in this version */
	size_t type_count;
	struct mf_error *error; /* set for MF_ERR_UNKNOWN_STEP */
};
struct mf_entry_head {
	int64_t lsn;
	uint64_t tr_id;
	uint32_t step_count;
};
enum mf_status mf_stack_reader_types(struct mf_stack_reader *reader);
enum mf_status mf_stack_reader_head(struct mf_stack_reader *reader, struct mf_entry_head *out);
/* out NULL: the entry is passed over. *out NULL: it is unreadable. */
enum mf_status mf_stack_reader_entry(struct mf_stack_reader *reader, const struct mf_entry_head *head, struct mf_entry **out);
void mf_stack_reader_deinit(struct mf_stack_reader *reader);
