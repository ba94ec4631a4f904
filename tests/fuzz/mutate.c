/* mutate.c - a mutator for targets with checksums or compressed parts: libFuzzer's own change, made where it matters.
 *
 * 1. Half of the time it is made inside, to what lies compressed there, if anything does.
 * 2. Then every checksum is made to fit again; but for one input in eight, so that the checks themselves are tried too. */
#include "tests/fuzz/target.h"

size_t LLVMFuzzerMutate(uint8_t *bytes, size_t len, size_t max_len);
size_t LLVMFuzzerCustomMutator(uint8_t *bytes, size_t len, size_t max_len, unsigned seed);

size_t LLVMFuzzerCustomMutator(uint8_t *bytes, size_t len, size_t max_len, unsigned seed)
{
	size_t changed = fuzz_inside && seed / 8 % 2 ? fuzz_inside(bytes, len, max_len, LLVMFuzzerMutate) : 0;
	len = changed ? changed : LLVMFuzzerMutate(bytes, len, max_len);
	if (fuzz_repair && seed % 8)
		fuzz_repair(bytes, len);
	return len;
}
