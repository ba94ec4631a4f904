/* cmd_restore.c - mf restore FILE --data NEW: a store again, then every document of it, recovered. */
#include "host/commands.h"
#include "host/each_document.h"
#include "host/interrupt.h"
#include "host/listing.h"
#include "host/proof.h"
#include "host/session.h"
#include "host/say.h"

#include <moduforge/backup.h>

#include <unistd.h>

static struct mf_output out;
static struct mf_listing documents;

static const struct mf_column document_columns[] = {
	{"doc", "DOCUMENT", MF_COLUMN_TEXT, NULL},
	{"lsn", "LSN", MF_COLUMN_INT, NULL},
	{"digest", "DIGEST", MF_COLUMN_TEXT, NULL},
	{0},
};
static const struct mf_column summary_columns[] = {
	{"status", NULL, MF_COLUMN_TEXT, NULL},
	{"lsn", "RESTORED TO", MF_COLUMN_INT, NULL},
	{"epoch", NULL, MF_COLUMN_INT, NULL},
	{"events", "EVENTS", MF_COLUMN_INT, NULL},
	{"documents", NULL, MF_COLUMN_INT, NULL},
	{"bytes", "SIZE", MF_COLUMN_BYTES, NULL},
	{"created_at", "BACKUP OF", MF_COLUMN_TIME, "time"},
	{0},
};

static enum mf_status show_document(struct mf_runtime *runtime, const char *doc_id, struct mf_error *error)
{
	struct mf_state *state;
	struct mf_digest digest;
	char hex[MF_DIGEST_HEX + 1];
	enum mf_status status = mf_runtime_state(runtime, doc_id, &state, error);
	if (status != MF_OK)
		return status;
	status = mf_doc_digest(mf_state_doc(state), &digest);
	if (status == MF_OK) {
		mf_digest_hex(&digest, hex);
		mf_listing_row(&documents, (const struct mf_cell[]){{.text = doc_id}, {.number = mf_state_lsn(state)}, {.text = hex}});
	} else {
		mf_error_set(error, status, "document '%s': no memory to compute the digest", doc_id);
	}
	mf_state_unref(state);
	return status;
}

static void print_summary(const struct mf_args *args, const struct mf_backup_info *info)
{
	struct mf_listing summary;
	mf_listing_init(&summary, args, &out, summary_columns);
	if (mf_listing_is_table(&summary) && info->documents > 0)
		mf_output_bytes(&out, "\n", 1);
	mf_listing_row(&summary, (const struct mf_cell[]){
					 {.text = "ok"},
					 {.number = info->lsn},
					 {.number = info->epoch},
					 {.number = info->events},
					 {.number = info->documents},
					 {.number = info->bytes},
					 {.number = info->time_us},
				 });
	mf_listing_end(&summary);
}

static enum mf_exit show(const struct mf_args *args, const struct mf_backup_info *info)
{
	struct mf_runtime *runtime;
	enum mf_exit code = mf_session_open(args, MF_SESSION_READ, &runtime);
	if (code != MF_EXIT_OK)
		return code;
	mf_listing_init(&documents, args, &out, document_columns);
	code = mf_each_document(runtime, &out, "documents recovered", show_document);
	mf_listing_end_quietly(&documents);
	if (code == MF_EXIT_OK)
		print_summary(args, info);
	else
		mf_say("%s is restored, but not every document can be recovered", args->data);
	return mf_session_close(runtime, &out, code);
}

/* The plugins first: without them nobody could see what was restored. */
static enum mf_status look_at_plugins(const struct mf_args *args, struct mf_error *error)
{
	struct mf_runtime *runtime;
	enum mf_status status = mf_session_try(args, MF_SESSION_NO_STORE, &runtime, error);
	return status == MF_OK ? mf_runtime_close(runtime, MF_WAIT_FOREVER, error) : status;
}

enum mf_exit mf_cmd_restore(const struct mf_args *args)
{
	struct mf_error error = {0};
	struct mf_progress progress;
	struct mf_backup_info info;
	struct mf_restore_options options = {.file = args->operands[0], .dir = args->data, .at_lsn = args->at_lsn, .progress = mf_show_bytes, .user = &progress};
	enum mf_status status = look_at_plugins(args, &error);
	if (status != MF_OK)
		return mf_open_failed(args, status, &error);
	if (args->given & MF_ARG_AT_LSN && args->at_lsn < 1) {
		status = mf_error_set(&error, MF_ERR_INVALID, "LSN %lld: the first one is 1", (long long)args->at_lsn);
		return mf_fail(status, &error);
	}
	mf_output_init(&out, STDOUT_FILENO);
	mf_interrupt_catch();
	mf_progress_init(&progress, "MiB read");
	status = mf_store_restore(&options, &info, &error);
	mf_progress_hide();
	return status == MF_OK ? show(args, &info) : mf_fail(status, &error);
}
