#include "host/commands.h"
#include "host/session.h"

#include <unistd.h>

static struct mf_output out;

static enum mf_status choose_lsn(struct mf_runtime *runtime, const struct mf_args *args, int64_t *out_lsn, struct mf_error *error)
{
	struct mf_store_stats stats = {.synced_lsn = INT64_MAX};
	enum mf_status status = args->given & MF_ARG_SYNCED ? mf_store_stats(mf_runtime_store(runtime), &stats, error) : MF_OK;
	int64_t asked = args->given & MF_ARG_AT_LSN ? args->at_lsn : INT64_MAX;
	if (status == MF_OK)
		*out_lsn = asked < stats.synced_lsn ? asked : stats.synced_lsn;
	return status;
}

static enum mf_status find_state(struct mf_runtime *runtime, const struct mf_args *args, struct mf_state **out_state, struct mf_error *error)
{
	int64_t at_lsn;
	enum mf_status status = choose_lsn(runtime, args, &at_lsn, error);
	if (status != MF_OK)
		return status;
	if (at_lsn > 0) {
		status = mf_runtime_state_at(runtime, args->doc, at_lsn, out_state, NULL, error);
		if (status != MF_OK || mf_state_lsn(*out_state) > 0)
			return status;
		mf_state_unref(*out_state);
	}
	if (at_lsn == INT64_MAX)
		return mf_error_set(error, MF_ERR_NOT_FOUND, "document '%s' has no events in this store", args->doc);
	return mf_error_set(error, MF_ERR_NOT_FOUND, "document '%s' has no events up to LSN %lld", args->doc, (long long)at_lsn);
}

static enum mf_status print_digest(const struct mf_state *state, const struct mf_args *args, struct mf_error *error)
{
	struct mf_digest digest;
	char hex[MF_DIGEST_HEX + 1];
	enum mf_status status = mf_doc_digest(mf_state_doc(state), &digest);
	if (status != MF_OK)
		return mf_error_set(error, status, "no memory to compute the digest");
	mf_digest_hex(&digest, hex);
	if (args->given & MF_ARG_JSON) {
		mf_output_open(&out);
		mf_output_text(&out, "doc", args->doc);
		mf_output_int(&out, "lsn", mf_state_lsn(state));
		mf_output_text(&out, "digest", hex);
		mf_output_close(&out);
		return MF_OK;
	}
	mf_output_bytes(&out, hex, MF_DIGEST_HEX);
	mf_output_bytes(&out, "\n", 1);
	return MF_OK;
}

static enum mf_status print_state(const struct mf_state *state, const char *doc_id, struct mf_error *error)
{
	mf_output_open(&out);
	mf_output_text(&out, "doc", doc_id);
	mf_output_int(&out, "lsn", mf_state_lsn(state));
	mf_output_key(&out, "root");
	enum mf_status status = mf_doc_write_json(mf_state_doc(state), mf_output_sink, &out);
	mf_output_close(&out);
	if (status != MF_OK && !out.error)
		return mf_error_set(error, status, "document '%s' could not be written out (%s)", doc_id, mf_status_name(status));
	return MF_OK;
}

enum mf_exit mf_cmd_state(const struct mf_args *args)
{
	struct mf_runtime *runtime;
	struct mf_state *state = NULL;
	struct mf_error error = {0};
	enum mf_exit code = mf_session_open(args, MF_SESSION_READ, &runtime);
	if (code != MF_EXIT_OK)
		return code;
	mf_output_init(&out, STDOUT_FILENO);
	enum mf_status status = find_state(runtime, args, &state, &error);
	if (status == MF_OK) {
		status = args->given & MF_ARG_DIGEST ? print_digest(state, args, &error) : print_state(state, args->doc, &error);
		mf_state_unref(state);
	}
	if (status != MF_OK)
		code = mf_fail(status, &error);
	return mf_session_close(runtime, &out, code);
}
