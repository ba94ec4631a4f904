#include "tests/fuzz/file_edits.h"

#include <stdio.h>
#include <stdlib.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "persist/checksum.h"
#include "tests/fuzz/layers.h"
#include "tests/fuzz/memfs.h"

#define PAGE 4096
#define FILE_MAX ((size_t)1 << 20)

const struct file_shape fuzz_database_shape = {.unit = PAGE, .pages = true};
const struct file_shape fuzz_log_shape = {.header = 32, .unit = 24 + PAGE, .pages = true, .skip = 24};
const struct file_shape fuzz_plain_shape = {.unit = 32};

/* ---- a copy to work on ---- */

struct work {
	uint8_t *bytes;
	size_t len;
	const struct file_shape *shape;
};

static size_t units_of(const struct work *work)
{
	return work->len > work->shape->header ? (work->len - work->shape->header) / work->shape->unit : 0;
}

static uint8_t *unit_at(const struct work *work, size_t number)
{
	return work->bytes + work->shape->header + number * work->shape->unit;
}

/* Where the page of a unit begins. */
static uint8_t *page_of(const struct work *work, size_t number)
{
	return unit_at(work, number) + work->shape->skip;
}

static void put_be(uint8_t *out, uint64_t value, unsigned bytes)
{
	for (unsigned i = 0; i < bytes; i++)
		out[i] = (uint8_t)(value >> (8 * (bytes - 1 - i)));
}

static uint32_t get_be(const uint8_t *in, unsigned bytes)
{
	uint32_t value = 0;
	for (unsigned i = 0; i < bytes; i++)
		value = value << 8 | in[i];
	return value;
}

/* ---- changes ---- */

static size_t set_bytes(struct work *work, size_t at, struct script *script)
{
	size_t len;
	const uint8_t *piece = script_piece(script, script_byte(script) % 24 + 1, &len);
	if (at >= work->len)
		return 0;
	if (len > work->len - at)
		len = work->len - at;
	if (len > 0)
		memcpy(work->bytes + at, piece, len);
	return len;
}

static size_t set_number(struct work *work, size_t at, unsigned bytes, struct script *script)
{
	static const uint32_t numbers[] = {0, 1, 2, 3, 4, 7, 100, 4095, 4096, 65535, 65536, INT32_MAX, 0x80000000u, UINT32_MAX};
	uint8_t which = script_byte(script);
	size_t known = sizeof(numbers) / sizeof(numbers[0]);
	if (at + bytes > work->len)
		return 0;
	uint32_t value = which < known ? numbers[which] : which < 128 ? get_be(work->bytes + at, bytes) + (uint32_t)which - 64 : (uint32_t)script_number(script, bytes);
	put_be(work->bytes + at, value, bytes);
	return bytes;
}

/* Of a database's header, of a page's, of a frame's. */
static size_t set_field(struct work *work, size_t number, struct script *script)
{
	static const struct {
		uint8_t at, bytes;
	} of_file[] = {{16, 2}, {18, 1}, {19, 1}, {20, 1}, {21, 1}, {22, 1}, {23, 1}, {24, 4}, {28, 4}, {32, 4}, {36, 4}, {40, 4}, {44, 4}, {48, 4}, {52, 4}, {56, 4}, {60, 4}, {64, 4}, {68, 4}, {92, 4}, {96, 4}},
	  of_page[] = {{0, 1}, {1, 2}, {3, 2}, {5, 2}, {7, 1}, {8, 4}, {8, 2}, {10, 2}, {12, 2}, {14, 2}, {16, 2}}, of_frame[] = {{0, 4}, {4, 4}, {8, 4}, {12, 4}};
	uint8_t kind = script_byte(script);
	size_t page = (size_t)(page_of(work, number) - work->bytes);
	if (work->shape->skip && kind % 4 == 0) {
		size_t field = kind / 4 % (sizeof(of_frame) / sizeof(of_frame[0]));
		return set_number(work, page - work->shape->skip + of_frame[field].at, of_frame[field].bytes, script);
	}
	if (kind % 4 == 1) {
		size_t field = kind / 4 % (sizeof(of_file) / sizeof(of_file[0]));
		return set_number(work, page + of_file[field].at, of_file[field].bytes, script);
	}
	size_t field = kind / 4 % (sizeof(of_page) / sizeof(of_page[0]));
	size_t first = memcmp(work->bytes + page, "SQLite format 3", 16) == 0 ? 100 : 0; /* behind the file's header */
	return set_number(work, page + first + of_page[field].at, of_page[field].bytes, script);
}

/* A few bytes at or behind the beginning of a cell: lengths, numbers of rows, types of columns, then what is in them. */
static size_t set_in_cell(struct work *work, size_t number, struct script *script)
{
	const uint8_t *page = page_of(work, number);
	size_t first = memcmp(page, "SQLite format 3", 16) == 0 ? 100 : 0;
	size_t pointers = first + (page[first] == 2 || page[first] == 5 ? 12 : 8), cells = get_be(page + first + 3, 2);
	if (cells == 0 || cells > 500)
		return 0;
	size_t cell = get_be(page + pointers + 2 * script_choice(script, cells), 2);
	return set_bytes(work, (size_t)(page - work->bytes) + cell % PAGE + script_byte(script), script);
}

static size_t move_units(struct work *work, size_t count, struct script *script)
{
	size_t to = script_choice(script, count), from = script_choice(script, count), unit = work->shape->unit;
	switch (script_byte(script) % 3) {
	case 0: memmove(unit_at(work, to), unit_at(work, from), unit); break;
	case 1: memset(unit_at(work, to), 0, unit); break;
	default: /* it goes, and what follows closes up */
		memmove(unit_at(work, to), unit_at(work, to) + unit, work->len - (size_t)(unit_at(work, to) + unit - work->bytes));
		work->len -= unit;
	}
	return SIZE_MAX;
}

static size_t change_length(struct work *work, struct script *script)
{
	size_t units = units_of(work), more = script_byte(script) % 4 + 1;
	switch (script_byte(script) % 3) {
	case 0: work->len = (size_t)script_number(script, 3) % (work->len + 1); break;
	case 1: work->len = units ? (size_t)(unit_at(work, script_choice(script, units)) - work->bytes) : 0; break;
	default:
		for (; more > 0 && work->len + work->shape->unit <= FILE_MAX; more--) {
			memset(work->bytes + work->len, 0, work->shape->unit);
			if (units > 0)
				memcpy(work->bytes + work->len, unit_at(work, more % units), work->shape->unit);
			work->len += work->shape->unit;
		}
	}
	return SIZE_MAX;
}

static size_t edit(struct work *work, struct script *script)
{
	uint8_t kind = script_byte(script) % 8;
	size_t units = units_of(work);
	if (kind == 7)
		return change_length(work, script);
	if (kind == 6 && units > 0)
		return move_units(work, units, script);
	if (kind >= 2 && units > 0 && work->shape->pages) {
		size_t number = script_choice(script, units);
		return kind < 4 ? set_field(work, number, script) : set_in_cell(work, number, script);
	}
	return set_bytes(work, (size_t)script_number(script, 3) % (work->len + 1), script);
}

size_t fuzz_edit_file(const char *path, const struct file_shape *shape, struct script *script)
{
	static uint8_t bytes[FILE_MAX], before[FILE_MAX];
	struct work work = {.bytes = bytes, .shape = shape};
	const uint8_t *now = memfs_bytes(path, &work.len);
	size_t len = work.len;
	if (len > FILE_MAX)
		return SIZE_MAX;
	if (now && len > 0) {
		memcpy(bytes, now, len);
		memcpy(before, now, len);
	}
	size_t changed = edit(&work, script);
	if (changed == 0 || (work.len == len && (len == 0 || memcmp(bytes, before, len) == 0)))
		return 0;
	memfs_put(path, bytes, work.len);
	return changed;
}

/* ---- checksums ---- */

/* https://www.sqlite.org/fileformat2.html#checksum_algorithm */
static void sum(const uint8_t *bytes, size_t len, bool big, uint32_t state[2])
{
	for (size_t i = 0; i + 8 <= len; i += 8) {
		uint32_t x[2];
		for (size_t k = 0; k < 2; k++)
			x[k] = big ? get_be(bytes + i + 4 * k, 4) : (uint32_t)fuzz_get_le(bytes + i + 4 * k, 4);
		state[0] += x[0] + state[1];
		state[1] += x[1] + state[0];
	}
}

void fuzz_repair_log(const char *path, bool salts)
{
	size_t len;
	uint32_t state[2] = {0, 0};
	uint8_t *log = (uint8_t *)memfs_bytes(path, &len); /* in place: it stays as long as it is */
	if (!log || len < 32)
		return;
	bool big = log[3] & 1;
	put_be(log, 0x377f0682u | big, 4);
	put_be(log + 4, 3007000, 4);
	sum(log, 24, big, state);
	put_be(log + 24, state[0], 4);
	put_be(log + 28, state[1], 4);
	for (uint8_t *frame = log + 32; (size_t)(log + len - frame) >= 24 + PAGE; frame += 24 + PAGE) {
		if (salts)
			memcpy(frame + 8, log + 16, 8);
		sum(frame, 8, big, state);
		sum(frame + 24, PAGE, big, state);
		put_be(frame + 16, state[0], 4);
		put_be(frame + 20, state[1], 4);
	}
}

void fuzz_repair_watermark(const char *path)
{
	size_t len;
	uint8_t *bytes = (uint8_t *)memfs_bytes(path, &len);
	if (!bytes || len < 32)
		return;
	memcpy(bytes, "MFWM", 4);
	fuzz_put_le(bytes + 4, mf_crc32(0, bytes + 8, 24), 4);
}

void fuzz_repair_backup(const char *path)
{
	size_t len;
	uint8_t *bytes = (uint8_t *)memfs_bytes(path, &len);
	if (!bytes || len < 80)
		return;
	uint8_t *mark = bytes + len - 80;
	XXH128_canonical_t canonical;
	memcpy(mark, "MFBACKUP", 8);
	fuzz_put_le(mark + 16, len - 80, 8);
	XXH128_canonicalFromHash(&canonical, XXH3_128bits(bytes, len - 80));
	memcpy(mark + 64, canonical.digest, 16);
	fuzz_put_le(mark + 12, mf_crc32(mf_crc32(0, mark, 12), mark + 16, 64), 4);
}

void fuzz_repair_counters(const char *path)
{
	size_t len;
	char digits[9];
	uint8_t *bytes = (uint8_t *)memfs_bytes(path, &len), *end = bytes ? memchr(bytes, '\n', len) : NULL;
	if (!end || (size_t)(bytes + len - end) < 10)
		return;
	snprintf(digits, sizeof(digits), "%08x", mf_crc32(0, bytes, (size_t)(end - bytes)));
	memcpy(end + 1, digits, 8);
}
