/* follower_begin.c - where a follower begins, and whether the store still has what it has seen.
 *
 * A place is (epoch, LSN): "I have seen every event up to LSN that the store had in epoch". An opening newer than
 * epoch that began at or before LSN shows that a crash took the rest, and that its numbers were given again: then the place
 * is set back to the last event before that opening, so that nothing new is taken for something seen. */
#include <stdio.h>
#include <string.h>

#include "bus/follower.h"
#include "model/mem.h"

struct place {
	int64_t epoch, lsn; /* epoch 0: not known */
	bool saved;         /* it is a checkpoint that is in the store already */
	bool lasting;       /* it is behind the end of an epoch that is over: so it will be found after a restart too */
};

static void tell_damaged(struct mf_follow *follow, const struct mf_error *error)
{
	char sentence[MF_ERROR_MESSAGE_SIZE];
	snprintf(sentence, sizeof(sentence), "it is given everything again, because its checkpoint cannot be read: %.300s", error->message);
	mf_follow_report(follow, MF_LOG_ERROR, sentence);
}

static enum mf_status own_place(struct mf_follow *follow, struct place *out, struct mf_error *error)
{
	enum mf_status status = mf_follow_ask_place(follow, &out->epoch, &out->lsn, error);
	if (status != MF_OK)
		return status;
	if (out->lsn < 0 || out->epoch < 0)
		return mf_error_set(error, MF_ERR_INVALID, "it gave LSN %lld of epoch %lld as its place", (long long)out->lsn, (long long)out->epoch);
	return MF_OK;
}

static enum mf_status find_place(struct mf_follow *follow, const struct mf_event_source *source, struct place *out, struct mf_error *error)
{
	const struct mf_follow_options *options = &follow->options;
	struct mf_error why = {0};
	enum mf_status status = MF_ERR_NOT_FOUND;
	if (options->keep_checkpoint)
		status = source->load_checkpoint(source->user, follow->name, &out->epoch, &out->lsn, &why);
	if (status == MF_OK || status == MF_ERR_CORRUPTED) {
		out->saved = status == MF_OK;
		if (status == MF_ERR_CORRUPTED)
			tell_damaged(follow, &why);
		return MF_OK;
	}
	if (status != MF_ERR_NOT_FOUND) {
		*error = why;
		return status;
	}
	if (options->from == MF_FOLLOW_FROM_NOW)
		*out = (struct place){.epoch = source->epoch(source->user), .lsn = follow->newest};
	if (options->from == MF_FOLLOW_FROM_PLACE)
		*out = (struct place){.epoch = options->start_epoch, .lsn = options->start_lsn};
	return MF_OK;
}

/* What it can have seen: a state that it has just read may be of an event that is committed and not yet published. */
static int64_t newest_seen(const struct mf_follow *follow, const struct mf_event_source *source)
{
	int64_t now = follow->options.place ? source->committed_lsn(source->user) : 0; /* place was asked just now */
	return now > follow->stored ? now : follow->stored;
}

/* The LSN up to which what it has seen is still what the store has. */
static enum mf_status still_true(const struct mf_follow *follow, const struct mf_event_source *source, struct place *place, int64_t *out_lsn, struct mf_error *error)
{
	int64_t now = source->epoch(source->user), end = INT64_MAX;
	enum mf_status status = MF_OK;
	if (place->epoch > 0) /* an epoch that the store does not know yet: at most what there was when it was opened */
		status = source->epoch_end(source->user, place->epoch > now ? now - 1 : place->epoch, &end, error);
	if (status != MF_OK)
		return status;
	int64_t newest = newest_seen(follow, source);
	place->lasting = place->epoch <= now && end < place->lsn;
	if (place->lsn <= end && place->lsn <= newest)
		*out_lsn = place->lsn;
	else /* what it has not seen begins with what was not published yet when it came */
		*out_lsn = end < follow->newest ? end : follow->newest;
	return MF_OK;
}

static enum mf_status set_back(struct mf_follow *follow, const struct place *place, int64_t lsn, char **out_notice, struct mf_error *error)
{
	char sentence[MF_ERROR_MESSAGE_SIZE];
	snprintf(sentence, sizeof(sentence), "it had seen LSN %lld of epoch %lld, but of that the store has kept what is up to LSN %lld only: set back to there", (long long)place->lsn,
		 (long long)place->epoch, (long long)lsn);
	if (follow->options.topics & MF_NOTICE_SET_BACK) {
		*out_notice = mf_strdup(sentence);
		if (!*out_notice)
			return mf_error_set(error, MF_ERR_NO_MEMORY, "no memory to begin");
	}
	mf_follow_report(follow, MF_LOG_WARNING, sentence);
	return MF_OK;
}

static void begin_at(struct mf_follow *follow, const struct place *place, int64_t lsn, int64_t epoch, char *notice)
{
	bool set_back = lsn < place->lsn;
	follow->lsn = follow->settled_lsn = lsn;
	follow->epoch = set_back || place->epoch == 0 ? epoch : place->epoch;
	follow->notice = notice;
	follow->lasting = place->lasting;
	follow->set_back_from = lsn + 1;
	if (follow->options.keep_checkpoint) {
		follow->checkpoint_lsn = lsn;
		follow->unsaved = place->saved && !set_back ? 0 : 1;
		follow->save_at_us = follow->unsaved ? mf_now_us() : 0;
	}
	follow->begun = true;
}

static enum mf_status begin(struct mf_follow *follow, const struct mf_event_source *source, struct place *place, struct mf_error *error)
{
	char *notice = NULL;
	int64_t lsn = 0;
	enum mf_status status = follow->options.place ? MF_OK : find_place(follow, source, place, error);
	if (status == MF_OK)
		status = still_true(follow, source, place, &lsn, error);
	if (status == MF_OK && lsn < place->lsn)
		status = set_back(follow, place, lsn, &notice, error);
	if (status == MF_OK)
		begin_at(follow, place, lsn, source->epoch(source->user), notice);
	return status;
}

enum mf_status mf_follow_begin(struct mf_follow *follow, struct mf_error *error)
{
	struct place place = {0};
	if (follow->options.place) { /* outside the source: it is not our code */
		enum mf_status status = own_place(follow, &place, error);
		if (status != MF_OK)
			return status;
	}
	const struct mf_event_source *source = mf_feed_enter(follow->feed);
	if (!source)
		return MF_OK; /* not begun */
	enum mf_status status = begin(follow, source, &place, error);
	mf_feed_leave(follow->feed);
	return status;
}
