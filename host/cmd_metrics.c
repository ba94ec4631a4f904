/* cmd_metrics.c - the report of a store that another program may be writing: its totals, and the counters saved beside it. */
#include "host/commands.h"
#include "host/session.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static struct mf_output out;

static enum mf_metrics_format format_of(const struct mf_args *args)
{
	const char *format = args->format ? args->format : args->given & MF_ARG_JSON ? "json" : "text";
	return strcmp(format, "json") == 0 ? MF_METRICS_JSON : strcmp(format, "prometheus") == 0 ? MF_METRICS_PROMETHEUS : MF_METRICS_TEXT;
}

/* Of counters that another program left. */
static void print_age(const struct mf_metrics *metrics)
{
	char line[100];
	int64_t age = (int64_t)time(NULL) - metrics->taken_us / 1000000;
	int len = snprintf(line, sizeof(line), "--- these counters are %lld s old ---\n", (long long)(age > 0 ? age : 0));
	mf_output_bytes(&out, line, (size_t)len);
}

enum mf_exit mf_cmd_metrics(const struct mf_args *args)
{
	struct mf_runtime *runtime;
	struct mf_error error = {0};
	struct mf_buffer text = {0};
	struct mf_metrics metrics = {.size = sizeof(metrics)};
	enum mf_exit code = mf_session_open(args, MF_SESSION_READ, &runtime);
	if (code != MF_EXIT_OK)
		return code;
	mf_output_init(&out, STDOUT_FILENO);
	enum mf_status status = mf_runtime_metrics(runtime, &metrics, &error);
	if (status == MF_OK)
		status = mf_metrics_report(&metrics, format_of(args), &text, &error);
	if (status == MF_OK)
		mf_output_bytes(&out, text.bytes, text.len);
	if (status == MF_OK && format_of(args) == MF_METRICS_TEXT && metrics.source == MF_METRICS_SAVED)
		print_age(&metrics);
	if (status != MF_OK)
		code = mf_fail(status, &error);
	mf_buffer_deinit(&text);
	return mf_session_close(runtime, &out, code);
}
