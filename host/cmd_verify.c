/* cmd_verify.c - check everything that is stored: first as the store sees it (checksums, chains, indexes, keys,
 * watermark), then what is inside: every event and every snapshot is decoded. One JSON line a finding, a summary last.
 *
 * With --accept-loss a store that has lost synced events is then opened once for writing: that writes the loss into
 * its newest epoch, and from there on it is no damage any more. */
#include "host/commands.h"
#include "host/listing.h"
#include "host/progress.h"
#include "host/session.h"

#include <string.h>
#include <unistd.h>

#define PAGE_EVENTS 256

static struct mf_output out;
static struct mf_listing findings;

static const struct mf_column finding_columns[] = {
	{"what", "WHAT", MF_COLUMN_WORD, NULL},
	{"doc", "DOCUMENT", MF_COLUMN_TEXT, NULL},
	{"lsn", "LSN", MF_COLUMN_INT, NULL},
	{"code", NULL, MF_COLUMN_TEXT, NULL},
	{"message", "FINDING", MF_COLUMN_PROSE, NULL},
	{0},
};
static const struct mf_column summary_columns[] = {
	{"status", "STATUS", MF_COLUMN_WORD, NULL},
	{"documents", "DOCUMENTS", MF_COLUMN_INT, NULL},
	{"events", "EVENTS", MF_COLUMN_INT, NULL},
	{"snapshots", "SNAPSHOTS", MF_COLUMN_INT, NULL},
	{"findings", "FINDINGS", MF_COLUMN_INT, NULL},
	{0},
};

struct verify {
	struct mf_runtime *runtime;
	struct mf_store *store;
	struct mf_progress progress;
	int64_t findings, unknown_steps, lost; /* of the findings: types without a plugin; the loss itself */
	int64_t events, snapshots, documents;
	bool accepted;
	struct mf_buffer names; /* snapshots: upto_lsn and doc_id, NUL-terminated */
};

/* ---- findings ---- */
static void print_finding(const struct mf_damage *damage, enum mf_status status)
{
	enum mf_tone tone = status == MF_ERR_UNKNOWN_STEP ? MF_TONE_WARNING : MF_TONE_BAD;
	mf_listing_row(&findings, (const struct mf_cell[]){
					  {.text = damage->what, .tone = tone},
					  {.text = damage->doc_id},
					  {.number = damage->lsn},
					  {.text = mf_status_name(status)},
					  {.text = damage->message},
				  });
}

static void found(void *user, const struct mf_damage *damage)
{
	struct verify *verify = user;
	verify->findings++;
	verify->lost += strcmp(damage->what, "watermark") == 0;
	print_finding(damage, MF_ERR_CORRUPTED);
}

static void found_inside(struct verify *verify, const char *what, const char *doc_id, int64_t lsn, const struct mf_error *error)
{
	struct mf_damage damage = {.what = what, .doc_id = doc_id, .lsn = lsn, .message = error->message};
	if (error->status != MF_ERR_UNKNOWN_STEP) {
		found(verify, &damage);
		return;
	}
	damage.what = "unknown step"; /* the bytes are good: a plugin is missing */
	verify->findings++;
	verify->unknown_steps++;
	print_finding(&damage, error->status);
}

/* ---- events ---- */
static void decode_events(struct verify *verify, const struct mf_event_list *page)
{
	for (size_t i = 0; i < page->count; i++) {
		struct mf_error error = {0};
		struct mf_transaction *transaction;
		const struct mf_event *event = &page->events[i];
		if (mf_event_decode(event, mf_runtime_steps(verify->runtime), &transaction, &error) == MF_OK)
			mf_transaction_free(transaction);
		else
			found_inside(verify, "event", event->doc_id, event->lsn, &error);
		verify->events++;
		mf_progress_step(&verify->progress);
	}
}

/* A page with a damaged event is refused as a whole: go on event by event. The store's own check has told
 * of that one already, so it is only passed over. */
static enum mf_status next_page(struct verify *verify, int64_t *since, size_t *out_count, struct mf_error *error)
{
	struct mf_event_list page;
	enum mf_status status = mf_store_load_since(verify->store, NULL, *since, PAGE_EVENTS, &page, error);
	if (status == MF_ERR_CORRUPTED)
		status = mf_store_load_since(verify->store, NULL, *since, 1, &page, error);
	if (status == MF_ERR_CORRUPTED && error->lsn > *since) {
		if (verify->findings == 0)
			found_inside(verify, "event", NULL, error->lsn, error);
		*since = error->lsn;
		*out_count = 1;
		return MF_OK;
	}
	if (status != MF_OK)
		return status;
	decode_events(verify, &page);
	*out_count = page.count;
	if (page.count > 0)
		*since = page.events[page.count - 1].lsn;
	mf_event_list_deinit(&page);
	return MF_OK;
}

static enum mf_status check_events(struct verify *verify, struct mf_error *error)
{
	int64_t since = 0;
	size_t count = 1;
	enum mf_status status = MF_OK;
	while (status == MF_OK && count > 0 && !out.error)
		status = next_page(verify, &since, &count, error);
	return status;
}

/* ---- snapshots ---- */
static bool add_snapshot(void *user, const struct mf_snapshot_info *info)
{
	struct verify *verify = user;
	return mf_buffer_append(&verify->names, &info->upto_lsn, sizeof(info->upto_lsn)) == MF_OK &&
	       mf_buffer_append(&verify->names, info->doc_id, strlen(info->doc_id) + 1) == MF_OK;
}

static enum mf_status check_snapshot(struct verify *verify, const char *doc_id, int64_t upto_lsn, struct mf_error *error)
{
	struct mf_snapshot snapshot;
	struct mf_state *state;
	enum mf_status status = mf_store_latest_snapshot(verify->store, doc_id, upto_lsn, &snapshot, error);
	if (status == MF_ERR_NOT_FOUND)
		return MF_OK; /* a writer has taken it away meanwhile */
	if (status == MF_OK) {
		status = mf_snapshot_load(verify->store, &snapshot, mf_runtime_steps(verify->runtime), 0, &state, error);
		mf_snapshot_deinit(&snapshot);
		if (status == MF_OK)
			mf_state_unref(state);
	}
	if (status == MF_ERR_BUSY)
		return MF_OK; /* while it was being read */
	if (status == MF_ERR_CORRUPTED || status == MF_ERR_UNKNOWN_STEP) {
		found_inside(verify, "snapshot", doc_id, upto_lsn, error);
		return MF_OK;
	}
	return status;
}

static enum mf_status check_snapshots(struct verify *verify, struct mf_error *error)
{
	enum mf_status status = verify->store->ops->snapshots(verify->store, NULL, add_snapshot, verify, error);
	for (size_t at = 0; status == MF_OK && at < verify->names.len && !out.error;) {
		int64_t upto_lsn;
		memcpy(&upto_lsn, verify->names.bytes + at, sizeof(upto_lsn));
		const char *doc_id = (const char *)verify->names.bytes + at + sizeof(upto_lsn);
		at += sizeof(upto_lsn) + strlen(doc_id) + 1;
		verify->snapshots++;
		status = check_snapshot(verify, doc_id, upto_lsn, error);
		mf_progress_step(&verify->progress);
	}
	return status;
}

/* ---- all ---- */
static bool count_document(void *user, const struct mf_document_info *info)
{
	(void)info;
	((struct verify *)user)->documents++;
	return true;
}

static enum mf_status check_all(struct verify *verify, struct mf_error *error)
{
	enum mf_status status = mf_store_verify(verify->store, found, verify, error);
	bool unreadable = status == MF_ERR_IO && verify->findings > 0; /* what can be read is checked */
	if (status != MF_OK && status != MF_ERR_CORRUPTED && !unreadable)
		return status;
	status = check_events(verify, error);
	if (status == MF_OK)
		status = check_snapshots(verify, error);
	if (status == MF_OK)
		status = verify->store->ops->documents(verify->store, count_document, verify, error);
	/* What could not even be listed is told as a finding, once. */
	if (status == MF_ERR_CORRUPTED) {
		found_inside(verify, "database", NULL, error->lsn, error);
		status = MF_OK;
	}
	return status;
}

static bool is_good(const struct verify *verify)
{
	return verify->findings == (verify->accepted ? verify->lost : 0);
}

static const char *summary(const struct verify *verify)
{
	int64_t damage = verify->findings - verify->unknown_steps - (verify->accepted ? verify->lost : 0);
	if (damage > 0)
		return "damaged";
	return verify->unknown_steps > 0 ? "unknown_steps" : verify->accepted ? "loss_accepted" : "ok";
}

static void print_summary(const struct verify *verify, const struct mf_args *args)
{
	struct mf_listing listing;
	const char *status = summary(verify);
	bool damaged = strcmp(status, "damaged") == 0, good = is_good(verify) && !verify->accepted;
	enum mf_tone tone = damaged ? MF_TONE_BAD : good ? MF_TONE_GOOD : MF_TONE_WARNING;
	mf_listing_init(&listing, args, &out, summary_columns);
	if (mf_listing_is_table(&listing) && verify->findings > 0)
		mf_output_bytes(&out, "\n", 1);
	mf_listing_row(&listing, (const struct mf_cell[]){
					 {.text = status, .tone = tone},
					 {.number = verify->documents},
					 {.number = verify->events},
					 {.number = verify->snapshots},
					 {.number = verify->findings},
				 });
	mf_listing_end(&listing);
}

static enum mf_exit verify_store(struct verify *verify)
{
	struct mf_error error = {0};
	verify->store = mf_runtime_store(verify->runtime);
	mf_progress_init(&verify->progress, "events and snapshots checked");
	enum mf_status status = check_all(verify, &error);
	mf_progress_hide();
	mf_buffer_deinit(&verify->names);
	return status == MF_OK ? MF_EXIT_OK : mf_fail(status, &error);
}

/* ---- a loss ---- */
static bool is_loss(enum mf_status status, const struct mf_error *error)
{
	return status == MF_ERR_CORRUPTED && error->found < error->expected;
}

static enum mf_status try_and_close(const struct mf_args *args, enum mf_session_kind kind, struct mf_error *error)
{
	struct mf_runtime *runtime;
	enum mf_status status = mf_session_try(args, kind, &runtime, error);
	return status == MF_OK ? mf_runtime_close(runtime, MF_WAIT_FOREVER, error) : status;
}

/* Only a loss is accepted: any other damage would be opened for writing without a look at it. */
static enum mf_exit accept_loss(const struct mf_args *args, struct verify *verify)
{
	struct mf_error error = {0}, accepting = {0};
	if (!is_loss(try_and_close(args, MF_SESSION_READ, &error), &error))
		return MF_EXIT_OK;
	enum mf_status status = try_and_close(args, MF_SESSION_ACCEPT, &accepting);
	/* After the loss was recorded the opening may still have met something else, which is among the findings. */
	if (status != MF_OK && is_loss(try_and_close(args, MF_SESSION_READ, &error), &error))
		return mf_open_failed(args, status, &accepting);
	verify->accepted = true;
	return MF_EXIT_OK;
}

/* MF_EXIT_OK: everything was looked at, and what was found has been told. */
static enum mf_exit look(const struct mf_args *args, struct verify *verify)
{
	struct mf_error error = {0};
	enum mf_status status = mf_session_try(args, MF_SESSION_INSPECT, &verify->runtime, &error);
	if (status == MF_ERR_CORRUPTED) { /* too damaged to be opened at all */
		found_inside(verify, "database", NULL, error.lsn, &error);
		return MF_EXIT_OK;
	}
	if (status != MF_OK)
		return mf_open_failed(args, status, &error);
	return mf_session_close(verify->runtime, NULL, verify_store(verify));
}

enum mf_exit mf_cmd_verify(const struct mf_args *args)
{
	struct verify verify = {.findings = 0};
	mf_output_init(&out, STDOUT_FILENO);
	mf_listing_init(&findings, args, &out, finding_columns);
	enum mf_exit code = look(args, &verify);
	if (code == MF_EXIT_OK && args->given & MF_ARG_ACCEPT_LOSS)
		code = accept_loss(args, &verify);
	mf_listing_end_quietly(&findings);
	if (code == MF_EXIT_OK) {
		print_summary(&verify, args);
		code = is_good(&verify) ? MF_EXIT_OK : MF_EXIT_FAILED;
	}
	return mf_output_end(&out, code);
}
