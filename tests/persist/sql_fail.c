#include "sql_fail.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

#include <sqlite3.h>

static struct plan {
	int64_t from, most, made; /* most 0: none fails */
	int64_t answer;
} plans[SQL_CALLS];
static bool starved; /* a column could not be given; until the statement goes on */

void sql_fail_begin(enum sql_call call, int64_t n, int64_t times, int64_t answer)
{
	plans[call] = (struct plan){n, n > 0 ? times : 0, 0, answer};
}

void sql_fail_end(void)
{
	for (size_t i = 0; i < SQL_CALLS; i++)
		plans[i].most = 0;
	starved = false;
}

int64_t sql_fail_made(enum sql_call call)
{
	return plans[call].made;
}

static sqlite3 *last;

sqlite3 *sql_fail_db(void)
{
	return last;
}

static bool fails(enum sql_call call)
{
	struct plan *plan = &plans[call];
	plan->made++;
	return plan->made >= plan->from && plan->made - plan->from < plan->most;
}

static int code_for(enum sql_call call)
{
	return (int)plans[call].answer;
}

/* The linker gives __real_F for the F that it replaces by __wrap_F. */
#define REPLACED(type, name, params) \
	type __real_##name params; \
	type __wrap_##name params; \
	type __wrap_##name params

#define FAILING(call, name, params, args) \
	REPLACED(int, name, params) { return fails(call) ? code_for(call) : __real_##name args; }

REPLACED(int, sqlite3_step, (sqlite3_stmt *stmt))
{
	starved = false;
	last = sqlite3_db_handle(stmt);
	if (fails(SQL_STEP))
		return code_for(SQL_STEP);
	int rc = __real_sqlite3_step(stmt);
	return fails(SQL_STEP_DONE) ? code_for(SQL_STEP_DONE) : rc;
}

REPLACED(int, sqlite3_prepare_v3, (sqlite3 *db, const char *text, int len, unsigned flags, sqlite3_stmt **out, const char **tail))
{
	if (!fails(SQL_PREPARE))
		return __real_sqlite3_prepare_v3(db, text, len, flags, out, tail);
	*out = NULL;
	return code_for(SQL_PREPARE);
}

FAILING(SQL_EXEC, sqlite3_exec, (sqlite3 *db, const char *text, int (*row)(void *, int, char **, char **), void *user, char **error), (db, text, row, user, error))
FAILING(SQL_BIND, sqlite3_bind_int64, (sqlite3_stmt *stmt, int index, sqlite3_int64 value), (stmt, index, value))
FAILING(SQL_SET_UP, sqlite3_extended_result_codes, (sqlite3 *db, int on), (db, on))
FAILING(SQL_SET_UP, sqlite3_busy_timeout, (sqlite3 *db, int ms), (db, ms))
FAILING(SQL_INITIALIZE, sqlite3_initialize, (void), ())
FAILING(SQL_REGISTER, sqlite3_vfs_register, (sqlite3_vfs *vfs, int first), (vfs, first))

/* Each use of ours has these arguments. */
REPLACED(int, sqlite3_db_config, (sqlite3 *db, int op, ...))
{
	va_list args;
	va_start(args, op);
	int on = va_arg(args, int);
	int *out = va_arg(args, int *);
	va_end(args);
	return fails(SQL_SET_UP) ? code_for(SQL_SET_UP) : __real_sqlite3_db_config(db, op, on, out);
}

REPLACED(int, sqlite3_file_control, (sqlite3 *db, const char *name, int op, void *out))
{
	if (!fails(SQL_CONTROL))
		return __real_sqlite3_file_control(db, name, op, out);
	*(sqlite3_file **)out = NULL;
	return code_for(SQL_CONTROL);
}

REPLACED(const unsigned char *, sqlite3_column_text, (sqlite3_stmt *stmt, int column))
{
	starved = starved || fails(SQL_COLUMN);
	return starved ? NULL : __real_sqlite3_column_text(stmt, column);
}

REPLACED(const void *, sqlite3_column_blob, (sqlite3_stmt *stmt, int column))
{
	starved = starved || fails(SQL_COLUMN);
	return starved ? NULL : __real_sqlite3_column_blob(stmt, column);
}

REPLACED(int, sqlite3_errcode, (sqlite3 *db))
{
	return starved ? SQLITE_NOMEM : __real_sqlite3_errcode(db);
}

REPLACED(sqlite3_int64, sqlite3_changes64, (sqlite3 *db))
{
	return fails(SQL_CHANGES) ? plans[SQL_CHANGES].answer : __real_sqlite3_changes64(db);
}

REPLACED(sqlite3_int64, sqlite3_column_int64, (sqlite3_stmt *stmt, int column))
{
	return fails(SQL_NUMBER) ? plans[SQL_NUMBER].answer : __real_sqlite3_column_int64(stmt, column);
}
