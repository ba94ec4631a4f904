#include "host/commands.h"
#include "host/doc_list.h"
#include "host/session.h"

#include <string.h>
#include <unistd.h>

#define PAGE_EVENTS 1000

static struct mf_output out;

static const char *action_name(enum mf_action action)
{
	return action == MF_ACTION_UNDO ? "undo" : action == MF_ACTION_REDO ? "redo" : "apply";
}

static enum mf_status print_step(const struct mf_step *step)
{
	struct mf_value *data;
	enum mf_status status = step->type->to_value(step, &data);
	if (status != MF_OK)
		return status;
	mf_output_open(&out);
	mf_output_text(&out, "type_id", step->type->type_id);
	status = mf_output_value(&out, "data", data);
	mf_output_bytes(&out, "}", 1);
	mf_value_unref(data);
	return status;
}

static enum mf_status print_steps(const struct mf_transaction *transaction)
{
	enum mf_status status = MF_OK;
	mf_output_key(&out, "steps");
	mf_output_bytes(&out, "[", 1);
	for (size_t i = 0; status == MF_OK && i < mf_transaction_step_count(transaction); i++) {
		if (i > 0)
			mf_output_bytes(&out, ",", 1);
		status = print_step(mf_transaction_step(transaction, i));
	}
	mf_output_bytes(&out, "]", 1);
	return status;
}

static enum mf_status print_event(const struct mf_event *event, const struct mf_transaction *transaction)
{
	mf_output_open(&out);
	mf_output_int(&out, "lsn", event->lsn);
	mf_output_int(&out, "epoch", event->epoch);
	mf_output_text(&out, "doc", event->doc_id);
	mf_output_text(&out, "key", event->idempotency_key);
	mf_output_int(&out, "tr_id", (int64_t)event->tr_id);
	mf_output_time(&out, "time", event->ts_us);
	mf_output_int(&out, "ts_us", event->ts_us);
	mf_output_text(&out, "actor", event->actor);
	mf_output_text(&out, "action", action_name(event->action));
	mf_output_int(&out, "source_lsn", event->source_lsn);
	mf_output_json(&out, "meta", event->meta, event->meta_len);
	enum mf_status status = print_steps(transaction);
	mf_output_close(&out);
	return status;
}

static enum mf_status print_page(const struct mf_event_list *page, const struct mf_step_registry *steps, struct mf_error *error)
{
	for (size_t i = 0; i < page->count && !out.error; i++) {
		struct mf_transaction *transaction;
		enum mf_status status = mf_event_decode(&page->events[i], steps, &transaction, error);
		if (status != MF_OK)
			return status;
		status = print_event(&page->events[i], transaction);
		mf_transaction_free(transaction);
		if (status != MF_OK)
			return mf_error_set(error, status, "LSN %lld could not be written out (%s)", (long long)page->events[i].lsn, mf_status_name(status));
	}
	return MF_OK;
}

static enum mf_status print_log(struct mf_runtime *runtime, const struct mf_args *args, struct mf_error *error)
{
	struct mf_store *store = mf_runtime_store(runtime);
	int64_t since = args->since;
	int64_t left = args->given & MF_ARG_LIMIT ? args->limit : INT64_MAX;
	enum mf_status status = mf_doc_exists(store, args->doc, error);
	while (status == MF_OK && left > 0 && !out.error) {
		struct mf_event_list page;
		uint32_t limit = left < PAGE_EVENTS ? (uint32_t)left : PAGE_EVENTS;
		status = mf_store_load_since(store, args->doc, since, limit, &page, error);
		if (status != MF_OK)
			return status;
		size_t count = page.count;
		if (count > 0)
			since = page.events[count - 1].lsn;
		status = print_page(&page, mf_runtime_steps(runtime), error);
		mf_event_list_deinit(&page);
		left -= (int64_t)count;
		if (count == 0)
			break;
	}
	return status;
}

enum mf_exit mf_cmd_log(const struct mf_args *args)
{
	struct mf_runtime *runtime;
	struct mf_error error = {0};
	enum mf_exit code = mf_session_open(args, MF_SESSION_READ, &runtime);
	if (code != MF_EXIT_OK)
		return code;
	mf_output_init(&out, STDOUT_FILENO);
	enum mf_status status = print_log(runtime, args, &error);
	if (status != MF_OK)
		code = mf_fail(status, &error);
	return mf_session_close(runtime, &out, code);
}
