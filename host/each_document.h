/* each_document.h - one thing done with every document of a store, with progress on a terminal. */
#pragma once

#include "host/output.h"
#include "host/session.h"

typedef enum mf_status mf_document_work(struct mf_runtime *runtime, const char *doc_id, struct mf_error *error);

/* In order of their ids. Goes on after a document that fails: the others may not. A failure is said, and the worst exit code
 * returned. Ends early when out cannot be written any more. what: "documents recovered". */
enum mf_exit mf_each_document(struct mf_runtime *runtime, const struct mf_output *out, const char *what, mf_document_work *work);
