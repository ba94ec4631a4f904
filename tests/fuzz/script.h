/* script.h - the bytes of a fuzzer's input read as a script: numbers and pieces, one after the other.
 *
 * Past its end a script gives zeros and empty pieces, so every input is one. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct script {
	const uint8_t *at, *end;
};

static inline bool script_ended(const struct script *script)
{
	return script->at == script->end;
}

static inline uint64_t script_number(struct script *script, unsigned bytes)
{
	uint64_t value = 0;
	for (unsigned i = 0; i < bytes && script->at < script->end; i++)
		value |= (uint64_t)*script->at++ << (8 * i);
	return value;
}

static inline uint8_t script_byte(struct script *script)
{
	return (uint8_t)script_number(script, 1);
}

/* A number below limit. */
static inline size_t script_choice(struct script *script, size_t limit)
{
	return (size_t)script_number(script, limit > 256 ? 4 : 1) % limit;
}

/* At most len bytes, borrowed; *out_len says how many there were. */
static inline const uint8_t *script_piece(struct script *script, size_t len, size_t *out_len)
{
	const uint8_t *piece = script->at;
	size_t left = (size_t)(script->end - script->at);
	*out_len = len < left ? len : left;
	script->at += *out_len;
	return piece;
}
