#include "host/commands.h"
#include "host/each_document.h"
#include "host/listing.h"
#include "host/session.h"
#include "host/visible.h"

#include <stdio.h>
#include <unistd.h>

static struct mf_output out;
static struct mf_listing listing;

static const struct mf_column columns[] = {
	{"doc", "DOCUMENT", MF_COLUMN_TEXT, NULL},
	{"lsn", "LSN", MF_COLUMN_INT, NULL},
	{"snapshot_lsn", "SNAPSHOT", MF_COLUMN_INT, NULL},
	{"events_replayed", "REPLAYED", MF_COLUMN_INT, NULL},
	{"digest", "DIGEST", MF_COLUMN_TEXT, NULL},
	{"ms", "MS", MF_COLUMN_DECIMAL, NULL},
	{"damaged_snapshots", NULL, MF_COLUMN_INT, NULL}, /* people are warned */
	{"stale_snapshots", NULL, MF_COLUMN_INT, NULL},
	{0},
};

static enum mf_status print_report(const char *doc_id, const struct mf_state *state, const struct mf_recovery_report *report, struct mf_error *error)
{
	struct mf_digest digest;
	char hex[MF_DIGEST_HEX + 1], ms[48];
	enum mf_status status = mf_doc_digest(mf_state_doc(state), &digest);
	if (status != MF_OK)
		return mf_error_set(error, status, "document '%s': no memory to compute the digest", doc_id);
	mf_digest_hex(&digest, hex);
	snprintf(ms, sizeof(ms), "%.3f", (double)report->elapsed_us / 1000);
	mf_listing_row(&listing, (const struct mf_cell[]){
					 {.text = doc_id},
					 {.number = mf_state_lsn(state)},
					 {.number = report->snapshot_lsn},
					 {.number = report->events_replayed},
					 {.text = hex},
					 {.text = ms},
					 {.number = report->damaged_snapshots},
					 {.number = report->stale_snapshots},
				 });
	return MF_OK;
}

static enum mf_status recover(struct mf_runtime *runtime, const char *doc_id, struct mf_error *error)
{
	struct mf_state *state;
	struct mf_recovery_report report;
	enum mf_status status = mf_runtime_state_at(runtime, doc_id, INT64_MAX, &state, &report, error);
	if (status != MF_OK)
		return status;
	if (mf_state_lsn(state) == 0)
		status = mf_error_set(error, MF_ERR_NOT_FOUND, "document '%s' has no events in this store", doc_id);
	else
		status = print_report(doc_id, state, &report, error);
	mf_state_unref(state);
	return status;
}

enum mf_exit mf_cmd_recover(const struct mf_args *args)
{
	struct mf_runtime *runtime;
	struct mf_error error = {0};
	enum mf_exit code = mf_session_open(args, MF_SESSION_READ, &runtime);
	if (code != MF_EXIT_OK)
		return code;
	mf_output_init(&out, STDOUT_FILENO);
	mf_listing_init(&listing, args, &out, columns);
	enum mf_status status = args->doc ? recover(runtime, args->doc, &error) : MF_OK;
	if (status != MF_OK)
		code = mf_fail(status, &error);
	else if (!args->doc)
		code = mf_each_document(runtime, &out, "documents recovered", recover);
	mf_listing_end_quietly(&listing);
	return mf_session_close(runtime, &out, code);
}
