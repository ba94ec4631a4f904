/* ledger_say.c - the lines, as a run says them. On the stack, without an allocation. */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "ledger.h"

void ledger_line_to_fd(void *user, const char *line, size_t len)
{
	int fd = (int)(intptr_t)user;
	while (len > 0) {
		ssize_t written = write(fd, line, len);
		if (written < 0 && errno == EINTR)
			continue;
		if (written < 0)
			return;
		line += written;
		len -= (size_t)written;
	}
}

static void say(const struct ledger_out *out, const char *format, ...) MF_PRINTF(2, 3);

static void say(const struct ledger_out *out, const char *format, ...)
{
	char line[512];
	va_list args;
	va_start(args, format);
	int len = vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	if (len > 0 && (size_t)len < sizeof(line))
		out->line(out->user, line, (size_t)len);
}

bool ledger_state_of(const struct mf_state *state, struct ledger_state *out)
{
	out->undo = (uint32_t)mf_state_undo_depth(state);
	out->redo = (uint32_t)mf_state_redo_depth(state);
	out->known = mf_doc_digest(mf_state_doc(state), &out->digest) == MF_OK;
	return out->known;
}

struct state_text {
	char text[MF_DIGEST_HEX + 32];
};

static struct state_text text_of(const struct ledger_state *state)
{
	struct state_text out = {"-"};
	char hex[MF_DIGEST_HEX + 1];
	if (!state->known)
		return out;
	mf_digest_hex(&state->digest, hex);
	snprintf(out.text, sizeof(out.text), "%s %" PRIu32 " %" PRIu32, hex, state->undo, state->redo);
	return out;
}

void ledger_say_opening(const struct ledger_out *out, enum mf_commit_kind mode)
{
	say(out, "o %d\n", (int)mode);
}

void ledger_say_opened(const struct ledger_out *out, enum mf_commit_kind mode, int64_t epoch, int64_t last_lsn)
{
	say(out, "O %d %" PRId64 " %" PRId64 "\n", (int)mode, epoch, last_lsn);
}

void ledger_say_submitted(const struct ledger_out *out, const struct ledger_item *item)
{
	say(out, "S %" PRIu64 " %" PRIu32 " %" PRIu32 " %d %d %s %s %s\n", item->batch, item->index, item->count, (int)item->action,
	    (int)item->mode, item->doc, item->key, text_of(&item->after).text);
}

void ledger_say_ended(const struct ledger_out *out, uint64_t batch, enum ledger_level level, int64_t last_lsn)
{
	say(out, "E %" PRIu64 " %d %" PRId64 "\n", batch, (int)level, last_lsn);
}

void ledger_say_synced(const struct ledger_out *out, int64_t lsn)
{
	say(out, "Y %" PRId64 "\n", lsn);
}

void ledger_say_seen(const struct ledger_out *out, const char *doc, int64_t lsn, const struct ledger_state *state)
{
	say(out, "V %s %" PRId64 " %s\n", doc, lsn, text_of(state).text);
}

void ledger_say_handled(const struct ledger_out *out, const char *follower, bool synced_only, int64_t lsn, const char *key)
{
	say(out, "H %s %d %" PRId64 " %s\n", follower, synced_only, lsn, key);
}

void ledger_say_placed(const struct ledger_out *out, const char *follower, int64_t lsn)
{
	say(out, "P %s %" PRId64 "\n", follower, lsn);
}

void ledger_say_snapshot(const struct ledger_out *out, const char *doc, int64_t upto_lsn)
{
	say(out, "N %s %" PRId64 "\n", doc, upto_lsn);
}

void ledger_say_compacting(const struct ledger_out *out, const char *doc)
{
	say(out, "c %s\n", doc);
}

void ledger_say_compacted(const struct ledger_out *out, const char *doc, int64_t upto_lsn)
{
	say(out, "C %s %" PRId64 "\n", doc, upto_lsn);
}

void ledger_say_backing_up(const struct ledger_out *out, const char *file, int64_t at_least)
{
	say(out, "b %s %" PRId64 "\n", file, at_least);
}

void ledger_say_backed_up(const struct ledger_out *out, const char *file, int64_t lsn)
{
	say(out, "B %s %" PRId64 "\n", file, lsn);
}

void ledger_say_closed(const struct ledger_out *out, enum mf_status status)
{
	say(out, "X %d\n", (int)status);
}

void ledger_say_power_lost(const struct ledger_out *out)
{
	say(out, "Z\n");
}
