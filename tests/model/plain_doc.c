#include "plain_doc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void plain_init(struct plain_doc *doc)
{
	memset(doc, 0, sizeof(*doc));
	doc->nodes[0].present = true;
	doc->nodes[0].parent = -1;
}

void plain_attach(struct plain_doc *doc, int node, int parent, size_t index)
{
	struct plain_node *to = &doc->nodes[parent];
	memmove(&to->children[index + 1], &to->children[index], (to->child_count - index) * sizeof(int));
	to->children[index] = node;
	to->child_count++;
	doc->nodes[node].present = true;
	doc->nodes[node].parent = parent;
}

size_t plain_detach(struct plain_doc *doc, int node)
{
	struct plain_node *from = &doc->nodes[doc->nodes[node].parent];
	size_t index = 0;
	while (from->children[index] != node)
		index++;
	from->child_count--;
	memmove(&from->children[index], &from->children[index + 1], (from->child_count - index) * sizeof(int));
	return index;
}

void plain_remove(struct plain_doc *doc, int node)
{
	struct plain_node *gone = &doc->nodes[node];
	for (size_t i = 0; i < gone->child_count; i++)
		plain_remove(doc, gone->children[i]);
	memset(gone, 0, sizeof(*gone));
}

bool plain_is_below(const struct plain_doc *doc, int node, int ancestor)
{
	while (node >= 0 && node != ancestor)
		node = doc->nodes[node].parent;
	return node >= 0;
}

int plain_depth(const struct plain_doc *doc, int node)
{
	int depth = 0;
	for (; node >= 0; node = doc->nodes[node].parent)
		depth++;
	return depth;
}

int plain_height(const struct plain_doc *doc, int node)
{
	int height = 0;
	for (size_t i = 0; i < doc->nodes[node].child_count; i++) {
		int below = plain_height(doc, doc->nodes[node].children[i]);
		height = below > height ? below : height;
	}
	return height + 1;
}

static void print_attrs(FILE *out, const struct plain_node *node)
{
	const char *comma = "";
	fprintf(out, "{\"attrs\":{");
	for (int key = 0; key < PLAIN_KEYS; key++) {
		if (node->attrs[key]) {
			fprintf(out, "%s\"k%d\":%d", comma, key, node->attrs[key]);
			comma = ",";
		}
	}
	if (node->text[0])
		fprintf(out, "%s\"text\":\"%s\"", comma, node->text);
}

static void print_node(FILE *out, const struct plain_doc *doc, int number)
{
	const struct plain_node *node = &doc->nodes[number];
	const char *comma = "";
	print_attrs(out, node);
	fprintf(out, "},\"children\":[");
	for (size_t i = 0; i < node->child_count; i++) {
		if (i > 0)
			fputc(',', out);
		print_node(out, doc, node->children[i]);
	}
	if (number == 0)
		fprintf(out, "],\"id\":\"root\",\"marks\":[");
	else
		fprintf(out, "],\"id\":\"n%d\",\"marks\":[", number);
	for (int type = 0; type < PLAIN_KEYS; type++) {
		if (node->marks[type]) {
			fprintf(out, "%s{\"attrs\":{},\"type\":\"m%d\"}", comma, type);
			comma = ",";
		}
	}
	fprintf(out, "],\"type\":\"%s\"}", number == 0 ? "doc" : "p");
}

char *plain_dump(const struct plain_doc *doc)
{
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);
	print_node(out, doc, 0);
	fclose(out);
	return text;
}
