#include <string.h>
#include <unistd.h>

#include "host/manual/manual.h"
#include "host/output.h"
#include "host/session.h"

static struct mf_output out;

size_t mf_manual_first_word(const struct mf_command *command, bool *out_again)
{
	size_t len = strcspn(command->name, " ");
	*out_again = false;
	for (const struct mf_command *other = mf_commands; other < command; other++)
		*out_again = *out_again || (strcspn(other->name, " ") == len && strncmp(other->name, command->name, len) == 0);
	return len;
}

static void write_list(const char *key, unsigned bits)
{
	const char *separator = "[";
	mf_output_key(&out, key);
	for (const struct mf_option *option = mf_options; option->name; option++) {
		if (!(bits & option->bit))
			continue;
		mf_output_bytes(&out, separator, 1);
		mf_output_quoted(&out, option->name);
		separator = ",";
	}
	mf_output_bytes(&out, *separator == '[' ? "[]" : "]", *separator == '[' ? 2 : 1);
}

static void write_operands(const struct mf_command *command)
{
	mf_output_key(&out, "operands");
	mf_output_bytes(&out, "[", 1);
	for (const struct mf_operand *operand = command->operands; operand->name; operand++) {
		if (operand > command->operands)
			mf_output_bytes(&out, ",", 1);
		mf_output_bytes(&out, "{", 1);
		out.first = true;
		mf_output_text(&out, "name", operand->name);
		mf_output_bool(&out, "optional", operand->optional);
		mf_output_bytes(&out, "}", 1);
	}
	mf_output_bytes(&out, "]", 1);
	out.first = false;
}

enum mf_exit mf_manual_json(void)
{
	mf_output_init(&out, STDOUT_FILENO);
	for (const struct mf_command *command = mf_commands; command->name; command++) {
		mf_output_open(&out);
		mf_output_text(&out, "name", command->name);
		mf_output_text(&out, "group", command->group);
		mf_output_text(&out, "help", command->help);
		write_operands(command);
		write_list("options", command->options | MF_ARGS_COMMON);
		write_list("needs", command->needs);
		mf_output_close(&out);
	}
	return mf_output_end(&out, MF_EXIT_OK);
}
