/* text.h - long text as a rope: a balanced tree of chunks, shared between versions.
 *
 * Why chunks of about 512 bytes: an edit copies one of them and the path to it (about 1 us), and
 * the tree costs about a tenth of the text.
 *
 * Invariants
 * 1. A rope is a SUM tree (model/tree.h): sum counts code points, sum2 bytes. NULL is the empty text.
 * 2. Every chunk is 1 to MF_TEXT_CHUNK_MAX bytes of valid UTF-8, cut between code points, and at least
 *    MF_TEXT_CHUNK_MIN unless it is alone: an edit that would leave less takes the neighbour in.
 *    So a million keystrokes do not make a million chunks.
 * 3. How a text is cut depends on how it was made; nothing outside may show it.
 *
 * Bytes given must be valid UTF-8, positions must lie inside: the caller has checked.
 * Thread: ropes are immutable; reference counts are atomic. */
#pragma once

#include "model/tree.h"

#define MF_TEXT_CHUNK_MAX 512
#define MF_TEXT_CHUNK_MIN 128

MF_MUST_CHECK enum mf_status mf_text_new(const char *bytes, size_t len, struct mf_tree **out);
void mf_text_unref(struct mf_tree *text);
/* Code points [pos, pos + del) replaced by the bytes of insert. O(log n + del + insert_len). */
MF_MUST_CHECK enum mf_status mf_text_splice(const struct mf_tree *text, size_t pos, size_t del, const char *insert, size_t insert_len,
					    struct mf_tree **out);

static inline size_t mf_text_bytes(const struct mf_tree *text)
{
	return (size_t)mf_tree_sum2(text);
}
static inline size_t mf_text_code_points(const struct mf_tree *text)
{
	return (size_t)mf_tree_sum(text);
}
/* The byte offset of code point pos (at most the number of them). O(log n). */
size_t mf_text_offset(const struct mf_tree *text, size_t pos);
void mf_text_copy(const struct mf_tree *text, size_t from, size_t len, char *buffer); /* bytes [from, from + len) */
/* The chunks in order, until visit returns false. */
void mf_text_pieces(const struct mf_tree *text, bool (*visit)(void *user, const char *bytes, size_t len), void *user);
bool mf_text_is_valid(const struct mf_tree *text); /* for tests: invariants 1 and 2 */
