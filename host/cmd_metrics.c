/* cmd_metrics.c - the report of a store that another program may be writing: its totals, and the counters saved beside it. */
#include "host/commands.h"
#include "host/session.h"

#include <string.h>
#include <unistd.h>

static struct mf_output out;

static enum mf_metrics_format format_of(const struct mf_args *args)
{
	const char *format = args->format ? args->format : args->given & MF_ARG_JSON ? "json" : "text";
	return strcmp(format, "json") == 0 ? MF_METRICS_JSON : strcmp(format, "prometheus") == 0 ? MF_METRICS_PROMETHEUS : MF_METRICS_TEXT;
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
	else
		code = mf_fail(status, &error);
	mf_buffer_deinit(&text);
	return mf_session_close(runtime, &out, code);
}
