/* moduforge/plugin.h - the plugin ABI, major 1.
 *
 * A plugin is a shared object NAME.so that exports one function,
 *
 *   MF_PLUGIN_EXPORT const struct mf_plugin *moduforge_plugin(void)
 *
 * and links to libmoduforge. It runs with the rights of the process: load only what you trust.
 *
 * Life, all in one thread:  create -> init -> [freeze] -> start -> ... -> stop -> destroy
 *   create   allocate the instance; read the configuration. No thread, no file, no registration.
 *   init     register what the plugin brings: step types, state fields, guards, followers, the committer.
 *            Registering at any other time is MF_ERR_STATE. No thread, no file.
 *   start    open files, start threads. Committers are started first.
 *   stop     give them back; called only after a successful start. Deliveries have ended. MF_ERR_TIMEOUT: a thread of
 *            it is still at work; then the host keeps all that the plugin may use for the life of the process, and
 *            does not call destroy.
 *   destroy  free the instance. Code and static data stay: a plugin is never unmapped.
 * A failing create, init or start gives a status and a sentence; what the plugin registered is taken back.
 *
 * Versions: the first four fields of struct mf_plugin never change. A host loads a plugin whose magic is
 * right, whose abi_major is its own, whose abi_minor is not newer, and whose size is not larger than
 * it knows; fields beyond size read as zero. No type of SQLite or zstd crosses this header. */
#pragma once

#include <moduforge/follow.h>
#include <moduforge/field.h>
#include <moduforge/log.h>

#ifdef __cplusplus
extern "C" {
#endif

#define MF_PLUGIN_MAGIC 0x4d465047u /* "MFPG" */
#define MF_ABI_MAJOR 1
#define MF_ABI_MINOR 0
#define MF_PLUGIN_ENTRY "moduforge_plugin"
#if defined(__GNUC__)
#define MF_PLUGIN_EXPORT __attribute__((visibility("default")))
#else
#define MF_PLUGIN_EXPORT
#endif

/* ---- configuration ---- */
enum mf_option_type { MF_OPTION_BOOL = 1, MF_OPTION_INT = 2, MF_OPTION_DOUBLE = 3, MF_OPTION_STRING = 4, MF_OPTION_ENUM = 5,
	MF_OPTION_COMMIT_MODE = 6 /* "memory_only", "sync_durable", {"async_durable": {"group_window_ms": N}} */ };

/* A table ends with an entry whose name is NULL. Dotted names are nested objects: "store.dir". */
struct mf_option {
	const char *name;
	enum mf_option_type type;
	const char *default_text; /* as in JSON, strings without quotes; NULL = required */
	int64_t min, max;         /* INT, inclusive; both 0 = no limit */
	const char *choices;      /* ENUM: "fixed|adaptive" */
	bool secret;              /* never logged */
	const char *help;         /* one sentence, with the unit */
};

struct mf_config; /* a checked configuration: every option of the table has a value */
MF_API bool mf_config_bool(const struct mf_config *config, const char *name);
MF_API int64_t mf_config_int(const struct mf_config *config, const char *name);
MF_API double mf_config_double(const struct mf_config *config, const char *name);
MF_API const char *mf_config_string(const struct mf_config *config, const char *name); /* STRING, ENUM; borrowed while the plugin lives */
MF_API enum mf_commit_kind mf_config_commit_mode(const struct mf_config *config, const char *name, uint32_t *out_group_window_ms);

/* ---- registration, only during init ---- */
struct mf_registrar;
MF_API MF_MUST_CHECK enum mf_status mf_register_step_type(struct mf_registrar *registrar, const struct mf_step_type *type, struct mf_error *error);
MF_API MF_MUST_CHECK enum mf_status mf_register_guard(struct mf_registrar *registrar, mf_guard *guard, void *user, struct mf_error *error);
MF_API MF_MUST_CHECK enum mf_status mf_register_follower(struct mf_registrar *registrar, uint32_t topics, mf_follower *handler, void *user, struct mf_error *error);
MF_API MF_MUST_CHECK enum mf_status mf_register_state_field(struct mf_registrar *registrar, const struct mf_state_field *field, struct mf_error *error);
/* At its own pace (follow.h), with a thread of its own unless the options say otherwise: it begins when all plugins are
 * started, and has ended when stop is called. options: NULL = mf_follow_options_init; a NULL name is the plugin's. In a host that
 * only reads it never begins. */
MF_API MF_MUST_CHECK enum mf_status mf_register_event_follower(struct mf_registrar *registrar, const struct mf_follow_options *options, mf_event_handler *handler, void *user, struct mf_error *error);
/* The committer's functions are called only between start and stop. default_doc_id is borrowed (a config string). */
MF_API MF_MUST_CHECK enum mf_status mf_register_committer(struct mf_registrar *registrar, const struct mf_committer *committer, const char *default_doc_id, struct mf_error *error);
/* The host's registry of step types and state fields; complete once start is called. */
MF_API const struct mf_step_registry *mf_registrar_steps(const struct mf_registrar *registrar);
MF_API bool mf_registrar_read_only(const struct mf_registrar *registrar); /* the host only wants to read */
/* The host's, for mf_logf: to be copied, and used from init until stop has returned, from any thread. Silent when the host is. */
MF_API struct mf_logger mf_registrar_logger(const struct mf_registrar *registrar);

/* ---- the plugin ---- */
struct mf_plugin {
	uint32_t magic;     /* MF_PLUGIN_MAGIC */
	uint32_t size;      /* sizeof(struct mf_plugin) */
	uint16_t abi_major; /* MF_ABI_MAJOR */
	uint16_t abi_minor; /* MF_ABI_MINOR */
	const char *name;    /* as in NAME.so */
	const char *version; /* the plugin's own, "1.2.3" */
	const char *summary; /* one sentence */
	const struct mf_option *options; /* NULL: takes no configuration */
	const char *const *requires_plugins; /* names, NULL-terminated; NULL: none. They are created and started before. */
	enum mf_status (*create)(const struct mf_config *config, void **out_instance, struct mf_error *error); /* may be NULL */
	enum mf_status (*init)(void *instance, struct mf_registrar *registrar, struct mf_error *error);
	enum mf_status (*start)(void *instance, struct mf_error *error); /* may be NULL */
	enum mf_status (*stop)(void *instance, struct mf_error *error);  /* may be NULL */
	void (*destroy)(void *instance);                                 /* may be NULL */
};
typedef const struct mf_plugin *mf_plugin_entry(void);
/* What the plugin defines; the library does not. */
MF_PLUGIN_EXPORT const struct mf_plugin *moduforge_plugin(void);

/* ---- for a program that has no plugins.json ---- */
/* The step types and state fields of one plugin file, DIR/NAME.so, into a registry that is not frozen yet. The file is checked as the
 * loader checks it (strict path policy); then create, with the default of every option, and init run. start and
 * requires_plugins are not looked at. The instance stays for the life of the process; the registry may be freed.
 * MF_ERR_NOT_FOUND: there is no such file. MF_ERR_PLUGIN: a check failed. MF_ERR_STATE: it registers a guard, a follower or a
 * committer. MF_ERR_INVALID: a step type or field is taken, the registry is frozen, or an option has no default. Or what create or
 * init says. After a failure the registry is as before. Thread: the one that fills the registry. */
MF_API MF_MUST_CHECK enum mf_status mf_step_registry_load(struct mf_step_registry *registry, const char *path, struct mf_error *error);

#ifdef __cplusplus
}
#endif
