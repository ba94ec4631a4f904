/* glib_loop.c - a GLib application that follows its own store on its main loop: no thread, no lock.
 *
 * usage: glib_loop PLUGINS_JSON DATA_DIR
 * A timer commits a price each millisecond; what was committed comes back to the main loop, which ends with the tenth. */
#include <glib-unix.h>
#include <moduforge/runtime.h>

#define PRICES 10

struct app {
	GMainLoop *loop;
	struct mf_runtime *runtime;
	int committed, seen;
	struct mf_error error;
};

/* ---- what was committed: called by dispatch, in the loop's thread ---- */
static enum mf_status see(void *user, const struct mf_publication *publication, struct mf_error *error)
{
	struct app *app = user;
	(void)error;
	g_print("LSN %lld of %s: %zu step\n", (long long)publication->lsn, publication->doc_id, mf_transaction_step_count(publication->transaction));
	if (++app->seen == PRICES)
		g_main_loop_quit(app->loop);
	return MF_OK;
}

static gboolean dispatch(gint fd, GIOCondition condition, gpointer user)
{
	struct app *app = user;
	(void)fd, (void)condition;
	if (mf_runtime_dispatch(app->runtime, 0, &app->error) == MF_OK)
		return G_SOURCE_CONTINUE;
	g_main_loop_quit(app->loop);
	return G_SOURCE_REMOVE;
}

/* ---- what the application does ---- */
static enum mf_status commit_price(struct app *app)
{
	struct mf_transaction *transaction;
	char *json = g_strdup_printf("{\"id\":\"root\",\"set\":{\"price\":\"%d.95\"}}", ++app->committed);
	enum mf_status status = mf_transaction_new(&transaction);
	if (status == MF_OK)
		status = mf_transaction_add_json(transaction, mf_runtime_steps(app->runtime), "update_attrs", json, &app->error);
	if (status == MF_OK)
		status = mf_runtime_commit(app->runtime, "catalogue", transaction, NULL, &app->error);
	mf_transaction_free(transaction);
	g_free(json);
	return status;
}

static gboolean tick(gpointer user)
{
	struct app *app = user;
	if (commit_price(app) == MF_OK)
		return app->committed < PRICES ? G_SOURCE_CONTINUE : G_SOURCE_REMOVE;
	g_main_loop_quit(app->loop);
	return G_SOURCE_REMOVE;
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
	g_unix_fd_add(mf_runtime_get_fd(app->runtime), G_IO_IN, dispatch, app);
	g_timeout_add(1, tick, app);
	g_main_loop_run(app->loop);
	return app->seen == PRICES ? MF_OK : app->error.status;
}

int main(int argc, char **argv)
{
	struct app app = {.loop = g_main_loop_new(NULL, FALSE)};
	const struct mf_runtime_options options = {.config_path = argc > 1 ? argv[1] : "plugins.json", .data_dir = argc > 2 ? argv[2] : NULL};
	struct mf_error close_error = {0};
	enum mf_status status = mf_runtime_open(&options, &app.runtime, &app.error);
	if (status == MF_OK)
		status = run(&app);
	if (status != MF_OK)
		g_printerr("%s: %s\n", mf_status_name(status), app.error.message);
	enum mf_status closed = mf_runtime_close(app.runtime, MF_WAIT_FOREVER, &close_error);
	if (closed != MF_OK)
		g_printerr("%s: %s\n", mf_status_name(closed), close_error.message);
	g_main_loop_unref(app.loop);
	return status != MF_OK || closed != MF_OK;
}
