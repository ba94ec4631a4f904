/* word_count.c - a complete plugin in one file: a step type of its own, a state field and a guard.
 *
 * Step "count_words" {"id": ID} stores the number of words in a node's text as its attribute "words".
 * Field "word_count.counts" says how many such steps the document has seen, ever: no document can tell that.
 * The guard refuses a transaction of more than max_steps steps, and counts beyond max_counts (options). */
#include <stdlib.h>
#include <string.h>

#include <moduforge/pack.h>
#include <moduforge/plugin.h>

/* ---- the step ---- */
struct count_step {
	struct mf_step step; /* first */
	size_t id_len;
	char id[];
};

static enum mf_status make(const struct mf_step_type *type, const char *id, size_t id_len, struct mf_step **out)
{
	struct count_step *count = malloc(sizeof(*count) + id_len + 1);
	if (!count)
		return MF_ERR_NO_MEMORY;
	mf_step_init(&count->step, type);
	count->id_len = id_len;
	memcpy(count->id, id, id_len);
	count->id[id_len] = '\0';
	*out = &count->step;
	return MF_OK;
}

static enum mf_status from_value(const struct mf_step_type *type, const struct mf_value *data, struct mf_step **out, struct mf_error *error)
{
	const struct mf_value *id = mf_value_kind(data) == MF_VALUE_OBJECT ? mf_value_get(data, "id") : NULL;
	const char *bytes = id && mf_value_kind(id) == MF_VALUE_STRING ? mf_value_string_flat(id) : NULL;
	if (!bytes || mf_value_count(data) != 1)
		return mf_error_set(error, MF_ERR_INVALID, "count_words takes one member, \"id\", a string");
	return make(type, bytes, mf_value_string_bytes(id), out);
}

static enum mf_status to_value(const struct mf_step *step, struct mf_value **out)
{
	const struct count_step *count = (const struct count_step *)step;
	struct mf_member member = {.key = "id", .key_len = 2};
	enum mf_status status = mf_value_new_string(count->id, count->id_len, &member.value, NULL);
	return status == MF_OK ? mf_value_new_object_take(&member, 1, out, NULL) : status;
}

static enum mf_status encode(const struct mf_step *step, struct mf_buffer *out)
{
	const struct count_step *count = (const struct count_step *)step;
	return mf_buffer_append(out, count->id, count->id_len);
}

static enum mf_status decode(const struct mf_step_type *type, const void *bytes, size_t len, struct mf_step **out, struct mf_error *error)
{
	if (len == 0 || len > MF_ID_MAX)
		return mf_error_set(error, MF_ERR_CORRUPTED, "count_words: an id of %zu bytes", len);
	return make(type, bytes, len, out);
}

struct counter {
	int64_t words;
	bool inside; /* a word */
};

static bool count_piece(void *user, const char *bytes, size_t len)
{
	struct counter *counter = user;
	for (size_t i = 0; i < len; i++) {
		bool letter = !strchr(" \t\n", bytes[i]) || bytes[i] == '\0';
		counter->words += letter && !counter->inside;
		counter->inside = letter;
	}
	return true;
}

/* The inverse of setting an attribute is setting it back: the built-in update_attrs would do, but a step
 * that counts again is not exact when there was no "words" before. So the inverse is an update_attrs step,
 * made through the registry that init kept. */
static const struct mf_step_registry *steps;

static enum mf_status make_inverse(const struct count_step *count, struct mf_value *old, struct mf_step **out, struct mf_error *error)
{
	struct mf_value *id = NULL, *change = NULL, *data = NULL, *key = NULL;
	enum mf_status status = mf_value_new_string(count->id, count->id_len, &id, error);
	if (status != MF_OK)
		goto out;
	if (old) {
		struct mf_member words = {.key = "words", .key_len = 5, .value = mf_value_ref(old)};
		status = mf_value_new_object_take(&words, 1, &change, error);
	} else {
		status = mf_value_new_string("words", 5, &key, error);
		if (status == MF_OK)
			status = mf_value_new_array_take(&key, 1, &change, error);
	}
	if (status != MF_OK)
		goto out;
	struct mf_member members[2] = {
		{.key = "id", .key_len = 2, .value = mf_value_ref(id)},
		{.key = old ? "set" : "unset", .key_len = old ? 3 : 5, .value = mf_value_ref(change)},
	};
	status = mf_value_new_object_take(members, 2, &data, error);
	if (status == MF_OK)
		status = mf_step_registry_create(steps, "update_attrs", strlen("update_attrs"), data, out, error);
out:
	mf_value_unref(id);
	mf_value_unref(change);
	mf_value_unref(data);
	return status;
}

static enum mf_status apply(const struct mf_step *step, struct mf_edit *edit, struct mf_step **out_inverse, struct mf_error *error)
{
	const struct count_step *count = (const struct count_step *)step;
	const struct mf_node *node = mf_doc_find(mf_edit_doc(edit), count->id, count->id_len);
	const struct mf_value *text = node ? mf_node_attr(node, "text", 4) : NULL;
	if (!text || mf_value_kind(text) != MF_VALUE_STRING)
		return mf_error_set(error, MF_ERR_INVALID, "node \"%s\" has no text", count->id);
	struct counter counter = {0, false};
	mf_value_string_pieces(text, count_piece, &counter);
	struct mf_value *words = NULL, *old = NULL;
	enum mf_status status = mf_value_new_int(counter.words, &words);
	if (status == MF_OK)
		status = mf_edit_set_attr(edit, count->id, count->id_len, "words", 5, words, &old, error);
	if (status == MF_OK)
		status = make_inverse(count, old, out_inverse, error);
	mf_value_unref(words);
	mf_value_unref(old);
	return status;
}

static void free_step(struct mf_step *step)
{
	free(step);
}

static const struct mf_step_type count_words = {
	.size = sizeof(struct mf_step_type),
	.type_id = "count_words",
	.version = 1,
	.from_value = from_value,
	.to_value = to_value,
	.encode = encode,
	.decode = decode,
	.apply = apply,
	.free = free_step,
};

/* ---- the field: its value is a number that lies in memory of its own and never changes ---- */
#define COUNTS "word_count.counts"

static enum mf_status new_counts(int64_t counts, void **out_value)
{
	int64_t *value = malloc(sizeof(*value));
	if (!value)
		return MF_ERR_NO_MEMORY;
	*value = counts;
	*out_value = value;
	return MF_OK;
}

static enum mf_status begin_counts(const struct mf_state_field *field, const struct mf_doc *doc, void **out_value, struct mf_error *error)
{
	(void)field, (void)doc, (void)error;
	return new_counts(0, out_value);
}

static enum mf_status follow_counts(const struct mf_state_field *field, const struct mf_field_change *change, const void *old_value,
				    void **out_value, struct mf_error *error)
{
	(void)field, (void)error;
	int64_t more = 0;
	for (size_t i = 0; i < mf_transaction_step_count(change->transaction); i++)
		more += mf_transaction_step(change->transaction, i)->type == &count_words;
	if (more > 0)
		return new_counts(*(const int64_t *)old_value + more, out_value);
	*out_value = (void *)old_value; /* nothing changed: the states share it */
	return MF_OK;
}

static enum mf_status encode_counts(const struct mf_state_field *field, const void *value, struct mf_buffer *out)
{
	(void)field;
	return mf_pack_int(out, *(const int64_t *)value);
}

static enum mf_status decode_counts(const struct mf_state_field *field, uint32_t version, const void *bytes, size_t len, void **out_value, struct mf_error *error)
{
	(void)field, (void)version;
	struct mf_unpack in = {bytes, (const unsigned char *)bytes + len};
	int64_t counts;
	enum mf_status status = mf_unpack_int(&in, &counts);
	if (status != MF_OK || counts < 0 || in.at != in.end)
		return mf_error_set(error, MF_ERR_CORRUPTED, "%zu bytes that are no number of counts", len);
	return new_counts(counts, out_value);
}

static void free_counts(const struct mf_state_field *field, void *value)
{
	(void)field;
	free(value);
}

static const struct mf_state_field counts_field = {
	.size = sizeof(struct mf_state_field),
	.key = COUNTS,
	.version = 1,
	.oldest_version = 1,
	.init = begin_counts,
	.apply = follow_counts,
	.encode = encode_counts,
	.decode = decode_counts,
	.free = free_counts,
};

/* ---- the guard ---- */
struct word_count {
	int64_t max_steps, max_counts;
};

static enum mf_status refuse_too_much(void *user, const struct mf_proposal *proposal, struct mf_error *error)
{
	const struct word_count *self = user;
	size_t count = mf_transaction_step_count(proposal->transaction);
	if (count > (size_t)self->max_steps)
		return mf_error_set(error, MF_ERR_INVALID, "%zu steps in one transaction, at most %lld are allowed", count, (long long)self->max_steps);
	const int64_t *before = mf_state_field_value(proposal->old_state, COUNTS), *after = mf_state_field_value(proposal->new_state, COUNTS);
	if (self->max_counts > 0 && *after > *before && *after > self->max_counts)
		return mf_error_set(error, MF_ERR_INVALID, "the words of this document were counted %lld times, at most %lld are allowed", (long long)*before, (long long)self->max_counts);
	return MF_OK;
}

/* ---- the plugin ---- */
static const struct mf_option options[] = {
	{.name = "max_steps", .type = MF_OPTION_INT, .default_text = "1000", .min = 1, .max = 1000000, .help = "most steps that one transaction may have"},
	{.name = "max_counts", .type = MF_OPTION_INT, .default_text = "0", .min = 0, .max = 1000000, .help = "how often the words of one document may be counted; 0 = any number"},
	{.name = NULL},
};
static const char *const needs[] = {"node_steps", NULL};

static enum mf_status create(const struct mf_config *config, void **out_instance, struct mf_error *error)
{
	struct word_count *self = malloc(sizeof(*self));
	if (!self)
		return mf_error_set(error, MF_ERR_NO_MEMORY, "out of memory");
	self->max_steps = mf_config_int(config, "max_steps");
	self->max_counts = mf_config_int(config, "max_counts");
	*out_instance = self;
	return MF_OK;
}

static enum mf_status init(void *instance, struct mf_registrar *registrar, struct mf_error *error)
{
	steps = mf_registrar_steps(registrar);
	enum mf_status status = mf_register_step_type(registrar, &count_words, error);
	if (status == MF_OK)
		status = mf_register_state_field(registrar, &counts_field, error);
	return status == MF_OK ? mf_register_guard(registrar, refuse_too_much, instance, error) : status;
}

static const struct mf_plugin plugin = {
	.magic = MF_PLUGIN_MAGIC,
	.size = sizeof(struct mf_plugin),
	.abi_major = MF_ABI_MAJOR,
	.abi_minor = MF_ABI_MINOR,
	.name = "word_count",
	.version = "1.0.0",
	.summary = "counts the words of a node's text, and limits how often, and the steps of a transaction",
	.options = options,
	.requires_plugins = needs,
	.create = create,
	.init = init,
	.destroy = free,
};

MF_PLUGIN_EXPORT const struct mf_plugin *moduforge_plugin(void)
{
	return &plugin;
}
