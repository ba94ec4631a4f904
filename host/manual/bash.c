/* bash.c - completion for bash: a function of its own, that needs nothing but bash. */
#include <stdio.h>
#include <string.h>

#include "host/manual/manual.h"

static void print_commands(void)
{
	bool again;
	fputs("\tlocal commands='", stdout);
	for (const struct mf_command *command = mf_commands; command->name; command++) {
		size_t len = mf_manual_first_word(command, &again);
		if (!again)
			printf("%s%.*s", command == mf_commands ? "" : " ", (int)len, command->name);
	}
	puts("'");
}

static void print_valued(void)
{
	fputs("\tlocal valued=' ", stdout);
	for (const struct mf_option *option = mf_options; option->name; option++)
		if (option->value)
			printf("%s ", option->name);
	puts("'");
}

static void print_choice(const char *words)
{
	fputs("_mf_reply -W '", stdout);
	for (; words && *words; words++)
		putchar(*words == '|' ? ' ' : *words);
	fputs("'", stdout);
}

static void print_completion(enum mf_word_kind kind, const char *value)
{
	switch (kind) {
	case MF_WORD_FILE: fputs("_mf_reply -f", stdout); break;
	case MF_WORD_DIRECTORY: fputs("_mf_reply -d", stdout); break;
	case MF_WORD_CHOICE: print_choice(value); break;
	case MF_WORD_COMMAND: fputs("_mf_reply -W \"$commands\"", stdout); break;
	case MF_WORD_NONE:
	case MF_WORD_TEXT:
	case MF_WORD_NUMBER: fputs("COMPREPLY=()", stdout); break;
	}
}

static void print_values(void)
{
	puts("\tcase $before in");
	for (const struct mf_option *option = mf_options; option->name; option++) {
		if (!option->value)
			continue;
		printf("\t%s) ", option->name);
		print_completion(option->kind, option->value);
		puts("; return ;;");
	}
	puts("\tesac");
}

static void print_options(unsigned bits)
{
	fputs("'", stdout);
	for (const struct mf_option *option = mf_options; option->name; option++)
		if (bits & option->bit)
			printf("%s ", option->name);
	fputs("--help'", stdout);
}

static void print_command(const struct mf_command *command)
{
	const struct mf_operand *operand = command->operands;
	printf("\t'%s'", command->name);
	if (operand->name)
		printf(" | '%s '*", command->name);
	fputs(") options=", stdout);
	print_options(command->options | MF_ARGS_COMMON);
	if (operand->name) {
		fputs("; [[ $word == -* ]] || ", stdout);
		print_completion(operand->kind, NULL);
	}
	puts(" ;;");
}

/* "plugin" alone: the second words of all commands that begin so. */
static void print_second_words(const struct mf_command *of)
{
	bool again;
	size_t len = mf_manual_first_word(of, &again);
	if (of->name[len] == '\0' || again)
		return;
	printf("\t'%.*s') _mf_reply -W '", (int)len, of->name);
	for (const struct mf_command *command = mf_commands; command->name; command++)
		if (strncmp(command->name, of->name, len + 1) == 0)
			printf("%s ", command->name + len + 1);
	puts("' ;;");
}

void mf_manual_bash(void)
{
	puts("# bash completion for mf; written by: mf help --completion bash\n"
	     "_mf_reply() { # what of it begins like the word\n"
	     "\tmapfile -t COMPREPLY < <(compgen \"$@\" -- \"$word\")\n"
	     "\t[[ $1 == -W ]] || compopt -o filenames 2>/dev/null\n"
	     "}\n"
	     "_mf() {\n"
	     "\tlocal word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} command= options= value= at");
	print_commands();
	print_valued();
	puts("\tCOMPREPLY=()\n"
	     "\tif [[ $word == '=' ]]; then # --name=value is three words\n"
	     "\t\tword=\n"
	     "\telif [[ $before == '=' ]]; then\n"
	     "\t\tbefore=${COMP_WORDS[COMP_CWORD-2]}\n"
	     "\tfi");
	print_values();
	puts("\tfor ((at = 1; at < COMP_CWORD; at++)); do\n"
	     "\t\tif [[ $value ]]; then\n"
	     "\t\t\t[[ ${COMP_WORDS[at]} == '=' ]] || value=\n"
	     "\t\telif [[ $valued == *\" ${COMP_WORDS[at]} \"* ]]; then\n"
	     "\t\t\tvalue=next\n"
	     "\t\telif [[ ${COMP_WORDS[at]} != -* ]]; then\n"
	     "\t\t\tcommand+=${command:+ }${COMP_WORDS[at]}\n"
	     "\t\tfi\n"
	     "\tdone\n"
	     "\tcase $command in");
	fputs("\t'') options=", stdout);
	print_options(MF_ARGS_COMMON);
	puts("\" --version\"; [[ $word == -* ]] || _mf_reply -W \"$commands\" ;;");
	for (const struct mf_command *command = mf_commands; command->name; command++) {
		print_second_words(command);
		print_command(command);
	}
	puts("\tesac\n"
	     "\t[[ $word != -* ]] || _mf_reply -W \"$options\"\n"
	     "}\n"
	     "complete -F _mf mf");
}
