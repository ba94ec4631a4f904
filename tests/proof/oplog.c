#include "oplog.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK ((size_t)1 << 20)

struct oplog_block {
	struct oplog_block *next;
	size_t used, size;
	unsigned char bytes[];
};

static void *must(void *memory)
{
	if (!memory) {
		fputs("out of memory for a log of file operations\n", stderr);
		abort();
	}
	return memory;
}

void oplog_deinit(struct oplog *log)
{
	while (log->blocks) {
		struct oplog_block *next = log->blocks->next;
		free(log->blocks);
		log->blocks = next;
	}
	free(log->ops);
	*log = (struct oplog){0};
}

static void *keep(struct oplog *log, const void *bytes, size_t len)
{
	struct oplog_block *block = log->blocks;
	if (!block || block->size - block->used < len) {
		size_t size = len > BLOCK ? len : BLOCK;
		block = must(malloc(sizeof(*block) + size));
		*block = (struct oplog_block){.next = log->blocks, .size = size};
		log->blocks = block;
	}
	void *place = block->bytes + block->used;
	if (len)
		memcpy(place, bytes, len);
	block->used += len;
	return place;
}

static const char *keep_name(struct oplog *log, const char *name)
{
	return name ? keep(log, name, strlen(name) + 1) : NULL;
}

void oplog_add(struct oplog *log, const struct op *op)
{
	if (log->count == log->capacity) {
		log->capacity = log->capacity ? 2 * log->capacity : 1024;
		log->ops = must(realloc(log->ops, log->capacity * sizeof(*log->ops)));
	}
	struct op *copy = &log->ops[log->count++];
	*copy = *op;
	copy->bytes = op->len ? keep(log, op->bytes, op->len) : NULL;
	copy->name = keep_name(log, op->name);
	copy->to = keep_name(log, op->to);
}

/* ---- to a file and back: for the same build on the same machine ---- */

static const char magic[8] = "MFOPLOG1";

struct stored {
	uint32_t kind, flag, file, dir, name_len, to_len; /* lengths with their NUL; 0: none */
	int64_t offset;
	uint64_t len;
};

static uint32_t stored_len(const char *name)
{
	return name ? (uint32_t)strlen(name) + 1 : 0;
}

static bool save_op(FILE *file, const struct op *op)
{
	struct stored head = {.kind = op->kind, .flag = op->flag, .file = op->file, .dir = op->dir, .name_len = stored_len(op->name), .to_len = stored_len(op->to), .offset = op->offset, .len = op->len};
	return fwrite(&head, sizeof(head), 1, file) == 1 && fwrite(op->name ? op->name : "", 1, head.name_len, file) == head.name_len &&
	       fwrite(op->to ? op->to : "", 1, head.to_len, file) == head.to_len && (op->len == 0 || fwrite(op->bytes, 1, op->len, file) == op->len);
}

bool oplog_save(const struct oplog *log, const char *path)
{
	FILE *file = fopen(path, "wb");
	if (!file)
		return false;
	uint64_t counts[3] = {log->count, log->base, log->seed};
	bool good = fwrite(magic, sizeof(magic), 1, file) == 1 && fwrite(counts, sizeof(counts), 1, file) == 1;
	for (size_t i = 0; good && i < log->count; i++)
		good = save_op(file, &log->ops[i]);
	return fclose(file) == 0 && good;
}

static bool load_op(struct oplog *log, FILE *file)
{
	struct stored head;
	if (fread(&head, sizeof(head), 1, file) != 1 || head.kind > OP_MARK || head.name_len > 4096 || head.to_len > 4096 || head.len > (1U << 30))
		return false;
	char name[4097] = "", to[4097] = "";
	unsigned char *bytes = must(malloc(head.len + 1));
	bool good = fread(name, 1, head.name_len, file) == head.name_len && fread(to, 1, head.to_len, file) == head.to_len && fread(bytes, 1, head.len, file) == head.len;
	if (good)
		oplog_add(log, &(struct op){.kind = head.kind, .flag = head.flag != 0, .file = head.file, .dir = head.dir, .name = head.name_len ? name : NULL, .to = head.to_len ? to : NULL, .offset = head.offset, .len = head.len, .bytes = bytes});
	free(bytes);
	return good;
}

bool oplog_load(struct oplog *log, const char *path)
{
	*log = (struct oplog){0};
	FILE *file = fopen(path, "rb");
	if (!file)
		return false;
	char found[8];
	uint64_t counts[3] = {0};
	errno = 0;
	bool good = fread(found, sizeof(found), 1, file) == 1 && memcmp(found, magic, sizeof(magic)) == 0 && fread(counts, sizeof(counts), 1, file) == 1 && counts[1] <= counts[0];
	for (uint64_t i = 0; good && i < counts[0]; i++)
		good = load_op(log, file);
	log->base = counts[1];
	log->seed = counts[2];
	int why = errno;
	fclose(file);
	if (!good)
		oplog_deinit(log);
	errno = why;
	return good;
}

/* ---- for people ---- */

const char *oplog_name_of(const struct oplog *log, size_t index, uint32_t file)
{
	if (file == 0)
		return "";
	while (index-- > 0) {
		const struct op *op = &log->ops[index];
		if (op->file == file && op->kind == OP_NAME)
			return op->name;
		if (op->file == file && op->kind == OP_RENAME)
			return op->to;
	}
	return "?";
}

const char *op_tell(const struct oplog *log, size_t index, char *buffer, size_t size)
{
	const struct op *op = &log->ops[index];
	const char *name = oplog_name_of(log, index, op->file);
	switch (op->kind) {
	case OP_FILE: snprintf(buffer, size, "new %s", op->flag ? "directory" : "file"); break;
	case OP_NAME: snprintf(buffer, size, "name %s", op->name); break;
	case OP_UNNAME: snprintf(buffer, size, "unlink %s", op->name); break;
	case OP_RENAME: snprintf(buffer, size, "rename %s to %s", op->name, op->to); break;
	case OP_WRITE: snprintf(buffer, size, "write %s, %zu bytes at %lld", name, op->len, (long long)op->offset); break;
	case OP_TRUNCATE: snprintf(buffer, size, "truncate %s to %lld", name, (long long)op->offset); break;
	case OP_SYNC: snprintf(buffer, size, "sync %s", op->file ? name : "the directory itself"); break;
	case OP_MAP: snprintf(buffer, size, "map %s", name); break;
	case OP_MARK: snprintf(buffer, size, "told: %.*s", (int)(op->len - (op->len > 0)), (const char *)op->bytes); break;
	}
	return buffer;
}
