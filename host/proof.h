/* proof.h - is a backup what the store was? It is restored beside itself, every document is recovered from both, and what
 * comes out is compared: LSN, digest of the tree, digest of each state field. Thread: one. */
#pragma once

#include <moduforge/backup.h>
#include <moduforge/runtime.h>

#include "host/args.h"
#include "host/progress.h"

struct mf_proof {
	int64_t documents;  /* that were compared */
	int64_t uncompared; /* recovered from the backup, but compaction has taken that moment from the store meanwhile */
};

/* store: read-only, of args. Needs as much room beside the file as the file has. MF_ERR_CORRUPTED: it is not what the
 * store was, or both are damaged; any other error: it could not be found out. */
enum mf_status mf_prove_backup(const struct mf_args *args, struct mf_runtime *store, const char *file, const struct mf_backup_info *info, struct mf_proof *out, struct mf_error *error);

/* A mf_backup_progress: user is a progress that counts MiB. Stops when a signal came (interrupt.h). */
bool mf_show_bytes(void *user, int64_t done, int64_t total);
