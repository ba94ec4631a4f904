/* model_scale.c - does an edit cost the same in a large document? One with a million nodes under one
 * parent (and a text of a million code points) against one of a thousand.
 *
 * Timed: begin, one change, finish; the old version stays, so that every path is copied. Not timed:
 * making the arguments, freeing the new version. Each sample starts from the same document and names
 * random nodes and places, the worst case for the cache; the two documents take turns, so that a noisy
 * machine hits both alike; medians are compared. (step_scale.c measures the same through the steps.)
 *
 *   model_scale [NODES [SAMPLES]]        exit 1 when a ratio is above 5 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <moduforge/doc.h>

#include "bench/samples.h"

#define SMALL 1000
#define RATIO_MAX 5.0

static void must(enum mf_status status)
{
	if (status == MF_OK)
		return;
	fprintf(stderr, "model_scale: %s\n", mf_status_name(status));
	exit(2);
}

static struct mf_value *parse(const char *json)
{
	struct mf_value *value;
	must(mf_value_parse_json(json, strlen(json), &value, NULL));
	return value;
}

static struct mf_fragment *leaf(const char *id)
{
	char json[128];
	struct mf_fragment *fragment;
	snprintf(json, sizeof(json), "{\"id\":\"%s\",\"type\":\"p\",\"attrs\":{\"k\":1}}", id);
	struct mf_value *value = parse(json);
	must(mf_fragment_from_value(value, &fragment, NULL));
	mf_value_unref(value);
	return fragment;
}

static void append(struct mf_edit *edit, const char *id)
{
	struct mf_fragment *fragment = leaf(id);
	must(mf_edit_insert(edit, MF_ROOT_ID, strlen(MF_ROOT_ID), MF_APPEND, fragment, NULL));
	mf_fragment_unref(fragment);
}

static void set_text(struct mf_edit *edit, size_t code_points)
{
	struct mf_value *text;
	char *bytes = malloc(2 * code_points);
	if (!bytes)
		exit(2);
	for (size_t i = 0; i < code_points; i++)
		memcpy(bytes + 2 * i, "\xc3\xa9", 2);
	must(mf_value_new_string(bytes, 2 * code_points, &text, NULL));
	must(mf_edit_set_attr(edit, MF_ROOT_ID, strlen(MF_ROOT_ID), "text", 4, text, NULL, NULL));
	mf_value_unref(text);
	free(bytes);
}

static struct mf_doc *make_doc(size_t nodes)
{
	struct mf_doc *doc;
	struct mf_edit *edit;
	char id[32];
	must(mf_doc_new(&doc));
	must(mf_edit_begin(doc, &edit));
	mf_doc_unref(doc);
	for (size_t i = 0; i < nodes; i++) {
		snprintf(id, sizeof(id), "n%zu", i);
		append(edit, id);
	}
	set_text(edit, nodes);
	must(mf_edit_finish(edit, &doc));
	return doc;
}

/* ---- the changes: made ready outside of the timed part ---- */

struct sample {
	char id[32];
	size_t id_len, index, size;
	struct mf_fragment *fragment;
	struct mf_value *value;
};

static void do_insert(struct mf_edit *edit, struct sample *sample)
{
	must(mf_edit_insert(edit, MF_ROOT_ID, strlen(MF_ROOT_ID), sample->index, sample->fragment, NULL));
}

static void do_insert_middle(struct mf_edit *edit, struct sample *sample)
{
	must(mf_edit_insert(edit, MF_ROOT_ID, strlen(MF_ROOT_ID), sample->size / 2, sample->fragment, NULL));
}

static void do_remove(struct mf_edit *edit, struct sample *sample)
{
	struct mf_fragment *fragment;
	struct mf_value *parent;
	size_t index;
	must(mf_edit_remove(edit, sample->id, sample->id_len, &fragment, &parent, &index, NULL));
	mf_fragment_unref(fragment);
	mf_value_unref(parent);
}

static void do_move(struct mf_edit *edit, struct sample *sample)
{
	struct mf_value *parent;
	size_t index;
	must(mf_edit_move(edit, sample->id, sample->id_len, MF_ROOT_ID, strlen(MF_ROOT_ID), sample->index, &parent, &index, NULL));
	mf_value_unref(parent);
}

static void do_set_attr(struct mf_edit *edit, struct sample *sample)
{
	must(mf_edit_set_attr(edit, sample->id, sample->id_len, "k", 1, sample->value, NULL, NULL));
}

static void do_set_mark(struct mf_edit *edit, struct sample *sample)
{
	must(mf_edit_set_mark(edit, sample->id, sample->id_len, "m", 1, sample->value, NULL, NULL));
}

static void do_replace_text(struct mf_edit *edit, struct sample *sample)
{
	struct mf_value *deleted;
	must(mf_edit_replace_text(edit, MF_ROOT_ID, strlen(MF_ROOT_ID), sample->index, 1, sample->value, &deleted, NULL));
	mf_value_unref(deleted);
}

struct kind {
	const char *name;
	void (*run)(struct mf_edit *edit, struct sample *sample);
	const char *value;
};
static const struct kind kinds[] = {
	{"insert", do_insert, "null"},
	{"insert middle", do_insert_middle, "null"},
	{"remove", do_remove, "null"},
	{"move", do_move, "null"},
	{"set_attr", do_set_attr, "-1"},
	{"set_mark", do_set_mark, "{\"w\":700}"},
	{"replace_text", do_replace_text, "\"\xe6\x97\xa5\""},
};
#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

/* ---- measuring ---- */

static double time_one(const struct kind *kind, const struct mf_doc *doc, size_t size)
{
	struct mf_edit *edit;
	struct mf_doc *after;
	char new_id[32];
	struct sample sample = {.index = (size_t)random() % size, .size = size, .value = parse(kind->value)};
	snprintf(new_id, sizeof(new_id), "new%ld", random());
	sample.fragment = leaf(new_id);
	sample.id_len = (size_t)snprintf(sample.id, sizeof(sample.id), "n%zu", (size_t)random() % size);
	double start = now_ns();
	must(mf_edit_begin(doc, &edit));
	kind->run(edit, &sample);
	must(mf_edit_finish(edit, &after));
	double elapsed = now_ns() - start;
	mf_doc_unref(after);
	mf_fragment_unref(sample.fragment);
	mf_value_unref(sample.value);
	return elapsed;
}

static bool measure(const struct kind *kind, const struct mf_doc *small, const struct mf_doc *large, size_t nodes, size_t count)
{
	double *in_small = calloc(count, sizeof(*in_small)), *in_large = calloc(count, sizeof(*in_large));
	if (!in_small || !in_large)
		exit(2);
	for (size_t i = 0; i < count; i++) {
		in_small[i] = time_one(kind, small, SMALL);
		in_large[i] = time_one(kind, large, nodes);
	}
	double small_ns = median(in_small, count), large_ns = median(in_large, count), ratio = large_ns / small_ns;
	printf("%-14s %8.0f ns %8.0f ns   x %.2f%s\n", kind->name, small_ns, large_ns, ratio, ratio > RATIO_MAX ? "   above 5" : "");
	free(in_small);
	free(in_large);
	return ratio <= RATIO_MAX;
}

int main(int argc, char **argv)
{
	size_t nodes = argc > 1 ? strtoull(argv[1], NULL, 10) : 1000000;
	size_t count = argc > 2 ? strtoull(argv[2], NULL, 10) : 4001;
	bool flat = true;
	if (nodes == 0 || count == 0) {
		fprintf(stderr, "usage: model_scale [NODES [SAMPLES]]\n");
		return 2;
	}
	struct mf_doc *small = make_doc(SMALL), *large = make_doc(nodes);
	printf("%-14s %8d    %8zu nodes (code points), median of %zu\n", "edit", SMALL, nodes, count);
	for (size_t i = 0; i < KINDS; i++)
		flat &= measure(&kinds[i], small, large, nodes, count);
	mf_doc_unref(small);
	mf_doc_unref(large);
	return flat ? 0 : 1;
}
