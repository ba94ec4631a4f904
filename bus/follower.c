#include "bus/follower.h"

#include <stdio.h>
#include <string.h>

#include "bus/foreign.h"
#include "bus/publication.h"
#include "model/mem.h"
#include "model/probes.h"
#include <moduforge/value.h>

#define PAGE_EVENTS 256

/* ---- life cycle ---- */
enum mf_status mf_follow_new(struct mf_feed *feed, const struct mf_follow_options *options, mf_event_handler *handler, void *user, struct mf_follow **out, struct mf_error *error)
{
	struct mf_follow *follow = mf_calloc(1, sizeof(*follow));
	if (follow)
		follow->name = mf_strdup(options->name);
	if (!follow || !follow->name) {
		mf_free(follow);
		return mf_error_set(error, MF_ERR_NO_MEMORY, "no memory for follower '%.200s'", options->name);
	}
	mf_cond_init(&follow->wake);
	follow->feed = feed;
	follow->options = *options;
	follow->options.name = follow->name;
	follow->handler = handler;
	follow->user = user;
	follow->refs = 1;
	follow->state = MF_FOLLOWER_WAITING;
	follow->checkpoint_lsn = -1;
	*out = follow;
	return MF_OK;
}

static void drop_at_hand(struct mf_follow *follow)
{
	if (follow->free_page)
		follow->free_page(&follow->page);
	follow->free_page = NULL;
	mf_event_batch_release(&follow->batch);
	follow->at_hand = follow->next_at_hand = 0;
}

/* NULL: nothing more is at hand. */
static const struct mf_event *event_at_hand(const struct mf_follow *follow, size_t ahead)
{
	size_t at = follow->next_at_hand + ahead;
	if (at >= follow->at_hand)
		return NULL;
	return follow->batch.count > 0 ? &follow->batch.copies[at]->event : &follow->page.events[at];
}

void mf_follow_unref(struct mf_follow *follow)
{
	if (--follow->refs > 0)
		return;
	drop_at_hand(follow);
	mf_cond_destroy(&follow->wake);
	mf_free(follow->notice);
	mf_free(follow->name);
	mf_free(follow);
}

/* ---- queries ---- */
static bool owes_notice(const struct mf_follow *follow)
{
	return follow->notice && follow->lasting;
}

/* When its checkpoint is to be saved: INT64_MAX: not now. */
static int64_t save_at(const struct mf_follow *follow)
{
	return follow->save_at_us > 0 && !follow->gathering && !owes_notice(follow) ? follow->save_at_us : INT64_MAX;
}

bool mf_follow_ready(const struct mf_follow *follow, int64_t now_us)
{
	if (follow->stop)
		return !follow->ended;
	if (!follow->feed->source)
		return false;
	if (save_at(follow) <= now_us)
		return true;
	if (now_us < follow->retry_at_us)
		return false;
	return !follow->begun || follow->notice || follow->lsn < mf_feed_visible(follow->feed, follow->options.synced_only);
}

int64_t mf_follow_due(const struct mf_follow *follow)
{
	if (!follow->feed->source)
		return INT64_MAX;
	int64_t due = save_at(follow);
	return follow->retry_at_us > 0 && follow->retry_at_us < due ? follow->retry_at_us : due;
}

bool mf_follow_has_seen(const struct mf_follow *follow, int64_t lsn)
{
	int64_t visible = mf_feed_visible(follow->feed, follow->options.synced_only);
	if (follow->options.on == MF_FOLLOW_ON_LOOP || follow->stop || follow->retry_at_us > 0 || !follow->feed->source)
		return true;
	return follow->begun && follow->lsn >= (lsn < visible ? lsn : visible);
}

int64_t mf_follow_needs_above(const struct mf_follow *follow)
{
	if (follow->stop)
		return INT64_MAX;
	if (!follow->begun) /* only one that begins now is known to need nothing older */
		return follow->options.from == MF_FOLLOW_FROM_NOW && !follow->options.keep_checkpoint && !follow->options.place ? follow->newest : 0;
	return follow->options.keep_checkpoint ? follow->checkpoint_lsn : follow->settled_lsn;
}

/* Before it has begun: all that it may have to be given. */
static int64_t lag_of(const struct mf_follow *follow)
{
	const struct mf_follow_options *options = &follow->options;
	int64_t from = 0;
	if (follow->begun)
		from = follow->lsn;
	else if (!options->keep_checkpoint && !options->place) /* else it may lie anywhere */
		from = options->from == MF_FOLLOW_FROM_NOW ? follow->newest : options->from == MF_FOLLOW_FROM_PLACE ? options->start_lsn
														    : 0;
	return from < follow->feed->published ? follow->feed->published - from : 0;
}

void mf_follow_info(const struct mf_follow *follow, struct mf_subscriber_info *out, char last_error[MF_ERROR_MESSAGE_SIZE])
{
	memcpy(last_error, follow->last_error, MF_ERROR_MESSAGE_SIZE);
	*out = (struct mf_subscriber_info){
		.id = follow->id,
		.name = follow->name,
		.topics = follow->options.topics,
		.delivered = follow->delivered,
		.failures = follow->failures,
		.last_lsn = follow->lsn,
		.state = follow->state,
		.lag = lag_of(follow),
		.checkpoint_lsn = follow->checkpoint_lsn,
		.last_error = last_error,
		.on_loop = follow->options.on == MF_FOLLOW_ON_LOOP,
	};
}

/* ---- what goes wrong ---- */
void mf_follow_report(struct mf_follow *follow, enum mf_log_level level, const char *sentence)
{
	pthread_mutex_lock(&follow->feed->mutex);
	snprintf(follow->last_error, sizeof(follow->last_error), "%s", sentence);
	pthread_mutex_unlock(&follow->feed->mutex);
	mf_logf(&follow->feed->logger, level, "follower '%.100s': %s", follow->name, sentence);
}

static void give_up(struct mf_follow *follow, const char *sentence)
{
	mf_follow_report(follow, MF_LOG_ERROR, sentence);
	pthread_mutex_lock(&follow->feed->mutex);
	follow->stop = true;
	mf_feed_tell(follow->feed);
	pthread_mutex_unlock(&follow->feed->mutex);
}

static int64_t delay_us(const struct mf_follow *follow)
{
	int64_t ms = follow->options.retry_ms;
	for (unsigned i = 1; i < follow->failed_in_row && ms < follow->options.retry_max_ms; i++)
		ms *= 2;
	return (ms < follow->options.retry_max_ms ? ms : follow->options.retry_max_ms) * 1000;
}

/* The event, or what else failed, is tried again. */
static enum mf_follow_result failed(struct mf_follow *follow, const struct mf_error *error)
{
	if (follow->stop)
		return MF_FOLLOW_ENDED;
	follow->failed_in_row++;
	if (follow->options.give_up_after > 0 && follow->failed_in_row >= follow->options.give_up_after) {
		char sentence[MF_ERROR_MESSAGE_SIZE];
		snprintf(sentence, sizeof(sentence), "gives up after %u failures in a row: %.400s", follow->failed_in_row, error->message);
		give_up(follow, sentence);
		return MF_FOLLOW_ENDED;
	}
	if (follow->failed_in_row == 1)
		mf_follow_report(follow, MF_LOG_WARNING, error->message);
	pthread_mutex_lock(&follow->feed->mutex);
	snprintf(follow->last_error, sizeof(follow->last_error), "%s", error->message);
	follow->state = MF_FOLLOWER_RETRYING;
	follow->retry_at_us = mf_now_us() + delay_us(follow);
	mf_feed_tell(follow->feed);
	pthread_mutex_unlock(&follow->feed->mutex);
	return MF_FOLLOW_NOTHING;
}

static void succeeded(struct mf_follow *follow)
{
	if (follow->failed_in_row == 0)
		return;
	if (!follow->stop) /* who stopped it may have closed the logger too */
		mf_logf(&follow->feed->logger, MF_LOG_INFO, "follower '%.100s': goes on after %u failures", follow->name, follow->failed_in_row);
	follow->failed_in_row = 0;
	pthread_mutex_lock(&follow->feed->mutex);
	follow->retry_at_us = 0;
	follow->state = MF_FOLLOWER_CATCHING_UP;
	follow->last_error[0] = '\0';
	pthread_mutex_unlock(&follow->feed->mutex);
}

/* ---- checkpoints ---- */
static void note_saved(struct mf_follow *follow)
{
	if (follow->save_failed && !follow->stop)
		mf_logf(&follow->feed->logger, MF_LOG_INFO, "follower '%.100s': its checkpoint is saved again", follow->name);
	follow->checkpoint_lsn = follow->settled_lsn;
	follow->save_failed = false;
	follow->unsaved = 0;
	follow->save_at_us = 0;
}

/* Not tried again before its time, and told once until it succeeds. */
static void note_not_saved(struct mf_follow *follow, const struct mf_error *error)
{
	char sentence[MF_ERROR_MESSAGE_SIZE];
	uint32_t ms = follow->options.checkpoint_ms > follow->options.retry_ms ? follow->options.checkpoint_ms : follow->options.retry_ms;
	follow->save_at_us = mf_now_us() + (int64_t)ms * 1000;
	if (follow->save_failed)
		return;
	follow->save_failed = true;
	snprintf(sentence, sizeof(sentence), "its checkpoint could not be saved, so it would begin again after LSN %lld: %.300s", (long long)follow->checkpoint_lsn, error->message);
	mf_follow_report(follow, MF_LOG_WARNING, sentence);
}

void mf_follow_save(struct mf_follow *follow)
{
	if (!follow->options.keep_checkpoint || follow->unsaved == 0 || owes_notice(follow))
		return;
	const struct mf_event_source *source = mf_feed_enter(follow->feed);
	if (!source)
		return;
	struct mf_error error = {0};
	enum mf_status status = source->save_checkpoint(source->user, follow->name, follow->epoch, follow->settled_lsn, &error);
	mf_feed_leave(follow->feed);
	if (status == MF_OK)
		note_saved(follow);
	else
		note_not_saved(follow, &error);
}

static bool save_is_due(const struct mf_follow *follow)
{
	bool many = follow->unsaved >= follow->options.checkpoint_events && !follow->save_failed;
	return save_at(follow) != INT64_MAX && (many || save_at(follow) <= mf_now_us());
}

/* ---- calling ---- */
static _Thread_local struct mf_follow *inside;

bool mf_follow_inside(const struct mf_feed *feed)
{
	const struct mf_follow *follow = inside;
	while (follow && follow->feed != feed)
		follow = follow->outer;
	return follow;
}

static void call_begin(struct mf_follow *follow)
{
	follow->outer = inside;
	inside = follow;
}

static void call_end(const struct mf_follow *follow)
{
	inside = follow->outer;
}

enum mf_status mf_follow_ask_place(struct mf_follow *follow, int64_t *out_epoch, int64_t *out_lsn, struct mf_error *error)
{
	struct mf_error given = {0};
	call_begin(follow);
	enum mf_status status = follow->options.place(follow->user, out_epoch, out_lsn, &given);
	call_end(follow);
	return status == MF_OK ? MF_OK : mf_foreign_failure(error, status, &given, "its place");
}

enum mf_status mf_follow_call(struct mf_follow *follow, const struct mf_publication *publication, struct mf_error *error)
{
	struct mf_error given = {0};
	if (follow->stop)
		return mf_error_set(error, MF_ERR_STATE, "it was stopped");
	call_begin(follow);
	enum mf_status status = follow->handler(follow->user, publication, &given);
	MF_PROBE3(plugin_call, follow->name, "follower", (int)status);
	call_end(follow);
	follow->delivered++;
	follow->failures += status != MF_OK;
	return status == MF_OK ? MF_OK : mf_foreign_failure(error, status, &given, "its handler");
}

static void advance(struct mf_follow *follow, int64_t lsn, int64_t epoch)
{
	succeeded(follow);
	follow->lsn = lsn;
	if (!follow->gathering) {
		follow->epoch = epoch;
		follow->settled_lsn = lsn;
	}
	follow->unsaved++;
	if (follow->save_at_us == 0 && follow->options.keep_checkpoint)
		follow->save_at_us = mf_now_us() + (int64_t)follow->options.checkpoint_ms * 1000;
	mf_feed_tell_if_waited(follow->feed);
	if (save_is_due(follow))
		mf_follow_save(follow);
}

static enum mf_status decode(const struct mf_follow *follow, const struct mf_event *event, struct mf_transaction **out, struct mf_error *error)
{
	const struct mf_event_source *source = mf_feed_enter(follow->feed);
	if (!source)
		return mf_error_set(error, MF_ERR_STATE, "the store was closed");
	enum mf_status status = source->decode(source->user, event, out, error);
	mf_feed_leave(follow->feed);
	return status;
}

static bool another_follows(const struct mf_follow *follow)
{
	if (!follow->options.gathers)
		return false;
	const struct mf_event *present = event_at_hand(follow, 0), *next = event_at_hand(follow, 1);
	return next && next->lsn == present->lsn + 1 && (follow->options.topics & (uint32_t)mf_topic_of_action(next->action));
}

static enum mf_status deliver_event(struct mf_follow *follow, const struct mf_event *event, bool is_last, struct mf_error *error)
{
	struct mf_transaction *transaction = NULL;
	struct mf_error why = {0};
	struct mf_publication publication = {
		.topic = mf_topic_of_action(event->action),
		.doc_id = event->doc_id,
		.lsn = event->lsn,
		.epoch = event->epoch,
		.ts_us = event->ts_us,
		.event = event,
		.more = !is_last && another_follows(follow),
	};
	if (!follow->options.undecoded) {
		publication.status = decode(follow, event, &transaction, &why);
		if (publication.status == MF_ERR_NO_MEMORY || publication.status == MF_ERR_STATE)
			return mf_error_set(error, publication.status, "LSN %lld could not be decoded: %.300s", (long long)event->lsn, why.message);
		publication.message = publication.status == MF_OK ? NULL : why.message;
		publication.transaction = transaction;
	}
	enum mf_status status = mf_follow_call(follow, &publication, error);
	follow->gathering = publication.more;
	mf_transaction_free(transaction);
	return status;
}

/* ---- gaps ---- */
static enum mf_follow_result tell_gap(struct mf_follow *follow, int64_t upto, int64_t epoch)
{
	char sentence[MF_ERROR_MESSAGE_SIZE];
	struct mf_error error = {0};
	snprintf(sentence, sizeof(sentence),
		 "the events with LSN %lld to %lld are not in the store any more, because their documents were compacted or their loss accepted; take the documents' states, and follow on from there",
		 (long long)follow->lsn + 1, (long long)upto);
	if (!(follow->options.topics & MF_NOTICE_GAP)) {
		give_up(follow, sentence);
		return MF_FOLLOW_ENDED;
	}
	const struct mf_publication notice = {
		.topic = MF_NOTICE_GAP,
		.from_lsn = follow->lsn + 1,
		.lsn = upto,
		.epoch = epoch,
		.status = MF_ERR_NOT_FOUND,
		.message = sentence,
	};
	if (mf_follow_call(follow, &notice, &error) != MF_OK)
		return failed(follow, &error);
	advance(follow, upto, epoch);
	return MF_FOLLOW_MOVED;
}

static enum mf_follow_result tell_set_back(struct mf_follow *follow)
{
	struct mf_error error = {0};
	const struct mf_publication notice = {
		.topic = MF_NOTICE_SET_BACK,
		.from_lsn = follow->set_back_from,
		.lsn = follow->lsn,
		.epoch = follow->epoch,
		.status = MF_ERR_NOT_FOUND,
		.message = follow->notice,
	};
	if (mf_follow_call(follow, &notice, &error) != MF_OK)
		return failed(follow, &error);
	succeeded(follow);
	mf_free(follow->notice);
	follow->notice = NULL;
	mf_follow_save(follow);
	return MF_FOLLOW_MOVED;
}

/* ---- fetching ---- */
static void set_state(struct mf_follow *follow, enum mf_follower_state state)
{
	if (follow->failed_in_row == 0)
		follow->state = state;
}

static enum mf_follow_result read_page(struct mf_follow *follow, int64_t upto)
{
	struct mf_error error = {0};
	const struct mf_event_source *source = mf_feed_enter(follow->feed);
	if (!source)
		return MF_FOLLOW_NOTHING;
	enum mf_status status = source->read(source->user, follow->lsn, PAGE_EVENTS, &follow->page, &error);
	if (status == MF_OK)
		follow->free_page = source->free_events;
	int64_t epoch = source->epoch(source->user);
	mf_feed_leave(follow->feed);
	if (status != MF_OK)
		return failed(follow, &error);
	follow->at_hand = follow->page.count;
	while (follow->at_hand > 0 && follow->page.events[follow->at_hand - 1].lsn > upto)
		follow->at_hand--;
	return follow->at_hand > 0 ? MF_FOLLOW_MOVED : tell_gap(follow, upto, epoch);
}

static enum mf_follow_result fetch(struct mf_follow *follow)
{
	struct mf_feed *feed = follow->feed;
	drop_at_hand(follow);
	pthread_mutex_lock(&feed->mutex);
	int64_t upto = mf_feed_visible(feed, follow->options.synced_only);
	bool here = follow->lsn < upto && mf_recent_take(&feed->recent, follow->lsn, upto, &follow->batch);
	bool behind = follow->lsn < upto && !here;
	set_state(follow, behind ? MF_FOLLOWER_CATCHING_UP : MF_FOLLOWER_LIVE);
	pthread_mutex_unlock(&feed->mutex);
	follow->at_hand = follow->batch.count;
	if (behind)
		return read_page(follow, upto);
	return here ? MF_FOLLOW_MOVED : MF_FOLLOW_NOTHING;
}

/* ---- a step ---- */
static enum mf_follow_result deliver(struct mf_follow *follow, size_t max_events, size_t *out_delivered)
{
	struct mf_error error = {0};
	const struct mf_event *event;
	while (*out_delivered < max_events && (event = event_at_hand(follow, 0))) {
		if (event->lsn > follow->lsn + 1)
			return tell_gap(follow, event->lsn - 1, event->epoch);
		if (follow->options.topics & (uint32_t)mf_topic_of_action(event->action)) {
			bool is_last = follow->options.on == MF_FOLLOW_ON_LOOP && *out_delivered + 1 == max_events;
			if (deliver_event(follow, event, is_last, &error) != MF_OK)
				return follow->feed->source ? failed(follow, &error) : MF_FOLLOW_NOTHING;
			++*out_delivered;
		}
		follow->next_at_hand++;
		advance(follow, event->lsn, event->epoch);
	}
	return MF_FOLLOW_MOVED;
}

static enum mf_follow_result begin(struct mf_follow *follow)
{
	struct mf_error error = {0};
	if (mf_follow_begin(follow, &error) != MF_OK)
		return failed(follow, &error);
	if (!follow->begun)
		return MF_FOLLOW_NOTHING;
	succeeded(follow);
	mf_follow_save(follow);
	return MF_FOLLOW_MOVED;
}

enum mf_follow_result mf_follow_step(struct mf_follow *follow, size_t max_events, size_t *out_delivered)
{
	*out_delivered = 0;
	if (follow->stop)
		return MF_FOLLOW_ENDED;
	if (save_is_due(follow))
		mf_follow_save(follow);
	if (follow->retry_at_us > 0 && mf_now_us() < follow->retry_at_us)
		return MF_FOLLOW_NOTHING;
	if (!follow->begun)
		return begin(follow);
	if (follow->notice)
		return tell_set_back(follow);
	enum mf_follow_result result = event_at_hand(follow, 0) ? MF_FOLLOW_MOVED : fetch(follow);
	return result == MF_FOLLOW_MOVED ? deliver(follow, max_events, out_delivered) : result;
}
