/* session.h - what every command of `mf` does first and last: find plugins.json, open the runtime, say
 * what went wrong, choose the exit code. Thread: one. */
#pragma once

#include <moduforge/runtime.h>

#include "host/options.h"
#include "host/output.h"

enum mf_session_kind {
	MF_SESSION_WRITE,
	MF_SESSION_ACCEPT,  /* to write, although synced events were lost */
	MF_SESSION_READ,    /* beside a writer */
	MF_SESSION_INSPECT, /* beside a writer, and of a store that is damaged */
	MF_SESSION_NO_STORE, /* the plugins alone: nothing on disk is touched */
};

/* MF_EXIT_OK, or the code to end with after a sentence on standard error. */
enum mf_exit mf_session_open(const struct mf_args *args, enum mf_session_kind kind, struct mf_runtime **out);
/* The same, but the error is the caller's to tell. */
enum mf_status mf_session_try(const struct mf_args *args, enum mf_session_kind kind, struct mf_runtime **out, struct mf_error *error);
/* Flushes out (may be NULL), closes the runtime; the worse of so_far and what goes wrong here. */
enum mf_exit mf_session_close(struct mf_runtime *runtime, struct mf_output *out, enum mf_exit so_far);
/* The flushing alone. */
enum mf_exit mf_output_end(struct mf_output *out, enum mf_exit so_far);
/* The same for what was written with stdio. */
enum mf_exit mf_stdout_end(void);

bool mf_is_storage_error(enum mf_status status);
/* "mf: MF_ERR_X: sentence" on standard error, and the exit code for it. */
enum mf_exit mf_fail(enum mf_status status, const struct mf_error *error);
/* The same for an opening with args: what is wrong with plugins.json or a plugin is a usage error. */
enum mf_exit mf_open_failed(const struct mf_args *args, enum mf_status status, const struct mf_error *error);
/* Of an opening with args that failed: there is no store yet, and nothing is wrong with plugins.json. */
bool mf_store_is_missing(const struct mf_args *args, enum mf_status status);
