/* crew_follow.c - who follows: slowly, with failures, from the first event or from now on, on a thread or on the loop; who
 * commits what an event gives rise to, who leaves from inside the handler, who comes back to a checkpoint. */
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "crew.h"
#include "dice.h"

#define ECHOES_MAX 300 /* of one life */

static bool one_in(uint64_t *dice, unsigned many)
{
	return many > 0 && roll(dice, many) == 0;
}

/* A transaction of its own, after the event. Events of such do not echo. */
static void echo(struct passer *passer, const struct mf_publication *publication)
{
	char key[KEY_ROOM];
	struct mf_transaction *transaction;
	struct mf_error error;
	int64_t lsn = 0;
	if (publication->event->idempotency_key[0] != 'p' || !one_in(&passer->dice, passer->echoes_in) || atomic_fetch_add(&passer->crew->echoes, 1) >= ECHOES_MAX)
		return;
	snprintf(key, sizeof(key), "e%u-%.12s-%lld", passer->crew->life, passer->name, (long long)publication->lsn);
	if (crew_transaction(passer->crew->runtime, key, "update_attrs", "{\"id\":\"root\",\"set\":{\"echo\":1}}", &transaction) != MF_OK)
		return;
	mf_error_clear(&error);
	enum mf_status status = mf_runtime_commit(passer->crew->runtime, doc_names[DOCS - 1], transaction, &lsn, &error);
	mf_transaction_free(transaction);
	if (status == MF_OK && lsn <= publication->lsn)
		complain("the echo of LSN %lld was given LSN %lld", (long long)publication->lsn, (long long)lsn);
	if (status == MF_OK)
		acks_add(&passer->acks, key, lsn, NULL, 0);
	else if (status != MF_ERR_CONFLICT && status != MF_ERR_STATE && status != MF_ERR_DUPLICATE_KEY) /* a guard; closing; tried before */
		complain("%s: %s: %s", key, mf_status_name(status), error.message);
}

static void look(struct passer *passer, const struct mf_publication *publication)
{
	struct mf_state *state;
	struct mf_error error;
	if (mf_runtime_state(passer->crew->runtime, publication->doc_id, &state, &error) != MF_OK)
		return; /* it is being closed */
	if (mf_state_lsn(state) < publication->lsn)
		complain("%s is told of LSN %lld of %s, whose state is at %lld", passer->name, (long long)publication->lsn, publication->doc_id, (long long)mf_state_lsn(state));
	mf_state_unref(state);
}

static void look_synced(struct passer *passer, int64_t lsn)
{
	struct mf_store_stats stats;
	struct mf_error error;
	if (mf_store_stats(mf_runtime_store(passer->crew->runtime), &stats, &error) == MF_OK && stats.synced_lsn < lsn)
		complain("%s, which wants synced events, is told of LSN %lld; synced is %lld", passer->name, (long long)lsn, (long long)stats.synced_lsn);
}

static enum mf_status handle(void *user, const struct mf_publication *publication, struct mf_error *error)
{
	struct passer *passer = user;
	if (atomic_load(&passer->ended))
		complain("%s has ended and is told of LSN %lld", passer->name, (long long)publication->lsn);
	if (publication->topic == MF_NOTICE_SET_BACK) {
		complain("%s is set back to LSN %lld, and nothing was lost", passer->name, (long long)publication->lsn);
		return MF_OK;
	}
	int64_t first = publication->topic == MF_NOTICE_GAP ? publication->from_lsn : publication->lsn;
	if (passer->last >= 0 && first != passer->last + 1)
		complain("%s has seen LSN %lld and is told of %lld to %lld", passer->name, (long long)passer->last, (long long)first, (long long)publication->lsn);
	if (publication->topic == MF_NOTICE_GAP && passer->gap_count < GAPS_MAX) {
		passer->gaps[passer->gap_count].from_lsn = publication->from_lsn;
		passer->gaps[passer->gap_count++].upto_lsn = publication->lsn;
	}
	if (publication->topic != MF_NOTICE_GAP) {
		if (!publication->transaction || publication->event->lsn != publication->lsn)
			complain("%s is told of LSN %lld without its transaction: %s", passer->name, (long long)publication->lsn, publication->message ? publication->message : "");
		look(passer, publication);
		if (passer->synced_only)
			look_synced(passer, publication->lsn);
	}
	if (one_in(&passer->dice, passer->fails_in))
		return mf_error_set(error, MF_ERR_BUSY, "not in the mood");
	if (passer->slow_us)
		sleep_us((unsigned)roll(&passer->dice, passer->slow_us));
	if (publication->topic != MF_NOTICE_GAP)
		echo(passer, publication);
	atomic_fetch_add(&passer->crew->deliveries, 1);
	passer->last = publication->lsn;
	passer->epoch = publication->epoch;
	uint64_t id = atomic_load(&passer->id);
	if (id && one_in(&passer->dice, passer->leaves_in) && mf_bus_unsubscribe(mf_runtime_bus(passer->crew->runtime), id, error) != MF_OK)
		complain("%s cannot leave: %s", passer->name, error->message);
	return MF_OK;
}

void passer_start(struct passer *passer, const struct mf_follow_options *options)
{
	struct mf_error error;
	mf_error_clear(&error);
	atomic_store(&passer->ended, false);
	atomic_store(&passer->id, 0);
	uint64_t id = 0;
	passer->running = mf_runtime_follow(passer->crew->runtime, options, handle, passer, &id, &error) == MF_OK;
	atomic_store(&passer->id, id);
	atomic_fetch_add(&passer->crew->starts, 1);
	if (!passer->running)
		complain("%s cannot follow: %s", passer->name, error.message);
}

/* With a time-out it is told again until it has ended. */
static void passer_end(struct passer *passer, uint64_t *dice)
{
	struct mf_error error;
	enum mf_status status;
	do {
		mf_error_clear(&error);
		status = mf_runtime_unfollow(passer->crew->runtime, atomic_load(&passer->id), one_in(dice, 2) ? MF_WAIT_FOREVER : 0, &error);
	} while (status == MF_ERR_TIMEOUT);
	passer->running = false;
	if (status == MF_OK)
		atomic_store(&passer->ended, true);
	else if (status != MF_ERR_NOT_FOUND || !passer->leaves_in)
		complain("ending %s: %s: %s", passer->name, mf_status_name(status), error.message);
}

static void default_options(struct mf_follow_options *options, const struct passer *passer)
{
	mf_follow_options_init(options);
	options->name = passer->name;
	options->topics = MF_TOPICS_FOLLOW;
	options->retry_ms = 1;
	options->retry_max_ms = 4;
}

/* ---- with a checkpoint: each time it goes on where it was ---- */
void follow_by_name(struct worker *worker)
{
	struct passer *passer = &worker->crew->named[worker->number];
	struct mf_follow_options options;
	passer->crew = worker->crew;
	passer->dice = roll(&worker->dice, UINT64_MAX);
	bool lags = worker->number && !worker->crew->eager;
	passer->slow_us = lags ? 400 : 0;
	passer->fails_in = lags ? 100 : 0;
	if (!passer->name[0]) {
		snprintf(passer->name, sizeof(passer->name), "named-%u", worker->number);
		passer->last = 0;
	}
	default_options(&options, passer);
	options.keep_checkpoint = true;
	options.checkpoint_events = 20;
	options.checkpoint_ms = 5;
	for (;;) {
		passer_start(passer, &options);
		for (unsigned i = (unsigned)roll(&worker->dice, 40); i > 0 && !atomic_load(&worker->crew->stopping); i--)
			sleep_us(1000);
		if (!passer->running || atomic_load(&worker->crew->stopping))
			break; /* the close ends it */
		passer_end(passer, &worker->dice);
	}
}

/* ---- without: they come and go ---- */
static struct passer *new_passer(struct worker *worker, struct mf_follow_options *options)
{
	struct crew *crew = worker->crew;
	unsigned number = atomic_fetch_add(&crew->passer_count, 1);
	if (number >= PASSERS_MAX) {
		atomic_fetch_sub(&crew->passer_count, 1);
		return NULL;
	}
	struct passer *passer = &crew->passers[number];
	passer->crew = crew;
	passer->dice = roll(&worker->dice, UINT64_MAX);
	snprintf(passer->name, sizeof(passer->name), "passer-%u", number);
	default_options(options, passer);
	bool from_now = crew->eager || one_in(&worker->dice, 3);
	options->from = from_now ? MF_FOLLOW_FROM_NOW : MF_FOLLOW_FROM_FIRST;
	passer->last = from_now ? -1 : 0;
	passer->synced_only = options->synced_only = crew->durable && one_in(&worker->dice, 4);
	options->queue_events = one_in(&worker->dice, 2) ? 16 : 1024;
	options->nap_us = one_in(&worker->dice, 2) ? 0 : 200;
	passer->fails_in = one_in(&worker->dice, 3) ? 50 : 0;
	passer->slow_us = !crew->eager && one_in(&worker->dice, 3) ? 300 : 0;
	passer->echoes_in = one_in(&worker->dice, 3) ? 20 : 0;
	return passer;
}

void follow_and_leave(struct worker *worker)
{
	struct passer *mine[3] = {NULL};
	struct mf_follow_options options;
	while (!atomic_load(&worker->crew->stopping)) {
		struct passer **place = &mine[roll(&worker->dice, 3)];
		if (*place) {
			passer_end(*place, &worker->dice);
			*place = NULL;
		} else if ((*place = new_passer(worker, &options))) {
			(*place)->leaves_in = one_in(&worker->dice, 3) ? 100 : 0;
			passer_start(*place, &options);
		}
		sleep_us((unsigned)roll(&worker->dice, 6000));
	}
}

/* ---- on the application's loop, which this thread is ---- */
void follow_on_loop(struct worker *worker)
{
	struct passer *mine[2] = {NULL};
	struct mf_follow_options options;
	struct mf_error error;
	while (!atomic_load(&worker->crew->stopping)) {
		struct pollfd ready = {.fd = mf_runtime_get_fd(worker->crew->runtime), .events = POLLIN};
		struct passer **place = &mine[roll(&worker->dice, 2)];
		if (*place && one_in(&worker->dice, 20)) {
			passer_end(*place, &worker->dice);
			*place = NULL;
		} else if (!*place && (*place = new_passer(worker, &options))) {
			options.on = MF_FOLLOW_ON_LOOP;
			passer_start(*place, &options);
		}
		mf_error_clear(&error);
		if (poll(&ready, 1, 2) > 0 && mf_runtime_dispatch(worker->crew->runtime, 1 + roll(&worker->dice, 100), &error) != MF_OK)
			complain("dispatch: %s", error.message);
	}
}

/* ---- in the committing thread: synchronous followers, and guards that refuse now and then ---- */
struct onlooker {
	int64_t last;
	_Atomic bool ended;
	_Atomic uint64_t asked;
};

static enum mf_status onlook(void *user, const struct mf_publication *publication)
{
	struct onlooker *onlooker = user;
	if (atomic_load(&onlooker->ended))
		complain("a synchronous follower has ended and is told of LSN %lld", (long long)publication->lsn);
	if (onlooker->last && publication->lsn != onlooker->last + 1)
		complain("a synchronous follower has seen LSN %lld and is told of %lld", (long long)onlooker->last, (long long)publication->lsn);
	onlooker->last = publication->lsn;
	return MF_OK;
}

static enum mf_status refuse_some(void *user, const struct mf_proposal *proposal, struct mf_error *error)
{
	struct onlooker *onlooker = user;
	if (atomic_load(&onlooker->ended))
		complain("a guard has ended and is asked about a transaction of %s", proposal->doc_id);
	return atomic_fetch_add(&onlooker->asked, 1) % 40 == 39 ? mf_error_set(error, MF_ERR_CONFLICT, "this one not") : MF_OK;
}

void follow_synchronously(struct worker *worker)
{
	struct mf_bus *bus = mf_runtime_bus(worker->crew->runtime);
	struct mf_error error;
	while (!atomic_load(&worker->crew->stopping)) {
		struct onlooker onlooker = {0};
		uint64_t id;
		bool guard = one_in(&worker->dice, 3);
		mf_error_clear(&error);
		enum mf_status status = guard ? mf_bus_add_guard(bus, "guard", refuse_some, &onlooker, &id, &error)
					      : mf_bus_subscribe(bus, "onlooker", MF_TOPICS_EVENTS, onlook, &onlooker, &id, &error);
		sleep_us((unsigned)roll(&worker->dice, 5000));
		if (status == MF_OK)
			status = mf_bus_unsubscribe(bus, id, &error);
		if (status != MF_OK)
			complain("a synchronous subscriber: %s: %s", mf_status_name(status), error.message);
		atomic_store(&onlooker.ended, true);
		sleep_us((unsigned)roll(&worker->dice, 500)); /* its memory is still there for who would call it */
	}
}
