/* The payload of an event: whatever the bytes, an error, or a transaction that encodes and decodes to itself. */
#include "tests/fuzz/target.h"

#include <string.h>

#include <moduforge/persist.h>

#include "tests/fuzz/layers.h"

static enum mf_status decode(const uint8_t *payload, size_t len, struct mf_transaction **out)
{
	struct mf_event event = {
		.lsn = 2, .epoch = 1, .prev_lsn = 1, .tr_id = 1, .doc_id = "d", .idempotency_key = "k",
		.meta = "{}", .meta_len = 2, .payload = payload, .payload_len = len};
	return mf_event_decode(&event, fuzz_steps(), out, NULL);
}

static void *encode(const struct mf_transaction *transaction, struct mf_event *out)
{
	struct mf_persist_options options;
	void *memory;
	mf_persist_options_init(&options);
	options.compression = false;
	fuzz_expect(mf_event_encode("d", transaction, &options, out, &memory, NULL), MF_OK, MF_OK);
	return memory;
}

static void expect_same_again(const struct mf_transaction *transaction)
{
	struct mf_event event, event_again;
	struct mf_transaction *again;
	void *memory = encode(transaction, &event);
	fuzz_expect(decode(event.payload, event.payload_len, &again), MF_OK, MF_OK);
	void *memory_again = encode(again, &event_again);
	if (event.payload_len != event_again.payload_len || memcmp(event.payload, event_again.payload, event.payload_len) != 0)
		__builtin_trap();
	mf_free(memory_again);
	mf_transaction_free(again);
	mf_free(memory);
}

size_t fuzz_inside(uint8_t *bytes, size_t len, size_t max_len, fuzz_change *change)
{
	return fuzz_inside_record(bytes, len, max_len, change);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	struct mf_transaction *transaction;
	enum mf_status status = decode(bytes, len, &transaction);
	if (status != MF_OK) {
		fuzz_expect(status, MF_ERR_CORRUPTED, MF_ERR_UNKNOWN_STEP);
		return 0;
	}
	expect_same_again(transaction);
	fuzz_apply(fuzz_document(), transaction);
	mf_transaction_free(transaction);
	return 0;
}
