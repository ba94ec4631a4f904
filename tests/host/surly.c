/* surly.c - a plugin that fails without a word: its step type makes no step, its follower takes no event. */
#include <moduforge/plugin.h>

static enum mf_status from_value(const struct mf_step_type *type, const struct mf_value *data, struct mf_step **out, struct mf_error *error)
{
	(void)type, (void)data, (void)out, (void)error;
	return MF_ERR_INVALID;
}

static enum mf_status to_value(const struct mf_step *step, struct mf_value **out)
{
	(void)step, (void)out;
	return MF_ERR_INVALID;
}

static enum mf_status encode(const struct mf_step *step, struct mf_buffer *out)
{
	(void)step, (void)out;
	return MF_ERR_INVALID;
}

static enum mf_status decode(const struct mf_step_type *type, const void *bytes, size_t len, struct mf_step **out, struct mf_error *error)
{
	(void)type, (void)bytes, (void)len, (void)out, (void)error;
	return MF_ERR_CORRUPTED;
}

static enum mf_status apply(const struct mf_step *step, struct mf_edit *edit, struct mf_step **out_inverse, struct mf_error *error)
{
	(void)step, (void)edit, (void)out_inverse, (void)error;
	return MF_ERR_INVALID;
}

static void free_step(struct mf_step *step)
{
	(void)step;
}

static const struct mf_step_type no_step = {
	.size = sizeof(struct mf_step_type),
	.type_id = "no_step",
	.version = 1,
	.from_value = from_value,
	.to_value = to_value,
	.encode = encode,
	.decode = decode,
	.apply = apply,
	.free = free_step,
};

static enum mf_status follow(void *user, const struct mf_publication *publication)
{
	(void)user, (void)publication;
	return MF_ERR_IO;
}

static enum mf_status init(void *instance, struct mf_registrar *registrar, struct mf_error *error)
{
	enum mf_status status = mf_register_step_type(registrar, &no_step, error);
	return status == MF_OK ? mf_register_follower(registrar, MF_TOPICS_EVENTS, follow, instance, error) : status;
}

MF_PLUGIN_EXPORT const struct mf_plugin *moduforge_plugin(void)
{
	static const struct mf_plugin plugin = {
		.magic = MF_PLUGIN_MAGIC,
		.size = sizeof(plugin),
		.abi_major = MF_ABI_MAJOR,
		.abi_minor = MF_ABI_MINOR,
		.name = "surly",
		.version = "1.0.0",
		.summary = "Fails without a word.",
		.init = init,
	};
	return &plugin;
}
