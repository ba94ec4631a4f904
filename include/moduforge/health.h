/* moduforge/health.h - is a store well? The seed's check: connection, disk, integrity; and what else a person should know.
 *
 *   struct mf_health_report report = { .size = sizeof(report) };
 *   mf_check_storage_health(store, NULL, NULL, NULL, &report, &error);     or mf_runtime_health, runtime.h
 *   if (report.level != MF_HEALTHY) alert(report.message);
 *
 * Invariants
 * 1. The report's level is the worst of what was found, its message the first of that level.
 * 2. A check changes nothing, and reads a bounded part of the store unless a full one is asked for.
 * 3. What is wrong with the store is in the report, not in the status: MF_OK says that the check was made.
 *
 * Thread: any. The time it takes is that of its reads. */
#pragma once

#include <moduforge/store.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Worse is larger. Values are part of the ABI. */
enum mf_health_level {
	MF_HEALTHY = 0,
	MF_HEALTH_WARNING = 1,  /* it works; a person should look: little room, a log that grows, a follower that stopped */
	MF_HEALTH_CRITICAL = 2, /* damaged data, or no room to write */
	MF_HEALTH_UNHEALTHY = 3, /* it does not answer, or has stopped writing */
};

/* What a finding is about. Static text: "connection", "disk", "writing", "log", "integrity", "follower". */
struct mf_health_finding {
	enum mf_health_level level;
	const char *what;
	const char *message; /* borrowed for the call */
};
typedef void mf_health_visit(void *user, const struct mf_health_finding *finding);

struct mf_health_options {
	size_t size;
	int64_t min_free_bytes;    /* 100,000,000: less on the store's device is a warning, less than 128 KiB is critical; 0 = do not look */
	int64_t max_log_bytes;     /* 100,000,000: a longer write-ahead log is a warning; 0 = do not look */
	uint32_t sample_events;    /* 200: half of them the newest, half at random; 0 = none */
	uint32_t sample_snapshots; /* 8, the newest of as many documents; 0 = none */
	bool full;                 /* false; true: everything that mf_store_verify can check, instead of the samples */
	const struct mf_env *env;  /* opaque; NULL */
};
MF_API void mf_health_options_init(struct mf_health_options *options); /* the defaults above */

/* Only appended to; size is set by the caller. */
struct mf_health_report {
	size_t size;
	enum mf_health_level level;
	int64_t free_bytes; /* on the store's device, for this user; negative: not known */
	int64_t log_bytes;
	int64_t events_checked, snapshots_checked; /* all of them when full */
	char message[MF_ERROR_MESSAGE_SIZE];       /* "" when healthy */
};

MF_API const char *mf_health_level_name(enum mf_health_level level); /* "healthy", "warning", "critical", "unhealthy"; static */

/* options NULL: the defaults. visit, which may be NULL, is called for each finding.
 * MF_ERR_NO_MEMORY; MF_ERR_INVALID: sizes that cannot be. */
MF_API MF_MUST_CHECK enum mf_status mf_check_storage_health(struct mf_store *store, const struct mf_health_options *options, mf_health_visit *visit, void *user,
							    struct mf_health_report *out, struct mf_error *error);

#ifdef __cplusplus
}
#endif
