/* heads.h - which event is a document's newest: a bounded cache, so that an append need not ask the database.
 *
 * A hash table of small sets; in each set the least recently used document makes room. It may forget anything
 * at any time (also when memory is short), but never holds a wrong LSN: whoever changes a document's newest
 * event puts it here or drops the document.
 *
 * Thread: one at a time. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <moduforge/status.h>

struct mf_heads;

MF_MUST_CHECK enum mf_status mf_heads_new(uint64_t seed, struct mf_heads **out);
void mf_heads_free(struct mf_heads *heads); /* NULL is fine */
bool mf_heads_get(struct mf_heads *heads, const char *doc_id, int64_t *out_lsn);
void mf_heads_put(struct mf_heads *heads, const char *doc_id, int64_t lsn);
void mf_heads_drop(struct mf_heads *heads, const char *doc_id);
