#include "tests/fuzz/number_fields.h"

#include <stdlib.h>

#include <moduforge/pack.h>

#include "tests/fuzz/target.h"

static enum mf_status make(int64_t number, void **out_value)
{
	int64_t *value = malloc(sizeof(*value));
	if (!value)
		return MF_ERR_NO_MEMORY;
	*value = number;
	*out_value = value;
	return MF_OK;
}

static enum mf_status init(const struct mf_state_field *field, const struct mf_doc *doc, void **out_value, struct mf_error *error)
{
	(void)field, (void)error;
	return make((int64_t)mf_doc_node_count(doc), out_value);
}

static enum mf_status apply(const struct mf_state_field *field, const struct mf_field_change *change, const void *old_value, void **out_value, struct mf_error *error)
{
	(void)field, (void)error;
	return make(*(const int64_t *)old_value + (int64_t)mf_transaction_step_count(change->transaction), out_value);
}

static enum mf_status encode(const struct mf_state_field *field, const void *value, struct mf_buffer *out)
{
	(void)field;
	return mf_pack_int(out, *(const int64_t *)value);
}

static enum mf_status decode(const struct mf_state_field *field, uint32_t version, const void *bytes, size_t len, void **out_value, struct mf_error *error)
{
	struct mf_unpack in = {bytes, (const unsigned char *)bytes + len};
	int64_t number;
	(void)field, (void)version;
	if (mf_unpack_int(&in, &number) != MF_OK || in.at != in.end)
		return mf_error_set(error, MF_ERR_CORRUPTED, "no number");
	return make(number, out_value);
}

static void free_value(const struct mf_state_field *field, void *value)
{
	(void)field;
	free(value);
}

#define NUMBER_FIELD(name, newest) \
	{.size = sizeof(struct mf_state_field), .key = (name), .version = (newest), .oldest_version = 1, \
	 .init = init, .apply = apply, .encode = encode, .decode = decode, .free = free_value}
static const struct mf_state_field fields[] = {NUMBER_FIELD("a", 1), NUMBER_FIELD("long name", 300)};

const struct mf_step_registry *fuzz_fields(void)
{
	static struct mf_step_registry *registry;
	if (registry)
		return registry;
	fuzz_expect(mf_step_registry_new(&registry), MF_OK, MF_OK);
	for (size_t i = 0; i < sizeof(fields) / sizeof(*fields); i++)
		fuzz_expect(mf_step_registry_add_field(registry, &fields[i], NULL), MF_OK, MF_OK);
	mf_step_registry_freeze(registry);
	return registry;
}
