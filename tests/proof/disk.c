#include "disk_parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *must(void *memory)
{
	if (!memory) {
		fputs("out of memory for a model of a disk\n", stderr);
		abort();
	}
	return memory;
}

void *disk_grown(void *array, size_t count, size_t size)
{
	return count & (count - 1) ? array : must(realloc(array, (count ? 2 * count : 1) * size));
}

void disk_file_reserve(struct disk_file *file, size_t size)
{
	if (size <= file->capacity)
		return;
	size_t capacity = size + size / 2 + 4096;
	file->bytes = must(realloc(file->bytes, capacity));
	memset(file->bytes + file->capacity, 0, capacity - file->capacity);
	file->capacity = capacity;
}

/* ---- data ---- */

static void apply_data(struct disk_file *file, const struct op *op)
{
	size_t end = (size_t)op->offset + op->len;
	if (op->kind == OP_TRUNCATE) {
		disk_file_reserve(file, (size_t)op->offset);
		if (file->size > (size_t)op->offset)
			memset(file->bytes + op->offset, 0, file->size - (size_t)op->offset);
		file->size = (size_t)op->offset;
		return;
	}
	disk_file_reserve(file, end);
	memcpy(file->bytes + op->offset, op->bytes, op->len);
	if (end > file->size)
		file->size = end;
}

static void sync_data(const struct oplog *log, struct disk_file *file)
{
	for (size_t i = 0; i < file->pending_count; i++)
		apply_data(file, &log->ops[file->pending[i]]);
	free(file->pending);
	file->pending = NULL;
	file->pending_count = 0;
}

/* ---- names ---- */

static size_t find_name(const struct disk_name *names, size_t count, uint32_t dir, const char *text)
{
	size_t i = 0;
	while (i < count && (names[i].dir != dir || strcmp(names[i].text, text) != 0))
		i++;
	return i;
}

static void set_name(struct disk_name **names, size_t *count, uint32_t dir, const char *text, uint32_t file)
{
	size_t i = find_name(*names, *count, dir, text);
	if (i == *count) {
		*names = disk_grown(*names, *count, sizeof(**names));
		(*count)++;
	}
	(*names)[i] = (struct disk_name){dir, file, text};
}

static void drop_name(struct disk_name *names, size_t *count, uint32_t dir, const char *text)
{
	size_t i = find_name(names, *count, dir, text);
	if (i < *count)
		names[i] = names[--*count];
}

void disk_name_apply(struct disk_name **names, size_t *count, const struct op *op)
{
	if (op->kind != OP_NAME)
		drop_name(*names, count, op->dir, op->name);
	if (op->kind != OP_UNNAME)
		set_name(names, count, op->dir, op->kind == OP_RENAME ? op->to : op->name, op->file);
}

static void sync_names(struct disk *disk, uint32_t dir)
{
	size_t left = 0;
	for (size_t i = 0; i < disk->pending_name_count; i++) {
		const struct op *op = &disk->log->ops[disk->pending_names[i]];
		if (op->dir == dir)
			disk_name_apply(&disk->names, &disk->name_count, op);
		else
			disk->pending_names[left++] = disk->pending_names[i];
	}
	disk->pending_name_count = left;
}

/* ---- time ---- */

static struct disk_file *file_of(struct disk *disk, uint32_t number)
{
	while (disk->file_count <= number) {
		disk->files = disk_grown(disk->files, disk->file_count, sizeof(*disk->files));
		disk->files[disk->file_count++] = (struct disk_file){0};
	}
	return &disk->files[number];
}

static void happen(struct disk *disk, uint32_t index)
{
	const struct op *op = &disk->log->ops[index];
	struct disk_file *file = file_of(disk, op->file);
	switch (op->kind) {
	case OP_FILE: file->is_dir = op->flag; break;
	case OP_NAME:
	case OP_UNNAME:
	case OP_RENAME:
		disk->pending_names = disk_grown(disk->pending_names, disk->pending_name_count, sizeof(*disk->pending_names));
		disk->pending_names[disk->pending_name_count++] = index;
		break;
	case OP_WRITE:
	case OP_TRUNCATE:
		file->pending = disk_grown(file->pending, file->pending_count, sizeof(*file->pending));
		file->pending[file->pending_count++] = index;
		break;
	case OP_SYNC:
		if (file->is_dir)
			sync_names(disk, op->file);
		else
			sync_data(disk->log, file);
		break;
	case OP_MAP: file->mapped = true; break;
	case OP_MARK: break;
	}
}

void disk_advance(struct disk *disk, size_t to)
{
	while (disk->at < to)
		happen(disk, (uint32_t)disk->at++);
}

void disk_init(struct disk *disk, const struct oplog *log)
{
	*disk = (struct disk){.log = log};
	file_of(disk, 0)->is_dir = true;
	disk_advance(disk, log->base);
	for (size_t i = 0; i < disk->file_count; i++) {
		sync_data(log, &disk->files[i]);
		sync_names(disk, (uint32_t)i);
	}
}

void disk_deinit(struct disk *disk)
{
	for (size_t i = 0; i < disk->file_count; i++) {
		free(disk->files[i].bytes);
		free(disk->files[i].pending);
	}
	free(disk->files);
	free(disk->names);
	free(disk->pending_names);
	*disk = (struct disk){0};
}
