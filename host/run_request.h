/* run_request.h - one line of `mf run` as a request, with every rule of docs/cli.md checked. */
#pragma once

#include <moduforge/transaction.h>

enum mf_run_op { MF_RUN_APPLY = 1, MF_RUN_UNDO = 2, MF_RUN_REDO = 4, MF_RUN_SNAPSHOT = 8, MF_RUN_COMPACT = 16 };

struct mf_run_request {
	enum mf_run_op op;
	char doc[MF_ID_MAX + 1];            /* empty: the line was not readable so far */
	struct mf_transaction *transaction; /* apply: with steps; undo, redo: without; else NULL. The caller's. */
};

/* What was read before a failure stays in out (doc, for the answer); the transaction only on success. */
enum mf_status mf_run_parse(const char *line, size_t len, const struct mf_step_registry *steps, const char *default_doc,
			    struct mf_run_request *out, struct mf_error *error);
