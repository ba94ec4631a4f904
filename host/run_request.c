#include "host/run_request.h"

#include <string.h>

/* The members of a line, and with which operations each goes. */
static const struct member {
	const char *name;
	unsigned ops;
} members[] = {
	{"doc", MF_RUN_APPLY | MF_RUN_UNDO | MF_RUN_REDO | MF_RUN_SNAPSHOT | MF_RUN_COMPACT},
	{"key", MF_RUN_APPLY | MF_RUN_UNDO | MF_RUN_REDO},
	{"actor", MF_RUN_APPLY | MF_RUN_UNDO | MF_RUN_REDO},
	{"meta", MF_RUN_APPLY | MF_RUN_UNDO | MF_RUN_REDO},
	{"expect", MF_RUN_APPLY | MF_RUN_UNDO | MF_RUN_REDO},
	{"steps", MF_RUN_APPLY},
	{"op", MF_RUN_UNDO | MF_RUN_REDO | MF_RUN_SNAPSHOT | MF_RUN_COMPACT},
};
static const struct op {
	const char *name;
	enum mf_run_op op;
} ops[] = {{"undo", MF_RUN_UNDO}, {"redo", MF_RUN_REDO}, {"snapshot", MF_RUN_SNAPSHOT}, {"compact", MF_RUN_COMPACT}};
#define COUNT(list) (sizeof(list) / sizeof(*(list)))

/* ---- small values ---- */
/* A string of 1 to MF_ID_MAX bytes without U+0000. */
static enum mf_status read_text(const struct mf_value *value, const char *name, char out[MF_ID_MAX + 1], struct mf_error *error)
{
	if (mf_value_kind(value) != MF_VALUE_STRING)
		return mf_error_set(error, MF_ERR_INVALID, "/%s must be a string", name);
	size_t len = mf_value_string_bytes(value);
	if (len == 0 || len > MF_ID_MAX)
		return mf_error_set(error, MF_ERR_INVALID, "/%s is %zu bytes long, it must be 1 to %d", name, len, MF_ID_MAX);
	char text[MF_ID_MAX + 1];
	mf_value_string_copy(value, 0, len, text);
	text[len] = '\0';
	if (strlen(text) != len)
		return mf_error_set(error, MF_ERR_INVALID, "/%s contains the character U+0000", name);
	memcpy(out, text, len + 1);
	return MF_OK;
}

static enum mf_status read_doc(const struct mf_value *line, const char *default_doc, char out[MF_ID_MAX + 1], struct mf_error *error)
{
	const struct mf_value *value = mf_value_get(line, "doc");
	if (value)
		return read_text(value, "doc", out, error);
	size_t len = strlen(default_doc);
	if (len > MF_ID_MAX)
		return mf_error_set(error, MF_ERR_INVALID, "/doc is missing, and default_doc_id of the configuration is too long");
	memcpy(out, default_doc, len + 1);
	return MF_OK;
}

static enum mf_status read_op(const struct mf_value *line, enum mf_run_op *out, struct mf_error *error)
{
	char name[MF_ID_MAX + 1];
	const struct mf_value *value = mf_value_get(line, "op");
	*out = MF_RUN_APPLY;
	if (!value)
		return MF_OK;
	enum mf_status status = read_text(value, "op", name, error);
	if (status != MF_OK)
		return status;
	for (size_t i = 0; i < COUNT(ops); i++) {
		if (strcmp(ops[i].name, name) == 0) {
			*out = ops[i].op;
			return MF_OK;
		}
	}
	return mf_error_set(error, MF_ERR_INVALID, "/op '%.64s' is none of: undo, redo, snapshot, compact", name);
}

static enum mf_status check_members(const struct mf_value *line, enum mf_run_op op, struct mf_error *error)
{
	for (size_t i = 0; i < mf_value_count(line); i++) {
		const char *key;
		size_t known = 0;
		mf_value_member(line, i, &key, NULL);
		while (known < COUNT(members) && strcmp(members[known].name, key) != 0)
			known++;
		if (known == COUNT(members))
			return mf_error_set(error, MF_ERR_INVALID, "/%.64s: no such member; there are doc, key, actor, meta, steps, expect, op", key);
		if (!(members[known].ops & op))
			return mf_error_set(error, MF_ERR_INVALID, "/%s does not go with this op", key);
	}
	return MF_OK;
}

/* ---- the transaction ---- */
static enum mf_status set_fields(struct mf_transaction *transaction, const struct mf_value *line, struct mf_error *error)
{
	char text[MF_ID_MAX + 1];
	const struct mf_value *key = mf_value_get(line, "key"), *actor = mf_value_get(line, "actor");
	const struct mf_value *expect = mf_value_get(line, "expect"), *meta = mf_value_get(line, "meta");
	enum mf_status status = MF_OK;
	if (key) {
		status = read_text(key, "key", text, error);
		if (status == MF_OK)
			status = mf_transaction_set_key(transaction, text, error);
	}
	if (status == MF_OK && actor) {
		status = read_text(actor, "actor", text, error);
		if (status == MF_OK)
			status = mf_transaction_set_actor(transaction, text, error);
	}
	if (status == MF_OK && expect) {
		if (mf_value_kind(expect) != MF_VALUE_INT || mf_value_as_int(expect) < 0)
			return mf_error_set(error, MF_ERR_INVALID, "/expect must be an LSN: a whole number from 0 on");
		mf_transaction_set_expect(transaction, mf_value_as_int(expect));
	}
	if (status == MF_OK && meta && mf_value_depth(meta) > MF_DEPTH_MAX)
		return mf_error_set(error, MF_ERR_INVALID, "/meta is nested more than %d deep", MF_DEPTH_MAX);
	mf_transaction_set_meta(transaction, meta);
	return status;
}

static enum mf_status make_step(const struct mf_value *value, const struct mf_step_registry *steps, struct mf_step **out, struct mf_error *error)
{
	char type_id[MF_ID_MAX + 1];
	if (mf_value_kind(value) != MF_VALUE_OBJECT)
		return mf_error_set(error, MF_ERR_INVALID, "must be an object");
	const struct mf_value *type = mf_value_get(value, "type_id"), *data = mf_value_get(value, "data");
	if (!type || !data || mf_value_count(value) != 2)
		return mf_error_set(error, MF_ERR_INVALID, "must have the members type_id and data, and no other");
	enum mf_status status = read_text(type, "type_id", type_id, error);
	return status == MF_OK ? mf_step_registry_create(steps, type_id, strlen(type_id), data, out, error) : status;
}

static enum mf_status add_steps(struct mf_transaction *transaction, const struct mf_value *list, const struct mf_step_registry *steps, struct mf_error *error)
{
	if (!list || mf_value_kind(list) != MF_VALUE_ARRAY || mf_value_count(list) == 0)
		return mf_error_set(error, MF_ERR_INVALID, "/steps must be an array of at least one step");
	for (size_t i = 0; i < mf_value_count(list); i++) {
		struct mf_step *step = NULL;
		enum mf_status status = make_step(mf_value_item(list, i), steps, &step, error);
		if (status != MF_OK) {
			mf_error_prefix(error, status, "/steps/%zu", i);
			return status;
		}
		status = mf_transaction_add(transaction, step);
		mf_step_unref(step);
		if (status != MF_OK)
			return mf_error_set(error, status, "/steps/%zu: out of memory", i);
	}
	return MF_OK;
}

static enum mf_status read_line(const struct mf_value *line, const struct mf_step_registry *steps, const char *default_doc,
				struct mf_run_request *out, struct mf_error *error)
{
	if (mf_value_kind(line) != MF_VALUE_OBJECT)
		return mf_error_set(error, MF_ERR_INVALID, "the line is not a JSON object");
	enum mf_status status = read_doc(line, default_doc, out->doc, error);
	if (status == MF_OK)
		status = read_op(line, &out->op, error);
	if (status == MF_OK)
		status = check_members(line, out->op, error);
	if (status != MF_OK || out->op == MF_RUN_SNAPSHOT || out->op == MF_RUN_COMPACT)
		return status;
	if (mf_transaction_new(&out->transaction) != MF_OK)
		return mf_error_set(error, MF_ERR_NO_MEMORY, "no memory for the transaction");
	status = set_fields(out->transaction, line, error);
	if (status == MF_OK && out->op == MF_RUN_APPLY)
		status = add_steps(out->transaction, mf_value_get(line, "steps"), steps, error);
	if (status != MF_OK) {
		mf_transaction_free(out->transaction);
		out->transaction = NULL;
	}
	return status;
}

/* The text was one line: its number within itself would be taken for the line of the input. */
static void forget_line(struct mf_error *error)
{
	static const char before[] = "JSON line 1, ", after[] = "JSON ";
	if (strncmp(error->message, before, strlen(before)) != 0)
		return;
	const char *rest = error->message + strlen(before);
	memmove(error->message + strlen(after), rest, strlen(rest) + 1);
}

enum mf_status mf_run_parse(const char *line, size_t len, const struct mf_step_registry *steps, const char *default_doc,
			    struct mf_run_request *out, struct mf_error *error)
{
	struct mf_value *value;
	struct mf_error unread;
	mf_error_clear(&unread);
	error = error ? error : &unread;
	out->op = MF_RUN_APPLY;
	out->doc[0] = '\0';
	out->transaction = NULL;
	enum mf_status status = mf_value_parse_json(line, len, &value, error);
	if (status != MF_OK) {
		forget_line(error);
		return status;
	}
	status = read_line(value, steps, default_doc, out, error);
	mf_value_unref(value);
	return status;
}
