/* with_runtime.c - the short way: mf_runtime, configured by plugins.json.
 *
 * usage: with_runtime PLUGINS_JSON DATA_DIR
 * Run it again: the price is stored once, and undo and redo of the first run are still there. */
#include <moduforge/runtime.h>
#include <stdio.h>

#define INSERT "{\"parent\":\"root\",\"node\":{\"id\":\"p1\",\"type\":\"price\",\"attrs\":{\"price\":\"9.95\"}}}"

static enum mf_status store_price(struct mf_runtime *runtime, struct mf_error *error)
{
	struct mf_transaction *transaction;
	int64_t lsn;
	enum mf_status status = mf_transaction_new(&transaction);
	if (status != MF_OK)
		return mf_error_set(error, status, "no memory for a transaction");
	status = mf_transaction_set_key(transaction, "order-17", error); /* so that trying again is safe */
	if (status == MF_OK)
		status = mf_transaction_add_json(transaction, mf_runtime_steps(runtime), "insert_node", INSERT, error);
	if (status == MF_OK)
		status = mf_runtime_commit(runtime, "catalogue", transaction, &lsn, error);
	mf_transaction_free(transaction);
	if (status == MF_OK)
		printf("stored at LSN %lld\n", (long long)lsn);
	if (status != MF_ERR_DUPLICATE_KEY || !error->same)
		return status;
	printf("stored before, at LSN %lld\n", (long long)error->lsn);
	return MF_OK;
}

static enum mf_status undo_and_redo(struct mf_runtime *runtime, struct mf_error *error)
{
	int64_t lsn;
	enum mf_status status = mf_runtime_undo(runtime, "catalogue", 1, "ann", NULL, &lsn, error);
	return status == MF_OK ? mf_runtime_redo(runtime, "catalogue", 1, "ann", NULL, &lsn, error) : status;
}

static enum mf_status show_price(struct mf_runtime *runtime, struct mf_error *error)
{
	struct mf_state *state;
	char *json = NULL;
	enum mf_status status = mf_runtime_state(runtime, "catalogue", &state, error);
	if (status != MF_OK)
		return status;
	const struct mf_node *node = mf_doc_find(mf_state_doc(state), "p1", 2);
	const struct mf_value *price = node ? mf_node_attr(node, "price", 5) : NULL;
	if (price && (status = mf_value_to_json(price, &json, NULL)) == MF_OK)
		printf("LSN %lld: price %s\n", (long long)mf_state_lsn(state), json);
	mf_free(json);
	mf_state_unref(state);
	return status == MF_OK ? MF_OK : mf_error_set(error, status, "no memory to print the price");
}

int main(int argc, char **argv)
{
	struct mf_runtime_options options = {.config_path = argc > 1 ? argv[1] : "plugins.json", .data_dir = argc > 2 ? argv[2] : NULL};
	struct mf_runtime *runtime;
	struct mf_error error = {0}, close_error = {0};
	enum mf_status status = mf_runtime_open(&options, &runtime, &error);
	if (status == MF_OK) {
		status = store_price(runtime, &error);
		if (status == MF_OK)
			status = undo_and_redo(runtime, &error);
		if (status == MF_OK)
			status = show_price(runtime, &error);
		if (mf_runtime_close(runtime, MF_WAIT_FOREVER, &close_error) != MF_OK && status == MF_OK) {
			status = close_error.status;
			error = close_error;
		}
	}
	if (status != MF_OK)
		fprintf(stderr, "%s: %s\n", mf_status_name(status), error.message);
	return status != MF_OK;
}
