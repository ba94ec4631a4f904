/* edit_distance.h - how far a mistyped word is from one that exists. On its own, because the program `mf` has it too. */
#pragma once

#include <stddef.h>

/* Edits (insert, delete, replace a byte) from a to b; the first 128 bytes of each count. */
size_t mf_edit_distance(const char *a, const char *b);
