/* text_steps.c - the plugin that brings replace_text.
 *
 * Positions and lengths are code points of the node's string attribute "text". The inverse puts
 * back what was deleted in the place of what was inserted. */
#include "stepfactories/step_data.h"

enum slots { ID, POS, DELETE, INSERT };

static const struct step_kind replace_text;

static enum mf_status apply(const struct mf_step *step, struct mf_edit *edit, struct mf_step **out_inverse, struct mf_error *error)
{
	const struct step_data *replace = step_data_of(step);
	struct step_data *inverse;
	enum mf_status status = step_data_new(&replace_text, &inverse, error);
	if (status != MF_OK)
		return status;
	size_t id_len;
	const char *id = step_name(&replace->slots[ID], &id_len);
	const struct mf_value *insert = replace->slots[INSERT].value;
	status = mf_edit_replace_text(edit, id, id_len, replace->slots[POS].number, replace->slots[DELETE].number, insert, &inverse->slots[INSERT].value, error);
	if (status != MF_OK) {
		step_free(&inverse->step);
		return status;
	}
	inverse->slots[ID].value = mf_value_ref(replace->slots[ID].value);
	inverse->slots[POS].number = replace->slots[POS].number;
	inverse->slots[DELETE].number = mf_value_string_code_points(insert);
	*out_inverse = &inverse->step;
	return MF_OK;
}

static const struct step_member members[] = {
	{"id", &member_name, ID, false},
	{"pos", &member_count, POS, false},
	{"delete", &member_count, DELETE, false},
	{"insert", &member_text, INSERT, false},
	{0},
};
static const struct step_kind replace_text = STEP_KIND("replace_text", 1, members, NULL, apply);

static enum mf_status init(void *instance, struct mf_registrar *registrar, struct mf_error *error)
{
	(void)instance;
	return mf_register_step_type(registrar, &replace_text.type, error);
}

static const struct mf_plugin plugin = STEP_PLUGIN("text_steps", "Steps on text: replace_text.", init);

MF_PLUGIN_EXPORT const struct mf_plugin *moduforge_plugin(void)
{
	return &plugin;
}
