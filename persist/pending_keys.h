/* pending_keys.h - reservations, and the keys that are under way: reserved, not yet stored and not yet given up.
 *
 * Invariants
 * 1. A key is in the table at most once; whoever has it there may commit it, everybody else waits for its ticket.
 * 2. A reservation leaves the table only after the store has its key, or after it is certain that it never will.
 * 3. Its ticket is settled after it has left the table: who waited and looks again finds the truth.
 *
 * Thread: any. */
#pragma once

#include <stdbool.h>

#include "persist/record.h"
#include "persist/ticket.h"

struct mf_reservation {
	struct mf_reservation *next; /* in its bucket */
	uint64_t hash;
	bool listed; /* in the table */
	uint8_t content_hash[MF_RECORD_HASH_LEN];
	bool encoded; /* event and memory are set (apply only) */
	struct mf_event event;
	void *memory;
	struct mf_ticket *ticket; /* a reference */
	char key[];
};

struct mf_pending_keys;

/* env: for the seed of the hash. */
enum mf_status mf_pending_keys_new(const struct mf_env *env, struct mf_pending_keys **out);
void mf_pending_keys_free(struct mf_pending_keys *keys); /* empty by then. NULL is fine */

enum mf_status mf_reservation_new(const char *key, struct mf_ticket_source *source, struct mf_reservation **out);
void mf_reservation_free(struct mf_reservation *reservation); /* not listed any more. NULL is fine */

/* True: listed. False: another has the key; *out_ticket is a reference to its ticket, *out_same whether the content is the same. */
bool mf_pending_keys_add(struct mf_pending_keys *keys, struct mf_reservation *reservation, struct mf_ticket **out_ticket, bool *out_same);
void mf_pending_keys_remove(struct mf_pending_keys *keys, struct mf_reservation *reservation); /* one that is not listed is fine */
