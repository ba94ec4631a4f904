#include "host/each_document.h"

#include "host/doc_list.h"
#include "host/progress.h"

static enum mf_exit work_on(struct mf_runtime *runtime, const char *doc_id, mf_document_work *work)
{
	struct mf_error error = {0};
	enum mf_status status = work(runtime, doc_id, &error);
	return status == MF_OK ? MF_EXIT_OK : mf_fail(status, &error);
}

enum mf_exit mf_each_document(struct mf_runtime *runtime, const struct mf_output *out, const char *what, mf_document_work *work)
{
	struct mf_error error = {0};
	struct mf_buffer names = {0};
	struct mf_progress progress;
	enum mf_exit code = MF_EXIT_OK;
	enum mf_status status = mf_doc_list(mf_runtime_store(runtime), &names, &error);
	if (status != MF_OK)
		code = mf_fail(status, &error);
	mf_progress_init(&progress, what);
	for (const char *name = NULL; status == MF_OK && !out->error && (name = mf_doc_list_next(&names, name));) {
		enum mf_exit ended = work_on(runtime, name, work);
		code = ended > code ? ended : code;
		mf_progress_step(&progress);
	}
	mf_progress_hide();
	mf_buffer_deinit(&names);
	return code;
}
