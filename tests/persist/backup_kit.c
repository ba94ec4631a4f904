#include "backup_kit.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vfs_shim.h"

char *data, *file, *fresh;

int backup_set_up(void **state)
{
	kit_set_up(state);
	data = kit_path(kit_dir, "data");
	file = kit_path(kit_dir, "one.backup");
	fresh = kit_path(kit_dir, "fresh");
	return 0;
}

int backup_tear_down(void **state)
{
	vfs_shim_reset();
	free(data);
	free(file);
	free(fresh);
	return kit_tear_down(state);
}

int entries(void)
{
	int count = 0;
	DIR *dir = opendir(kit_dir);
	assert_non_null(dir);
	for (const struct dirent *entry; (entry = readdir(dir));)
		count += entry->d_name[0] != '.';
	closedir(dir);
	return count;
}

struct mf_backup_info back_up(struct mf_store *store)
{
	struct mf_error error;
	struct mf_backup_info info = {0};
	KIT_OK(mf_store_backup(store, file, NULL, NULL, &info, &error), &error);
	return info;
}

enum mf_status try_restore(int64_t at_lsn, struct mf_backup_info *out, struct mf_error *error)
{
	return mf_store_restore(&(struct mf_restore_options){.file = file, .dir = fresh, .at_lsn = at_lsn}, out, error);
}

struct mf_backup_info restore(int64_t at_lsn)
{
	struct mf_error error;
	struct mf_backup_info info = {0};
	KIT_OK(try_restore(at_lsn, &info, &error), &error);
	return info;
}

void remove_fresh(void)
{
	kit_remove_dir(strdup(fresh));
}

/* ---- the same events ---- */

/* Checksums cover every field. */
void expect_same_events(struct mf_store *a, struct mf_store *b, int64_t upto)
{
	for (int64_t lsn = 0; lsn < upto;) {
		struct mf_event_list of_a, of_b;
		struct mf_error error;
		KIT_OK(mf_store_load_since(a, NULL, lsn, 50, &of_a, &error), &error);
		KIT_OK(mf_store_load_since(b, NULL, lsn, 50, &of_b, &error), &error);
		if (of_b.count == 0)
			assert_true(of_a.count == 0 || of_a.events[0].lsn > upto);
		lsn = of_b.count ? lsn : upto;
		for (size_t i = 0; i < of_b.count; i++) {
			lsn = of_b.events[i].lsn;
			assert_true(lsn <= upto);
			assert_int_equal(of_a.events[i].lsn, lsn);
			assert_int_equal(of_a.events[i].checksum, of_b.events[i].checksum);
		}
		mf_event_list_deinit(&of_a);
		mf_event_list_deinit(&of_b);
	}
}

void expect_clean(struct mf_store *store)
{
	struct kit_findings findings;
	if (kit_verify(store, NULL, &findings) != MF_OK)
		fail_msg("'%s', LSN %lld", findings.what, (long long)findings.lsn);
}

int64_t last_of(struct mf_store *store, const char *doc_id)
{
	struct mf_error error;
	int64_t lsn = -1;
	KIT_OK(store->ops->last_lsn(store, doc_id, &lsn, &error), &error);
	return lsn;
}

void fill(struct mf_store *store, bool compacted)
{
	struct mf_error error;
	for (int i = 0; i < 100; i++) {
		char key[32];
		snprintf(key, sizeof(key), "key-%d", i + 1);
		kit_append(store, i % 2 ? "odd" : "even", key);
	}
	kit_write_snapshot(store, "even", 41, 2000);
	kit_write_snapshot(store, "even", 81, 1200000);
	kit_write_snapshot(store, "odd", 50, 3000);
	if (compacted)
		KIT_OK(mf_store_compact(store, "even", 41, &error), &error);
}
