/* cmd_list.c - what there is: documents, snapshots, plugins; and compaction, document by document. */
#include "host/commands.h"
#include "host/doc_list.h"
#include "host/session.h"

#include <unistd.h>

static struct mf_output out;

typedef enum mf_status each(struct mf_runtime *runtime, const struct mf_args *args, struct mf_error *error); /* prints */

static enum mf_exit list(const struct mf_args *args, enum mf_session_kind kind, each *print)
{
	struct mf_runtime *runtime;
	struct mf_error error = {0};
	enum mf_exit code = mf_session_open(args, kind, &runtime);
	if (code != MF_EXIT_OK)
		return code;
	mf_output_init(&out, STDOUT_FILENO);
	enum mf_status status = print(runtime, args, &error);
	if (status != MF_OK)
		code = mf_fail(status, &error);
	return mf_session_close(runtime, &out, code);
}

/* ---- docs ---- */
static bool print_document(void *user, const struct mf_document_info *info)
{
	(void)user;
	mf_output_open(&out);
	mf_output_text(&out, "doc", info->doc_id);
	mf_output_int(&out, "lsn", info->last_lsn);
	mf_output_int(&out, "events", info->events);
	mf_output_int(&out, "snapshots", info->snapshots);
	mf_output_close(&out);
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
	return list(args, MF_SESSION_READ, each_document);
}

/* ---- snapshots ---- */
static bool print_snapshot(void *user, const struct mf_snapshot_info *info)
{
	(void)user;
	mf_output_open(&out);
	mf_output_text(&out, "doc", info->doc_id);
	mf_output_int(&out, "upto_lsn", info->upto_lsn);
	mf_output_time(&out, "time", info->created_at);
	mf_output_int(&out, "created_at", info->created_at);
	mf_output_int(&out, "bytes", info->bytes);
	mf_output_int(&out, "version", info->version);
	mf_output_close(&out);
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
	return list(args, MF_SESSION_READ, each_snapshot);
}

/* ---- plugins ---- */
static bool print_plugin(void *user, const struct mf_plugin_info *info)
{
	(void)user;
	mf_output_open(&out);
	mf_output_text(&out, "name", info->name);
	mf_output_text(&out, "version", info->version);
	mf_output_text(&out, "state", info->state);
	mf_output_bool(&out, "required", info->required);
	mf_output_text(&out, "path", info->path);
	mf_output_text(&out, "summary", info->summary);
	mf_output_text(&out, "message", info->message ? info->message : "");
	mf_output_close(&out);
	return !out.error;
}

static enum mf_status each_plugin(struct mf_runtime *runtime, const struct mf_args *args, struct mf_error *error)
{
	(void)args;
	(void)error;
	mf_runtime_plugins(runtime, print_plugin, NULL);
	return MF_OK;
}

enum mf_exit mf_cmd_plugin_list(const struct mf_args *args)
{
	return list(args, MF_SESSION_NO_STORE, each_plugin);
}

/* ---- compact ---- */
static enum mf_exit compact(struct mf_runtime *runtime, const char *doc_id)
{
	struct mf_error error = {0};
	int64_t upto_lsn = 0;
	enum mf_status status = mf_runtime_compact(runtime, doc_id, &upto_lsn, &error);
	if (status != MF_OK)
		return mf_fail(status, &error);
	mf_output_open(&out);
	mf_output_text(&out, "doc", doc_id);
	mf_output_int(&out, "upto_lsn", upto_lsn);
	mf_output_close(&out);
	return MF_EXIT_OK;
}

static enum mf_exit compact_all(struct mf_runtime *runtime)
{
	struct mf_error error = {0};
	struct mf_buffer names = {0};
	enum mf_exit code = MF_EXIT_OK;
	enum mf_status status = mf_doc_list(mf_runtime_store(runtime), &names, &error);
	if (status != MF_OK)
		code = mf_fail(status, &error);
	/* Another document is tried after a failure, but not after one of the storage. */
	for (const char *name = NULL; status == MF_OK && code < MF_EXIT_STORAGE && !out.error && (name = mf_doc_list_next(&names, name));) {
		enum mf_exit failed = compact(runtime, name);
		code = failed > code ? failed : code;
	}
	mf_buffer_deinit(&names);
	return code;
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
	code = args->doc ? compact(runtime, args->doc) : compact_all(runtime);
	return mf_session_close(runtime, &out, code);
}
