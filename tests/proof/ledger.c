/* ledger.c - the world's book: lines in, what they mean kept by key, batch, follower and document. */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ledger.h"

#define NONE UINT32_MAX
#define FIELDS 12

/* Two open tables from a hash to the index of an item: by key, and by batch to its first item. */
struct ledger_more {
	uint32_t *by_key, *by_batch;
	uint32_t *next; /* of the same batch */
	pthread_mutex_t lock; /* of who says something in this process */
	bool power_lost; /* since the last opening */
	FILE *kept;      /* where lines go, too */
	size_t room, slots;
	size_t life_room, follower_room, seen_room, backup_room, place_room;
};

static void *resized(void *memory, size_t count, size_t size)
{
	void *grown = realloc(memory, count * size);
	if (!grown)
		abort();
	return grown;
}

/* Room for one more of an array; the new one is zero. */
static void *one_more(void **array, size_t *count, size_t *room, size_t size)
{
	if (*count == *room) {
		*room = *room ? 2 * *room : 16;
		*array = resized(*array, *room, size);
	}
	char *item = (char *)*array + *count * size;
	memset(item, 0, size);
	(*count)++;
	return item;
}

static void wrong(struct ledger *ledger, const char *format, ...) MF_PRINTF(2, 3);

static void wrong(struct ledger *ledger, const char *format, ...)
{
	va_list args;
	if (ledger->wrong[0])
		return;
	va_start(args, format);
	vsnprintf(ledger->wrong, sizeof(ledger->wrong), format, args);
	va_end(args);
}

struct ledger *ledger_new(void)
{
	struct ledger *ledger = calloc(1, sizeof(*ledger));
	if (!ledger || !(ledger->more = calloc(1, sizeof(*ledger->more))))
		abort();
	pthread_mutex_init(&ledger->more->lock, NULL);
	return ledger;
}

static void *copied(const void *from, size_t count, size_t size)
{
	if (count == 0)
		return NULL;
	return memcpy(resized(NULL, count, size), from, count * size);
}

struct ledger *ledger_copy(const struct ledger *ledger)
{
	struct ledger *copy = ledger_new();
	const struct ledger_more *more = ledger->more;
	struct ledger_more *room = copy->more;
	*copy = *ledger;
	copy->more = room;
	*room = *more;
	pthread_mutex_init(&room->lock, NULL);
	room->kept = NULL;
	copy->items = copied(ledger->items, more->room, sizeof(*ledger->items));
	copy->lives = copied(ledger->lives, more->life_room, sizeof(*ledger->lives));
	copy->followers = copied(ledger->followers, more->follower_room, sizeof(*ledger->followers));
	copy->seen = copied(ledger->seen, more->seen_room, sizeof(*ledger->seen));
	copy->backups = copied(ledger->backups, more->backup_room, sizeof(*ledger->backups));
	copy->places = copied(ledger->places, more->place_room, sizeof(*ledger->places));
	room->next = copied(more->next, more->room, sizeof(*more->next));
	room->by_key = copied(more->by_key, more->slots, sizeof(*more->by_key));
	room->by_batch = copied(more->by_batch, more->slots, sizeof(*more->by_batch));
	return copy;
}

void ledger_free(struct ledger *ledger)
{
	if (!ledger)
		return;
	free(ledger->items);
	free(ledger->lives);
	free(ledger->followers);
	free(ledger->seen);
	free(ledger->backups);
	free(ledger->places);
	free(ledger->more->by_key);
	free(ledger->more->by_batch);
	free(ledger->more->next);
	pthread_mutex_destroy(&ledger->more->lock);
	free(ledger->more);
	free(ledger);
}

/* ---- the two tables ---- */

static uint64_t hash_text(const char *text)
{
	uint64_t hash = 0xcbf29ce484222325U;
	for (; *text; text++)
		hash = (hash ^ (unsigned char)*text) * 0x100000001b3U;
	return hash ^ hash >> 29;
}

static uint64_t hash_number(uint64_t number)
{
	number = (number ^ number >> 30) * 0xbf58476d1ce4e5b9U;
	return number ^ number >> 27;
}

/* The slot that has the key or batch, or the free one where it belongs. */
static uint32_t *slot_of_key(const struct ledger *ledger, const char *key)
{
	const struct ledger_more *more = ledger->more;
	size_t at = hash_text(key) & (more->slots - 1);
	while (more->by_key[at] != NONE && strcmp(ledger->items[more->by_key[at]].key, key) != 0)
		at = (at + 1) & (more->slots - 1);
	return &more->by_key[at];
}

static uint32_t *slot_of_batch(const struct ledger *ledger, uint64_t batch)
{
	const struct ledger_more *more = ledger->more;
	size_t at = hash_number(batch) & (more->slots - 1);
	while (more->by_batch[at] != NONE && ledger->items[more->by_batch[at]].batch != batch)
		at = (at + 1) & (more->slots - 1);
	return &more->by_batch[at];
}

static void enter(struct ledger *ledger, uint32_t index)
{
	uint32_t *slot = slot_of_batch(ledger, ledger->items[index].batch);
	*slot_of_key(ledger, ledger->items[index].key) = index;
	ledger->more->next[index] = *slot;
	*slot = index;
}

static void make_room(struct ledger *ledger)
{
	struct ledger_more *more = ledger->more;
	if (ledger->count < more->room)
		return;
	more->room = more->room ? 2 * more->room : 256;
	more->slots = 4 * more->room;
	ledger->items = resized(ledger->items, more->room, sizeof(*ledger->items));
	more->next = resized(more->next, more->room, sizeof(*more->next));
	more->by_key = resized(more->by_key, more->slots, sizeof(*more->by_key));
	more->by_batch = resized(more->by_batch, more->slots, sizeof(*more->by_batch));
	memset(more->by_key, 0xff, more->slots * sizeof(*more->by_key));
	memset(more->by_batch, 0xff, more->slots * sizeof(*more->by_batch));
	for (uint32_t i = 0; i < ledger->count; i++)
		enter(ledger, i);
}

struct ledger_item *ledger_find(const struct ledger *ledger, const char *key)
{
	if (ledger->count == 0)
		return NULL;
	uint32_t index = *slot_of_key(ledger, key);
	return index == NONE ? NULL : &ledger->items[index];
}

static void submitted(struct ledger *ledger, const struct ledger_item *item)
{
	struct ledger_item *known = ledger_find(ledger, item->key);
	if (known && known->level != LEDGER_ABSENT && known->level != LEDGER_LOST) {
		wrong(ledger, "key %s was submitted twice", item->key);
		return;
	}
	if (known)
		known->level = LEDGER_REPLACED;
	make_room(ledger);
	uint32_t index = (uint32_t)ledger->count++;
	ledger->items[index] = *item;
	ledger->items[index].life = (uint32_t)ledger->life_count - 1;
	enter(ledger, index);
}

/* ---- what is told ---- */

static bool in_memory(const struct ledger *ledger)
{
	return ledger->life_count > 0 && ledger->lives[ledger->life_count - 1].mode == MF_COMMIT_MEMORY_ONLY;
}

static void synced_upto(struct ledger *ledger, int64_t lsn)
{
	if (!in_memory(ledger) && lsn > ledger->synced_lsn)
		ledger->synced_lsn = lsn;
}

/* The item is known to be committed, with this LSN. */
static void committed(struct ledger *ledger, struct ledger_item *item, enum ledger_level level, int64_t lsn)
{
	const struct ledger_life *life = &ledger->lives[item->life];
	if (item->lsn && item->lsn != lsn)
		wrong(ledger, "key %s was given LSN %" PRId64 " and LSN %" PRId64, item->key, item->lsn, lsn);
	if (item->level == LEDGER_ABSENT || item->level == LEDGER_LOST)
		wrong(ledger, "key %s ended absent or was lost, and is committed with LSN %" PRId64, item->key, lsn);
	if (life->mode != MF_COMMIT_MEMORY_ONLY && lsn <= life->last_lsn)
		wrong(ledger, "key %s was given LSN %" PRId64 ", and the store had %" PRId64 " when it was opened", item->key, lsn, life->last_lsn);
	item->lsn = lsn;
	if (item->life + 1 == ledger->life_count && ledger->lives[item->life].newest < lsn)
		ledger->lives[item->life].newest = lsn;
	if (level == LEDGER_WRITTEN && item->mode == MF_COMMIT_SYNC_DURABLE)
		level = LEDGER_SYNCED;
	if (level > item->level)
		item->level = level;
	if (level == LEDGER_SYNCED)
		synced_upto(ledger, lsn);
}

static void ended(struct ledger *ledger, uint64_t batch, enum ledger_level level, int64_t last_lsn)
{
	uint32_t index = ledger->count ? *slot_of_batch(ledger, batch) : NONE;
	ledger->ended[level & 7]++;
	if (index == NONE)
		wrong(ledger, "batch %" PRIu64 " ended and was never submitted", batch);
	for (; index != NONE; index = ledger->more->next[index]) {
		struct ledger_item *item = &ledger->items[index];
		if (level == LEDGER_WRITTEN || level == LEDGER_SYNCED)
			committed(ledger, item, level, last_lsn - (int64_t)(item->count - 1 - item->index));
		else if (item->level < LEDGER_WRITTEN)
			item->level = level;
		else if (level == LEDGER_ABSENT)
			wrong(ledger, "key %s was shown to be committed, and ended absent", item->key);
	}
}

/* What was written and not synced is settled by what an opening after a power loss has. What was promised and is not there stays
 * as it is: the oracle misses it. */
static void settle_power_loss(struct ledger *ledger, int64_t last_lsn)
{
	size_t kept = 0;
	for (size_t i = 0; i < ledger->count; i++) {
		struct ledger_item *item = &ledger->items[i];
		if (item->level != LEDGER_WRITTEN || ledger->lives[item->life].mode == MF_COMMIT_MEMORY_ONLY)
			continue;
		if (item->lsn <= last_lsn)
			item->level = LEDGER_SYNCED;
		else if (item->lsn > ledger->synced_lsn)
			item->level = LEDGER_LOST;
	}
	for (size_t i = 0; i < ledger->seen_count; i++) {
		const struct ledger_seen *seen = &ledger->seen[i];
		if (seen->lsn > last_lsn && seen->mode == MF_COMMIT_SYNC_DURABLE)
			wrong(ledger, "a reader saw LSN %" PRId64 " of document %s in mode sync, and after a power loss the newest was %" PRId64, seen->lsn, seen->doc, last_lsn);
		if (seen->lsn <= last_lsn)
			ledger->seen[kept++] = *seen;
	}
	ledger->seen_count = kept;
	for (size_t i = 0; i < ledger->follower_count; i++)
		if (ledger->followers[i].handled > last_lsn)
			ledger->followers[i].handled = last_lsn;
	if (ledger->synced_lsn < last_lsn)
		ledger->synced_lsn = last_lsn;
	ledger->more->power_lost = false;
}

static void opened(struct ledger *ledger, enum mf_commit_kind mode, int64_t epoch, int64_t last_lsn)
{
	if (ledger->more->power_lost && mode != MF_COMMIT_MEMORY_ONLY)
		settle_power_loss(ledger, last_lsn);
	for (size_t i = 0; i < ledger->life_count; i++)
		if (mode != MF_COMMIT_MEMORY_ONLY && ledger->lives[i].epoch >= epoch)
			wrong(ledger, "epoch %" PRId64 " was given to an opening, and one before it had %" PRId64, epoch, ledger->lives[i].epoch);
	struct ledger_life *life = one_more((void **)&ledger->lives, &ledger->life_count, &ledger->more->life_room, sizeof(*life));
	ledger->durable |= mode != MF_COMMIT_MEMORY_ONLY;
	*life = (struct ledger_life){.mode = mode, .epoch = epoch, .last_lsn = last_lsn};
}

static struct ledger_follower *follower_of(struct ledger *ledger, const char *name)
{
	for (size_t i = 0; i < ledger->follower_count; i++)
		if (strcmp(ledger->followers[i].name, name) == 0)
			return &ledger->followers[i];
	struct ledger_follower *follower = one_more((void **)&ledger->followers, &ledger->follower_count, &ledger->more->follower_room, sizeof(*follower));
	snprintf(follower->name, sizeof(follower->name), "%s", name);
	follower->life = NONE;
	return follower;
}

/* In a life it goes from event to event; at the start of one it may be given some again, but passes over none. */
static void moved(struct ledger *ledger, const char *name, int64_t lsn, bool told)
{
	struct ledger_follower *follower = follower_of(ledger, name);
	uint32_t life = (uint32_t)ledger->life_count - 1;
	int64_t before = follower->life == life ? follower->last : -1;
	if (!told && before >= 0 && lsn != before + 1)
		wrong(ledger, "follower %s was given LSN %" PRId64 " after LSN %" PRId64, name, lsn, before);
	if (!told && before < 0 && lsn > (in_memory(ledger) ? 0 : follower->handled) + 1)
		wrong(ledger, "follower %s begins with LSN %" PRId64 ", and had handled those up to %" PRId64, name, lsn, follower->handled);
	follower->life = life;
	follower->last = lsn;
	if (!in_memory(ledger) && lsn > follower->handled)
		follower->handled = lsn;
}

static void handled(struct ledger *ledger, const char *name, bool synced_only, int64_t lsn, const char *key)
{
	struct ledger_item *item = ledger_find(ledger, key);
	moved(ledger, name, lsn, false);
	if (!item)
		wrong(ledger, "follower %s was given key %s, which nobody submitted", name, key);
	else if (item->life + 1 == ledger->life_count || lsn <= ledger->lives[ledger->life_count - 1].last_lsn)
		committed(ledger, item, synced_only ? LEDGER_SYNCED : LEDGER_WRITTEN, lsn);
	else
		wrong(ledger, "follower %s was given key %s as LSN %" PRId64 ", and no opening before had it", name, key, lsn);
}

struct ledger_place *ledger_place(struct ledger *ledger, const char *doc)
{
	for (size_t i = 0; i < ledger->place_count; i++)
		if (strcmp(ledger->places[i].doc, doc) == 0)
			return &ledger->places[i];
	struct ledger_place *place = one_more((void **)&ledger->places, &ledger->place_count, &ledger->more->place_room, sizeof(*place));
	snprintf(place->doc, sizeof(place->doc), "%s", doc);
	return place;
}

static struct ledger_backup *backup_of(struct ledger *ledger, const char *file)
{
	for (size_t i = 0; i < ledger->backup_count; i++)
		if (strcmp(ledger->backups[i].file, file) == 0)
			return &ledger->backups[i];
	struct ledger_backup *backup = one_more((void **)&ledger->backups, &ledger->backup_count, &ledger->more->backup_room, sizeof(*backup));
	snprintf(backup->file, sizeof(backup->file), "%s", file);
	return backup;
}

static void closed(struct ledger *ledger, enum mf_status status)
{
	struct ledger_life *life = &ledger->lives[ledger->life_count - 1];
	life->closed = status == MF_OK;
	if (life->closed)
		synced_upto(ledger, life->newest);
}

/* ---- what the oracle found ---- */

void ledger_keep(struct ledger *ledger, FILE *file)
{
	ledger->more->kept = file;
}

static void keep(struct ledger *ledger, const char *format, ...) MF_PRINTF(2, 3);

static void keep(struct ledger *ledger, const char *format, ...)
{
	va_list args;
	if (!ledger->more->kept)
		return;
	va_start(args, format);
	vfprintf(ledger->more->kept, format, args);
	va_end(args);
}

static void settle_item(struct ledger *ledger, struct ledger_item *item)
{
	if (item->level == LEDGER_REPLACED || item->level == LEDGER_ABSENT)
		return;
	if (item->found > 0) {
		keep(ledger, "F %s %" PRId64 "\n", item->key, item->found);
		item->lsn = item->found;
		item->level = LEDGER_SYNCED;
	} else {
		item->level = LEDGER_LOST;
	}
}

void ledger_settle(struct ledger *ledger, int64_t last_lsn, int64_t synced_lsn)
{
	for (size_t i = 0; i < ledger->count; i++)
		settle_item(ledger, &ledger->items[i]);
	for (size_t i = 0; i < ledger->follower_count; i++)
		if (ledger->followers[i].handled > last_lsn)
			ledger->followers[i].handled = last_lsn;
	ledger->seen_count = 0;
	ledger->synced_lsn = synced_lsn;
	keep(ledger, "W %" PRId64 " %" PRId64 "\n", last_lsn, synced_lsn);
}

void ledger_forget_backups(struct ledger *ledger)
{
	ledger->backup_count = 0;
	keep(ledger, "D\n");
}

/* One of the lines before W, as it was kept. */
static void found(struct ledger *ledger, const char *key, int64_t lsn)
{
	struct ledger_item *item = ledger_find(ledger, key);
	if (item)
		item->found = lsn;
	else
		wrong(ledger, "key %s was found, which nobody submitted", key);
}

static void settled(struct ledger *ledger, int64_t last_lsn, int64_t synced_lsn)
{
	ledger_settle(ledger, last_lsn, synced_lsn);
	for (size_t i = 0; i < ledger->count; i++)
		ledger->items[i].found = 0;
}

/* ---- lines ---- */

static bool parse_digest(const char *hex, struct mf_digest *out)
{
	if (strlen(hex) != MF_DIGEST_HEX)
		return false;
	for (size_t i = 0; i < MF_DIGEST_BYTES; i++)
		if (sscanf(hex + 2 * i, "%2hhx", &out->bytes[i]) != 1)
			return false;
	return true;
}

static int64_t number(const char *text)
{
	return strtoll(text, NULL, 10);
}

/* From the fields digest, undo, redo; or "-". */
static struct ledger_state parse_state(char **fields, size_t count)
{
	struct ledger_state state = {0};
	if (count < 3)
		return state;
	state.known = parse_digest(fields[0], &state.digest);
	state.undo = (uint32_t)number(fields[1]);
	state.redo = (uint32_t)number(fields[2]);
	return state;
}

static void parse_submitted(struct ledger *ledger, char **f, size_t count)
{
	struct ledger_item item = {.batch = strtoull(f[1], NULL, 10), .index = (uint32_t)number(f[2]), .count = (uint32_t)number(f[3]),
				   .action = (enum mf_action)number(f[4]), .mode = (enum mf_commit_kind)number(f[5])};
	snprintf(item.doc, sizeof(item.doc), "%s", f[6]);
	snprintf(item.key, sizeof(item.key), "%s", f[7]);
	item.after = parse_state(f + 8, count - 8);
	submitted(ledger, &item);
}

static void parse_seen(struct ledger *ledger, char **f, size_t count)
{
	if (in_memory(ledger))
		return;
	struct ledger_seen *seen = one_more((void **)&ledger->seen, &ledger->seen_count, &ledger->more->seen_room, sizeof(*seen));
	snprintf(seen->doc, sizeof(seen->doc), "%s", f[1]);
	seen->lsn = number(f[2]);
	seen->mode = ledger->lives[ledger->life_count - 1].mode;
	seen->state = parse_state(f + 3, count - 3);
}

/* The words of each line, with the least number of fields. */
static bool take(struct ledger *ledger, char **f, size_t count)
{
	static const struct {
		char word;
		size_t fields;
	} words[] = {{'o', 2}, {'O', 4}, {'S', 9}, {'E', 4}, {'Y', 2}, {'V', 4}, {'H', 5}, {'P', 3}, {'N', 3}, {'c', 2}, {'C', 3}, {'b', 3}, {'B', 3}, {'X', 2}, {'Z', 1}, {'F', 3}, {'W', 3}, {'D', 1}};
	size_t i = 0;
	while (i < sizeof(words) / sizeof(*words) && words[i].word != f[0][0])
		i++;
	if (i == sizeof(words) / sizeof(*words) || count < words[i].fields)
		return false;
	if (!strchr("oOZbBFWD", f[0][0]) && ledger->life_count == 0)
		return false;
	ledger->said[(unsigned char)f[0][0] & 127]++;
	switch (f[0][0]) {
	case 'o': ledger->durable |= number(f[1]) != MF_COMMIT_MEMORY_ONLY; break;
	case 'O': opened(ledger, (enum mf_commit_kind)number(f[1]), number(f[2]), number(f[3])); break;
	case 'S': parse_submitted(ledger, f, count); break;
	case 'E': ended(ledger, strtoull(f[1], NULL, 10), (enum ledger_level)number(f[2]), number(f[3])); break;
	case 'Y': synced_upto(ledger, number(f[1])); break;
	case 'V': parse_seen(ledger, f, count); break;
	case 'H': handled(ledger, f[1], number(f[2]) != 0, number(f[3]), f[4]); break;
	case 'P': moved(ledger, f[1], number(f[2]), true); break;
	case 'N': ledger_place(ledger, f[1])->snapshot = number(f[2]); break;
	case 'c': ledger_place(ledger, f[1])->compacting = true; break;
	case 'C': ledger_place(ledger, f[1])->compacted = number(f[2]); break;
	case 'b': backup_of(ledger, f[1])->at_least = number(f[2]); break;
	case 'B': backup_of(ledger, f[1])->lsn = number(f[2]); break;
	case 'Z': ledger->more->power_lost = true; break;
	case 'F': found(ledger, f[1], number(f[2])); break;
	case 'W': settled(ledger, number(f[1]), number(f[2])); break;
	case 'D': ledger_forget_backups(ledger); break;
	default: closed(ledger, (enum mf_status)number(f[1])); break;
	}
	return true;
}

static void take_line(struct ledger *ledger, char *line)
{
	char copy[512], *fields[FIELDS], *rest = line;
	size_t count = 0;
	snprintf(copy, sizeof(copy), "%s", line);
	keep(ledger, "%s\n", line);
	for (char *field; count < FIELDS && (field = strsep(&rest, " "));)
		fields[count++] = field;
	ledger->lines++;
	if (count == 0 || strlen(fields[0]) != 1 || !take(ledger, fields, count))
		wrong(ledger, "a line that means nothing: %.400s", copy);
}

void ledger_feed(struct ledger *ledger, struct ledger_tail *tail, const char *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (bytes[i] != '\n' && tail->len < sizeof(tail->line) - 1) {
			tail->line[tail->len++] = bytes[i];
			continue;
		}
		tail->line[tail->len] = '\0';
		tail->len = 0;
		take_line(ledger, tail->line);
	}
}

void ledger_line_to_ledger(void *user, const char *line, size_t len)
{
	struct ledger_tail tail = {.len = 0};
	struct ledger *ledger = user;
	pthread_mutex_lock(&ledger->more->lock);
	ledger_feed(ledger, &tail, line, len);
	pthread_mutex_unlock(&ledger->more->lock);
}

size_t ledger_read(struct ledger *ledger, int fd)
{
	struct ledger_tail tail = {.len = 0};
	uint64_t before = ledger->lines;
	char bytes[16384];
	for (;;) {
		ssize_t got = read(fd, bytes, sizeof(bytes));
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return (size_t)(ledger->lines - before);
		ledger_feed(ledger, &tail, bytes, (size_t)got);
	}
}
