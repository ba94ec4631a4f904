/* A follower that keeps its place in the store, and notes the LSN of each event in a file, a line each, before it says
 * that it is done. So the file tells of every delivery: after a kill some may be there twice, none may be missing. */
#include <moduforge/plugin.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct notebook {
	const char *path;
	bool read_only;
	int fd;
};

static enum mf_status note(void *user, const struct mf_publication *publication, struct mf_error *error)
{
	const struct notebook *notebook = user;
	char line[32];
	int len = snprintf(line, sizeof(line), "%lld\n", (long long)publication->lsn);
	if (write(notebook->fd, line, (size_t)len) == len)
		return MF_OK;
	return mf_error_set(error, MF_ERR_IO, "cannot write %.300s: %s", notebook->path, strerror(errno));
}

static enum mf_status create(const struct mf_config *config, void **out_instance, struct mf_error *error)
{
	struct notebook *notebook = malloc(sizeof(*notebook));
	if (!notebook)
		return mf_error_set(error, MF_ERR_NO_MEMORY, "no memory");
	*notebook = (struct notebook){.path = mf_config_string(config, "path"), .fd = -1};
	*out_instance = notebook;
	return MF_OK;
}

static enum mf_status init(void *instance, struct mf_registrar *registrar, struct mf_error *error)
{
	struct notebook *notebook = instance;
	struct mf_follow_options options;
	notebook->read_only = mf_registrar_read_only(registrar);
	if (notebook->read_only)
		return MF_OK;
	mf_follow_options_init(&options);
	options.undecoded = true;
	options.keep_checkpoint = true;
	options.checkpoint_events = 3;
	options.checkpoint_ms = 2;
	return mf_register_event_follower(registrar, &options, note, notebook, error);
}

static enum mf_status start(void *instance, struct mf_error *error)
{
	struct notebook *notebook = instance;
	if (!notebook->read_only)
		notebook->fd = open(notebook->path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
	if (!notebook->read_only && notebook->fd < 0)
		return mf_error_set(error, MF_ERR_IO, "cannot open %.300s: %s", notebook->path, strerror(errno));
	return MF_OK;
}

static void destroy(void *instance)
{
	const struct notebook *notebook = instance;
	if (notebook->fd >= 0)
		close(notebook->fd);
	free(instance);
}

MF_PLUGIN_EXPORT const struct mf_plugin *moduforge_plugin(void)
{
	static const struct mf_option options[] = {
		{.name = "path", .type = MF_OPTION_STRING, .default_text = "notes", .help = "the file"},
		{.name = NULL},
	};
	static const struct mf_plugin plugin = {
		.magic = MF_PLUGIN_MAGIC, .size = sizeof(plugin), .abi_major = MF_ABI_MAJOR, .abi_minor = MF_ABI_MINOR,
		.name = "notebook", .version = "1.0.0", .summary = "Notes the LSN of every event.", .options = options,
		.create = create, .init = init, .start = start, .destroy = destroy,
	};
	return &plugin;
}
