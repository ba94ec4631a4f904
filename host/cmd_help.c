/* cmd_help.c - `mf help`: the tables as text for people, at most 80 columns wide. */
#include "host/manual/manual.h"
#include "host/session.h"
#include "host/synopsis.h"

#include <stdio.h>
#include <string.h>

#define WIDTH 80
#define HELP_AT 21 /* where the help of an option begins */

/* Characters, not bytes; they are all one column wide here. */
static int columns(const char *text, size_t len)
{
	int count = 0;
	for (size_t i = 0; i < len; i++)
		count += ((unsigned char)text[i] & 0xC0) != 0x80;
	return count;
}

/* Words, broken so that they stay right of indent; begins at column at. A newline of the text is a paragraph. */
static void print_wrapped(const char *text, int indent, int at)
{
	bool first = true;
	while (*text) {
		size_t len = strcspn(text, " \n");
		int width = columns(text, len);
		if (!first && at + 1 + width > WIDTH) {
			printf("\n%*s", indent, "");
			at = indent;
		} else if (!first) {
			putchar(' ');
			at++;
		}
		fwrite(text, 1, len, stdout);
		at += width;
		first = false;
		text += len;
		if (*text == '\n') {
			printf("\n\n%*s", indent, "");
			at = indent;
			first = true;
		}
		text += *text != '\0';
	}
	putchar('\n');
}

/* ---- a command ---- */
static void print_word(void *user, const struct mf_synopsis_word *word)
{
	char text[64];
	int *at = user;
	const char *name = word->option ? word->option->name : word->operand->name;
	const char *value = word->option ? word->option->value : NULL;
	int len = snprintf(text, sizeof(text), "%s%s%s%s%s", word->optional ? "[" : "", name, value ? " " : "", value ? value : "", word->optional ? "]" : "");
	if (*at + 1 + len > WIDTH) {
		printf("\n          ");
		*at = 10;
	}
	printf(" %s", text);
	*at += 1 + len;
}

static void print_synopsis(const struct mf_command *command)
{
	int at = printf("usage: mf %s", command->name);
	mf_synopsis_each(command, print_word, &at);
	putchar('\n');
}

static void print_entry(const char *name, const char *value, const char *help)
{
	char left[64];
	snprintf(left, sizeof(left), "%s%s%s", name, value ? " " : "", value ? value : "");
	if (printf("  %-17s  ", left) > HELP_AT)
		printf("\n%*s", HELP_AT, "");
	print_wrapped(help, HELP_AT, HELP_AT);
}

static void print_options(unsigned bits)
{
	for (const struct mf_option *option = mf_options; option->name; option++)
		if (bits & option->bit)
			print_entry(option->name, option->value, option->help);
}

static void print_command(const struct mf_command *command)
{
	print_synopsis(command);
	printf("\n%s.\n", command->help);
	if (command->detail) {
		putchar('\n');
		print_wrapped(command->detail, 0, 0);
	}
	puts("\noptions:");
	for (const struct mf_operand *operand = command->operands; operand->name; operand++)
		print_entry(operand->name, NULL, operand->help);
	print_options(command->options | MF_ARGS_COMMON);
	if (command->examples[0].command)
		puts("\nexamples:");
	for (const struct mf_example *example = command->examples; example->command; example++)
		printf("  # %s\n  %s\n", example->about, example->command);
}

/* ---- all of them ---- */
static void print_commands(void)
{
	const char *group = "";
	for (const struct mf_command *command = mf_commands; command->name; command++) {
		if (strcmp(group, command->group) != 0)
			printf("\n%s\n", command->group);
		group = command->group;
		printf("  %-13s", command->name);
		print_wrapped(command->help, 15, 15);
	}
}

static void print_program(void)
{
	puts("usage: mf COMMAND [OPTIONS]");
	print_commands();
	puts("\noptions of every command:");
	print_options(MF_ARGS_COMMON);
	puts("\n'mf help COMMAND' tells all about a command, with examples; 'mf --version' is\n"
	     "the version; 'mf help --man | man -l -' is a manual.\n"
	     "exit: 0 done; 1 something failed, or damage was found; 2 wrong usage or\n"
	     "configuration; 3 storage error");
}

static void print_manual(const struct mf_args *args)
{
	if (args->given & MF_ARG_MAN)
		mf_manual_mdoc();
	else if (strcmp(args->completion, "bash") == 0)
		mf_manual_bash();
	else if (strcmp(args->completion, "zsh") == 0)
		mf_manual_zsh();
	else
		mf_manual_fish();
}

enum mf_exit mf_cmd_help(const struct mf_args *args)
{
	if (args->given & MF_ARG_JSON)
		return mf_manual_json();
	if (args->given & (MF_ARG_MAN | MF_ARG_COMPLETION))
		print_manual(args);
	else if (args->operands[0])
		print_command(mf_args_command(args->operands));
	else
		print_program();
	return mf_stdout_end();
}
