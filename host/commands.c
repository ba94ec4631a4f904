/* commands.c - one row a command; docs/cli.md describes their formats. */
#include "host/commands.h"

const struct mf_command mf_commands[] = {
	{
		.name = "run",
		.options = MF_ARG_INPUT | MF_ARG_ACKS | MF_ARG_MODE,
		.run = mf_cmd_run,
		.group = "Write",
		.help = "Commit transactions, one JSON object a line; answer each line",
		.detail = "A line is {\"doc\":\"d\",\"key\":\"k1\",\"steps\":[...]}, or {\"doc\":\"d\",\"op\":\"undo\"}; op is undo, redo, snapshot or compact. "
			  "A step is, say, {\"type_id\":\"insert_node\",\"data\":{\"parent\":\"root\",\"node\":{\"id\":\"a\",\"type\":\"p\"}}}; "
			  "The plugins that mf plugin list shows bring the types of steps. The store is made where there is none.\n"
			  "An answer is printed only once the line is stored as the commit mode promises. A line with a key may be sent again after any failure: "
			  "it is stored once. The first storage error stops the run.",
		.examples = {{"mf run --data shop --input lines.json", "commit the lines of a file"},
			     {"echo '{\"doc\":\"d\",\"op\":\"undo\"}' | mf run --data shop", "undo the last change of a document"}},
	},
	{
		.name = "compact",
		.options = MF_ARG_DOC | MF_ARG_KEEP | MF_ARG_VACUUM | MF_ARGS_LISTING,
		.run = mf_cmd_compact,
		.group = "Write",
		.help = "Delete events that snapshots have made unnecessary",
		.detail = "Only events up to the oldest of the newest keep_snapshots snapshots are deleted; with fewer snapshots nothing is, unless --keep asks for fewer. "
			  "Keys stay known, and undo stays as deep as it was. Without --doc all documents are compacted.\n"
			  "The space that becomes free is used again by what is written next; with --vacuum the file shrinks, which rewrites what is left of it.",
		.examples = {{"mf compact --data shop", "compact every document"},
			     {"mf compact --data shop --keep 1", "to the newest snapshot of each"},
			     {"mf compact --data shop --vacuum", "and make the file smaller"}},
	},
	{
		.name = "docs",
		.options = MF_ARGS_LISTING,
		.run = mf_cmd_docs,
		.group = "Read",
		.help = "List the documents",
		.detail = "With the LSN of the last event, and how many events and snapshots are stored.",
		.examples = {{"mf docs --data shop", "see what there is"}},
	},
	{
		.name = "state",
		.options = MF_ARG_DOC | MF_ARG_AT_LSN | MF_ARG_SYNCED | MF_ARG_DIGEST,
		.needs = MF_ARG_DOC,
		.run = mf_cmd_state,
		.group = "Read",
		.help = "Print a document as canonical JSON",
		.detail = "With --at-lsn as it was after that event: any moment whose events are still stored. Equal trees have equal digests, whatever way led there.",
		.examples = {{"mf state --data shop --doc d", "the document as it is"},
			     {"mf state --data shop --doc d --at-lsn 40", "as it was after event 40"}},
	},
	{
		.name = "log",
		.options = MF_ARG_DOC | MF_ARG_SINCE | MF_ARG_LIMIT | MF_ARG_SYNCED | MF_ARG_FOLLOW | MF_ARG_INTERVAL | MF_ARGS_LISTING,
		.run = mf_cmd_log,
		.group = "Read",
		.help = "Print the events of a document, or of all, decoded",
		.detail = "In the order of their LSNs: who did what and when, with every step. Events that compaction has deleted are not there.\n"
			  "With --follow it goes on with each event as it is committed by a program that writes the store, until it gets SIGINT or SIGTERM, has "
			  "printed --limit events, or nobody reads its output any more.",
		.examples = {{"mf log --data shop --doc d --since 40", "what came to a document after event 40"},
			     {"mf log --data shop --follow --json | jq .steps", "every step as it is committed"}},
	},
	{
		.name = "snapshots",
		.options = MF_ARG_DOC | MF_ARGS_LISTING,
		.run = mf_cmd_snapshots,
		.group = "Read",
		.help = "List the snapshots",
		.detail = "Newest first within a document.",
		.examples = {{"mf snapshots --data shop --doc d", "those of one document"}},
	},
	{
		.name = "metrics",
		.options = MF_ARG_FORMAT,
		.run = mf_cmd_metrics,
		.group = "Read",
		.help = "Report what the store has done, and how fast",
		.detail = "Totals are of now. Latencies and other counters are those of the program that writes the store: it saves them once a second "
			  "while it works, and when it closes; the report says when. How long a recovery takes now, mf recover measures.",
		.examples = {{"mf metrics --data shop", "the report for people"}, {"mf metrics --data shop --format prometheus", "for a monitoring system"}},
	},
	{
		.name = "verify",
		.options = MF_ARG_ACCEPT_LOSS | MF_ARGS_LISTING,
		.run = mf_cmd_verify,
		.group = "Check and repair",
		.help = "Check everything that is stored",
		.detail = "Checksums, the chain of each document, indexes and keys against the events, the watermark; then every event and every "
			  "snapshot is decoded. Exit 1 when something is found. Without --accept-loss nothing is changed.\n"
			  "A store that has lost synced events can be read and written again only after the loss was accepted. Restore a backup rather, if there is one.",
		.examples = {{"mf verify --data shop", "say whether all is well"}},
	},
	{
		.name = "health",
		.options = MF_ARG_FULL,
		.run = mf_cmd_health,
		.group = "Check and repair",
		.help = "Say whether the store is well",
		.detail = "Does it answer, is there room on its device, has writing stopped, does the log grow, is a sample of its data intact. "
			  "Exit 0: healthy; 1: a warning, or there is no store; 3: critical or unhealthy.",
		.examples = {{"mf health --data shop --json", "for a monitoring system"}, {"mf health --data shop --full", "check everything, as mf verify does"}},
	},
	{
		.name = "recover",
		.options = MF_ARG_DOC | MF_ARGS_LISTING,
		.run = mf_cmd_recover,
		.group = "Check and repair",
		.help = "Recover every document, or one, and tell how",
		.detail = "From which snapshot, with how many events, in what time, to what digest. Nothing is changed.",
		.examples = {{"mf recover --data shop", "how long would an opening take?"}},
	},
	{
		.name = "backup",
		.options = MF_ARGS_LISTING | MF_ARG_NO_PROOF,
		.run = mf_cmd_backup,
		.group = "Back up",
		.help = "Write the store to one file, while others use it, and prove it",
		.detail = "FILE must not exist yet; it gets its name only when it is complete and on the device. Then it is restored beside itself, every document is "
			  "recovered from it and from the store, and their digests are compared; that needs room for another copy, for as long as it takes.",
		.operands = {{"FILE", MF_WORD_FILE, false, "the backup to write"}},
		.examples = {{"mf backup --data shop monday.backup", "back up a store, whoever uses it"}},
	},
	{
		.name = "restore",
		.options = MF_ARGS_LISTING | MF_ARG_AT_LSN,
		.needs = MF_ARG_DATA,
		.run = mf_cmd_restore,
		.group = "Back up",
		.help = "Make a new store from a backup",
		.detail = "The directory given with --data is new, or empty. Everything is verified before it gets its name; then every document is recovered and listed. "
			  "With --at-lsn what came after that event is left out, and its keys are free again.",
		.operands = {{"FILE", MF_WORD_FILE, false, "the backup"}},
		.examples = {{"mf restore monday.backup --data shop-of-monday", "all that the backup has"},
			     {"mf restore monday.backup --data before --at-lsn 40", "as it was after event 40"}},
	},
	{
		.name = "plugin list",
		.options = MF_ARGS_LISTING,
		.run = mf_cmd_plugin_list,
		.group = "About the program",
		.help = "List the plugins that the configuration loads",
		.detail = "And those that were skipped, with the reason. No store is opened.",
		.examples = {{"mf plugin list --config plugins.json", "what a configuration brings"}},
	},
	{
		.name = "help",
		.options = MF_ARG_MAN | MF_ARG_COMPLETION,
		.run = mf_cmd_help,
		.group = "About the program",
		.help = "Explain the program, or a command",
		.detail = "Or print what installers and packagers want: the man page, the completion for a shell, or with --json an object for each command.",
		.operands = {{"COMMAND", MF_WORD_COMMAND, true, "the command to explain, of one word or two"}},
		.examples = {{"mf help log", "the options of mf log"},
			     {"source <(mf help --completion bash)", "completion for the bash that is running"}},
	},
	{0},
};
