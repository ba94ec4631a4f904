/* Statements that are made, run once, and gone: settings of a connection, one number, what is done with one name, or to the whole file. */
#include "persist/sqlite_db.h"

#include <stdio.h>
#include <string.h>

/* *out is the caller's to free, whatever comes back. */
static enum mf_status ask(struct mf_sql *sql, const char *text, struct mf_stmt **out, bool *row, struct mf_error *error)
{
	enum mf_status status = mf_sql_prepare(sql, text, out, error);
	return status == MF_OK ? mf_stmt_step(*out, row, error) : status;
}

enum mf_status mf_sql_pragma(struct mf_sql *sql, const char *name, const char *value, const char *expected, struct mf_error *error)
{
	char text[128];
	snprintf(text, sizeof(text), value ? "PRAGMA %s = %s" : "PRAGMA %s", name, value);
	struct mf_stmt *stmt = NULL;
	bool row = false;
	enum mf_status status = ask(sql, text, &stmt, &row, error);
	if (status == MF_OK && expected) {
		const char *answer = row ? mf_stmt_text(stmt, 0, NULL) : NULL;
		if (!answer && mf_stmt_no_memory(stmt))
			status = mf_error_set(error, MF_ERR_NO_MEMORY, "out of memory while asking %.220s for PRAGMA %s", mf_sql_file(sql), name);
		else if (!answer || strcmp(answer, expected) != 0)
			status = mf_error_set(error, MF_ERR_IO, "%.220s: PRAGMA %s is '%s' instead of '%s'", mf_sql_file(sql), name, answer ? answer : "", expected);
	}
	/* It answers before it has done it: what a change of the journal mode writes, it writes in the last step. */
	while (status == MF_OK && row)
		status = mf_stmt_step(stmt, &row, error);
	mf_stmt_free(stmt);
	return status;
}

enum mf_status mf_sql_number(struct mf_sql *sql, const char *text, int64_t *out, struct mf_error *error)
{
	struct mf_stmt *stmt = NULL;
	bool row = false;
	enum mf_status status = ask(sql, text, &stmt, &row, error);
	if (status == MF_OK)
		*out = row ? mf_stmt_int(stmt, 0) : 0;
	mf_stmt_free(stmt);
	return status;
}

enum mf_status mf_sql_run_with(struct mf_sql *sql, const char *text, const char *value, struct mf_error *error)
{
	struct mf_stmt *stmt;
	enum mf_status status = mf_sql_prepare(sql, text, &stmt, error);
	if (status != MF_OK)
		return status;
	mf_stmt_bind_text(stmt, 1, value, strlen(value));
	status = mf_stmt_run(stmt, error);
	mf_stmt_free(stmt);
	return status;
}

enum mf_status mf_sql_vacuum(struct mf_sql *sql, struct mf_error *error)
{
	/* The copy it makes on the way goes to a file: memory may be too small for it. */
	enum mf_status status = mf_sql_exec(sql, "PRAGMA temp_store = FILE", error);
	if (status == MF_OK)
		status = mf_sql_exec(sql, "VACUUM", error);
	enum mf_status back = mf_sql_exec(sql, "PRAGMA temp_store = MEMORY", status == MF_OK ? error : NULL);
	return status == MF_OK ? back : status;
}
