/* The persistent tree against a plain array: the same random operations on both, the same content
 * after each, invariants checked, older versions unchanged. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <errno.h>
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#include <moduforge/value.h>
#include "model/mem.h"
#include "model/spare.h"
#include "model/tree.h"

#if defined(__SANITIZE_ADDRESS__)
#define KEEPS false
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define KEEPS false
#endif
#endif
#ifndef KEEPS
#define KEEPS true /* see spare.c */
#endif

/* ---- things: what the trees hold, counted so that a lost reference shows ---- */

struct thing {
	atomic_uint ref;
	uint64_t number, width, weight;
};

static atomic_int alive;

static struct thing *thing_new(uint64_t number)
{
	struct thing *thing = malloc(sizeof(*thing));
	atomic_init(&thing->ref, 1);
	thing->number = number;
	thing->width = number % 7 + 1;
	thing->weight = number % 50;
	alive++;
	return thing;
}

static void thing_unref(struct thing *thing)
{
	if (thing && atomic_fetch_sub(&thing->ref, 1) == 1) {
		free(thing);
		alive--;
	}
}

static void ref_item(const struct mf_tree_entry *entry)
{
	atomic_fetch_add(&((struct thing *)entry->item)->ref, 1);
}

static void unref_item(const struct mf_tree_entry *entry)
{
	thing_unref(entry->item);
}

static int compare_number(const void *key, const struct mf_tree_entry *entry)
{
	uint64_t wanted = *(const uint64_t *)key, own = ((const struct thing *)entry->item)->number;
	return wanted < own ? -1 : wanted > own;
}

static const struct mf_tree_ops sum_ops = {MF_TREE_SUM, ref_item, unref_item, NULL};
static const struct mf_tree_ops map_ops = {MF_TREE_MAP, ref_item, unref_item, compare_number};

/* ---- the plain array ---- */

#define LIMIT 3000
struct plain {
	size_t count;
	uint64_t numbers[LIMIT];
};

static void plain_insert(struct plain *plain, size_t index, uint64_t number)
{
	memmove(plain->numbers + index + 1, plain->numbers + index, (plain->count - index) * sizeof(number));
	plain->numbers[index] = number;
	plain->count++;
}

static void plain_remove(struct plain *plain, size_t index)
{
	plain->count--;
	memmove(plain->numbers + index, plain->numbers + index + 1, (plain->count - index) * sizeof(uint64_t));
}

static uint64_t seed;
static size_t below(size_t limit)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (size_t)(seed % limit);
}

/* ---- SUM ---- */

static struct mf_tree_entry sum_entry(uint64_t number)
{
	struct thing *thing = thing_new(number);
	return (struct mf_tree_entry){.sum = thing->width, .sum2 = thing->weight, .item = thing};
}

static void check_sum(const struct mf_tree *root, const struct plain *plain)
{
	struct mf_tree_iter iter;
	uint64_t sum = 0, sum2 = 0;
	size_t index = 0;
	assert_int_equal(mf_tree_count(root), plain->count);
	assert_true(mf_tree_is_valid(&sum_ops, root));
	mf_tree_iterate(&iter, root, 0);
	for (const struct mf_tree_entry *entry; (entry = mf_tree_next(&iter)); index++) {
		const struct thing *thing = entry->item;
		assert_int_equal(thing->number, plain->numbers[index]);
		sum += thing->width;
		sum2 += thing->weight;
	}
	assert_int_equal(index, plain->count);
	assert_int_equal(mf_tree_sum(root), sum);
	assert_int_equal(mf_tree_sum2(root), sum2);
}

static void check_locate(const struct mf_tree *root, const struct plain *plain)
{
	uint64_t position = below(mf_tree_sum(root)), offset = 99, passed = 0;
	size_t index = mf_tree_locate(root, position, &offset);
	for (size_t i = 0; i < index; i++)
		passed += plain->numbers[i] % 7 + 1;
	assert_int_equal(passed + offset, position);
	assert_true(offset < plain->numbers[index] % 7 + 1);
	struct mf_tree_entry item = mf_tree_item(root, index);
	assert_int_equal(item.sum, plain->numbers[index] % 7 + 1);
	assert_int_equal(item.sum2, plain->numbers[index] % 50);
	assert_ptr_equal(item.item, mf_tree_at(root, index)->item);
	if (mf_tree_sum2(root) == 0)
		return;
	passed = 0;
	position = below(mf_tree_sum2(root));
	index = mf_tree_locate2(root, position, &offset);
	for (size_t i = 0; i < index; i++)
		passed += plain->numbers[i] % 50;
	assert_int_equal(passed + offset, position);
	assert_true(offset < plain->numbers[index] % 50);
}

static void split_and_swap(struct mf_tree **root, struct plain *plain)
{
	static struct plain swapped;
	struct mf_tree *left = NULL, *right = NULL;
	size_t at = below(plain->count + 1);
	assert_int_equal(mf_tree_split(&sum_ops, root, at, &left, &right), MF_OK);
	assert_null(*root);
	assert_int_equal(mf_tree_count(left), at);
	assert_true(mf_tree_is_valid(&sum_ops, left));
	assert_true(mf_tree_is_valid(&sum_ops, right));
	assert_int_equal(mf_tree_concat(&sum_ops, &right, &left, root), MF_OK);
	swapped.count = plain->count;
	memcpy(swapped.numbers, plain->numbers + at, (plain->count - at) * sizeof(uint64_t));
	memcpy(swapped.numbers + plain->count - at, plain->numbers, at * sizeof(uint64_t));
	*plain = swapped;
}

static void change_sum(struct mf_tree **root, struct plain *plain, uint64_t number)
{
	size_t dice = below(100);
	struct mf_tree_entry entry, old;
	if (plain->count == 0 || (dice < 45 && plain->count < LIMIT)) {
		size_t index = below(plain->count + 1);
		entry = sum_entry(number);
		assert_int_equal(mf_tree_insert_at(&sum_ops, root, index, &entry), MF_OK);
		plain_insert(plain, index, number);
	} else if (dice < 80) {
		size_t index = below(plain->count);
		assert_int_equal(mf_tree_remove_at(&sum_ops, root, index, &old), MF_OK);
		assert_int_equal(((struct thing *)old.item)->number, plain->numbers[index]);
		assert_int_equal(old.sum, plain->numbers[index] % 7 + 1);
		thing_unref(old.item);
		plain_remove(plain, index);
	} else if (dice < 90) {
		size_t index = below(plain->count);
		entry = sum_entry(number);
		assert_int_equal(mf_tree_replace_at(&sum_ops, root, index, &entry, NULL), MF_OK);
		plain->numbers[index] = number;
	} else {
		split_and_swap(root, plain);
	}
}

static void random_changes_by_index_match_an_array(void **state)
{
	(void)state;
	static struct plain plain, old_plain[4];
	struct mf_tree *root = NULL, *old_root[4] = {NULL};
	plain.count = 0;
	memset(old_plain, 0, sizeof(old_plain));
	seed = 42;
	for (unsigned round = 0; round < 6000; round++) {
		change_sum(&root, &plain, round);
		check_sum(root, &plain);
		if (plain.count)
			check_locate(root, &plain);
		if (round % 50 == 0) {
			unsigned slot = round / 50 % 4;
			check_sum(old_root[slot], &old_plain[slot]);
			mf_tree_unref(&sum_ops, old_root[slot]);
			old_root[slot] = mf_tree_ref(root);
			old_plain[slot] = plain;
		}
	}
	for (unsigned slot = 0; slot < 4; slot++) {
		check_sum(old_root[slot], &old_plain[slot]);
		mf_tree_unref(&sum_ops, old_root[slot]);
	}
	mf_tree_unref(&sum_ops, root);
	assert_int_equal(alive, 0);
}

/* ---- building and large sizes ---- */

static struct mf_tree *build_sum(struct plain *plain, size_t count, uint64_t first)
{
	struct mf_tree_entry *entries = calloc(count + 1, sizeof(*entries));
	struct mf_tree *root = NULL;
	plain->count = count;
	for (size_t i = 0; i < count; i++) {
		plain->numbers[i] = first + i;
		entries[i] = sum_entry(first + i);
	}
	assert_int_equal(mf_tree_build(&sum_ops, entries, count, &root), MF_OK);
	free(entries);
	return root;
}

static void a_built_tree_holds_its_entries_and_iterates_from_anywhere(void **state)
{
	(void)state;
	static struct plain plain;
	for (size_t count = 0; count < 70; count++) {
		struct mf_tree *root = build_sum(&plain, count, 5);
		check_sum(root, &plain);
		for (size_t from = 0; from <= count; from++) {
			struct mf_tree_iter iter;
			const struct mf_tree_entry *entry;
			size_t index = from;
			mf_tree_iterate(&iter, root, from);
			for (; (entry = mf_tree_next(&iter)); index++)
				assert_int_equal(((struct thing *)entry->item)->number, plain.numbers[index]);
			assert_int_equal(index, count);
		}
		mf_tree_unref(&sum_ops, root);
	}
	assert_int_equal(alive, 0);
}

/* Joins of very different sizes walk far down a spine: the reserve must cover them, shared or not. */
static void trees_of_any_two_sizes_concat_and_split(void **state)
{
	(void)state;
	static const size_t sizes[] = {0, 1, 2, 3, 10, 100, 1000, 1499};
	static struct plain a, b;
	for (size_t i = 0; i < 8; i++) {
		for (size_t j = 0; j < 8; j++) {
			struct mf_tree *left = build_sum(&a, sizes[i], 0), *right = build_sum(&b, sizes[j], 5000), *all = NULL;
			struct mf_tree *keep_left = mf_tree_ref(left), *keep_right = mf_tree_ref(right), *keep_all;
			mf_tree_trim();
			assert_int_equal(mf_tree_concat(&sum_ops, &left, &right, &all), MF_OK);
			check_sum(keep_left, &a);
			check_sum(keep_right, &b);
			keep_all = mf_tree_ref(all);
			mf_tree_trim();
			assert_int_equal(mf_tree_split(&sum_ops, &all, a.count, &left, &right), MF_OK);
			check_sum(left, &a);
			check_sum(right, &b);
			assert_int_equal(mf_tree_count(keep_all), a.count + b.count);
			assert_true(mf_tree_is_valid(&sum_ops, keep_all));
			mf_tree_unref(&sum_ops, left);
			mf_tree_unref(&sum_ops, right);
			mf_tree_unref(&sum_ops, keep_left);
			mf_tree_unref(&sum_ops, keep_right);
			mf_tree_unref(&sum_ops, keep_all);
		}
	}
	assert_int_equal(alive, 0);
}

/* ---- MAP: sort is number / 3, so two of three entries are found by compare alone ---- */

static uint64_t sort_of(uint64_t number)
{
	return number / 3;
}

static void check_map(const struct mf_tree *root, const bool *present, size_t limit)
{
	size_t rank = 0;
	assert_true(mf_tree_is_valid(&map_ops, root));
	for (uint64_t number = 0; number < limit; number++) {
		const struct mf_tree_entry *entry = mf_tree_find(&map_ops, root, sort_of(number), &number);
		assert_int_equal(entry != NULL, present[number]);
		assert_int_equal(mf_tree_rank(&map_ops, root, sort_of(number), &number), rank);
		if (entry) {
			assert_int_equal(((struct thing *)entry->item)->number, number);
			assert_ptr_equal(mf_tree_at(root, rank)->item, entry->item);
			rank++;
		}
	}
	assert_int_equal(mf_tree_count(root), rank);
}

static void random_changes_by_key_match_an_array(void **state)
{
	(void)state;
	enum { NUMBERS = 200 };
	bool present[NUMBERS] = {false}, kept_present[NUMBERS] = {false};
	struct mf_tree *root = NULL, *kept = NULL;
	seed = 7;
	for (unsigned round = 0; round < 4000; round++) {
		uint64_t number = below(NUMBERS);
		struct mf_tree_entry old = {0}, entry = {.sort = sort_of(number)};
		bool replaced = false;
		if (present[number] && below(2)) {
			assert_int_equal(mf_tree_remove(&map_ops, &root, sort_of(number), &number, &old), MF_OK);
			assert_int_equal(((struct thing *)old.item)->number, number);
			thing_unref(old.item);
			present[number] = false;
		} else {
			entry.item = thing_new(number);
			assert_int_equal(mf_tree_put(&map_ops, &root, &number, &entry, &old, &replaced), MF_OK);
			assert_int_equal(replaced, present[number]);
			thing_unref(old.item);
			present[number] = true;
		}
		if (round % 10 == 0)
			check_map(root, present, NUMBERS);
		if (round % 100 == 0) {
			check_map(kept, kept_present, NUMBERS);
			mf_tree_unref(&map_ops, kept);
			kept = mf_tree_ref(root);
			memcpy(kept_present, present, sizeof(present));
		}
	}
	mf_tree_unref(&map_ops, kept);
	mf_tree_unref(&map_ops, root);
	assert_int_equal(alive, 0);
}

/* ---- no memory ---- */

typedef enum mf_status operation(struct mf_tree **root);

static enum mf_status do_insert(struct mf_tree **root)
{
	struct mf_tree_entry entry = sum_entry(1);
	enum mf_status status = mf_tree_insert_at(&sum_ops, root, 3, &entry);
	if (status)
		thing_unref(entry.item);
	return status;
}

static enum mf_status do_remove(struct mf_tree **root)
{
	return mf_tree_remove_at(&sum_ops, root, 3, NULL);
}

static enum mf_status do_replace(struct mf_tree **root)
{
	struct mf_tree_entry entry = sum_entry(1);
	enum mf_status status = mf_tree_replace_at(&sum_ops, root, 3, &entry, NULL);
	if (status)
		thing_unref(entry.item);
	return status;
}

static enum mf_status do_split(struct mf_tree **root)
{
	struct mf_tree *left, *right;
	enum mf_status status = mf_tree_split(&sum_ops, root, 30, &left, &right);
	if (status)
		return status;
	mf_tree_unref(&sum_ops, right);
	*root = left;
	return MF_OK;
}

static enum mf_status do_concat(struct mf_tree **root)
{
	struct mf_tree *second = mf_tree_ref(*root), *all = NULL;
	enum mf_status status = mf_tree_concat(&sum_ops, root, &second, &all);
	if (status) {
		mf_tree_unref(&sum_ops, second);
		return status;
	}
	*root = all;
	return MF_OK;
}

static void an_operation_without_memory_changes_nothing(void **state)
{
	(void)state;
	static operation *const operations[] = {do_insert, do_remove, do_replace, do_split, do_concat};
	static struct plain plain;
	for (size_t i = 0; i < sizeof(operations) / sizeof(*operations); i++) {
		struct mf_tree *root = build_sum(&plain, 100, 0), *before = mf_tree_ref(root);
		enum mf_status status = MF_ERR_NO_MEMORY;
		unsigned failures = 0;
		for (uint64_t n = 1; status; n++) {
			mf_tree_trim();
			mf_mem_fail_at(n, true);
			status = operations[i](&root);
			mf_mem_fail_at(0, false);
			if (!status)
				break;
			assert_int_equal(status, MF_ERR_NO_MEMORY);
			assert_ptr_equal(root, before);
			check_sum(root, &plain);
			failures++;
		}
		assert_true(failures > 10);
		check_sum(before, &plain);
		mf_tree_unref(&sum_ops, root);
		mf_tree_unref(&sum_ops, before);
	}
	assert_int_equal(alive, 0);
}

/* ---- threads ---- */

static void *change_own_copy(void *shared)
{
	struct mf_tree *root = mf_tree_ref(shared);
	for (uint64_t i = 0; i < 2000; i++) {
		struct mf_tree_entry entry = sum_entry(i);
		if (mf_tree_insert_at(&sum_ops, &root, i % 100, &entry) || mf_tree_remove_at(&sum_ops, &root, i % 90, NULL))
			abort();
		if (i % 100 == 0) {
			mf_tree_unref(&sum_ops, root);
			root = mf_tree_ref(shared);
		}
	}
	mf_tree_unref(&sum_ops, root);
	return NULL;
}

static void threads_change_versions_of_one_tree(void **state)
{
	(void)state;
	static struct plain plain;
	struct mf_tree *root = build_sum(&plain, 100, 0);
	pthread_t threads[3];
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, change_own_copy, root), 0);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	check_sum(root, &plain);
	mf_tree_unref(&sum_ops, root);
	assert_int_equal(alive, 0);
}

/* Changes what a field holds, expects the check to see it, and puts it back. */
#define ASSERT_SEEN(ops, root, field, value)                  \
	do {                                                  \
		__typeof__(field) was_ = field;               \
		(field) = (value);                            \
		assert_false(mf_tree_is_valid(ops, root));    \
		(field) = was_;                               \
		assert_true(mf_tree_is_valid(ops, root));     \
	} while (0)

static void the_check_of_a_tree_sees_what_is_wrong(void **state)
{
	(void)state;
	enum { COUNT = 40 };
	struct mf_tree_entry entries[COUNT] = {0};
	struct mf_tree *root;
	for (int kind = 0; kind < 2; kind++) {
		const struct mf_tree_ops *ops = kind ? &sum_ops : &map_ops;
		for (size_t i = 0; i < COUNT; i++) {
			entries[i] = (struct mf_tree_entry){.item = thing_new(i)};
			if (kind)
				entries[i].sum = 10, entries[i].sum2 = 10;
			else
				entries[i].sort = 10 * i;
		}
		assert_int_equal(mf_tree_build(ops, entries, COUNT, &root), MF_OK);
		assert_true(mf_tree_is_valid(ops, root));
		ASSERT_SEEN(ops, root, root->count, COUNT + 1);
		ASSERT_SEEN(ops, root, root->left->right->count, 0);
		unsigned refs = atomic_exchange(&root->right->ref, 0);
		assert_false(mf_tree_is_valid(ops, root));
		atomic_store(&root->right->ref, refs);
		struct mf_tree *left = root->left, *right = root->right; /* as heavy as it says, but leaning */
		*root = (struct mf_tree){.ref = 1, .count = COUNT - right->count, .entry = root->entry, .left = left};
		assert_false(mf_tree_is_valid(ops, root));
		*root = (struct mf_tree){.ref = 1, .count = COUNT - left->count, .entry = root->entry, .right = right};
		assert_false(mf_tree_is_valid(ops, root));
		*root = (struct mf_tree){.ref = 1, .count = COUNT, .entry = root->entry, .left = left, .right = right};
		if (kind) {
			ASSERT_SEEN(ops, root, root->entry.sum, 0);
			ASSERT_SEEN(ops, root, root->entry.sum2, 0);
		} else {
			ASSERT_SEEN(ops, root, root->entry.sort, 0);
			ASSERT_SEEN(ops, root, root->entry.sort, 10 * COUNT);
		}
		mf_tree_unref(ops, root);
	}
	assert_int_equal(alive, 0);
}

static void a_tree_holds_no_more_than_its_counters(void **state)
{
	(void)state;
	struct mf_tree full = {.ref = 1, .count = UINT32_MAX - 1}, other = {.ref = 1, .count = 1}, *root = &full, *right = &other, *made = NULL;
	const struct mf_tree_entry entry = {0};
	assert_int_equal(mf_tree_insert_at(&sum_ops, &root, 0, &entry), MF_ERR_NO_MEMORY);
	assert_int_equal(mf_tree_build(&sum_ops, &entry, UINT32_MAX, &made), MF_ERR_NO_MEMORY);
	assert_int_equal(mf_tree_concat(&sum_ops, &root, &right, &made), MF_ERR_NO_MEMORY);
	assert_ptr_equal(root, &full);
	assert_ptr_equal(right, &other);
	assert_null(made);
}

/* In a process of its own: what a process has used up of its keys for threads does not come back. */
static void without_a_key_for_threads_a_change_is_refused(void **state)
{
	(void)state;
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		pthread_key_t key;
		while (pthread_key_create(&key, NULL) == 0)
			;
		struct mf_tree *root = NULL;
		const struct mf_tree_entry entry = sum_entry(1);
		exit(mf_tree_insert_at(&sum_ops, &root, 0, &entry) == MF_ERR_NO_MEMORY && !root ? 0 : 1);
	}
	int status;
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

/* By the linker in place of pthread_setspecific: a thread has no room to note its lists in. */
static _Thread_local bool no_slot;
int __real_pthread_setspecific(pthread_key_t key, const void *value);
int __wrap_pthread_setspecific(pthread_key_t key, const void *value);
int __wrap_pthread_setspecific(pthread_key_t key, const void *value) { return no_slot ? ENOMEM : __real_pthread_setspecific(key, value); }

static void *change_without_a_slot(void *node)
{
	struct mf_tree *root = NULL;
	const struct mf_tree_entry entry = sum_entry(1);
	no_slot = true;
	assert_int_equal(mf_tree_insert_at(&sum_ops, &root, 0, &entry), MF_ERR_NO_MEMORY);
	assert_null(root);
	mf_spare_give(MF_SPARE_TREE, node); /* is freed: nobody would when the thread ends */
	no_slot = false;
	mf_mem_fail_at(1, true);
	assert_false(mf_spare_reserve(MF_SPARE_TREE, 1));
	mf_mem_fail_at(0, false);
	assert_int_equal(mf_tree_insert_at(&sum_ops, &root, 0, &entry), MF_OK); /* another try is not refused */
	mf_tree_unref(&sum_ops, root);
	return NULL;
}

static void a_thread_that_cannot_note_its_nodes_keeps_none(void **state)
{
	(void)state;
	pthread_t thread;
	assert_true(mf_spare_reserve(MF_SPARE_TREE, 1));
	assert_int_equal(pthread_create(&thread, NULL, change_without_a_slot, mf_spare_take(MF_SPARE_TREE)), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
}

static void nodes_that_were_given_back_serve_the_next_and_are_not_hoarded(void **state)
{
	enum { MANY = 5000 };
	static void *nodes[MANY];
	(void)state;
	for (int kind = 0; kind < MF_SPARE_KINDS; kind++) {
		assert_true(mf_spare_reserve((enum mf_spare_kind)kind, MANY));
		for (int i = 0; i < MANY; i++)
			nodes[i] = mf_spare_take((enum mf_spare_kind)kind);
		mf_tree_trim();
		for (int i = 0; i < MANY; i++)
			mf_spare_give((enum mf_spare_kind)kind, nodes[i]);
		mf_mem_fail_at(1, true);
		bool one = mf_spare_reserve((enum mf_spare_kind)kind, 1), all = mf_spare_reserve((enum mf_spare_kind)kind, MANY);
		mf_mem_fail_at(0, false);
		assert_int_equal(one, KEEPS);
		assert_false(all);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_a_key_for_threads_a_change_is_refused), /* first: no thread has a list yet */
		cmocka_unit_test(random_changes_by_index_match_an_array),
		cmocka_unit_test(a_built_tree_holds_its_entries_and_iterates_from_anywhere),
		cmocka_unit_test(trees_of_any_two_sizes_concat_and_split),
		cmocka_unit_test(random_changes_by_key_match_an_array),
		cmocka_unit_test(an_operation_without_memory_changes_nothing),
		cmocka_unit_test(threads_change_versions_of_one_tree),
		cmocka_unit_test(the_check_of_a_tree_sees_what_is_wrong),
		cmocka_unit_test(a_tree_holds_no_more_than_its_counters),
		cmocka_unit_test(a_thread_that_cannot_note_its_nodes_keeps_none),
		cmocka_unit_test(nodes_that_were_given_back_serve_the_next_and_are_not_hoarded),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
