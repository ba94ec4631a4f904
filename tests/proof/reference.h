/* reference.h - what the library is to do, told a second time and as plainly as possible: the model of ./dev model.
 *
 * A store is a list of events. Everything else follows from it: a document at an LSN is what its events up to there make
 * of an empty list of nodes; undo and redo are copies of whole documents on two stacks; a key is found by looking.
 * Nothing here is shared with the library, nothing is incremental, nothing is remembered. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <moduforge/status.h>

#define REF_DOCS 3
#define REF_NODES 16
#define REF_STEPS 3
#define REF_LIMIT 5 /* history_limit */
#define REF_EVENTS 1500
#define REF_TEXT 40

struct ref_node {
	int id, value; /* attribute "v"; -1: absent */
	bool mark;     /* "m" */
	char text[REF_TEXT];
};
struct ref_doc {
	unsigned count;
	struct ref_node nodes[REF_NODES]; /* under the root, in order */
};

enum ref_step_type { REF_INSERT, REF_DELETE, REF_MOVE, REF_SET, REF_UNSET, REF_REPLACE, REF_MARK, REF_UNMARK, REF_STEP_TYPES };
struct ref_step {
	enum ref_step_type type;
	int id;
	unsigned index; /* insert, move; replace: position */
	int value;      /* insert, set; replace: how many characters go */
	char letter;    /* insert: the text, ten times; replace: what comes */
};
enum ref_action { REF_APPLY, REF_UNDO, REF_REDO };
struct ref_event {
	int doc, key; /* key 0: none of ours */
	enum ref_action action;
	unsigned step_count;
	struct ref_step steps[REF_STEPS];
	int64_t batch; /* LSN of the first event of its batch */
};
struct ref_log {
	int64_t last; /* LSN of the newest; events[lsn] */
	struct ref_event events[REF_EVENTS];
};
struct ref_state {
	int64_t lsn;
	struct ref_doc doc, undo[REF_LIMIT], redo[REF_LIMIT];
	unsigned undos, redos;
};

void ref_state_at(const struct ref_log *log, int doc, int64_t lsn, struct ref_state *out);
/* MF_OK, MF_ERR_INVALID, MF_ERR_STATE; the state is as before when it fails. */
enum mf_status ref_apply(struct ref_state *state, const struct ref_event *event);
int64_t ref_find_key(const struct ref_log *log, int key); /* 0: unknown */
bool ref_same_content(const struct ref_event *a, const struct ref_event *b);
size_t ref_json(const struct ref_doc *doc, char *out, size_t size); /* canonical */

/* For the test that a wrong rule is found: bit n plants fault n. */
enum ref_fault { REF_MOVE_COUNTS_BEFORE = 1, REF_UNDO_KEEPS_REDO = 2, REF_OLD_KEYS_UNKNOWN = 4 };
extern unsigned ref_faults;
