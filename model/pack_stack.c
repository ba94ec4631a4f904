/* See model/pack_stack.h. */
#include "model/pack_stack.h"

#include <string.h>

#include "model/mem.h"
#include "model/node.h"
#include "model/pack_read.h"

/* ---- writing ---- */

static size_t type_index(const struct mf_stack_writer *writer, const struct mf_step_type *type)
{
	size_t i = 0;
	while (i < writer->type_count && writer->types[i] != type)
		i++;
	return i;
}

static enum mf_status add_type(struct mf_stack_writer *writer, const struct mf_step_type *type)
{
	if (type_index(writer, type) < writer->type_count)
		return MF_OK;
	if (writer->type_count == writer->type_capacity) {
		size_t capacity = writer->type_capacity ? writer->type_capacity * 2 : 16;
		const struct mf_step_type **types = mf_realloc((void *)writer->types, capacity * sizeof(*types));
		if (!types)
			return MF_ERR_NO_MEMORY;
		writer->types = types;
		writer->type_capacity = capacity;
	}
	writer->types[writer->type_count++] = type;
	return MF_OK;
}

enum mf_status mf_stack_writer_note(struct mf_stack_writer *writer, const struct mf_entry *entry)
{
	enum mf_status status = MF_OK;
	for (size_t i = 0; status == MF_OK && i < entry->count; i++)
		status = add_type(writer, entry->steps[i]->type);
	return status;
}

enum mf_status mf_stack_writer_types(struct mf_stack_writer *writer)
{
	enum mf_status status = mf_pack_array(writer->out, (uint32_t)writer->type_count);
	for (size_t i = 0; status == MF_OK && i < writer->type_count; i++) {
		const struct mf_step_type *type = writer->types[i];
		status = mf_pack_array(writer->out, 2);
		if (status == MF_OK)
			status = mf_pack_str(writer->out, type->type_id, strlen(type->type_id));
		if (status == MF_OK)
			status = mf_pack_uint(writer->out, type->version);
	}
	return status;
}

static enum mf_status write_step(struct mf_stack_writer *writer, const struct mf_step *step)
{
	writer->scratch.len = 0;
	enum mf_status status = step->type->encode(step, &writer->scratch);
	if (status == MF_OK)
		status = mf_pack_array(writer->out, 2);
	if (status == MF_OK)
		status = mf_pack_uint(writer->out, type_index(writer, step->type));
	if (status == MF_OK)
		status = mf_pack_bin(writer->out, writer->scratch.bytes, writer->scratch.len);
	return status;
}

enum mf_status mf_stack_writer_entry(struct mf_stack_writer *writer, const struct mf_entry *entry)
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

void mf_stack_writer_deinit(struct mf_stack_writer *writer)
{
	mf_free((void *)writer->types);
	mf_buffer_deinit(&writer->scratch);
}

/* ---- reading ---- */

/* The type in this version; NULL in *out: not here, and that is allowed. */
static enum mf_status find_type(const struct mf_stack_reader *reader, const struct mf_bytes *id, uint64_t version, const struct mf_step_type **out)
{
	const struct mf_step_registry *registry = reader->how->registry;
	const struct mf_step_type *type = registry ? mf_step_registry_find(registry, id->bytes, id->len) : NULL;
	*out = type && type->version == version ? type : NULL;
	if (*out || !registry || (type && reader->how->drop_changed))
		return MF_OK;
	if (!type)
		return mf_error_set(reader->error, MF_ERR_UNKNOWN_STEP, "the undo history needs step type '%.*s' version %llu, which no plugin here brings; load the plugin that does",
				    MF_SHOW(id->bytes, id->len), (unsigned long long)version);
	return mf_error_set(reader->error, MF_ERR_UNKNOWN_STEP, "the undo history needs step type '%s' version %llu, but the plugin here brings version %lu", type->type_id,
			    (unsigned long long)version, (unsigned long)type->version);
}

static enum mf_status read_type(struct mf_stack_reader *reader)
{
	uint32_t items;
	struct mf_bytes id;
	uint64_t version;
	const struct mf_step_type *type;
	enum mf_status status = mf_unpack_array(&reader->in, &items);
	if (status == MF_OK)
		status = items == 2 ? mf_unpack_str(&reader->in, &id.bytes, &id.len) : MF_ERR_CORRUPTED;
	if (status == MF_OK)
		status = mf_unpack_uint(&reader->in, &version);
	if (status == MF_OK)
		status = find_type(reader, &id, version, &type);
	if (status == MF_OK)
		reader->types[reader->type_count++] = type;
	return status;
}

enum mf_status mf_stack_reader_types(struct mf_stack_reader *reader)
{
	uint32_t count;
	enum mf_status status = mf_unpack_array(&reader->in, &count);
	if (status != MF_OK)
		return status;
	mf_stack_reader_deinit(reader);
	reader->types = mf_calloc(count, sizeof(*reader->types));
	if (!reader->types)
		return MF_ERR_NO_MEMORY;
	for (uint32_t i = 0; status == MF_OK && i < count; i++)
		status = read_type(reader);
	return status;
}

/* out NULL: the step is passed over, and so is one of a type that is not here (*out stays NULL). */
static enum mf_status read_step(struct mf_stack_reader *reader, struct mf_step **out)
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
	if (status != MF_OK || !out || !reader->types[index])
		return status;
	const struct mf_step_type *type = reader->types[index];
	status = mf_unpack_status(type->decode(type, bytes, len, out, NULL));
	return status == MF_OK && !*out ? MF_ERR_CORRUPTED : status;
}

enum mf_status mf_stack_reader_head(struct mf_stack_reader *reader, struct mf_entry_head *out)
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

enum mf_status mf_stack_reader_entry(struct mf_stack_reader *reader, const struct mf_entry_head *head, struct mf_entry **out)
{
	struct mf_entry *entry = NULL;
	bool whole = true;
	enum mf_status status = out ? mf_entry_new(head->step_count, head->lsn, head->tr_id, &entry) : MF_OK;
	for (uint32_t i = 0; status == MF_OK && i < head->step_count; i++) {
		status = read_step(reader, entry ? &entry->steps[i] : NULL);
		whole = whole && entry && entry->steps[i];
	}
	if (status != MF_OK || !whole) {
		mf_entry_unref(entry);
		entry = NULL;
	}
	if (status == MF_OK && out)
		*out = entry;
	return status;
}

void mf_stack_reader_deinit(struct mf_stack_reader *reader)
{
	mf_free((void *)reader->types);
	reader->types = NULL;
	reader->type_count = 0;
}
