#include "host/proof.h"

#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <moduforge/field.h>

#include "host/doc_list.h"
#include "host/interrupt.h"
#include "host/session.h"

struct proof {
	struct mf_runtime *store, *copy;
	const char *file;
	int64_t lsn;
	struct mf_proof found;
};

bool mf_show_bytes(void *user, int64_t done, int64_t total)
{
	struct mf_progress *progress = user;
	(void)total;
	while (progress->count < (uint64_t)done >> 20)
		mf_progress_step(progress);
	return !mf_interrupted();
}

/* ---- one document ---- */

static enum mf_status differs(const struct proof *proof, const char *doc_id, const char *how, struct mf_error *error)
{
	mf_error_set(error, MF_ERR_CORRUPTED, "document '%.150s' comes back from the backup %.150s with %s than the store has at LSN %lld; run 'mf verify'", doc_id, proof->file, how,
		     (long long)proof->lsn);
	return MF_ERR_CORRUPTED;
}

static enum mf_status compare_fields(const struct proof *proof, const char *doc_id, const struct mf_state *a, const struct mf_state *b, struct mf_error *error)
{
	const struct mf_step_registry *registry = mf_runtime_steps(proof->store);
	const struct mf_state_field *field;
	for (size_t i = 0; (field = mf_step_registry_field(registry, i)); i++) {
		struct mf_digest of_a, of_b;
		enum mf_status status = mf_state_field_digest(a, field->key, &of_a, error);
		if (status == MF_OK)
			status = mf_state_field_digest(b, field->key, &of_b, error);
		if (status != MF_OK)
			return status;
		if (memcmp(&of_a, &of_b, sizeof(of_a)) != 0)
			return differs(proof, doc_id, "another state field", error);
	}
	return MF_OK;
}

static enum mf_status compare(const struct proof *proof, const char *doc_id, const struct mf_state *a, const struct mf_state *b, struct mf_error *error)
{
	struct mf_digest of_a, of_b;
	if (mf_state_lsn(a) != mf_state_lsn(b))
		return differs(proof, doc_id, "another last event", error);
	if (mf_doc_digest(mf_state_doc(a), &of_a) != MF_OK || mf_doc_digest(mf_state_doc(b), &of_b) != MF_OK)
		return mf_error_set(error, MF_ERR_NO_MEMORY, "document '%.200s': no memory to compute the digest", doc_id);
	if (memcmp(&of_a, &of_b, sizeof(of_a)) != 0)
		return differs(proof, doc_id, "another digest", error);
	return compare_fields(proof, doc_id, a, b, error);
}

static enum mf_status prove_document(struct proof *proof, const char *doc_id, struct mf_error *error)
{
	struct mf_state *then, *now;
	enum mf_status status = mf_runtime_state(proof->copy, doc_id, &now, error);
	if (status != MF_OK)
		return status;
	bool exists = mf_state_lsn(now) > 0;
	status = mf_runtime_state_at(proof->store, doc_id, proof->lsn, &then, NULL, error);
	if (status == MF_OK) {
		status = compare(proof, doc_id, then, now, error);
		mf_state_unref(then);
		proof->found.documents += exists;
	} else if (status == MF_ERR_NOT_FOUND && exists) {
		proof->found.uncompared++;
		status = MF_OK;
	}
	mf_state_unref(now);
	return status;
}

/* ---- all ---- */

/* Documents of the store: one that came after the backup is empty in both. */
static enum mf_status prove_documents(struct proof *proof, int64_t documents, struct mf_error *error)
{
	struct mf_buffer names = {0};
	struct mf_progress progress;
	if (documents == 0)
		return MF_OK;
	enum mf_status status = mf_doc_list(mf_runtime_store(proof->store), &names, error);
	mf_progress_init(&progress, "documents compared");
	for (const char *name = NULL; status == MF_OK && (name = mf_doc_list_next(&names, name));) {
		status = mf_interrupted() ? mf_error_set(error, MF_ERR_STATE, "the proof of the backup %.300s was stopped, as was asked", proof->file) : prove_document(proof, name, error);
		mf_progress_step(&progress);
	}
	mf_progress_hide();
	mf_buffer_deinit(&names);
	if (status == MF_OK && proof->found.documents + proof->found.uncompared != documents)
		status = mf_error_set(error, MF_ERR_CORRUPTED, "the backup %.200s has %lld documents, but the store had %lld at LSN %lld; run 'mf verify'", proof->file, (long long)documents,
				      (long long)(proof->found.documents + proof->found.uncompared), (long long)proof->lsn);
	return status;
}

static enum mf_status open_and_prove(struct proof *proof, const struct mf_args *args, const char *dir, int64_t documents, struct mf_error *error)
{
	struct mf_args of_copy = *args;
	struct mf_error closing;
	of_copy.data = dir;
	enum mf_status status = mf_session_try(&of_copy, MF_SESSION_READ, &proof->copy, error);
	if (status != MF_OK)
		return status;
	status = prove_documents(proof, documents, error);
	(void)mf_runtime_close(proof->copy, MF_WAIT_FOREVER, &closing);
	return status;
}

static int remove_one(const char *path, const struct stat *info, int type, struct FTW *where)
{
	(void)info;
	(void)type;
	(void)where;
	return remove(path);
}

enum mf_status mf_prove_backup(const struct mf_args *args, struct mf_runtime *store, const char *file, const struct mf_backup_info *info, struct mf_proof *out, struct mf_error *error)
{
	char dir[PATH_MAX];
	struct mf_progress progress;
	struct proof proof = {.store = store, .file = file, .lsn = info->lsn};
	if (snprintf(dir, sizeof(dir), "%s.%ld.proof", file, (long)getpid()) >= (int)sizeof(dir))
		return mf_error_set(error, MF_ERR_INVALID, "the name of the backup is too long");
	mf_progress_init(&progress, "MiB restored");
	enum mf_status status = mf_store_restore(&(struct mf_restore_options){.file = file, .dir = dir, .progress = mf_show_bytes, .user = &progress}, NULL, error);
	mf_progress_hide();
	if (status != MF_OK)
		return status;
	status = open_and_prove(&proof, args, dir, info->documents, error);
	(void)nftw(dir, remove_one, 4, FTW_DEPTH | FTW_PHYS);
	if (status == MF_OK)
		*out = proof.found;
	return status;
}
