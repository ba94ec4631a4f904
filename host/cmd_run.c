/* cmd_run.c - `mf run`: this thread reads, checks and submits line after line; another (run_acks.c) waits for the
 * outcomes and answers. So the commits of many lines share one write and one sync, and no answer waits for input. */
#include "host/commands.h"
#include "host/lines.h"
#include "host/progress.h"
#include "host/run_acks.h"
#include "host/run_request.h"
#include "host/session.h"
#include "host/say.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct mf_acks acks;

/* ---- one line ---- */
static void submit(struct mf_runtime *runtime, const struct mf_run_request *request, struct mf_ack *ack)
{
	if (request->op == MF_RUN_APPLY) {
		ack->status = mf_runtime_submit(runtime, request->doc, request->transaction, MF_COMMIT_MEMORY_ONLY, &ack->ticket, &ack->error);
	} else {
		enum mf_action action = request->op == MF_RUN_UNDO ? MF_ACTION_UNDO : MF_ACTION_REDO;
		ack->status = mf_runtime_submit_undo(runtime, request->doc, action, request->transaction, MF_COMMIT_MEMORY_ONLY, &ack->ticket, &ack->error);
	}
	const char *key = mf_transaction_key(request->transaction);
	if (ack->status == MF_ERR_DUPLICATE_KEY && key)
		snprintf(ack->key, sizeof(ack->key), "%s", key);
}

/* The answer tells of the storage error that stopped the run, instead. */
static enum mf_status stopped(struct mf_ack *ack)
{
	return mf_error_set(&ack->error, MF_ERR_STATE, "the run was stopped");
}

/* Snapshots and compaction come after everything before them. */
static void maintain(struct mf_runtime *runtime, const struct mf_run_request *request, struct mf_ack *ack)
{
	mf_acks_drain(&acks);
	if (atomic_load(&acks.stopped))
		ack->status = stopped(ack);
	else if (request->op == MF_RUN_SNAPSHOT)
		ack->status = mf_runtime_snapshot(runtime, request->doc, &ack->lsn, &ack->error);
	else
		ack->status = mf_runtime_compact(runtime, request->doc, &ack->lsn, &ack->error);
}

static void do_line(struct mf_runtime *runtime, const char *line, size_t len, struct mf_ack *ack)
{
	struct mf_run_request request;
	ack->status = mf_run_parse(line, len, mf_runtime_steps(runtime), mf_runtime_default_doc(runtime), &request, &ack->error);
	memcpy(ack->doc, request.doc, strlen(request.doc) + 1);
	if (ack->status != MF_OK)
		return;
	if (atomic_load(&acks.stopped)) /* while waiting for room */
		ack->status = stopped(ack);
	else if (request.transaction)
		submit(runtime, &request, ack);
	else
		maintain(runtime, &request, ack);
	mf_transaction_free(request.transaction);
}

static bool is_blank(const char *line, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (!strchr(" \t\r", line[i]) || line[i] == '\0')
			return false;
	return true;
}

/* ---- all lines ---- */
static void too_long(struct mf_ack *ack)
{
	ack->status = mf_error_set(&ack->error, MF_ERR_INVALID, "the line is longer than %zu bytes", MF_LINE_MAX);
}

static enum mf_exit input_failed(enum mf_lines_result result)
{
	if (result == MF_LINES_IO)
		mf_say("MF_ERR_INVALID: the input cannot be read: %s", strerror(errno));
	else
		mf_say("MF_ERR_NO_MEMORY: no memory to read the next line");
	return result == MF_LINES_IO ? MF_EXIT_USAGE : MF_EXIT_FAILED;
}

static enum mf_exit read_lines(struct mf_runtime *runtime, struct mf_lines *lines, struct mf_progress *progress)
{
	const char *line;
	size_t len;
	while (!atomic_load(&acks.stopped)) {
		enum mf_lines_result result = mf_lines_next(lines, &line, &len);
		if (result == MF_LINES_END || result == MF_LINES_STOPPED)
			break;
		if (result != MF_LINES_LINE && result != MF_LINES_TOO_LONG)
			return input_failed(result);
		if (result == MF_LINES_LINE && is_blank(line, len))
			continue;
		struct mf_ack *ack = mf_acks_next(&acks, result == MF_LINES_LINE ? len : 0);
		ack->line = lines->number;
		if (result == MF_LINES_TOO_LONG)
			too_long(ack);
		else
			do_line(runtime, line, len, ack);
		bool last = !ack->ticket && mf_is_storage_error(ack->status);
		mf_acks_push(&acks);
		mf_progress_step(progress);
		if (last)
			break;
	}
	return MF_EXIT_OK;
}

static enum mf_exit run(struct mf_runtime *runtime, int input)
{
	struct mf_lines lines;
	struct mf_progress progress;
	if (isatty(input) && isatty(STDERR_FILENO))
		mf_say("transactions are read from the terminal, one JSON object a line; Ctrl-D ends them, 'mf help run' explains them");
	mf_lines_init(&lines, input, acks.stop_fd);
	mf_progress_init(&progress, "lines");
	progress.terminal = progress.terminal && (acks.silent || !isatty(STDOUT_FILENO)); /* the answers show it, too */
	enum mf_exit code = read_lines(runtime, &lines, &progress);
	mf_acks_finish(&acks);
	mf_progress_hide();
	mf_lines_deinit(&lines);
	if (acks.storage_error.status != MF_OK)
		return MF_EXIT_STORAGE;
	return code == MF_EXIT_OK && acks.failed ? MF_EXIT_FAILED : code;
}

static enum mf_exit open_input(const struct mf_args *args, int *out_fd)
{
	struct stat info;
	bool standard = !args->input || strcmp(args->input, "-") == 0;
	const char *name = standard ? "standard input" : args->input;
	*out_fd = standard ? STDIN_FILENO : open(args->input, O_RDONLY | O_CLOEXEC);
	if (*out_fd < 0)
		mf_say("%s: the input '%s' cannot be opened: %s", errno == ENOENT ? "MF_ERR_NOT_FOUND" : "MF_ERR_INVALID", name, strerror(errno));
	else if (fstat(*out_fd, &info) == 0 && S_ISDIR(info.st_mode))
		mf_say("MF_ERR_INVALID: the input '%s' is a directory", name);
	else
		return MF_EXIT_OK;
	return MF_EXIT_USAGE;
}

/* A follower cannot refuse, so nobody was told when it failed. */
static bool print_failures(void *user, const struct mf_subscriber_info *info)
{
	(void)user;
	if (info->topics != 0 && info->failures > 0)
		mf_say("plugin %s: its follower failed %llu time%s%s%.300s", info->name, (unsigned long long)info->failures, info->failures == 1 ? "" : "s", info->last_error[0] ? ": " : "",
		       info->last_error);
	return true;
}

enum mf_exit mf_cmd_run(const struct mf_args *args)
{
	struct mf_runtime *runtime;
	struct mf_error error = {0};
	int input;
	enum mf_exit code = open_input(args, &input);
	if (code == MF_EXIT_OK)
		code = mf_session_open(args, MF_SESSION_WRITE, &runtime);
	if (code != MF_EXIT_OK)
		return code;
	enum mf_status status = mf_acks_start(&acks, args->acks && strcmp(args->acks, "none") == 0, &error);
	code = status == MF_OK ? run(runtime, input) : mf_fail(status, &error);
	mf_bus_subscribers(mf_runtime_bus(runtime), print_failures, NULL);
	return mf_session_close(runtime, status == MF_OK ? &acks.out : NULL, code);
}
