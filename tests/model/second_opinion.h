/* second_opinion.h - one JSON text read by our parser and by jansson. They must agree: taken by both with equal values, or refused
 * by both. Ours alone refuses what is nested more than MF_NESTING_MAX deep, and a NUL (which jansson takes for the end). */
#pragma once

#include <moduforge/value.h>

/* What they do not agree about, or NULL. *out: what ours made of it, or NULL; the caller's. */
const char *second_opinion(const char *text, size_t len, struct mf_value **out);
