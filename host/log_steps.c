#include "host/log_steps.h"

#include <stdio.h>
#include <string.h>

#define TYPES_MAX 8 /* that are named */

static enum mf_status append_text(struct mf_buffer *out, const char *text)
{
	return mf_buffer_append(out, text, strlen(text));
}

/* ---- JSON ---- */
static enum mf_status append_value(struct mf_buffer *out, const struct mf_value *value)
{
	char *json;
	size_t len;
	enum mf_status status = mf_value_to_json(value, &json, &len);
	if (status != MF_OK)
		return status;
	status = mf_buffer_append(out, json, len);
	mf_free(json);
	return status;
}

static enum mf_status append_type(struct mf_buffer *out, const char *type_id)
{
	struct mf_value *name;
	enum mf_status status = mf_value_new_string(type_id, strlen(type_id), &name, NULL);
	if (status != MF_OK)
		return status;
	status = append_value(out, name);
	mf_value_unref(name);
	return status;
}

static enum mf_status append_step(struct mf_buffer *out, const struct mf_step *step)
{
	struct mf_value *data;
	enum mf_status status = step->type->to_value(step, &data);
	if (status != MF_OK)
		return status;
	status = append_text(out, "{\"type_id\":");
	if (status == MF_OK)
		status = append_type(out, step->type->type_id);
	if (status == MF_OK)
		status = append_text(out, ",\"data\":");
	if (status == MF_OK)
		status = append_value(out, data);
	if (status == MF_OK)
		status = append_text(out, "}");
	mf_value_unref(data);
	return status;
}

enum mf_status mf_log_steps_json(const struct mf_transaction *transaction, struct mf_buffer *out)
{
	enum mf_status status = append_text(out, "[");
	for (size_t i = 0; status == MF_OK && i < mf_transaction_step_count(transaction); i++) {
		if (i > 0)
			status = append_text(out, ",");
		if (status == MF_OK)
			status = append_step(out, mf_transaction_step(transaction, i));
	}
	return status == MF_OK ? append_text(out, "]") : status;
}

/* ---- in short ---- */
static const char others[] = "other";

struct tally {
	const char *type_id;
	size_t count;
};

/* The last place is for all types that have none of their own. */
static size_t count_types(const struct mf_transaction *transaction, struct tally tallies[TYPES_MAX + 1])
{
	size_t types = 0;
	for (size_t i = 0; i < mf_transaction_step_count(transaction); i++) {
		const char *type_id = mf_transaction_step(transaction, i)->type->type_id;
		size_t at = 0;
		while (at < types && strcmp(tallies[at].type_id, type_id) != 0)
			at++;
		at = at < TYPES_MAX ? at : TYPES_MAX;
		if (at == types)
			tallies[types++] = (struct tally){.type_id = at < TYPES_MAX ? type_id : others};
		tallies[at].count++;
	}
	return types;
}

enum mf_status mf_log_summarise(const struct mf_transaction *transaction, struct mf_buffer *out)
{
	struct tally tallies[TYPES_MAX + 1];
	size_t types = count_types(transaction, tallies);
	enum mf_status status = MF_OK;
	for (size_t i = 0; status == MF_OK && i < types; i++) {
		char count[32] = "";
		if (tallies[i].count > 1)
			snprintf(count, sizeof(count), "(%zu)", tallies[i].count);
		status = i > 0 ? append_text(out, ", ") : MF_OK;
		if (status == MF_OK)
			status = append_text(out, tallies[i].type_id);
		if (status == MF_OK)
			status = append_text(out, count);
	}
	return status == MF_OK ? mf_buffer_append(out, "", 1) : status;
}
