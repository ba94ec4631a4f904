/* A hostile store, changed below SQLite: pages of its database, cells and fields of them, the watermark, the file of counters,
 * files cut off or gone. Then everything that is done with a store (stores.h).
 *
 *   1 byte   base (2 bits); 4: the checksums of watermark and counters are made to fit; 16: only read; 32: only written to
 *   changes  1 byte: which file; then see file_edits.c */
#include "tests/fuzz/file_edits.h"
#include "tests/fuzz/stores.h"
#include "tests/fuzz/target.h"

#define CHANGES_MAX 8
#define FUZZ_COUNTERS "/s/metrics"

/* As fuzz_edit_file. */
static size_t change(struct script *script)
{
	switch (script_byte(script) % 16) {
	case 0: return fuzz_edit_file(FUZZ_WATERMARK, &fuzz_plain_shape, script);
	case 1: return fuzz_edit_file(FUZZ_COUNTERS, &fuzz_plain_shape, script);
	case 2: memfs_remove(FUZZ_WATERMARK); return SIZE_MAX;
	case 3: memfs_remove(FUZZ_LOG); return SIZE_MAX;
	default: return fuzz_edit_file(FUZZ_DB, &fuzz_database_shape, script);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	struct script script = {bytes, bytes + len};
	uint8_t how = script_byte(&script);
	const struct fuzz_base *base = fuzz_base((enum fuzz_base_kind)(how % FUZZ_BASES));
	size_t changed = 0;
	fuzz_base_load(base);
	for (int i = 0; i < CHANGES_MAX && !script_ended(&script); i++)
		changed = changed ? SIZE_MAX : change(&script);
	if (how & 4) {
		fuzz_repair_watermark(FUZZ_WATERMARK);
		fuzz_repair_counters(FUZZ_COUNTERS);
	}
	/* A CRC finds every change of up to four bytes in a row; more may be one that fits. */
	const struct fuzz_probe probe = {.base = base, .honest = changed <= 4 && !(how & 4), .reading = (how & 48) != 32, .writing = !(how & 16), .pages = true};
	fuzz_probe(&probe);
	memfs_reset();
	return 0;
}
