/* row_repair.h - makes the checksums of a store's rows fit what is in them, as docs/formats.md tells: whoever changes a row on
 * purpose does the same. */
#pragma once

#include <stdbool.h>

struct sqlite3;
/* In the transaction that is open. inside: payloads that are compressed and the blobs of snapshots too. */
void fuzz_repair_rows(struct sqlite3 *db, bool inside);
