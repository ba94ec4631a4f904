/* A mutator for targets with checksums: libFuzzer's own change, then the checksums made to fit again.
 * One input in eight is left as it is, so that the checks themselves are tried too. */
#include "tests/fuzz/target.h"

size_t LLVMFuzzerMutate(uint8_t *bytes, size_t len, size_t max_len);
size_t LLVMFuzzerCustomMutator(uint8_t *bytes, size_t len, size_t max_len, unsigned seed);

size_t LLVMFuzzerCustomMutator(uint8_t *bytes, size_t len, size_t max_len, unsigned seed)
{
	len = LLVMFuzzerMutate(bytes, len, max_len);
	if (seed % 8)
		fuzz_repair(bytes, len);
	return len;
}
