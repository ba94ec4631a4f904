#include "host/options.h"

#include <string.h>

#define FIELD(name) offsetof(struct mf_args, name)

const struct mf_option mf_options[] = {
	{.name = "--input", .value = "FILE", .bit = MF_ARG_INPUT, .kind = MF_WORD_FILE, .place = FIELD(input),
	 .help = "read from FILE instead of standard input"},
	{.name = "--acks", .value = "none|all", .bit = MF_ARG_ACKS, .kind = MF_WORD_CHOICE, .place = FIELD(acks),
	 .help = "answer every line (the default), or none: then failures go to standard error"},
	{.name = "--doc", .value = "D", .bit = MF_ARG_DOC, .kind = MF_WORD_TEXT, .place = FIELD(doc),
	 .help = "the document"},
	{.name = "--at-lsn", .value = "N", .bit = MF_ARG_AT_LSN, .kind = MF_WORD_NUMBER, .place = FIELD(at_lsn),
	 .help = "as it was just after LSN N"},
	{.name = "--digest", .bit = MF_ARG_DIGEST,
	 .help = "print only the digest of the tree, in lower-case hex (with --json as an object)"},
	{.name = "--synced", .bit = MF_ARG_SYNCED,
	 .help = "only what is known to be on the device, and so survives a power loss"},
	{.name = "--since", .value = "N", .bit = MF_ARG_SINCE, .kind = MF_WORD_NUMBER, .place = FIELD(since),
	 .help = "only events after LSN N"},
	{.name = "--limit", .value = "N", .bit = MF_ARG_LIMIT, .kind = MF_WORD_NUMBER, .place = FIELD(limit),
	 .help = "at most N events"},
	{.name = "--accept-loss", .bit = MF_ARG_ACCEPT_LOSS,
	 .help = "if synced events were lost: record that, so that the store can be written again"},
	{.name = "--keep", .value = "N", .bit = MF_ARG_KEEP, .kind = MF_WORD_NUMBER, .place = FIELD(keep), .least = 1, .most = 1000,
	 .help = "keep the newest N snapshots (1 to 1000), instead of the configuration's keep_snapshots"},
	{.name = "--vacuum", .bit = MF_ARG_VACUUM,
	 .help = "then give unused space back to the file system"},
	{.name = "--no-proof", .bit = MF_ARG_NO_PROOF,
	 .help = "do not restore the backup to compare it"},
	{.name = "--mode", .value = "M", .bit = MF_ARG_MODE, .kind = MF_WORD_TEXT, .place = FIELD(mode),
	 .help = "commit mode, instead of the configuration's: memory, async, async:MS, sync"},
	{.name = "--follow", .bit = MF_ARG_FOLLOW,
	 .help = "then wait for more events, until a signal ends it"},
	{.name = "--interval", .value = "MS", .bit = MF_ARG_INTERVAL, .kind = MF_WORD_NUMBER, .place = FIELD(interval_ms), .least = 10, .most = 60000,
	 .help = "with --follow: look for events every MS milliseconds (10 to 60000, default 200)"},
	{.name = "--format", .value = "text|json|prometheus", .bit = MF_ARG_FORMAT, .kind = MF_WORD_CHOICE, .place = FIELD(format),
	 .help = "how the report is written (default text)"},
	{.name = "--man", .bit = MF_ARG_MAN,
	 .help = "the man page, in mdoc"},
	{.name = "--completion", .value = "bash|zsh|fish", .bit = MF_ARG_COMPLETION, .kind = MF_WORD_CHOICE, .place = FIELD(completion),
	 .help = "the completion for a shell"},
	{.name = "--full", .bit = MF_ARG_FULL,
	 .help = "check everything that is stored, not only a sample"},
	{.name = "--table", .bit = MF_ARG_TABLE,
	 .help = "a table, also where standard output is no terminal"},
	{.name = "--json", .bit = MF_ARG_JSON,
	 .help = "JSON lines, also where standard output is a terminal"},
	{.name = "--config", .value = "FILE", .bit = MF_ARG_CONFIG, .kind = MF_WORD_FILE, .place = FIELD(config),
	 .help = "the configuration (default: the plugins.json here, else that of the build or the installation)"},
	{.name = "--data", .value = "DIR", .bit = MF_ARG_DATA, .kind = MF_WORD_DIRECTORY, .place = FIELD(data),
	 .help = "the store's directory, instead of the configuration's"},
	{0},
};

bool mf_option_allows(const struct mf_option *option, const char *value)
{
	size_t len = strlen(value);
	for (const char *word = option->value; word; word = strchr(word, '|')) {
		word += *word == '|';
		if (strncmp(word, value, len) == 0 && (word[len] == '\0' || word[len] == '|'))
			return true;
	}
	return false;
}
