/* backup_kit.h - what the tests of backup and restore share: a store, its backup, the restored store, all in kit_dir.
 * Failures end the test. */
#pragma once

#include <moduforge/backup.h>

#include "store_kit.h"

extern char *data, *file, *fresh; /* paths in kit_dir: the store, its backup, the restored store */
int backup_set_up(void **state); /* fixtures for cmocka */
int backup_tear_down(void **state);

int entries(void); /* of kit_dir: what failed has left nothing there */
struct mf_backup_info back_up(struct mf_store *store); /* into file */
enum mf_status try_restore(int64_t at_lsn, struct mf_backup_info *out, struct mf_error *error); /* of file, into fresh */
struct mf_backup_info restore(int64_t at_lsn);
void remove_fresh(void);

/* The first and the second have the same events up to an LSN, and the second none above. */
void expect_same_events(struct mf_store *a, struct mf_store *b, int64_t upto);
void expect_clean(struct mf_store *store);
int64_t last_of(struct mf_store *store, const char *doc_id);
/* 100 events of two documents, keys "key-1" and so on, snapshots inline and in chunks; "even" compacted up to 41 if asked. */
void fill(struct mf_store *store, bool compacted);
