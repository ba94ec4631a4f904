/* moduforge/log.h - what a person should hear of, told to the application and to nobody else.
 *
 * The library prints nothing. What goes on in the background and is no call's error (a snapshot that failed, a
 * damaged one that was passed over, a sync that took long, a plugin that was skipped) goes to the logger of the
 * runtime, store or subscriber concerned; without one it is silent.
 *
 * Invariants
 * 1. A message is one line of UTF-8 without control characters, at most 511 bytes, borrowed for the call.
 * 2. The callback is called from any thread, also from several at once, and maybe with locks of the library held: it may
 *    not call the library (mf_log_level_name apart), and should return soon.
 * 3. It is called only between the opening and the end of the closing of what it was given to. */
#pragma once

#include <moduforge/status.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Values are part of the ABI: never renumbered, only appended. */
enum mf_log_level {
	MF_LOG_ERROR = 0,   /* a person must act: writes have stopped, or something is damaged */
	MF_LOG_WARNING = 1, /* a person should look: it works, but less well or less safely than asked for */
	MF_LOG_INFO = 2,    /* worth knowing: something ended that was warned of, something rare was done */
	MF_LOG_DEBUG = 3,   /* for who looks for a fault */
};

typedef void mf_log(void *user, enum mf_log_level level, const char *message);

/* Copied into what it is given to; user is borrowed as long as that lives. All zero: silent. */
struct mf_logger {
	mf_log *write; /* NULL: silent */
	void *user;
};

MF_API const char *mf_log_level_name(enum mf_log_level level); /* "error", "warning", "info", "debug"; static */
/* One message to logger; nothing when it is NULL or silent. For plugins: mf_registrar_logger gives theirs. */
MF_API void mf_logf(const struct mf_logger *logger, enum mf_log_level level, const char *format, ...) MF_PRINTF(3, 4);

#ifdef __cplusplus
}
#endif
