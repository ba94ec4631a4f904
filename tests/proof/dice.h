/* dice.h - numbers that a seed decides (splitmix64, by its published definition): the same seed, the same numbers. */
#pragma once

#include <stdint.h>

static inline uint64_t proof_random(uint64_t *seed)
{
	uint64_t z = *seed += 0x9e3779b97f4a7c15u;
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

/* 0 to limit - 1; limit is at least 1. */
static inline uint32_t proof_below(uint64_t *seed, uint32_t limit)
{
	return (uint32_t)((proof_random(seed) >> 32) * limit >> 32);
}

/* The same for large ones. */
static inline uint64_t roll(uint64_t *seed, uint64_t below)
{
	return proof_random(seed) % below;
}
