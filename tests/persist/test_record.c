/* Events as bytes and back: small steps of the model's tests, hostile payloads. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "fake_store.h"
#include "model/mem.h"
#include "model/transaction.h"
#include "persist/record.h"
#include "small_steps.h"
#include <moduforge/value.h>

static struct mf_persist_options options;

static struct mf_transaction *sample(const char *key, int steps)
{
	struct mf_transaction *transaction = small_transaction_new();
	for (int i = 0; i < steps; i++) {
		char id[16];
		snprintf(id, sizeof(id), "node-%d", i);
		ADD_INSERT(transaction, "root", i, id);
	}
	assert_int_equal(mf_transaction_set_key(transaction, key, NULL), MF_OK);
	return transaction;
}

/* A step type that is no good: encode fails with encode_status, or gives so many bytes, and is unknown to small_registry. */
static enum mf_status encode_status, decode_status = MF_ERR_CORRUPTED;
static const void *encode_bytes = "x";
static size_t encode_len = 1;

static enum mf_status bad_from_value(const struct mf_step_type *type, const struct mf_value *data, struct mf_step **out, struct mf_error *error)
{
	(void)data, (void)error;
	struct mf_step *step = mf_malloc(sizeof(*step));
	mf_step_init(step, type);
	*out = step;
	return MF_OK;
}
static enum mf_status bad_to_value(const struct mf_step *step, struct mf_value **out)
{
	(void)step, (void)out;
	return MF_ERR_INVALID;
}
static enum mf_status bad_encode(const struct mf_step *step, struct mf_buffer *out)
{
	(void)step;
	return encode_status ? encode_status : mf_buffer_append(out, encode_bytes, encode_len);
}
static enum mf_status bad_decode(const struct mf_step_type *type, const void *bytes, size_t len, struct mf_step **out, struct mf_error *error)
{
	(void)type, (void)bytes, (void)len, (void)out, (void)error;
	return decode_status;
}
static enum mf_status bad_apply(const struct mf_step *step, struct mf_edit *edit, struct mf_step **out_inverse, struct mf_error *error)
{
	(void)step, (void)edit, (void)out_inverse, (void)error;
	return MF_ERR_INVALID;
}
static void bad_free(struct mf_step *step)
{
	mf_free(step);
}
static const struct mf_step_type bad_type = {
	.size = sizeof(struct mf_step_type), .type_id = "no_such_type", .version = 1, .from_value = bad_from_value, .to_value = bad_to_value,
	.encode = bad_encode, .decode = bad_decode, .apply = bad_apply, .free = bad_free,
};

static void add_bad_step(struct mf_transaction *transaction)
{
	struct mf_step *step;
	assert_int_equal(bad_type.from_value(&bad_type, NULL, &step, NULL), MF_OK);
	assert_int_equal(mf_transaction_add(transaction, step), MF_OK);
	mf_step_unref(step);
}

struct encoded {
	struct mf_event event;
	void *memory;
};

static struct encoded encode(const char *doc_id, const struct mf_transaction *transaction)
{
	struct encoded encoded;
	struct mf_error error = {0};
	if (mf_event_encode(doc_id, transaction, &options, &encoded.event, &encoded.memory, &error) != MF_OK)
		fail_msg("%s", error.message);
	encoded.event.lsn = 77;
	return encoded;
}

static void assert_same_steps(const struct mf_transaction *a, const struct mf_transaction *b)
{
	assert_int_equal(mf_transaction_step_count(a), mf_transaction_step_count(b));
	for (size_t i = 0; i < mf_transaction_step_count(a); i++) {
		const struct mf_step *left = mf_transaction_step(a, i), *right = mf_transaction_step(b, i);
		struct mf_value *left_value, *right_value;
		assert_ptr_equal(left->type, right->type);
		assert_int_equal(left->type->to_value(left, &left_value), MF_OK);
		assert_int_equal(right->type->to_value(right, &right_value), MF_OK);
		assert_true(mf_value_equal(left_value, right_value));
		mf_value_unref(left_value);
		mf_value_unref(right_value);
	}
}

static void check_round_trip(struct mf_transaction *transaction)
{
	struct encoded encoded = encode("doc", transaction);
	struct mf_transaction *decoded;
	assert_int_equal(mf_event_decode(&encoded.event, small_registry, &decoded, NULL), MF_OK);
	assert_same_steps(transaction, decoded);
	assert_int_equal(mf_transaction_id(decoded), mf_transaction_id(transaction));
	assert_int_equal(mf_transaction_action(decoded), mf_transaction_action(transaction));
	assert_int_equal(mf_transaction_source_lsn(decoded), mf_transaction_source_lsn(transaction));
	assert_string_equal(mf_transaction_key(decoded), mf_transaction_key(transaction));
	assert_true(mf_value_equal(mf_transaction_meta(decoded), mf_transaction_meta(transaction)));
	if (mf_transaction_actor(transaction))
		assert_string_equal(mf_transaction_actor(decoded), mf_transaction_actor(transaction));
	else
		assert_null(mf_transaction_actor(decoded));
	mf_transaction_free(decoded);
	mf_free(encoded.memory);
}

static void an_event_comes_back_as_it_was(void **unused)
{
	(void)unused;
	static const char meta_text[] = "{\"b\":[1,2.5,null],\"a\":\"\\u00e9\"}";
	struct mf_transaction *transaction = sample("key", 3);
	check_round_trip(transaction);
	struct mf_value *meta;
	assert_int_equal(mf_value_parse_json(meta_text, strlen(meta_text), &meta, NULL), MF_OK);
	mf_transaction_set_meta(transaction, meta);
	mf_value_unref(meta);
	assert_int_equal(mf_transaction_set_actor(transaction, "ann", NULL), MF_OK);
	mf_transaction_set_id(transaction, 99);
	mf_transaction_set_action(transaction, MF_ACTION_UNDO, 12);
	check_round_trip(transaction);
	struct encoded encoded = encode("doc", transaction);
	assert_string_equal(encoded.event.meta, "{\"a\":\"\xc3\xa9\",\"b\":[1,2.5,null]}"); /* canonical */
	assert_string_equal(encoded.event.doc_id, "doc");
	assert_string_equal(encoded.event.actor, "ann");
	mf_free(encoded.memory);
	mf_transaction_free(transaction);
}

static void steps_of_any_length_come_back(void **unused)
{
	(void)unused;
	static const int counts[] = {1, 2, 127, 128, 129, 2000};
	for (size_t i = 0; i < sizeof(counts) / sizeof(*counts); i++) {
		struct mf_transaction *transaction = sample("key", counts[i]);
		check_round_trip(transaction);
		mf_transaction_free(transaction);
	}
	for (int len = 0; len < 3000; len += 37) {
		char text[3001];
		struct mf_transaction *transaction = sample("key", 1);
		memset(text, 'x', sizeof(text));
		text[len] = '\0';
		small_steps_add(transaction, small_registry, "test_set", "{\"id\":\"root\",\"key\":\"k\",\"value\":\"%s\"}", text);
		check_round_trip(transaction);
		mf_transaction_free(transaction);
	}
}

static void f18_mixed_compressed_and_plain_records_read_back(void **unused)
{
	(void)unused;
	struct mf_transaction *large = sample("large", 300), *small = sample("small", 1);
	struct mf_transaction *decoded;
	struct encoded packed = encode("doc", large), plain_small = encode("doc", small);
	assert_int_equal(packed.event.payload[1], MF_RECORD_COMPRESSED);
	assert_int_equal(plain_small.event.payload[1], 0); /* not above the threshold */
	options.compression = false;
	struct encoded plain = encode("doc", large);
	assert_int_equal(plain.event.payload[1], 0);
	assert_true(plain.event.payload_len > 3 * packed.event.payload_len);
	options.compression = true;
	options.compression_threshold = (uint32_t)(plain.event.payload_len - MF_RECORD_HEADER_LEN);
	struct encoded at_threshold = encode("doc", large);
	assert_int_equal(at_threshold.event.payload[1], 0); /* only what is larger */
	mf_persist_options_init(&options);
	struct encoded *all[] = {&packed, &plain, &at_threshold};
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(mf_event_decode(&all[i]->event, small_registry, &decoded, NULL), MF_OK);
		assert_same_steps(large, decoded);
		mf_transaction_free(decoded);
		/* One content, one hash, whatever the encoding. */
		assert_memory_equal(mf_record_content_hash(all[i]->event.payload, all[i]->event.payload_len), packed.event.payload + MF_RECORD_HASH_AT, MF_RECORD_HASH_LEN);
	}
	for (size_t i = 0; i < 3; i++)
		mf_free(all[i]->memory);
	mf_free(plain_small.memory);
	mf_transaction_free(large);
	mf_transaction_free(small);
}

static void f22_steps_are_stored_as_raw_bytes(void **unused)
{
	(void)unused;
	struct mf_transaction *transaction = sample("key", 1);
	struct mf_buffer step = {0};
	assert_int_equal(mf_transaction_step(transaction, 0)->type->encode(mf_transaction_step(transaction, 0), &step), MF_OK);
	struct encoded encoded = encode("doc", transaction);
	assert_int_equal(encoded.event.payload_len, MF_RECORD_HEADER_LEN + 1 + 1 + strlen("test_insert") + 1 + step.len);
	mf_buffer_deinit(&step);
	mf_free(encoded.memory);
	mf_transaction_free(transaction);
}

static void the_content_hash_covers_document_operation_and_steps(void **unused)
{
	(void)unused;
	struct mf_transaction *one = sample("key", 1), *two = sample("key", 2), *same = sample("another key", 1);
	struct encoded base = encode("doc", one), other_steps = encode("doc", two), other_doc = encode("doc2", one), other_key = encode("doc", same);
	assert_memory_equal(base.event.payload + 2, other_key.event.payload + 2, 16);
	assert_memory_not_equal(base.event.payload + 2, other_steps.event.payload + 2, 16);
	assert_memory_not_equal(base.event.payload + 2, other_doc.event.payload + 2, 16);
	mf_transaction_set_action(one, MF_ACTION_UNDO, 1);
	mf_transaction_set_action(two, MF_ACTION_UNDO, 2);
	struct encoded undo = encode("doc", one), undo_two = encode("doc", two);
	uint8_t asked[16];
	mf_record_hash("doc", MF_ACTION_UNDO, NULL, 0, asked);
	assert_memory_equal(undo.event.payload + 2, asked, 16);
	assert_memory_equal(undo_two.event.payload + 2, asked, 16); /* known before its steps are */
	assert_memory_not_equal(base.event.payload + 2, asked, 16);
	struct encoded *all[] = {&base, &other_steps, &other_doc, &other_key, &undo, &undo_two};
	for (size_t i = 0; i < 6; i++)
		mf_free(all[i]->memory);
	mf_transaction_free(one);
	mf_transaction_free(two);
	mf_transaction_free(same);
}

static void f17_a_step_that_does_not_serialise_is_refused(void **unused)
{
	(void)unused;
	struct mf_transaction *transaction = sample("key", 1);
	struct mf_event event;
	struct mf_error error = {0};
	void *memory;
	add_bad_step(transaction);
	encode_status = MF_ERR_INVALID;
	assert_int_equal(mf_event_encode("doc", transaction, &options, &event, &memory, &error), MF_ERR_INVALID);
	assert_non_null(strstr(error.message, "step 2"));
	assert_non_null(strstr(error.message, "no_such_type"));
	encode_status = MF_OK;
	mf_transaction_free(transaction);
}

static void what_cannot_be_stored_is_refused(void **unused)
{
	(void)unused;
	struct mf_transaction *transaction = small_transaction_new();
	struct mf_event event;
	struct mf_error error = {0};
	void *memory;
	char long_id[MF_ID_MAX + 2];
	memset(long_id, 'x', sizeof(long_id));
	long_id[MF_ID_MAX + 1] = '\0';
	assert_int_equal(mf_event_encode("doc", transaction, &options, &event, &memory, &error), MF_ERR_INVALID); /* no key */
	assert_int_equal(mf_transaction_set_key(transaction, "k", NULL), MF_OK);
	assert_int_equal(mf_event_encode("", transaction, &options, &event, &memory, &error), MF_ERR_INVALID);
	assert_int_equal(mf_event_encode(long_id, transaction, &options, &event, &memory, &error), MF_ERR_INVALID);
	assert_int_equal(mf_event_encode("\xff", transaction, &options, &event, &memory, &error), MF_ERR_INVALID);
	mf_transaction_free(transaction);
}

static void f19_an_unknown_type_is_named_with_document_and_lsn(void **unused)
{
	(void)unused;
	struct mf_transaction *transaction = sample("key", 1), *decoded = NULL;
	struct mf_error error = {0};
	add_bad_step(transaction);
	struct encoded encoded = encode("doc", transaction);
	assert_int_equal(mf_event_decode(&encoded.event, small_registry, &decoded, &error), MF_ERR_UNKNOWN_STEP);
	assert_int_equal(error.lsn, 77);
	assert_non_null(strstr(error.message, "no_such_type"));
	assert_non_null(strstr(error.message, "doc"));
	assert_non_null(strstr(error.message, "77"));
	assert_null(decoded);
	mf_free(encoded.memory);
	mf_transaction_free(transaction);
}

/* ---- hostile payloads ---- */

/* Must not crash; anything but success is damage, or an unknown type. */
static enum mf_status try_decode(const unsigned char *payload, size_t len)
{
	/* In memory of its own and of that very length, so that a sanitizer sees a read beyond. */
	unsigned char *copy = malloc(len ? len : 1);
	memcpy(copy, payload, len);
	struct mf_event event = {.lsn = 1, .doc_id = "doc", .idempotency_key = "k", .meta = "{}", .meta_len = 2, .payload = copy, .payload_len = len};
	struct mf_transaction *decoded;
	enum mf_status status = mf_event_decode(&event, small_registry, &decoded, NULL);
	if (status == MF_OK)
		mf_transaction_free(decoded);
	else if (status != MF_ERR_CORRUPTED && status != MF_ERR_UNKNOWN_STEP)
		fail_msg("%s", mf_status_name(status));
	free(copy);
	return status;
}

static void f19_truncated_and_flipped_payloads_are_corrupted(void **unused)
{
	(void)unused;
	static const int counts[] = {2, 200}; /* plain and compressed */
	for (size_t c = 0; c < 2; c++) {
		struct mf_transaction *transaction = sample("key", counts[c]);
		struct encoded encoded = encode("doc", transaction);
		unsigned char *payload = (unsigned char *)encoded.memory;
		size_t len = encoded.event.payload_len;
		for (size_t cut = 0; cut < len; cut++)
			assert_int_equal(try_decode(payload, cut), MF_ERR_CORRUPTED);
		for (size_t bit = 0; bit < 8 * len; bit += bit < 8 * 64 ? 1 : 5) {
			payload[bit / 8] ^= (unsigned char)(1u << bit % 8);
			try_decode(payload, len);
			payload[bit / 8] ^= (unsigned char)(1u << bit % 8);
		}
		assert_int_equal(try_decode(payload, len), MF_OK);
		mf_free(encoded.memory);
		mf_transaction_free(transaction);
	}
}

static void random_payloads_never_crash(void **unused)
{
	(void)unused;
	unsigned char payload[200];
	uint64_t seed = 88172645463325252u;
	for (int i = 0; i < 50000; i++) {
		size_t len = 0;
		for (size_t b = 0; b < sizeof(payload); b++) {
			seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17;
			payload[b] = (unsigned char)seed;
			len = (size_t)(seed >> 32) % sizeof(payload);
		}
		payload[0] = MF_RECORD_VERSION;
		payload[1] &= MF_RECORD_COMPRESSED;
		if (i % 2) {
			payload[MF_RECORD_HEADER_LEN] &= 7; /* few frames with short lengths: deeper in */
			payload[MF_RECORD_HEADER_LEN + 1] &= 15;
		}
		try_decode(payload, len);
	}
}

#define HEADER "\1\0" "0123456789abcdef"

static void each_rule_of_the_format_is_checked(void **unused)
{
	(void)unused;
	static const struct {
		const char *bytes;
		size_t len;
		enum mf_status status;
	} cases[] = {
		{HEADER "\0", 19, MF_OK},                                  /* no frames */
		{HEADER "\0x", 20, MF_ERR_CORRUPTED},                      /* something behind them */
		{"\2\0" "0123456789abcdef\0", 19, MF_ERR_CORRUPTED},       /* newer format */
		{"\1\2" "0123456789abcdef\0", 19, MF_ERR_CORRUPTED},       /* unknown flag */
		{HEADER "\x80\0", 20, MF_ERR_CORRUPTED},                   /* a varint longer than it needs to be */
		{HEADER "\xff\xff\xff\xff\xff\xff\xff\xff\xff\1", 28, MF_ERR_CORRUPTED}, /* 2^64 - 1 frames */
		{HEADER "\xff\xff\xff\xff\xff\xff\xff\xff\xff\2", 28, MF_ERR_CORRUPTED}, /* more than 64 bits */
		{HEADER "\1\0\0\0", 22, MF_ERR_CORRUPTED},                 /* a type of no bytes */
		{HEADER "\1\1x\0", 22, MF_ERR_UNKNOWN_STEP},
		{HEADER "\1\1x\1", 22, MF_ERR_CORRUPTED},                  /* data cut off */
		{HEADER "\1\1x\0y", 23, MF_ERR_CORRUPTED},
		{"\1\1" "0123456789abcdef\0", 19, MF_ERR_CORRUPTED},       /* raw length 0 */
		{"\1\1" "0123456789abcdef\x81\x80\x80\x80\1", 23, MF_ERR_CORRUPTED}, /* raw length above the limit */
		{"\1\1" "0123456789abcdef\5hello", 24, MF_ERR_CORRUPTED},  /* not zstd */
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		assert_int_equal(try_decode((const unsigned char *)cases[i].bytes, cases[i].len), cases[i].status);
}

static void damaged_fields_beside_the_payload_are_corrupted(void **unused)
{
	(void)unused;
	struct mf_transaction *transaction = sample("key", 1), *decoded;
	struct encoded encoded = encode("doc", transaction);
	struct mf_event event = encoded.event;
	event.action = (enum mf_action)7;
	assert_int_equal(mf_event_decode(&event, small_registry, &decoded, NULL), MF_ERR_CORRUPTED);
	event = encoded.event;
	event.meta = "{,";
	assert_int_equal(mf_event_decode(&event, small_registry, &decoded, NULL), MF_ERR_CORRUPTED);
	event = encoded.event;
	event.actor = "\xff";
	assert_int_equal(mf_event_decode(&event, small_registry, &decoded, NULL), MF_ERR_CORRUPTED);
	event = encoded.event;
	event.payload = NULL;
	assert_int_equal(mf_event_decode(&event, small_registry, &decoded, NULL), MF_ERR_CORRUPTED);
	mf_free(encoded.memory);
	mf_transaction_free(transaction);
}

/* ---- odd ones ---- */

static void what_an_event_lacks_is_named(void **unused)
{
	(void)unused;
	struct mf_transaction *transaction = sample("key", 2), *decoded = NULL;
	struct encoded encoded = encode("doc", transaction);
	struct mf_event event = encoded.event;
	struct mf_error error;
	event.meta = NULL;
	event.doc_id = NULL;
	assert_int_equal(mf_event_decode(&event, small_registry, &decoded, &error), MF_ERR_CORRUPTED);
	assert_string_equal(error.message, "document '', LSN 77: meta or payload is missing");
	assert_null(decoded);
	mf_free(encoded.memory);
	mf_transaction_free(transaction);
}

static void a_step_that_says_nothing_of_its_damage_is_damaged_all_the_same(void **unused)
{
	(void)unused;
	struct mf_step_registry *registry;
	struct mf_transaction *transaction = small_transaction_new(), *decoded = NULL;
	struct mf_error error;
	assert_int_equal(mf_step_registry_new(&registry), MF_OK);
	assert_int_equal(mf_step_registry_add(registry, &bad_type, NULL), MF_OK);
	encode_status = MF_OK;
	add_bad_step(transaction);
	assert_int_equal(mf_transaction_set_key(transaction, "key", NULL), MF_OK);
	struct mf_event event;
	void *memory;
	assert_int_equal(mf_event_encode("doc", transaction, NULL, &event, &memory, NULL), MF_OK); /* with the default options */
	assert_int_equal(mf_event_decode(&event, registry, &decoded, &error), MF_ERR_CORRUPTED);
	assert_non_null(strstr(error.message, "cannot be decoded: MF_ERR_CORRUPTED"));
	decode_status = MF_OK; /* and no step */
	assert_int_equal(mf_event_decode(&event, registry, &decoded, &error), MF_ERR_PLUGIN);
	assert_non_null(strstr(error.message, "'no_such_type'"));
	assert_null(decoded);
	decode_status = MF_ERR_CORRUPTED;
	struct mf_buffer text = {0};
	assert_int_equal(mf_event_to_json(&event, transaction, &text, &error), MF_ERR_INVALID); /* nor can it be told */
	assert_int_equal(text.len, 0);
	mf_buffer_deinit(&text);
	mf_free(memory);
	mf_transaction_free(transaction);
	mf_step_registry_free(registry);
}

static enum mf_status empty_encode(const struct mf_step *step, struct mf_buffer *out)
{
	(void)step, (void)out;
	return MF_OK;
}

static void steps_shorter_than_a_length_are_not_compressed(void **unused)
{
	(void)unused;
	static struct mf_step_type tiny;
	struct mf_step *step;
	struct mf_transaction *transaction = small_transaction_new();
	struct mf_persist_options eager = options;
	struct mf_value *list;
	struct mf_event event;
	void *memory;
	tiny = bad_type;
	tiny.type_id = "t";
	tiny.encode = empty_encode;
	eager.compression = true;
	eager.compression_threshold = 0;
	assert_int_equal(bad_type.from_value(&tiny, NULL, &step, NULL), MF_OK);
	assert_int_equal(mf_transaction_add(transaction, step), MF_OK);
	mf_step_unref(step);
	assert_int_equal(mf_transaction_set_key(transaction, "key", NULL), MF_OK);
	assert_int_equal(mf_value_parse_json("[1]", 3, &list, NULL), MF_OK);
	mf_transaction_set_meta(transaction, list);
	mf_value_unref(list);
	assert_int_equal(mf_event_encode("doc", transaction, &eager, &event, &memory, NULL), MF_OK);
	assert_int_equal(event.payload[1] & MF_RECORD_COMPRESSED, 0);
	assert_string_equal(event.meta, "[1]");
	mf_free(memory);
	mf_transaction_free(transaction);
}

static void the_length_of_steps_is_told_without_reading_them(void **unused)
{
	(void)unused;
	unsigned char payload[MF_RECORD_HEADER_LEN + 12] = {MF_RECORD_VERSION};
	unsigned char *body = payload + MF_RECORD_HEADER_LEN;
	assert_int_equal(mf_record_raw_len(payload, 3), 3);
	assert_int_equal(mf_record_raw_len(payload, sizeof(payload)), sizeof(payload));
	payload[1] = MF_RECORD_COMPRESSED;
	memset(body, 0xff, 12); /* a number that does not end */
	assert_int_equal(mf_record_raw_len(payload, sizeof(payload)), sizeof(payload));
	memset(body, 0xff, 9);
	body[9] = 1; /* the largest number that there is */
	assert_int_equal(mf_record_raw_len(payload, sizeof(payload)), sizeof(payload));
	body[0] = 100;
	assert_int_equal(mf_record_raw_len(payload, sizeof(payload)), MF_RECORD_HEADER_LEN + 100);
	uint8_t hash[MF_RECORD_HASH_LEN], other[MF_RECORD_HASH_LEN];
	mf_record_hash("doc", MF_ACTION_APPLY, NULL, 0, hash);
	mf_record_hash("doc", MF_ACTION_UNDO, NULL, 0, other);
	assert_memory_not_equal(hash, other, sizeof(hash));
}

static void assert_json(const struct mf_event *event, const struct mf_transaction *transaction, const char *part)
{
	struct mf_buffer text = {0};
	assert_int_equal(mf_event_to_json(event, transaction, &text, NULL), MF_OK);
	assert_int_equal(mf_buffer_append(&text, "", 1), MF_OK);
	if (!strstr((const char *)text.bytes, part))
		fail_msg("no %s in %s", part, (const char *)text.bytes);
	mf_buffer_deinit(&text);
}

static void an_event_is_told_as_json(void **unused)
{
	(void)unused;
	struct mf_transaction *transaction = sample("key", 2);
	struct encoded encoded = encode("doc", transaction);
	struct mf_event event = encoded.event;
	event.ts_us = 1500000;
	assert_json(&event, transaction, "\"time\":\"1970-01-01T00:00:01.500000Z\"");
	event.ts_us = -500000;
	assert_json(&event, transaction, "\"time\":\"1969-12-31T23:59:59.500000Z\"");
	event.ts_us = INT64_MIN;
	assert_json(&event, transaction, "\"time\":\"-290308-12-21T19:59:05.224192Z\"");
	assert_json(&event, transaction, "\"action\":\"apply\"");
	assert_json(&event, transaction, "\"steps\":[{\"type_id\":\"test_insert\"");
	assert_json(&event, transaction, "},{\"type_id\":\"test_insert\"");
	event.action = MF_ACTION_UNDO;
	assert_json(&event, transaction, "\"action\":\"undo\"");
	event.action = MF_ACTION_REDO;
	assert_json(&event, transaction, "\"action\":\"redo\"");
	event.action = (enum mf_action)9;
	event.payload = (const unsigned char *)"\x01\xab";
	event.payload_len = 2;
	assert_json(&event, NULL, "\"action\":\"unknown\"");
	assert_json(&event, NULL, "\"steps\":null,\"payload\":\"01ab\"");
	mf_free(encoded.memory);
	mf_transaction_free(transaction);
}

static void *encode_without_contexts(void *user)
{
	struct mf_event event;
	void *memory = NULL;
	enum mf_status status = MF_ERR_NO_MEMORY;
	for (uint64_t n = 1; status != MF_OK; n++) {
		mf_mem_fail_at(n, false);
		status = mf_event_encode("doc", user, &options, &event, &memory, NULL);
		mf_mem_fail_at(0, false);
		assert_true(status == MF_OK || status == MF_ERR_NO_MEMORY);
	}
	mf_free(memory);
	return NULL;
}

static void *decode_without_contexts(void *user)
{
	struct mf_transaction *decoded = NULL;
	enum mf_status status = MF_ERR_NO_MEMORY;
	for (uint64_t n = 1; status != MF_OK; n++) {
		mf_mem_fail_at(n, false);
		status = mf_event_decode(user, small_registry, &decoded, NULL);
		mf_mem_fail_at(0, false);
		assert_true(status == MF_OK || status == MF_ERR_NO_MEMORY);
	}
	mf_transaction_free(decoded);
	return NULL;
}

static void a_thread_that_begins_to_compress_may_have_no_memory(void **unused)
{
	(void)unused;
	pthread_t thread;
	struct mf_transaction *transaction = sample("key", 200);
	struct encoded encoded = encode("doc", transaction);
	assert_true(encoded.event.payload[1] & MF_RECORD_COMPRESSED);
	assert_int_equal(pthread_create(&thread, NULL, encode_without_contexts, transaction), 0);
	pthread_join(thread, NULL);
	assert_int_equal(pthread_create(&thread, NULL, decode_without_contexts, &encoded.event), 0);
	pthread_join(thread, NULL);
	mf_free(encoded.memory);
	mf_transaction_free(transaction);
}

/* ---- memory ---- */

static void every_failed_allocation_is_no_memory(void **unused)
{
	(void)unused;
	struct mf_transaction *transaction = sample("key", 150);
	struct mf_value *meta;
	assert_int_equal(mf_value_parse_json("{\"a\":1}", 7, &meta, NULL), MF_OK);
	mf_transaction_set_meta(transaction, meta);
	mf_value_unref(meta);
	assert_int_equal(mf_transaction_set_actor(transaction, "ann", NULL), MF_OK);
	struct encoded encoded = encode("doc", transaction); /* makes this thread's contexts */
	struct mf_transaction *few = sample("key", 2);
	mf_transaction_set_meta(few, mf_transaction_meta(transaction));
	assert_int_equal(mf_transaction_set_actor(few, "ann", NULL), MF_OK);
	struct encoded small = encode("doc", few);
	mf_mem_tight(true);
	for (int json = 0; json < 2; json++) {
		enum mf_status got = MF_ERR_NO_MEMORY;
		uint64_t n = 1;
		for (; got != MF_OK; n++) {
			struct mf_event event;
			struct mf_buffer text = {0};
			void *memory = NULL;
			mf_mem_fail_at(n, false);
			got = json ? mf_event_to_json(&small.event, few, &text, NULL) : mf_event_encode("doc", few, &options, &event, &memory, NULL);
			assert_int_equal(got, mf_mem_count() >= n ? MF_ERR_NO_MEMORY : MF_OK);
			mf_mem_fail_at(0, false);
			assert_true(got == MF_OK || (got == MF_ERR_NO_MEMORY && !memory && text.len == 0));
			mf_buffer_deinit(&text);
			mf_free(memory);
		}
		assert_true(n > (json ? 1 : 15));
	}
	mf_mem_tight(false);
	mf_free(small.memory);
	mf_transaction_free(few);
	bool failed = true;
	for (uint64_t n = 1; failed; n++) {
		struct mf_event event;
		void *memory = NULL;
		memory_fails_at(n);
		enum mf_status status = mf_event_encode("doc", transaction, &options, &event, &memory, NULL);
		failed = memory_failed(n);
		assert_int_equal(status, failed ? MF_ERR_NO_MEMORY : MF_OK);
		assert_true(!failed || !memory);
		mf_free(memory);
	}
	failed = true;
	for (uint64_t n = 1; failed; n++) {
		struct mf_transaction *decoded = NULL;
		memory_fails_at(n);
		enum mf_status status = mf_event_decode(&encoded.event, small_registry, &decoded, NULL);
		failed = memory_failed(n);
		assert_true(status == MF_OK || (status == MF_ERR_NO_MEMORY && failed && !decoded));
		mf_transaction_free(decoded);
	}
	mf_free(encoded.memory);
	mf_transaction_free(transaction);
}

/* Data of more than 127 bytes has a length of two. */
static void every_failed_allocation_of_longer_data_is_no_memory(void **unused)
{
	(void)unused;
	static const char bytes[200];
	struct mf_transaction *transaction = small_transaction_new();
	bool failed = true;
	assert_int_equal(mf_transaction_set_key(transaction, "key", NULL), MF_OK);
	add_bad_step(transaction);
	encode_bytes = bytes;
	encode_len = sizeof(bytes);
	mf_mem_tight(true);
	for (uint64_t n = 1; failed; n++) {
		struct mf_event event;
		void *memory = NULL;
		mf_mem_fail_at(n, false);
		enum mf_status status = mf_event_encode("doc", transaction, &options, &event, &memory, NULL);
		failed = mf_mem_count() >= n;
		mf_mem_fail_at(0, false);
		assert_int_equal(status, failed ? MF_ERR_NO_MEMORY : MF_OK);
		mf_free(memory);
	}
	mf_mem_tight(false);
	encode_bytes = "x";
	encode_len = 1;
	mf_transaction_free(transaction);
}

/* Noise is no shorter when it is compressed: it is stored as it is. */
static void what_compression_makes_no_shorter_stays_as_it_is(void **unused)
{
	(void)unused;
	static unsigned char noise[3000];
	uint64_t seed = 1;
	for (size_t i = 0; i < sizeof(noise); i++) {
		seed = seed * 6364136223846793005u + 1442695040888963407u;
		noise[i] = (unsigned char)(seed >> 56);
	}
	struct mf_transaction *transaction = small_transaction_new();
	struct mf_event event;
	void *memory;
	assert_int_equal(mf_transaction_set_key(transaction, "key", NULL), MF_OK);
	add_bad_step(transaction);
	encode_bytes = noise;
	encode_len = sizeof(noise);
	assert_int_equal(mf_event_encode("doc", transaction, &options, &event, &memory, NULL), MF_OK);
	assert_false(event.payload[1] & MF_RECORD_COMPRESSED);
	assert_true(event.payload_len > sizeof(noise));
	assert_memory_equal(event.payload + event.payload_len - sizeof(noise), noise, sizeof(noise));
	mf_free(memory);
	encode_bytes = "x";
	encode_len = 1;
	mf_transaction_free(transaction);
}

static void more_than_a_record_may_hold_is_refused(void **unused)
{
	(void)unused;
	struct mf_transaction *transaction = small_transaction_new();
	struct mf_event event;
	void *memory = NULL, *zeros = mmap(NULL, MF_RECORD_RAW_MAX, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct mf_error error = {0};
	assert_ptr_not_equal(zeros, MAP_FAILED);
	assert_int_equal(mf_transaction_set_key(transaction, "key", NULL), MF_OK);
	add_bad_step(transaction);
	encode_bytes = zeros;
	encode_len = MF_RECORD_RAW_MAX;
	mf_mem_tight(true); /* no more than it takes */
	assert_int_equal(mf_event_encode("doc", transaction, &options, &event, &memory, &error), MF_ERR_INVALID);
	mf_mem_tight(false);
	assert_non_null(strstr(error.message, "more than 256 MiB long; make several transactions"));
	assert_null(memory);
	encode_bytes = "x";
	encode_len = 1;
	munmap(zeros, MF_RECORD_RAW_MAX);
	mf_transaction_free(transaction);
}

static int setup(void **state)
{
	mf_persist_options_init(&options);
	return small_make_registry(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_event_comes_back_as_it_was),
		cmocka_unit_test(steps_of_any_length_come_back),
		cmocka_unit_test(f18_mixed_compressed_and_plain_records_read_back),
		cmocka_unit_test(f22_steps_are_stored_as_raw_bytes),
		cmocka_unit_test(the_content_hash_covers_document_operation_and_steps),
		cmocka_unit_test(f17_a_step_that_does_not_serialise_is_refused),
		cmocka_unit_test(what_cannot_be_stored_is_refused),
		cmocka_unit_test(f19_an_unknown_type_is_named_with_document_and_lsn),
		cmocka_unit_test(f19_truncated_and_flipped_payloads_are_corrupted),
		cmocka_unit_test(random_payloads_never_crash),
		cmocka_unit_test(each_rule_of_the_format_is_checked),
		cmocka_unit_test(damaged_fields_beside_the_payload_are_corrupted),
		cmocka_unit_test(what_an_event_lacks_is_named),
		cmocka_unit_test(a_step_that_says_nothing_of_its_damage_is_damaged_all_the_same),
		cmocka_unit_test(steps_shorter_than_a_length_are_not_compressed),
		cmocka_unit_test(the_length_of_steps_is_told_without_reading_them),
		cmocka_unit_test(an_event_is_told_as_json),
		cmocka_unit_test(a_thread_that_begins_to_compress_may_have_no_memory),
		cmocka_unit_test(every_failed_allocation_is_no_memory),
		cmocka_unit_test(every_failed_allocation_of_longer_data_is_no_memory),
		cmocka_unit_test(what_compression_makes_no_shorter_stays_as_it_is),
		cmocka_unit_test(more_than_a_record_may_hold_is_refused),
	};
	return cmocka_run_group_tests(tests, setup, small_free_registry);
}
