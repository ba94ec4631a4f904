/* patch_nodes.h - the document part of a patch: what the differences say about single nodes, by id, and the
 * document that this makes of the base (delta.h).
 *
 * Thread: one. */
#pragma once

#include "model/node.h"
#include "model/pack_read.h"

struct mf_patch_node {
	struct mf_str *id;          /* NULL: a free slot */
	bool has_content, has_list; /* else as in the base */
	struct mf_str *type;
	struct mf_tree *attrs, *marks;
	struct mf_str **children;
	size_t child_count;
};

struct mf_patch_nodes {
	const struct mf_doc *base;   /* borrowed */
	struct mf_patch_node *slots; /* open addressing, at most half full */
	size_t slot_count, count;
	uint64_t node_count; /* that the last difference promises */
	struct mf_value_stack values;
};

void mf_patch_nodes_deinit(struct mf_patch_nodes *nodes);
/* Part 5 of a packed difference. */
MF_MUST_CHECK enum mf_status mf_patch_nodes_read(struct mf_patch_nodes *nodes, struct mf_unpack *in);
MF_MUST_CHECK enum mf_status mf_patch_nodes_build(const struct mf_patch_nodes *nodes, struct mf_doc **out);
