/* oracle_backup.c - each backup file: absent or whole, and a prefix of what was submitted. */
#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <moduforge/backup.h>

#include "oracle_parts.h"
#include "workload.h"

/* Its files, not those in directories below it. */
static void empty(const char *path)
{
	DIR *dir = opendir(path);
	if (!dir)
		return;
	for (struct dirent *entry; (entry = readdir(dir));)
		unlinkat(dirfd(dir), entry->d_name, 0);
	closedir(dir);
}

/* A power loss may have taken back what was only written, and what a backup has of it stays there: a later life gave its LSN again. */
static bool is_given_again(const struct ledger *ledger, const struct ledger_item *item, int64_t lsn)
{
	for (size_t i = 0; i < ledger->count; i++)
		if (ledger->items[i].found == lsn && &ledger->items[i] != item)
			return true;
	return false;
}

/* Every LSN up to the backup's is there, with the key that the world knows it by. false: some are others' by now. */
static bool compare_events(struct oracle *oracle, const char *file, struct mf_store *store, int64_t upto)
{
	bool *there = calloc((size_t)upto + 2, sizeof(*there));
	struct mf_key_info info;
	int64_t from = 0, missing = 0;
	bool given_again = false;
	if (!there)
		abort();
	for (size_t count = 1; count > 0;) {
		struct mf_event_list list = {0};
		if (mf_store_load_since(store, NULL, from, 1000, &list, NULL) != MF_OK)
			break;
		count = list.count;
		for (size_t i = 0; i < count; i++) {
			const struct mf_event *event = &list.events[i];
			const struct ledger_item *item = ledger_find(oracle->ledger, event->idempotency_key);
			from = event->lsn;
			if (!item || (item->lsn && item->lsn != event->lsn) || (item->found && item->found != event->lsn))
				oracle_broken(oracle, "backup %s has key %s as LSN %" PRId64 ", which is not what was submitted", file, event->idempotency_key, event->lsn);
			given_again = given_again || is_given_again(oracle->ledger, item, event->lsn);
			if (event->lsn <= upto)
				there[event->lsn] = true;
			else
				oracle_broken(oracle, "backup %s is said to go to LSN %" PRId64 " and has LSN %" PRId64, file, upto, event->lsn);
		}
		mf_event_list_deinit(&list);
	}
	for (size_t i = 0; i < oracle->ledger->count; i++)
		if (store->ops->find_key(store, oracle->ledger->items[i].key, &info, NULL) == MF_OK && info.lsn >= 1 && info.lsn <= upto)
			there[info.lsn] = true;
	for (int64_t lsn = 1; lsn <= upto; lsn++)
		missing += !there[lsn];
	if (missing > 0)
		oracle_broken(oracle, "backup %s goes to LSN %" PRId64 ", and %" PRId64 " of them are missing", file, upto, missing);
	free(there);
	return !given_again;
}

static void compare_restored(struct oracle *oracle, const char *file, const char *dir, int64_t upto)
{
	struct mf_sqlite_options options = {.dir = dir, .read_only = true};
	struct mf_store *store;
	struct mf_error error = {0};
	if (mf_store_open_sqlite(&options, &store, &error) != MF_OK) {
		oracle_broken(oracle, "backup %s was restored and does not open: %s", file, error.message);
		return;
	}
	bool of_this_history = compare_events(oracle, file, store, upto);
	for (size_t i = 0; i < oracle->doc_count && of_this_history; i++) {
		const struct ledger_item *last = NULL;
		struct ledger_state found = {0};
		struct mf_state *state;
		for (size_t n = 0; n < oracle->ledger->count; n++) {
			const struct ledger_item *item = &oracle->ledger->items[n];
			if (item->found && item->found <= upto && strcmp(item->doc, oracle->docs[i].id) == 0 && (!last || last->found < item->found))
				last = item;
		}
		if (!last || upto > oracle->stats.last_lsn)
			continue;
		if (mf_recover_state(store, oracle->docs[i].id, mf_runtime_steps(oracle->runtime), &(struct mf_recovery_options){0}, &state, NULL, &error) != MF_OK) {
			oracle_broken(oracle, "backup %s: document %s: %s", file, oracle->docs[i].id, error.message);
			continue;
		}
		if (last->after.known && ledger_state_of(state, &found) && memcmp(&found.digest, &last->after.digest, sizeof(found.digest)) != 0)
			oracle_broken(oracle, "backup %s: document %s at LSN %" PRId64 " is not what it was", file, oracle->docs[i].id, last->found);
		mf_state_unref(state);
	}
	if (mf_store_close(store, &error) != MF_OK)
		oracle_broken(oracle, "backup %s was restored and does not close: %s", file, error.message);
}

/* What the file itself says of it. */
static bool look_at(struct oracle *oracle, const struct ledger_backup *backup, const char *file, int64_t *out_lsn)
{
	struct stat about;
	struct mf_backup_info info = {0};
	struct mf_error error = {0};
	if (stat(file, &about) != 0) {
		if (backup->lsn > 0)
			oracle_broken(oracle, "backup %s was said to be complete, and is not there", backup->file);
		return false;
	}
	if (mf_backup_look(file, &info, &error) != MF_OK) {
		oracle_broken(oracle, "backup %s is there and is not whole: %s", backup->file, error.message);
		return false;
	}
	if (backup->lsn > 0 && info.lsn != backup->lsn)
		oracle_broken(oracle, "backup %s goes to LSN %" PRId64 ", and was said to go to %" PRId64, backup->file, info.lsn, backup->lsn);
	if (info.lsn < backup->at_least)
		oracle_broken(oracle, "backup %s goes to LSN %" PRId64 ", and %" PRId64 " was committed when it began", backup->file, info.lsn, backup->at_least);
	if (oracle->plan->crash == ORACLE_KILLED && info.lsn > oracle->stats.last_lsn)
		oracle_broken(oracle, "backup %s goes to LSN %" PRId64 ", the store to %" PRId64, backup->file, info.lsn, oracle->stats.last_lsn);
	*out_lsn = info.lsn;
	return true;
}

static void restore(struct oracle *oracle, const struct ledger_backup *backup, const char *file, int64_t lsn)
{
	char dir[512];
	struct mf_backup_info info = {0};
	struct mf_error error = {0};
	snprintf(dir, sizeof(dir), "%s/restored", oracle->plan->backups);
	if (mf_store_restore(&(struct mf_restore_options){.file = file, .dir = dir}, &info, &error) != MF_OK) {
		oracle_broken(oracle, "backup %s is there and cannot be restored: %s", backup->file, error.message);
		return;
	}
	oracle->report->backups++;
	if (info.lsn != lsn)
		oracle_broken(oracle, "backup %s says that it goes to LSN %" PRId64 ", restored it goes to %" PRId64, backup->file, lsn, info.lsn);
	compare_restored(oracle, backup->file, dir, lsn);
	empty(dir);
	rmdir(dir);
}

/* Each is looked at once, and then goes, with what killed ones left. Restored, which is dear, are those that nobody heard
 * to be complete, and two others. */
void oracle_check_backups(struct oracle *oracle)
{
	char file[512];
	int64_t lsn;
	size_t count = oracle->ledger->backup_count;
	if (!oracle->plan->backups)
		return;
	size_t picked = count > 0 ? proof_below(&oracle->random, (uint32_t)count) : 0;
	for (size_t i = 0; i < count; i++) {
		const struct ledger_backup *backup = &oracle->ledger->backups[i];
		snprintf(file, sizeof(file), "%s/%s", oracle->plan->backups, backup->file);
		if (look_at(oracle, backup, file, &lsn) && (backup->lsn == 0 || i == picked || i + 1 == count))
			restore(oracle, backup, file, lsn);
	}
	ledger_forget_backups(oracle->ledger);
	empty(oracle->plan->backups);
}
