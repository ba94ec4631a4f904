#include "bus/edit_distance.h"

#include <stdint.h>
#include <string.h>

static size_t least(size_t a, size_t b, size_t c)
{
	size_t smaller = a < b ? a : b;
	return smaller < c ? smaller : c;
}

size_t mf_edit_distance(const char *a, const char *b)
{
	size_t a_len = strnlen(a, 128), b_len = strnlen(b, 128);
	uint8_t row[129]; /* row[k]: distance of what was read of a to the first k bytes of b */
	for (size_t k = 0; k <= b_len; k++)
		row[k] = (uint8_t)k;
	for (size_t i = 1; i <= a_len; i++) {
		size_t diagonal = row[0];
		row[0] = (uint8_t)i;
		for (size_t k = 1; k <= b_len; k++) {
			size_t replaced = diagonal + (a[i - 1] != b[k - 1]);
			diagonal = row[k];
			row[k] = (uint8_t)least(replaced, (size_t)row[k] + 1, (size_t)row[k - 1] + 1);
		}
	}
	return row[b_len];
}
