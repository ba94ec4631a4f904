/* runtime.c - opening and closing the one door, and what is read through it.
 *
 * Order of opening: bus and registry, the plugins loaded (nothing on disk yet), started (the store opens), the
 * store's step types checked, the default document recovered. Closing is the reverse; a failed opening is a closing. */
#include "host/runtime.h"

#include "host/doc_list.h"
#include "host/overrides.h"
#include "model/mem.h"
#include "model/thread.h"
#include "persist/fork_guard.h"

/* ---- the application's logger ---- */
static void tell_application(void *user, enum mf_log_level level, const char *message)
{
	struct mf_runtime *runtime = user;
	atomic_fetch_add(&runtime->logging, 1); /* before it looks: who falls silent does it the other way round */
	if (!atomic_load(&runtime->silent))
		runtime->application.write(runtime->application.user, level, message);
	atomic_fetch_sub(&runtime->logging, 1);
}

/* ---- open ---- */
static void publish_snapshot(void *user, const char *doc_id, int64_t upto_lsn, const struct mf_error *error)
{
	struct mf_publication publication = {
		.topic = MF_NOTICE_SNAPSHOT,
		.doc_id = doc_id,
		.lsn = upto_lsn,
		.status = error ? error->status : MF_OK,
		.message = error ? error->message : NULL,
	};
	mf_runtime_publish(user, &publication);
}

static enum mf_status load_plugins(struct mf_runtime *runtime, const struct mf_runtime_options *options, struct mf_error *error)
{
	struct mf_overrides overrides;
	enum mf_status status = mf_overrides_make(options, &overrides, error);
	if (status == MF_OK) {
		struct mf_plugin_set_options set_options = {
			.config_path = options->config_path,
			.plugin_path = options->plugin_path,
			.overrides = overrides.list,
			.override_count = overrides.count,
			.read_only = options->read_only,
			.logger = runtime->logger,
		};
		status = mf_plugin_set_load(&set_options, runtime->bus, runtime->registry, &runtime->plugins, error);
	}
	mf_overrides_deinit(&overrides);
	return status;
}

static enum mf_status start_plugins(struct mf_runtime *runtime, const char *config_path, struct mf_error *error)
{
	if (!mf_plugin_set_default_doc(runtime->plugins))
		return mf_error_set(error, MF_ERR_INVALID, "%s: no plugin of it is a committer; add snapshot_subscriber", config_path);
	enum mf_status status = mf_plugin_set_start(runtime->plugins, error);
	if (status != MF_OK)
		return status;
	runtime->started = true;
	runtime->committer = mf_bus_committer(runtime->bus);
	if (!runtime->read_only)
		runtime->first_generation = runtime->committer->generation(runtime->committer->user);
	if (runtime->committer->on_snapshot)
		runtime->committer->on_snapshot(runtime->committer->user, publish_snapshot, runtime);
	return MF_OK;
}

static enum mf_status make_parts(struct mf_runtime *runtime, struct mf_error *error)
{
	enum mf_status status = mf_bus_new(&runtime->bus);
	if (status == MF_OK) {
		mf_bus_set_logger(runtime->bus, &runtime->logger);
		status = mf_step_registry_new(&runtime->registry);
	}
	return status == MF_OK ? MF_OK : mf_error_set(error, status, "no memory to open the runtime");
}

static enum mf_status recover_document(struct mf_runtime *runtime, const char *doc_id, struct mf_error *error)
{
	struct mf_document *document;
	enum mf_status status = mf_runtime_get_document(runtime, doc_id, &document, error);
	if (status == MF_OK)
		mf_documents_put(&runtime->documents, document);
	return status;
}

static enum mf_status recover_all(struct mf_runtime *runtime, struct mf_error *error)
{
	struct mf_buffer names = {0};
	enum mf_status status = mf_doc_list(mf_runtime_store(runtime), &names, error);
	const char *name = NULL;
	while (status == MF_OK && (name = mf_doc_list_next(&names, name)))
		status = recover_document(runtime, name, error);
	mf_buffer_deinit(&names);
	return status;
}

/* A reader recovers what it is asked for, when it is asked. */
static enum mf_status recover_at_open(struct mf_runtime *runtime, bool all, struct mf_error *error)
{
	enum mf_status status = runtime->committer->preflight(runtime->committer->user, error);
	if (status == MF_OK)
		status = recover_document(runtime, NULL, error);
	if (status == MF_OK && all)
		status = recover_all(runtime, error);
	return status;
}

static enum mf_status open_runtime(struct mf_runtime *runtime, const struct mf_runtime_options *options, struct mf_error *error)
{
	enum mf_status status = make_parts(runtime, error);
	if (status == MF_OK)
		status = load_plugins(runtime, options, error);
	if (status == MF_OK)
		status = start_plugins(runtime, options->config_path, error);
	if (status != MF_OK)
		return status;
	size_t max_loaded = mf_plugin_set_max_loaded_documents(runtime->plugins);
	if (mf_documents_init(&runtime->documents, runtime->committer, max_loaded ? max_loaded : SIZE_MAX) != MF_OK)
		return mf_error_set(error, MF_ERR_NO_MEMORY, "no memory to open the runtime");
	return runtime->read_only ? MF_OK : recover_at_open(runtime, mf_plugin_set_recover_all(runtime->plugins), error);
}

/* Runtimes that a plugin would not leave: their memory is lost, and better so than under its feet. */
static _Atomic(struct mf_runtime *) kept;

static void keep_runtime(struct mf_runtime *runtime)
{
	runtime->next_kept = atomic_load(&kept);
	while (!atomic_compare_exchange_weak(&kept, &runtime->next_kept, runtime))
		;
}

/* The application may be gone when what still runs has something to log. */
static void fall_silent(struct mf_runtime *runtime)
{
	atomic_store(&runtime->silent, true);
	while (atomic_load(&runtime->logging) > 0)
		mf_thread_yield();
}

static void free_runtime(struct mf_runtime *runtime)
{
	if (runtime->followers_busy || (runtime->plugins && mf_plugin_set_busy(runtime->plugins))) {
		fall_silent(runtime);
		keep_runtime(runtime);
		return;
	}
	mf_documents_deinit(&runtime->documents);
	mf_plugin_set_free(runtime->plugins);
	mf_step_registry_free(runtime->registry);
	mf_bus_free(runtime->bus);
	pthread_mutex_destroy(&runtime->publish_lock);
	mf_free(runtime);
}

enum mf_status mf_runtime_open(const struct mf_runtime_options *options, struct mf_runtime **out, struct mf_error *error)
{
	if (!options->config_path)
		return mf_error_set(error, MF_ERR_INVALID, "no configuration: config_path must name a plugins.json");
	struct mf_runtime *runtime = mf_calloc(1, sizeof(*runtime));
	if (!runtime)
		return mf_error_set(error, MF_ERR_NO_MEMORY, "no memory to open the runtime");
	pthread_mutex_init(&runtime->publish_lock, NULL);
	runtime->generation = mf_fork_generation();
	runtime->read_only = options->read_only;
	runtime->stop_at_failure = options->stop_at_failure;
	runtime->application = (struct mf_logger){options->log, options->log_user};
	if (options->log)
		runtime->logger = (struct mf_logger){tell_application, runtime};
	struct mf_error why = {0};
	enum mf_status status = open_runtime(runtime, options, &why);
	if (status != MF_OK) {
		struct mf_error ignored;
		if (why.status != status)
			mf_error_set(&why, status, "%s: the runtime could not be opened (%s)", options->config_path, mf_status_name(status));
		if (runtime->started)
			(void)mf_plugin_set_stop(runtime->plugins, &ignored);
		free_runtime(runtime);
		if (error)
			*error = why;
		return status;
	}
	*out = runtime;
	return MF_OK;
}

/* ---- close ---- */
/* The first failure, as one of a runtime that is closed: a time-out would mean that it is open. */
static void note_end(enum mf_status status, const struct mf_error *error, struct mf_error *first)
{
	if (status == MF_OK || first->status != MF_OK)
		return;
	*first = *error;
	first->status = status == MF_ERR_TIMEOUT ? MF_ERR_PLUGIN : status;
}

static enum mf_status may_close(struct mf_runtime *runtime, struct mf_error *error)
{
	enum mf_status status = mf_runtime_check(runtime, false, error);
	if (status == MF_OK && (mf_bus_in_callback() || mf_runtime_inside_follower(runtime)))
		status = mf_error_set(error, MF_ERR_STATE, "a handler or guard may not close the runtime");
	return status;
}

static enum mf_status drain(struct mf_runtime *runtime, int64_t timeout_ms, struct mf_error *error)
{
	return runtime->read_only ? MF_OK : runtime->committer->drain(runtime->committer->user, timeout_ms, error);
}

/* The last that synchronous followers hear. */
static void publish_end(struct mf_runtime *runtime)
{
	struct mf_publication publication = {.topic = MF_NOTICE_CLOSE};
	pthread_mutex_lock(&runtime->publish_lock);
	mf_bus_publish(runtime->bus, &publication);
	runtime->published_end = true;
	pthread_mutex_unlock(&runtime->publish_lock);
}

enum mf_status mf_runtime_close(struct mf_runtime *runtime, int64_t timeout_ms, struct mf_error *error)
{
	enum mf_status status = runtime ? may_close(runtime, error) : MF_OK;
	if (status != MF_OK || !runtime)
		return status;
	struct mf_error why = {0}, first = {0};
	atomic_store(&runtime->closed, true);
	status = drain(runtime, timeout_ms, &why);
	if (status == MF_ERR_TIMEOUT) {
		atomic_store(&runtime->closed, false);
		if (error)
			*error = why;
		return status;
	}
	note_end(status, &why, &first);
	status = mf_runtime_end_followers(runtime, timeout_ms, &why);
	note_end(status, &why, &first);
	publish_end(runtime);
	if (runtime->followers_busy) {
		mf_logf(&runtime->logger, MF_LOG_WARNING, "closing: plugins and store stay as they are until the process ends: %s", why.message);
	} else {
		status = mf_plugin_set_stop(runtime->plugins, &why);
		note_end(status, &why, &first);
	}
	free_runtime(runtime);
	if (first.status != MF_OK && error)
		*error = first;
	return first.status;
}

/* ---- checks and the bus ---- */
enum mf_status mf_runtime_check_process(const struct mf_runtime *runtime, struct mf_error *error)
{
	return mf_forked_since(runtime->generation) ? mf_error_set(error, MF_ERR_STATE, "the runtime belongs to the process that opened it; a child of fork opens one of its own, and a store on files only after exec") : MF_OK;
}

enum mf_status mf_runtime_check(struct mf_runtime *runtime, bool to_write, struct mf_error *error)
{
	enum mf_status status = mf_runtime_check_process(runtime, error);
	if (status != MF_OK)
		return status;
	if (atomic_load(&runtime->closed))
		return mf_error_set(error, MF_ERR_STATE, "the runtime is closed");
	if (!to_write)
		return MF_OK;
	if (runtime->read_only)
		return mf_error_set(error, MF_ERR_STATE, "the runtime was opened read-only");
	if (mf_bus_in_callback())
		return mf_error_set(error, MF_ERR_STATE, "a handler or guard may not commit: do it after the delivery has ended");
	return MF_OK;
}

void mf_runtime_publish(struct mf_runtime *runtime, const struct mf_publication *publication)
{
	pthread_mutex_lock(&runtime->publish_lock);
	if (!runtime->published_end)
		mf_bus_publish(runtime->bus, publication);
	pthread_mutex_unlock(&runtime->publish_lock);
}

/* A document that a handler reads first is announced by the next that comes from outside. */
static void announce(struct mf_runtime *runtime, struct mf_document *document)
{
	if (atomic_load(&document->announced) || mf_bus_in_callback())
		return;
	struct mf_publication publication = {.topic = MF_NOTICE_CREATE, .doc_id = document->doc_id};
	pthread_mutex_lock(&runtime->publish_lock);
	if (!atomic_load(&document->announced) && !runtime->published_end)
		mf_bus_publish(runtime->bus, &publication);
	atomic_store(&document->announced, true);
	pthread_mutex_unlock(&runtime->publish_lock);
}

const char *mf_runtime_doc_id(const struct mf_runtime *runtime, const char *doc_id)
{
	return doc_id ? doc_id : mf_runtime_default_doc(runtime);
}

enum mf_status mf_runtime_get_document(struct mf_runtime *runtime, const char *doc_id, struct mf_document **out, struct mf_error *error)
{
	enum mf_status status = mf_documents_get(&runtime->documents, mf_runtime_doc_id(runtime, doc_id), out, error);
	if (status == MF_OK)
		announce(runtime, *out);
	return status;
}
