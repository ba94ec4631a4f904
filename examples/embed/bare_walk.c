/* bare_walk.c - the long way: store, subscriber and bus by hand, without plugins.json and without the runtime.
 *
 * usage: bare_walk PLUGIN_DIR DATA_DIR       PLUGIN_DIR: pkg-config --variable=plugindir moduforge
 * One document, one transaction at a time. docs/embedding.md says what each step is for. */
#include <moduforge/persist.h>
#include <moduforge/plugin.h>
#include <stdio.h>
#include <string.h>

#define DOC "catalogue"

struct app {
	struct mf_step_registry *steps;
	struct mf_bus *bus;
	struct mf_snapshot_subscriber *subscriber;
	struct mf_state *state; /* the document, as committed */
};

/* ---- what listens ---- */
static enum mf_status refuse_crowds(void *user, const struct mf_proposal *proposal, struct mf_error *error)
{
	size_t most = *(const size_t *)user, count = mf_doc_node_count(mf_state_doc(proposal->new_state));
	return count <= most ? MF_OK : mf_error_set(error, MF_ERR_INVALID, "%zu nodes are too many: at most %zu", count, most);
}

static enum mf_status tell(void *user, const struct mf_publication *publication)
{
	(void)user;
	printf("follower: %s LSN %lld\n", publication->doc_id, (long long)publication->lsn);
	return MF_OK;
}

/* ---- the walk ---- */
struct pending {
	struct app *app;
	struct mf_transaction *transaction;
	struct mf_state *new_state;
};

/* Called once, in LSN order, from any thread, before the ticket is settled. mf_bus_commit does not publish: we do. */
static void done(void *user, const struct mf_commit_result *result)
{
	struct pending *pending = user;
	struct app *app = pending->app;
	if (result->status != MF_OK)
		return; /* the ticket says so too */
	struct mf_publication publication = {.topic = MF_TR_APPLY, .doc_id = DOC, .lsn = result->lsn, .epoch = result->epoch, .ts_us = result->ts_us, .event = result->event,
		.transaction = pending->transaction, .old_state = app->state, .new_state = pending->new_state};
	app->state = mf_state_ref(pending->new_state);
	mf_bus_publish(app->bus, &publication);
	mf_state_unref((struct mf_state *)publication.old_state);
}

static enum mf_status propose(struct pending *pending, struct mf_reservation *reservation, struct mf_error *error)
{
	const struct mf_committer *committer = mf_bus_committer(pending->app->bus);
	struct mf_ticket *ticket;
	struct mf_proposal proposal = {.doc_id = DOC, .transaction = pending->transaction, .old_state = pending->app->state, .new_state = pending->new_state,
		.reservation = reservation, .generation = committer->generation(committer->user), .done = done, .done_user = pending};
	enum mf_status status = mf_bus_commit(pending->app->bus, &proposal, 1, MF_COMMIT_MEMORY_ONLY, &ticket, error); /* takes the reservation */
	if (status != MF_OK)
		return status; /* refused: done is not called */
	status = mf_ticket_wait(ticket, MF_LEVEL_COMMITTED, MF_WAIT_FOREVER, NULL, error);
	mf_ticket_unref(ticket);
	return status;
}

static enum mf_status commit(struct app *app, struct mf_transaction *transaction, struct mf_error *error)
{
	const struct mf_committer *committer = mf_bus_committer(app->bus);
	struct pending pending = {.app = app, .transaction = transaction};
	struct mf_key_answer answer = {0};
	enum mf_status status = committer->reserve(committer->user, DOC, transaction, &answer, error);
	if (status != MF_OK)
		return status;
	if (answer.found == MF_KEY_STORED && answer.same)
		return MF_OK; /* by an earlier try */
	if (answer.found != MF_KEY_NEW) {
		mf_ticket_unref(answer.ticket); /* of a pending one: we have none, as we always wait */
		return mf_error_set(error, MF_ERR_DUPLICATE_KEY, "the key was used before, for LSN %lld, with other content", (long long)answer.lsn);
	}
	status = mf_state_apply(app->state, transaction, &pending.new_state, error);
	if (status != MF_OK) {
		committer->release(committer->user, answer.reservation);
		return status;
	}
	status = propose(&pending, answer.reservation, error);
	mf_state_unref(pending.new_state);
	return status;
}

static enum mf_status insert(struct app *app, const char *id, const char *price, struct mf_error *error)
{
	struct mf_transaction *transaction;
	enum mf_status status = mf_transaction_new(&transaction);
	if (status != MF_OK)
		return mf_error_set(error, status, "no memory for a transaction");
	status = mf_transaction_set_key(transaction, id, error);
	if (status == MF_OK)
		status = mf_transaction_add_format(transaction, app->steps, "insert_node", error,
						   "{\"parent\":\"root\",\"node\":{\"id\":%s,\"type\":\"price\",\"attrs\":{\"price\":%s}}}", id, price);
	if (status == MF_OK)
		status = commit(app, transaction, error);
	mf_transaction_free(transaction);
	return status;
}

/* ---- life ---- */
static enum mf_status load_steps(struct app *app, const char *plugin_dir, struct mf_error *error)
{
	static const char *const files[] = {"node_steps.so", "mark_steps.so", "text_steps.so"};
	char path[4096];
	enum mf_status status = mf_step_registry_new(&app->steps);
	if (status != MF_OK)
		return mf_error_set(error, status, "no memory for the step types");
	for (size_t i = 0; status == MF_OK && i < sizeof(files) / sizeof(files[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", plugin_dir, files[i]);
		status = mf_step_registry_load(app->steps, path, error);
	}
	mf_step_registry_freeze(app->steps);
	return status;
}

static enum mf_status open_store(struct app *app, const char *dir, struct mf_error *error)
{
	struct mf_sqlite_options sqlite = {.dir = dir};
	struct mf_persist_options options;
	struct mf_store *store;
	mf_persist_options_init(&options);
	options.commit_mode.kind = MF_COMMIT_SYNC_DURABLE;
	enum mf_status status = mf_store_open_sqlite(&sqlite, &store, error);
	if (status != MF_OK)
		return status;
	status = mf_snapshot_subscriber_new(store, &options, app->steps, &app->subscriber, error); /* takes the store on success only */
	if (status != MF_OK)
		(void)mf_store_close(store, NULL);
	return status;
}

static enum mf_status open_bus(struct app *app, size_t *most_nodes, struct mf_error *error)
{
	const struct mf_committer *committer = mf_snapshot_subscriber_committer(app->subscriber);
	struct mf_recovery_report report;
	uint64_t id;
	enum mf_status status = mf_bus_new(&app->bus);
	if (status != MF_OK)
		return mf_error_set(error, status, "no memory for the bus");
	status = mf_bus_set_committer(app->bus, committer, error);
	if (status == MF_OK)
		status = mf_bus_add_guard(app->bus, "crowds", refuse_crowds, most_nodes, &id, error);
	if (status == MF_OK)
		status = mf_bus_subscribe(app->bus, "teller", MF_TOPICS_EVENTS, tell, NULL, &id, error);
	if (status == MF_OK)
		status = committer->preflight(committer->user, error); /* are all step types here that the store needs? */
	if (status == MF_OK)
		status = committer->recover(committer->user, DOC, INT64_MAX, &app->state, &report, error);
	return status;
}

/* The committer first: its drain may still call done, which needs the bus and the state. */
static enum mf_status close_app(struct app *app, struct mf_error *error)
{
	enum mf_status status = app->subscriber ? mf_snapshot_subscriber_close(app->subscriber, MF_WAIT_FOREVER, error) : MF_OK;
	mf_bus_free(app->bus);
	mf_state_unref(app->state);
	mf_step_registry_free(app->steps);
	return status;
}

static bool print_node(void *user, const struct mf_node *node)
{
	const struct mf_value *price = mf_node_attr(node, "price", strlen("price"));
	char *json = NULL;
	(void)user;
	if (price && mf_value_to_json(price, &json, NULL) == MF_OK)
		printf("node %s: price %s\n", mf_node_id(node, NULL), json);
	mf_free(json);
	return true;
}

static enum mf_status use(struct app *app, struct mf_error *error)
{
	enum mf_status status = insert(app, "p1", "9.95", error);
	if (status == MF_OK)
		status = insert(app, "p2", "12", error);
	if (status != MF_OK)
		return status;
	struct mf_error refused = {0};
	if (insert(app, "p3", "1", &refused) != MF_OK)
		printf("refused: %s\n", refused.message);
	const struct mf_doc *doc = mf_state_doc(app->state);
	printf("LSN %lld, %zu nodes\n", (long long)mf_state_lsn(app->state), mf_doc_node_count(doc));
	mf_doc_children(doc, mf_doc_root(doc), print_node, NULL);
	return MF_OK;
}

int main(int argc, char **argv)
{
	struct app app = {0};
	struct mf_error error = {0}, close_error = {0};
	size_t most_nodes = 3;
	if (argc != 3)
		return fprintf(stderr, "usage: %s PLUGIN_DIR DATA_DIR\n", argv[0]), 2;
	enum mf_status status = load_steps(&app, argv[1], &error);
	if (status == MF_OK)
		status = open_store(&app, argv[2], &error);
	if (status == MF_OK)
		status = open_bus(&app, &most_nodes, &error);
	if (status == MF_OK)
		status = use(&app, &error);
	enum mf_status closed = close_app(&app, &close_error);
	if (status == MF_OK && closed != MF_OK)
		status = closed, error = close_error;
	if (status != MF_OK)
		fprintf(stderr, "%s: %s\n", mf_status_name(status), error.message);
	return status != MF_OK;
}
