/* cmd_list.c - what there is: documents, snapshots, plugins; and compaction, document by document. */
#include "host/commands.h"
#include "host/doc_list.h"
#include "host/listing.h"
#include "host/plugin_followers.h"
#include "host/session.h"

#include <string.h>
#include <unistd.h>

#define FOLLOWERS_MS 10000

static struct mf_output out;
static struct mf_listing listing;

typedef enum mf_status each(struct mf_runtime *runtime, const struct mf_args *args, struct mf_error *error); /* fills the listing */

static enum mf_exit list(const struct mf_args *args, enum mf_session_kind kind, const struct mf_column *columns, each *fill)
{
	struct mf_runtime *runtime;
	struct mf_error error = {0};
	enum mf_exit code = mf_session_open(args, kind, &runtime);
	if (code != MF_EXIT_OK)
		return code;
	mf_output_init(&out, STDOUT_FILENO);
	mf_listing_init(&listing, args, &out, columns);
	enum mf_status status = fill(runtime, args, &error);
	if (status == MF_OK) {
		mf_listing_end(&listing);
	} else {
		mf_listing_end_quietly(&listing);
		code = mf_fail(status, &error);
	}
	return mf_session_close(runtime, &out, code);
}

/* ---- docs ---- */
static const struct mf_column document_columns[] = {
	{"doc", "DOCUMENT", MF_COLUMN_TEXT, NULL},
	{"lsn", "LSN", MF_COLUMN_INT, NULL},
	{"events", "EVENTS", MF_COLUMN_INT, NULL},
	{"snapshots", "SNAPSHOTS", MF_COLUMN_INT, NULL},
	{0},
};

static bool print_document(void *user, const struct mf_document_info *info)
{
	(void)user;
	mf_listing_row(&listing, (const struct mf_cell[]){{.text = info->doc_id}, {.number = info->last_lsn}, {.number = info->events}, {.number = info->snapshots}});
	return !out.error;
}

static enum mf_status each_document(struct mf_runtime *runtime, const struct mf_args *args, struct mf_error *error)
{
	(void)args;
	struct mf_store *store = mf_runtime_store(runtime);
	return store->ops->documents(store, print_document, NULL, error);
}

enum mf_exit mf_cmd_docs(const struct mf_args *args)
{
	return list(args, MF_SESSION_READ, document_columns, each_document);
}

/* ---- snapshots ---- */
static const struct mf_column snapshot_columns[] = {
	{"doc", "DOCUMENT", MF_COLUMN_TEXT, NULL},
	{"upto_lsn", "UP TO", MF_COLUMN_INT, NULL},
	{"created_at", "CREATED", MF_COLUMN_TIME, "time"},
	{"bytes", "SIZE", MF_COLUMN_BYTES, NULL},
	{"version", "VERSION", MF_COLUMN_INT, NULL},
	{"base_lsn", "BASE", MF_COLUMN_INT, NULL},
	{0},
};

static bool print_snapshot(void *user, const struct mf_snapshot_info *info)
{
	(void)user;
	mf_listing_row(&listing, (const struct mf_cell[]){
					 {.text = info->doc_id},
					 {.number = info->upto_lsn},
					 {.number = info->created_at},
					 {.number = info->bytes},
					 {.number = info->version},
					 {.number = info->base_lsn},
				 });
	return !out.error;
}

static enum mf_status each_snapshot(struct mf_runtime *runtime, const struct mf_args *args, struct mf_error *error)
{
	struct mf_store *store = mf_runtime_store(runtime);
	enum mf_status status = args->doc ? mf_doc_exists(store, args->doc, error) : MF_OK;
	return status == MF_OK ? store->ops->snapshots(store, args->doc, print_snapshot, NULL, error) : status;
}

enum mf_exit mf_cmd_snapshots(const struct mf_args *args)
{
	return list(args, MF_SESSION_READ, snapshot_columns, each_snapshot);
}

/* ---- plugins ---- */
static const struct mf_column plugin_columns[] = {
	{"name", "PLUGIN", MF_COLUMN_TEXT, NULL},
	{"version", "VERSION", MF_COLUMN_WORD, NULL},
	{"state", "STATE", MF_COLUMN_WORD, NULL},
	{"required", "REQUIRED", MF_COLUMN_BOOL, NULL},
	{"path", NULL, MF_COLUMN_TEXT, NULL},
	{"summary", "SUMMARY", MF_COLUMN_PROSE, NULL},
	{"message", NULL, MF_COLUMN_TEXT, NULL},
	{"followers", NULL, MF_COLUMN_JSON, NULL},
	{0},
};

struct plugins {
	struct mf_runtime *runtime;
	struct mf_store *store; /* that --data names, if it can be read */
	enum mf_status status;
};

static bool print_plugin(void *user, const struct mf_plugin_info *info)
{
	struct plugins *plugins = user;
	struct mf_buffer followers = {0};
	plugins->status = mf_plugin_followers_json(plugins->runtime, plugins->store, info->name, &followers);
	bool skipped = strcmp(info->state, "started") != 0;
	bool explained = info->message && *info->message;
	mf_listing_row(&listing, (const struct mf_cell[]){
					 {.text = info->name},
					 {.text = info->version},
					 {.text = info->state, .tone = skipped ? MF_TONE_WARNING : MF_TONE_PLAIN},
					 {.number = info->required},
					 {.text = info->path},
					 {.text = info->summary, .shown = explained ? info->message : info->summary},
					 {.text = info->message ? info->message : ""},
					 {.text = (const char *)followers.bytes, .len = followers.len},
				 });
	mf_buffer_deinit(&followers);
	return plugins->status == MF_OK && !out.error;
}

static enum mf_status each_plugin(struct mf_runtime *runtime, const struct mf_args *args, struct mf_error *error)
{
	struct plugins plugins = {.runtime = runtime};
	const struct mf_sqlite_options options = {.dir = args->data, .read_only = true};
	if (args->data && mf_store_open_sqlite(&options, &plugins.store, NULL) != MF_OK)
		plugins.store = NULL; /* none, or one that cannot be read: the plugins can be listed all the same */
	mf_runtime_plugins(runtime, print_plugin, &plugins);
	mf_store_close(plugins.store, NULL);
	return plugins.status == MF_OK ? MF_OK : mf_error_set(error, plugins.status, "the followers could not be listed (%s)", mf_status_name(plugins.status));
}

enum mf_exit mf_cmd_plugin_list(const struct mf_args *args)
{
	return list(args, MF_SESSION_NO_STORE, plugin_columns, each_plugin);
}

/* ---- compact ---- */
static const struct mf_column compacted_columns[] = {
	{"doc", "DOCUMENT", MF_COLUMN_TEXT, NULL},
	{"upto_lsn", "COMPACTED TO", MF_COLUMN_INT, NULL},
	{0},
};

static enum mf_exit compact(struct mf_runtime *runtime, const struct mf_args *args, const char *doc_id)
{
	struct mf_error error = {0};
	int64_t upto_lsn = 0;
	enum mf_status status = args->given & MF_ARG_KEEP ? mf_runtime_compact_keep(runtime, doc_id, (uint32_t)args->keep, &upto_lsn, &error)
							  : mf_runtime_compact(runtime, doc_id, &upto_lsn, &error);
	if (status != MF_OK)
		return mf_fail(status, &error);
	mf_listing_row(&listing, (const struct mf_cell[]){{.text = doc_id}, {.number = upto_lsn}});
	return MF_EXIT_OK;
}

static enum mf_exit compact_all(struct mf_runtime *runtime, const struct mf_args *args)
{
	struct mf_error error = {0};
	struct mf_buffer names = {0};
	enum mf_exit code = MF_EXIT_OK;
	enum mf_status status = mf_doc_list(mf_runtime_store(runtime), &names, &error);
	if (status != MF_OK)
		code = mf_fail(status, &error);
	/* Another document is tried after a failure, but not after one of the storage. */
	for (const char *name = NULL; status == MF_OK && code < MF_EXIT_STORAGE && !out.error && (name = mf_doc_list_next(&names, name));) {
		enum mf_exit failed = compact(runtime, args, name);
		code = failed > code ? failed : code;
	}
	mf_buffer_deinit(&names);
	return code;
}

static enum mf_exit vacuum(struct mf_runtime *runtime, enum mf_exit code)
{
	struct mf_error error = {0};
	enum mf_status status = mf_runtime_vacuum(runtime, &error);
	enum mf_exit failed = status == MF_OK ? MF_EXIT_OK : mf_fail(status, &error);
	return failed > code ? failed : code;
}

/* To open for writing would make the store: this looks first, and says what is not there. */
static enum mf_exit find_what_to_compact(const struct mf_args *args)
{
	struct mf_runtime *runtime;
	struct mf_error error = {0};
	enum mf_exit code = mf_session_open(args, MF_SESSION_READ, &runtime);
	if (code != MF_EXIT_OK)
		return code;
	enum mf_status status = args->doc ? mf_doc_exists(mf_runtime_store(runtime), args->doc, &error) : MF_OK;
	if (status != MF_OK)
		code = mf_fail(status, &error);
	return mf_session_close(runtime, NULL, code);
}

enum mf_exit mf_cmd_compact(const struct mf_args *args)
{
	struct mf_runtime *runtime;
	enum mf_exit code = find_what_to_compact(args);
	if (code == MF_EXIT_OK)
		code = mf_session_open(args, MF_SESSION_WRITE, &runtime);
	if (code != MF_EXIT_OK)
		return code;
	mf_output_init(&out, STDOUT_FILENO);
	mf_listing_init(&listing, args, &out, compacted_columns);
	(void)!mf_bus_await_followers(mf_runtime_bus(runtime), FOLLOWERS_MS, NULL); /* what they have not seen stays */
	code = args->doc ? compact(runtime, args, args->doc) : compact_all(runtime, args);
	if (args->given & MF_ARG_VACUUM && code < MF_EXIT_STORAGE)
		code = vacuum(runtime, code);
	mf_listing_end_quietly(&listing);
	return mf_session_close(runtime, &out, code);
}
