#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "model/mem.h"
#include "model/pack.h"
#include "model/tree.h"

static struct mf_unpack reading(const struct mf_buffer *buffer)
{
	return (struct mf_unpack){.at = buffer->bytes, .end = buffer->len ? buffer->bytes + buffer->len : NULL};
}

static struct mf_value *parse(const char *json)
{
	struct mf_value *value;
	struct mf_error error = {0};
	if (mf_value_parse_json(json, strlen(json), &value, &error) != MF_OK)
		fail_msg("%s: %s", json, error.message);
	return value;
}

static uint64_t next_random(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}

#define TREE "{\"id\":\"t\",\"type\":\"list\",\"attrs\":{\"a\":1,\"z\":[1,{\"k\":\"v\"}]},\"marks\":[{\"type\":\"bold\",\"attrs\":{\"by\":\"ann\"}},{\"type\":\"it\",\"attrs\":{}}]," \
	     "\"children\":[{\"id\":\"c1\",\"type\":\"item\",\"children\":[{\"id\":\"d1\",\"type\":\"item\"},{\"id\":\"d2\",\"type\":\"item\",\"attrs\":{\"text\":\"\xc3\xa9\"}}]}," \
	     "{\"id\":\"c2\",\"type\":\"item\",\"marks\":[{\"type\":\"x\",\"attrs\":{}}]},{\"id\":\"c3\",\"type\":\"other\",\"children\":[{\"id\":\"e1\",\"type\":\"item\"}]}]}"

static struct mf_fragment *fragment_of(const char *json)
{
	struct mf_value *value = parse(json);
	struct mf_fragment *fragment;
	struct mf_error error = {0};
	if (mf_fragment_from_value(value, &fragment, &error) != MF_OK)
		fail_msg("%s", error.message);
	mf_value_unref(value);
	return fragment;
}

static void a_fragment_reads_back_the_same(void **state)
{
	(void)state;
	struct mf_fragment *fragment = fragment_of(TREE), *back;
	struct mf_value *before, *after;
	struct mf_buffer buffer = {0};
	assert_int_equal(mf_pack_fragment(&buffer, fragment), MF_OK);
	struct mf_unpack in = reading(&buffer);
	assert_int_equal(mf_unpack_fragment(&in, &back), MF_OK);
	assert_ptr_equal(in.at, in.end);
	assert_int_equal(mf_fragment_node_count(back), 7);
	assert_int_equal(mf_fragment_to_value(fragment, &before), MF_OK);
	assert_int_equal(mf_fragment_to_value(back, &after), MF_OK);
	assert_true(mf_value_equal(before, after));
	mf_value_unref(before);
	mf_value_unref(after);
	mf_fragment_unref(fragment);
	mf_fragment_unref(back);
	mf_buffer_deinit(&buffer);
}

/* A document with TREE under its root, and with attributes and a mark on the root. */
static struct mf_doc *example_doc(void)
{
	struct mf_doc *empty, *doc;
	struct mf_edit *edit;
	struct mf_fragment *fragment = fragment_of(TREE);
	struct mf_value *title = parse("\"on the root\""), *attrs = parse("{\"n\":1}");
	assert_int_equal(mf_doc_new(&empty), MF_OK);
	assert_int_equal(mf_edit_begin(empty, &edit), MF_OK);
	assert_int_equal(mf_edit_insert(edit, "root", 4, MF_APPEND, fragment, NULL), MF_OK);
	assert_int_equal(mf_edit_set_attr(edit, "root", 4, "title", 5, title, NULL, NULL), MF_OK);
	assert_int_equal(mf_edit_set_mark(edit, "root", 4, "draft", 5, attrs, NULL, NULL), MF_OK);
	assert_int_equal(mf_edit_finish(edit, &doc), MF_OK);
	mf_value_unref(title);
	mf_value_unref(attrs);
	mf_fragment_unref(fragment);
	mf_doc_unref(empty);
	return doc;
}

static void assert_same_doc(const struct mf_doc *a, const struct mf_doc *b)
{
	struct mf_digest first, second;
	assert_int_equal(mf_doc_digest(a, &first), MF_OK);
	assert_int_equal(mf_doc_digest(b, &second), MF_OK);
	assert_memory_equal(first.bytes, second.bytes, MF_DIGEST_BYTES);
	assert_int_equal(mf_doc_node_count(a), mf_doc_node_count(b));
}

static void doc_round_trip(const struct mf_doc *doc)
{
	struct mf_buffer buffer = {0}, again = {0};
	struct mf_doc *back;
	assert_int_equal(mf_pack_doc(&buffer, doc), MF_OK);
	struct mf_unpack in = reading(&buffer);
	assert_int_equal(mf_unpack_doc(&in, &back), MF_OK);
	assert_ptr_equal(in.at, in.end);
	assert_same_doc(doc, back);
	assert_int_equal(mf_pack_doc(&again, back), MF_OK);
	assert_int_equal(again.len, buffer.len);
	assert_memory_equal(again.bytes, buffer.bytes, buffer.len);
	mf_doc_unref(back);
	mf_buffer_deinit(&buffer);
	mf_buffer_deinit(&again);
}

static void a_document_reads_back_with_what_its_root_says(void **state)
{
	(void)state;
	struct mf_doc *doc = example_doc();
	doc_round_trip(doc);
	mf_doc_unref(doc);
}

static void an_empty_document_reads_back(void **state)
{
	(void)state;
	struct mf_doc *doc;
	assert_int_equal(mf_doc_new(&doc), MF_OK);
	doc_round_trip(doc);
	mf_doc_unref(doc);
}

static void insert_leaf(struct mf_edit *edit, const char *parent, unsigned number)
{
	char json[100];
	snprintf(json, sizeof(json), "{\"id\":\"n%u\",\"type\":\"item\",\"attrs\":{\"n\":%u}}", number, number);
	struct mf_fragment *leaf = fragment_of(json);
	assert_int_equal(mf_edit_insert(edit, parent, strlen(parent), number % 3 ? MF_APPEND : 0, leaf, NULL), MF_OK);
	mf_fragment_unref(leaf);
}

static void wide_and_deep_documents_read_back(void **state)
{
	(void)state;
	struct mf_doc *empty, *doc;
	struct mf_edit *edit;
	char parent[16] = "root";
	assert_int_equal(mf_doc_new(&empty), MF_OK);
	assert_int_equal(mf_edit_begin(empty, &edit), MF_OK);
	for (unsigned i = 0; i < MF_DEPTH_MAX - 1; i++) {
		insert_leaf(edit, parent, i);
		snprintf(parent, sizeof(parent), "n%u", i);
	}
	for (unsigned i = 1000; i < 21000; i++)
		insert_leaf(edit, i % 2 ? "root" : "n20", i);
	assert_int_equal(mf_edit_finish(edit, &doc), MF_OK);
	doc_round_trip(doc);
	mf_doc_unref(doc);
	mf_doc_unref(empty);
}

static enum mf_status read_doc(const char *bytes, size_t len)
{
	struct mf_unpack in = {.at = (const unsigned char *)bytes, .end = (const unsigned char *)bytes + len};
	struct mf_doc *doc = NULL;
	enum mf_status status = mf_unpack_doc(&in, &doc);
	if (status != MF_OK) {
		assert_null(doc);
		assert_ptr_equal(in.at, bytes);
	}
	mf_doc_unref(doc);
	return status;
}

#define ROOT "\xa4root\xa3""doc\x80\x80"
#define READ_DOC(text) read_doc(text, sizeof(text) - 1)

static void trees_that_do_not_add_up_are_corrupted(void **state)
{
	(void)state;
	assert_int_equal(READ_DOC("\x95" ROOT "\x00"), MF_OK);
	assert_int_equal(READ_DOC("\x9a" ROOT "\x01\xa1""a\xa1t\x80\x80\x00"), MF_OK);
	assert_int_equal(READ_DOC("\x90"), MF_ERR_CORRUPTED);
	assert_int_equal(READ_DOC("\x94" ROOT "\x00"), MF_ERR_CORRUPTED);                         /* not 5 a node */
	assert_int_equal(READ_DOC("\x95" ROOT "\x01"), MF_ERR_CORRUPTED);                         /* a child is missing */
	assert_int_equal(READ_DOC("\x9a" ROOT "\x00\xa1""a\xa1t\x80\x80\x00"), MF_ERR_CORRUPTED); /* a second top */
	assert_int_equal(READ_DOC("\x9a" ROOT "\x02\xa1""a\xa1t\x80\x80\x00"), MF_ERR_CORRUPTED);
	assert_int_equal(READ_DOC("\x9a" ROOT "\xcf\xff\xff\xff\xff\xff\xff\xff\xff\xa1""a\xa1t\x80\x80\x00"), MF_ERR_CORRUPTED);
	assert_int_equal(READ_DOC("\x95\xa1""a\xa3""doc\x80\x80\x00"), MF_ERR_CORRUPTED);         /* not the root */
	assert_int_equal(READ_DOC("\x95\xa4root\xa1t\x80\x80\x00"), MF_ERR_CORRUPTED);
	assert_int_equal(READ_DOC("\x9a" ROOT "\x01\xa4root\xa1t\x80\x80\x00"), MF_ERR_CORRUPTED); /* an id twice */
	assert_int_equal(READ_DOC("\x9a" ROOT "\x01\xa0\xa1t\x80\x80\x00"), MF_ERR_CORRUPTED);     /* no id */
	assert_int_equal(READ_DOC("\x9a" ROOT "\x01\xa1\xff\xa1t\x80\x80\x00"), MF_ERR_CORRUPTED); /* not UTF-8 */
	assert_int_equal(READ_DOC("\x9a" ROOT "\x01\xa1""a\xa1t\x80\x81\xa1m\x01\x00"), MF_ERR_CORRUPTED); /* a mark that is no map */
	assert_int_equal(READ_DOC("\x9a" ROOT "\x01\xa1""a\xa1t\x82\xa1k\x01\xa1k\x02\x80\x00"), MF_ERR_CORRUPTED); /* an attribute twice */
}

static void a_tree_that_is_too_deep_is_corrupted(void **state)
{
	(void)state;
	for (unsigned depth = MF_DEPTH_MAX; depth <= MF_DEPTH_MAX + 1; depth++) {
		struct mf_buffer buffer = {0};
		char id[16] = "root";
		assert_int_equal(mf_pack_array(&buffer, depth * 5), MF_OK);
		for (unsigned i = 0; i < depth; i++) {
			assert_int_equal(mf_pack_str(&buffer, id, strlen(id)), MF_OK);
			assert_int_equal(mf_pack_str(&buffer, "doc", 3), MF_OK);
			assert_int_equal(mf_pack_map(&buffer, 0), MF_OK);
			assert_int_equal(mf_pack_map(&buffer, 0), MF_OK);
			assert_int_equal(mf_pack_uint(&buffer, i + 1 < depth), MF_OK);
			snprintf(id, sizeof(id), "n%u", i);
		}
		assert_int_equal(read_doc((char *)buffer.bytes, buffer.len), depth == MF_DEPTH_MAX ? MF_OK : MF_ERR_CORRUPTED);
		mf_buffer_deinit(&buffer);
	}
}

static void every_prefix_of_a_document_is_corrupted(void **state)
{
	(void)state;
	struct mf_doc *doc = example_doc();
	struct mf_buffer buffer = {0};
	assert_int_equal(mf_pack_doc(&buffer, doc), MF_OK);
	for (size_t len = 0; len < buffer.len; len++) {
		char *copy = mf_memdup(buffer.bytes, len); /* so that a sanitizer sees a read beyond the end */
		assert_int_equal(read_doc(copy, len), MF_ERR_CORRUPTED);
		mf_free(copy);
	}
	mf_doc_unref(doc);
	mf_buffer_deinit(&buffer);
}

static void flipped_bits_give_an_error_or_a_valid_document(void **state)
{
	(void)state;
	struct mf_doc *doc = example_doc();
	struct mf_buffer buffer = {0};
	uint64_t seed = 42;
	unsigned refused = 0, read = 0;
	assert_int_equal(mf_pack_doc(&buffer, doc), MF_OK);
	for (unsigned i = 0; i < 20000; i++) {
		unsigned char *copy = mf_memdup(buffer.bytes, buffer.len);
		for (unsigned flips = 1 + i % 3; flips > 0; flips--)
			copy[next_random(&seed) % buffer.len] ^= (unsigned char)(1u << (next_random(&seed) % 8));
		struct mf_unpack in = {.at = copy, .end = copy + buffer.len};
		struct mf_doc *back;
		if (mf_unpack_doc(&in, &back) == MF_OK) {
			doc_round_trip(back);
			mf_doc_unref(back);
			read++;
		} else
			refused++;
		mf_free(copy);
	}
	assert_true(refused > 1000 && read > 1000);
	mf_doc_unref(doc);
	mf_buffer_deinit(&buffer);
}

/* ---- out of memory ---- */
static enum mf_status write_and_read(const struct mf_doc *doc)
{
	struct mf_buffer buffer = {0};
	struct mf_doc *back = NULL;
	enum mf_status status = mf_pack_doc(&buffer, doc);
	struct mf_unpack in = reading(&buffer);
	if (status == MF_OK)
		status = mf_unpack_doc(&in, &back);
	mf_doc_unref(back);
	mf_buffer_deinit(&buffer);
	return status;
}

static void a_fragment_without_memory_is_reported_as_such(void **state)
{
	(void)state;
	struct mf_value *value;
	struct mf_fragment *fragment;
	struct mf_buffer whole = {0};
	static const char json[] = "{\"id\":\"a\",\"type\":\"p\",\"attrs\":{\"k\":1},\"marks\":[{\"type\":\"m\"}],\"children\":[{\"id\":\"b\",\"type\":\"p\"}]}";
	assert_int_equal(mf_value_parse_json(json, sizeof(json) - 1, &value, NULL), MF_OK);
	assert_int_equal(mf_fragment_from_value(value, &fragment, NULL), MF_OK);
	assert_int_equal(mf_pack_fragment(&whole, fragment), MF_OK);
	mf_mem_tight(true);
	enum mf_status status = MF_ERR_NO_MEMORY;
	uint64_t n = 1;
	for (; status != MF_OK; n++) {
		struct mf_buffer buffer = {0};
		mf_mem_fail_at(n, false);
		status = mf_pack_fragment(&buffer, fragment);
		mf_mem_fail_at(0, false);
		assert_true(status == MF_ERR_NO_MEMORY || buffer.len == whole.len);
		mf_buffer_deinit(&buffer);
	}
	mf_mem_tight(false);
	assert_true(n > 10);
	mf_buffer_deinit(&whole);
	mf_fragment_unref(fragment);
	mf_value_unref(value);
}

static void every_failed_allocation_is_reported_as_such(void **state)
{
	(void)state;
	mf_mem_tight(true); /* each piece that is appended may find no room */
	struct mf_doc *doc = example_doc();
	for (int forever = 0; forever < 2; forever++) {
		uint64_t n = 0, reached;
		do {
			mf_tree_trim();
			mf_mem_fail_at(++n, forever);
			enum mf_status status = write_and_read(doc);
			reached = mf_mem_count();
			mf_mem_fail_at(0, false);
			/* a shrink that fails is no failure, so MF_OK does not end the loop */
			assert_true(status == MF_OK || (status == MF_ERR_NO_MEMORY && reached >= n));
		} while (reached >= n);
		assert_true(n > 20);
	}
	mf_doc_unref(doc);
	mf_mem_tight(false);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_fragment_reads_back_the_same),
		cmocka_unit_test(a_document_reads_back_with_what_its_root_says),
		cmocka_unit_test(an_empty_document_reads_back),
		cmocka_unit_test(wide_and_deep_documents_read_back),
		cmocka_unit_test(trees_that_do_not_add_up_are_corrupted),
		cmocka_unit_test(a_tree_that_is_too_deep_is_corrupted),
		cmocka_unit_test(every_prefix_of_a_document_is_corrupted),
		cmocka_unit_test(flipped_bits_give_an_error_or_a_valid_document),
		cmocka_unit_test(a_fragment_without_memory_is_reported_as_such),
		cmocka_unit_test(every_failed_allocation_is_reported_as_such),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
