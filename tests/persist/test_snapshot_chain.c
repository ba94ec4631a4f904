/* Incremental snapshots: written on a base, loaded through a store, damaged and hostile ones; what the next may build on. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include <zlib.h>

#include "fake_store.h"
#include "model/mem.h"
#include "model/transaction.h"
#include "model/tree.h"
#include "persist/snapshot_bases.h"
#include "persist/snapshot_keep.h"
#include "small_steps.h"

#define DOC "doc"
#define NODES 60
#define LINKS 4

static struct mf_persist_options options;

/* ---- a chain: whole at LSN 1, then one link an LSN ---- */

struct chain {
	struct fake_store *fake;
	struct mf_state *states[LINKS + 1];
	struct mf_snapshot snapshots[LINKS + 1];
};

static struct mf_state *first_state(void)
{
	struct mf_transaction *transaction = small_transaction_new();
	for (int i = 0; i < NODES; i++)
		small_steps_add(transaction, small_registry, "test_insert", "{\"parent\":\"root\",\"node\":{\"id\":\"n%d\",\"type\":\"item\",\"attrs\":{\"k\":%d}}}", i, i);
	return small_steps_commit(small_state_new(100), transaction, 1);
}

static void append_events(struct fake_store *fake, int count)
{
	for (int i = 0; i < count; i++) {
		char key[32] = {0};
		int64_t lsn;
		snprintf(key, sizeof(key), "event-%d", i);
		struct mf_event event = {.doc_id = DOC, .idempotency_key = key, .meta = "{}", .meta_len = 2, .payload = (const unsigned char *)key, .payload_len = 20};
		assert_int_equal(mf_store_append(&fake->base, &event, &lsn, NULL), MF_OK);
	}
}

static enum mf_status encode(const struct mf_state *base, const struct mf_state *state, struct mf_snapshot *out)
{
	struct mf_error error = {0};
	bool fits = true;
	if (!base)
		return mf_snapshot_encode(DOC, state, &options, out, &error);
	struct mf_snapshot_base on = {.state = base, .digest = small_steps_digest(base), .raw_max = SIZE_MAX / 2};
	enum mf_status status = mf_snapshot_encode_on(DOC, &on, state, &options, out, &fits, &error);
	assert_true(status != MF_OK || fits);
	return status;
}

static void store(struct chain *chain, int at)
{
	assert_int_equal(mf_store_write_snapshot(&chain->fake->base, &chain->snapshots[at], NULL), MF_OK);
}

static struct chain make_chain(void)
{
	struct chain chain = {.fake = fake_store_new(true)};
	append_events(chain.fake, LINKS + 20);
	chain.states[0] = first_state();
	for (int i = 0; i < LINKS; i++)
		chain.states[i + 1] = i == 2 ? small_undo(mf_state_ref(chain.states[i]), i + 2) : small_set_number(mf_state_ref(chain.states[i]), i, i + 2);
	for (int i = 0; i <= LINKS; i++) {
		assert_int_equal(encode(i ? chain.states[i - 1] : NULL, chain.states[i], &chain.snapshots[i]), MF_OK);
		store(&chain, i);
	}
	return chain;
}

static void free_chain(struct chain *chain)
{
	for (int i = 0; i <= LINKS; i++) {
		mf_snapshot_deinit(&chain->snapshots[i]);
		mf_state_unref(chain->states[i]);
	}
	fake_store_free(chain->fake);
}

static enum mf_status load(const struct chain *chain, const struct mf_snapshot *snapshot, struct mf_state **out, struct mf_error *error)
{
	struct mf_state *state = NULL;
	enum mf_status status = mf_snapshot_load(&chain->fake->base, snapshot, small_registry, 100, &state, error);
	assert_true((status == MF_OK) == (state != NULL));
	if (out && status == MF_OK)
		*out = state;
	else
		mf_state_unref(state);
	return status;
}

static void repair(struct mf_snapshot *snapshot)
{
	unsigned char *blob = snapshot->memory;
	uLong crc = crc32(crc32(0, blob, 32), blob + 36, (uInt)(snapshot->state_len - 36));
	for (unsigned i = 0; i < 4; i++)
		blob[32 + i] = (unsigned char)(crc >> (8 * i));
}

/* ---- the normal path ---- */

static void a_chain_gives_the_state_with_its_stacks(void **unused)
{
	(void)unused;
	for (int compressed = 0; compressed < 2; compressed++) {
		options.compression = compressed;
		struct chain chain = make_chain();
		for (int i = 0; i <= LINKS; i++) {
			const struct mf_state *expected = chain.states[i];
			const struct mf_snapshot *snapshot = &chain.snapshots[i];
			struct mf_state *state = NULL;
			struct mf_digest digest = small_steps_digest(expected);
			assert_int_equal(snapshot->version, i ? 2 : 1);
			assert_int_equal(snapshot->base_lsn, i);
			assert_memory_equal(snapshot->state_blob + 16, digest.bytes, MF_DIGEST_BYTES);
			assert_int_equal(load(&chain, snapshot, &state, NULL), MF_OK);
			small_assert_digest(state, &digest);
			assert_int_equal(mf_state_lsn(state), i + 1);
			assert_int_equal(mf_state_undo_depth(state), mf_state_undo_depth(expected));
			assert_int_equal(mf_state_redo_depth(state), mf_state_redo_depth(expected));
			mf_state_unref(state);
			assert_true(!i || snapshot->state_len < chain.snapshots[0].state_len / 2);
		}
		free_chain(&chain);
	}
	mf_persist_options_init(&options);
}

static void a_difference_that_is_too_long_does_not_fit(void **unused)
{
	(void)unused;
	struct mf_state *base = first_state(), *state = small_set_number(mf_state_ref(base), 1, 2);
	struct mf_snapshot_base on = {.state = base, .digest = small_steps_digest(base), .raw_max = 10};
	struct mf_snapshot snapshot = {0};
	bool fits = true;
	assert_int_equal(mf_snapshot_encode_on(DOC, &on, state, &options, &snapshot, &fits, NULL), MF_OK);
	assert_false(fits);
	assert_null(snapshot.memory);
	mf_state_unref(base);
	mf_state_unref(state);
}

static void an_incremental_snapshot_is_not_decoded_alone(void **unused)
{
	(void)unused;
	struct chain chain = make_chain();
	struct mf_state *state = NULL;
	struct mf_error error = {0};
	assert_int_equal(mf_snapshot_decode(&chain.snapshots[1], small_registry, 100, &state, &error), MF_ERR_INVALID);
	assert_non_null(strstr(error.message, "store"));
	assert_null(state);
	free_chain(&chain);
}

/* ---- damage ---- */

static void f22_every_flipped_bit_and_every_cut_of_a_link_is_found(void **unused)
{
	(void)unused;
	struct chain chain = make_chain();
	struct mf_snapshot *link = &chain.snapshots[LINKS];
	unsigned char *blob = link->memory;
	for (size_t bit = 0; bit < 8 * link->state_len; bit++) {
		blob[bit / 8] ^= (unsigned char)(1u << bit % 8);
		assert_int_equal(load(&chain, link, NULL, NULL), MF_ERR_CORRUPTED);
		blob[bit / 8] ^= (unsigned char)(1u << bit % 8);
	}
	size_t whole = link->state_len;
	for (link->state_len = 0; link->state_len < whole; link->state_len++)
		assert_int_equal(load(&chain, link, NULL, NULL), MF_ERR_CORRUPTED);
	assert_int_equal(load(&chain, link, NULL, NULL), MF_OK);
	free_chain(&chain);
}

/* A checksum proves nothing about who wrote the bytes. */
static void hostile_links_with_a_right_checksum_never_crash(void **unused)
{
	(void)unused;
	options.compression = false;
	struct chain chain = make_chain();
	for (int at = 1; at <= LINKS; at += LINKS - 1) {
		struct mf_snapshot *link = &chain.snapshots[at];
		unsigned char *blob = link->memory;
		for (size_t bit = 0; bit < 8 * link->state_len; bit++) {
			if (bit >= 32 * 8 && bit < 36 * 8)
				continue;
			blob[bit / 8] ^= (unsigned char)(1u << bit % 8);
			repair(link);
			enum mf_status status = load(&chain, link, NULL, NULL);
			assert_true(status == MF_ERR_CORRUPTED || status == MF_ERR_UNKNOWN_STEP || (status == MF_OK && bit >= 60 * 8));
			blob[bit / 8] ^= (unsigned char)(1u << bit % 8);
		}
		repair(link);
	}
	free_chain(&chain);
	mf_persist_options_init(&options);
}

static void put_base(struct mf_snapshot *link, int64_t base_lsn)
{
	unsigned char *blob = link->memory;
	for (unsigned i = 0; i < 8; i++)
		blob[36 + i] = (unsigned char)((uint64_t)base_lsn >> (8 * i));
	link->base_lsn = base_lsn;
	repair(link);
}

static void a_base_is_older_than_what_builds_on_it(void **unused)
{
	(void)unused;
	struct chain chain = make_chain();
	struct mf_snapshot *link = &chain.snapshots[2];
	const int64_t wrong[] = {3, 4, 1000, 0, -1, INT64_MIN, INT64_MAX};
	struct mf_error error = {0};
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		put_base(link, wrong[i]);
		assert_int_equal(load(&chain, link, NULL, &error), MF_ERR_CORRUPTED);
		assert_int_equal(error.lsn, 3);
	}
	put_base(link, 2);
	assert_int_equal(load(&chain, link, NULL, NULL), MF_OK);
	link->base_lsn = 1; /* the row says otherwise */
	assert_int_equal(load(&chain, link, NULL, &error), MF_ERR_CORRUPTED);
	assert_non_null(strstr(error.message, "row"));
	link->base_lsn = 2;
	free_chain(&chain);
}

static void a_base_that_is_missing_or_another_one_is_told(void **unused)
{
	(void)unused;
	struct chain chain = make_chain();
	struct mf_error error = {0};
	struct mf_snapshot other;
	struct mf_state *twin = small_set_number(mf_state_ref(chain.states[1]), 77, 3);
	assert_int_equal(encode(NULL, twin, &other), MF_OK);
	assert_int_equal(mf_store_write_snapshot(&chain.fake->base, &other, NULL), MF_OK); /* of the same LSN, of another document */
	assert_int_equal(load(&chain, &chain.snapshots[LINKS], NULL, &error), MF_ERR_CORRUPTED);
	assert_non_null(strstr(error.message, "another one"));
	assert_non_null(strstr(error.message, "LSN 3"));
	struct mf_snapshot stray = chain.snapshots[LINKS];
	struct mf_store *empty;
	assert_int_equal(mf_store_open_memory(NULL, &empty, NULL), MF_OK);
	struct mf_state *state = NULL;
	assert_int_equal(mf_snapshot_load(empty, &stray, small_registry, 100, &state, &error), MF_ERR_BUSY); /* it is not stored there itself */
	assert_null(state);
	mf_store_close(empty, NULL);
	mf_snapshot_deinit(&other);
	mf_state_unref(twin);
	free_chain(&chain);
}

static enum mf_status refuse_to_list(struct mf_store *store, const char *doc_id, mf_snapshot_visit *visit, void *user, struct mf_error *error)
{
	(void)store, (void)doc_id, (void)visit, (void)user, (void)error;
	return MF_ERR_IO; /* without a word */
}

static void a_missing_base_that_cannot_be_looked_for_is_a_read_error(void **unused)
{
	(void)unused;
	struct chain chain = make_chain();
	struct mf_error error = {0};
	struct fake_store *empty = fake_store_new(true);
	struct mf_state *state;
	empty->ops.snapshots = refuse_to_list;
	assert_int_equal(mf_snapshot_load(&empty->base, &chain.snapshots[LINKS], small_registry, 100, &state, &error), MF_ERR_IO);
	assert_string_equal(error.message, "document 'doc', snapshot at LSN 5: MF_ERR_IO");
	fake_store_free(empty);
	free_chain(&chain);
}

/* Another store, in which the newest link is stored or not, and its base is not. */
static void a_base_that_is_gone_is_damage_only_where_the_link_is_there(void **unused)
{
	(void)unused;
	struct chain chain = make_chain();
	struct mf_error error = {0};
	struct mf_snapshot whole;
	assert_int_equal(encode(NULL, chain.states[LINKS], &whole), MF_OK); /* of the same LSN */
	for (int stored = 0; stored < 3; stored++) {
		struct fake_store *other = fake_store_new(true);
		struct mf_state *state = NULL;
		append_events(other, LINKS + 1);
		assert_int_equal(mf_store_write_snapshot(&other->base, &chain.snapshots[0], NULL), MF_OK); /* older than the base */
		if (stored == 1)
			assert_int_equal(mf_store_write_snapshot(&other->base, &whole, NULL), MF_OK);
		struct mf_snapshot link = chain.snapshots[LINKS];
		if (stored == 2) { /* its base is stored and then goes */
			for (int i = 1; i <= LINKS; i++)
				assert_int_equal(mf_store_write_snapshot(&other->base, &chain.snapshots[i], NULL), MF_OK);
			other->hidden_snapshot = LINKS;
		}
		assert_int_equal(mf_snapshot_load(&other->base, &link, small_registry, 100, &state, &error), stored == 2 ? MF_ERR_CORRUPTED : MF_ERR_BUSY);
		assert_null(state);
		assert_non_null(strstr(error.message, stored == 2 ? "the snapshot at LSN 4, on which it builds, is missing" : "was deleted while it was being read"));
		fake_store_free(other);
	}
	mf_snapshot_deinit(&whole);
	free_chain(&chain);
}

/* count snapshots of a small document in store, each on the one before; the state of the last. */
static struct mf_state *long_chain(struct fake_store *fake, int count)
{
	append_events(fake, count);
	struct mf_state *state = small_set_number(small_state_new(1), 0, 1), *base = NULL;
	for (int i = 1;; i++) {
		struct mf_snapshot snapshot;
		assert_int_equal(encode(base, state, &snapshot), MF_OK);
		assert_int_equal(mf_store_write_snapshot(&fake->base, &snapshot, NULL), MF_OK);
		mf_snapshot_deinit(&snapshot);
		mf_state_unref(base);
		if (i == count)
			return state;
		base = mf_state_ref(state);
		state = small_set_number(state, i, i + 1);
	}
}

static enum mf_status load_newest(struct fake_store *fake, struct mf_state **out, struct mf_error *error)
{
	struct mf_snapshot newest;
	assert_int_equal(mf_store_latest_snapshot(&fake->base, DOC, INT64_MAX, &newest, NULL), MF_OK);
	*out = NULL;
	enum mf_status status = mf_snapshot_load(&fake->base, &newest, small_registry, 1, out, error);
	mf_snapshot_deinit(&newest);
	return status;
}

static void a_chain_has_an_end(void **unused)
{
	(void)unused;
	for (int more = 1; more < 3; more++) {
		struct fake_store *fake = fake_store_new(true);
		struct mf_state *state = long_chain(fake, MF_SNAPSHOT_CHAIN_MAX + more), *loaded;
		struct mf_error error = {0};
		assert_int_equal(load_newest(fake, &loaded, &error), more == 1 ? MF_OK : MF_ERR_CORRUPTED);
		if (more == 1)
			assert_int_equal(small_number_in(loaded), MF_SNAPSHOT_CHAIN_MAX);
		else
			assert_non_null(strstr(error.message, "it is the end of a chain of more than 1000"));
		mf_state_unref(loaded);
		mf_state_unref(state);
		fake_store_free(fake);
	}
}

static void every_failed_allocation_in_a_longer_chain_is_no_memory(void **unused)
{
	(void)unused;
	struct fake_store *fake = fake_store_new(true);
	struct mf_state *state = long_chain(fake, 10), *loaded;
	struct mf_snapshot newest;
	bool failed = true;
	assert_int_equal(mf_store_latest_snapshot(&fake->base, DOC, INT64_MAX, &newest, NULL), MF_OK);
	for (uint64_t n = 1; failed; n++) {
		loaded = NULL;
		memory_fails_at(n);
		enum mf_status status = mf_snapshot_load(&fake->base, &newest, small_registry, 1, &loaded, NULL);
		failed = memory_failed(n);
		assert_true(status == MF_OK ? small_number_in(loaded) == 9 : status == MF_ERR_NO_MEMORY && failed && !loaded);
		mf_state_unref(loaded);
	}
	mf_snapshot_deinit(&newest);
	mf_state_unref(state);
	fake_store_free(fake);
}

static void which_link_is_to_blame_is_told(void **unused)
{
	(void)unused;
	struct chain chain = make_chain();
	for (int at = 0; at <= LINKS; at++) {
		struct mf_snapshot_loading how = {.stacks = {.registry = small_registry, .history_limit = 100}, .fields = MF_FIELDS_COMPLETE};
		struct mf_state *state = NULL;
		struct mf_snapshot newest = chain.snapshots[LINKS];
		unsigned char *copy = malloc(newest.state_len);
		assert_non_null(copy);
		memcpy(copy, newest.state_blob, newest.state_len);
		newest.state_blob = copy;
		if (at == LINKS)
			copy[40] ^= 1;
		chain.fake->spoiled_snapshots[0] = at + 1;
		assert_int_equal(mf_snapshot_load_with(&chain.fake->base, &newest, &how, &state, NULL), MF_ERR_CORRUPTED);
		assert_int_equal(how.failed_lsn, at + 1);
		assert_int_equal(how.passed, LINKS - at + 1);
		assert_false(how.stale);
		chain.fake->spoiled_snapshots[0] = 0;
		free(copy);
	}
	free_chain(&chain);
}

static void a_read_error_is_no_damage(void **unused)
{
	(void)unused;
	struct chain chain = make_chain();
	chain.fake->read_error = MF_ERR_IO;
	assert_int_equal(load(&chain, &chain.snapshots[LINKS], NULL, NULL), MF_ERR_IO);
	chain.fake->read_error = MF_OK;
	free_chain(&chain);
}

static void a_newer_format_is_stale_and_not_damaged(void **unused)
{
	(void)unused;
	struct chain chain = make_chain();
	struct mf_snapshot *link = &chain.snapshots[1];
	struct mf_snapshot_loading how = {.stacks = {.registry = small_registry, .history_limit = 100}};
	struct mf_state *state;
	struct mf_error error = {0};
	((unsigned char *)link->memory)[4] = 9;
	link->version = 9;
	repair(link);
	assert_int_equal(mf_snapshot_load_with(&chain.fake->base, link, &how, &state, &error), MF_ERR_CORRUPTED);
	assert_true(how.stale);
	assert_non_null(strstr(error.message, "format 9"));
	link->version = 8; /* the row says otherwise: damage */
	assert_int_equal(mf_snapshot_load_with(&chain.fake->base, link, &how, &state, &error), MF_ERR_CORRUPTED);
	assert_false(how.stale);
	free_chain(&chain);
}

/* ---- memory ---- */

static void every_failed_allocation_is_no_memory(void **unused)
{
	(void)unused;
	struct chain chain = make_chain();
	bool failed = true;
	for (uint64_t n = 1; failed; n++) {
		struct mf_snapshot snapshot = {0};
		memory_fails_at(n);
		struct mf_snapshot_base on = {.state = chain.states[1], .raw_max = 10000};
		bool fits;
		enum mf_status status = mf_snapshot_encode_on(DOC, &on, chain.states[2], &options, &snapshot, &fits, NULL);
		failed = memory_failed(n);
		assert_true(status == MF_OK || (status == MF_ERR_NO_MEMORY && failed && !snapshot.memory));
		mf_snapshot_deinit(&snapshot);
	}
	failed = true;
	for (uint64_t n = 1; failed; n++) {
		memory_fails_at(n);
		enum mf_status status = load(&chain, &chain.snapshots[LINKS], NULL, NULL);
		failed = memory_failed(n);
		assert_true(status == MF_OK || (status == MF_ERR_NO_MEMORY && failed));
	}
	free_chain(&chain);
}

/* ---- what the next one may build on ---- */

static void put(struct mf_snapshot_bases *bases, const struct mf_snapshot *snapshot, const struct mf_state *state)
{
	mf_snapshot_bases_put(bases, snapshot, state);
}

static bool has_base(struct mf_snapshot_bases *bases, int64_t lsn, int64_t base_lsn)
{
	struct mf_snapshot_base base;
	if (!mf_snapshot_bases_get(bases, DOC, lsn, &base))
		return false;
	assert_int_equal(mf_state_lsn(base.state), base_lsn);
	mf_state_unref((struct mf_state *)base.state);
	return true;
}

static void every_so_many_snapshots_are_whole(void **unused)
{
	(void)unused;
	struct chain chain = make_chain();
	struct mf_snapshot_bases *bases;
	options.full_snapshot_every = 3;
	assert_int_equal(mf_snapshot_bases_new(&options, &bases), MF_OK);
	assert_false(has_base(bases, 2, 0)); /* after a restart */
	put(bases, &chain.snapshots[0], chain.states[0]);
	assert_true(has_base(bases, 2, 1));
	assert_false(has_base(bases, 1, 0)); /* the same state once more */
	put(bases, &chain.snapshots[1], chain.states[1]);
	assert_true(has_base(bases, 9, 2));
	put(bases, &chain.snapshots[2], chain.states[2]);
	assert_false(has_base(bases, 9, 3));              /* three in the chain */
	put(bases, &chain.snapshots[0], chain.states[0]); /* of an older state: the newest stays what it is */
	assert_false(has_base(bases, 9, 1));
	mf_snapshot_bases_forget(bases, "nobody");
	mf_snapshot_bases_forget(bases, DOC);
	put(bases, &chain.snapshots[0], chain.states[0]);
	assert_true(has_base(bases, 9, 1));
	mf_snapshot_bases_forget(bases, DOC);
	assert_false(has_base(bases, 9, 1));
	put(bases, &chain.snapshots[1], chain.states[1]); /* let go while it was written: its chain is not known */
	assert_false(has_base(bases, 9, 2));
	mf_snapshot_bases_free(bases);
	options.full_snapshot_every = 1;
	assert_int_equal(mf_snapshot_bases_new(&options, &bases), MF_OK);
	put(bases, &chain.snapshots[0], chain.states[0]);
	assert_false(has_base(bases, 2, 1));
	mf_snapshot_bases_free(bases);
	options.full_snapshot_every = UINT32_MAX; /* no longer than what is read */
	assert_int_equal(mf_snapshot_bases_new(&options, &bases), MF_OK);
	for (int i = 0; i < MF_SNAPSHOT_CHAIN_MAX; i++) {
		put(bases, &chain.snapshots[i > 0], chain.states[i > 0]);
		assert_int_equal(has_base(bases, 9, 1 + (i > 0)), i + 1 < MF_SNAPSHOT_CHAIN_MAX);
	}
	mf_snapshot_bases_free(bases);
	free_chain(&chain);
	mf_persist_options_init(&options);
}

static void without_memory_the_next_snapshot_is_whole(void **unused)
{
	(void)unused;
	struct chain chain = make_chain();
	struct mf_snapshot_bases *bases = NULL;
	uint64_t n = 1;
	for (;; n++) {
		mf_tree_trim();
		mf_mem_fail_at(n, false);
		enum mf_status status = mf_snapshot_bases_new(&options, &bases);
		mf_mem_fail_at(0, false);
		if (status == MF_OK)
			break;
		assert_int_equal(status, MF_ERR_NO_MEMORY);
	}
	assert_true(n > 1);
	for (n = 1; n < 10; n++) {
		mf_tree_trim();
		mf_mem_fail_at(n, false);
		put(bases, &chain.snapshots[0], chain.states[0]);
		bool failed = mf_mem_count() >= n;
		mf_mem_fail_at(0, false);
		assert_true(has_base(bases, 2, 1) == !failed);
		mf_snapshot_bases_forget(bases, DOC);
	}
	mf_snapshot_bases_free(bases);
	free_chain(&chain);
}

/* ---- which may go ---- */

static void bases_of_kept_snapshots_are_kept(void **unused)
{
	(void)unused;
	struct mf_snapshot_row rows[] = {{.upto_lsn = 1}, {.upto_lsn = 2, .base_lsn = 1}, {.upto_lsn = 3}, {.upto_lsn = 4, .base_lsn = 3}, {.upto_lsn = 5, .base_lsn = 4}, {.upto_lsn = 6}};
	static const struct {
		struct mf_keep_rule rule;
		const char *kept;
	} cases[] = {
		{{.newest = 1, .from_lsn = INT64_MAX, .events_from = INT64_MAX}, "000001"},
		{{.newest = 2, .from_lsn = INT64_MAX, .events_from = INT64_MAX}, "001111"},
		{{.newest = 1, .from_lsn = INT64_MAX, .events_from = 2}, "110001"},
		{{.newest = 1, .from_lsn = 5, .events_from = INT64_MAX}, "001111"},
		{{.newest = 100, .from_lsn = INT64_MAX, .events_from = INT64_MAX}, "111111"},
		{{.newest = 0, .from_lsn = INT64_MAX, .events_from = INT64_MAX}, "000000"},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char kept[7] = "";
		mf_snapshot_keep(rows, 6, &cases[i].rule);
		for (size_t j = 0; j < 6; j++)
			kept[j] = rows[j].kept ? '1' : '0';
		assert_string_equal(kept, cases[i].kept);
	}
	mf_snapshot_keep(rows, 0, &cases[0].rule);
}

static int setup(void **state)
{
	mf_persist_options_init(&options);
	return small_make_registry(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_chain_gives_the_state_with_its_stacks),
		cmocka_unit_test(a_difference_that_is_too_long_does_not_fit),
		cmocka_unit_test(an_incremental_snapshot_is_not_decoded_alone),
		cmocka_unit_test(f22_every_flipped_bit_and_every_cut_of_a_link_is_found),
		cmocka_unit_test(hostile_links_with_a_right_checksum_never_crash),
		cmocka_unit_test(a_base_is_older_than_what_builds_on_it),
		cmocka_unit_test(a_base_that_is_missing_or_another_one_is_told),
		cmocka_unit_test(a_missing_base_that_cannot_be_looked_for_is_a_read_error),
		cmocka_unit_test(a_base_that_is_gone_is_damage_only_where_the_link_is_there),
		cmocka_unit_test(a_chain_has_an_end),
		cmocka_unit_test(every_failed_allocation_in_a_longer_chain_is_no_memory),
		cmocka_unit_test(which_link_is_to_blame_is_told),
		cmocka_unit_test(a_read_error_is_no_damage),
		cmocka_unit_test(a_newer_format_is_stale_and_not_damaged),
		cmocka_unit_test(every_failed_allocation_is_no_memory),
		cmocka_unit_test(every_so_many_snapshots_are_whole),
		cmocka_unit_test(without_memory_the_next_snapshot_is_whole),
		cmocka_unit_test(bases_of_kept_snapshots_are_kept),
	};
	return cmocka_run_group_tests(tests, setup, small_free_registry);
}
