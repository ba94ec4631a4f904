/* step_scale.c - does a step cost the same in a large document? One with a million nodes under one parent
 * (and a text of a million code points) against one of a thousand.
 *
 * Timed: begin an edit, apply the step, finish the edit. Not timed: making the step, freeing the result. Each
 * sample starts from the same document, so that nothing is worn. The documents take turns in one run, so
 * that a noisy machine hits both alike; medians are compared. Two questions:
 *
 *   middle     a thousand nodes (characters) are worked on in both, in the large one those in its middle:
 *              only the size around them differs. This is the limit: a ratio above 5 is exit 1.
 *   anywhere   in the large one any node, so each sample also pays for memory that no cache holds.
 *
 *   step_scale [NODES [SAMPLES]] */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <moduforge/plugin.h>

#include "bench/samples.h"
#include "tests/stepfactories/registrar.h"

#define SMALL 1000
#define RATIO_MAX 5.0

static void must(enum mf_status status, const char *what, const struct mf_error *error)
{
	if (status == MF_OK)
		return;
	fprintf(stderr, "step_scale: %s: %s %s\n", what, mf_status_name(status), error ? error->message : "");
	exit(2);
}

static struct mf_step_registry *make_registry(void)
{
	struct mf_registrar registrar;
	struct mf_error error = {0};
	must(mf_step_registry_new(&registrar.registry), "registry", NULL);
	must(node_steps_plugin()->init(NULL, &registrar, &error), "node_steps", &error);
	must(mark_steps_plugin()->init(NULL, &registrar, &error), "mark_steps", &error);
	must(text_steps_plugin()->init(NULL, &registrar, &error), "text_steps", &error);
	return registrar.registry;
}

static struct mf_fragment *fragment_of(const char *json)
{
	struct mf_value *value;
	struct mf_fragment *fragment;
	struct mf_error error = {0};
	must(mf_value_parse_json(json, strlen(json), &value, &error), json, &error);
	must(mf_fragment_from_value(value, &fragment, &error), json, &error);
	mf_value_unref(value);
	return fragment;
}

static void insert(struct mf_edit *edit, const char *json)
{
	struct mf_error error = {0};
	struct mf_fragment *fragment = fragment_of(json);
	must(mf_edit_insert(edit, MF_ROOT_ID, strlen(MF_ROOT_ID), MF_APPEND, fragment, &error), "insert", &error);
	mf_fragment_unref(fragment);
}

/* Node "text" has a text of so many code points, mostly of more than one byte. */
static void insert_text(struct mf_edit *edit, size_t code_points)
{
	static const char start[] = "{\"id\":\"text\",\"type\":\"p\",\"attrs\":{\"text\":\"", end[] = "\"}}";
	char *json = malloc(sizeof(start) + sizeof(end) + code_points * 2), *at = json;
	if (!json)
		exit(2);
	at = stpcpy(at, start);
	for (size_t i = 0; i < code_points; i++)
		at = stpcpy(at, "é");
	stpcpy(at, end);
	insert(edit, json);
	free(json);
}

static struct mf_doc *make_doc(size_t nodes)
{
	struct mf_doc *doc;
	struct mf_edit *edit;
	char json[128];
	must(mf_doc_new(&doc), "document", NULL);
	must(mf_edit_begin(doc, &edit), "edit", NULL);
	mf_doc_unref(doc);
	for (size_t i = 0; i < nodes; i++) {
		snprintf(json, sizeof(json), "{\"id\":\"n%zu\",\"type\":\"p\",\"attrs\":{\"k\":%zu},\"marks\":[{\"type\":\"m\"}]}", i, i);
		insert(edit, json);
	}
	insert_text(edit, nodes);
	must(mf_edit_finish(edit, &doc), "finish", NULL);
	return doc;
}

/* ---- the steps: one or two random numbers below the document's size go into the format ---- */

struct kind {
	const char *type_id;
	const char *format;
};
static const struct kind kinds[] = {
	{"insert_node", "{\"parent\":\"root\",\"index\":%zu,\"node\":{\"id\":\"new\",\"type\":\"p\",\"attrs\":{\"k\":1}}}"},
	{"delete_node", "{\"id\":\"n%zu\"}"},
	{"move_node", "{\"id\":\"n%zu\",\"parent\":\"root\",\"index\":%zu}"},
	{"update_attrs", "{\"id\":\"n%zu\",\"set\":{\"k\":-1,\"l\":\"x\"}}"},
	{"add_mark", "{\"id\":\"n%zu\",\"mark\":{\"type\":\"bold\",\"attrs\":{\"w\":700}}}"},
	{"remove_mark", "{\"id\":\"n%zu\",\"type\":\"m\"}"},
	{"replace_text", "{\"id\":\"text\",\"pos\":%zu,\"delete\":1,\"insert\":\"日本\"}"},
};
#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

/* A document, and the nodes in it that are worked on: [first, first + span). */
struct field {
	const struct mf_doc *doc;
	size_t first, span;
};

static size_t random_in(const struct field *field)
{
	return field->first + (size_t)random() % field->span;
}

static struct mf_step *make_step(const struct mf_step_registry *registry, const struct kind *kind, const struct field *field)
{
	char json[256];
	struct mf_value *value;
	struct mf_step *step;
	struct mf_error error = {0};
	size_t first = random_in(field), second = random_in(field);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral" /* of the table above */
	snprintf(json, sizeof(json), kind->format, first, second);
#pragma GCC diagnostic pop
	must(mf_value_parse_json(json, strlen(json), &value, &error), json, &error);
	must(mf_step_registry_create(registry, kind->type_id, strlen(kind->type_id), value, &step, &error), json, &error);
	mf_value_unref(value);
	return step;
}

/* ---- measuring ---- */

static double sample(const struct mf_step_registry *registry, const struct kind *kind, const struct field *field)
{
	struct mf_step *step = make_step(registry, kind, field), *inverse;
	struct mf_edit *edit;
	struct mf_doc *after;
	struct mf_error error = {0};
	double start = now_ns();
	must(mf_edit_begin(field->doc, &edit), "begin", NULL);
	must(step->type->apply(step, edit, &inverse, &error), kind->type_id, &error);
	must(mf_edit_finish(edit, &after), "finish", NULL);
	double elapsed = now_ns() - start;
	mf_step_unref(inverse);
	mf_step_unref(step);
	mf_doc_unref(after);
	return elapsed;
}

static bool measure(const struct mf_step_registry *registry, const struct kind *kind, const struct field *small, const struct field *large, size_t count)
{
	double *in_small = calloc(count, sizeof(*in_small)), *in_large = calloc(count, sizeof(*in_large));
	if (!in_small || !in_large)
		exit(2);
	for (size_t i = 0; i < count; i++) {
		in_small[i] = sample(registry, kind, small);
		in_large[i] = sample(registry, kind, large);
	}
	double small_ns = median(in_small, count), large_ns = median(in_large, count), ratio = large_ns / small_ns;
	printf("%-14s %10.0f ns %10.0f ns   x %.2f\n", kind->type_id, small_ns, large_ns, ratio);
	free(in_small);
	free(in_large);
	return ratio <= RATIO_MAX;
}

static bool measure_all(const struct mf_step_registry *registry, const struct field *small, const struct field *large, const char *title, size_t count)
{
	bool flat = true;
	printf("%-14s %10d    %10zu nodes and code points; median of %zu\n", title, SMALL, mf_doc_node_count(large->doc) - 2, count);
	for (size_t i = 0; i < KINDS; i++)
		flat &= measure(registry, &kinds[i], small, large, count);
	return flat;
}

int main(int argc, char **argv)
{
	size_t nodes = argc > 1 ? strtoull(argv[1], NULL, 10) : 1000000;
	size_t count = argc > 2 ? strtoull(argv[2], NULL, 10) : 4001;
	if (nodes < SMALL || count == 0) {
		fprintf(stderr, "usage: step_scale [NODES [SAMPLES]], NODES at least %d\n", SMALL);
		return 2;
	}
	struct mf_step_registry *registry = make_registry();
	struct mf_doc *small_doc = make_doc(SMALL), *large_doc = make_doc(nodes);
	const struct field small = {small_doc, 0, SMALL};
	const struct field middle = {large_doc, (nodes - SMALL) / 2, SMALL}, anywhere = {large_doc, 0, nodes};
	bool flat = measure_all(registry, &small, &middle, "middle", count);
	measure_all(registry, &small, &anywhere, "anywhere", count);
	printf("%s\n", flat ? "ok: in the middle no step is above 5 times" : "FAILED: a step is above 5 times");
	mf_doc_unref(small_doc);
	mf_doc_unref(large_doc);
	mf_step_registry_free(registry);
	return flat ? 0 : 1;
}
