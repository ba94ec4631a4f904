/* baseline.h - what a careful person writes by hand on SQLite: the seed's tables, prepared
 * statements, one connection. The other side of every comparison. */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct baseline;

struct baseline_event {
	uint64_t tr_id;
	const char *doc_id, *key;
	const void *payload;
	size_t payload_len;
};

/* synchronous: "NORMAL" or "FULL". Dies with a message on any error: it is a benchmark. */
struct baseline *baseline_open(const char *dir, const char *synchronous);
void baseline_begin(struct baseline *baseline);
void baseline_insert(struct baseline *baseline, const struct baseline_event *event);
void baseline_commit(struct baseline *baseline);
void baseline_close(struct baseline *baseline);

/* SELECT every row of a document in LSN order and take the CRC-32 of each payload; rows read. */
int64_t baseline_scan(const char *db_path, const char *doc_id);
