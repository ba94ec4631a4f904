/* number_read.c - the text of a JSON number as int64 or as the nearest double (to even where two are as near).
 *
 * A real, in two ways:
 *
 * - at most 2^53 as digits, times or through a power of ten that a double holds exactly (up to 10^22): one correctly rounded
 *   operation on exact numbers. That is nearly every number that people and programs write.
 * - all others: libc's strtod, given an integer with an exponent, so that a locale's decimal point cannot get in
 *   its way. More digits than DIGITS_MAX decide nothing but whether the number lies above what the first ones say: half-way between two
 *   doubles has at most 767. A 1 at the end stands for them, and so no text needs memory. */
#include "model/number.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>

#define DIGITS_MAX 800
#define EXACT_MANTISSA (INT64_C(1) << 53)
#define EXACT_DIGITS 16
#define EXACT_POWER 22
#define EXPONENT_MAX 100000 /* with DIGITS_MAX digits before it infinite, and below its negative 0 */

/* value = digits * 10^exponent */
struct decimal {
	char digits[DIGITS_MAX + 2 + MF_NUMBER_MAX]; /* from the first that is not 0; room for the 1, and for the exponent */
	size_t count;
	int64_t exponent;
};

bool mf_number_read_int(const char *text, size_t len, int64_t *out)
{
	bool negative = *text == '-';
	uint64_t value = 0, most = (uint64_t)INT64_MAX + negative;
	for (const char *at = text + negative; at < text + len; at++) {
		unsigned digit = (unsigned)(*at - '0');
		if (value > (most - digit) / 10)
			return false;
		value = value * 10 + digit;
	}
	*out = (int64_t)(negative ? 0 - value : value);
	return true;
}

/* What stands behind the e. An absurd one is cut off where no number of digits before it makes up for it. */
static int64_t read_exponent(const char *at, const char *end)
{
	bool negative = *at == '-';
	int64_t value = 0;
	for (at += negative || *at == '+'; at < end && value < INT64_C(1) << 58; at++)
		value = value * 10 + (*at - '0');
	return negative ? -value : value;
}

static void read_decimal(const char *at, const char *end, struct decimal *out)
{
	bool fraction = false, more = false;
	out->count = 0;
	out->exponent = 0;
	for (; at < end && (*at | 0x20) != 'e'; at++) {
		if (*at == '.') {
			fraction = true;
		} else if (out->count == DIGITS_MAX) {
			more = more || *at != '0';
			out->exponent += !fraction;
		} else {
			if (out->count > 0 || *at != '0')
				out->digits[out->count++] = *at;
			out->exponent -= fraction;
		}
	}
	if (more) {
		out->digits[out->count++] = '1';
		out->exponent--;
	}
	if (at < end)
		out->exponent += read_exponent(at + 1, end);
	if (out->count == 0)
		out->exponent = 0;
}

static bool read_exact(const struct decimal *decimal, double *out)
{
	static const double power[EXACT_POWER + 1] = {1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
	if (FLT_EVAL_METHOD != 0 || decimal->count > EXACT_DIGITS || decimal->exponent < -EXACT_POWER || decimal->exponent > EXACT_POWER)
		return false;
	int64_t mantissa = 0;
	for (size_t i = 0; i < decimal->count; i++)
		mantissa = mantissa * 10 + (decimal->digits[i] - '0');
	if (mantissa > EXACT_MANTISSA)
		return false;
	*out = decimal->exponent < 0 ? (double)mantissa / power[-decimal->exponent] : (double)mantissa * power[decimal->exponent];
	return true;
}

static double read_rounded(struct decimal *decimal)
{
	int64_t exponent = decimal->exponent < -EXPONENT_MAX ? -EXPONENT_MAX : decimal->exponent > EXPONENT_MAX ? EXPONENT_MAX : decimal->exponent;
	decimal->digits[decimal->count] = 'e';
	mf_number_print_int(exponent, decimal->digits + decimal->count + 1);
	return strtod(decimal->digits, NULL);
}

bool mf_number_read_double(const char *text, size_t len, double *out)
{
	bool negative = *text == '-';
	struct decimal decimal;
	double value;
	read_decimal(text + negative, text + len, &decimal);
	if (!read_exact(&decimal, &value))
		value = read_rounded(&decimal);
	*out = negative ? -value : value;
	return isfinite(value);
}
