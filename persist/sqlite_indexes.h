/* sqlite_indexes.h - does every index have exactly the rows of its table? A part of verify.
 *
 * One flipped bit in an index makes queries omit rows without a word, and SQLite's quick_check does not look. Every row is
 * looked up in the index, and both have as many entries: so none is missing, and none is there that no row has. (Of the
 * indexes of events the walk over the events does the first.)
 *
 * Thread: the connection's. */
#pragma once

#include <moduforge/store.h>

struct mf_sql;

typedef void mf_indexes_tell(void *user, const char *what, const char *doc_id, int64_t lsn, const char *message);
/* Each table in a read transaction of its own, so that a writer may go on. A query that fails ends it. */
enum mf_status mf_sqlite_check_indexes(struct mf_sql *sql, mf_indexes_tell *tell, void *user, struct mf_error *error);

/* Of the index of documents, and of those of keys if asked: the first row that a search in it does not find, or that it has more
 * entries than there are rows. MF_ERR_CORRUPTED with document and LSN. */
enum mf_status mf_sqlite_find_lost(struct mf_sql *sql, bool keys, struct mf_error *error);

/* Of the tables that have few rows: the newest 5,000 snapshots and chunks are found in their indexes, every record of a compaction and
 * checkpoint of a follower under its name, and the records fit their checksums. Snapshots are deleted, and chunks with them, and the next event of a
 * compacted document is numbered, by what these say. MF_ERR_CORRUPTED as above. */
enum mf_status mf_sqlite_check_few(struct mf_sql *sql, struct mf_error *error);
