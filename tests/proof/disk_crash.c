/* One of the states that disk.h calls legal, made into files. */
#include "disk_parts.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "workload.h" /* proof_random */

#define SECTOR 512

struct cut {
	const struct disk *disk;
	uint32_t number;
	uint64_t random;
	bool garbage; /* this device leaves some where it was writing */
	size_t dir_len; /* of the path that all begin with */
	uint64_t image;
	char *story;
	size_t story_size;
};

__attribute__((format(printf, 2, 3))) static void tell(struct cut *cut, const char *format, ...)
{
	if (cut->story_size == 0)
		return;
	va_list args;
	va_start(args, format);
	int len = vsnprintf(cut->story, cut->story_size, format, args);
	va_end(args);
	size_t used = len < 0 ? 0 : (size_t)len < cut->story_size ? (size_t)len : cut->story_size - 1;
	cut->story += used;
	cut->story_size -= used;
}

static uint32_t below(struct cut *cut, uint32_t limit)
{
	return proof_below(&cut->random, limit);
}

/* ---- how a list of pending ops is thinned out ---- */

enum how { DROP, KEEP, PREFIX, SUBSET };
static const char *const how_names[] = {"dropped", "kept", "a prefix kept", "a subset kept"};

struct plan {
	enum how how;
	size_t prefix;
	uint32_t eighths; /* a subset keeps so many of eight */
	bool torn, grown;
};

static struct plan drawn_plan(struct cut *cut, size_t count)
{
	static const enum how hows[] = {DROP, KEEP, PREFIX, PREFIX, PREFIX, SUBSET, SUBSET, SUBSET};
	static const uint32_t eighths[] = {1, 4, 7};
	struct plan plan = {.how = hows[below(cut, 8)], .prefix = below(cut, (uint32_t)count + 1), .eighths = eighths[below(cut, 3)]};
	plan.torn = plan.how >= PREFIX && below(cut, 2) == 0;
	plan.grown = below(cut, 4) == 0;
	return plan;
}

static struct plan plan_for(struct cut *cut, size_t count, bool names)
{
	switch (cut->number) {
	case DISK_DROP_ALL: return (struct plan){.how = DROP};
	case DISK_KEEP_ALL: return (struct plan){.how = KEEP};
	case DISK_KEEP_NAMES: return (struct plan){.how = names ? KEEP : DROP};
	case DISK_KEEP_DATA: return (struct plan){.how = names ? DROP : KEEP};
	default: return drawn_plan(cut, count);
	}
}

static bool keeps(struct cut *cut, const struct plan *plan, size_t i)
{
	switch (plan->how) {
	case DROP: return false;
	case KEEP: return true;
	case PREFIX: return i < plan->prefix;
	case SUBSET: return below(cut, 8) < plan->eighths;
	}
	return false;
}

/* ---- names ---- */

static bool concerns_same(const struct op *a, const struct op *b)
{
	const char *a_names[] = {a->name, a->to}, *b_names[] = {b->name, b->to};
	if (a->file == b->file)
		return true;
	for (size_t i = 0; i < 2; i++)
		for (size_t j = 0; j < 2; j++)
			if (a->dir == b->dir && a_names[i] && b_names[j] && strcmp(a_names[i], b_names[j]) == 0)
				return true;
	return false;
}

static void pick_names(struct cut *cut, struct disk_name **names, size_t *count)
{
	const struct disk *disk = cut->disk;
	size_t pending = disk->pending_name_count, kept_count = 0;
	struct plan plan = plan_for(cut, pending, true);
	bool *kept = calloc(pending + 1, sizeof(*kept));
	for (size_t i = 0; kept && i < pending; i++) {
		const struct op *op = &disk->log->ops[disk->pending_names[i]];
		kept[i] = keeps(cut, &plan, i);
		for (size_t j = 0; j < i && kept[i]; j++)
			kept[i] = kept[j] || !concerns_same(&disk->log->ops[disk->pending_names[j]], op);
		if (kept[i])
			disk_name_apply(names, count, op);
		kept_count += kept[i];
	}
	if (pending)
		tell(cut, "names: %s, %zu of %zu; ", how_names[plan.how], kept_count, pending);
	free(kept);
}

/* ---- data ---- */

static size_t first_sector(const struct op *op)
{
	return (size_t)op->offset / SECTOR;
}
static size_t end_sector(const struct op *op)
{
	return ((size_t)op->offset + op->len + SECTOR - 1) / SECTOR;
}

/* The part of a write that lies in one sector. */
static void put_sector(struct disk_file *file, const struct op *op, size_t sector, uint64_t *garbage)
{
	size_t from = sector * SECTOR, to = from + SECTOR;
	if (from < (size_t)op->offset)
		from = (size_t)op->offset;
	if (to > (size_t)op->offset + op->len)
		to = (size_t)op->offset + op->len;
	disk_file_reserve(file, to);
	for (size_t i = from; i < to && garbage; i++)
		file->bytes[i] = (unsigned char)proof_random(garbage);
	if (!garbage)
		memcpy(file->bytes + from, op->bytes + (from - (size_t)op->offset), to - from);
	if (to > file->size)
		file->size = to;
}

static void truncate_to(struct disk_file *file, size_t size)
{
	disk_file_reserve(file, size);
	if (file->size > size)
		memset(file->bytes + size, 0, file->size - size);
	file->size = size;
}

/* For each sector, the number of pending ops up to which it is written: 1.a of the header. */
struct sectors {
	uint32_t *upto;
	bool *garbage;
	size_t count;
};

static void note_kept(struct cut *cut, struct sectors *sectors, const struct op *op, uint32_t number, bool kept, const struct plan *plan)
{
	bool torn = plan->torn && below(cut, 2) == 0;
	for (size_t s = first_sector(op); s < end_sector(op); s++) {
		bool here = torn ? below(cut, 2) == 0 : kept;
		if (here)
			sectors->upto[s] = number;
		if (cut->garbage && !here && below(cut, 8) == 0)
			sectors->garbage[s] = true;
	}
}

static size_t kept_writes(struct cut *cut, const struct disk_file *from, const struct plan *plan, struct sectors *sectors, bool *truncations)
{
	size_t kept_count = 0;
	for (size_t i = 0; i < from->pending_count; i++) {
		const struct op *op = &cut->disk->log->ops[from->pending[i]];
		bool kept = keeps(cut, plan, i);
		kept_count += kept;
		if (op->kind == OP_TRUNCATE)
			truncations[i] = kept;
		else /* the first one that a prefix drops was under way: it may be torn */
			note_kept(cut, sectors, op, (uint32_t)i + 1, kept, plan->how == PREFIX && i != plan->prefix ? &(struct plan){.how = PREFIX} : plan);
	}
	return kept_count;
}

static size_t size_of_all(const struct disk *disk, const struct disk_file *file)
{
	size_t size = file->size;
	for (size_t i = 0; i < file->pending_count; i++) {
		const struct op *op = &disk->log->ops[file->pending[i]];
		size_t end = (size_t)op->offset + op->len;
		if (op->kind == OP_TRUNCATE || end > size)
			size = end;
	}
	return size;
}

static void apply_kept(const struct disk *disk, const struct disk_file *from, struct disk_file *to, const struct sectors *sectors, const bool *truncations)
{
	for (size_t i = 0; i < from->pending_count; i++) {
		const struct op *op = &disk->log->ops[from->pending[i]];
		if (op->kind == OP_TRUNCATE && truncations[i])
			truncate_to(to, (size_t)op->offset);
		for (size_t s = first_sector(op); op->kind == OP_WRITE && s < end_sector(op); s++)
			if (i < sectors->upto[s])
				put_sector(to, op, s, NULL);
	}
}

static void spoil(struct cut *cut, const struct disk_file *from, struct disk_file *to, const struct sectors *sectors)
{
	for (size_t i = 0; cut->garbage && i < from->pending_count; i++) {
		const struct op *op = &cut->disk->log->ops[from->pending[i]];
		for (size_t s = first_sector(op); op->kind == OP_WRITE && s < end_sector(op); s++)
			if (sectors->garbage[s])
				put_sector(to, op, s, &cut->random);
	}
}

static size_t sector_count(const struct disk *disk, const struct disk_file *file)
{
	size_t count = 0;
	for (size_t i = 0; i < file->pending_count; i++) {
		size_t end = end_sector(&disk->log->ops[file->pending[i]]);
		count = end > count ? end : count;
	}
	return count;
}

static void pick_data(struct cut *cut, const char *name, const struct disk_file *from, struct disk_file *to)
{
	struct plan plan = plan_for(cut, from->pending_count, false);
	size_t count = sector_count(cut->disk, from);
	struct sectors sectors = {calloc(count + 1, sizeof(uint32_t)), calloc(count + 1, sizeof(bool)), count};
	bool *truncations = calloc(from->pending_count + 1, sizeof(*truncations));
	if (!sectors.upto || !sectors.garbage || !truncations)
		abort();
	size_t kept = kept_writes(cut, from, &plan, &sectors, truncations), size = size_of_all(cut->disk, from);
	apply_kept(cut->disk, from, to, &sectors, truncations);
	spoil(cut, from, to, &sectors);
	if (plan.grown && size > to->size)
		truncate_to(to, size);
	tell(cut, "%s: %s, %zu of %zu%s, %zu bytes; ", name, how_names[plan.how], kept, from->pending_count, plan.torn ? ", torn" : "", to->size);
	free(sectors.upto);
	free(sectors.garbage);
	free(truncations);
}

/* Memory that was mapped reaches the device when it likes. */
static void pick_mapped(struct cut *cut, struct disk_file *to)
{
	size_t size = cut->number == DISK_DROP_ALL ? 0 : (size_t)below(cut, 3) * 16384;
	truncate_to(to, size);
	for (size_t i = 0; cut->garbage && i < size; i++)
		to->bytes[i] = (unsigned char)proof_random(&cut->random);
}

/* ---- into files ---- */

static void add_to_image(struct cut *cut, const char *path, const void *bytes, size_t size)
{
	const char *name = path + cut->dir_len;
	cut->image += XXH3_64bits_withSeed(bytes, size, XXH3_64bits(name, strlen(name)));
}

static bool write_file(struct cut *cut, const char *path, const struct disk_file *file)
{
	if (!file->mapped)
		add_to_image(cut, path, file->bytes, file->size);
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	size_t done = 0;
	while (fd >= 0 && done < file->size) {
		ssize_t put = write(fd, file->bytes + done, file->size - done);
		if (put <= 0)
			break;
		done += (size_t)put;
	}
	return fd >= 0 && close(fd) == 0 && done == file->size;
}

static bool make_file(struct cut *cut, const char *path, const struct disk_name *name)
{
	const struct disk_file *from = &cut->disk->files[name->file];
	if (!from->pending_count && !from->mapped)
		return write_file(cut, path, from);
	struct disk_file to = {.mapped = from->mapped};
	disk_file_reserve(&to, from->size + 1);
	if (from->size)
		memcpy(to.bytes, from->bytes, from->size);
	to.size = from->size;
	if (from->mapped)
		pick_mapped(cut, &to);
	else
		pick_data(cut, name->text, from, &to);
	bool good = write_file(cut, path, &to);
	free(to.bytes);
	return good;
}

static bool make_dir(struct cut *cut, const struct disk_name *names, size_t count, uint32_t number, const char *path)
{
	for (size_t i = 0; i < count; i++) {
		char child[4096];
		if (names[i].dir != number)
			continue;
		if ((size_t)snprintf(child, sizeof(child), "%s/%s", path, names[i].text) >= sizeof(child))
			return false;
		if (cut->disk->files[names[i].file].is_dir) {
			add_to_image(cut, child, "/", 1);
			if (mkdir(child, 0700) != 0 || !make_dir(cut, names, count, names[i].file, child))
				return false;
		} else if (!make_file(cut, child, &names[i])) {
			return false;
		}
	}
	return true;
}

bool disk_lose_power(const struct disk *disk, const struct disk_choice *choice, const char *dir, char *story, size_t story_size, uint64_t *out_image)
{
	struct cut cut = {.disk = disk, .number = choice->number, .story = story, .story_size = story ? story_size : 0, .dir_len = strlen(dir)};
	cut.random = choice->seed ^ (disk->at * 0x9e3779b97f4a7c15U) ^ ((uint64_t)choice->number << 48);
	cut.garbage = choice->number >= DISK_EXTREMES && below(&cut, 3) == 0;
	if (story_size)
		story[0] = '\0';
	if (cut.garbage)
		tell(&cut, "with garbage; ");
	size_t count = 0;
	struct disk_name *names = NULL;
	for (size_t i = 0; i < disk->name_count; i++) {
		names = disk_grown(names, count, sizeof(*names));
		names[count++] = disk->names[i];
	}
	pick_names(&cut, &names, &count);
	bool good = make_dir(&cut, names, count, 0, dir);
	free(names);
	if (out_image)
		*out_image = cut.image;
	return good;
}
