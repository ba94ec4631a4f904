/* A hostile backup file: changed anywhere, its digest and its mark made to fit; restored, whole or up to an LSN.
 *
 *   1 byte   base (2 bits); 4: digest and mark are made to fit; 8: up to an LSN, the next byte
 *   changes  see file_edits.c
 *
 * Promises: an error, and nothing is left; or a store that verify calls clean, but for followers. A changed file whose digest does not fit is
 * never restored. */
#include <stdio.h>

#include <moduforge/backup.h>

#include "tests/fuzz/file_edits.h"
#include "tests/fuzz/stores.h"
#include "tests/fuzz/target.h"

#define CHANGES_MAX 8
#define RESTORED "/r"

static uint8_t original[(size_t)1 << 20];
static size_t original_len;

static void note_original(void)
{
	const uint8_t *bytes = memfs_bytes(FUZZ_BACKUP, &original_len);
	if (original_len > sizeof(original))
		__builtin_trap();
	memcpy(original, bytes, original_len);
}

static bool is_original(void)
{
	size_t len;
	const uint8_t *bytes = memfs_bytes(FUZZ_BACKUP, &len);
	return len == original_len && memcmp(bytes, original, len) == 0;
}

static void expect_restored(const struct fuzz_probe *probe, const struct mf_backup_info *info, int64_t at_lsn)
{
	bool clean;
	if (!fuzz_probe_reading(probe, RESTORED, &clean) || !clean || (at_lsn > 0 && info->lsn != at_lsn)) {
		fprintf(stderr, "a restored store cannot be read, or is not clean\n");
		__builtin_trap();
	}
}

const uint8_t fuzz_repair_bits = 4;

static void restore(const uint8_t *bytes, size_t len)
{
	struct script script = {bytes, bytes + len};
	uint8_t how = script_byte(&script);
	const struct fuzz_base *base = fuzz_base((enum fuzz_base_kind)(how % FUZZ_BASES));
	const struct mf_restore_options options = {.file = FUZZ_BACKUP, .dir = RESTORED, .at_lsn = how & 8 ? script_byte(&script) % 16 : 0};
	const struct fuzz_probe probe = {.base = base, .honest = !(how & 4)};
	struct mf_backup_info info, looked;
	fuzz_base_load(base);
	note_original();
	memfs_remove(FUZZ_WATERMARK);
	for (int i = 0; i < CHANGES_MAX && !script_ended(&script); i++)
		(void)fuzz_edit_file(FUZZ_BACKUP, &fuzz_database_shape, &script);
	if (how & 4)
		fuzz_repair_backup(FUZZ_BACKUP);
	size_t size = memfs_size();
	enum mf_status look = mf_backup_look(FUZZ_BACKUP, &looked, NULL), status = mf_store_restore(&options, &info, NULL);
	fuzz_expect(look == MF_ERR_NOT_FOUND ? MF_OK : look == MF_ERR_INVALID ? MF_OK : look, MF_OK, MF_ERR_CORRUPTED);
	if (status == MF_OK) {
		if (look != MF_OK || (!(how & 4) && !is_original())) {
			fprintf(stderr, "what is not the backup was restored\n");
			__builtin_trap();
		}
		expect_restored(&probe, &info, options.at_lsn);
		size_t backup_len;
		const uint8_t *backup = memfs_bytes(FUZZ_BACKUP, &backup_len);
		FUZZ_BEHIND(backup, backup_len - 80);
		return;
	}
	fuzz_expect(status == MF_ERR_NOT_FOUND || status == MF_ERR_INVALID ? MF_OK : status, MF_OK, MF_ERR_CORRUPTED);
	if (memfs_size() != size) {
		fprintf(stderr, "a restoring that failed has left something\n");
		__builtin_trap();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	restore(bytes, len);
	memfs_reset();
	return 0;
}
