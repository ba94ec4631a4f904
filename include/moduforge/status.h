/* moduforge/status.h - the one status type and the error that goes with it.
 *
 * Every function that can fail returns enum mf_status and takes an optional
 * struct mf_error *, the caller's storage, which may be NULL. On failure the
 * error holds a sentence a person can act on: what happened, where (document,
 * LSN, file, JSON pointer) and what to do. On success it is left alone.
 * Out parameters are named out... and are written only on success.
 *
 * Thread: a struct mf_error belongs to one caller; the functions are pure. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define MF_API __attribute__((visibility("default")))
#define MF_MUST_CHECK __attribute__((warn_unused_result))
#define MF_PRINTF(format_index, first) __attribute__((format(printf, format_index, first)))
#else
#define MF_API
#define MF_MUST_CHECK
#define MF_PRINTF(format_index, first)
#endif

/* Values are part of the ABI: never renumbered, only appended. */
enum mf_status {
	MF_OK = 0,
	MF_ERR_INVALID = 1,          /* the caller's data is wrong; nothing changed */
	MF_ERR_NOT_FOUND = 2,        /* no such document, event, snapshot, plugin */
	MF_ERR_DUPLICATE_KEY = 3,    /* the idempotency key was used before */
	MF_ERR_CONFLICT = 4,         /* expected version does not match */
	MF_ERR_STATE = 5,            /* not now: empty undo stack, closed, inside a callback */
	MF_ERR_UNKNOWN_STEP = 6,     /* no step factory for a type_id */
	MF_ERR_STORAGE_FULL = 7,     /* no space; reads go on, writes resume when there is space */
	MF_ERR_CORRUPTED = 8,        /* stored bytes are not what was written */
	MF_ERR_LOCKED = 9,           /* another process (or runtime) writes this store */
	MF_ERR_IO = 10,              /* the operating system reported an I/O error */
	MF_ERR_BUSY = 11,            /* a bounded wait for a resource ended */
	MF_ERR_UNKNOWN_OUTCOME = 12, /* a write or sync failed: stored or not is unknown; reopen, retry with the same key */
	MF_ERR_NO_MEMORY = 13,       /* an allocation failed; nothing changed */
	MF_ERR_PLUGIN = 14,          /* a plugin could not be loaded or misbehaved */
	MF_ERR_TIMEOUT = 15,         /* the caller's deadline passed; the work goes on */
};

#define MF_ERROR_MESSAGE_SIZE 512

struct mf_error {
	enum mf_status status;
	int64_t lsn;      /* the event concerned, or 0; with DUPLICATE_KEY the LSN first given */
	int64_t expected; /* with CORRUPTED by loss and with CONFLICT: what should be there */
	int64_t found;    /* ... and what is there */
	int same;         /* with DUPLICATE_KEY: 1 if the content is the same, 0 if another */
	char message[MF_ERROR_MESSAGE_SIZE]; /* UTF-8, no newline, cut at the end if too long */
};

/* An error that says nothing yet, for storage whose rest need not be zeroed. */
static inline void mf_error_clear(struct mf_error *error)
{
	error->status = MF_OK;
	error->lsn = error->expected = error->found = 0;
	error->same = 0;
	error->message[0] = '\0';
}

/* "MF_ERR_CONFLICT" for MF_ERR_CONFLICT; "MF_ERR_UNKNOWN" for a value not in the list. Static. */
MF_API const char *mf_status_name(enum mf_status status);

/* Fill error (may be NULL) and return status, so that a failure is one line:
 *   return mf_error_set(error, MF_ERR_INVALID, "document id is %zu bytes, at most 1024", len); */
MF_API enum mf_status mf_error_set(struct mf_error *error, enum mf_status status, const char *format, ...) MF_PRINTF(3, 4);

/* Put "prefix: " in front of the message that error (may be NULL) has; returns error->status,
 * or status when error is NULL. */
MF_API enum mf_status mf_error_prefix(struct mf_error *error, enum mf_status status, const char *format, ...) MF_PRINTF(3, 4);

#ifdef __cplusplus
}
#endif
