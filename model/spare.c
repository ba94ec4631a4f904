/* Spare nodes: a singly linked list a kind and a thread, linked through the first bytes.
 *
 * Invariants
 * 1. A thread's lists are registered with the thread's end before they hold their first node.
 * 2. Giving a node back never makes a list longer than its keep_max; reserving may. */
#include "model/spare.h"

#include <assert.h>
#include <pthread.h>

#include "model/mem.h"
#include "model/seq.h"
#include "model/tree.h"
#include <moduforge/value.h>

/* An address sanitizer should see a node die when it dies. */
#if defined(__SANITIZE_ADDRESS__)
#define KEEP 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define KEEP 0
#endif
#endif
#ifndef KEEP
#define KEEP 1
#endif

static const struct {
	size_t size, keep_max;
} kinds[MF_SPARE_KINDS] = {
	[MF_SPARE_TREE] = {sizeof(struct mf_tree), KEEP * 256},
	[MF_SPARE_SEQ] = {sizeof(struct mf_seq), KEEP * 96},
};

struct link {
	struct link *next;
};

struct list {
	struct link *first;
	size_t count;
};

struct spare {
	struct list lists[MF_SPARE_KINDS];
	bool registered;
};

static _Thread_local struct spare spare;
static pthread_key_t thread_end;
static bool have_thread_end;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void empty(struct spare *all)
{
	for (int kind = 0; kind < MF_SPARE_KINDS; kind++) {
		struct list *list = &all->lists[kind];
		while (list->first) {
			struct link *node = list->first;
			list->first = node->next;
			mf_free(node);
		}
		list->count = 0;
	}
}

/* Another destructor of the thread may still give nodes back: the lists then register again. */
static void end_thread(void *all)
{
	empty(all);
	((struct spare *)all)->registered = false;
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

static void push(struct list *list, void *node)
{
	((struct link *)node)->next = list->first;
	list->first = node;
	list->count++;
}

bool mf_spare_reserve(enum mf_spare_kind kind, size_t count)
{
	struct list *list = &spare.lists[kind];
	if (list->count >= count)
		return true;
	if (!registered())
		return false;
	while (list->count < count) {
		void *node = mf_malloc(kinds[kind].size);
		if (!node)
			return false;
		push(list, node);
	}
	return true;
}

void *mf_spare_take(enum mf_spare_kind kind)
{
	struct list *list = &spare.lists[kind];
	struct link *node = list->first;
	assert(node); /* the operation reserved too few */
	list->first = node->next;
	list->count--;
	return node;
}

void mf_spare_give(enum mf_spare_kind kind, void *node)
{
	struct list *list = &spare.lists[kind];
	if (list->count >= kinds[kind].keep_max || !registered()) {
		mf_free(node);
		return;
	}
	push(list, node);
}

void mf_tree_trim(void)
{
	empty(&spare);
}
