/* random_steps.c - steps are made as JSON text, as a user would write them.
 *
 * Trees stay between a few and a few hundred nodes: a large one gets deletions, a small one inserts.
 * Node ids come from a pool of 400, so that a clash, a missing node and an id that comes back all happen. */
#include "tests/stepfactories/random_steps.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define POOL 400
#define LARGE 200
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* splitmix64, by its published definition. */
uint64_t random_next(struct random *random)
{
	uint64_t z = (random->state += 0x9e3779b97f4a7c15u);
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

uint64_t random_below(struct random *random, uint64_t bound)
{
	return random_next(random) % bound;
}

static bool chance(struct random *random, unsigned percent)
{
	return random_below(random, 100) < percent;
}

static const char *pick(struct random *random, const char *const *words, size_t count)
{
	return words[random_below(random, count)];
}
#define PICK(random, words) pick(random, words, COUNT(words))

static const char *const types[] = {"p", "list", "price", "日本"};
static const char *const keys[] = {"a", "b", "text", "é", "k/~\\\"", "text"};
static const char *const marks[] = {"bold", "link", "m3", "ü"};
static const char *const texts[] = {"", "hello", "aé日😀z", "\\u0000\\n", "𝄞𝄞", "a long enough text to be worth cutting into several pieces"};

/* ---- choosing nodes: a walk down from the root ---- */

static const struct mf_node *random_node(struct random *random, const struct mf_doc *doc)
{
	const struct mf_node *node = mf_doc_root(doc);
	while (mf_node_child_count(node) > 0 && chance(random, 75))
		node = mf_doc_child(doc, node, random_below(random, mf_node_child_count(node)));
	return node;
}

/* Now and then a node that may not be there; for some steps the root does not do. */
static const char *random_id(struct random *random, const struct mf_doc *doc, char id[16], bool root_too)
{
	const struct mf_node *node = random_node(random, doc);
	for (int tries = 0; !root_too && node == mf_doc_root(doc) && tries < 8; tries++)
		node = random_node(random, doc);
	if (chance(random, 2))
		snprintf(id, 16, "n%u", (unsigned)random_below(random, POOL));
	else
		snprintf(id, 16, "%s", mf_node_id(node, NULL));
	return id;
}

static const struct mf_node *find(const struct mf_doc *doc, const char *id)
{
	return mf_doc_find(doc, id, strlen(id));
}

/* ---- data ---- */

static void write_value(FILE *out, struct random *random, int depth)
{
	switch (random_below(random, depth > 3 ? 5 : 7)) {
	case 0: fputs(chance(random, 50) ? "true" : "null", out); return;
	case 1: fprintf(out, "%lld", (long long)(int64_t)(random_next(random) >> random_below(random, 64))); return;
	case 2: fprintf(out, "%.17g", (double)(int64_t)random_next(random) / (double)(1 + random_below(random, 1000)) + 0.5); return;
	case 3:
	case 4: fprintf(out, "\"%s\"", PICK(random, texts)); return;
	case 5:
		fputc('[', out);
		for (uint64_t i = 0, n = random_below(random, 4); i < n; i++) {
			fputs(i ? "," : "", out);
			write_value(out, random, depth + 1);
		}
		fputc(']', out);
		return;
	default:
		fputs("{\"x\":", out);
		write_value(out, random, depth + 1);
		fputs(",\"\":", out);
		write_value(out, random, depth + 1);
		fputc('}', out);
	}
}

/* Some keys, each at most once: those whose bit is set. */
static void write_attrs(FILE *out, struct random *random, uint64_t chosen)
{
	const char *comma = "";
	fputc('{', out);
	for (size_t i = 0; i < COUNT(keys) - 1; i++) {
		if (!(chosen >> i & 1))
			continue;
		fprintf(out, "%s\"%s\":", comma, keys[i]);
		if (strcmp(keys[i], "text") == 0)
			fprintf(out, "\"%s\"", PICK(random, texts));
		else
			write_value(out, random, 0);
		comma = ",";
	}
	fputc('}', out);
}

static void write_keys(FILE *out, uint64_t chosen)
{
	const char *comma = "";
	fputc('[', out);
	for (size_t i = 0; i < COUNT(keys) - 1; i++) {
		if (!(chosen >> i & 1))
			continue;
		fprintf(out, "%s\"%s\"", comma, keys[i]);
		comma = ",";
	}
	fputc(']', out);
}

static void write_mark(FILE *out, struct random *random)
{
	fprintf(out, "{\"type\":\"%s\"", PICK(random, marks));
	if (chance(random, 50)) {
		fputs(",\"attrs\":", out);
		write_attrs(out, random, random_next(random) & 3);
	}
	fputc('}', out);
}

/* A new node, mostly with a text; ids of a subtree count up from the first. */
static void write_node(FILE *out, struct random *random, unsigned *id, int depth)
{
	fprintf(out, "{\"id\":\"n%u\",\"type\":\"%s\"", (*id)++ % POOL, PICK(random, types));
	if (chance(random, 80)) {
		fputs(",\"attrs\":", out);
		write_attrs(out, random, random_next(random) | (chance(random, 70) ? 4 : 0));
	}
	if (chance(random, 30)) {
		fputs(",\"marks\":[", out);
		write_mark(out, random);
		fputc(']', out);
	}
	if (chance(random, 40)) {
		fputs(",\"children\":[", out);
		for (uint64_t i = 0, n = depth < 4 ? random_below(random, 4) : 0; i < n; i++) {
			fputs(i ? "," : "", out);
			write_node(out, random, id, depth + 1);
		}
		fputc(']', out);
	}
	fputc('}', out);
}

/* ,"index":N or nothing; now and then beyond the end. */
static void write_index(FILE *out, struct random *random, const struct mf_doc *doc, const char *parent)
{
	const struct mf_node *node = find(doc, parent);
	if (chance(random, 30))
		return;
	size_t count = node ? mf_node_child_count(node) : 0;
	fprintf(out, ",\"index\":%llu", (unsigned long long)random_below(random, count + 1) + (chance(random, 2) ? 2 : 0));
}

/* ---- the seven types: each writes its data ---- */

static void insert_node(FILE *out, struct random *random, const struct mf_doc *doc)
{
	char parent[16];
	unsigned first = (unsigned)random_below(random, POOL);
	for (int tries = 0; tries < 20; tries++) { /* a clash is wanted, but rarely */
		char id[16];
		snprintf(id, sizeof(id), "n%u", first);
		if (!find(doc, id))
			break;
		first = (unsigned)random_below(random, POOL);
	}
	fprintf(out, "{\"parent\":\"%s\"", random_id(random, doc, parent, true));
	write_index(out, random, doc, parent);
	fputs(",\"node\":", out);
	write_node(out, random, &first, 0);
	fputc('}', out);
}

static void delete_node(FILE *out, struct random *random, const struct mf_doc *doc)
{
	char id[16];
	fprintf(out, "{\"id\":\"%s\"}", random_id(random, doc, id, false));
}

static void move_node(FILE *out, struct random *random, const struct mf_doc *doc)
{
	char id[16], parent[16];
	fprintf(out, "{\"id\":\"%s\"", random_id(random, doc, id, false));
	fprintf(out, ",\"parent\":\"%s\"", random_id(random, doc, parent, true));
	write_index(out, random, doc, parent);
	fputc('}', out);
}

static void update_attrs(FILE *out, struct random *random, const struct mf_doc *doc)
{
	char id[16];
	/* NOLINTNEXTLINE(misc-redundant-expression): two draws, one bit in four is set */
	uint64_t set = random_next(random) & random_next(random), unset = random_next(random) & ~set;
	fprintf(out, "{\"id\":\"%s\"", random_id(random, doc, id, true));
	if (chance(random, 80)) {
		fputs(",\"set\":", out);
		write_attrs(out, random, set);
	}
	if (chance(random, 40)) {
		fputs(",\"unset\":", out);
		write_keys(out, unset & random_next(random));
	}
	fputc('}', out);
}

static void add_mark(FILE *out, struct random *random, const struct mf_doc *doc)
{
	char id[16];
	fprintf(out, "{\"id\":\"%s\",\"mark\":", random_id(random, doc, id, true));
	write_mark(out, random);
	fputc('}', out);
}

static void remove_mark(FILE *out, struct random *random, const struct mf_doc *doc)
{
	char id[16];
	fprintf(out, "{\"id\":\"%s\",\"type\":\"%s\"}", random_id(random, doc, id, true), PICK(random, marks));
}

static size_t text_length(const struct mf_doc *doc, const char *id)
{
	const struct mf_node *node = find(doc, id);
	const struct mf_value *text = node ? mf_node_attr(node, "text", 4) : NULL;
	return text ? mf_value_string_code_points(text) : 0;
}

/* Most nodes have a text: look for one that has. */
static void replace_text(FILE *out, struct random *random, const struct mf_doc *doc)
{
	char id[16];
	for (int tries = 0; tries < 10; tries++)
		if (text_length(doc, random_id(random, doc, id, false)) > 0)
			break;
	size_t length = text_length(doc, id);
	uint64_t pos = random_below(random, length + 1), del = random_below(random, length - pos + 1);
	if (chance(random, 2))
		del += 5;
	fprintf(out, "{\"id\":\"%s\",\"pos\":%llu,\"delete\":%llu,\"insert\":\"%s\"}", id, (unsigned long long)pos, (unsigned long long)del, PICK(random, texts));
}

static const struct {
	const char *type_id;
	void (*write)(FILE *out, struct random *random, const struct mf_doc *doc);
} writers[] = {
	{"insert_node", insert_node}, {"delete_node", delete_node}, {"move_node", move_node}, {"update_attrs", update_attrs},
	{"add_mark", add_mark}, {"remove_mark", remove_mark}, {"replace_text", replace_text},
};

static size_t random_writer(struct random *random, const struct mf_doc *doc)
{
	size_t count = mf_doc_node_count(doc);
	if (count < 5 || (count < LARGE && chance(random, 15)))
		return 0;
	if (count > LARGE && chance(random, 30))
		return 1;
	return random_below(random, COUNT(writers));
}

struct mf_step *random_step(struct random *random, const struct mf_doc *doc)
{
	size_t chosen = random_writer(random, doc);
	char *json;
	size_t len;
	FILE *out = open_memstream(&json, &len);
	writers[chosen].write(out, random, doc);
	fclose(out);
	struct mf_step *step = step_of(writers[chosen].type_id, json);
	free(json);
	return step;
}
