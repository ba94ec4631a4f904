/* stores.h - small real stores to begin from, and what a store that somebody has changed must still keep.
 *
 * A base is a store in /s (memfs.h), made by the library itself, with the digest of every document after every event. */
#pragma once

#include <stdbool.h>

#include <moduforge/store.h>
#include <moduforge/value.h>

#include "tests/fuzz/memfs.h"

#define FUZZ_DIR "/s"
#define FUZZ_DB "/s/store.db"
#define FUZZ_LOG "/s/store.db-wal"
#define FUZZ_WATERMARK "/s/watermark"
#define FUZZ_BACKUP "/b" /* a backup of it */
#define FUZZ_DOCS 2
#define FUZZ_EVENTS_MAX 32

enum fuzz_base_kind {
	FUZZ_OPEN,       /* its process was killed: most of it is in the log */
	FUZZ_CLOSED,     /* closed: nothing is in the log */
	FUZZ_PLAIN_OPEN, /* the same without compression */
	FUZZ_PLAIN_CLOSED,
	FUZZ_BASES
};

struct fuzz_base {
	struct memfs_image *image;
	int64_t last_lsn;
	struct fuzz_moment { /* of the event with this LSN */
		int doc;     /* number */
		struct mf_digest digest;
	} moments[FUZZ_EVENTS_MAX + 1];
};

const struct fuzz_base *fuzz_base(enum fuzz_base_kind kind); /* made once, never freed */
const char *fuzz_doc(int number);
/* Brings it back, as the only files. */
void fuzz_base_load(const struct fuzz_base *base);

/* Does with /s what a person and the program do with a store: opens it for reading, reads everything in every way, verifies,
 * recovers each document, opens it for writing, commits, opens it again. Traps unless
 * 1. every failure is one that a damaged store may give;
 * 2. verify tells a damage just when it finds one;
 * 3. an event that was acknowledged and synced is there at the next opening, or verify finds the damage that took it;
 * 4. with honest: what can be recovered of a document is what it was at that LSN, and what verify calls clean can be read
 *    and recovered whole. */
struct fuzz_probe {
	const struct fuzz_base *base;
	bool honest;  /* nobody has made a checksum fit what he changed */
	bool reading, writing; /* what of it is done: each is as dear as the other */
	bool pages;            /* SQLite's own structures were changed: it may ask for more memory than there can be */
	bool tell_findings;    /* what verify finds has passed a check (fuzz_behind), not only a document that never was */
};
void fuzz_probe(const struct fuzz_probe *probe);
/* The same for the store in dir, but for the opening for writing; out_clean: what verify says, but of followers. Is there one? */
bool fuzz_probe_reading(const struct fuzz_probe *probe, const char *dir, bool *out_clean);
