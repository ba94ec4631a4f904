#include "memory_files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "memory_files_parts.h"
#include "sim.h"

#define SECTOR 512
#define EPOCH_US 1767225600000000 /* 2026-01-01 */

static struct name names[NAMES_MAX], kept_names[NAMES_MAX]; /* as they are; as they are on the device */
static struct change changes[CHANGES_MAX];                  /* from one to the other */
static unsigned change_count;
static struct node *nodes; /* all there ever were */
static int64_t wall_offset;
static uint64_t calls;
static uint32_t dies_in;
static unsigned lies;
static bool lost_writes;
static void (*watcher)(const char *call, const char *path, int64_t at, const void *bytes, int64_t len);

static void *must(void *memory)
{
	if (!memory) {
		fprintf(stderr, "no memory for the files in memory\n");
		_Exit(3);
	}
	return memory;
}

/* ---- contents ---- */
static void grow(struct bytes *bytes, int64_t len)
{
	if (len > bytes->room) {
		bytes->room = len * 2 > 4096 ? len * 2 : 4096;
		bytes->at = must(realloc(bytes->at, (size_t)bytes->room));
	}
	if (len > bytes->len) {
		memset(bytes->at + bytes->len, 0, (size_t)(len - bytes->len));
		bytes->len = len;
	}
}

static void put(struct bytes *bytes, const void *from, int64_t len, int64_t at)
{
	if (len > 0) {
		grow(bytes, at + len);
		memcpy(bytes->at + at, from, (size_t)len);
	}
}

static void cut(struct bytes *bytes, int64_t len)
{
	if (len < bytes->len)
		bytes->len = len;
	else
		grow(bytes, len);
}

static void redo(struct bytes *bytes, const struct write *write, int64_t len)
{
	if (write->truncates)
		cut(bytes, write->at);
	else
		put(bytes, write->bytes, len, write->at);
}

static void read_again(struct node *node)
{
	node->now.len = 0;
	put(&node->now, node->kept.at, node->kept.len, 0);
	node->doubtful = false;
}

/* Up to that call. */
static void forget_writes(struct node *node, uint64_t upto)
{
	while (node->first && node->first->call <= upto) {
		struct write *write = node->first;
		node->first = write->next;
		node->write_count--;
		free(write);
	}
	if (!node->first)
		node->last = &node->first;
}

static void remember(struct node *node, const void *bytes, int64_t len, int64_t at)
{
	struct write *write = must(malloc(sizeof(*write) + (size_t)(bytes ? len : 0)));
	*write = (struct write){.at = at, .len = bytes ? len : 0, .call = ++calls, .truncates = !bytes};
	if (bytes)
		memcpy(write->bytes, bytes, (size_t)len);
	*node->last = write;
	node->last = &write->next;
	node->write_count++;
}

/* What a device may keep of what was not synced. */
static void lose_writes(struct node *node)
{
	unsigned way = sim_below(4), index = 0, first = node->write_count ? sim_below(node->write_count + 1) : 0;
	for (const struct write *write = node->first; write; write = write->next, index++) {
		bool kept = way == 0 ? false : way == 1 ? true : way == 2 ? index < first : sim_below(2) == 0;
		bool torn = way > 1 && kept && !write->truncates && sim_below(4) == 0;
		if (kept)
			redo(&node->kept, write, torn ? (int64_t)sim_below((uint32_t)(write->len / SECTOR + 1)) * SECTOR : write->len);
	}
	forget_writes(node, calls);
	read_again(node);
}

/* ---- names ---- */
static struct name *find_in(struct name *table, const char *path)
{
	for (unsigned i = 0; i < NAMES_MAX; i++)
		if (table[i].node && strcmp(table[i].path, path) == 0)
			return &table[i];
	return NULL;
}

static void set_in(struct name *table, const char *path, struct node *node)
{
	struct name *name = find_in(table, path);
	for (unsigned i = 0; !name && i < NAMES_MAX; i++)
		if (!table[i].node)
			name = &table[i];
	if (!name || strlen(path) >= PATH_LEN) {
		fprintf(stderr, "too many files in memory, or too long a path: %s\n", path);
		_Exit(3);
	}
	strcpy(name->path, path);
	name->node = node;
}

static void parent_of(const char *path, char out[PATH_LEN])
{
	const char *slash = strrchr(path, '/');
	size_t len = slash && slash != path ? (size_t)(slash - path) : 1;
	memcpy(out, slash == path || !slash ? "/" : path, len);
	out[len] = '\0';
}

static void record(const char *path, const char *dir, struct node *node)
{
	if (change_count == CHANGES_MAX) { /* the oldest has reached the device by itself */
		set_in(kept_names, changes[0].path, changes[0].node);
		memmove(changes, changes + 1, sizeof(changes) - sizeof(changes[0]));
		change_count--;
	}
	struct change *change = &changes[change_count++];
	snprintf(change->path, sizeof(change->path), "%s", path);
	snprintf(change->dir, sizeof(change->dir), "%s", dir);
	change->node = node;
	change->call = calls;
}

static void set_name(const char *path, struct node *node)
{
	char dir[PATH_LEN];
	parent_of(path, dir);
	set_in(names, path, node);
	record(path, dir, node);
}

static void drop_name(const char *path)
{
	char dir[PATH_LEN];
	parent_of(path, dir);
	find_in(names, path)->node = NULL;
	record(path, dir, NULL);
}

static void keep_names(const char *dir, unsigned most, uint64_t upto)
{
	unsigned left = 0, done = 0;
	for (unsigned i = 0; i < change_count; i++) {
		if (done < most && changes[i].call <= upto && (!dir || strcmp(changes[i].dir, dir) == 0)) {
			set_in(kept_names, changes[i].path, changes[i].node);
			done++;
		} else {
			changes[left++] = changes[i];
		}
	}
	change_count = left;
}

/* ---- the system ---- */
static void step(const char *call, const char *path, int64_t at, const void *bytes, int64_t len)
{
	calls++;
	if (watcher)
		watcher(call, path, at, bytes, len);
	sim_spend(1 + sim_below(10));
}

/* The one call at which the process dies is done or not, as chance wants. */
static bool dies_before(void)
{
	if (dies_in != 1)
		return false;
	if (sim_below(2) == 0)
		sim_die();
	return true;
}

static void after_step(void)
{
	if (dies_in > 0 && --dies_in == 0)
		sim_die();
}

static struct node *new_node(const char *path, bool is_dir)
{
	struct node *node = must(calloc(1, sizeof(*node)));
	node->is_dir = is_dir;
	node->last = &node->first;
	node->lock_fd = -1;
	snprintf(node->path, sizeof(node->path), "%s", path);
	node->next = nodes;
	nodes = node;
	return node;
}

struct node *memory_find(const char *path)
{
	struct name *name = find_in(names, path);
	return name ? name->node : NULL;
}

struct node *memory_make(const char *path, bool is_dir)
{
	char parent[PATH_LEN];
	parent_of(path, parent);
	const struct node *above = memory_find(parent);
	if (!above || !above->is_dir)
		return NULL;
	step(is_dir ? "mkdir" : "create", path, 0, NULL, 0);
	(void)dies_before();
	struct node *node = new_node(path, is_dir);
	set_name(path, node);
	after_step();
	return node;
}

struct node *memory_make_unnamed(void)
{
	return new_node("(temporary)", false);
}

int64_t memory_read(const struct node *node, void *bytes, int64_t len, int64_t at)
{
	int64_t got = at >= node->now.len ? 0 : node->now.len - at < len ? node->now.len - at : len;
	if (got > 0)
		memcpy(bytes, node->now.at + at, (size_t)got);
	return got;
}

void memory_write(struct node *node, const void *bytes, int64_t len, int64_t at)
{
	step("write", node->path, at, bytes, len);
	if (sim_below(8) == 0)
		sim_take(1 + sim_below(100));
	(void)dies_before();
	put(&node->now, bytes, len, at);
	remember(node, bytes, len, at);
	after_step();
}

void memory_truncate(struct node *node, int64_t len)
{
	step("truncate", node->path, len, NULL, 0);
	(void)dies_before();
	cut(&node->now, len);
	remember(node, NULL, 0, len);
	after_step();
}

void memory_sync(struct node *node)
{
	step("sync", node->path, 0, NULL, 0);
	(void)dies_before();
	uint64_t covered = calls; /* what is written meanwhile is not */
	sim_take(50 + sim_below(1000));
	bool lied = lies && sim_below(100) < lies;
	if (!lied && node->is_dir)
		keep_names(node->path, UINT32_MAX, covered);
	for (const struct write *write = node->first; !lied && write && write->call <= covered; write = write->next)
		redo(&node->kept, write, write->len);
	if (!lied)
		forget_writes(node, covered);
	after_step();
}

void memory_fail_to_sync(struct node *node)
{
	step("failed sync", node->path, 0, NULL, 0);
	uint64_t covered = calls;
	sim_take(50 + sim_below(1000));
	for (const struct write *write = node->first; write && write->call <= covered; write = write->next) {
		if (sim_below(2))
			redo(&node->kept, write, write->len);
		node->doubtful = true;
	}
	forget_writes(node, covered);
	lost_writes = true;
}

void memory_evict(struct node *node)
{
	if (!node->doubtful)
		return;
	read_again(node);
	for (const struct write *write = node->first; write; write = write->next) /* these are dirty */
		redo(&node->now, write, write->len);
}

void memory_unlink(const char *path)
{
	step("unlink", path, 0, NULL, 0);
	(void)dies_before();
	drop_name(path);
	after_step();
}

/* What is under a directory goes with it, and what of that is on the device stays so. */
static void move_inner(const char *from, const char *to, const char *dir)
{
	char path[PATH_LEN];
	size_t len = strlen(from);
	for (unsigned i = 0; i < NAMES_MAX; i++) {
		struct node *node = names[i].node;
		if (!node || strncmp(names[i].path, from, len) != 0 || names[i].path[len] != '/')
			continue;
		snprintf(path, sizeof(path), "%.*s%.40s", (int)sizeof(path) - 41, to, names[i].path + len);
		bool kept = find_in(kept_names, names[i].path) != NULL;
		memcpy(node->path, path, sizeof(path));
		record(names[i].path, dir, NULL);
		names[i].node = NULL;
		set_in(names, node->path, node);
		record(node->path, kept ? dir : to, node);
	}
}

void memory_rename(const char *from, const char *to)
{
	char dir[PATH_LEN];
	struct node *node = memory_find(from);
	parent_of(to, dir);
	step("rename", from, 0, to, (int64_t)strlen(to));
	(void)dies_before();
	drop_name(from);
	set_name(to, node);
	snprintf(node->path, sizeof(node->path), "%s", to);
	if (node->is_dir)
		move_inner(from, to, dir);
	after_step();
}

bool memory_is_empty(const char *dir)
{
	size_t len = strlen(dir);
	for (unsigned i = 0; i < NAMES_MAX; i++)
		if (names[i].node && strncmp(names[i].path, dir, len) == 0 && names[i].path[len] == '/')
			return false;
	return true;
}

/* ---- death ---- */
void memory_files_die_in(uint32_t in)
{
	dies_in = in;
}

void memory_files_process_died(void)
{
	dies_in = 0;
	memory_files_evict();
	memory_env_forget();
	for (struct node *node = nodes; node; node = node->next) {
		node->lock_fd = -1;
		node->handles = NULL; /* nobody will use them again */
		node->shm_count = 0;
	}
}

void memory_files_power_lost(void)
{
	memory_files_process_died();
	unsigned most = sim_below(change_count + 1);
	while (most > 0 && most < change_count && changes[most].call == changes[most - 1].call)
		most++;
	keep_names(NULL, most, calls);
	change_count = 0;
	memcpy(names, kept_names, sizeof(names));
	for (struct node *node = nodes; node; node = node->next)
		if (!node->is_dir)
			lose_writes(node);
}

/* ---- failed syncs ---- */
void memory_files_evict(void)
{
	for (struct node *node = nodes; node; node = node->next)
		if (node->doubtful && sim_below(2))
			memory_evict(node);
}

bool memory_files_lost_writes(void)
{
	return lost_writes;
}

void memory_files_forgive(void)
{
	lost_writes = false;
}

/* ---- the rest ---- */
void memory_files_jump_us(int64_t us)
{
	wall_offset += us;
}

int64_t memory_files_wall_us(void)
{
	return EPOCH_US + wall_offset + sim_now_us();
}

uint64_t memory_files_calls(void)
{
	return calls;
}

void memory_files_watch(void (*see)(const char *call, const char *path, int64_t at, const void *bytes, int64_t len))
{
	watcher = see;
}

void memory_files_lie(unsigned percent)
{
	lies = percent;
}

void memory_files_begin(void)
{
	struct node *root = new_node("/", true);
	set_in(names, "/", root);
	set_in(kept_names, "/", root);
	memory_vfs_register();
	memory_env_replace();
}
