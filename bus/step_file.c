/* step_file.c - the step types of one plugin file, for a program that has no plugins.json.
 *
 * The life of an entry, cut short: found, opened, configured with its defaults, created and initialised. It is
 * never started, and stays for the life of the process, because steps point to the types that it owns. */
#include <pthread.h>
#include <string.h>

#include "bus/plugin_entry.h"
#include "model/mem.h"

struct step_file {
	struct step_file *next;
	char name[MF_PLUGIN_NAME_MAX + 1];
	struct mf_plugins_entry configured;
	struct mf_registrar_host host;
	struct mf_entry entry;
};
static pthread_mutex_t kept_mutex = PTHREAD_MUTEX_INITIALIZER;
static struct step_file *kept_files; /* never shrinks */

/* DIR/NAME.so -> NAME */
static enum mf_status name_of(const char *path, char *out, struct mf_error *error)
{
	const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path;
	size_t len = strlen(base);
	if (len <= 3 || len - 3 > MF_PLUGIN_NAME_MAX || strcmp(base + len - 3, ".so") != 0)
		return mf_error_set(error, MF_ERR_PLUGIN, "a plugin's file is called NAME.so, with a name of at most %d bytes: %s", MF_PLUGIN_NAME_MAX, path);
	memcpy(out, base, len - 3);
	out[len - 3] = '\0';
	return mf_plugin_name_is_sound(out) ? MF_OK : mf_error_set(error, MF_ERR_PLUGIN, "a plugin's name has letters, digits, '_', '-' and '.' only: %s", path);
}

static enum mf_status load(struct step_file *file, struct mf_error *error)
{
	enum mf_status status = mf_entry_find(&file->entry, NULL, true, error);
	if (status == MF_OK)
		status = mf_entry_open(&file->entry, error);
	if (status == MF_OK)
		status = mf_entry_configure(&file->entry, NULL, NULL, 0, NULL, error);
	return status == MF_OK ? mf_entry_init(&file->entry, error) : status;
}

static void keep(struct step_file *file)
{
	file->host.frozen = true; /* what was registered is not taken back any more */
	file->host.steps = NULL;  /* the registry may go before we do */
	pthread_mutex_lock(&kept_mutex);
	file->next = kept_files;
	kept_files = file;
	pthread_mutex_unlock(&kept_mutex);
}

enum mf_status mf_step_registry_load(struct mf_step_registry *registry, const char *path, struct mf_error *error)
{
	struct step_file *file = mf_calloc(1, sizeof(*file));
	if (!file)
		return mf_error_set(error, MF_ERR_NO_MEMORY, "no memory to load %s", path);
	enum mf_status status = name_of(path, file->name, error);
	if (status != MF_OK) {
		mf_free(file);
		return status;
	}
	file->configured = (struct mf_plugins_entry){.name = file->name, .path = (char *)path, .required = true, .config_place = {.file = file->name}};
	file->host = (struct mf_registrar_host){.steps = registry, .steps_only = true};
	file->entry.configured = &file->configured;
	mf_registrar_init(&file->entry.registrar, &file->host, file->name);
	status = load(file, error);
	file->configured.path = NULL; /* the caller's */
	if (status == MF_OK) {
		keep(file);
		return MF_OK;
	}
	mf_entry_deinit(&file->entry);
	mf_free(file);
	return status;
}
