/* sqlite_paths.h - names of files and directories, and the directory that makes a name last. Thread: any. */
#pragma once

#include <moduforge/status.h>

struct mf_env;

/* fsync of the directory that holds path. */
enum mf_status mf_path_sync_parent(const struct mf_env *env, const char *path, struct mf_error *error);
/* "PATH.<16 hex digits>.partial", without slashes at the end of PATH: what comes into being there gets its name at the
 * end. To be freed with mf_free. */
enum mf_status mf_path_partial(const struct mf_env *env, const char *path, char **out, struct mf_error *error);
/* MF_ERR_INVALID when path is a name beside a store's database that the store uses, there or not: SQLite takes what lies there for the store's. */
enum mf_status mf_path_check_free(const struct mf_env *env, const char *path, struct mf_error *error);
/* "DIR/NAME", with one slash between them also where DIR ends in one: it is the path that the system tells. A name that begins with "file:" is one of a file here: SQLite would read it as a URI with options. NULL: no memory. */
char *mf_path_join(const char *dir, const char *name);
