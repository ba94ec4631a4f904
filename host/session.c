#include "host/session.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "host/say.h"

#ifndef MF_INSTALLED_CONFIG
#define MF_INSTALLED_CONFIG "/usr/local/etc/moduforge/plugins.json"
#endif

/* ---- errors ---- */
bool mf_is_storage_error(enum mf_status status)
{
	return status == MF_ERR_STORAGE_FULL || status == MF_ERR_IO || status == MF_ERR_CORRUPTED || status == MF_ERR_UNKNOWN_OUTCOME;
}

enum mf_exit mf_fail(enum mf_status status, const struct mf_error *error)
{
	const char *message = error->status == status ? error->message : "no more is known";
	mf_say("%s: %s", mf_status_name(status), message);
	return mf_is_storage_error(status) ? MF_EXIT_STORAGE : MF_EXIT_FAILED;
}

/* ---- plugins.json ---- */
static bool in_folder(char path[PATH_MAX], const char *folder, size_t folder_len, const char *name)
{
	int len = snprintf(path, PATH_MAX, "%.*s/%s", (int)folder_len, folder, name);
	return len > 0 && len < PATH_MAX && access(path, F_OK) == 0;
}

/* The folder of the executable and the one above: in a build tree one of them has the file. The one above is also the prefix
 * of an installation, wherever that was moved. */
static bool near_program(char path[PATH_MAX])
{
	char self[PATH_MAX];
	ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);
	if (len <= 0)
		return false;
	for (int up = 0; up < 2; up++) {
		while (len > 0 && self[len - 1] != '/')
			len--;
		if (len <= 1)
			return false;
		len--;
		if (in_folder(path, self, (size_t)len, "plugins.json") || (up == 1 && in_folder(path, self, (size_t)len, "etc/moduforge/plugins.json")))
			return true;
	}
	return false;
}

static enum mf_status find_config(const struct mf_args *args, char path[PATH_MAX], struct mf_error *error)
{
	if (args->config) {
		if (snprintf(path, PATH_MAX, "%s", args->config) < PATH_MAX)
			return MF_OK;
		return mf_error_set(error, MF_ERR_INVALID, "the path given with --config is too long");
	}
	if (in_folder(path, ".", 1, "plugins.json") || near_program(path))
		return MF_OK;
	snprintf(path, PATH_MAX, "%s", MF_INSTALLED_CONFIG);
	if (access(path, F_OK) == 0)
		return MF_OK;
	return mf_error_set(error, MF_ERR_NOT_FOUND, "no plugins.json: not here, not beside the program, not at %s; name one with --config", MF_INSTALLED_CONFIG);
}

/* ---- open and close ---- */
static void say_what_goes_on(void *user, enum mf_log_level level, const char *message)
{
	(void)user;
	if (level <= MF_LOG_WARNING)
		mf_say("%s: %s", mf_log_level_name(level), message);
}

enum mf_status mf_session_try(const struct mf_args *args, enum mf_session_kind kind, struct mf_runtime **out, struct mf_error *error)
{
	char path[PATH_MAX];
	enum mf_status status = find_config(args, path, error);
	if (status != MF_OK)
		return status;
	struct mf_runtime_options options = {
		.config_path = path,
		.data_dir = args->data,
		.mode = kind == MF_SESSION_NO_STORE ? "memory" : args->mode,
		.stop_at_failure = true, /* the next line may mean something only after this one */
		.read_only = kind != MF_SESSION_WRITE && kind != MF_SESSION_ACCEPT,
		.accept_damage = kind == MF_SESSION_INSPECT || kind == MF_SESSION_ACCEPT,
		.log = kind == MF_SESSION_NO_STORE ? NULL : say_what_goes_on,
	};
	status = mf_runtime_open(&options, out, error);
	if (kind != MF_SESSION_NO_STORE || status != MF_ERR_INVALID)
		return status;
	options.mode = NULL; /* it was not the user's: that no plugin takes it is no news, what is wrong without it is */
	return mf_runtime_open(&options, out, error);
}

/* Of what was not found: the store, or plugins.json and what it names? */
static bool configuration_is_good(const struct mf_args *args)
{
	struct mf_runtime *runtime;
	struct mf_error ignored = {0};
	if (mf_session_try(args, MF_SESSION_NO_STORE, &runtime, &ignored) != MF_OK)
		return false;
	(void)mf_runtime_close(runtime, MF_WAIT_FOREVER, &ignored);
	return true;
}

bool mf_store_is_missing(const struct mf_args *args, enum mf_status status)
{
	return status == MF_ERR_NOT_FOUND && configuration_is_good(args);
}

enum mf_exit mf_open_failed(const struct mf_args *args, enum mf_status status, const struct mf_error *error)
{
	bool store_is_missing = mf_store_is_missing(args, status);
	if (store_is_missing && !args->data) {
		mf_say("%s: %s; --data DIR says where it is", mf_status_name(status), error->message);
		return MF_EXIT_FAILED;
	}
	enum mf_exit code = mf_fail(status, error);
	if (status == MF_ERR_NOT_FOUND)
		return store_is_missing ? code : MF_EXIT_USAGE;
	return status == MF_ERR_INVALID || status == MF_ERR_PLUGIN ? MF_EXIT_USAGE : code;
}

enum mf_exit mf_session_open(const struct mf_args *args, enum mf_session_kind kind, struct mf_runtime **out)
{
	struct mf_error error = {0};
	enum mf_status status = mf_session_try(args, kind, out, &error);
	return status == MF_OK ? MF_EXIT_OK : mf_open_failed(args, status, &error);
}

static enum mf_exit output_exit(const struct mf_output *out)
{
	if (!out->error)
		return MF_EXIT_OK;
	if (out->error != EPIPE) /* a reader that has gone wants to hear nothing more */
		mf_say("MF_ERR_IO: standard output: %s", strerror(out->error));
	return MF_EXIT_FAILED;
}

/* What a larger text has already met may not be told again by the flush. */
enum mf_exit mf_stdout_end(void)
{
	errno = 0;
	if (fflush(stdout) == 0 && !ferror(stdout))
		return MF_EXIT_OK;
	if (errno != EPIPE)
		mf_say("MF_ERR_IO: standard output: %s", errno ? strerror(errno) : "not all could be written");
	return MF_EXIT_FAILED;
}

enum mf_exit mf_output_end(struct mf_output *out, enum mf_exit so_far)
{
	mf_output_flush(out);
	enum mf_exit code = output_exit(out);
	return code > so_far ? code : so_far;
}

enum mf_exit mf_session_close(struct mf_runtime *runtime, struct mf_output *out, enum mf_exit so_far)
{
	struct mf_error error = {0};
	enum mf_exit code = out ? mf_output_end(out, MF_EXIT_OK) : MF_EXIT_OK;
	enum mf_status status = mf_runtime_close(runtime, MF_WAIT_FOREVER, &error);
	if (status != MF_OK) {
		enum mf_exit closed = mf_fail(status, &error);
		code = closed > code ? closed : code;
	}
	return code > so_far ? code : so_far;
}
