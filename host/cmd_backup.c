/* cmd_backup.c - mf backup FILE: the store as one file while others write to it, then the proof that it is one. */
#include "host/commands.h"
#include "host/interrupt.h"
#include "host/listing.h"
#include "host/proof.h"
#include "host/session.h"
#include "host/say.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static struct mf_output out;

static const struct mf_column columns[] = {
	{"file", "FILE", MF_COLUMN_TEXT, NULL},
	{"lsn", "LSN", MF_COLUMN_INT, NULL},
	{"events", "EVENTS", MF_COLUMN_INT, NULL},
	{"documents", "DOCUMENTS", MF_COLUMN_INT, NULL},
	{"bytes", "SIZE", MF_COLUMN_BYTES, NULL},
	{"proved", "PROVED", MF_COLUMN_BOOL, NULL},
	{"ms", "MS", MF_COLUMN_DECIMAL, NULL},
	{0},
};

static double now_ms(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec * 1000 + (double)now.tv_nsec / 1e6;
}

static void print(const struct mf_args *args, const struct mf_backup_info *info, bool proved, double ms)
{
	struct mf_listing listing;
	char text[48];
	snprintf(text, sizeof(text), "%.3f", ms);
	mf_listing_init(&listing, args, &out, columns);
	mf_listing_row(&listing, (const struct mf_cell[]){
					 {.text = args->operands[0]},
					 {.number = info->lsn},
					 {.number = info->events},
					 {.number = info->documents},
					 {.number = info->bytes},
					 {.number = proved, .tone = proved ? MF_TONE_GOOD : MF_TONE_WARNING},
					 {.text = text},
				 });
	mf_listing_end(&listing);
}

/* A file that is not what the store was must not be taken for a backup; one that could not be looked at may be one. */
static enum mf_exit not_proved(const char *file, enum mf_status status, const struct mf_error *error)
{
	enum mf_exit code = mf_fail(status, error);
	if (status != MF_ERR_CORRUPTED)
		mf_say("%s is written, but could not be proved; when the cause is gone, restore it to see, or make another", file);
	else if (remove(file) == 0)
		mf_say("%s was removed: it is no backup. With --no-proof the store is copied as damaged as it is", file);
	else
		mf_say("%s is no backup, and could not be removed (%s): remove it. With --no-proof the store is copied as damaged as it is", file, strerror(errno));
	return code;
}

static enum mf_exit back_up(const struct mf_args *args, struct mf_runtime *runtime)
{
	const char *file = args->operands[0];
	bool prove = !(args->given & MF_ARG_NO_PROOF);
	struct mf_error error = {0};
	struct mf_progress progress;
	struct mf_backup_info info;
	struct mf_proof proof = {0};
	double begun = now_ms();
	mf_interrupt_catch();
	mf_progress_init(&progress, "MiB written");
	enum mf_status status = mf_store_backup(mf_runtime_store(runtime), file, mf_show_bytes, &progress, &info, &error);
	mf_progress_hide();
	if (status != MF_OK)
		return mf_fail(status, &error);
	if (prove)
		status = mf_prove_backup(args, runtime, file, &info, &proof, &error);
	if (status != MF_OK)
		return not_proved(file, status, &error);
	if (proof.uncompared > 0)
		mf_say("warning: %lld documents were recovered from the backup but not compared: they were compacted meanwhile", (long long)proof.uncompared);
	print(args, &info, prove && proof.uncompared == 0, now_ms() - begun);
	return MF_EXIT_OK;
}

/* Without a proof nobody relies on it, so a damaged store is copied too: as far as it can be read, and not without a word. */
static enum mf_exit open_store(const struct mf_args *args, struct mf_runtime **out_runtime)
{
	struct mf_error error = {0};
	enum mf_status status = mf_session_try(args, MF_SESSION_READ, out_runtime, &error);
	if (status == MF_OK)
		return MF_EXIT_OK;
	if (status != MF_ERR_CORRUPTED || !(args->given & MF_ARG_NO_PROOF))
		return mf_open_failed(args, status, &error);
	mf_say("warning: %s. It is copied as damaged as it is", error.message);
	return mf_session_open(args, MF_SESSION_INSPECT, out_runtime);
}

enum mf_exit mf_cmd_backup(const struct mf_args *args)
{
	struct mf_runtime *runtime;
	enum mf_exit code = open_store(args, &runtime);
	if (code != MF_EXIT_OK)
		return code;
	mf_output_init(&out, STDOUT_FILENO);
	code = back_up(args, runtime);
	return mf_session_close(runtime, &out, code);
}
