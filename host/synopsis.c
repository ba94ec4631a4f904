#include "host/synopsis.h"

void mf_synopsis_each(const struct mf_command *command, void (*visit)(void *user, const struct mf_synopsis_word *word), void *user)
{
	for (const struct mf_operand *operand = command->operands; operand->name; operand++) {
		struct mf_synopsis_word word = {.optional = operand->optional, .operand = operand};
		visit(user, &word);
	}
	for (const struct mf_option *option = mf_options; option->name; option++) {
		struct mf_synopsis_word word = {.optional = !(command->needs & option->bit), .option = option};
		if ((command->options | command->needs) & option->bit)
			visit(user, &word);
	}
}
