/* recovery.c - a document's state from its newest valid snapshot and every later event.
 *
 * The ladder: the newest snapshot is read once; one that is damaged, builds on one that is, or is stale (it needs a
 * step type or a state field that is not here in that version) is passed over for the next older one, and the oldest for
 * nothing. What a lower rung lacks shows in the chain: each event names the LSN of the document's
 * event before it, which must be the state's. How much may be replayed for that is limited.
 *
 * Where the events are gone, or are too many, a stale snapshot is better than none: its document is as good as ever.
 * So then the ladder is climbed again, the stacks lose what cannot be read, and such fields begin anew.
 *
 * Invariants
 * 1. Events are applied in LSN order, each to the state of its prev_lsn; a gap, at the beginning, inside or at
 *    the end, is MF_ERR_CORRUPTED with document and LSN.
 * 2. At most one page of events is in memory.
 * 3. Nothing is written; a read error is an error, never "no snapshot".
 *
 * Compaction may delete, between two pages, the events that a replay from an old snapshot still wants. That looks
 * like a break, and is none when begun anew from the snapshot that compaction kept; so a break is believed only
 * when it shows ATTEMPTS times from the same snapshot, or OUTRUN times beside a writer that is faster each time. */
#include "persist/recovery.h"

#include <stdio.h>
#include <string.h>

#include "model/field.h"
#include "model/transaction.h"
#include "persist/env.h"
#include "persist/record.h"
#include "persist/snapshot_codec.h"
#include <moduforge/field.h>

#define OVERTAKEN 8
#define ATTEMPTS 3
#define OUTRUN 30
#define DEFAULT_BATCH 1000
#define DEFAULT_HISTORY 1000
#define DEFAULT_FALLBACK 1000000

struct replay {
	struct mf_store *store;
	const char *doc_id;
	const struct mf_step_registry *registry;
	const struct mf_replay_options *options;
	struct mf_state *state;
	struct mf_replay_report report;
	int64_t newest_damaged; /* LSN of the newest snapshot that was passed over */
	bool broken;            /* the chain broke */
	bool too_much;          /* more than fallback_max_events */
	bool take_stale;        /* the second climb */
};

/* ---- the ladder ---- */

struct newest {
	int64_t at_most, lsn;
};

static bool note_newest(void *user, const struct mf_snapshot_info *info)
{
	struct newest *newest = user;
	if (info->upto_lsn <= newest->at_most && info->upto_lsn > newest->lsn)
		newest->lsn = info->upto_lsn;
	return true;
}

enum mf_status mf_newest_snapshot_lsn(struct mf_store *store, const char *doc_id, int64_t at_most, int64_t *out_lsn, struct mf_error *error)
{
	struct newest newest = {.at_most = at_most};
	enum mf_status status = store->ops->snapshots(store, doc_id, note_newest, &newest, error);
	if (status == MF_OK)
		*out_lsn = newest.lsn;
	return status;
}

struct rung {
	int64_t upto; /* which snapshot it was, as far as known (else 0) */
	struct mf_snapshot_loading how;
};

static enum mf_status try_snapshot(struct replay *replay, int64_t at_most, struct rung *rung, struct mf_error *error)
{
	struct mf_snapshot snapshot = {0};
	*rung = (struct rung){.how = {
				      .stacks = {.registry = replay->registry, .history_limit = replay->options->history_limit, .drop_changed = replay->take_stale},
				      .fields = replay->take_stale ? MF_FIELDS_ANEW : MF_FIELDS_COMPLETE,
				      .passed = 1,
			      }};
	enum mf_status status = replay->store->ops->latest_snapshot(replay->store, replay->doc_id, at_most, &snapshot, error);
	if (status != MF_OK) {
		if (status == MF_ERR_CORRUPTED)
			rung->upto = rung->how.failed_lsn = error->lsn;
		return status;
	}
	rung->upto = snapshot.upto_lsn;
	status = mf_snapshot_load_with(replay->store, &snapshot, &rung->how, &replay->state, error);
	mf_snapshot_deinit(&snapshot);
	return status;
}

static bool passed_any(const struct replay *replay)
{
	return replay->report.damaged_snapshots + replay->report.stale_snapshots > 0;
}

/* The next rung is below the snapshot that is to blame: what lies between builds on it. */
static enum mf_status pass_over(struct replay *replay, int64_t *at_most, const struct rung *rung, const struct mf_error *reason, struct mf_error *error)
{
	int64_t upto = rung->upto, failed = rung->how.failed_lsn;
	if (upto <= 0 || upto > *at_most) {
		enum mf_status status = mf_newest_snapshot_lsn(replay->store, replay->doc_id, *at_most, &upto, error);
		if (status != MF_OK)
			return status;
	}
	if (!passed_any(replay)) {
		replay->report.passed_over = *reason;
		replay->newest_damaged = upto;
	}
	*(rung->how.stale ? &replay->report.stale_snapshots : &replay->report.damaged_snapshots) += (int64_t)rung->how.passed;
	*at_most = (failed > 0 && failed < upto ? failed : upto) - 1;
	return MF_OK;
}

static void use_snapshot(struct replay *replay, const struct rung *rung)
{
	struct mf_fields_note fields = mf_state_fields_note(replay->state);
	replay->report.snapshot_lsn = rung->upto;
	replay->report.fields_anew = fields.begun_anew;
	replay->report.fields_left_out = fields.dropped;
	if (!rung->how.stale)
		return;
	replay->report.stale_snapshots++;
	replay->report.dropped_entries = (int64_t)rung->how.stacks.dropped;
}

static enum mf_status find_base(struct replay *replay, struct mf_error *error)
{
	int64_t at_most = replay->options->at_lsn < replay->options->snapshot_at_most ? replay->options->at_lsn : replay->options->snapshot_at_most;
	for (int overtaken = 0; overtaken < OVERTAKEN && at_most > 0;) {
		struct mf_error reason = {0};
		struct rung taken;
		enum mf_status status = try_snapshot(replay, at_most, &taken, &reason);
		if (status == MF_OK) {
			use_snapshot(replay, &taken);
			return MF_OK;
		}
		if (status == MF_ERR_NOT_FOUND)
			break;
		overtaken += status == MF_ERR_BUSY; /* a writer was faster: there is a newer one */
		if (status == MF_ERR_BUSY)
			continue;
		if (status != MF_ERR_CORRUPTED && status != MF_ERR_UNKNOWN_STEP) {
			*error = reason;
			return status;
		}
		status = pass_over(replay, &at_most, &taken, &reason, error);
		if (status != MF_OK)
			return status;
	}
	enum mf_status status = mf_state_new_with_fields(replay->registry, replay->options->history_limit, &replay->state, error);
	return status == MF_OK ? MF_OK : mf_error_prefix(error, status, "document '%.100s'", replay->doc_id);
}

/* ---- the events ---- */

/* At lsn the replay has the state of LSN have, and needs that of LSN wanted. */
static enum mf_status broken_chain(struct replay *replay, int64_t lsn, int64_t have, int64_t wanted, struct mf_error *error)
{
	replay->broken = true;
	/* A snapshot that could not be used, and the events that could replace it are gone: its reason is the story. */
	if (passed_any(replay) && replay->report.events == 0) {
		enum mf_status status = replay->report.passed_over.status;
		mf_error_set(error, status, "%.400s; the events that could replace it are gone", replay->report.passed_over.message);
		error->lsn = replay->newest_damaged;
		return status;
	}
	if (lsn == wanted)
		mf_error_set(error, MF_ERR_CORRUPTED, "document '%.100s': its events end at LSN %lld, but there was one at LSN %lld; run verify, or restore a backup", replay->doc_id,
			     (long long)have, (long long)lsn);
	else
		mf_error_set(error, MF_ERR_CORRUPTED, "document '%.100s', LSN %lld: the event before it, LSN %lld, is missing (LSN %lld is what was found); run verify, or restore a backup",
			     replay->doc_id, (long long)lsn, (long long)wanted, (long long)have);
	error->lsn = lsn;
	error->expected = wanted;
	error->found = have;
	return MF_ERR_CORRUPTED;
}

static enum mf_status check_cost(struct replay *replay, struct mf_error *error)
{
	uint64_t limit = replay->options->fallback_max_events;
	if (!limit || replay->report.events < limit || !passed_any(replay))
		return MF_OK;
	replay->too_much = true;
	mf_error_set(error, MF_ERR_CORRUPTED, "%.300s; going back to an older one means to replay more than %llu events: raise fallback_max_events to do it, or restore a backup",
		     replay->report.passed_over.message, (unsigned long long)limit);
	error->lsn = replay->newest_damaged;
	return MF_ERR_CORRUPTED;
}

static enum mf_status apply_event(struct replay *replay, struct mf_replayer *replayer, const struct mf_event *event, struct mf_error *error)
{
	struct mf_transaction *transaction;
	struct mf_error reason;
	mf_error_clear(&reason);
	int64_t lsn = mf_replayer_lsn(replayer);
	if (event->prev_lsn != lsn || event->lsn <= lsn || strcmp(event->doc_id, replay->doc_id) != 0)
		return broken_chain(replay, event->lsn, lsn, event->prev_lsn, error);
	enum mf_status status = check_cost(replay, error);
	if (status == MF_OK)
		status = mf_event_decode_for_replay(event, replay->registry, &transaction, error);
	if (status != MF_OK)
		return status;
	status = mf_replayer_apply(replayer, transaction, event->lsn, &reason);
	mf_transaction_free(transaction);
	if (status != MF_OK) {
		status = status == MF_ERR_NO_MEMORY || status == MF_ERR_PLUGIN ? status : MF_ERR_CORRUPTED;
		mf_error_set(error, status, "document '%.100s', LSN %lld: the stored steps cannot be applied: %.300s", replay->doc_id, (long long)event->lsn, reason.message);
		error->lsn = event->lsn;
		return status;
	}
	replay->report.events++;
	replay->report.bytes += event->payload_len;
	return MF_OK;
}

static enum mf_status apply_page(struct replay *replay, const struct mf_event_list *page, bool *out_end, struct mf_error *error)
{
	struct mf_replayer *replayer;
	enum mf_status status = mf_replayer_new(replay->state, &replayer);
	if (status != MF_OK)
		return mf_error_set(error, status, "document '%.100s': no memory for a replay", replay->doc_id);
	*out_end = page->count == 0;
	for (size_t i = 0; i < page->count && !*out_end && status == MF_OK; i++) {
		*out_end = page->events[i].lsn > replay->options->at_lsn || page->events[i].lsn > replay->options->committed;
		if (!*out_end)
			status = apply_event(replay, replayer, &page->events[i], error);
	}
	if (status != MF_OK) {
		mf_replayer_free(replayer);
		return status;
	}
	mf_state_unref(replay->state);
	replay->state = mf_replayer_finish(replayer);
	return MF_OK;
}

static enum mf_status apply_events(struct replay *replay, struct mf_error *error)
{
	bool end = false;
	while (!end) {
		struct mf_event_list page = {0};
		enum mf_status status = replay->store->ops->load_since(replay->store, replay->doc_id, mf_state_lsn(replay->state), replay->options->batch, &page, error);
		if (status != MF_OK)
			return status;
		status = apply_page(replay, &page, &end, error);
		mf_event_list_deinit(&page);
		if (status == MF_ERR_UNKNOWN_STEP) {
			/* Nothing is lost by having begun: list everything that is missing, at once. */
			enum mf_status all = mf_missing_types(replay->store, replay->doc_id, replay->registry, replay->report.snapshot_lsn, replay->options->batch, error);
			return all == MF_OK ? status : all;
		}
		if (status != MF_OK)
			return status;
	}
	return MF_OK;
}

/* ---- is it all? ---- */

struct next_event {
	int64_t lsn, prev_lsn; /* lsn 0: there is none */
};

static enum mf_status find_next(const struct replay *replay, int64_t after_lsn, struct next_event *out, struct mf_error *error)
{
	struct mf_event_list list = {0};
	enum mf_status status = replay->store->ops->load_since(replay->store, replay->doc_id, after_lsn, 1, &list, error);
	if (status != MF_OK)
		return status;
	*out = list.count > 0 ? (struct next_event){list.events[0].lsn, list.events[0].prev_lsn} : (struct next_event){0};
	mf_event_list_deinit(&list);
	return MF_OK;
}

/* A state at an old LSN: the event after it follows on it. Else one between is missing, or, if there is none before it
 * either, compacted away: its snapshots go after the events, and not at all while it is interrupted. */
static enum mf_status check_old(struct replay *replay, int64_t last_lsn, struct mf_error *error)
{
	struct next_event next, first = {0};
	int64_t lsn = mf_state_lsn(replay->state);
	if (lsn == replay->options->at_lsn)
		return MF_OK;
	enum mf_status status = find_next(replay, lsn, &next, error);
	if (status != MF_OK || (next.lsn ? next.prev_lsn == lsn : last_lsn <= lsn))
		return status;
	status = find_next(replay, 0, &first, error);
	if (status != MF_OK)
		return status;
	if (first.lsn && first.lsn <= lsn)
		return broken_chain(replay, next.lsn ? next.lsn : last_lsn, lsn, next.lsn ? next.prev_lsn : last_lsn, error);
	return mf_error_set(error, MF_ERR_NOT_FOUND, "document '%.100s': the events up to LSN %lld were compacted away; its older states cannot be rebuilt any more", replay->doc_id,
			    (long long)replay->options->at_lsn);
}

static enum mf_status check_complete(struct replay *replay, int64_t last_lsn, struct mf_error *error)
{
	int64_t lsn = mf_state_lsn(replay->state);
	if (lsn < replay->newest_damaged)
		return broken_chain(replay, replay->newest_damaged, lsn, replay->newest_damaged, error);
	if (replay->options->at_lsn != INT64_MAX)
		return check_old(replay, last_lsn, error);
	if (lsn < last_lsn && last_lsn <= replay->options->committed)
		return broken_chain(replay, last_lsn, lsn, last_lsn, error);
	return MF_OK;
}

static enum mf_status run(struct replay *replay, struct mf_error *error)
{
	int64_t last_lsn = 0; /* before replaying: what comes meanwhile is not missed */
	enum mf_status status = replay->store->ops->last_lsn(replay->store, replay->doc_id, &last_lsn, error);
	if (status == MF_OK)
		status = find_base(replay, error);
	if (status == MF_OK)
		status = apply_events(replay, error);
	if (status == MF_OK)
		status = check_complete(replay, last_lsn, error);
	return status;
}

/* The state, or how it went: until it succeeds, fails otherwise than by a break, or has broken often enough. */
static enum mf_status climb(struct replay *replay, const struct replay *from, struct mf_error *error)
{
	int64_t snapshot_lsn = -1;
	for (int all = 1, same = 1;; all++, same++) {
		*replay = *from;
		enum mf_status status = run(replay, error);
		if (status == MF_OK)
			return MF_OK;
		mf_state_unref(replay->state);
		if (replay->report.snapshot_lsn != snapshot_lsn)
			same = 1;
		snapshot_lsn = replay->report.snapshot_lsn;
		if (!replay->broken || same == ATTEMPTS || all == OUTRUN)
			return status;
	}
}

enum mf_status mf_replay(struct mf_store *store, const char *doc_id, const struct mf_step_registry *registry, const struct mf_replay_options *options,
			 struct mf_state **out, struct mf_replay_report *out_report, struct mf_error *error)
{
	struct replay from = {.store = store, .doc_id = doc_id, .registry = registry, .options = options}, replay;
	struct mf_error reason = {0}, second_reason = {0}; /* everything above may write into them */
	enum mf_status status = climb(&replay, &from, &reason);
	if (status != MF_OK && (replay.broken || replay.too_much) && replay.report.stale_snapshots > 0) {
		struct mf_error passed_over = replay.report.passed_over;
		from.take_stale = true;
		status = climb(&replay, &from, &second_reason) == MF_OK ? MF_OK : status;
		replay.report.passed_over = passed_over;
	}
	if (status != MF_OK) {
		if (error)
			*error = reason;
		return status;
	}
	*out = replay.state;
	if (out_report)
		*out_report = replay.report;
	return MF_OK;
}

void mf_replay_fill_report(const struct mf_replay_report *from, const struct mf_state *state, struct mf_recovery_report *out)
{
	*out = (struct mf_recovery_report){
		.lsn = mf_state_lsn(state),
		.snapshot_lsn = from->snapshot_lsn,
		.events_replayed = (int64_t)from->events,
		.damaged_snapshots = from->damaged_snapshots,
		.stale_snapshots = from->stale_snapshots,
		.dropped_entries = from->dropped_entries,
		.fields_anew = from->fields_anew,
		.fields_left_out = from->fields_left_out,
	};
	snprintf(out->passed_over, sizeof(out->passed_over), "%.255s", from->passed_over.message);
}

enum mf_status mf_recover_state(struct mf_store *store, const char *doc_id, const struct mf_step_registry *registry, const struct mf_recovery_options *options,
				struct mf_state **out, struct mf_recovery_report *out_report, struct mf_error *error)
{
	struct mf_recovery_options given = options ? *options : (struct mf_recovery_options){0};
	if (given.at_lsn < 0)
		return mf_error_set(error, MF_ERR_INVALID, "LSN %lld: there are no negative ones", (long long)given.at_lsn);
	const struct mf_env *env = mf_env_or_default(NULL);
	int64_t begun = env->monotonic_us(env->user);
	struct mf_replay_options replay_options = {
		.batch = given.batch ? given.batch : DEFAULT_BATCH,
		.history_limit = given.history_limit ? given.history_limit : DEFAULT_HISTORY,
		.at_lsn = given.at_lsn ? given.at_lsn : INT64_MAX,
		.committed = INT64_MAX,
		.snapshot_at_most = INT64_MAX,
		.fallback_max_events = given.fallback_max_events ? given.fallback_max_events : DEFAULT_FALLBACK,
	};
	struct mf_replay_report report;
	struct mf_digest digest = {{0}};
	struct mf_state *state;
	enum mf_status status = mf_replay(store, doc_id, registry, &replay_options, &state, &report, error);
	if (status != MF_OK)
		return status;
	if (given.want_digest)
		mf_digest_of_doc(mf_state_doc(state), &digest);
	if (out_report) {
		mf_replay_fill_report(&report, state, out_report);
		out_report->elapsed_us = env->monotonic_us(env->user) - begun;
		out_report->digest = digest;
	}
	*out = state;
	return MF_OK;
}
