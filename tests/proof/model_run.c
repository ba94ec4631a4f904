/* model_run.c - the list of calls, the simulated process that carries them out, its deaths and what must be left. */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "memory_files.h"
#include "model_parts.h"

#define STORE_DIR "/store"

struct model the;

/* ---- the trace: everything that is to be the same again ---- */
static void hash(const void *bytes, size_t len)
{
	uint64_t value = the.result->trace_hash; /* FNV-1a */
	for (size_t i = 0; i < len; i++)
		value = (value ^ ((const unsigned char *)bytes)[i]) * 0x100000001b3u;
	the.result->trace_hash = value;
}

void model_trace(const char *format, ...)
{
	char line[1200];
	va_list args;
	va_start(args, format);
	int len = vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	hash(line, len < (int)sizeof(line) ? (size_t)len : sizeof(line) - 1);
	if (the.plan->trace)
		fputs(line, the.plan->trace);
}

static void see_io(const char *call, const char *path, int64_t at, const void *bytes, int64_t len)
{
	the.result->io_calls++;
	hash(call, strlen(call));
	hash(path, strlen(path));
	hash(&at, sizeof(at));
	hash(&len, sizeof(len));
	if (bytes)
		hash(bytes, (size_t)len);
	if (the.plan->trace && getenv("MF_TRACE_IO")) /* with the hash so far: where two runs begin to differ */
		fprintf(the.plan->trace, "\n      %s %s at %lld, %lld bytes, %016llx", call, path, (long long)at, (long long)len, (unsigned long long)the.result->trace_hash);
}

void model_fail(const char *format, ...)
{
	if (the.result->failed)
		return;
	va_list args;
	va_start(args, format);
	vsnprintf(the.result->why, sizeof(the.result->why), format, args);
	va_end(args);
	the.result->failed = true;
	the.result->failed_call = the.call;
	model_trace("\n   WRONG: %s", the.result->why);
}

const char *model_doc_name(int doc)
{
	static const char *const names[REF_DOCS] = {"alpha", "beta", "gamma"};
	return names[doc];
}

/* ---- opening and closing ---- */
static enum mf_status guard(void *user, const struct mf_proposal *proposal, struct mf_error *error)
{
	(void)user;
	const char *actor = mf_transaction_actor(proposal->transaction);
	return actor ? mf_error_set(error, MF_ERR_PLUGIN, "the guard refuses %s", actor) : MF_OK;
}

static const char *const modes[] = {"memory", "async:1", "async:10", "async:50", "sync"};
static const int64_t windows[] = {0, 1000, 10000, 50000, 0};
static unsigned mode = 2; /* of the next opening */

static void open_runtime(void *unused)
{
	struct mf_runtime_options options = {.config_path = the.plan->config, .data_dir = STORE_DIR, .mode = modes[mode]};
	struct mf_error error = {0};
	uint64_t id;
	(void)unused;
	the.kind = mode == 0 ? MF_COMMIT_MEMORY_ONLY : mode == 4 ? MF_COMMIT_SYNC_DURABLE : MF_COMMIT_ASYNC_DURABLE;
	the.window_us = windows[mode];
	the.world = mode == 0 ? &the.memory : &the.disk;
	enum mf_status status = mf_runtime_open(&options, &the.runtime, &error);
	model_trace("%s -> %s", modes[mode], mf_status_name(status));
	CHECK(status == MF_OK || model_excuses(status), "the store cannot be opened: %s", error.message);
	if (status != MF_OK) {
		the.runtime = NULL;
		return;
	}
	if (mf_bus_add_guard(mf_runtime_bus(the.runtime), "guard", guard, NULL, &id, &error) != MF_OK)
		model_fail("no guard: %s", error.message);
}

/* What a store came back with is between what it had to keep and what it was given, and no batch is torn. */
static void hold_against(void *lower)
{
	struct world *world = the.world;
	struct mf_store_stats stats;
	struct mf_error error = {0};
	int64_t least = *(const int64_t *)lower;
	if (!the.runtime)
		return;
	enum mf_status status = mf_store_stats(mf_runtime_store(the.runtime), &stats, &error);
	int64_t most = world->upper > world->log.last ? world->upper : world->log.last;
	model_trace(" last %lld of %lld to %lld, synced %lld", (long long)stats.last_lsn, (long long)least, (long long)most, (long long)stats.synced_lsn);
	CHECK(status == MF_OK && stats.last_lsn >= least && stats.last_lsn <= most, "the store ends at LSN %lld; it had to keep %lld, and was given %lld", (long long)stats.last_lsn, (long long)least,
	      (long long)most);
	if (the.result->failed)
		return;
	CHECK(stats.last_lsn == most || world->log.events[stats.last_lsn + 1].batch == stats.last_lsn + 1, "the store ends at LSN %lld, in the middle of the batch that begins at %lld",
	      (long long)stats.last_lsn, (long long)world->log.events[stats.last_lsn + 1].batch);
	world->log.last = world->upper = world->acked = stats.last_lsn;
	for (int64_t lsn = 1; lsn <= world->acked; lsn++)
		world->acked_at[lsn] = world->acked_at[lsn] ? world->acked_at[lsn] : sim_now_us();
	if (the.kind != MF_COMMIT_MEMORY_ONLY)
		CHECK(stats.synced_lsn == stats.last_lsn, "after the opening LSN %lld is synced, not %lld", (long long)stats.synced_lsn, (long long)stats.last_lsn);
	world->promised = stats.last_lsn;
	world->compaction_unknown |= world->compaction_failed;
	world->compaction_failed = false;
	if (the.kind != MF_COMMIT_MEMORY_ONLY)
		memory_files_forgive();
	for (unsigned i = 0; i < FOLLOWERS; i++)
		if (model_followers()[i].seen > stats.last_lsn)
			model_followers()[i].seen = stats.last_lsn;
	model_look_deeply();
}

static void close_runtime(void *unused)
{
	struct mf_error error = {0};
	(void)unused;
	if (sim_below(2))
		model_wait_all();
	for (unsigned i = 0; i < TICKETS; i++) {
		mf_ticket_unref(the.tickets[i].ticket);
		the.tickets[i].ticket = NULL;
	}
	enum mf_status status = mf_runtime_close(the.runtime, MF_WAIT_FOREVER, &error);
	model_trace(" -> %s", mf_status_name(status));
	CHECK(status == MF_OK || model_excuses(status), "close: %s", error.message);
	the.runtime = NULL;
	if (the.ill != MODEL_BROKEN || !model_is_struck())
		the.world->acked = the.world->promised = the.world->log.last;
	model_followers_closed(model_is_struck());
	if (the.kind == MF_COMMIT_MEMORY_ONLY) {
		memset(&the.memory, 0, sizeof(the.memory));
		memset(the.followers[0], 0, sizeof(the.followers[0]));
	}
}

/* ---- death ---- */
/* What was acknowledged a window ago, and the background had its turn since, is on the device. */
static void count_promises(void)
{
	struct world *world = the.world;
	while (the.kind == MF_COMMIT_ASYNC_DURABLE && !(the.ill == MODEL_BROKEN && model_is_struck()) && world->promised < world->acked && world->acked_at[world->promised + 1] + the.window_us + SYNC_US <= the.ran_until)
		world->promised++;
}

/* A compaction may have been on its way to the device, too. */
static void forget_what_was_not_promised(void)
{
	the.disk.compaction_unknown = true;
	the.disk.acked = the.disk.promised;
	for (unsigned i = 0; i < FOLLOWERS; i++)
		the.followers[1][i].floor = 0;
}

static void die(void)
{
	model_trace("%s", the.powerless ? " POWER LOST" : " KILLED");
	the.result->deaths++;
	the.result->power_losses += the.powerless;
	sim_kill();
	if (the.powerless)
		memory_files_power_lost();
	else
		memory_files_process_died();
	the.runtime = NULL;
	memset(the.tickets, 0, sizeof(the.tickets));
	memset(&the.memory, 0, sizeof(the.memory));
	model_get_well();
	model_followers_died();
	if (the.powerless)
		forget_what_was_not_promised();
}

/* Until one opening lives through it. */
static void open_again(void)
{
	for (unsigned tries = 0; !the.runtime && !the.result->failed; tries++) {
		struct world *world = mode == 0 ? &the.memory : &the.disk;
		bool dies = tries < 3 && sim_below(3) == 0;
		memory_files_evict();
		if (memory_files_lost_writes())
			forget_what_was_not_promised();
		int64_t lower = world->acked;
		if (tries > 3)
			model_get_well();
		else if (the.ill == MODEL_WELL && sim_below(6) == 0)
			model_trace("\n     ill "), model_fall_ill();
		model_trace("\n     open ");
		if (dies) {
			the.powerless = sim_below(2);
			memory_files_die_in(1 + sim_below(60));
		}
		bool lives = sim_call(open_runtime, NULL);
		if (lives && the.runtime && the.ill == MODEL_BROKEN && model_is_struck()) /* it may have stopped already */
			lives = sim_call(close_runtime, NULL);
		if (lives && (the.runtime || sim_below(2)))
			model_get_well();
		if (lives && the.runtime)
			lives = sim_call(hold_against, &lower);
		the.had_been_ill &= !lives || !the.runtime || the.torn_watermark || the.kind == MF_COMMIT_MEMORY_ONLY;
		memory_files_die_in(0);
		if (!lives)
			die();
	}
}

/* ---- the calls ---- */
static void state_of_all(void)
{
	model_look();
}

static void tick_clock(void)
{
	static const int64_t jumps[] = {-3600, 86400, -1, 1};
	int64_t seconds = jumps[sim_below(4)];
	model_trace("%lld s", (long long)seconds);
	memory_files_jump_us(seconds * 1000000);
}

static void read_stats(void)
{
	struct mf_store_stats stats;
	struct mf_error error = {0};
	enum mf_status status = mf_store_stats(mf_runtime_store(the.runtime), &stats, &error);
	CHECK(status == MF_OK || model_excuses_read(status), "stats: %s", error.message);
	if (status != MF_OK || the.kind == MF_COMMIT_MEMORY_ONLY)
		return;
	model_trace(" last %lld synced %lld", (long long)stats.last_lsn, (long long)stats.synced_lsn);
	count_promises();
	CHECK(stats.synced_lsn >= the.world->promised && stats.synced_lsn <= stats.last_lsn && stats.last_lsn <= the.world->log.last, "synced is LSN %lld of %lld, promised %lld",
	      (long long)stats.synced_lsn, (long long)stats.last_lsn, (long long)the.world->promised);
	the.world->promised = stats.synced_lsn;
}

enum special { NOTHING, PASS_TIME, PASS_WINDOW, PASS_LONG, REOPEN, DIE_NOW, DIE_SOON, FALL_ILL, CATCH_UP };

static const struct kind {
	const char *name;
	unsigned weight;
	void (*call)(void);
	enum special special;
} kinds[] = {
	{"commit", 16, model_commit, NOTHING}, {"submit", 8, model_submit, NOTHING}, {"batch", 9, model_batch, NOTHING}, {"undo", 8, model_undo, NOTHING},
	{"again", 5, model_resubmit, NOTHING}, {"refused", 2, model_refused, NOTHING}, {"wait", 5, model_wait, NOTHING}, {"state", 4, state_of_all, NOTHING},
	{"state_at", 4, model_state_at, NOTHING}, {"log", 3, model_read_log, NOTHING}, {"stats", 3, read_stats, NOTHING}, {"snapshot", 5, model_snapshot, NOTHING},
	{"compact", 6, model_compact, NOTHING}, {"vacuum", 1, model_vacuum, NOTHING}, {"backup", 1, model_backup, NOTHING}, {"follow", 4, model_follow, NOTHING},
	{"unfollow", 2, model_unfollow, NOTHING}, {"dispatch", 4, model_dispatch, NOTHING}, {"clock", 3, tick_clock, NOTHING}, {"pass", 6, NULL, PASS_TIME}, {"window", 6, NULL, PASS_WINDOW},
	{"long", 2, NULL, PASS_LONG}, {"reopen", 4, NULL, REOPEN}, {"die", 2, NULL, DIE_NOW}, {"die soon", 5, NULL, DIE_SOON}, {"ill", 5, NULL, FALL_ILL}, {"catch up", 2, NULL, CATCH_UP},
};
#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

static const struct kind *random_kind(void)
{
	unsigned sum = 0, at;
	for (unsigned i = 0; i < KINDS; i++)
		sum += kinds[i].weight;
	at = sim_below(sum);
	const struct kind *kind = kinds;
	for (; at >= kind->weight; kind++)
		at -= kind->weight;
	return kind;
}

static void run_call(void *user)
{
	const struct kind *kind = user;
	kind->call();
}

static bool pass(int64_t us)
{
	bool lives = us ? sim_advance(us) : sim_settle();
	if (lives)
		the.ran_until = sim_now_us();
	count_promises();
	return lives;
}

/* The background has had its time: nobody needs to wait for a ticket for it to end. */
static void look_at_tickets(void *unused)
{
	(void)unused;
	for (unsigned i = 0; i < TICKETS; i++) {
		struct mf_error error = {0};
		int64_t lsn = 0;
		if (!the.tickets[i].ticket)
			continue;
		enum mf_status status = mf_ticket_wait(the.tickets[i].ticket, MF_LEVEL_COMMITTED, 0, &lsn, &error);
		CHECK(status == MF_OK && lsn == the.tickets[i].lsn, "the ticket of LSN %lld has not ended by itself: %s (%s)", (long long)the.tickets[i].lsn, mf_status_name(status), error.message);
	}
}

#define TIME_ENOUGH_US 20000

static bool pass_and_look(int64_t us)
{
	return pass(us) && (us < TIME_ENOUGH_US || sim_call(look_at_tickets, NULL));
}

static void catch_up(void *unused)
{
	(void)unused;
	model_wait_all();
}

static void caught_up(void *unused)
{
	(void)unused;
	model_follow_catch_up();
}

/* Retries end, windows close, loops are dispatched. */
static bool catch_up_all(void)
{
	bool lives = sim_call(catch_up, NULL) && pass(200000);
	for (int i = 0; i < 3 && lives; i++)
		lives = sim_call((void (*)(void *))model_dispatch, NULL) && pass(200000);
	return lives && sim_call(caught_up, NULL);
}

static void change_mode(void)
{
	mode = sim_below(8) == 0 ? 0 : 1 + sim_below(4);
}

static void settle_tickets(void *unused)
{
	(void)unused;
	model_wait_all();
}

static bool fall_ill(void)
{
	bool lives = the.ill != MODEL_WELL || sim_call(settle_tickets, NULL);
	if (lives && the.ill == MODEL_WELL)
		model_fall_ill();
	return lives;
}

static void look_deeply(void *unused)
{
	(void)unused;
	model_look_deeply();
}

/* After a full disk the same runtime goes on, and has all that it had; after another error the store is opened anew. */
static bool get_well(void)
{
	enum model_illness ill = the.ill;
	bool struck = model_is_struck();
	if (ill == MODEL_FULL || !struck || sim_below(2)) { /* else it is closed as it is */
		model_trace("\n     well");
		if (ill == MODEL_BROKEN && struck)
			memory_files_fail_no_more();
		else
			model_get_well();
	}
	if (!struck)
		return true;
	return sim_call(ill == MODEL_FULL ? look_deeply : close_runtime, NULL);
}

static bool reopen(void)
{
	if (!sim_call(close_runtime, NULL))
		return false;
	memory_files_die_in(0);
	change_mode();
	return true;
}

static bool do_special(enum special special)
{
	switch (special) {
	case PASS_TIME:
		return pass_and_look(sim_below(60000));
	case PASS_WINDOW: /* into the middle of its sync, mostly */
		return pass_and_look(the.window_us + sim_below(1200));
	case PASS_LONG:
		return pass_and_look((int64_t)sim_below(400) * 1000000);
	case REOPEN:
		return reopen();
	case DIE_NOW:
		the.powerless = sim_below(2);
		count_promises();
		return false;
	case DIE_SOON:
		the.powerless = sim_below(2);
		memory_files_die_in(1 + sim_below(sim_below(2) ? 10 : 80));
		return true;
	case FALL_ILL:
		return fall_ill();
	case CATCH_UP:
		return the.ill != MODEL_WELL || catch_up_all();
	default:
		return true;
	}
}

static void make_call(unsigned number)
{
	uint64_t own = the.plan->seed * 1000003 + number;
	sim_seed(own);
	const struct kind *kind = random_kind();
	the.call = number;
	model_trace("\n%3u  %-8s ", number, kind->name);
	bool lives = kind->call ? sim_call(run_call, (void *)(uintptr_t)kind) : do_special(kind->special);
	if (lives && the.runtime && sim_below(2))
		lives = pass(sim_below(3) ? 0 : sim_below(3000));
	if (lives && the.runtime && the.ill != MODEL_WELL && (the.hurt || the.ill_calls-- == 0))
		lives = get_well();
	if (!lives)
		die();
	if (!the.runtime)
		open_again();
	the.result->trace_lines++;
}

static void end(void)
{
	memory_files_die_in(0);
	model_trace("\n end ");
	if (the.runtime && the.ill != MODEL_WELL && !get_well())
		die();
	if (!the.runtime)
		open_again();
	if (the.runtime && !the.result->failed && catch_up_all() && !the.result->failed) {
		model_trace(" close");
		sim_call(close_runtime, NULL);
	}
	model_trace("\n");
}

void model_run(const struct model_plan *plan, struct model_result *out)
{
	memset(out, 0, sizeof(*out));
	memset(&the, 0, sizeof(the));
	the.plan = plan;
	the.result = out;
	out->trace_hash = 0xcbf29ce484222325u;
	sim_begin(plan->seed);
	memory_files_begin();
	memory_files_watch(see_io);
	memory_files_lie(plan->lies);
	change_mode();
	model_trace("seed %llu", (unsigned long long)plan->seed);
	open_again();
	for (unsigned number = 1; number <= plan->calls && !out->failed && the.disk.log.last < REF_EVENTS - 20 && the.memory.log.last < REF_EVENTS - 20; number++)
		if (!plan->left_out || !plan->left_out[number])
			make_call(number);
	end();
	out->events = (uint64_t)(the.disk.log.last + the.memory.log.last);
	out->switches = sim_switches();
	out->simulated_us = sim_now_us();
}
