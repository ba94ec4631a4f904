#include "evidence.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATH 512
#define SAME_NAME_MAX 1000

/* ---- files ---- */

static const char *path_of(char out[PATH], const char *dir, const char *name)
{
	snprintf(out, PATH, "%.300s/%.200s", dir, name);
	return out;
}

/* Up to so many bytes of it. */
static bool copy_file(const char *from, const char *to, int64_t most)
{
	struct stat about;
	int in = open(from, O_RDONLY | O_CLOEXEC), out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	bool good = in >= 0 && out >= 0 && fstat(in, &about) == 0;
	off_t end = good && about.st_size < most ? about.st_size : most;
	for (off_t at = 0; good && at < end;)
		good = sendfile(out, in, &at, (size_t)(end - at)) > 0;
	if (in >= 0)
		close(in);
	if (out >= 0)
		good = close(out) == 0 && good;
	return good;
}

/* fn for each file of a directory, until it fails. One that is not there has none. */
static bool each_file(const char *dir, bool (*fn)(const char *from, const char *name, const char *to), const char *to)
{
	bool good = true;
	DIR *open_dir = opendir(dir);
	for (const struct dirent *entry; open_dir && good && (entry = readdir(open_dir));) {
		char path[PATH];
		struct stat about;
		if (lstat(path_of(path, dir, entry->d_name), &about) == 0 && S_ISREG(about.st_mode))
			good = fn(path, entry->d_name, to);
	}
	if (open_dir)
		closedir(open_dir);
	return good;
}

static bool copy_into(const char *from, const char *name, const char *to)
{
	char path[PATH];
	return copy_file(from, path_of(path, to, name), INT64_MAX);
}

static bool remove_one(const char *from, const char *name, const char *to)
{
	(void)name;
	(void)to;
	return unlink(from) == 0;
}

/* In place of what was there; of what there is not there is no copy. */
static bool copy_dir(const char *from, const char *to)
{
	if (!each_file(to, remove_one, NULL) || (rmdir(to) != 0 && errno != ENOENT))
		return false;
	return access(from, F_OK) != 0 || (mkdir(to, 0755) == 0 && each_file(from, copy_into, to));
}

static bool copy_dirs(const char *from, const char *to)
{
	char source[PATH], target[PATH];
	return copy_dir(path_of(source, from, "store"), path_of(target, to, "store")) && copy_dir(path_of(source, from, "backups"), path_of(target, to, "backups"));
}

static bool write_text(const char *path, const char *text)
{
	FILE *file = fopen(path, "w");
	bool good = file && fputs(text, file) >= 0;
	return file && fclose(file) == 0 && good;
}

static bool read_text(const char *path, char *out, size_t size)
{
	FILE *file = fopen(path, "r");
	size_t got = file ? fread(out, 1, size - 1, file) : 0;
	out[got] = '\0';
	return file && fclose(file) == 0;
}

/* ---- a question ---- */

/* What the oracle is told beside paths, as "question" has it. */
struct question {
	uint64_t seed;
	int64_t told; /* bytes of the ledger */
	int crash;
	unsigned leave;
	int backups; /* whether they are looked at */
	char options[512];
};

static bool write_question(const char *dir, const struct question *question)
{
	char path[PATH], text[800];
	snprintf(text, sizeof(text), "seed %" PRIu64 "\ntold %" PRId64 "\ncrash %d\nleave %u\nbackups %d\noptions %s\n", question->seed, question->told, question->crash, question->leave,
		 question->backups, question->options);
	return write_text(path_of(path, dir, "question"), text);
}

static bool read_question(const char *dir, struct question *out)
{
	char path[PATH], text[800];
	*out = (struct question){.seed = 0};
	if (!read_text(path_of(path, dir, "question"), text, sizeof(text)))
		return false;
	errno = EINVAL;
	return sscanf(text, "seed %" SCNu64 " told %" SCNd64 " crash %d leave %u backups %d options%511[^\n]", &out->seed, &out->told, &out->crash, &out->leave, &out->backups, out->options) == 6;
}

void evidence_forget(const struct evidence *evidence)
{
	char path[PATH];
	(void)unlink(path_of(path, evidence->asked, "question"));
}

bool evidence_put(const struct evidence *evidence, const struct oracle_plan *plan, const char *options, long told)
{
	char path[PATH];
	struct question question = {.seed = plan->seed, .told = told, .crash = (int)plan->crash, .leave = plan->leave, .backups = plan->backups != NULL};
	snprintf(question.options, sizeof(question.options), "%s", options);
	evidence_forget(evidence);
	if (mkdir(evidence->asked, 0755) != 0 && errno != EEXIST)
		return false;
	return told >= 0 && copy_dir(plan->dir, path_of(path, evidence->asked, "store")) &&
	       copy_dir(plan->backups ? plan->backups : "", path_of(path, evidence->asked, "backups")) && write_question(evidence->asked, &question);
}

static bool make_folders(const char *path)
{
	char part[PATH];
	snprintf(part, sizeof(part), "%s", path);
	for (char *slash = strchr(part + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		if (mkdir(part, 0755) != 0 && errno != EEXIST)
			return false;
		*slash = '/';
	}
	return mkdir(part, 0755) == 0 || errno == EEXIST;
}

bool evidence_can_be_left(const char *folder)
{
	char probe[PATH];
	bool was_there = access(folder, F_OK) == 0;
	path_of(probe, folder, "mf-XXXXXX");
	if (!make_folders(folder) || !mkdtemp(probe))
		return false;
	(void)rmdir(probe);
	if (!was_there)
		(void)rmdir(folder);
	return true;
}

bool evidence_leave(const struct evidence *evidence, const char *folder, const char *name, const char *said, char *out, size_t size)
{
	char path[PATH];
	struct question question;
	if (!read_question(evidence->asked, &question))
		return false;
	snprintf(out, size, "%s/%s", folder, name);
	if (!make_folders(folder))
		return false;
	for (int i = 2; mkdir(out, 0755) != 0; i++) {
		if (errno != EEXIST || i > SAME_NAME_MAX)
			return false;
		snprintf(out, size, "%s/%s.%d", folder, name, i);
	}
	return copy_dirs(evidence->asked, out) && copy_file(evidence->ledger, path_of(path, out, "ledger"), question.told) && write_text(path_of(path, out, "said"), said) &&
	       write_question(out, &question);
}

/* ---- an answer ---- */

/* Text with each occurrence of a path as what it is for. */
static void replace(char *text, size_t size, const char *path, const char *by)
{
	size_t len = strlen(path), by_len = strlen(by);
	for (char *at = text; len > by_len && strlen(text) < size && (at = strstr(at, path)); at += by_len) {
		memcpy(at, by, by_len);
		memmove(at + by_len, at + len, strlen(at + len) + 1);
	}
}

void evidence_plain(const struct oracle_plan *plan, const char *text, char out[EVIDENCE_TEXT])
{
	snprintf(out, EVIDENCE_TEXT, "%s", text);
	replace(out, EVIDENCE_TEXT, plan->dir, "store");
	if (plan->backups)
		replace(out, EVIDENCE_TEXT, plan->backups, "backups");
}

static bool read_ledger(const char *folder, struct ledger *ledger)
{
	char path[PATH];
	int fd = open(path_of(path, folder, "ledger"), O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	(void)ledger_read(ledger, fd);
	close(fd);
	return true;
}

bool evidence_ask(const char *folder, const char *place, enum oracle_crash *crash, struct oracle_report *report, char answer[EVIDENCE_TEXT], char said[EVIDENCE_TEXT])
{
	char path[PATH], store[PATH], backups[PATH], config[PATH];
	struct question question;
	struct ledger *ledger = ledger_new();
	path_of(store, place, "store");
	path_of(backups, place, "backups");
	path_of(config, place, "plugins.json");
	bool good = read_question(folder, &question) && read_text(path_of(path, folder, "said"), said, EVIDENCE_TEXT) && read_ledger(folder, ledger) && copy_dirs(folder, place) &&
		    proof_write_config(config, store, question.options);
	if (good) {
		struct oracle_plan plan = {.dir = store, .config = config, .backups = question.backups ? backups : NULL, .crash = (enum oracle_crash)question.crash, .leave = question.leave, .seed = question.seed};
		*crash = plan.crash;
		(void)oracle_check(&plan, ledger, report);
		evidence_plain(&plan, report->text, answer);
	} else {
		fprintf(stderr, "%s is no evidence that can be asked about: %s\n", folder, strerror(errno));
	}
	ledger_free(ledger);
	return good;
}
