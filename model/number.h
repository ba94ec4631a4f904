/* number.h - numbers as canonical text, one text for each value, and numbers read from text; whatever the locale.
 *
 * The form of a double
 * 1. Its digits are the fewest that read back as the same double; among equally
 *    few, those nearest to it.
 * 2. With E the decimal exponent of the first digit: positional when -4 <= E < 16
 *    (0.0001, 100.0, 9007199254740992.0), else scientific (1e-05, 1.5e+16, 1e+300) with a sign
 *    and at least two digits of exponent.
 * 3. It always has a '.' or an 'e', so that it is never taken for an integer: 1.0.
 * (Python's repr prints the same, which makes test vectors easy to come by.)
 *
 * Those that print end the text with NUL and return its length. Thread: any; pure functions. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MF_NUMBER_MAX 32 /* room for any of them, NUL included */

size_t mf_number_print_int(int64_t value, char out[MF_NUMBER_MAX]);
/* value must be finite. */
size_t mf_number_print_double(double value, char out[MF_NUMBER_MAX]);

/* The text is a number of JSON's grammar, an int without '.' and 'e'. False, and *out is not meant to be looked at: outside of
 * int64, or so large that the nearest double is infinite. What is nearest to 0 is 0. */
bool mf_number_read_int(const char *text, size_t len, int64_t *out);
bool mf_number_read_double(const char *text, size_t len, double *out);
