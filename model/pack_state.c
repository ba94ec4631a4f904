/* pack_state.c - a whole state in the compact form, written: what a snapshot holds. pack_read_state.c reads it.
 *
 *   array of 6
 *     1  uint    format, 1
 *     2  int     LSN of the last event in it
 *     3  array   step types of the stacks: [str type_id, uint version]
 *     4  array   the document (pack_doc.c)
 *     5  array   undo entries, the newest first
 *     6  array   redo entries, the next to redo first
 *   an entry: [int LSN of the apply event, uint tr_id, array of steps [uint index into 3, bin encoded step]]
 *
 * Invariants, which the reader checks
 * 1. Undo LSNs fall, redo LSNs rise; every redo LSN is above every undo LSN; none is above the state's.
 * 2. An entry has at least one step.
 * 3. Each step type is known in exactly the version that encoded it. */
#include "model/pack.h"

#include <string.h>

#include "model/mem.h"
#include "model/state.h"

/* The step types of a packed state, in the order of their numbers. */
struct types {
	const struct mf_step_type **items;
	size_t count, capacity;
};

static size_t type_index(const struct types *types, const struct mf_step_type *type)
{
	size_t i = 0;
	while (i < types->count && types->items[i] != type)
		i++;
	return i;
}

static enum mf_status add_type(struct types *types, const struct mf_step_type *type)
{
	if (type_index(types, type) < types->count)
		return MF_OK;
	if (types->count == types->capacity) {
		size_t capacity = types->capacity ? types->capacity * 2 : 16;
		const struct mf_step_type **items = mf_realloc((void *)types->items, capacity * sizeof(*items));
		if (!items)
			return MF_ERR_NO_MEMORY;
		types->items = items;
		types->capacity = capacity;
	}
	types->items[types->count++] = type;
	return MF_OK;
}

static enum mf_status collect_types(struct types *types, const struct mf_stack *stack)
{
	struct mf_stack_iter iter = {.stack = stack};
	for (const struct mf_entry *entry; (entry = mf_stack_next(&iter));)
		for (size_t i = 0; i < entry->count; i++) {
			enum mf_status status = add_type(types, entry->steps[i]->type);
			if (status != MF_OK)
				return status;
		}
	return MF_OK;
}

static enum mf_status write_types(struct mf_buffer *out, const struct types *types)
{
	enum mf_status status = mf_pack_array(out, (uint32_t)types->count);
	for (size_t i = 0; status == MF_OK && i < types->count; i++) {
		const struct mf_step_type *type = types->items[i];
		status = mf_pack_array(out, 2);
		if (status == MF_OK)
			status = mf_pack_str(out, type->type_id, strlen(type->type_id));
		if (status == MF_OK)
			status = mf_pack_uint(out, type->version);
	}
	return status;
}

struct writer {
	struct mf_buffer *out;
	struct mf_buffer scratch; /* one step, encoded */
	struct types types;
};

static enum mf_status write_step(struct writer *writer, const struct mf_step *step)
{
	writer->scratch.len = 0;
	enum mf_status status = step->type->encode(step, &writer->scratch);
	if (status == MF_OK)
		status = mf_pack_array(writer->out, 2);
	if (status == MF_OK)
		status = mf_pack_uint(writer->out, type_index(&writer->types, step->type));
	if (status == MF_OK)
		status = mf_pack_bin(writer->out, writer->scratch.bytes, writer->scratch.len);
	return status;
}

static enum mf_status write_entry(struct writer *writer, const struct mf_entry *entry)
{
	int64_t lsn = atomic_load_explicit(&entry->lsn, memory_order_acquire);
	if (lsn == MF_LSN_UNKNOWN)
		return MF_ERR_STATE;
	enum mf_status status = entry->count <= UINT32_MAX ? mf_pack_array(writer->out, 3) : MF_ERR_NO_MEMORY;
	if (status == MF_OK)
		status = mf_pack_int(writer->out, lsn);
	if (status == MF_OK)
		status = mf_pack_uint(writer->out, entry->tr_id);
	if (status == MF_OK)
		status = mf_pack_array(writer->out, (uint32_t)entry->count);
	for (size_t i = 0; status == MF_OK && i < entry->count; i++)
		status = write_step(writer, entry->steps[i]);
	return status;
}

static enum mf_status write_stack(struct writer *writer, const struct mf_stack *stack)
{
	enum mf_status status = stack->depth <= UINT32_MAX ? mf_pack_array(writer->out, (uint32_t)stack->depth) : MF_ERR_NO_MEMORY;
	struct mf_stack_iter iter = {.stack = stack};
	for (const struct mf_entry *entry; status == MF_OK && (entry = mf_stack_next(&iter));)
		status = write_entry(writer, entry);
	return status;
}

static enum mf_status write_state(struct writer *writer, const struct mf_state *state, int64_t lsn)
{
	enum mf_status status = collect_types(&writer->types, &state->undo);
	if (status == MF_OK)
		status = collect_types(&writer->types, &state->redo);
	if (status == MF_OK)
		status = mf_pack_array(writer->out, MF_PACK_STATE_ITEMS);
	if (status == MF_OK)
		status = mf_pack_uint(writer->out, MF_PACK_STATE_FORMAT);
	if (status == MF_OK)
		status = mf_pack_int(writer->out, lsn);
	if (status == MF_OK)
		status = write_types(writer->out, &writer->types);
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
	struct writer writer = {.out = out};
	enum mf_status status = write_state(&writer, state, lsn);
	mf_free((void *)writer.types.items);
	mf_buffer_deinit(&writer.scratch);
	return status;
}
