/* audit_log.c - every committed event as a line of JSON in a file, each exactly once.
 *
 * The file is its own checkpoint: it is written in LSN order, and its last whole line tells how far it goes. So at the start
 * the end of the file is read, a line that a crash has torn is cut off, and the follower goes on behind the last one.
 *
 * Invariants
 * 1. A line is whole when it ends in a newline, and begins with {"lsn":N,"epoch":E, whatever it tells.
 * 2. end is the size of the whole lines that are in the file; what lies behind it is overwritten.
 * 3. Lines that are gathered and not yet written were not acknowledged by anything but the file: a crash loses them, and they
 *    are gathered again.
 *
 * Nothing that was written is ever taken out: what the store has lost is marked by a line of its own ("notice"). */
#include <moduforge/persist.h>
#include <moduforge/plugin.h>
#include <moduforge/value.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#define GATHER_BYTES ((size_t)256 << 10)
#define LOOK_BYTES 4096
#define HEAD_SIZE 64 /* of a line: more than its first two members need */

struct instance {
	const char *path;
	bool synced_only, sync, read_only;
	int fd;
	int64_t end;
	int64_t epoch, lsn;     /* of the last line in the file or gathered */
	struct mf_buffer lines; /* gathered */
	struct mf_logger logger;
};

static const struct mf_option options[] = {
	{.name = "path", .type = MF_OPTION_STRING, .default_text = "./audit.jsonl", .help = "The file, relative to the current directory; made if absent, readable by its owner only."},
	{.name = "synced_only", .type = MF_OPTION_BOOL, .default_text = "false", .help = "Write only events that are known to be on the device."},
	{.name = "fsync", .type = MF_OPTION_ENUM, .default_text = "never", .choices = "never|batch", .help = "batch: sync the file after each batch of lines, so that it survives a power loss as the store does."},
	{.name = NULL},
};

static enum mf_status failed(const struct instance *instance, const char *what, struct mf_error *error)
{
	enum mf_status status = errno == ENOSPC || errno == EDQUOT || errno == EFBIG ? MF_ERR_STORAGE_FULL : MF_ERR_IO;
	return mf_error_set(error, status, "cannot %s %.300s: %s", what, instance->path, strerror(errno));
}

/* ---- the end of the file ---- */
/* The place behind the last newline before upto; 0: there is none. */
static enum mf_status line_start(const struct instance *instance, int64_t upto, int64_t *out, struct mf_error *error)
{
	char bytes[LOOK_BYTES];
	while (upto > 0) {
		int64_t from = upto > LOOK_BYTES ? upto - LOOK_BYTES : 0;
		ssize_t len = pread(instance->fd, bytes, (size_t)(upto - from), (off_t)from);
		if (len != upto - from)
			return failed(instance, "read", error);
		const char *newline = memrchr(bytes, '\n', (size_t)len);
		if (newline) {
			*out = from + (newline - bytes) + 1;
			return MF_OK;
		}
		upto = from;
	}
	*out = 0;
	return MF_OK;
}

/* What is behind before and a number; NULL: something else is there. */
static const char *read_number(const char *text, const char *before, int64_t *out)
{
	char *end;
	if (!text || strncmp(text, before, strlen(before)) != 0)
		return NULL;
	errno = 0;
	*out = strtoll(text + strlen(before), &end, 10);
	return errno == 0 && *out >= 0 && *end == ',' ? end : NULL;
}

static enum mf_status none_of_ours(const struct instance *instance, int64_t start, struct mf_error *error)
{
	return mf_error_set(error, MF_ERR_CORRUPTED, "the last line of %.200s, at byte %lld, is none of an audit log: move the file away, or name another path", instance->path, (long long)start);
}

static enum mf_status read_last_line(struct instance *instance, struct mf_error *error)
{
	int64_t start = 0;
	char head[HEAD_SIZE + 1];
	enum mf_status status = line_start(instance, instance->end - 1, &start, error);
	if (status != MF_OK)
		return status;
	ssize_t len = pread(instance->fd, head, HEAD_SIZE, (off_t)start);
	if (len < 0)
		return failed(instance, "read", error);
	head[len] = '\0';
	if (!read_number(read_number(head, "{\"lsn\":", &instance->lsn), ",\"epoch\":", &instance->epoch))
		return none_of_ours(instance, start, error);
	return MF_OK;
}

/* What lies behind the whole lines: the beginning of one of ours, or blocks that a power loss left unwritten. Anything else was
 * never written here, and is not to be cut off. */
static enum mf_status check_torn_line(const struct instance *instance, struct mf_error *error)
{
	static const char head[] = "{\"lsn\":";
	char torn[sizeof(head) - 1];
	ssize_t len = pread(instance->fd, torn, sizeof(torn), (off_t)instance->end);
	if (len < 0)
		return failed(instance, "read", error);
	if (len == 0 || torn[0] == '\0' || memcmp(torn, head, (size_t)len) == 0)
		return MF_OK;
	return none_of_ours(instance, instance->end, error);
}

static enum mf_status find_end(struct instance *instance, struct mf_error *error)
{
	off_t size = lseek(instance->fd, 0, SEEK_END);
	if (size < 0)
		return failed(instance, "look at", error);
	enum mf_status status = line_start(instance, size, &instance->end, error);
	if (status == MF_OK && instance->end > 0)
		status = read_last_line(instance, error);
	if (status == MF_OK)
		status = check_torn_line(instance, error);
	if (status != MF_OK)
		return status;
	if (instance->end < size && ftruncate(instance->fd, (off_t)instance->end) != 0)
		return failed(instance, "cut the torn last line off", error);
	return MF_OK;
}

/* ---- writing ---- */
static enum mf_status flush(struct instance *instance, struct mf_error *error)
{
	for (size_t done = 0; done < instance->lines.len;) {
		ssize_t written = pwrite(instance->fd, instance->lines.bytes + done, instance->lines.len - done, (off_t)(instance->end + (int64_t)done));
		if (written < 0 && errno == EINTR)
			continue;
		if (written < 0) {
			enum mf_status status = failed(instance, "write to", error);
			(void)!ftruncate(instance->fd, (off_t)instance->end); /* if not, a later start does */
			return status;
		}
		done += (size_t)written;
	}
	if (instance->sync && instance->lines.len > 0 && fdatasync(instance->fd) != 0)
		return failed(instance, "sync", error);
	instance->end += (int64_t)instance->lines.len;
	instance->lines.len = 0;
	return MF_OK;
}

static enum mf_status append_text(struct mf_buffer *buffer, const char *text)
{
	return mf_buffer_append(buffer, text, strlen(text));
}

static enum mf_status append_notice(struct instance *instance, const struct mf_publication *publication, struct mf_error *error)
{
	char head[200];
	struct mf_value *message;
	char *json = NULL;
	size_t len;
	enum mf_status status = mf_value_new_string(publication->message, strlen(publication->message), &message, error);
	if (status != MF_OK)
		return status;
	status = mf_value_to_json(message, &json, &len);
	mf_value_unref(message);
	snprintf(head, sizeof(head), "{\"lsn\":%lld,\"epoch\":%lld,\"notice\":\"%s\",\"from_lsn\":%lld,\"message\":", (long long)publication->lsn, (long long)publication->epoch,
		 publication->topic == MF_NOTICE_GAP ? "gap" : "set_back", (long long)publication->from_lsn);
	if (status == MF_OK)
		status = append_text(&instance->lines, head);
	if (status == MF_OK)
		status = mf_buffer_append(&instance->lines, json, len);
	mf_free(json);
	return status == MF_OK ? append_text(&instance->lines, "}") : mf_error_set(error, status, "no memory for a line");
}

static enum mf_status gather(struct instance *instance, const struct mf_publication *publication, struct mf_error *error)
{
	size_t before = instance->lines.len;
	bool is_event = publication->topic & MF_TOPICS_EVENTS;
	enum mf_status status = is_event ? mf_event_to_json(publication->event, publication->transaction, &instance->lines, error) : append_notice(instance, publication, error);
	if (status == MF_OK && append_text(&instance->lines, "\n") != MF_OK)
		status = mf_error_set(error, MF_ERR_NO_MEMORY, "no memory for a line");
	if (status != MF_OK) {
		instance->lines.len = before;
		return status;
	}
	instance->lsn = publication->lsn;
	instance->epoch = publication->epoch;
	return MF_OK;
}

/* After a failed flush the same publication comes again: it is among the lines already. */
static bool is_gathered(const struct instance *instance, const struct mf_publication *publication)
{
	return instance->lines.len > 0 && publication->lsn == instance->lsn && publication->epoch == instance->epoch;
}

static enum mf_status handle(void *user, const struct mf_publication *publication, struct mf_error *error)
{
	struct instance *instance = user;
	enum mf_status status = is_gathered(instance, publication) ? MF_OK : gather(instance, publication, error);
	if (status != MF_OK || (publication->more && instance->lines.len < GATHER_BYTES))
		return status;
	return flush(instance, error);
}

static enum mf_status place(void *user, int64_t *out_epoch, int64_t *out_lsn, struct mf_error *error)
{
	const struct instance *instance = user;
	(void)error;
	*out_epoch = instance->epoch;
	*out_lsn = instance->lsn;
	return MF_OK;
}

/* ---- life ---- */
static enum mf_status create(const struct mf_config *config, void **out_instance, struct mf_error *error)
{
	struct instance *instance = calloc(1, sizeof(*instance));
	if (!instance)
		return mf_error_set(error, MF_ERR_NO_MEMORY, "no memory for the audit log");
	instance->path = mf_config_string(config, "path");
	instance->synced_only = mf_config_bool(config, "synced_only");
	instance->sync = strcmp(mf_config_string(config, "fsync"), "batch") == 0;
	instance->fd = -1;
	if (!instance->path[0]) {
		free(instance);
		return mf_error_set(error, MF_ERR_INVALID, "/path: an audit log needs the name of a file");
	}
	*out_instance = instance;
	return MF_OK;
}

static enum mf_status init(void *user, struct mf_registrar *registrar, struct mf_error *error)
{
	struct instance *instance = user;
	struct mf_follow_options follow;
	instance->read_only = mf_registrar_read_only(registrar); /* then it never begins */
	instance->logger = mf_registrar_logger(registrar);
	mf_follow_options_init(&follow);
	follow.topics = MF_TOPICS_FOLLOW;
	follow.synced_only = instance->synced_only;
	follow.place = place;
	follow.gathers = true;
	return mf_register_event_follower(registrar, &follow, handle, instance, error);
}

static enum mf_status start(void *user, struct mf_error *error)
{
	struct instance *instance = user;
	if (instance->read_only)
		return MF_OK;
	instance->fd = open(instance->path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (instance->fd < 0)
		return failed(instance, "open", error);
	enum mf_status status = MF_OK;
	if (flock(instance->fd, LOCK_EX | LOCK_NB) != 0)
		status = errno == EWOULDBLOCK ? mf_error_set(error, MF_ERR_LOCKED, "another process writes %.300s: name another path", instance->path) : failed(instance, "lock", error);
	if (status == MF_OK)
		status = find_end(instance, error);
	if (status != MF_OK) {
		close(instance->fd);
		instance->fd = -1;
	}
	return status;
}

static enum mf_status stop(void *user, struct mf_error *error)
{
	struct instance *instance = user;
	(void)error;
	if (instance->fd < 0)
		return MF_OK;
	struct mf_error why = {0};
	enum mf_status status = flush(instance, &why);
	if (close(instance->fd) != 0 && status == MF_OK)
		status = failed(instance, "close", &why);
	instance->fd = -1;
	if (status != MF_OK) /* what is not in the file is gathered again at the next start: the host may close */
		mf_logf(&instance->logger, MF_LOG_WARNING, "audit_log: %s", why.message);
	return MF_OK;
}

static void destroy(void *user)
{
	struct instance *instance = user;
	if (instance->fd >= 0)
		close(instance->fd);
	mf_buffer_deinit(&instance->lines);
	free(instance);
}

static const struct mf_plugin plugin = {
	.magic = MF_PLUGIN_MAGIC,
	.size = sizeof(struct mf_plugin),
	.abi_major = MF_ABI_MAJOR,
	.abi_minor = MF_ABI_MINOR,
	.name = "audit_log",
	.version = "0.1.0",
	.summary = "Writes every committed event as a line of JSON to a file, each exactly once.",
	.options = options,
	.create = create,
	.init = init,
	.start = start,
	.stop = stop,
	.destroy = destroy,
};

MF_PLUGIN_EXPORT const struct mf_plugin *moduforge_plugin(void)
{
	return &plugin;
}
