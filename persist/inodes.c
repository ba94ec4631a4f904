#include "persist/inodes.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <moduforge/value.h>

#include "model/mem.h"
#include "persist/fork_guard.h"

struct mf_inode {
	struct mf_inode *next;
	dev_t device;
	ino_t number;
	pid_t owner;
	unsigned connections;
	int *parked;
	size_t parked_count, parked_room;
};

static struct mf_inode *inodes;

static struct mf_inode *find(const struct stat *info)
{
	struct mf_inode *inode = inodes;
	while (inode && (inode->device != info->st_dev || inode->number != info->st_ino))
		inode = inode->next;
	return inode;
}

/* ---- connections ---- */

static struct mf_inode *add(const struct stat *info)
{
	struct mf_inode *inode = mf_calloc(1, sizeof(*inode));
	if (!inode)
		return NULL;
	*inode = (struct mf_inode){.next = inodes, .device = info->st_dev, .number = info->st_ino, .owner = getpid()};
	inodes = inode;
	return inode;
}

enum mf_status mf_inode_enter(const char *path, struct mf_inode **out, struct mf_error *error)
{
	struct stat info;
	enum mf_status status = MF_OK;
	*out = NULL;
	mf_fork_hold();
	if (stat(path, &info) == 0) {
		struct mf_inode *inode = find(&info);
		if (!inode)
			inode = add(&info);
		if (!inode)
			status = mf_error_set(error, MF_ERR_NO_MEMORY, "out of memory while opening %.300s", path);
		else if (inode->owner != getpid())
			status = mf_error_set(error, MF_ERR_STATE,
					      "the process that this one was forked from had %.200s open then, and SQLite would take its locks for this one's; open it in a program started with exec, or fork before it is opened",
					      path);
		else {
			inode->connections++;
			*out = inode;
		}
	}
	mf_fork_go_on();
	return status;
}

static void drop(struct mf_inode *inode)
{
	struct mf_inode **link = &inodes;
	while (*link != inode)
		link = &(*link)->next;
	*link = inode->next;
	for (size_t i = 0; i < inode->parked_count; i++)
		close(inode->parked[i]);
	mf_free(inode->parked);
	mf_free(inode);
}

void mf_inode_leave(struct mf_inode *inode)
{
	if (!inode)
		return;
	mf_fork_hold();
	if (--inode->connections == 0)
		drop(inode);
	mf_fork_go_on();
}

/* ---- descriptors beside them ---- */

/* Of those that are parked, one that was opened for the same. */
static int unpark(struct mf_inode *inode, int access)
{
	for (size_t i = 0; i < inode->parked_count; i++) {
		int fd = inode->parked[i];
		if ((fcntl(fd, F_GETFL) & O_ACCMODE) != access)
			continue;
		inode->parked[i] = inode->parked[--inode->parked_count];
		return fd;
	}
	return -1;
}

int mf_inode_reuse(const char *path, int flags)
{
	int fd = -1;
	struct stat info;
	if (flags & (O_EXCL | O_TRUNC | O_DIRECTORY))
		return -1;
	mf_fork_hold();
	if (inodes && stat(path, &info) == 0) {
		struct mf_inode *inode = find(&info);
		if (inode)
			fd = unpark(inode, flags & O_ACCMODE);
	}
	mf_fork_go_on();
	return fd;
}

/* Without memory it stays open for good, which costs less than the locks. */
static void park(struct mf_inode *inode, int fd)
{
	if (inode->parked_count == inode->parked_room) {
		int *more = mf_realloc(inode->parked, (inode->parked_room + 4) * sizeof(*more));
		if (!more)
			return;
		inode->parked = more;
		inode->parked_room += 4;
	}
	inode->parked[inode->parked_count++] = fd;
}

int mf_inode_close(int fd)
{
	int result = 0;
	struct stat info;
	mf_fork_hold();
	struct mf_inode *inode = inodes && fstat(fd, &info) == 0 ? find(&info) : NULL;
	if (inode)
		park(inode, fd);
	else
		result = close(fd);
	mf_fork_go_on();
	return result;
}
