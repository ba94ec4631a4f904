/* visible.h - text from elsewhere, as it may be shown on a terminal: ids, keys and messages are chosen by others, and a
 * terminal obeys what it is sent. Control characters come out as \n, \t, \r, \u001b; characters that are invisible or
 * reorder what is around them (Unicode's bidirectional controls, zero-width and other format characters) as \u202e; bytes
 * that are not UTF-8 as U+FFFD. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#define MF_VISIBLE_MAX 16 /* bytes that one character may become, with the NUL */

/* Length of the UTF-8 sequence at text, 0 if it is none; *out_code is its character. A NUL at the end stops every look ahead. */
size_t mf_utf8_next(const char *text, unsigned *out_code);
/* Can only ASCII be shown? By the locale of the process (LC_CTYPE). */
bool mf_visible_is_ascii(void);
/* The character at text as it may be shown; returns how many bytes of text it was. ascii: nothing else can be shown. */
size_t mf_visible_next(const char *text, bool ascii, char out[MF_VISIBLE_MAX]);
/* For text that is JSON: what to write in place of the character, or "" where it may stay. */
size_t mf_visible_json(const char *text, char out[MF_VISIBLE_MAX]);
