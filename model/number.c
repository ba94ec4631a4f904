/* Shortest digits without a big-number library, in two ways:
 *
 * - few decimals, like a price: value * 10^k is an integer m below 2^53 for a small k,
 *   and m / 10^k, one correctly rounded division of exact numbers, gives the value back.
 *   No conversion routine is called.
 * - all others: libc's correctly rounded conversions, with more and more digits until the text
 *   reads back. 15 digits are tried first: if they suffice, dropping their zeros at the end
 *   leaves the fewest (two decimals of at most 15 digits never share a normal double).
 *
 * At a power of two the doubles below lie closer than those above. There the nearest
 * decimal of p digits may fail and the next one up succeed; it is tried too.
 *
 * The locale cannot leak in: digits are picked out of what snprintf prints, whatever stands
 * between them, and strtod is given an integer with an exponent, which has no decimal point. */
#include "model/number.h"

#include <assert.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DIGITS_MAX 17    /* always enough for a double */
#define DIGITS_UNIQUE 15 /* a decimal of so many digits survives the way through a normal double */
#define EXACT_LIMIT 1e15 /* integers below are exact and have at most DIGITS_UNIQUE digits */
#define SMALLEST_NORMAL 0x1p-1022

/* value = 0.d1d2d3... * 10^point, without zeros at the end */
struct decimal {
	char digits[DIGITS_MAX + 1];
	int count, point;
};

static size_t print_unsigned(uint64_t value, char *out)
{
	char reversed[20];
	size_t len = 0;
	do
		reversed[len++] = (char)('0' + value % 10);
	while (value /= 10);
	for (size_t i = 0; i < len; i++)
		out[i] = reversed[len - 1 - i];
	out[len] = '\0';
	return len;
}

size_t mf_number_print_int(int64_t value, char out[MF_NUMBER_MAX])
{
	if (value >= 0)
		return print_unsigned((uint64_t)value, out);
	out[0] = '-';
	return 1 + print_unsigned(-(uint64_t)value, out + 1);
}

static void drop_zeros(struct decimal *decimal)
{
	while (decimal->count > 1 && decimal->digits[decimal->count - 1] == '0')
		decimal->count--;
	decimal->digits[decimal->count] = '\0';
}

static bool few_decimals(double value, struct decimal *out)
{
	static const double power[] = {1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6};
	for (int k = 0; k < (int)(sizeof(power) / sizeof(*power)); k++) {
		if (value * power[k] >= EXACT_LIMIT)
			return false;
		double scaled = (double)(int64_t)(value * power[k] + 0.5);
		if (scaled / power[k] != value)
			continue;
		char digits[MF_NUMBER_MAX];
		out->count = (int)print_unsigned((uint64_t)scaled, digits);
		out->point = out->count - k;
		memcpy(out->digits, digits, (size_t)out->count);
		drop_zeros(out);
		return true;
	}
	return false;
}

/* The correctly rounded decimal of count digits. */
static void round_to(double value, int count, struct decimal *out)
{
	char text[64];
	snprintf(text, sizeof(text), "%.*e", count - 1, value);
	const char *at = text;
	out->count = 0;
	for (; *at != 'e'; at++) /* a finite number has one; what else is no digit is the locale's point */
		if ((unsigned)(*at - '0') < 10)
			out->digits[out->count++] = *at;
	out->point = (int)strtol(at + 1, NULL, 10) + 1;
	out->digits[out->count] = '\0';
}

static bool reads_back(const struct decimal *decimal, double value)
{
	char text[64];
	snprintf(text, sizeof(text), "%se%d", decimal->digits, decimal->point - decimal->count);
	return strtod(text, NULL) == value;
}

/* One unit more in the last digit. No power of two, in whatever many digits, is all nines (a test prints each). */
static void next_up(struct decimal *decimal)
{
	int i = decimal->count - 1;
	while (decimal->digits[i] == '9')
		decimal->digits[i--] = '0';
	decimal->digits[i]++;
}

static bool is_power_of_two(double value)
{
	uint64_t bits;
	memcpy(&bits, &value, sizeof(bits));
	return (bits & ((UINT64_C(1) << 52) - 1)) == 0;
}

static bool digits_suffice(double value, int count, struct decimal *out)
{
	round_to(value, count, out);
	if (reads_back(out, value))
		return true;
	if (!is_power_of_two(value))
		return false;
	next_up(out);
	return reads_back(out, value);
}

/* value is above 0. */
static void shortest(double value, struct decimal *out)
{
	if (few_decimals(value, out))
		return;
	int count = value >= SMALLEST_NORMAL ? DIGITS_UNIQUE : 1;
	while (count < DIGITS_MAX && !digits_suffice(value, count, out))
		count++;
	if (count == DIGITS_MAX)
		round_to(value, count, out);
	drop_zeros(out);
}

static size_t print_scientific(const struct decimal *decimal, char *out)
{
	size_t len = 0;
	out[len++] = decimal->digits[0];
	if (decimal->count > 1) {
		out[len++] = '.';
		memcpy(out + len, decimal->digits + 1, (size_t)decimal->count - 1);
		len += (size_t)decimal->count - 1;
	}
	int exponent = decimal->point - 1;
	out[len++] = 'e';
	out[len++] = exponent < 0 ? '-' : '+';
	exponent = abs(exponent);
	if (exponent < 10)
		out[len++] = '0';
	return len + print_unsigned((uint64_t)exponent, out + len);
}

static size_t print_positional(const struct decimal *decimal, char *out)
{
	size_t len = 0;
	int point = decimal->point;
	if (point <= 0)
		out[len++] = '0';
	for (int i = 0; i < point; i++)
		out[len++] = i < decimal->count ? decimal->digits[i] : '0';
	out[len++] = '.';
	for (int i = point; i < 0; i++)
		out[len++] = '0';
	if (point >= decimal->count)
		out[len++] = '0';
	for (int i = point > 0 ? point : 0; i < decimal->count; i++)
		out[len++] = decimal->digits[i];
	out[len] = '\0';
	return len;
}

size_t mf_number_print_double(double value, char out[MF_NUMBER_MAX])
{
	assert(isfinite(value));
	size_t sign = value < 0;
	if (sign)
		out[0] = '-';
	if (value == 0) {
		memcpy(out, "0.0", 4);
		return 3;
	}
	struct decimal decimal;
	shortest(fabs(value), &decimal);
	int exponent = decimal.point - 1;
	bool positional = exponent >= -4 && exponent < 16;
	return sign + (positional ? print_positional : print_scientific)(&decimal, out + sign);
}
