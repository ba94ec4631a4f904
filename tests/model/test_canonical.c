#include <moduforge/step.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <xxhash.h>

#include "model/mem.h"

#define SIZE(array) (sizeof(array) / sizeof(*(array)))

/* ---- makers that must not fail ---- */

static struct mf_value *parse(const char *json)
{
	struct mf_value *value;
	struct mf_error error = {0};
	if (mf_value_parse_json(json, strlen(json), &value, &error) != MF_OK)
		fail_msg("%s: %s", json, error.message);
	return value;
}

static struct mf_edit *begin(void)
{
	struct mf_doc *doc;
	struct mf_edit *edit;
	assert_int_equal(mf_doc_new(&doc), MF_OK);
	assert_int_equal(mf_edit_begin(doc, &edit), MF_OK);
	mf_doc_unref(doc);
	return edit;
}

static struct mf_doc *finish(struct mf_edit *edit)
{
	struct mf_doc *doc;
	assert_int_equal(mf_edit_finish(edit, &doc), MF_OK);
	return doc;
}

static void insert(struct mf_edit *edit, const char *parent, size_t index, const char *json)
{
	struct mf_value *value = parse(json);
	struct mf_fragment *fragment;
	struct mf_error error = {0};
	if (mf_fragment_from_value(value, &fragment, &error) != MF_OK || mf_edit_insert(edit, parent, strlen(parent), index, fragment, &error) != MF_OK)
		fail_msg("%s: %s", json, error.message);
	mf_fragment_unref(fragment);
	mf_value_unref(value);
}

static void set_attr(struct mf_edit *edit, const char *id, const char *key, const char *json)
{
	struct mf_value *value = json ? parse(json) : NULL;
	assert_int_equal(mf_edit_set_attr(edit, id, strlen(id), key, strlen(key), value, NULL, NULL), MF_OK);
	mf_value_unref(value);
}

static void set_mark(struct mf_edit *edit, const char *id, const char *type, const char *json)
{
	struct mf_value *value = json ? parse(json) : NULL;
	assert_int_equal(mf_edit_set_mark(edit, id, strlen(id), type, strlen(type), value, NULL, NULL), MF_OK);
	mf_value_unref(value);
}

static enum mf_status collect(void *user, const void *bytes, size_t len)
{
	return mf_buffer_append(user, bytes, len);
}

/* NUL-terminated */
static struct mf_buffer text_of(const struct mf_doc *doc)
{
	struct mf_buffer text = {0};
	assert_int_equal(mf_doc_write_json(doc, collect, &text), MF_OK);
	assert_int_equal(mf_buffer_append(&text, "", 1), MF_OK);
	text.len--;
	return text;
}

/* The digest, checked against one computation over the whole text, by the xxHash library. */
static struct mf_digest digest_of(const struct mf_doc *doc)
{
	struct mf_buffer text = text_of(doc);
	XXH128_canonical_t whole;
	XXH128_canonicalFromHash(&whole, XXH3_128bits(text.bytes, text.len));
	struct mf_digest digest;
	assert_int_equal(mf_doc_digest(doc, &digest), MF_OK);
	assert_memory_equal(digest.bytes, whole.digest, MF_DIGEST_BYTES);
	mf_buffer_deinit(&text);
	return digest;
}

static void check_text(struct mf_edit *edit, const char *wanted)
{
	struct mf_doc *doc = finish(edit);
	struct mf_buffer text = text_of(doc);
	assert_string_equal((char *)text.bytes, wanted);
	digest_of(doc);
	mf_buffer_deinit(&text);
	mf_doc_unref(doc);
}

/* ---- the text ---- */

static void the_new_document_has_this_text_and_this_digest(void **state)
{
	(void)state;
	check_text(begin(), "{\"attrs\":{},\"children\":[],\"id\":\"root\",\"marks\":[],\"type\":\"doc\"}");
	struct mf_doc *doc = finish(begin());
	struct mf_digest digest = digest_of(doc);
	char hex[MF_DIGEST_HEX + 1];
	mf_digest_hex(&digest, hex);
	assert_string_equal(hex, "4dfabee23e00d5dc8cbc257c6a03c7a4"); /* as xxHash 0.8.1 prints it for that text */
	mf_doc_unref(doc);
}

static void members_marks_and_attributes_are_in_order(void **state)
{
	(void)state;
	struct mf_edit *edit = begin();
	insert(edit, "root", 0, "{\"id\":\"p\",\"type\":\"para\",\"attrs\":{\"z\":[1.0,\"\\n\"],\"a\":{\"y\":null,\"x\":-0.0}},\"marks\":[{\"type\":\"link\",\"attrs\":{\"to\":\"\\\"\",\"by\":1}},{\"type\":\"bold\"}]}");
	insert(edit, "root", 0, "{\"id\":\"\xC3\xA9\",\"type\":\"h\",\"children\":[{\"id\":\"t\",\"type\":\"text\"},{\"id\":\"s\",\"type\":\"text\"}]}");
	check_text(edit, "{\"attrs\":{},\"children\":["
			 "{\"attrs\":{},\"children\":[{\"attrs\":{},\"children\":[],\"id\":\"t\",\"marks\":[],\"type\":\"text\"},{\"attrs\":{},\"children\":[],\"id\":\"s\",\"marks\":[],\"type\":\"text\"}],\"id\":\"\xC3\xA9\",\"marks\":[],\"type\":\"h\"},"
			 "{\"attrs\":{\"a\":{\"x\":0.0,\"y\":null},\"z\":[1.0,\"\\n\"]},\"children\":[],\"id\":\"p\",\"marks\":[{\"attrs\":{},\"type\":\"bold\"},{\"attrs\":{\"by\":1,\"to\":\"\\\"\"},\"type\":\"link\"}],\"type\":\"para\"}"
			 "],\"id\":\"root\",\"marks\":[],\"type\":\"doc\"}");
}

static void ids_and_types_are_escaped(void **state)
{
	(void)state;
	struct mf_edit *edit = begin();
	insert(edit, "root", 0, "{\"id\":\"a\\\"b\",\"type\":\"t\\\\\\n\",\"attrs\":{\"k\\t\":1},\"marks\":[{\"type\":\"m\\u0001\"}]}");
	check_text(edit, "{\"attrs\":{},\"children\":[{\"attrs\":{\"k\\t\":1},\"children\":[],\"id\":\"a\\\"b\",\"marks\":[{\"attrs\":{},\"type\":\"m\\u0001\"}],\"type\":\"t\\\\\\n\"}],\"id\":\"root\",\"marks\":[],\"type\":\"doc\"}");
}

/* The text parses, and says what the fragments said. */
static void the_text_of_a_wide_document_is_json(void **state)
{
	(void)state;
	enum { CHILDREN = 3000 };
	struct mf_edit *edit = begin();
	for (int i = 0; i < CHILDREN; i++) {
		char json[160];
		snprintf(json, sizeof(json), "{\"id\":\"n%d\",\"type\":\"item\",\"attrs\":{\"n\":%d,\"half\":%d.5}}", i, i, i);
		insert(edit, "root", MF_APPEND, json);
	}
	struct mf_doc *doc = finish(edit);
	digest_of(doc);
	struct mf_buffer text = text_of(doc);
	struct mf_value *value = parse((char *)text.bytes);
	const struct mf_value *children = mf_value_get(value, "children");
	assert_int_equal(mf_value_count(children), CHILDREN);
	for (size_t i = 0; i < CHILDREN; i++)
		assert_int_equal(mf_value_as_int(mf_value_get(mf_value_get(mf_value_item(children, i), "attrs"), "n")), i);
	char *again;
	size_t len;
	assert_int_equal(mf_value_to_json(value, &again, &len), MF_OK);
	assert_int_equal(len, text.len);
	assert_memory_equal(again, text.bytes, len); /* canonical already */
	mf_free(again);
	mf_value_unref(value);
	mf_buffer_deinit(&text);
	mf_doc_unref(doc);
}

static void the_deepest_document_is_written(void **state)
{
	(void)state;
	struct mf_edit *edit = begin();
	char parent[16] = "root", json[64];
	for (int depth = 2; depth <= MF_DEPTH_MAX; depth++) {
		snprintf(json, sizeof(json), "{\"id\":\"d%d\",\"type\":\"t\"}", depth);
		insert(edit, parent, 0, json);
		snprintf(parent, sizeof(parent), "d%d", depth);
	}
	struct mf_doc *doc = finish(edit);
	struct mf_buffer text = text_of(doc);
	assert_non_null(strstr((char *)text.bytes, "\"id\":\"d64\""));
	digest_of(doc);
	mf_buffer_deinit(&text);
	mf_doc_unref(doc);
}

/* ---- equal and different ---- */

static void equal_trees_have_equal_digests_whatever_way_led_there(void **state)
{
	(void)state;
	struct mf_edit *straight = begin(), *detour = begin();
	insert(straight, "root", 0, "{\"id\":\"a\",\"type\":\"t\",\"attrs\":{\"x\":1,\"text\":\"hello\"},\"marks\":[{\"type\":\"b\"},{\"type\":\"i\"}],\"children\":[{\"id\":\"c\",\"type\":\"u\"}]}");
	insert(straight, "root", 1, "{\"id\":\"b\",\"type\":\"t\"}");
	insert(detour, "root", 0, "{\"id\":\"b\",\"type\":\"t\",\"attrs\":{\"gone\":true},\"children\":[{\"id\":\"c\",\"type\":\"u\"},{\"id\":\"dead\",\"type\":\"u\"}]}");
	insert(detour, "root", 1, "{\"id\":\"a\",\"type\":\"t\"}");
	set_mark(detour, "a", "i", "{}");
	set_mark(detour, "a", "z", "{}");
	set_mark(detour, "a", "b", "{\"later\":1}");
	set_mark(detour, "a", "b", "{}");
	set_mark(detour, "a", "z", NULL);
	set_attr(detour, "a", "text", "\"he\"");
	set_attr(detour, "a", "x", "1.0");
	set_attr(detour, "a", "x", "1");
	set_attr(detour, "b", "gone", NULL);
	struct mf_value *tail = parse("\"llo\"");
	assert_int_equal(mf_edit_replace_text(detour, "a", 1, 2, 0, tail, NULL, NULL), MF_OK);
	mf_value_unref(tail);
	assert_int_equal(mf_edit_remove(detour, "dead", 4, NULL, NULL, NULL, NULL), MF_OK);
	assert_int_equal(mf_edit_move(detour, "c", 1, "a", 1, 0, NULL, NULL, NULL), MF_OK);
	assert_int_equal(mf_edit_move(detour, "b", 1, "root", 4, 1, NULL, NULL, NULL), MF_OK);
	struct mf_doc *one = finish(straight), *other = finish(detour);
	struct mf_digest a = digest_of(one), b = digest_of(other);
	assert_memory_equal(a.bytes, b.bytes, MF_DIGEST_BYTES);
	mf_doc_unref(one);
	mf_doc_unref(other);
}

static void text_typed_letter_by_letter_has_the_digest_of_text_set_at_once(void **state)
{
	(void)state;
	enum { LETTERS = 20000 };
	struct mf_edit *typed = begin(), *at_once = begin();
	insert(typed, "root", 0, "{\"id\":\"t\",\"type\":\"text\",\"attrs\":{\"text\":\"\"}}");
	insert(at_once, "root", 0, "{\"id\":\"t\",\"type\":\"text\",\"attrs\":{\"text\":\"\"}}");
	struct mf_value *letter = parse("\"\xE2\x82\xAC\""), *whole;
	char *bytes = malloc(3 * LETTERS);
	for (size_t i = 0; i < LETTERS; i++) {
		memcpy(bytes + 3 * i, "\xE2\x82\xAC", 3);
		assert_int_equal(mf_edit_replace_text(typed, "t", 1, i / 2, 0, letter, NULL, NULL), MF_OK);
	}
	assert_int_equal(mf_value_new_string(bytes, 3 * LETTERS, &whole, NULL), MF_OK);
	assert_int_equal(mf_edit_set_attr(at_once, "t", 1, "text", 4, whole, NULL, NULL), MF_OK);
	struct mf_doc *one = finish(typed), *other = finish(at_once);
	struct mf_digest a = digest_of(one), b = digest_of(other);
	assert_memory_equal(a.bytes, b.bytes, MF_DIGEST_BYTES);
	mf_doc_unref(one);
	mf_doc_unref(other);
	mf_value_unref(letter);
	mf_value_unref(whole);
	free(bytes);
}

static void every_difference_of_the_tree_shows_in_the_digest(void **state)
{
	(void)state;
	static const char *const trees[] = {
		"{\"id\":\"a\",\"type\":\"t\"}", "{\"id\":\"b\",\"type\":\"t\"}", "{\"id\":\"a\",\"type\":\"u\"}", "{\"id\":\"a\",\"type\":\"t\",\"attrs\":{\"x\":1}}",
		"{\"id\":\"a\",\"type\":\"t\",\"attrs\":{\"x\":1.0}}", "{\"id\":\"a\",\"type\":\"t\",\"attrs\":{\"x\":\"1\"}}", "{\"id\":\"a\",\"type\":\"t\",\"attrs\":{\"y\":1}}", "{\"id\":\"a\",\"type\":\"t\",\"attrs\":{\"x\":null}}",
		"{\"id\":\"a\",\"type\":\"t\",\"marks\":[{\"type\":\"m\"}]}", "{\"id\":\"a\",\"type\":\"t\",\"marks\":[{\"type\":\"m\",\"attrs\":{\"x\":1}}]}", "{\"id\":\"a\",\"type\":\"t\",\"marks\":[{\"type\":\"m\"},{\"type\":\"n\"}]}",
		"{\"id\":\"a\",\"type\":\"t\",\"children\":[{\"id\":\"b\",\"type\":\"t\"},{\"id\":\"c\",\"type\":\"t\"}]}", "{\"id\":\"a\",\"type\":\"t\",\"children\":[{\"id\":\"c\",\"type\":\"t\"},{\"id\":\"b\",\"type\":\"t\"}]}",
		"{\"id\":\"a\",\"type\":\"t\",\"children\":[{\"id\":\"b\",\"type\":\"t\",\"children\":[{\"id\":\"c\",\"type\":\"t\"}]}]}"};
	struct mf_digest digests[SIZE(trees)];
	for (size_t i = 0; i < SIZE(trees); i++) {
		struct mf_edit *edit = begin();
		insert(edit, "root", 0, trees[i]);
		struct mf_doc *doc = finish(edit);
		digests[i] = digest_of(doc);
		mf_doc_unref(doc);
		for (size_t k = 0; k < i; k++)
			if (memcmp(&digests[i], &digests[k], sizeof(*digests)) == 0)
				fail_msg("%s and %s", trees[i], trees[k]);
	}
}

/* ---- sinks, hex, memory ---- */

struct limited {
	int calls, fail_at;
};

static enum mf_status fail_later(void *user, const void *bytes, size_t len)
{
	struct limited *limited = user;
	assert_non_null(bytes);
	assert_in_range(len, 1, 16384); /* pieces, not letters and not all at once */
	return ++limited->calls == limited->fail_at ? MF_ERR_IO : MF_OK;
}

static struct mf_doc *large_doc(void)
{
	struct mf_edit *edit = begin();
	char *json = malloc(100100);
	int len = sprintf(json, "{\"id\":\"t\",\"type\":\"text\",\"attrs\":{\"text\":\"");
	memset(json + len, 'x', 100000);
	memcpy(json + len + 100000, "\"}}", 4);
	insert(edit, "root", 0, json);
	free(json);
	return finish(edit);
}

static void a_failing_sink_ends_the_writing_with_its_status(void **state)
{
	(void)state;
	struct mf_doc *doc = large_doc();
	struct limited limited = {.fail_at = 0};
	assert_int_equal(mf_doc_write_json(doc, fail_later, &limited), MF_OK);
	int calls = limited.calls;
	assert_in_range(calls, 5, 100);
	for (int fail_at = 1; fail_at <= calls; fail_at++) {
		limited = (struct limited){.fail_at = fail_at};
		assert_int_equal(mf_doc_write_json(doc, fail_later, &limited), MF_ERR_IO);
		assert_int_equal(limited.calls, fail_at);
	}
	mf_doc_unref(doc);
}

static void a_digest_needs_no_memory(void **state)
{
	(void)state;
	struct mf_doc *doc = large_doc();
	struct mf_digest before = digest_of(doc), digest;
	mf_mem_fail_at(1, true);
	enum mf_status status = mf_doc_digest(doc, &digest);
	mf_mem_fail_at(0, false);
	assert_int_equal(status, MF_OK);
	assert_memory_equal(digest.bytes, before.bytes, MF_DIGEST_BYTES);
	mf_doc_unref(doc);
}

static void hex_is_lower_case_and_in_order(void **state)
{
	(void)state;
	struct mf_digest digest = {{0x00, 0x01, 0x23, 0x45, 0x67, 0x89, 0xAB, 0xCD, 0xEF, 0xFF, 0x10, 0x0F, 0x7F, 0x80, 0xA0, 0x0A}};
	char hex[MF_DIGEST_HEX + 1];
	memset(hex, '!', sizeof(hex));
	mf_digest_hex(&digest, hex);
	assert_string_equal(hex, "000123456789abcdefff100f7f80a00a");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_new_document_has_this_text_and_this_digest),
		cmocka_unit_test(members_marks_and_attributes_are_in_order),
		cmocka_unit_test(ids_and_types_are_escaped),
		cmocka_unit_test(the_text_of_a_wide_document_is_json),
		cmocka_unit_test(the_deepest_document_is_written),
		cmocka_unit_test(equal_trees_have_equal_digests_whatever_way_led_there),
		cmocka_unit_test(text_typed_letter_by_letter_has_the_digest_of_text_set_at_once),
		cmocka_unit_test(every_difference_of_the_tree_shows_in_the_digest),
		cmocka_unit_test(a_failing_sink_ends_the_writing_with_its_status),
		cmocka_unit_test(a_digest_needs_no_memory),
		cmocka_unit_test(hex_is_lower_case_and_in_order),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
