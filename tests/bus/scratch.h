/* scratch.h - a directory for a test's files, gone when the test ends. Failures are assertions. */
#pragma once

#include <stddef.h>
#include <sys/types.h>

struct scratch {
	char dir[200];
	char path[600]; /* of the last call; valid until the next */
};

int scratch_setup(void **state);    /* *state = struct scratch * */
int scratch_teardown(void **state); /* the directory and all that is in it */
const char *scratch_path(struct scratch *scratch, const char *name);
const char *scratch_write(struct scratch *scratch, const char *name, const char *text);
const char *scratch_write_bytes(struct scratch *scratch, const char *name, const void *bytes, size_t len);
const char *scratch_copy(struct scratch *scratch, const char *from, const char *name);
const char *scratch_mkdir(struct scratch *scratch, const char *name, mode_t mode);
size_t scratch_read(const char *path, unsigned char *bytes, size_t size); /* the whole file must fit */
size_t open_file_count(void); /* descriptors of this process */
