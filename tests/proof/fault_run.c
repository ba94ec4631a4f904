#include "fault_run.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "harness.h"
#include "oracle.h"
#include "tests/leave.h"

#define RUN_SECONDS 60 /* a part that takes longer hangs */

struct shared {
	struct fault_report report;
	char wrong[300], doing[300];
	char oracle[2000];
};

struct fault_bench {
	char dir[200];
	char root[220];   /* watched: root/store and what lies beside it */
	char config[220], ledger[220];
	uint64_t seed;
	struct shared *shared;
};

static void say(char *why, size_t size, const char *format, ...) __attribute__((format(printf, 3, 4)));
static void say(char *why, size_t size, const char *format, ...)
{
	size_t len = strlen(why);
	va_list args;
	va_start(args, format);
	vsnprintf(why + len, size - len, format, args);
	va_end(args);
}

/* ---- files ---- */

static void copy_file(const char *from, const char *to)
{
	char bytes[65536];
	int in = open(from, O_RDONLY | O_CLOEXEC), out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	for (ssize_t got; in >= 0 && out >= 0 && (got = read(in, bytes, sizeof(bytes))) > 0;)
		if (write(out, bytes, (size_t)got) != got)
			abort();
	if (in < 0 || out < 0)
		abort();
	close(in);
	close(out);
}

/* fn for each entry of a directory, which may not be there. */
static void each(const char *dir, void (*fn)(const char *path, const char *name, bool is_dir, void *user), void *user)
{
	char path[512];
	DIR *open_dir = opendir(dir);
	for (const struct dirent *entry; open_dir && (entry = readdir(open_dir));) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		snprintf(path, sizeof(path), "%s/%s", dir, entry->d_name);
		struct stat info;
		fn(path, entry->d_name, lstat(path, &info) == 0 && S_ISDIR(info.st_mode), user);
	}
	if (open_dir)
		closedir(open_dir);
}

static void remove_one(const char *path, const char *name, bool is_dir, void *user)
{
	(void)name;
	if (is_dir)
		each(path, remove_one, user);
	(void)remove(path);
}

static void remove_tree(const char *dir)
{
	each(dir, remove_one, NULL);
	(void)remove(dir);
}

static void copy_tree(const char *from, const char *to);
static void copy_one(const char *path, const char *name, bool is_dir, void *user)
{
	char to[512];
	snprintf(to, sizeof(to), "%s/%s", (const char *)user, name);
	if (is_dir)
		copy_tree(path, to);
	else
		copy_file(path, to);
}

static void copy_tree(const char *from, const char *to)
{
	char target[512];
	snprintf(target, sizeof(target), "%s", to);
	(void)mkdir(to, 0700);
	each(from, copy_one, target);
}

/* ---- the bench ---- */

struct fault_bench *fault_bench_new(const char *base, unsigned number, uint64_t seed)
{
	struct fault_bench *bench = calloc(1, sizeof(*bench));
	if (!bench)
		abort();
	bench->seed = seed;
	snprintf(bench->dir, sizeof(bench->dir), "%s/bench%u", base, number);
	snprintf(bench->root, sizeof(bench->root), "%s/root", bench->dir);
	snprintf(bench->config, sizeof(bench->config), "%s/plugins.json", bench->dir);
	snprintf(bench->ledger, sizeof(bench->ledger), "%s/ledger", bench->dir);
	bench->shared = mmap(NULL, sizeof(*bench->shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (bench->shared == MAP_FAILED || mkdir(bench->dir, 0700) != 0)
		abort();
	return bench;
}

void fault_bench_free(struct fault_bench *bench)
{
	remove_tree(bench->dir);
	munmap(bench->shared, sizeof(*bench->shared));
	free(bench);
}

static bool set_up(struct fault_bench *bench, const struct scene_kind *kind, const char *template_dir)
{
	char store[256], from[256];
	remove_tree(bench->root);
	(void)mkdir(bench->root, 0700);
	(void)unlink(bench->ledger);
	memset(bench->shared, 0, sizeof(*bench->shared));
	if (template_dir) {
		snprintf(from, sizeof(from), "%s/root", template_dir);
		copy_tree(from, bench->root);
		snprintf(from, sizeof(from), "%s/ledger", template_dir);
		copy_file(from, bench->ledger);
	}
	char options[300];
	snprintf(options, sizeof(options), ", \"snapshot_every_n_events\": 0, \"snapshot_every_ms\": 0%s", kind->options ? kind->options : "");
	snprintf(store, sizeof(store), "%s/store", bench->root);
	bool written = proof_write_config(bench->config, store, options);
	snprintf(store, sizeof(store), "%s/backups", bench->root);
	return written && (mkdir(store, 0700) == 0 || errno == EEXIST);
}

/* ---- processes ---- */

/* Runs part in a child. What ended it, if it was not its own end: "". */
static void in_child(struct fault_bench *bench, void (*part)(struct fault_bench *bench, void *user), void *user, bool may_be_killed, char *why, size_t size)
{
	sigset_t child;
	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	sigprocmask(SIG_BLOCK, &child, NULL);
	pid_t pid = harness_fork();
	if (pid == 0) {
		sigprocmask(SIG_UNBLOCK, &child, NULL);
		part(bench, user);
		exit(0); /* in good order: leaks are findings, and what was covered counts */
	}
	int status = 0;
	const struct timespec limit = {.tv_sec = RUN_SECONDS};
	pid_t ended = 0;
	while (pid > 0 && (ended = waitpid(pid, &status, WNOHANG)) == 0)
		if (sigtimedwait(&child, NULL, &limit) < 0 && errno == EAGAIN) {
			say(why, size, "it did not end in %d s, at: %s\n", RUN_SECONDS, bench->shared->doing);
			kill(pid, SIGKILL);
			ended = waitpid(pid, &status, 0);
			return;
		}
	if (ended != pid)
		say(why, size, "no process: %s\n", strerror(errno));
	else if (WIFSIGNALED(status) && !(may_be_killed && WTERMSIG(status) == SIGKILL))
		say(why, size, "it died by signal %d (%s), at: %s\n", WTERMSIG(status), strsignal(WTERMSIG(status)), bench->shared->doing);
	else if (WIFEXITED(status) && WEXITSTATUS(status) != 0)
		say(why, size, "it ended with exit code %d, at: %s\n", WEXITSTATUS(status), bench->shared->doing);
}

struct playing {
	const struct scene_kind *kind;
	const struct fault_plan *plan;
	bool prepares;
	fault_traits *traits;
};

static struct scene scene_of(const struct fault_bench *bench, const struct playing *playing, int fd)
{
	return (struct scene){
		.root = bench->root, .config = bench->config, .mode = playing->kind->mode, .seed = bench->seed, .plan = playing->plan, .report = &bench->shared->report,
		.out = {.line = ledger_line_to_fd, .user = (void *)(intptr_t)fd}, .wrong = bench->shared->wrong, .doing = bench->shared->doing};
}

/* At what was prepared; what it leaves there is thrown away. */
static void look(struct fault_bench *bench, void *user)
{
	const struct playing *playing = user;
	int fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
	struct scene scene = scene_of(bench, playing, fd);
	playing->kind->look(&scene);
	close(fd);
}

static void play(struct fault_bench *bench, void *user)
{
	const struct playing *playing = user;
	int fd = open(bench->ledger, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	struct scene scene = scene_of(bench, playing, fd);
	bench->shared->report.traits = playing->traits;
	scene_begin(&scene, playing->prepares ? 1 : 2);
	if (fd < 0 || !fault_plan_watch(bench->root, playing->plan, &bench->shared->report)) {
		snprintf(bench->shared->wrong, sizeof(bench->shared->wrong), "%s cannot be watched", bench->root);
		return;
	}
	if (playing->prepares) {
		playing->kind->prepare(&scene);
		leave(0); /* as it is: what is still open was never closed */
	}
	playing->kind->play(&scene);
	if (playing->plan->number == 0)
		fault_plan_lift();
	scene_aftermath(&scene);
	calls_unwatch();
	close(fd);
}

static void judge(struct fault_bench *bench, void *user)
{
	char store[256], backups[256];
	(void)user;
	struct ledger *ledger = ledger_new();
	int fd = open(bench->ledger, O_RDONLY | O_CLOEXEC);
	struct oracle_report report;
	snprintf(store, sizeof(store), "%s/store", bench->root);
	snprintf(bench->shared->doing, sizeof(bench->shared->doing), "the oracle");
	snprintf(backups, sizeof(backups), "%s/backups", bench->root);
	const struct oracle_plan plan = {.dir = store, .config = bench->config, .backups = backups, .crash = ORACLE_KILLED, .seed = 1};
	if (fd >= 0)
		(void)ledger_read(ledger, fd);
	close(fd);
	if (!oracle_check(&plan, ledger, &report))
		snprintf(bench->shared->oracle, sizeof(bench->shared->oracle), "%.1900s", report.text[0] ? report.text : "the oracle refused it without a word\n");
	ledger_free(ledger);
}

/* ---- one run ---- */

static void gather(struct fault_bench *bench, char *why, size_t size)
{
	if (bench->shared->wrong[0])
		say(why, size, "%s\n", bench->shared->wrong);
	if (bench->shared->oracle[0])
		say(why, size, "%s", bench->shared->oracle);
}

bool fault_bench_prepare(struct fault_bench *bench, const struct scene_kind *kind, const char *template_dir, char *why, size_t size)
{
	const struct fault_plan none = {0};
	struct playing playing = {.kind = kind, .plan = &none, .prepares = true};
	char to[256];
	why[0] = '\0';
	if (!set_up(bench, kind, NULL)) {
		say(why, size, "no configuration could be written\n");
		return false;
	}
	copy_file("/dev/null", bench->ledger);
	in_child(bench, play, &playing, kind->look != NULL, why, size);
	(void)mkdir(template_dir, 0700);
	snprintf(to, sizeof(to), "%s/root", template_dir);
	copy_tree(bench->root, to);
	snprintf(to, sizeof(to), "%s/ledger", template_dir);
	copy_file(bench->ledger, to);
	if (kind->look)
		in_child(bench, look, &playing, false, why, size);
	gather(bench, why, size);
	return why[0] == '\0';
}

bool fault_bench_count(struct fault_bench *bench, const struct scene_kind *kind, const char *template_dir, fault_traits *traits, char *why, size_t size)
{
	const struct fault_plan none = {0};
	struct playing playing = {.kind = kind, .plan = &none, .traits = traits};
	why[0] = '\0';
	if (!set_up(bench, kind, template_dir)) {
		say(why, size, "no configuration could be written\n");
		return false;
	}
	in_child(bench, play, &playing, false, why, size);
	if (bench->shared->report.beyond[0])
		say(why, size, "it has more calls than can be looked at (FAULT_MOST): %s\n", bench->shared->report.beyond);
	in_child(bench, judge, NULL, false, why, size);
	gather(bench, why, size);
	return why[0] == '\0';
}

enum fault_outcome fault_bench_run(struct fault_bench *bench, const struct scene_kind *kind, const char *template_dir, const struct fault_plan *plan, char *why, size_t size)
{
	struct playing playing = {.kind = kind, .plan = plan};
	why[0] = '\0';
	if (!set_up(bench, kind, template_dir)) {
		say(why, size, "no configuration could be written\n");
		return FAULT_FAILED;
	}
	in_child(bench, play, &playing, plan->fault->weight == FAULT_KILL, why, size);
	bool struck = bench->shared->report.struck > 0;
	in_child(bench, judge, NULL, false, why, size);
	gather(bench, why, size);
	if (why[0] && bench->shared->report.first[0])
		say(why, size, "it was struck at %s\n", bench->shared->report.first);
	return why[0] ? FAULT_FAILED : struck ? FAULT_PASSED : FAULT_NOT_REACHED;
}
