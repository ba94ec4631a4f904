/* store_calls.h - every call of a store, each in a form that can be made again and again, for tests that let something fail in it. */
#pragma once

#include "store_kit.h"

struct store_work {
	struct mf_store *store;
	int round; /* so that keys and names are new: add one before each call */
	int64_t last, base; /* the newest event, and that of the snapshot which an incremental one builds on */
	bool may_be_damaged; /* as something fails, verify may tell of what it could not read; else it asserts that there is nothing */
	bool may_be_left;    /* a backup that failed, for what should have removed it failed too */
	bool told;           /* it told something */
};

/* Asserts what a call that is MF_OK must have done. error may be NULL. */
typedef enum mf_status store_call_fn(struct store_work *work, struct mf_error *error);

struct store_call {
	const char *name;
	store_call_fn *call;
	store_call_fn *before; /* each round, without failures; or NULL */
	bool again; /* it can be made twice without that */
};

/* Of the calls below them that a test lets fail in turn, one in so many does: under AddressSanitizer all of them would take several times as long. */
#ifdef __SANITIZE_ADDRESS__
#define STORE_CALLS_SPARSE 4
#else
#define STORE_CALLS_SPARSE 1
#endif

extern const struct store_call store_calls[];
extern const size_t store_call_count;

enum mf_status store_append_three(struct store_work *work, struct mf_error *error);
enum mf_status store_find_no_damage(struct store_work *work, struct mf_error *error);
