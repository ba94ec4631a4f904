#include "recorder.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "calls.h"

/* Which file a name leads to now, and which file a kernel's file is. */
struct name {
	uint32_t dir, file; /* file 0: there is no such name any more */
	char text[64];
};
struct known {
	dev_t device;
	ino_t inode;
	uint32_t file;
	int64_t size;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* marks come from outside the lock of calls.h */
static struct oplog *log_now;
static unsigned lies_now;
static char root[4096];
static uint32_t files;
static struct name *names;
static struct known *known;
static size_t name_count, known_count;

__attribute__((format(printf, 1, 2), noreturn)) static void give_up(const char *format, ...)
{
	va_list args;
	va_start(args, format);
	fputs("recorder: ", stderr);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
	va_end(args);
	abort();
}

static void *grown(void *array, size_t count, size_t size)
{
	if (count & (count - 1))
		return array;
	void *larger = realloc(array, (count ? 2 * count : 1) * size);
	return larger ? larger : (give_up("out of memory"), NULL);
}

static void add(const struct op *op)
{
	pthread_mutex_lock(&lock);
	oplog_add(log_now, op);
	pthread_mutex_unlock(&lock);
}

void recorder_mark(void *unused, const char *line, size_t len)
{
	(void)unused;
	add(&(struct op){.kind = OP_MARK, .len = len, .bytes = (const unsigned char *)line});
}

/* ---- names and files ---- */

static struct name *find_name(uint32_t dir, const char *text)
{
	for (size_t i = 0; i < name_count; i++)
		if (names[i].dir == dir && strcmp(names[i].text, text) == 0)
			return &names[i];
	return NULL;
}

static void set_name(uint32_t dir, const char *text, uint32_t file)
{
	struct name *name = find_name(dir, text);
	if (!name) {
		names = grown(names, name_count, sizeof(*names));
		name = &names[name_count++];
		*name = (struct name){.dir = dir};
		if (strlen(text) >= sizeof(name->text))
			give_up("the name %s is too long", text);
		strcpy(name->text, text);
	}
	name->file = file;
}

/* The directory that holds path, which is under the root, and the last part of it. "": path is the root itself. */
static uint32_t place_of(const char *path, const char **out_last)
{
	uint32_t dir = 0;
	const char *rest = path + strlen(root);
	for (*out_last = ""; *rest == '/';) {
		const char *part = rest + 1;
		size_t len = strcspn(part, "/");
		*out_last = part;
		rest = part + len;
		if (*rest != '/')
			break;
		char text[64];
		snprintf(text, sizeof(text), "%.*s", (int)(len < 63 ? len : 63), part);
		const struct name *name = find_name(dir, text);
		if (!name || !name->file)
			give_up("%s: its directory was not seen", path);
		dir = name->file;
	}
	return dir;
}

static uint32_t file_at(const char *path)
{
	const char *last;
	uint32_t dir = place_of(path, &last);
	const struct name *name = *last ? find_name(dir, last) : NULL;
	return name ? name->file : 0;
}

static struct known *known_by(const struct stat *info)
{
	for (size_t i = known_count; i-- > 0;)
		if (known[i].inode == info->st_ino && known[i].device == info->st_dev)
			return &known[i];
	return NULL;
}

static struct known *known_of(int fd)
{
	struct stat info;
	struct known *found = fstat(fd, &info) == 0 ? known_by(&info) : NULL;
	if (!found)
		give_up("descriptor %d is of no file that was seen", fd);
	return found;
}

static uint32_t new_file(const char *path, const struct stat *info)
{
	const char *last;
	uint32_t dir = place_of(path, &last), file = ++files;
	struct known *same = known_by(info); /* the kernel gave a number again */
	if (!same) {
		known = grown(known, known_count, sizeof(*known));
		same = &known[known_count++];
	}
	*same = (struct known){info->st_dev, info->st_ino, file, 0};
	set_name(dir, last, file);
	add(&(struct op){.kind = OP_FILE, .file = file, .flag = S_ISDIR(info->st_mode)});
	add(&(struct op){.kind = OP_NAME, .file = file, .dir = dir, .name = last});
	return file;
}

/* ---- what a call did ---- */

static void note_size(struct known *file, int64_t size)
{
	if (file->size == size)
		return;
	file->size = size;
	add(&(struct op){.kind = OP_TRUNCATE, .file = file->file, .offset = size});
}

static void opened(const struct calls_call *call)
{
	struct stat info;
	if (strcmp(call->path, root) == 0 || call->is_dir)
		return;
	if ((call->flags & O_TMPFILE) == O_TMPFILE || fstat(call->fd, &info) != 0)
		give_up("an unnamed file in %s", call->path);
	if (!file_at(call->path)) {
		if (!(call->flags & O_CREAT))
			give_up("%s came from elsewhere", call->path);
		new_file(call->path, &info);
	}
	if (call->flags & O_TRUNC)
		note_size(known_of(call->fd), 0);
}

static void written(const struct calls_call *call)
{
	struct known *file = known_of(call->fd);
	int64_t end = call->offset + call->result;
	if (call->result > 0)
		add(&(struct op){.kind = OP_WRITE, .file = file->file, .offset = call->offset, .len = (size_t)call->result, .bytes = call->bytes});
	if (end > file->size)
		file->size = end;
}

static bool ends_in(const char *path, const char *end)
{
	size_t len = strlen(path), end_len = strlen(end);
	return len >= end_len && strcmp(path + len - end_len, end) == 0;
}

static bool is_lied_about(const struct calls_call *call)
{
	if (call->is_dir)
		return lies_now & RECORDER_NO_DIR_SYNC;
	return (lies_now & RECORDER_NO_LOG_SYNC && ends_in(call->path, "-wal")) || (lies_now & RECORDER_NO_DB_SYNC && ends_in(call->path, "/store.db"));
}

static void synced(const struct calls_call *call)
{
	if (is_lied_about(call))
		return;
	uint32_t file = call->is_dir ? file_at(call->path) : known_of(call->fd)->file;
	add(&(struct op){.kind = OP_SYNC, .file = file});
}

static void truncated(const struct calls_call *call)
{
	struct stat info;
	struct known *file = call->fd >= 0 ? known_of(call->fd) : stat(call->path, &info) == 0 ? known_by(&info) : NULL;
	if (file)
		note_size(file, call->offset);
}

static void allocated(const struct calls_call *call)
{
	struct known *file = known_of(call->fd);
	if (call->flags)
		give_up("%s with mode %d is not in the model", call->name, call->flags);
	if (call->offset + (int64_t)call->len > file->size)
		note_size(file, call->offset + (int64_t)call->len);
}

static void renamed(const struct calls_call *call)
{
	const char *from, *to;
	size_t len = strlen(root);
	if (strncmp(call->path, root, len) != 0 || strncmp(call->to, root, len) != 0)
		give_up("a rename out of or into the directory is not in the model: %s", call->path);
	uint32_t dir = place_of(call->path, &from), file = file_at(call->path);
	if (place_of(call->to, &to) != dir)
		give_up("a rename between two directories is not in the model: %s", call->path);
	add(&(struct op){.kind = OP_RENAME, .file = file, .dir = dir, .name = from, .to = to});
	set_name(dir, from, 0);
	set_name(dir, to, file);
}

static void unlinked(const struct calls_call *call)
{
	const char *last;
	uint32_t dir = place_of(call->path, &last);
	add(&(struct op){.kind = OP_UNNAME, .file = file_at(call->path), .dir = dir, .name = last});
	set_name(dir, last, 0);
}

static void made_dir(const struct calls_call *call)
{
	struct stat info;
	if (stat(call->path, &info) != 0)
		give_up("%s is gone at once", call->path);
	new_file(call->path, &info);
}

static void mapped(const struct calls_call *call)
{
	if (call->flags & PROT_WRITE)
		add(&(struct op){.kind = OP_MAP, .file = known_of(call->fd)->file});
}

static void after(void *user, const struct calls_call *call)
{
	(void)user;
	if (call->result == -1 || call->pretended)
		return;
	switch (call->kind) {
	case CALLS_OPEN: opened(call); break;
	case CALLS_WRITE: written(call); break;
	case CALLS_SYNC:
	case CALLS_DATASYNC: synced(call); break;
	case CALLS_TRUNCATE: truncated(call); break;
	case CALLS_ALLOCATE: allocated(call); break;
	case CALLS_RENAME: renamed(call); break;
	case CALLS_LINK: give_up("a hard link is not in the model: %s", call->path);
	case CALLS_UNLINK: unlinked(call); break;
	case CALLS_MKDIR: made_dir(call); break;
	case CALLS_MAP: mapped(call); break;
	case CALLS_CLOSE:
	case CALLS_READ:
	case CALLS_RANGE: /* promises nothing */
	case CALLS_LOCK:
	case CALLS_KINDS: break;
	}
}

/* ---- begin and end ---- */

static void add_content(const char *path, struct known *file)
{
	static unsigned char bytes[1 << 16];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t got;
	while ((got = fd < 0 ? -1 : read(fd, bytes, sizeof(bytes))) > 0) {
		add(&(struct op){.kind = OP_WRITE, .file = file->file, .offset = file->size, .len = (size_t)got, .bytes = bytes});
		file->size += got;
	}
	if (got < 0)
		give_up("cannot read %s", path);
	close(fd);
}

static void add_tree(const char *path)
{
	DIR *dir = opendir(path);
	if (!dir)
		give_up("cannot open the directory %s", path);
	for (const struct dirent *entry; (entry = readdir(dir));) {
		char child[4096];
		struct stat info;
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		if ((size_t)snprintf(child, sizeof(child), "%s/%s", path, entry->d_name) >= sizeof(child) || stat(child, &info) != 0)
			give_up("cannot look at %s/%s", path, entry->d_name);
		uint32_t file = new_file(child, &info);
		if (S_ISDIR(info.st_mode))
			add_tree(child);
		else if (known_by(&info)->file == file)
			add_content(child, known_by(&info));
	}
	closedir(dir);
}

void recorder_begin(const char *dir, unsigned lies)
{
	log_now = calloc(1, sizeof(*log_now));
	if (!log_now || !realpath(dir, root))
		give_up("cannot begin in %s", dir);
	lies_now = lies;
	files = 0;
	name_count = known_count = 0;
	names = NULL;
	known = NULL;
	add_tree(root);
	log_now->base = log_now->count;
	if (!calls_watch(root, &(struct calls_hooks){.after = after}))
		give_up("cannot watch %s", root);
}

struct oplog *recorder_end(void)
{
	calls_unwatch();
	struct oplog *log = log_now;
	log_now = NULL;
	free(names);
	free(known);
	return log;
}
