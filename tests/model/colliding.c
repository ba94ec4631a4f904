/* The hash of ids in place of xxHash's own (the linker puts it there): one of 128 values, of which four each differ in what a child's
 * entry does not keep. Of 64 bits no test meets two of one hash, but what finds nodes by them must not mix them up. */
#include <stddef.h>
#include <stdint.h>

uint64_t __real_XXH3_64bits_withSeed(const void *bytes, size_t len, uint64_t seed);
uint64_t __wrap_XXH3_64bits_withSeed(const void *bytes, size_t len, uint64_t seed);
uint64_t __wrap_XXH3_64bits_withSeed(const void *bytes, size_t len, uint64_t seed)
{
	(void)seed; /* a process' own: each is to do the same */
	return __real_XXH3_64bits_withSeed(bytes, len, 0) & UINT64_C(0xf800000000000003);
}
