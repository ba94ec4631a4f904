/* read.c - what is read through the one door; and snapshots and compaction, which change no document. */
#include "host/runtime.h"

#include "bus/plugin_set.h"

#define KEEP_MAX 1000 /* as of the option keep_snapshots */

/* ---- states ---- */
enum mf_status mf_runtime_state_at(struct mf_runtime *runtime, const char *doc_id, int64_t at_lsn, struct mf_state **out,
				   struct mf_recovery_report *out_report, struct mf_error *error)
{
	struct mf_recovery_report report = {0};
	enum mf_status status = mf_runtime_check(runtime, false, error);
	if (status == MF_OK && at_lsn <= 0)
		status = mf_error_set(error, MF_ERR_INVALID, "LSN %lld: the first one is 1", (long long)at_lsn);
	if (status != MF_OK)
		return status;
	const struct mf_committer *committer = runtime->committer;
	if (at_lsn == INT64_MAX)
		at_lsn = MF_LSN_NEWEST_TO_LOOK_AT; /* nobody holds the document for that */
	status = committer->recover(committer->user, mf_runtime_doc_id(runtime, doc_id), at_lsn, out, &report, error);
	if (status == MF_ERR_UNKNOWN_STEP && runtime->read_only)
		(void)committer->preflight(committer->user, error); /* it lists every missing type */
	if (status == MF_OK && out_report)
		*out_report = report;
	return status;
}

/* The documents of a read-only runtime change in another process: each state is read anew. */
enum mf_status mf_runtime_state(struct mf_runtime *runtime, const char *doc_id, struct mf_state **out, struct mf_error *error)
{
	if (runtime->read_only)
		return mf_runtime_state_at(runtime, doc_id, INT64_MAX, out, NULL, error);
	struct mf_document *document;
	enum mf_status status = mf_runtime_check(runtime, false, error);
	if (status == MF_OK)
		status = mf_runtime_get_document(runtime, doc_id, &document, error);
	if (status != MF_OK)
		return status;
	*out = mf_document_committed(document);
	mf_documents_put(&runtime->documents, document);
	return MF_OK;
}

/* ---- snapshots and compaction ---- */
enum mf_status mf_runtime_snapshot(struct mf_runtime *runtime, const char *doc_id, int64_t *out_upto_lsn, struct mf_error *error)
{
	struct mf_document *document; /* held: the committer keeps the snapshot's state until it is let go */
	int64_t upto_lsn = 0;
	enum mf_status status = mf_runtime_check(runtime, true, error);
	if (status == MF_OK)
		status = mf_runtime_get_document(runtime, doc_id, &document, error);
	if (status != MF_OK)
		return status;
	struct mf_state *state = mf_document_committed(document);
	if (mf_state_lsn(state) == 0)
		status = mf_error_set(error, MF_ERR_NOT_FOUND, "document '%s' has no events, so there is nothing to take a snapshot of", document->doc_id);
	else
		status = runtime->committer->snapshot(runtime->committer->user, document->doc_id, state, &upto_lsn, error);
	mf_state_unref(state);
	mf_documents_put(&runtime->documents, document);
	if (status == MF_OK && out_upto_lsn)
		*out_upto_lsn = upto_lsn;
	return status;
}

enum mf_status mf_runtime_compact(struct mf_runtime *runtime, const char *doc_id, int64_t *out_upto_lsn, struct mf_error *error)
{
	int64_t upto_lsn = 0;
	enum mf_status status = mf_runtime_check(runtime, true, error);
	if (status == MF_OK)
		status = runtime->committer->compact(runtime->committer->user, mf_runtime_doc_id(runtime, doc_id), &upto_lsn, error);
	if (status == MF_OK && out_upto_lsn)
		*out_upto_lsn = upto_lsn;
	return status;
}

enum mf_status mf_runtime_compact_keep(struct mf_runtime *runtime, const char *doc_id, uint32_t keep, int64_t *out_upto_lsn, struct mf_error *error)
{
	int64_t upto_lsn = 0;
	enum mf_status status = mf_runtime_check(runtime, true, error);
	if (status != MF_OK)
		return status;
	if (keep < 1 || keep > KEEP_MAX)
		return mf_error_set(error, MF_ERR_INVALID, "%lu snapshots are to be kept: ask for 1 to %d", (unsigned long)keep, KEEP_MAX);
	const struct mf_committer *committer = runtime->committer;
	if (!committer->compact_keep)
		return mf_error_set(error, MF_ERR_STATE, "the committer %s keeps as many snapshots as it was configured to; use mf_runtime_compact", committer->name);
	status = committer->compact_keep(committer->user, mf_runtime_doc_id(runtime, doc_id), keep, &upto_lsn, error);
	if (status == MF_OK && out_upto_lsn)
		*out_upto_lsn = upto_lsn;
	return status;
}

enum mf_status mf_runtime_vacuum(struct mf_runtime *runtime, struct mf_error *error)
{
	enum mf_status status = mf_runtime_check(runtime, true, error);
	return status == MF_OK ? mf_store_vacuum(mf_runtime_store(runtime), error) : status;
}

/* ---- queries ---- */
const struct mf_step_registry *mf_runtime_steps(const struct mf_runtime *runtime)
{
	return runtime->registry;
}

struct mf_bus *mf_runtime_bus(struct mf_runtime *runtime)
{
	return runtime->bus;
}

struct mf_store *mf_runtime_store(struct mf_runtime *runtime)
{
	return runtime->committer->store(runtime->committer->user);
}

const char *mf_runtime_default_doc(const struct mf_runtime *runtime)
{
	return mf_plugin_set_default_doc(runtime->plugins);
}

struct plugin_visit {
	bool (*visit)(void *user, const struct mf_plugin_info *info);
	void *user;
};

static bool visit_plugin(void *user, const struct mf_plugin_entry_info *entry)
{
	const struct plugin_visit *visit = user;
	struct mf_plugin_info info = {
		.name = entry->name,
		.version = entry->version,
		.summary = entry->summary,
		.path = entry->path,
		.state = entry->state,
		.message = entry->message,
		.required = entry->required,
	};
	return visit->visit(visit->user, &info);
}

void mf_runtime_plugins(struct mf_runtime *runtime, bool (*visit)(void *user, const struct mf_plugin_info *info), void *user)
{
	struct plugin_visit plugin_visit = {.visit = visit, .user = user};
	mf_plugin_set_each(runtime->plugins, visit_plugin, &plugin_visit);
}
