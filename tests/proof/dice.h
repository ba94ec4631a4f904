/* dice.h - numbers that a seed decides (splitmix64): the same seed, the same numbers. */
#pragma once

#include <stdint.h>

/* 0 to below - 1; below is at least 1. */
static inline uint64_t roll(uint64_t *dice, uint64_t below)
{
	uint64_t z = *dice += 0x9e3779b97f4a7c15u;
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return (z ^ (z >> 31)) % below;
}
