#include "damage_rows.h"

#include "dice.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAGE 4096
#define LEAF 0x0d /* of a table with row ids */
#define COLUMNS_MAX 16

/* Values of a row that lie together in the file. */
struct piece {
	int64_t at, len;
	int row;
};

struct damage_rows {
	struct damage_row *rows;
	struct piece *pieces;
	int count, room, piece_count, piece_room;
	int others; /* the last ones: not events */
};

struct reading {
	struct damage_rows *out;
	const char *table;
	const unsigned char *bytes; /* of the file */
	int64_t size;
};

/* A varint; 0: it does not end before the end. */
static int varint(const unsigned char *at, const unsigned char *end, int64_t *out)
{
	uint64_t value = 0;
	for (int i = 0; i < 9 && at + i < end; i++) {
		value = i < 8 ? value << 7 | (at[i] & 0x7fu) : value << 8 | at[i];
		if (i == 8 || !(at[i] & 0x80)) {
			*out = (int64_t)value;
			return i + 1;
		}
	}
	return 0;
}

static int64_t length_of(int64_t type)
{
	static const int numbers[] = {0, 1, 2, 3, 4, 6, 8, 8, 0, 0, 0, 0};
	return type >= 12 ? (type - 12) / 2 : numbers[type];
}

static int64_t integer(const unsigned char *at, int64_t type)
{
	uint64_t value = length_of(type) > 0 && at[0] & 0x80 ? UINT64_MAX : 0;
	for (int64_t i = 0; i < length_of(type); i++)
		value = value << 8 | at[i];
	return type == 9 ? 1 : (int64_t)value;
}

static bool add_piece(struct damage_rows *out, int64_t at, int64_t len)
{
	if (len <= 0)
		return true;
	if (out->piece_count == out->piece_room) {
		out->piece_room = out->piece_room ? 2 * out->piece_room : 256;
		struct piece *grown = realloc(out->pieces, (size_t)out->piece_room * sizeof(*grown));
		if (!grown)
			return false;
		out->pieces = grown;
	}
	out->pieces[out->piece_count++] = (struct piece){at, len, out->count};
	return true;
}

/* The links of overflow pages, each with the number of the next one. */
static bool add_overflow(const struct reading *reading, int64_t link, int64_t left)
{
	while (left > 0) {
		const unsigned char *at = reading->bytes + link;
		int64_t page = (int64_t)at[0] << 24 | (int64_t)at[1] << 16 | (int64_t)at[2] << 8 | at[3], len = left < PAGE - 4 ? left : PAGE - 4;
		if (page < 1 || page * PAGE > reading->size)
			return false;
		link = (page - 1) * PAGE;
		if (!add_piece(reading->out, link + 4, len))
			return false;
		left -= len;
	}
	return true;
}

/* Document and LSN, which are on the page itself: they come before the long values. */
static bool name_row(struct damage_row *row, const struct reading *reading, const unsigned char *record, int64_t header, int64_t local)
{
	bool event = strcmp(reading->table, "events") == 0;
	const unsigned char *type_at = record, *types_end = record + header, *value = types_end;
	int64_t type = 0;
	type_at += varint(type_at, types_end, &type); /* the header's own length */
	for (int column = 0; type_at < types_end && column < COLUMNS_MAX; column++) {
		int used = varint(type_at, types_end, &type);
		if (used == 0 || type < 0 || value + length_of(type) > record + local)
			break;
		int which = column == (event ? 2 : 0) ? 0 : !event && column == 1 ? 1 : -1;
		if (which >= 0) {
			row->name_at[which] = value - reading->bytes;
			row->name_len[which] = length_of(type);
		}
		if (which == 0)
			snprintf(row->doc, sizeof(row->doc), "%.*s", (int)length_of(type), (const char *)value);
		if (which == 1)
			row->lsn = integer(value, type);
		type_at += used;
		value += length_of(type);
	}
	return row->doc[0] != '\0' && row->lsn > 0;
}

static bool add_row(const struct reading *reading, const struct damage_row *row)
{
	struct damage_rows *out = reading->out;
	if (out->count == out->room) {
		out->room = out->room ? 2 * out->room : 256;
		struct damage_row *grown = realloc(out->rows, (size_t)out->room * sizeof(*grown));
		if (!grown)
			return false;
		out->rows = grown;
	}
	out->rows[out->count++] = *row;
	out->others = strcmp(row->table, "events") == 0 ? 0 : out->others + 1;
	return true;
}

static bool read_cell(const struct reading *reading, int64_t at)
{
	const unsigned char *bytes = reading->bytes, *end = bytes + (at / PAGE + 1) * PAGE;
	int64_t len, row_id, header;
	int used = varint(bytes + at, end, &len), more = used ? varint(bytes + at + used, end, &row_id) : 0;
	const int64_t most = PAGE - 35, least = (PAGE - 12) * 32 / 255 - 23;
	if (more == 0 || len < 1)
		return false;
	int64_t fitting = least + (len - least) % (PAGE - 4), local = len <= most ? len : fitting <= most ? fitting : least, record = at + used + more;
	if (bytes + record + local > end || varint(bytes + record, end, &header) == 0 || header < 1 || header > local)
		return false;
	struct damage_row row = {.table = reading->table, .lsn = row_id};
	return name_row(&row, reading, bytes + record, header, local) && add_piece(reading->out, record + header, local - header) &&
	       (len == local || add_overflow(reading, record + local, len - local)) && add_row(reading, &row);
}

static bool read_page(const struct reading *reading, int64_t page)
{
	const unsigned char *bytes = reading->bytes + page * PAGE;
	if ((page + 1) * PAGE > reading->size)
		return false;
	if (bytes[0] != LEAF)
		return true; /* an inner page, or an overflow page: the number of the next begins with 0 in a small file */
	int cells = bytes[3] << 8 | bytes[4];
	for (int i = 0; i < cells; i++) {
		const unsigned char *pointer = bytes + 8 + (size_t)2 * (size_t)i;
		if (8 + 2 * (i + 1) > PAGE || !read_cell(reading, page * PAGE + (pointer[0] << 8 | pointer[1])))
			return false;
	}
	return true;
}

static unsigned char *read_file(const char *path, int64_t *size)
{
	struct stat about;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	unsigned char *bytes = fd >= 0 && fstat(fd, &about) == 0 ? malloc((size_t)about.st_size + 1) : NULL;
	*size = bytes ? pread(fd, bytes, (size_t)about.st_size, 0) : 0;
	if (fd >= 0)
		close(fd);
	return bytes;
}

struct damage_rows *damage_rows_add(struct damage_rows *rows, const char *path, const char *table, const int *pages, int count)
{
	int64_t size;
	unsigned char *bytes = read_file(path, &size);
	struct reading reading = {.out = rows ? rows : calloc(1, sizeof(*rows)), .table = table, .bytes = bytes, .size = size};
	bool good = bytes && reading.out && size > 100 && (bytes[16] << 8 | bytes[17]) == PAGE && bytes[20] == 0;
	for (int i = 0; good && i < count; i++)
		good = read_page(&reading, pages[i]);
	free(bytes);
	return good ? reading.out : NULL;
}

static bool touch(int64_t at, int64_t len, int64_t other, int64_t other_len)
{
	return at < other + other_len && other < at + len;
}

const struct damage_row *damage_rows_at(const struct damage_rows *rows, int64_t at, int64_t len, bool *named)
{
	for (int i = 0; i < rows->piece_count; i++) {
		const struct piece *piece = &rows->pieces[i];
		if (at < piece->at || at + len > piece->at + piece->len)
			continue;
		const struct damage_row *row = &rows->rows[piece->row];
		*named = !touch(at, len, row->name_at[0], row->name_len[0]) && !touch(at, len, row->name_at[1], row->name_len[1]);
		return row;
	}
	return NULL;
}

int64_t damage_rows_pick(const struct damage_rows *rows, uint64_t *seed, const struct damage_row **out)
{
	int row = (int)roll(seed, (uint64_t)rows->count), first = 0, count = 0;
	if (roll(seed, 2) && rows->others > 0)
		row = rows->count - 1 - (int)roll(seed, (uint64_t)rows->others);
	for (int i = 0; i < rows->piece_count; i++)
		if (rows->pieces[i].row == row && count++ == 0)
			first = i;
	const struct piece *piece = &rows->pieces[first + (int)roll(seed, 2) * (int)roll(seed, (uint64_t)count)];
	*out = &rows->rows[row];
	return piece->at + (int64_t)roll(seed, (uint64_t)piece->len);
}

int damage_rows_count(const struct damage_rows *rows, const char *table)
{
	int count = 0;
	for (int i = 0; i < rows->count; i++)
		count += strcmp(rows->rows[i].table, table) == 0;
	return count;
}
