/* One state: made, recovered and judged in a child, which may crash or hang. */
#include "power_parts.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

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

void power_walk_to(struct power_walk *walk, size_t cut)
{
	for (size_t i = walk->disk.at; i < cut; i++)
		if (walk->log->ops[i].kind == OP_MARK)
			ledger_feed(walk->ledger, &walk->tail, (const char *)walk->log->ops[i].bytes, walk->log->ops[i].len);
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

static void judge(const struct power_walk *walk, uint32_t choice, const char *scratch, struct power_answer *answer)
{
	char dir[POWER_PATH], store[POWER_PATH + 16], backups[POWER_PATH + 16], config[POWER_PATH];
	snprintf(dir, sizeof(dir), "%s/state", scratch);
	snprintf(store, sizeof(store), "%s/store", dir);
	snprintf(backups, sizeof(backups), "%s/backups", dir);
	snprintf(config, sizeof(config), "%s/state.json", scratch);
	struct disk_choice picked = {.seed = walk->log->seed, .number = choice};
	struct oracle_plan plan = {.dir = store, .config = config, .backups = backups, .crash = ORACLE_POWER_LOST, .seed = walk->log->seed + choice};
	/* Recovering twice is the dearest part, and each state is one that another one's recovery could have left. */
	plan.leave = choice % 4 == 0 ? 0 : ORACLE_LEAVE_SECOND;
	answer->made = power_clear(dir) && disk_lose_power(&walk->disk, &picked, dir, answer->story, sizeof(answer->story)) && proof_write_config(config, store, NULL);
	if (answer->made)
		oracle_check(&plan, walk->ledger, &answer->report);
}

enum power_outcome power_check(const struct power_walk *walk, uint32_t choice, const char *scratch, struct power_answer *answer, int *out_signal)
{
	int status;
	memset(answer, 0, sizeof(*answer));
	*out_signal = 0;
	pid_t child = fork();
	if (child < 0)
		return POWER_BROKEN;
	if (child == 0) {
		alarm(SECONDS);
		judge(walk, choice, scratch, answer);
		_exit(answer->made ? 0 : 3);
	}
	while (waitpid(child, &status, 0) != child)
		if (errno != EINTR)
			return POWER_BROKEN;
	if (WIFSIGNALED(status)) {
		*out_signal = WTERMSIG(status);
		return *out_signal == SIGALRM ? POWER_HUNG : POWER_CRASHED;
	}
	if (!answer->made)
		return POWER_BROKEN;
	if (WEXITSTATUS(status) != 0)
		return POWER_CRASHED; /* a sanitizer ends the process */
	return answer->report.verdict == ORACLE_SOUND ? POWER_SOUND : POWER_UNSOUND;
}
