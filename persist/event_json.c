/* event_json.c - a stored event as one line of JSON, for people, logs and other programs. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "model/json_write.h"
#include <moduforge/persist.h>
#include <moduforge/value.h>

static enum mf_status append(void *out, const void *bytes, size_t len)
{
	return mf_buffer_append(out, bytes, len);
}

/* ---- members: each begins with its comma and key ---- */
static void put_text(struct mf_json_writer *json, const char *key, const char *text)
{
	mf_json_raw(json, key, strlen(key));
	if (text)
		mf_json_string(json, text, strlen(text));
	else
		mf_json_literal(json, "null");
}

static void put_int(struct mf_json_writer *json, const char *key, int64_t value)
{
	char text[24];
	int len = snprintf(text, sizeof(text), "%" PRId64, value);
	mf_json_raw(json, key, strlen(key));
	mf_json_raw(json, text, (size_t)len);
}

static void put_time(struct mf_json_writer *json, int64_t us)
{
	int64_t fraction = us % 1000000;
	if (fraction < 0)
		fraction += 1000000;
	time_t seconds = (time_t)(us / 1000000 - (us % 1000000 < 0));
	struct tm utc;
	char text[80];
	(void)gmtime_r(&seconds, &utc); /* microseconds in 64 bits end long before its years do */
	snprintf(text, sizeof(text), "%04d-%02d-%02dT%02d:%02d:%02d.%06dZ", utc.tm_year + 1900, utc.tm_mon + 1, utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec, (int)fraction);
	put_text(json, ",\"time\":", text);
}

static const char *action_name(enum mf_action action)
{
	switch (action) {
	case MF_ACTION_APPLY: return "apply";
	case MF_ACTION_UNDO: return "undo";
	case MF_ACTION_REDO: return "redo";
	}
	return "unknown";
}

/* ---- steps ---- */
static enum mf_status put_step(struct mf_json_writer *json, const struct mf_step *step)
{
	struct mf_value *data;
	enum mf_status status = step->type->to_value(step, &data);
	if (status != MF_OK)
		return status;
	put_text(json, "{\"type_id\":", step->type->type_id);
	mf_json_literal(json, ",\"data\":");
	mf_json_value(json, data);
	mf_json_literal(json, "}");
	mf_value_unref(data);
	return MF_OK;
}

static enum mf_status put_steps(struct mf_json_writer *json, const struct mf_transaction *transaction)
{
	enum mf_status status = MF_OK;
	mf_json_literal(json, ",\"steps\":[");
	for (size_t i = 0; status == MF_OK && i < mf_transaction_step_count(transaction); i++) {
		if (i > 0)
			mf_json_literal(json, ",");
		status = put_step(json, mf_transaction_step(transaction, i));
	}
	mf_json_literal(json, "]");
	return status;
}

static void put_payload(struct mf_json_writer *json, const struct mf_event *event)
{
	static const char digits[] = "0123456789abcdef";
	mf_json_literal(json, ",\"steps\":null,\"payload\":\"");
	for (size_t i = 0; i < event->payload_len; i++) {
		const char hex[2] = {digits[event->payload[i] >> 4], digits[event->payload[i] & 15]};
		mf_json_raw(json, hex, sizeof(hex));
	}
	mf_json_literal(json, "\"");
}

enum mf_status mf_event_to_json(const struct mf_event *event, const struct mf_transaction *transaction, struct mf_buffer *out, struct mf_error *error)
{
	struct mf_json_writer json;
	size_t before = out->len;
	mf_json_begin(&json, append, out);
	put_int(&json, "{\"lsn\":", event->lsn);
	put_int(&json, ",\"epoch\":", event->epoch);
	put_text(&json, ",\"doc\":", event->doc_id);
	put_text(&json, ",\"key\":", event->idempotency_key);
	put_int(&json, ",\"tr_id\":", (int64_t)event->tr_id);
	put_time(&json, event->ts_us);
	put_int(&json, ",\"ts_us\":", event->ts_us);
	put_text(&json, ",\"actor\":", event->actor);
	put_text(&json, ",\"action\":", action_name(event->action));
	put_int(&json, ",\"source_lsn\":", event->source_lsn);
	mf_json_literal(&json, ",\"meta\":");
	mf_json_raw(&json, event->meta, event->meta_len);
	enum mf_status status = MF_OK;
	if (transaction)
		status = put_steps(&json, transaction);
	else
		put_payload(&json, event);
	mf_json_literal(&json, "}");
	enum mf_status written = mf_json_finish(&json);
	if (status == MF_OK)
		status = written;
	if (status == MF_OK)
		return MF_OK;
	out->len = before;
	return mf_error_set(error, status, "LSN %lld could not be written as JSON (%s)", (long long)event->lsn, mf_status_name(status));
}
