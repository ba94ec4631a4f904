/* cmd_health.c - is the store well? A line for the level, and one for each finding; or one JSON object. */
#include "host/commands.h"
#include "host/session.h"
#include "host/visible.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static struct mf_output out;

/* ---- findings, kept until the level is known ---- */

#define FINDINGS_MAX 100 /* of a badly damaged store the first ones say enough; mf verify lists all */

struct findings {
	size_t count, left_out;
	struct finding {
		enum mf_health_level level;
		const char *what;
		char message[MF_ERROR_MESSAGE_SIZE];
	} items[FINDINGS_MAX];
};

static struct findings findings;

static void note(void *user, const struct mf_health_finding *finding)
{
	(void)user;
	if (findings.count == FINDINGS_MAX) {
		findings.left_out++;
		return;
	}
	struct finding *item = &findings.items[findings.count++];
	item->level = finding->level;
	item->what = finding->what;
	snprintf(item->message, sizeof(item->message), "%s", finding->message);
}

/* ---- printing ---- */

static void print_json(const struct mf_health_report *report)
{
	mf_output_open(&out);
	mf_output_text(&out, "level", mf_health_level_name(report->level));
	mf_output_text(&out, "message", report->message);
	mf_output_int(&out, "free_bytes", report->free_bytes);
	mf_output_int(&out, "log_bytes", report->log_bytes);
	mf_output_int(&out, "events_checked", report->events_checked);
	mf_output_int(&out, "snapshots_checked", report->snapshots_checked);
	mf_output_key(&out, "findings");
	mf_output_bytes(&out, "[", 1);
	for (size_t i = 0; i < findings.count; i++) {
		const struct finding *item = &findings.items[i];
		mf_output_bytes(&out, ",", i > 0);
		mf_output_bytes(&out, "{\"level\":", strlen("{\"level\":"));
		mf_output_quoted(&out, mf_health_level_name(item->level));
		mf_output_bytes(&out, ",\"what\":", strlen(",\"what\":"));
		mf_output_quoted(&out, item->what);
		mf_output_bytes(&out, ",\"message\":", strlen(",\"message\":"));
		mf_output_quoted(&out, item->message);
		mf_output_bytes(&out, "}", 1);
	}
	mf_output_bytes(&out, "]", 1);
	mf_output_int(&out, "findings_left_out", (int64_t)findings.left_out);
	mf_output_close(&out);
}

static void print_line(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void print_line(const char *format, ...)
{
	char line[MF_ERROR_MESSAGE_SIZE + 100], piece[MF_VISIBLE_MAX];
	va_list args;
	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	for (const char *at = line; *at;) {
		at += mf_visible_next(at, false, piece);
		mf_output_bytes(&out, piece, strlen(piece));
	}
	mf_output_bytes(&out, "\n", 1);
}

static void print_text(const struct mf_health_report *report)
{
	print_line("%s: %lld events and %lld snapshots checked", mf_health_level_name(report->level), (long long)report->events_checked, (long long)report->snapshots_checked);
	for (size_t i = 0; i < findings.count; i++)
		print_line("%s: %s: %s", mf_health_level_name(findings.items[i].level), findings.items[i].what, findings.items[i].message);
	if (findings.left_out > 0)
		print_line("and %zu more: see 'mf verify'", findings.left_out);
}

/* ---- the command ---- */

static enum mf_exit exit_of(enum mf_health_level level)
{
	return level == MF_HEALTHY ? MF_EXIT_OK : level == MF_HEALTH_WARNING ? MF_EXIT_FAILED : MF_EXIT_STORAGE;
}

static enum mf_exit tell(const struct mf_args *args, const struct mf_health_report *report)
{
	if (args->given & MF_ARG_JSON)
		print_json(report);
	else
		print_text(report);
	return exit_of(report->level);
}

/* A store that cannot be opened because of what is wrong with it is as unwell as one that says so later. */
static enum mf_exit tell_unopened(const struct mf_args *args, enum mf_status status, const struct mf_error *error)
{
	struct mf_health_report report = {.free_bytes = -1};
	bool damaged = status == MF_ERR_CORRUPTED;
	if (!mf_is_storage_error(status))
		return mf_open_failed(args, status, error);
	report.level = damaged ? MF_HEALTH_CRITICAL : MF_HEALTH_UNHEALTHY;
	snprintf(report.message, sizeof(report.message), "%s", error->message);
	note(NULL, &(struct mf_health_finding){report.level, damaged ? "integrity" : "connection", error->message});
	return tell(args, &report);
}

enum mf_exit mf_cmd_health(const struct mf_args *args)
{
	struct mf_runtime *runtime;
	struct mf_error error = {0};
	struct mf_health_options options;
	struct mf_health_report report = {.size = sizeof(report)};
	mf_output_init(&out, STDOUT_FILENO);
	enum mf_status status = mf_session_try(args, MF_SESSION_READ, &runtime, &error);
	if (status != MF_OK)
		return mf_output_end(&out, tell_unopened(args, status, &error));
	mf_health_options_init(&options);
	options.full = args->given & MF_ARG_FULL;
	status = mf_runtime_health(runtime, &options, note, NULL, &report, &error);
	enum mf_exit code = status == MF_OK ? tell(args, &report) : mf_fail(status, &error);
	return mf_session_close(runtime, &out, code);
}
