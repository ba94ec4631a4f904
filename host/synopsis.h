/* synopsis.h - what can be written after a command's name, word by word, for whoever prints it. */
#pragma once

#include "host/commands.h"

struct mf_synopsis_word {
	bool optional;
	const struct mf_option *option;   /* or */
	const struct mf_operand *operand; /* never both */
};

/* Operands first, then the options of its own, with those of every command only where it needs them. */
void mf_synopsis_each(const struct mf_command *command, void (*visit)(void *user, const struct mf_synopsis_word *word), void *user);
