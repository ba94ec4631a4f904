/* memory_files_parts.h - between the files (memory_files.c) and the two doors to them: memory_env.c, memory_vfs.c. */
#pragma once

#include "memory_files.h"

#define PATH_LEN 160
#define NAMES_MAX 256
#define CHANGES_MAX 512
#define SHM_REGIONS 16
#define SHM_BYTES 32768

struct bytes {
	unsigned char *at;
	int64_t len, room;
};

struct write { /* that no sync has covered */
	struct write *next;
	int64_t at, len;
	uint64_t call;
	bool truncates; /* to at */
	unsigned char bytes[];
};

struct handle; /* memory_vfs.c */

struct node {
	struct node *next;
	bool is_dir;
	char path[PATH_LEN]; /* the newest, for the trace */
	struct bytes now, kept;
	struct write *first, **last;
	unsigned write_count;
	bool doubtful; /* a sync of it has failed: what can be read is not what the device has */
	int lock_fd; /* that has the lock; -1: nobody */
	struct handle *handles; /* SQLite's */
	void *shm[SHM_REGIONS]; /* SQLite's index of the log */
	int shm_count;
};

struct name {
	char path[PATH_LEN];
	struct node *node; /* NULL: free */
};

struct change { /* of a name, that no sync of its directory has covered */
	char path[PATH_LEN], dir[PATH_LEN];
	struct node *node; /* NULL: removed */
	uint64_t call; /* that made it: changes of one call reach the device together */
};

struct node *memory_find(const char *path); /* NULL */
struct node *memory_make(const char *path, bool is_dir); /* NULL: no directory to put it in */
struct node *memory_make_unnamed(void);
int64_t memory_read(const struct node *node, void *bytes, int64_t len, int64_t at);
void memory_write(struct node *node, const void *bytes, int64_t len, int64_t at);
void memory_truncate(struct node *node, int64_t len);
void memory_sync(struct node *node);
void memory_fail_to_sync(struct node *node);
void memory_evict(struct node *node); /* what is not dirty leaves the cache */
void memory_unlink(const char *path); /* which exists */
void memory_rename(const char *from, const char *to);
bool memory_is_empty(const char *dir);

/* memory_faults.c */
enum memory_call { MEMORY_READS, MEMORY_GROWS, MEMORY_CHANGES };
int memory_fails(enum memory_call call); /* 0, or an errno: asked before each call */
bool memory_is_full(void);

void memory_vfs_register(void);
void memory_env_replace(void);
void memory_env_forget(void); /* all descriptors */
