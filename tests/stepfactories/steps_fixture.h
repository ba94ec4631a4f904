/* steps_fixture.h - what the tests of the built-in steps share: the three plugins' types in a registry
 * (through their own init, without the loader), steps and documents from JSON, and the checks
 * that hold for every step. All of it asserts with cmocka. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <moduforge/pack.h>
#include <moduforge/plugin.h>
#include <moduforge/transaction.h>

/* The registry with all built-in types, frozen, made once. */
const struct mf_step_registry *builtin_steps(void);
void builtin_steps_free(void);

/* ' stands for " in every JSON text here. */
struct mf_value *value_of(const char *json);
char *json_of(const struct mf_value *value);
struct mf_doc *doc_of(const char *children); /* the root with these children: "[…]" or NULL */
char *tree_of(const struct mf_doc *doc);     /* canonical JSON, to be freed with mf_free */

struct mf_step *step_of(const char *type_id, const char *data);
struct mf_doc *applied(const struct mf_doc *doc, const struct mf_step *step, struct mf_step **out_inverse); /* takes nothing */

/* encode/decode and to_value/from_value give the same step. */
void check_forms(const struct mf_step *step);
/* The step turns the children before into after; its inverse turns them back; both keep their forms. */
void check_change(const char *before, const char *type_id, const char *data, const char *after);
/* The step is made, but does not fit the document: MF_ERR_INVALID with this in the message. */
void check_refused(const char *children, const char *type_id, const char *data, const char *message);
/* The data itself is wrong. */
struct bad_data {
	const char *data, *message;
};
void check_bad_data(const char *type_id, const struct bad_data *cases, size_t count);
/* The inverse, as JSON. */
void check_inverse(const char *children, const char *type_id, const char *data, const char *inverse_type_id, const char *inverse_data);
/* Every cut, every added byte, every flipped bit: MF_ERR_CORRUPTED, or a step that is sound. */
void check_hostile_bytes(const char *type_id, const char *data);
/* These bytes are refused. */
void check_damaged(const char *type_id, const void *bytes, size_t len);
/* Every allocation fails in turn while the step is made, shown, encoded, decoded and applied. */
void check_out_of_memory(const char *children, const char *type_id, const char *data);
