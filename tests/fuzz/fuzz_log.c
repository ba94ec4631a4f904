/* A hostile store: its log. Frames changed, repeated, left out, in another order, cut off; their checksums, which go on from one
 * to the next, made to fit again, so that SQLite takes them for its own. Then everything that is done with a store (stores.h).
 *
 *   1 byte   1: the base without compression; 2: the checksums are made to fit; 4: the salts too; 16: only read; 32: only written to
 *   changes  see file_edits.c */
#include "tests/fuzz/file_edits.h"
#include "tests/fuzz/stores.h"
#include "tests/fuzz/target.h"

#define CHANGES_MAX 8

const uint8_t fuzz_repair_bits = 6;

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	struct script script = {bytes, bytes + len};
	uint8_t how = script_byte(&script);
	const struct fuzz_base *base = fuzz_base(how & 1 ? FUZZ_PLAIN_OPEN : FUZZ_OPEN);
	size_t changed = 0;
	fuzz_base_load(base);
	for (int i = 0; i < CHANGES_MAX && !script_ended(&script); i++) {
		size_t more = fuzz_edit_file(FUZZ_LOG, &fuzz_log_shape, &script);
		changed = changed && more ? SIZE_MAX : changed + more;
	}
	if (how & 2)
		fuzz_repair_log(FUZZ_LOG, how & 4);
	const struct fuzz_probe probe = {.base = base, .honest = changed <= 4, .reading = (how & 48) != 32, .writing = !(how & 16), .tell_findings = true};
	fuzz_probe(&probe);
	memfs_reset();
	return 0;
}
