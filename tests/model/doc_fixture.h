/* What the tests of documents share: short ways to make, change and print them. */
#pragma once

#include <moduforge/doc.h>

char *dump(const struct mf_doc *doc); /* canonical JSON, to be given to mf_free */
struct mf_value *value_of(const char *json);
/* JSON with ' for ". */
struct mf_fragment *fragment_of(const char *json);
struct mf_doc *empty_doc(void);
struct mf_edit *edit_of(const struct mf_doc *doc);
/* These must succeed. */
void insert(struct mf_edit *edit, const char *parent, size_t index, const char *json);
void insert_leaf(struct mf_edit *edit, const char *parent, size_t index, const char *id);
struct mf_doc *finish(struct mf_edit *edit);
struct mf_doc *doc_of(const char *json_of_one_child);
const struct mf_node *find(const struct mf_doc *doc, const char *id);
void assert_dump(const struct mf_doc *doc, const char *expected); /* ' for " */
