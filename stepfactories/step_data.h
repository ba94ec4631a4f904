/* step_data.h - a step as a few typed members: read from JSON, read from stored bytes, written as both.
 *
 * The built-in step types differ in what they do to a document, not in how their data is read and
 * written. So each type is a table of its members and an apply function; everything else is here, once.
 *
 * Invariants
 * 1. A step that exists is complete, and each member is valid in itself: only the document can still refuse it.
 * 2. What JSON may leave out (an index, empty attributes) has one form in a step, so equal steps have equal bytes.
 * 3. The stored form is a MessagePack array with one element a member, in the order of the table:
 *
 *    kind    JSON                                       stored                     slot (keys, node, mark: in the file of their step type)
 *    name    string, 1 to 1024 bytes, no U+0000         str                        value, in one piece
 *    index   int from 0; absent = append                uint, or nil               number, or MF_APPEND
 *    count   int from 0                                 uint                       number
 *    text    string                                     str                        value
 *    object  object; absent = {}                        map                        value, or NULL when empty
 *    keys    array of strings; absent = []              array of str               value: an object, key -> null, or NULL
 *    node    as mf_fragment_from_value                  as mf_pack_fragment        fragment
 *    mark    {"type": name, "attrs": object or absent}  array of 2: name, object   two slots: name, object (never NULL)
 *
 * Thread: steps are immutable; any. */
#pragma once

#include <moduforge/pack.h>
#include <moduforge/plugin.h>

#define STEP_SLOTS 4

union step_slot {
	struct mf_value *value;
	struct mf_fragment *fragment;
	size_t number;
};

struct step_data {
	struct mf_step step;
	union step_slot slots[STEP_SLOTS];
};

struct member_kind {
	/* value NULL: the member is absent (only asked of optional ones). */
	enum mf_status (*parse)(const struct mf_value *value, union step_slot *out, struct mf_error *error);
	enum mf_status (*show)(const union step_slot *slot, struct mf_value **out); /* *out NULL: leave it out */
	enum mf_status (*pack)(const union step_slot *slot, struct mf_buffer *out);
	enum mf_status (*unpack)(struct mf_unpack *in, union step_slot *out); /* anything but MF_ERR_NO_MEMORY counts as damage */
	void (*release)(union step_slot *slot); /* also of a slot never filled (zero) */
};
extern const struct member_kind member_name, member_index, member_count, member_text, member_object;

/* What kinds are made of. */
enum mf_status slot_show_value(const union step_slot *slot, struct mf_value **out);
enum mf_status slot_pack_value(const union step_slot *slot, struct mf_buffer *out);
void slot_release_value(union step_slot *slot);
enum mf_status slot_parse_name(const struct mf_value *value, union step_slot *out, struct mf_error *error);
enum mf_status slot_unpack_name(struct mf_unpack *in, union step_slot *out);
/* Reads any value and puts it through the kind's own parse. */
enum mf_status slot_unpack_as(const struct member_kind *kind, struct mf_unpack *in, union step_slot *out);

struct step_member {
	const char *name; /* NULL ends the table */
	const struct member_kind *kind;
	size_t slot;
	bool optional;
};

struct step_kind {
	struct mf_step_type type; /* first: a type's address is its kind's */
	const struct step_member *members;
	enum mf_status (*check)(const struct step_data *data, struct mf_error *error); /* rules between members; may be NULL */
};

#define STEP_KIND(id, version_, members_, check_, apply_) \
	{ \
		.type = {.size = sizeof(struct mf_step_type), .type_id = (id), .version = (version_), .from_value = step_from_value, .to_value = step_to_value, .encode = step_encode, .decode = step_decode, .apply = (apply_), .free = step_free}, \
		.members = (members_), .check = (check_) \
	}

/* These plugins have no instance and no configuration: init is their whole life. */
#define STEP_PLUGIN(name_, summary_, init_) \
	{ \
		.magic = MF_PLUGIN_MAGIC, .size = sizeof(struct mf_plugin), .abi_major = MF_ABI_MAJOR, .abi_minor = MF_ABI_MINOR, \
		.name = (name_), .version = "1.0.0", .summary = (summary_), .init = (init_) \
	}

enum mf_status step_from_value(const struct mf_step_type *type, const struct mf_value *data, struct mf_step **out, struct mf_error *error);
enum mf_status step_to_value(const struct mf_step *step, struct mf_value **out);
enum mf_status step_encode(const struct mf_step *step, struct mf_buffer *out);
enum mf_status step_decode(const struct mf_step_type *type, const void *bytes, size_t len, struct mf_step **out, struct mf_error *error);
void step_free(struct mf_step *step);

/* An inverse in the making: slots are zero, to be filled with references that the step then owns. */
enum mf_status step_data_new(const struct step_kind *kind, struct step_data **out, struct mf_error *error);
enum mf_status step_register(struct mf_registrar *registrar, const struct step_kind *const *kinds, size_t count, struct mf_error *error);
enum mf_status step_no_memory(struct mf_error *error);

static inline const struct step_data *step_data_of(const struct mf_step *step)
{
	return (const struct step_data *)step;
}

/* The bytes of a name slot. */
static inline const char *step_name(const union step_slot *slot, size_t *out_len)
{
	*out_len = mf_value_string_bytes(slot->value);
	return mf_value_string_flat(slot->value);
}

/* A test that lets memory run out brings its own allocator. */
#ifndef STEP_CALLOC
#include <stdlib.h>
#define STEP_CALLOC calloc
#define STEP_FREE free
#endif
