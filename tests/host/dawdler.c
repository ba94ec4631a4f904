/* A plugin whose follower asks the test program what to do. */
#include <moduforge/plugin.h>

enum mf_status dawdler_called(const struct mf_publication *publication, struct mf_error *error); /* the test program has it */
void dawdler_ended(void);

static enum mf_status handle(void *user, const struct mf_publication *publication, struct mf_error *error)
{
	(void)user;
	return dawdler_called(publication, error);
}

static enum mf_status init(void *instance, struct mf_registrar *registrar, struct mf_error *error)
{
	struct mf_follow_options options;
	(void)instance;
	mf_follow_options_init(&options);
	options.keep_checkpoint = true;
	options.retry_ms = options.retry_max_ms = 1;
	return mf_register_event_follower(registrar, &options, handle, NULL, error);
}

static void destroy(void *instance)
{
	(void)instance;
	dawdler_ended();
}

MF_PLUGIN_EXPORT const struct mf_plugin *moduforge_plugin(void)
{
	static const struct mf_plugin plugin = {
		.magic = MF_PLUGIN_MAGIC,
		.size = sizeof(plugin),
		.abi_major = MF_ABI_MAJOR,
		.abi_minor = MF_ABI_MINOR,
		.name = "dawdler",
		.version = "1.0.0",
		.summary = "Does what the test says.",
		.init = init,
		.destroy = destroy,
	};
	return &plugin;
}
