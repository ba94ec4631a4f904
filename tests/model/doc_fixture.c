#include "doc_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <moduforge/step.h>

static enum mf_status collect(void *user, const void *bytes, size_t len)
{
	return mf_buffer_append(user, bytes, len);
}

char *dump(const struct mf_doc *doc)
{
	struct mf_buffer buffer = {0};
	assert_int_equal(mf_doc_write_json(doc, collect, &buffer), MF_OK);
	assert_int_equal(mf_buffer_append(&buffer, "", 1), MF_OK);
	return (char *)buffer.bytes;
}

static char *quoted(const char *json)
{
	char *text = strdup(json);
	for (char *c = text; *c; c++)
		if (*c == '\'')
			*c = '"';
	return text;
}

struct mf_value *value_of(const char *json)
{
	struct mf_value *value = NULL;
	struct mf_error error = {0};
	char *text = quoted(json);
	if (mf_value_parse_json(text, strlen(text), &value, &error))
		fail_msg("%s: %s", text, error.message);
	free(text);
	return value;
}

struct mf_fragment *fragment_of(const char *json)
{
	struct mf_fragment *fragment = NULL;
	struct mf_error error = {0};
	struct mf_value *value = value_of(json);
	if (mf_fragment_from_value(value, &fragment, &error))
		fail_msg("%s: %s", json, error.message);
	mf_value_unref(value);
	return fragment;
}

struct mf_doc *empty_doc(void)
{
	struct mf_doc *doc = NULL;
	assert_int_equal(mf_doc_new(&doc), MF_OK);
	return doc;
}

struct mf_edit *edit_of(const struct mf_doc *doc)
{
	struct mf_edit *edit = NULL;
	assert_int_equal(mf_edit_begin(doc, &edit), MF_OK);
	return edit;
}

void insert(struct mf_edit *edit, const char *parent, size_t index, const char *json)
{
	struct mf_error error = {0};
	struct mf_fragment *fragment = fragment_of(json);
	if (mf_edit_insert(edit, parent, strlen(parent), index, fragment, &error))
		fail_msg("%s: %s", json, error.message);
	mf_fragment_unref(fragment);
}

void insert_leaf(struct mf_edit *edit, const char *parent, size_t index, const char *id)
{
	char json[128];
	snprintf(json, sizeof(json), "{'id':'%s','type':'p'}", id);
	insert(edit, parent, index, json);
}

struct mf_doc *finish(struct mf_edit *edit)
{
	struct mf_doc *doc = NULL;
	assert_int_equal(mf_edit_finish(edit, &doc), MF_OK);
	return doc;
}

struct mf_doc *doc_of(const char *json_of_one_child)
{
	struct mf_doc *empty = empty_doc();
	struct mf_edit *edit = edit_of(empty);
	insert(edit, MF_ROOT_ID, MF_APPEND, json_of_one_child);
	mf_doc_unref(empty);
	return finish(edit);
}

const struct mf_node *find(const struct mf_doc *doc, const char *id)
{
	return mf_doc_find(doc, id, strlen(id));
}

void assert_dump(const struct mf_doc *doc, const char *expected)
{
	char *is = dump(doc), *should = quoted(expected);
	assert_string_equal(is, should);
	mf_free(is);
	free(should);
}
