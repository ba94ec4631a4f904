/* One state: made, recovered and judged in a child, which may crash or hang. */
#include "power_parts.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <moduforge/runtime.h>

#include "recorder.h"
#include "harness.h"
#include "tests/leave.h"

#define SECONDS 60 /* that a recovery may take: the files are small */

void power_walk_init(struct power_walk *walk, const struct oplog *log)
{
	*walk = (struct power_walk){.log = log, .ledger = ledger_new()};
	disk_init(&walk->disk, log);
}

void power_walk_deinit(struct power_walk *walk)
{
	ledger_free(walk->ledger);
	disk_deinit(&walk->disk);
}

#define RESTORED "!restored "

void power_say_restored(uint32_t life, int64_t lsn)
{
	char line[64];
	int len = snprintf(line, sizeof(line), RESTORED "%" PRIu32 " %" PRId64 "\n", life, lsn);
	recorder_mark(NULL, line, (size_t)len);
}

static void hear(struct power_walk *walk, const char *line, size_t len)
{
	walk->heard++;
	char text[64];
	uint32_t life;
	int64_t lsn;
	snprintf(text, sizeof(text), "%.*s", (int)(len < 63 ? len : 63), line);
	if (strncmp(text, RESTORED, strlen(RESTORED)) != 0)
		ledger_feed(walk->ledger, &walk->tail, line, len);
	else if (sscanf(text + strlen(RESTORED), "%" SCNu32 " %" SCNd64, &life, &lsn) == 2 && life < POWER_LIVES) /* NOLINT(cert-err34-c): our own line */
		walk->restored[life] = lsn;
}

void power_walk_to(struct power_walk *walk, size_t cut)
{
	for (size_t i = walk->disk.at; i < cut; i++)
		if (walk->log->ops[i].kind == OP_MARK)
			hear(walk, (const char *)walk->log->ops[i].bytes, walk->log->ops[i].len);
	disk_advance(&walk->disk, cut);
}

static bool clear_at(int at, const char *name)
{
	int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir)
		return false;
	bool good = true;
	for (const struct dirent *entry; good && (entry = readdir(dir));) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 || unlinkat(fd, entry->d_name, 0) == 0)
			continue;
		good = (errno == EISDIR || errno == EPERM) && clear_at(fd, entry->d_name) && unlinkat(fd, entry->d_name, AT_REMOVEDIR) == 0;
	}
	closedir(dir);
	return good;
}

bool power_clear(const char *dir)
{
	return mkdir(dir, 0700) == 0 || (errno == EEXIST && clear_at(AT_FDCWD, dir));
}

/* ---- restored stores: absent, or whole ---- */

__attribute__((format(printf, 2, 3))) static void broken(struct power_answer *answer, const char *format, ...)
{
	size_t used = strlen(answer->report.text);
	va_list args;
	va_start(args, format);
	vsnprintf(answer->report.text + used, sizeof(answer->report.text) - used, format, args);
	va_end(args);
	answer->report.verdict = ORACLE_BROKEN;
}

static void judge_restored(const struct power_walk *walk, uint32_t life, const char *dir, struct power_answer *answer)
{
	char path[POWER_PATH + 32];
	struct stat info;
	struct mf_store *store;
	struct mf_error error = {0};
	struct mf_store_stats stats = {0};
	snprintf(path, sizeof(path), "%s/restored-%" PRIu32, dir, life);
	if (stat(path, &info) != 0) {
		if (walk->restored[life])
			broken(answer, "a store was restored, and is gone: restored-%" PRIu32 "\n", life);
		return;
	}
	enum mf_status status = mf_store_open_sqlite(&(struct mf_sqlite_options){.dir = path}, &store, &error);
	if (status == MF_OK) {
		status = mf_store_verify(store, NULL, NULL, &error);
		if (status == MF_OK)
			status = mf_store_stats(store, &stats, &error);
		enum mf_status closed = mf_store_close(store, status == MF_OK ? &error : NULL);
		status = status == MF_OK ? closed : status;
	}
	answer->restored += status == MF_OK;
	if (status != MF_OK)
		broken(answer, "a restored store is there and not sound: %s: %s\n", mf_status_name(status), error.message);
	else if (walk->restored[life] && stats.last_lsn != walk->restored[life])
		broken(answer, "a store was restored up to LSN %" PRId64 ", and has LSN %" PRId64 "\n", walk->restored[life], stats.last_lsn);
}

/* A reader may come before a writer has recovered the store. It finds what the writer will find, or no store yet. -1: that. */
static int64_t read_first(const char *store, const char *config, struct power_answer *answer)
{
	struct mf_runtime *runtime;
	struct mf_error error = {0};
	struct mf_store_stats stats = {.last_lsn = -1};
	enum mf_status status = mf_runtime_open(&(struct mf_runtime_options){.config_path = config, .data_dir = store, .mode = "sync", .read_only = true}, &runtime, &error);
	if (status == MF_ERR_NOT_FOUND)
		return -1;
	if (status == MF_OK) {
		status = mf_store_stats(mf_runtime_store(runtime), &stats, &error);
		enum mf_status closed = mf_runtime_close(runtime, 10000, status == MF_OK ? &error : NULL);
		status = status == MF_OK ? closed : status;
	}
	if (status != MF_OK)
		snprintf(answer->reader, sizeof(answer->reader), "a reader that came first: %s: %s\n", mf_status_name(status), error.message);
	return stats.last_lsn;
}

static void compare_reader(int64_t read, struct power_answer *answer)
{
	if (answer->reader[0])
		broken(answer, "%s", answer->reader);
	else if (read >= 0 && answer->report.verdict == ORACLE_SOUND && read != answer->report.last_lsn)
		broken(answer, "a reader that came first found LSN %" PRId64 ", the writer after it LSN %" PRId64 "\n", read, answer->report.last_lsn);
	else if (read < 0 && answer->report.last_lsn > 0)
		broken(answer, "a reader that came first found no store, the writer after it LSN %" PRId64 "\n", answer->report.last_lsn);
}

bool power_make(const struct power_walk *walk, uint32_t choice, const char *scratch, struct power_answer *answer, uint64_t *out_image)
{
	char dir[POWER_PATH];
	snprintf(dir, sizeof(dir), "%.200s/state", scratch);
	memset(answer, 0, sizeof(*answer));
	return power_clear(dir) && disk_lose_power(&walk->disk, &(struct disk_choice){walk->log->seed, choice}, dir, answer->story, sizeof(answer->story), out_image);
}

static void judge(const struct power_walk *walk, uint32_t choice, const char *scratch, struct power_answer *answer)
{
	char dir[POWER_PATH], store[POWER_PATH + 16], backups[POWER_PATH + 16], config[POWER_PATH];
	snprintf(dir, sizeof(dir), "%s/state", scratch);
	snprintf(store, sizeof(store), "%s/store", dir);
	snprintf(backups, sizeof(backups), "%s/backups", dir);
	snprintf(config, sizeof(config), "%s/state.json", scratch);
	struct oracle_plan plan = {.dir = store, .config = config, .backups = backups, .crash = ORACLE_POWER_LOST, .seed = walk->log->seed + choice};
	/* To recover it twice, and to read it first, are dear: each for one of six. */
	size_t turn = (walk->disk.at + choice) % 6;
	plan.leave = turn == 5 ? 0 : ORACLE_LEAVE_SECOND;
	if (!proof_write_config(config, store, NULL))
		return;
	bool reads = turn == 4;
	int64_t read = reads ? read_first(store, config, answer) : -1;
	oracle_check(&plan, walk->ledger, &answer->report);
	if (reads)
		compare_reader(read, answer);
	for (uint32_t life = 0; life < POWER_LIVES; life++)
		judge_restored(walk, life, dir, answer);
	answer->judged = true;
}

enum power_outcome power_check(const struct power_walk *walk, uint32_t choice, const char *scratch, struct power_answer *answer, int *out_signal)
{
	int status;
	*out_signal = 0;
	pid_t child = harness_fork();
	if (child < 0)
		return POWER_BROKEN;
	if (child == 0) {
		alarm(SECONDS);
		judge(walk, choice, scratch, answer);
		leave(0);
	}
	while (waitpid(child, &status, 0) != child)
		if (errno != EINTR)
			return POWER_BROKEN;
	if (WIFSIGNALED(status)) {
		*out_signal = WTERMSIG(status);
		return *out_signal == SIGALRM ? POWER_HUNG : POWER_CRASHED;
	}
	if (WEXITSTATUS(status) != 0)
		return POWER_CRASHED; /* a sanitizer ends the process */
	if (!answer->judged)
		return POWER_BROKEN;
	return answer->report.verdict == ORACLE_SOUND ? POWER_SOUND : POWER_UNSOUND;
}
