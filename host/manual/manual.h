/* manual.h - the tables of options and commands, written to standard output for other programs to read. */
#pragma once

#include "host/commands.h"

void mf_manual_mdoc(void); /* the man page, in mdoc(7) */
void mf_manual_bash(void);
void mf_manual_zsh(void);
void mf_manual_fish(void);
enum mf_exit mf_manual_json(void); /* one object a command */

/* For those: how many bytes of name are the first word of a command, and whether an earlier command begins with the same. */
size_t mf_manual_first_word(const struct mf_command *command, bool *out_again);
