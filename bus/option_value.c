#include "bus/option_value.h"

#include <inttypes.h>
#include <string.h>

#include "bus/option_table.h"
#include "model/mem.h"

#define STRING_MAX 65536

typedef enum mf_status reader(struct mf_option_value *out, const struct mf_option *option, const struct mf_value *json,
			      const struct mf_json_place *place, struct mf_error *error);

static enum mf_status read_bool(struct mf_option_value *out, const struct mf_option *option, const struct mf_value *json,
				const struct mf_json_place *place, struct mf_error *error)
{
	(void)option;
	enum mf_status status = mf_json_place_expect(place, json, MF_VALUE_BOOL, error);
	if (status == MF_OK)
		out->boolean = mf_value_as_bool(json);
	return status;
}

static enum mf_status read_int(struct mf_option_value *out, const struct mf_option *option, const struct mf_value *json,
			       const struct mf_json_place *place, struct mf_error *error)
{
	enum mf_status status = mf_json_place_expect(place, json, MF_VALUE_INT, error);
	if (status != MF_OK)
		return status;
	int64_t value = mf_value_as_int(json);
	bool outside = mf_option_is_limited(option) && (value < option->min || value > option->max);
	if (outside && option->secret)
		return mf_json_place_error(place, error, "is out of range: must be %" PRId64 " to %" PRId64, option->min, option->max);
	if (outside)
		return mf_json_place_error(place, error, "is %" PRId64 ", must be %" PRId64 " to %" PRId64, value, option->min, option->max);
	out->integer = value;
	return MF_OK;
}

static enum mf_status read_double(struct mf_option_value *out, const struct mf_option *option, const struct mf_value *json,
				  const struct mf_json_place *place, struct mf_error *error)
{
	(void)option;
	enum mf_value_kind kind = mf_value_kind(json);
	if (kind != MF_VALUE_INT && kind != MF_VALUE_DOUBLE)
		return mf_json_place_error(place, error, "must be a number, is %s", mf_value_kind_name(kind));
	out->real = kind == MF_VALUE_INT ? (double)mf_value_as_int(json) : mf_value_as_double(json);
	return MF_OK;
}

static enum mf_status read_string(struct mf_option_value *out, const struct mf_option *option, const struct mf_value *json,
				  const struct mf_json_place *place, struct mf_error *error)
{
	struct mf_error given = {0};
	char *text = mf_json_place_string(place, json, STRING_MAX, &given);
	if (!text) {
		if (error)
			*error = given;
		return given.status;
	}
	if (option->type == MF_OPTION_ENUM && !mf_option_has_choice(option, text)) {
		enum mf_status status = option->secret ? mf_json_place_error(place, error, "must be one of %s", option->choices)
						       : mf_json_place_error(place, error, "is \"%.*s\", must be one of %s", mf_text_cut(text, 64), text, option->choices);
		mf_free(text);
		return status;
	}
	out->text = text;
	return MF_OK;
}

/* The one member of an object, entering *place; NULL with the error set. */
static const struct mf_value *only_member(const struct mf_value *object, const char *name, struct mf_json_place *place, struct mf_error *error)
{
	if (mf_json_place_expect(place, object, MF_VALUE_OBJECT, error) != MF_OK)
		return NULL;
	const struct mf_value *member = mf_value_get(object, name);
	if (!member || mf_value_count(object) != 1) {
		(void)mf_json_place_error(place, error, "must have exactly one member, \"%s\"", name);
		return NULL;
	}
	*place = mf_json_place_member(place, name);
	return member;
}

static enum mf_status read_async(struct mf_option_value *out, const struct mf_value *json, const struct mf_json_place *place, struct mf_error *error)
{
	struct mf_json_place at = *place;
	const struct mf_value *window = only_member(json, "async_durable", &at, error);
	if (window)
		window = only_member(window, "group_window_ms", &at, error);
	if (!window)
		return MF_ERR_INVALID;
	const struct mf_option limits = {.name = "group_window_ms", .type = MF_OPTION_INT, .min = 0, .max = MF_GROUP_WINDOW_MS_MAX};
	enum mf_status status = read_int(out, &limits, window, &at, error);
	if (status == MF_OK)
		out->kind = MF_COMMIT_ASYNC_DURABLE;
	return status;
}

static enum mf_status read_commit_mode(struct mf_option_value *out, const struct mf_option *option, const struct mf_value *json,
				       const struct mf_json_place *place, struct mf_error *error)
{
	(void)option;
	if (mf_value_kind(json) == MF_VALUE_OBJECT)
		return read_async(out, json, place, error);
	const char *text = mf_value_kind(json) == MF_VALUE_STRING ? mf_value_string_flat(json) : NULL;
	if (text && strcmp(text, "memory_only") == 0)
		out->kind = MF_COMMIT_MEMORY_ONLY;
	else if (text && strcmp(text, "sync_durable") == 0)
		out->kind = MF_COMMIT_SYNC_DURABLE;
	else
		return mf_json_place_error(place, error, "must be \"memory_only\", \"sync_durable\", or {\"async_durable\": {\"group_window_ms\": N}}");
	return MF_OK;
}

static reader *reader_of(enum mf_option_type type)
{
	switch (type) {
	case MF_OPTION_BOOL: return read_bool;
	case MF_OPTION_INT: return read_int;
	case MF_OPTION_DOUBLE: return read_double;
	case MF_OPTION_STRING:
	case MF_OPTION_ENUM: return read_string;
	case MF_OPTION_COMMIT_MODE: return read_commit_mode;
	}
	return NULL; /* the table was checked */
}

enum mf_status mf_option_value_read(struct mf_option_value *out, const struct mf_option *option, const struct mf_value *json,
				    const struct mf_json_place *place, struct mf_error *error)
{
	struct mf_option_value value = {.is_set = true};
	enum mf_status status = reader_of(option->type)(&value, option, json, place, error);
	if (status != MF_OK)
		return status;
	mf_option_value_deinit(out);
	*out = value;
	return MF_OK;
}

/* Strings stand in a table without quotes; "{" begins the long form of a commit mode. */
static enum mf_status default_as_json(const struct mf_option *option, struct mf_value **out, struct mf_error *error)
{
	const char *text = option->default_text;
	bool plain = option->type == MF_OPTION_STRING || option->type == MF_OPTION_ENUM ||
		     (option->type == MF_OPTION_COMMIT_MODE && text[0] != '{');
	if (plain)
		return mf_value_new_string(text, strlen(text), out, error);
	return mf_value_parse_json(text, strlen(text), out, error);
}

enum mf_status mf_option_value_read_default(struct mf_option_value *out, const struct mf_option *option, struct mf_error *error)
{
	const struct mf_json_place place = {.file = "its default"};
	struct mf_error given = {0};
	struct mf_value *json = NULL;
	enum mf_status status = default_as_json(option, &json, &given);
	if (status == MF_OK) {
		status = mf_option_value_read(out, option, json, &place, &given);
		mf_value_unref(json);
	}
	if (status == MF_OK)
		return MF_OK;
	if (status == MF_ERR_NO_MEMORY)
		return mf_error_set(error, status, "no memory for the option %s", option->name);
	return mf_error_set(error, MF_ERR_PLUGIN, "option %s is declared wrongly: %s", option->name, option->secret ? "its default does not fit" : given.message);
}

void mf_option_value_deinit(struct mf_option_value *value)
{
	mf_free(value->text);
	*value = (struct mf_option_value){0};
}
