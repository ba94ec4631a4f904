#include "follow_kit.h"

#include <poll.h>
#include <sched.h>
#include <stdio.h>

struct kit kit;

static void write_log(void *user, enum mf_log_level level, const char *message)
{
	(void)user;
	pthread_mutex_lock(&kit.log_mutex);
	size_t len = strlen(kit.log);
	snprintf(kit.log + len, sizeof(kit.log) - len, "%s: %s\n", mf_log_level_name(level), message);
	pthread_mutex_unlock(&kit.log_mutex);
}

int kit_set_up(void **state)
{
	(void)state;
	memset(&kit, 0, sizeof(kit));
	pthread_mutex_init(&kit.log_mutex, NULL);
	fake_source_init(&kit.fake);
	OK(mf_bus_new(&kit.bus));
	const struct mf_logger logger = {write_log, NULL};
	mf_bus_set_logger(kit.bus, &logger);
	OK(mf_bus_set_committer(kit.bus, &kit.fake.committer, &kit.error));
	return 0;
}

int kit_tear_down(void **state)
{
	(void)state;
	mf_bus_free(kit.bus);
	fake_source_deinit(&kit.fake);
	pthread_mutex_destroy(&kit.log_mutex);
	return 0;
}

/* ---- a follower that writes down what it sees ---- */
void seen_init(struct seen *seen)
{
	memset(seen, 0, sizeof(*seen));
	pthread_mutex_init(&seen->mutex, NULL);
	pthread_cond_init(&seen->changed, NULL);
}

void seen_deinit(struct seen *seen)
{
	pthread_cond_destroy(&seen->changed);
	pthread_mutex_destroy(&seen->mutex);
}

static void take_notice(struct seen *seen, const struct mf_publication *publication)
{
	seen->notice_topic = publication->topic;
	seen->notice_from = publication->from_lsn;
	seen->notice_lsn = publication->lsn;
	seen->notices++;
	snprintf(seen->message, sizeof(seen->message), "%s", publication->message);
}

static void take_event(struct seen *seen, const struct mf_publication *publication)
{
	assert_non_null(publication->event);
	assert_int_equal(publication->event->lsn, publication->lsn);
	assert_null(publication->old_state);
	assert_null(publication->new_state);
	if (seen->gaps_allowed ? publication->lsn <= seen->last : publication->lsn != seen->last + 1)
		fail_msg("LSN %lld came after %lld", (long long)publication->lsn, (long long)seen->last);
	seen->last = publication->lsn;
	seen->count++;
	seen->last_status = publication->status;
	seen->had_transaction = publication->transaction;
	if (publication->message)
		snprintf(seen->message, sizeof(seen->message), "%s", publication->message);
}

enum mf_status seen_handle(void *user, const struct mf_publication *publication, struct mf_error *error)
{
	struct seen *seen = user;
	enum mf_status status = MF_OK;
	assert_false(mf_bus_in_callback());
	pthread_mutex_lock(&seen->mutex);
	seen->entered++;
	seen->holding++;
	pthread_cond_broadcast(&seen->changed);
	while (seen->hold)
		pthread_cond_wait(&seen->changed, &seen->mutex);
	seen->holding--;
	if (seen->fail_times != 0) {
		seen->fail_times -= seen->fail_times > 0;
		status = mf_error_set(error, MF_ERR_IO, "the disk of the test is away");
	} else if (publication->topic & MF_TOPICS_EVENTS) {
		take_event(seen, publication);
	} else {
		take_notice(seen, publication);
	}
	pthread_cond_broadcast(&seen->changed);
	pthread_mutex_unlock(&seen->mutex);
	if (seen->act)
		seen->act(seen, publication);
	return status;
}

/* ---- short words ---- */
struct mf_follow_options named(const char *name)
{
	struct mf_follow_options options;
	mf_follow_options_init(&options);
	options.name = name;
	options.retry_ms = options.retry_max_ms = 1;
	return options;
}

void follow(struct seen *seen, const struct mf_follow_options *options)
{
	uint64_t id;
	OK(mf_bus_follow(kit.bus, options, seen_handle, seen, &id, &kit.error));
	SEEN_SET(seen, id = id);
}

struct wanted {
	struct mf_subscriber_info info;
	char *last_error;
};

static bool find(void *user, const struct mf_subscriber_info *info)
{
	struct wanted *wanted = user;
	if (info->id != wanted->info.id)
		return true;
	wanted->info = *info;
	memcpy(wanted->last_error, info->last_error, strlen(info->last_error) + 1);
	return false;
}

struct mf_subscriber_info info_of(uint64_t id, char last_error[MF_ERROR_MESSAGE_SIZE])
{
	static char unasked[MF_ERROR_MESSAGE_SIZE];
	struct wanted wanted = {.info = {.id = id}, .last_error = last_error ? last_error : unasked};
	mf_bus_subscribers(kit.bus, find, &wanted);
	return wanted.info;
}

void await_state(uint64_t id, enum mf_follower_state state)
{
	while (info_of(id, NULL).state != state)
		sched_yield();
}

bool readable(int fd, int timeout_ms)
{
	struct pollfd pollfd = {.fd = fd, .events = POLLIN};
	return poll(&pollfd, 1, timeout_ms) == 1;
}
