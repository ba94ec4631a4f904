#include <stdio.h>
#include <string.h>

#include "host/manual/manual.h"

/* Text inside single quotes. */
static void print_quoted(const char *text)
{
	for (; *text; text++) {
		if (*text == '\'' || *text == '\\')
			putchar('\\');
		putchar(*text);
	}
}

/* Where the command is the one that is being written. */
static void print_condition(const struct mf_command *command)
{
	fputs("complete -c mf -n '", stdout);
	size_t len = strcspn(command->name, " ");
	printf("__fish_seen_subcommand_from %.*s", (int)len, command->name);
	if (command->name[len])
		printf("; and __fish_seen_subcommand_from %s", command->name + len + 1);
	putchar('\'');
}

static void print_value(enum mf_word_kind kind, const char *value)
{
	switch (kind) {
	case MF_WORD_FILE: fputs(" -r -F", stdout); break;
	case MF_WORD_DIRECTORY: fputs(" -x -a '(__fish_complete_directories)'", stdout); break;
	case MF_WORD_CHOICE:
		fputs(" -x -a '", stdout);
		for (; value && *value; value++)
			putchar(*value == '|' ? ' ' : *value);
		putchar('\'');
		break;
	case MF_WORD_NONE: break;
	case MF_WORD_COMMAND:
	case MF_WORD_TEXT:
	case MF_WORD_NUMBER: fputs(" -x", stdout); break;
	}
}

static void print_option(const struct mf_command *command, const struct mf_option *option)
{
	print_condition(command);
	printf(" -l %s", option->name + 2);
	print_value(option->kind, option->value);
	fputs(" -d '", stdout);
	print_quoted(option->help);
	puts("'");
}

static void print_operand(const struct mf_command *command, const struct mf_operand *operand)
{
	if (operand->kind != MF_WORD_FILE && operand->kind != MF_WORD_DIRECTORY && operand->kind != MF_WORD_COMMAND)
		return;
	print_condition(command);
	if (operand->kind == MF_WORD_FILE) {
		puts(" -F");
	} else if (operand->kind == MF_WORD_DIRECTORY) {
		puts(" -a '(__fish_complete_directories)'");
	} else {
		fputs(" -a '", stdout);
		for (const struct mf_command *other = mf_commands; other->name; other++) {
			bool again;
			size_t len = mf_manual_first_word(other, &again);
			if (!again)
				printf("%.*s ", (int)len, other->name);
		}
		puts("'");
	}
}

static void print_name(const struct mf_command *command)
{
	bool again;
	size_t len = mf_manual_first_word(command, &again);
	if (!again) {
		printf("complete -c mf -n __fish_use_subcommand -a %.*s -d '", (int)len, command->name);
		print_quoted(command->help);
		puts("'");
	}
	if (command->name[len])
		printf("complete -c mf -n '__fish_seen_subcommand_from %.*s' -a %s\n", (int)len, command->name, command->name + len + 1);
}

void mf_manual_fish(void)
{
	puts("# fish completion for mf; written by: mf help --completion fish\n"
	     "complete -c mf -f\n"
	     "complete -c mf -l help -d 'explain the command'\n"
	     "complete -c mf -n __fish_use_subcommand -l version -d 'print the version'");
	for (const struct mf_command *command = mf_commands; command->name; command++) {
		print_name(command);
		for (const struct mf_option *option = mf_options; option->name; option++)
			if ((command->options | MF_ARGS_COMMON) & option->bit)
				print_option(command, option);
		for (const struct mf_operand *operand = command->operands; operand->name; operand++)
			print_operand(command, operand);
	}
}
