#include "fault_plan.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- what may happen to which call ---- */

static bool ends_with(const char *path, const char *end)
{
	size_t len = strlen(path), end_len = strlen(end);
	return len >= end_len && strcmp(path + len - end_len, end) == 0;
}

static bool is_sync(enum calls_kind kind)
{
	return kind == CALLS_SYNC || kind == CALLS_DATASYNC;
}

static bool changes(const struct calls_call *call, bool creates)
{
	switch (call->kind) {
	case CALLS_WRITE:
	case CALLS_SYNC:
	case CALLS_DATASYNC:
	case CALLS_TRUNCATE:
	case CALLS_ALLOCATE:
	case CALLS_RENAME:
	case CALLS_LINK:
	case CALLS_UNLINK:
	case CALLS_MKDIR: return true;
	case CALLS_OPEN: return creates || (call->flags & O_TRUNC);
	default: return false;
	}
}

static bool reads(const struct calls_call *call, bool creates)
{
	return call->kind == CALLS_READ || call->kind == CALLS_MAP || (call->kind == CALLS_OPEN && !creates);
}

/* Not the record locks of the index of the log: SQLite takes any failure for one that is held, and waits for seconds. */
static bool breaks(const struct calls_call *call, bool creates)
{
	return changes(call, creates) || reads(call, creates) || call->kind == CALLS_CLOSE || (call->kind == CALLS_LOCK && !ends_with(call->path, "/store.db-shm"));
}

static bool needs_room(const struct calls_call *call, bool creates)
{
	return changes(call, creates) && call->kind != CALLS_UNLINK;
}

static bool done_though(const struct calls_call *call, bool creates)
{
	(void)creates;
	return call->kind == CALLS_WRITE || call->kind == CALLS_TRUNCATE || is_sync(call->kind);
}

static bool opens(const struct calls_call *call, bool creates)
{
	(void)creates;
	return call->kind == CALLS_OPEN;
}

static bool interrupts(const struct calls_call *call, bool creates)
{
	(void)creates;
	return call->kind == CALLS_OPEN || call->kind == CALLS_READ || call->kind == CALLS_WRITE || call->kind == CALLS_TRUNCATE || call->kind == CALLS_CLOSE;
}

static bool in_pieces(const struct calls_call *call, bool creates)
{
	(void)creates;
	return (call->kind == CALLS_READ || call->kind == CALLS_WRITE) && call->len > 1;
}

static bool writes_pieces(const struct calls_call *call, bool creates)
{
	return call->kind == CALLS_WRITE && in_pieces(call, creates);
}

/* A kill does not part what lies in one sector. */
static bool tears(const struct calls_call *call, bool creates)
{
	return writes_pieces(call, creates) && call->len > 512;
}

static bool maps(const struct calls_call *call, bool creates)
{
	(void)creates;
	return call->kind == CALLS_MAP;
}

const struct fault fault_list[] = {
	{"eio", FAULT_BROKEN, {.action = CALLS_FAIL, .error = EIO}, breaks, false},
	{"eio-done", FAULT_BROKEN, {.action = CALLS_DO_AND_FAIL, .error = EIO}, done_though, true},
	{"enospc", FAULT_FULL, {.action = CALLS_FAIL, .error = ENOSPC}, needs_room, false},
	{"short-enospc", FAULT_FULL, {.action = CALLS_SHORTEN}, writes_pieces, false}, /* as much as there is room for, then ENOSPC */
	{"emfile", FAULT_HANDLES, {.action = CALLS_FAIL, .error = EMFILE}, opens, false},
	{"enfile", FAULT_HANDLES, {.action = CALLS_FAIL, .error = ENFILE}, opens, false},
	{"enomem", FAULT_HANDLES, {.action = CALLS_FAIL, .error = ENOMEM}, maps, false},
	{"short", FAULT_HARMLESS, {.action = CALLS_SHORTEN}, in_pieces, false},
	{"eintr", FAULT_HARMLESS, {.action = CALLS_FAIL, .error = EINTR}, interrupts, true},
	{"kill", FAULT_KILL, {.action = CALLS_KILL}, changes, true},
	{"kill-after", FAULT_KILL, {.action = CALLS_PASS, .then_kill = true}, changes, true},
	{"kill-torn", FAULT_KILL, {.action = CALLS_SHORTEN, .then_kill = true}, tears, true},
};
const size_t fault_count = sizeof(fault_list) / sizeof(fault_list[0]);

/* ---- names ---- */

int64_t fault_most = FAULT_MOST;
static const char *const file_names[FAULT_FILES] = {"db", "log", "index", "watermark", "lock", "metrics", "dir", "copy", "other"};

const char *fault_file_name(enum fault_file file)
{
	return file_names[file];
}

/* A directory that is opened is the one that will be synced. */
static enum fault_file file_of(const struct calls_call *call)
{
	static const struct {
		const char *end;
		enum fault_file file;
	} ends[] = {{"/store.db", FAULT_DB}, {"/store.db-wal", FAULT_LOG}, {"/store.db-shm", FAULT_INDEX},
		    {"/watermark", FAULT_WATERMARK}, {"/lock", FAULT_LOCK}, {"/metrics", FAULT_METRICS}};
	struct stat info;
	if (call->is_dir || call->kind == CALLS_MKDIR || (call->kind == CALLS_OPEN && stat(call->path, &info) == 0 && S_ISDIR(info.st_mode)))
		return FAULT_DIR;
	if (strstr(call->path, ".backup") || strstr(call->path, ".partial") || strstr(call->path, "/restored"))
		return FAULT_COPY;
	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
		if (ends_with(call->path, ends[i].end))
			return ends[i].file;
	return FAULT_OTHER;
}

const char *fault_plan_tell(const struct fault_plan *plan, char *buffer, size_t size)
{
	if (plan->number == 0)
		snprintf(buffer, size, "none");
	else
		snprintf(buffer, size, "%s:%s:%lld:%s:%s", calls_kind_name(plan->kind), file_names[plan->file], (long long)plan->number, plan->fault->name, plan->ever ? "ever" : "once");
	return buffer;
}

bool fault_plan_parse(const char *text, struct fault_plan *out)
{
	char kind[24], file[24], fault[24], how[8];
	long long number;
	memset(out, 0, sizeof(*out));
	if (strcmp(text, "none") == 0)
		return true;
	if (sscanf(text, "%23[^:]:%23[^:]:%lld:%23[^:]:%7s", kind, file, &number, fault, how) != 5 || number < 1)
		return false;
	int found_kind = -1, found_file = -1;
	for (int i = 0; i < CALLS_KINDS; i++)
		if (strcmp(calls_kind_name((enum calls_kind)i), kind) == 0)
			found_kind = i;
	for (int i = 0; i < FAULT_FILES; i++)
		if (strcmp(file_names[i], file) == 0)
			found_file = i;
	for (size_t i = 0; i < fault_count; i++)
		if (strcmp(fault_list[i].name, fault) == 0)
			out->fault = &fault_list[i];
	if (found_kind < 0 || found_file < 0 || !out->fault || (strcmp(how, "once") != 0 && strcmp(how, "ever") != 0))
		return false;
	out->kind = (enum calls_kind)found_kind;
	out->file = (enum fault_file)found_file;
	out->number = number;
	out->ever = strcmp(how, "ever") == 0;
	return true;
}

/* ---- the hooks ---- */

/* What fails together when it fails for ever. */
enum group { READS, CHANGES, SYNCS, LOCKS, CLOSES };

#define FAILED_SYNCS 8

static struct {
	struct fault_plan plan;
	struct fault_report *report;
	atomic_bool armed;
	bool full;              /* short-enospc: the piece that fitted has been written */
	struct { /* files whose sync failed */
		char path[256];
	} failed[FAILED_SYNCS];
	size_t failed_count;
	enum group group; /* of the call that was struck first */
} now;

static bool creates(const struct calls_call *call)
{
	return call->kind == CALLS_OPEN && (call->flags & O_CREAT) && access(call->path, F_OK) != 0;
}

static bool sync_has_failed(const char *path)
{
	for (size_t i = 0; i < now.failed_count; i++)
		if (strcmp(now.failed[i].path, path) == 0)
			return true;
	return false;
}

static void note_again(const struct calls_call *call)
{
	if (is_sync(call->kind) && sync_has_failed(call->path) && !now.report->again[0])
		(void)calls_tell(call, now.report->again, sizeof(now.report->again));
}

/* A rollback journal lies beside it: what is written is not yet anything. */
static bool comes_into_being(const struct calls_call *call)
{
	char path[300];
	const char *name = strrchr(call->path, '/');
	int len = call->is_dir || !name ? (int)strlen(call->path) : (int)(name - call->path);
	snprintf(path, sizeof(path), "%.*s", len, call->path);
	DIR *dir = opendir(path);
	bool found = false;
	for (const struct dirent *entry; dir && (entry = readdir(dir));)
		found = found || ends_with(entry->d_name, "-journal");
	if (dir)
		closedir(dir);
	return found;
}

static void note_failed_sync(const struct calls_call *call, enum fault_file file)
{
	if (comes_into_being(call))
		return;
	if (now.failed_count < FAILED_SYNCS && !sync_has_failed(call->path))
		snprintf(now.failed[now.failed_count++].path, sizeof(now.failed[0].path), "%s", call->path);
	now.report->sync_failed |= file == FAULT_DB || file == FAULT_LOG;
}

static enum group group_of(const struct calls_call *call, bool made)
{
	if (call->kind == CALLS_LOCK || call->kind == CALLS_CLOSE)
		return call->kind == CALLS_LOCK ? LOCKS : CLOSES;
	if (is_sync(call->kind))
		return SYNCS;
	return changes(call, made) ? CHANGES : READS;
}

/* A device that cannot be written cannot be synced either; one that is full says so before a sync. */
static bool fails_too(enum group group)
{
	if (now.plan.fault->weight == FAULT_BROKEN && (now.group == CHANGES || now.group == SYNCS))
		return group == CHANGES || group == SYNCS;
	return group == now.group;
}

static bool due(const struct calls_call *call, enum fault_file file, int64_t number, bool made)
{
	const struct fault_plan *plan = &now.plan;
	if (plan->number == 0 || !plan->fault->strikes(call, made))
		return false;
	if (call->kind == plan->kind && file == plan->file && number == plan->number) {
		now.group = group_of(call, made);
		return true;
	}
	return plan->ever && now.report->struck > 0 && fails_too(group_of(call, made));
}

static struct calls_verdict strike(const struct calls_call *call, enum fault_file file)
{
	struct calls_verdict verdict = now.plan.fault->verdict;
	if (now.report->struck++ == 0)
		(void)calls_tell(call, now.report->first, sizeof(now.report->first));
	if (verdict.action == CALLS_SHORTEN)
		verdict.len = call->len >= 1024 ? call->len / 2 & ~(size_t)511 : call->len / 2; /* whole sectors */
	*(group_of(call, creates(call)) == CHANGES || is_sync(call->kind) ? &now.report->wrote : &now.report->read) = true;
	if (is_sync(call->kind) && (verdict.action == CALLS_FAIL || verdict.action == CALLS_DO_AND_FAIL))
		note_failed_sync(call, file);
	return verdict;
}

static void trace(const struct calls_call *call)
{
	char text[200];
	fprintf(stderr, "  %s %s%s\n", calls_tell(call, text, sizeof(text)), call->result < 0 ? strerror(call->error) : "", atomic_load(&now.armed) ? "" : " (not armed)");
}

static void after(void *user, const struct calls_call *call)
{
	(void)user;
	trace(call);
}

static void note_traits(const struct calls_call *call, enum fault_file file, int64_t number, bool made)
{
	uint16_t may = 0;
	for (size_t i = 0; i < fault_count; i++)
		may |= (uint16_t)(fault_list[i].strikes(call, made) ? 1u << i : 0);
	if (number < fault_most)
		(*now.report->traits)[call->kind][file][number] |= may;
	else if (may)
		snprintf(now.report->beyond, sizeof(now.report->beyond), "%s of %s", calls_kind_name(call->kind), file_names[file]);
}

static struct calls_verdict before(void *user, const struct calls_call *call)
{
	(void)user;
	const struct calls_verdict pass = {.action = CALLS_PASS};
	note_again(call);
	if (!atomic_load(&now.armed))
		return pass;
	enum fault_file file = file_of(call);
	bool made = creates(call);
	int64_t number = ++now.report->counts[call->kind][file];
	if (now.report->traits)
		note_traits(call, file, number, made);
	if (now.full && writes_pieces(call, made) && (now.plan.ever || file == now.plan.file)) {
		now.full = now.plan.ever;
		now.report->struck++;
		return (struct calls_verdict){.action = CALLS_FAIL, .error = ENOSPC};
	}
	if (!due(call, file, number, made))
		return pass;
	now.full = strcmp(now.plan.fault->name, "short-enospc") == 0;
	return strike(call, file);
}

bool fault_plan_watch(const char *directory, const struct fault_plan *plan, struct fault_report *report)
{
	const struct calls_hooks hooks = {.before = before, .after = getenv("MF_TRACE") ? after : NULL};
	now.plan = *plan;
	now.report = report;
	now.full = false;
	now.failed_count = 0;
	atomic_store(&now.armed, false);
	return calls_watch(directory, &hooks);
}

void fault_plan_change(const struct fault_plan *plan)
{
	now.plan = *plan;
}

void fault_plan_arm(void)
{
	atomic_store(&now.armed, true);
}

void fault_plan_lift(void)
{
	atomic_store(&now.armed, false);
}

void fault_plan_reopened(void)
{
	now.failed_count = 0;
}
