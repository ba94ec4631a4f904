/* memfs_files.h - the inside of memfs.h, shared by memfs.c and memfs_vfs.c.
 *
 * Invariant
 * 1. A file lives while it has a name or uses: one that was removed goes on for those who have it open.
 *
 * Thread: everything with memfs_lock held. */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FILES_MAX 24
#define HANDLES_MAX 32
#define REGIONS_MAX 16 /* of the index of a log */
#define SHM_LOCKS 8

struct mem_file {
	char *path;
	uint8_t *bytes;
	size_t len, capacity;
	unsigned uses;
	bool named, is_dir, flocked;
	/* of a database: SQLite's locks, and the index of its log */
	unsigned readers;        /* connections that have at least SHARED */
	const void *reserved_by; /* the one that has RESERVED or more */
	bool pending;            /* no new readers */
	void *regions[REGIONS_MAX];
	unsigned mappers; /* connections that use the index */
	unsigned shared[SHM_LOCKS];
	const void *exclusive[SHM_LOCKS];
};

extern pthread_mutex_t memfs_lock;
struct mem_file *memfs_find(const char *path);
struct mem_file *memfs_make(const char *path); /* NULL: without a name */
void memfs_unlink(struct mem_file *file);
void memfs_use(struct mem_file *file);
void memfs_unuse(struct mem_file *file); /* may free it */
bool memfs_resize(struct mem_file *file, size_t len); /* false: no room */
size_t memfs_read(const struct mem_file *file, void *bytes, size_t len, int64_t at);
bool memfs_write(struct mem_file *file, const void *bytes, size_t len, int64_t at);
void memfs_random(void *bytes, size_t len);

/* ---- memfs_vfs.c ---- */
void memfs_vfs_register(void);
void memfs_vfs_seed(void); /* SQLite's random numbers begin anew */
