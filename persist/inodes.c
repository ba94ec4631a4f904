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
	unsigned generation; /* of forks */
	pid_t owner;         /* of a child that was not noticed it is another */
	unsigned connections;
	int *parked;
	size_t parked_count, parked_room;
};

static struct mf_inode *inodes; /* all of one process: beside what was inherited nothing is entered */

static bool are_inherited(void)
{
	return inodes && (mf_forked_since(inodes->generation) || inodes->owner != getpid());
}

static struct mf_inode *find(const struct stat *info)
{
	struct mf_inode *inode = are_inherited() ? NULL : inodes;
	while (inode && (inode->device != info->st_dev || inode->number != info->st_ino))
		inode = inode->next;
	return inode;
}

/* ---- connections ---- */

static enum mf_status refuse_inherited(const char *path, struct mf_error *error)
{
	if (!are_inherited())
		return MF_OK;
	return mf_error_set(error, MF_ERR_STATE,
			    "the process that this one was forked from had a store open then, and SQLite is here as its threads left it, with locks that only that process has; open %.200s in a program started "
			    "with exec, or fork before a store is opened",
			    path);
}

enum mf_status mf_inodes_check(const char *path, struct mf_error *error)
{
	mf_fork_hold();
	enum mf_status status = refuse_inherited(path, error);
	mf_fork_go_on();
	return status;
}

static struct mf_inode *add(const struct stat *info)
{
	struct mf_inode *inode = mf_calloc(1, sizeof(*inode));
	if (!inode)
		return NULL;
	*inode = (struct mf_inode){.next = inodes, .device = info->st_dev, .number = info->st_ino, .generation = mf_fork_generation(), .owner = getpid()};
	inodes = inode;
	return inode;
}

static enum mf_status find_or_add(const char *path, const struct stat *info, struct mf_inode **out, struct mf_error *error)
{
	struct mf_inode *inode = find(info);
	if (!inode)
		inode = add(info);
	if (!inode)
		return mf_error_set(error, MF_ERR_NO_MEMORY, "out of memory while opening %.300s", path);
	inode->connections++;
	*out = inode;
	return MF_OK;
}

enum mf_status mf_inode_enter(const char *path, struct mf_inode **out, struct mf_error *error)
{
	struct stat info;
	if (stat(path, &info) != 0)
		info = (struct stat){.st_ino = 0}; /* those that are not there, or not yet, share an entry */
	*out = NULL;
	mf_fork_hold();
	enum mf_status status = refuse_inherited(path, error);
	if (status == MF_OK)
		status = find_or_add(path, &info, out, error);
	mf_fork_go_on();
	return status;
}

/* Not another file, which got the number of one that somebody else has closed? */
static bool is_of(const struct mf_inode *inode, int fd)
{
	struct stat info;
	return fstat(fd, &info) == 0 && info.st_dev == inode->device && info.st_ino == inode->number;
}

static void drop(struct mf_inode *inode)
{
	struct mf_inode **link = &inodes;
	while (*link != inode)
		link = &(*link)->next;
	*link = inode->next;
	for (size_t i = 0; i < inode->parked_count; i++)
		if (is_of(inode, inode->parked[i]))
			close(inode->parked[i]);
	mf_free(inode->parked);
	mf_free(inode);
}

void mf_inode_leave(struct mf_inode *inode)
{
	if (!inode)
		return;
	mf_fork_hold();
	if (!are_inherited() && --inode->connections == 0)
		drop(inode);
	mf_fork_go_on();
}

/* ---- descriptors beside them ---- */

/* Of those that are parked, one that was opened for the same. */
static int unpark(struct mf_inode *inode, int access)
{
	for (size_t i = inode->parked_count; i-- > 0;) {
		int fd = inode->parked[i];
		bool ours = is_of(inode, fd);
		if (ours && (fcntl(fd, F_GETFL) & O_ACCMODE) != access)
			continue;
		inode->parked[i] = inode->parked[--inode->parked_count];
		if (ours)
			return fd;
	}
	return -1;
}

int mf_inode_reuse(const char *path, int flags)
{
	int fd = -1;
	struct stat info;
	if ((flags & (O_EXCL | O_TRUNC | O_DIRECTORY)) || stat(path, &info) != 0)
		return -1;
	mf_fork_hold();
	struct mf_inode *inode = find(&info);
	if (inode)
		fd = unpark(inode, flags & O_ACCMODE);
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
	bool known = fstat(fd, &info) == 0;
	mf_fork_hold();
	struct mf_inode *inode = known ? find(&info) : NULL;
	if (inode)
		park(inode, fd);
	else
		result = close(fd);
	mf_fork_go_on();
	return result;
}
