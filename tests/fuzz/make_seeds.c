/* make_seeds OUT HISTORY... - the seeds that cannot be written by hand, from histories that can.
 *
 * A history is a file of SEED_LSN lines as `mf run` reads them. Each gives
 *
 *   OUT/line/NAME-LSN         the line itself
 *   OUT/event/NAME-LSN[-z]    the payload of its event, plain and compressed; the same in OUT/record
 *   OUT/zstd/NAME-LSN         the compressed frame in it, as fuzz_zstd reads it
 *   OUT/delta/NAME            a packed state in the middle, and what changed to the last line
 *   OUT/state/NAME            the packed state after the last line
 *   OUT/snapshot/NAME[-z]     its snapshot, plain and compressed
 *   OUT/snapshot/NAME-on[-z]  a whole one in the middle, and an incremental one on it, as fuzz_snapshot reads them
 *   OUT/fields/NAME           state fields that counted its steps */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <moduforge/persist.h>

#include "host/run_request.h"
#include "model/delta.h"
#include "model/transaction.h"
#include "persist/record.h"
#include "persist/snapshot_codec.h"
#include "tests/fuzz/layers.h"
#include "tests/fuzz/number_fields.h"
#include "tests/fuzz/seed_lsn.h"
#include "tests/fuzz/target.h"

struct seeds {
	const char *out;
	char name[64]; /* of the history */
	struct mf_state *state, *fields;
	struct mf_state *middle; /* the state after half of the lines */
};

static void fail(const char *what, const char *why)
{
	fprintf(stderr, "make_seeds: %s: %s\n", what, why);
	exit(1);
}

static void write_seed(const struct seeds *seeds, const char *target, const char *ending, const void *bytes, size_t len)
{
	char path[4096];
	snprintf(path, sizeof(path), "%s/%s", seeds->out, target);
	if (mkdir(path, 0777) != 0 && errno != EEXIST)
		fail(path, strerror(errno));
	snprintf(path, sizeof(path), "%s/%s/%s%s", seeds->out, target, seeds->name, ending);
	FILE *file = fopen(path, "wb");
	if (!file || fwrite(bytes, 1, len, file) != len || fclose(file) != 0)
		fail(path, strerror(errno));
}

static struct mf_persist_options options_for(bool compressed)
{
	struct mf_persist_options options;
	mf_persist_options_init(&options);
	options.compression = compressed;
	options.compression_threshold = 16;
	return options;
}

/* The frame alone, behind the byte that tells fuzz_zstd to take it as it is. */
static void write_frame(const struct seeds *seeds, const char *ending, const unsigned char *payload, size_t len)
{
	struct mf_buffer seed = {0};
	size_t at = MF_RECORD_HEADER_LEN;
	while (payload[at++] & 0x80)
		;
	fuzz_expect(mf_buffer_append(&seed, "\1", 1), MF_OK, MF_OK);
	fuzz_expect(mf_buffer_append(&seed, payload + at, len - at), MF_OK, MF_OK);
	write_seed(seeds, "zstd", ending, seed.bytes, seed.len);
	mf_buffer_deinit(&seed);
}

static void write_event(const struct seeds *seeds, const struct mf_transaction *transaction, int lsn, bool compressed)
{
	struct mf_persist_options options = options_for(compressed);
	struct mf_event event;
	struct mf_error error;
	void *memory;
	char ending[32];
	if (mf_event_encode("d", transaction, &options, &event, &memory, &error) != MF_OK)
		fail(seeds->name, error.message);
	snprintf(ending, sizeof(ending), "-%d%s", lsn, compressed ? "-z" : "");
	write_seed(seeds, "event", ending, event.payload, event.payload_len);
	write_seed(seeds, "record", ending, event.payload, event.payload_len);
	if (event.payload[1] & MF_RECORD_COMPRESSED)
		write_frame(seeds, ending, event.payload, event.payload_len);
	mf_free(memory);
}

static void write_snapshot(const struct seeds *seeds, bool compressed)
{
	struct mf_persist_options options = options_for(compressed);
	struct mf_snapshot snapshot;
	struct mf_error error;
	if (mf_snapshot_encode("d", seeds->state, &options, &snapshot, &error) != MF_OK)
		fail(seeds->name, error.message);
	write_seed(seeds, "snapshot", compressed ? "-z" : "", snapshot.state_blob, snapshot.state_len);
	mf_snapshot_deinit(&snapshot);
}

static void write_incremental(const struct seeds *seeds, bool compressed)
{
	struct mf_persist_options options = options_for(compressed);
	struct mf_snapshot_base base = {.state = seeds->middle, .raw_max = SIZE_MAX / 2};
	struct mf_snapshot whole, newest;
	struct mf_buffer seed = {0};
	uint8_t len[4];
	bool fits;
	fuzz_expect(mf_doc_digest(mf_state_doc(seeds->middle), &base.digest), MF_OK, MF_OK);
	fuzz_expect(mf_snapshot_encode("d", seeds->middle, &options, &whole, NULL), MF_OK, MF_OK);
	fuzz_expect(mf_snapshot_encode_on("d", &base, seeds->state, &options, &newest, &fits, NULL), MF_OK, MF_OK);
	fuzz_put_le(len, whole.state_len, sizeof(len));
	fuzz_expect(mf_buffer_append(&seed, len, sizeof(len)), MF_OK, MF_OK);
	fuzz_expect(mf_buffer_append(&seed, whole.state_blob, whole.state_len), MF_OK, MF_OK);
	fuzz_expect(mf_buffer_append(&seed, newest.state_blob, newest.state_len), MF_OK, MF_OK);
	write_seed(seeds, "snapshot", compressed ? "-on-z" : "-on", seed.bytes, seed.len);
	mf_buffer_deinit(&seed);
	mf_snapshot_deinit(&newest);
	mf_snapshot_deinit(&whole);
}

static void write_state(const struct seeds *seeds)
{
	struct mf_buffer bytes = {0};
	fuzz_expect(mf_pack_state(&bytes, seeds->state), MF_OK, MF_OK);
	write_seed(seeds, "state", "", bytes.bytes, bytes.len);
	mf_buffer_deinit(&bytes);
	write_snapshot(seeds, false);
	write_snapshot(seeds, true);
	write_incremental(seeds, false);
	write_incremental(seeds, true);
}

static void write_delta(const struct seeds *seeds)
{
	struct mf_buffer bytes = {0};
	bool fits;
	fuzz_expect(mf_pack_state(&bytes, seeds->middle), MF_OK, MF_OK);
	fuzz_expect(mf_pack_delta(&bytes, seeds->middle, seeds->state, SIZE_MAX / 2, &fits), MF_OK, MF_OK);
	write_seed(seeds, "delta", "", bytes.bytes, bytes.len);
	mf_buffer_deinit(&bytes);
}

static void write_fields(const struct seeds *seeds)
{
	struct mf_buffer bytes = {0};
	fuzz_expect(mf_pack_fields(&bytes, seeds->fields, NULL), MF_OK, MF_OK);
	write_seed(seeds, "fields", "", bytes.bytes, bytes.len);
	mf_buffer_deinit(&bytes);
}

static struct mf_transaction *read_line(const struct seeds *seeds, const char *line, size_t len)
{
	struct mf_run_request request;
	struct mf_error error;
	enum mf_status status = mf_run_parse(line, len, fuzz_steps(), "d", &request, &error);
	if (status == MF_OK && request.op != MF_RUN_APPLY) {
		mf_transaction_free(request.transaction);
		status = (request.op == MF_RUN_UNDO ? mf_state_make_undo : mf_state_make_redo)(seeds->state, &request.transaction, &error);
	}
	if (status == MF_OK)
		status = mf_transaction_set_key(request.transaction, "k", &error);
	if (status != MF_OK)
		fail(line, error.message);
	return request.transaction;
}

static struct mf_state *advance(struct mf_state *state, const struct mf_transaction *transaction, int lsn)
{
	struct mf_state *after;
	struct mf_error error;
	if (mf_state_apply(state, transaction, &after, &error) != MF_OK)
		fail("a line of the history", error.message);
	mf_state_set_lsn(after, lsn);
	mf_state_unref(state);
	return after;
}

static void take_line(struct seeds *seeds, int lsn, const char *line, size_t len)
{
	struct mf_transaction *transaction = read_line(seeds, line, len);
	char ending[32];
	mf_transaction_set_id(transaction, (uint64_t)lsn);
	seeds->state = advance(seeds->state, transaction, lsn);
	seeds->fields = advance(seeds->fields, transaction, lsn);
	if (lsn == SEED_MIDDLE_LSN)
		seeds->middle = mf_state_ref(seeds->state);
	snprintf(ending, sizeof(ending), "-%d", lsn);
	write_seed(seeds, "line", ending, line, len);
	write_event(seeds, transaction, lsn, false);
	write_event(seeds, transaction, lsn, true);
	mf_transaction_free(transaction);
}

static void take_history(struct seeds *seeds, const char *path)
{
	const char *name = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
	snprintf(seeds->name, sizeof(seeds->name), "%.*s", (int)strcspn(name, "."), name);
	fuzz_expect(mf_state_new(1000, &seeds->state), MF_OK, MF_OK);
	fuzz_expect(mf_state_new_with_fields(fuzz_fields(), 1000, &seeds->fields, NULL), MF_OK, MF_OK);
	FILE *file = fopen(path, "r");
	char *line = NULL;
	size_t size = 0;
	int lsn = 0;
	if (!file)
		fail(path, strerror(errno));
	for (ssize_t len; (len = getline(&line, &size, file)) > 0;)
		take_line(seeds, ++lsn, line, (size_t)len - (line[len - 1] == '\n'));
	if (lsn != SEED_LSN)
		fail(path, "a history must have SEED_LSN lines");
	free(line);
	fclose(file);
	write_state(seeds);
	write_delta(seeds);
	write_fields(seeds);
	mf_state_unref(seeds->middle);
	mf_state_unref(seeds->state);
	mf_state_unref(seeds->fields);
}

int main(int argc, char **argv)
{
	if (argc < 3)
		fail("usage", "make_seeds OUT HISTORY...");
	struct seeds seeds = {.out = argv[1]};
	if (mkdir(seeds.out, 0777) != 0 && errno != EEXIST)
		fail(seeds.out, strerror(errno));
	for (int i = 2; i < argc; i++)
		take_history(&seeds, argv[i]);
	return 0;
}
