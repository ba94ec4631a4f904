#include "reference.h"

#include <stdio.h>
#include <string.h>

unsigned ref_faults;

static int find(const struct ref_doc *doc, int id)
{
	for (unsigned i = 0; i < doc->count; i++)
		if (doc->nodes[i].id == id)
			return (int)i;
	return -1;
}

static struct ref_node take(struct ref_doc *doc, unsigned at)
{
	struct ref_node node = doc->nodes[at];
	memmove(&doc->nodes[at], &doc->nodes[at + 1], (doc->count - at - 1) * sizeof(node));
	doc->count--;
	return node;
}

static bool insert(struct ref_doc *doc, unsigned at, const struct ref_node *node)
{
	if (at > doc->count)
		return false;
	memmove(&doc->nodes[at + 1], &doc->nodes[at], (doc->count - at) * sizeof(*node));
	doc->nodes[at] = *node;
	doc->count++;
	return true;
}

static bool replace(char text[REF_TEXT], const struct ref_step *step)
{
	size_t len = strlen(text), pos = step->index, del = (size_t)step->value;
	if (pos + del > len)
		return false;
	memmove(text + pos + 1, text + pos + del, len - pos - del + 1);
	text[pos] = step->letter;
	return true;
}

static bool apply_step(struct ref_doc *doc, const struct ref_step *step)
{
	int at = find(doc, step->id);
	if ((at < 0) != (step->type == REF_INSERT))
		return false;
	struct ref_node fresh = {.id = step->id, .value = step->value}, moved;
	switch (step->type) {
	case REF_INSERT:
		memset(fresh.text, step->letter, 10);
		return insert(doc, step->index, &fresh);
	case REF_DELETE:
		take(doc, (unsigned)at);
		return true;
	case REF_MOVE:
		moved = take(doc, (unsigned)at);
		return insert(doc, step->index - (ref_faults & REF_MOVE_COUNTS_BEFORE && step->index > (unsigned)at), &moved);
	case REF_SET:
	case REF_UNSET:
		doc->nodes[at].value = step->type == REF_SET ? step->value : -1;
		return true;
	case REF_REPLACE:
		return replace(doc->nodes[at].text, step);
	default:
		doc->nodes[at].mark = step->type == REF_MARK;
		return true;
	}
}

static void push(struct ref_doc *stack, unsigned *count, const struct ref_doc *doc)
{
	if (*count == REF_LIMIT) {
		memmove(stack, stack + 1, (REF_LIMIT - 1) * sizeof(*doc));
		(*count)--;
	}
	stack[(*count)++] = *doc;
}

enum mf_status ref_apply(struct ref_state *state, const struct ref_event *event)
{
	struct ref_doc doc = state->doc;
	for (unsigned i = 0; event->action == REF_APPLY && i < event->step_count; i++)
		if (!apply_step(&doc, &event->steps[i]))
			return MF_ERR_INVALID;
	if (event->action == REF_APPLY && event->step_count == 0)
		return MF_ERR_INVALID;
	if (event->action == REF_UNDO ? state->undos == 0 : event->action == REF_REDO && state->redos == 0)
		return MF_ERR_STATE;
	if (event->action == REF_UNDO) {
		push(state->redo, &state->redos, &state->doc);
		doc = state->undo[--state->undos];
	} else {
		push(state->undo, &state->undos, &state->doc);
		if (event->action == REF_REDO)
			doc = state->redo[--state->redos];
		else if (!(ref_faults & REF_UNDO_KEEPS_REDO))
			state->redos = 0;
	}
	state->doc = doc;
	return MF_OK;
}

void ref_state_at(const struct ref_log *log, int doc, int64_t lsn, struct ref_state *out)
{
	memset(out, 0, sizeof(*out));
	for (int64_t at = 1; at <= lsn; at++)
		if (log->events[at].doc == doc && ref_apply(out, &log->events[at]) == MF_OK)
			out->lsn = at;
}

int64_t ref_find_key(const struct ref_log *log, int key)
{
	for (int64_t at = 1; key && at <= log->last; at++)
		if (log->events[at].key == key && !(ref_faults & REF_OLD_KEYS_UNKNOWN && at + 5 < log->last))
			return at;
	return 0;
}

bool ref_same_content(const struct ref_event *a, const struct ref_event *b)
{
	return a->doc == b->doc && a->action == b->action && (a->action != REF_APPLY || (a->step_count == b->step_count && memcmp(a->steps, b->steps, a->step_count * sizeof(a->steps[0])) == 0));
}

size_t ref_json(const struct ref_doc *doc, char *out, size_t size)
{
	size_t len = (size_t)snprintf(out, size, "{\"attrs\":{},\"children\":[");
	for (unsigned i = 0; i < doc->count; i++) {
		const struct ref_node *node = &doc->nodes[i];
		len += (size_t)snprintf(out + len, size - len, "%s{\"attrs\":{\"text\":\"%s\"", i ? "," : "", node->text);
		if (node->value >= 0)
			len += (size_t)snprintf(out + len, size - len, ",\"v\":%d", node->value);
		len += (size_t)snprintf(out + len, size - len, "},\"children\":[],\"id\":\"n%d\",\"marks\":[%s],\"type\":\"p\"}", node->id, node->mark ? "{\"attrs\":{},\"type\":\"m\"}" : "");
	}
	return len + (size_t)snprintf(out + len, size - len, "],\"id\":\"root\",\"marks\":[],\"type\":\"doc\"}");
}
