/* libuv_loop.c - a libuv application that follows its own store on its loop: no thread, no lock.
 *
 * usage: libuv_loop PLUGINS_JSON DATA_DIR
 * A timer commits a price each millisecond; what was committed comes back to the loop, which ends with the tenth. */
#include <moduforge/runtime.h>
#include <stdio.h>
#include <uv.h>

#define PRICES 10

struct app {
	uv_loop_t loop;
	uv_poll_t poll;
	uv_timer_t timer;
	struct mf_runtime *runtime;
	int committed, seen;
	struct mf_error error;
};

static void end(struct app *app) /* without handles the loop has nothing to wait for */
{
	uv_poll_stop(&app->poll);
	uv_timer_stop(&app->timer);
}

/* ---- what was committed: called by dispatch, in the loop's thread ---- */
static enum mf_status see(void *user, const struct mf_publication *publication, struct mf_error *error)
{
	struct app *app = user;
	(void)error;
	printf("LSN %lld of %s: %zu step\n", (long long)publication->lsn, publication->doc_id, mf_transaction_step_count(publication->transaction));
	if (++app->seen == PRICES)
		end(app);
	return MF_OK;
}

static void dispatch(uv_poll_t *poll, int status, int events)
{
	struct app *app = poll->data;
	(void)events;
	if (status < 0 || mf_runtime_dispatch(app->runtime, 0, &app->error) != MF_OK)
		end(app);
}

/* ---- what the application does ---- */
static enum mf_status commit_price(struct app *app)
{
	struct mf_transaction *transaction;
	char json[80];
	snprintf(json, sizeof(json), "{\"id\":\"root\",\"set\":{\"price\":\"%d.95\"}}", ++app->committed);
	enum mf_status status = mf_transaction_new(&transaction);
	if (status == MF_OK)
		status = mf_transaction_add_json(transaction, mf_runtime_steps(app->runtime), "update_attrs", json, &app->error);
	if (status == MF_OK)
		status = mf_runtime_commit(app->runtime, "catalogue", transaction, NULL, &app->error);
	mf_transaction_free(transaction);
	return status;
}

static void tick(uv_timer_t *timer)
{
	struct app *app = timer->data;
	if (commit_price(app) != MF_OK)
		end(app);
	else if (app->committed == PRICES)
		uv_timer_stop(timer);
}

static enum mf_status run(struct app *app)
{
	struct mf_follow_options options;
	uint64_t id;
	mf_follow_options_init(&options);
	options.name = "window";
	options.on = MF_FOLLOW_ON_LOOP;
	options.from = MF_FOLLOW_FROM_NOW;
	enum mf_status status = mf_runtime_follow(app->runtime, &options, see, app, &id, &app->error);
	if (status != MF_OK)
		return status;
	uv_loop_init(&app->loop);
	uv_poll_init(&app->loop, &app->poll, mf_runtime_get_fd(app->runtime));
	uv_timer_init(&app->loop, &app->timer);
	app->poll.data = app->timer.data = app;
	uv_poll_start(&app->poll, UV_READABLE, dispatch);
	uv_timer_start(&app->timer, tick, 1, 1);
	uv_run(&app->loop, UV_RUN_DEFAULT);
	uv_close((uv_handle_t *)&app->poll, NULL);
	uv_close((uv_handle_t *)&app->timer, NULL);
	uv_run(&app->loop, UV_RUN_DEFAULT);
	uv_loop_close(&app->loop);
	return app->seen == PRICES ? MF_OK : app->error.status;
}

int main(int argc, char **argv)
{
	struct app app = {0};
	const struct mf_runtime_options options = {.config_path = argc > 1 ? argv[1] : "plugins.json", .data_dir = argc > 2 ? argv[2] : NULL};
	struct mf_error close_error = {0};
	enum mf_status status = mf_runtime_open(&options, &app.runtime, &app.error);
	if (status == MF_OK)
		status = run(&app);
	if (status != MF_OK)
		fprintf(stderr, "%s: %s\n", mf_status_name(status), app.error.message);
	enum mf_status closed = mf_runtime_close(app.runtime, MF_WAIT_FOREVER, &close_error);
	if (closed != MF_OK)
		fprintf(stderr, "%s: %s\n", mf_status_name(closed), close_error.message);
	return status != MF_OK || closed != MF_OK;
}
