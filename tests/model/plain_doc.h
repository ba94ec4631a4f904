/* A document the plain way, arrays and scans, to compare with: it must print the same canonical JSON. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#define PLAIN_MAX 400
#define PLAIN_KEYS 4

struct plain_node {
	bool present;
	int parent; /* -1: the root, number 0 */
	int children[PLAIN_MAX];
	size_t child_count;
	int attrs[PLAIN_KEYS]; /* "k0"...; 0 is absent */
	bool marks[PLAIN_KEYS]; /* "m0"... */
	char text[64]; /* "" is absent */
};

/* Node i has the id "n<i>" and the type "p", but for node 0, which is the root. */
struct plain_doc {
	struct plain_node nodes[PLAIN_MAX];
};

void plain_init(struct plain_doc *doc);
void plain_attach(struct plain_doc *doc, int node, int parent, size_t index);
size_t plain_detach(struct plain_doc *doc, int node); /* the index it had */
void plain_remove(struct plain_doc *doc, int node);   /* with its subtree, after plain_detach */
bool plain_is_below(const struct plain_doc *doc, int node, int ancestor); /* or is it */
int plain_depth(const struct plain_doc *doc, int node);                   /* the root has 1 */
int plain_height(const struct plain_doc *doc, int node);
char *plain_dump(const struct plain_doc *doc); /* to be given to free */
