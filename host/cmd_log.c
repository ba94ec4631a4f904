/* cmd_log.c - `mf log`: events, decoded, a page at a time; with --follow then those that another process commits. */
#include "host/commands.h"
#include "host/doc_list.h"
#include "host/follow.h"
#include "host/listing.h"
#include "host/log_steps.h"
#include "host/say.h"
#include "host/session.h"

#include <stdio.h>
#include <unistd.h>

#define PAGE_EVENTS 1000
#define INTERVAL_MS 200

static struct mf_output out;
static struct mf_listing listing;

#define DOCUMENT 2
static struct mf_column columns[] = {
	{"lsn", "LSN", MF_COLUMN_INT, NULL},
	{"epoch", NULL, MF_COLUMN_INT, NULL},
	[DOCUMENT] = {"doc", "DOCUMENT", MF_COLUMN_TEXT, NULL},
	{"key", NULL, MF_COLUMN_TEXT, NULL},
	{"tr_id", NULL, MF_COLUMN_INT, NULL},
	{"ts_us", "TIME", MF_COLUMN_TIME, "time"},
	{"actor", "ACTOR", MF_COLUMN_TEXT, NULL},
	{"action", "ACTION", MF_COLUMN_WORD, NULL},
	{"source_lsn", NULL, MF_COLUMN_INT, NULL},
	{"meta", NULL, MF_COLUMN_JSON, NULL},
	{NULL, "KEY", MF_COLUMN_TEXT, NULL},
	{"steps", "STEPS", MF_COLUMN_JSON, NULL},
	{0},
};

/* ---- one event ---- */
static const char *action_name(enum mf_action action)
{
	return action == MF_ACTION_UNDO ? "undo" : action == MF_ACTION_REDO ? "redo"
									    : "apply";
}

static void print_row(const struct mf_event *event, const struct mf_buffer *steps, const struct mf_buffer *summary)
{
	char of[48] = "";
	const char *name = action_name(event->action);
	if (event->source_lsn > 0)
		snprintf(of, sizeof(of), "%s of %lld", name, (long long)event->source_lsn);
	mf_listing_row(&listing, (const struct mf_cell[]){
					 {.number = event->lsn},
					 {.number = event->epoch},
					 {.text = event->doc_id},
					 {.text = event->idempotency_key},
					 {.number = (int64_t)event->tr_id},
					 {.number = event->ts_us},
					 {.text = event->actor},
					 {.text = name, .shown = *of ? of : NULL},
					 {.number = event->source_lsn},
					 {.text = event->meta, .len = event->meta_len},
					 {.text = event->idempotency_key},
					 {.text = (const char *)steps->bytes, .len = steps->len, .shown = (const char *)summary->bytes},
				 });
}

static enum mf_status print_event(const struct mf_event *event, const struct mf_transaction *transaction)
{
	struct mf_buffer steps = {0}, summary = {0};
	enum mf_status status = mf_listing_is_table(&listing) ? mf_log_summarise(transaction, &summary) : mf_log_steps_json(transaction, &steps);
	if (status == MF_OK)
		print_row(event, &steps, &summary);
	mf_buffer_deinit(&steps);
	mf_buffer_deinit(&summary);
	return status;
}

static enum mf_status print_page(const struct mf_event_list *page, size_t count, const struct mf_step_registry *steps, struct mf_error *error)
{
	for (size_t i = 0; i < count && !out.error; i++) {
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

/* ---- all events ---- */
struct walk {
	struct mf_runtime *runtime;
	const char *doc_id; /* NULL: all */
	int64_t since, left;
	bool synced; /* only what is on the device */
};

static enum mf_status newest_wanted(const struct walk *walk, int64_t *out_lsn, struct mf_error *error)
{
	struct mf_store_stats stats = {.synced_lsn = INT64_MAX};
	enum mf_status status = walk->synced ? mf_store_stats(mf_runtime_store(walk->runtime), &stats, error) : MF_OK;
	if (status == MF_OK)
		*out_lsn = stats.synced_lsn;
	return status;
}

static size_t count_upto(const struct mf_event_list *page, int64_t lsn)
{
	size_t count = page->count;
	while (count > 0 && page->events[count - 1].lsn > lsn)
		count--;
	return count;
}

/* *out_count 0: there are no more. */
static enum mf_status print_next(struct walk *walk, size_t *out_count, struct mf_error *error)
{
	struct mf_event_list page;
	uint32_t limit = walk->left < PAGE_EVENTS ? (uint32_t)walk->left : PAGE_EVENTS;
	int64_t newest;
	enum mf_status status = newest_wanted(walk, &newest, error);
	if (status == MF_OK)
		status = mf_store_load_since(mf_runtime_store(walk->runtime), walk->doc_id, walk->since, limit, &page, error);
	if (status != MF_OK)
		return status;
	size_t count = count_upto(&page, newest);
	*out_count = count;
	walk->left -= (int64_t)count;
	if (count > 0)
		walk->since = page.events[count - 1].lsn;
	status = print_page(&page, count, mf_runtime_steps(walk->runtime), error);
	mf_event_list_deinit(&page);
	return status;
}

static enum mf_status print_stored(struct walk *walk, struct mf_error *error)
{
	size_t count = 1;
	enum mf_status status = walk->doc_id ? mf_doc_exists(mf_runtime_store(walk->runtime), walk->doc_id, error) : MF_OK;
	while (status == MF_OK && count > 0 && walk->left > 0 && !out.error)
		status = print_next(walk, &count, error);
	return status;
}

/* A document that nobody has written yet may come. */
static enum mf_status print_followed(struct walk *walk, struct mf_follow *follow, int64_t interval_ms, struct mf_error *error)
{
	enum mf_status status = MF_OK;
	while (status == MF_OK && walk->left > 0 && !out.error) {
		size_t count = 0;
		status = print_next(walk, &count, error);
		if (count == 0)
			mf_listing_flush(&listing);
		if (!mf_follow_wait(follow, &out, count == 0 ? (int)interval_ms : 0))
			break;
	}
	return status;
}

/* A store that nobody has made yet may come, too. *opened NULL: the waiting was ended. */
static enum mf_exit await_store(const struct mf_args *args, struct mf_follow *follow, int64_t interval_ms, struct mf_runtime **opened)
{
	struct mf_error error = {0};
	enum mf_status status = mf_session_try(args, MF_SESSION_READ, opened, &error);
	if (status == MF_OK)
		return MF_EXIT_OK;
	if (!mf_store_is_missing(args, status))
		return mf_open_failed(args, status, &error);
	mf_say("%s; waiting for it", error.message);
	while (status == MF_ERR_NOT_FOUND) {
		*opened = NULL;
		if (!mf_follow_wait(follow, &out, (int)interval_ms))
			return MF_EXIT_OK;
		status = mf_session_try(args, MF_SESSION_READ, opened, &error);
	}
	return status == MF_OK ? MF_EXIT_OK : mf_open_failed(args, status, &error);
}

static enum mf_exit print_log(const struct mf_args *args, struct mf_follow *follow)
{
	struct mf_error error = {0};
	struct walk walk = {.doc_id = args->doc, .since = args->since, .left = args->given & MF_ARG_LIMIT ? args->limit : INT64_MAX, .synced = args->given & MF_ARG_SYNCED};
	int64_t interval_ms = args->given & MF_ARG_INTERVAL ? args->interval_ms : INTERVAL_MS;
	mf_output_init(&out, STDOUT_FILENO);
	enum mf_exit code = follow ? await_store(args, follow, interval_ms, &walk.runtime) : mf_session_open(args, MF_SESSION_READ, &walk.runtime);
	if (code != MF_EXIT_OK)
		return code;
	if (!walk.runtime)
		return mf_output_end(&out, MF_EXIT_OK);
	if (args->doc) /* then a table need not say it in each row */
		columns[DOCUMENT].header = NULL;
	mf_listing_init(&listing, args, &out, columns);
	enum mf_status status = follow ? print_followed(&walk, follow, interval_ms, &error) : print_stored(&walk, &error);
	if (status != MF_OK)
		code = mf_fail(status, &error);
	mf_listing_end_quietly(&listing);
	return mf_session_close(walk.runtime, &out, code);
}

enum mf_exit mf_cmd_log(const struct mf_args *args)
{
	struct mf_follow follow;
	if (!(args->given & MF_ARG_FOLLOW))
		return print_log(args, NULL);
	if (!mf_follow_init(&follow))
		return MF_EXIT_FAILED;
	enum mf_exit code = print_log(args, &follow);
	mf_follow_deinit(&follow);
	return code;
}
