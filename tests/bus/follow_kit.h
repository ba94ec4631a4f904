/* follow_kit.h - what the tests of followers share: a bus over a fake source, and a follower that writes down what it sees. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "fake_source.h"

#define OK(call) \
	do { \
		mf_error_clear(&kit.error); \
		enum mf_status ok_status_ = (call); \
		if (ok_status_ != MF_OK) \
			fail_msg("%s: %s: %s", #call, mf_status_name(ok_status_), kit.error.message); \
	} while (0)

extern struct kit {
	struct mf_bus *bus;
	struct fake_source fake;
	struct mf_error error;
	char log[2000]; /* of the logger */
	pthread_mutex_t log_mutex;
} kit;

int kit_set_up(void **state);
int kit_tear_down(void **state);

struct seen {
	pthread_mutex_t mutex;
	pthread_cond_t changed;
	uint64_t id;
	int64_t last;       /* newest event; fails the test when it is not ascending */
	int64_t count;      /* of events, each once */
	bool gaps_allowed;  /* by topics, gaps */
	int64_t entered;    /* calls */
	bool hold;          /* calls wait */
	int holding;
	int fail_times;     /* so many calls fail; negative: all */
	int64_t notice_from, notice_lsn, notices;
	enum mf_topic notice_topic;
	enum mf_status last_status;
	bool had_transaction;
	char message[300];
	void (*act)(struct seen *seen, const struct mf_publication *publication); /* in the handler, without the mutex */
};
void seen_init(struct seen *seen);
void seen_deinit(struct seen *seen);
enum mf_status seen_handle(void *user, const struct mf_publication *publication, struct mf_error *error);
#define SEEN_SET(seen, assignment) \
	do { \
		pthread_mutex_lock(&(seen)->mutex); \
		(seen)->assignment; \
		pthread_cond_broadcast(&(seen)->changed); \
		pthread_mutex_unlock(&(seen)->mutex); \
	} while (0)
#define SEEN_WAIT(seen, condition) \
	do { \
		pthread_mutex_lock(&(seen)->mutex); \
		while (!(condition)) \
			pthread_cond_wait(&(seen)->changed, &(seen)->mutex); \
		pthread_mutex_unlock(&(seen)->mutex); \
	} while (0)
#define SEEN_GET(seen, field) \
	__extension__({ \
		pthread_mutex_lock(&(seen)->mutex); \
		__typeof__((seen)->field) seen_value = (seen)->field; \
		pthread_mutex_unlock(&(seen)->mutex); \
		seen_value; \
	})

struct mf_follow_options named(const char *name); /* the defaults, retries after 1 ms */
void follow(struct seen *seen, const struct mf_follow_options *options);
struct mf_subscriber_info info_of(uint64_t id, char last_error[MF_ERROR_MESSAGE_SIZE]);
void await_state(uint64_t id, enum mf_follower_state state);
bool readable(int fd, int timeout_ms);
