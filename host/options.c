#include "host/options.h"

#include <string.h>

#define FIELD(name) offsetof(struct mf_args, name)

const struct mf_option mf_options[] = {
	{"--input", "FILE", MF_ARG_INPUT, MF_WORD_FILE, FIELD(input), "read from FILE instead of standard input"},
	{"--acks", "none|all", MF_ARG_ACKS, MF_WORD_CHOICE, FIELD(acks), "answer every line (the default), or none: then failures go to standard error"},
	{"--doc", "D", MF_ARG_DOC, MF_WORD_TEXT, FIELD(doc), "the document"},
	{"--at-lsn", "N", MF_ARG_AT_LSN, MF_WORD_NUMBER, FIELD(at_lsn), "as it was just after LSN N"},
	{"--digest", NULL, MF_ARG_DIGEST, MF_WORD_NONE, 0, "print only the digest of the tree, in lower-case hex"},
	{"--since", "N", MF_ARG_SINCE, MF_WORD_NUMBER, FIELD(since), "only events after LSN N"},
	{"--limit", "N", MF_ARG_LIMIT, MF_WORD_NUMBER, FIELD(limit), "at most N events"},
	{"--accept-loss", NULL, MF_ARG_ACCEPT_LOSS, MF_WORD_NONE, 0, "if synced events were lost: record that, so that the store can be written again"},
	{"--mode", "M", MF_ARG_MODE, MF_WORD_TEXT, FIELD(mode), "commit mode, instead of the configuration's: memory, async, async:MS, sync"},
	{"--config", "FILE", MF_ARG_CONFIG, MF_WORD_FILE, FIELD(config),
	 "plugins.json (default: the one here, else that of the build or the installation)"},
	{"--data", "DIR", MF_ARG_DATA, MF_WORD_DIRECTORY, FIELD(data), "the store's directory, instead of the configuration's"},
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
