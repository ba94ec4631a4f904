#include "bus/plugin.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <link.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bus/elf_check.h"
#include "bus/path_policy.h"
#include "model/mem.h"

/* ---- what this process has opened ---- */
struct opened {
	struct opened *next;
	dev_t dev;
	ino_t ino;
	struct timespec mtime;
	char path[];
};
static pthread_mutex_t opened_mutex = PTHREAD_MUTEX_INITIALIZER;
static struct opened *opened_files; /* grows by one for each path, never shrinks */

static struct opened *opened_find(const char *path)
{
	struct opened *opened = opened_files;
	while (opened && strcmp(opened->path, path) != 0)
		opened = opened->next;
	return opened;
}

static bool opened_is(const struct opened *opened, const struct stat *info)
{
	return opened->dev == info->st_dev && opened->ino == info->st_ino &&
	       opened->mtime.tv_sec == info->st_mtim.tv_sec && opened->mtime.tv_nsec == info->st_mtim.tv_nsec;
}

static enum mf_status opened_new(const char *path, const struct stat *info, struct opened **out, struct mf_error *error)
{
	size_t len = strlen(path);
	struct opened *opened = mf_malloc(sizeof(*opened) + len + 1);
	if (!opened)
		return mf_error_set(error, MF_ERR_NO_MEMORY, "no memory to load %s", path);
	opened->dev = info->st_dev;
	opened->ino = info->st_ino;
	opened->mtime = info->st_mtim;
	memcpy(opened->path, path, len + 1);
	*out = opened;
	return MF_OK;
}

/* ---- where plugins are installed ---- */
const char *mf_plugin_installed_dir(char buffer[PATH_MAX])
{
	Dl_info info;
	char self[PATH_MAX];
	if (!dladdr(&opened_mutex, &info) || !realpath(info.dli_fname, self))
		return MF_PLUGIN_DIR;
	int dir_len = (int)(strrchr(self, '/') - self), len = snprintf(buffer, PATH_MAX, "%.*s/moduforge", dir_len, self);
	return len < PATH_MAX && access(buffer, F_OK) == 0 ? buffer : MF_PLUGIN_DIR;
}

/* ---- check ---- */
static enum mf_status check_open_file(int fd, const char *path, bool strict_paths, struct stat *out_info, struct mf_error *error)
{
	if (fstat(fd, out_info) != 0)
		return mf_error_set(error, MF_ERR_PLUGIN, "cannot look at the file (%s): %s", strerror(errno), path);
	if (!S_ISREG(out_info->st_mode))
		return mf_error_set(error, MF_ERR_PLUGIN, "it is not a regular file: %s", path);
	enum mf_status status = strict_paths ? mf_path_policy_check(path, out_info, error) : MF_OK;
	if (status != MF_OK)
		return status;
	struct mf_error rule = {0};
	status = mf_elf_check(fd, (uint64_t)out_info->st_size, &rule);
	return status == MF_OK ? MF_OK : mf_error_set(error, status, "%s: %s", rule.message, path);
}

enum mf_status mf_plugin_file_check(const char *path, bool strict_paths, struct mf_plugin_file *out, struct mf_error *error)
{
	char real[PATH_MAX];
	/* O_NONBLOCK: a FIFO by this name must not make us wait. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return mf_error_set(error, errno == ENOENT || errno == ENOTDIR ? MF_ERR_NOT_FOUND : MF_ERR_PLUGIN, "cannot open the file (%s): %s", strerror(errno), path);
	struct stat info;
	enum mf_status status = check_open_file(fd, path, strict_paths, &info, error);
	close(fd);
	if (status != MF_OK)
		return status;
	if (!realpath(path, real))
		return mf_error_set(error, MF_ERR_PLUGIN, "cannot resolve the path (%s): %s", strerror(errno), path);
	char *copy = mf_strdup(real);
	if (!copy)
		return mf_error_set(error, MF_ERR_NO_MEMORY, "no memory for the path %s", path);
	*out = (struct mf_plugin_file){.path = copy, .dev = info.st_dev, .ino = info.st_ino};
	return MF_OK;
}

void mf_plugin_file_deinit(struct mf_plugin_file *file)
{
	mf_free(file->path);
	*file = (struct mf_plugin_file){0};
}

/* ---- open ---- */
/* dlsym also looks into what the file depends on: the entry must be the file's own. */
static enum mf_status find_entry(void *handle, const char *path, mf_plugin_entry **out, struct mf_error *error)
{
	void *symbol = dlsym(handle, MF_PLUGIN_ENTRY);
	if (!symbol)
		return mf_error_set(error, MF_ERR_PLUGIN, "it does not export %s (write MF_PLUGIN_EXPORT before it): %s", MF_PLUGIN_ENTRY, path);
	struct link_map *own = NULL, *holder = NULL;
	Dl_info info;
	if (dlinfo(handle, RTLD_DI_LINKMAP, &own) != 0 || !dladdr1(symbol, &info, (void **)&holder, RTLD_DL_LINKMAP) || own != holder)
		return mf_error_set(error, MF_ERR_PLUGIN, "it does not export %s itself, only something it depends on does (%s): %s", MF_PLUGIN_ENTRY,
				    holder ? holder->l_name : "unknown", path);
	memcpy(out, &symbol, sizeof(*out)); /* ISO C has no cast from object to function */
	return MF_OK;
}

static enum mf_status link_file(const char *path, void **out_handle, struct mf_error *error)
{
	*out_handle = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
	const char *reason = *out_handle ? NULL : dlerror();
	const char *named = reason ? strstr(reason, path) : NULL, *why = named ? named + strlen(path) : reason; /* a path may have any words */
	if (why && (strstr(why, "out of memory") || strstr(why, "Cannot allocate memory")))
		return mf_error_set(error, MF_ERR_NO_MEMORY, "there is no memory to link it: %s", reason);
	if (!*out_handle)
		return mf_error_set(error, MF_ERR_PLUGIN, "it cannot be linked: %s", reason ? reason : "no reason was given");
	return MF_OK;
}

static enum mf_status link_first_time(const char *path, const struct stat *info, void **out_handle, struct mf_error *error)
{
	struct opened *opened = NULL;
	enum mf_status status = opened_new(path, info, &opened, error);
	if (status != MF_OK)
		return status;
	status = link_file(path, out_handle, error);
	if (status != MF_OK) {
		mf_free(opened); /* nothing stayed loaded: a repaired file may be tried again */
		return status;
	}
	opened->next = opened_files;
	opened_files = opened;
	return MF_OK;
}

static enum mf_status open_file(const struct mf_plugin_file *file, void **out_handle, struct mf_error *error)
{
	struct stat info;
	if (stat(file->path, &info) != 0)
		return mf_error_set(error, MF_ERR_PLUGIN, "cannot look at the file (%s): %s", strerror(errno), file->path);
	if (info.st_dev != file->dev || info.st_ino != file->ino)
		return mf_error_set(error, MF_ERR_PLUGIN, "the file was replaced while it was being loaded: start again: %s", file->path);
	const struct opened *opened = opened_find(file->path);
	if (!opened)
		return link_first_time(file->path, &info, out_handle, error);
	if (!opened_is(opened, &info))
		return mf_error_set(error, MF_ERR_PLUGIN, "the file was changed after this process had loaded it, and the old code cannot be unloaded: restart the program: %s", file->path);
	return link_file(file->path, out_handle, error);
}

enum mf_status mf_plugin_open(const struct mf_plugin_file *file, const char *name, struct mf_plugin *out, struct mf_error *error)
{
	void *handle = NULL;
	pthread_mutex_lock(&opened_mutex);
	enum mf_status status = open_file(file, &handle, error);
	pthread_mutex_unlock(&opened_mutex);
	mf_plugin_entry *entry = NULL;
	if (status == MF_OK)
		status = find_entry(handle, file->path, &entry, error);
	if (status != MF_OK)
		return status;
	return mf_plugin_descriptor_check(entry(), name, file->path, out, error);
}

/* ---- the descriptor ---- */
/* The first four fields never change, so they are read before anything is known; versions before size,
 * because they are what a person can act on. */
static enum mf_status check_version(const struct mf_plugin *descriptor, const char *path, struct mf_error *error)
{
	if (descriptor->magic != MF_PLUGIN_MAGIC)
		return mf_error_set(error, MF_ERR_PLUGIN, "its descriptor begins with 0x%08x, a plugin's with 0x%08x: %s", descriptor->magic, MF_PLUGIN_MAGIC, path);
	if (descriptor->abi_major != MF_ABI_MAJOR)
		return mf_error_set(error, MF_ERR_PLUGIN, "it speaks ABI %u.%u, this host %u.%u: the major numbers must be equal; build it against this version: %s",
				    descriptor->abi_major, descriptor->abi_minor, MF_ABI_MAJOR, MF_ABI_MINOR, path);
	if (descriptor->abi_minor > MF_ABI_MINOR)
		return mf_error_set(error, MF_ERR_PLUGIN, "it speaks ABI %u.%u, this host only %u.%u: the minor number must not be newer; use a newer host: %s",
				    descriptor->abi_major, descriptor->abi_minor, MF_ABI_MAJOR, MF_ABI_MINOR, path);
	if (descriptor->size < MF_PLUGIN_SIZE_MIN)
		return mf_error_set(error, MF_ERR_PLUGIN, "its descriptor has %u bytes, at least %zu are needed: %s", descriptor->size, MF_PLUGIN_SIZE_MIN, path);
	if (descriptor->size > sizeof(*descriptor))
		return mf_error_set(error, MF_ERR_PLUGIN, "its descriptor has %u bytes, this host knows %zu: %s", descriptor->size, sizeof(*descriptor), path);
	return MF_OK;
}

static enum mf_status check_contents(const struct mf_plugin *descriptor, const char *name, const char *path, struct mf_error *error)
{
	if (!descriptor->name || !descriptor->name[0])
		return mf_error_set(error, MF_ERR_PLUGIN, "its descriptor has no name: %s", path);
	if (name && strcmp(descriptor->name, name) != 0)
		return mf_error_set(error, MF_ERR_PLUGIN, "it says its name is \"%.80s\", the configuration says \"%s\": they must be equal: %s", descriptor->name, name, path);
	if (!descriptor->init)
		return mf_error_set(error, MF_ERR_PLUGIN, "its descriptor has no init function: %s", path);
	return MF_OK;
}

enum mf_status mf_plugin_descriptor_check(const struct mf_plugin *descriptor, const char *name, const char *path, struct mf_plugin *out, struct mf_error *error)
{
	if (!descriptor)
		return mf_error_set(error, MF_ERR_PLUGIN, "its %s() returned NULL: %s", MF_PLUGIN_ENTRY, path);
	enum mf_status status = check_version(descriptor, path, error);
	if (status != MF_OK)
		return status;
	struct mf_plugin known = {0};
	memcpy(&known, descriptor, descriptor->size);
	status = check_contents(&known, name, path, error);
	if (status != MF_OK)
		return status;
	known.version = known.version ? known.version : "";
	known.summary = known.summary ? known.summary : "";
	*out = known;
	return MF_OK;
}
