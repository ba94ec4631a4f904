/* oracle.c - opens the store as an application would, asks everything, closes it, and does it again. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <zlib.h>

#include "oracle_parts.h"
#include "workload.h"

void oracle_broken(struct oracle *oracle, const char *format, ...)
{
	struct oracle_report *report = oracle->report;
	size_t used = strlen(report->text);
	va_list args;
	report->verdict = ORACLE_BROKEN;
	if (report->findings++ >= 16)
		return; /* these say enough */
	va_start(args, format);
	vsnprintf(report->text + used, sizeof(report->text) - used, format, args);
	va_end(args);
	used = strlen(report->text);
	snprintf(report->text + used, sizeof(report->text) - used, "\n");
}

bool oracle_refused(struct oracle *oracle, const char *where, enum mf_status status, const struct mf_error *error)
{
	struct oracle_report *report = oracle->report;
	size_t used = strlen(report->text);
	if (report->verdict == ORACLE_SOUND) {
		report->verdict = ORACLE_REFUSED;
		report->status = status;
		report->lsn = error ? error->lsn : 0;
	}
	report->findings++;
	snprintf(report->text + used, sizeof(report->text) - used, "%s: %s: %s\n", where, mf_status_name(status), error ? error->message : "");
	return false;
}

bool proof_write_config(const char *path, const char *dir, const char *options)
{
	FILE *file = fopen(path, "w");
	if (!file)
		return false;
	fprintf(file,
		"{\"plugin_dirs\": [\"%s/plugins\", \"%s/stepfactories\"], \"plugins\": [{\"name\": \"node_steps\"}, {\"name\": \"text_steps\"},\n"
		"{\"name\": \"snapshot_subscriber\", \"config\": {\"store\": {\"dir\": \"%s\"}%s}}]}\n",
		MF_TEST_BUILD, MF_TEST_BUILD, dir, options ? options : "");
	return fclose(file) == 0;
}

struct oracle_doc *oracle_doc(struct oracle *oracle, const char *id)
{
	for (size_t i = 0; i < oracle->doc_count; i++)
		if (strcmp(oracle->docs[i].id, id) == 0)
			return &oracle->docs[i];
	if (oracle->doc_count == ORACLE_DOCS)
		return NULL;
	struct oracle_doc *doc = &oracle->docs[oracle->doc_count++];
	snprintf(doc->id, sizeof(doc->id), "%s", id);
	return doc;
}

/* ---- before the opening ---- */

static bool is_in_memory(const struct oracle *oracle, const struct ledger_item *item)
{
	return oracle->ledger->lives[item->life].mode == MF_COMMIT_MEMORY_ONLY;
}

bool oracle_is_promised(const struct oracle *oracle, const struct ledger_item *item)
{
	if (is_in_memory(oracle, item))
		return false;
	if (oracle->plan->crash == ORACLE_COPIED)
		return item->lsn > 0 && item->lsn <= oracle->watermark;
	if (item->level == LEDGER_SYNCED)
		return true;
	if (item->level != LEDGER_WRITTEN)
		return false;
	return oracle->plan->crash == ORACLE_KILLED || item->lsn <= oracle->ledger->synced_lsn;
}

/* What is left of a life in memory is nothing. */
static void forget_memory(struct oracle *oracle)
{
	for (size_t i = 0; i < oracle->ledger->count; i++)
		if (is_in_memory(oracle, &oracle->ledger->items[i]) && oracle->ledger->items[i].level != LEDGER_REPLACED)
			oracle->ledger->items[i].level = LEDGER_LOST;
}

/* LSN of the watermark, read without the library; -1: there is none, or it is not whole. */
static int64_t watermark_of(const char *dir)
{
	char path[512];
	unsigned char bytes[32];
	snprintf(path, sizeof(path), "%s/watermark", dir);
	FILE *file = fopen(path, "r");
	if (!file)
		return -1;
	size_t got = fread(bytes, 1, sizeof(bytes), file);
	fclose(file);
	if (got != sizeof(bytes) || memcmp(bytes, "MFWM", 4) != 0)
		return -1;
	uint64_t crc = 0, lsn = 0;
	for (size_t i = 4; i-- > 0;)
		crc = crc << 8 | bytes[4 + i];
	for (size_t i = 8; i-- > 0;)
		lsn = lsn << 8 | bytes[8 + i];
	return crc == crc32(0, bytes + 8, 24) ? (int64_t)lsn : -1;
}

static bool has_store(const char *dir)
{
	char path[512];
	struct stat about;
	snprintf(path, sizeof(path), "%s/store.db", dir);
	return stat(path, &about) == 0;
}

/* ---- opening ---- */

static bool open_store(struct oracle *oracle, const char *mode, bool read_only)
{
	struct mf_error error = {0};
	struct mf_runtime_options options = {.config_path = oracle->plan->config, .data_dir = oracle->plan->dir, .mode = mode, .read_only = read_only};
	enum mf_status status = mf_runtime_open(&options, &oracle->runtime, &error);
	if (status != MF_OK) {
		oracle->runtime = NULL;
		return oracle_refused(oracle, read_only ? "opened to read" : "opened", status, &error);
	}
	oracle->store = mf_runtime_store(oracle->runtime);
	status = mf_store_stats(oracle->store, &oracle->stats, &error);
	return status == MF_OK || oracle_refused(oracle, "stats", status, &error);
}

static bool close_store(struct oracle *oracle)
{
	struct mf_error error = {0};
	enum mf_status status = mf_runtime_close(oracle->runtime, 10000, &error);
	oracle->runtime = NULL;
	return status == MF_OK || oracle_refused(oracle, "closed", status, &error);
}

static void say_opened(struct oracle *oracle)
{
	struct ledger_out out = {ledger_line_to_ledger, oracle->ledger};
	ledger_say_opened(&out, MF_COMMIT_SYNC_DURABLE, oracle->stats.epoch, oracle->stats.last_lsn);
}

/* A power loss may take the sector that was being written over, and the watermark is written over without a sync: that it does
 * not fit its CRC is a warning (contract 2.13), which verify passes on. That it is missing is none: a new one is synced. */
static bool is_warning(const struct oracle *oracle, const struct mf_damage *damage)
{
	return oracle->plan->crash == ORACLE_POWER_LOST && strcmp(damage->what, "watermark") == 0 && strncmp(damage->message, "the watermark is damaged", 24) == 0;
}

static void note_damage(void *user, const struct mf_damage *damage)
{
	struct oracle *oracle = user;
	if (is_warning(oracle, damage)) {
		oracle->report->warnings++;
		return;
	}
	char where[128];
	struct mf_error error = {.lsn = damage->lsn};
	snprintf(where, sizeof(where), "verify: %s, document %s, LSN %" PRId64, damage->what, damage->doc_id ? damage->doc_id : "-", damage->lsn);
	snprintf(error.message, sizeof(error.message), "%s", damage->message);
	if (oracle->report->findings < 16)
		(void)oracle_refused(oracle, where, MF_ERR_CORRUPTED, &error);
}

static bool verify(struct oracle *oracle)
{
	struct mf_error error = {0};
	if (oracle->plan->leave & ORACLE_LEAVE_VERIFY)
		return true;
	enum mf_status status = mf_store_verify(oracle->store, note_damage, oracle, &error);
	if (status == MF_ERR_CORRUPTED && oracle->report->warnings > 0 && oracle->report->findings == 0)
		return true; /* the warning was all */
	return status == MF_OK || oracle_refused(oracle, "verify", status, &error);
}

/* ---- the passes ---- */

static bool first_opening(struct oracle *oracle)
{
	if (!open_store(oracle, "sync", false))
		return false;
	oracle->report->last_lsn = oracle->stats.last_lsn;
	if (oracle->watermark > oracle->stats.last_lsn)
		oracle_broken(oracle, "the watermark says %" PRId64 ", recovered were %" PRId64 ", and nobody said so", oracle->watermark, oracle->stats.last_lsn);
	if (!verify(oracle) || !oracle_read_events(oracle))
		return false;
	oracle_check_items(oracle);
	say_opened(oracle);
	if (!oracle_check_states(oracle) || !oracle_check_followers(oracle))
		return false;
	oracle_check_backups(oracle);
	if (oracle->plan->leave & ORACLE_LEAVE_APPEND)
		return true;
	return oracle_try_duplicates(oracle) && oracle_try_append(oracle);
}

static bool second_opening(struct oracle *oracle)
{
	int64_t last_lsn = oracle->stats.last_lsn;
	bool read_only = proof_below(&oracle->random, 2) == 0;
	if (!open_store(oracle, "async:5", read_only))
		return false;
	if (!read_only)
		say_opened(oracle);
	if (oracle->stats.last_lsn != last_lsn)
		oracle_broken(oracle, "recovered a second time it has %" PRId64 " events, and had %" PRId64, oracle->stats.last_lsn, last_lsn);
	return oracle_same_states(oracle);
}

/* In mode memory nothing was kept: LSNs begin anew. */
static bool memory_begins_anew(struct oracle *oracle)
{
	struct mf_state *state;
	struct mf_error error = {0};
	if (!open_store(oracle, "memory", false))
		return false;
	if (oracle->stats.last_lsn != 0)
		oracle_broken(oracle, "in mode memory it begins with LSN %" PRId64, oracle->stats.last_lsn);
	for (size_t i = 0; i < oracle->ledger->count && i < 8; i++) {
		enum mf_status status = mf_runtime_state(oracle->runtime, oracle->ledger->items[i].doc, &state, &error);
		if (status != MF_OK)
			return oracle_refused(oracle, "state in memory", status, &error);
		if (mf_state_lsn(state) != 0)
			oracle_broken(oracle, "in mode memory document %s begins at LSN %" PRId64, oracle->ledger->items[i].doc, mf_state_lsn(state));
		mf_state_unref(state);
	}
	return close_store(oracle);
}

/* What was found is there for good, what was not is lost for good. */
static void settle(struct oracle *oracle)
{
	ledger_settle(oracle->ledger, oracle->report->last_lsn, oracle->stats.last_lsn);
}

static bool check(struct oracle *oracle)
{
	const char *dir = oracle->plan->dir;
	oracle->watermark = watermark_of(dir);
	bool in_memory = oracle->ledger->life_count > 0 && oracle->ledger->lives[oracle->ledger->life_count - 1].mode == MF_COMMIT_MEMORY_ONLY;
	if (oracle->ledger->wrong[0])
		oracle_broken(oracle, "the run: %s", oracle->ledger->wrong);
	forget_memory(oracle);
	if (in_memory && !memory_begins_anew(oracle))
		return false;
	if (!oracle->ledger->durable && oracle->ledger->life_count > 0) {
		if (has_store(dir))
			oracle_broken(oracle, "mode memory has left a database");
		settle(oracle);
		return true;
	}
	if (!first_opening(oracle) || !close_store(oracle))
		return false;
	if (!(oracle->plan->leave & ORACLE_LEAVE_SECOND) && (!second_opening(oracle) || !close_store(oracle)))
		return false;
	settle(oracle);
	return true;
}

bool oracle_check(const struct oracle_plan *plan, struct ledger *ledger, struct oracle_report *report)
{
	struct oracle oracle = {.plan = plan, .ledger = ledger, .report = report, .random = plan->seed};
	*report = (struct oracle_report){.verdict = ORACLE_SOUND};
	for (size_t i = 0; i < ledger->count; i++)
		ledger->items[i].found = 0;
	(void)check(&oracle);
	if (oracle.runtime)
		(void)mf_runtime_close(oracle.runtime, 10000, NULL);
	free(oracle.by_lsn);
	free(oracle.is_event);
	return report->verdict == ORACLE_SOUND;
}

bool oracle_is_fine(enum oracle_crash crash, const struct oracle_report *report)
{
	return report->verdict == ORACLE_SOUND || (crash == ORACLE_COPIED && report->verdict == ORACLE_REFUSED && report->status == MF_ERR_CORRUPTED);
}
