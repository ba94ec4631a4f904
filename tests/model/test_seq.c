/* The persistent sequence against a plain array: the same random operations on both, the same content
 * after each, invariants checked, older versions unchanged. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <pthread.h>

#include <moduforge/value.h>
#include "model/mem.h"
#include "model/seq.h"
#include "model/tree.h"

/* ---- counted items, so that a lost reference shows ---- */

static atomic_int alive;

struct thing {
	atomic_uint ref;
};

static uint64_t thing_new(void)
{
	struct thing *thing = malloc(sizeof(*thing));
	atomic_init(&thing->ref, 1);
	alive++;
	return (uintptr_t)thing;
}

static void thing_ref(uint64_t item)
{
	atomic_fetch_add(&((struct thing *)(uintptr_t)item)->ref, 1);
}

static void thing_unref(uint64_t item)
{
	struct thing *thing = (struct thing *)(uintptr_t)item;
	if (atomic_fetch_sub(&thing->ref, 1) == 1) {
		free(thing);
		alive--;
	}
}

static const struct mf_seq_items things = {thing_ref, thing_unref};

/* ---- the plain array ---- */

#define LIMIT 6000
struct plain {
	size_t count;
	struct mf_seq_entry entries[LIMIT];
};

static void plain_insert(struct plain *plain, size_t index, const struct mf_seq_entry *entry)
{
	memmove(plain->entries + index + 1, plain->entries + index, (plain->count - index) * sizeof(*entry));
	plain->entries[index] = *entry;
	plain->count++;
}

static void plain_remove(struct plain *plain, size_t index)
{
	plain->count--;
	memmove(plain->entries + index, plain->entries + index + 1, (plain->count - index) * sizeof(plain->entries[0]));
}

static size_t plain_rank(const struct plain *plain, uint64_t sort)
{
	size_t rank = 0;
	while (rank < plain->count && plain->entries[rank].sort < sort)
		rank++;
	return rank;
}

static uint64_t seed;
static size_t below(size_t limit)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (size_t)(seed % limit);
}

static void assert_entry(const struct mf_seq_entry *is, const struct mf_seq_entry *expected)
{
	assert_int_equal(is->sort, expected->sort);
	assert_int_equal(is->item, expected->item);
}

static void check_from(const struct mf_seq *root, const struct plain *plain, size_t from)
{
	struct mf_seq_iter iter;
	struct mf_seq_entry entry;
	size_t index = from;
	mf_seq_iterate(&iter, root, from);
	for (; mf_seq_next(&iter, &entry); index++)
		assert_entry(&entry, &plain->entries[index]);
	assert_int_equal(index, plain->count);
	assert_false(mf_seq_next(&iter, &entry));
}

static void check(const struct mf_seq_items *items, const struct mf_seq *root, const struct plain *plain)
{
	assert_int_equal(mf_seq_count(root), plain->count);
	assert_true(mf_seq_is_valid(items, root));
	check_from(root, plain, 0);
}

static void check_rank(const struct mf_seq *root, const struct plain *plain, uint64_t sort)
{
	struct mf_seq_iter iter;
	struct mf_seq_entry entry;
	size_t rank = plain_rank(plain, sort);
	assert_int_equal(mf_seq_rank(root, sort), rank);
	assert_int_equal(mf_seq_seek(&iter, root, sort), rank);
	for (size_t index = rank; index < plain->count; index++) {
		assert_true(mf_seq_next(&iter, &entry));
		assert_entry(&entry, &plain->entries[index]);
		if (index > rank + 40)
			return;
	}
	if (rank + 41 >= plain->count)
		assert_false(mf_seq_next(&iter, &entry));
}

static void check_tops(const struct mf_seq *root, const struct plain *plain)
{
	unsigned top = 0, top_without = 0;
	if (plain->count == 0)
		return;
	size_t without = below(plain->count);
	for (size_t i = 0; i < plain->count; i++) {
		unsigned low = (uint8_t)plain->entries[i].item;
		top = low > top ? low : top;
		if (i != without && low > top_without)
			top_without = low;
	}
	assert_int_equal(mf_seq_top(root), top);
	assert_int_equal(mf_seq_top_without(root, without), top_without);
}

/* ---- random changes ---- */

/* How the count of a run drifts: growing, shrinking, steady. Sorts from few values repeat often. */
struct run {
	const struct mf_seq_items *items;
	unsigned rounds, growth;
	uint64_t sorts;
};

static void insert_one(const struct run *run, struct mf_seq **root, struct plain *plain)
{
	struct mf_seq_entry entry = {.sort = below(run->sorts), .item = run->items ? thing_new() : below(1000)};
	size_t index = plain_rank(plain, entry.sort);
	assert_int_equal(mf_seq_insert(run->items, root, index, &entry), MF_OK);
	plain_insert(plain, index, &entry);
}

static void remove_one(const struct run *run, struct mf_seq **root, struct plain *plain)
{
	struct mf_seq_entry old;
	size_t index = below(plain->count);
	assert_int_equal(mf_seq_remove(run->items, root, index, &old), MF_OK);
	assert_entry(&old, &plain->entries[index]);
	plain_remove(plain, index);
	if (run->items)
		thing_unref(old.item);
}

static void replace_one(const struct run *run, struct mf_seq **root, struct plain *plain)
{
	size_t index = below(plain->count);
	struct mf_seq_entry old, entry = {.sort = plain->entries[index].sort, .item = run->items ? thing_new() : below(1000)};
	uint64_t *owned;
	if (run->items && below(2)) {
		assert_int_equal(mf_seq_own(run->items, root, index, &owned), MF_OK);
		old = plain->entries[index];
		assert_int_equal(*owned, old.item);
		*owned = entry.item;
	} else {
		assert_int_equal(mf_seq_replace(run->items, root, index, &entry, &old), MF_OK);
		assert_entry(&old, &plain->entries[index]);
	}
	plain->entries[index] = entry;
	if (run->items)
		thing_unref(old.item);
}

static void play(const struct run *run, struct mf_seq **root, struct plain *plain)
{
	static struct plain kept_plain;
	struct mf_seq *kept = mf_seq_ref(*root);
	kept_plain = *plain;
	for (unsigned round = 0; round < run->rounds; round++) {
		size_t dice = below(100);
		if (plain->count == 0 || (dice < run->growth && plain->count < LIMIT))
			insert_one(run, root, plain);
		else if (dice < 90)
			remove_one(run, root, plain);
		else
			replace_one(run, root, plain);
		if (round % 16 == 0) {
			check(run->items, *root, plain);
			check_from(*root, plain, below(plain->count + 1));
		}
		check_rank(*root, plain, below(run->sorts + 2));
		if (!run->items)
			check_tops(*root, plain);
		if (round % 128 == 0) {
			check(run->items, kept, &kept_plain);
			mf_seq_unref(run->items, kept);
			kept = mf_seq_ref(*root);
			kept_plain = *plain;
		}
	}
	check(run->items, kept, &kept_plain);
	mf_seq_unref(run->items, kept);
}

static void random_changes_match_an_array(void **state)
{
	(void)state;
	static struct plain plain;
	static const struct run runs[] = {
		{NULL, 3000, 75, 100000}, {NULL, 3000, 10, 100000}, {NULL, 2000, 45, 20}, {NULL, 2000, 5, 20},
	};
	struct mf_seq *root = NULL;
	plain.count = 0;
	seed = 42;
	for (size_t i = 0; i < sizeof(runs) / sizeof(runs[0]); i++)
		play(&runs[i], &root, &plain);
	mf_seq_unref(NULL, root);
}

static void random_changes_of_counted_items_lose_none(void **state)
{
	(void)state;
	static struct plain plain;
	static const struct run runs[] = {{&things, 3000, 70, UINT32_MAX}, {&things, 3000, 15, UINT32_MAX}, {&things, 2000, 45, 30}};
	struct mf_seq *root = NULL;
	plain.count = 0;
	seed = 4711;
	for (size_t i = 0; i < sizeof(runs) / sizeof(runs[0]); i++)
		play(&runs[i], &root, &plain);
	assert_int_equal(alive, plain.count);
	mf_seq_unref(&things, root);
	assert_int_equal(alive, 0);
}

static void a_sequence_grows_at_either_end_and_empties_from_either(void **state)
{
	(void)state;
	for (unsigned way = 0; way < 4; way++) {
		struct mf_seq *root = NULL;
		struct mf_seq_entry old;
		for (uint64_t i = 0; i < 5000; i++) {
			const struct mf_seq_entry entry = {.sort = way & 1 ? i : 5000 - i};
			assert_int_equal(mf_seq_insert(NULL, &root, way & 1 ? i : 0, &entry), MF_OK);
		}
		assert_true(mf_seq_is_valid(NULL, root));
		for (size_t left = 5000; left > 0; left--) {
			assert_int_equal(mf_seq_remove(NULL, &root, way & 2 ? left - 1 : 0, &old), MF_OK);
			if (left % 100 == 0)
				assert_true(mf_seq_is_valid(NULL, root));
		}
		assert_null(root);
	}
}

static struct mf_seq *build(const struct mf_seq_items *items, struct plain *plain, size_t count)
{
	struct mf_seq *root = (struct mf_seq *)plain;
	plain->count = count;
	for (size_t i = 0; i < count; i++)
		plain->entries[i] = (struct mf_seq_entry){i / 2, items ? thing_new() : i};
	assert_int_equal(mf_seq_build(items, plain->entries, count, &root), MF_OK);
	return root;
}

static void a_built_sequence_holds_its_entries_and_iterates_from_anywhere(void **state)
{
	(void)state;
	static struct plain plain;
	for (size_t count = 0; count <= LIMIT; count += count < 400 ? 1 : 97) {
		struct mf_seq *root = build(NULL, &plain, count);
		check(NULL, root, &plain);
		check_tops(root, &plain);
		for (size_t from = 0; from <= count; from += 1 + count / 20) {
			check_from(root, &plain, from);
			check_rank(root, &plain, from);
		}
		mf_seq_unref(NULL, root);
	}
}

/* ---- no memory ---- */

static enum mf_status do_insert(struct mf_seq **root)
{
	const struct mf_seq_entry entry = {.sort = 25, .item = thing_new()};
	enum mf_status status = mf_seq_insert(&things, root, 50, &entry);
	if (status)
		thing_unref(entry.item);
	return status;
}

static enum mf_status do_remove(struct mf_seq **root)
{
	struct mf_seq_entry old;
	enum mf_status status = mf_seq_remove(&things, root, 50, &old);
	if (!status)
		thing_unref(old.item);
	return status;
}

static enum mf_status do_replace(struct mf_seq **root)
{
	struct mf_seq_entry old, entry = {.sort = 25, .item = thing_new()};
	enum mf_status status = mf_seq_replace(&things, root, 50, &entry, &old);
	thing_unref(status ? entry.item : old.item);
	return status;
}

static enum mf_status do_own(struct mf_seq **root)
{
	uint64_t *item;
	return mf_seq_own(&things, root, 50, &item);
}

static void an_operation_without_memory_changes_nothing(void **state)
{
	(void)state;
	static enum mf_status (*const operations[])(struct mf_seq **) = {do_insert, do_remove, do_replace, do_own};
	static struct plain plain;
	for (size_t i = 0; i < sizeof(operations) / sizeof(operations[0]); i++) {
		struct mf_seq *root = build(&things, &plain, 2000), *before = mf_seq_ref(root);
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
			failures++;
		}
		assert_true(failures >= 3);
		check(&things, before, &plain);
		assert_true(mf_seq_is_valid(&things, root));
		mf_seq_unref(&things, root);
		mf_seq_unref(&things, before);
		assert_int_equal(alive, 0);
	}
}

static void a_build_without_memory_leaves_the_items_to_the_caller(void **state)
{
	(void)state;
	static struct plain plain;
	struct mf_seq *root = build(&things, &plain, 600), *again = NULL;
	mf_seq_ref(root);
	enum mf_status status = MF_ERR_NO_MEMORY;
	uint64_t n = 0;
	while (status) {
		mf_tree_trim();
		mf_mem_fail_at(++n, true);
		status = mf_seq_build(&things, plain.entries, plain.count, &again);
		mf_mem_fail_at(0, false);
		assert_int_equal(alive, 600);
	}
	assert_true(n > 40);
	check(&things, again, &plain);
	/* again took the references that root has: drop only one of the two */
	mf_seq_unref(NULL, again);
	mf_seq_unref(&things, root);
	mf_seq_unref(&things, root);
	assert_int_equal(alive, 0);
}

/* ---- threads ---- */

static void *change_own_copy(void *shared)
{
	struct mf_seq *root = mf_seq_ref(shared);
	for (uint64_t i = 0; i < 3000; i++) {
		struct mf_seq_entry old, entry = {.sort = 500, .item = thing_new()};
		if (mf_seq_insert(&things, &root, 1000, &entry) || mf_seq_remove(&things, &root, (size_t)(i * 7 % 900), &old))
			abort();
		thing_unref(old.item);
		if (i % 50 == 0) {
			mf_seq_unref(&things, root);
			root = mf_seq_ref(shared);
		}
	}
	mf_seq_unref(&things, root);
	return NULL;
}

static void threads_change_versions_of_one_sequence(void **state)
{
	(void)state;
	static struct plain plain;
	struct mf_seq *root = build(&things, &plain, 2000);
	pthread_t threads[3];
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, change_own_copy, root), 0);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	check(&things, root, &plain);
	mf_seq_unref(&things, root);
	assert_int_equal(alive, 0);
}

/* Changes what a field holds, expects the check to see it, and puts it back. */
#define ASSERT_SEEN(items, root, field, value)                \
	do {                                                  \
		__typeof__(field) was_ = field;               \
		field = value;                                \
		assert_false(mf_seq_is_valid(items, root));   \
		field = was_;                                 \
		assert_true(mf_seq_is_valid(items, root));    \
	} while (0)

static void the_check_of_a_sequence_sees_what_is_wrong(void **state)
{
	(void)state;
	enum { COUNT = 400 };
	struct mf_seq_entry entries[COUNT];
	struct mf_seq *root;
	for (size_t i = 0; i < COUNT; i++)
		entries[i] = (struct mf_seq_entry){10 * i, i % 7};
	assert_int_equal(mf_seq_build(NULL, entries, COUNT, &root), MF_OK);
	assert_true(mf_seq_is_valid(NULL, root));
	struct mf_seq *inner = root->inner.blocks[1], *leaf = inner->inner.blocks[1];
	assert_int_equal(leaf->level, 0);
	ASSERT_SEEN(NULL, root, leaf->leaf.sorts[1], 0);
	ASSERT_SEEN(NULL, root, leaf->leaf.sorts[0], 1);
	ASSERT_SEEN(NULL, root, leaf->leaf.items[1], 99);
	ASSERT_SEEN(NULL, root, leaf->n, 3);
	ASSERT_SEEN(NULL, root, leaf->n, MF_SEQ_LEAF_MAX + 1);
	ASSERT_SEEN(NULL, root, leaf->level, 1);
	ASSERT_SEEN(NULL, root, leaf->count, 1);
	ASSERT_SEEN(NULL, root, leaf->top, 0);
	ASSERT_SEEN(NULL, root, inner->inner.counts[1], 1);
	ASSERT_SEEN(NULL, root, inner->inner.tops[1], 0);
	ASSERT_SEEN(NULL, root, inner->inner.sorts[1], 0);
	ASSERT_SEEN(NULL, root, inner->count, 1);
	ASSERT_SEEN(NULL, root, root->count, 1);
	ASSERT_SEEN(NULL, root, root->top, 99);
	ASSERT_SEEN(NULL, root, root->level, MF_SEQ_LEVELS);
	uint64_t first = leaf->leaf.sorts[0]; /* the same in both places, but not above its neighbour's */
	leaf->leaf.sorts[0] = inner->inner.sorts[1] = 0;
	assert_false(mf_seq_is_valid(NULL, root));
	leaf->leaf.sorts[0] = inner->inner.sorts[1] = first;
	unsigned refs = atomic_exchange(&leaf->ref, 0);
	assert_false(mf_seq_is_valid(NULL, root));
	atomic_store(&leaf->ref, refs);
	leaf->count = inner->inner.counts[1] = 1; /* agreed upon, and wrong */
	assert_false(mf_seq_is_valid(NULL, root));
	leaf->count = inner->inner.counts[1] = leaf->n;
	assert_true(mf_seq_is_valid(NULL, root));
	assert_true(mf_seq_is_valid(NULL, NULL));
	mf_seq_unref(NULL, root);
}

static void a_sequence_holds_no_more_than_its_counters(void **state)
{
	(void)state;
	struct mf_seq full = {.ref = 1, .count = UINT32_MAX}, *root = &full, *built = NULL;
	const struct mf_seq_entry entry = {1, 1};
	struct mf_seq_iter iter;
	assert_int_equal(mf_seq_insert(NULL, &root, 0, &entry), MF_ERR_NO_MEMORY);
	assert_ptr_equal(root, &full);
	assert_int_equal(mf_seq_build(NULL, &entry, (size_t)UINT32_MAX + 1, &built), MF_ERR_NO_MEMORY);
	assert_null(built);
	mf_seq_iterate(&iter, NULL, 0); /* of nothing, nothing is fetched */
	mf_seq_expect_change(&iter, &things);
	assert_false(mf_seq_next(&iter, &(struct mf_seq_entry){0}));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_changes_match_an_array),
		cmocka_unit_test(random_changes_of_counted_items_lose_none),
		cmocka_unit_test(a_sequence_grows_at_either_end_and_empties_from_either),
		cmocka_unit_test(a_built_sequence_holds_its_entries_and_iterates_from_anywhere),
		cmocka_unit_test(an_operation_without_memory_changes_nothing),
		cmocka_unit_test(a_build_without_memory_leaves_the_items_to_the_caller),
		cmocka_unit_test(threads_change_versions_of_one_sequence),
		cmocka_unit_test(the_check_of_a_sequence_sees_what_is_wrong),
		cmocka_unit_test(a_sequence_holds_no_more_than_its_counters),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
