/* pack_read.h - what the readers of the packed form share. */
#pragma once

#include "model/pack.h"
#include "model/value_stack.h"

/* mf_unpack_value with the caller's stack: a document has a million small attribute maps, and an allocation for each while
 * it is being read would double the cost. */
enum mf_status mf_unpack_next_value(struct mf_value_stack *stack, struct mf_unpack *in, struct mf_value **out);

/* What a failed constructor means for bytes from outside: all but MF_ERR_NO_MEMORY is damage. */
static inline enum mf_status mf_unpack_status(enum mf_status status)
{
	return status == MF_OK || status == MF_ERR_NO_MEMORY ? status : MF_ERR_CORRUPTED;
}
/* One token of the stream, for readers that branch on what comes next. */
enum mf_token_kind {
	MF_TOKEN_NONE, /* not a token of ours: extension types, float32, the unused 0xc1 */
	MF_TOKEN_NIL, MF_TOKEN_FALSE, MF_TOKEN_TRUE, MF_TOKEN_UINT, MF_TOKEN_INT, MF_TOKEN_DOUBLE,
	MF_TOKEN_STR, MF_TOKEN_BIN, MF_TOKEN_ARRAY, MF_TOKEN_MAP,
};
struct mf_token {
	enum mf_token_kind kind;
	uint64_t number;   /* the value (INT: negative, two's complement; DOUBLE: its bits), the length or the count */
	const char *bytes; /* of STR and BIN: number of them, all inside the input */
};
/* Reads one token (with its bytes, without its items). The input is left alone on failure. */
enum mf_status mf_unpack_token(struct mf_unpack *in, struct mf_token *out);
