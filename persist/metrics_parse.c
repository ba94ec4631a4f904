/* metrics_parse.c - the counters of a JSON report, read back: what the writing process left beside its store. */
#include "persist/metrics_fields.h"

#include <string.h>

#include "persist/metrics.h"
#include <moduforge/value.h>

/* A whole number that is there and not negative, else 0. */
static uint64_t number_of(const struct mf_value *object, const char *name)
{
	const struct mf_value *value = mf_value_get(object, name);
	if (!value || mf_value_kind(value) != MF_VALUE_INT || mf_value_as_int(value) < 0)
		return 0;
	return (uint64_t)mf_value_as_int(value);
}

static const struct mf_value *object_of(const struct mf_value *object, const char *name)
{
	const struct mf_value *value = mf_value_get(object, name);
	return value && mf_value_kind(value) == MF_VALUE_OBJECT ? value : NULL;
}

static void read_distribution(const struct mf_value *object, struct mf_distribution *out)
{
	if (!object)
		return;
	*out = (struct mf_distribution){
		.count = number_of(object, "count"),
		.sum = number_of(object, "sum"),
		.p50 = number_of(object, "p50"),
		.p90 = number_of(object, "p90"),
		.p99 = number_of(object, "p99"),
		.p999 = number_of(object, "p999"),
		.max = number_of(object, "max"),
	};
}

static void read_field(const struct mf_value *object, const struct mf_metrics_field *field, struct mf_metrics *out)
{
	const struct mf_value *errors = field->kind == MF_FIELD_ERRORS ? object_of(object, field->name) : NULL;
	if (field->kind == MF_FIELD_SIZES || field->kind == MF_FIELD_LATENCIES)
		read_distribution(object_of(object, field->name), mf_metrics_distribution(out, field));
	else if (field->kind != MF_FIELD_ERRORS)
		*mf_metrics_number(out, field) = number_of(object, field->name);
	for (int i = 1; errors && i < MF_STATUS_COUNT; i++)
		mf_metrics_number(out, field)[i] = number_of(errors, mf_status_name((enum mf_status)i));
}

enum mf_status mf_metrics_parse(const char *json, size_t len, struct mf_metrics *out, struct mf_error *error)
{
	struct mf_value *object;
	struct mf_metrics read = {.size = sizeof(read), .source = MF_METRICS_SAVED};
	enum mf_status status = mf_value_parse_json(json, len, &object, error);
	if (status != MF_OK)
		return status;
	if (mf_value_kind(object) != MF_VALUE_OBJECT || !mf_value_get(object, "taken_us"))
		status = mf_error_set(error, MF_ERR_INVALID, "this is no report of metrics");
	if (status == MF_OK) {
		read.taken_us = (int64_t)number_of(object, "taken_us");
		read.opened_us = (int64_t)number_of(object, "opened_us");
		for (const struct mf_metrics_field *field = mf_metrics_fields; field->name; field++)
			read_field(object, field, &read);
		mf_metrics_derive(&read);
		status = mf_metrics_give(&read, out, error);
	}
	mf_value_unref(object);
	return status;
}
