/* analyzer.h - what clang's analyser cannot see from one file: the calls that fill an error return the
 * failure that they are given, never MF_OK. Included before every file by `./dev lint`, by nothing else. */
#pragma once

#include <moduforge/status.h>

static inline enum mf_status analyzer_failure(enum mf_status given, enum mf_status status)
{
	(void)given;
	if (status == MF_OK)
		__builtin_unreachable();
	return status;
}

#define mf_error_set(error, status, ...) analyzer_failure((mf_error_set)(error, status, __VA_ARGS__), status)
#define mf_error_prefix(error, status, ...) analyzer_failure((mf_error_prefix)(error, status, __VA_ARGS__), status)
