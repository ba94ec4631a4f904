/* Spare tree nodes: a singly linked list through left, one per thread.
 *
 * Invariants
 * 1. A thread's list is registered with the thread's end before it holds its first node.
 * 2. Giving a node back never makes the list longer than MF_TREE_SPARE_MAX; reserving may. */
#include "model/tree_spare.h"

#include <assert.h>
#include <pthread.h>

#include "model/mem.h"
#include <moduforge/value.h>

/* An address sanitizer should see a node die when it dies. */
#if defined(__SANITIZE_ADDRESS__)
#define KEEP_MAX 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define KEEP_MAX 0
#endif
#endif
#ifndef KEEP_MAX
#define KEEP_MAX MF_TREE_SPARE_MAX
#endif

struct spare {
	struct mf_tree *first;
	size_t count;
	bool registered;
};

static _Thread_local struct spare spare;
static pthread_key_t thread_end;
static bool have_thread_end;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void empty(struct spare *list)
{
	while (list->first) {
		struct mf_tree *node = list->first;
		list->first = node->left;
		mf_free(node);
	}
	list->count = 0;
}

/* Another destructor of the thread may still give nodes back: the list then registers again. */
static void end_thread(void *list)
{
	empty(list);
	((struct spare *)list)->registered = false;
}

static void create_key(void)
{
	have_thread_end = pthread_key_create(&thread_end, end_thread) == 0;
}

__attribute__((destructor)) static void end_process(void)
{
	empty(&spare);
}

static bool registered(void)
{
	if (spare.registered)
		return true;
	pthread_once(&once, create_key);
	spare.registered = have_thread_end && pthread_setspecific(thread_end, &spare) == 0;
	return spare.registered;
}

static void push(struct mf_tree *node)
{
	node->left = spare.first;
	spare.first = node;
	spare.count++;
}

bool mf_tree_spare_reserve(size_t count)
{
	if (spare.count >= count)
		return true;
	if (!registered())
		return false;
	while (spare.count < count) {
		struct mf_tree *node = mf_malloc(sizeof(*node));
		if (!node)
			return false;
		push(node);
	}
	return true;
}

struct mf_tree *mf_tree_spare_take(void)
{
	struct mf_tree *node = spare.first;
	assert(node); /* the operation reserved too few */
	spare.first = node->left;
	spare.count--;
	return node;
}

void mf_tree_spare_give(struct mf_tree *node)
{
	if (spare.count >= KEEP_MAX || !registered()) {
		mf_free(node);
		return;
	}
	push(node);
}

void mf_tree_trim(void)
{
	empty(&spare);
}
