/* mdoc.c - the man page, in mdoc(7): read by mandoc and by groff. A sentence begins a line there. */
#include <stdio.h>
#include <string.h>

#include "host/manual/manual.h"
#include "host/synopsis.h"
#include "host/visible.h"

#ifndef MF_VERSION
#define MF_VERSION "unknown"
#endif
#define DATE "November 27, 2026" /* of its last change that a reader would notice */

/* ---- text ---- */
static void print_character(const char *at, size_t len, unsigned code, char before)
{
	if (code == '\\')
		fputs("\\e", stdout);
	else if (code == '-' && !(before >= 'a' && before <= 'z')) /* of an option, not of a compound */
		fputs("\\-", stdout);
	else if ((code == '.' || code == '\'') && before == '\n') /* would be a request */
		printf("\\&%c", (char)code);
	else if (code > 0x7E)
		printf("\\[u%04X]", code);
	else
		fwrite(at, 1, len, stdout);
}

/* Ends with a newline; a newline of the text is a paragraph. */
static void print_text(const char *text)
{
	char before = '\n';
	while (*text) {
		unsigned code = 0;
		size_t len = mf_utf8_next(text, &code);
		bool sentence = code == ' ' && strchr(".!?", before) && before != '\0';
		if (code == '\n')
			fputs("\n.Pp\n", stdout);
		else if (sentence)
			putchar('\n');
		else
			print_character(text, len, code, before);
		before = code == '\n' || sentence ? '\n' : *text;
		text += len > 0 ? len : 1;
	}
	putchar('\n');
}

/* A clause of a table, as a sentence. */
static void print_clause(const char *clause)
{
	char text[1024];
	snprintf(text, sizeof(text), "%s.", clause);
	if (!strchr("abcdefghijklmnopqrstuvwxyz", clause[0]) || strncmp(clause, "plugins.json", 12) == 0)
		print_text(text);
	else {
		text[0] = (char)(text[0] - 'a' + 'A');
		print_text(text);
	}
}

/* ---- commands ---- */
static void print_word(void *user, const struct mf_synopsis_word *word)
{
	(void)user;
	const char *value = word->option ? word->option->value : word->operand->name;
	fputs(word->optional ? " Oo" : "", stdout);
	if (word->option)
		printf(" Fl -%s", word->option->name + 2);
	if (value)
		printf(" Ar %s", value);
	fputs(word->optional ? " Oc" : "", stdout);
}

static void print_command(const struct mf_command *command)
{
	printf(".It Cm %s", command->name);
	mf_synopsis_each(command, print_word, NULL);
	putchar('\n');
	print_clause(command->help);
	if (!command->detail)
		return;
	puts(".Pp");
	print_text(command->detail);
}

static void print_commands(void)
{
	const char *group = "";
	puts(".Sh COMMANDS");
	for (const struct mf_command *command = mf_commands; command->name; command++) {
		if (strcmp(group, command->group) != 0)
			printf("%s.Ss %s\n.Bl -tag -width Ds\n", *group ? ".El\n" : "", command->group);
		group = command->group;
		print_command(command);
	}
	puts(".El");
}

static void print_options(void)
{
	puts(".Sh OPTIONS\nOptions may stand anywhere, as\n.Fl -name Ar value\nor\n.Fl -name Ns = Ns Ar value ;\n"
	     "after\n.Fl -\nthere are none.\nEvery command takes");
	for (const struct mf_option *option = mf_options; option->name; option++)
		if (option->bit & MF_ARGS_COMMON)
			printf(".Fl -%s ,\n", option->name + 2);
	puts("and\n.Fl -help .\n.Bl -tag -width Ds");
	for (const struct mf_option *option = mf_options; option->name; option++) {
		printf(".It Fl -%s%s%s\n", option->name + 2, option->value ? " Ar " : "", option->value ? option->value : "");
		print_clause(option->help);
	}
	puts(".El");
}

static void print_examples(void)
{
	puts(".Sh EXAMPLES");
	for (const struct mf_command *command = mf_commands; command->name; command++) {
		for (const struct mf_example *example = command->examples; example->command; example++) {
			print_clause(example->about);
			puts(".Bd -literal -offset indent");
			print_text(example->command);
			puts(".Ed");
		}
	}
}

/* ---- the page ---- */
static const char head[] =
	".Dt MF 1\n"
	".Os \"ModuForge Persistence " MF_VERSION "\"\n"
	".Sh NAME\n"
	".Nm mf\n"
	".Nd store changes of documents so that none is lost, and look at what is stored\n"
	".Sh SYNOPSIS\n"
	".Nm\n"
	".Ar command\n"
	".Op Ar options\n"
	".Nm\n"
	".Cm help\n"
	".Op Ar command\n"
	".Nm\n"
	".Fl -version\n"
	".Sh DESCRIPTION\n"
	".Nm\n"
	"works on a store: the directory of an append-only event log of documents.\n"
	"Every change of a document is a transaction, stored as an event with a number, its LSN;\n"
	"LSNs count from 1 in the order of the commits of the whole store.\n"
	".Pp\n"
	"One program at a time may write a store; any number may read it meanwhile.\n"
	".Pp\n"
	"What is listed is a table where standard output is a terminal, and JSON lines elsewhere: one object a line.\n"
	"Programs should read the JSON, with\n"
	".Fl -json .\n"
	"Errors and progress are on standard error.\n";

static const char tail[] =
	".Sh ENVIRONMENT\n"
	".Bl -tag -width MF_PLUGIN_PATH\n"
	".It Ev MF_PLUGIN_PATH\n"
	"Directories where plugins are looked for besides those of the configuration, separated by colons.\n"
	".It Ev NO_COLOR\n"
	"If it is set and not empty, tables have no colours.\n"
	".It Ev TERM\n"
	"If it is not set, or is\n"
	".Ql dumb ,\n"
	"there are no colours and no progress.\n"
	".It Ev LC_ALL , LC_CTYPE , LANG\n"
	"Whether a table may have other characters than those of ASCII.\n"
	".It Ev COLUMNS\n"
	"How wide a table may be, where the terminal does not say it.\n"
	".El\n"
	".Sh FILES\n"
	".Bl -tag -width Ds\n"
	".It Pa plugins.json\n"
	"The configuration: the plugins and their options, the directory of the store among them.\n"
	"Without\n"
	".Fl -config\n"
	"it is the one in the current directory, else the one beside the program or above it in a build tree, else the installed one.\n"
	".It Pa store.db , store.db-wal , store.db-shm , watermark , lock\n"
	"A store; they belong together.\n"
	".El\n"
	".Sh EXIT STATUS\n"
	".Bl -tag -width Ds -compact\n"
	".It 0\n"
	"Done.\n"
	".It 1\n"
	"Something failed or was not found, or damage was found.\n"
	".It 2\n"
	"Wrong usage or configuration, or an input that cannot be read.\n"
	".It 3\n"
	"An error of the storage.\n"
	".El\n";

void mf_manual_mdoc(void)
{
	puts(".Dd " DATE);
	fputs(head, stdout);
	print_commands();
	print_options();
	fputs(tail, stdout);
	print_examples();
	puts(".Sh SEE ALSO\n.Xr sqlite3 1");
}
