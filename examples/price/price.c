/* price.c - a price list that loses nothing: a small, whole application on moduforge/runtime.h.
 *
 * usage: price insert ID PRICE UNIT [KEY] | update ID PRICE [KEY] | delete ID [KEY] | undo [KEY] | list
 *        price -            the same commands from standard input, one a line, words divided by blanks
 *
 * A command is one transaction on the document that plugins.json names, and stored when its line is printed. KEY makes it safe to
 * repeat: the same command with the same key happens once, whatever was killed in between. PRICE is a decimal and stays the text it
 * is: a float would make 9.95 something else. PRICE_CONFIG is the path of the configuration, ./plugins.json if not set. */
#define _POSIX_C_SOURCE 200809L /* getline, clock_gettime */
#include <moduforge/runtime.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define ATTEMPTS 3
#define DIGITS "0123456789"
static const char usage[] = "insert ID PRICE UNIT [KEY] | update ID PRICE [KEY] | delete ID [KEY] | undo [KEY] | list; PRICE is a decimal such as 9.95";

struct command {
	const char *key, *verb, *id, *price, *unit;
};

/* ---- the runtime: opened again after a failure that stopped it ---- */
static enum mf_status setup_persistence(struct mf_runtime **out, struct mf_error *error)
{
	const char *path = getenv("PRICE_CONFIG");
	struct mf_runtime_options options = {.config_path = path ? path : "plugins.json"};
	struct mf_state *state;
	enum mf_status status = mf_runtime_open(&options, out, error); /* recovers the document too */
	if (status == MF_OK)
		status = mf_runtime_state(*out, NULL, &state, error);
	if (status != MF_OK)
		return status;
	size_t prices = mf_doc_node_count(mf_state_doc(state)) - 1;
	if (mf_state_lsn(state) > 0)
		fprintf(stderr, "recovered %s: %zu price%s, LSN %lld\n", mf_runtime_default_doc(*out), prices, prices == 1 ? "" : "s", (long long)mf_state_lsn(state));
	mf_state_unref(state);
	return MF_OK;
}

/* ---- one command, one transaction ---- */
static enum mf_status add_step(const struct mf_runtime *runtime, const struct command *command, struct mf_transaction *transaction, struct mf_error *error)
{
	const struct mf_step_registry *steps = mf_runtime_steps(runtime);
	if (strcmp(command->verb, "insert") == 0)
		return mf_transaction_add_format(transaction, steps, "insert_node", error,
						 "{\"parent\":\"root\",\"node\":{\"id\":%s,\"type\":\"price\",\"attrs\":{\"price\":%s,\"unit\":%s}}}", command->id, command->price, command->unit);
	if (strcmp(command->verb, "update") == 0)
		return mf_transaction_add_format(transaction, steps, "update_attrs", error, "{\"id\":%s,\"set\":{\"price\":%s}}", command->id, command->price);
	return mf_transaction_add_format(transaction, steps, "delete_node", error, "{\"id\":%s}", command->id);
}

static enum mf_status commit(struct mf_runtime *runtime, const struct command *command, int64_t *out_lsn, struct mf_error *error)
{
	struct mf_transaction *transaction;
	if (strcmp(command->verb, "undo") == 0)
		return mf_runtime_undo(runtime, NULL, 1, NULL, command->key, out_lsn, error);
	if (mf_transaction_new(&transaction) != MF_OK)
		return mf_error_set(error, MF_ERR_NO_MEMORY, "no memory for a transaction");
	enum mf_status status = mf_transaction_set_key(transaction, command->key, error);
	if (status == MF_OK)
		status = add_step(runtime, command, transaction, error);
	if (status == MF_OK)
		status = mf_runtime_commit(runtime, NULL, transaction, out_lsn, error); /* NULL: the default document */
	mf_transaction_free(transaction);
	return status;
}

/* Trying again is safe because of the key: what an earlier try has stored is a duplicate with the same content. */
static enum mf_status execute(struct mf_runtime **runtime, const struct command *command, struct mf_error *error)
{
	enum mf_status status = MF_OK;
	int64_t lsn = 0;
	for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
		mf_error_clear(error);
		status = *runtime ? MF_OK : setup_persistence(runtime, error);
		if (status == MF_OK)
			status = commit(*runtime, command, &lsn, error);
		if (status == MF_ERR_UNKNOWN_OUTCOME)
			mf_runtime_close(*runtime, MF_WAIT_FOREVER, NULL), *runtime = NULL; /* only a store opened anew knows what it has */
		else if (status != MF_ERR_BUSY && status != MF_ERR_NO_MEMORY)
			break; /* done, or no better the next time */
	}
	if (status == MF_ERR_DUPLICATE_KEY && error->same)
		printf("%s: stored before, at LSN %lld\n", command->verb, (long long)error->lsn);
	else if (status == MF_OK)
		printf("%s: stored at LSN %lld\n", command->verb, (long long)lsn);
	fflush(stdout);
	return status == MF_ERR_DUPLICATE_KEY && error->same ? MF_OK : status;
}

static const char *text_of(const struct mf_node *node, const char *attribute)
{
	const struct mf_value *value = mf_node_attr(node, attribute, strlen(attribute));
	const char *text = value && mf_value_kind(value) == MF_VALUE_STRING ? mf_value_string_flat(value) : NULL;
	return text ? text : "?";
}

static enum mf_status list(struct mf_runtime **runtime, struct mf_error *error)
{
	struct mf_state *state; /* never changes: what others commit meanwhile is a new state */
	enum mf_status status = *runtime ? MF_OK : setup_persistence(runtime, error);
	if (status == MF_OK)
		status = mf_runtime_state(*runtime, NULL, &state, error);
	if (status != MF_OK)
		return status;
	const struct mf_doc *doc = mf_state_doc(state);
	const struct mf_node *root = mf_doc_root(doc), *node;
	for (size_t i = 0; (node = mf_doc_child(doc, root, i)); i++)
		printf("%s %s %s\n", mf_node_id(node, NULL), text_of(node, "price"), text_of(node, "unit"));
	mf_state_unref(state);
	return MF_OK;
}

/* ---- words to commands ---- */
static bool is_decimal(const char *text)
{
	size_t whole = strspn(text, DIGITS), point = text[whole] == '.', part = point ? strspn(text + whole + 1, DIGITS) : 0;
	return whole > 0 && part >= point && text[whole + point + part] == '\0';
}

static bool parse(char **words, int count, struct command *out)
{
	static const struct {
		const char *verb;
		int operands;
	} verbs[] = {{"insert", 3}, {"update", 2}, {"delete", 1}, {"undo", 0}, {"list", 0}};
	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
		int n = verbs[i].operands, has_key = count == n + 2;
		if (count < n + 1 || count > n + 2 || strcmp(words[0], verbs[i].verb) != 0)
			continue;
		*out = (struct command){.key = has_key ? words[n + 1] : NULL, .verb = words[0], .id = n > 0 ? words[1] : "", .price = n > 1 ? words[2] : "0", .unit = n > 2 ? words[3] : ""};
		return is_decimal(out->price) && strcmp(out->id, MF_ROOT_ID) != 0;
	}
	return false;
}

/* One that nobody has used, made before the first attempt: user, operation, time. */
static void make_key(const struct command *command, char *out, size_t size)
{
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	snprintf(out, size, "%d-%s-%lld.%09ld", (int)getuid(), command->verb, (long long)now.tv_sec, now.tv_nsec);
}

/* What a failure means to the person in front of it. */
static enum mf_status explain(enum mf_status status, const struct mf_error *error)
{
	if (status == MF_ERR_DUPLICATE_KEY)
		fprintf(stderr, "this key has stored something else, at LSN %lld: take a new key\n", (long long)error->lsn);
	else if (status == MF_ERR_STORAGE_FULL)
		fprintf(stderr, "ALERT: the disk is full. Nothing is lost and reading goes on; free some space and repeat the command\n");
	else if (status == MF_ERR_CORRUPTED)
		fprintf(stderr, "the data is damaged: %s\n'mf verify' shows what; restore a backup\n", error->message);
	else if (status != MF_OK)
		fprintf(stderr, "%s: %s\n", mf_status_name(status), error->message);
	return status;
}

static enum mf_status perform(struct mf_runtime **runtime, char **words, int count)
{
	char key[100];
	struct command command = {0};
	struct mf_error error = {0};
	if (!parse(words, count, &command))
		return explain(mf_error_set(&error, MF_ERR_INVALID, "%s; usage: price %s", command.verb ? "a wrong PRICE or ID" : "no such command with so many words", usage), &error);
	if (strcmp(command.verb, "list") == 0)
		return explain(list(runtime, &error), &error);
	make_key(&command, key, sizeof(key));
	command.key = command.key ? command.key : key;
	return explain(execute(runtime, &command, &error), &error);
}

static enum mf_status perform_lines(struct mf_runtime **runtime)
{
	char *line = NULL, *words[8];
	size_t size = 0;
	enum mf_status status = MF_OK;
	while (status == MF_OK && getline(&line, &size, stdin) >= 0) { /* the first failure ends it: later lines may build on that one */
		int count = 0;
		for (char *word = strtok(line, " \t\n"); word && count < 8; word = strtok(NULL, " \t\n"))
			words[count++] = word;
		status = count > 0 ? perform(runtime, words, count) : MF_OK;
	}
	free(line);
	return status;
}

int main(int argc, char **argv)
{
	struct mf_runtime *runtime = NULL;
	struct mf_error error = {0};
	enum mf_status status = argc == 2 && strcmp(argv[1], "-") == 0 ? perform_lines(&runtime) : perform(&runtime, argv + 1, argc - 1);
	if (runtime && mf_runtime_close(runtime, MF_WAIT_FOREVER, &error) != MF_OK)
		status = explain(error.status, &error);
	return status != MF_OK;
}
