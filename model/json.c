/* json.c - JSON text into values: RFC 8259, and the rules of moduforge/value.h.
 *
 * Refused are, with line and column: what is not the grammar, to the last byte; bytes that are not UTF-8, surrogates that are no pair, U+0000
 * in a key and NUL outside of escapes; repeated keys; integers outside int64 and reals outside double; more than
 * MF_NESTING_MAX levels. -0.0 is 0.0. The text of a value is never part of the message: it may be a secret.
 *
 * Why not a library's parser: jansson loses bytes of a string or a number for which it has no memory and goes on, or reads on behind the end of its
 * buffer, and nobody can ask it whether it did. It still is the second opinion on this one, in the tests.
 *
 * Invariants
 * 1. Nothing is allocated but what becomes part of the value, the stack of open containers, one escaped string, and keys with
 *    escapes: all of it in proportion to the text. All allocations are checked, and give MF_ERR_NO_MEMORY.
 * 2. Time is in proportion to the text, but for the sorting of an object's members (by model/value.c, which finds repeated
 *    keys). Lines and columns are counted when there is something to say.
 * 3. Recursion is at most MF_NESTING_MAX deep: the check comes before the descent.
 * 4. *at is '\0' nowhere before the end, because such a text is refused at once; so that peek needs no second answer. */
#include "model/value.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "model/json_string.h"
#include "model/mem.h"
#include "model/node.h"
#include "model/number.h"
#include "model/utf8.h"
#include "model/value_stack.h"

#define DIGITS(number) #number
#define DIGITS_OF(number) DIGITS(number)

/* A key that was written with escapes, as it is meant. Lives as long as the parser. */
struct decoded_key {
	struct decoded_key *next;
	const char *at; /* where it stands in the text */
	char bytes[];
};

struct parser {
	const char *text, *at, *end;
	struct mf_value_stack open;
	struct decoded_key *keys;
	char *scratch; /* for a string with escapes */
	size_t scratch_size;
	struct mf_error *error;
};

static enum mf_status read_value(struct parser *parser, unsigned depth, struct mf_value **out);

/* ---- refusals ---- */

/* Columns are code points. What the message ends with is of the text. */
static enum mf_status refuse_naming(struct parser *parser, const char *where, const char *what, const char *name, size_t name_len)
{
	size_t line = 1;
	const char *start = parser->text;
	for (const char *at = parser->text; at < where; at++)
		if (*at == '\n') {
			line++;
			start = at + 1;
		}
	size_t column = mf_utf8_count(start, (size_t)(where - start)) + 1;
	return mf_error_set(parser->error, MF_ERR_INVALID, "JSON line %zu, column %zu: %s%.*s", line, column, what, MF_SHOW(name, name_len));
}

static enum mf_status refuse(struct parser *parser, const char *where, const char *what)
{
	return refuse_naming(parser, where, what, "", 0);
}

static enum mf_status expected(struct parser *parser, const char *what)
{
	static const char near_end[] = " near end of file";
	return refuse_naming(parser, parser->at, what, near_end, parser->at < parser->end ? 0 : sizeof(near_end) - 1);
}

/* ---- tokens ---- */

static char peek(const struct parser *parser)
{
	return parser->at < parser->end ? *parser->at : '\0';
}

static bool skip(struct parser *parser, char byte)
{
	bool there = peek(parser) == byte;
	parser->at += there;
	return there;
}

static char skip_space(struct parser *parser)
{
	char byte = peek(parser);
	while (byte == ' ' || byte == '\n' || byte == '\t' || byte == '\r') {
		parser->at++;
		byte = peek(parser);
	}
	return byte;
}

static bool skip_digits(struct parser *parser)
{
	const char *start = parser->at;
	while ((unsigned)(peek(parser) - '0') < 10)
		parser->at++;
	return parser->at > start;
}

static enum mf_status read_word(struct parser *parser, const char *word, struct mf_value *value, struct mf_value **out)
{
	size_t len = strlen(word);
	if ((size_t)(parser->end - parser->at) < len || memcmp(parser->at, word, len) != 0)
		return refuse(parser, parser->at, "invalid token");
	parser->at += len;
	*out = value;
	return MF_OK;
}

static enum mf_status read_int(struct parser *parser, const char *start, struct mf_value **out)
{
	int64_t value;
	if (!mf_number_read_int(start, (size_t)(parser->at - start), &value))
		return refuse(parser, start, *start == '-' ? "too big negative integer" : "too big integer");
	return mf_value_new_int(value, out);
}

static enum mf_status read_real(struct parser *parser, const char *start, struct mf_value **out)
{
	double value;
	if (!mf_number_read_double(start, (size_t)(parser->at - start), &value))
		return refuse(parser, start, "real number overflow");
	return mf_value_new_double(value, out, parser->error);
}

static enum mf_status read_number(struct parser *parser, struct mf_value **out)
{
	const char *start = parser->at;
	skip(parser, '-');
	if (!skip(parser, '0') && !skip_digits(parser))
		return expected(parser, "a digit is expected");
	bool fraction = skip(parser, '.');
	if (fraction && !skip_digits(parser))
		return expected(parser, "a digit is expected");
	bool exponent = skip(parser, 'e') || skip(parser, 'E');
	if (exponent && !skip(parser, '+'))
		skip(parser, '-');
	if (exponent && !skip_digits(parser))
		return expected(parser, "a digit is expected");
	return fraction || exponent ? read_real(parser, start, out) : read_int(parser, start, out);
}

/* ---- strings ---- */

/* at is at the opening quote, and goes behind the closing one. */
static enum mf_status scan(struct parser *parser, struct mf_json_quoted *out)
{
	parser->at++;
	const char *problem = mf_json_quoted_scan(&parser->at, parser->end, out);
	return problem ? refuse(parser, parser->at, problem) : MF_OK;
}

static enum mf_status decode(struct parser *parser, const struct mf_json_quoted *quoted, char *out, size_t *out_len)
{
	const char *where, *problem = mf_json_quoted_decode(quoted, out, out_len, &where);
	return problem ? refuse(parser, where, problem) : MF_OK;
}

static bool reserve_scratch(struct parser *parser, size_t size)
{
	if (size <= parser->scratch_size)
		return true;
	mf_free(parser->scratch);
	parser->scratch = mf_malloc(size);
	parser->scratch_size = parser->scratch ? size : 0;
	return parser->scratch;
}

static enum mf_status read_string(struct parser *parser, struct mf_value **out)
{
	struct mf_json_quoted quoted;
	enum mf_status status = scan(parser, &quoted);
	if (status != MF_OK)
		return status;
	if (!quoted.escaped)
		return mf_string_make(quoted.bytes, quoted.len, out);
	if (!reserve_scratch(parser, quoted.len))
		return MF_ERR_NO_MEMORY;
	size_t len;
	status = decode(parser, &quoted, parser->scratch, &len);
	return status == MF_OK ? mf_string_make(parser->scratch, len, out) : status;
}

static enum mf_status decode_key(struct parser *parser, const struct mf_json_quoted *quoted, struct mf_bytes *out)
{
	struct decoded_key *key = mf_malloc(sizeof(*key) + quoted->len);
	if (!key)
		return MF_ERR_NO_MEMORY;
	key->next = parser->keys;
	key->at = quoted->bytes;
	parser->keys = key;
	out->bytes = key->bytes;
	enum mf_status status = decode(parser, quoted, key->bytes, &out->len);
	if (status == MF_OK && memchr(key->bytes, '\0', out->len))
		return refuse(parser, quoted->bytes, "NUL in an object key");
	return status;
}

static enum mf_status read_key(struct parser *parser, struct mf_bytes *out)
{
	struct mf_json_quoted quoted;
	if (skip_space(parser) != '"')
		return expected(parser, "a string is expected as the key of a member");
	enum mf_status status = scan(parser, &quoted);
	if (status == MF_OK && quoted.escaped)
		return decode_key(parser, &quoted, out);
	*out = (struct mf_bytes){quoted.bytes, quoted.len};
	return status;
}

/* ---- containers ---- */

/* Behind an item or a member: whether another one follows. */
static enum mf_status read_separator(struct parser *parser, char close, bool *out_more)
{
	skip_space(parser);
	*out_more = skip(parser, ',');
	if (*out_more || skip(parser, close))
		return MF_OK;
	return expected(parser, close == ']' ? "',' or ']' is expected" : "',' or '}' is expected");
}

static enum mf_status read_items(struct parser *parser, unsigned depth)
{
	enum mf_status status = MF_OK;
	for (bool more = true; status == MF_OK && more;) {
		struct mf_value *item = NULL;
		status = read_value(parser, depth + 1, &item);
		if (status == MF_OK)
			status = mf_value_stack_push_item(&parser->open, item);
		if (status == MF_OK)
			status = read_separator(parser, ']', &more);
	}
	return status;
}

static enum mf_status read_array(struct parser *parser, unsigned depth, struct mf_value **out)
{
	size_t base = parser->open.item_count;
	parser->at++;
	skip_space(parser);
	enum mf_status status = skip(parser, ']') ? MF_OK : read_items(parser, depth);
	if (status == MF_OK)
		return mf_value_stack_pop_array(&parser->open, base, out, parser->error);
	mf_value_stack_drop_items(&parser->open, base);
	return status;
}

static enum mf_status read_member(struct parser *parser, unsigned depth)
{
	struct mf_bytes key = {0};
	struct mf_value *value = NULL;
	enum mf_status status = read_key(parser, &key);
	if (status != MF_OK)
		return status;
	skip_space(parser);
	if (!skip(parser, ':'))
		return expected(parser, "':' is expected");
	status = read_value(parser, depth + 1, &value);
	return status == MF_OK ? mf_value_stack_push_member(&parser->open, key.bytes, key.len, value) : status;
}

static enum mf_status read_members(struct parser *parser, unsigned depth)
{
	enum mf_status status = MF_OK;
	for (bool more = true; status == MF_OK && more;) {
		status = read_member(parser, depth);
		if (status == MF_OK)
			status = read_separator(parser, '}', &more);
	}
	return status;
}

static const char *place_of_key(const struct parser *parser, const char *key)
{
	if ((uintptr_t)key - (uintptr_t)parser->text < (uintptr_t)(parser->end - parser->text))
		return key;
	return ((const struct decoded_key *)((uintptr_t)key - offsetof(struct decoded_key, bytes)))->at;
}

/* The members were sorted, so equal keys are neighbours: the first in the text that repeats one. */
static enum mf_status refuse_duplicate(struct parser *parser, const struct mf_member *members, size_t count)
{
	const char *first = parser->end;
	const struct mf_member *repeated = members;
	for (size_t i = 1; i < count; i++) {
		if (members[i].key_len != members[i - 1].key_len || memcmp(members[i].key, members[i - 1].key, members[i].key_len) != 0)
			continue;
		const char *one = place_of_key(parser, members[i - 1].key), *other = place_of_key(parser, members[i].key);
		const char *later = one > other ? one : other;
		if (later < first) {
			first = later;
			repeated = &members[i];
		}
	}
	return refuse_naming(parser, first, "duplicate object key: ", repeated->key, repeated->key_len);
}

static enum mf_status read_object(struct parser *parser, unsigned depth, struct mf_value **out)
{
	size_t base = parser->open.member_count;
	parser->at++;
	skip_space(parser);
	enum mf_status status = skip(parser, '}') ? MF_OK : read_members(parser, depth);
	if (status != MF_OK) {
		mf_value_stack_drop_members(&parser->open, base);
		return status;
	}
	size_t count = parser->open.member_count - base;
	status = mf_value_stack_pop_object(&parser->open, base, out, parser->error);
	return status == MF_ERR_INVALID ? refuse_duplicate(parser, parser->open.members + base, count) : status;
}

/* ---- values ---- */

/* depth counts from 1. */
static enum mf_status read_value(struct parser *parser, unsigned depth, struct mf_value **out)
{
	char first = skip_space(parser);
	if (depth > MF_NESTING_MAX)
		return refuse(parser, parser->at, "nested more than " DIGITS_OF(MF_NESTING_MAX) " deep");
	switch (first) {
	case '{': return read_object(parser, depth, out);
	case '[': return read_array(parser, depth, out);
	case '"': return read_string(parser, out);
	case 't': return read_word(parser, "true", mf_value_bool(true), out);
	case 'f': return read_word(parser, "false", mf_value_bool(false), out);
	case 'n': return read_word(parser, "null", mf_value_null(), out);
	case '-':
	case '0': case '1': case '2': case '3': case '4': case '5': case '6': case '7': case '8': case '9': return read_number(parser, out);
	default: return expected(parser, "a value is expected");
	}
}

static enum mf_status read_text(struct parser *parser, struct mf_value **out)
{
	const char *nul = memchr(parser->text, '\0', (size_t)(parser->end - parser->text));
	if (nul)
		return refuse(parser, nul, "a NUL byte");
	struct mf_value *value = NULL;
	enum mf_status status = read_value(parser, 1, &value);
	if (status != MF_OK)
		return status;
	skip_space(parser);
	if (parser->at < parser->end) {
		mf_value_unref(value);
		return refuse(parser, parser->at, "end of file expected");
	}
	*out = value;
	return MF_OK;
}

enum mf_status mf_value_parse_json(const char *text, size_t len, struct mf_value **out, struct mf_error *error)
{
	if (len == 0)
		text = "";
	struct parser parser = {.text = text, .at = text, .end = text + len, .error = error};
	enum mf_status status = read_text(&parser, out);
	while (parser.keys) {
		struct decoded_key *key = parser.keys;
		parser.keys = key->next;
		mf_free(key);
	}
	mf_free(parser.scratch);
	mf_value_stack_deinit(&parser.open);
	return status == MF_ERR_NO_MEMORY ? mf_error_set(error, status, "out of memory while reading JSON") : status;
}
