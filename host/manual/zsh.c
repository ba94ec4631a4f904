#include <stdio.h>
#include <string.h>

#include "host/manual/manual.h"

/* Text inside single quotes, where []: mean something. */
static void print_quoted(const char *text)
{
	for (; *text; text++) {
		if (*text == '\'')
			fputs("'\\''", stdout);
		else if (strchr("[]:\\", *text))
			printf("\\%c", *text);
		else
			putchar(*text);
	}
}

static void print_action(enum mf_word_kind kind, const char *value)
{
	switch (kind) {
	case MF_WORD_FILE: fputs("_files", stdout); break;
	case MF_WORD_DIRECTORY: fputs("_files -/", stdout); break;
	case MF_WORD_COMMAND: fputs("_mf_commands", stdout); break;
	case MF_WORD_CHOICE:
		putchar('(');
		for (; value && *value; value++)
			putchar(*value == '|' ? ' ' : *value);
		putchar(')');
		break;
	case MF_WORD_NONE:
	case MF_WORD_TEXT:
	case MF_WORD_NUMBER: putchar(' '); break;
	}
}

static void print_option(const struct mf_option *option)
{
	printf(" \\\n\t\t\t'%s%s[", option->name, option->value ? "=" : "");
	print_quoted(option->help);
	putchar(']');
	if (option->value) {
		putchar(':');
		print_quoted(option->value);
		putchar(':');
		print_action(option->kind, option->value);
	}
	putchar('\'');
}

static void print_command(const struct mf_command *command)
{
	printf("\t'%s')\n\t\t_arguments '--help[explain the command]'", command->name);
	for (const struct mf_option *option = mf_options; option->name; option++)
		if ((command->options | MF_ARGS_COMMON) & option->bit)
			print_option(option);
	for (const struct mf_operand *operand = command->operands; operand->name; operand++) {
		printf(" \\\n\t\t\t'%d:%s:", (int)(operand - command->operands) + 1, operand->name);
		print_action(operand->kind, NULL);
		putchar('\'');
	}
	puts(" ;;");
}

static void print_names(void)
{
	puts("_mf_commands() {\n"
	     "\tlocal -a commands=(");
	for (const struct mf_command *command = mf_commands; command->name; command++) {
		bool again;
		size_t len = mf_manual_first_word(command, &again);
		if (again)
			continue;
		printf("\t\t'%.*s:", (int)len, command->name);
		print_quoted(command->help);
		puts("'");
	}
	puts("\t)\n"
	     "\t_describe command commands\n"
	     "}");
}

static void print_second_words(const struct mf_command *of)
{
	bool again;
	size_t len = mf_manual_first_word(of, &again);
	if (of->name[len] == '\0' || again)
		return;
	printf("\t'%.*s') _values command", (int)len, of->name);
	for (const struct mf_command *command = mf_commands; command->name; command++)
		if (strncmp(command->name, of->name, len + 1) == 0)
			printf(" '%s'", command->name + len + 1);
	puts(" ;;");
}

void mf_manual_zsh(void)
{
	puts("#compdef mf\n"
	     "# zsh completion for mf; written by: mf help --completion zsh");
	print_names();
	puts("_mf() {\n"
	     "\tif ((CURRENT == 2)); then\n"
	     "\t\t_mf_commands\n"
	     "\t\treturn\n"
	     "\tfi\n"
	     "\tlocal command=$words[2]\n"
	     "\tshift words\n"
	     "\t((CURRENT--))");
	fputs("\tif ((CURRENT > 2)) && [[ $command == (", stdout);
	const char *separator = "";
	for (const struct mf_command *command = mf_commands; command->name; command++) {
		bool again;
		size_t len = mf_manual_first_word(command, &again);
		if (command->name[len] && !again) {
			printf("%s%.*s", separator, (int)len, command->name);
			separator = "|";
		}
	}
	puts(") ]]; then # of two words\n"
	     "\t\tcommand+=\" $words[2]\"\n"
	     "\t\tshift words\n"
	     "\t\t((CURRENT--))\n"
	     "\tfi\n"
	     "\tcase $command in");
	for (const struct mf_command *command = mf_commands; command->name; command++) {
		print_second_words(command);
		print_command(command);
	}
	puts("\tesac\n"
	     "}\n"
	     "_mf \"$@\"");
}
