/* A rollback journal beside a database that has a watermark. Whose is it?
 *
 * A store keeps a log. Only where its database is turned into one with a log, or back into one without, SQLite makes a journal: the
 * opening of a copy that VACUUM INTO or sqlite3 made, which has none, does so. Killed in it, the journal stays, and the next
 * connection that may write plays it back. It would do so with anybody's, too, over pages of ours, or delete it.
 *
 * So beside a database whose header says that it has no log a journal is SQLite's own business. Beside one with a log, it is let through only
 * if SQLite passes over it, or if playing it back changes nothing but what the header says of that: such a header is written just before the
 * journal goes. */
#include "persist/sqlite_store.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#define PIECE 512 /* bytes: no page is smaller */
#define WITHOUT_LOG 1
#define VERSIONS_AT 18 /* in the database's first page: to write it, to read it; https://www.sqlite.org/fileformat2.html#file_format_version_numbers */
#define COUNTER_AT 24
#define COUNTER_COPY_AT 92 /* and what wrote it */

struct files {
	const struct mf_env *env;
	int db, journal;
	int failed; /* 0, or -errno of a read */
};

/* What the file does not have is zero. */
static void read_at(struct files *files, int fd, int64_t offset, unsigned char *bytes, size_t len)
{
	memset(bytes, 0, len);
	ssize_t got = mf_env_read_all(files->env, fd, bytes, len, offset);
	if (got < 0)
		files->failed = (int)got;
}

static uint32_t number_at(const unsigned char *bytes)
{
	return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

/* Each change of the header changes these too. */
static void take_what_may_differ(const unsigned char *from, unsigned char *to)
{
	memcpy(to + VERSIONS_AT, from + VERSIONS_AT, 2);
	memcpy(to + COUNTER_AT, from + COUNTER_AT, 4);
	memcpy(to + COUNTER_COPY_AT, from + COUNTER_COPY_AT, 8);
}

static bool is_same_page(struct files *files, int64_t page_at, int64_t page_bytes)
{
	unsigned char now[PIECE], before[PIECE];
	bool same = true;
	for (int64_t at = 0; at < page_bytes && same; at += PIECE) {
		read_at(files, files->db, at, now, PIECE);
		read_at(files, files->journal, page_at + at, before, PIECE);
		if (at == 0)
			take_what_may_differ(now, before);
		same = memcmp(now, before, PIECE) == 0;
	}
	return same;
}

static int64_t size_of(struct files *files, int fd)
{
	struct mf_file_identity info = {0};
	int result = files->env->identity(files->env->user, NULL, fd, &info);
	if (result < 0)
		files->failed = result;
	return info.size;
}

/* Its header fills a sector: of how many pages the database was, how large a sector and a page are; then one page: its number, its bytes,
 * a checksum. (https://www.sqlite.org/fileformat2.html#the_rollback_journal) */
static bool has_only_the_first_page(struct files *files, int64_t page_bytes)
{
	unsigned char sizes[12], number[4];
	read_at(files, files->journal, 16, sizes, sizeof(sizes));
	int64_t pages = number_at(sizes), sector = number_at(sizes + 4);
	read_at(files, files->journal, sector, number, sizeof(number));
	const int64_t says[] = {number_at(sizes + 8), pages * page_bytes, sector + 4 + page_bytes + 4, number_at(number)};
	const int64_t is[] = {page_bytes, size_of(files, files->db), size_of(files, files->journal), 1};
	return memcmp(says, is, sizeof(is)) == 0 && is_same_page(files, sector + 4, page_bytes);
}

/* A header that begins with zero was never complete: who wrote it was killed, or lost power. SQLite does not play such a journal back, and
 * leaves it where the database has a log by then. (https://www.sqlite.org/atomiccommit.html, Hot Rollback Journals) */
static bool is_passed_over(struct files *files)
{
	unsigned char first;
	read_at(files, files->journal, 0, &first, 1);
	return first == 0;
}

/* The database first: a writer beside us changes its header when the journal is complete. */
static bool may_stay(struct files *files)
{
	unsigned char head[VERSIONS_AT + 2];
	read_at(files, files->db, 0, head, sizeof(head));
	if (head[VERSIONS_AT] == WITHOUT_LOG && head[VERSIONS_AT + 1] == WITHOUT_LOG)
		return true;
	return is_passed_over(files) || has_only_the_first_page(files, head[16] << 8 | head[17] << 16);
}

static enum mf_status look_into(struct files *files, const struct mf_sqlite *store, struct mf_error *error)
{
	bool may = may_stay(files);
	if (files->failed)
		return mf_sqlite_os_failed(error, files->failed, "look into the journal beside", store->db_path);
	if (may || store->env->size(store->env->user, store->journal_path) == -ENOENT) /* a writer beside us is done with it, and has gone on */
		return MF_OK;
	return mf_error_set(error, MF_ERR_CORRUPTED,
			    "%.300s is not of this store, which has a log and no journal, and SQLite would play it back into the database, or delete it; see what it is, and move it elsewhere",
			    store->journal_path);
}

enum mf_status mf_sqlite_check_journal(const struct mf_sqlite *store, struct mf_error *error)
{
	const struct mf_env *env = store->env;
	struct files files = {.env = env};
	files.journal = env->open(env->user, store->journal_path, O_RDONLY, 0);
	if (files.journal == -ENOENT)
		return MF_OK;
	if (files.journal < 0)
		return mf_sqlite_os_failed(error, files.journal, "open", store->journal_path);
	files.db = env->open(env->user, store->db_path, O_RDONLY, 0);
	enum mf_status status = files.db < 0 ? mf_sqlite_os_failed(error, files.db, "open", store->db_path) : look_into(&files, store, error);
	if (files.db >= 0)
		env->close(env->user, files.db);
	env->close(env->user, files.journal);
	return status;
}
