/* node_steps.c - the plugin that brings insert_node, delete_node, move_node and update_attrs.
 *
 * insert_node and delete_node are each other's inverse: what was deleted comes back, with its subtree, at
 * its index. The rules of the tree (unique ids, depth, the root stays) are the edit's. */
#include "stepfactories/update_attrs.h"

enum slots { ID, PARENT, INDEX, NODE };

/* ---- node ---- */

static enum mf_status parse_node(const struct mf_value *value, union step_slot *out, struct mf_error *error)
{
	return mf_fragment_from_value(value, &out->fragment, error);
}

static enum mf_status show_node(const union step_slot *slot, struct mf_value **out)
{
	return mf_fragment_to_value(slot->fragment, out);
}

static enum mf_status pack_node(const union step_slot *slot, struct mf_buffer *out)
{
	return mf_pack_fragment(out, slot->fragment);
}

static enum mf_status unpack_node(struct mf_unpack *in, union step_slot *out)
{
	return mf_unpack_fragment(in, &out->fragment);
}

static void release_node(union step_slot *slot)
{
	mf_fragment_unref(slot->fragment);
}

static const struct member_kind member_node = {parse_node, show_node, pack_node, unpack_node, release_node};


static const struct step_kind insert_node, delete_node, move_node;

/* ---- insert_node ---- */

static enum mf_status make_delete(const struct mf_fragment *fragment, struct mf_step **out, struct mf_error *error)
{
	struct step_data *inverse;
	enum mf_status status = step_data_new(&delete_node, &inverse, error);
	if (status != MF_OK)
		return status;
	size_t id_len;
	const char *id = mf_fragment_id(fragment, &id_len);
	status = mf_value_new_string(id, id_len, &inverse->slots[ID].value, error);
	if (status != MF_OK) {
		step_free(&inverse->step);
		return status;
	}
	*out = &inverse->step;
	return MF_OK;
}

static enum mf_status apply_insert(const struct mf_step *step, struct mf_edit *edit, struct mf_step **out_inverse, struct mf_error *error)
{
	const struct step_data *insert = step_data_of(step);
	const struct mf_fragment *fragment = insert->slots[NODE].fragment;
	size_t parent_len;
	const char *parent = step_name(&insert->slots[PARENT], &parent_len);
	enum mf_status status = mf_edit_insert(edit, parent, parent_len, insert->slots[INDEX].number, fragment, error);
	return status == MF_OK ? make_delete(fragment, out_inverse, error) : status;
}

/* ---- delete_node ---- */

static enum mf_status apply_delete(const struct mf_step *step, struct mf_edit *edit, struct mf_step **out_inverse, struct mf_error *error)
{
	struct step_data *inverse;
	enum mf_status status = step_data_new(&insert_node, &inverse, error);
	if (status != MF_OK)
		return status;
	size_t id_len;
	const char *id = step_name(&step_data_of(step)->slots[ID], &id_len);
	status = mf_edit_remove(edit, id, id_len, &inverse->slots[NODE].fragment, &inverse->slots[PARENT].value, &inverse->slots[INDEX].number, error);
	if (status != MF_OK) {
		step_free(&inverse->step);
		return status;
	}
	*out_inverse = &inverse->step;
	return MF_OK;
}

/* ---- move_node ---- */

static enum mf_status apply_move(const struct mf_step *step, struct mf_edit *edit, struct mf_step **out_inverse, struct mf_error *error)
{
	const struct step_data *move = step_data_of(step);
	struct step_data *inverse;
	enum mf_status status = step_data_new(&move_node, &inverse, error);
	if (status != MF_OK)
		return status;
	size_t id_len, parent_len;
	const char *id = step_name(&move->slots[ID], &id_len);
	const char *parent = step_name(&move->slots[PARENT], &parent_len);
	status = mf_edit_move(edit, id, id_len, parent, parent_len, move->slots[INDEX].number, &inverse->slots[PARENT].value, &inverse->slots[INDEX].number, error);
	if (status != MF_OK) {
		step_free(&inverse->step);
		return status;
	}
	inverse->slots[ID].value = mf_value_ref(move->slots[ID].value);
	*out_inverse = &inverse->step;
	return MF_OK;
}

/* ---- the plugin ---- */

static const struct step_member insert_members[] = {
	{"parent", &member_name, PARENT, false},
	{"index", &member_index, INDEX, true},
	{"node", &member_node, NODE, false},
	{0},
};
static const struct step_member delete_members[] = {
	{"id", &member_name, ID, false},
	{0},
};
static const struct step_member move_members[] = {
	{"id", &member_name, ID, false},
	{"parent", &member_name, PARENT, false},
	{"index", &member_index, INDEX, true},
	{0},
};
static const struct step_kind insert_node = STEP_KIND("insert_node", 1, insert_members, NULL, apply_insert);
static const struct step_kind delete_node = STEP_KIND("delete_node", 1, delete_members, NULL, apply_delete);
static const struct step_kind move_node = STEP_KIND("move_node", 1, move_members, NULL, apply_move);

static const struct step_kind *const kinds[] = {&insert_node, &delete_node, &move_node, &update_attrs};

static enum mf_status init(void *instance, struct mf_registrar *registrar, struct mf_error *error)
{
	(void)instance;
	return step_register(registrar, kinds, sizeof(kinds) / sizeof(kinds[0]), error);
}

static const struct mf_plugin plugin = STEP_PLUGIN("node_steps", "Steps on nodes: insert_node, delete_node, move_node, update_attrs.", init);

MF_PLUGIN_EXPORT const struct mf_plugin *moduforge_plugin(void)
{
	return &plugin;
}
