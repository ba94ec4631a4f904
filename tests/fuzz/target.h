/* target.h - what a fuzz target gives, and what the targets share.
 *
 * A target is one function over bytes that nobody vouches for. It checks more than "no crash": what
 * is accepted must survive being written and read again, and what is applied must be undone exactly.
 * A broken promise is a trap instruction.
 *
 * Two programs run the same targets: libFuzzer (./dev fuzz, clang), and replay.c, an ordinary test
 * that feeds every seed, whole, cut and with each bit flipped. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <moduforge/transaction.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);
/* Makes checksums fit again, in place; only of a target whose bytes carry some (a fuzzer does not guess a CRC). */
void fuzz_repair(uint8_t *bytes, size_t len) __attribute__((weak));

/* Changes bytes in place, and returns how many there are then (LLVMFuzzerMutate is one). */
typedef size_t fuzz_change(uint8_t *bytes, size_t len, size_t max_len);
/* Makes the change to what lies compressed inside, and packs it again; only of a target whose bytes are. 0: nothing is. */
size_t fuzz_inside(uint8_t *bytes, size_t len, size_t max_len, fuzz_change *change) __attribute__((weak));
/* Of a target whose inputs are scripts: the bits of the first byte that ask for repair. */
extern const uint8_t fuzz_repair_bits __attribute__((weak));
/* A target says what has passed every check, so that planted.c can see that changes do. */
void fuzz_behind(const void *bytes, size_t len) __attribute__((weak));
#define FUZZ_BEHIND(bytes, len) (fuzz_behind ? fuzz_behind(bytes, len) : (void)0)

/* The built-in step types, frozen, without the loader. Made once, never freed. */
const struct mf_step_registry *fuzz_steps(void);

/* A small document that most steps of the seeds fit: LSN 1, no history. Made once, never freed. */
const struct mf_state *fuzz_document(void);

/* Traps unless status is one of the two. */
void fuzz_expect(enum mf_status status, enum mf_status a, enum mf_status b);
/* The transaction is refused, or undone and redone exactly. */
void fuzz_apply(const struct mf_state *state, const struct mf_transaction *transaction);
/* Stacks from outside may hold steps that do not fit; what fits is redone exactly. */
void fuzz_walk_stacks(const struct mf_state *state);
