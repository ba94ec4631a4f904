#include "damage.h"

#include "dice.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAGE 4096
#define FRAME (PAGE + 24)
#define LOG_HEADER 32
#define SECTOR 512
#define MAX_PAGES 4096
#define MAX_CLASSES 40
#define MAX_RANGES 64
#define MAX_KEYS 2000

/* A class: a table, an index, the free pages. Its pages are equally likely. */
struct class {
	char name[48];
	int *pages; /* from 0 */
	int count;
};

struct key {
	char key[48];
	int64_t lsn;
};

struct range { /* each bit of it is flipped by damage_enumerate */
	const char *file;
	char place[48];
	int64_t at, len;
	bool cut; /* each length of the file instead */
};

struct damage_map {
	const struct scene *scene;
	int64_t size[8]; /* of scene_file(i); of the backup behind them */
	struct class classes[MAX_CLASSES];
	int class_count;
	struct key *keys;
	int key_count;
	struct damage_rows *rows; /* NULL: without dbstat nobody knows which pages are theirs */
	struct range ranges[MAX_RANGES];
	int range_count;
};

static const char *const kind_names[DAMAGE_KINDS] = {"bit", "byte", "zeroed sector", "garbage in a sector", "zeroed page", "swapped pages", "misplaced page", "cut"};

static int64_t below(uint64_t *seed, int64_t limit)
{
	return limit > 0 ? (int64_t)roll(seed, (uint64_t)limit) : 0;
}

/* ---- the map ---- */

static struct class *class_of(struct damage_map *map, const char *name)
{
	for (int i = 0; i < map->class_count; i++)
		if (strcmp(map->classes[i].name, name) == 0)
			return &map->classes[i];
	if (map->class_count == MAX_CLASSES)
		return NULL;
	struct class *made = &map->classes[map->class_count++];
	snprintf(made->name, sizeof(made->name), "%.47s", name);
	made->pages = calloc(MAX_PAGES, sizeof(int));
	return made;
}

static void add_page(struct damage_map *map, const char *name, int page)
{
	struct class *class = class_of(map, name);
	if (class && class->pages && page < MAX_PAGES)
		class->pages[class->count++] = page;
}

/* dbstat knows every page that is used; the others are free. Without it (a build of SQLite that lacks it) all are one class. */
static bool map_pages(struct damage_map *map, const char *path)
{
	char uri[256];
	bool used[MAX_PAGES] = {true};
	sqlite3 *db = NULL;
	sqlite3_stmt *stmt = NULL;
	snprintf(uri, sizeof(uri), "file:%.200s?immutable=1", path);
	bool good = sqlite3_open_v2(uri, &db, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI, NULL) == SQLITE_OK;
	if (good && sqlite3_prepare_v2(db, "SELECT name, pageno FROM dbstat", -1, &stmt, NULL) == SQLITE_OK)
		while (sqlite3_step(stmt) == SQLITE_ROW) {
			int page = sqlite3_column_int(stmt, 1) - 1;
			if (page < 0 || page >= MAX_PAGES)
				continue;
			used[page] = true;
			add_page(map, (const char *)sqlite3_column_text(stmt, 0), page);
		}
	bool known = map->class_count > 0;
	sqlite3_finalize(stmt);
	sqlite3_close(db);
	for (int i = 0; i < map->size[0] / PAGE; i++)
		if (!known || !used[i])
			add_page(map, known ? "free" : "page", i);
	return good;
}

static bool same_count(sqlite3 *db, const struct damage_rows *rows, const char *table)
{
	char sql[64];
	sqlite3_stmt *stmt = NULL;
	snprintf(sql, sizeof(sql), "SELECT count(*) FROM %s", table);
	bool same = sqlite3_prepare_v2(db, sql, -1, &stmt, NULL) == SQLITE_OK && sqlite3_step(stmt) == SQLITE_ROW && sqlite3_column_int(stmt, 0) == damage_rows_count(rows, table);
	sqlite3_finalize(stmt);
	return same;
}

/* SQLite must count as many. */
static bool map_rows(struct damage_map *map, const char *path)
{
	static const char *const tables[] = {"events", "snapshots", "snapshot_chunks"};
	char uri[256];
	sqlite3 *db = NULL;
	snprintf(uri, sizeof(uri), "file:%.200s?immutable=1", path);
	bool good = sqlite3_open_v2(uri, &db, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI, NULL) == SQLITE_OK;
	for (size_t i = 0; good && i < sizeof(tables) / sizeof(tables[0]); i++)
		for (int n = 0; good && n < map->class_count; n++)
			if (strcmp(map->classes[n].name, tables[i]) == 0)
				good = (map->rows = damage_rows_add(map->rows, path, tables[i], map->classes[n].pages, map->classes[n].count)) && same_count(db, map->rows, tables[i]);
	sqlite3_close(db);
	return good;
}

static bool map_keys(struct damage_map *map, const char *path)
{
	char uri[256];
	sqlite3 *db = NULL;
	sqlite3_stmt *stmt = NULL;
	snprintf(uri, sizeof(uri), "file:%.200s?immutable=1", path);
	bool good = sqlite3_open_v2(uri, &db, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI, NULL) == SQLITE_OK && (map->keys = calloc(MAX_KEYS, sizeof(*map->keys))) &&
		    sqlite3_prepare_v2(db, "SELECT idempotency_key, lsn FROM events UNION ALL SELECT idempotency_key, lsn FROM compacted_keys", -1, &stmt, NULL) == SQLITE_OK;
	while (good && sqlite3_step(stmt) == SQLITE_ROW && map->key_count < MAX_KEYS) {
		struct key *key = &map->keys[map->key_count++];
		snprintf(key->key, sizeof(key->key), "%s", (const char *)sqlite3_column_text(stmt, 0));
		key->lsn = sqlite3_column_int64(stmt, 1);
	}
	sqlite3_finalize(stmt);
	sqlite3_close(db);
	return good && map->key_count < MAX_KEYS;
}

static void add_range(struct damage_map *map, const char *file, const char *place, int64_t at, int64_t len, bool cut)
{
	if (map->range_count == MAX_RANGES || len <= 0)
		return;
	struct range *range = &map->ranges[map->range_count++];
	*range = (struct range){.file = file, .at = at, .len = len, .cut = cut};
	snprintf(range->place, sizeof(range->place), "%.47s", place);
}

/* The bytes of a record: from a little before its text (the numbers of its header and cell) to behind its checksum. */
static void add_records(struct damage_map *map, const char *path, const char *text, const char *place, int64_t before, int64_t after)
{
	static unsigned char bytes[MAX_PAGES * PAGE];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t len = fd < 0 ? -1 : pread(fd, bytes, sizeof(bytes), 0);
	if (fd >= 0)
		close(fd);
	size_t text_len = strlen(text);
	int found = 0;
	for (int64_t at = before; at + (int64_t)text_len + after < len && found < 4; at++)
		if (memcmp(bytes + at, text, text_len) == 0) {
			add_range(map, "store.db", place, at - before, before + (int64_t)text_len + after, false);
			found++;
			at += (int64_t)text_len + after;
		}
}

static int64_t size_of(const char *dir, const char *file)
{
	char path[256];
	struct stat stat_;
	snprintf(path, sizeof(path), "%s/%s", dir, file);
	return stat(path, &stat_) == 0 ? stat_.st_size : 0;
}

static void map_small_things(struct damage_map *map, const char *path)
{
	const char *dir = map->scene->dir;
	if (map->scene->number == SCENE_BACKUP) {
		int64_t size = size_of(dir, "backup");
		add_range(map, "backup", "mark", size - 80, 80, false);
		add_range(map, "backup", "header", 0, 108, false);
		return;
	}
	add_range(map, "watermark", "watermark", 0, size_of(dir, "watermark"), false);
	add_range(map, "watermark", "watermark", 0, size_of(dir, "watermark"), true);
	add_range(map, "store.db", "header", 0, 108, false);
	add_records(map, path, "old-12", "an event, and its places in indexes", 40, 80);
	add_records(map, path, "MFSN", "a snapshot", 60, 120);
	add_records(map, path, "keeper", "a checkpoint", 12, 16);
	if (map->scene->number == SCENE_HOT || map->scene->number == SCENE_BESIDE)
		add_range(map, "store.db-wal", "log header and first frame", 0, LOG_HEADER + 24 + 16, false);
}

struct damage_map *damage_map_new(const struct scene *scene)
{
	char path[256];
	struct damage_map *map = calloc(1, sizeof(*map));
	if (!map)
		return NULL;
	map->scene = scene;
	for (size_t i = 0; scene_file(i); i++)
		map->size[i] = size_of(scene->dir, scene_file(i));
	snprintf(path, sizeof(path), "%.200s/store.db", scene->dir);
	if (!map_pages(map, path) || !map_rows(map, path) || !map_keys(map, path))
		return NULL;
	map_small_things(map, path);
	return map;
}

/* ---- choosing ---- */

static enum damage_kind choose_kind(uint64_t *seed)
{
	static const enum damage_kind likely[] = {DAMAGE_BIT, DAMAGE_BIT, DAMAGE_BIT, DAMAGE_BIT, DAMAGE_BIT, DAMAGE_BIT, DAMAGE_BIT, DAMAGE_BYTE, DAMAGE_BYTE, DAMAGE_BYTE,
						  DAMAGE_ZERO, DAMAGE_ZERO, DAMAGE_GARBAGE, DAMAGE_ZERO_PAGE, DAMAGE_SWAP, DAMAGE_SWAP, DAMAGE_COPY, DAMAGE_CUT, DAMAGE_CUT, DAMAGE_BIT};
	return likely[below(seed, sizeof(likely) / sizeof(likely[0]))];
}

static void choose_value(uint64_t *seed, struct damage *damage)
{
	if (damage->kind == DAMAGE_BIT)
		damage->other = below(seed, 8);
	else if (damage->kind == DAMAGE_BYTE)
		damage->other = below(seed, 3) == 0 ? 0 : below(seed, 256);
	else if (damage->kind == DAMAGE_GARBAGE)
		damage->other = (int64_t)(proof_random(seed) >> 1);
}

/* Within a page: its header and the pointers to its cells as often as all the rest. */
static int64_t choose_in_page(uint64_t *seed)
{
	return below(seed, 3) == 0 ? below(seed, 8 + 40) : below(seed, PAGE);
}

static void choose_in_database(const struct damage_map *map, uint64_t *seed, struct damage *out)
{
	const struct class *class = &map->classes[below(seed, map->class_count)];
	int page = class->pages[below(seed, class->count)], pages = (int)(map->size[0] / PAGE);
	snprintf(out->place, sizeof(out->place), "%s", class->name);
	out->at = (int64_t)page * PAGE + choose_in_page(seed);
	if (page == 0 && below(seed, 2)) {
		out->at = below(seed, 100);
		snprintf(out->place, sizeof(out->place), "header");
	}
	if (out->kind == DAMAGE_SWAP || out->kind == DAMAGE_COPY) { /* of the same class as often as of any */
		out->at = (int64_t)page * PAGE;
		out->other = (int64_t)PAGE * (below(seed, 2) ? class->pages[below(seed, class->count)] : below(seed, pages));
	} else if (out->kind == DAMAGE_CUT) {
		out->at = below(seed, 2) ? (int64_t)page * PAGE : below(seed, 2) ? out->at : below(seed, map->size[0]);
	}
}

/* A value of an event, a snapshot or a chunk. */
static void choose_in_row(const struct damage_map *map, uint64_t *seed, struct damage *out)
{
	const struct damage_row *row;
	out->at = damage_rows_pick(map->rows, seed, &row);
	snprintf(out->place, sizeof(out->place), "a row of %.30s", row->table);
}

static void choose_in_log(uint64_t *seed, int64_t size, struct damage *out)
{
	int64_t frames = (size - LOG_HEADER) / FRAME, frame = LOG_HEADER + below(seed, frames) * FRAME;
	int where = (int)below(seed, 8);
	out->at = where == 0 ? below(seed, LOG_HEADER) : where < 4 ? frame + below(seed, 24) : frame + 24 + choose_in_page(seed);
	snprintf(out->place, sizeof(out->place), "%s", where == 0 ? "log header" : where < 4 ? "frame header" : "frame");
	if (out->kind == DAMAGE_SWAP || out->kind == DAMAGE_COPY) {
		out->at = frame + (where % 2 ? 24 : 0);
		out->other = LOG_HEADER + below(seed, frames) * FRAME + (where % 2 ? 24 : 0);
	} else if (out->kind == DAMAGE_CUT) {
		int64_t off = below(seed, 5) - 2;
		out->at = where < 6 ? frame + (off < 0 && frame + off < 0 ? 0 : off) : below(seed, size);
	}
}

static int64_t backup_size(const struct damage_map *map)
{
	return size_of(map->scene->dir, "backup");
}

static const char *choose_file(const struct damage_map *map, uint64_t *seed)
{
	int64_t dice = below(seed, 20);
	if (map->scene->number == SCENE_BACKUP)
		return "backup";
	if (dice == 0)
		return "watermark";
	if (dice == 1 && map->size[4] > 0)
		return "metrics";
	if (map->size[1] > LOG_HEADER + FRAME && dice < 12)
		return "store.db-wal";
	return map->size[2] > 0 && dice == 19 ? "store.db-shm" : "store.db";
}

void damage_choose(const struct damage_map *map, uint64_t seed, struct damage *out)
{
	*out = (struct damage){.kind = choose_kind(&seed)};
	out->file = choose_file(map, &seed);
	if (strcmp(out->file, "store.db") == 0) {
		if (map->rows && out->kind <= DAMAGE_GARBAGE && below(&seed, 3) == 0)
			choose_in_row(map, &seed, out);
		else
			choose_in_database(map, &seed, out);
	} else if (strcmp(out->file, "store.db-wal") == 0) {
		choose_in_log(&seed, map->size[1], out);
	} else {
		bool backup = strcmp(out->file, "backup") == 0;
		int64_t size = backup ? backup_size(map) : size_of(map->scene->dir, out->file);
		out->at = backup && below(&seed, 4) == 0 ? size - 1 - below(&seed, 80) : below(&seed, size);
		out->other = below(&seed, size);
		snprintf(out->place, sizeof(out->place), "%s", out->file);
	}
	choose_value(&seed, out);
}

bool damage_enumerate(const struct damage_map *map, uint64_t index, struct damage *out)
{
	int64_t left = (int64_t)index;
	for (int i = 0; i < map->range_count; i++) {
		const struct range *range = &map->ranges[i];
		int64_t cases = range->cut ? range->len : range->len * 8;
		if (left < cases) {
			*out = (struct damage){.file = range->file, .kind = range->cut ? DAMAGE_CUT : DAMAGE_BIT, .at = range->at + (range->cut ? left : left / 8), .other = range->cut ? 0 : left % 8};
			memcpy(out->place, range->place, sizeof(out->place));
			return true;
		}
		left -= cases;
	}
	return false;
}

/* ---- doing ---- */

static bool change(int fd, const struct damage *damage)
{
	unsigned char bytes[2][PAGE];
	uint64_t noise = (uint64_t)damage->other;
	int64_t at = damage->at;
	size_t len = 1;
	if (damage->kind == DAMAGE_ZERO || damage->kind == DAMAGE_GARBAGE)
		at -= at % SECTOR, len = SECTOR;
	else if (damage->kind == DAMAGE_ZERO_PAGE)
		at -= at % PAGE, len = PAGE;
	else if (damage->kind == DAMAGE_SWAP || damage->kind == DAMAGE_COPY)
		len = PAGE;
	ssize_t got = pread(fd, bytes[0], len, at);
	if (got <= 0)
		return false;
	len = (size_t)got;
	memcpy(bytes[1], bytes[0], len);
	switch (damage->kind) {
	case DAMAGE_BIT: bytes[1][0] ^= (unsigned char)(1u << damage->other); break;
	case DAMAGE_BYTE: bytes[1][0] = (unsigned char)damage->other; break;
	case DAMAGE_GARBAGE:
		for (size_t i = 0; i < len; i++)
			bytes[1][i] = (unsigned char)proof_random(&noise);
		break;
	case DAMAGE_SWAP:
	case DAMAGE_COPY:
		if (pread(fd, bytes[1], len, damage->other) != got)
			return false;
		break;
	default: memset(bytes[1], 0, len); break;
	}
	if (memcmp(bytes[0], bytes[1], len) == 0 || pwrite(fd, bytes[1], len, at) != got)
		return false;
	return damage->kind != DAMAGE_SWAP || pwrite(fd, bytes[0], len, damage->other) == got;
}

bool damage_do(const struct damage *damage, const char *dir)
{
	char path[256];
	struct stat stat;
	snprintf(path, sizeof(path), "%.200s/%s", dir, damage->file);
	int fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return false;
	bool good = damage->kind != DAMAGE_CUT ? change(fd, damage) : fstat(fd, &stat) == 0 && damage->at >= 0 && stat.st_size > damage->at && ftruncate(fd, damage->at) == 0;
	close(fd);
	return good;
}

const struct damage_row *damage_row(const struct damage_map *map, const struct damage *damage, bool *named)
{
	bool sector = damage->kind == DAMAGE_ZERO || damage->kind == DAMAGE_GARBAGE;
	if (!map->rows || strcmp(damage->file, "store.db") != 0 || (!sector && damage->kind != DAMAGE_BIT && damage->kind != DAMAGE_BYTE))
		return NULL;
	return damage_rows_at(map->rows, sector ? damage->at - damage->at % SECTOR : damage->at, sector ? SECTOR : 1, named);
}

bool damage_of_keys(const struct damage *damage)
{
	return strstr(damage->place, "autoindex_events") || strstr(damage->place, "compacted_keys");
}

bool damage_key(const struct damage_map *map, int index, const char **key, int64_t *lsn)
{
	if (index >= map->key_count)
		return false;
	*key = map->keys[index].key;
	*lsn = map->keys[index].lsn;
	return true;
}

const char *damage_tell(const struct damage *damage, char *buffer, size_t size)
{
	snprintf(buffer, size, "%s of %s at %lld (page %lld, byte %lld; %s), %lld", kind_names[damage->kind], damage->file, (long long)damage->at, (long long)(damage->at / PAGE + 1),
		 (long long)(damage->at % PAGE), damage->place, (long long)damage->other);
	return buffer;
}
