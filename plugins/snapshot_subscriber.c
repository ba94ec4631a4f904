/* snapshot_subscriber.so - the committer: stores every transaction, takes snapshots, recovers.
 *
 * Glue over moduforge/persist.h: options in, a store and a subscriber out. The committer that init registers
 * forwards to the subscriber that start makes; a host that only reads gets one that reads. */
#include <stdlib.h>
#include <string.h>

#include <moduforge/persist.h>
#include <moduforge/plugin.h>

#define STOP_TIMEOUT_MS 60000

struct instance {
	struct mf_persist_options options;
	bool in_memory, accept_damage, read_only;
	const char *dir, *default_doc_id; /* the configuration's */
	uint32_t checkpoint_pages;
	const struct mf_step_registry *registry;
	struct mf_snapshot_subscriber *subscriber; /* writing, between start and stop */
	struct mf_store *store;                    /* reading only: its own */
	struct mf_committer committer;
};

static const struct mf_option options[] = {
	{.name = "store.backend", .type = MF_OPTION_ENUM, .default_text = "sqlite", .choices = "sqlite|memory", .help = "Where events are kept; commit mode memory_only always keeps them in memory."},
	{.name = "store.dir", .type = MF_OPTION_STRING, .default_text = "./data", .help = "Directory of the store, relative to the current directory; made if absent (one level)."},
	{.name = "store.accept_damage", .type = MF_OPTION_BOOL, .default_text = "false", .help = "Open a store that has lost synced events all the same. Writing then records the loss as accepted: leave that to 'mf verify --accept-loss'."},
	{.name = "commit_mode", .type = MF_OPTION_COMMIT_MODE, .default_text = "{\"async_durable\":{\"group_window_ms\":10}}", .help = "What a commit promises: memory_only, sync_durable, or async_durable with the most milliseconds that a power loss may take."},
	{.name = "snapshot_every_n_events", .type = MF_OPTION_INT, .default_text = "1000", .min = 0, .max = INT64_MAX, .help = "Take a snapshot of a document after so many events; 0 = off."},
	{.name = "snapshot_every_bytes", .type = MF_OPTION_INT, .default_text = "100000000", .min = 0, .max = INT64_MAX, .help = "Take a snapshot of a document after so many bytes of steps; 0 = off."},
	{.name = "snapshot_every_ms", .type = MF_OPTION_INT, .default_text = "300000", .min = 0, .max = INT64_MAX, .help = "Take a snapshot at the first commit after so many milliseconds; 0 = off."},
	{.name = "strategy", .type = MF_OPTION_ENUM, .default_text = "fixed", .choices = "fixed|adaptive", .help = "adaptive replaces the limits of events and bytes by ones that follow event rate and size."},
	{.name = "recovery_target_ms", .type = MF_OPTION_INT, .default_text = "0", .min = 0, .max = INT64_MAX, .help = "Take a snapshot when replaying the events since the last one would take longer, as measured; 0 = off."},
	{.name = "keep_snapshots", .type = MF_OPTION_INT, .default_text = "2", .min = 1, .max = 1000, .help = "How many of the newest snapshots of a document are kept, with those that they build on; compaction keeps the events after the oldest of them."},
	{.name = "full_snapshot_every", .type = MF_OPTION_INT, .default_text = "8", .min = 1, .max = 1000, .help = "At least every so many snapshots one holds the whole state; the others hold what changed since the one before. 1 = all are whole."},
	{.name = "fallback_max_events", .type = MF_OPTION_INT, .default_text = "1000000", .min = 0, .max = INT64_MAX, .help = "How many events may be replayed to recover a document whose newest snapshot cannot be used, before that is an error; 0 = any number."},
	{.name = "compression", .type = MF_OPTION_BOOL, .default_text = "true", .help = "Compress large steps and snapshots with zstd."},
	{.name = "compression_level", .type = MF_OPTION_INT, .default_text = "3", .min = 1, .max = 19, .help = "The zstd level: higher is smaller and slower."},
	{.name = "compression_threshold", .type = MF_OPTION_INT, .default_text = "1024", .min = 0, .max = UINT32_MAX, .help = "Only steps of more bytes than this, per transaction, are compressed."},
	{.name = "history_limit", .type = MF_OPTION_INT, .default_text = "1000", .min = 1, .max = 1000000, .help = "How many transactions of a document can be undone."},
	{.name = "checkpoint_pages", .type = MF_OPTION_INT, .default_text = "1000", .min = 1, .max = 1000000000, .help = "Move the write-ahead log into the database when it has this many pages."},
	{.name = "default_doc_id", .type = MF_OPTION_STRING, .default_text = "default_doc", .help = "The document of transactions that name none."},
	{.name = NULL},
};

/* ---- the committer of a host that writes: forwards ---- */

static const struct mf_committer *inner_of(void *user)
{
	struct instance *instance = user;
	return mf_snapshot_subscriber_committer(instance->subscriber);
}

static enum mf_status write_reserve(void *user, const char *doc_id, struct mf_transaction *transaction, struct mf_key_answer *out, struct mf_error *error)
{
	const struct mf_committer *inner = inner_of(user);
	return inner->reserve(inner->user, doc_id, transaction, out, error);
}

static void write_release(void *user, struct mf_reservation *reservation)
{
	const struct mf_committer *inner = inner_of(user);
	inner->release(inner->user, reservation);
}

static enum mf_status write_commit(void *user, struct mf_proposal *proposals, size_t count, enum mf_commit_kind mode, struct mf_ticket **out_ticket, struct mf_error *error)
{
	const struct mf_committer *inner = inner_of(user);
	return inner->commit(inner->user, proposals, count, mode, out_ticket, error);
}

static uint64_t write_generation(void *user)
{
	const struct mf_committer *inner = inner_of(user);
	return inner->generation(inner->user);
}

static enum mf_status write_recover(void *user, const char *doc_id, int64_t at_lsn, struct mf_state **out, struct mf_recovery_report *out_report, struct mf_error *error)
{
	const struct mf_committer *inner = inner_of(user);
	return inner->recover(inner->user, doc_id, at_lsn, out, out_report, error);
}

static enum mf_status write_preflight(void *user, struct mf_error *error)
{
	const struct mf_committer *inner = inner_of(user);
	return inner->preflight(inner->user, error);
}

static enum mf_status write_snapshot(void *user, const char *doc_id, const struct mf_state *state, int64_t *out_upto_lsn, struct mf_error *error)
{
	const struct mf_committer *inner = inner_of(user);
	return inner->snapshot(inner->user, doc_id, state, out_upto_lsn, error);
}

static enum mf_status write_compact(void *user, const char *doc_id, int64_t *out_upto_lsn, struct mf_error *error)
{
	const struct mf_committer *inner = inner_of(user);
	return inner->compact(inner->user, doc_id, out_upto_lsn, error);
}

static struct mf_store *write_store(void *user)
{
	const struct mf_committer *inner = inner_of(user);
	return inner->store(inner->user);
}

static enum mf_status write_drain(void *user, int64_t timeout_ms, struct mf_error *error)
{
	const struct mf_committer *inner = inner_of(user);
	return inner->drain(inner->user, timeout_ms, error);
}

static void write_on_snapshot(void *user, void (*notify)(void *notify_user, const char *doc_id, int64_t upto_lsn, const struct mf_error *error), void *notify_user)
{
	const struct mf_committer *inner = inner_of(user);
	inner->on_snapshot(inner->user, notify, notify_user);
}

static void write_forget(void *user, const char *doc_id)
{
	const struct mf_committer *inner = inner_of(user);
	inner->forget(inner->user, doc_id);
}

static enum mf_status write_metrics(void *user, struct mf_metrics *out, struct mf_error *error)
{
	const struct mf_committer *inner = inner_of(user);
	return inner->metrics(inner->user, out, error);
}

static const struct mf_event_source *write_event_source(void *user)
{
	const struct mf_committer *inner = inner_of(user);
	return inner->event_source(inner->user);
}

static enum mf_status write_compact_keep(void *user, const char *doc_id, uint32_t keep, int64_t *out_upto_lsn, struct mf_error *error)
{
	const struct mf_committer *inner = inner_of(user);
	return inner->compact_keep(inner->user, doc_id, keep, out_upto_lsn, error);
}

static const struct mf_committer write_functions = {
	.size = sizeof(struct mf_committer),
	.name = "snapshot_subscriber",
	.reserve = write_reserve,
	.release = write_release,
	.commit = write_commit,
	.generation = write_generation,
	.recover = write_recover,
	.preflight = write_preflight,
	.snapshot = write_snapshot,
	.compact = write_compact,
	.store = write_store,
	.drain = write_drain,
	.on_snapshot = write_on_snapshot,
	.forget = write_forget,
	.metrics = write_metrics,
	.event_source = write_event_source,
	.compact_keep = write_compact_keep,
};

/* ---- the committer of a host that only reads ---- */

static enum mf_status refuse(struct mf_error *error)
{
	return mf_error_set(error, MF_ERR_STATE, "the store was opened for reading only; open it for writing to change it");
}

static enum mf_status read_reserve(void *user, const char *doc_id, struct mf_transaction *transaction, struct mf_key_answer *out, struct mf_error *error)
{
	(void)user, (void)doc_id, (void)transaction, (void)out;
	return refuse(error);
}

static void read_release(void *user, struct mf_reservation *reservation)
{
	(void)user, (void)reservation; /* there are none */
}

static enum mf_status read_commit(void *user, struct mf_proposal *proposals, size_t count, enum mf_commit_kind mode, struct mf_ticket **out_ticket, struct mf_error *error)
{
	(void)user, (void)proposals, (void)count, (void)mode, (void)out_ticket;
	return refuse(error);
}

static uint64_t read_generation(void *user)
{
	(void)user;
	return 0;
}

static enum mf_status read_recover(void *user, const char *doc_id, int64_t at_lsn, struct mf_state **out, struct mf_recovery_report *out_report, struct mf_error *error)
{
	const struct instance *instance = user;
	struct mf_recovery_options recovery = {
		.batch = instance->options.recovery_batch,
		.history_limit = instance->options.history_limit,
		.at_lsn = at_lsn >= MF_LSN_NEWEST_TO_LOOK_AT ? 0 : at_lsn,
		.fallback_max_events = instance->options.fallback_max_events ? instance->options.fallback_max_events : UINT64_MAX,
	};
	struct mf_recovery_report report;
	enum mf_status status = mf_recover_state(instance->store, doc_id, instance->registry, &recovery, out, &report, error);
	if (status != MF_OK)
		return status;
	mf_recovery_warn(&report, doc_id, &instance->options.logger);
	if (out_report)
		*out_report = report;
	return MF_OK;
}

static enum mf_status read_preflight(void *user, struct mf_error *error)
{
	const struct instance *instance = user;
	return mf_preflight(instance->store, instance->registry, error);
}

static enum mf_status read_snapshot(void *user, const char *doc_id, const struct mf_state *state, int64_t *out_upto_lsn, struct mf_error *error)
{
	(void)user, (void)doc_id, (void)state, (void)out_upto_lsn;
	return refuse(error);
}

static enum mf_status read_compact(void *user, const char *doc_id, int64_t *out_upto_lsn, struct mf_error *error)
{
	(void)user, (void)doc_id, (void)out_upto_lsn;
	return refuse(error);
}

static enum mf_status read_compact_keep(void *user, const char *doc_id, uint32_t keep, int64_t *out_upto_lsn, struct mf_error *error)
{
	(void)user, (void)doc_id, (void)keep, (void)out_upto_lsn;
	return refuse(error);
}

static struct mf_store *read_store(void *user)
{
	const struct instance *instance = user;
	return instance->store;
}

static enum mf_status read_drain(void *user, int64_t timeout_ms, struct mf_error *error)
{
	(void)user, (void)timeout_ms, (void)error;
	return MF_OK;
}

static void read_on_snapshot(void *user, void (*notify)(void *notify_user, const char *doc_id, int64_t upto_lsn, const struct mf_error *error), void *notify_user)
{
	(void)user, (void)notify, (void)notify_user; /* there will be none */
}

static enum mf_status read_metrics(void *user, struct mf_metrics *out, struct mf_error *error)
{
	const struct instance *instance = user;
	return mf_store_metrics(instance->store, out, error);
}

static const struct mf_committer read_functions = {
	.size = sizeof(struct mf_committer),
	.name = "snapshot_subscriber (reading)",
	.reserve = read_reserve,
	.release = read_release,
	.commit = read_commit,
	.generation = read_generation,
	.recover = read_recover,
	.preflight = read_preflight,
	.snapshot = read_snapshot,
	.compact = read_compact,
	.store = read_store,
	.drain = read_drain,
	.on_snapshot = read_on_snapshot,
	.metrics = read_metrics,
	.compact_keep = read_compact_keep,
};

/* ---- life ---- */

static void read_config(struct instance *instance, const struct mf_config *config)
{
	struct mf_persist_options *persist = &instance->options;
	mf_persist_options_init(persist);
	persist->commit_mode.kind = mf_config_commit_mode(config, "commit_mode", &persist->commit_mode.group_window_ms);
	persist->snapshot_every_n_events = (uint64_t)mf_config_int(config, "snapshot_every_n_events");
	persist->snapshot_every_bytes = (uint64_t)mf_config_int(config, "snapshot_every_bytes");
	persist->snapshot_every_ms = (uint64_t)mf_config_int(config, "snapshot_every_ms");
	persist->strategy = strcmp(mf_config_string(config, "strategy"), "adaptive") == 0 ? MF_STRATEGY_ADAPTIVE : MF_STRATEGY_FIXED;
	persist->recovery_target_ms = (uint64_t)mf_config_int(config, "recovery_target_ms");
	persist->keep_snapshots = (uint32_t)mf_config_int(config, "keep_snapshots");
	persist->full_snapshot_every = (uint32_t)mf_config_int(config, "full_snapshot_every");
	persist->fallback_max_events = (uint64_t)mf_config_int(config, "fallback_max_events");
	persist->compression = mf_config_bool(config, "compression");
	persist->compression_level = (int)mf_config_int(config, "compression_level");
	persist->compression_threshold = (uint32_t)mf_config_int(config, "compression_threshold");
	persist->history_limit = (uint32_t)mf_config_int(config, "history_limit");
	instance->in_memory = persist->commit_mode.kind == MF_COMMIT_MEMORY_ONLY;
	instance->accept_damage = mf_config_bool(config, "store.accept_damage");
	instance->dir = mf_config_string(config, "store.dir");
	instance->default_doc_id = mf_config_string(config, "default_doc_id");
	instance->checkpoint_pages = (uint32_t)mf_config_int(config, "checkpoint_pages");
}

static enum mf_status create(const struct mf_config *config, void **out_instance, struct mf_error *error)
{
	bool memory_store = strcmp(mf_config_string(config, "store.backend"), "memory") == 0;
	struct instance *instance = calloc(1, sizeof(*instance));
	if (!instance)
		return mf_error_set(error, MF_ERR_NO_MEMORY, "no memory for the snapshot subscriber");
	read_config(instance, config);
	if (memory_store && !instance->in_memory) {
		free(instance);
		return mf_error_set(error, MF_ERR_INVALID, "/store/backend: a store in memory cannot keep what a durable commit mode promises; set commit_mode to \"memory_only\", or backend to \"sqlite\"");
	}
	if (strlen(instance->default_doc_id) < 1 || strlen(instance->default_doc_id) > MF_ID_MAX) {
		free(instance);
		return mf_error_set(error, MF_ERR_INVALID, "/default_doc_id: a document id is 1 to %d bytes long", MF_ID_MAX);
	}
	*out_instance = instance;
	return MF_OK;
}

static enum mf_status init(void *user, struct mf_registrar *registrar, struct mf_error *error)
{
	struct instance *instance = user;
	instance->registry = mf_registrar_steps(registrar);
	instance->read_only = mf_registrar_read_only(registrar);
	instance->options.logger = mf_registrar_logger(registrar);
	instance->committer = instance->read_only ? read_functions : write_functions;
	instance->committer.user = instance;
	return mf_register_committer(registrar, &instance->committer, instance->default_doc_id, error);
}

static enum mf_status open_store(const struct instance *instance, struct mf_store **out, struct mf_error *error)
{
	if (instance->in_memory)
		return mf_store_open_memory(NULL, out, error);
	struct mf_sqlite_options sqlite = {
		.dir = instance->dir,
		.read_only = instance->read_only,
		.accept_damage = instance->accept_damage,
		.checkpoint_pages = instance->checkpoint_pages,
		.logger = instance->options.logger,
	};
	return mf_store_open_sqlite(&sqlite, out, error);
}

static enum mf_status start(void *user, struct mf_error *error)
{
	struct instance *instance = user;
	struct mf_store *store;
	enum mf_status status = open_store(instance, &store, error);
	if (status != MF_OK)
		return status;
	if (instance->read_only) {
		instance->store = store;
		return MF_OK;
	}
	status = mf_snapshot_subscriber_new(store, &instance->options, instance->registry, &instance->subscriber, error);
	if (status != MF_OK)
		(void)mf_store_close(store, NULL);
	return status;
}

static enum mf_status stop(void *user, struct mf_error *error)
{
	struct instance *instance = user;
	if (instance->read_only) {
		enum mf_status closed = mf_store_close(instance->store, error);
		instance->store = NULL;
		return closed;
	}
	enum mf_status status = mf_snapshot_subscriber_close(instance->subscriber, STOP_TIMEOUT_MS, error);
	if (status != MF_ERR_TIMEOUT && status != MF_ERR_STATE)
		instance->subscriber = NULL;
	return status;
}

/* A subscriber that could not be stopped is still at work: better to lose its memory than to pull the ground away. */
static void destroy(void *user)
{
	struct instance *instance = user;
	if (!instance->subscriber)
		free(instance);
}

static const struct mf_plugin plugin = {
	.magic = MF_PLUGIN_MAGIC,
	.size = sizeof(struct mf_plugin),
	.abi_major = MF_ABI_MAJOR,
	.abi_minor = MF_ABI_MINOR,
	.name = "snapshot_subscriber",
	.version = "0.1.0",
	.summary = "Stores every transaction in an event store, takes snapshots and recovers documents.",
	.options = options,
	.create = create,
	.init = init,
	.start = start,
	.stop = stop,
	.destroy = destroy,
};

MF_PLUGIN_EXPORT const struct mf_plugin *moduforge_plugin(void)
{
	return &plugin;
}
